// Talks to this server only: the same interface any client has, with the session cookie.

/// A refused or failed request.
export class Refusal extends Error {
  constructor(status, message, findings) {
    super(message);
    this.status = status;
    this.findings = findings ?? [];
  }
}

/// Sends a request and returns the JSON of the answer.
export async function send(method, path, body, signal) {
  const options = { method, signal, headers: { "X-Moneta-Request": "1" }, credentials: "same-origin" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch (problem) {
    if (problem.name === "AbortError") throw problem;
    throw new Refusal(0, "the server does not answer; is it running?");
  }
  const text = await response.text();
  const value = parse(text);
  if (!response.ok) {
    const error = value?.error ?? {};
    const message = error["@message"] ?? error.message ?? `the server answered ${response.status}`;
    throw new Refusal(response.status, message, error.moneta?.diagnostics);
  }
  return value;
}

/// Parses JSON; whole numbers beyond what a double holds exactly stay text, so that no digit is invented.
function parse(text) {
  if (!text) return undefined;
  try {
    return JSON.parse(text, (_key, value, context) => {
      const isInexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
      return isInexact && /^-?\d+$/.test(context?.source ?? "") ? context.source : value;
    });
  } catch {
    return undefined;
  }
}

/// Runs a query; returns its first table with statistics.
export async function query(text, rowsMax, signal) {
  const body = { db: "Moneta", csl: text, properties: { Options: { query_take_max_records: rowsMax } } };
  const frames = await send("POST", "/v2/rest/query", body, signal);
  const tables = frames.filter((frame) => frame.TableKind === "PrimaryResult");
  const completion = frames.find((frame) => frame.FrameType === "DataSetCompletion");
  const table = tables[0] ?? { Columns: [], Rows: [] };
  const info = frames.find((frame) => frame.TableKind === "QueryCompletionInformation");
  const stats = parse(info?.Rows.find((row) => row[6] === "Stats")?.[11] ?? "") ?? {};
  return {
    columns: table.Columns.map((column) => ({ name: column.ColumnName, type: column.ColumnType })),
    rows: table.Rows.filter(Array.isArray),
    problem: completion?.OneApiErrors?.[0]?.error?.["@message"],
    seconds: stats.ExecutionTime,
    rowsScanned: stats.input_dataset_statistics?.rows?.scanned,
    tables: tables.length,
  };
}
