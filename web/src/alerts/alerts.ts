// Alerts as the table holds them, and the questions asked of it.
import { asObjects, quote, runQuery, type Cell } from "../api/kusto";
import { tableOnly } from "../query/filters";

export interface AlertEvent {
  table: string;
  seq: string;
  time: string;
  computer: string;
  fields: [string, string][];
}

export interface Alert {
  id: string;
  at: string;
  name: string;
  severity: string;
  status: string;
  description: string;
  ruleId: string;
  ruleLevel: string;
  ruleAuthor: string;
  entity: string;
  tactics: string;
  techniques: string[];
  first: string;
  last: string;
  eventTable: string;
  eventCount: number;
  seqs: string[];
  events: AlertEvent[];
  matched: [string, string][];
}

/** Alerts shown at most; the page says when there are more. */
export const ALERTS_MAX = 1_000;

export interface AlertFilter {
  severity?: string | undefined;
  rule?: string | undefined;
  text?: string | undefined;
}

const ORDER = "| extend Rank = case(AlertSeverity == 'High', 0, AlertSeverity == 'Medium', 1, AlertSeverity == 'Low', 2, 3)";

/** The conditions of a filter as KQL. */
function conditions({ severity, rule, text }: AlertFilter): string {
  return [
    "SecurityAlert",
    ...(severity ? [`| where AlertSeverity == ${quote(severity)}`] : []),
    ...(rule ? [`| where AlertName == ${quote(rule)}`] : []),
    ...(text ? [`| where AlertName contains ${quote(text)} or CompromisedEntity contains ${quote(text)} or tostring(Events) contains ${quote(text)}`] : []),
  ].join("\n");
}

/** The query behind the list: worst first, then newest. */
export function alertsQuery(filter: AlertFilter): string {
  return `${conditions(filter)}\n${ORDER}\n| order by Rank asc, TimeGenerated desc\n| take ${ALERTS_MAX}`;
}

export async function fetchAlerts(filter: AlertFilter, times: { from?: string; to?: string }): Promise<Alert[]> {
  return asObjects(await runQuery(alertsQuery(filter), times)).map(readAlert);
}

export async function fetchAlert(id: string): Promise<Alert | undefined> {
  const [row] = asObjects(await runQuery(`SecurityAlert | where SystemAlertId == ${quote(id)} | take 1`));
  return row && readAlert(row);
}

/** The incident that an alert belongs to, as the newest row of it says. */
export interface AlertIncident {
  number: number;
  title: string;
  status: string;
  /** Empty where nobody works on it. */
  owner: string;
}

export async function fetchIncidentOf(alertId: string): Promise<AlertIncident | undefined> {
  // What holds the words of the id may be another: the list says it exactly.
  const asked = `SecurityIncident\n| where tostring(AlertIds) contains ${quote(alertId)}\n| summarize arg_max(_Seq, *) by IncidentNumber\n| project IncidentNumber, Title, Status, Owner, AlertIds`;
  const row = asObjects(await runQuery(asked)).find(({ AlertIds }) => listOf(AlertIds).map(text).includes(alertId));
  const owner = row?.Owner && typeof row.Owner === "object" && !Array.isArray(row.Owner) ? text(row.Owner.assignedTo) : "";
  return row && { number: Number(row.IncidentNumber), title: text(row.Title), status: text(row.Status), owner };
}

/** How many there are by severity, whatever severity is chosen. */
export async function fetchCounts(filter: AlertFilter, times: { from?: string; to?: string }): Promise<Record<string, number>> {
  const text = `${conditions({ ...filter, severity: undefined })}\n| summarize Count = count() by AlertSeverity`;
  return Object.fromEntries(asObjects(await runQuery(text, times)).map((row) => [String(row.AlertSeverity), Number(row.Count)]));
}

const text = (value: Cell | undefined): string => (value === null || value === undefined ? "" : typeof value === "object" ? JSON.stringify(value) : String(value));

/** A list that the table holds as text in JSON. */
function listOf(value: Cell | undefined): Cell[] {
  if (Array.isArray(value)) return value;
  try {
    const parsed = JSON.parse(text(value)) as unknown;
    return Array.isArray(parsed) ? (parsed as Cell[]) : [];
  } catch {
    return [];
  }
}

/** A technique is left out where one below it says more. */
function techniques(whole: string[], below: string[]): string[] {
  return [...whole.filter((one) => !below.some((sub) => sub.startsWith(`${one}.`))), ...below];
}

export function readAlert(row: Record<string, Cell>): Alert {
  const matched = row.MatchedFields && typeof row.MatchedFields === "object" && !Array.isArray(row.MatchedFields) ? row.MatchedFields : {};
  return {
    id: text(row.SystemAlertId),
    at: text(row.TimeGenerated),
    name: text(row.AlertName),
    severity: text(row.AlertSeverity),
    status: text(row.Status),
    description: text(row.Description),
    ruleId: text(row.RuleId),
    ruleLevel: text(row.RuleLevel),
    ruleAuthor: text(row.RuleAuthor),
    entity: text(row.CompromisedEntity),
    tactics: text(row.Tactics),
    techniques: techniques(listOf(row.Techniques).map(text), listOf(row.SubTechniques).map(text)),
    first: text(row.StartTime),
    last: text(row.EndTime),
    eventTable: text(row.EventTable),
    eventCount: Number(row.EventCount ?? 0),
    seqs: listOf(row.EventSeqs).map(text),
    events: listOf(row.Events).map(readEvent),
    matched: Object.entries(matched).map(([name, value]) => [name, text(value)]),
  };
}

function readEvent(value: Cell): AlertEvent {
  const event = value && typeof value === "object" && !Array.isArray(value) ? value : {};
  return {
    table: text(event.table),
    seq: text(event.seq),
    time: text(event.time),
    computer: text(event.computer),
    fields: listOf(event.fields).map((field) => (Array.isArray(field) ? [text(field[0]), text(field[1])] : ["", text(field)])),
  };
}

/** The query that finds the events of an alert. */
export function eventsQuery(alert: Alert): string {
  return `${tableOnly(alert.eventTable)}\n| where _Seq in (${alert.seqs.join(", ")})\n| order by TimeGenerated asc`;
}
