// An alert of an incident: why it was raised, and each event it rests on with its proof checked in this browser.
import { Button } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { readPreference } from "../app/preferences";
import { useZone } from "../app/session";
import { Fields } from "../parts/Fields";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { ProofState } from "../verify/ProofState";
import { RuleCondition } from "../rules/RuleCondition";
import { SeverityWord } from "./IncidentsPage";
import type { Evidence, IncidentAlert } from "./incidents";

export function AlertEvidence({ alert }: { alert: IncidentAlert }) {
  const zone = useZone();
  const [showsRule, setShowsRule] = useState(false);
  const fields = new Set(alert.events.flatMap((event) => event.fields.map(([name]) => name)));
  return (
    <section className="panel" aria-label={`Alert ${alert.title}`}>
      <div className="section-head">
        <SeverityWord severity={alert.severity} />
        <h2><Text text={alert.title} /></h2>
        <span className="grow" />
        <span className="quiet">raised {showTime(alert.raised, zone).slice(0, 19)}</span>
      </div>
      <p><Text text={alert.description} /></p>
      <div className="toolbar">
        <Button size="small" aria-expanded={showsRule} onClick={() => setShowsRule(!showsRule)}>What the rule looks for</Button>
        <Link className="button-link" to="/rules" search={(previous) => ({ tz: previous.tz, rule: alert.rule_id }) as never}>The rule</Link>
        <Link className="button-link" to="/incidents" search={(previous) => ({ tz: previous.tz, rule: alert.rule_id, state: "all" }) as never}>Its other incidents</Link>
        <Link className="button-link" to="/alerts" search={(previous) => ({ tz: previous.tz, rule: alert.title, range: "30d", alert: alert.id }) as never}>Related alerts</Link>
        <span className="quiet">{alert.rule_author && <>rule by <Text text={alert.rule_author} /></>}</span>
      </div>
      {showsRule && <RuleCondition ruleId={alert.rule_id} />}
      <p className="quiet">
        {fields.size > 0 ? `It matched because of ${[...fields].join(", ")}: the values stand with each event.` : "It rests on how many events there were, not on a single value."}
        {alert.event_count > alert.events.length && ` The first ${plural(alert.events.length, "event")} of ${alert.event_count} are listed.`}
      </p>
      {alert.events.map((event) => <EventEvidence key={`${event.table}/${event.seq}`} event={event} />)}
    </section>
  );
}

function EventEvidence({ event }: { event: Evidence }) {
  const zone = useZone();
  const [isAsked, setAsked] = useState(false);
  const keyText = readPreference("ledgerKey", "");
  return (
    <div className="evidence">
      <div className="toolbar">
        <span>{event.time === "" ? "time unknown" : showTime(event.time, zone)}</span>
        <span className="quiet"><Text text={[event.computer, `${event.table} ${event.seq}`].filter(Boolean).join(" · ")} /></span>
        <span className="grow" />
        {event.proof && <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: `${event.table}\n| where _Seq == ${event.seq}`, range: "all" }) as never}>The whole event</Link>}
        {event.proof && !isAsked && <Button size="small" onClick={() => setAsked(true)}>Verify this event</Button>}
      </div>
      {isAsked && event.proof && <Checked table={event.table} seq={String(event.seq)} keyText={keyText} />}
      <Fields fields={event.fields} />
    </div>
  );
}

function Checked({ table, seq, keyText }: { table: string; seq: string; keyText: string }) {
  const outcome = useQuery({
    queryKey: ["proof", table, seq, keyText],
    queryFn: async () => (await import("../verify/check")).fetchAndCheck(table, seq, keyText),
    staleTime: Infinity,
  });
  return (
    <>
      <ProofState outcome={outcome} />
      <Link to="/verify" search={(previous) => ({ tz: previous.tz, table, seq }) as never}>Every step of the proof</Link>
    </>
  );
}
