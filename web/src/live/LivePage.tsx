// Events as they come in: the newest first, asked for every second or two, stopped with one key. The address holds the
// query, how often it is asked, where the page stands still, and the row that is open.
import { Button, Field, MessageBar, MessageBarBody, Select, Textarea } from "@fluentui/react-components";
import { PauseRegular, PlayRegular } from "@fluentui/react-icons";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import type { ResultTable } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { Page } from "../parts/Page";
import { useKeys } from "../parts/useKeys";
import { columnName } from "../query/filters";
import { useSchema } from "../query/schema";
import { followable } from "../query/statements";
import { Grid } from "../results/Grid";
import { Inspector } from "../results/Inspector";
import { Tail, TAIL_ROWS_MAX } from "./tail";

interface LiveSearch {
  q?: string | undefined;
  every?: string | undefined;
  /** The last `_Seq` when the page was stopped; absent while it moves. */
  at?: string | undefined;
  /** The `_Seq` of the row that is open. */
  row?: string | undefined;
}

const SECONDS = [1, 2, 5, 15];
const SECONDS_FIRST = 2;

export function LivePage() {
  const search = useSearch({ from: "/live" }) as LiveSearch;
  const navigate = useNavigate({ from: "/live" });
  const zone = useZone();
  const setSearch = (change: LiveSearch) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const asked = search.q ?? "";
  const seconds = SECONDS.find((one) => String(one) === search.every) ?? SECONDS_FIRST;
  const isStopped = search.at !== undefined;
  const { tail, rows, rate, missed, error } = useTail(asked, seconds, search.at);
  const seq = rows?.columns.findIndex((column) => column.name === "_Seq") ?? -1;
  const opened = search.row === undefined ? -1 : (rows?.rows.findIndex((row) => String(row[seq]) === search.row) ?? -1);

  const position = () => String(tail.current?.position);
  const toggle = () => {
    if (rows) setSearch(isStopped ? { at: undefined, row: undefined } : { at: position() });
  };
  useKeys({ p: toggle });
  const open = (row: number) => setSearch({ row: String(rows?.rows[row]?.[seq]), at: search.at ?? position() });
  return (
    <Page
      title="Live"
      tools={asked !== "" && <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: asked }) as never}>As a query</Link>}
    >
      <Query key={asked} asked={asked} apply={(q) => setSearch({ q: q || undefined, at: undefined, row: undefined })} />
      <div className="toolbar" role="toolbar" aria-label="Live">
        <Select aria-label="How often" value={String(seconds)} onChange={(_, data) => setSearch({ every: data.value === String(SECONDS_FIRST) ? undefined : data.value })}>
          {SECONDS.map((one) => <option key={one} value={one}>every {plural(one, "second")}</option>)}
        </Select>
        <Button icon={isStopped ? <PlayRegular /> : <PauseRegular />} disabled={!rows} aria-pressed={isStopped} title="p" onClick={toggle}>
          {isStopped ? "Go on" : "Pause"}
        </Button>
        <span className="quiet" role="status">{asked === "" ? "" : isStopped ? "Paused" : `${showCount(Math.round(rate * 10) / 10)} rows a second`}</span>
      </div>
      {error !== undefined && <Failure error={error} title="The query was not followed" />}
      {missed > 0 && (
        <MessageBar intent="warning"><MessageBarBody>{plural(missed, "row")} came faster than they could be shown and were left out here; a query finds them.</MessageBarBody></MessageBar>
      )}
      {asked === "" && <p>Choose a table to see its events as they come in.</p>}
      {rows && (
        <div className="framed results-body">
          <Grid table={rows} zone={zone} search="" sort={undefined} hidesEmpty label="The newest rows" onOpen={open} />
          {opened >= 0 && <Inspector table={rows} row={opened} zone={zone} close={() => setSearch({ row: undefined })} />}
        </div>
      )}
      {rows && <p className="quiet">The newest {showCount(TAIL_ROWS_MAX)} rows are kept here at most. Every look is a row of the audit.</p>}
    </Page>
  );
}

/** What is followed: a table from the list, or a query as somebody writes it. */
function Query({ asked, apply }: { asked: string; apply(text: string): void }) {
  const schema = useSchema();
  const [text, setText] = useState(asked);
  const tables = useMemo(() => (schema.data ?? []).filter((one) => one.numRows > 0), [schema.data]);
  const followed = useMemo(() => (text.trim() === "" ? undefined : followable(text)), [text]);
  const problem = followed && "problem" in followed ? followed.problem : "";
  const table = tables.find((one) => followed && "table" in followed && followed.table === columnName(one.name))?.name ?? "";
  const submit = () => {
    if (problem === "") apply(text.trim());
  };
  const onKey = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    submit();
  };
  return (
    <div className="toolbar">
      <Select aria-label="Table" value={table} onChange={(_, data) => apply(data.value && columnName(data.value))}>
        <option value="">Choose a table</option>
        {tables.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
      </Select>
      <Field className="wide-field" validationState={problem === "" ? "none" : "error"} validationMessage={problem}>
        <Textarea
          className="mono-field"
          rows={Math.min(6, Math.max(1, text.split("\n").length))}
          placeholder="Or a query, such as Syslog | where Computer == 'web1'"
          aria-label="Query in KQL"
          value={text}
          onChange={(_, data) => setText(data.value)}
          onKeyDown={onKey}
        />
      </Field>
      <Button disabled={problem !== "" || text.trim() === asked} title="Enter" onClick={submit}>Follow</Button>
    </div>
  );
}

/** Follows a query until the page is left, stopped, or asked for another. A page that came stopped asks once. */
function useTail(asked: string, seconds: number, at: string | undefined) {
  const [rows, setRows] = useState<ResultTable>();
  const [rate, setRate] = useState(0);
  const [missed, setMissed] = useState(0);
  const [error, setError] = useState<unknown>();
  const tail = useRef<Tail>(undefined);
  const stands = useRef(at);
  stands.current = at;

  useEffect(() => {
    setRows(undefined);
    setRate(0);
    setMissed(0);
    setError(undefined);
    tail.current = undefined;
    if (asked === "") return;
    const followed = followable(asked);
    if ("problem" in followed) setError(new Error(followed.problem));
    else tail.current = new Tail(followed, /^-?\d+$/.test(stands.current ?? "") ? BigInt(stands.current ?? 0) : undefined);
  }, [asked]);

  const isStopped = at !== undefined;
  useEffect(() => {
    const mine = tail.current;
    if (!mine || (isStopped && mine.position !== undefined)) return;
    let isGone = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      try {
        const step = await mine.step();
        if (mine !== tail.current) return;
        setMissed((count) => count + step.missed);
        // What came while somebody stopped the page is kept in the tail, and shown when it goes on.
        if (isGone) return;
        setRows(step.table);
        setRate(step.perSecond);
        setError(undefined);
      } catch (problem) {
        if (isGone || mine !== tail.current) return;
        setError(problem);
      }
      if (!isGone && !isStopped) timer = setTimeout(() => void ask(), seconds * 1000);
    };
    void ask();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [asked, seconds, isStopped]);

  return { tail, rows, rate, missed, error };
}
