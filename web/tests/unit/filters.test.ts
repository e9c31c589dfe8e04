import { expect, test } from "vitest";
import { quote, type Cell, type ColumnType } from "../../src/api/kusto";
import { columnName, tableOnly, condition, dynamicPath } from "../../src/query/filters";

test.each<[ColumnType, Cell, string, string]>([
  ["string", "a\"b\\c\nd", 'x == "a\\"b\\\\c\\nd"', 'x != "a\\"b\\\\c\\nd"'],
  ["string", "", "isempty(x)", "isnotempty(x)"],
  ["long", 5, "x == 5", "x != 5"],
  ["long", "9223372036854775807", "x == 9223372036854775807", "x != 9223372036854775807"],
  ["long", null, "isnull(x)", "isnotnull(x)"],
  ["bool", true, "x == true", "x != true"],
  ["datetime", "2026-01-02T03:04:05.1234567Z", "x == datetime(2026-01-02T03:04:05.1234567Z)", "x != datetime(2026-01-02T03:04:05.1234567Z)"],
  ["timespan", "1.02:03:04", "x == time(1.02:03:04)", "x != time(1.02:03:04)"],
  ["real", "NaN", "isnan(x)", "not(isnan(x))"],
  ["real", "-Infinity", "x == real(-inf)", "x != real(-inf)"],
  ["dynamic", { a: 1 }, 'tostring(x) == "{\\"a\\":1}"', 'tostring(x) != "{\\"a\\":1}"'],
])("%s %j", (type, value, kept, others) => {
  expect(condition({ name: "x", type }, value, true)).toBe(kept);
  expect(condition({ name: "x", type }, value, false)).toBe(others);
});

test("names and paths that are no plain words are quoted", () => {
  expect(columnName("My column")).toBe('["My column"]');
  expect(tableOnly("DeviceProcessEvents")).toBe('table("DeviceProcessEvents")');
  expect(tableOnly("SecurityEvent")).toBe("SecurityEvent");
  expect(dynamicPath("Badge", ["a b", 0, "c", '"; drop'])).toBe('Badge["a b"][0].c["\\"; drop"]');
  expect(condition({ name: "Badge", type: "dynamic" }, "x", true, ["holder"])).toBe('tostring(Badge.holder) == "x"');
  expect(condition({ name: "Badge", type: "dynamic" }, 4, true, ["level"])).toBe("tolong(Badge.level) == 4");
});

test("no text leaves its quotes", () => {
  for (const text of ['"', "\\", '\\"', "\u0000", "\n| take 1", "\u2028", "'"]) {
    const quoted = quote(text);
    expect(quoted).toMatch(/^"(?:[^"\\\n\r]|\\.)*"$/);
  }
});
