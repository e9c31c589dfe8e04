// Exceptions of rules: events that are known and expected, by the values of their fields, with a reason and an end.
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";
import type { BackfillMatch } from "../api/types";

/** How a field is compared, with the words that stand between it and its values. */
export const TESTS = [
  { value: "equals", words: "is" },
  { value: "contains", words: "contains" },
  { value: "startswith", words: "begins with" },
  { value: "endswith", words: "ends with" },
  { value: "cidr", words: "lies in the network" },
] as const;

export type Test = (typeof TESTS)[number]["value"];

export interface Condition {
  field: string;
  test: Test;
  /** One of them must be met. */
  values: string[];
}

export interface RuleException {
  id: string;
  rule_id: string;
  /** All of them must be met. */
  conditions: Condition[];
  reason: string;
  author: string;
  created: string;
  expires: string;
  active: boolean;
}

export interface ExceptionPreview {
  num_rows: number;
  num_matches: number;
  num_excepted: number;
  excepted: BackfillMatch[];
}

/** Days from now within which an exception must end; the server takes no more. */
export const DAYS_MAX = 365;
/** Days that an exception holds unless chosen otherwise. */
const DAYS = 30;
/** Conditions of one exception at most; the server takes no more. */
export const CONDITIONS_MAX = 16;
const DAY_MS = 86_400_000;

export function useExceptions() {
  return useQuery({ queryKey: ["exceptions"], queryFn: async () => (await send<{ exceptions: RuleException[] }>("GET", "/v1/exceptions")).exceptions });
}

/** Those that hold before those that ended; of each the one that ends next first. */
export function sortedExceptions(all: RuleException[]): RuleException[] {
  return [...all].sort((a, b) => Number(b.active) - Number(a.active) || (a.active ? 1 : -1) * (Date.parse(a.expires) - Date.parse(b.expires)) || a.id.localeCompare(b.id));
}

export const NO_CONDITION: Condition = { field: "", test: "equals", values: [""] };

/** Conditions as the address has them, half-written ones too; nonsense is none. */
export function parseWhere(text: string | undefined): Condition[] {
  try {
    const parsed = JSON.parse(text ?? "[]") as unknown;
    if (!Array.isArray(parsed)) return [];
    return parsed.slice(0, CONDITIONS_MAX).flatMap((one: unknown): Condition[] => {
      if (one === null || typeof one !== "object") return [];
      const { field, test, values } = one as Record<string, unknown>;
      if (typeof field !== "string" || !Array.isArray(values)) return [];
      return [{ field, test: TESTS.find(({ value }) => value === test)?.value ?? "equals", values: values.filter((value): value is string => typeof value === "string") }];
    });
  } catch {
    return [];
  }
}

/** The conditions that somebody filled in, without empty lines. */
export function filledIn(conditions: Condition[]): Condition[] {
  return conditions
    .map(({ field, test, values }) => ({ field: field.trim(), test, values: values.filter((value) => value !== "") }))
    .filter(({ field, values }) => field !== "" || values.length > 0);
}

/** What is still wrong with conditions, as a sentence; empty when nothing is. */
export function problemOf(conditions: Condition[]): string {
  const filled = filledIn(conditions);
  if (filled.length === 0) return "Name a field and the value that is expected there.";
  const half = filled.find(({ field, values }) => field === "" || values.length === 0);
  if (half) return half.field === "" ? `Name the field of “${half.values[0]}”.` : `Give a value of “${half.field}”.`;
  const names = filled.map(({ field, test }) => `${field}\n${test}`);
  const twice = filled.find((_, index) => names.indexOf(names[index] ?? "") !== index);
  return twice ? `“${twice.field}” stands there twice: put all of its values into one condition, a line each.` : "";
}

/** `Image ends with \a.exe or \b.exe`. */
export function conditionText({ field, test, values }: Condition): string {
  return `${field} ${TESTS.find(({ value }) => value === test)?.words ?? test} ${values.join(" or ")}`;
}

/** What stands for the field of a rule's words that may be anywhere in an event. */
export const ANYWHERE = "(anywhere)";

/** Conditions that events of an alert meet: every field that has a name, with its values. */
export function conditionsOf(fields: [string, string][]): Condition[] {
  const values = new Map<string, Set<string>>();
  for (const [field, value] of fields) if (value !== "" && field !== ANYWHERE) values.set(field, (values.get(field) ?? new Set()).add(value));
  return [...values].slice(0, CONDITIONS_MAX).map(([field, all]) => ({ field, test: "equals", values: [...all] }));
}

/** Whether a value goes over several lines, as a recorded one may: a field of one value a line cannot show it apart. */
export function holdsLineEnds({ values }: Condition): boolean {
  return values.some((value) => /[\r\n]/.test(value));
}

/** The last day of a new exception, `yyyy-mm-dd` in UTC. */
export function dayAfter(days = DAYS, now = Date.now()): string {
  return new Date(now + days * DAY_MS).toISOString().slice(0, 10);
}

/** The moment at which an exception of that last day ends. */
export function endOf(day: string): string {
  return new Date(Date.parse(`${day}T00:00:00Z`) + DAY_MS).toISOString();
}
