// Every page in both themes: no complaint of the browser, nothing serious from axe, and a picture for people.
import { afterAll, describe, expect, test } from "vitest";
import { address, close, expectAccessible, open, picture } from "./browser";

const PAGES: [name: string, path: string, sign: string][] = [
  ["home", "/", "Alerts by the hour"],
  ["incidents", "/incidents?state=all", "Last event"],
  ["incident", "/incidents/1", "Who and what it is about"],
  ["risk", "/incidents?view=risk", "How the score is reckoned"],
  ["query", "/query", "Press"],
  ["alerts", "/alerts", "As a query"],
  ["rules", "/rules", "Applies to"],
  ["matrix", "/rules?view=matrix", "Navigator layer"],
  ["coverage", "/rules?view=coverage", "Kind of log"],
  ["rule-editor", "/rules?edit=new", "Saved, it runs."],
  ["exceptions", "/rules?view=exceptions&ended=yes", "There is none"],
  ["exception-new", "/rules?view=exceptions&except=7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b004", "Excepted where all of these hold"],
  ["live", "/live?q=Visit_CL", "rows a second"],
  ["verify", "/verify?table=Visit_CL&seq=5", "the signature was not checked"],
  ["sources", "/sources", "Quarantine"],
  ["store", "/store", "Newest checkpoint"],
  ["audit", "/audit", "Look again"],
  ["settings", "/settings", "Credentials of programs"],
  ["channels", "/settings?view=channels", "Last failure"],
  // What was open comes back from the address.
  ["home-table", "/?view=alerts-table", "Informational"],
  ["incidents-chosen", "/incidents?state=all&chosen=1&dialog=close:1", "What was it?"],
  ["incident-assign", "/incidents/1?dialog=assign", "Your own name stands there"],
  ["account-dialog", "/settings?dialog=account", "by another way than the name"],
  ["credential-dialog", "/settings?dialog=credential", "What program it is for"],
  ["rule-remove", "/rules?rule=7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b064&dialog=remove:7f3c1a52-3a0e-4d0b-9c35-51a6f0a1b064", "stops matching at once"],
];

afterAll(close);

describe.each([["light", false], ["dark", true]] as const)("in %s", (theme, dark) => {
  test.each(PAGES)("%s", async (name, path, sign) => {
    const { page, context, complaints } = await open({ dark });
    await page.goto(address(path));
    await page.getByText(sign, { exact: false }).first().waitFor();
    await page.waitForLoadState("networkidle");
    await expectAccessible(page);
    await picture(page, `${name}-${theme}`);
    expect(complaints).toEqual([]);
    await context.close();
  });
});

/** Bytes that the first page may take on its way, packed. */
const FIRST_LOAD_BYTES_MAX = 400_000;

test("the first page is small", async () => {
  const { page, context } = await open();
  const packed: Promise<number>[] = [];
  page.on("requestfinished", (request) => {
    if (new URL(request.url()).pathname.startsWith("/assets/")) packed.push(request.sizes().then((sizes) => sizes.responseBodySize));
  });
  await page.goto(address("/"));
  await page.getByText("Alerts by the hour").first().waitFor();
  await page.waitForLoadState("networkidle");
  const bytes = (await Promise.all(packed)).reduce((sum, size) => sum + size, 0);
  console.log(`the first page takes ${bytes} bytes, packed`);
  expect(bytes).toBeGreaterThan(100_000);
  expect(bytes).toBeLessThanOrEqual(FIRST_LOAD_BYTES_MAX);
  await context.close();
});

test.each(PAGES)("%s at 200 %% zoom of a small screen", async (name, path, sign) => {
  const { page, context, complaints } = await open({ width: 640, height: 512 });
  await page.goto(address(path));
  await page.getByText(sign, { exact: false }).first().waitFor();
  await page.waitForLoadState("networkidle");
  // Nothing is cut off at the side: what is wide scrolls in its own frame.
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  expect(overflow).toBeLessThanOrEqual(0);
  await expectAccessible(page);
  await picture(page, `${name}-narrow`);
  expect(complaints).toEqual([]);
  await context.close();
});
