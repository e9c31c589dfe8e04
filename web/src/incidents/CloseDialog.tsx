// Closing asks for a verdict: what it was, and why somebody thinks so. Without both nothing is closed.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Radio, RadioGroup, Select, Textarea } from "@fluentui/react-components";
import { useState, type FormEvent } from "react";
import { Failure } from "../app/Failure";
import { plural } from "../parts/numbers";
import { CAUSES, CLASSIFICATIONS, type Cause, type Classification, type Incident, type Verdict } from "./incidents";

interface CloseDialogProps {
  incidents: Incident[];
  act(verdict: Verdict): Promise<void>;
  close(): void;
}

export function CloseDialog({ incidents, act, close }: CloseDialogProps) {
  const [classification, setClassification] = useState<Classification>();
  const [cause, setCause] = useState<Cause>("IncorrectAlertLogic");
  const [reason, setReason] = useState("");
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const isReady = classification !== undefined && reason.trim() !== "";
  const run = async () => {
    if (!classification || !isReady) return;
    setBusy(true);
    setError(undefined);
    try {
      await act({ classification, reason: reason.trim(), ...(classification === "FalsePositive" ? { cause } : {}) });
      close();
    } catch (problem) {
      setError(problem);
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run();
  };
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>{incidents.length === 1 ? `Close incident ${incidents[0]?.number}` : `Close ${plural(incidents.length, "incident")}`}</DialogTitle>
            <DialogContent className="form">
              <Field label="What was it?" required>
                <RadioGroup value={classification ?? ""} onChange={(_, data) => setClassification(data.value as Classification)}>
                  {CLASSIFICATIONS.map(({ value, label, meaning }) => <Radio key={value} value={value} label={`${label}: ${meaning}`} />)}
                </RadioGroup>
              </Field>
              {classification === "FalsePositive" && (
                <Field label="What was wrong?">
                  <Select value={cause} onChange={(_, data) => setCause(data.value as Cause)}>
                    {CAUSES.map(({ value, label }) => <option key={value} value={value}>{label}</option>)}
                  </Select>
                </Field>
              )}
              <Field label="Why?" required hint="What you looked at and what it showed. It stays with the incident and in the audit.">
                <Textarea value={reason} rows={3} onChange={(_, data) => setReason(data.value)} />
              </Field>
              {error !== undefined && <Failure error={error} title="Not closed" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={!isReady || isBusy}>Close</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
