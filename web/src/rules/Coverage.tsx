// What the rules look at: per kind of log, how many rules there are, how many spoke, and whether data comes.
import { plural, showCount } from "../parts/numbers";
import type { RuleSummary } from "../api/types";
import { tablesText } from "./matrix";
import type { Fired } from "./rules";

interface Covered {
  source: string;
  levels: Map<string, number>;
  rules: number;
  firing: number;
  alerts: number;
  /** Tables that its rules look at. */
  tables: Set<string>;
}

/** Rules by the kind of log they apply to, most rules first. */
export function coverage(rules: RuleSummary[], fired: Map<string, Fired>): Covered[] {
  const found = new Map<string, Covered>();
  for (const rule of rules) {
    const covered = found.get(rule.log_source) ?? { source: rule.log_source, levels: new Map(), rules: 0, firing: 0, alerts: 0, tables: new Set() };
    const alerts = fired.get(rule.rule_id)?.count ?? 0;
    covered.rules += 1;
    covered.firing += alerts > 0 ? 1 : 0;
    covered.alerts += alerts;
    rule.tables.forEach((table) => covered.tables.add(table));
    covered.levels.set(rule.level, (covered.levels.get(rule.level) ?? 0) + 1);
    found.set(rule.log_source, covered);
  }
  return [...found.values()].sort((a, b) => b.rules - a.rules || (a.source < b.source ? -1 : 1));
}

export function Coverage({ rules, fired, stored }: { rules: RuleSummary[]; fired: Map<string, Fired>; stored: ReadonlyMap<string, number> | undefined }) {
  const covered = coverage(rules, fired);
  const levels = ["critical", "high", "medium", "low", "informational"];
  return (
    <>
      <p className="quiet">
        {plural(rules.length, "rule")} for {plural(covered.length, "kind")} of logs; {covered.reduce((sum, one) => sum + one.firing, 0)} of them raised alerts in the last 30 days.
      </p>
      <div className="scroll-x" tabIndex={0} role="group" aria-label="Coverage">
        <table className="plain">
          <thead>
            <tr>
              <th scope="col">Kind of log</th>
              <th scope="col">Data</th>
              <th scope="col" className="number">Rules</th>
              {levels.map((level) => <th key={level} scope="col" className="number">{level}</th>)}
              <th scope="col" className="number">Raised alerts</th>
              <th scope="col" className="number">Alerts in 30 days</th>
            </tr>
          </thead>
          <tbody>
            {covered.map((one) => (
              <tr key={one.source}>
                <td>{one.source === "" ? <span className="quiet">events of other rules</span> : one.source}</td>
                <td className="wrap">{stored && <DataOf tables={[...one.tables].sort()} stored={stored} />}</td>
                <td className="number">{one.rules}</td>
                {levels.map((level) => <td key={level} className="number">{one.levels.get(level) ?? ""}</td>)}
                <td className="number">{one.firing}</td>
                <td className="number">{showCount(one.alerts)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

/** Which of the tables have rows; where none has, that the rules look at nothing. */
function DataOf({ tables, stored }: { tables: string[]; stored: ReadonlyMap<string, number> }) {
  const present = tables.filter((table) => (stored.get(table) ?? 0) > 0);
  if (present.length > 0) return tablesText(present, stored);
  return tables.length > 0 ? <span className="quiet" title={tables.join(", ")}>none</span> : <span className="quiet">not known</span>;
}
