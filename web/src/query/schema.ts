// The tables and functions that a query may name, with how full the tables are.
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";
import { runCommand, type ColumnType } from "../api/kusto";
import type { Status, StoredFunction } from "../api/types";

export interface SchemaTable {
  name: string;
  columns: { name: string; type: ColumnType }[];
  /** Rows stored; 0 for tables that nothing has come to, and for views, whose rows are not counted. */
  numRows: number;
  /** Whether it is a materialised view. */
  isView: boolean;
  /** What somebody wrote about it; empty where nobody did. */
  docString: string;
}

interface WireTable {
  Name: string;
  OrderedColumns: { Name: string; CslType: ColumnType }[];
  DocString?: string | null;
}

interface WireSchema {
  Databases: Record<string, { Tables: Record<string, WireTable>; MaterializedViews?: Record<string, WireTable> }>;
}

/** The state of the installation; asked again every few seconds while a page shows it. */
export function useStatus(refetchInterval: number | false = false) {
  return useQuery({ queryKey: ["status"], queryFn: () => send<Status>("GET", "/v1/status"), refetchInterval });
}

export function useSchema() {
  return useQuery({
    queryKey: ["schema"],
    staleTime: 60_000,
    queryFn: async (): Promise<SchemaTable[]> => {
      const [answer, status] = await Promise.all([runCommand(".show schema as json"), send<Status>("GET", "/v1/status")]);
      const text = String(answer.rows[0]?.[0] ?? "{}");
      const schema = JSON.parse(text) as WireSchema;
      const rows = new Map(status.tables.map((table) => [table.name, table.num_rows]));
      const listed = (tables: Record<string, WireTable> | undefined, isView: boolean) =>
        Object.values(tables ?? {}).map((table) => ({
          name: table.Name,
          columns: table.OrderedColumns.map((column) => ({ name: column.Name, type: column.CslType })),
          numRows: isView ? 0 : (rows.get(table.Name) ?? 0),
          isView,
          docString: table.DocString ?? "",
        }));
      const databases = Object.values(schema.Databases);
      const all = databases.flatMap(({ Tables, MaterializedViews }) => [...listed(Tables, false), ...listed(MaterializedViews, true)]);
      return all.sort((a, b) => Number(b.numRows > 0) - Number(a.numRows > 0) || (a.name < b.name ? -1 : 1));
    },
  });
}

export function useFunctions() {
  return useQuery({
    queryKey: ["functions"],
    staleTime: 60_000,
    queryFn: async () => (await send<{ functions: StoredFunction[] }>("GET", "/v1/functions")).functions,
  });
}
