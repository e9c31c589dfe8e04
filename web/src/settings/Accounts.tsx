// Accounts of people: made, listed, changed, disabled.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input } from "@fluentui/react-components";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../api/client";
import type { Account } from "../api/types";
import { Failure } from "../app/Failure";
import { useSession, useZone } from "../app/session";
import { Confirm } from "../parts/Confirm";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { useSubmit } from "../parts/useSubmit";
import { PasswordDialog } from "./PasswordDialog";
import { Scopes } from "./Scopes";

export function Accounts() {
  const zone = useZone();
  const { session } = useSession();
  const client = useQueryClient();
  const { dialog, subject, open } = useDialog();
  const accounts = useQuery({ queryKey: ["accounts"], queryFn: async () => (await send<{ accounts: Account[] }>("GET", "/v1/accounts")).accounts });
  const mayChange = (account: Account) => account.disabled === null && account.name !== session.name;
  const meant = accounts.data?.find((account) => account.name === subject && mayChange(account));
  const disabling = dialog === "disable" ? meant : undefined;
  return (
    <Section title="Accounts of people" tools={<Button onClick={() => open("account")}>New account</Button>}>
      <Answered query={accounts}>
        {(list) => (
          <div className="scroll-x" tabIndex={0} role="group" aria-label="Accounts">
            <table className="plain">
              <thead>
                <tr><th scope="col">Name</th><th scope="col">May</th><th scope="col">Made</th><th scope="col">State</th><th scope="col"><span className="only-read">Change</span></th></tr>
              </thead>
              <tbody>
                {list.map((account) => (
                  <tr key={account.name}>
                    <td><Text text={account.name} /></td>
                    <td>{account.scopes.join(", ")}</td>
                    <td>{showTime(account.created, zone).slice(0, 19)}</td>
                    <td>{account.disabled === null ? "active" : `disabled ${showTime(account.disabled, zone).slice(0, 19)}`}</td>
                    <td>
                      {mayChange(account) && (
                        <>
                          <Button size="small" appearance="subtle" aria-label={`Change what ${account.name} may`} onClick={() => open("scopes-of", account.name)}>Change</Button>
                          <Button size="small" appearance="subtle" aria-label={`New password for ${account.name}`} onClick={() => open("password-of", account.name)}>New password</Button>
                          <Button size="small" appearance="subtle" aria-label={`Disable ${account.name}`} onClick={() => open("disable", account.name)}>Disable</Button>
                        </>
                      )}
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
      </Answered>
      {dialog === "password-of" && meant && <PasswordDialog name={meant.name} isOwn={false} close={() => open(undefined)} />}
      {dialog === "scopes-of" && meant && <ChangeScopes key={meant.name} account={meant} close={() => open(undefined)} />}
      {dialog === "account" && <Make close={() => open(undefined)} />}
      {disabling && (
        <Confirm
          title="Disable this account?"
          action="Disable"
          close={() => open(undefined)}
          act={async () => {
            await send("DELETE", `/v1/accounts/${encodeURIComponent(disabling.name)}`);
            await client.invalidateQueries({ queryKey: ["accounts"] });
          }}
        >
          <p>“<Text text={disabling.name} />” is signed out and cannot come back. The name stays in the audit and is never given again.</p>
        </Confirm>
      )}
    </Section>
  );
}

function Make({ close }: { close(): void }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [scopes, setScopes] = useState<string[]>(["query"]);
  const { error, isBusy, submit } = useSubmit(() => send("POST", "/v1/accounts", { body: { name, password, scopes } }), "accounts", close);
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>New account</DialogTitle>
            <DialogContent>
              <Field label="Name" required><Input value={name} autoComplete="off" onChange={(_, data) => setName(data.value)} /></Field>
              <Field label="Password" required hint="Give it to the person by another way than the name.">
                <Input type="password" value={password} autoComplete="new-password" onChange={(_, data) => setPassword(data.value)} />
              </Field>
              <Scopes chosen={scopes} choose={setScopes} />
              {error !== undefined && <Failure error={error} title="Not made" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={name.trim() === "" || password === "" || scopes.length === 0 || isBusy}>Make</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}

function ChangeScopes({ account, close }: { account: Account; close(): void }) {
  const [scopes, setScopes] = useState<string[]>(account.scopes);
  const { error, isBusy, submit } = useSubmit(() => send("PUT", `/v1/accounts/${encodeURIComponent(account.name)}/scopes`, { body: { scopes } }), "accounts", close);
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>What “<Text text={account.name} />” may</DialogTitle>
            <DialogContent>
              <Scopes chosen={scopes} choose={setScopes} />
              <p className="quiet">They are signed out everywhere, and may do this from the next time they sign in.</p>
              {error !== undefined && <Failure error={error} title="Not changed" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={scopes.length === 0 || isBusy}>Change</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
