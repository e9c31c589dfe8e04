// Who works on incidents: oneself, somebody by name, or nobody.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input } from "@fluentui/react-components";
import { useState, type FormEvent } from "react";
import { Failure } from "../app/Failure";
import { useSession } from "../app/session";
import { plural } from "../parts/numbers";
import type { Incident } from "./incidents";

interface AssignDialogProps {
  incidents: Incident[];
  act(owner: string): Promise<void>;
  close(): void;
}

export function AssignDialog({ incidents, act, close }: AssignDialogProps) {
  const { session } = useSession();
  const [owner, setOwner] = useState(session.name ?? "");
  const [error, setError] = useState<unknown>();
  const run = async (name: string) => {
    setError(undefined);
    try {
      await act(name);
      close();
    } catch (problem) {
      setError(problem);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run(owner.trim());
  };
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>{incidents.length === 1 ? `Who works on incident ${incidents[0]?.number}?` : `Who works on these ${plural(incidents.length, "incident")}?`}</DialogTitle>
            <DialogContent>
              <Field label="Name" hint="Your own name stands there: Enter takes it.">
                <Input value={owner} autoFocus onChange={(_, data) => setOwner(data.value)} />
              </Field>
              {error !== undefined && <Failure error={error} title="Not assigned" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button onClick={() => void run("")}>Nobody</Button>
              <Button type="submit" appearance="primary" disabled={owner.trim() === ""}>Assign</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
