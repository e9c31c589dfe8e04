// The query page as people use it: writing, running, reading, narrowing, sharing, stopping.
import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { address, close, expectAccessible, open, pictures, write } from "./browser";
import { HOSTILE } from "./data";

afterAll(close);

const link = (query: string, more = "") => address(`/query?q=${encodeURIComponent(query)}${more}`);
/** A grid of rows, or a tree of them where they are grouped. */
const grid = (page: Page) => page.locator('.grid[aria-label="Results"]');

test("a query is written, run by key, read, sorted, narrowed and exported", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/query"));
  await write(page, "Visit_CL\n| summarize Visits = count() by Door");
  await page.keyboard.press("Shift+Enter");
  await grid(page).getByText("north").waitFor();
  expect(await page.locator(".grid-foot").textContent()).toContain("4 rows");

  await grid(page).getByRole("button", { name: "Door" }).click();
  await expect.poll(() => page.url()).toContain("sort=Door");
  await page.getByLabel("Find in the results").fill("outh");
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("1 of 4 rows");
  await page.getByLabel("Find in the results").fill("");

  await grid(page).getByText("west").click();
  await page.getByRole("button", { name: "Add value as filter" }).click();
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("1 row");
  await expect.poll(() => new URL(page.url()).searchParams.get("q")).toContain('| where Door == "west"');

  for (const [item, end] of [["CSV, safe for spreadsheets", ".csv"], ["Rows shown, as CSV", ".csv"]] as const) {
    await page.getByRole("button", { name: "Export" }).click();
    const downloading = page.waitForEvent("download");
    await page.getByRole("menuitem", { name: item }).click();
    const download = await downloading;
    expect(download.suggestedFilename()).toMatch(/^moneta-/);
    expect(download.suggestedFilename().endsWith(end)).toBe(true);
    expect(readFileSync(await download.path(), "utf8")).toBe("Door,Visits\r\nwest,750\r\n");
  }
  await expectAccessible(page);
  expect(complaints).toEqual([]);
  await context.close();
});

test("what a query cost is told, and the address remembers that somebody wants to know", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("Visit_CL\n| where Door == 'north'"));
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByRole("button", { name: /3,000 rows read/ }).click();
  const cost = page.getByRole("region", { name: "What the query cost" });
  await cost.getByText("on the server").waitFor();
  expect(await cost.getByText("all of it was needed").count()).toBe(1);
  await pictures(page, "cost");
  await expectAccessible(page);
  await page.reload();
  await page.getByRole("button", { name: "Run" }).click();
  await cost.getByText("on the server").waitFor();
  // Nothing of it is so old: what was left alone is named with the reason.
  await page.goto(link("Visit_CL\n| where TimeGenerated < datetime(2001-01-01)", "&cost=shown"));
  await page.getByRole("button", { name: "Run" }).click();
  await cost.getByText("no event of theirs lies within the times asked for").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("dialogs of the query page come back from the address", async () => {
  const { page, context, complaints } = await open();
  const dialog = page.getByRole("dialog");
  await page.goto(address("/query"));
  await page.getByRole("button", { name: "Queries" }).click();
  await dialog.getByText("Nothing was run here yet").waitFor();
  await dialog.getByRole("tab", { name: "Saved" }).click();
  await expect.poll(() => new URL(page.url()).searchParams.get("dialog")).toBe("saved");
  await page.reload();
  await dialog.getByRole("tab", { name: "Saved", selected: true }).waitFor();
  await dialog.getByRole("button", { name: "Close" }).click();
  await expect.poll(() => new URL(page.url()).searchParams.get("dialog")).toBeNull();
  await page.goto(address("/query?dialog=save"));
  await dialog.getByText("Save this query").waitFor();
  await pictures(page, "query-save");
  await page.goto(address("/query?dialog=profile:Visit_CL:Door"));
  await dialog.getByText("Most frequent values").waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await page.goto(address("/query?dialog=profile:Visit_CL:Nowhere"));
  await page.getByText("Press").first().waitFor();
  expect(await dialog.count()).toBe(0);
  expect(complaints).toEqual([]);
  await context.close();
});

test("the statement under the cursor runs, not its neighbours", async () => {
  const { page, context } = await open();
  await page.goto(address("/query"));
  await write(page, "print a = 'first'\n\nprint a = 'second'");
  await page.keyboard.press("ControlOrMeta+Home");
  await page.keyboard.press("Shift+Enter");
  await grid(page).getByText("first", { exact: true }).waitFor();
  await page.locator(".monaco-editor .view-lines").first().click();
  await page.keyboard.press("ControlOrMeta+End");
  await page.keyboard.press("Shift+Enter");
  await grid(page).getByText("second", { exact: true }).waitFor();
  await context.close();
});

test("a link fills the page and never runs by itself", async () => {
  const { page, context, complaints } = await open();
  const asked: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/rest/query")) asked.push(request.postData() ?? "");
  });
  await page.goto(link("Visit_CL\n| take 3", "&range=all&view=table"));
  await page.getByText("has not run").waitFor();
  await page.locator(".monaco-editor").getByText("Visit_CL").first().waitFor();
  // Operators have a colour of their own.
  await page.locator(".monaco-editor .view-line span").getByText("take", { exact: true }).waitFor();
  await page.waitForLoadState("networkidle");
  expect(asked).toEqual([]);
  expect(await page.getByRole("button", { name: "All time" }).count()).toBe(1);
  await page.getByRole("button", { name: "Run" }).click();
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("3 rows");
  await page.getByRole("button", { name: "Copy link" }).click();
  await page.getByText("Copied").waitFor();
  const copied = new URL(await page.evaluate(() => navigator.clipboard.readText()));
  expect(copied.searchParams.get("q")).toBe("Visit_CL\n| take 3");
  expect(complaints).toEqual([]);
  await context.close();
});

test("the editor offers our names and marks what the server would refuse", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/query"));
  await write(page, "Visit_CL\n| where Dor == 'north'");
  await page.locator(".squiggly-error").first().waitFor();
  await write(page, "Visit_CL\n| where Do");
  await page.keyboard.press("ControlOrMeta+Space");
  await page.locator(".suggest-widget").getByText("Door", { exact: true }).first().waitFor();
  await pictures(page, "completion");
  await page.keyboard.press("Enter");
  await page.keyboard.insertText(" == 'north'");
  await page.keyboard.press("Shift+Enter");
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("750 rows");
  expect(complaints).toEqual([]);
  await context.close();
});

test("the keyboard leaves the editor both ways, and indents", async () => {
  const { page, context, complaints } = await open();
  const isInside = () => page.evaluate(() => document.activeElement?.closest(".monaco-editor") !== null);
  await page.goto(address("/query"));
  await write(page, "print a = 1");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Control+]");
  await expect.poll(() => page.locator(".monaco-editor .view-lines").first().innerText()).toMatch(/^\s{2,}print/);
  await page.keyboard.press("Tab");
  await expect.poll(isInside).toBe(false);
  await page.locator(".monaco-editor .view-lines").first().click();
  await expect.poll(isInside).toBe(true);
  await page.keyboard.press("Shift+Tab");
  await expect.poll(isInside).toBe(false);
  expect(await page.evaluate(() => document.activeElement === document.body)).toBe(false);
  expect(complaints).toEqual([]);
  await context.close();
});

test("a result is sorted and its cells have their menu by keyboard alone", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("Visit_CL\n| summarize Visits = count() by Door\n| order by Door asc"));
  await page.getByRole("button", { name: "Run" }).click();
  await grid(page).getByText("west").waitFor();
  await grid(page).focus();
  const first = () => grid(page).getByRole("gridcell").first().innerText();
  expect(await first()).toBe("east");
  await page.keyboard.press("s");
  await page.keyboard.press("s");
  await expect.poll(() => new URL(page.url()).searchParams.get("sort")).toBe("-Door");
  await expect.poll(first).toBe("west");
  await grid(page).getByRole("columnheader", { name: "Door" }).and(page.locator("[aria-sort=descending]")).waitFor();

  await page.keyboard.press("Shift+F10");
  const menu = page.getByRole("menu");
  await menu.getByRole("menuitem", { name: "Do not sort" }).waitFor();
  await pictures(page, "grid-menu");
  await expectAccessible(page);
  await menu.getByRole("menuitem", { name: "Copy row as JSON" }).press("Enter");
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe('{"Door":"west","Visits":750}');
  // The way through the rows goes on where it was.
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("ContextMenu");
  await menu.getByRole("menuitem", { name: "Copy cell" }).press("Enter");
  await expect.poll(() => page.evaluate(() => navigator.clipboard.readText())).toBe("south");
  await page.keyboard.press("s");
  await expect.poll(() => new URL(page.url()).searchParams.get("sort")).toBeNull();
  expect(complaints).toEqual([]);
  await context.close();
});

test("views stand in the tree with their columns, and the address brings the tree back", async () => {
  const { page, context, complaints } = await open();
  const made = await context.request.post(address("/v1/rest/mgmt"), {
    data: { db: "moneta", csl: ".create materialized-view with (docString='Visits by door') VisitsByDoor on table Visit_CL { Visit_CL | summarize Visits = count() by Door }" },
    headers: { "x-moneta-request": "1" },
  });
  expect(made.status(), await made.text()).toBe(200);
  await page.goto(address("/query"));
  const tree = page.getByRole("region", { name: "Tables" });
  await tree.getByRole("heading", { name: "Views" }).waitFor();
  await tree.getByLabel("Find a table or column").fill("visit");
  await tree.getByRole("button", { name: "Columns of VisitsByDoor" }).click();
  await tree.getByRole("button", { name: "Columns of Visit_CL" }).click();
  await expect.poll(() => [new URL(page.url()).searchParams.get("tables"), new URL(page.url()).searchParams.get("open")]).toEqual(["visit", "VisitsByDoor,Visit_CL"]);
  await page.reload();
  await tree.getByRole("button", { name: "Visits long" }).waitFor();
  await tree.getByRole("button", { name: "Values of Badge" }).waitFor();
  expect(await tree.getByTitle("Visits by door").count()).toBe(1);
  await pictures(page, "schema-views");
  await expectAccessible(page);
  await tree.getByRole("button", { name: "Values of Visits" }).click();
  await page.getByRole("dialog").getByText("Most frequent values").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a query that no address holds says how all of its rows are had", async () => {
  const { page, context, complaints } = await open();
  await page.goto(address("/query"));
  await write(page, `// ${"long ".repeat(2_000)}\nprint a = 1`);
  await page.keyboard.press("Shift+Enter");
  await page.getByRole("button", { name: "Export" }).click();
  await page.getByRole("menu").getByText(/too long for an address, moneta query --export/).waitFor();
  await page.getByRole("menuitem", { name: "Rows shown, as CSV" }).waitFor();
  await pictures(page, "export-long");
  expect(complaints).toEqual([]);
  await context.close();
});

test("a wrong query says what to change", async () => {
  const { page, context } = await open();
  await page.goto(link("Visit_CL | where Dor == 1"));
  await page.getByRole("button", { name: "Run" }).click();
  const alert = page.getByRole("alert", { name: "The query did not run" });
  await alert.waitFor();
  expect(await alert.textContent()).toContain("Door");
  await context.close();
});

test("a query that runs is cancelled on the server too", async () => {
  const { page, context } = await open();
  await page.goto(link("range a from 1 to 100000000 step 1 | extend k = a % 7 | summarize dcount(hash_sha256(tostring(a))) by k"));
  await page.getByRole("button", { name: "Run" }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await page.getByText("was cancelled").waitFor();
  const states = async () => {
    const answer = await context.request.post(address("/v1/rest/mgmt"), {
      data: { db: "moneta", csl: ".show queries | where Text has 'hash_sha256' and Text !has 'show' | project State" },
      headers: { "x-moneta-request": "1" },
    });
    return JSON.stringify(((await answer.json()) as { Tables: { Rows: unknown[] }[] }).Tables[0]?.Rows ?? []);
  };
  await expect.poll(states, { timeout: 20_000 }).toContain("Cancelled");
  await context.close();
});

/** How many pixels of a picture are of a colour. */
function colouredPixels(element: Element): number {
  const canvas = element as HTMLCanvasElement;
  const { data } = canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
  let count = 0;
  for (let at = 0; at + 3 < data.length; at += 4) {
    const [red = 0, green = 0, blue = 0, opaque = 0] = [data[at], data[at + 1], data[at + 2], data[at + 3]];
    if (opaque > 128 && Math.max(red, green, blue) - Math.min(red, green, blue) > 60) count += 1;
  }
  return count;
}

test.each([
  ["timechart", "Visit_CL | summarize count() by bin(TimeGenerated, 10m), Door | render timechart"],
  ["piechart", "Visit_CL | summarize count() by Door | render piechart"],
  ["barchart", "Visit_CL | summarize count() by Door | render barchart"],
  ["columnchart", "Visit_CL | summarize count() by Door, Level = tostring(Badge.level) | render columnchart kind=stacked"],
  ["areachart", "Visit_CL | summarize avg(Seconds) by bin(TimeGenerated, 10m) | render areachart"],
  ["scatterchart", "Visit_CL | take 200 | project Seconds, Twice = Seconds * 2 | render scatterchart"],
  ["linechart", "range x from 1 to 50 step 1 | extend y = x * x | render linechart"],
  ["card", "Visit_CL | count | render card"],
  ["anomalychart", "Visit_CL | make-series Visits = count() on TimeGenerated from ago(4h) to now() step 5m | extend Odd = series_decompose_anomalies(Visits) | render anomalychart with (anomalycolumns=Odd)"],
  ["stackedareachart", "Visit_CL | summarize count() by bin(TimeGenerated, 10m), Door | render stackedareachart"],
  ["ladderchart", "Visit_CL | summarize First = min(TimeGenerated), Last = max(TimeGenerated) by Door, Holder = tostring(Badge.holder) | top 20 by First asc | render ladderchart"],
  ["ysplit-panels", "Visit_CL | summarize avg(Seconds), count() by bin(TimeGenerated, 10m) | render timechart with (ysplit=panels)"],
  ["ysplit-axes", "Visit_CL | summarize avg(Seconds), count() by bin(TimeGenerated, 10m) | render timechart with (ysplit=axes)"],
])("%s is drawn and has its table", async (kind, query) => {
  const { page, context, complaints } = await open();
  await page.goto(link(query));
  await page.getByRole("button", { name: "Run" }).click();
  if (kind === "card") await page.locator(".results-body .card").waitFor();
  else await page.locator(".chart canvas").waitFor();
  await pictures(page, `chart-${kind}`);
  // Axes and texts are grey: what is drawn has colours.
  if (kind !== "card") expect(await page.locator(".chart canvas").first().evaluate(colouredPixels)).toBeGreaterThan(200);
  await page.getByRole("tab", { name: "Table" }).click();
  await grid(page).waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a hundred thousand rows scroll, and the keyboard reaches the last", async () => {
  const { page, context, complaints } = await open();
  // Without an order of its own a query promises none.
  await page.goto(link("range Number from 1 to 100000 step 1 | extend Text = strcat('row ', Number), Half = Number / 2.0 | order by Number asc"));
  await page.getByLabel("Rows at most").selectOption("100000");
  await page.getByRole("button", { name: "Run" }).click();
  await grid(page).getByText("row 1", { exact: true }).waitFor({ timeout: 60_000 });
  const goToTheEnd = async () => {
    await grid(page).focus();
    await page.keyboard.press("ControlOrMeta+End");
    return grid(page).getByText("row 100000", { exact: true }).count();
  };
  await expect.poll(goToTheEnd, { timeout: 30_000, interval: 500 }).toBe(1);
  // What is drawn stays small however long the result is.
  expect(await grid(page).getByRole("row").count()).toBeLessThan(80);
  const frames = await page.evaluate(async () => {
    const scroller = document.querySelector(".grid") as HTMLElement;
    scroller.scrollTop = 0;
    const times: number[] = [];
    let last = performance.now();
    for (let step = 0; step < 90; step += 1) {
      scroller.scrollTop += 700;
      await new Promise(requestAnimationFrame);
      times.push(performance.now() - last);
      last = performance.now();
    }
    return times.sort((a, b) => a - b);
  });
  console.log(`frames while scrolling: median ${frames[45]?.toFixed(1)} ms, 95 % ${frames[85]?.toFixed(1)} ms`);
  expect(complaints).toEqual([]);
  await context.close();
});

test("columns are filtered, rows are grouped, and the address brings both back", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("Visit_CL\n| project Door, Seconds, Level = tolong(Badge.level)"));
  await page.getByRole("button", { name: "Run" }).click();
  await grid(page).getByText("north").first().waitFor();
  await page.getByRole("button", { name: "Column filters" }).click();
  await grid(page).getByLabel("Seconds must be").fill(">=100");
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("30 of 3,000 rows");
  await page.getByLabel("Group by", { exact: true }).selectOption("Door");
  await page.getByLabel("Group by", { exact: true }).selectOption("Level");
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("in 4 groups");
  await grid(page).focus();
  await page.keyboard.press("ControlOrMeta+Home");
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  expect(await page.locator(".monaco-editor .view-line span").getByText("project", { exact: true }).count()).toBe(1);
  await pictures(page, "groups");
  await expectAccessible(page);
  expect(await grid(page).getByRole("row", { expanded: true }).count()).toBe(2);
  const again = await context.newPage();
  await again.goto(page.url());
  await again.getByRole("button", { name: "Run" }).waitFor();
  expect(new URL(page.url()).searchParams.get("group")).toBe('["Door","Level"]');
  expect(complaints).toEqual([]);
  await context.close();
});

test("a row opens with its fields; a part of a dynamic value becomes a filter", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("Visit_CL\n| order by _Seq asc"));
  await page.getByRole("button", { name: "Run" }).click();
  await grid(page).getByText("north").first().waitFor();
  await grid(page).focus();
  await page.keyboard.press("Enter");
  const row = page.getByRole("complementary", { name: "One row" });
  await row.getByText("holder", { exact: true }).waitFor();
  await pictures(page, "row");
  await expectAccessible(page);
  await row.getByRole("button", { name: "Add Badge.holder as filter" }).click();
  await expect.poll(() => page.locator(".grid-foot").textContent()).toContain("60 rows");
  expect(complaints).toEqual([]);
  await context.close();
});

test("dragging over the histogram chooses a time", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("Visit_CL"));
  await page.getByRole("button", { name: "Run" }).click();
  const bars = page.locator(".histogram canvas").first();
  await bars.waitFor();
  await page.waitForTimeout(800);
  const box = await bars.boundingBox();
  if (!box) throw new Error("the histogram has no place");
  await page.mouse.move(box.x + box.width * 0.9, box.y + 40);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.96, box.y + 45, { steps: 5 });
  await page.mouse.up();
  await expect.poll(() => decodeURIComponent(page.url())).toMatch(/range=\d{4}-.*\.\.\d{4}-/);
  expect(complaints).toEqual([]);
  await context.close();
});

test("strings of attackers stay text", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("Hostile_CL\n| project Number, Text, Nested\n| order by Number asc"));
  await page.getByRole("button", { name: "Run" }).click();
  await grid(page).getByText("window.__executed").first().waitFor();
  const number = HOSTILE.length;
  expect(await page.locator(".grid-foot").textContent()).toContain(`${number} rows`);
  // Every row is drawn once, and every twentieth is opened.
  await grid(page).focus();
  for (let row = 0; row < number; row += 20) {
    await page.keyboard.press("Enter");
    await page.getByRole("complementary", { name: "One row" }).getByText(`Row ${row + 1}`, { exact: true }).waitFor();
    await grid(page).focus();
    await page.keyboard.press("PageDown");
  }
  expect(await page.evaluate(() => (window as { __executed?: unknown }).__executed)).toBeUndefined();
  expect(await page.locator(".grid script, .grid img, .grid iframe, .inspector a, .inspector img").count()).toBe(0);
  const shown = await page.locator("body").innerText();
  expect(shown).not.toMatch(/[\u202a-\u202e\u2066-\u2069\u001b]/);
  await pictures(page, "hostile");
  // As names of a chart, too.
  await page.goto(link("Hostile_CL | take 40 | summarize count() by Text | render columnchart"));
  await page.getByRole("button", { name: "Run" }).click();
  await page.locator(".chart canvas").waitFor();
  await page.mouse.move(700, 650);
  await page.waitForTimeout(300);
  expect(await page.evaluate(() => (window as { __executed?: unknown }).__executed)).toBeUndefined();
  expect(complaints).toEqual([]);
  await context.close();
});

test("a query is saved, found again and removed; the history remembers what ran", async () => {
  const { page, context, complaints } = await open();
  await page.goto(link("print kept = 'here'"));
  await page.getByRole("button", { name: "Run" }).click();
  await grid(page).getByText("here").waitFor();
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByLabel("Name").fill("Kept");
  await page.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Queries" }).click();
  await page.getByRole("dialog").getByText("print kept = 'here'").waitFor();
  await page.getByRole("tab", { name: "Saved" }).click();
  await page.getByRole("dialog").getByText("Kept", { exact: true }).waitFor();
  await expectAccessible(page);
  await page.getByRole("button", { name: "Remove Kept" }).click();
  await page.getByText("Nobody saved a query yet").waitFor();
  expect(complaints).toEqual([]);
  await context.close();
});
