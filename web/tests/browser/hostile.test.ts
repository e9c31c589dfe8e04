// Strings of attackers on every page that shows what came in: on a server of their own, as there are hundreds of alerts.
// None runs, none leaves the order of the page, and no page complains.
import { afterAll, beforeAll, expect, test } from "vitest";
import { close, openAt, pictures, type Visit } from "./browser";
import { HOSTILE } from "./data";
import { addRules, call, ingestRight, start, type Running } from "./server";

let running: Running;
let rule: string;

/** Names of machines and accounts must have no line ends or zeros to come as they are through every format. */
const NAMES = HOSTILE.filter((text) => text.length < 200);

beforeAll(async () => {
  running = await start();
  const { installation: { url }, cookie } = running;
  await addRules(url, cookie);
  rule = "0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1ab";
  const all = NAMES.slice(0, 60).join(" ");
  // JSON is YAML: every string comes as it is.
  const text = JSON.stringify({
    title: `Hostile ${NAMES[0]} ${NAMES.at(-8)} ${NAMES.find((one) => one.includes("\u202e"))}`, id: rule, level: "high", author: NAMES[20], description: all,
    references: NAMES.slice(60, 80), falsepositives: NAMES.slice(80, 100), tags: ["attack.credential-access", "attack.t1110"],
    logsource: { product: "linux", service: "syslog" }, detection: { a: { ProcessName: "hostile" }, condition: "a" },
    tests: [{ name: NAMES[5], table: "Syslog", matches: true, events: [{ ProcessName: "hostile" }] }],
  });
  const added = (await (await call(url, "/v1/rules", { files: [{ name: `${NAMES[1]}.yml`, text }] }, { cookie })).json()) as { loaded: number; not_loaded: unknown[] };
  expect(added).toMatchObject({ loaded: 1, not_loaded: [] });
  const authorization = await ingestRight(url, cookie);
  const at = new Date().toISOString();
  await call(url, "/v1/ingest/Syslog", HOSTILE.map((name) => ({ TimeGenerated: at, Computer: name.slice(0, 200), ProcessName: "hostile", SyslogMessage: name, HostIP: name.slice(0, 100) })), { authorization });
  await call(url, "/v1/ingest/Hostile_CL", HOSTILE.map((name, index) => ({ TimeGenerated: at, Number: index, Text: name, Nested: { [name]: [name] } })), { authorization });
  // One that can be read beside those that cannot: nothing but broken lines would be refused whole.
  const broken = ['{"a":1}', ...HOSTILE.filter((name) => !/[\r\n]/.test(name)).map((name) => `no JSON: ${name}`)].join("\n");
  await fetch(`${url}/v1/ingest/Broken_CL`, { method: "POST", headers: { authorization, "content-type": "application/x-ndjson" }, body: broken });
  await call(url, "/v2/rest/query", { db: "moneta", csl: `Hostile_CL | where Text in (${HOSTILE.slice(0, 200).map((name) => JSON.stringify(name)).join(",")}) | count` }, { cookie }).catch(() => undefined);
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 500))) {
    const answer = await fetch(`${url}/v1/incidents?status=all`, { headers: { cookie, "x-moneta-request": "1" } });
    if (((await answer.json()) as { incidents: { title?: string }[] }).incidents.length > 0) return;
  }
  throw new Error("the hostile events made no incident");
});

afterAll(async () => {
  await close();
  await running.stop();
});

async function expectHarmless({ page, complaints }: Visit): Promise<void> {
  expect(await page.evaluate(() => (window as unknown as { __executed?: number }).__executed)).toBeUndefined();
  // What turns the order of a line, and what moves a terminal's cursor, is shown and not obeyed.
  expect(await page.evaluate(() => document.body.innerText)).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u202a-\u202e\u2066-\u2069\u200e\u200f]/);
  expect(await page.evaluate(() => document.querySelectorAll("main iframe, main object, main embed, main script, main link, main base, main form[action]").length)).toBe(0);
  expect(complaints).toEqual([]);
}

const link = (query: string) => `/query?q=${encodeURIComponent(query)}`;
const PAGES: [name: string, path: string, act: (visit: Visit) => Promise<void>][] = [
  ["home", "/", ({ page }) => page.getByText("Alerts by the hour").first().waitFor()],
  ["incidents", "/incidents?state=all", ({ page }) => page.locator(".queue tbody tr").first().waitFor()],
  ["incident", "/incidents/1", ({ page }) => page.getByText("Who and what it is about").first().waitFor()],
  ["incident-evidence", "/incidents/1?view=evidence", ({ page }) => page.getByRole("button", { name: "Why it matched" }).first().waitFor()],
  ["risk", "/incidents?view=risk", ({ page }) => page.getByText("How the score is reckoned").waitFor()],
  ["alerts", "/alerts", async ({ page }) => {
    await page.getByRole("option").first().click();
    await page.getByRole("complementary", { name: "One alert" }).getByText("Evidence").first().waitFor();
  }],
  ["rules", "/rules", ({ page }) => page.getByText("Hostile").first().waitFor()],
  ["rule", "/rules?rule=0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1ab", ({ page }) => page.getByText("Its tests").waitFor()],
  ["rule-editor", "/rules?edit=0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1ab", ({ page }) => page.locator(".view-lines").first().waitFor()],
  ["live", "/live?q=Hostile_CL", async ({ page }) => {
    await page.getByRole("gridcell").first().dblclick();
    await page.getByRole("complementary", { name: "One row" }).waitFor();
  }],
  ["audit", "/audit", async ({ page }) => {
    await page.getByRole("gridcell").first().dblclick();
    await page.getByRole("complementary", { name: "One row" }).waitFor();
  }],
  ["sources", "/sources", ({ page }) => page.getByText("Quarantine").first().waitFor()],
  ["settings", "/settings", ({ page }) => page.getByText("Credentials of programs").waitFor()],
  ["schema", "/query", async ({ page }) => {
    await page.getByRole("button", { name: "Columns of Hostile_CL" }).click();
    await page.getByRole("button", { name: "Values of Text", exact: true }).click();
    await page.getByRole("dialog").getByText("Most frequent values").waitFor();
  }],
  ["grid-members", link("Hostile_CL | project Number, Nested = todynamic(Nested) | take 100"), async ({ page }) => {
    await page.getByRole("button", { name: "Run" }).click();
    await page.getByRole("button", { name: "Members as columns of Nested" }).click();
    await page.getByRole("columnheader").nth(4).waitFor();
  }],
  ...["timechart", "piechart", "barchart", "scatterchart", "stackedareachart"].map((kind): [string, string, (visit: Visit) => Promise<void>] => [
    `chart-${kind}`, link(`Hostile_CL | where Number % 13 == 0 | summarize Events = count() by bin(TimeGenerated, 1h), Text | render ${kind}`),
    async ({ page }) => {
      await page.getByRole("button", { name: "Run" }).click();
      await page.locator(".chart canvas").waitFor();
      await page.locator(".chart canvas").hover({ position: { x: 300, y: 80 } });
    },
  ]),
  ["chart-card", link("Hostile_CL | where Number % 13 == 0 | evaluate pivot(Text, count()) | render card"), async ({ page }) => {
    await page.getByRole("button", { name: "Run" }).click();
    await page.locator(".card dt").first().waitFor();
  }],
  // An address may be anybody's.
  ["incidents-of-a-rule", `/incidents?rule=${encodeURIComponent("a\u202eb\u001b[31m")}`, ({ page }) => page.getByRole("button", { name: /^Rule: / }).waitFor()],
  ["rules-without-it", `/rules?rule=${encodeURIComponent("a\u202eb\u001b[31m")}`, async ({ page, complaints }) => {
    await page.getByText("is not among those that run or rest").waitFor();
    await page.getByRole("alert", { name: "The rule was not read" }).waitFor();
    // That there is none is a refusal, which the browser's console tells, too.
    complaints.splice(0, complaints.length, ...complaints.filter((one) => !/status of 404/.test(one)));
  }],
  ["chart-ladder", link("Hostile_CL | where Number % 13 == 0 | project Text, From = TimeGenerated, To = TimeGenerated + 1h | render ladderchart"), async ({ page }) => {
    await page.getByRole("button", { name: "Run" }).click();
    await page.locator(".chart canvas").hover({ position: { x: 400, y: 60 } });
  }],
];

test.each(PAGES)("%s shows strings of attackers as text", async (name, path, act) => {
  const visit = await openAt(running.installation);
  await visit.page.goto(running.installation.url + path);
  await act(visit);
  await visit.page.waitForLoadState("networkidle", { timeout: 10_000 }).catch(() => undefined);
  await pictures(visit.page, `hostile-${name}`);
  await expectHarmless(visit);
  await visit.context.close();
});
