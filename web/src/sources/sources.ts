// Sources as pages ask for them, what their states mean, and which come first.
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";
import type { SourceStatus } from "../api/types";

export function useSources(refetchInterval: number) {
  return useQuery({ queryKey: ["sources"], queryFn: () => send<SourceStatus[]>("GET", "/v1/sources"), refetchInterval });
}

const MEANINGS: Record<string, string> = {
  learning: "learning what is usual",
  ok: "well",
  silent: "silent",
  thinned: "sends much less than usual",
  late: "late",
  clock: "its clock is fast",
  gapped: "records are missing",
  lost: "nothing of it was stored",
};

/** The parts of a state in words; one that this page does not know stays as it is. */
export function stateText(state: string): string {
  return state.split("+").map((part) => MEANINGS[part] ?? part).join(", ");
}

export function isTroubled(source: SourceStatus): boolean {
  return source.state !== "ok" && source.state !== "learning";
}

/** What is wrong first, the longest of it on top; then by name. */
export function troublesFirst(sources: SourceStatus[]): SourceStatus[] {
  const since = (source: SourceStatus) => (isTroubled(source) ? (source.trouble_since ?? "") : "~");
  const name = (source: SourceStatus) => `${source.source} ${source.computer} ${source.table}`;
  return [...sources].sort((a, b) => Number(isTroubled(b)) - Number(isTroubled(a)) || compare(since(a), since(b)) || compare(name(a), name(b)));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
