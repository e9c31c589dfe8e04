// Times as people read them: UTC or the browser's zone, and how long ago.

export type Zone = "utc" | "local";

const two = (number: number) => String(number).padStart(2, "0");

/** `2026-01-02 03:04:05` and the fraction as sent, in the wanted zone; text that is no time stays as it is. */
export function showTime(text: string, zone: Zone): string {
  const match = /^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?Z$/.exec(text);
  if (!match) return text;
  const fraction = (match[3] ?? "").replace(/\.?0+$/, "");
  if (zone === "utc") return `${match[1]} ${match[2]}${fraction}`;
  const date = new Date(text);
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}${fraction}`;
}

/** The name of the zone, for labels. */
export function zoneName(zone: Zone): string {
  return zone === "utc" ? "UTC" : (Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local time");
}

/** `3 min`, `2 h 5 min`, `4 d`: how long, in the two largest units that say something. */
export function showAge(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  const days = Math.floor(hours / 24);
  return hours % 24 && days < 10 ? `${days} d ${hours % 24} h` : `${days} d`;
}

/** Seconds since a time, by this browser's clock. */
export function secondsSince(text: string, now = Date.now()): number {
  return (now - Date.parse(text)) / 1000;
}

/** A range of times: the last so many, everything, or from one time to another. */
export type TimeRange = { kind: "last"; text: string } | { kind: "all" } | { kind: "between"; from: string; to: string };

export const RANGES = ["15m", "1h", "4h", "24h", "7d", "30d", "90d"] as const;

/** Reads `24h`, `all` or `<time>..<time>` as the address has it; nonsense is the default. */
export function parseRange(text: string | undefined, otherwise = "24h"): TimeRange {
  const wanted = text ?? otherwise;
  if (wanted === "all") return { kind: "all" };
  const between = /^(.+?)\.\.(.+)$/.exec(wanted);
  if (between) {
    const [from, to] = [between[1] ?? "", between[2] ?? ""];
    if (!Number.isNaN(Date.parse(from)) && !Number.isNaN(Date.parse(to))) return { kind: "between", from, to };
  }
  if (spanSeconds(wanted) !== undefined) return { kind: "last", text: wanted };
  return parseRange(otherwise, "24h");
}

export function rangeText(range: TimeRange): string {
  if (range.kind === "all") return "all";
  return range.kind === "last" ? range.text : `${range.from}..${range.to}`;
}

/** The times of a range, counted from `now`; absent ends are open. */
export function rangeBounds(range: TimeRange, now = Date.now()): { from?: string; to?: string } {
  if (range.kind === "all") return {};
  if (range.kind === "between") return { from: range.from, to: range.to };
  return { from: new Date(now - (spanSeconds(range.text) ?? 0) * 1000).toISOString() };
}

export function rangeLabel(range: TimeRange, zone: Zone): string {
  if (range.kind === "all") return "All time";
  if (range.kind === "last") return `Last ${spelled(range.text)}`;
  return `${showTime(isoOf(range.from), zone)} – ${showTime(isoOf(range.to), zone)}`;
}

const isoOf = (text: string) => new Date(text).toISOString();

const UNITS: Record<string, [number, string]> = {
  s: [1, "second"],
  m: [60, "minute"],
  h: [3600, "hour"],
  d: [86_400, "day"],
};

/** Seconds of `15m` and the like; `undefined` of anything else. */
export function spanSeconds(text: string): number | undefined {
  const match = /^(\d{1,5})([smhd])$/.exec(text);
  const unit = UNITS[match?.[2] ?? ""];
  return match && unit ? Number(match[1]) * unit[0] : undefined;
}

function spelled(text: string): string {
  const number = Number(text.slice(0, -1));
  const name = UNITS[text.slice(-1)]?.[1] ?? "";
  return `${number} ${name}${number === 1 ? "" : "s"}`;
}

/** A width of bins that gives 40 to 120 of them over so many seconds, as a KQL literal. */
export function binFor(seconds: number): string {
  const widths = ["1s", "5s", "15s", "30s", "1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "7d", "30d"];
  return widths.find((width) => seconds / (spanSeconds(width) ?? 1) <= 120) ?? "365d";
}
