// Rules by ATT&CK's tactics and techniques, and the same as a layer of the ATT&CK Navigator.
import type { RuleSummary } from "../api/types";
import { plural } from "../parts/numbers";
import type { RuleFacts } from "./ruleText";
import type { Fired } from "./rules";

/** The tactics of the enterprise matrix in its order; rules may name others, which follow. */
export const TACTICS = [
  "reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion",
  "credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration", "impact",
] as const;

export interface Cell {
  technique: string;
  /** Rules that run, and rules that rest. */
  running: RuleSummary[];
  resting: RuleSummary[];
  alerts: number;
  data: Data;
}

/** Whether there is anything for rules to look at: rows in one of their tables, or in none; or nobody knows the tables. */
export type Data = "present" | "absent" | "unknown";

/** What there is for rules together. `stored`: rows by table. */
export function dataOf(rules: Pick<RuleSummary, "tables">[], stored: ReadonlyMap<string, number>): Data {
  const tables = rules.flatMap((rule) => rule.tables);
  if (tables.length === 0) return "unknown";
  return tables.some((table) => (stored.get(table) ?? 0) > 0) ? "present" : "absent";
}

/** `Syslog (20 rows), Event (none)`. */
export function tablesText(tables: string[], stored: ReadonlyMap<string, number>): string {
  return tables.map((table) => `${table} (${(stored.get(table) ?? 0) > 0 ? plural(stored.get(table) ?? 0, "row") : "none"})`).join(", ");
}

export interface TacticColumn {
  tactic: string;
  cells: Cell[];
}

/** Rules that name no technique are under this. */
export const NO_TECHNIQUE = "no technique";

export function matrix(rules: RuleSummary[], facts: Map<string, RuleFacts>, fired: Map<string, Fired>, stored: ReadonlyMap<string, number>): TacticColumn[] {
  const columns = new Map<string, Map<string, Cell>>(TACTICS.map((tactic) => [tactic, new Map()]));
  for (const rule of rules) {
    const said = facts.get(rule.rule_id);
    const tactics = said && said.tactics.length > 0 ? said.tactics : said && said.techniques.length > 0 ? ["no tactic"] : [];
    for (const tactic of tactics) {
      const cells = columns.get(tactic) ?? new Map<string, Cell>();
      columns.set(tactic, cells);
      for (const technique of said && said.techniques.length > 0 ? said.techniques : [NO_TECHNIQUE]) {
        const cell = cells.get(technique) ?? { technique, running: [], resting: [], alerts: 0, data: "unknown" };
        (rule.enabled ? cell.running : cell.resting).push(rule);
        cell.alerts += fired.get(rule.rule_id)?.count ?? 0;
        cells.set(technique, cell);
      }
    }
  }
  for (const cell of [...columns.values()].flatMap((cells) => [...cells.values()])) cell.data = dataOf([...cell.running, ...cell.resting], stored);
  return [...columns].map(([tactic, cells]) => ({ tactic, cells: [...cells.values()].sort((a, b) => (a.technique < b.technique ? -1 : 1)) }));
}

/**
 * A layer file.
 *
 * Layout: ATT&CK Navigator, layer file format 4.5. The score is the number of rules that run.
 */
export function navigatorLayer(columns: TacticColumn[], name: string): string {
  const techniques = columns.flatMap(({ tactic, cells }) =>
    cells
      .filter((cell) => cell.technique !== NO_TECHNIQUE)
      .map((cell) => ({
        techniqueID: cell.technique,
        ...((TACTICS as readonly string[]).includes(tactic) ? { tactic } : {}),
        score: cell.running.length,
        enabled: true,
        comment: [...cell.running.map((rule) => rule.title), ...cell.resting.map((rule) => `${rule.title} (rests)`)].join("\n"),
        metadata: [{ name: "alerts in 30 days", value: String(cell.alerts) }, { name: "data", value: cell.data }],
      })),
  );
  const most = Math.max(1, ...techniques.map((technique) => technique.score));
  const layer = {
    name,
    versions: { layer: "4.5" },
    domain: "enterprise-attack",
    description: "Rules that run, by the techniques they name.",
    techniques,
    gradient: { colors: ["#ffffff", "#66b2a3"], minValue: 0, maxValue: most },
  };
  return `${JSON.stringify(layer, null, 2)}\n`;
}
