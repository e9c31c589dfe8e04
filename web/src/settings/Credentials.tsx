// Credentials of programs: made, listed, revoked. A secret is shown once, and kept nowhere.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input, MessageBar, MessageBarBody } from "@fluentui/react-components";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useRef, useState, type FormEvent } from "react";
import { send } from "../api/client";
import type { Credential } from "../api/types";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { Confirm } from "../parts/Confirm";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { Scopes } from "./Scopes";

export function Credentials() {
  const zone = useZone();
  const client = useQueryClient();
  const { dialog, subject, open } = useDialog();
  const credentials = useQuery({ queryKey: ["credentials"], queryFn: async () => (await send<{ credentials: Credential[] }>("GET", "/v1/credentials")).credentials });
  const time = (text: string | null) => (text === null ? "" : showTime(text, zone).slice(0, 19));
  const state = (credential: Credential) =>
    credential.revoked !== null ? `revoked ${time(credential.revoked)}` : Date.parse(credential.expires) < Date.now() ? "expired" : "valid";
  const revoking = dialog === "revoke" ? credentials.data?.find((credential) => credential.id === subject && state(credential) === "valid") : undefined;
  return (
    <Section title="Credentials of programs" tools={<Button appearance="primary" onClick={() => open("credential")}>New credential</Button>}>
      <Answered query={credentials}>
        {(list) => (
          <div className="scroll-x" tabIndex={0} role="group" aria-label="Credentials">
            <table className="plain">
              <thead>
                <tr>
                  <th scope="col">Name</th><th scope="col">May</th><th scope="col">Made by</th><th scope="col">Made</th><th scope="col">Expires</th>
                  <th scope="col">Last used</th><th scope="col">State</th><th scope="col"><span className="only-read">Revoke</span></th>
                </tr>
              </thead>
              <tbody>
                {list.map((credential) => (
                  <tr key={credential.id}>
                    <td><Text text={credential.name} /></td>
                    <td>{credential.scopes.join(", ")}</td>
                    <td><Text text={credential.created_by} /></td>
                    <td>{time(credential.created)}</td>
                    <td>{time(credential.expires)}</td>
                    <td>{time(credential.last_used) || "never"}</td>
                    <td>{state(credential)}</td>
                    <td>
                      {state(credential) === "valid" && (
                        <Button size="small" appearance="subtle" aria-label={`Revoke ${credential.name}`} onClick={() => open("revoke", credential.id)}>Revoke</Button>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Answered>
      {dialog === "credential" && <Make close={() => open(undefined)} />}
      {revoking && (
        <Confirm
          title="Revoke this credential?"
          action="Revoke"
          close={() => open(undefined)}
          act={async () => {
            await send("DELETE", `/v1/credentials/${encodeURIComponent(revoking.id)}`);
            await client.invalidateQueries({ queryKey: ["credentials"] });
          }}
        >
          <p>Programs that use “<Text text={revoking.name} />” are refused at once. It cannot be made valid again.</p>
        </Confirm>
      )}
    </Section>
  );
}

/** Days that a new credential is valid for, unless chosen otherwise. */
const DAYS = "90";

function Make({ close }: { close(): void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [scopes, setScopes] = useState<string[]>(["ingest"]);
  const [days, setDays] = useState(DAYS);
  const [secret, setSecret] = useState<string>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  // A second press may come before the first one is drawn: it would make a credential that nobody sees.
  const isSending = useRef(false);
  const isBad = !/^[1-9]\d{0,4}$/.test(days);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (isSending.current) return;
    isSending.current = true;
    setBusy(true);
    setError(undefined);
    try {
      const made = await send<{ credential: string }>("POST", "/v1/credentials", { body: { name, scopes, expires_in_days: Number(days) } });
      setSecret(made.credential);
      await client.invalidateQueries({ queryKey: ["credentials"] });
    } catch (problem) {
      setError(problem);
      isSending.current = false;
      setBusy(false);
    }
  };
  return (
    <Dialog open modalType="alert" onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={(event) => void submit(event)}>
          <DialogBody>
            <DialogTitle>New credential</DialogTitle>
            <DialogContent>
              {secret === undefined ? (
                <>
                  <Field label="Name" required hint="What program it is for"><Input value={name} onChange={(_, data) => setName(data.value)} /></Field>
                  <Scopes chosen={scopes} choose={setScopes} />
                  <Field label="Valid for days" validationState={isBad ? "error" : "none"} validationMessage={isBad ? "A whole number from 1." : ""}>
                    <Input value={days} inputMode="numeric" onChange={(_, data) => setDays(data.value)} />
                  </Field>
                  {error !== undefined && <Failure error={error} title="Not made" />}
                </>
              ) : (
                <>
                  <MessageBar intent="warning"><MessageBarBody>This is shown once. Copy it to where the program reads it.</MessageBarBody></MessageBar>
                  <pre className="panel secret">{secret}</pre>
                </>
              )}
            </DialogContent>
            <DialogActions>
              {secret === undefined ? (
                <>
                  <Button onClick={close}>Cancel</Button>
                  <Button type="submit" appearance="primary" disabled={isBusy || isBad || name.trim() === "" || scopes.length === 0}>Make</Button>
                </>
              ) : (
                <>
                  <Button onClick={() => void navigator.clipboard?.writeText(secret)}>Copy</Button>
                  <Button appearance="primary" onClick={close}>I have it</Button>
                </>
              )}
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
