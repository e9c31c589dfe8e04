// Queries and management commands: what is sent, and the frames of the answer taken apart.
import { send } from "./client";

/** Kusto's scalar types. */
export type ColumnType =
  | "bool" | "int" | "long" | "real" | "decimal" | "string" | "datetime" | "timespan" | "dynamic" | "guid";

export interface Column {
  name: string;
  type: ColumnType;
  /** Where a column comes from that the page made of the members of a dynamic one. */
  from?: { column: Column; path: (string | number)[] };
}

/** A value as JSON has it: `dynamic` may be anything. */
export type Cell = null | boolean | number | string | Cell[] | { [key: string]: Cell };
export type Row = Cell[];

export interface ResultTable {
  name: string;
  columns: Column[];
  rows: Row[];
}

/** Properties of `render`. */
export interface Visualization {
  Visualization: string | null;
  Title?: string | null;
  XColumn?: string | null;
  YColumns?: string | string[] | null;
  Series?: string | string[] | null;
  AnomalyColumns?: string | string[] | null;
  XTitle?: string | null;
  YTitle?: string | null;
  Legend?: string | null;
  YSplit?: string | null;
  Kind?: string | null;
  [other: string]: unknown;
}

export interface Statistics {
  seconds: number;
  rowsScanned: number;
  segmentsRead: number;
  segmentsTotal: number;
  blocksRead: number;
  /** Bytes that were read of segments and fresh blocks; `undefined` where the server does not say. */
  bytesRead: number | undefined;
  /** Most memory that was used at once, in bytes; `undefined` where the server does not say. */
  memoryPeakBytes: number | undefined;
  /** What was not needed: how much of what kind, and why. */
  notRead: { what: string; count: number; why: string }[];
}

export interface QueryResult {
  tables: ResultTable[];
  visualization: Visualization;
  statistics: Statistics | undefined;
  /** Why the answer is not whole: a limit that cut it, or segments that were not read. */
  partial: string | undefined;
  warnings: string[];
  /** Time until the whole answer was here, in milliseconds. */
  elapsedMs: number;
  /** The server's id of the query: audit rows carry it. */
  activityId: string;
}

export interface QueryOptions {
  rowsMax?: number;
  from?: string | undefined;
  to?: string | undefined;
  /** The name by which [`cancelQuery`] stops it. */
  id?: string;
  signal?: AbortSignal;
  language?: "kql" | "sql";
}

interface Frame {
  FrameType: string;
  TableKind?: string;
  TableName?: string;
  Columns?: { ColumnName: string; ColumnType: ColumnType }[];
  Rows?: unknown[];
  OneApiErrors?: { error?: { "@message"?: string } }[];
}

/** Runs a query. */
export async function runQuery(text: string, options: QueryOptions = {}): Promise<QueryResult> {
  const properties: Record<string, unknown> = {};
  if (options.rowsMax !== undefined) properties.query_take_max_records = options.rowsMax;
  if (options.from) properties.query_datetimescope_from = options.from;
  if (options.to) properties.query_datetimescope_to = options.to;
  if (options.language) properties.query_language = options.language;
  const started = performance.now();
  const frames = await send<Frame[]>("POST", "/v2/rest/query", {
    body: { db: "moneta", csl: text, properties: { Options: properties } },
    ...(options.signal ? { signal: options.signal } : {}),
    headers: { "x-ms-app": "Moneta.Web", ...(options.id ? { "x-ms-client-request-id": options.id } : {}) },
  });
  return { ...readFrames(frames), elapsedMs: performance.now() - started };
}

/** Takes the frames of an answer apart. */
export function readFrames(frames: Frame[]): Omit<QueryResult, "elapsedMs"> {
  const ofKind = (kind: string) => frames.filter((frame) => frame.TableKind === kind);
  const completion = frames.find((frame) => frame.FrameType === "DataSetCompletion");
  const info = (ofKind("QueryCompletionInformation")[0]?.Rows ?? []) as Row[];
  const statistics = info.find((row) => row[6] === "Stats")?.[11];
  const texts = info.filter((row) => row[6] === "Info").map((row) => textOf(String(row[11])));
  const properties = (ofKind("QueryProperties")[0]?.Rows ?? []) as Row[];
  const drawn = properties.find((row) => row[1] === "Visualization")?.[2];
  return {
    tables: ofKind("PrimaryResult").map(readTable),
    visualization: (typeof drawn === "string" ? JSON.parse(drawn) : (drawn ?? { Visualization: null })) as Visualization,
    statistics: typeof statistics === "string" ? readStatistics(statistics) : undefined,
    partial: completion?.OneApiErrors?.[0]?.error?.["@message"],
    warnings: texts.filter((text) => text !== "Query completed successfully"),
    activityId: String(info[0]?.[2] ?? ""),
  };
}

function textOf(payload: string): string {
  return (JSON.parse(payload) as { Text?: string }).Text ?? "";
}

function readTable(frame: Frame): ResultTable {
  return {
    name: frame.TableName ?? "",
    columns: (frame.Columns ?? []).map((column) => ({ name: column.ColumnName, type: column.ColumnType })),
    // What is no array among the rows is the error that ended them; it stands in the completion too.
    rows: (frame.Rows ?? []).filter(Array.isArray) as Row[],
  };
}

function readStatistics(text: string): Statistics {
  const wire = JSON.parse(text) as {
    ExecutionTime?: number;
    input_dataset_statistics?: {
      extents?: { total?: number; scanned?: number };
      rows?: { scanned?: number };
      rowstores?: { scanned_blocks?: number };
      bytes?: { scanned?: unknown };
      not_read?: [what: string, count: number, why: string][];
    };
    resource_usage?: { memory?: { peak_per_node?: unknown } };
  };
  const input = wire.input_dataset_statistics;
  return {
    seconds: wire.ExecutionTime ?? 0,
    rowsScanned: input?.rows?.scanned ?? 0,
    segmentsRead: input?.extents?.scanned ?? 0,
    segmentsTotal: input?.extents?.total ?? 0,
    blocksRead: input?.rowstores?.scanned_blocks ?? 0,
    bytesRead: sizeOf(input?.bytes?.scanned),
    memoryPeakBytes: sizeOf(wire.resource_usage?.memory?.peak_per_node),
    notRead: (input?.not_read ?? []).map(([what, count, why]) => ({ what, count, why })),
  };
}

/** A number of bytes, if it is one: long ones come as text. */
function sizeOf(value: unknown): number | undefined {
  const size = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof size === "number" && size >= 0 ? size : undefined;
}

interface CommandAnswer {
  Tables: { Columns: { ColumnName: string; ColumnType: ColumnType }[]; Rows: Row[] }[];
}

/** Runs a management command. */
export async function runCommand(text: string): Promise<ResultTable> {
  const answer = await send<CommandAnswer>("POST", "/v1/rest/mgmt", { body: { db: "moneta", csl: text } });
  const table = answer.Tables[0];
  const columns = (table?.Columns ?? []).map((column) => ({ name: column.ColumnName, type: column.ColumnType }));
  return { name: "", columns, rows: table?.Rows ?? [] };
}

/** Stops a query that was started under this id. */
export async function cancelQuery(id: string): Promise<void> {
  await runCommand(`.cancel query ${quote(id)}`);
}

/** A text as a KQL string literal. */
export function quote(text: string): string {
  const escaped = text.replace(/[\\"\u0000-\u001f\u007f\u2028\u2029]/g, (c) => {
    if (c === "\\" || c === '"') return `\\${c}`;
    if (c === "\n") return "\\n";
    if (c === "\r") return "\\r";
    if (c === "\t") return "\\t";
    return `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  });
  return `"${escaped}"`;
}

/** The rows of the first table as objects by column name. */
export function asObjects(result: { tables: ResultTable[] }): Record<string, Cell>[] {
  const table = result.tables[0];
  if (!table) return [];
  return table.rows.map((row) => Object.fromEntries(table.columns.map((column, index) => [column.name, row[index] ?? null])));
}
