// What the tables will take on disk, day by day from today: each grows as it did, until as many days are there as it is kept.
import type { Status, TableStatus } from "../api/types";

export interface GrowthDay {
  /** Days from today. */
  day: number;
  /** Bytes of each of the tables named, in their order, and of all others. */
  bytes: number[];
  total: number;
}

export interface Growth {
  /** Names of the tables that take most at the end, and `others` where there are more. */
  names: string[];
  days: GrowthDay[];
  /** Bytes that segments can take: what they take now and what is left. */
  room: number;
  /** The first of the days on which they do not fit. */
  fullOn: number | undefined;
}

/** Tables that are named. */
const TABLES_NAMED = 5;
const DAYS = [0, 7, 14, 30, 60, 90, 120, 180, 270, 365];

/** `undefined` as long as no table says how it grows. */
export function growth({ tables, disk }: Pick<Status, "tables" | "disk">): Growth | undefined {
  if (!tables.some((table) => table.bytes_per_day > 0)) return undefined;
  const last = DAYS.at(-1) ?? 0;
  const largest = [...tables].sort((a, b) => bytesOn(b, last) - bytesOn(a, last));
  const named = largest.slice(0, TABLES_NAMED);
  const others = largest.slice(TABLES_NAMED);
  const days = DAYS.map((day) => {
    const bytes = [...named.map((table) => bytesOn(table, day)), ...(others.length > 0 ? [sum(others.map((table) => bytesOn(table, day)))] : [])];
    return { day, bytes, total: sum(bytes) };
  });
  const room = sum(tables.map((table) => table.segment_bytes)) + disk.available_bytes;
  return { names: [...named.map((table) => table.name), ...(others.length > 0 ? ["others"] : [])], days, room, fullOn: days.find((one) => one.total > room)?.day };
}

/** A table never takes less for growing: it may hold more than its forecast, until old days go. */
function bytesOn(table: TableStatus, day: number): number {
  const grown = table.segment_bytes + table.bytes_per_day * day;
  return table.retention_days === null || table.forecast_bytes === 0 ? grown : Math.min(grown, Math.max(table.segment_bytes, table.forecast_bytes));
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
