// Every page with logs of real machines: files of attacks on Windows, and one file of each other kind of the corpus.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { close, expectAccessible, openAt, picture, pictures } from "./browser";
import { addRules, ingestRight, start, type Running } from "./server";

const samples = process.env.MONETA_CORPUS ? join(process.env.MONETA_CORPUS, "samples") : "";
const isThere = samples !== "" && existsSync(samples);
/** Files of attacks that are sent, and bytes of a file at most. */
const EVTX_MAX = 15;
const BYTES_MAX = 2_000_000;
const KINDS = ["syslog_auth", "iis_w3c", "auditd", "web_access", "zeek", "cef_syslog", "suricata_eve", "azure_signin", "aws_cloudtrail", "mssql"];

let running: Running | undefined;

function* filesIn(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) yield* filesIn(path);
    else if (statSync(path).size <= BYTES_MAX) yield path;
  }
}

function chosen(): string[] {
  const evtx = [...filesIn(join(samples, "evtx"))].filter((path) => path.endsWith(".evtx")).slice(0, EVTX_MAX);
  return [...evtx, ...KINDS.filter((kind) => existsSync(join(samples, kind))).flatMap((kind) => [...filesIn(join(samples, kind))].slice(0, 1))];
}

beforeAll(async () => {
  if (!isThere) {
    if (process.env.CI) throw new Error("MONETA_CORPUS has no samples");
    return;
  }
  running = await start();
  const { url } = running.installation;
  await addRules(url, running.cookie);
  const authorization = await ingestRight(url, running.cookie);
  for (const file of chosen()) {
    const answer = await fetch(`${url}/v1/ingest?name=${encodeURIComponent(file.split("/").at(-1) ?? "")}`, { method: "POST", headers: { authorization }, body: readFileSync(file) });
    // What cannot be told apart by its content is refused with the reason: that is an answer too.
    if (answer.status >= 500) throw new Error(`${file}: ${answer.status} ${await answer.text()}`);
  }
});

afterAll(async () => {
  await close();
  await running?.stop();
});

const PAGES: [name: string, path: string, sign: string][] = [
  ["home", "/", "Alerts by the hour"],
  ["incidents", "/incidents?state=all", "Last event"],
  ["incident", "/incidents/1", "Who and what it is about"],
  ["evidence", "/incidents/1?view=evidence", "Why it matched"],
  ["risk", "/incidents?view=risk", "How the score is reckoned"],
  ["alerts", "/alerts?range=all", "As a query"],
  ["matrix", "/rules?view=matrix", "Navigator layer"],
  ["sources", "/sources", "Quarantine"],
  ["quality", "/sources?view=quality", "Quarantine"],
  ["store", "/store", "Newest checkpoint"],
  ["audit", "/audit", "Look again"],
];

describe.each([["light", false], ["dark", true]] as const)("in %s", (theme, dark) => {
  test.runIf(isThere).each(PAGES)("%s of real logs", async (name, path, sign) => {
    if (!running) throw new Error("nothing was started");
    const { page, context, complaints } = await openAt(running.installation, { dark });
    await page.goto(running.installation.url + path);
    await page.getByText(sign, { exact: false }).first().waitFor();
    await page.waitForLoadState("networkidle", { timeout: 10_000 }).catch(() => undefined);
    await expectAccessible(page);
    await picture(page, `real-${name}-${theme}`);
    expect(complaints).toEqual([]);
    await context.close();
  });
});

test.runIf(isThere)("events of real machines are read, drawn and followed", async () => {
  if (!running) throw new Error("nothing was started");
  const { url } = running.installation;
  const { page, context, complaints } = await openAt(running.installation);
  const run = async (query: string) => {
    await page.goto(`${url}/query?range=all&q=${encodeURIComponent(query)}`);
    await page.getByRole("button", { name: "Run" }).click();
  };
  await run("SecurityEvent\n| summarize Events = count() by Activity, Computer\n| order by Events desc");
  await page.locator('.grid[aria-label="Results"]').getByRole("gridcell").first().waitFor();
  await pictures(page, "real-query");
  await run("union withsource=Table *\n| where Table !startswith 'Moneta'\n| summarize Events = count() by Table\n| render columnchart");
  await page.locator(".chart canvas").waitFor();
  await pictures(page, "real-chart");
  await page.goto(`${url}/live?q=SecurityEvent`);
  await page.getByRole("gridcell").first().dblclick();
  await page.getByRole("complementary", { name: "One row" }).waitFor();
  await pictures(page, "real-live");
  expect(complaints).toEqual([]);
  await context.close();
});
