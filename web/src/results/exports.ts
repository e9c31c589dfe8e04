// A result as a file: made in the browser from the rows shown, or by the server from all there are.
import type { ResultTable } from "../api/kusto";
import { cellText } from "./gridModel";

/** What spreadsheets take for the beginning of a formula; some read the wide forms as the narrow ones. */
const FORMULA = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;

/** RFC 4180; text that a spreadsheet would run as a formula gets an apostrophe in front. */
export function toCsv(table: ResultTable, rows: Iterable<number>): string {
  const field = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const lines = [table.columns.map((column) => field(guarded(column.name))).join(",")];
  for (const row of rows) {
    const cells = table.rows[row] ?? [];
    lines.push(
      table.columns
        .map((column, index) => {
          const text = cellText(cells[index]);
          const isNumber = ["int", "long", "real", "decimal", "timespan"].includes(column.type);
          return field(isNumber ? text : guarded(text));
        })
        .join(","),
    );
  }
  return `${lines.join("\r\n")}\r\n`;
}

function guarded(text: string): string {
  return FORMULA.test(text) ? `'${text}` : text;
}

/** One JSON object a line, values as the server sent them. */
export function toNdjson(table: ResultTable, rows: Iterable<number>): string {
  const lines: string[] = [];
  for (const row of rows) {
    const cells = table.rows[row] ?? [];
    lines.push(JSON.stringify(Object.fromEntries(table.columns.map((column, index) => [column.name, cells[index] ?? null]))));
  }
  return lines.length > 0 ? `${lines.join("\n")}\n` : "";
}

/** Hands a text to the browser as a file. */
export function download(name: string, type: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  follow(url, name);
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** The forms that the server writes. */
export const EXPORT_FORMATS = [
  { format: "csv", label: "CSV, safe for spreadsheets" },
  { format: "ndjson", label: "JSON, one object a line" },
  { format: "json", label: "JSON, one array" },
  { format: "parquet", label: "Parquet" },
] as const;

/** What a server takes as an address: HTTP/2 has 16 KiB for all headers. A longer query is exported on the command line. */
const ADDRESS_CHARACTERS_MAX = 8_000;

/**
 * Where the server gives the whole result of a query as a file, of any size: the browser keeps it as it comes, and marks
 * it as failed when it breaks off. `undefined` when the query is too long for an address.
 */
export function exportAddress(asked: { text: string; from?: string; to?: string; language: string }, format: string): string | undefined {
  const parameters = new URLSearchParams({ text: asked.text, language: asked.language, format });
  if (asked.from) parameters.set("from", asked.from);
  if (asked.to) parameters.set("to", asked.to);
  const address = `/v1/export?${parameters.toString()}`;
  return address.length <= ADDRESS_CHARACTERS_MAX ? address : undefined;
}

/** Has the browser keep what an address gives, by the name the server says or the one given. */
export function follow(address: string, name = ""): void {
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
}
