// The queue of incidents: how many of what, the worst that waits longest first, and a key for every step.
import { Button, MessageBar, MessageBarBody, MessageBarTitle, Spinner, Tab, TabList, ToggleButton } from "@fluentui/react-components";
import { DismissRegular } from "@fluentui/react-icons";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import { Failure } from "../app/Failure";
import { useMayRespond, useSession, useZone } from "../app/session";
import { Find } from "../parts/Find";
import { isForLine } from "../parts/line";
import { plural, showCount } from "../parts/numbers";
import { Page } from "../parts/Page";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { useKeys } from "../parts/useKeys";
import { AssignDialog } from "./AssignDialog";
import { CloseDialog } from "./CloseDialog";
import {
  aboutText, changeAll, CLASSIFICATIONS, closeIncidents, countOf, QUEUE_MAX, SEVERITIES, STATUSES, type Counts, type Incident, type Outcome, type QueueFilter, type Severity, type Status,
} from "./incidents";
import { Risks, type RiskSearch } from "./Risks";
import { useCounts, useQueue, useReread } from "./useIncidents";

interface IncidentsSearch extends RiskSearch {
  /** `risk`: whom most speaks against, in place of the queue. */
  view?: string;
  state?: string;
  status?: string;
  severity?: string;
  owner?: string;
  rule?: string;
  /** Numbers of the incidents that are chosen, with commas between. */
  chosen?: string;
  /** The dialog that is open: `close:1,2`. */
  dialog?: string;
}

type SetSearch = (change: Partial<Record<keyof IncidentsSearch, string | undefined>>) => void;

/** Entities that a line of the queue names. */
const ENTITIES_SHOWN = 3;
/** What the address says for incidents that nobody works on. */
const NOBODY = "-";

export function IncidentsPage() {
  const search = useSearch({ from: "/incidents" }) as IncidentsSearch;
  const navigate = useNavigate({ from: "/incidents" });
  const setSearch: SetSearch = (change) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const counts = useCounts();
  const isRisk = search.view === "risk";
  return (
    <Page title="Incidents" tools={<Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: "SecurityIncident\n| summarize arg_max(_Seq, *) by IncidentNumber\n| order by IncidentNumber desc", range: "all" }) as never}>As a query</Link>}>
      <ViewTabs view={isRisk ? "risk" : filterOf(search).state} counts={counts.data} choose={(change) => setSearch({ ...change, status: undefined, at: undefined, chosen: undefined, ...(change.view === search.view ? {} : { text: undefined }) })} />
      {isRisk ? <Risks search={search} setSearch={setSearch} /> : <QueueView search={search} setSearch={setSearch} counts={counts.data} />}
    </Page>
  );
}

function QueueView({ search, setSearch, counts }: { search: IncidentsSearch; setSearch: SetSearch; counts: Counts | undefined }) {
  const navigate = useNavigate({ from: "/incidents" });
  const { session } = useSession();
  const mayRespond = useMayRespond();
  const reread = useReread();
  const filter = useMemo(() => filterOf(search), [search]);
  const queue = useQueue(filter);
  const list = queue.data?.incidents ?? [];
  const chosen = useMemo(() => parseChosen(search.chosen), [search.chosen]);
  const setChosen = (numbers: Iterable<number>) => setSearch({ chosen: [...numbers].join(",") || undefined });
  const { dialog, subject, open: setDialog } = useDialog();
  const [outcome, setOutcome] = useState<Outcome>();

  const found = list.findIndex((incident) => String(incident.number) === search.at);
  const place = Math.max(0, found);
  const current = list[place];
  const selected = list.filter((incident) => chosen.has(incident.number));
  const meant = selected.length > 0 ? selected : current ? [current] : [];
  const open = meant.filter((incident) => incident.status !== "Closed");
  const numbers = (incidents: Incident[]) => incidents.map(({ number }) => number).join(",");
  const assign = () => setDialog("assign", numbers(meant));
  const closeThem = () => setDialog("close", numbers(open));
  // The queue goes on while a dialog is open: it stays about what it was opened for, as that is now, and as it was last seen
  // where it left the queue.
  const seen = useRef(new Map<number, Incident>());
  for (const incident of list) seen.current.set(incident.number, incident);
  const asked = [...parseChosen(subject)].flatMap((number) => seen.current.get(number) ?? []);
  const go = (to: number) => {
    const next = list[Math.max(0, Math.min(list.length - 1, to))];
    if (next) setSearch({ at: String(next.number) });
  };
  const show = (incident: Incident | undefined) => {
    if (incident) void navigate({ to: "/incidents/$number", params: { number: String(incident.number) }, search: (previous: { tz?: string }) => ({ tz: previous.tz }) as never });
  };
  const toggle = (number: number) => {
    const next = new Set(chosen);
    if (!next.delete(number)) next.add(number);
    setChosen(next);
  };
  const finish = async (result: Outcome) => {
    setOutcome(result);
    setSearch({ chosen: undefined, dialog: undefined });
    await reread();
  };
  useKeys({
    j: () => go(place + 1),
    k: () => go(place - 1),
    ArrowDown: () => go(place + 1),
    ArrowUp: () => go(place - 1),
    x: () => current && mayRespond && toggle(current.number),
    a: () => mayRespond && meant.length > 0 && assign(),
    c: () => mayRespond && open.length > 0 && closeThem(),
    Escape: () => setChosen([]),
    Enter: () => show(current),
  });

  return (
    <>
      <div className="toolbar">
        <div role="group" aria-label="Severity" className="toolbar">
          {SEVERITIES.map((severity) => (
            <ToggleButton key={severity} size="small" checked={filter.severity === severity} onClick={() => setSearch({ severity: filter.severity === severity ? undefined : severity })}>
              <span className={`severity ${severity}`}>
                {severity} {counts ? showCount(countOf(counts, statusesOf(filter), [severity])) : ""}
              </span>
            </ToggleButton>
          ))}
        </div>
        <div role="group" aria-label="Owner" className="toolbar">
          <ToggleButton size="small" checked={search.owner === session.name} onClick={() => setSearch({ owner: search.owner === session.name ? undefined : (session.name ?? undefined) })}>Mine</ToggleButton>
          <ToggleButton size="small" checked={search.owner === NOBODY} onClick={() => setSearch({ owner: search.owner === NOBODY ? undefined : NOBODY })}>Nobody’s</ToggleButton>
        </div>
        <Find label="Find in titles" text={search.text ?? ""} onChange={(text) => setSearch({ text: text || undefined })} />
        {search.rule && (
          <Button size="small" icon={<DismissRegular />} iconPosition="after" onClick={() => setSearch({ rule: undefined })}>Rule: <Text text={search.rule} /></Button>
        )}
      </div>
      {outcome && <Done outcome={outcome} close={() => setOutcome(undefined)} />}
      {mayRespond && (
        <div className="toolbar" role="toolbar" aria-label="Chosen incidents">
          <span className="quiet">{selected.length > 0 ? `${plural(selected.length, "incident")} chosen` : current ? `Incident ${current.number}` : "No incident"}</span>
          <Button size="small" title="a" disabled={meant.length === 0} onClick={assign}>Assign</Button>
          <Button size="small" title="c" disabled={open.length === 0} onClick={closeThem}>Close</Button>
          {selected.length > 0 && <Button size="small" appearance="subtle" title="Escape" onClick={() => setChosen([])}>Choose none</Button>}
          <span className="grow" />
          <span className="quiet keys-hint"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> opens, <kbd>x</kbd> chooses, <kbd>a</kbd> assigns, <kbd>c</kbd> closes</span>
        </div>
      )}
      {queue.isPending && <Spinner label="Reading incidents" />}
      {queue.isError && <Failure error={queue.error} retry={() => void queue.refetch()} />}
      {queue.data?.isCut && <MessageBar intent="info"><MessageBarBody>The newest {showCount(QUEUE_MAX)} are shown; narrow the list to see others.</MessageBarBody></MessageBar>}
      {queue.isSuccess && list.length === 0 && <p>{filter.state === "open" ? "No open incident meets this. Nothing waits for you here." : "No incident meets this."}</p>}
      {list.length > 0 && (
        <List
          list={list}
          place={place}
          chosen={chosen}
          mayChoose={mayRespond}
          toggle={toggle}
          chooseAll={(all) => setChosen(all ? list.map((incident) => incident.number) : [])}
          point={(incident) => setSearch({ at: String(incident.number) })}
        />
      )}
      {mayRespond && dialog === "close" && asked.length > 0 && <CloseDialog incidents={asked} close={() => setDialog(undefined)} act={async (verdict) => finish(await closeIncidents(asked, verdict))} />}
      {mayRespond && dialog === "assign" && asked.length > 0 && <AssignDialog incidents={asked} close={() => setDialog(undefined)} act={async (owner) => finish(await changeAll(asked, { owner }))} />}
    </>
  );
}

function filterOf(search: IncidentsSearch): QueueFilter {
  const state = search.state === "closed" || search.state === "all" ? search.state : "open";
  return {
    state,
    severity: SEVERITIES.find((severity) => severity === search.severity),
    status: STATUSES.find((status) => status === search.status),
    ...(search.owner === undefined ? {} : { owner: search.owner === NOBODY ? "" : search.owner }),
    rule: search.rule,
    text: search.text,
  };
}

/** Numbers as the address has them; what is none is left out. */
function parseChosen(text = ""): ReadonlySet<number> {
  return new Set(text.split(",").filter((one) => /^[1-9]\d{0,14}$/.test(one)).map(Number));
}

function statusesOf(filter: QueueFilter): Status[] {
  if (filter.status) return [filter.status];
  return filter.state === "all" ? [...STATUSES] : filter.state === "closed" ? ["Closed"] : ["New", "Active"];
}

function ViewTabs({ view, counts, choose }: { view: string; counts: Counts | undefined; choose(change: { view?: string | undefined; state: string | undefined }): void }) {
  const number = (statuses: Status[]) => (counts ? ` ${showCount(countOf(counts, statuses))}` : "");
  const select = (value: string) => choose({ view: value === "risk" ? value : undefined, state: value === "closed" || value === "all" ? value : undefined });
  return (
    <TabList selectedValue={view} onTabSelect={(_, data) => select(String(data.value))}>
      <Tab value="open">Open{number(["New", "Active"])}{counts && <span className="quiet"> ({showCount(countOf(counts, ["New"]))} new, {showCount(countOf(counts, ["Active"]))} active)</span>}</Tab>
      <Tab value="closed">Closed{number(["Closed"])}</Tab>
      <Tab value="all">All{number([...STATUSES])}</Tab>
      <Tab value="risk">Risk by host and account</Tab>
    </TabList>
  );
}

function Done({ outcome, close }: { outcome: Outcome; close(): void }) {
  return (
    <MessageBar intent={outcome.refused.length > 0 ? "warning" : "success"} layout="multiline">
      <MessageBarBody>
        <MessageBarTitle>{plural(outcome.done, "incident")} changed{outcome.refused.length > 0 && `, ${outcome.refused.length} not`}</MessageBarTitle>
        {outcome.refused.length > 0 && (
          <ul>
            {outcome.refused.map(({ number, problem }) => <li key={number}>{number}: <Text text={problem} /></li>)}
          </ul>
        )}{" "}
        <Button size="small" appearance="subtle" onClick={close}>Seen</Button>
      </MessageBarBody>
    </MessageBar>
  );
}

interface ListProps {
  list: Incident[];
  place: number;
  chosen: ReadonlySet<number>;
  mayChoose: boolean;
  toggle(number: number): void;
  chooseAll(all: boolean): void;
  point(incident: Incident): void;
}

function List({ list, place, chosen, mayChoose, toggle, chooseAll, point }: ListProps) {
  const zone = useZone();
  const line = useRef<HTMLTableRowElement>(null);
  useEffect(() => scrollTo(line.current), [place]);
  const isAll = list.every((incident) => chosen.has(incident.number));
  return (
    <div className="scroll-x" tabIndex={0} role="group" aria-label="Incidents">
      <table className="plain queue">
        <thead>
          <tr>
            {mayChoose && <th scope="col"><input type="checkbox" aria-label="Choose all" checked={isAll} onChange={(event) => chooseAll(event.target.checked)} /></th>}
            <th scope="col" className="number">No.</th><th scope="col">Severity</th><th scope="col">What</th><th scope="col">State</th>
            <th scope="col">Owner</th><th scope="col">Since</th><th scope="col">Last event</th>
          </tr>
        </thead>
        <tbody>
          {list.map((incident, index) => (
            <tr key={incident.number} ref={index === place ? line : null} className={index === place ? "chosen" : ""} aria-current={index === place || undefined} onClick={(event) => isForLine(event.target) && point(incident)}>
              {mayChoose && (
                <td><input type="checkbox" aria-label={`Choose incident ${incident.number}`} checked={chosen.has(incident.number)} onChange={() => toggle(incident.number)} /></td>
              )}
              <td className="number">{incident.number}</td>
              <td><SeverityWord severity={incident.severity} /></td>
              <td className="wrap">
                <Link to="/incidents/$number" params={{ number: String(incident.number) }} search={(previous: { tz?: string }) => ({ tz: previous.tz }) as never}>
                  <strong><Text text={incident.title} /></strong>
                </Link>
                <div className="quiet"><Text text={summaryOf(incident)} /></div>
              </td>
              <td>{verdictText(incident)}</td>
              <td>{incident.owner === "" ? <span className="quiet">nobody</span> : <Text text={incident.owner} />}</td>
              <td className="time" title={showTime(incident.created, zone)}>{showAge(secondsSince(incident.created))}</td>
              <td className="time" title={showTime(incident.last_activity, zone)}>{showAge(secondsSince(incident.last_activity))} ago</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function summaryOf(incident: Incident): string {
  return [
    plural(incident.alert_ids.length, "alert"),
    aboutText(incident, ENTITIES_SHOWN),
    incident.tactics.join(", "),
    incident.labels.join(", "),
  ]
    .filter(Boolean)
    .join(" · ");
}

/** `Closed: false positive`. */
export function verdictText(incident: Incident): string {
  if (!incident.verdict) return incident.status;
  const { classification } = incident.verdict;
  const label = CLASSIFICATIONS.find(({ value }) => value === classification)?.label ?? classification;
  return `${incident.status}: ${label.toLowerCase()}`;
}

export function SeverityWord({ severity }: { severity: Severity }) {
  return <span className={`severity ${severity}`}>{severity}</span>;
}
