// Incidents as the server answers them, what can be done with them, and how a queue of them is ordered.
import { send } from "../api/client";
import { asObjects, runQuery } from "../api/kusto";

export const SEVERITIES = ["High", "Medium", "Low", "Informational"] as const;
export const STATUSES = ["New", "Active", "Closed"] as const;
export type Severity = (typeof SEVERITIES)[number];
export type Status = (typeof STATUSES)[number];
export type Classification = "TruePositive" | "BenignPositive" | "FalsePositive" | "Undetermined";
export type Cause = "IncorrectAlertLogic" | "InaccurateData";

export const CLASSIFICATIONS: { value: Classification; label: string; meaning: string }[] = [
  { value: "TruePositive", label: "True positive", meaning: "what the rules look for, and harmful" },
  { value: "BenignPositive", label: "Benign positive", meaning: "what the rules look for, and expected here" },
  { value: "FalsePositive", label: "False positive", meaning: "not what the rules look for" },
  { value: "Undetermined", label: "Undetermined", meaning: "nobody can tell" },
];

export const CAUSES: { value: Cause; label: string }[] = [
  { value: "IncorrectAlertLogic", label: "The rule matches what it should not" },
  { value: "InaccurateData", label: "The events say what is not so" },
];

export interface Verdict {
  classification: Classification;
  reason: string;
  cause?: Cause;
}

export interface Comment {
  at: string;
  author: string;
  text: string;
}

/** An account, a host, an address and the like, with the names of Sentinel. */
export type Entity = { Type?: string } & Record<string, unknown>;

export interface Incident {
  number: number;
  name: string;
  version: number;
  title: string;
  description: string;
  severity: Severity;
  severity_is_set: boolean;
  status: Status;
  owner: string;
  verdict: Verdict | null;
  labels: string[];
  comments: Comment[];
  alert_ids: string[];
  rule_ids: string[];
  products: string[];
  tactics: string[];
  techniques: string[];
  entities: Entity[];
  first_activity: string;
  last_activity: string;
  created: string;
  first_modified: string | null;
  last_modified: string;
  modified_by: string;
  closed: string | null;
}

export interface Evidence {
  table: string;
  seq: number | string;
  time: string;
  computer: string;
  fields: [string, string][];
  /** Absent for rows of a result, which are stored nowhere. */
  proof?: string;
}

export interface IncidentAlert {
  id: string;
  seq: number | string;
  proof: string;
  /** The address of the proofs of its row and its events, in one text. */
  evidence: string;
  title: string;
  description: string;
  severity: Severity;
  rule_id: string;
  rule_author: string;
  product: string;
  raised: string;
  first_event: string;
  last_event: string;
  tactics: string[];
  techniques: string[];
  entities: Entity[];
  event_count: number;
  events: Evidence[];
}

export interface Activity {
  at: string;
  actor: string;
  action: string;
  text: string;
}

export interface IncidentDetails {
  incident: Incident;
  alerts: IncidentAlert[];
  activity: Activity[];
}

/** Incidents of one answer of the server at most. */
const PAGE = 500;
/** Incidents that the queue holds; the page says when there are more. */
export const QUEUE_MAX = 2_000;

export interface QueueFilter {
  state: "open" | "closed" | "all";
  severity?: Severity | undefined;
  status?: Status | undefined;
  /** A name; the empty text is nobody's. */
  owner?: string | undefined;
  rule?: string | undefined;
  text?: string | undefined;
}

export interface Queue {
  incidents: Incident[];
  isCut: boolean;
}

/** All incidents of a filter, worst and oldest of the open first; closed ones the newest first. */
export async function fetchQueue(filter: QueueFilter): Promise<Queue> {
  const incidents: Incident[] = [];
  let before: number | null = null;
  do {
    const parameters = new URLSearchParams({ status: filter.status?.toLowerCase() ?? filter.state, limit: String(PAGE) });
    if (filter.severity) parameters.set("severity", filter.severity);
    if (filter.owner !== undefined) parameters.set("owner", filter.owner);
    if (filter.rule) parameters.set("rule", filter.rule);
    if (filter.text) parameters.set("text", filter.text);
    if (before !== null) parameters.set("before", String(before));
    const page: { incidents: Incident[]; next: number | null } = await send("GET", `/v1/incidents?${parameters.toString()}`);
    // The server takes the least severity; the queue shows the chosen one.
    incidents.push(...page.incidents.filter((incident) => !filter.severity || incident.severity === filter.severity));
    before = page.next;
  } while (before !== null && incidents.length < QUEUE_MAX);
  return { incidents: sorted(incidents), isCut: before !== null };
}

/** Open before closed, worse before better; of the same the one that waits longest, of closed ones the newest. */
export function sorted(incidents: Incident[]): Incident[] {
  const isClosed = (incident: Incident) => incident.status === "Closed";
  return [...incidents].sort((a, b) => {
    if (isClosed(a) !== isClosed(b)) return isClosed(a) ? 1 : -1;
    if (isClosed(a)) return b.number - a.number;
    return SEVERITIES.indexOf(a.severity) - SEVERITIES.indexOf(b.severity) || a.number - b.number;
  });
}

export type Counts = Record<string, number>;

/** How many incidents there are, by `Status/Severity`; the newest row of each counts. */
export async function fetchCounts(): Promise<Counts> {
  const text = "SecurityIncident | summarize arg_max(_Seq, Status, Severity) by IncidentNumber | summarize Count = count() by Status, Severity";
  return Object.fromEntries(asObjects(await runQuery(text)).map((row) => [`${String(row.Status)}/${String(row.Severity)}`, Number(row.Count)]));
}

/** The sum of counts over statuses and severities; all where none are named. */
export function countOf(counts: Counts, statuses: readonly string[] = STATUSES, severities: readonly string[] = SEVERITIES): number {
  return statuses.reduce((sum, status) => sum + severities.reduce((part, severity) => part + (counts[`${status}/${severity}`] ?? 0), 0), 0);
}

export function fetchIncident(number: number): Promise<IncidentDetails> {
  return send("GET", `/v1/incidents/${number}`);
}

/** With a verdict it closes. */
export interface Change extends Partial<Verdict> {
  owner?: string;
  severity?: Severity;
  status?: "New" | "Active";
  labels?: string[];
}

/** Changes an incident as it was read: somebody else's change in between is an error, not lost work. */
export async function changeIncident({ number, version }: Incident, change: Change): Promise<Incident> {
  const answer = await send<{ incident: Incident }>("PATCH", `/v1/incidents/${number}`, { body: change, headers: { "If-Match": `"${version}"` } });
  return answer.incident;
}

export function addComment(number: number, text: string): Promise<unknown> {
  return send("POST", `/v1/incidents/${number}/comments`, { body: { text } });
}

/** What became of incidents that were to be changed together. */
export interface Outcome {
  done: number;
  refused: { number: number; problem: string }[];
}

export async function closeIncidents(incidents: Incident[], verdict: Verdict): Promise<Outcome> {
  interface Answer {
    closed: { number: number }[];
    refused: { number: number; error: { error?: { message?: string }; message?: string } }[];
  }
  const outcome: Outcome = { done: 0, refused: [] };
  for (let from = 0; from < incidents.length; from += PAGE) {
    const part = incidents.slice(from, from + PAGE).map(({ number, version }) => ({ number, version }));
    const { classification, reason, cause } = verdict;
    const answer = await send<Answer>("POST", "/v1/incidents/close", { body: { incidents: part, classification, reason, ...(cause ? { cause } : {}) } });
    outcome.done += answer.closed.length;
    outcome.refused.push(...answer.refused.map(({ number, error }) => ({ number, problem: error.error?.message ?? error.message ?? "it was refused" })));
  }
  return outcome;
}

/** Makes the same change to each, one after another; what is refused is named and the others go on. */
export async function changeAll(incidents: Incident[], change: Change): Promise<Outcome> {
  const outcome: Outcome = { done: 0, refused: [] };
  for (const incident of incidents) {
    try {
      await changeIncident(incident, change);
      outcome.done += 1;
    } catch (error) {
      outcome.refused.push({ number: incident.number, problem: error instanceof Error ? error.message : String(error) });
    }
  }
  return outcome;
}

/** The kind of an entity as people say it, and the value by which it is known. */
export function entityLabel(entity: Entity): { kind: string; value: string } {
  const text = (name: string): string => (typeof entity[name] === "string" ? (entity[name] as string) : "");
  const kind = typeof entity.Type === "string" ? entity.Type : "entity";
  const directory = text("Directory");
  const named =
    text("FullName") || text("HostName") || text("Address") || text("MailboxPrimaryAddress") || text("Url") || text("DomainName") || text("Value") || text("CommandLine") || text("Name");
  if (named !== "") return { kind, value: directory && kind === "file" ? `${directory}\\${named}` : named };
  // A kind that this page does not know: everything it says.
  const { Type: _, ...rest } = entity;
  return { kind, value: JSON.stringify(rest) };
}

/** Characters of a description that stand in a line. */
const DESCRIPTION_MAX = 160;

/** Who and what an incident is about, in a line; one about nobody, as of Moneta itself, describes it. */
export function aboutText({ entities, description }: Incident, named: number): string {
  if (entities.length === 0) return description.length > DESCRIPTION_MAX ? `${description.slice(0, DESCRIPTION_MAX - 1)}…` : description;
  const names = entities.slice(0, named).map((entity) => entityLabel(entity).value).join(", ");
  return entities.length > named ? `${names} and ${entities.length - named} more` : names;
}

/** The times of an incident in order: what happened, what was raised, what was done. */
export interface Moment {
  at: string;
  /** The last of several events. */
  until?: string;
  kind: "event" | "alert" | "action";
  what: string;
  detail: string;
}

export function timeline({ alerts, activity }: IncidentDetails): Moment[] {
  const moments: Moment[] = runsOf(alerts);
  for (const alert of alerts) moments.push({ at: alert.raised, kind: "alert", what: alert.title, detail: `alert of severity ${alert.severity}` });
  for (const entry of activity) {
    // Alerts stand there already.
    if (entry.action !== "alert-added") moments.push({ at: entry.at, kind: "action", what: actionText(entry.action), detail: `${entry.actor}${entry.text && `: ${entry.text}`}` });
  }
  const order = { event: 0, alert: 1, action: 2 };
  return moments.sort((a, b) => Date.parse(a.at) - Date.parse(b.at) || order[a.kind] - order[b.kind]);
}

/** Events in order, each once whatever rests on it; those that follow each other and are of the same become one moment. */
function runsOf(alerts: IncidentAlert[]): Moment[] {
  const events = new Map<string, { at: string; titles: Set<string>; computer: string; table: string }>();
  for (const alert of alerts) {
    for (const { table, seq, time, computer } of alert.events) {
      if (time === "") continue;
      const event = events.get(`${table}/${seq}`) ?? { at: time, titles: new Set<string>(), computer: "", table };
      event.titles.add(alert.title);
      event.computer ||= computer;
      events.set(`${table}/${seq}`, event);
    }
  }
  const runs: (Moment & { count: number; key: string })[] = [];
  for (const { at, titles, computer, table } of [...events.values()].sort((a, b) => Date.parse(a.at) - Date.parse(b.at))) {
    const what = [...titles].join("; ");
    const where = [computer, table].filter(Boolean).join(" · ");
    const last = runs.at(-1);
    if (last?.key === `${what}\n${where}`) {
      last.count += 1;
      last.until = at;
      last.detail = `${last.count} events · ${where}`;
    } else {
      runs.push({ at, kind: "event", what, detail: where, count: 1, key: `${what}\n${where}` });
    }
  }
  return runs.map(({ count: _count, key: _key, ...moment }) => moment);
}

/** What an activity is about, for people: an alert by its title. */
export function actionDetail({ action, text }: Activity, alerts: IncidentAlert[]): string {
  return action === "alert-added" ? (alerts.find((alert) => alert.id === text)?.title ?? text) : text;
}

const ACTIONS: Record<string, string> = {
  created: "Incident made",
  "alert-added": "Alert joined",
  assigned: "Assigned",
  severity: "Severity changed",
  status: "State changed",
  title: "Title changed",
  labels: "Labels changed",
  comment: "Comment",
  closed: "Closed",
  reopened: "Opened again",
};

export function actionText(action: string): string {
  return ACTIONS[action] ?? action;
}
