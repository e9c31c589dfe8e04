// Events as they come in: the newest first, asked for every second or two, stopped with one key.
import { Button, Input, MessageBar, MessageBarBody, Select } from "@fluentui/react-components";
import { PauseRegular, PlayRegular } from "@fluentui/react-icons";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState, type FormEvent } from "react";
import type { ResultTable } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { Page } from "../parts/Page";
import { columnName } from "../query/filters";
import { useSchema } from "../query/schema";
import { Grid } from "../results/Grid";
import { Inspector } from "../results/Inspector";
import { Tail, tailQuery, TAIL_ROWS_MAX } from "./tail";

interface LiveSearch {
  table?: string;
  where?: string;
}

const SECONDS = [1, 2, 5, 15];

export function LivePage() {
  const search = useSearch({ from: "/live" }) as LiveSearch;
  const navigate = useNavigate({ from: "/live" });
  const zone = useZone();
  const schema = useSchema();
  const table = search.table ?? "";
  const [where, setWhere] = useState(search.where ?? "");
  const [seconds, setSeconds] = useState(2);
  const [isPaused, setPaused] = useState(false);
  const [rows, setRows] = useState<ResultTable>();
  const [rate, setRate] = useState(0);
  const [missed, setMissed] = useState(0);
  const [error, setError] = useState<unknown>();
  const [opened, setOpened] = useState<number>();
  const setSearch = (change: Partial<LiveSearch>) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });

  useEffect(() => {
    setRows(undefined);
    setOpened(undefined);
    setMissed(0);
    setError(undefined);
    if (table !== "") tail.current = new Tail(table, search.where ?? "");
    else tail.current = undefined;
  }, [table, search.where]);
  const tail = useRef<Tail>(undefined);

  useEffect(() => {
    if (table === "" || isPaused || opened !== undefined) return;
    let isGone = false;
    let timer: ReturnType<typeof setTimeout>;
    const ask = async () => {
      const mine = tail.current;
      try {
        const step = await mine?.step();
        if (isGone || mine !== tail.current || !step) return;
        setRows(step.table);
        setRate(step.perSecond);
        setMissed((count) => count + step.missed);
        setError(undefined);
      } catch (problem) {
        if (isGone || mine !== tail.current) return;
        setError(problem);
      }
      if (!isGone) timer = setTimeout(() => void ask(), seconds * 1000);
    };
    void ask();
    return () => {
      isGone = true;
      clearTimeout(timer);
    };
  }, [table, search.where, seconds, isPaused, opened]);

  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target instanceof HTMLElement && /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
      setPaused((paused) => !paused);
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);

  const submit = (event: FormEvent) => {
    event.preventDefault();
    setSearch({ where: where.trim() || undefined } as never);
  };
  const tables = useMemo(() => (schema.data ?? []).filter((one) => one.numRows > 0 || one.name === table), [schema.data, table]);
  return (
    <Page
      title="Live"
      tools={
        table !== "" && (
          <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: tailQuery(table, search.where ?? "") }) as never}>
            As a query
          </Link>
        )
      }
    >
      <form className="toolbar" onSubmit={submit}>
        <Select aria-label="Table" value={table} onChange={(_, data) => setSearch({ table: data.value || undefined } as never)}>
          <option value="">Choose a table</option>
          {tables.map((one) => <option key={one.name} value={one.name}>{one.name}</option>)}
        </Select>
        <Input className="wide-field" placeholder="Which rows, such as Computer == 'web1'; Enter applies it" aria-label="Condition in KQL" value={where} onChange={(_, data) => setWhere(data.value)} />
        <Select aria-label="How often" value={String(seconds)} onChange={(_, data) => setSeconds(Number(data.value))}>
          {SECONDS.map((one) => <option key={one} value={one}>every {plural(one, "second")}</option>)}
        </Select>
        <Button type="button" icon={isPaused ? <PlayRegular /> : <PauseRegular />} disabled={table === ""} aria-pressed={isPaused} title="p" onClick={() => setPaused(!isPaused)}>
          {isPaused ? "Go on" : "Pause"}
        </Button>
        <span className="quiet" role="status">
          {table === "" ? "" : isPaused ? "Paused" : opened !== undefined ? "Waiting while a row is open" : `${showCount(Math.round(rate * 10) / 10)} rows a second`}
        </span>
      </form>
      {error !== undefined && <Failure error={error} title="The table was not read" />}
      {missed > 0 && (
        <MessageBar intent="warning"><MessageBarBody>{plural(missed, "row")} came faster than they could be shown and were left out here; a query finds them.</MessageBarBody></MessageBar>
      )}
      {table === "" ? (
        <p>Choose a table to see its events as they come in.</p>
      ) : (
        rows && (
          <div className="framed results-body">
            <Grid table={rows} zone={zone} search="" sort={undefined} hidesEmpty label={`The newest rows of ${columnName(table)}`} onSort={() => undefined} onOpen={setOpened} />
            {opened !== undefined && <Inspector table={rows} row={opened} zone={zone} close={() => setOpened(undefined)} />}
          </div>
        )
      )}
      {rows && <p className="quiet">The newest {showCount(TAIL_ROWS_MAX)} rows are kept here at most. Every look is a row of the audit.</p>}
    </Page>
  );
}
