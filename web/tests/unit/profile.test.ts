import { expect, test } from "vitest";
import { profileQueries } from "../../src/query/profile";

test("numbers and times are bounded in their own order, everything else as text", () => {
  const facts = (type: "long" | "datetime" | "string" | "dynamic" | "guid") => profileQueries("T", { name: "a b", type }).facts;
  expect(facts("long")).toContain('project Value = ["a b"]');
  expect(facts("long")).toMatch(/isnull.*min\(Value\).*avg\(Value\)/);
  expect(facts("datetime")).toContain("min(Value)");
  expect(facts("datetime")).not.toContain("avg");
  for (const type of ["string", "dynamic", "guid"] as const) expect(facts(type)).toMatch(/tostring.*isempty.*minif/);
});
