// How often what the editor marks is what running would refuse, over the real queries of the corpus. It reports the rate,
// and names the queries where both differ.
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { blocks } from "../../src/query/statements";
import { start } from "../browser/server";

const corpus = process.env.MONETA_CORPUS && join(process.env.MONETA_CORPUS, "kql", "real_queries.jsonl");

interface Judged {
  id: string;
  marked: string | undefined;
  refused: string | undefined;
}

test("the editor marks what the server refuses, and nothing else", async () => {
  if (!corpus || !existsSync(corpus)) {
    if (process.env.CI) throw new Error("MONETA_CORPUS has no kql/real_queries.jsonl");
    console.log("corpus not present, the real queries were not asked");
    return;
  }
  const queries = readFileSync(corpus, "utf8").split("\n").filter(Boolean).map((line) => JSON.parse(line) as { id: string; query: string });
  const running = await start();
  const { url } = running.installation;
  const ask = (path: string, body: unknown) =>
    fetch(url + path, { method: "POST", headers: { "content-type": "application/json", "x-moneta-request": "1", cookie: running.cookie }, body: JSON.stringify(body) });
  const judge = async (id: string, text: string): Promise<Judged> => {
    const marks = (await (await ask("/v1/kql/diagnostics", { text })).json()) as { diagnostics: { message: string }[] };
    const answer = await ask("/v2/rest/query", { db: "moneta", csl: text, properties: { Options: { query_take_max_records: 1 } } });
    const problem = answer.ok ? undefined : ((await answer.json()) as { error: { "@message": string } }).error["@message"];
    return { id, marked: marks.diagnostics[0]?.message, refused: problem };
  };
  try {
    const judged: Judged[] = [];
    for (const { id, query } of queries) {
      // As the editor does: every block by itself, commands left to the server.
      for (const block of blocks(query)) if (!block.text.trimStart().startsWith(".")) judged.push(await judge(id, block.text));
    }
    const differing = judged.filter(({ marked, refused }) => (marked === undefined) !== (refused === undefined));
    const divided = queries.filter(({ query }) => blocks(query).length > 1).length;
    console.log(`${queries.length} queries, ${judged.length} blocks (${divided} queries are more than one): ${judged.length - differing.length} agree, ${((100 * (judged.length - differing.length)) / judged.length).toFixed(2)} %`);
    console.log(`accepted by both ${judged.filter((one) => !one.marked && !one.refused).length}, refused by both ${judged.filter((one) => one.marked && one.refused).length}`);
    for (const { id, marked, refused } of differing.slice(0, 20)) console.log(`${id}: ${marked ? `marked only: ${marked}` : `refused only: ${refused}`}`);
    if (process.env.MONETA_REPORT) writeFileSync(process.env.MONETA_REPORT, JSON.stringify(differing, undefined, 2));
    expect(judged.length).toBeGreaterThan(0);
  } finally {
    await running.stop();
  }
}, 3_600_000);
