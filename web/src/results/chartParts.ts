// What all pictures of results share: their frame, axes, and short texts. Every string goes through `visible`; a formatter
// is always a function: the library would read `{b}` in a text.
import type { Visualization } from "../api/kusto";
import { visible } from "../parts/text";
import { showTime, type Zone } from "../parts/time";

export type Drawing =
  | { kind: "chart"; option: Record<string, unknown>; note?: string }
  | { kind: "card"; values: { name: string; value: string }[] }
  | { kind: "none"; reason: string };

export interface Look {
  isDark: boolean;
  zone: Zone;
}

export const ink = (look: Look) => (look.isDark ? "#d6d6d6" : "#424242");
const line = (look: Look) => (look.isDark ? "#454545" : "#dcdcdc");

export function frame(how: Visualization, look: Look, hasLegend: boolean): Record<string, unknown> {
  const title = visible(how.Title ?? "");
  const isLegend = hasLegend && how.Legend !== "hidden";
  return {
    backgroundColor: "transparent",
    // No font of its own: a canvas does not know what "inherit" is, and would draw everything in its smallest.
    textStyle: { color: ink(look) },
    title: title ? { text: title, left: 8, top: 4, textStyle: { color: ink(look), fontSize: 14 } } : undefined,
    legend: isLegend
      ? { type: "scroll", top: title ? 28 : 4, left: 8, right: 8, textStyle: { color: ink(look) }, pageTextStyle: { color: ink(look) }, formatter: shortened }
      : { show: false },
    grid: { left: 16, right: 24, top: (title ? 32 : 16) + (isLegend ? 28 : 0), bottom: 12, containLabel: true },
    aria: { enabled: true },
  };
}

export function axisOption(look: Look, more: Record<string, unknown>): Record<string, unknown> {
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

export function shortened(text: string): string {
  return text.length > 48 ? `${text.slice(0, 47)}…` : text;
}

export function shortNumber(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e9) return `${+(value / 1e9).toFixed(1)}G`;
  if (size >= 1e6) return `${+(value / 1e6).toFixed(1)}M`;
  if (size >= 1e4) return `${+(value / 1e3).toFixed(1)}k`;
  return String(+value.toFixed(3));
}

/** The part of a time that an axis needs: the whole day over many, the day at midnight over few, else the time of day. */
export function timeLabel(ms: number, zone: Zone, days: number): string {
  const text = showTime(new Date(ms).toISOString(), zone);
  if (days > 60) return text.slice(0, 10);
  if (days > 4) return text.slice(5, 10);
  return text.endsWith(" 00:00:00") ? text.slice(5, 10) : text.slice(11, text.endsWith(":00") ? 16 : undefined);
}
