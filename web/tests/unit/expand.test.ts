import { expect, test } from "vitest";
import type { ResultTable } from "../../src/api/kusto";
import { expand, MEMBERS_MAX, parseExpanded, toggled } from "../../src/results/expand";

const table: ResultTable = {
  name: "",
  columns: [{ name: "a", type: "long" }, { name: "Badge", type: "dynamic" }, { name: "z", type: "string" }],
  rows: [
    [1, { level: 3, doors: ["x", "y"], "odd key": null }, "p"],
    [2, { level: 2.5, doors: ["z"], ["__proto__x"]: true }, "q"],
    [3, null, "r"],
    [4, "text", "s"],
  ],
};

test("members of a dynamic column stand after it as columns with types and paths, and rows stay as they are", () => {
  const made = expand(table, ["Badge"]);
  expect(made.columns.map((column) => `${column.name}:${column.type}`)).toEqual([
    "a:long", "Badge:dynamic", "Badge.level:real", "Badge.doors:dynamic", 'Badge["odd key"]:dynamic', "Badge.__proto__x:bool", "z:string",
  ]);
  expect(made.rows.map((row) => row[2])).toEqual([3, 2.5, null, null]);
  expect(made.rows.map((row) => row[6])).toEqual(["p", "q", "r", "s"]);
  expect(made.columns[3]?.from).toMatchObject({ column: { name: "Badge" }, path: ["doors"] });
});

test("what came out of a column is expanded further, and closed with it", () => {
  const made = expand(table, ["Badge", "Badge.doors"]);
  expect(made.columns.map((column) => column.name)).toContain("Badge.doors[1]");
  expect(made.columns.find((column) => column.name === "Badge.doors[1]")?.from?.path).toEqual(["doors", 1]);
  expect(made.rows[0]).toEqual([1, table.rows[0]?.[1], 3, ["x", "y"], "x", "y", null, null, "p"]);
  expect(expand(table, ["Badge.doors", "nothing", "a"])).toEqual(table);
  expect(toggled(["Badge", "Badge.doors", "Badges"], "Badge")).toEqual(["Badges"]);
  expect(toggled([], "Badge")).toEqual(["Badge"]);
});

test("no more members are shown than are of use, and an address of nonsense expands nothing", () => {
  const wide: ResultTable = { ...table, rows: [[1, Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`k${index}`, index])), ""]] };
  expect(expand(wide, ["Badge"]).columns).toHaveLength(3 + MEMBERS_MAX);
  expect(parseExpanded("{")).toEqual([]);
  expect(parseExpanded('["a",1]')).toEqual(["a"]);
});
