// One rule: what it finds, whom it names, whether it runs, what people made of its alerts, its text, and what it would have
// found in what is stored.
import { Button, Spinner, Switch } from "@fluentui/react-components";
import { DismissRegular } from "@fluentui/react-icons";
import { Link } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { send } from "../api/client";
import type { Judgement, RuleDetails, RuleSetReport } from "../api/types";
import { Failure } from "../app/Failure";
import { useMayAdmin, useZone } from "../app/session";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import { showAge, showTime } from "../parts/time";
import { Backfill } from "./Backfill";
import { ExceptionsOf } from "./Exceptions";
import { Hints } from "./Hints";
import { RuleReport, type RuleFile } from "./RuleReport";
import { factsOf, isQueryRule, type RuleFacts } from "./ruleText";
import { useRule, useSetEnabled } from "./rules";

interface RuleDetailProps {
  id: string;
  setSearch(change: Record<string, string | undefined>): void;
  remove: (() => void) | undefined;
}

export function RuleDetail({ id, setSearch, remove }: RuleDetailProps) {
  const rule = useRule(id);
  return (
    <aside className="alert-detail" aria-label="One rule">
      <div className="inspector-head">
        <h2>{rule.data?.rule ? <Text text={rule.data.rule.title} /> : "Rule"}</h2>
        <span className="grow" />
        <Button appearance="subtle" icon={<DismissRegular />} aria-label="Close the rule" onClick={() => setSearch({ rule: undefined })} />
      </div>
      {rule.isPending && <Spinner label="Reading the rule" />}
      {rule.isError && <Failure error={rule.error} title="The rule was not read" />}
      {rule.data && <Detail id={id} details={rule.data} setSearch={setSearch} remove={remove} />}
    </aside>
  );
}

function Detail({ id, details, setSearch, remove }: RuleDetailProps & { details: RuleDetails }) {
  const zone = useZone();
  const mayAdmin = useMayAdmin();
  const setEnabled = useSetEnabled();
  const [error, setError] = useState<unknown>();
  const { rule, source } = details;
  const facts = useMemo(() => factsOf(source.text, id), [source.text, id]);
  const isQuery = useMemo(() => isQueryRule(source.text), [source.text]);
  const turn = (enabled: boolean) => {
    setError(undefined);
    setEnabled(id, enabled).catch(setError);
  };
  return (
    <>
      {facts?.description && <p><Text text={facts.description} /></p>}
      <div className="toolbar">
        {rule ? <span className={`severity ${rule.level}`}>{rule.level}</span> : <span className="bad">stored, and cannot run</span>}
        {rule && <Switch checked={rule.enabled} disabled={!mayAdmin} label={rule.enabled ? "Runs" : "Rests"} onChange={(_, data) => turn(data.checked)} />}
        <span className="grow" />
        {rule && <Link className="button-link" to="/alerts" search={(previous) => ({ tz: previous.tz, rule: rule.title, range: "30d" }) as never}>Its alerts</Link>}
        <Link className="button-link" to="/incidents" search={(previous) => ({ tz: previous.tz, rule: id, state: "all" }) as never}>Its incidents</Link>
        {mayAdmin && <Button size="small" onClick={() => setSearch({ edit: id })}>Edit</Button>}
        {remove && <Button size="small" onClick={remove}>Remove</Button>}
      </div>
      {error !== undefined && <Failure error={error} title="Not changed" />}
      {rule?.problem && <p className="bad">It cannot run: <Text text={rule.problem} /></p>}
      <dl className="facts">
        {rule?.author && <><dt>Author</dt><dd><Text text={rule.author} /></dd></>}
        {rule?.log_source && <><dt>Applies to</dt><dd><Text text={rule.log_source} /></dd></>}
        <dt>Added</dt><dd>{showTime(source.added_at, zone).slice(0, 19)} by <Text text={source.added_by} />, from <Text text={source.file} /></dd>
        <dt>Id</dt><dd><code>{id}</code></dd>
        {facts && <FactLines facts={facts} />}
      </dl>
      <Judged judgement={details.judgement} />
      {rule?.enabled && details.judgement.false_positive + details.judgement.benign_positive > 0 && <Hints ruleId={id} />}
      {facts && facts.references.length > 0 && <References addresses={facts.references} />}
      {facts && facts.tests.length > 0 && <Tests facts={facts} file={{ name: source.file, text: source.text }} />}
      <ExceptionsOf ruleId={id} setSearch={setSearch} />
      {mayAdmin && rule?.enabled && <Backfill rules={[id]} isQuery={isQuery} />}
      {isQuery && <p><Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: facts?.condition ?? "" }) as never}>Its query on the query page</Link></p>}
      <h3>Text</h3>
      <pre className="panel limited" tabIndex={0}><Text text={source.text} /></pre>
    </>
  );
}

function FactLines({ facts }: { facts: RuleFacts }) {
  return (
    <>
      {facts.status && <><dt>Status</dt><dd><Text text={facts.status} />{facts.date && <>, <Text text={facts.date} /></>}</dd></>}
      {facts.tactics.length > 0 && <><dt>Tactics</dt><dd><Text text={facts.tactics.join(", ")} /></dd></>}
      {facts.techniques.length > 0 && <><dt>Techniques</dt><dd>{facts.techniques.join(", ")}</dd></>}
      {facts.otherTags.length > 0 && <><dt>Tags</dt><dd><Text text={facts.otherTags.join(", ")} /></dd></>}
      {facts.falsePositives.length > 0 && <><dt>Also matches</dt><dd><Text text={facts.falsePositives.join("; ")} /></dd></>}
    </>
  );
}

function Judged({ judgement }: { judgement: Judgement }) {
  if (judgement.alerts === 0) return <p className="quiet">No incident has an alert of this rule.</p>;
  const verdicts: [number, string][] = [
    [judgement.true_positive, "true positive"], [judgement.benign_positive, "benign positive"],
    [judgement.false_positive, "false positive"], [judgement.undetermined, "undetermined"], [judgement.open, "open"],
  ];
  return (
    <p>
      {plural(judgement.alerts, "alert")} in incidents: {verdicts.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`).join(", ")}.
      {judgement.precision !== null && ` Right in ${(judgement.precision * 100).toFixed(0)} % of those judged.`}
      {judgement.median_seconds_to_detect !== null && ` An alert comes ${showAge(judgement.median_seconds_to_detect)} after its last event, at the median.`}
    </p>
  );
}

/** Addresses stand as text: a page of Moneta leads nowhere else by itself. */
function References({ addresses }: { addresses: string[] }) {
  return (
    <>
      <h3>References</h3>
      <ul>{addresses.map((address) => <li key={address} className="wrap"><code><Text text={address} /></code></li>)}</ul>
    </>
  );
}

function Tests({ facts, file }: { facts: RuleFacts; file: RuleFile }) {
  const mayAdmin = useMayAdmin();
  const [answer, setAnswer] = useState<{ report: RuleSetReport } | { error: unknown }>();
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setAnswer(await send<RuleSetReport>("POST", "/v1/rules/check", { body: { files: [file] } }).then((report) => ({ report }), (error: unknown) => ({ error })));
    setBusy(false);
  };
  return (
    <>
      <h3>Its tests</h3>
      <table className="plain">
        <thead><tr><th scope="col">Test</th><th scope="col">Table</th><th scope="col" className="number">Events</th><th scope="col">Must</th></tr></thead>
        <tbody>
          {facts.tests.map((test, index) => (
            <tr key={index}><td className="wrap"><Text text={test.name} /></td><td><Text text={test.table} /></td><td className="number">{test.events}</td><td>{test.matches ? "match" : "not match"}</td></tr>
          ))}
        </tbody>
      </table>
      {mayAdmin && <div className="toolbar"><Button size="small" disabled={isBusy} onClick={() => void run()}>Run tests</Button>{isBusy && <Spinner size="tiny" label="They run" />}</div>}
      <div role="status">
        {answer && "report" in answer && <RuleReport files={[file]} report={answer.report} isDraft />}
        {answer && "error" in answer && <Failure error={answer.error} title="Not run" />}
      </div>
    </>
  );
}
