// The hosts, accounts and addresses that most speaks against: how much, which rules, which incidents, and the way to their events.
import { MessageBar, MessageBarBody, Select, ToggleButton } from "@fluentui/react-components";
import { Link, useNavigate } from "@tanstack/react-router";
import { useEffect, useMemo, useRef } from "react";
import { quote } from "../api/kusto";
import { useZone } from "../app/session";
import { Find } from "../parts/Find";
import { isForLine } from "../parts/line";
import { plural, showCount } from "../parts/numbers";
import { Answered } from "../parts/Page";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { useKeys } from "../parts/useKeys";
import { useRules } from "../rules/rules";
import { DAYS, kindsOf, parseDays, RISKS_MAX, splitEntity, useRisks, weightOf, type EntityRisk } from "./risks";

export interface RiskSearch {
  days?: string;
  kind?: string;
  text?: string;
  at?: string;
}

/** Rules and incidents that a line names; further ones are counted. */
const RULES_NAMED = 3;
const INCIDENTS_NAMED = 6;

export function Risks({ search, setSearch }: { search: RiskSearch; setSearch(change: Record<string, string | undefined>): void }) {
  const days = parseDays(search.days);
  const risks = useRisks(days);
  const navigate = useNavigate();
  const wanted = (search.text ?? "").toLowerCase();
  const all = risks.data ?? NONE;
  const list = useMemo(
    () => all.filter(({ entity }) => (!search.kind || splitEntity(entity).kind === search.kind) && splitEntity(entity).name.toLowerCase().includes(wanted)),
    [all, search.kind, wanted],
  );
  const place = Math.max(0, list.findIndex(({ entity }) => entity === search.at));
  const go = (to: number) => setSearch({ at: list[Math.max(0, Math.min(list.length - 1, to))]?.entity });
  const show = (risk: EntityRisk | undefined) => {
    const newest = risk && Math.max(...risk.incidents);
    if (newest !== undefined && Number.isFinite(newest)) void navigate({ to: "/incidents/$number", params: { number: String(newest) }, search: (previous: { tz?: string }) => ({ tz: previous.tz }) as never });
  };
  useKeys({
    j: () => go(place + 1),
    k: () => go(place - 1),
    ArrowDown: () => go(place + 1),
    ArrowUp: () => go(place - 1),
    Enter: () => show(list[place]),
  });
  return (
    <>
      <div className="toolbar">
        <Select size="small" aria-label="Alerts of the last days" value={days} onChange={(_, data) => setSearch({ days: data.value })}>
          {DAYS.map((one) => <option key={one} value={one}>Last {one} days</option>)}
        </Select>
        <div role="group" aria-label="Kind" className="toolbar">
          {risks.data && kindsOf(all, search.kind).map(([kind, count]) => (
            <ToggleButton key={kind} size="small" checked={search.kind === kind} onClick={() => setSearch({ kind: search.kind === kind ? undefined : kind })}><Text text={kind} /> {showCount(count)}</ToggleButton>
          ))}
        </div>
        <Find label="Find in names" text={search.text ?? ""} onChange={(text) => setSearch({ text: text || undefined })} />
        <span className="grow" />
        <span className="quiet keys-hint"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> opens the newest incident</span>
      </div>
      <Answered query={risks}>
        {() => (
          <>
            {all.length >= RISKS_MAX && <MessageBar intent="info"><MessageBarBody>The worst {showCount(RISKS_MAX)} are shown; look at fewer days to see less.</MessageBarBody></MessageBar>}
            {list.length === 0 ? <p>{all.length === 0 ? "Nothing speaks against anybody: no alert of these days names a host, account or address." : `None meets this. To see more, ${[search.text && "find another name", search.kind && "press the chosen kind again"].filter(Boolean).join(" or ")}.`}</p> : <List list={list} place={place} days={days} point={(risk) => setSearch({ at: risk.entity })} />}
            <details className="quiet">
              <summary>How the score is reckoned</summary>
              <p>Each rule counts once, with its worst alert: Informational 1, Low 5, Medium 20, High 60. More of its alerts add half of that with every doubling of their number, and three days halve it. What was closed as benign or false positive does not count.</p>
            </details>
          </>
        )}
      </Answered>
    </>
  );
}

const NONE: EntityRisk[] = [];

function List({ list, place, days, point }: { list: EntityRisk[]; place: number; days: string; point(risk: EntityRisk): void }) {
  const zone = useZone();
  const rules = useRules();
  const line = useRef<HTMLTableRowElement>(null);
  useEffect(() => scrollTo(line.current), [place]);
  const titles = useMemo(() => new Map((rules.data ?? []).map((rule) => [rule.rule_id, rule.title])), [rules.data]);
  const worst = Math.max(...list.map(({ score }) => score));
  return (
    <div className="scroll-x" tabIndex={0} role="group" aria-label="Risks">
      <table className="plain queue">
        <thead>
          <tr><th scope="col">Score</th><th scope="col">Kind</th><th scope="col">Who or what</th><th scope="col">Rules</th><th scope="col" className="number">Alerts</th><th scope="col">Incidents</th><th scope="col">Last alert</th><th scope="col">Look up</th></tr>
        </thead>
        <tbody>
          {list.map((risk, index) => {
            const { kind, name } = splitEntity(risk.entity);
            return (
              <tr key={risk.entity} ref={index === place ? line : null} className={index === place ? "chosen" : ""} aria-current={index === place || undefined} onClick={(event) => isForLine(event.target) && point(risk)}>
                <td className="score">
                  <span className={`severity ${weightOf(risk.score)}`}>{showCount(risk.score)}</span>
                  <span aria-hidden="true" className="score-bar"><span style={{ width: `${(100 * risk.score) / worst}%` }} /></span>
                </td>
                <td>{kind}</td>
                <td className="wrap"><code><Text text={name} /></code></td>
                <td className="wrap"><Rules ids={risk.rule_ids} titles={titles} /></td>
                <td className="number">{showCount(risk.alerts)}</td>
                <td><Incidents numbers={risk.incidents} /></td>
                <td className="time" title={showTime(risk.last, zone)}>{showAge(secondsSince(risk.last))} ago</td>
                <td className="time">
                  <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `search ${quote(name)}\n| order by TimeGenerated desc`, range: `${days}d` }) as never}>Events</Link>{" · "}
                  <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `SecurityAlert\n| where Entities has ${quote(name)}\n| order by TimeGenerated desc`, range: `${days}d` }) as never}>Alerts</Link>
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Rules({ ids, titles }: { ids: string[]; titles: Map<string, string> }) {
  return (
    <>
      {ids.slice(0, RULES_NAMED).map((id) => (
        <div key={id}><Link to="/rules" search={(previous) => ({ tz: previous.tz, rule: id }) as never}><Text text={titles.get(id) ?? id} /></Link></div>
      ))}
      {ids.length > RULES_NAMED && <div className="quiet">and {plural(ids.length - RULES_NAMED, "more rule")}</div>}
    </>
  );
}

/** The newest first. */
function Incidents({ numbers }: { numbers: number[] }) {
  const newest = [...numbers].sort((a, b) => b - a);
  return (
    <>
      {newest.slice(0, INCIDENTS_NAMED).map((number, index) => (
        <span key={number}>{index > 0 && ", "}<Link to="/incidents/$number" params={{ number: String(number) }} search={(previous: { tz?: string }) => ({ tz: previous.tz }) as never}>{number}</Link></span>
      ))}
      {newest.length > INCIDENTS_NAMED && <span className="quiet"> and {newest.length - INCIDENTS_NAMED} more</span>}
    </>
  );
}
