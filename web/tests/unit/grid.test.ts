import { expect, test } from "vitest";
import type { ResultTable } from "../../src/api/kusto";
import { exportAddress, toCsv, toNdjson } from "../../src/results/exports";
import { arrange, columnOrder, filledColumns, filtersText, groupLines, parseFilters, parseGroups, parseSort, sortText, summarise } from "../../src/results/gridModel";

const table: ResultTable = {
  name: "T",
  columns: [
    { name: "n", type: "long" },
    { name: "t", type: "string" },
    { name: "s", type: "timespan" },
    { name: "empty", type: "string" },
  ],
  rows: [
    [3, "b", "1.00:00:00", ""],
    [null, "a", "-00:00:01", ""],
    ["9223372036854775807", "C", "00:00:02", ""],
    ["9223372036854775806", "=1+1", "23:59:59.5", ""],
    [-1, 'x"y', null, ""],
  ],
};
const order = (sort: string | undefined, search = "") => [...arrange(table, search, parseSort(sort))];

test("numbers sort as numbers, exactly, with nothing last", () => {
  expect(order("n")).toEqual([4, 0, 3, 2, 1]);
  expect(order("-n")).toEqual([2, 3, 0, 4, 1]);
});

test("spans sort by length and text by code unit", () => {
  expect(order("s")).toEqual([1, 2, 3, 0, 4]);
  expect(order("t")).toEqual([3, 2, 1, 0, 4]);
  expect(order(undefined)).toEqual([0, 1, 2, 3, 4]);
  expect(order("no such column")).toEqual([0, 1, 2, 3, 4]);
});

test("searching looks at every column whatever the case", () => {
  expect(order(undefined, "c")).toEqual([2]);
  expect(order(undefined, "9223372036854775806")).toEqual([3]);
});

test("sorts are spelled for the address", () => {
  expect(sortText(parseSort("-a"))).toBe("-a");
  expect(sortText(parseSort(undefined))).toBeUndefined();
});

test("empty columns are found and numbers are summed", () => {
  expect(filledColumns(table)).toEqual([true, true, true, false]);
  expect(summarise(table, Uint32Array.of(0, 4), 0)).toEqual({ count: 2, sum: 2, min: -1, max: 3 });
  expect(summarise(table, Uint32Array.of(0), 1)).toBeUndefined();
});

test("CSV holds no formula, and numbers stay numbers", () => {
  const lines = toCsv(table, [3, 4]).split("\r\n");
  expect(lines).toEqual(["n,t,s,empty", "9223372036854775806,'=1+1,23:59:59.5,", '-1,"x""y",,', ""]);
});

test("a cell is no formula either behind a line end or in wide signs", () => {
  const rows = ["\n=1", "\uff1d1", "\uff0b1", "\uff0d1", "\uff201", "1=1"].map((text) => [text]);
  const lines = toCsv({ name: "T", columns: [{ name: "s", type: "string" }], rows }, rows.keys());
  expect(lines).toBe(`s\r\n"'\n=1"\r\n'\uff1d1\r\n'\uff0b1\r\n'\uff0d1\r\n'\uff201\r\n1=1\r\n`);
});

test("JSON is one object a line", () => {
  expect(toNdjson(table, [0])).toBe('{"n":3,"t":"b","s":"1.00:00:00","empty":""}\n');
  expect(toNdjson(table, [])).toBe("");
});

test("rows of a table begin with their time; chosen columns stay as chosen", () => {
  const named = (...names: string[]): ResultTable => ({ name: "", rows: [], columns: names.map((name) => ({ name, type: "string" })) });
  const order = (result: ResultTable) => columnOrder(result).map((index) => result.columns[index]?.name);
  expect(order(named("TenantId", "Account", "TimeGenerated", "Type", "_Seq", "Zone"))).toEqual(["TimeGenerated", "Account", "Zone", "TenantId", "Type", "_Seq"]);
  expect(order(named("TenantId", "TimeGenerated", "b", "a"))).toEqual(["TenantId", "TimeGenerated", "b", "a"]);
});

test("columns are filtered by text and by comparison, exactly for large numbers", () => {
  const rows = (filters: Record<string, string>) => [...arrange(table, "", undefined, filters)];
  expect(rows({ t: "C" })).toEqual([2]);
  expect(rows({ t: "!b" })).toEqual([1, 2, 3, 4]);
  expect(rows({ t: "=a" })).toEqual([1]);
  expect(rows({ n: "=3.0" })).toEqual([0]);
  expect(rows({ n: ">=9223372036854775807" })).toEqual([2]);
  expect(rows({ n: "<3" })).toEqual([4]);
  expect(rows({ n: "=" })).toEqual([1]);
  expect(rows({ n: "!=", s: "!=" })).toEqual([0, 2, 3]);
  expect(rows({ s: "> 00:00:01" })).toEqual([0, 2, 3]);
  expect(rows({ n: ">" })).toEqual([0, 1, 2, 3, 4]);
  expect(rows({ n: ">x", "no such column": "y" })).toEqual([]);
});

test("filters and groups are spelled for the address, and nonsense is none", () => {
  expect(parseFilters(filtersText({ a: "=1", b: "" }))).toEqual({ a: "=1" });
  for (const nonsense of [undefined, "", "[]", "{", "3", '{"a":1}']) expect(parseFilters(nonsense)).toEqual({});
  // Nothing is filtered, and the fields are shown.
  expect(filtersText({ a: "" })).toBe("{}");
  expect(parseGroups('["a","b",3,"c","d"]')).toEqual(["a", "b", "c"]);
  expect(parseGroups("x")).toEqual([]);
});

test("groups hold their rows: the largest first, closed until opened, one inside the other", () => {
  const doors: ResultTable = {
    name: "", columns: [{ name: "Door", type: "string" }, { name: "Level", type: "long" }],
    rows: [["north", 1], ["south", 1], ["south", 2], [null, 2], ["", 2], ["south", 1]],
  };
  const order = arrange(doors, "", undefined);
  const closed = groupLines(doors, order, ["Door"], new Set());
  expect(closed.groups.map((group) => [group.value, group.rows])).toEqual([["south", 3], ["north", 1], [null, 1], ["", 1]]);
  expect([...closed.lines]).toEqual([-1, -2, -3, -4]);
  const south = closed.groups[0]?.key ?? "";
  const opened = groupLines(doors, order, ["Door", "Level"], new Set([south]));
  expect(opened.groups.map((group) => [group.depth, group.value, group.rows]).slice(0, 3)).toEqual([[0, "south", 3], [1, 1, 2], [1, 2, 1]]);
  const inner = opened.groups[1]?.key ?? "";
  expect([...groupLines(doors, order, ["Door", "Level"], new Set([south, inner])).lines].slice(0, 5)).toEqual([-1, -2, 1, 5, -3]);
  expect([...groupLines(doors, order, ["none"], new Set()).lines]).toEqual([0, 1, 2, 3, 4, 5]);
});

test("the whole result has an address until that is too long", () => {
  const asked = { text: "T | where a == 'ü&b'", from: "2026-01-02T00:00:00Z", language: "kql" };
  const address = new URL(exportAddress(asked, "csv") ?? "", "http://x");
  expect(Object.fromEntries(address.searchParams)).toEqual({ ...asked, format: "csv" });
  expect(exportAddress({ text: "x".repeat(40_000), language: "kql" }, "csv")).toBeUndefined();
});
