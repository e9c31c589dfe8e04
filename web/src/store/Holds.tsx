// Legal holds: days that are not dropped, placed and released with a reason.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input, Select, Textarea } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../api/client";
import type { Hold } from "../api/types";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { useSubmit } from "../parts/useSubmit";

interface HoldsProps {
  tables: string[];
  /** The dialog of the address, `hold` or `release`, and the hold it is about. */
  dialog: string;
  subject: string;
  open(dialog: string | undefined, subject?: string): void;
}

export function Holds({ tables, dialog, subject, open }: HoldsProps) {
  const zone = useZone();
  const holds = useQuery({ queryKey: ["holds"], queryFn: () => send<Hold[]>("GET", "/v1/holds") });
  const releasing = dialog === "release" ? holds.data?.find((hold) => hold.name === subject) : undefined;
  return (
    <Section title="Legal holds" tools={<Button onClick={() => open("hold")}>Place a hold</Button>}>
      <p className="quiet">What a hold covers is kept, however old it is. A hold and its release are in the audit for ever.</p>
      <Answered query={holds}>
        {(list) =>
          list.length === 0 ? (
            <p>There is none: days are dropped when they are older than their table is kept.</p>
          ) : (
            <div className="scroll-x" tabIndex={0} role="group" aria-label="Legal holds">
              <table className="plain">
                <thead>
                  <tr><th scope="col">Name</th><th scope="col">Table</th><th scope="col">Days</th><th scope="col">Why</th><th scope="col">Placed</th><th scope="col"><span className="only-read">Release</span></th></tr>
                </thead>
                <tbody>
                  {list.map((hold) => (
                    <tr key={hold.name}>
                      <td><Text text={hold.name} /></td>
                      <td>{hold.table ?? "every table"}</td>
                      <td className="time">{daysText(hold)}</td>
                      <td className="wrap"><Text text={hold.reason} /></td>
                      <td className="time">{showTime(hold.placed_at, zone).slice(0, 19)}<div className="quiet"><Text text={hold.placed_by} /></div></td>
                      <td><Button size="small" appearance="subtle" aria-label={`Release ${hold.name}`} onClick={() => open("release", hold.name)}>Release</Button></td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Answered>
      {dialog === "hold" && <Place tables={tables} close={() => open(undefined)} />}
      {releasing && <Release key={releasing.name} hold={releasing} close={() => open(undefined)} />}
    </Section>
  );
}

function daysText({ from, to }: Hold): string {
  if (from === null && to === null) return "all";
  if (from === null) return `up to ${to}`;
  return to === null ? `from ${from}` : `${from} to ${to}`;
}

/** As the server takes them: the name stands in an address. */
const NAME = /^[A-Za-z0-9_.-]{1,64}$/;

function Place({ tables, close }: { tables: string[]; close(): void }) {
  const [name, setName] = useState("");
  const [table, setTable] = useState("");
  const [from, setFrom] = useState("");
  const [to, setTo] = useState("");
  const [reason, setReason] = useState("");
  const isBadName = name !== "" && !NAME.test(name);
  const isBackwards = from !== "" && to !== "" && from > to;
  const body = { reason: reason.trim(), ...(table ? { table } : {}), ...(from ? { from } : {}), ...(to ? { to } : {}) };
  const { error, isBusy, submit } = useSubmit(() => send("PUT", `/v1/holds/${encodeURIComponent(name)}`, { body }), "holds", close);
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>Place a hold</DialogTitle>
            <DialogContent className="form">
              <Field label="Name" required hint="Such as the number of a case" validationState={isBadName ? "error" : "none"} validationMessage={isBadName ? "Letters, digits, “-”, “_” and “.”, at most 64." : ""}>
                <Input value={name} autoComplete="off" onChange={(_, data) => setName(data.value)} />
              </Field>
              <Field label="Table">
                <Select value={table} onChange={(_, data) => setTable(data.value)}>
                  <option value="">Every table</option>
                  {tables.map((one) => <option key={one} value={one}>{one}</option>)}
                </Select>
              </Field>
              <Field label="First day, in UTC" hint="Empty: from the beginning"><Input type="date" value={from} onChange={(_, data) => setFrom(data.value)} /></Field>
              <Field label="Last day, in UTC" hint="Empty: without end" validationState={isBackwards ? "error" : "none"} validationMessage={isBackwards ? "The last day is before the first." : ""}>
                <Input type="date" value={to} onChange={(_, data) => setTo(data.value)} />
              </Field>
              <Field label="Why" required><Textarea value={reason} onChange={(_, data) => setReason(data.value)} /></Field>
              {error !== undefined && <Failure error={error} title="Not placed" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={!NAME.test(name) || isBackwards || reason.trim() === "" || isBusy}>Place</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}

function Release({ hold, close }: { hold: Hold; close(): void }) {
  const [reason, setReason] = useState("");
  const { error, isBusy, submit } = useSubmit(() => send("POST", `/v1/holds/${encodeURIComponent(hold.name)}/release`, { body: { reason: reason.trim() } }), "holds", close);
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>Release “{hold.name}”?</DialogTitle>
            <DialogContent className="form">
              <p>Days that it covered and that are older than their table is kept are dropped soon, and cannot be had back.</p>
              <Field label="Why" required><Textarea value={reason} onChange={(_, data) => setReason(data.value)} /></Field>
              {error !== undefined && <Failure error={error} title="Not released" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={reason.trim() === "" || isBusy}>Release</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
