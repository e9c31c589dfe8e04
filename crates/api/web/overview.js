// What the installation holds and does: status line, counts per table over time, latest alerts.

import { query, send } from "./client.js";
import { COLOURS, drawBars } from "./chart.js";
import { appendText, element, formatBytes, formatCount, formatSeconds, formatTime, showProblem, showText } from "./text.js";

const STATUS_EVERY_MS = 5_000;
// Each of these is a query, and each query is a row of the audit table: not more often than a person looks.
const QUERIES_EVERY_MS = 30_000;
const ALERTS_MAX = 50;
const LEVELS = ["informational", "low", "medium", "high", "critical"];
const SAFE_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

const at = (id) => document.getElementById(id);
let tables = [];
let timers = [];
let chosen = () => {};

/// Begins to refresh; `choose` takes a query that a click proposes, `lost` is called when the session has ended.
export function begin(choose, lost) {
  chosen = choose;
  end();
  const guarded = (work) => async () => {
    if (document.visibilityState === "hidden") return;
    try {
      await work();
    } catch (problem) {
      if (problem.status === 401) lost();
    }
  };
  const queries = guarded(() => Promise.all([refreshCounts(), refreshAlerts()]));
  guarded(refreshStatus)().then(queries);
  timers = [setInterval(guarded(refreshStatus), STATUS_EVERY_MS), setInterval(queries, QUERIES_EVERY_MS)];
  at("range").onchange = queries;
}

/// Stops refreshing.
export function end() {
  timers.forEach(clearInterval);
  timers = [];
}

async function refreshStatus() {
  const status = await send("GET", "/v1/status");
  tables = status.tables.filter((table) => SAFE_NAME.test(table.name) && table.num_rows > 0);
  const rows = status.tables.reduce((sum, table) => sum + table.num_rows, 0);
  showText(at("status-rate"), status.events_per_second < 10 ? status.events_per_second.toFixed(1) : formatCount(Math.round(status.events_per_second)));
  showText(at("status-rows"), formatCount(rows));
  showText(at("status-rules"), formatCount(status.rules_loaded));
  mark("status-checkpoint", formatSeconds(status.checkpoint.age_seconds) + " old", status.checkpoint.age_seconds > 60 && status.events_per_second > 0);
  mark("status-fsync", `${status.journal.last_fsync_ms.toFixed(1)} ms`, status.journal.last_fsync_ms > 500);
  const free = status.disk.available_bytes;
  mark("status-disk", formatBytes(free), status.disk.total_bytes > 0 && free < status.disk.total_bytes / 20);
  at("status").hidden = false;
}

function mark(id, text, isBad) {
  showText(at(id), text);
  at(id).classList.toggle("warn", isBad);
}

async function refreshCounts() {
  const hours = Number(at("range").value);
  const bucketMinutes = { 1: 2, 6: 10, 24: 30, 168: 240 }[hours];
  const bucketMs = bucketMinutes * 60_000;
  const last = Math.floor(Date.now() / bucketMs) * bucketMs;
  const starts = Array.from({ length: (hours * 60) / bucketMinutes }, (_, index) => last - ((hours * 60) / bucketMinutes - 1 - index) * bucketMs);
  let rows = [];
  if (tables.length > 0) {
    const names = tables.map((table) => table.name);
    const source = names.length === 1 ? names[0] : `union ${names.join(", ")}`;
    const text = `${source} | where TimeGenerated >= datetime(${new Date(starts[0]).toISOString()}) | summarize Events = count() by Type, Start = bin(TimeGenerated, ${bucketMinutes}m)`;
    try {
      const answer = await query(text, 100_000);
      rows = answer.rows;
      showProblem(at("events-problem"), answer.problem);
    } catch (problem) {
      showProblem(at("events-problem"), problem.message);
      throw problem;
    }
  }
  showCounts(rows, starts, bucketMs);
}

function showCounts(rows, starts, bucketMs) {
  const byName = new Map();
  for (const [name, start, count] of rows) {
    const index = Math.round((Date.parse(start) - starts[0]) / bucketMs);
    if (index < 0 || index >= starts.length) continue;
    if (!byName.has(name)) byName.set(name, { name, total: 0, counts: starts.map(() => 0) });
    const series = byName.get(name);
    series.counts[index] += Number(count);
    series.total += Number(count);
  }
  const series = [...byName.values()].sort((a, b) => b.total - a.total);
  drawBars(at("chart"), starts, series, bucketMs);
  const total = series.reduce((sum, one) => sum + one.total, 0);
  showText(at("events-total"), `${formatCount(total)} in ${series.length} ${series.length === 1 ? "table" : "tables"}`);
  at("counts").tBodies[0].replaceChildren(...series.map((one, order) => {
    const head = element("th", "", element("span", `swatch f${Math.min(order, COLOURS - 1)}`));
    head.scope = "row";
    appendText(head, one.name);
    return element("tr", "", head, element("td", "", formatCount(one.total)));
  }));
}

async function refreshAlerts() {
  const text = `SecurityAlert | top ${ALERTS_MAX} by TimeGenerated desc | project TimeGenerated, AlertName, RuleAuthor, RuleLevel, RuleId, CompromisedEntity, EventTable, EventCount, RuleTags`;
  try {
    const answer = await query(text, ALERTS_MAX);
    showProblem(at("alerts-problem"), answer.problem);
    showText(at("alerts-total"), answer.rows.length === ALERTS_MAX ? `newest ${ALERTS_MAX}` : "");
    const none = element("li", "none", "No alerts yet. Rules are added with “moneta rules add DIR”.");
    at("alerts").replaceChildren(...(answer.rows.length ? answer.rows.map(alertItem) : [none]));
  } catch (problem) {
    showProblem(at("alerts-problem"), problem.message);
    throw problem;
  }
}

function alertItem([time, name, author, level, ruleId, entity, table, count, tags]) {
  const known = LEVELS.includes(level) ? level : "informational";
  const badge = appendText(element("span", `level ${known}`), level || "unknown");
  const title = appendText(element("button", "title"), name);
  title.type = "button";
  title.title = "put a query for this rule into the box";
  title.onclick = () => chosen(`SecurityAlert\n| where RuleId == ${quote(ruleId)}\n| sort by TimeGenerated desc\n| take 20`);
  const stamp = appendText(element("time", ""), formatTime(time));
  stamp.dateTime = String(time);
  const techniques = (Array.isArray(tags) ? tags : []).map(String).filter((tag) => /^attack\.t\d/.test(tag));
  const facts = [
    entity,
    table ? `${formatCount(Number(count ?? 1))} × ${table}` : "",
    techniques.map((tag) => tag.slice("attack.".length).toUpperCase()).join(" "),
    author ? `rule by ${author}` : "",
  ];
  const more = appendText(element("span", "more"), facts.filter(Boolean).join(" · "));
  return element("li", "", badge, title, stamp, more);
}

function quote(text) {
  return `"${String(text).replace(/[\\"]/g, (mark) => "\\" + mark).replace(/[\u0000-\u001f]/g, "")}"`;
}
