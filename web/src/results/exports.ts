// A result as a file, made in the browser from what is shown.
import type { ResultTable } from "../api/kusto";
import { cellText } from "./gridModel";

/** What spreadsheets take for the beginning of a formula. */
const FORMULA = /^[=+\-@\t\r]/;

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
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
