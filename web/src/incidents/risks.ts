// How much speaks against hosts, accounts and addresses, as the server reckons it from alerts.
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";

export interface EntityRisk {
  /** Its kind and name: `host:web01`. */
  entity: string;
  score: number;
  alerts: number;
  rule_ids: string[];
  incidents: number[];
  last: string;
}

/** Entities that are read; the server answers no more at once. */
export const RISKS_MAX = 500;
export const DAYS = ["3", "7", "14", "30", "90"] as const;
const DAYS_UNLESS_CHOSEN = "14";
const REFRESH_MS = 60_000;

/** Days as the address has them; nonsense is the default. */
export function parseDays(text: string | undefined): string {
  return DAYS.find((days) => days === text) ?? DAYS_UNLESS_CHOSEN;
}

export function useRisks(days: string) {
  return useQuery({
    queryKey: ["risks", days],
    refetchInterval: REFRESH_MS,
    queryFn: async () => (await send<{ risks: EntityRisk[] }>("GET", `/v1/risks?days=${days}&limit=${RISKS_MAX}`)).risks,
  });
}

const KINDS: Record<string, string> = { ip: "address", filehash: "file", dns: "domain", azureresource: "Azure resource", url: "URL" };

/** The kind as people say it, and the name; names may hold colons themselves. */
export function splitEntity(entity: string): { kind: string; name: string } {
  const at = entity.indexOf(":");
  const kind = at < 0 ? "entity" : entity.slice(0, at);
  return { kind: KINDS[kind] ?? kind, name: entity.slice(at + 1) };
}

/** How many there are of each kind, the most first; the chosen kind is there even when none is of it. */
export function kindsOf(risks: EntityRisk[], chosen?: string): [kind: string, count: number][] {
  const counts = new Map<string, number>(chosen ? [[chosen, 0]] : []);
  for (const { entity } of risks) {
    const { kind } = splitEntity(entity);
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1] || a[0].localeCompare(b[0]));
}

/** A score in a word: one alert of severity High, once, is 60 points; of Medium 20. */
export function weightOf(score: number): "High" | "Medium" | "Low" | "Informational" {
  return score >= 60 ? "High" : score >= 20 ? "Medium" : score >= 5 ? "Low" : "Informational";
}
