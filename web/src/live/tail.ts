// Follows a table by `_Seq`, which only grows: each step asks for what came after the last row seen.
import { runQuery, type Cell, type ResultTable, type Row } from "../api/kusto";
import { columnName } from "../query/filters";

/** Rows kept and shown. */
export const TAIL_ROWS_MAX = 1_000;
/** Rows of one step. */
const STEP_ROWS_MAX = 500;
/** Rows shown before anything new comes. */
const FIRST_ROWS = 100;

/** The query whose end is followed. */
export function tailQuery(table: string, where: string): string {
  return columnName(table) + (where === "" ? "" : `\n| where ${where}`);
}

export interface Step {
  table: ResultTable;
  perSecond: number;
  /** Rows that came but were more than one step takes. */
  missed: number;
}

export class Tail {
  private last: bigint | undefined;
  private kept: Row[] = [];
  private askedAt = 0;

  constructor(
    private readonly name: string,
    private readonly where: string,
    private readonly ask: typeof runQuery = runQuery,
    private readonly now: () => number = () => performance.now(),
  ) {}

  async step(): Promise<Step> {
    const source = tailQuery(this.name, this.where);
    const isFirst = this.last === undefined;
    const after = isFirst ? "" : `\n| where _Seq > ${String(this.last)}`;
    const take = isFirst ? FIRST_ROWS : STEP_ROWS_MAX;
    // The newest of what came, and how many came: what is left out is counted, never hidden.
    const [rows, counted] = await Promise.all([
      this.ask(`${source}${after}\n| top ${take} by _Seq desc`),
      isFirst ? undefined : this.ask(`${source}${after}\n| summarize Rows = count(), Last = max(_Seq)`),
    ]);
    const table = rows.tables[0];
    if (!table) throw new Error("the answer has no table");
    const seq = table.columns.findIndex((column) => column.name === "_Seq");
    const seqOf = (row: Row): bigint => BigInt(String((row[seq] as Cell) ?? 0));
    const newest = table.rows[0];
    const at = this.now();
    const seconds = Math.max(0.001, (at - this.askedAt) / 1000);
    const perSecond = isFirst ? 0 : table.rows.length / seconds;
    this.askedAt = at;
    let missed = 0;
    if (!isFirst && table.rows.length === take) {
      // Both answers may differ by what came between them; the smaller difference is certain.
      const came = Number(counted?.tables[0]?.rows[0]?.[0] ?? 0);
      missed = Math.max(0, came - table.rows.length);
    }
    if (newest) this.last = seqOf(newest);
    else if (isFirst) this.last = -1n;
    this.kept = [...table.rows, ...this.kept].slice(0, TAIL_ROWS_MAX);
    return { table: { ...table, rows: this.kept }, perSecond, missed };
  }
}
