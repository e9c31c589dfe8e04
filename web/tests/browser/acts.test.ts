// Pages that act, as people act on them: live, alerts by keyboard, audit, store, quarantine, a column's values, members.
import { afterAll, expect, inject, test } from "vitest";
import type { Page } from "playwright-core";
import { address, close, expectAccessible, open, pictures } from "./browser";
import { call, ingestRight } from "./server";

afterAll(close);

let right: Promise<string> | undefined;
/** Sends events as a program would. */
async function sendEvents(page: Page, table: string, events: object[]): Promise<void> {
  const { url } = inject("installation");
  const session = (await page.context().cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  right ??= ingestRight(url, session, "acts");
  await call(url, `/v1/ingest/${table}`, events, { authorization: await right });
}
const now = () => new Date().toISOString();
const grid = (page: Page, label: string) => page.locator(`.grid[aria-label^="${label}"]`);
const parameter = (page: Page, name: string) => new URL(page.url()).searchParams.get(name);

test("live shows rows as they come, stands still, opens one, and is found again as it was", async () => {
  const { page, context, complaints } = await open();
  await sendEvents(page, "Pulse_CL", [{ TimeGenerated: now(), Beat: 1, Kind: "first" }]);
  await page.goto(address(`/live?every=1&q=${encodeURIComponent("Pulse_CL\n| where Beat > 0\n| project TimeGenerated, Beat, Kind")}`));
  const rows = grid(page, "The newest rows");
  await rows.getByText("first").waitFor();
  expect(await page.getByLabel("How often").inputValue()).toBe("1");
  await sendEvents(page, "Pulse_CL", [{ TimeGenerated: now(), Beat: 2, Kind: "second" }, { TimeGenerated: now(), Beat: 0, Kind: "left out" }]);
  await rows.getByText("second").waitFor();
  await page.getByRole("status").getByText(/^[\d.,]+ rows a second$/).waitFor();
  expect(await rows.getByText("left out").count()).toBe(0);
  // They come in their order: a header that could be pressed would do nothing.
  expect(await rows.getByRole("columnheader").getByRole("button").count()).toBe(0);

  // More than a step takes is counted, and said.
  await sendEvents(page, "Pulse_CL", Array.from({ length: 700 }, (_, index) => ({ TimeGenerated: now(), Beat: 3 + index, Kind: "many" })));
  await page.getByText(/^\d+ rows? came faster/).waitFor();
  await pictures(page, "live-moving");
  await page.getByRole("heading", { name: "Live" }).click();
  await page.keyboard.press("p");
  await page.getByRole("status").getByText("Paused").waitFor();
  const at = parameter(page, "at");
  expect(at).toMatch(/^\d+$/);
  await sendEvents(page, "Pulse_CL", [{ TimeGenerated: now(), Beat: 9_000, Kind: "later" }]);
  await rows.getByRole("gridcell").filter({ hasText: "many" }).first().dblclick();
  await page.getByRole("complementary", { name: "One row" }).waitFor();
  const row = parameter(page, "row");
  await pictures(page, "live-paused");
  await expectAccessible(page);
  const seen = await page.getByRole("complementary", { name: "One row" }).innerText();

  await page.reload();
  await page.getByRole("complementary", { name: "One row" }).waitFor();
  expect(await page.getByRole("complementary", { name: "One row" }).innerText()).toBe(seen);
  expect([parameter(page, "at"), parameter(page, "row"), await page.getByLabel("How often").inputValue()]).toEqual([at, row, "1"]);
  expect(await rows.getByText("later").count()).toBe(0);
  await page.getByRole("button", { name: "Close the row" }).click();
  await page.getByRole("button", { name: "Go on" }).click();
  await rows.getByText("later").waitFor();

  await page.getByLabel("Query in KQL").fill("Pulse_CL | summarize count()");
  await page.getByText("`summarize` needs more than one row").waitFor();
  expect(await page.getByRole("button", { name: "Follow", exact: true }).isDisabled()).toBe(true);
  await page.getByLabel("Table").selectOption("Visit_CL");
  await rows.getByText("north").first().waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("alerts are gone through by keyboard", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/alerts"));
  const list = page.getByRole("listbox");
  await list.getByRole("option").nth(1).waitFor();
  const current = () => list.getByRole("option", { selected: true }).getAttribute("aria-posinset");
  await page.keyboard.press("j");
  await expect.poll(current).toBe("2");
  await page.keyboard.press("k");
  await expect.poll(current).toBe("1");
  await page.keyboard.press("Enter");
  const detail = page.getByRole("complementary", { name: "One alert" });
  await detail.getByText("Evidence").waitFor();
  const first = parameter(page, "alert");
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => parameter(page, "alert")).not.toBe(first);
  await detail.getByText("Evidence").waitFor();
  // Who was paged to here goes on to where it is worked on.
  const incident = detail.getByRole("link", { name: /^Incident \d+$/ });
  await incident.waitFor();
  await detail.getByText(/nobody works on it|with ada/).waitFor();
  await pictures(page, "alerts-keyboard");
  await expectAccessible(page);
  await page.reload();
  await detail.getByText("Evidence").waitFor();
  await page.keyboard.press("Escape");
  await detail.waitFor({ state: "detached" });
  await page.keyboard.press("Enter");
  await incident.click();
  await page.getByText(/^Incident \d+ · /).waitFor();
  await page.goBack();
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: /^(high|medium|low|informational)/i }).first().click();
  await expect.poll(() => parameter(page, "severity")).not.toBeNull();
  await page.getByLabel("Find in alerts").fill("nobody at all");
  await page.getByText("No alert in this time meets these filters.").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("the audit is narrowed, sorted and opened, and its address has it all", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/audit"));
  const rows = grid(page, "Audit");
  await rows.getByRole("gridcell").first().waitFor();
  await page.getByLabel("What").selectOption("credential.create");
  await rows.getByText("credential.create").first().waitFor();
  await expect.poll(() => parameter(page, "action")).toBe("credential.create");
  await page.getByLabel("How it ended").selectOption("success");
  // To look is an act: a name is asked for once, not once a letter.
  const asked: string[] = [];
  page.on("request", (request) => {
    if (request.url().endsWith("/v2/rest/query")) asked.push(request.postData() ?? "");
  });
  await page.getByLabel("Who").pressSequentially("ada", { delay: 20 });
  await expect.poll(() => parameter(page, "actor")).toBe("ada");
  await rows.getByRole("gridcell").first().waitFor();
  expect(asked.filter((text) => text.includes("ActorName contains"))).toHaveLength(1);
  await rows.getByRole("button", { name: "TimeGenerated" }).click();
  await expect.poll(() => parameter(page, "sort")).toBe("TimeGenerated");
  await rows.getByRole("gridcell").first().dblclick();
  const one = page.getByRole("complementary", { name: "One row" });
  await one.waitFor();
  const seen = await one.innerText();
  await pictures(page, "audit-narrowed");
  await expectAccessible(page);
  await page.reload();
  await one.waitFor();
  expect(await one.innerText()).toBe(seen);
  expect(await page.getByLabel("What").inputValue()).toBe("credential.create");
  await page.getByLabel("Who").fill("nobody at all");
  await page.getByText("No rows.").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("what is stored is checked, and how long it is kept is changed", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/store"));
  await page.getByRole("button", { name: "Check now" }).click();
  await page.getByText("Nothing was changed, nothing is missing").waitFor();
  await page.getByRole("button", { name: "Change how long Visit_CL is kept" }).click();
  await expect.poll(() => parameter(page, "dialog")).toBe("retention:Visit_CL");
  await page.reload();
  const dialog = page.getByRole("dialog");
  const days = dialog.getByRole("textbox");
  await days.fill("0");
  await dialog.getByText("A whole number from 1.").waitFor();
  await days.fill("1");
  await dialog.getByText("cannot be had back").waitFor();
  await pictures(page, "retention");
  await expectAccessible(page);
  await days.fill("4000");
  await dialog.getByRole("button", { name: "Keep so long" }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("row").filter({ hasText: "Visit_CL" }).getByText("4,000 days").waitFor();
  expect(parameter(page, "dialog")).toBeNull();
  await page.goto(address("/store?dialog=hold"));
  await dialog.getByText("Place a hold").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("records that could not be read stand with their reason and are read again", async () => {
  const { page, context, complaints } = await open();
  const { url } = inject("installation");
  const session = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  const authorization = await ingestRight(url, session, "damaged");
  const answer = await fetch(`${url}/v1/ingest/Damaged_CL`, { method: "POST", headers: { authorization, "content-type": "application/x-ndjson" }, body: '{"a":1}\nthis is <b>no</b>\u202e JSON\n' });
  expect(((await answer.json()) as { quarantined: number }).quarantined).toBe(1);
  await page.goto(address("/sources"));
  const reasons = page.getByRole("group", { name: "Reasons" });
  await reasons.getByRole("row").nth(1).waitFor();
  await pictures(page, "quarantine");
  await expectAccessible(page);
  await reasons.getByRole("button", { name: /^Read again/ }).first().click();
  await page.getByText(/records? became events; \d+ were refused again/).waitFor();
  await page.getByRole("button", { name: "Read all again" }).click();
  await page.getByText(/records? became events; \d+ were refused again/).waitFor();
  await reasons.getByRole("link").first().click();
  await expect.poll(() => parameter(page, "q")).toContain("Quarantine");
  expect(complaints).toEqual([]);
  await context.close();
});

test("a column says what it holds: numbers and times by their own order", async () => {
  const { page, context, complaints } = await open();
  await sendEvents(page, "Size_CL", [9, 10, 100, 25].map((size) => ({ TimeGenerated: now(), Size: size, Name: `n${size}` })));
  await page.goto(address("/query"));
  await page.getByLabel("Find a table or column").fill("Visit_CL");
  await page.getByRole("button", { name: "Columns of Visit_CL" }).click();
  await page.getByRole("button", { name: "Values of _Seq" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("Most frequent values").waitFor();
  const value = (name: string) => dialog.locator("dt", { hasText: name }).locator("xpath=following-sibling::dd[1]").innerText();
  expect([await value("Least"), await value("Greatest")]).toEqual(["0", "2999"]);
  await pictures(page, "profile");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Values of TimeGenerated" }).click();
  await dialog.getByText("Most frequent values").waitFor();
  expect((await value("Least")) < (await value("Greatest"))).toBe(true);
  await dialog.getByRole("button", { name: "Close" }).click();
  await page.getByRole("button", { name: "Values of Type" }).click();
  await dialog.getByText("Most frequent values").waitFor();
  expect(await value("First in order of text")).toBe("Visit_CL");
  expect(complaints).toEqual([]);
  await context.close();
});

test("members of a dynamic column become columns, sort, filter the query, and come back from the address", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address(`/query?rows=1000&q=${encodeURIComponent("Visit_CL | project Door, Badge = todynamic(Badge) | take 40")}`));
  await page.getByRole("button", { name: "Run" }).click();
  const rows = grid(page, "Results");
  await rows.getByRole("button", { name: "Members as columns of Badge" }).click();
  await rows.getByRole("button", { name: "Badge.level" }).waitFor();
  await rows.getByRole("button", { name: "Members as columns of Badge.doors" }).click();
  await rows.getByRole("button", { name: "Badge.doors[1]" }).waitFor();
  await expect.poll(() => parameter(page, "expand")).toBe('["Badge","Badge.doors"]');
  await rows.getByRole("button", { name: "Badge.level", exact: true }).click();
  await expect.poll(() => parameter(page, "sort")).toBe("Badge.level");
  await pictures(page, "grid-members");
  await expectAccessible(page);
  // A link never runs by itself; once run, it is as it was but for what a run begins anew.
  expect(await page.getByLabel("Rows at most").inputValue()).toBe("1000");
  await rows.getByRole("button", { name: "Close members of Badge", exact: true }).click();
  await expect.poll(() => parameter(page, "expand")).toBeNull();
  await rows.getByRole("gridcell").nth(1).click();
  await page.keyboard.press("x");
  await rows.getByRole("button", { name: "Badge.level", exact: true }).waitFor();
  await rows.getByRole("gridcell").filter({ hasText: /^person 1$/ }).first().click();
  await page.getByRole("button", { name: "Add value as filter" }).click();
  await expect.poll(() => parameter(page, "q")).toContain('| where tostring(Badge.holder) == "person 1"');
  expect(complaints).toEqual([]);
  await context.close();
});

test("the matrix opens where it was", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/rules?view=matrix"));
  await page.getByRole("button", { name: /^T1110\.001/ }).click();
  await expect.poll(() => parameter(page, "cell")).toBe("credential-access/T1110.001");
  await page.reload();
  const rules = page.getByRole("region", { name: /^Rules for T1110\.001/ });
  await rules.getByText(/looks at Syslog \(\d+ rows\)/).first().waitFor();
  // Nothing of Windows comes in here: the technique says so, and where to look.
  await page.getByRole("button", { name: /^T1047.*no data/ }).click();
  await page.getByRole("region", { name: /^Rules for T1047/ }).getByText("none of these rules can find anything").waitFor();
  await pictures(page, "matrix-no-data");
  await page.goto(address("/rules?view=coverage"));
  await page.getByRole("row").filter({ hasText: "linux/sshd" }).getByText(/^Syslog \(\d+ rows\)$/).waitFor();
  await page.getByRole("row").filter({ hasText: "windows/process_creation" }).getByText("none", { exact: true }).waitFor();
  await page.goto(address("/rules?view=matrix&cell=credential-access/T1110.001"));
  await rules.waitFor();
  await pictures(page, "matrix-cell");
  expect(complaints).toEqual([]);
  await context.close();
});
