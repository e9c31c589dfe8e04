// A new password: one's own, or an administrator's for somebody else. Whoever had it is signed out everywhere else.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input } from "@fluentui/react-components";
import { useState } from "react";
import { send } from "../api/client";
import { Failure } from "../app/Failure";
import { Text } from "../parts/Text";
import { useSubmit } from "../parts/useSubmit";

interface PasswordDialogProps {
  name: string;
  isOwn: boolean;
  close(): void;
}

export function PasswordDialog({ name, isOwn, close }: PasswordDialogProps) {
  const [old, setOld] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const body = { password, ...(isOwn ? { old_password: old } : {}) };
  const { error, isBusy, submit } = useSubmit(() => send("PUT", `/v1/accounts/${encodeURIComponent(name)}/password`, { body }), "accounts", close);
  const isTypo = isOwn && again !== "" && again !== password;
  const isReady = password !== "" && (!isOwn || (old !== "" && again === password));
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>{isOwn ? "Change your password" : <>A new password for “<Text text={name} />”</>}</DialogTitle>
            <DialogContent className="form">
              {isOwn && (
                <Field label="Password until now" required>
                  <Input type="password" value={old} autoComplete="current-password" onChange={(_, data) => setOld(data.value)} />
                </Field>
              )}
              <Field label="New password" required hint={isOwn ? "At least twelve characters; a sentence is good." : "Give it to the person by another way than the name. They are signed out everywhere."}>
                <Input type="password" value={password} autoComplete="new-password" onChange={(_, data) => setPassword(data.value)} />
              </Field>
              {isOwn && (
                <Field label="New password, again" required validationState={isTypo ? "error" : "none"} validationMessage={isTypo ? "It is another one." : ""}>
                  <Input type="password" value={again} autoComplete="new-password" onChange={(_, data) => setAgain(data.value)} />
                </Field>
              )}
              {error !== undefined && <Failure error={error} title="Not changed" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={!isReady || isBusy}>Change</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
