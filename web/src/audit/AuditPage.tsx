// Who did what: every query, change and sign-in, from the table that the server writes before it acts.
import { Button, Input, Select } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { asObjects, quote, runQuery } from "../api/kusto";
import { useZone } from "../app/session";
import { plural } from "../parts/numbers";
import { Answered, Page } from "../parts/Page";
import { RangePicker } from "../parts/RangePicker";
import { parseRange, rangeBounds } from "../parts/time";
import { Grid } from "../results/Grid";
import { parseSort, sortText, type Sort } from "../results/gridModel";
import { Inspector } from "../results/Inspector";

interface AuditSearch {
  range?: string;
  actor?: string;
  action?: string;
  outcome?: string;
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
  const [sort, setSort] = useState<Sort>();
  const [row, setRow] = useState<number>();
  const setSearch = (change: Record<string, string | undefined>) => {
    setRow(undefined);
    void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  };
  // To look is an act, and is a row itself: the page asks when it is opened or told to, never by itself.
  const rows = useQuery({
    queryKey: ["audit", search],
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
        <RangePicker range={range} zone={zone} onChange={(text) => setSearch({ range: text })} />
        <Input placeholder="Who" aria-label="Who" value={search.actor ?? ""} onChange={(_, data) => setSearch({ actor: data.value || undefined })} />
        <Select aria-label="What" value={search.action ?? ""} onChange={(_, data) => setSearch({ action: data.value || undefined })}>
          <option value="">Every act</option>
          {values("Action").map((action) => <option key={action} value={action}>{action}</option>)}
        </Select>
        <Select aria-label="How it ended" value={search.outcome ?? ""} onChange={(_, data) => setSearch({ outcome: data.value || undefined })}>
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
                  sort={sort ?? parseSort(undefined)}
                  hidesEmpty
                  label={`Audit, sorted by ${sortText(sort) ?? "newest first"}`}
                  onSort={setSort}
                  onOpen={setRow}
                />
                {row !== undefined && <Inspector table={table} row={row} zone={zone} close={() => setRow(undefined)} />}
              </div>
            </>
          )
        }
      </Answered>
    </Page>
  );
}
