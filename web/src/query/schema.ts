// The tables and functions that a query may name, with how full the tables are.
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";
import { runCommand, type ColumnType } from "../api/kusto";
import type { Status, StoredFunction } from "../api/types";

export interface SchemaTable {
  name: string;
  columns: { name: string; type: ColumnType }[];
  /** Rows stored; 0 for tables that nothing has come to. */
  numRows: number;
}

interface WireSchema {
  Databases: Record<string, { Tables: Record<string, { Name: string; OrderedColumns: { Name: string; CslType: ColumnType }[] }> }>;
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
      const tables = Object.values(schema.Databases).flatMap((database) => Object.values(database.Tables));
      const listed = tables.map((table) => ({
        name: table.Name,
        columns: table.OrderedColumns.map((column) => ({ name: column.Name, type: column.CslType })),
        numRows: rows.get(table.Name) ?? 0,
      }));
      return listed.sort((a, b) => Number(b.numRows > 0) - Number(a.numRows > 0) || (a.name < b.name ? -1 : 1));
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
