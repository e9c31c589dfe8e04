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

/** Row numbers that contain the text, in the wanted order. */
export function arrange(table: ResultTable, search: string, sort: Sort | undefined): Uint32Array {
  const wanted = search.toLowerCase();
  const all: number[] = [];
  for (let row = 0; row < table.rows.length; row += 1) {
    if (wanted === "" || (table.rows[row] ?? []).some((value) => cellText(value).toLowerCase().includes(wanted))) all.push(row);
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
