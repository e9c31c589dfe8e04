// Follows a table, or a query that looks at one row at a time, by `_Seq`, which only grows: each step asks for what came
// after the last row seen.
import { runQuery, type Column, type ResultTable, type Row } from "../api/kusto";
import { tableOnly } from "../query/filters";
import type { Followed } from "../query/statements";

/** Rows kept and shown. */
export const TAIL_ROWS_MAX = 1_000;
/** Rows of one step. */
const STEP_ROWS_MAX = 500;
/** Rows shown before anything new comes. */
const FIRST_ROWS = 100;

export interface Step {
  table: ResultTable;
  /** Rows that came, shown or not. */
  perSecond: number;
  /** Rows that came but were more than one step takes. */
  missed: number;
}

export class Tail {
  private last: bigint | undefined;
  private columns: Column[] = [];
  private kept: Row[] = [];
  private askedAt = 0;
  private running: Promise<unknown> = Promise.resolve();

  /** `end`: the last `_Seq` of the first step, for a page that stood still when it was left. */
  constructor(
    private readonly followed: Followed,
    private readonly end: bigint | undefined = undefined,
    private readonly ask: typeof runQuery = runQuery,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** The last `_Seq` that was looked at; `undefined` before the first step. */
  get position(): bigint | undefined {
    return this.last;
  }

  /** One step at a time: a step that is asked for while another runs begins when that one ends. */
  step(): Promise<Step> {
    const step = this.running.then(() => (this.last === undefined ? this.first() : this.next(this.last)));
    this.running = step.catch(() => undefined);
    return step;
  }

  private async next(last: bigint): Promise<Step> {
    const [came] = await this.values(this.query(`where _Seq > ${last}`, "", "summarize Rows = count(), Last = max(_Seq)"));
    const at = this.now();
    const seconds = Math.max(0.001, (at - this.askedAt) / 1000);
    this.askedAt = at;
    if (!came || Number(came[0]) === 0) return { table: this.table(), perSecond: 0, missed: 0 };
    // Up to a row that is there already: what comes meanwhile is the next step's, so both counts are of the same rows.
    const range = `where _Seq > ${last} and _Seq <= ${String(came[1])}`;
    const rows = await this.newest(range, STEP_ROWS_MAX);
    const counted = rows.length < STEP_ROWS_MAX ? rows.length : await this.count(range, Number(came[0]));
    this.last = BigInt(String(came[1]));
    this.kept = [...rows, ...this.kept].slice(0, TAIL_ROWS_MAX);
    return { table: this.table(), perSecond: counted / seconds, missed: counted - rows.length };
  }

  private async first(): Promise<Step> {
    const stands = this.end === undefined ? "" : `where _Seq <= ${this.end}`;
    this.kept = await this.newest(stands, this.end === undefined ? FIRST_ROWS : TAIL_ROWS_MAX);
    const seq = this.columns.findIndex((column) => column.name === "_Seq");
    if (seq < 0) throw new Error("the query must keep the column _Seq, by which the page knows what is new");
    const newest = this.kept[0]?.[seq];
    this.last = this.end ?? (newest === undefined ? -1n : BigInt(String(newest)));
    this.askedAt = this.now();
    return { table: this.table(), perSecond: 0, missed: 0 };
  }

  /** How many rows of the range the query keeps; `all` of them when it leaves none out. */
  private async count(range: string, all: number): Promise<number> {
    if (this.followed.rest === "") return all;
    const [row] = await this.values(this.query(range, this.followed.rest, "count"));
    return Number(row?.[0] ?? all);
  }

  private async newest(range: string, rowsMax: number): Promise<Row[]> {
    const answer = await this.ask(this.query(range, this.followed.rest, `top ${rowsMax} by _Seq desc`));
    const table = answer.tables[0];
    if (!table) throw new Error("the answer has no table");
    // A table may get columns while it is followed: rows of another shape are of no use beside the new ones.
    const isSame = table.columns.length === this.columns.length && table.columns.every((column, index) => column.name === this.columns[index]?.name);
    if (!isSame) [this.columns, this.kept] = [table.columns, []];
    return table.rows;
  }

  private async values(query: string): Promise<Row[]> {
    return (await this.ask(query)).tables[0]?.rows ?? [];
  }

  private query(range: string, rest: string, end: string): string {
    const { before, table } = this.followed;
    const source = /^\w+$/.test(table) ? tableOnly(table) : table;
    return [`${before}${source}`, range && `| ${range}`, rest, `| ${end}`].filter((part) => part !== "").join("\n");
  }

  private table(): ResultTable {
    return { name: "", columns: this.columns, rows: this.kept };
  }
}
