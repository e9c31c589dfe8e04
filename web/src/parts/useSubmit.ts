// A form of a dialog that changes something on the server: sent once, then what is shown is read anew and the dialog closes.
import { useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";

interface Submission {
  /** Why the last try failed. */
  error: unknown;
  submit(event: FormEvent): void;
}

/** `change` sends; `stale` is the key of the query it makes out of date. */
export function useSubmit(change: () => Promise<unknown>, stale: string, close: () => void): Submission {
  const client = useQueryClient();
  const [error, setError] = useState<unknown>();
  const run = async () => {
    setError(undefined);
    try {
      await change();
      await client.invalidateQueries({ queryKey: [stale] });
      close();
    } catch (problem) {
      setError(problem);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void run();
  };
  return { error, submit };
}
