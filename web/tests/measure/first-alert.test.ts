// From the start of the built program to the first incident seen in the page, exactly as the README leads: its commands are
// read from it and run, the account is made on the page, and files of attacks are what is sent. It reports the times.
import { execFile, spawn } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, expect, test } from "vitest";
import { close, openUnknown } from "../browser/browser";
import { startFront } from "../browser/front";
import { printedLink } from "../browser/server";

const repository = new URL("../../../", import.meta.url).pathname;
const samples = process.env.MONETA_CORPUS && join(process.env.MONETA_CORPUS, "samples", "evtx");
const FILES_MAX = 20;

afterAll(close);

/** The fenced blocks of the section of the README, in their order. */
function blocksOfReadme(): { language: string; text: string }[] {
  const section = /## Five minutes to a first alert\n([\s\S]*?)\n## /.exec(readFileSync(join(repository, "README.md"), "utf8"))?.[1] ?? "";
  return [...section.matchAll(/^ *```(\w+)\n([\s\S]*?)^ *```$/gm)].map(([, language = "", text = ""]) => ({ language, text: text.replace(/^ {3}/gm, "") }));
}

/** A directory that is to the commands what a clone is: the program, the starter rules, and evidence. */
function makeClone(program: string): string {
  const clone = mkdtempSync(join(tmpdir(), "moneta-readme-"));
  mkdirSync(join(clone, "bin"));
  mkdirSync(join(clone, "evidence"));
  symlinkSync(realpathSync(program), join(clone, "bin", "moneta"));
  symlinkSync(join(repository, "content"), join(clone, "content"));
  const files = readdirSync(samples ?? "").filter((file) => file.endsWith(".evtx")).sort().slice(0, FILES_MAX);
  for (const file of files) copyFileSync(join(samples ?? "", file), join(clone, "evidence", file));
  return clone;
}

test("a first incident is seen as the README leads", async () => {
  const program = process.env.MONETA_BIN;
  if (!program) throw new Error("MONETA_BIN must name the program `moneta`");
  if (!samples || !existsSync(samples)) {
    if (process.env.CI) throw new Error("MONETA_CORPUS has no samples/evtx");
    console.log("corpus not present, no file of attacks was sent");
    return;
  }
  const clone = makeClone(program);
  const env = { ...process.env, PATH: `${join(clone, "bin")}:${process.env.PATH ?? ""}`, NO_COLOR: "1" };
  const began = performance.now();
  const note = (what: string) => console.log(`${((performance.now() - began) / 1000).toFixed(1)} s: ${what}`);
  // What `make run` does once everything is built, on ports that nobody has.
  const ports = { MONETA_SERVER__LISTEN: "127.0.0.1:0", MONETA_SYSLOG__TCP_LISTEN: "127.0.0.1:0", MONETA_SYSLOG__UDP_LISTEN: "127.0.0.1:0" };
  const server = spawn("moneta", ["serve", "--data-dir", join(clone, "data")], { cwd: clone, env: { ...env, ...ports }, stdio: ["ignore", "pipe", "pipe"] });
  const ended = new Promise<void>((resolve) => server.on("exit", () => resolve()));
  let printed = "";
  for (const stream of [server.stdout, server.stderr]) stream.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  let front: Awaited<ReturnType<typeof startFront>> | undefined;
  try {
    const link = await printedLink(server);
    note("it is ready");
    // Pages that are newer than the program are served in front of it.
    if (process.env.MONETA_PAGES) front = await startFront(link.origin, realpathSync(process.env.MONETA_PAGES));
    const url = front?.url ?? link.origin;
    const { page, context } = await openUnknown(url);
    await page.goto(url + link.pathname + link.search);
    await page.getByLabel("Name").fill("grace");
    await page.getByLabel("Password").fill("a whole sentence of it");
    await page.getByRole("button", { name: "Make the account" }).click();
    await page.locator(".verdict").waitFor();
    note("the account is made, and the overview is seen");
    await page.goto(`${url}/incidents?state=all`);
    const first = page.locator(".queue tbody tr strong").first();
    let isSeen = false;
    const seen = (async () => {
      // The page looks again by itself; somebody who waits presses reload. An answer that is on its way is awaited.
      for (let tries = 0; tries < 240 && !isSeen; tries += 1) {
        await first.or(page.getByText("No incident meets this")).first().waitFor();
        isSeen = (await first.count()) > 0;
        if (!isSeen) await page.waitForTimeout(500).then(() => page.reload());
      }
      if (isSeen) note(`the first incident is seen: ${await first.textContent()}`);
    })();
    // The link of the program is in its place already, and it runs.
    const isDone = (line: string) => line === "make run" || line.startsWith("export PATH=");
    for (const { language, text } of blocksOfReadme()) {
      if (language === "yaml") writeFileSync(join(clone, "refused.yml"), text);
      if (language !== "sh") continue;
      const syslog = /syslog tcp 127\.0\.0\.1:(\d+)/.exec(printed)?.[1] ?? "5514";
      for (const line of text.split("\n").filter((one) => one !== "" && !isDone(one))) {
        const { stdout } = await promisify(execFile)("bash", ["-c", line.replace("--port 5514", `--port ${syslog}`)], { cwd: clone, env, maxBuffer: 1 << 26 });
        note(`${line.slice(0, 60)}: ${stdout.trim().split("\n").at(-1)?.slice(0, 120) ?? ""}`);
      }
    }
    await seen;
    expect(isSeen).toBe(true);
    await context.close();
  } finally {
    await front?.close();
    server.kill("SIGTERM");
    await ended;
    rmSync(clone, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}, 600_000);
