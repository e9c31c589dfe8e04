// Incidents as people on call work on them, by keyboard where there is a key; rules and holds as administrators do.
import { readFileSync } from "node:fs";
import { afterAll, expect, test } from "vitest";
import { address, close, expectAccessible, expectFocused, open, pictures } from "./browser";

afterAll(close);

/** The queue with the incident of the wrong passwords alone: others come while the tests run. */
const QUEUE = `/incidents?text=${encodeURIComponent("SSH Sign-In Tried")}`;
const SSH_RULE = "7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b064";

test("an incident is taken, looked into, talked about, closed with a verdict and opened again", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address(QUEUE));
  const queue = page.getByRole("group", { name: "Incidents" });
  await queue.getByRole("row").nth(1).waitFor();
  const title = (await queue.getByRole("link").first().textContent()) ?? "";
  await page.keyboard.press("j");
  await page.keyboard.press("k");
  await expect.poll(() => new URL(page.url()).searchParams.get("at")).toMatch(/^\d+$/);
  await page.keyboard.press("x");
  await page.getByText("1 incident chosen").waitFor();
  await page.keyboard.press("a");
  await expectFocused(page.getByRole("dialog").getByLabel("Name"));
  await page.keyboard.press("Enter");
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await queue.getByText("ada").first().waitFor();
  // By mouse as by key.
  await queue.getByRole("link").first().click();
  await page.getByRole("heading", { name: title }).waitFor();
  await page.goBack();
  await queue.getByText("ada").first().waitFor();
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: title }).waitFor();
  await page.getByText("Incident made").waitFor();
  await pictures(page, "incident-worked");

  await page.getByRole("tab", { name: /^Evidence/ }).click();
  await page.getByRole("button", { name: "What the rule looks for" }).first().click();
  await page.locator("pre.panel").getByText("condition").first().waitFor();
  await page.getByRole("button", { name: "Verify this event" }).first().click();
  await page.getByText("The path is right; the signature was not checked").waitFor();
  await pictures(page, "incident-evidence");
  await expectAccessible(page);

  await page.getByRole("tab", { name: /^Comments/ }).click();
  await page.getByLabel("Add a comment").fill("Seen <b>it</b>\u202e, and it is ours.");
  await page.getByRole("button", { name: "Add", exact: true }).click();
  await page.locator(".comment-text").getByText("<b>it</b>").waitFor();
  expect(await page.locator(".comment-text").innerText()).not.toContain("\u202e");

  // Nothing is closed without a verdict and a reason.
  await page.getByRole("heading", { name: title }).click();
  await page.keyboard.press("c");
  const dialog = page.getByRole("dialog");
  const closes = dialog.getByRole("button", { name: "Close", exact: true });
  expect(await closes.isDisabled()).toBe(true);
  await dialog.getByRole("radio", { name: /Benign positive/ }).check();
  expect(await closes.isDisabled()).toBe(true);
  await dialog.getByLabel("Why?").fill("The test of the pages.");
  await pictures(page, "incident-close");
  await expectAccessible(page);
  await closes.click();
  await page.getByText("Closed: benign positive").first().waitFor();
  await page.getByRole("tab", { name: /^Comments/ }).click();
  await page.getByRole("table").getByText("Closed").first().waitFor();
  await page.getByRole("button", { name: "Open again" }).click();
  await page.getByRole("button", { name: "Close…" }).waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("two who work on one incident do not undo each other's work", async () => {
  const { page, context } = await open();
  await page.goto(address("/incidents/1"));
  await page.getByRole("heading", { level: 1 }).waitFor();
  const other = await context.request.patch(address("/v1/incidents/1"), { data: { severity: "Low" }, headers: { "if-match": "*", "x-moneta-request": "1" } });
  expect(other.status()).toBe(200);
  await page.getByLabel("Severity").selectOption("High");
  await page.getByText("was changed in between").waitFor();
  await expect.poll(() => page.getByLabel("Severity").inputValue()).toBe("Low");
  await page.getByLabel("Severity").selectOption("High");
  await expect.poll(() => page.getByLabel("Severity").inputValue()).toBe("High");
  await context.close();
});

test("several incidents are closed at once, and the counts follow", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address(QUEUE));
  const queue = page.getByRole("group", { name: "Incidents" });
  await queue.getByRole("row").nth(1).waitFor();
  const number = (await queue.getByRole("row").count()) - 1;
  await page.getByLabel("Choose all").check();
  await page.keyboard.press("c");
  await page.getByRole("radio", { name: /False positive/ }).check();
  await page.getByLabel("Why?").fill("All of them were made by a test.");
  await page.getByRole("dialog").getByRole("button", { name: "Close", exact: true }).click();
  await page.getByText(`${number} incident${number === 1 ? "" : "s"} changed`).waitFor();
  await page.getByText("Nothing waits for you here").waitFor();
  await page.getByRole("tab", { name: /^Closed/ }).click();
  await queue.getByText("Closed: false positive").first().waitFor();
  await expect.poll(() => page.getByRole("tab", { name: /^Closed/ }).textContent(), { timeout: 20_000 }).toContain(String(number));
  expect(complaints).toEqual([]);
  await context.close();
});

test("a rule shows what it is, rests and runs, and says what it would have found", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address(`/rules?rule=${SSH_RULE}`));
  const rule = page.getByRole("complementary", { name: "One rule" });
  await rule.getByText("T1110.001").first().waitFor();
  await rule.getByText("Its tests").waitFor();
  await rule.getByLabel("Time to look at").selectOption("24h");
  await rule.getByRole("button", { name: "Look", exact: true }).click();
  await rule.getByText(/match(es)? in .* rows?; no alert was raised/).waitFor();
  await pictures(page, "rule");
  await expectAccessible(page);
  await rule.getByRole("switch").click();
  await rule.getByText("Rests").waitFor();
  await rule.getByRole("switch").click();
  await rule.getByText("Runs").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("the matrix leaves as a layer of the Navigator", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/rules?view=matrix"));
  const downloading = page.waitForEvent("download");
  await page.getByRole("button", { name: "Navigator layer" }).click();
  const layer = JSON.parse(readFileSync(await (await downloading).path(), "utf8")) as { domain: string; techniques: { techniqueID: string; score: number }[] };
  expect(layer.domain).toBe("enterprise-attack");
  expect(layer.techniques.find((technique) => technique.techniqueID === "T1110.001")?.score).toBeGreaterThan(0);
  await page.getByRole("button", { name: /^T1110\.001/ }).click();
  await page.getByRole("button", { name: "Many Failed Passwords On One SSH Server" }).first().click();
  await page.getByRole("complementary", { name: "One rule" }).waitFor();
  expect(new URL(page.url()).searchParams.get("rule")).toBeTruthy();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a hold is placed and released, both with a reason", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/store"));
  await page.getByRole("button", { name: "Place a hold" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("case 7");
  await dialog.getByText("Letters, digits").waitFor();
  await dialog.getByLabel("Name").fill("case-7");
  await dialog.getByLabel("Table").selectOption("Visit_CL");
  await dialog.getByLabel("Why").fill("A court asks.");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Place", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  await page.getByRole("group", { name: "Legal holds" }).getByText("A court asks.").waitFor();
  await page.getByRole("group", { name: "Legal holds" }).scrollIntoViewIfNeeded();
  await pictures(page, "holds");
  await page.getByRole("button", { name: "Release case-7" }).click();
  await dialog.getByLabel("Why").fill("The case is over.");
  await dialog.getByRole("button", { name: "Release", exact: true }).click();
  await page.getByText("There is none").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});
