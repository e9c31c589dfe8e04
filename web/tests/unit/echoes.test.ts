import { expect, test } from "vitest";
import { Echoes } from "../../src/query/echoes";

test("what an editor told comes back once, however late, and anything else is from elsewhere", () => {
  const echoes = new Echoes();
  ["a", "ab", "abc"].forEach((text) => echoes.tell(text));
  expect(echoes.has("ab")).toBe(true);
  expect(echoes.has("abc")).toBe(true);
  expect(echoes.has("ab")).toBe(false);
  echoes.tell("x");
  expect(echoes.has("from the history")).toBe(false);
  expect(echoes.has("x")).toBe(false);
});
