// A browser that is signed in, and that hears everything a page does wrong.
import axe from "axe-core";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type BrowserContext, type Locator, type Page } from "playwright-core";
import { expect, inject, onTestFailed } from "vitest";
import type { Installation } from "./server";

/** Where pictures of the pages go; they are looked at by people. */
const PICTURES = process.env.MONETA_PICTURES ?? join(process.cwd(), "dist", "pictures");

export interface Visit {
  page: Page;
  context: BrowserContext;
  /** What went wrong so far: console errors, thrown errors, violations of the content policy, refused requests. */
  complaints: string[];
}

/** How long a step may take on a busy machine before it counts as hanging. */
const STEP_MS_MAX = 90_000;

let browser: Browser | undefined;

interface Look {
  dark?: boolean;
  width?: number;
  height?: number;
  zone?: string;
}

export function open(options: Look = {}): Promise<Visit> {
  return openAt(inject("installation"), options);
}

/** The same for an installation of one's own. */
export async function openAt({ url, name, password }: Installation, options: Look = {}): Promise<Visit> {
  const visit = await openUnknown(url, options);
  // The session is a cookie: one request signs the whole context in.
  const answer = await visit.context.request.post(`${url}/v1/sign-in`, { data: { name, password }, headers: { "x-moneta-request": "1" } });
  expect(answer.status()).toBe(200);
  return visit;
}

/** The same for somebody who is not signed in. */
export async function openUnknown(url: string, options: Look = {}): Promise<Visit> {
  browser ??= await chromium.launch({
    executablePath: process.env.MONETA_CHROMIUM ?? "/usr/bin/chromium",
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  const context = await browser.newContext({
    viewport: { width: options.width ?? 1440, height: options.height ?? 900 },
    colorScheme: options.dark ? "dark" : "light",
    // A colour that is on its way to another is none that anybody chose.
    reducedMotion: "reduce",
    timezoneId: options.zone ?? "Asia/Kolkata",
    permissions: ["clipboard-read", "clipboard-write"],
  });
  const complaints: string[] = [];
  await context.addInitScript(() => {
    document.addEventListener("securitypolicyviolation", (event) => {
      console.error(`content policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}:${event.lineNumber} ${event.sample}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(STEP_MS_MAX);
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") complaints.push(`${message.type()}: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`thrown: ${error.message}`));
  page.on("request", (request) => {
    const target = new URL(request.url());
    if (target.origin !== url && !["data:", "blob:"].includes(target.protocol)) complaints.push(`asked elsewhere: ${request.url()}`);
  });
  onTestFailed(async ({ task }) => {
    if (!page.isClosed()) await take(page, `failed-${task.name.replaceAll(/[^a-z0-9]+/gi, "-").slice(0, 60)}`);
  });
  return { page, context, complaints };
}

export async function close(): Promise<void> {
  await browser?.close();
  browser = undefined;
}

export function address(path: string): string {
  return inject("installation").url + path;
}

/** Waits until an element has the focus: a key pressed before goes to what had it. */
export async function expectFocused(element: Locator): Promise<void> {
  await expect.poll(() => element.evaluate((one) => one === document.activeElement)).toBe(true);
}

/** Lets axe look at the page; anything serious fails. With rules named it looks for these alone. */
export async function expectAccessible(page: Page, rules: string[] = []): Promise<void> {
  // As a function of the browser's own console, not as a script of the page: the content policy forbids the latter.
  await page.evaluate(axe.source);
  const found = await page.evaluate(async (rules) => {
    // Fluent marks where the focus may turn with elements that pass it on at once; axe takes them for traps.
    const context = { include: [document], exclude: [["[data-tabster-dummy]"]] } as unknown as Parameters<typeof axe.run>[0];
    const result = await (window as unknown as { axe: typeof axe }).axe.run(context, { resultTypes: ["violations"], ...(rules.length > 0 ? { runOnly: rules } : {}) });
    return result.violations
      .filter((violation) => violation.impact === "serious" || violation.impact === "critical")
      .map((violation) => `${violation.id}: ${violation.nodes.map((node) => `${node.html.slice(0, 200)} ${node.failureSummary ?? ""}`).slice(0, 3).join(" | ")}`);
  }, rules);
  expect(found).toEqual([]);
}

/** Puts a text into the place of what stands in the editor of the page. */
export async function write(page: Page, text: string): Promise<void> {
  const lines = page.locator(".monaco-editor .view-lines").first();
  await lines.waitFor();
  await lines.click();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.press("Delete");
  await page.keyboard.insertText(text);
}

async function take(page: Page, name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true });
  await page.screenshot({ path: join(PICTURES, `${name}.png`) });
}

/** A picture of the page as it stands, its charts drawn. */
export async function picture(page: Page, name: string): Promise<void> {
  await expect.poll(() => page.locator(".canvas:not([data-drawn])").count()).toBe(0);
  await take(page, name);
}

/** A picture in each theme; in the dark one it must be possible to read, too. */
export async function pictures(page: Page, name: string): Promise<void> {
  await picture(page, `${name}-light`);
  await page.emulateMedia({ colorScheme: "dark" });
  await page.locator("html[data-theme=dark]").waitFor({ state: "attached" });
  // An editor gives its words their new colours a moment later.
  await page.waitForTimeout(200);
  await picture(page, `${name}-dark`);
  await expectAccessible(page, ["color-contrast"]);
  await page.emulateMedia({ colorScheme: "light" });
  await page.locator("html[data-theme=light]").waitFor({ state: "attached" });
}
