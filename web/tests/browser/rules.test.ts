// Rules as their authors work on them: written, tested, looked at in history, saved, changed.
import { afterAll, expect, inject, test } from "vitest";
import { address, close, expectAccessible, open, pictures, write } from "./browser";
import { call, ingestRight } from "./server";

afterAll(close);

const SSH_RULE = "7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b064";
const ID = "0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1aa";

/** A rule of one document whose lines are not indented: the editor indents lines that follow indented ones. */
const rule = (word: string) => `{title: Guest door <b>x</b>, id: ${ID}, level: low, logsource: {product: linux, service: syslog},
detection: {a: {SyslogMessage|contains: ${word}}, condition: a},
tests: [{name: a guest, table: Syslog, matches: true, events: [{SyslogMessage: said guest7 here}]}]}`;

test("a rule is written with its problems at their lines, tested, looked at, saved and changed", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/rules"));
  await page.getByRole("button", { name: "Write a rule" }).click();
  const editor = page.getByRole("region", { name: "Write a rule" });
  await editor.getByRole("button", { name: "Run tests" }).click();
  await editor.getByText("its 2 tests are met").waitFor();
  await pictures(page, "rule-new");
  await expectAccessible(page);

  await write(page, "title: Broken\nid: [1,\nlevel: high\n");
  await editor.getByText(/^Line \d+:/).first().waitFor();
  expect(await editor.getByRole("button", { name: "Run tests" }).isDisabled()).toBe(true);
  await write(page, rule("guest7").replace("|contains", "|nosuch"));
  await editor.getByRole("button", { name: "Run tests" }).click();
  await editor.locator(".at-line").getByText(/nosuch/).first().waitFor();
  await page.locator(".squiggly-error").first().waitFor();
  await pictures(page, "rule-problem");
  await expectAccessible(page);

  await write(page, rule("nobody"));
  await editor.getByRole("button", { name: "Run tests" }).click();
  await editor.getByText("should match and does not").waitFor();
  // A page that is loaded again has what was not saved.
  await page.reload();
  await page.locator(".view-lines").getByText("nobody", { exact: false }).first().waitFor();
  await write(page, rule("guest7"));
  await editor.getByRole("button", { name: "Run tests" }).click();
  await editor.getByText("its test is met").waitFor();
  await editor.getByLabel("Time to look at").selectOption("24h");
  await editor.getByRole("button", { name: "Look", exact: true }).click();
  await editor.getByText("1 match in").waitFor();
  await pictures(page, "rule-draft");
  await editor.getByRole("button", { name: "Save", exact: true }).click();
  await editor.getByText("1 rule loaded, 0 as before").waitFor();

  await page.goto(address(`/rules?rule=${ID}`));
  const detail = page.getByRole("complementary", { name: "One rule" });
  await detail.getByRole("heading", { name: "Guest door <b>x</b>" }).waitFor();
  await detail.getByRole("button", { name: "Run tests" }).click();
  await detail.getByText("its test is met").waitFor();
  await detail.getByRole("button", { name: "Edit" }).click();
  await expect.poll(() => new URL(page.url()).searchParams.get("edit")).toBe(ID);
  await write(page, rule("guest8").replace("guest7 here", "guest8 here"));
  await editor.getByRole("button", { name: "Save", exact: true }).click();
  await editor.getByText("1 rule loaded, 0 as before").waitFor();
  await write(page, rule("guest8").replace(ID, "another"));
  await editor.getByText("this is another rule beside the one that runs").waitFor();
  await editor.getByRole("button", { name: "Begin again" }).click();
  await editor.getByRole("button", { name: "Close", exact: true }).click();
  await detail.getByRole("button", { name: "Remove" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Remove", exact: true }).click();
  await detail.waitFor({ state: "detached" });
  expect(complaints).toEqual([]);
  await context.close();
});

test("files of rules are added, and those that do not load say why", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/rules?add=files"));
  const panel = page.getByRole("region", { name: "Add rules" });
  await panel.getByLabel("Files of rules").setInputFiles([{ name: "broken.yml", mimeType: "text/yaml", buffer: Buffer.from(rule("x").replace("|contains", "|nosuch")) }]);
  await panel.getByRole("button", { name: "Add", exact: true }).click();
  await panel.getByText("0 rules loaded, 0 as before, 1 not loaded").waitFor();
  await panel.locator(".at-line").getByText(/nosuch/).first().waitFor();
  await page.goto(address(`/rules?rule=${SSH_RULE}&edit=${SSH_RULE}`));
  await page.getByRole("heading", { name: /^Change/ }).waitFor();
  await page.locator(".view-lines").getByText("correlation", { exact: false }).first().waitFor();
  await pictures(page, "rule-edit");
  expect(complaints).toEqual([]);
  await context.close();
});

const QUERY_ID = "0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1ac";
/** An analytics rule; JSON is YAML. */
const QUERY_RULE = JSON.stringify({
  id: QUERY_ID, kind: "NRT", name: "Visitor at the lathe", description: "Somebody stood at the lathe.", severity: "High", version: "1.0.0",
  query: "Syslog | where SyslogMessage has 'lathe'", tactics: ["Collection"], relevantTechniques: ["T1005"],
  entityMappings: [{ entityType: "Host", fieldMappings: [{ identifier: "HostName", columnName: "Computer" }] }],
});
const HOURLY_ID = "0b1f8a3e-5a0a-4c39-9a53-0d3c1be3e1ad";

test("a rule in KQL says what it would have found and why it matched", async () => {
  const { page, context, complaints } = await open();
  const { url } = inject("installation");
  const cookie = (await context.cookies()).map(({ name, value }) => `${name}=${value}`).join("; ");
  await page.goto(address("/rules?edit=new"));
  const editor = page.getByRole("region", { name: "Write a rule" });
  await write(page, QUERY_RULE);
  await editor.getByRole("button", { name: "Save", exact: true }).click();
  await editor.getByText("1 rule loaded, 0 as before").waitFor();
  const event = { TimeGenerated: new Date().toISOString(), Computer: "lathe7", ProcessName: "door", SyslogMessage: "a visitor at the lathe" };
  await call(url, "/v1/ingest/Syslog", [event], { authorization: await ingestRight(url, cookie, "lathe") });

  const rule = page.getByRole("complementary", { name: "One rule" });
  await page.goto(address(`/rules?rule=${QUERY_ID}&range=24h`));
  const range = rule.getByLabel("Time to look at");
  await range.waitFor();
  // The range came with the address, and windows need one.
  expect(await range.inputValue()).toBe("24h");
  expect(await range.locator("option").allInnerTexts()).not.toContain("All time");
  const looked = async () => {
    await rule.getByRole("button", { name: "Look", exact: true }).click();
    await rule.getByText(/no alert was raised/).waitFor();
    return rule.getByText(/no alert was raised/).innerText();
  };
  await expect.poll(looked).toMatch(/^1 match in/);
  await pictures(page, "rule-query");
  await expectAccessible(page);

  // The same of one that looks at windows, before it is saved.
  await page.goto(address("/rules?edit=new"));
  await write(page, QUERY_RULE.replace(QUERY_ID, HOURLY_ID).replace('"NRT"', '"Scheduled"').replace('"query"', '"queryFrequency":"1h","queryPeriod":"1h","triggerOperator":"gt","triggerThreshold":0,"query"'));
  await editor.getByRole("button", { name: "Look", exact: true }).click();
  await editor.getByText(/^\d+ match(es)? in/).waitFor();
  await editor.getByRole("button", { name: "Begin again" }).click();

  await page.goto(address(`/incidents?state=all&rule=${QUERY_ID}`));
  await expect.poll(async () => {
    await page.reload();
    await page.getByRole("button", { name: /^Rule: / }).waitFor();
    return page.getByRole("group", { name: "Incidents" }).getByRole("link").count();
  }).toBeGreaterThan(0);
  await page.getByRole("group", { name: "Incidents" }).getByRole("link").first().click();
  await page.getByRole("tab", { name: /^Evidence/ }).click();
  await page.getByRole("button", { name: "Why it matched" }).first().click();
  await page.getByLabel("Why it matches").waitFor();
  await pictures(page, "incident-query-why");
  await expectAccessible(page);
  expect(complaints).toEqual([]);
  await context.close();
});
