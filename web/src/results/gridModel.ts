// Sorting and searching of a result in the browser: row numbers in the order to show, nothing copied.
import type { Cell, Column, ResultTable } from "../api/kusto";

export interface Sort {
  column: string;
  descending: boolean;
}

/** `-Column` for descending, `Column` for ascending, as the address has it. */
export function parseSort(text: string | undefined): Sort | undefined {
  if (!text) return undefined;
  return text.startsWith("-") ? { column: text.slice(1), descending: true } : { column: text, descending: false };
}

export function sortText(sort: Sort | undefined): string | undefined {
  return sort && `${sort.descending ? "-" : ""}${sort.column}`;
}

/** A value as text: how it is searched, copied and exported. Times stay as the server sent them. */
export function cellText(value: Cell | undefined): string {
  if (value === null || value === undefined) return "";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** What the values of columns must be, by the column's name. */
export type ColumnFilters = Record<string, string>;

/** Filters as the address has them; nonsense is none. */
export function parseFilters(text: string | undefined): ColumnFilters {
  try {
    const parsed = JSON.parse(text ?? "{}") as unknown;
    if (parsed === null || typeof parsed !== "object" || Array.isArray(parsed)) return {};
    return Object.fromEntries(Object.entries(parsed).filter((entry): entry is [string, string] => typeof entry[1] === "string" && entry[1] !== ""));
  } catch {
    return {};
  }
}

/** `{}` where none is set: the fields for them are shown all the same. */
export function filtersText(filters: ColumnFilters): string {
  return JSON.stringify(Object.fromEntries(Object.entries(filters).filter(([, wanted]) => wanted !== "")));
}

/**
 * Whether a value is as wanted: it contains the text, whatever the case; or `=`, `!=`, `<`, `<=`, `>`, `>=` and a value;
 * or `!` and a text that it must not contain. `=` and `!=` alone are for what has no value.
 */
export function wantedValue(column: Column, wanted: string): (value: Cell) => boolean {
  const [, operator = "", operand = ""] = /^(!=|<=|>=|=|<|>|!)?\s*([\s\S]*)$/.exec(wanted.trim()) ?? [];
  const text = operand.toLowerCase();
  const contains = (value: Cell) => cellText(value).toLowerCase().includes(text);
  if (operator === "" || operator === "!") return operator === "" ? contains : (value) => text === "" || !contains(value);
  const isSame = (value: Cell) => (operand === "" ? cellText(value) === "" : cellText(value).toLowerCase() === text || (isNumber(column) && compareNumbers(value, operand) === 0));
  if (operator === "=") return isSame;
  if (operator === "!=") return (value) => !isSame(value);
  // A half-typed comparison keeps everything.
  if (operand === "") return () => true;
  const compare = comparison(column);
  return (value) => {
    if (value === null || (isNumber(column) && Number.isNaN(Number(operand)))) return false;
    const order = compare(value, operand);
    return operator.startsWith("<") ? order < 0 || (operator === "<=" && order === 0) : order > 0 || (operator === ">=" && order === 0);
  };
}

function isNumber(column: Column): boolean {
  return ["int", "long", "real", "decimal"].includes(column.type);
}

/** Row numbers that contain the text and meet the filters, in the wanted order. */
export function arrange(table: ResultTable, search: string, sort: Sort | undefined, filters: ColumnFilters = {}): Uint32Array {
  const wanted = search.toLowerCase();
  const tests = table.columns.flatMap((column, index) => {
    const filter = filters[column.name];
    return filter ? [{ index, holds: wantedValue(column, filter) }] : [];
  });
  const all: number[] = [];
  for (let row = 0; row < table.rows.length; row += 1) {
    const cells = table.rows[row];
    if (!tests.every(({ index, holds }) => holds(cells?.[index] ?? null))) continue;
    if (wanted === "" || (cells ?? []).some((value) => cellText(value).toLowerCase().includes(wanted))) all.push(row);
  }
  const index = sort ? table.columns.findIndex((column) => column.name === sort.column) : -1;
  const column = table.columns[index];
  if (sort && column) {
    const compare = comparison(column);
    const direction = sort.descending ? -1 : 1;
    // Rows without a value come last in both directions; equal rows keep the server's order.
    all.sort((a, b) => {
      const left = table.rows[a]?.[index] ?? null;
      const right = table.rows[b]?.[index] ?? null;
      if (left === null || right === null) return left === right ? a - b : left === null ? 1 : -1;
      return direction * compare(left, right) || a - b;
    });
  }
  return Uint32Array.from(all);
}

function comparison(column: Column): (left: Cell, right: Cell) => number {
  switch (column.type) {
    case "int":
    case "long":
    case "bool":
    case "real":
    case "decimal":
      return compareNumbers;
    case "timespan":
      return (left, right) => spanTicks(String(left)) - spanTicks(String(right));
    default:
      return (left, right) => {
        const [a, b] = [cellText(left), cellText(right)];
        return a < b ? -1 : a > b ? 1 : 0;
      };
  }
}

/** Whole numbers beyond a double come as text; they differ by more than rounding mostly, and exactly when near. */
function compareNumbers(left: Cell, right: Cell): number {
  if (typeof left === "string" && typeof right === "string" && /^-?\d+$/.test(left) && /^-?\d+$/.test(right)) {
    const [a, b] = [BigInt(left), BigInt(right)];
    return a < b ? -1 : a > b ? 1 : 0;
  }
  const [a, b] = [Number(left), Number(right)];
  if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) ? (Number.isNaN(b) ? 0 : 1) : -1;
  return a - b;
}

/** Ticks of `[-][d.]hh:mm:ss[.fffffff]`, near enough to sort by. */
function spanTicks(text: string): number {
  const match = /^(-)?(?:(\d+)\.)?(\d+):(\d+):(\d+(?:\.\d+)?)$/.exec(text);
  if (!match) return 0;
  const seconds = Number(match[2] ?? 0) * 86_400 + Number(match[3]) * 3600 + Number(match[4]) * 60 + Number(match[5]);
  return match[1] ? -seconds : seconds;
}

/** Whether a column has any value: most tables have many columns that a result does not fill. */
export function filledColumns(table: ResultTable): boolean[] {
  const filled = table.columns.map(() => false);
  let missing = filled.length;
  for (const row of table.rows) {
    if (missing === 0) break;
    for (let index = 0; index < filled.length; index += 1) {
      const value = row[index];
      if (!filled[index] && value !== null && value !== undefined && value !== "") {
        filled[index] = true;
        missing -= 1;
      }
    }
  }
  return filled;
}

/** Widths that fit the names and the first rows, in pixels. */
export function columnWidths(table: ResultTable): number[] {
  return table.columns.map((column, index) => {
    let longest = column.name.length + 3;
    for (const row of table.rows.slice(0, 50)) longest = Math.max(longest, cellText(row[index]).length);
    const least = column.type === "datetime" ? 190 : 80;
    return Math.min(420, Math.max(least, 24 + longest * 7.4));
  });
}

export interface NumberSummary {
  count: number;
  sum: number;
  min: number;
  max: number;
}

/** Sum and the like of a numeric column over the rows shown. */
export function summarise(table: ResultTable, rows: Uint32Array, index: number): NumberSummary | undefined {
  if (!["int", "long", "real", "decimal"].includes(table.columns[index]?.type ?? "")) return undefined;
  const summary = { count: 0, sum: 0, min: Infinity, max: -Infinity };
  for (const row of rows) {
    const value = table.rows[row]?.[index];
    if (value === null || value === undefined || value === "") continue;
    const number = Number(value);
    if (Number.isNaN(number)) continue;
    summary.count += 1;
    summary.sum += number;
    summary.min = Math.min(summary.min, number);
    summary.max = Math.max(summary.max, number);
  }
  return summary.count > 0 ? summary : undefined;
}

/**
 * The order in which columns are first shown. Rows straight from a table begin with their time and end with what all
 * tables have; what a query chose stays as it chose.
 */
export function columnOrder(table: ResultTable): number[] {
  const all = table.columns.map((_, index) => index);
  const names = new Set(table.columns.map((column) => column.name));
  if (!["TimeGenerated", "TenantId", "Type", "_Seq"].every((name) => names.has(name))) return all;
  const rank = (index: number) => {
    const name = table.columns[index]?.name ?? "";
    return name === "TimeGenerated" ? 0 : name === "TenantId" || name === "Type" || name.startsWith("_") ? 2 : 1;
  };
  return all.sort((a, b) => rank(a) - rank(b) || a - b);
}

/** Columns that rows can be grouped by at once. */
export const GROUP_COLUMNS_MAX = 3;

/** Names of columns as the address has them. */
export function parseGroups(text: string | undefined): string[] {
  try {
    const parsed = JSON.parse(text ?? "[]") as unknown;
    return Array.isArray(parsed) ? parsed.filter((name): name is string => typeof name === "string").slice(0, GROUP_COLUMNS_MAX) : [];
  } catch {
    return [];
  }
}

export interface Group {
  /** The values of the columns that lead to it: stays the same while rows come and go. */
  key: string;
  column: string;
  value: Cell;
  depth: number;
  rows: number;
  isOpen: boolean;
}

/** What a grouped grid shows, line by line: a row's number, or `-1 - n` for the group `n`. */
export interface Lines {
  lines: Int32Array;
  groups: Group[];
}

/** Rows under the values of columns, the largest group first; rows and groups inside are listed where a group is open. */
export function groupLines(table: ResultTable, order: Uint32Array, names: string[], open: ReadonlySet<string>): Lines {
  const columns = names.map((name) => table.columns.findIndex((column) => column.name === name)).filter((index) => index >= 0);
  if (columns.length === 0) return { lines: Int32Array.from(order), groups: [] };
  const lines: number[] = [];
  const groups: Group[] = [];
  const add = (rows: Iterable<number>, depth: number, path: string[]) => {
    const index = columns[depth];
    if (index === undefined) {
      for (const row of rows) lines.push(row);
      return;
    }
    const found = new Map<string, { value: Cell; rows: number[] }>();
    for (const row of rows) {
      const value = table.rows[row]?.[index] ?? null;
      // Nothing and the empty text differ; so do a number and the text of it.
      const name = value === null ? "null" : typeof value === "string" ? `"${value}` : JSON.stringify(value);
      const group = found.get(name);
      if (group) group.rows.push(row);
      else found.set(name, { value, rows: [row] });
    }
    for (const [name, group] of [...found].sort((a, b) => b[1].rows.length - a[1].rows.length)) {
      const key = JSON.stringify([...path, name]);
      const isOpen = open.has(key);
      lines.push(-1 - groups.length);
      groups.push({ key, column: table.columns[index]?.name ?? "", value: group.value, depth, rows: group.rows.length, isOpen });
      if (isOpen) add(group.rows, depth + 1, [...path, name]);
    }
  };
  add(order, 0, []);
  return { lines: Int32Array.from(lines), groups };
}
