import { expect, test } from "vitest";
import { parseExact } from "../../src/api/client";
import { readFrames } from "../../src/api/kusto";
import { countOf, entityLabel, sorted, timeline, type Incident } from "../../src/incidents/incidents";
import { kindsOf, parseDays, splitEntity, weightOf } from "../../src/incidents/risks";
import { problems, shortList, verdict } from "../../src/home/problems";
import { binFor, parseRange, rangeBounds, rangeText, showAge, showTime } from "../../src/parts/time";
import { visible, visiblePieces } from "../../src/parts/text";
import { afterKey } from "../../src/parts/useKeys";
import type { SourceStatus } from "../../src/api/types";
import { channelState, type ChannelStatus } from "../../src/settings/channels";
import { barMiddle, everyBar } from "../../src/query/bars";
import { byteOffset, textOffset } from "../../src/query/offsets";
import { HOSTILE } from "../browser/data";

test("what cannot be seen is shown, and the rest stays", () => {
  expect(visible("a\u0000b\u001b[31m")).toBe("a\u2400b\u241b[31m");
  expect(visible("invoice\u202egpj.exe")).toBe("invoice⟨U+202E⟩gpj.exe");
  expect(visible("tab\tand\nline, Grüße 👩‍👩‍👧")).toContain("tab\tand\nline, Grüße");
  expect(visiblePieces("x\u200by").map((piece) => piece.marked)).toEqual([false, true, false]);
  for (const text of HOSTILE) expect(visible(text)).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u202a-\u202e\u2066-\u2069\u2028\u2029]/);
});

test("there are 500 hostile strings, all different", () => {
  expect(new Set(HOSTILE).size).toBeGreaterThanOrEqual(500);
});

test("no digit of a long number is invented", () => {
  // Engines that do not give the source of a number give what a double holds.
  const hasSource = JSON.parse("1", ((_: string, __: unknown, context?: { source?: string }) => context?.source) as never) === "1";
  const parsed = parseExact('{"a":[9223372036854775807,5],"b":"9007199254740993"}') as { a: unknown[]; b: string };
  expect(parsed.a[1]).toBe(5);
  expect(parsed.b).toBe("9007199254740993");
  expect(parsed.a[0]).toBe(hasSource ? "9223372036854775807" : 9223372036854775807);
});

const STATS = '{"ExecutionTime":0.25,"input_dataset_statistics":{"extents":{"total":5,"scanned":2},"rows":{"scanned":7},"rowstores":{"scanned_blocks":1},"bytes":{"scanned":4096},"not_read":[["segments",3,"no event of theirs"]]}}';

test("frames of an answer are taken apart, and a cut answer says why", () => {
  const result = readFrames([
    { FrameType: "DataSetHeader" },
    { FrameType: "DataTable", TableKind: "QueryProperties", Rows: [[1, "Visualization", '{"Visualization":"timechart"}']] },
    { FrameType: "DataTable", TableKind: "PrimaryResult", TableName: "T", Columns: [{ ColumnName: "a", ColumnType: "long" }], Rows: [[1], { OneApiErrors: [] }] },
    { FrameType: "DataTable", TableKind: "QueryCompletionInformation", Rows: [["", "", "id", "", "", 4, "Info", 0, "", 4, "", '{"Text":"watch out"}'], ["", "", "id", "", "", 6, "Stats", 0, "", 0, "", STATS]] },
    { FrameType: "DataSetCompletion", OneApiErrors: [{ error: { "@message": "too many rows" } }] },
  ]);
  expect(result.tables[0]?.rows).toEqual([[1]]);
  expect(result.visualization.Visualization).toBe("timechart");
  expect(result.partial).toBe("too many rows");
  expect(result.warnings).toEqual(["watch out"]);
  expect(result.activityId).toBe("id");
  expect(result.statistics).toEqual({ seconds: 0.25, rowsScanned: 7, segmentsRead: 2, segmentsTotal: 5, blocksRead: 1, bytesRead: 4_096, memoryPeakBytes: undefined, notRead: [{ what: "segments", count: 3, why: "no event of theirs" }] });
});

test("bytes and UTF-16 units convert both ways", () => {
  const text = "aß€👩b";
  for (let offset = 0; offset <= text.length; offset += 1) {
    if (offset === 4) continue; // inside the pair of one character
    expect(textOffset(text, byteOffset(text, offset))).toBe(offset);
  }
  expect(textOffset(text, 1_000)).toBe(text.length);
});

test("ranges are read from addresses, and nonsense is the default", () => {
  const now = Date.parse("2026-01-02T00:00:00Z");
  expect(rangeBounds(parseRange("1h"), now)).toEqual({ from: "2026-01-01T23:00:00.000Z" });
  expect(rangeBounds(parseRange("all"), now)).toEqual({});
  const between = "2026-01-01T00:00:00Z..2026-01-02T00:00:00Z";
  expect(rangeText(parseRange(between))).toBe(between);
  for (const nonsense of ["soon", "9999999999h", "x..y", ""]) expect(rangeText(parseRange(nonsense))).toBe("24h");
});

test("times, ages and widths of bins", () => {
  expect(showTime("2026-01-02T03:04:05.1234500Z", "utc")).toBe("2026-01-02 03:04:05.12345");
  expect(showTime("2026-01-02T03:04:05.0000000Z", "utc")).toBe("2026-01-02 03:04:05");
  expect(showTime("no time", "utc")).toBe("no time");
  expect([showAge(5), showAge(125), showAge(7_500), showAge(90_000), showAge(-3)]).toEqual(["5 s", "2 min", "2 h 5 min", "1 d 1 h", "0 s"]);
  expect([binFor(60), binFor(3_600), binFor(86_400), binFor(90 * 86_400)]).toEqual(["1s", "30s", "15m", "1d"]);
});

const incident = (number: number, more: Partial<Incident> = {}): Incident => ({
  number, name: "", version: 1, title: `Case ${number}`, description: "", severity: "High", severity_is_set: false, status: "New", owner: "", verdict: null,
  labels: [], comments: [], alert_ids: ["a"], rule_ids: ["r"], products: [], tactics: [], techniques: [], entities: [{ Type: "host", HostName: "web1" }],
  first_activity: "2026-01-01T00:00:00Z", last_activity: "2026-01-01T00:00:00Z", created: "2026-01-01T00:00:00Z", first_modified: null,
  last_modified: "2026-01-01T00:00:00Z", modified_by: "moneta", closed: null, ...more,
});

const source = (more: Partial<SourceStatus>): SourceStatus => ({
  source: "syslog/udp", computer: "", table: "Syslog", state: "ok", trouble_since: null, num_records: 1, records_per_minute: 1, expected_per_minute: null, first_seen: null,
  last_seen: null, silent_seconds: null, lag_seconds: null, lateness_seconds: null, clock_ahead_seconds: null, num_missing: 0, num_quarantined: 0, num_dropped: 0,
  last_dropped: null, ...more,
});

/** A day on which nothing is wrong. */
const NOTHING = { status: undefined, parts: [], sources: [], incidents: [], channels: [], now: Date.parse("2026-01-02T00:00:00Z") };

test("the worst stands first, and the sentence counts what is urgent", () => {
  const status = {
    version: "", tenant: "", uptime_seconds: 1, events_per_second: 5, rules_loaded: 3, tables: [],
    disk: { total_bytes: 1000, available_bytes: 500, days_until_full: 1 },
    journal: { size_bytes: 0, oldest_age_seconds: 0, last_fsync_ms: 0 },
    checkpoint: { tree_size: 1, age_seconds: 1, cosigned_size: null, cosigned_age_seconds: null, witnesses: [{ name: "w", state: "split-view" as const, reason: "", since: "2026-01-01T23:00:00Z" }] },
    collectors: [{ name: "syslog udp", state: "stopped" as const, num_records: 1, reason: "", since: "2026-01-01T22:00:00Z" }],
  };
  const incidents = [incident(2, { owner: "bob" }), incident(3), incident(4, { severity: "Low" }), incident(5, { status: "Closed" })];
  const sources = ["web1", "web2"].map((computer) => source({ source: "syslog/udp", computer, num_dropped: 2, last_dropped: "2026-01-01T21:00:00Z" }));
  const parts = [{ part: "journal", ready: false, reason: "disk", since: "2026-01-01T20:00:00Z" }];
  const found = problems({ ...NOTHING, status, parts, sources, incidents });
  expect(found.map((problem) => problem.weight)).toEqual(["critical", "critical", "critical", "critical", "critical", "serious", "serious"]);
  expect(found.slice(3, 5).map((problem) => [problem.what, problem.who, problem.next.to])).toEqual([["Case 3", undefined, "/incidents/3"], ["Case 2", "bob", "/incidents/2"]]);
  expect(verdict(found, "ada")).toBe("4 things need you now; 1 thing is with others");
  expect(verdict(found, "bob")).toBe("5 things need you now");
  expect(verdict(found.slice(5), "ada")).toBe("Nothing urgent; 2 things to look at today");
  expect(verdict(found.slice(4, 5), "ada")).toBe("Nothing waits for you; 1 thing is with others");
  expect(verdict([], "ada")).toBe("All is well");
  expect(verdict([{ ...found[6]!, weight: "notice" }], "ada")).toBe("Nothing needs you now");
  expect(problems({ ...NOTHING, incidents: [incident(6, { entities: [], description: "The source s has gaps." })] })[0]?.why).toContain("1 alert · The source s has gaps.");
  // A short list leaves out incidents, never trouble of its own.
  expect(shortList(found, 1).map((problem) => problem.isIncident)).toEqual([false, false, false, false, false]);
  expect(shortList(found, 6)).toHaveLength(6);
  // Somebody who was woken reads since when.
  expect(found.map(({ since }) => since?.slice(0, 13))).toEqual(["2026-01-01T20", "2026-01-01T23", undefined, "2026-01-01T00", "2026-01-01T00", "2026-01-01T22", "2026-01-01T21"]);
});

test("what was lost is told for a day, and what stands still says since when", () => {
  const lost = source({ num_dropped: 3, last_dropped: "2026-01-01T00:00:01Z" });
  expect(problems({ ...NOTHING, sources: [lost, lost] }).map(({ what }) => what)).toEqual(["Records of the source “syslog/udp” were lost"]);
  expect(problems({ ...NOTHING, sources: [lost], now: NOTHING.now + 2_000 })).toEqual([]);
  const status = {
    version: "", tenant: "", uptime_seconds: 1, events_per_second: 5, rules_loaded: 3, tables: [], collectors: [],
    disk: { total_bytes: 1000, available_bytes: 500, days_until_full: null },
    journal: { size_bytes: 0, oldest_age_seconds: 7200, last_fsync_ms: 0 },
    checkpoint: { tree_size: 1, age_seconds: 300, cosigned_size: null, cosigned_age_seconds: null, witnesses: [] },
  };
  expect(problems({ ...NOTHING, status }).map(({ since }) => since)).toEqual(["2026-01-01T23:55:00.000Z", "2026-01-01T22:00:00.000Z"]);
});

test("a channel is named where alerts do not arrive, and nowhere else", () => {
  const channel = (name: string, delivered: number, retried: number, more: Partial<ChannelStatus> = {}): ChannelStatus => ({
    name, kind: "slack", level_min: "low", delivered, retried, given_up: 0, last_error: retried > 0 ? "503" : "", last_success: null, last_failure: null, last_given_up: null, failing_since: null, ...more,
  });
  const at = "2026-01-01T12:00:00Z";
  const channels = [
    channel("idle", 0, 0), channel("fine", 5, 0), channel("shaky", 5, 2), channel("dead", 0, 3, { failing_since: at }),
    // It once worked: that it fails now is what matters.
    channel("fails", 5, 3, { failing_since: at, given_up: 1, last_given_up: "2026-01-01T13:00:00Z" }),
    channel("lossy", 5, 16, { given_up: 2, last_given_up: at }), channel("mended", 5, 16, { given_up: 2, last_given_up: "2025-12-01T00:00:00Z" }),
  ];
  expect(channels.map((one) => channelState(one, NOTHING.now))).toEqual(["idle", "delivers", "shaky", "failing", "failing", "lost", "shaky"]);
  const found = problems({ ...NOTHING, channels });
  expect(found.map(({ what, why, since, next }) => [what, why, since, next.view])).toEqual([
    ["No alert arrives at “dead”", "503", at, "channels"],
    ["No alert arrives at “fails”", "1 alert given up since the start: 503", at, "channels"],
    ["“lossy” did not get every alert", "2 alerts given up since the start: 503", at, "channels"],
  ]);
});

test("bars without events stand between those with some, and none is lost", () => {
  const at = (time: string) => `2026-01-02T${time}:00.000Z`;
  const span: [number, number] = [Date.parse(at("00:10")), Date.parse(at("02:10"))];
  const bars = [{ at: at("00:30"), events: 3 }, { at: at("01:30"), events: 4 }];
  expect(everyBar(bars, "30m", span).map(({ at, events }) => [at.slice(11, 16), events])).toEqual([["00:30", 3], ["01:00", 0], ["01:30", 4], ["02:00", 0]]);
  expect(everyBar([{ at: at("00:00"), events: 1 }, ...bars], "30m", span)[0]).toEqual({ at: at("00:00"), events: 1 });
  expect(everyBar(bars, "7m", span)).toBe(bars);
  expect(everyBar(bars, "1s", span)).toBe(bars);
  expect(everyBar([], "30m", span)).toEqual([]);
});

test("a bar stands within the span, the newest too, which has only begun", () => {
  const at = (time: string) => `2026-01-02T${time}:00.000Z`;
  const span: [number, number] = [Date.parse(at("00:10")), Date.parse(at("02:02"))];
  expect(["00:00", "01:00", "02:00"].map((time) => new Date(barMiddle(at(time), "30m", span)).toISOString().slice(11, 16))).toEqual(["00:20", "01:15", "02:01"]);
});

test("risks are told apart by kind, and names keep their colons", () => {
  const risk = (entity: string) => ({ entity, score: 1, alerts: 1, rule_ids: [], incidents: [], last: "" });
  expect(splitEntity("ip:2001:db8::1")).toEqual({ kind: "address", name: "2001:db8::1" });
  expect(splitEntity("host:web01")).toEqual({ kind: "host", name: "web01" });
  expect(kindsOf([risk("host:a"), risk("ip:192.0.2.1"), risk("ip:192.0.2.2")])).toEqual([["address", 2], ["host", 1]]);
  expect(kindsOf([risk("host:a")], "mailbox")).toEqual([["host", 1], ["mailbox", 0]]);
  expect(kindsOf([risk("host:a")], "host")).toEqual([["host", 1]]);
  expect([weightOf(0.4), weightOf(5), weightOf(20), weightOf(61)]).toEqual(["Informational", "Low", "Medium", "High"]);
  expect([parseDays(undefined), parseDays("7"), parseDays("8")]).toEqual(["14", "7", "14"]);
});

test("queues begin with the worst that waits longest and end with what is closed", () => {
  const list = [incident(1, { severity: "Low" }), incident(2), incident(3), incident(4, { status: "Closed" }), incident(5, { status: "Closed" })];
  expect(sorted(list).map((one) => one.number)).toEqual([2, 3, 1, 5, 4]);
  const counts = { "New/High": 2, "Active/Low": 1, "Closed/High": 4 };
  expect([countOf(counts), countOf(counts, ["New", "Active"]), countOf(counts, ["Closed"], ["High"]), countOf(counts, ["New"], ["Low"])]).toEqual([7, 3, 4, 0]);
});

test("entities are named by what identifies them, and unknown ones say everything", () => {
  expect(entityLabel({ Type: "ip", Address: "192.0.2.1" })).toEqual({ kind: "ip", value: "192.0.2.1" });
  expect(entityLabel({ Type: "file", Directory: "C:\\x", Name: "a.exe" })).toEqual({ kind: "file", value: "C:\\x\\a.exe" });
  expect(entityLabel({ Type: "account", Name: "eve", FullName: "corp\\eve" }).value).toBe("corp\\eve");
  expect(entityLabel({ Type: "cloud-thing", Odd: 1 })).toEqual({ kind: "cloud-thing", value: '{"Odd":1}' });
});

test("a timeline puts events before the alert they raised, and leaves out what stands there already", () => {
  const alert = {
    id: "a", seq: 1, proof: "", evidence: "", title: "Bad", description: "", severity: "High" as const, rule_id: "r", rule_author: "", product: "", raised: "2026-01-01T00:00:05Z",
    first_event: "", last_event: "", tactics: [], techniques: [], entities: [], event_count: 2,
    events: [{ table: "Syslog", seq: 1, time: "2026-01-01T00:00:03Z", computer: "web1", fields: [] }, { table: "Syslog", seq: 2, time: "2026-01-01T00:00:05Z", computer: "web1", fields: [] }, { table: "QueryResult", seq: 0, time: "", computer: "", fields: [] }],
  };
  const activity = [
    { at: "2026-01-01T00:00:06Z", actor: "moneta", action: "created", text: "" },
    { at: "2026-01-01T00:00:06Z", actor: "moneta", action: "alert-added", text: "a" },
    { at: "2026-01-01T00:01:00Z", actor: "ada", action: "closed", text: "scanner" },
  ];
  const moments = timeline({ incident: incident(1), alerts: [alert, { ...alert, id: "b", title: "Worse", events: alert.events.slice(0, 2) }], activity });
  expect(moments[0]?.until).toBe("2026-01-01T00:00:05Z");
  expect(moments.map((moment) => [moment.kind, moment.what, moment.detail])).toEqual([
    ["event", "Bad; Worse", "2 events · web1 · Syslog"], ["alert", "Bad", "alert of severity High"], ["alert", "Worse", "alert of severity High"], ["action", "Incident made", "moneta"], ["action", "Closed", "ada: scanner"],
  ]);
});

test("a letter is after another one only when that was pressed, and lately", () => {
  const isAfterG = afterKey("g", 1500);
  // A page that was opened a moment ago: nothing was pressed before.
  expect(isAfterG("a", 100)).toBe(false);
  expect(isAfterG("g", 200)).toBe(false);
  expect(isAfterG("a", 1699)).toBe(true);
  expect(isAfterG("a", 1699)).toBe(false);
  expect(isAfterG("g", 2000)).toBe(false);
  expect(isAfterG("x", 2100)).toBe(true);
  expect(isAfterG("a", 2200)).toBe(false);
  expect(isAfterG("g", 3000)).toBe(false);
  expect(isAfterG("a", 4500)).toBe(false);
});
