// From the start of the built program to the first incident seen in the page, as the README leads: the first account, the
// starter rules, and sample files of attacks. It reports the time.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { close, openAt } from "../browser/browser";
import { addRules, ingestRight, start } from "../browser/server";

const samples = process.env.MONETA_CORPUS && join(process.env.MONETA_CORPUS, "samples", "evtx");
const FILES_MAX = 20;

afterAll(close);

function* evtx(directory: string): Generator<string> {
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (entry.isDirectory()) yield* evtx(join(directory, entry.name));
    else if (entry.name.endsWith(".evtx")) yield join(directory, entry.name);
  }
}

test("a first incident is seen", async () => {
  if (!samples || !existsSync(samples)) {
    if (process.env.CI) throw new Error("MONETA_CORPUS has no samples/evtx");
    console.log("corpus not present, no file of attacks was sent");
    return;
  }
  const began = performance.now();
  const seconds = () => `${((performance.now() - began) / 1000).toFixed(1)} s`;
  const running = await start();
  try {
    const { url } = running.installation;
    console.log(`ready, with an account: ${seconds()}`);
    await addRules(url, running.cookie);
    const authorization = await ingestRight(url, running.cookie);
    const { page, context } = await openAt(running.installation);
    await page.goto(`${url}/`);
    // Whatever it says: the disk of this machine may be nearly full.
    await page.locator(".verdict").waitFor();
    console.log(`signed in, home page seen: ${seconds()}`);
    for (const file of [...evtx(samples)].slice(0, FILES_MAX)) {
      const answer = await fetch(`${url}/v1/ingest?name=${encodeURIComponent(file.split("/").at(-1) ?? "")}`, { method: "POST", headers: { authorization }, body: readFileSync(file) });
      if (!answer.ok) throw new Error(`${file}: ${answer.status} ${await answer.text()}`);
    }
    console.log(`${FILES_MAX} files sent: ${seconds()}`);
    await page.goto(`${url}/incidents?state=all`);
    // The page looks again by itself; somebody who waits presses reload.
    const line = page.locator(".queue tbody tr").first();
    for (let tries = 0; tries < 60; tries += 1) {
      // An answer that is on its way is awaited: who reloads before it comes never sees one.
      await line.or(page.getByText("No incident meets this")).waitFor();
      if ((await line.count()) > 0) break;
      await page.waitForTimeout(1_000);
      await page.reload();
    }
    expect(await page.locator(".queue tbody tr").count()).toBeGreaterThan(0);
    console.log(`first incident seen: ${seconds()}: ${await page.locator(".queue tbody tr strong").first().textContent()}`);
    await context.close();
  } finally {
    await running.stop();
  }
}, 600_000);
