import { expect, test } from "vitest";
import type { TableStatus } from "../../src/api/types";
import { growth } from "../../src/store/growth";

const table = (name: string, change: Partial<TableStatus> = {}): TableStatus => ({
  name, num_rows: 1, num_segments: 1, num_hot_blocks: 0, segment_bytes: 100, retention_days: 30, oldest_day: null, held_days: 0, bytes_per_day: 10, forecast_bytes: 300, ...change,
});
const disk = (available_bytes: number) => ({ total_bytes: 10_000, available_bytes, days_until_full: null });

test("a table grows to its forecast and no further, one that is kept for ever grows on", () => {
  const grown = growth({ tables: [table("A"), table("B", { retention_days: null })], disk: disk(1_000_000) });
  const on = (day: number) => grown?.days.find((one) => one.day === day)?.bytes;
  expect(grown?.names).toEqual(["B", "A"]);
  expect([on(0), on(7), on(90)]).toEqual([[100, 100], [170, 170], [1_000, 300]]);
  expect(grown?.fullOn).toBeUndefined();
});

test("a table that holds more than its forecast does not shrink in the picture, and the day without room is named", () => {
  const tables = [table("A", { segment_bytes: 900, bytes_per_day: 1, forecast_bytes: 300 }), table("B", { retention_days: null })];
  const grown = growth({ tables, disk: disk(100) });
  expect(grown?.days[3]?.bytes).toContain(900);
  expect(grown?.room).toBe(1_100);
  expect(grown?.fullOn).toBe(14);
});

test("the largest are named, the others are one, and nothing is said before anything grew", () => {
  const many = Array.from({ length: 8 }, (_, index) => table(`T${index}`, { segment_bytes: index, forecast_bytes: 0 }));
  expect(growth({ tables: many, disk: disk(1) })?.names).toEqual(["T7", "T6", "T5", "T4", "T3", "others"]);
  expect(growth({ tables: [table("A", { bytes_per_day: 0 })], disk: disk(1) })).toBeUndefined();
});
