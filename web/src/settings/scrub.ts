// The scrub policy as the server answers it, in words.
import type { Cell } from "../api/kusto";

export interface Policy {
  /** `built-in`, or the path of the file. */
  source: string;
  version: number;
  sha256: string;
  token_key_version: number;
  /** Those that are looked for in any text. */
  patterns: string[];
  fields: { table: string; field: string; kind: string }[];
  allow: Record<(typeof ALLOWED)[number]["name"], string[]>;
}

export interface Trial {
  table: string;
  rows: Record<string, Cell>[];
  quarantined: boolean;
  tokens: { kind: string; count: number }[];
}

/** What stands for every table. */
export const EVERY_TABLE = "*";

/** What a token stands for. */
export const KINDS: Record<string, string> = {
  email: "a mail address", phone: "a telephone number", card: "a payment card", name: "a name", user: "an account", text: "a text",
};

const PATTERNS: Record<string, string> = { email: "mail addresses", phone: "telephone numbers", payment_card: "payment cards" };

export function patternText(pattern: string): string {
  return PATTERNS[pattern] ?? pattern;
}

/** Lists of what stays although a field or a pattern names it. */
export const ALLOWED = [
  { name: "values", words: "These values" },
  { name: "beginnings", words: "What begins with" },
  { name: "addresses", words: "These mail addresses" },
  { name: "domains", words: "Mail addresses at" },
  { name: "not_top_level_domains", words: "No mail address where it ends in" },
  { name: "number_fields", words: "No payment card in the fields" },
] as const;

/** One JSON object, or what is wrong with the text. */
export function parseRecord(text: string): { record: object } | { problem: string } {
  try {
    const parsed = JSON.parse(text) as unknown;
    if (parsed !== null && typeof parsed === "object" && !Array.isArray(parsed)) return { record: parsed };
    return { problem: "One JSON object, from { to }." };
  } catch (error) {
    return { problem: `It is no JSON: ${error instanceof Error ? error.message : String(error)}` };
  }
}
