// From a result and its `render` properties to what the chart library draws. Every string goes through `visible`; a
// formatter is always a function: the library would read `{b}` in a text.
//
// Source: the `render` operator of the Kusto documentation: kinds, properties, and which columns are axes and series.
import type { Cell, Column, ResultTable, Visualization } from "../api/kusto";
import { SERIES } from "../app/theme";
import { showCount } from "../parts/numbers";
import { visible } from "../parts/text";
import { showTime, type Zone } from "../parts/time";
import { cellText } from "./gridModel";
import { isNumeric } from "./Value";

/** Series drawn at most; more are no chart that anybody reads. */
export const SERIES_MAX = 40;
/** Slices of a pie; the rest is one slice. */
const SLICES_MAX = 24;

export type Drawing =
  | { kind: "chart"; option: Record<string, unknown>; note?: string }
  | { kind: "card"; values: { name: string; value: string }[] }
  | { kind: "none"; reason: string };

interface Look {
  isDark: boolean;
  zone: Zone;
}

const XY_KINDS: Record<string, { type: "line" | "bar" | "scatter"; area?: boolean; swapped?: boolean; stacked?: boolean }> = {
  timechart: { type: "line" },
  linechart: { type: "line" },
  anomalychart: { type: "line" },
  areachart: { type: "line", area: true },
  stackedareachart: { type: "line", area: true, stacked: true },
  barchart: { type: "bar", swapped: true },
  columnchart: { type: "bar" },
  scatterchart: { type: "scatter" },
};

/** Whether `render` asked for a picture at all. */
export function isDrawn(visualization: Visualization): boolean {
  return visualization.Visualization !== null && visualization.Visualization !== "" && visualization.Visualization !== "table";
}

/** What to draw for a result. */
export function drawing(table: ResultTable, how: Visualization, look: Look): Drawing {
  const kind = String(how.Visualization ?? "");
  if (table.rows.length === 0) return { kind: "none", reason: "There are no rows to draw." };
  if (kind === "card") return card(table);
  if (kind === "piechart") return pie(table, how, look);
  const shape = XY_KINDS[kind];
  if (!shape) return { kind: "none", reason: `This page does not draw ${kind}; the table has the values.` };
  return xyChart(table, how, look, kind, shape);
}

function card(table: ResultTable): Drawing {
  const row = table.rows[0] ?? [];
  return {
    kind: "card",
    values: table.columns.map((column, index) => ({ name: column.name, value: cellText(row[index] ?? null) })),
  };
}

interface Axes {
  x: number;
  ys: number[];
  series: number[];
}

const list = (value: string | string[] | null | undefined): string[] =>
  Array.isArray(value) ? value : (value ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "");

/** Which column is the horizontal axis, which are values, which name series. */
export function axes(table: ResultTable, how: Visualization, kind: string): Axes | string {
  const { columns } = table;
  const find = (name: string) => columns.findIndex((column) => column.name === name);
  const isTime = (column: Column | undefined) => column?.type === "datetime" || column?.type === "timespan";
  const wantsTime = kind === "timechart" || kind === "anomalychart";
  const named = how.XColumn ? find(how.XColumn) : -1;
  const firstTime = columns.findIndex(isTime);
  const x = named >= 0 ? named : wantsTime && firstTime >= 0 ? firstTime : 0;
  if (wantsTime && !isTime(columns[x]) && !isNumeric(columns[x]?.type ?? "string")) return `A ${kind} needs a column of times.`;
  const chosen = [...list(how.YColumns), ...list(how.AnomalyColumns)].map(find).filter((index) => index >= 0);
  const numeric = columns.map((_, index) => index).filter((index) => index !== x && isValueColumn(table, index));
  const ys = chosen.length > 0 ? [...new Set(chosen)] : numeric;
  if (ys.length === 0) return `A ${kind} needs a column of numbers.`;
  const namedSeries = list(how.Series).map(find).filter((index) => index >= 0);
  const others = columns
    .map((column, index) => ({ column, index }))
    .filter(({ column, index }) => index !== x && !ys.includes(index) && ["string", "guid", "bool"].includes(column.type))
    .map(({ index }) => index);
  return { x, ys, series: namedSeries.length > 0 ? namedSeries : others };
}

/** Numbers, or the lists of numbers that `make-series` gives. */
function isValueColumn(table: ResultTable, index: number): boolean {
  const type = table.columns[index]?.type ?? "string";
  if (isNumeric(type)) return true;
  const first = table.rows.find((row) => row[index] !== null)?.[index];
  return type === "dynamic" && Array.isArray(first) && first.every((value) => value === null || typeof value === "number");
}

type Point = [Cell, number | null];

/** The points of every series, by name, in the order they come. */
export function gather(table: ResultTable, { x, ys, series }: Axes): Map<string, Point[]> {
  const found = new Map<string, Point[]>();
  for (const row of table.rows) {
    const prefix = series.map((index) => cellText(row[index] ?? null)).join(", ");
    for (const y of ys) {
      const column = table.columns[y]?.name ?? "";
      const name = prefix === "" ? column : ys.length > 1 ? `${prefix}: ${column}` : prefix;
      let points = found.get(name);
      if (!points) found.set(name, (points = []));
      const [position, value] = [row[x] ?? null, row[y] ?? null];
      if (Array.isArray(value)) {
        // A series of its own row: its positions are a list beside it, or are counted.
        value.forEach((member, index) => points.push([Array.isArray(position) ? (position[index] ?? null) : index, numberOf(member)]));
      } else {
        points.push([position, numberOf(value)]);
      }
    }
  }
  return found;
}

function numberOf(value: Cell): number | null {
  if (value === null || value === "") return null;
  const number = Number(value);
  return Number.isFinite(number) ? number : null;
}

function xyChart(table: ResultTable, how: Visualization, look: Look, kind: string, shape: NonNullable<(typeof XY_KINDS)[string]>): Drawing {
  const found = axes(table, how, kind);
  if (typeof found === "string") return { kind: "none", reason: found };
  const points = gather(table, found);
  const names = [...points.keys()];
  const kept = names.slice(0, SERIES_MAX);
  const sample = points.get(kept[0] ?? "")?.find((point) => point[0] !== null)?.[0];
  const isTime = typeof sample === "string" && /^\d{4}-\d\d-\d\dT/.test(sample);
  const isNumberAxis = !isTime && typeof sample === "number" && shape.type !== "bar";
  const isStacked = shape.stacked === true || how.Kind === "stacked" || how.Kind === "stacked100";
  const marked = new Set(list(how.AnomalyColumns));
  const position = (value: Cell) => (isTime || isNumberAxis ? value : visible(cellText(value)));
  const series = kept.map((name, index) => {
    const isMark = [...marked].some((column) => name === column || name.endsWith(`: ${column}`));
    const data = (points.get(name) ?? []).map(([at, value]) => (shape.swapped ? [value, position(at)] : [position(at), value]));
    if (isTime || isNumberAxis) data.sort((a, b) => comparePositions(a[0], b[0]));
    return {
      name: visible(name),
      type: isMark ? "scatter" : shape.type,
      data: isMark ? data.filter((point) => point[1] !== 0) : data,
      showSymbol: data.length < 60,
      symbolSize: shape.type === "scatter" ? 7 : 4,
      color: SERIES[index % SERIES.length],
      ...(shape.area && !isMark ? { areaStyle: { opacity: isStacked ? 0.7 : 0.25 } } : {}),
      ...(isStacked && !isMark ? { stack: "all" } : {}),
      emphasis: { focus: "series" },
      animation: false,
    };
  });
  const days = isTime ? spanDays(points) : 0;
  const across = axisOption(look, {
    type: isTime ? "time" : isNumberAxis ? "value" : "category",
    name: visible(how.XTitle ?? ""),
    // Categories stay in the order of the rows.
    ...(isTime || isNumberAxis ? {} : { data: [...new Set([...points.values()].flat().map(([at]) => visible(cellText(at))))] }),
    ...(isTime ? { axisLabel: { formatter: (value: number) => timeLabel(value, look.zone, days), hideOverlap: true } } : {}),
  });
  const up = axisOption(look, {
    type: how.YAxis === "log" ? "log" : "value",
    name: visible(how.YTitle ?? ""),
    axisLabel: { formatter: (value: number) => shortNumber(value), hideOverlap: true },
  });
  const option = {
    ...frame(how, look, kept.length > 1),
    xAxis: shape.swapped ? up : across,
    yAxis: shape.swapped ? { ...across, inverse: true } : up,
    series,
    ...(isTime ? { dataZoom: [{ type: "inside", filterMode: "none" }] } : {}),
    tooltip: {
      trigger: shape.type === "scatter" ? "item" : "axis",
      renderMode: "richText",
      confine: true,
      formatter: (hit: unknown) => tooltipText(hit, shape.swapped === true, isTime, look.zone),
    },
  };
  const note = names.length > SERIES_MAX ? `The first ${SERIES_MAX} of ${names.length} series are drawn; the table has all.` : undefined;
  return note ? { kind: "chart", option, note } : { kind: "chart", option };
}

function comparePositions(a: Cell | undefined, b: Cell | undefined): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = [cellText(a), cellText(b)];
  return left < right ? -1 : left > right ? 1 : 0;
}

function pie(table: ResultTable, how: Visualization, look: Look): Drawing {
  const found = axes(table, how, "piechart");
  if (typeof found === "string") return { kind: "none", reason: found };
  const y = found.ys[0] ?? 0;
  const slices = table.rows.map((row) => ({ name: visible(cellText(row[found.x] ?? null)) || "(empty)", value: numberOf(row[y] ?? null) ?? 0 }));
  slices.sort((a, b) => b.value - a.value);
  const kept = slices.slice(0, SLICES_MAX);
  const rest = slices.slice(SLICES_MAX).reduce((sum, slice) => sum + slice.value, 0);
  if (rest > 0) kept.push({ name: `${slices.length - SLICES_MAX} others`, value: rest });
  const option = {
    ...frame(how, look, false),
    color: SERIES,
    tooltip: {
      trigger: "item",
      renderMode: "richText",
      confine: true,
      formatter: (hit: { name: string; value: number; percent: number }) => `${hit.name}\n${showCount(hit.value)} (${hit.percent} %)`,
    },
    series: [{ type: "pie", radius: ["35%", "70%"], data: kept, animation: false, label: { color: ink(look), formatter: (hit: { name: string }) => shortened(hit.name) } }],
  };
  return { kind: "chart", option };
}

const ink = (look: Look) => (look.isDark ? "#d6d6d6" : "#424242");
const line = (look: Look) => (look.isDark ? "#454545" : "#dcdcdc");

function frame(how: Visualization, look: Look, hasLegend: boolean): Record<string, unknown> {
  const title = visible(how.Title ?? "");
  const isLegend = hasLegend && how.Legend !== "hidden";
  return {
    backgroundColor: "transparent",
    textStyle: { fontFamily: "inherit", color: ink(look) },
    title: title ? { text: title, left: 8, top: 4, textStyle: { color: ink(look), fontSize: 14 } } : undefined,
    legend: isLegend
      ? { type: "scroll", top: title ? 28 : 4, left: 8, right: 8, textStyle: { color: ink(look) }, pageTextStyle: { color: ink(look) }, formatter: shortened }
      : { show: false },
    grid: { left: 16, right: 24, top: (title ? 32 : 16) + (isLegend ? 28 : 0), bottom: 12, containLabel: true },
    aria: { enabled: true },
  };
}

function axisOption(look: Look, more: Record<string, unknown>): Record<string, unknown> {
  const label = { color: ink(look), ...(more.axisLabel as object | undefined) };
  return {
    nameLocation: "middle",
    nameGap: 28,
    axisLine: { lineStyle: { color: line(look) } },
    splitLine: { lineStyle: { color: line(look), opacity: 0.6 } },
    nameTextStyle: { color: ink(look) },
    ...more,
    axisLabel: label,
  };
}

function shortened(text: string): string {
  return text.length > 48 ? `${text.slice(0, 47)}…` : text;
}

function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${+(value / 1e9).toFixed(1)}G`;
  if (size >= 1e6) return `${+(value / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
  return String(+value.toFixed(3));
}

/** Days between the first and the last point. */
function spanDays(points: Map<string, Point[]>): number {
  let [first, last] = [Infinity, -Infinity];
  for (const [at] of [...points.values()].flat()) {
    const time = Date.parse(String(at));
    if (Number.isNaN(time)) continue;
    first = Math.min(first, time);
    last = Math.max(last, time);
  }
  return last > first ? (last - first) / 86_400_000 : 0;
}

/** The part of a time that an axis needs: the whole day over many, the day at midnight over few, else the time of day. */
function timeLabel(ms: number, zone: Zone, days: number): string {
  const text = showTime(new Date(ms).toISOString(), zone);
  if (days > 60) return text.slice(0, 10);
  if (days > 4) return text.slice(5, 10);
  return text.endsWith(" 00:00:00") ? text.slice(5, 10) : text.slice(11, text.endsWith(":00") ? 16 : undefined);
}

interface Hit {
  seriesName: string;
  value: [Cell, Cell];
  marker?: unknown;
}

/** Lines of a tooltip that are shown at most. */
const TOOLTIP_LINES_MAX = 12;

function tooltipText(hit: unknown, swapped: boolean, isTime: boolean, zone: Zone): string {
  const hits = (Array.isArray(hit) ? hit : [hit]) as Hit[];
  const [at, of] = swapped ? [1, 0] : [0, 1];
  const position = hits[0]?.value[at] ?? null;
  const head = isTime ? showTime(new Date(position as string).toISOString(), zone) : visible(cellText(position));
  const sorted = hits.filter(({ value }) => value[of] !== null).sort((a, b) => Number(b.value[of]) - Number(a.value[of]));
  const lines = sorted.slice(0, TOOLTIP_LINES_MAX).map(({ seriesName, value }) => `${shortened(seriesName)}: ${showCount(Number(value[of]))}`);
  if (sorted.length > TOOLTIP_LINES_MAX) lines.push(`and ${sorted.length - TOOLTIP_LINES_MAX} more`);
  return [shortened(head), ...lines].join("\n");
}
