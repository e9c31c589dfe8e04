// Who did what: every query, change and sign-in, from the table that the server writes before it acts.
import { Button, Select } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { asObjects, quote, runQuery, type ResultTable } from "../api/kusto";
import { useZone } from "../app/session";
import { Find } from "../parts/Find";
import { plural } from "../parts/numbers";
import { Answered, Page } from "../parts/Page";
import { RangePicker } from "../parts/RangePicker";
import { parseRange, rangeBounds, type Zone } from "../parts/time";
import { Grid } from "../results/Grid";
import { parseSort, sortText } from "../results/gridModel";
import { Inspector } from "../results/Inspector";

interface AuditSearch {
  range?: string;
  actor?: string;
  action?: string;
  outcome?: string;
  sort?: string;
  /** The `_Seq` of the row that is open: others come before it. */
  row?: string;
}

const ROWS_MAX = 5_000;

function auditQuery(search: AuditSearch): string {
  return [
    "MonetaAudit",
    ...(search.actor ? [`| where ActorName contains ${quote(search.actor)}`] : []),
    ...(search.action ? [`| where Action == ${quote(search.action)}`] : []),
    ...(search.outcome ? [`| where Outcome == ${quote(search.outcome)}`] : []),
    "| project TimeGenerated, ActorName, Action, ObjectKind, ObjectName, Outcome, Reason, QueryText, RowCount, DurationMs, ClientAddress, ActorKind, Details, CorrelationId, Type, _Seq",
    "| order by _Seq desc",
  ].join("\n");
}

export function AuditPage() {
  const search = useSearch({ from: "/audit" }) as AuditSearch;
  const navigate = useNavigate({ from: "/audit" });
  const zone = useZone();
  const range = useMemo(() => parseRange(search.range), [search.range]);
  const { sort: sortedBy, row: opened, ...asked } = search;
  const sort = useMemo(() => parseSort(sortedBy), [sortedBy]);
  const setSearch = (change: Record<string, string | undefined>) =>
    void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const narrow = (change: Record<string, string | undefined>) => setSearch({ ...change, row: undefined });
  // To look is an act, and is a row itself: the page asks when it is opened or told to, never by itself.
  const rows = useQuery({
    queryKey: ["audit", asked],
    queryFn: async () => (await runQuery(auditQuery(search), { ...rangeBounds(range), rowsMax: ROWS_MAX })).tables[0],
    staleTime: Infinity,
  });
  const facets = useQuery({
    queryKey: ["audit-facets", search.range],
    queryFn: async () => asObjects(await runQuery("MonetaAudit | summarize Count = count() by Action, Outcome", rangeBounds(range))),
    staleTime: Infinity,
  });
  const values = (name: string) => [...new Set((facets.data ?? []).map((facet) => String(facet[name])))].sort();
  return (
    <Page
      title="Audit"
      tools={
        <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: auditQuery(search), range: search.range }) as never}>As a query</Link>
      }
    >
      <div className="toolbar">
        <RangePicker range={range} zone={zone} onChange={(text) => narrow({ range: text })} />
        <Find label="Who" text={search.actor ?? ""} onChange={(text) => narrow({ actor: text || undefined })} />
        <Select aria-label="What" value={search.action ?? ""} onChange={(_, data) => narrow({ action: data.value || undefined })}>
          <option value="">Every act</option>
          {values("Action").map((action) => <option key={action} value={action}>{action}</option>)}
        </Select>
        <Select aria-label="How it ended" value={search.outcome ?? ""} onChange={(_, data) => narrow({ outcome: data.value || undefined })}>
          <option value="">Every outcome</option>
          {values("Outcome").map((outcome) => <option key={outcome} value={outcome}>{outcome}</option>)}
        </Select>
        <Button onClick={() => void rows.refetch()}>Look again</Button>
      </div>
      <Answered query={rows}>
        {(table) =>
          table && (
            <>
              {table.rows.length >= ROWS_MAX && <p className="quiet">The newest {plural(ROWS_MAX, "row")} are shown.</p>}
              <div className="framed results-body">
                <Grid
                  table={table}
                  zone={zone}
                  search=""
                  sort={sort}
                  hidesEmpty
                  label={`Audit, sorted by ${sortedBy ?? "newest first"}`}
                  onSort={(next) => setSearch({ sort: sortText(next) })}
                  onOpen={(row) => setSearch({ row: seqOf(table, row) })}
                />
                <OpenRow table={table} seq={opened} zone={zone} close={() => setSearch({ row: undefined })} />
              </div>
            </>
          )
        }
      </Answered>
    </Page>
  );
}

function seqOf(table: ResultTable, row: number): string {
  return String(table.rows[row]?.[table.columns.findIndex((column) => column.name === "_Seq")]);
}

function OpenRow({ table, seq, zone, close }: { table: ResultTable; seq: string | undefined; zone: Zone; close(): void }) {
  const row = useMemo(() => (seq === undefined ? -1 : table.rows.findIndex((_, index) => seqOf(table, index) === seq)), [table, seq]);
  return row < 0 ? null : <Inspector table={table} row={row} zone={zone} close={close} />;
}
