// Serves the pages of `dist/pages` in front of a running program, so that pages can be tested without building the program
// anew. Everything but the pages and their files is the program's own answer, passed on unchanged; and the pages go out
// under the headers with which the program sends its own, the content policy above all.
import { existsSync, readFileSync } from "node:fs";
import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, normalize } from "node:path";

const TYPES: Record<string, string> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml",
  ".ttf": "font/ttf",
  ".txt": "text/plain; charset=utf-8",
};
/** What says how a body is packed and kept: that of the program's own file is not that of ours. */
const OF_THE_BODY = ["content-length", "content-encoding", "content-type", "transfer-encoding", "connection", "date", "cache-control"];

export interface Front {
  url: string;
  close(): Promise<void>;
}

/** Starts it on a free port, in front of the program at `target`. */
export async function startFront(target: string, pages: string): Promise<Front> {
  const own = await fetch(target, { headers: { accept: "text/html" } });
  const headers = Object.fromEntries([...own.headers].filter(([name]) => !OF_THE_BODY.includes(name)));
  if (!headers["content-security-policy"]) throw new Error("the program sends its pages without a content policy");
  const server = createServer((asked, answer) => {
    const path = new URL(asked.url ?? "/", target).pathname;
    const file = isPage(path) ? join(pages, "index.html") : path.startsWith("/assets/") ? join(pages, normalize(path)) : undefined;
    if (asked.method === "GET" && file?.startsWith(pages)) sendFile(file, asked, answer, headers);
    else passOn(target, asked, answer);
  });
  return listen(server);
}

/** Lets a server listen on a free port of this machine. */
export async function listen(server: Server): Promise<Front> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Pages have addresses of one word or two; everything of the interface begins otherwise. */
function isPage(path: string): boolean {
  return !/^\/(v1|v2|health|healthz|metrics|ledger|assets)(\/|$)/.test(path);
}

function sendFile(file: string, asked: IncomingMessage, answer: ServerResponse, headers: Record<string, string>): void {
  const packed = /\bgzip\b/.test(String(asked.headers["accept-encoding"])) && existsSync(`${file}.gz`);
  if (!existsSync(file)) {
    answer.writeHead(404, headers).end();
    return;
  }
  answer.writeHead(200, {
    ...headers,
    "content-type": TYPES[extname(file)] ?? "application/octet-stream",
    "cache-control": "no-cache",
    ...(packed ? { "content-encoding": "gzip" } : {}),
  });
  answer.end(readFileSync(packed ? `${file}.gz` : file));
}

function passOn(target: string, asked: IncomingMessage, answer: ServerResponse): void {
  const { hostname, port } = new URL(target);
  // The name under which the browser knows us stays: the program compares it with where a request comes from.
  const passed = request({ hostname, port, method: asked.method, path: asked.url, headers: asked.headers }, (came) => {
    answer.writeHead(came.statusCode ?? 502, came.headers);
    came.pipe(answer);
  });
  passed.on("error", () => answer.destroy());
  answer.on("close", () => passed.destroy());
  asked.pipe(passed);
}
