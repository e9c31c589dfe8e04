// One alert: what matched, the events themselves, and where to go from here.
import { Button, Spinner } from "@fluentui/react-components";
import { DismissRegular } from "@fluentui/react-icons";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { Fields } from "../parts/Fields";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { eventsQuery, fetchAlert, fetchIncidentOf, type Alert, type AlertEvent } from "./alerts";

export function AlertDetail({ id, close, chooseRule }: { id: string; close(): void; chooseRule(rule: string): void }) {
  const alert = useQuery({ queryKey: ["alert", id], queryFn: async () => (await fetchAlert(id)) ?? null });
  return (
    <aside className="alert-detail" aria-label="One alert">
      <div className="inspector-head">
        <h2>{alert.data ? <Text text={alert.data.name} /> : "Alert"}</h2>
        <span className="grow" />
        <Button appearance="subtle" icon={<DismissRegular />} aria-label="Close the alert" onClick={close} />
      </div>
      {alert.isPending && <Spinner label="Reading the alert" />}
      {alert.isError && <Failure error={alert.error} />}
      {alert.data === null && <p>There is no alert of this id. It may be older than the retention of the table.</p>}
      {alert.data && <Detail alert={alert.data} chooseRule={chooseRule} />}
    </aside>
  );
}

function Detail({ alert, chooseRule }: { alert: Alert; chooseRule(rule: string): void }) {
  const zone = useZone();
  return (
    <>
      <WhoHasIt alertId={alert.id} />
      <p><Text text={alert.description} /></p>
      <div className="toolbar">
        <span className={`severity ${alert.severity}`}>{alert.severity}</span>
        <span className="quiet">{alert.status}</span>
        {alert.seqs.length > 0 && (
          <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: eventsQuery(alert), range: "all" }) as never}>
            Query the events
          </Link>
        )}
        <Link className="button-link" to="/rules" search={(previous) => ({ tz: previous.tz, rule: alert.ruleId }) as never}>The rule</Link>
        <Button size="small" onClick={() => chooseRule(alert.name)}>Others of this rule</Button>
      </div>
      <dl className="facts">
        <dt>Raised</dt>
        <dd>{showTime(alert.at, zone)}</dd>
        <dt>Events</dt>
        <dd>
          {plural(alert.eventCount, "event")}{alert.first && `, ${showTime(alert.first, zone)}`}
          {alert.last && alert.last !== alert.first && ` to ${showTime(alert.last, zone)}`}
        </dd>
        {alert.entity && (<><dt>Concerns</dt><dd><Text text={alert.entity} /></dd></>)}
        {alert.tactics && (<><dt>Tactics</dt><dd><Text text={alert.tactics} /></dd></>)}
        {alert.techniques.length > 0 && (<><dt>Techniques</dt><dd><Text text={alert.techniques.join(", ")} /></dd></>)}
        <dt>Rule</dt>
        <dd>level {alert.ruleLevel}{alert.ruleAuthor && <>, by <Text text={alert.ruleAuthor} /></>}</dd>
        <dt>Id</dt>
        <dd><code>{alert.id}</code></dd>
      </dl>
      {alert.matched.length > 0 && (
        <>
          <h3>Why it matched</h3>
          <Fields fields={alert.matched} />
        </>
      )}
      <h3>Evidence</h3>
      {alert.events.length === 0 && <p className="quiet">The alert holds no copy of its events; the query above finds them.</p>}
      {alert.events.map((event) => <Evidence key={`${event.table}/${event.seq}`} event={event} zone={zone} />)}
    </>
  );
}

const REFRESH_MS = 30_000;

/** The incident of the alert: whoever was paged to here takes it there. */
function WhoHasIt({ alertId }: { alertId: string }) {
  const found = useQuery({ queryKey: ["alert-incident", alertId], queryFn: async () => (await fetchIncidentOf(alertId)) ?? null, refetchInterval: REFRESH_MS });
  if (found.isPending) return <Spinner size="tiny" label="Looking for its incident" />;
  if (found.isError) return <Failure error={found.error} title="Its incident was not found" />;
  const incident = found.data;
  if (incident === null) return <p className="quiet">It belongs to no incident yet: one is made a moment after the alert.</p>;
  return (
    <p className="panel">
      <Link to="/incidents/$number" params={{ number: String(incident.number) }} search={(previous: { tz?: string }) => ({ tz: previous.tz }) as never}>
        <strong>Incident {incident.number}</strong>
      </Link>
      {" · "}{incident.status.toLowerCase()} · {incident.owner === "" ? "nobody works on it" : <>with <Text text={incident.owner} /></>}
      {incident.title !== "" && <><br /><span className="quiet"><Text text={incident.title} /></span></>}
    </p>
  );
}

function Evidence({ event, zone }: { event: AlertEvent; zone: "utc" | "local" }) {
  return (
    <div className="evidence">
      <div className="toolbar">
        <span>{showTime(event.time, zone)}</span>
        <span className="quiet"><Text text={[event.computer, `${event.table} ${event.seq}`].filter(Boolean).join(" · ")} /></span>
        <span className="grow" />
        <Link className="button-link" to="/verify" search={(previous) => ({ tz: previous.tz, table: event.table, seq: event.seq }) as never}>
          Verify this event
        </Link>
      </div>
      <Fields fields={event.fields} />
    </div>
  );
}
