// Following a query: what is asked, what is counted, and what an address brings back.
import { expect, test } from "vitest";
import type { QueryResult, Row } from "../../src/api/kusto";
import { Tail } from "../../src/live/tail";
import { followable, type Followed } from "../../src/query/statements";

/** A table of rows numbered from 1 whose odd ones the query keeps, answering just the queries of a tail. */
function source() {
  const stored = { rows: 0 };
  const asked: string[] = [];
  const ask = (query: string): Promise<QueryResult> => {
    asked.push(query);
    const after = Number(/_Seq > (-?\d+)/.exec(query)?.[1] ?? -1);
    const end = Number(/_Seq <= (-?\d+)/.exec(query)?.[1] ?? Infinity);
    const all = Array.from({ length: stored.rows }, (_, index) => index + 1).filter((seq) => seq > after && seq <= end);
    const kept = query.includes("odd") ? all.filter((seq) => seq % 2 === 1) : all;
    const top = /top (\d+) by/.exec(query);
    const rows: Row[] = top
      ? kept.reverse().slice(0, Number(top[1])).map((seq) => [seq])
      : query.endsWith("count") ? [[kept.length]] : [[kept.length, kept.at(-1) ?? null]];
    return Promise.resolve({ tables: [{ name: "", columns: [{ name: "_Seq", type: "long" }], rows }] } as unknown as QueryResult);
  };
  return { stored, asked, ask };
}

test("the rate and what is missed count every row that came, also those that are not shown", async () => {
  const { stored, ask } = source();
  let now = 0;
  const tail = new Tail(followable("T | where odd") as Followed, undefined, ask, () => now);
  stored.rows = 10;
  expect((await tail.step()).table.rows).toEqual([[9], [7], [5], [3], [1]]);
  stored.rows += 4_000;
  now += 2_000;
  const step = await tail.step();
  expect(step).toMatchObject({ perSecond: 1_000, missed: 1_500 });
  expect(step.table.rows).toHaveLength(505);
  expect(step.table.rows[0]).toEqual([4_009]);
  now += 2_000;
  expect(await tail.step()).toMatchObject({ perSecond: 0, missed: 0 });
});

test("steps that are asked for at once take no row twice", async () => {
  const { stored, ask } = source();
  const tail = new Tail(followable("T") as Followed, undefined, ask);
  stored.rows = 3;
  await tail.step();
  stored.rows = 5;
  const [, last] = await Promise.all([tail.step(), tail.step()]);
  expect(last.table.rows).toEqual([[5], [4], [3], [2], [1]]);
});

test("a page that stood still finds its rows, and goes on with what came since", async () => {
  const { stored, ask } = source();
  stored.rows = 8;
  const tail = new Tail(followable("T | where odd") as Followed, 5n, ask);
  expect((await tail.step()).table.rows).toEqual([[5], [3], [1]]);
  expect(tail.position).toBe(5n);
  expect((await tail.step()).table.rows).toEqual([[7], [5], [3], [1]]);
});

test("a query that looks at one row at a time can be followed, and keeps its place", () => {
  expect(followable("Syslog")).toEqual({ before: "", table: "Syslog", rest: "" });
  expect(followable("let a = 'x;|y';\nSyslog\n| where Computer == a // it | is\n| project Computer;")).toEqual({
    before: "let a = 'x;|y';", table: "Syslog", rest: "| where Computer == a // it | is\n| project Computer\n  , _Seq",
  });
  expect(followable("['a b'] | mv-expand X | project-away Y | project _Seq")).toMatchObject({ table: "['a b']", rest: "| mv-expand X\n| project-away Y\n| project _Seq" });
  for (const [text, problem] of [["T | summarize count()", "summarize"], ["T | where a | top 5 by b", "top"], ["print 1", "begin with"], ["union A, B", "begin with"], ["T | project-smart", "project-smart"]] as const) {
    expect(followable(text)).toMatchObject({ problem: expect.stringContaining(problem) as string });
  }
});
