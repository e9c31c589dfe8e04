import { expect, test } from "vitest";
import { conditionText, conditionsOf, CONDITIONS_MAX, dayAfter, endOf, filledIn, holdsLineEnds, parseWhere, problemOf, sortedExceptions, type Condition } from "../../src/rules/exceptions";

test("conditions come back from the address, half-written ones too, and nonsense is none", () => {
  const conditions: Condition[] = [{ field: "Image", test: "endswith", values: ["\\a.exe", ""] }, { field: "", test: "equals", values: [] }];
  expect(parseWhere(JSON.stringify(conditions))).toEqual(conditions);
  expect(parseWhere('[{"field":"a","test":"drop table","values":[1,"x"]}]')).toEqual([{ field: "a", test: "equals", values: ["x"] }]);
  for (const nonsense of [undefined, "", "x", "{}", "null", "[null,1,{}]"]) expect(parseWhere(nonsense)).toEqual([]);
  expect(parseWhere(JSON.stringify(Array.from({ length: 99 }, () => conditions[0])))).toHaveLength(CONDITIONS_MAX);
});

test("what is missing of conditions is said, and empty lines are none", () => {
  const one = (field: string, ...values: string[]): Condition => ({ field, test: "equals", values });
  expect(problemOf([one("", "")])).toContain("Name a field");
  expect(problemOf([one("", "svc")])).toContain("“svc”");
  expect(problemOf([one("User", "")])).toContain("“User”");
  expect(problemOf([one("User", "svc"), one("User", "root")])).toContain("twice");
  expect(problemOf([one("User", "svc"), { ...one("User", "root"), test: "contains" }])).toBe("");
  expect(problemOf([one(" User ", "svc", ""), one("", "")])).toBe("");
  expect(filledIn([one(" User ", "svc", "", "root"), one("", "")])).toEqual([one("User", "svc", "root")]);
});

test("conditions read as sentences, and fields of events become them", () => {
  expect(conditionText({ field: "Image", test: "endswith", values: ["\\a.exe", "\\b.exe"] })).toBe("Image ends with \\a.exe or \\b.exe");
  expect(conditionsOf([["User", "svc"], ["Image", "x"], ["User", "root"], ["User", "svc"], ["Empty", ""], ["(anywhere)", "words"]])).toEqual([
    { field: "User", test: "equals", values: ["svc", "root"] }, { field: "Image", test: "equals", values: ["x"] },
  ]);
});

test("a recorded value of several lines stays one value", () => {
  const script = "Get-Process\nStop-Process";
  const [condition] = conditionsOf([["ScriptBlockText", script]]);
  expect(condition).toEqual({ field: "ScriptBlockText", test: "equals", values: [script] });
  expect(parseWhere(JSON.stringify([condition]))).toEqual([condition]);
  for (const value of [script, "a\r\nb", "a\rb", "a\n"]) expect(holdsLineEnds({ field: "a", test: "equals", values: ["x", value] })).toBe(true);
  expect(holdsLineEnds({ field: "a", test: "equals", values: ["x", "", "y z"] })).toBe(false);
});

test("an exception holds to the end of its last day, and those that end next stand first", () => {
  const now = Date.parse("2026-01-31T12:00:00Z");
  expect(dayAfter(1, now)).toBe("2026-02-01");
  expect(endOf("2026-02-28")).toBe("2026-03-01T00:00:00.000Z");
  const made = (id: string, expires: string, active: boolean) => ({ id, rule_id: "r", conditions: [], reason: "", author: "", created: "", expires, active });
  const list = [made("a", "2026-01-01T00:00:00Z", false), made("b", "2026-01-02T00:00:00Z", false), made("c", "2026-03-02T00:00:00Z", true), made("d", "2026-03-01T00:00:00Z", true)];
  expect(sortedExceptions(list).map(({ id }) => id)).toEqual(["d", "c", "b", "a"]);
});
