// Members of dynamic values as columns of their own, beside the column they come from. Rows stay as many as they are.
import type { Cell, Column, ColumnType, ResultTable } from "../api/kusto";
import { dynamicPath } from "../query/filters";

/** Columns that one column is expanded into; the most frequent members, as a row's own view has all. */
export const MEMBERS_MAX = 60;
/** Rows that are looked at for members. */
const ROWS_LOOKED_AT = 20_000;

/** Names of the expanded columns as the address has them; nonsense is none. */
export function parseExpanded(text: string | undefined): string[] {
  try {
    const parsed = JSON.parse(text ?? "[]") as unknown;
    return Array.isArray(parsed) ? parsed.filter((name): name is string => typeof name === "string") : [];
  } catch {
    return [];
  }
}

/** Expands a column, or closes it with everything expanded out of it. */
export function toggled(names: readonly string[], name: string): string[] {
  if (!names.includes(name)) return [...names, name];
  return names.filter((other) => other !== name && !other.startsWith(`${name}.`) && !other.startsWith(`${name}[`));
}

/** The table with the members of the named columns after each; what came out of a column can be expanded further. */
export function expand(table: ResultTable, names: readonly string[]): ResultTable {
  return names.reduce(expandOne, table);
}

type Key = string | number;

function expandOne(table: ResultTable, name: string): ResultTable {
  const at = table.columns.findIndex((column) => column.name === name && column.type === "dynamic");
  const column = table.columns[at];
  if (!column) return table;
  const members = membersOf(table, at);
  const values = (row: Cell[]) => members.map((member) => memberOf(row[at] ?? null, member));
  const rows = table.rows.map((row) => [...row.slice(0, at + 1), ...values(row), ...row.slice(at + 1)]);
  const from = column.from ?? { column, path: [] };
  const made = members.map((member, index): Column => {
    const path = [...from.path, member];
    return { name: dynamicPath(from.column.name, path), type: typeOf(rows, at + 1 + index), from: { column: from.column, path } };
  });
  return { ...table, columns: [...table.columns.slice(0, at + 1), ...made, ...table.columns.slice(at + 1)], rows };
}

/** The most frequent members, in the order in which they are met. */
function membersOf(table: ResultTable, at: number): Key[] {
  const counts = new Map<Key, number>();
  for (const row of table.rows.slice(0, ROWS_LOOKED_AT)) {
    const value = row[at] ?? null;
    if (value === null || typeof value !== "object") continue;
    const keys: Key[] = Array.isArray(value) ? value.slice(0, MEMBERS_MAX).map((_, index) => index) : Object.keys(value);
    for (const key of keys) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const frequent = new Set([...counts].sort((a, b) => b[1] - a[1]).slice(0, MEMBERS_MAX).map(([key]) => key));
  return [...counts.keys()].filter((key) => frequent.has(key));
}

function memberOf(value: Cell, key: Key): Cell {
  if (value === null || typeof value !== "object") return null;
  if (Array.isArray(value)) return typeof key === "number" ? (value[key] ?? null) : null;
  return typeof key === "string" && Object.hasOwn(value, key) ? (value[key] ?? null) : null;
}

/** The type by which values sort and are laid out: that of all of them, where they have one. */
function typeOf(rows: Cell[][], at: number): ColumnType {
  const kinds = new Set<ColumnType>();
  for (const row of rows) {
    const value = row[at] ?? null;
    if (value === null) continue;
    kinds.add(typeof value === "number" ? (Number.isInteger(value) ? "long" : "real") : typeof value === "string" ? "string" : typeof value === "boolean" ? "bool" : "dynamic");
  }
  const [only] = kinds;
  if (kinds.size === 1 && only) return only;
  return kinds.size === 2 && kinds.has("long") && kinds.has("real") ? "real" : "dynamic";
}
