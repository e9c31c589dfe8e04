// The queries this browser ran last: texts and figures only, never results.
import { readPreference, writePreference } from "../app/preferences";

/** Entries kept. */
const ENTRIES_MAX = 50;
/** Characters of one text that are kept. */
const TEXT_CHARACTERS_MAX = 20_000;

export interface HistoryEntry {
  text: string;
  language: "kql" | "sql";
  at: string;
  rows: number | undefined;
  ms: number | undefined;
  problem: string | undefined;
}

export function readHistory(): HistoryEntry[] {
  const kept = readPreference<unknown>("history", []);
  const isEntry = (entry: HistoryEntry | null) => typeof entry?.text === "string" && (entry.language === "kql" || entry.language === "sql");
  return Array.isArray(kept) ? (kept as HistoryEntry[]).filter(isEntry) : [];
}

/** Adds an entry; the same text in the same language again moves to the top. */
export function remember(entry: HistoryEntry): HistoryEntry[] {
  if (entry.text.length > TEXT_CHARACTERS_MAX) return readHistory();
  const next = [entry, ...readHistory().filter((other) => other.text !== entry.text || other.language !== entry.language)].slice(0, ENTRIES_MAX);
  writePreference("history", next);
  return next;
}

export function forgetHistory(): void {
  writePreference("history", []);
}
