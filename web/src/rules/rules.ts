// Rules as pages ask for them: the list, one with its text, how often each raised alerts.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { send } from "../api/client";
import { asObjects, runQuery } from "../api/kusto";
import type { RuleDetails, RuleSummary } from "../api/types";

export const LEVELS = ["critical", "high", "medium", "low", "informational"];

/** Alerts of each rule in the last 30 days. */
export interface Fired {
  count: number;
  last: string;
}

export function useRules() {
  return useQuery({ queryKey: ["rules"], queryFn: async () => (await send<{ rules: RuleSummary[] }>("GET", "/v1/rules")).rules });
}

export function fetchRule(id: string): Promise<RuleDetails> {
  return send("GET", `/v1/rules/${encodeURIComponent(id)}`);
}

export function useRule(id: string) {
  return useQuery({ queryKey: ["rules", "one", id], queryFn: () => fetchRule(id) });
}

export function useFired() {
  return useQuery({
    queryKey: ["rules-fired"],
    queryFn: async () => {
      const from = new Date(Date.now() - 30 * 86_400_000).toISOString();
      const rows = asObjects(await runQuery("SecurityAlert | summarize Count = count(), Last = max(TimeGenerated) by RuleId", { from }));
      return new Map<string, Fired>(rows.map((row) => [String(row.RuleId), { count: Number(row.Count), last: String(row.Last) }]));
    },
  });
}

/** Lets a rule run or rest, and reads the rules anew. */
export function useSetEnabled(): (id: string, enabled: boolean) => Promise<void> {
  const client = useQueryClient();
  return async (id, enabled) => {
    await send("POST", `/v1/rules/${encodeURIComponent(id)}/${enabled ? "enable" : "disable"}`);
    // No text changes by it, so the facts of all rules are not read again.
    await Promise.all([client.invalidateQueries({ queryKey: ["rules"], exact: true }), client.invalidateQueries({ queryKey: ["rules", "one", id] })]);
  };
}
