// What the text of a rule says of itself: Sigma rules and Sentinel's analytics rules, several in one file.
import { parseAllDocuments, stringify } from "yaml";

/** Characters of a file that are read here; the server has limits of its own. */
const TEXT_CHARACTERS_MAX = 2_000_000;
/** How often one text may refer to a part of itself: a short file of references can stand for gigabytes. */
const ALIASES_MAX = 100;

export interface RuleTest {
  name: string;
  table: string;
  matches: boolean;
  events: number;
}

export interface RuleFacts {
  description: string;
  status: string;
  date: string;
  references: string[];
  falsePositives: string[];
  /** Tactics as ATT&CK's pages spell them: `credential-access`. */
  tactics: string[];
  /** Techniques: `T1110.001`. */
  techniques: string[];
  otherTags: string[];
  /** The part that decides, as YAML, or a query. */
  condition: string;
  tests: RuleTest[];
}

export interface TextProblem {
  /** Counted from 1; 0 where no line is known. */
  line: number;
  message: string;
}

type Bag = Record<string, unknown>;

/** What is not YAML, with its lines. */
export function syntaxProblems(text: string): TextProblem[] {
  if (text.length > TEXT_CHARACTERS_MAX) return [{ line: 0, message: `longer than ${TEXT_CHARACTERS_MAX} characters` }];
  const documents = parseAllDocuments(text, { prettyErrors: true });
  if (!Array.isArray(documents)) return [];
  return documents.flatMap((document) =>
    document.errors.map((error) => ({ line: error.linePos?.[0].line ?? 0, message: (error.message.split("\n")[0] ?? "").replace(/ at line \d+, column \d+:?$/, "") })),
  );
}

/** The facts of the rule with the id; of a file with a single rule, those of that one. */
export function factsOf(text: string, ruleId: string): RuleFacts | undefined {
  const bags = bagsOf(text);
  const bag = bags.find((one) => textOf(one.id) === ruleId) ?? (bags.length === 1 ? bags[0] : undefined);
  return bag && readBag(bag);
}

/** The documents of a file that can be read. */
function bagsOf(text: string): Bag[] {
  if (text.length > TEXT_CHARACTERS_MAX) return [];
  const documents = parseAllDocuments(text);
  if (!Array.isArray(documents)) return [];
  const bags: Bag[] = [];
  for (const document of documents) {
    try {
      const value = document.errors.length > 0 ? undefined : (document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown);
      if (value !== null && typeof value === "object" && !Array.isArray(value)) bags.push(value as Bag);
    } catch {
      // More references than are followed: the text itself is shown all the same.
    }
  }
  return bags;
}

function readBag(bag: Bag): RuleFacts {
  const tags = listOf(bag.tags).map((tag) => tag.toLowerCase());
  const attack = tags.filter((tag) => tag.startsWith("attack.")).map((tag) => tag.slice("attack.".length));
  const isTechnique = (name: string) => /^t\d{4}(\.\d{3})?$/i.test(name);
  const isTactic = (name: string) => !/^[a-z]\d{4}/i.test(name);
  const tactics = [...attack.filter(isTactic), ...listOf(bag.tactics).map(spelled)].map((name) => name.replaceAll("_", "-"));
  const techniques = [...attack, ...listOf(bag.relevantTechniques)].filter(isTechnique).map((name) => name.toUpperCase());
  return {
    description: textOf(bag.description),
    status: textOf(bag.status),
    date: textOf(bag.modified ?? bag.date),
    references: listOf(bag.references),
    falsePositives: listOf(bag.falsepositives),
    tactics: [...new Set(tactics)],
    techniques: [...new Set(techniques)],
    otherTags: tags.filter((tag) => !tag.startsWith("attack.")),
    condition: conditionOf(bag),
    tests: (Array.isArray(bag.tests) ? (bag.tests as unknown[]) : []).flatMap(readTest),
  };
}

/** `CredentialAccess` as `credential-access`. */
function spelled(tactic: string): string {
  return tactic.replace(/(?<=[a-z])(?=[A-Z])/g, "-").toLowerCase();
}

function conditionOf(bag: Bag): string {
  if (typeof bag.query === "string") return bag.query.trimEnd();
  const parts = Object.fromEntries(["logsource", "detection", "correlation", "filter"].filter((name) => bag[name] !== undefined).map((name) => [name, bag[name]]));
  return Object.keys(parts).length > 0 ? stringify(parts, { lineWidth: 0 }).trimEnd() : "";
}

function readTest(value: unknown): RuleTest[] {
  if (value === null || typeof value !== "object") return [];
  const test = value as Bag;
  return [{ name: textOf(test.name), table: textOf(test.table), matches: test.matches === true, events: Array.isArray(test.events) ? test.events.length : 0 }];
}

function textOf(value: unknown): string {
  if (value instanceof Date) return value.toISOString().slice(0, 10);
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean" ? String(value) : "";
}

function listOf(value: unknown): string[] {
  const all = Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];
  return all.map(textOf).filter((text) => text !== "");
}

/** The ids of all rules in the text. */
export function idsOf(text: string): string[] {
  return bagsOf(text).map((bag) => textOf(bag.id));
}

/** Whether it is an analytics rule: a query that is run, not conditions that events meet. */
export function isQueryRule(text: string): boolean {
  return bagsOf(text).some((bag) => typeof bag.query === "string");
}

/** What a new rule begins with. */
export function newRule(id: string): string {
  return `title: What happened
id: ${id}
status: experimental
description: Why somebody should look at it.
logsource:
  product: linux
  service: syslog
detection:
  selection:
    ProcessName: sshd
    SyslogMessage|contains: Failed password
  condition: selection
level: low
tests:
  - name: a wrong password
    table: Syslog
    matches: true
    events:
      - ProcessName: sshd
        SyslogMessage: Failed password for root from 192.0.2.1 port 4000 ssh2
  - name: a right password
    table: Syslog
    matches: false
    events:
      - ProcessName: sshd
        SyslogMessage: Accepted password for ada from 192.0.2.1 port 4000 ssh2
`;
}

/** Takes `line 12: what is wrong` of the server apart. */
export function serverProblem(problem: string): TextProblem {
  const found = /^line (\d+): ([\s\S]*)$/.exec(problem);
  return found ? { line: Number(found[1]), message: found[2] ?? "" } : { line: 0, message: problem };
}

export interface Line {
  number: number;
  text: string;
  isMeant: boolean;
}

/** The line and its neighbours. */
export function excerpt(text: string, line: number, around = 2): Line[] {
  const lines = text.split("\n");
  if (line < 1 || line > lines.length) return [];
  const [from, to] = [Math.max(1, line - around), Math.min(lines.length, line + around)];
  return lines.slice(from - 1, to).map((text, index) => ({ number: from + index, text, isMeant: from + index === line }));
}
