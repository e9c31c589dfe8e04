// What people make of rules and of whom they name: exceptions, risks, and the channels by which they hear of them.
import { afterAll, expect, test } from "vitest";
import { address, close, expectAccessible, open, pictures } from "./browser";

afterAll(close);

/** Speaks up about each of the wrong passwords that the tests send. */
const INVALID_USER_RULE = "7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b004";
/** Counts wrong passwords of one server. */
const CORRELATION = "7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b064";

test("an exception is looked at before it is made, stands in the list with its reason, and is ended", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/rules?view=exceptions"));
  await page.getByText("There is none: every match").waitFor();
  await page.keyboard.press("n");
  const form = page.getByRole("region", { name: "New exception" });
  const makes = form.getByRole("button", { name: "Make the exception" });
  await form.getByLabel("Rule").selectOption(INVALID_USER_RULE);
  expect(await makes.isDisabled()).toBe(true);
  await form.getByText("Name a field and the value").waitFor();
  await form.getByLabel("Field 1").fill("SyslogMessage");
  await form.getByLabel("Comparison 1").selectOption("contains");
  await form.getByLabel("Values 1").fill("guest1 \nguest2 ");
  await form.getByLabel("Time to look at").selectOption("24h");
  await form.getByRole("button", { name: "See what it would take away" }).click();
  await form.getByText("It would take away 2 of 20 matches").waitFor();
  await pictures(page, "exception-preview");
  await expectAccessible(page);
  // Other times and other conditions, other answers: the one for those before goes.
  await form.getByLabel("Time to look at").selectOption("30d");
  expect(await form.getByRole("status").count()).toBe(0);
  await form.getByLabel("Time to look at").selectOption("24h");
  await form.getByText("It would take away 2 of 20 matches").waitFor();
  await form.getByLabel("Values 1").fill("guest1 \nguest2 \nguest3 ");
  expect(await form.getByRole("status").count()).toBe(0);
  await expect.poll(() => new URL(page.url()).searchParams.get("where")).toContain("guest3");

  const again = await context.newPage();
  await again.goto(page.url());
  await expect.poll(() => again.getByLabel("Values 1").inputValue()).toBe("guest1 \nguest2 \nguest3 ");
  await again.close();

  expect(await makes.isDisabled()).toBe(true);
  await form.getByLabel("Why").fill("Our own scanner <b>looks</b>\u202e.");
  await form.getByLabel("Last day, in UTC").fill("2020-01-01");
  await form.getByText(/^A day from today to /).waitFor();
  expect(await makes.isDisabled()).toBe(true);
  await form.getByLabel("Last day, in UTC").fill(new Date(Date.now() + 7 * 86_400_000).toISOString().slice(0, 10));
  // Two presses at once make one.
  await makes.evaluate((button: HTMLButtonElement) => {
    button.form?.requestSubmit();
    button.form?.requestSubmit();
  });
  await form.waitFor({ state: "detached" });
  const list = page.getByRole("group", { name: "Exceptions" });
  await list.getByText("SyslogMessage contains guest1 or guest2 or guest3").waitFor();
  await list.getByText("<b>looks</b>").waitFor();
  expect(await list.innerText()).not.toContain("\u202e");
  await pictures(page, "exceptions-made");
  await page.getByRole("heading", { name: "Rules" }).click();
  await page.keyboard.press("Enter");
  const rule = page.getByRole("complementary", { name: "One rule" });
  await rule.getByText("SyslogMessage contains guest1").waitFor();
  await page.keyboard.press("e");
  await page.getByRole("alertdialog").getByRole("button", { name: "End", exact: true }).click();
  await page.getByText("There is none: every match").waitFor();
  await rule.getByText("None holds.").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("what cannot be excepted says why", async () => {
  const { page, context } = await open();
  await page.goto(address("/rules?view=exceptions&except=nothing"));
  await page.getByText("It is not among the rules that run or rest: choose another.").waitFor();
  await page.goto(address(`/rules?view=exceptions&except=${INVALID_USER_RULE}&where=${encodeURIComponent('[{"field":"SyslogMessage","test":"cidr","values":["no network"]}]')}`));
  await page.getByRole("button", { name: "See what it would take away" }).click();
  const refused = page.getByRole("alert").filter({ hasText: "Not looked" });
  await refused.waitFor();
  expect(await refused.textContent()).toContain("no network");
  await context.close();
});

test("a correlation has exceptions like any rule", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address(`/rules?rule=${CORRELATION}`));
  const rule = page.getByRole("complementary", { name: "One rule" });
  await rule.getByText("None holds.").waitFor();
  await rule.getByRole("button", { name: "Except events…" }).click();
  const form = page.getByRole("region", { name: "New exception" });
  await expect.poll(() => form.getByLabel("Rule").inputValue()).toBe(CORRELATION);
  await form.getByLabel("Field 1").fill("SyslogMessage");
  await form.getByLabel("Comparison 1").selectOption("contains");
  await form.getByLabel("Values 1").fill("guest");
  await form.getByRole("button", { name: "See what it would take away" }).click();
  await form.getByRole("status").getByText(/^It would take/).waitFor();
  await form.getByLabel("Why").fill("Our own scanner.");
  await form.getByRole("button", { name: "Make the exception" }).click();
  await form.waitFor({ state: "detached" });
  await page.getByRole("heading", { name: "Rules" }).click();
  await page.keyboard.press("ArrowDown");
  await expect.poll(() => new URL(page.url()).searchParams.get("at")).not.toBeNull();
  await page.keyboard.press("Enter");
  await rule.getByText("SyslogMessage contains guest").waitFor();
  await page.keyboard.press("e");
  await page.getByRole("alertdialog").getByRole("button", { name: "End", exact: true }).click();
  await rule.getByText("None holds.").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a recorded value of several lines is excepted as it is, or removed", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address(`/rules?view=exceptions&except=${INVALID_USER_RULE}&where=${encodeURIComponent(JSON.stringify([{ field: "SyslogMessage", test: "equals", values: ["one\ntwo"] }]))}`));
  const values = page.getByLabel("Values 1");
  await page.getByText("hold line ends").waitFor();
  expect(await values.isEditable()).toBe(false);
  await expectAccessible(page);
  await page.getByRole("button", { name: "Remove condition 1" }).click();
  await expect.poll(() => values.isEditable()).toBe(true);
  expect(await values.inputValue()).toBe("");
  expect(complaints).toEqual([]);
  await context.close();
});

test("an alert says why its rule matched, and begins an exception of such events", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/incidents/1?view=evidence"));
  const alert = page.getByRole("region", { name: "Alert SSH Sign-In Tried For An Account That Does Not Exist" });
  await alert.getByRole("button", { name: "Why it matched" }).first().click();
  await alert.locator("pre").getByText(/matches the event in Syslog/).waitFor();
  await pictures(page, "explanation");
  await expectAccessible(page);
  await alert.getByRole("link", { name: "Except such events…" }).click();
  const form = page.getByRole("region", { name: "New exception" });
  await expect.poll(() => form.getByLabel("Rule").inputValue()).toBe(INVALID_USER_RULE);
  await expect.poll(() => form.getByLabel("Values 1").inputValue()).not.toBe("");
  expect(complaints).toEqual([]);
  await context.close();
});

test("risks name who is spoken against, lead on by key, and come back from the address", async () => {
  const { page, context, complaints } = await open();
  // What was closed as a false positive speaks against nobody.
  const reopened = await context.request.patch(address("/v1/incidents/1"), { data: { status: "Active" }, headers: { "if-match": "*", "x-moneta-request": "1" } });
  expect(reopened.status()).toBe(200);
  await page.goto(address("/incidents?view=risk"));
  const risks = page.getByRole("group", { name: "Risks" });
  await risks.getByText("bastion", { exact: true }).waitFor();
  await risks.getByRole("link", { name: "SSH Sign-In Tried For An Account That Does Not Exist" }).waitFor();
  await pictures(page, "risks");
  await expectAccessible(page);
  await page.getByRole("button", { name: /^host / }).click();
  await page.getByLabel("Alerts of the last days").selectOption("30");
  await page.getByLabel("Find in names").fill("basti");
  await expect.poll(() => new URL(page.url()).search).toMatch(/days=30.*kind=host.*text=basti|text=basti/);
  const again = await context.newPage();
  await again.goto(page.url());
  await again.getByRole("group", { name: "Risks" }).getByText("bastion", { exact: true }).waitFor();
  expect(await again.getByLabel("Alerts of the last days").inputValue()).toBe("30");
  await again.close();
  await page.getByLabel("Find in names").fill("nobody at all");
  await page.getByText("None meets this.").waitFor();
  await page.getByLabel("Find in names").fill("");
  await risks.getByText("bastion", { exact: true }).waitFor();
  await page.getByRole("heading", { name: "Incidents" }).click();
  await page.keyboard.press("j");
  await expect.poll(() => new URL(page.url()).searchParams.get("at")).toBe("host:bastion");
  await page.keyboard.press("Enter");
  await page.getByText("Who and what it is about").waitFor();
  // A kind that nobody is of is undone where it stands.
  await page.goto(address("/incidents?view=risk&kind=mailbox"));
  await page.getByText("press the chosen kind again").waitFor();
  await page.getByRole("button", { name: "mailbox 0" }).click();
  await risks.getByText("bastion", { exact: true }).waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("channels say what arrived and what did not, and are tried", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/settings?view=channels"));
  const channels = page.getByRole("group", { name: "Channels" });
  const line = (name: string) => channels.getByRole("row").filter({ has: page.getByRole("cell", { name, exact: true }) });
  await line("on-call").getByText("arrives", { exact: true }).waitFor();
  await line("mirror").getByText(/^(nothing arrives|gave up)/).waitFor();
  await line("mirror").getByText(/503/).waitFor();
  await channels.getByRole("button", { name: "Test on-call" }).click();
  await line("on-call").getByText(/^Arrived after/).waitFor();
  await channels.getByRole("button", { name: "Test mirror" }).click();
  await line("mirror").getByText(/^Did not arrive/).waitFor();
  await pictures(page, "channels-tried");
  await expectAccessible(page);
  // Somebody on call sees it first.
  await page.goto(address("/"));
  await page.getByText("“mirror”", { exact: false }).first().waitFor();
  await pictures(page, "home-problem");
  await page.getByRole("link", { name: "See where alerts go" }).click();
  await line("mirror").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});
