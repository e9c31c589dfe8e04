// Starts the program on a directory of its own for the browser tests, makes the first account, and sends it events.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { HOSTILE, refusedPasswords, visits } from "./data";
import { listen, startFront, type Front } from "./front";

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

/** Characters of what the program said last that are shown when it ends by itself. */
const SAID_CHARACTERS_MAX = 20_000;

/** A running program that nobody has an account of yet. */
export interface Launched {
  url: string;
  /** The address that it printed for the first account. */
  welcome: string;
  token: string;
  stop(): Promise<void>;
}

/** A running program with its first account, on a directory of its own. */
export interface Running {
  installation: Installation;
  /** The session of the account. */
  cookie: string;
  stop(): Promise<void>;
}

/** Starts the program and makes the first account. */
export async function start(config = ""): Promise<Running> {
  const { url, token, stop } = await launch(config);
  try {
    const installation = { url, name: "ada", password: PASSWORD };
    const made = await call(url, "/v1/first-account", { token, name: installation.name, password: PASSWORD });
    return { installation, cookie: (made.headers.get("set-cookie") ?? "").split(";")[0] ?? "", stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Starts the program, with the pages of this clone in front of it where `MONETA_PAGES` names them; `config` is TOML. */
export async function launch(config = ""): Promise<Launched> {
  const program = process.env.MONETA_BIN;
  if (!program) throw new Error("MONETA_BIN must name the program `moneta`; `make web-test` does");
  const directory = mkdtempSync(join(tmpdir(), "moneta-web-"));
  const configFile = join(directory, "tests.toml");
  writeFileSync(configFile, config);
  const server = spawn(program, ["serve", "--data-dir", join(directory, "data"), "--config", configFile], {
    env: {
      ...process.env,
      MONETA_SERVER__LISTEN: "127.0.0.1:0",
      MONETA_SYSLOG__ENABLED: "false",
      MONETA_COLLECT__ENABLED: "false",
      MONETA_RULES__STARTER: "false",
      MONETA_STORE__RESERVE_BYTES: "0",
      NO_COLOR: "1",
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = new Promise<void>((resolve) => server.on("exit", () => resolve()));
  let isStopping = false;
  let said = "";
  const listenTo = (chunk: Buffer) => (said = (said + chunk.toString()).slice(-SAID_CHARACTERS_MAX));
  server.stdout?.on("data", listenTo);
  server.stderr?.on("data", listenTo);
  // A server that ends in between is why whatever came after it failed.
  server.on("exit", (code, signal) => isStopping || console.error(`the program ended with ${code ?? signal}:\n${said}`));
  let front: Front | undefined;
  const stop = async () => {
    isStopping = true;
    await front?.close();
    server.kill("SIGTERM");
    await ended;
    rmSync(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  };
  try {
    const link = await printedLink(server);
    // Pages that are newer than the program are served in front of it.
    if (process.env.MONETA_PAGES) front = await startFront(link.origin, realpathSync(process.env.MONETA_PAGES));
    const url = front?.url ?? link.origin;
    return { url, welcome: url + link.pathname + link.search, token: link.searchParams.get("token") ?? "", stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const receivers = await startReceivers();
  const running = await start(channelsAt(receivers.url));
  const stop = async () => {
    await running.stop();
    await receivers.close();
  };
  try {
    await fill(running);
    project.provide("installation", running.installation);
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}

/** One channel whose receiver takes everything, and one whose receiver refuses everything. */
function channelsAt(url: string): string {
  const channel = (name: string, path: string, more = "") => `[[notify.channels]]\nname = "${name}"\nkind = "webhook"\nurl = "${url}/${path}"\n${more}`;
  return `[notify]\nallow_private_hosts = ["127.0.0.1"]\n${channel("on-call", "taken", 'level_min = "low"\n')}${channel("mirror", "refused")}`;
}

async function startReceivers(): Promise<Front> {
  const server = createServer((request, response) => {
    request.resume();
    response.writeHead(request.url === "/taken" ? 204 : 503).end();
  });
  return listen(server);
}

/** The address for the first account, as a server prints it. */
export function printedLink(server: ReturnType<typeof spawn>): Promise<URL> {
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

/** The starter rules, and events of which some meet a rule. */
async function fill({ installation: { url }, cookie }: Running): Promise<void> {
  await addRules(url, cookie);
  const authorization = await ingestRight(url, cookie);
  await call(url, "/v1/ingest/Visit_CL", visits(), { authorization });
  await call(url, "/v1/ingest/Hostile_CL", HOSTILE.map((text, index) => ({ Number: index, Text: text, Nested: { [text]: [text] } })), { authorization });
  await call(url, "/v1/ingest/Syslog", refusedPasswords(), { authorization });
  await firstIncident(url, cookie);
}

/** Adds the rules of `content/rules`. */
export async function addRules(url: string, cookie: string): Promise<void> {
  const rules = new URL("../../../content/rules/", import.meta.url).pathname;
  const files = readdirSync(rules).filter((file) => file.endsWith(".yml"));
  await call(url, "/v1/rules", { files: files.map((file) => ({ name: file, text: readFileSync(join(rules, file), "utf8") })) }, { cookie });
}

/** The header by which events may be sent. */
export async function ingestRight(url: string, cookie: string, name = "tests"): Promise<string> {
  const issued = await call(url, "/v1/credentials", { name, scopes: ["ingest"], expires_in_days: 1 }, { cookie });
  return `Bearer ${((await issued.json()) as { credential: string }).credential}`;
}

/** Alerts are raised and become incidents a moment after the events were taken in. */
async function firstIncident(url: string, cookie: string): Promise<void> {
  for (const end = Date.now() + START_MS_MAX; Date.now() < end; await new Promise((resolve) => setTimeout(resolve, 200))) {
    const answer = await fetch(`${url}/v1/incidents?status=all`, { headers: { cookie, "x-moneta-request": "1" } });
    if (!answer.ok) throw new Error(`/v1/incidents: ${answer.status} ${await answer.text()}`);
    if (((await answer.json()) as { incidents: unknown[] }).incidents.length > 0) return;
  }
  throw new Error("the wrong passwords made no incident");
}

export async function call(url: string, path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", "x-moneta-request": "1", ...headers },
    body: JSON.stringify(body),
  });
  if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
  return answer;
}
