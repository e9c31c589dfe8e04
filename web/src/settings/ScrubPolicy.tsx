// What is hidden before anything is stored: the policy as it is in force, and a box to try a record in. Nothing here changes
// it: the policy is a file, read at the start. What is tried is nowhere in the address: it may name people.
import { Button, Field, Input, MessageBar, MessageBarBody, Textarea } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { useRef, useState, type FormEvent } from "react";
import { send } from "../api/client";
import type { Cell } from "../api/kusto";
import { Failure } from "../app/Failure";
import { Fields } from "../parts/Fields";
import { Find } from "../parts/Find";
import { plural } from "../parts/numbers";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { cellText } from "../results/gridModel";
import { ALLOWED, EVERY_TABLE, KINDS, parseRecord, patternText, type Policy, type Trial } from "./scrub";

interface ScrubPolicyProps {
  text: string;
  find(text: string): void;
}

export function ScrubPolicy({ text, find }: ScrubPolicyProps) {
  const policy = useQuery({ queryKey: ["scrub-policy"], queryFn: () => send<Policy>("GET", "/v1/scrub-policy"), staleTime: Infinity });
  return (
    <>
      <Section title="What is hidden" tools={<Find label="Find a field" text={text} onChange={find} />}>
        <Answered query={policy}>{(found) => <Described policy={found} text={text} />}</Answered>
      </Section>
      <TryBox />
    </>
  );
}

function Described({ policy, text }: { policy: Policy; text: string }) {
  const wanted = text.toLowerCase();
  const fields = policy.fields.filter((one) => `${one.table} ${one.field} ${KINDS[one.kind] ?? one.kind}`.toLowerCase().includes(wanted));
  const allowed = ALLOWED.filter(({ name }) => policy.allow[name].length > 0);
  return (
    <>
      <p>
        Before it is stored, a value of the fields below becomes a token: the same value always the same token, so that it can be counted and joined. What it stood for is not stored.
        {policy.patterns.length > 0 && <> In any text, {policy.patterns.map(patternText).join(", ")} are looked for as well.</>}
      </p>
      <div className="scroll-x limited" tabIndex={0} role="group" aria-label="Hidden fields">
        <table className="plain">
          <thead><tr><th scope="col">Table</th><th scope="col">Field</th><th scope="col">Becomes a token of</th></tr></thead>
          <tbody>
            {fields.map((one) => (
              <tr key={`${one.table}\n${one.field}`}>
                <td>{one.table === EVERY_TABLE ? <span className="quiet">every table</span> : <Text text={one.table} />}</td>
                <td className="wrap"><Text text={one.field} /></td>
                <td>{KINDS[one.kind] ?? <Text text={one.kind} />}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <p className="quiet" role="status">{fields.length === policy.fields.length ? plural(fields.length, "field") : `${fields.length} of ${plural(policy.fields.length, "field")}`}</p>
      <h3>What stays all the same</h3>
      {allowed.length === 0 ? <p>Nothing is let through.</p> : (
        <dl className="facts">
          {allowed.map(({ name, words }) => <AllowLine key={name} words={words} texts={policy.allow[name]} />)}
        </dl>
      )}
      <h3>Where it comes from</h3>
      <dl className="facts">
        <dt>Policy</dt><dd>{policy.source === "built-in" ? "built in" : <Text text={policy.source} />}, version {policy.version} of the format</dd>
        <dt>SHA-256</dt><dd><code>{policy.sha256}</code></dd>
        <dt>Key of tokens</dt><dd>version {policy.token_key_version}</dd>
      </dl>
      <p className="quiet">It is read from its file when the server starts, and cannot be changed here: <code>scrub.policy</code> of the configuration names another file.</p>
    </>
  );
}

function AllowLine({ words, texts }: { words: string; texts: string[] }) {
  return (
    <>
      <dt>{words}</dt>
      <dd><Text text={texts.join(", ")} /></dd>
    </>
  );
}

const FIRST_RECORD = '{\n  "UserPrincipalName": "ada@example.org",\n  "IPAddress": "192.0.2.7"\n}';

/** What would become of a record. The server stores nothing of it, and its audit does not hold it. */
function TryBox() {
  const [table, setTable] = useState("SigninLogs");
  const [record, setRecord] = useState(FIRST_RECORD);
  const [answer, setAnswer] = useState<{ trial?: Trial; error?: unknown }>();
  const [isBusy, setBusy] = useState(false);
  const isSending = useRef(false);
  const parsed = parseRecord(record);
  const run = async () => {
    if (isSending.current || "problem" in parsed) return;
    isSending.current = true;
    setBusy(true);
    setAnswer(await send<Trial>("POST", "/v1/scrub-policy/try", { body: { table: table.trim(), record: parsed.record } }).then((trial) => ({ trial }), (error: unknown) => ({ error })));
    isSending.current = false;
    setBusy(false);
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run();
  };
  return (
    <Section title="Try a record">
      <form className="form" onSubmit={submit}>
        <Field label="Table" required><Input value={table} onChange={(_, data) => setTable(data.value)} /></Field>
        <Field label="Record, as a sender sends it" required hint="One JSON object. Nothing of it is stored." validationState={"problem" in parsed ? "error" : "none"} validationMessage={"problem" in parsed ? parsed.problem : ""}>
          <Textarea className="mono-field" rows={6} resize="vertical" value={record} onChange={(_, data) => setRecord(data.value)} />
        </Field>
        <div><Button type="submit" disabled={isBusy || table.trim() === "" || "problem" in parsed}>See what would be stored</Button></div>
      </form>
      <div role="status">
        {answer?.error !== undefined && <Failure error={answer.error} title="Not tried" />}
        {answer?.trial && <Tried trial={answer.trial} />}
      </div>
    </Section>
  );
}

function Tried({ trial }: { trial: Trial }) {
  const shown = (row: Record<string, Cell>) => Object.entries(row).map(([name, value]): [string, string] => [name, cellText(value)]);
  const hidden = trial.tokens.map(({ kind, count }) => `${KINDS[kind] ?? kind} (${count})`).join(", ");
  return (
    <>
      {trial.quarantined && <MessageBar intent="warning"><MessageBarBody>It is no event of this table: it would go to quarantine, as below.</MessageBarBody></MessageBar>}
      <p>{hidden === "" ? "Nothing of it would be hidden." : <>Becomes a token: <Text text={hidden} />.</>}</p>
      {trial.rows.map((row, index) => <div key={index} className="evidence"><Fields fields={shown(row)} /></div>)}
    </>
  );
}
