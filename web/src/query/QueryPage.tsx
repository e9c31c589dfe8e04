// The query page: tables at the left, text above, results below. Its address holds the text, the time and the view.
import {
  Button, Input, Menu, MenuGroup, MenuGroupHeader, MenuItem, MenuItemCheckbox, MenuItemRadio, MenuList, MenuPopover, MenuTrigger, MessageBar, MessageBarBody,
  MessageBarTitle, ProgressBar, Select, Spinner, Tab, TabList, ToggleButton,
} from "@fluentui/react-components";
import { ArrowDownloadRegular, DismissRegular, HistoryRegular, LinkRegular, LiveRegular, MoreHorizontalRegular, PanelLeftRegular, PlayRegular, SaveRegular, TextAlignLeftRegular } from "@fluentui/react-icons";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState } from "react";
import type { Cell, Column, QueryResult } from "../api/kusto";
import { Failure } from "../app/Failure";
import { readPreference, writePreference } from "../app/preferences";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { RangePicker } from "../parts/RangePicker";
import { Text } from "../parts/Text";
import { visible } from "../parts/text";
import { parseRange, rangeBounds, type TimeRange } from "../parts/time";
import { splitDialog, useDialog } from "../parts/useDialog";
import { Chart } from "../results/Chart";
import { isDrawn, pivotGroups, undrawn } from "../results/chartOptions";
import { download, EXPORT_FORMATS, exportAddress, follow, toCsv, toNdjson } from "../results/exports";
import { expand, parseExpanded, toggled } from "../results/expand";
import { Grid } from "../results/Grid";
import { arrange, filtersText, GROUP_COLUMNS_MAX, parseFilters, parseGroups, parseSort, sortText } from "../results/gridModel";
import { Inspector } from "../results/Inspector";
import { ColumnProfile } from "./ColumnProfile";
import type { EditorHandle } from "./Editor";
import { condition } from "./filters";
import { Histogram } from "./Histogram";
import { Library, SaveDialog } from "./Library";
import { useSchema } from "./schema";
import { SchemaTree, type SchemaSearch } from "./SchemaTree";
import { blockAt, limitsTime, withFilter, type Block } from "./statements";
import { Cost, Statistics } from "./Statistics";
import { useRun, type Run } from "./useRun";

const Editor = lazy(() => import("./Editor"));

/** What a new page begins with. */
const FIRST_TEXT = "SecurityAlert\n| summarize Alerts = count(), Last = max(TimeGenerated) by AlertName, AlertSeverity\n| order by Alerts desc\n";
const ROW_LIMITS = [1_000, 10_000, 100_000] as const;
const ADDRESS_QUIET_MS = 400;

type QuerySearch = SchemaSearch & { q?: string; range?: string; view?: string; lang?: string; histogram?: string; sort?: string; filter?: string; row?: string; columns?: string; group?: string; empty?: string; table?: string; expand?: string; rows?: string; cost?: string };

export function QueryPage() {
  const search = useSearch({ from: "/query" }) as QuerySearch;
  const navigate = useNavigate({ from: "/query" });
  const zone = useZone();
  const editor = useRef<EditorHandle>(null);
  const [text, setText] = useState(search.q ?? FIRST_TEXT);
  const [cameByLink] = useState(search.q !== undefined);
  const [rowsUsual, setRowsUsual] = useState<number>(() => readPreference("rowsMax", 10_000));
  const rowsMax = ROW_LIMITS.find((limit) => String(limit) === search.rows) ?? rowsUsual;
  const [showsSchema, setShowsSchema] = useState(() => readPreference("schema", true));
  const [copied, setCopied] = useState(false);
  const { run, start, stop } = useRun();
  const language = search.lang === "sql" ? "sql" : "kql";
  // One of `history`, `saved`, `save`, `profile:Syslog:Computer`.
  const { dialog, subject: profiled, open: setDialog } = useDialog();
  const range = useMemo(() => parseRange(search.range), [search.range]);
  const overruled = language === "kql" && limitsTime(text) ? "The query limits the time itself, so this range is not applied." : "";

  const setSearch = useCallback(
    (change: Record<string, string | undefined>) => void navigate({ search: (previous) => ({ ...previous, ...change }) as never, replace: true }),
    [navigate],
  );

  // The address follows the text a moment later, and the text follows the address when somebody goes back.
  const written = useRef(search.q);
  useEffect(() => {
    const timer = setTimeout(() => {
      if (text === written.current || (text === FIRST_TEXT && written.current === undefined)) return;
      written.current = text;
      setSearch({ q: text });
    }, ADDRESS_QUIET_MS);
    return () => clearTimeout(timer);
  }, [text, setSearch]);
  useEffect(() => {
    if (search.q !== undefined && search.q !== written.current) {
      written.current = search.q;
      setText(search.q);
    }
  }, [search.q]);

  const runText = (asked: string, rangeText = search.range) => {
    const times = language === "kql" && limitsTime(asked) ? {} : rangeBounds(parseRange(rangeText));
    setSearch({ row: undefined, sort: undefined, filter: undefined, columns: undefined, group: undefined, table: undefined, expand: undefined });
    void start({ text: asked, ...times, rowsMax, language });
  };
  const current = () => (editor.current?.current() ?? blockAt(text, text.length))?.text.trim() ?? "";
  const runCurrent = () => {
    if (current() !== "") runText(current());
  };
  const followLive = () => void navigate({ to: "/live", search: (previous) => ({ tz: previous.tz, q: current() }) as never });
  const chooseRange = (chosen: string) => {
    setSearch({ range: chosen });
    if (run.state === "done") runText(run.asked.text, chosen);
  };
  const addFilter = (column: Column, value: Cell, keep: boolean, path: (string | number)[] = []) => {
    if (run.state !== "done") return;
    const asked = run.asked.text;
    const filtered = withFilter(asked, condition(column, value, keep, path));
    const block = findBlock(text, asked);
    if (block) setText(text.slice(0, block.start) + filtered + text.slice(block.end));
    else setText(`${text.trimEnd()}\n\n${filtered}`);
    runText(filtered);
  };
  const share = () => {
    const address = new URL(location.href);
    address.searchParams.set("q", text);
    address.searchParams.set("rows", String(rowsMax));
    void navigator.clipboard?.writeText(address.href).then(() => {
      setCopied(true);
      setTimeout(() => setCopied(false), 2_000);
    });
  };
  const toggleSchema = () => {
    writePreference("schema", !showsSchema);
    setShowsSchema(!showsSchema);
  };

  return (
    <main className="query-page">
      <h1 className="only-read">Query</h1>
      {showsSchema && <SchemaTree search={search} setSearch={setSearch} insert={(name) => editor.current?.insert(name)} profile={(table, column) => setDialog("profile", `${table}:${column}`)} />}
      <div className="query-work">
        <div className="toolbar" role="toolbar" aria-label="Query">
          <Button appearance="subtle" icon={<PanelLeftRegular />} aria-label="Tables" aria-pressed={showsSchema} onClick={toggleSchema} />
          {run.state === "running" ? (
            <Button appearance="primary" icon={<DismissRegular />} onClick={stop}>Cancel</Button>
          ) : (
            <Button appearance="primary" icon={<PlayRegular />} title="Shift+Enter" onClick={runCurrent}>Run</Button>
          )}
          <RangePicker range={range} zone={zone} overruled={overruled} onChange={chooseRange} />
          <Select
            aria-label="Rows at most"
            value={String(rowsMax)}
            onChange={(_, data) => {
              setRowsUsual(Number(data.value));
              writePreference("rowsMax", Number(data.value));
              setSearch({ rows: data.value });
            }}
          >
            {ROW_LIMITS.map((limit) => <option key={limit} value={limit}>{showCount(limit)} rows at most</option>)}
          </Select>
          <span className="grow" />
          <Button appearance="subtle" icon={<HistoryRegular />} onClick={() => setDialog("history")}>Queries</Button>
          <Button appearance="subtle" icon={<SaveRegular />} onClick={() => setDialog("save")}>Save</Button>
          <Button appearance="subtle" icon={<LinkRegular />} onClick={share}>{copied ? "Copied" : "Copy link"}</Button>
          <Menu
            checkedValues={{ language: [language], show: search.histogram === "no" ? [] : ["histogram"] }}
            onCheckedValueChange={(_, data) => {
              if (data.name === "language") setSearch({ lang: data.checkedItems[0] === "sql" ? "sql" : undefined });
              else setSearch({ histogram: data.checkedItems.length > 0 ? undefined : "no" });
            }}
          >
            <MenuTrigger disableButtonEnhancement>
              <Button appearance="subtle" icon={<MoreHorizontalRegular />} aria-label="More" />
            </MenuTrigger>
            <MenuPopover>
              <MenuList>
                <MenuItemRadio name="language" value="kql">KQL</MenuItemRadio>
                <MenuItemRadio name="language" value="sql">SQL</MenuItemRadio>
                <MenuItemCheckbox name="show" value="histogram">Histogram above the results</MenuItemCheckbox>
                <MenuItem disabled={language === "sql"} icon={<TextAlignLeftRegular />} onClick={() => editor.current?.format()}>Lay out</MenuItem>
                <MenuItem disabled={language === "sql"} icon={<LiveRegular />} onClick={followLive}>Follow live</MenuItem>
              </MenuList>
            </MenuPopover>
          </Menu>
        </div>
        <Suspense fallback={<div className="editor"><Spinner label="Editor" /></div>}>
          <Editor ref={editor} text={text} language={language} onChange={setText} onRun={runCurrent} />
        </Suspense>
        <Results
          run={run}
          search={search}
          cameByLink={cameByLink}
          setSearch={setSearch}
          onFilter={language === "kql" ? addFilter : undefined}
          onRange={chooseRange}
        />
      </div>
      {(dialog === "history" || dialog === "saved") && (
        <Library
          tab={dialog}
          choose={setDialog}
          close={() => setDialog(undefined)}
          open={(chosen, chosenLanguage) => {
            setText(chosen);
            setSearch({ dialog: undefined, lang: chosenLanguage === "sql" ? "sql" : undefined });
          }}
        />
      )}
      {dialog === "save" && <SaveDialog text={text} language={language} close={() => setDialog(undefined)} />}
      {dialog === "profile" && <Profiled about={profiled} range={range} close={() => setDialog(undefined)} />}
    </main>
  );
}

/** The values of the column that the address names; nothing where there is no such column. */
function Profiled({ about, range, close }: { about: string; range: TimeRange; close(): void }) {
  const schema = useSchema();
  // One time for as long as it is open: a range that ends now ends elsewhere each moment.
  const times = useMemo(() => rangeBounds(range), [range]);
  const [table, name] = splitDialog(about);
  const column = schema.data?.find((one) => one.name === table)?.columns.find((one) => one.name === name);
  return column ? <ColumnProfile table={table} column={column} times={times} close={close} /> : null;
}

/** Where the text that ran stands now. */
function findBlock(text: string, asked: string): Block | undefined {
  const start = text.indexOf(asked);
  return start < 0 ? undefined : { start, end: start + asked.length, text: asked };
}

interface ResultsProps {
  run: Run;
  search: QuerySearch;
  cameByLink: boolean;
  setSearch(change: Record<string, string | undefined>): void;
  onFilter: ((column: Column, value: Cell, keep: boolean, path?: (string | number)[]) => void) | undefined;
  onRange(range: string): void;
}

function Results(props: ResultsProps) {
  const { run, cameByLink } = props;
  switch (run.state) {
    case "idle":
      return (
        <div className="results-note" role="status">
          {cameByLink ? (
            <p>
              <strong>This query came with the address and has not run.</strong> Read it, then press Run.
            </p>
          ) : (
            <p>
              Press <kbd>Shift</kbd>+<kbd>Enter</kbd> to run the statement under the cursor. A blank line divides statements.
            </p>
          )}
        </div>
      );
    case "running":
      return (
        <div className="results-note" role="status">
          <ProgressBar aria-label="The query runs" />
          <p>The query runs…</p>
        </div>
      );
    case "cancelled":
      return <div className="results-note" role="status"><p>The query was cancelled.</p></div>;
    case "failed":
      return <div className="results-note"><Failure error={run.error} title="The query did not run" /></div>;
    case "done":
      return <Answer {...props} result={run.result} asked={run.asked} key={run.result.activityId} />;
  }
}

type AnswerProps = ResultsProps & { result: QueryResult; asked: { text: string; from?: string; to?: string; rowsMax: number; language: "kql" | "sql" } };

function Answer({ result, asked, search, setSearch, onFilter, onRange }: AnswerProps) {
  const zone = useZone();
  const which = Math.max(0, Math.min(result.tables.length - 1, Number(search.table ?? 1) - 1 || 0));
  const hidesEmpty = search.empty !== "shown";
  const showsFilters = search.columns !== undefined;
  const filters = useMemo(() => parseFilters(search.columns), [search.columns]);
  const source = result.tables[which];
  const expanded = useMemo(() => parseExpanded(search.expand), [search.expand]);
  const table = useMemo(() => source && expand(source, expanded), [source, expanded]);
  const ofPivot = useMemo(() => (source ? pivotGroups(source, result.visualization) : []), [source, result.visualization]);
  const groupBy = useMemo(() => (search.group === undefined ? ofPivot : parseGroups(search.group)), [search.group, ofPivot]);
  // Of a pivot, no groups at all are a choice too.
  const group = (names: string[]) => setSearch({ group: names.length > 0 || ofPivot.length > 0 ? JSON.stringify(names) : undefined });
  const notDrawn = undrawn(result.visualization);
  const drawn = isDrawn(result.visualization) && which === result.tables.length - 1;
  const view = drawn && search.view !== "table" ? "chart" : "table";
  const sort = useMemo(() => parseSort(search.sort), [search.sort]);
  const times = useMemo(() => ({ ...(asked.from ? { from: asked.from } : {}), ...(asked.to ? { to: asked.to } : {}) }), [asked.from, asked.to]);
  if (!table) return <div className="results-note"><p>The answer has no table.</p></div>;
  const row = search.row === undefined ? undefined : Number(search.row);
  const isOpen = row !== undefined && Number.isInteger(row) && row >= 0 && row < table.rows.length;
  const isCut = table.rows.length >= asked.rowsMax;
  // The server writes one table to one file, and answers of commands are small.
  const canBeWhole = result.tables.length === 1 && !asked.text.trimStart().startsWith(".");
  const isTooLong = exportAddress(asked, "parquet") === undefined;
  const exportAs = (kind: "csv" | "ndjson") => {
    const rows = arrange(table, search.filter ?? "", sort, filters);
    const name = `moneta-${new Date().toISOString().slice(0, 19).replaceAll(":", "")}`;
    if (kind === "csv") download(`${name}.csv`, "text/csv;charset=utf-8", toCsv(table, rows));
    else download(`${name}.ndjson`, "application/x-ndjson", toNdjson(table, rows));
  };
  return (
    <div className="results">
      {result.partial && (
        <MessageBar intent="warning" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>This answer is not whole</MessageBarTitle>
            <Text text={result.partial} />
          </MessageBarBody>
        </MessageBar>
      )}
      {result.warnings.length > 0 && (
        <MessageBar intent="info" layout="multiline">
          <MessageBarBody><Text text={result.warnings.join("\n")} /></MessageBarBody>
        </MessageBar>
      )}
      {notDrawn && <MessageBar intent="info"><MessageBarBody>{notDrawn}</MessageBarBody></MessageBar>}
      {isCut && (
        <MessageBar intent="info">
          <MessageBarBody>
            The first {plural(table.rows.length, "row")} are shown, as chosen beside the time; there may be more.
          </MessageBarBody>
        </MessageBar>
      )}
      {search.histogram !== "no" && asked.language === "kql" && !asked.text.trimStart().startsWith(".") && (
        <Histogram text={asked.text} times={times} onChoose={onRange} showsTable={search.histogram === "table"} showTable={(shows) => setSearch({ histogram: shows ? "table" : undefined })} />
      )}
      <div className="toolbar" role="toolbar" aria-label="Results">
        {result.tables.length > 1 && (
          <Select aria-label="Which table" value={String(which)} onChange={(_, data) => setSearch({ table: String(Number(data.value) + 1), row: undefined })}>
            {result.tables.map((one, index) => <option key={index} value={index}>{visible(one.name)} {index + 1}</option>)}
          </Select>
        )}
        {drawn && (
          <TabList selectedValue={view} size="small" onTabSelect={(_, data) => setSearch({ view: data.value === "table" ? "table" : undefined })}>
            <Tab value="chart">Chart</Tab>
            <Tab value="table">Table</Tab>
          </TabList>
        )}
        {view === "table" && (
          <>
            <Input size="small" placeholder="Find in the results" aria-label="Find in the results" value={search.filter ?? ""} onChange={(_, data) => setSearch({ filter: data.value || undefined })} />
            <ToggleButton size="small" checked={!hidesEmpty} onClick={() => setSearch({ empty: hidesEmpty ? "shown" : undefined })}>Empty columns</ToggleButton>
            <ToggleButton
              size="small"
              checked={showsFilters}
              onClick={() => setSearch({ columns: showsFilters ? undefined : filtersText({}) })}
            >
              Column filters
            </ToggleButton>
            {groupBy.length < GROUP_COLUMNS_MAX && (
              <Select size="small" aria-label="Group by" value="" onChange={(_, data) => data.value && group([...groupBy, data.value])}>
                <option value="">Group by…</option>
                {table.columns.filter((column) => !groupBy.includes(column.name)).map((column) => <option key={column.name} value={column.name}>{visible(column.name)}</option>)}
              </Select>
            )}
            {groupBy.map((name) => (
              <Button key={name} size="small" icon={<DismissRegular />} iconPosition="after" aria-label={`Do not group by ${visible(name)}`} onClick={() => group(groupBy.filter((other) => other !== name))}>{visible(name)}</Button>
            ))}
          </>
        )}
        <span className="grow" />
        <Statistics result={result} isOpen={search.cost === "shown"} open={(shows) => setSearch({ cost: shows ? "shown" : undefined })} />
        <Menu>
          <MenuTrigger disableButtonEnhancement>
            <Button size="small" icon={<ArrowDownloadRegular />}>Export</Button>
          </MenuTrigger>
          <MenuPopover>
            <MenuList>
              {canBeWhole && (
                <MenuGroup>
                  <MenuGroupHeader>{isTooLong ? "All rows of the query: it is too long for an address, moneta query --export writes them" : "All rows of the query"}</MenuGroupHeader>
                  {!isTooLong && EXPORT_FORMATS.map(({ format, label }) => (
                    <MenuItem key={format} onClick={() => follow(exportAddress(asked, format) ?? "")}>{label}</MenuItem>
                  ))}
                </MenuGroup>
              )}
              <MenuGroup>
                <MenuGroupHeader>The rows shown here</MenuGroupHeader>
                <MenuItem onClick={() => exportAs("csv")}>Rows shown, as CSV</MenuItem>
                <MenuItem onClick={() => exportAs("ndjson")}>Rows shown, as JSON</MenuItem>
              </MenuGroup>
            </MenuList>
          </MenuPopover>
        </Menu>
      </div>
      {search.cost === "shown" && <Cost result={result} />}
      <div className="results-body">
        {view === "chart" ? (
          <Chart table={source ?? table} visualization={result.visualization} />
        ) : (
          <Grid
            table={table}
            zone={zone}
            search={search.filter ?? ""}
            sort={sort}
            hidesEmpty={hidesEmpty}
            filters={filters}
            onFilters={showsFilters ? (next) => setSearch({ columns: filtersText(next) }) : undefined}
            groupBy={groupBy}
            expanded={expanded}
            onExpand={(name) => {
              const next = toggled(expanded, name);
              setSearch({ expand: next.length > 0 ? JSON.stringify(next) : undefined });
            }}
            label="Results"
            onSort={(next) => setSearch({ sort: sortText(next) })}
            onOpen={(opened) => setSearch({ row: String(opened) })}
            {...(onFilter ? { onFilter: (column, value, keep) => (column.from ? onFilter(column.from.column, value, keep, column.from.path) : onFilter(column, value, keep)) } : {})}
          />
        )}
        {isOpen && source && <Inspector table={source} row={row} zone={zone} onFilter={onFilter} close={() => setSearch({ row: undefined })} />}
      </div>
    </div>
  );
}
