// What the pages of incidents read, and how a change makes them read again.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback } from "react";
import { fetchCounts, fetchIncident, fetchQueue, type QueueFilter } from "./incidents";

const REFRESH_MS = 15_000;
/** A change is a row of the table a moment after it is one of the queue. */
const ROWS_FOLLOW_MS = 1_500;

export function useQueue(filter: QueueFilter) {
  return useQuery({ queryKey: ["incidents", "queue", filter], queryFn: () => fetchQueue(filter), refetchInterval: REFRESH_MS });
}

export function useCounts() {
  return useQuery({ queryKey: ["incidents", "counts"], queryFn: fetchCounts, refetchInterval: REFRESH_MS });
}

export function useIncident(number: number) {
  return useQuery({ queryKey: ["incidents", "one", number], queryFn: () => fetchIncident(number), refetchInterval: REFRESH_MS });
}

/** Reads everything about incidents anew. */
export function useReread(): () => Promise<void> {
  const client = useQueryClient();
  return useCallback(async () => {
    await client.invalidateQueries({ queryKey: ["incidents"] });
    setTimeout(() => void client.invalidateQueries({ queryKey: ["incidents", "counts"] }), ROWS_FOLLOW_MS);
  }, [client]);
}
