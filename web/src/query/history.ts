// The queries this browser ran last: texts and figures only, never results.
import { readPreference, writePreference } from "../app/preferences";

/** Entries kept. */
const ENTRIES_MAX = 50;
/** Characters of one text that are kept. */
const TEXT_CHARACTERS_MAX = 20_000;

export interface HistoryEntry {
  text: string;
  at: string;
  rows: number | undefined;
  ms: number | undefined;
  problem: string | undefined;
}

export function readHistory(): HistoryEntry[] {
  const kept = readPreference<unknown>("history", []);
  return Array.isArray(kept) ? (kept as HistoryEntry[]).filter((entry) => typeof entry?.text === "string") : [];
}

/** Adds an entry; the same text again moves to the top. */
export function remember(entry: HistoryEntry): HistoryEntry[] {
  if (entry.text.length > TEXT_CHARACTERS_MAX) return readHistory();
  const next = [entry, ...readHistory().filter((other) => other.text !== entry.text)].slice(0, ENTRIES_MAX);
  writePreference("history", next);
  return next;
}

export function forgetHistory(): void {
  writePreference("history", []);
}
