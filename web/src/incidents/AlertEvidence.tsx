// An alert of an incident: why it was raised, and each event it rests on with its proof checked in this browser.
import { Button } from "@fluentui/react-components";
import { useMutation, useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { sendForText } from "../api/client";
import { Failure } from "../app/Failure";
import { readPreference } from "../app/preferences";
import { useMayAdmin, useZone } from "../app/session";
import { Fields } from "../parts/Fields";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { tableOnly } from "../query/filters";
import { ProofState } from "../verify/ProofState";
import { download } from "../results/exports";
import { ANYWHERE, conditionsOf } from "../rules/exceptions";
import { Explanation } from "../rules/Explanation";
import { RuleCondition } from "../rules/RuleCondition";
import { useRules } from "../rules/rules";
import { SeverityWord } from "./IncidentsPage";
import type { Evidence, IncidentAlert } from "./incidents";

export function AlertEvidence({ alert }: { alert: IncidentAlert }) {
  const zone = useZone();
  const mayAdmin = useMayAdmin();
  const rules = useRules();
  const rule = rules.data?.find((one) => one.rule_id === alert.rule_id);
  // What Moneta watches itself has an id of this form and no rule to open.
  const isAlarm = alert.rule_id.startsWith("moneta/");
  const isListed = rules.data === undefined || rule !== undefined;
  const [showsRule, setShowsRule] = useState(false);
  const fields = new Set(alert.events.flatMap((event) => event.fields.map(([name]) => (name === ANYWHERE ? "words anywhere in it" : name))));
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
        {isListed && <Button size="small" aria-expanded={showsRule} onClick={() => setShowsRule(!showsRule)}>What the rule looks for</Button>}
        {!isAlarm && <Link className="button-link" to="/rules" search={(previous) => ({ tz: previous.tz, rule: alert.rule_id }) as never}>The rule</Link>}
        <Link className="button-link" to="/incidents" search={(previous) => ({ tz: previous.tz, rule: alert.rule_id, state: "all" }) as never}>Its other incidents</Link>
        <Link className="button-link" to="/alerts" search={(previous) => ({ tz: previous.tz, rule: alert.title, range: "30d", alert: alert.id }) as never}>Related alerts</Link>
        {mayAdmin && isListed && <Link className="button-link" to="/rules" search={(previous) => ({ tz: previous.tz, view: "exceptions", except: alert.rule_id, where: whereOf(alert) }) as never}>Except such events…</Link>}
        <SaveEvidence alert={alert} />
        {!isListed && <span className="quiet">It is not among the rules that run or rest: Moneta watches for this itself, or the rule was removed or cannot run.</span>}
        <span className="quiet">{alert.rule_author && <>rule by <Text text={alert.rule_author} /></>}</span>
      </div>
      {showsRule && <RuleCondition ruleId={alert.rule_id} />}
      <p className="quiet">
        {alert.events.length === 0 ? "It rests on no event." : fields.size > 0 ? `It matched because of ${[...fields].join(", ")}: the values stand with each event.` : "It rests on how many events there were, not on a single value."}
        {alert.event_count > alert.events.length && ` The first ${plural(alert.events.length, "event")} of ${alert.event_count} are listed.`}
      </p>
      {alert.events.map((event) => <EventEvidence key={`${event.table}/${event.seq}`} event={event} explainer={rule?.enabled ? rule.rule_id : undefined} />)}
    </section>
  );
}

/** Fetches the proofs of the alert and of all its events, and saves them as the one file that an auditor checks. */
function SaveEvidence({ alert }: { alert: IncidentAlert }) {
  const save = useMutation({
    mutationFn: async () => download(`alert-${alert.id}.proof`, "text/plain", await sendForText(alert.evidence)),
  });
  return (
    <>
      <Button size="small" disabled={save.isPending} title="For moneta-verify alert" onClick={() => save.mutate()}>
        Save the evidence with its proofs
      </Button>
      {save.isError && <Failure error={save.error} title="The evidence could not be proved" />}
    </>
  );
}

/** Conditions that the events of an alert meet: their fields, or where those have no name the machine. */
function whereOf(alert: IncidentAlert): string {
  const named = conditionsOf(alert.events.flatMap((event) => event.fields));
  return JSON.stringify(named.length > 0 ? named : conditionsOf(alert.events.map((event) => ["Computer", event.computer])));
}

interface EventEvidenceProps {
  event: Evidence;
  /** The rule that can say why it matched; absent where none can. */
  explainer: string | undefined;
}

function EventEvidence({ event, explainer }: EventEvidenceProps) {
  const zone = useZone();
  const [isAsked, setAsked] = useState(false);
  const [showsWhy, setShowsWhy] = useState(false);
  const keyText = readPreference("ledgerKey", "");
  return (
    <div className="evidence">
      <div className="toolbar">
        <span>{event.time === "" ? "time unknown" : showTime(event.time, zone)}</span>
        <span className="quiet"><Text text={[event.computer, `${event.table} ${event.seq}`].filter(Boolean).join(" · ")} /></span>
        <span className="grow" />
        {event.proof && <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: `${tableOnly(event.table)}\n| where _Seq == ${event.seq}`, range: "all" }) as never}>The whole event</Link>}
        {event.proof && explainer && <Button size="small" aria-expanded={showsWhy} onClick={() => setShowsWhy(!showsWhy)}>Why it matched</Button>}
        {event.proof && !isAsked && <Button size="small" onClick={() => setAsked(true)}>Verify this event</Button>}
      </div>
      {isAsked && event.proof && <Checked table={event.table} seq={String(event.seq)} keyText={keyText} />}
      <Fields fields={event.fields} />
      {showsWhy && explainer && <Explanation ruleId={explainer} table={event.table} seq={event.seq} />}
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
