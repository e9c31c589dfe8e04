// Talks to this server only: the same interface any program has, with the session cookie. Nothing else may call `fetch`.

/** One finding about a query's text; offsets are bytes of its UTF-8 form. */
export interface Finding {
  code: string;
  start: number;
  end: number;
  message: string;
  /** Missing in the answers of a query that was refused: those are errors. */
  severity?: "error" | "warning";
}

/** A refused or failed request; `status` is 0 when no answer came. */
export class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly findings: Finding[] = [],
    readonly requestId = "",
    /** The body of the answer, where it was JSON. */
    readonly body: unknown = undefined,
  ) {
    super(message);
  }
}

export interface SendOptions {
  body?: unknown;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/** Sends a request and returns the JSON of the answer; `undefined` when it has no body. */
export async function send<T>(method: string, path: string, options: SendOptions = {}): Promise<T> {
  const response = await answer(method, path, options);
  const text = await response.text();
  return parseExact(text) as T;
}

/** The same for answers that are plain text, such as proofs. */
export async function sendForText(path: string, signal?: AbortSignal): Promise<string> {
  const response = await answer("GET", path, signal ? { signal } : {});
  return response.text();
}

/** The same for answers that are bytes, such as tiles of the ledger. */
export async function sendForBytes(path: string): Promise<Uint8Array> {
  const response = await answer("GET", path, {});
  return new Uint8Array(await response.arrayBuffer());
}

async function answer(method: string, path: string, options: SendOptions): Promise<Response> {
  // The header tells the server that its own page asks: no form or link of another site can send it.
  const headers: Record<string, string> = { "X-Moneta-Request": "1", ...options.headers };
  const init: RequestInit = { method, headers, credentials: "same-origin" };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(options.body);
  }
  let response: Response;
  try {
    response = await fetch(path, init);
  } catch (problem) {
    if (problem instanceof DOMException && problem.name === "AbortError") throw problem;
    throw new Refusal(0, "the server does not answer; is it running?");
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

interface WireError {
  message?: string;
  "@message"?: string;
  moneta?: { diagnostics?: Finding[] };
}

async function refusal(response: Response): Promise<Refusal> {
  const text = await response.text();
  let body: { error?: WireError } | undefined;
  try {
    body = JSON.parse(text) as { error?: WireError };
  } catch {
    // A proxy's own page: the status has to do.
  }
  const error = body?.error ?? {};
  const message = error["@message"] ?? error.message ?? `the server answered ${response.status}`;
  if (response.status === 401) onSignedOut();
  return new Refusal(
    response.status,
    message,
    error.moneta?.diagnostics ?? [],
    response.headers.get("x-request-id") ?? "",
    body,
  );
}

let onSignedOut: () => void = () => {};

/** Names what is done when the server no longer knows the session. */
export function whenSignedOut(action: () => void): void {
  onSignedOut = action;
}

/** Whole numbers of 16 digits and more: a double does not hold all of them. */
const LONG_NUMBER = /[[,:]\s*-?\d{16,}\s*[,\]}]/;

/** Parses JSON; whole numbers that a double does not hold exactly stay text, so that no digit is invented. */
export function parseExact(text: string): unknown {
  if (text === "") return undefined;
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  const keepExact = (_key: string, value: unknown, context?: { source?: string }) => {
    const isInexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isInexact && /^-?\d+$/.test(context?.source ?? "") ? context?.source : value;
  };
  return JSON.parse(text, keepExact as (key: string, value: unknown) => unknown);
}
