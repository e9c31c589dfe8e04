// A form of a dialog that changes something on the server: sent once, then what is shown is read anew and the dialog closes.
import { useQueryClient } from "@tanstack/react-query";
import { useRef, useState, type FormEvent } from "react";

interface Submission {
  /** Why the last try failed. */
  error: unknown;
  /** From sending to the end of the dialog, or to the failure. */
  isBusy: boolean;
  submit(event: FormEvent): void;
}

/** `change` sends, and is not sent again while it is on its way; `stale` is the key of the query it makes out of date. */
export function useSubmit(change: () => Promise<unknown>, stale: string, close: () => void): Submission {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  // A second press may come before the first one is drawn.
  const isSending = useRef(false);
  const run = async () => {
    if (isSending.current) return;
    isSending.current = true;
    setBusy(true);
    setError(undefined);
    try {
      await change();
      await client.invalidateQueries({ queryKey: [stale] });
      close();
    } catch (problem) {
      setError(problem);
      isSending.current = false;
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run();
  };
  return { error, isBusy, submit };
}
