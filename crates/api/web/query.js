// The query box and its result: run, cancel, sort, and errors with their place in the text.

import { query } from "./client.js";
import { appendText, element, formatCount, formatSeconds, showText } from "./text.js";

const ROWS_MAX = 10_000;
const ROWS_SHOWN_AT_ONCE = 300;
const KEPT_TEXT = "moneta.query";

const EXAMPLES = [
  ["Newest events of this machine", "Syslog\n| sort by TimeGenerated desc\n| project TimeGenerated, Computer, Facility, SeverityLevel, ProcessName, SyslogMessage\n| take 100"],
  ["Busiest processes", "DeviceProcessEvents\n| where TimeGenerated > ago(1h)\n| summarize Starts = count() by FileName\n| top 20 by Starts desc"],
  ["Load of this machine", "Perf\n| where TimeGenerated > ago(1h)\n| summarize Average = avg(CounterValue), Highest = max(CounterValue) by ObjectName, CounterName, InstanceName\n| sort by ObjectName asc, CounterName asc"],
  ["Failed Windows logons", "SecurityEvent\n| where EventID == 4625\n| summarize Failures = count() by TargetUserName, IpAddress, bin(TimeGenerated, 1h)\n| sort by Failures desc"],
  ["Alerts by rule", "SecurityAlert\n| summarize Alerts = count(), Last = max(TimeGenerated) by AlertName, RuleLevel, RuleAuthor\n| sort by Alerts desc"],
  ["Who asked what", "MonetaAudit\n| sort by TimeGenerated desc\n| project TimeGenerated, ActorName, Action, ObjectName, Outcome, QueryText, RowCount\n| take 100"],
  ["What could not be parsed", "Quarantine\n| summarize Records = count() by Reason\n| sort by Records desc"],
];

const at = (id) => document.getElementById(id);
let running = null;
let shown = null;

/// Wires the box up; `lost` is called when the session has ended.
export function begin(lost) {
  const text = at("query-text");
  const examples = at("examples");
  examples.replaceChildren(new Option("Examples…", ""), ...EXAMPLES.map(([name], index) => new Option(name, String(index))));
  examples.onchange = () => {
    if (examples.value !== "") choose(EXAMPLES[Number(examples.value)][1]);
    examples.value = "";
  };
  text.value = sessionStorage.getItem(KEPT_TEXT) ?? EXAMPLES[0][1];
  fit();
  text.oninput = () => {
    sessionStorage.setItem(KEPT_TEXT, text.value);
    fit();
  };
  text.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.shiftKey || event.metaKey)) {
      event.preventDefault();
      run(lost);
    }
    if (event.key === "Escape") running?.abort();
  };
  at("run").onclick = () => run(lost);
  at("cancel").onclick = () => running?.abort();
  at("more").onclick = () => showRows(shown.visible + ROWS_SHOWN_AT_ONCE);
}

/// Puts a text into the box without running it.
export function choose(text) {
  at("query-text").value = text;
  sessionStorage.setItem(KEPT_TEXT, text);
  fit();
  at("query-text").focus();
}

/// Forgets what is shown.
export function clear() {
  shown = null;
  at("result").replaceChildren();
  at("result").hidden = true;
  at("more").hidden = true;
  at("query-problem").hidden = true;
  showText(at("query-state"), "");
}

function fit() {
  const text = at("query-text");
  text.rows = Math.min(Math.max(text.value.split("\n").length, 4), 18);
}

async function run(lost) {
  const text = at("query-text").value;
  if (running || !text.trim()) return;
  running = new AbortController();
  at("run").disabled = true;
  at("cancel").hidden = false;
  at("query-problem").hidden = true;
  showText(at("query-state"), "running…");
  const started = performance.now();
  try {
    const answer = await query(text, ROWS_MAX, running.signal);
    showAnswer(answer, (performance.now() - started) / 1000);
  } catch (problem) {
    if (problem.status === 401) lost();
    showText(at("query-state"), problem.name === "AbortError" ? "cancelled" : "");
    if (problem.name !== "AbortError") {
      at("result").hidden = true;
      at("more").hidden = true;
      showFailure(problem, text);
    }
  } finally {
    running = null;
    at("run").disabled = false;
    at("cancel").hidden = true;
  }
}

function showAnswer(answer, seconds) {
  const parts = [`${formatCount(answer.rows.length)} ${answer.rows.length === 1 ? "row" : "rows"}`, formatSeconds(seconds)];
  if (answer.rowsScanned !== undefined) parts.push(`${formatCount(answer.rowsScanned)} rows read`);
  if (answer.rows.length >= ROWS_MAX) parts.push(`only the first ${formatCount(ROWS_MAX)} are fetched`);
  if (answer.tables > 1) parts.push(`first of ${answer.tables} results`);
  showText(at("query-state"), parts.join(" · "));
  if (answer.problem) showFailure({ message: answer.problem, findings: [] }, "");
  shown = { columns: answer.columns, rows: answer.rows, visible: 0, sorted: -1, descending: false };
  const table = element("table", "", element("thead", "", headRow()), element("tbody", ""));
  at("result").replaceChildren(table);
  at("result").hidden = false;
  showRows(ROWS_SHOWN_AT_ONCE);
}

function headRow() {
  return element("tr", "", ...shown.columns.map((column, index) => {
    const button = appendText(element("button", ""), column.name);
    button.type = "button";
    button.title = "sort";
    button.append(element("small", "", column.type));
    button.onclick = () => sortBy(index, button);
    const head = element("th", "", button);
    head.scope = "col";
    return head;
  }));
}

function sortBy(index, button) {
  shown.descending = shown.sorted === index ? !shown.descending : false;
  shown.sorted = index;
  const direction = shown.descending ? -1 : 1;
  const isNumber = isNumeric(shown.columns[index].type);
  const key = (value) => (isNumber ? Number(value) : typeof value === "object" ? JSON.stringify(value) : String(value));
  shown.rows = [...shown.rows].sort((a, b) => {
    const [left, right] = [a[index], b[index]];
    if (left === null || right === null) return (left === null) - (right === null);
    const [x, y] = [key(left), key(right)];
    return direction * (x < y ? -1 : x > y ? 1 : 0);
  });
  for (const head of at("result").querySelectorAll("th")) head.removeAttribute("aria-sort");
  button.parentElement.setAttribute("aria-sort", shown.descending ? "descending" : "ascending");
  const visible = shown.visible;
  shown.visible = 0;
  at("result").querySelector("tbody").replaceChildren();
  showRows(visible);
}

function showRows(visible) {
  const body = at("result").querySelector("tbody");
  const rows = shown.rows.slice(shown.visible, visible);
  body.append(...rows.map((row) => element("tr", "", ...row.map((value, index) => cell(value, shown.columns[index].type)))));
  shown.visible = Math.min(visible, shown.rows.length);
  const left = shown.rows.length - shown.visible;
  at("more").hidden = left <= 0;
  showText(at("more"), `Show more rows (${formatCount(left)} left)`);
}

function cell(value, type) {
  if (value === null) return element("td", "null", "null");
  const className = { datetime: "time", timespan: "span", guid: "guid", dynamic: "dynamic" }[type] ?? (isNumeric(type) ? "number" : "");
  const text = typeof value === "object" ? JSON.stringify(value) : type === "datetime" ? value.replace("T", " ").replace(/0{1,7}Z$/, "").replace(/\.$/, "").replace("Z", "") : value;
  return appendText(element("td", className), text);
}

function isNumeric(type) {
  return ["int", "long", "real", "decimal"].includes(type);
}

function showFailure(problem, text) {
  const target = at("query-problem");
  showText(target, problem.message);
  const finding = problem.findings[0];
  if (finding && text) {
    const [start, end] = [unitOffset(text, finding.start), unitOffset(text, finding.end)];
    const lineStart = text.lastIndexOf("\n", start - 1) + 1;
    const lineEnd = text.indexOf("\n", start) < 0 ? text.length : text.indexOf("\n", start);
    const marks = " ".repeat(start - lineStart) + "^".repeat(Math.max(Math.min(end, lineEnd) - start, 1));
    const line = text.slice(lineStart, lineEnd).replace(/\t/g, " ");
    target.append(appendText(element("pre", ""), `${line}\n${marks}`));
    const go = element("button", "quiet", `Go to line ${finding.line}, column ${finding.column}`);
    go.type = "button";
    go.onclick = () => {
      at("query-text").focus();
      at("query-text").setSelectionRange(start, Math.max(end, start));
    };
    target.append(go);
  }
  target.hidden = false;
}

// Findings count bytes of UTF-8; the text box counts UTF-16 units.
function unitOffset(text, bytes) {
  const before = new TextEncoder().encode(text).slice(0, bytes);
  return new TextDecoder().decode(before).length;
}
