import { expect, test } from "vitest";
import type { RuleSummary } from "../../src/api/types";
import { techniqueName } from "../../src/rules/attack";
import { dataOf, matrix, navigatorLayer, tablesText } from "../../src/rules/matrix";
import { excerpt, factsOf, idsOf, isQueryRule, newRule, serverProblem, syntaxProblems } from "../../src/rules/ruleText";

const sigma = `title: Door forced
id: one
status: test
date: 2026-01-02
description: A door was open for longer than anybody needs.
references:
  - https://example.org/doors
tags:
  - attack.credential-access
  - attack.defense_evasion
  - attack.T1110.001
  - attack.g0007
  - cve.2026-1
logsource:
  product: door
detection:
  open:
    State: open
  condition: open
falsepositives: Deliveries
tests:
  - name: open
    table: Door_CL
    matches: true
    events: [{State: open}]
---
title: Other
id: two
correlation:
  type: event_count
`;

test("a rule says what it finds, by its id among several", () => {
  const facts = factsOf(sigma, "one");
  expect(facts).toMatchObject({
    status: "test", date: "2026-01-02", references: ["https://example.org/doors"], falsePositives: ["Deliveries"],
    tactics: ["credential-access", "defense-evasion"], techniques: ["T1110.001"], otherTags: ["cve.2026-1"],
    tests: [{ name: "open", table: "Door_CL", matches: true, events: 1 }],
  });
  expect(facts?.condition).toBe("logsource:\n  product: door\ndetection:\n  open:\n    State: open\n  condition: open");
  expect(factsOf(sigma, "two")?.condition).toContain("event_count");
  expect(factsOf(sigma, "three")).toBeUndefined();
});

test("an analytics rule of Sentinel is read too", () => {
  const facts = factsOf("id: q\nname: N\nquery: |\n  SigninLogs\n  | take 1\ntactics:\n  - InitialAccess\n  - CommandAndControl\nrelevantTechniques: [T1078]\n", "q");
  expect([facts?.condition, facts?.tactics, facts?.techniques]).toEqual(["SigninLogs\n| take 1", ["initial-access", "command-and-control"], ["T1078"]]);
});

test("texts that are no rules, or that blow up, are no facts", () => {
  for (const text of ["", "- a\n- b", "just text", "a: [", "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]"]) expect(factsOf(text, "x")?.condition ?? "").toBe("");
});

test("problems stand at their lines", () => {
  const [problem] = syntaxProblems("title: a\nid: [1, 2\nlevel: high\n");
  expect(problem?.line).toBeGreaterThan(1);
  expect(syntaxProblems(sigma)).toEqual([]);
  expect(serverProblem("line 12: there is no field x")).toEqual({ line: 12, message: "there is no field x" });
  expect(serverProblem("no table for log source y")).toEqual({ line: 0, message: "no table for log source y" });
  expect(excerpt("a\nb\nc\nd", 2, 1)).toEqual([{ number: 1, text: "a", isMeant: false }, { number: 2, text: "b", isMeant: true }, { number: 3, text: "c", isMeant: false }]);
  expect(excerpt("a", 9)).toEqual([]);
});

test("the matrix counts what runs and what rests, and becomes a layer", () => {
  const judgement = { alerts: 0, open: 0, true_positive: 0, benign_positive: 0, false_positive: 0, undetermined: 0, precision: null, median_seconds_to_detect: null };
  const rule = (rule_id: string, enabled: boolean): RuleSummary => ({ rule_id, title: rule_id, level: "low", author: "", log_source: "", tables: ["Syslog"], enabled, judgement });
  const facts = new Map([["one", factsOf(sigma, "one")!], ["rest", factsOf(sigma.replace("id: one", "id: rest"), "rest")!], ["two", factsOf(sigma, "two")!]]);
  const columns = matrix([rule("one", true), rule("rest", false), rule("two", true)], facts, new Map([["one", { count: 4, last: "" }]]), new Map([["Syslog", 7]]));
  expect(columns).toHaveLength(14);
  const cell = columns.find((column) => column.tactic === "credential-access")?.cells[0];
  expect([cell?.technique, cell?.running.length, cell?.resting.length, cell?.alerts, cell?.data]).toEqual(["T1110.001", 1, 1, 4, "present"]);
  const layer = JSON.parse(navigatorLayer(columns, "x")) as { domain: string; techniques: { techniqueID: string; tactic: string; score: number; comment: string }[] };
  expect(layer.techniques.map((technique) => [technique.techniqueID, technique.tactic, technique.score, technique.comment])).toEqual([
    ["T1110.001", "defense-evasion", 1, "one\nrest (rests)"], ["T1110.001", "credential-access", 1, "one\nrest (rests)"],
  ]);
});

test("rules have something to look at where one of their tables has rows", () => {
  const stored = new Map([["Syslog", 1_200], ["Event", 0]]);
  expect(dataOf([{ tables: ["Event"] }, { tables: ["Syslog"] }], stored)).toBe("present");
  expect(dataOf([{ tables: ["Event", "SecurityEvent"] }, { tables: [] }], stored)).toBe("absent");
  expect(dataOf([{ tables: [] }], stored)).toBe("unknown");
  expect(tablesText(["Syslog", "Event"], stored)).toBe("Syslog (1,200 rows), Event (none)");
});

test("a new rule has its id and tests, and is no query", () => {
  const text = newRule("0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1aa");
  expect(syntaxProblems(text)).toEqual([]);
  expect(idsOf(text)).toEqual(["0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1aa"]);
  expect(factsOf(text, "0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1aa")?.tests.map((one) => one.matches)).toEqual([true, false]);
  expect(isQueryRule(text)).toBe(false);
  expect(isQueryRule("id: a\nquery: |\n  T\n  | take 1\n")).toBe(true);
  expect(idsOf("id: a\n---\nid: b\n---\n[1")).toEqual(["a", "b"]);
});

test("techniques have names, sub-techniques their own or that of their technique", () => {
  expect(techniqueName("T1110.001")).toBe("Password Guessing");
  expect(techniqueName("T1566.999")).toBe("Phishing");
  expect(techniqueName("T9999")).toBe("");
  expect(techniqueName("__proto__")).toBe("");
});
