// A look at what is stored in a range of times, when somebody asks for it. The address holds the range.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { parseRange, rangeBounds } from "../parts/time";

/** Ranges that are offered. */
export const RANGES = ["24h", "7d", "30d", "90d", "all"];
const RANGE_UNLESS_CHOSEN = "7d";

/** The range that is looked at, one of those offered, and how another is chosen. */
export function useRangeOfLook(offered: string[]): [string, (range: string) => void] {
  const search = useSearch({ from: "/rules" }) as { range?: string };
  const navigate = useNavigate({ from: "/rules" });
  const range = offered.find((one) => one === search.range) ?? RANGE_UNLESS_CHOSEN;
  const choose = (chosen: string) => void navigate({ search: (previous: object) => ({ ...previous, range: chosen === RANGE_UNLESS_CHOSEN ? undefined : chosen }) as never, replace: true });
  return [range, choose];
}

interface Look<T> {
  /** What was found in this range; absent for one that was not looked at. */
  report: T | undefined;
  /** Why the look at this range failed. */
  error: unknown;
  isBusy: boolean;
  look(): void;
}

/** An answer is kept with its range, so that it never stands beside another one. */
export function useLook<T>(range: string, ask: (bounds: { from?: string; to?: string }) => Promise<T>): Look<T> {
  const [answer, setAnswer] = useState<{ range: string; report?: T; error?: unknown }>();
  const [isBusy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    setAnswer(undefined);
    try {
      setAnswer({ range, report: await ask(rangeBounds(parseRange(range))) });
    } catch (error) {
      setAnswer({ range, error });
    } finally {
      setBusy(false);
    }
  };
  const shown = answer?.range === range ? answer : undefined;
  return { report: shown?.report, error: shown?.error, isBusy, look: () => void run() };
}
