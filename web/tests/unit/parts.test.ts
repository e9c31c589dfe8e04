import { expect, test } from "vitest";
import { parseExact } from "../../src/api/client";
import { readFrames } from "../../src/api/kusto";
import { problems, shortList, verdict } from "../../src/home/problems";
import { binFor, parseRange, rangeBounds, rangeText, showAge, showTime } from "../../src/parts/time";
import { visible, visiblePieces } from "../../src/parts/text";
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

test("frames of an answer are taken apart, and a cut answer says why", () => {
  const result = readFrames([
    { FrameType: "DataSetHeader" },
    { FrameType: "DataTable", TableKind: "QueryProperties", Rows: [[1, "Visualization", '{"Visualization":"timechart"}']] },
    { FrameType: "DataTable", TableKind: "PrimaryResult", TableName: "T", Columns: [{ ColumnName: "a", ColumnType: "long" }], Rows: [[1], { OneApiErrors: [] }] },
    { FrameType: "DataTable", TableKind: "QueryCompletionInformation", Rows: [["", "", "id", "", "", 4, "Info", 0, "", 4, "", '{"Text":"watch out"}']] },
    { FrameType: "DataSetCompletion", OneApiErrors: [{ error: { "@message": "too many rows" } }] },
  ]);
  expect(result.tables[0]?.rows).toEqual([[1]]);
  expect(result.visualization.Visualization).toBe("timechart");
  expect(result.partial).toBe("too many rows");
  expect(result.warnings).toEqual(["watch out"]);
  expect(result.activityId).toBe("id");
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

test("the worst stands first, and the sentence counts what is urgent", () => {
  const status = {
    version: "", tenant: "", uptime_seconds: 1, events_per_second: 5, rules_loaded: 3, tables: [],
    disk: { total_bytes: 1000, available_bytes: 20, days_until_full: null },
    journal: { size_bytes: 0, oldest_age_seconds: 0, last_fsync_ms: 0 },
    checkpoint: { tree_size: 1, age_seconds: 1, cosigned_size: null, cosigned_age_seconds: null, witnesses: [] },
    collectors: [{ name: "syslog udp", state: "stopped" as const, num_records: 1, num_dropped: 2, reason: "" }],
  };
  const alerts = [{ name: "Bad", severity: "High", count: 2, first: "2026-01-01T00:00:00Z", last: "2026-01-01T00:00:00Z" }];
  const found = problems({ status, parts: [{ part: "journal", ready: false, reason: "disk" }], alerts });
  expect(found.map((problem) => problem.weight)).toEqual(["critical", "critical", "critical", "serious", "serious"]);
  expect(verdict(found)).toBe("3 things need you now");
  expect(verdict(found.slice(3))).toBe("Nothing urgent; 2 things to look at today");
  expect(verdict([])).toBe("All is well");
  // A short list leaves out alerts, never trouble of its own.
  expect(shortList(found, 1).map((problem) => problem.isAlert)).toEqual([false, false, false, false]);
  expect(shortList(found, 5)).toHaveLength(5);
  expect(found.find((problem) => problem.what === "Bad")?.since).toBe("2026-01-01T00:00:00Z");
});
