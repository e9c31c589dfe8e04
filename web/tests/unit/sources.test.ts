import { expect, test } from "vitest";
import type { SourceStatus } from "../../src/api/types";
import { isTroubled, stateText, troublesFirst } from "../../src/sources/sources";

const source = (name: string, state: string, trouble_since: string | null = null): SourceStatus => ({
  source: name, computer: "", table: "T", state, trouble_since, num_records: 1, records_per_minute: 1, expected_per_minute: null, first_seen: null, last_seen: null,
  silent_seconds: null, lag_seconds: null, lateness_seconds: null, clock_ahead_seconds: null, num_missing: 0, num_quarantined: 0, num_dropped: 0, last_dropped: null,
});

test("what is wrong stands first, and longest; what learns is not wrong", () => {
  const all = [source("b", "ok"), source("a", "learning"), source("new", "silent", "2026-01-02T00:00:00Z"), source("old", "late+gapped", "2026-01-01T00:00:00Z")];
  expect(troublesFirst(all).map((one) => one.source)).toEqual(["old", "new", "a", "b"]);
  expect(all.map(isTroubled)).toEqual([false, false, true, true]);
  expect([stateText("late+gapped"), stateText("ok"), stateText("odd+late")]).toEqual(["late, records are missing", "well", "odd, late"]);
});
