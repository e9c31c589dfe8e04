// Ranges of time as bars, one under the other: who or what was when.
//
// Source: `render ladderchart` of the Kusto documentation: the last two columns are the beginning and the end, the others
// name the line.
import type { Cell, ResultTable, Visualization } from "../api/kusto";
import { SERIES } from "../app/theme";
import { visible } from "../parts/text";
import { showAge, showTime } from "../parts/time";
import { axisOption, frame, shortened, timeLabel, type Drawing, type Look } from "./chartParts";
import { cellText } from "./gridModel";

/** Ranges and lines that are drawn at most. */
const RANGES_MAX = 2_000;
const LINES_MAX = 60;

interface Range {
  line: string;
  from: number;
  to: number;
}

/** What of the library's interface draws one range. */
interface Api {
  value(dimension: number): number;
  coord(point: [number, number]): [number, number];
  size(span: [number, number]): [number, number];
  style(): Record<string, unknown>;
}
interface Area {
  coordSys: { x: number; y: number; width: number; height: number };
}

export function ladder(table: ResultTable, how: Visualization, look: Look): Drawing {
  const [start, end] = [table.columns.length - 2, table.columns.length - 1];
  if (start < 0 || table.columns[start]?.type !== "datetime" || table.columns[end]?.type !== "datetime") {
    return { kind: "none", reason: "A ladderchart needs two columns of times at the end: when something began and when it ended." };
  }
  const all = table.rows.flatMap((row) => rangeOf(row, start, end));
  const names = [...new Set(all.map((range) => range.line))];
  const lines = names.slice(0, LINES_MAX);
  const ranges = all.filter((range) => lines.includes(range.line)).slice(0, RANGES_MAX);
  if (ranges.length === 0) return { kind: "none", reason: "No row has both times." };
  const days = (Math.max(...ranges.map((range) => range.to)) - Math.min(...ranges.map((range) => range.from))) / 86_400_000;
  const option = {
    ...frame(how, look, false),
    xAxis: axisOption(look, { type: "time", name: visible(how.XTitle ?? ""), axisLabel: { formatter: (ms: number) => timeLabel(ms, look.zone, days), hideOverlap: true } }),
    yAxis: axisOption(look, { type: "category", inverse: true, data: lines.map(visible), name: visible(how.YTitle ?? ""), axisLabel: { formatter: shortened } }),
    series: [
      {
        type: "custom",
        renderItem: bar,
        encode: { x: [1, 2], y: 0 },
        data: ranges.map(({ line, from, to }) => ({ value: [lines.indexOf(line), from, to], itemStyle: { color: SERIES[lines.indexOf(line) % SERIES.length] } })),
        animation: false,
      },
    ],
    dataZoom: [{ type: "inside", filterMode: "none", xAxisIndex: 0 }],
    tooltip: {
      trigger: "item",
      renderMode: "richText",
      confine: true,
      formatter: ({ value: [line, from, to] }: { value: [number, number, number] }) => {
        const shown = (ms: number) => showTime(new Date(ms).toISOString(), look.zone);
        return `${shortened(visible(lines[line] ?? ""))}\n${shown(from)} – ${shown(to)}\n${showAge((to - from) / 1000)}`;
      },
    },
  };
  const isCut = lines.length < names.length || ranges.length < all.length;
  return isCut ? { kind: "chart", option, note: `The first ${ranges.length} of ${all.length} ranges are drawn; the table has all.` } : { kind: "chart", option };
}

function rangeOf(row: Cell[], start: number, end: number): Range[] {
  const [from, to] = [Date.parse(String(row[start])), Date.parse(String(row[end]))];
  if (Number.isNaN(from) || Number.isNaN(to)) return [];
  const line = row.slice(0, start).map(cellText).join(", ");
  return [{ line, from: Math.min(from, to), to: Math.max(from, to) }];
}

/** A bar on its line, cut where the picture ends; a moment is a thin one. */
function bar({ coordSys }: Area, api: Api): unknown {
  const [left, middle] = api.coord([api.value(1), api.value(0)]);
  const [right] = api.coord([api.value(2), api.value(0)]);
  const height = Math.max(3, Math.min(22, (api.size([0, 1])[1] ?? 10) * 0.7));
  const from = Math.max(left, coordSys.x);
  const to = Math.min(Math.max(right, left + 2), coordSys.x + coordSys.width);
  if (to <= from) return undefined;
  return { type: "rect", shape: { x: from, y: middle - height / 2, width: to - from, height, r: 2 }, style: api.style() };
}
