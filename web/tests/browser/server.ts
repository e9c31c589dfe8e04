// Starts the program on a directory of its own for the browser tests, makes the first account, and sends it events.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { HOSTILE, refusedPasswords, visits } from "./data";

export interface Installation {
  url: string;
  name: string;
  password: string;
}

declare module "vitest" {
  export interface ProvidedContext {
    installation: Installation;
  }
}

const PASSWORD = "correct horse battery staple";
const START_MS_MAX = 60_000;

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const program = process.env.MONETA_BIN;
  if (!program) throw new Error("MONETA_BIN must name the program `moneta`; `make web-test` does");
  const directory = mkdtempSync(join(tmpdir(), "moneta-web-"));
  const server = spawn(program, ["serve", "--data-dir", directory], {
    env: {
      ...process.env,
      MONETA_SERVER__LISTEN: "127.0.0.1:0",
      MONETA_SYSLOG__ENABLED: "false",
      MONETA_COLLECT__ENABLED: "false",
      NO_COLOR: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => server.on("exit", () => resolve()));
  const stop = async () => {
    server.kill("SIGTERM");
    await ended;
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  try {
    const link = await printedLink(server);
    const installation = { url: link.origin, name: "ada", password: PASSWORD };
    await fill(installation, link);
    project.provide("installation", installation);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

function printedLink(server: ReturnType<typeof spawn>): Promise<URL> {
  return new Promise((resolve, reject) => {
    let text = "";
    const timer = setTimeout(() => reject(new Error(`no link was printed:\n${text}`)), START_MS_MAX);
    const read = (chunk: Buffer) => {
      text += chunk.toString();
      const found = /http:\/\/\S+\/welcome\?token=\w+/.exec(text);
      if (found) {
        clearTimeout(timer);
        resolve(new URL(found[0]));
      }
    };
    server.stdout?.on("data", read);
    server.stderr?.on("data", read);
    server.on("exit", (code) => reject(new Error(`the program ended with ${code}:\n${text}`)));
  });
}

/** The first account, the starter rules, and events of which some meet a rule. */
async function fill(installation: Installation, link: URL): Promise<void> {
  const { url, name, password } = installation;
  const made = await call(url, "/v1/first-account", { token: link.searchParams.get("token"), name, password });
  const cookie = (made.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
  const rules = new URL("../../../content/rules/", import.meta.url).pathname;
  const files = readdirSync(rules).filter((file) => file.endsWith(".yml"));
  await call(url, "/v1/rules", { files: files.map((file) => ({ name: file, text: readFileSync(join(rules, file), "utf8") })) }, { cookie });
  const issued = await call(url, "/v1/credentials", { name: "tests", scopes: ["ingest"], expires_in_days: 1 }, { cookie });
  const { credential } = (await issued.json()) as { credential: string };
  const authorization = `Bearer ${credential}`;
  await call(url, "/v1/ingest/Visit_CL", visits(), { authorization });
  await call(url, "/v1/ingest/Hostile_CL", HOSTILE.map((text, index) => ({ Number: index, Text: text, Nested: { [text]: [text] } })), { authorization });
  await call(url, "/v1/ingest/Syslog", refusedPasswords(), { authorization });
}

async function call(url: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-moneta-request": "1", ...headers },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}
