import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Column, ResultTable, Row, Visualization } from "../../src/api/kusto";
import { axes, drawing, gather, KINDS, pivotGroups, SERIES_MAX, undrawn } from "../../src/results/chartOptions";

const look = { isDark: false, zone: "utc" as const };
const table = (columns: [string, Column["type"]][], rows: Row[]): ResultTable => ({ name: "T", columns: columns.map(([name, type]) => ({ name, type })), rows });
const how = (Visualization: string, more: Partial<Visualization> = {}): Visualization => ({ Visualization, ...more });

const overTime = table(
  [["Where", "string"], ["At", "datetime"], ["Count", "long"]],
  [["a", "2026-01-01T00:00:00.0000000Z", 1], ["b", "2026-01-01T00:00:00.0000000Z", 2], ["a", "2026-01-01T01:00:00.0000000Z", 3]],
);

test("a timechart takes the first time as its axis and text as series", () => {
  expect(axes(overTime, how("timechart"), "timechart")).toEqual({ x: 1, ys: [2], series: [0] });
  const drawn = drawing(overTime, how("timechart"), look);
  expect(drawn.kind).toBe("chart");
  const series = (drawn as unknown as { option: { series: { name: string; data: unknown[] }[] } }).option.series;
  expect(series.map(({ name, data }) => [name, data.length])).toEqual([["a", 2], ["b", 1]]);
});

test("render's own properties choose the columns", () => {
  const wide = table([["x", "long"], ["y", "long"], ["z", "real"], ["s", "string"]], [[1, 2, 3, "k"]]);
  expect(axes(wide, how("linechart"), "linechart")).toEqual({ x: 0, ys: [1, 2], series: [3] });
  expect(axes(wide, how("linechart", { XColumn: "y", YColumns: "z", Series: "s" }), "linechart")).toEqual({ x: 1, ys: [2], series: [3] });
});

test("lists of make-series become one point each", () => {
  const series = table([["Count", "dynamic"], ["At", "dynamic"]], [[[1, null, 3], ["2026-01-01", "2026-01-02", "2026-01-03"]]]);
  expect([...gather(series, { x: 1, ys: [0], series: [] })]).toEqual([["Count", [["2026-01-01", 1], ["2026-01-02", null], ["2026-01-03", 3]]]]);
});

test("what cannot be drawn says why", () => {
  const reason = (kind: string, result: ResultTable) => (drawing(result, how(kind), look) as { reason?: string }).reason;
  const texts = table([["a", "string"], ["b", "string"]], [["x", "y"]]);
  expect(reason("barchart", texts)).toContain("numbers");
  expect(reason("timechart", texts)).toContain("times");
  expect(reason("ladderchart", texts)).toContain("two columns of times");
  expect(undrawn(how("plotly"))).toContain("does not draw plotly");
  for (const kind of ["table", "pivotchart", "timechart", ""]) expect(undrawn(how(kind))).toBeUndefined();
  expect(reason("piechart", table([["a", "long"]], []))).toContain("no rows");
});

test("axes have the ends and scales that the query names, and sums run", () => {
  const option = (more: Partial<Visualization>, result = overTime, kind = "timechart") => (drawing(result, how(kind, more), look) as unknown as { option: { xAxis: { type: string }; yAxis: { type: string; min?: number; max?: number }; series: { data: unknown[] }[] } }).option;
  expect(option({ ymin: "0", ymax: "50" }).yAxis).toMatchObject({ min: 0, max: 50 });
  expect(option({ ymin: "soon" }).yAxis.min).toBeUndefined();
  const numbers = table([["x", "long"], ["y", "long"]], [[10, 1], [1, 2], [100, 4]]);
  expect([option({ XAxis: "log" }, numbers, "linechart").xAxis.type, option({}, numbers, "linechart").xAxis.type]).toEqual(["log", "value"]);
  // As the clients are told where nobody asked, and as it stands in the query.
  expect(option({ Accumulate: false }, numbers, "linechart").series[0]?.data).toEqual([[1, 2], [10, 1], [100, 4]]);
  expect(option({ accumulate: "true" }, numbers, "linechart").series[0]?.data).toEqual([[1, 2], [10, 3], [100, 7]]);
});

test("properties without effect are named", () => {
  expect(undrawn(how("piechart", { Kind: "map" }))).toContain("without kind=map");
  expect(undrawn(how("timechart", { colour: "red", ymin: "0", Kind: "stacked", Accumulate: false, XTitle: null }))).toContain("without colour,");
  expect(undrawn(how("timechart", { Title: "x", ymax: "9", accumulate: "true", IsQuerySorted: false }))).toBeUndefined();
});

test.each(["timechart", "linechart", "areachart", "stackedareachart", "barchart", "columnchart", "scatterchart", "piechart", "anomalychart"])("%s is drawn", (kind) => {
  expect(drawing(overTime, how(kind), look).kind).toBe("chart");
});

test("slices are told apart by everything that names them", () => {
  const drawn = drawing(table([["At", "datetime"], ["Where", "string"], ["n", "long"]], [["2026-01-01T00:00:00Z", "a", 2], ["2026-01-01T00:00:00Z", "b", 1]]), how("piechart"), look);
  const [pie] = (drawn as unknown as { option: { series: { data: { name: string }[] }[] } }).option.series;
  expect(pie?.data.map(({ name }) => name)).toEqual(["2026-01-01T00:00:00Z, a", "2026-01-01T00:00:00Z, b"]);
});

test("anomalies are marks on the values, also where only they are named", () => {
  const series = table([["Visits", "dynamic"], ["At", "dynamic"], ["Odd", "dynamic"]], [[[5, 50, 6], ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"], [0, 1, 0]]]);
  const drawn = drawing(series, how("anomalychart", { AnomalyColumns: "Odd" }), look) as unknown as { option: { series: { name: string; type: string; data: unknown[] }[] } };
  expect(drawn.option.series.map(({ name, type, data }) => [name, type, data.length])).toEqual([["Visits", "line", 3], ["Odd", "scatter", 1]]);
  expect(drawn.option.series[1]?.data).toEqual([["2026-01-01T01:00:00Z", 50]]);
});

test("a card shows its first row", () => {
  expect(drawing(table([["n", "long"], ["s", "string"]], [[5000, "5000"]]), how("card"), look)).toEqual({ kind: "card", values: [{ name: "n", value: "5,000" }, { name: "s", value: "5000" }] });
});

test("every bar has its name, turned where names are long", () => {
  const label = (names: string[], kind = "columnchart") => {
    const drawn = drawing(table([["s", "string"], ["n", "long"]], names.map((name): Row => [name, 1])), how(kind), look) as unknown as { option: Record<"xAxis" | "yAxis", { axisLabel: { interval?: number; rotate?: number } }> };
    return drawn.option[kind === "barchart" ? "yAxis" : "xAxis"].axisLabel;
  };
  const long = Array.from({ length: 13 }, (_, index) => `CommonSecurityLog${index}`);
  expect(label(["a", "b"])).toMatchObject({ interval: 0 });
  expect(label(["a", "b"]).rotate).toBeUndefined();
  expect(label(long)).toMatchObject({ interval: 0, rotate: 35 });
  expect(label(long, "barchart").rotate).toBeUndefined();
  expect(label(Array.from({ length: 99 }, (_, index) => `n${index}`)).interval).toBeUndefined();
});

test("too many series are cut, and it is said", () => {
  const rows: Row[] = Array.from({ length: SERIES_MAX + 5 }, (_, index) => [`s${index}`, "2026-01-01T00:00:00.0000000Z", index]);
  const drawn = drawing({ ...overTime, rows }, how("timechart"), look);
  expect((drawn as { note?: string }).note).toContain(`of ${SERIES_MAX + 5} series`);
});

test("names of attackers stay text in the picture", () => {
  const rows: Row[] = [["<img onerror=x>\u202e{b}", "2026-01-01T00:00:00.0000000Z", 1]];
  const text = JSON.stringify(drawing({ ...overTime, rows }, how("timechart"), look), (_, value: unknown) => (typeof value === "function" ? "function" : value));
  expect(text).not.toContain("\u202e");
  // Tooltips are drawn, not parsed as markup.
  expect(text).toContain('"renderMode":"richText"');
});

interface Series { name: string; type: string; data: unknown[]; yAxisIndex?: number }
const seriesOf = (result: ResultTable, visualization: Visualization) => (drawing(result, visualization, look) as unknown as { option: { series: Series[]; yAxis: unknown; grid: unknown } }).option;

test("what is out of the ordinary is marked on the line that it is about", () => {
  const times = ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z", "2026-01-01T02:00:00Z"];
  const result = table([["At", "dynamic"], ["Count", "dynamic"], ["Flags", "dynamic"], ["Door", "string"]], [[times, [5, 50, 4], [0, 1, -1], "north"]]);
  const { series } = seriesOf(result, how("anomalychart", { XColumn: "At", YColumns: "Count", AnomalyColumns: "Flags", Series: "Door" }));
  expect(series.map(({ name, type, data }) => [name, type, data])).toEqual([
    ["north: Count", "line", [[times[0], 5], [times[1], 50], [times[2], 4]]],
    ["north: Flags", "scatter", [[times[1], 50], [times[2], 4]]],
  ]);
});

test("columns get axes and panels of their own", () => {
  const wide = table([["x", "long"], ["y", "long"], ["z", "real"]], [[1, 2, 3], [2, 4, 900]]);
  const axesOf = seriesOf(wide, how("linechart", { YSplit: "axes" }));
  expect(axesOf.series.map((one) => one.yAxisIndex)).toEqual([0, 1]);
  expect(axesOf.yAxis).toHaveLength(2);
  expect(seriesOf(wide, how("linechart", { YSplit: "panels" })).grid).toHaveLength(2);
  expect(seriesOf(wide, how("linechart")).series[0]?.yAxisIndex).toBeUndefined();
});

test("shares of a whole add up to a hundred", () => {
  const { series } = seriesOf(overTime, how("columnchart", { XColumn: "At", Kind: "stacked100" }));
  expect(series.map(({ data }) => data)).toEqual([[["2026-01-01T00:00:00.0000000Z", 100 / 3], ["2026-01-01T01:00:00.0000000Z", 100]], [["2026-01-01T00:00:00.0000000Z", 200 / 3]]]);
});

test("a ladder has a bar for each range, on the line of its name", () => {
  const ranges = table(
    [["Who", "string"], ["Door", "string"], ["From", "datetime"], ["To", "datetime"]],
    [["ada", "n", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"], ["bert", "n", "2026-01-01T00:30:00Z", null], ["ada", "n", "2026-01-01T03:00:00Z", "2026-01-01T02:00:00Z"]],
  );
  const { series } = seriesOf(ranges, how("ladderchart"));
  const hour = 3_600_000;
  const midnight = Date.parse("2026-01-01T00:00:00Z");
  expect((series[0]?.data as { value: number[] }[]).map(({ value }) => value)).toEqual([[0, midnight, midnight + hour], [0, midnight + 2 * hour, midnight + 3 * hour]]);
});

test("a pivot groups the table, and completion offers what is drawn", () => {
  expect(pivotGroups(overTime, how("pivotchart"))).toEqual(["Where"]);
  expect(pivotGroups(overTime, how("timechart"))).toEqual([]);
  const source = readFileSync(new URL("../../../crates/kql-plan/src/assist/keywords.rs", import.meta.url), "utf8");
  const offered = /CHARTS: \[&str; \d+\] = \[([^\]]*)\]/.exec(source)?.[1]?.match(/\w+/g) ?? [];
  expect([...offered].sort()).toEqual([...KINDS, "table"].sort());
});
