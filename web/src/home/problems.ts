// What is wrong, since when, and what to do next: worst first. Facts in, sentences out; nothing is fetched here.
import type { CollectorStatus, PartState, Status } from "../api/types";
import { plural, showBytes, showCount } from "../parts/numbers";

export type Weight = "critical" | "serious" | "notice";

export interface Problem {
  weight: Weight;
  what: string;
  why: string;
  /** When it began, where that is known. */
  since: string | undefined;
  next: { label: string; to: string; search?: Record<string, string> };
  /** Whether it is about what rules found, not about Moneta itself. */
  isAlert: boolean;
}

/** A problem before it is known where it belongs. */
type Found = Omit<Problem, "isAlert">;

/** Alerts of one rule and severity within the time looked at. */
export interface AlertGroup {
  name: string;
  severity: string;
  count: number;
  first: string;
  last: string;
}

/** Below these shares of the disk there is a problem. */
const DISK_SHARE_SERIOUS = 0.1;
const DISK_SHARE_CRITICAL = 0.03;
/** A checkpoint follows a change within a second; one that stays away this long shows that signing stands still. */
const CHECKPOINT_SECONDS_MAX = 60;
/** A journal that is not sealed for so long. The default age at which it is sealed is five minutes. */
const JOURNAL_SECONDS_MAX = 3600;

const ORDER: Weight[] = ["critical", "serious", "notice"];

export interface Facts {
  status: Status | undefined;
  parts: PartState[];
  alerts: AlertGroup[];
}

export function problems({ status, parts, alerts }: Facts): Problem[] {
  const own = [...parts.filter((part) => !part.ready).map(ofPart), ...(status ? ofStatus(status) : [])];
  const found: Problem[] = [...own.map((problem) => ({ ...problem, isAlert: false })), ...alerts.flatMap(ofAlerts).map((problem) => ({ ...problem, isAlert: true }))];
  // Of equal weight, what is wrong with Moneta itself comes first: it may be why there are no more alerts.
  return found.sort((a, b) => ORDER.indexOf(a.weight) - ORDER.indexOf(b.weight));
}

/** The first so many, of which no trouble of Moneta itself is left out: alerts have a page of their own. */
export function shortList(found: Problem[], most: number): Problem[] {
  const own = found.filter((problem) => !problem.isAlert).length;
  let room = Math.max(0, most - own);
  return found.filter((problem) => !problem.isAlert || room-- > 0);
}

function ofPart(part: PartState): Found {
  return {
    weight: "critical",
    what: `${part.part} cannot do its work`,
    why: part.reason,
    since: undefined,
    next: { label: "See the store", to: "/store" },
  };
}

function ofStatus(status: Status): Found[] {
  const found = status.collectors.flatMap(ofCollector);
  const share = status.disk.total_bytes > 0 ? status.disk.available_bytes / status.disk.total_bytes : 1;
  const store = { label: "See the store", to: "/store" };
  if (share < DISK_SHARE_SERIOUS) {
    found.push({
      weight: share < DISK_SHARE_CRITICAL ? "critical" : "serious",
      what: "The disk is nearly full",
      why: `${showBytes(status.disk.available_bytes)} of ${showBytes(status.disk.total_bytes)} are left. When it is full, nothing more is taken in.`,
      since: undefined,
      next: { label: "See which tables are large", to: "/store" },
    });
  }
  if (status.checkpoint.age_seconds > CHECKPOINT_SECONDS_MAX && status.events_per_second > 0) {
    found.push({
      weight: "serious",
      what: "No new checkpoint is signed",
      why: `The newest is ${showCount(Math.round(status.checkpoint.age_seconds))} seconds old, and events come in.`,
      since: undefined,
      next: store,
    });
  }
  if (status.journal.oldest_age_seconds > JOURNAL_SECONDS_MAX) {
    found.push({
      weight: "serious",
      what: "The journal is not sealed",
      why: `Its oldest block waits for ${showCount(Math.round(status.journal.oldest_age_seconds / 60))} minutes.`,
      since: undefined,
      next: store,
    });
  }
  if (status.rules_loaded === 0) {
    found.push({
      weight: "notice",
      what: "No rule is loaded",
      why: "Nothing can raise an alert.",
      since: undefined,
      next: { label: "Add rules", to: "/rules" },
    });
  }
  return found;
}

function ofCollector(collector: CollectorStatus): Found[] {
  const next = { label: "See the sources", to: "/sources" };
  const found: Found[] = [];
  if (collector.state === "failed" || collector.state === "stopped") {
    found.push({
      weight: collector.state === "failed" ? "critical" : "serious",
      what: `The source “${collector.name}” ${collector.state === "failed" ? "failed" : "stopped"}`,
      why: collector.reason || "It gives no reason.",
      since: undefined,
      next,
    });
  }
  if (collector.num_dropped > 0) {
    found.push({
      weight: "serious",
      what: `The source “${collector.name}” lost ${plural(collector.num_dropped, "record")}`,
      why: "They were dropped since the start of the server.",
      since: undefined,
      next,
    });
  }
  return found;
}

function ofAlerts(group: AlertGroup): Found[] {
  const weight = group.severity === "High" ? "critical" : group.severity === "Medium" ? "serious" : undefined;
  if (!weight) return [];
  return [
    {
      weight,
      what: group.name,
      why: `${plural(group.count, "alert")} of severity ${group.severity}`,
      since: group.first,
      next: { label: "Look at them", to: "/alerts", search: { rule: group.name } },
    },
  ];
}

/** One sentence for somebody who was just woken. */
export function verdict(found: Problem[]): string {
  const count = (weight: Weight) => found.filter((problem) => problem.weight === weight).length;
  const [critical, serious] = [count("critical"), count("serious")];
  if (critical > 0) return `${plural(critical, "thing needs", "things need")} you now`;
  if (serious > 0) return `Nothing urgent; ${plural(serious, "thing")} to look at today`;
  return "All is well";
}
