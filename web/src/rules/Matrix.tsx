// The ATT&CK matrix of the rules: what runs, what rests, what spoke lately.
import { Button, ProgressBar } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import type { RuleSummary } from "../api/types";
import { Failure } from "../app/Failure";
import { plural, showCount } from "../parts/numbers";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { download } from "../results/exports";
import { matrix, navigatorLayer, NO_TECHNIQUE, tablesText } from "./matrix";
import { factsOf, type RuleFacts } from "./ruleText";
import { fetchRule, type Fired } from "./rules";

/** Texts of rules that are asked for at once. */
const AT_ONCE = 6;

/** Techniques stand in the texts of rules, so each is read once while the page is open. */
function useFacts(rules: RuleSummary[]) {
  const [done, setDone] = useState(0);
  const ids = useMemo(() => rules.map((rule) => rule.rule_id), [rules]);
  const facts = useQuery({
    queryKey: ["rules", "facts", ids],
    staleTime: Infinity,
    queryFn: async () => {
      const found = new Map<string, RuleFacts>();
      const waiting = [...ids];
      setDone(0);
      const work = async () => {
        for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
          const said = factsOf((await fetchRule(id)).source.text, id);
          if (said) found.set(id, said);
          setDone((count) => count + 1);
        }
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      return found;
    },
  });
  return { facts, done };
}

const NOTHING = new Map<string, number>();

interface MatrixProps {
  rules: RuleSummary[];
  fired: Map<string, Fired>;
  /** Rows by table; none until they are known. */
  stored: ReadonlyMap<string, number> | undefined;
  /** The cell that is open, as `tactic/technique`. */
  cell: string | undefined;
  open(cell: string | undefined): void;
  choose(rule: string): void;
}

/** Names of techniques; none until they are here. */
function useTechniqueNames(): (technique: string) => string {
  const names = useQuery({ queryKey: ["technique-names"], staleTime: Infinity, queryFn: async () => (await import("./attack")).techniqueName });
  return names.data ?? (() => "");
}

export function Matrix({ rules, fired, stored, cell, open, choose }: MatrixProps) {
  const { facts, done } = useFacts(rules);
  const nameOf = useTechniqueNames();
  const [openedTactic, openedTechnique] = (cell ?? "").split("/");
  const columns = useMemo(() => matrix(rules, facts.data ?? new Map<string, RuleFacts>(), fired, stored ?? NOTHING), [rules, facts.data, fired, stored]);
  if (facts.isError) return <Failure error={facts.error} title="The rules were not read" retry={() => void facts.refetch()} />;
  if (facts.isPending) {
    return (
      <div role="status">
        <p>Reading rules: {showCount(done)} of {showCount(rules.length)}</p>
        <ProgressBar value={rules.length > 0 ? done / rules.length : 0} aria-label="Rules read" />
      </div>
    );
  }
  const shown = columns.filter((column) => column.cells.length > 0);
  const empty = columns.filter((column) => column.cells.length === 0).map((column) => column.tactic);
  const techniques = new Set(shown.flatMap((column) => column.cells.map((cell) => cell.technique)).filter((technique) => technique !== NO_TECHNIQUE));
  const tagged = new Set(shown.flatMap((column) => column.cells.flatMap((cell) => [...cell.running, ...cell.resting])));
  const untagged = rules.length - tagged.size;
  const openedCell = shown.find((column) => column.tactic === openedTactic)?.cells.find((one) => one.technique === openedTechnique);
  return (
    <>
      <div className="toolbar">
        <span className="quiet">
          {plural(techniques.size, "technique")} in {plural(shown.length, "tactic")}{untagged > 0 && `; ${plural(untagged, "rule")} without ATT&CK tags`}. A frame marks what raised alerts in the last 30 days; dashed are rules that rest; striped are those with nothing to look at.
        </span>
        <span className="grow" />
        <Button size="small" onClick={() => download("moneta-rules.layer.json", "application/json", navigatorLayer(columns, "Moneta rules"))}>Navigator layer</Button>
      </div>
      <div className="scroll-x" tabIndex={0} role="group" aria-label="ATT&CK matrix">
        <div className="matrix">
          {shown.map(({ tactic, cells }) => (
            <section key={tactic} aria-label={tactic}>
              <h3><Text text={tactic.replaceAll("-", " ")} /> <span className="quiet">{cells.length}</span></h3>
              {cells.map((cell) => (
                <button
                  key={cell.technique}
                  type="button"
                  className={`technique rules-${Math.min(4, cell.running.length)}${cell.alerts > 0 ? " fired" : ""}${stored && cell.data === "absent" ? " no-data" : ""}`}
                  aria-pressed={openedCell === cell}
                  onClick={() => open(openedCell === cell ? undefined : `${tactic}/${cell.technique}`)}
                >
                  <span>{cell.technique}{" "}<span className="technique-name">{nameOf(cell.technique)}</span></span>
                  <span className="quiet">{plural(cell.running.length, "rule")}{cell.resting.length > 0 && `, ${cell.resting.length} rest`}{cell.alerts > 0 && `, ${plural(cell.alerts, "alert")}`}{stored && cell.data === "absent" && ", no data"}</span>
                </button>
              ))}
            </section>
          ))}
        </div>
      </div>
      {empty.length > 0 && <p className="quiet">No rule names these tactics: {empty.map((tactic) => tactic.replaceAll("-", " ")).join(", ")}.</p>}
      {openedTactic && openedCell && (
        <section ref={scrollTo} className="panel" aria-label={`Rules for ${openedCell.technique}`}>
          <h2>{[openedCell.technique, nameOf(openedCell.technique)].filter(Boolean).join(" ")}, {openedTactic.replaceAll("-", " ")}</h2>
          <ul>
            {[...openedCell.running, ...openedCell.resting].map((rule) => (
              <li key={rule.rule_id}>
                <button type="button" className="text-link" onClick={() => choose(rule.rule_id)}><Text text={rule.title} /></button>{" "}
                <span className="quiet">{rule.level}{!rule.enabled && ", rests"}{stored && rule.tables.length > 0 && `, looks at ${tablesText(rule.tables, stored)}`}</span>
              </li>
            ))}
          </ul>
          {stored && openedCell.data === "absent" && <p>There are no rows in any of these tables, so none of these rules can find anything. <Link to="/sources" search={(previous) => ({ tz: previous.tz }) as never}>See what comes in</Link></p>}
          {openedCell.alerts > 0 && <p><Link to="/query" search={(previous) => ({ tz: previous.tz, q: `SecurityAlert\n| where Techniques has "${openedCell.technique}" or SubTechniques has "${openedCell.technique}"`, range: "30d" }) as never}>Its alerts</Link></p>}
        </section>
      )}
    </>
  );
}
