// One incident: what it is, who has it, what happened in which order, what it rests on, and what was said and done.
import { Button, Field, Input, Select, Spinner, Tab, TabList, Textarea } from "@fluentui/react-components";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { Failure } from "../app/Failure";
import { useMayRespond, useSession, useZone } from "../app/session";
import { plural } from "../parts/numbers";
import { Page, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime, type Zone } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { useKeys } from "../parts/useKeys";
import { AssignDialog } from "./AssignDialog";
import { CloseDialog } from "./CloseDialog";
import { AlertEvidence } from "./AlertEvidence";
import { Entities } from "./Entities";
import { actionDetail, actionText, addComment, changeIncident, SEVERITIES, timeline, type Change, type Incident, type IncidentDetails, type Moment, type Severity } from "./incidents";
import { SeverityWord, verdictText } from "./IncidentsPage";
import { useIncident, useReread } from "./useIncidents";

const VIEWS = ["overview", "evidence", "activity"] as const;
type View = (typeof VIEWS)[number];
/** Lines of the timeline that are drawn. */
const MOMENTS_MAX = 500;

export function IncidentPage() {
  const { number } = useParams({ from: "/incidents/$number" });
  const isNumber = /^[1-9]\d{0,14}$/.test(number);
  if (!isNumber) {
    return (
      <Page title="Incident">
        <p>“<Text text={number} />” is no number of an incident. <Link to="/incidents">The queue</Link></p>
      </Page>
    );
  }
  return <Numbered number={Number(number)} />;
}

function Numbered({ number }: { number: number }) {
  const details = useIncident(number);
  const search = useSearch({ from: "/incidents/$number" }) as { view?: string };
  const navigate = useNavigate({ from: "/incidents/$number" });
  const view: View = VIEWS.find((one) => one === search.view) ?? "overview";
  const setView = (chosen: string) => void navigate({ search: (previous: object) => ({ ...previous, view: chosen === "overview" ? undefined : chosen }) as never, replace: true });
  if (details.isPending) return <Page title={`Incident ${number}`}><Spinner label="Reading the incident" /></Page>;
  if (!details.data) return <Page title={`Incident ${number}`}><Failure error={details.error} retry={() => void details.refetch()} /></Page>;
  const { incident, alerts, activity } = details.data;
  return (
    <main className="page incident">
      <Link to="/incidents" search={(previous: { tz?: string }) => ({ tz: previous.tz }) as never} className="quiet">All incidents</Link>
      <Head incident={incident} />
      {details.isError && <Failure error={details.error} title="This is as it was read before" />}
      <TabList selectedValue={view} onTabSelect={(_, data) => setView(String(data.value))}>
        <Tab value="overview">What happened</Tab>
        <Tab value="evidence">Evidence: {plural(alerts.length, "alert")}</Tab>
        <Tab value="activity">Comments and activity ({incident.comments.length + activity.length})</Tab>
      </TabList>
      {view === "overview" && <Overview details={details.data} />}
      {view === "evidence" && alerts.map((alert) => <AlertEvidence key={alert.id} alert={alert} />)}
      {view === "activity" && <Discussion details={details.data} />}
    </main>
  );
}

function Head({ incident }: { incident: Incident }) {
  const zone = useZone();
  const { session } = useSession();
  const mayRespond = useMayRespond();
  const reread = useReread();
  const navigate = useNavigate();
  const { dialog, open } = useDialog();
  const [error, setError] = useState<unknown>();
  const isClosed = incident.status === "Closed";
  const change = async (wanted: Change) => {
    await changeIncident(incident, wanted);
    await reread();
  };
  const attempt = (wanted: Change) => {
    setError(undefined);
    change(wanted).catch((problem: unknown) => {
      setError(problem);
      // Somebody else may have been faster: what they did is shown beside the refusal.
      void reread();
    });
  };
  useKeys({
    a: () => mayRespond && open("assign"),
    c: () => mayRespond && !isClosed && open("close"),
    Escape: () => void navigate({ to: "/incidents", search: (previous) => ({ tz: previous.tz }) as never }),
  });
  return (
    <>
      <header className={`verdict ${incident.severity === "High" && !isClosed ? "critical" : isClosed ? "" : "serious"}`}>
        <div className="grow">
          <h1><Text text={incident.title} /></h1>
          <p className="quiet">
            Incident {incident.number} · {verdictText(incident)} · {incident.owner === "" ? "nobody works on it" : <>with <Text text={incident.owner} /></>} · since {showAge(secondsSince(incident.created))}
          </p>
        </div>
        <SeverityWord severity={incident.severity} />
      </header>
      {mayRespond && (
        <div className="toolbar" role="toolbar" aria-label="This incident">
          {incident.owner !== session.name && !isClosed && <Button appearance="primary" onClick={() => attempt({ owner: session.name ?? "", ...(incident.status === "New" ? { status: "Active" } : {}) })}>I take it</Button>}
          <Button title="a" onClick={() => open("assign")}>Assign…</Button>
          {isClosed ? <Button onClick={() => attempt({ status: "Active" })}>Open again</Button> : <Button title="c" onClick={() => open("close")}>Close…</Button>}
          <Select aria-label="Severity" value={incident.severity} onChange={(_, data) => attempt({ severity: data.value as Severity })}>
            {SEVERITIES.map((severity) => <option key={severity} value={severity}>Severity {severity}</option>)}
          </Select>
        </div>
      )}
      {error !== undefined && <Failure error={error} title="Not changed" />}
      {incident.verdict && (
        <p className="panel">
          <strong>{verdictText(incident)}</strong>{incident.closed && <span className="quiet"> · {showTime(incident.closed, zone).slice(0, 19)}</span>}
          <br />
          <Text text={incident.verdict.reason} />
        </p>
      )}
      {mayRespond && !isClosed && dialog === "close" && <CloseDialog incidents={[incident]} close={() => open(undefined)} act={change} />}
      {mayRespond && dialog === "assign" && <AssignDialog incidents={[incident]} close={() => open(undefined)} act={(owner) => change({ owner })} />}
    </>
  );
}

function Overview({ details }: { details: IncidentDetails }) {
  const zone = useZone();
  const { incident, alerts } = details;
  return (
    <div className="home-body">
      <div className="home-side">
        {incident.description && <p><Text text={incident.description} /></p>}
        <Timeline moments={timeline(details)} zone={zone} />
      </div>
      <div className="home-side">
        <dl className="facts">
          <dt>First event</dt><dd>{showTime(incident.first_activity, zone).slice(0, 19)}</dd>
          <dt>Last event</dt><dd>{showTime(incident.last_activity, zone).slice(0, 19)}, {showAge(secondsSince(incident.last_activity))} ago</dd>
          <dt>Alerts</dt><dd>{plural(alerts.length, "alert")} of {plural(incident.rule_ids.length, "rule")}</dd>
          {incident.tactics.length > 0 && <><dt>Tactics</dt><dd><Text text={incident.tactics.join(", ")} /></dd></>}
          {incident.techniques.length > 0 && <><dt>Techniques</dt><dd><Text text={incident.techniques.join(", ")} /></dd></>}
          {incident.products.length > 0 && <><dt>Raised by</dt><dd><Text text={incident.products.join(", ")} /></dd></>}
          <dt>Changed last</dt><dd>{showTime(incident.last_modified, zone).slice(0, 19)} by <Text text={incident.modified_by} /></dd>
        </dl>
        <Labels incident={incident} />
        <Section title="Who and what it is about"><Entities incident={incident} /></Section>
      </div>
    </div>
  );
}

function Timeline({ moments, zone }: { moments: Moment[]; zone: Zone }) {
  const days = new Set(moments.map((moment) => showTime(moment.at, zone).slice(0, 10)));
  const years = new Set([...days].map((day) => day.slice(0, 4)));
  const begin = days.size === 1 ? 11 : years.size === 1 ? 5 : 0;
  return (
    <Section title="Timeline">
      <ol className="timeline">
        {moments.slice(0, MOMENTS_MAX).map((moment, index) => (
          <li key={index} className={moment.kind}>
            <span className="timeline-when" title={showTime(moment.at, zone)}>{showTime(moment.at, zone).slice(begin, 19)}</span>
            <span className="timeline-what">
              <span className="only-read">{moment.kind}: </span>
              <Text text={moment.what} />
              <span className="quiet"><Text text={moment.detail} />{moment.until && moment.until !== moment.at && `, until ${showTime(moment.until, zone).slice(11, 19)}`}</span>
            </span>
          </li>
        ))}
      </ol>
      {moments.length > MOMENTS_MAX && <p className="quiet">{moments.length - MOMENTS_MAX} later moments are not drawn; the evidence lists all.</p>}
      <p className="quiet">{days.size === 1 && `All on ${[...days][0]}. `}Grey: events; coloured: alerts; hollow: what people and grouping did.</p>
    </Section>
  );
}

function Labels({ incident }: { incident: Incident }) {
  const mayRespond = useMayRespond();
  const reread = useReread();
  const [label, setLabel] = useState("");
  const [error, setError] = useState<unknown>();
  const set = async (labels: string[]) => {
    setError(undefined);
    try {
      await changeIncident(incident, { labels });
      setLabel("");
      await reread();
    } catch (problem) {
      setError(problem);
    }
  };
  const add = (event: FormEvent) => {
    event.preventDefault();
    if (label.trim() !== "") void set([...new Set([...incident.labels, label.trim()])]);
  };
  if (!mayRespond && incident.labels.length === 0) return null;
  return (
    <div>
      <div className="toolbar">
        {incident.labels.map((one) => (
          <span key={one} className="chip">
            <Text text={one} />
            {mayRespond && <button type="button" aria-label={`Remove the label ${one}`} onClick={() => void set(incident.labels.filter((other) => other !== one))}>×</button>}
          </span>
        ))}
        {mayRespond && (
          <form onSubmit={add}><Input size="small" placeholder="Add a label" aria-label="Add a label" value={label} onChange={(_, data) => setLabel(data.value)} /></form>
        )}
      </div>
      {error !== undefined && <Failure error={error} title="Labels were not changed" />}
    </div>
  );
}

function Discussion({ details }: { details: IncidentDetails }) {
  const zone = useZone();
  const { incident, alerts, activity } = details;
  return (
    <div className="home-body">
      <Section title="Comments">
        <ul className="comments">
          {incident.comments.map((comment, index) => (
            <li key={index} className="panel">
              <div className="quiet"><Text text={comment.author} /> · {showTime(comment.at, zone).slice(0, 19)}</div>
              <div className="comment-text"><Text text={comment.text} /></div>
            </li>
          ))}
        </ul>
        {incident.comments.length === 0 && <p className="quiet">Nobody has said anything yet.</p>}
        <AddComment number={incident.number} />
      </Section>
      <Section title="Activity">
        <table className="plain">
          <thead><tr><th scope="col">When</th><th scope="col">Who</th><th scope="col">What</th></tr></thead>
          <tbody>
            {[...activity].reverse().map((entry, index) => (
              <tr key={index}>
                <td className="time">{showTime(entry.at, zone).slice(0, 19)}</td>
                <td><Text text={entry.actor} /></td>
                <td className="wrap">{actionText(entry.action)}{entry.text && <div className="quiet"><Text text={actionDetail(entry, alerts)} /></div>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Section>
    </div>
  );
}

function AddComment({ number }: { number: number }) {
  const mayRespond = useMayRespond();
  const reread = useReread();
  const [text, setText] = useState("");
  const [error, setError] = useState<unknown>();
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setError(undefined);
    try {
      await addComment(number, text.trim());
      setText("");
      await reread();
    } catch (problem) {
      setError(problem);
    }
  };
  if (!mayRespond) return null;
  return (
    <form className="form" onSubmit={(event) => void submit(event)}>
      <Field label="Add a comment"><Textarea value={text} rows={3} onChange={(_, data) => setText(data.value)} /></Field>
      {error !== undefined && <Failure error={error} title="Not added" />}
      <div><Button type="submit" disabled={text.trim() === ""}>Add</Button></div>
    </form>
  );
}
