// The outline of a query text: blocks divided by blank lines, pipes, comments and strings. It knows no more of the
// language than where its quotes end; what a text means only the server says.

export interface Block {
  /** Offset of the first character, in UTF-16 units as editors count. */
  start: number;
  end: number;
  text: string;
}

/** The text with the inside of strings and all comments replaced by blanks: same length, same lines. */
export function maskQuoted(text: string): string {
  // Verbatim, triple-quoted and plain strings, in this order because the longer openings come first; then comments.
  const quoted = /```[\s\S]*?(?:```|$)|~~~[\s\S]*?(?:~~~|$)|@"(?:[^"\n]|"")*"?|@'(?:[^'\n]|'')*'?|"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|\/\/[^\n]*/g;
  return text.replace(quoted, (part) => part.replace(/[^\n]/g, " "));
}

function isBlankLine(text: string, from: number, to: number): boolean {
  return text.slice(from, to).trim() === "";
}

/**
 * Blocks of lines with blank lines between them. A blank line divides nothing inside a string, after a `;`, and before a
 * pipe: what follows belongs to what stands before it.
 */
export function blocks(text: string): Block[] {
  const joined: Block[] = [];
  for (const block of paragraphs(text)) {
    const last = joined.at(-1);
    const goesOn = last && (/;\s*$/.test(maskQuoted(last.text)) || maskQuoted(block.text).trimStart().startsWith("|"));
    if (last && goesOn) joined[joined.length - 1] = { start: last.start, end: block.end, text: text.slice(last.start, block.end) };
    else joined.push(block);
  }
  return joined;
}

function paragraphs(text: string): Block[] {
  const open = multilineStrings(text);
  const found: Block[] = [];
  let start = -1;
  let end = 0;
  let from = 0;
  while (from <= text.length) {
    const next = text.indexOf("\n", from);
    const to = next < 0 ? text.length : next;
    const isInside = open.some(([first, last]) => first < from && to < last);
    if (!isInside && isBlankLine(text, from, to)) {
      if (start >= 0) found.push({ start, end, text: text.slice(start, end) });
      start = -1;
    } else {
      if (start < 0) start = from;
      end = to;
    }
    if (next < 0) break;
    from = next + 1;
  }
  if (start >= 0) found.push({ start, end, text: text.slice(start, end) });
  return found;
}

function multilineStrings(text: string): [number, number][] {
  return [...text.matchAll(/```[\s\S]*?(?:```|$)|~~~[\s\S]*?(?:~~~|$)/g)].map((match) => [match.index, match.index + match[0].length]);
}

/** The block at an offset: the one it is in, else the one before it, else the first. */
export function blockAt(text: string, offset: number): Block | undefined {
  const all = blocks(text);
  return all.find((block) => offset >= block.start && offset <= block.end) ?? all.filter((block) => block.end < offset).at(-1) ?? all[0];
}

/** Whether a text limits the time itself, so that the page's range steps back. */
export function limitsTime(text: string): boolean {
  return /\b(TimeGenerated|Timestamp|ingestion_time\s*\(\s*\))\s*(>=?|<=?|==|between|in\b)/i.test(maskQuoted(text));
}

/** Whether a text is a management command. */
export function isCommand(text: string): boolean {
  return /^\s*\./.test(maskQuoted(text).replace(/^\s*\n/, "")) && text.trimStart().startsWith(".");
}

/** The statements of a block that stand before its last one (`let`, `declare`, `set`), and that last one. */
function lastStatement(text: string): { before: string; last: string } {
  const masked = maskQuoted(text).replace(/;\s*$/, "");
  const cut = masked.lastIndexOf(";");
  return { before: text.slice(0, cut + 1), last: text.slice(cut + 1, masked.length) };
}

/** Places of the pipes that are in no bracket. */
function pipes(text: string): number[] {
  const found: number[] = [];
  let depth = 0;
  const masked = maskQuoted(text);
  for (let index = 0; index < masked.length; index += 1) {
    const c = masked[index] ?? "";
    if ("([{".includes(c)) depth += 1;
    else if (")]}".includes(c)) depth -= 1;
    else if (c === "|" && depth === 0) found.push(index);
  }
  return found;
}

const KEEPS_ROWS = /^\s*(where|filter|search|extend|serialize|as)\b/;

/**
 * The leading part of a query that only chooses rows, counted over time: what the histogram above the results asks.
 * `undefined` when the text begins with something that has no rows of events, such as `print` or a command.
 */
export function histogramQuery(text: string, bin: string): string | undefined {
  const { before, last } = lastStatement(text);
  const source = maskQuoted(last).trimStart();
  if (source === "" || !/^[\p{L}_[]/u.test(source) || /^(print|range|datatable|externaldata|let|set|declare|evaluate|find|search)\b/.test(source)) {
    return undefined;
  }
  const cuts = pipes(last);
  const firstStop = cuts.find((cut) => !KEEPS_ROWS.test(maskQuoted(last).slice(cut + 1)));
  const kept = last.slice(0, firstStop ?? last.length).trimEnd();
  return `${before}${kept}\n| summarize Events = count() by TimeGenerated = bin(TimeGenerated, ${bin})\n| order by TimeGenerated asc`;
}

/** A query that can be followed while rows come: what stands before its table, the table, and its operators, which look at one row at a time. */
export interface Followed {
  /** Statements such as `let`, each with its `;`. */
  before: string;
  table: string;
  /** Operators with their pipes; they keep `_Seq`. Empty when there are none. */
  rest: string;
}

const TABLE = /^(?:[\p{L}_][\p{L}\p{N}_]*|\[\s*(?:"(?:[^"\\]|\\.)+"|'(?:[^'\\]|\\.)+')\s*\])$/u;
const ONE_ROW = /^\s*(where|filter|extend|project|project-away|project-keep|project-rename|project-reorder|parse|parse-where|parse-kv|mv-expand|lookup)(?![\w-])/;
const CHOOSES_COLUMNS = /^\s*(project|project-keep)(?![\w-])/;

/** Takes a query apart for following it, or says why it cannot be followed. */
export function followable(text: string): Followed | { problem: string } {
  const { before, last } = lastStatement(text);
  const cuts = [...pipes(last), last.length];
  const table = last.slice(0, cuts[0]).trim();
  if (!TABLE.test(table)) return { problem: "The query must begin with the name of a table." };
  const operators = cuts.slice(0, -1).map((cut, index) => last.slice(cut + 1, cuts[index + 1]));
  const other = operators.find((operator) => !ONE_ROW.test(maskQuoted(operator)));
  if (other !== undefined) {
    const name = /[\w-]+/.exec(maskQuoted(other))?.[0] ?? "";
    return { problem: `\`${name}\` needs more than one row; a query is followed that uses where, extend, project, parse, mv-expand or lookup alone.` };
  }
  const keepsSeq = (operator: string) => (CHOOSES_COLUMNS.test(maskQuoted(operator)) && !/\b_Seq\b/.test(maskQuoted(operator)) ? `${operator.trimEnd()}\n  , _Seq` : operator.trimEnd());
  return { before, table, rest: operators.map((operator) => `|${keepsSeq(operator)}`).join("\n") };
}

/** Adds a filter to the end of a block. */
export function withFilter(block: string, condition: string): string {
  return `${block.trimEnd().replace(/;$/, "")}\n| where ${condition}`;
}
