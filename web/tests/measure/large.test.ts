// A table of MONETA_ROWS rows (5,000,000): how long until the first rows of a query stand in the grid and until its
// histogram is drawn, and how long frames take while somebody scrolls. It reports and asserts no time.
import { afterAll, expect, test } from "vitest";
import { close, openAt } from "../browser/browser";
import { ingestRight, start } from "../browser/server";

const ROWS = Number(process.env.MONETA_ROWS ?? 5_000_000);
/** Rows of one request: some megabytes of JSON. */
const PART = 100_000;
const ROUNDS = 5;

afterAll(close);

/** Sign-ins of a week, in order of time: words that repeat as in logs, and numbers that do not. */
function part(from: number, now: number): string {
  const lines: string[] = [];
  for (let number = from; number < Math.min(ROWS, from + PART); number += 1) {
    const at = new Date(now - 7 * 86_400_000 * (1 - number / ROWS)).toISOString();
    lines.push(`{"TimeGenerated":"${at}","Door":"door ${number % 97}","Badge":${(number * 7919) % 100_003},"Result":"${number % 50 === 0 ? "refused" : "opened"}"}`);
  }
  return `${lines.join("\n")}\n`;
}

test("a large table is asked, counted over time and scrolled", async () => {
  const running = await start();
  try {
    const { url } = running.installation;
    const authorization = await ingestRight(url, running.cookie);
    const [now, began] = [Date.now(), performance.now()];
    for (let from = 0; from < ROWS; from += PART) {
      const answer = await fetch(`${url}/v1/ingest/Entry_CL`, { method: "POST", headers: { "content-type": "application/x-ndjson", authorization }, body: part(from, now) });
      if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    }
    console.log(`${ROWS} rows taken in within ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const { page, context, complaints } = await openAt(running.installation);
    for (const query of ["Entry_CL", "Entry_CL\n| where Result == 'refused'\n| order by TimeGenerated desc"]) {
      await page.goto(`${url}/query?range=30d&q=${encodeURIComponent(query)}`);
      await page.locator(".monaco-editor").first().waitFor();
      const [first, bars]: [number[], number[]] = [[], []];
      for (let round = 0; round < ROUNDS; round += 1) {
        const times = await page.evaluate(async () => {
          const run = [...document.querySelectorAll("button")].find((button) => button.textContent === "Run");
          const started = performance.now();
          run?.click();
          const until = async (isThere: () => boolean) => {
            while (!isThere()) await new Promise(requestAnimationFrame);
            return performance.now() - started;
          };
          // The answer before this one goes first.
          await until(() => document.querySelector(".grid") === null);
          const rows = until(() => document.querySelectorAll(".grid-row").length > 10);
          const histogram = until(() => /events, bars/.test(document.querySelector(".histogram-head")?.textContent ?? "") && document.querySelector(".histogram canvas") !== null);
          return [await rows, await histogram];
        });
        first.push(times[0] ?? NaN);
        bars.push(times[1] ?? NaN);
      }
      console.log(`${query.split("\n").join(" ")}: first rows ${spread(first)}, histogram ${spread(bars)}`);
    }
    const shown = Math.min(100_000, ROWS).toLocaleString("en-US");
    // Whole rows would be more than an answer may be large.
    await page.goto(`${url}/query?range=30d&q=${encodeURIComponent("Entry_CL\n| project TimeGenerated, Door, Badge, Result")}`);
    await page.getByLabel("Rows at most").selectOption("100000");
    await page.getByRole("button", { name: "Run" }).click();
    await page.locator(".grid-foot").getByText(`${shown} rows`).waitFor({ timeout: 120_000 });
    const frames = await page.evaluate(async () => {
      const scroller = document.querySelector(".grid") as HTMLElement;
      const times: number[] = [];
      let last = performance.now();
      for (let step = 0; step < 300; step += 1) {
        scroller.scrollTop += 700;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - last);
        last = performance.now();
      }
      return times;
    });
    console.log(`frames while scrolling ${shown} rows: ${spread(frames)}`);
    expect(complaints).toEqual([]);
    await context.close();
  } finally {
    await running.stop();
  }
}, 3_600_000);

function spread(times: number[]): string {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? NaN).toFixed(0);
  return `median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(1)} ms`;
}
