// From a result and its `render` properties to what the chart library draws. Every string goes through `visible`; a
// formatter is always a function: the library would read `{b}` in a text.
//
// Source: the `render` operator of the Kusto documentation: kinds, properties, and which columns are axes and series.
import type { Cell, ResultTable, Visualization } from "../api/kusto";
import { SERIES } from "../app/theme";
import { showCount } from "../parts/numbers";
import { visible } from "../parts/text";
import { showTime, type Zone } from "../parts/time";
import { axisOption, frame, ink, shortened, shortNumber, timeLabel, type Drawing, type Look } from "./chartParts";
import { cellText } from "./gridModel";
import { ladder } from "./ladder";
import { isNumeric } from "./Value";

/** Series drawn at most; more are no chart that anybody reads. */
export const SERIES_MAX = 40;
/** Slices of a pie; the rest is one slice. */
const SLICES_MAX = 24;

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

/** Kinds that are drawn; completion offers these, and `table`. */
export const KINDS: readonly string[] = [...Object.keys(XY_KINDS), "card", "ladderchart", "piechart"];

/** Whether `render` asked for a picture that is drawn. */
export function isDrawn(visualization: Visualization): boolean {
  return KINDS.includes(visualization.Visualization ?? "");
}

/** Properties that pictures have, by their names in KQL; clients are told some of them with capitals. */
const PROPERTIES = ["visualization", "title", "xcolumn", "ycolumns", "series", "anomalycolumns", "xtitle", "ytitle", "xaxis", "yaxis", "legend", "ysplit", "kind", "ymin", "ymax", "accumulate", "isquerysorted"];
const KINDS_OF_STACKING = ["default", "unstacked", "stacked", "stacked100"];

/** A property by its name in KQL, as text; empty where it is not there. */
function property(how: Visualization, name: string): string {
  const found = Object.entries(how).find(([key]) => key.toLowerCase() === name)?.[1];
  return found === null || found === undefined ? "" : String(found).trim();
}

/**
 * What to say about a kind that is not drawn, and about properties that change nothing; nothing about tables, and pivots,
 * which are groups of the table.
 */
export function undrawn(visualization: Visualization): string | undefined {
  const kind = visualization.Visualization ?? "";
  if (kind === "" || kind === "table" || kind === "pivotchart") return undefined;
  if (!isDrawn(visualization)) return `This page does not draw ${visible(kind)}: the table has the values.`;
  const idle = Object.keys(visualization).filter((name) => !PROPERTIES.includes(name.toLowerCase()) && property(visualization, name.toLowerCase()) !== "");
  const stacking = property(visualization, "kind");
  if (stacking !== "" && !KINDS_OF_STACKING.includes(stacking)) idle.push(`kind=${stacking}`);
  return idle.length > 0 ? `This page draws it without ${visible(idle.join(", "))}, which it does not know.` : undefined;
}

/** The columns by which a pivot groups its rows, unless somebody chose others. */
export function pivotGroups(table: ResultTable, visualization: Visualization): string[] {
  if (visualization.Visualization !== "pivotchart") return [];
  const named = list(visualization.Series);
  const texts = table.columns.filter((column) => ["string", "guid", "bool"].includes(column.type)).map((column) => column.name);
  return (named.length > 0 ? named : texts).slice(0, 2);
}

/** What to draw for a result. */
export function drawing(table: ResultTable, how: Visualization, look: Look): Drawing {
  const kind = String(how.Visualization ?? "");
  if (table.rows.length === 0) return { kind: "none", reason: "There are no rows to draw." };
  if (kind === "card") return card(table);
  if (kind === "piechart") return pie(table, how, look);
  if (kind === "ladderchart") return ladder(table, how, look);
  const shape = XY_KINDS[kind];
  if (!shape) return { kind: "none", reason: `This page does not draw ${kind}; the table has the values.` };
  return xyChart(table, how, look, kind, shape);
}

function card(table: ResultTable): Drawing {
  const row = table.rows[0] ?? [];
  return {
    kind: "card",
    values: table.columns.map((column, index) => ({ name: column.name, value: cardText(row[index] ?? null) })),
  };
}

/** A number as people read it, anything else as it is. */
function cardText(value: Cell): string {
  return typeof value === "number" ? showCount(value) : cellText(value);
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
  const isTime = (index: number) => isTimeColumn(table, index);
  const wantsTime = kind === "timechart" || kind === "anomalychart";
  const named = how.XColumn ? find(how.XColumn) : -1;
  const firstTime = columns.findIndex((_, index) => isTime(index));
  const x = named >= 0 ? named : wantsTime && firstTime >= 0 ? firstTime : 0;
  if (wantsTime && !isTime(x) && !isNumeric(columns[x]?.type ?? "string")) return `A ${kind} needs a column of times.`;
  const indexes = (names: string[]) => names.map(find).filter((index) => index >= 0);
  const marks = indexes(list(how.AnomalyColumns));
  const chosen = indexes(list(how.YColumns));
  const numeric = columns.map((_, index) => index).filter((index) => index !== x && isValueColumn(table, index));
  // Marks are drawn on values: to name them does not choose these away.
  const ys = [...new Set([...(chosen.length > 0 ? chosen : numeric), ...marks])];
  if (ys.length === 0) return `A ${kind} needs a column of numbers.`;
  const namedSeries = list(how.Series).map(find).filter((index) => index >= 0);
  const others = columns
    .map((column, index) => ({ column, index }))
    .filter(({ column, index }) => index !== x && !ys.includes(index) && ["string", "guid", "bool"].includes(column.type))
    .map(({ index }) => index);
  return { x, ys, series: namedSeries.length > 0 ? namedSeries : others };
}

/** Times, or the lists of times that `make-series` gives. */
function isTimeColumn(table: ResultTable, index: number): boolean {
  const type = table.columns[index]?.type ?? "string";
  if (type !== "dynamic") return type === "datetime" || type === "timespan";
  const first = table.rows.find((row) => row[index] !== null)?.[index];
  return Array.isArray(first) && first.length > 0 && first.every((value) => typeof value === "string" && TIME.test(value));
}

const TIME = /^\d{4}-\d\d-\d\dT/;

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
  const gathered = gather(table, found);
  const marked = new Set(list(how.AnomalyColumns));
  const points = property(how, "accumulate") === "true" ? accumulated(gathered, marked) : gathered;
  const names = [...points.keys()];
  const kept = names.slice(0, SERIES_MAX);
  const sample = points.get(kept[0] ?? "")?.find((point) => point[0] !== null)?.[0];
  const isTime = typeof sample === "string" && TIME.test(sample);
  const isNumberAxis = !isTime && typeof sample === "number" && shape.type !== "bar";
  const isStacked = shape.stacked === true || how.Kind === "stacked" || how.Kind === "stacked100";
  const position = (value: Cell) => (isTime || isNumberAxis ? value : visible(cellText(value)));
  const valueColumns = found.ys.map((index) => table.columns[index]?.name ?? "");
  const columnOf = (name: string) => valueColumns.find((column) => name === column || name.endsWith(`: ${column}`)) ?? valueColumns[0] ?? "";
  const totals = how.Kind === "stacked100" ? totalsAt(points, marked) : undefined;
  const split = shape.swapped ? "none" : splitOf(how, valueColumns.filter((column) => !marked.has(column)));
  const places = split === "none" ? [] : valueColumns.filter((column) => !marked.has(column));
  const series = kept.map((name, index) => {
    const column = columnOf(name);
    const isMark = marked.has(column);
    // A mark stands on the line of values that it is about: its own value only says whether there is one.
    const about = valueColumns.find((other) => !marked.has(other)) ?? column;
    const values = isMark ? markedPoints(points.get(name) ?? [], points.get(name.slice(0, name.length - column.length) + about) ?? []) : (points.get(name) ?? []);
    const shares = totals && !isMark ? values.map(([at, value]): Point => [at, value === null ? null : (100 * value) / (totals.get(at) || 1)]) : values;
    const data = shares.map(([at, value]) => (shape.swapped ? [value, position(at)] : [position(at), value]));
    if (isTime || isNumberAxis) data.sort((a, b) => comparePositions(a[0], b[0]));
    const place = Math.max(0, places.indexOf(isMark ? about : column));
    return {
      name: visible(name),
      type: isMark ? "scatter" : shape.type,
      data,
      ...(split !== "none" ? { yAxisIndex: place } : {}),
      ...(split === "panels" ? { xAxisIndex: place } : {}),
      ...(isMark ? { z: 3 } : {}),
      showSymbol: data.length < 60,
      symbolSize: isMark ? 9 : shape.type === "scatter" ? 7 : 4,
      color: isMark ? ANOMALY : SERIES[index % SERIES.length],
      ...(shape.area && !isMark ? { areaStyle: { opacity: isStacked ? 0.7 : 0.25 } } : {}),
      ...(isStacked && !isMark ? { stack: "all" } : {}),
      emphasis: { focus: "series" },
      animation: false,
    };
  });
  const days = isTime ? spanDays(points) : 0;
  const across = axisOption(look, {
    type: isTime ? "time" : isNumberAxis ? (how.XAxis === "log" ? "log" : "value") : "category",
    name: visible(how.XTitle ?? ""),
    // Categories stay in the order of the rows.
    ...(isTime || isNumberAxis ? {} : categories([...new Set([...points.values()].flat().map(([at]) => visible(cellText(at))))], shape.swapped === true)),
    ...(isTime ? { axisLabel: { formatter: (value: number) => timeLabel(value, look.zone, days), hideOverlap: true } } : {}),
  });
  const up = axisOption(look, {
    type: how.YAxis === "log" ? "log" : "value",
    name: visible(how.YTitle ?? ""),
    axisLabel: { formatter: (value: number) => shortNumber(value), hideOverlap: true },
    ...bound("min", property(how, "ymin")),
    ...bound("max", property(how, "ymax")),
  });
  const option = {
    ...frame(how, look, kept.length > 1),
    xAxis: shape.swapped ? up : across,
    yAxis: shape.swapped ? { ...across, inverse: true } : up,
    ...splitFrame(split, places, across, up),
    series,
    ...(isTime ? { dataZoom: [{ type: "inside", filterMode: "none", ...(split === "panels" ? { xAxisIndex: "all" } : {}) }] } : {}),
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

/** Categories whose names are all written; of more, some are left out. */
const CATEGORIES_NAMED_MAX = 40;
/** Characters of names that stand side by side; more are turned. */
const NAMES_CHARACTERS_MAX = 110;

/** An axis of names: a bar without its name says nothing. */
function categories(names: string[], isUpright: boolean): Record<string, unknown> {
  if (names.length > CATEGORIES_NAMED_MAX) return { data: names, axisLabel: { formatter: shortened } };
  const longest = Math.max(...names.map((name) => Math.min(name.length, NAME_CHARACTERS_MAX)));
  const isTurned = !isUpright && longest * names.length > NAMES_CHARACTERS_MAX;
  return { data: names, axisLabel: { interval: 0, formatter: nameLabel, ...(isTurned ? { rotate: 35 } : {}) } };
}

/** Characters of a name at an axis. */
const NAME_CHARACTERS_MAX = 24;

function nameLabel(name: string): string {
  return name.length > NAME_CHARACTERS_MAX ? `${name.slice(0, NAME_CHARACTERS_MAX - 1)}…` : name;
}

/** The colour of what is out of the ordinary, in both themes. */
const ANOMALY = "#d13438";

/** Points of values where the flag beside them is not 0. */
function markedPoints(flags: Point[], values: Point[]): Point[] {
  return flags.flatMap(([at, flag], index) => (flag === null || flag === 0 ? [] : [[at, values[index]?.[1] ?? null] as Point]));
}

/** The sum of all series at each position. */
function totalsAt(points: Map<string, Point[]>, marked: ReadonlySet<string>): Map<Cell, number> {
  const totals = new Map<Cell, number>();
  for (const [name, series] of points) {
    if ([...marked].some((column) => name === column || name.endsWith(`: ${column}`))) continue;
    for (const [at, value] of series) totals.set(at, (totals.get(at) ?? 0) + (value ?? 0));
  }
  return totals;
}

/** Each value with all before it added, by position where positions have an order; marks stay as they are. */
function accumulated(points: Map<string, Point[]>, marked: ReadonlySet<string>): Map<string, Point[]> {
  const isMark = (name: string) => [...marked].some((column) => name === column || name.endsWith(`: ${column}`));
  return new Map(
    [...points].map(([name, series]): [string, Point[]] => {
      if (isMark(name)) return [name, series];
      const isOrdered = series.every(([at]) => typeof at === "number" || (typeof at === "string" && TIME.test(at)));
      const inOrder = isOrdered ? [...series].sort((a, b) => comparePositions(a[0], b[0])) : series;
      let sum = 0;
      return [name, inOrder.map(([at, value]) => [at, value === null ? null : (sum += value)])];
    }),
  );
}

/** An end of an axis that the query names; nothing where it is no number. */
function bound(end: "min" | "max", text: string): Record<string, number> {
  return text === "" || !Number.isFinite(Number(text)) ? {} : { [end]: Number(text) };
}

type Split = "none" | "axes" | "panels";

/** Columns that get an axis or a panel of their own at most: more cannot be read. */
const SPLIT_MAX = 6;

function splitOf(how: Visualization, columns: string[]): Split {
  if (columns.length < 2 || columns.length > SPLIT_MAX) return "none";
  return how.YSplit === "axes" || how.YSplit === "panels" ? how.YSplit : "none";
}

/** An axis for each column, beside the one picture or in a panel each. */
function splitFrame(split: Split, columns: string[], across: Record<string, unknown>, up: Record<string, unknown>): Record<string, unknown> {
  if (split === "none") return {};
  const named = (column: string, index: number) => ({ ...up, name: visible(column), nameLocation: "end", nameGap: 8, nameTextStyle: { ...(up.nameTextStyle as object), align: index === 0 || split === "panels" ? "left" : "right" } });
  if (split === "axes") {
    const axis = (column: string, index: number) => ({ ...named(column, index), position: index === 0 ? "left" : "right", offset: Math.max(0, index - 1) * 56, ...(index > 0 ? { splitLine: { show: false } } : {}) });
    return { yAxis: columns.map(axis), grid: { left: 16, right: 24 + 56 * Math.max(0, columns.length - 2), top: 64, bottom: 12, containLabel: true } };
  }
  const height = 84 / columns.length;
  return {
    grid: columns.map((_, index) => ({ left: 64, right: 24, top: `${12 + index * height}%`, height: `${height - 9}%` })),
    xAxis: columns.map((_, index) => ({ ...across, gridIndex: index })),
    yAxis: columns.map((column, index) => ({ ...named(column, index), gridIndex: index })),
  };
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
  // Slices of one name would be told apart by nothing.
  const nameOf = (row: Cell[]) => visible([found.x, ...found.series].map((index) => cellText(row[index] ?? null)).filter((text) => text !== "").join(", "));
  const slices = table.rows.map((row) => ({ name: nameOf(row) || "(empty)", value: numberOf(row[y] ?? null) ?? 0 }));
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
