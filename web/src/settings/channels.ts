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
  last_success: string | null;
  last_failure: string | null;
  last_given_up: string | null;
  /** Since when every attempt has failed; `null` when the last one succeeded. */
  failing_since: string | null;
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

/** How long what was lost is told of: later it is known or nobody's trouble any more. */
const LOST_HOURS = 24;

/** Whether something was lost so lately that it is still told. */
export function isRecentLoss(last: string | null, now: number): boolean {
  return last !== null && now - Date.parse(last) < LOST_HOURS * 3_600_000;
}

/**
 * `failing`: the last attempt failed. `lost`: alerts arrive, and some were given up in the last day. `shaky`: alerts arrive,
 * some only after further attempts. `delivers`: all arrived at once. `idle`: nothing was sent yet.
 */
export type ChannelState = "failing" | "lost" | "shaky" | "delivers" | "idle";

export function channelState({ delivered, retried, last_given_up, failing_since }: ChannelStatus, now = Date.now()): ChannelState {
  if (failing_since) return "failing";
  if (isRecentLoss(last_given_up, now)) return "lost";
  if (retried > 0) return "shaky";
  return delivered > 0 ? "delivers" : "idle";
}

const KINDS: Record<string, string> = { webhook: "webhook, signed", slack: "Slack", teams: "Teams", pagerduty: "PagerDuty", alertmanager: "Alertmanager", email: "mail", syslog: "syslog" };

export function kindText(kind: string): string {
  return KINDS[kind] ?? kind;
}
