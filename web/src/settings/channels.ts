// Channels: where alerts go, and whether they arrive.
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";

/** Counts are of alerts since the start of the server; `retried` of attempts. */
export interface ChannelStatus {
  name: string;
  kind: string;
  level_min: string;
  delivered: number;
  retried: number;
  given_up: number;
  /** Why the last attempt that failed did; empty before one did. */
  last_error: string;
}

export interface ChannelTest {
  name: string;
  delivered: boolean;
  reason: string;
  elapsed_ms: number;
}

const REFRESH_MS = 15_000;

export function useChannels(refreshMs = REFRESH_MS) {
  return useQuery({ queryKey: ["channels"], refetchInterval: refreshMs, queryFn: async () => (await send<{ channels: ChannelStatus[] }>("GET", "/v1/channels")).channels });
}

/**
 * `lost`: alerts were given up. `failing`: nothing arrived yet, and attempts failed. `shaky`: alerts arrive, some only after
 * further attempts. `delivers`: all arrived at once. `idle`: nothing was sent yet.
 */
export type ChannelState = "lost" | "failing" | "shaky" | "delivers" | "idle";

export function channelState({ delivered, retried, given_up }: ChannelStatus): ChannelState {
  if (given_up > 0) return "lost";
  if (retried > 0) return delivered > 0 ? "shaky" : "failing";
  return delivered > 0 ? "delivers" : "idle";
}

const KINDS: Record<string, string> = { webhook: "webhook, signed", slack: "Slack", teams: "Teams", pagerduty: "PagerDuty", alertmanager: "Alertmanager", email: "mail", syslog: "syslog" };

export function kindText(kind: string): string {
  return KINDS[kind] ?? kind;
}
