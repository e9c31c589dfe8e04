// “Is this event what was recorded?”: the browser fetches the proof and checks it itself, with the reader's own key.
import { Button, Field, Input } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState, type FormEvent } from "react";
import { readPreference, writePreference } from "../app/preferences";
import { useZone } from "../app/session";
import { Page, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { download } from "../results/exports";
import { fetchAndCheck } from "./check";
import { ProofState } from "./ProofState";

interface VerifySearch {
  table?: string;
  seq?: string;
}

export function VerifyPage() {
  const search = useSearch({ from: "/verify" }) as VerifySearch;
  const navigate = useNavigate({ from: "/verify" });
  const [table, setTable] = useState(search.table ?? "");
  const [seq, setSeq] = useState(search.seq ?? "");
  const [key, setKey] = useState(() => readPreference("ledgerKey", ""));
  const isReady = table.trim() !== "" && /^\d{1,19}$/.test(seq.trim());
  const submit = (event: FormEvent) => {
    event.preventDefault();
    writePreference("ledgerKey", key.trim());
    void navigate({ search: (previous: object) => ({ ...previous, table: table.trim(), seq: seq.trim() }) as never });
  };
  return (
    <Page title="Verify an event">
      <p className="quiet">
        The proof leads from the event to a checkpoint of the ledger that was signed. This browser checks every step itself. The
        signature is checked with a key that you bring, best from a copy that was made long ago and is kept elsewhere.
      </p>
      <form onSubmit={submit} className="panel form">
        <Field label="Table" required>
          <Input value={table} onChange={(_, data) => setTable(data.value)} />
        </Field>
        <Field label="Number of the row (_Seq)" required>
          <Input value={seq} inputMode="numeric" onChange={(_, data) => setSeq(data.value)} />
        </Field>
        <Field label="Verifier key" hint="The line of keys/ledger.vkey. It is kept in this browser.">
          <Input value={key} className="mono-field" onChange={(_, data) => setKey(data.value)} />
        </Field>
        <div>
          <Button type="submit" appearance="primary" disabled={!isReady}>Verify</Button>
        </div>
      </form>
      {search.table && search.seq && <Checked table={search.table} seq={search.seq} keyText={readPreference("ledgerKey", "")} />}
    </Page>
  );
}

function Checked({ table, seq, keyText }: { table: string; seq: string; keyText: string }) {
  const zone = useZone();
  const outcome = useQuery({ queryKey: ["proof", table, seq, keyText], queryFn: () => fetchAndCheck(table, seq, keyText), staleTime: Infinity });
  const found = outcome.data;
  if (!found || "missing" in found) return <ProofState outcome={outcome} />;
  const save = (
    <Button size="small" onClick={() => download(`${table}-${seq}.proof`, "text/plain", found.proof)}>
      Save the proof
    </Button>
  );
  if ("problem" in found) {
    return (
      <>
        <ProofState outcome={outcome} />
        <div>{save}</div>
      </>
    );
  }
  const { proven } = found;
  return (
    <>
      <ProofState outcome={outcome} />
      <Section title="What is proved" tools={save}>
        <dl className="facts">
          <dt>Row</dt>
          <dd>{proven.table}, _Seq {String(proven.seq)}</dd>
          <dt>Recorded</dt>
          <dd>{showTime(proven.ingestTime, zone)}, in a block of {proven.blockRows}</dd>
          <dt>In the root log since</dt>
          <dd>{showTime(proven.tickAt, zone)}</dd>
          <dt>Under the checkpoint</dt>
          <dd>of {String(proven.rootSize)} entries, root <code>{proven.rootHash}</code></dd>
          <dt>Of the log</dt>
          <dd><Text text={proven.origin} /></dd>
        </dl>
      </Section>
      <Section title="The record, as it was hashed">
        <dl className="facts mono">
          {proven.fields.map((field, index) => (
            <div key={index} className="facts-line">
              <dt><Text text={field.name} /></dt>
              <dd><Text text={field.value} /></dd>
            </div>
          ))}
        </dl>
      </Section>
    </>
  );
}
