// Coming in: the first account by the printed link, signing in and out, accounts of people, credentials of programs.
import { afterAll, expect, test } from "vitest";
import { address, close, expectAccessible, open, openUnknown, pictures } from "./browser";
import { launch } from "./server";

afterAll(close);

test("the first account is made by the printed link, once, and signs in again", async () => {
  const { url, welcome, stop } = await launch();
  try {
    const { page, context, complaints } = await openUnknown(url);
    await page.goto(welcome);
    await page.getByRole("heading", { name: "Make the first account" }).waitFor();
    await pictures(page, "welcome");
    await expectAccessible(page);
    await page.getByLabel("Name").fill("grace");
    await page.getByLabel("Password").fill("short");
    await page.getByRole("button", { name: "Make the account" }).click();
    await page.getByRole("alert", { name: "No account was made" }).waitFor();
    expect(await page.getByLabel("Password").inputValue()).toBe("");
    await page.getByLabel("Password").fill("a whole sentence of it");
    await page.getByRole("button", { name: "Make the account" }).click();
    await page.locator(".verdict").waitFor();
    // The secret of the link is not left in the address.
    expect(page.url()).not.toContain("token");
    await pictures(page, "home-empty");
    await page.getByRole("link", { name: "Add rules" }).click();
    await page.getByText("There is no rule yet").waitFor();
    await pictures(page, "rules-empty");
    await expectAccessible(page);
    // The first account's refusal is a complaint of the browser's console, and the only one.
    expect(complaints.filter((one) => !/status of 4/.test(one))).toEqual([]);

    await page.getByRole("button", { name: /grace/ }).click();
    await page.getByRole("menuitem", { name: "Sign out" }).click();
    await page.getByRole("heading", { name: "Sign in to Moneta" }).waitFor();
    await pictures(page, "sign-in");
    await expectAccessible(page);
    await page.goto(`${url}/audit?actor=grace`);
    await page.getByLabel("Name").fill("grace");
    await page.getByLabel("Password").fill("not it at all");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert", { name: "Not signed in" }).waitFor();
    await page.getByLabel("Password").fill("a whole sentence of it");
    await page.keyboard.press("Enter");
    // Where somebody was going stays.
    await page.getByRole("heading", { name: "Audit" }).waitFor();
    expect(new URL(page.url()).searchParams.get("actor")).toBe("grace");
    await context.close();

    const other = await openUnknown(url);
    await other.page.goto(welcome);
    await other.page.getByLabel("Name").fill("mallory");
    await other.page.getByLabel("Password").fill("another whole sentence");
    await other.page.getByRole("button", { name: "Make the account" }).click();
    await other.page.getByRole("alert", { name: "No account was made" }).waitFor();
    await other.context.close();
  } finally {
    await stop();
  }
});

test("an account is made, works, sees no more than it may, and is disabled", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/settings"));
  await page.getByRole("button", { name: "New account" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("linus");
  await dialog.getByLabel("Password").fill("a whole sentence of it");
  await pictures(page, "account-new");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "Make", exact: true }).click();
  await dialog.waitFor({ state: "detached" });
  const line = page.getByRole("row").filter({ has: page.getByRole("cell", { name: "linus", exact: true }) });
  await line.getByText("active").waitFor();

  const theirs = await openUnknown(new URL(address("/")).origin);
  await theirs.page.goto(address("/settings"));
  await theirs.page.getByLabel("Name").fill("linus");
  await theirs.page.getByLabel("Password").fill("a whole sentence of it");
  await theirs.page.getByRole("button", { name: "Sign in" }).click();
  await theirs.page.getByText("are shown to those who may").waitFor();
  // Who may query saves queries of their own.
  await theirs.page.goto(address(`/query?q=${encodeURIComponent("Visit_CL | count")}`));
  await theirs.page.getByRole("button", { name: "Save", exact: true }).click();
  await theirs.page.getByRole("dialog").getByLabel("Name").fill("how many visits");
  await theirs.page.getByRole("dialog").getByRole("button", { name: "Save", exact: true }).click();
  await theirs.page.getByRole("dialog").waitFor({ state: "detached" });
  await theirs.page.getByRole("button", { name: "Queries" }).click();
  await theirs.page.getByRole("tab", { name: "Saved" }).click();
  await theirs.page.getByRole("button", { name: "Remove how many visits" }).click();
  await theirs.page.getByText("Nobody saved a query yet").waitFor();
  expect(theirs.complaints.filter((one) => !/status of 401/.test(one))).toEqual([]);

  await line.getByRole("button", { name: "Disable linus" }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Disable", exact: true }).click();
  await line.getByText(/^disabled /).waitFor();
  await theirs.page.goto(address("/alerts"));
  await theirs.page.getByRole("heading", { name: "Sign in to Moneta" }).waitFor();
  await theirs.context.close();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a credential is shown once, works, and is refused once it is revoked", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/settings"));
  await page.getByRole("button", { name: "New credential" }).click();
  const dialog = page.getByRole("alertdialog");
  await dialog.getByLabel("Name").fill("page-reader");
  await dialog.getByLabel("Valid for days").fill("0");
  await dialog.getByText("A whole number from 1.").waitFor();
  await dialog.getByLabel("Valid for days").fill("1");
  const made: string[] = [];
  page.on("request", (request) => {
    if (request.method() === "POST" && request.url().endsWith("/v1/credentials")) made.push(request.postData() ?? "");
  });
  await dialog.getByLabel("Name").focus();
  // Two presses of Enter in a row: the second credential would be valid and nobody would know it.
  await page.evaluate(() => {
    const form = document.querySelector<HTMLFormElement>("[role=alertdialog] form");
    form?.requestSubmit();
    form?.requestSubmit();
  });
  await dialog.locator(".secret").waitFor();
  expect(made).toHaveLength(1);
  const secret = (await dialog.locator(".secret").textContent()) ?? "";
  expect(secret.length).toBeGreaterThan(20);
  await pictures(page, "credential-shown");
  await expectAccessible(page);
  await dialog.getByRole("button", { name: "I have it" }).click();
  const list = page.getByRole("group", { name: "Credentials" });
  const line = list.getByRole("row").filter({ hasText: "page-reader" });
  await line.getByText("valid").waitFor();
  expect(await page.locator("body").innerText()).not.toContain(secret);
  const ask = async () => (await fetch(address("/v1/ingest/Read_CL"), { method: "POST", headers: { authorization: `Bearer ${secret}`, "content-type": "application/json" }, body: '[{"a":1}]' })).status;
  expect(await ask()).toBe(200);
  await line.getByRole("button", { name: /^Revoke/ }).click();
  await page.getByRole("alertdialog").getByRole("button", { name: "Revoke", exact: true }).click();
  await line.getByText(/^revoked /).waitFor();
  expect(await ask()).toBe(401);
  expect(complaints).toEqual([]);
  await context.close();
});

test("people change their password, and administrators what others may and theirs", async () => {
  const { url, welcome, stop } = await launch();
  try {
    const { page, context, complaints } = await openUnknown(url);
    await page.goto(welcome);
    await page.getByLabel("Name").fill("grace");
    await page.getByLabel("Password").fill("a whole sentence of it");
    await page.getByRole("button", { name: "Make the account" }).click();
    await page.getByRole("button", { name: /grace/ }).click();
    await page.getByRole("menuitem", { name: /Change password/ }).click();
    const dialog = page.getByRole("dialog");
    const changes = dialog.getByRole("button", { name: "Change", exact: true });
    await dialog.getByLabel("Password until now").fill("not it at all");
    await dialog.getByLabel(/^New password(?!,)/).fill("another whole sentence");
    await dialog.getByLabel("New password, again").fill("another whole");
    await dialog.getByText("It is another one.").waitFor();
    expect(await changes.isDisabled()).toBe(true);
    await dialog.getByLabel("New password, again").fill("another whole sentence");
    await changes.click();
    await dialog.getByText("Not changed").waitFor();
    await pictures(page, "password-own");
    await expectAccessible(page);
    await dialog.getByLabel("Password until now").fill("a whole sentence of it");
    await changes.click();
    await dialog.waitFor({ state: "detached" });
    expect(page.url()).not.toContain("dialog");
    // Whoever changed it is still signed in.
    await page.reload();
    await page.locator(".verdict").waitFor();

    await page.goto(`${url}/settings?dialog=account`);
    await dialog.getByLabel("Name").fill("linus");
    await dialog.getByLabel("Password").fill("a whole sentence of it");
    await dialog.getByRole("button", { name: "Make", exact: true }).click();
    await dialog.waitFor({ state: "detached" });
    const line = page.getByRole("row").filter({ has: page.getByRole("cell", { name: "linus", exact: true }) });
    await line.getByRole("button", { name: "Change what linus may" }).click();
    await dialog.getByRole("checkbox", { name: /^respond/ }).check();
    await pictures(page, "account-scopes");
    await expectAccessible(page);
    await changes.click();
    await line.getByText("query, respond").waitFor();
    await line.getByRole("button", { name: "New password for linus" }).click();
    await dialog.getByLabel(/^New password/).fill("a sentence of somebody else");
    await pictures(page, "password-of");
    await changes.click();
    await dialog.waitFor({ state: "detached" });
    const signIn = async (name: string, password: string) => (await context.request.post(`${url}/v1/sign-in`, { data: { name, password }, headers: { "x-moneta-request": "1" } })).status();
    expect([await signIn("linus", "a whole sentence of it"), await signIn("grace", "a whole sentence of it")]).toEqual([401, 401]);
    expect([await signIn("linus", "a sentence of somebody else"), await signIn("grace", "another whole sentence")]).toEqual([200, 200]);
    expect(complaints.filter((one) => !/status of 4/.test(one))).toEqual([]);
    await context.close();
  } finally {
    await stop();
  }
});

test("what is hidden is read, searched and tried", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/settings?view=hidden"));
  const fields = page.getByRole("group", { name: "Hidden fields" });
  await fields.getByRole("row").filter({ hasText: "UserPrincipalName" }).getByText("a mail address").first().waitFor();
  await page.getByText("built in").waitFor();
  await pictures(page, "scrub-policy");
  await expectAccessible(page);
  await page.getByLabel("Find a field").fill("UserPrincipalName");
  await expect.poll(() => new URL(page.url()).searchParams.get("text")).toBe("UserPrincipalName");
  await page.getByText(/^\d+ of \d+ fields?$/).waitFor();

  const record = page.getByLabel("Record, as a sender sends it");
  await record.fill("[1]");
  await page.getByText("One JSON object, from { to }.").waitFor();
  expect(await page.getByRole("button", { name: "See what would be stored" }).isDisabled()).toBe(true);
  await record.fill('{"UserPrincipalName": "secret.person@example.org", "IPAddress": "192.0.2.7"}');
  await page.getByRole("button", { name: "See what would be stored" }).click();
  await page.getByText(/^Becomes a token: a mail address \(\d+\)/).waitFor();
  expect(await page.locator(".evidence").innerText()).toMatch(/tk\d+_email_/);
  expect(await page.locator(".evidence").innerText()).not.toContain("secret.person");
  // A record may name people: nothing of it is in the address.
  expect(page.url()).not.toContain("secret");
  await pictures(page, "scrub-try");
  await expectAccessible(page);
  expect(complaints).toEqual([]);
  await context.close();
});
