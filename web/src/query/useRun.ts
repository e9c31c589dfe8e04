// One query at a time: started, stopped, answered. It never starts by itself: an address with a query in it only
// fills the editor.
import { useCallback, useEffect, useRef, useState } from "react";
import { cancelQuery, runCommand, runQuery, type QueryResult } from "../api/kusto";
import { messageOf } from "../app/Failure";
import { remember } from "./history";
import { isCommand } from "./statements";

export interface Asked {
  text: string;
  from?: string;
  to?: string;
  rowsMax: number;
  language: "kql" | "sql";
}

export type Run =
  | { state: "idle" }
  | { state: "running"; asked: Asked; startedAt: number }
  | { state: "done"; asked: Asked; result: QueryResult }
  | { state: "failed"; asked: Asked; error: unknown }
  | { state: "cancelled"; asked: Asked };

export function useRun() {
  const [run, setRun] = useState<Run>({ state: "idle" });
  const active = useRef<{ id: string; abort: AbortController }>(undefined);

  const stop = useCallback(() => {
    const running = active.current;
    if (!running) return;
    active.current = undefined;
    running.abort.abort();
    // The server goes on without this. It may have ended in the meantime: then there is nothing to stop.
    void cancelQuery(running.id).catch(() => undefined);
  }, []);

  // A page that is left asks for nothing any more.
  useEffect(() => stop, [stop]);

  const start = useCallback(
    async (asked: Asked) => {
      stop();
      const mine = { id: `MonetaWeb.${crypto.randomUUID()}`, abort: new AbortController() };
      active.current = mine;
      setRun({ state: "running", asked, startedAt: performance.now() });
      const note = (rows: number | undefined, ms: number | undefined, problem?: string) =>
        remember({ text: asked.text, language: asked.language, at: new Date().toISOString(), rows, ms, problem });
      try {
        const result = isCommand(asked.text)
          ? await asResult(asked.text)
          : await runQuery(asked.text, { ...asked, id: mine.id, signal: mine.abort.signal });
        if (active.current !== mine) return;
        note(result.tables[0]?.rows.length, result.elapsedMs);
        setRun({ state: "done", asked, result });
      } catch (error) {
        const wasAborted = error instanceof DOMException && error.name === "AbortError";
        if (active.current !== mine) {
          if (wasAborted) setRun((now) => (now.state === "running" && now.asked === asked ? { state: "cancelled", asked } : now));
          return;
        }
        note(undefined, undefined, messageOf(error));
        setRun({ state: "failed", asked, error });
      } finally {
        if (active.current === mine) active.current = undefined;
      }
    },
    [stop],
  );

  return { run, start, stop };
}

async function asResult(text: string): Promise<QueryResult> {
  const started = performance.now();
  const table = await runCommand(text);
  return {
    tables: [table],
    visualization: { Visualization: null },
    statistics: undefined,
    partial: undefined,
    warnings: [],
    elapsedMs: performance.now() - started,
    activityId: "",
  };
}
