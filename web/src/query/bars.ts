// The bars of a histogram: those without events, too, so that a gap is as wide as it was long.
import { spanSeconds } from "../parts/time";

export interface Bar {
  /** When it begins. */
  at: string;
  events: number;
}

/** Bars at most; the width of bins is chosen for fewer. */
const BARS_MAX = 500;

/** How long a bar is, in milliseconds; 0 where there is none. */
export function barMs(bin: string): number {
  return (spanSeconds(bin) ?? 0) * 1000;
}

/** Where a bar stands: in the middle of what of it lies within the span. The newest one has only begun. */
export function barMiddle(at: string, bin: string, span: [number, number]): number {
  const from = Date.parse(at);
  return (Math.max(from, span[0]) + Math.min(from + barMs(bin), span[1])) / 2;
}

/** The bars with empty ones before, between and after them, as far as the span goes. */
export function everyBar(bars: Bar[], bin: string, span: [number, number]): Bar[] {
  const width = barMs(bin);
  const first = bars[0];
  if (!first || width === 0 || (span[1] - span[0]) / width > BARS_MAX) return bars;
  const known = new Map(bars.map((bar) => [Date.parse(bar.at), bar.events]));
  const anchor = Date.parse(first.at);
  const start = Math.min(anchor, anchor - Math.floor((anchor - span[0]) / width) * width);
  const all: Bar[] = [];
  for (let at = start; at < span[1] || known.has(at); at += width) all.push({ at: new Date(at).toISOString(), events: known.get(at) ?? 0 });
  // Bars that lie elsewhere than a whole number of widths from the first one would be lost.
  return all.filter((bar) => known.has(Date.parse(bar.at))).length === known.size ? all : bars;
}
