// What is wrong, since when, who has it, and what to do next: worst first. Facts in, sentences out; nothing is fetched here.
import type { CollectorStatus, PartState, SourceStatus, Status, WitnessStatus } from "../api/types";
import { aboutText, type Incident } from "../incidents/incidents";
import { channelState, isRecentLoss, type ChannelStatus } from "../settings/channels";
import { isAlarming } from "../store/witness";
import { plural, showBytes, showCount } from "../parts/numbers";

export type Weight = "critical" | "serious" | "notice";

export interface Problem {
  weight: Weight;
  what: string;
  why: string;
  /** When it began, where that is known. */
  since: string | undefined;
  /** Who works on it; absent where nobody does. */
  who?: string;
  /** `view` is the part of the page at `to` that is meant. */
  next: { label: string; to: string; view?: string };
  /** Whether it is about what rules found, not about Moneta itself. */
  isIncident: boolean;
}

/** A problem before it is known where it belongs. */
type Found = Omit<Problem, "isIncident">;

/** Below these shares of the disk there is a problem. */
const DISK_SHARE_SERIOUS = 0.1;
const DISK_SHARE_CRITICAL = 0.03;
/** A disk that lasts for no more days than these. */
const DISK_DAYS_SERIOUS = 14;
const DISK_DAYS_CRITICAL = 2;
/** Entities of an incident that are named. */
const ENTITIES_NAMED = 2;
/** A checkpoint follows a change within a second; one that stays away this long shows that signing stands still. */
const CHECKPOINT_SECONDS_MAX = 60;
/** A journal that is not sealed for so long. The default age at which it is sealed is five minutes. */
const JOURNAL_SECONDS_MAX = 3600;

const ORDER: Weight[] = ["critical", "serious", "notice"];

export interface Facts {
  status: Status | undefined;
  parts: PartState[];
  sources: SourceStatus[];
  incidents: Incident[];
  channels: ChannelStatus[];
  /** When they were so, in milliseconds since 1970. */
  now: number;
}

export function problems({ status, parts, sources, incidents, channels, now }: Facts): Problem[] {
  const own = [
    ...parts.filter((part) => !part.ready).map(ofPart),
    ...(status ? ofStatus(status, now) : []),
    ...ofLosses(sources, now),
    ...channels.flatMap((channel) => ofChannel(channel, now)),
  ];
  const found: Problem[] = [...own.map((problem) => ({ ...problem, isIncident: false })), ...incidents.flatMap(ofIncident).map((problem) => ({ ...problem, isIncident: true }))];
  // Of equal weight, what is wrong with Moneta itself comes first: it may be why there are no more alerts. Then what nobody
  // works on yet.
  const isTaken = (problem: Problem) => Number(problem.who !== undefined);
  return found.sort((a, b) => ORDER.indexOf(a.weight) - ORDER.indexOf(b.weight) || Number(a.isIncident) - Number(b.isIncident) || isTaken(a) - isTaken(b));
}

/** The first so many, of which no trouble of Moneta itself is left out: incidents have a page of their own. */
export function shortList(found: Problem[], most: number): Problem[] {
  const own = found.filter((problem) => !problem.isIncident).length;
  let room = Math.max(0, most - own);
  return found.filter((problem) => !problem.isIncident || room-- > 0);
}

function ofPart(part: PartState): Found {
  return {
    weight: "critical",
    what: `${part.part} cannot do its work`,
    why: part.reason,
    since: part.since,
    next: { label: "See the store", to: "/store" },
  };
}

function ofStatus(status: Status, now: number): Found[] {
  const before = (seconds: number) => new Date(now - seconds * 1000).toISOString();
  const found = [...status.collectors.flatMap(ofCollector), ...status.checkpoint.witnesses.flatMap(ofWitness)];
  const share = status.disk.total_bytes > 0 ? status.disk.available_bytes / status.disk.total_bytes : 1;
  const store = { label: "See the store", to: "/store" };
  const days = status.disk.days_until_full ?? Infinity;
  if (share < DISK_SHARE_SERIOUS || days <= DISK_DAYS_SERIOUS) {
    const lasts = days === Infinity ? "" : `, which last ${plural(days, "day")} as it goes`;
    found.push({
      weight: share < DISK_SHARE_CRITICAL || days <= DISK_DAYS_CRITICAL ? "critical" : "serious",
      what: "The disk is nearly full",
      why: `${showBytes(status.disk.available_bytes)} of ${showBytes(status.disk.total_bytes)} are left${lasts}. When it is full, nothing more is taken in.`,
      since: undefined,
      next: { label: "See which tables are large", to: "/store" },
    });
  }
  if (status.checkpoint.age_seconds > CHECKPOINT_SECONDS_MAX && status.events_per_second > 0) {
    found.push({
      weight: "serious",
      what: "No new checkpoint is signed",
      why: `The newest is ${showCount(Math.round(status.checkpoint.age_seconds))} seconds old, and events come in.`,
      since: before(status.checkpoint.age_seconds),
      next: store,
    });
  }
  if (status.journal.oldest_age_seconds > JOURNAL_SECONDS_MAX) {
    found.push({
      weight: "serious",
      what: "The journal is not sealed",
      why: `Its oldest block waits for ${showCount(Math.round(status.journal.oldest_age_seconds / 60))} minutes.`,
      since: before(status.journal.oldest_age_seconds),
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

const SOURCES = { label: "See the sources", to: "/sources" };

function ofCollector(collector: CollectorStatus): Found[] {
  if (collector.state !== "failed" && collector.state !== "stopped") return [];
  return [
    {
      weight: collector.state === "failed" ? "critical" : "serious",
      what: `The source “${collector.name}” ${collector.state === "failed" ? "failed" : "stopped"}`,
      why: collector.reason || "It gives no reason.",
      since: collector.since,
      next: SOURCES,
    },
  ];
}

/** Sources of which records were lost in the last day. Each stands there once a table and machine, with the same losses. */
function ofLosses(sources: SourceStatus[], now: number): Found[] {
  const bySource = new Map(sources.filter((source) => isRecentLoss(source.last_dropped, now)).map((source) => [source.source, source]));
  return [...bySource.values()].map(({ source, num_dropped, last_dropped }) => ({
    weight: "serious",
    what: `Records of the source “${source}” were lost`,
    why: `${plural(num_dropped, "record")} in all, the last at the time beside this.`,
    since: last_dropped ?? undefined,
    next: SOURCES,
  }));
}

function ofChannel(channel: ChannelStatus, now: number): Found[] {
  const state = channelState(channel, now);
  if (state !== "lost" && state !== "failing") return [];
  const lost = channel.given_up > 0 ? `${plural(channel.given_up, "alert")} given up since the start: ` : "";
  return [
    {
      weight: "serious",
      what: state === "lost" ? `“${channel.name}” did not get every alert` : `No alert arrives at “${channel.name}”`,
      why: lost + (channel.last_error || "It gives no reason."),
      since: (state === "lost" ? channel.last_given_up : channel.failing_since) ?? undefined,
      next: { label: "See where alerts go", to: "/settings", view: "channels" },
    },
  ];
}

function ofWitness(witness: WitnessStatus): Found[] {
  if (witness.state !== "away" && !isAlarming(witness.state)) return [];
  return [
    {
      weight: isAlarming(witness.state) ? "critical" : "serious",
      what: isAlarming(witness.state) ? `The witness “${witness.name}” contradicts this log` : `The witness “${witness.name}” does not answer`,
      why: witness.reason,
      since: witness.since,
      next: { label: "See the checkpoint", to: "/store" },
    },
  ];
}

function ofIncident(incident: Incident): Found[] {
  const weight = incident.severity === "High" ? "critical" : incident.severity === "Medium" ? "serious" : undefined;
  if (!weight || incident.status === "Closed") return [];
  return [
    {
      weight,
      what: incident.title,
      why: [`incident ${incident.number}`, `severity ${incident.severity}`, plural(incident.alert_ids.length, "alert"), aboutText(incident, ENTITIES_NAMED)].filter(Boolean).join(" · "),
      since: incident.created,
      ...(incident.owner === "" ? {} : { who: incident.owner }),
      next: { label: incident.owner === "" ? "Look and take it" : "See how it goes", to: `/incidents/${incident.number}` },
    },
  ];
}

/** One sentence for somebody who was just woken; `me` is who reads it. */
export function verdict(found: Problem[], me: string): string {
  const isTheirs = (problem: Problem) => problem.who !== undefined && problem.who !== me;
  const count = (weight: Weight) => found.filter((problem) => problem.weight === weight && !isTheirs(problem)).length;
  const [critical, serious] = [count("critical"), count("serious")];
  const taken = found.filter(isTheirs).length;
  const others = taken > 0 ? `; ${plural(taken, "thing is", "things are")} with others` : "";
  if (critical > 0) return `${plural(critical, "thing needs", "things need")} you now${others}`;
  if (serious > 0) return `Nothing urgent; ${plural(serious, "thing")} to look at today${others}`;
  if (taken > 0) return `Nothing waits for you${others}`;
  // Where there is something to know, all may not be well.
  return found.length > 0 ? "Nothing needs you now" : "All is well";
}
