// What every page needs to know: who is signed in, the zone times are shown in, and light or dark.
import { useSearch } from "@tanstack/react-router";
import { createContext, useContext } from "react";
import type { Session } from "../api/types";
import type { Zone } from "../parts/time";
import type { ThemeChoice } from "./theme";

export interface SessionValue {
  session: Session;
  isDark: boolean;
  themeChoice: ThemeChoice;
  setThemeChoice(choice: ThemeChoice): void;
}

export const SessionContext = createContext<SessionValue | undefined>(undefined);

export function useSession(): SessionValue {
  const value = useContext(SessionContext);
  if (!value) throw new Error("a page was drawn outside the application");
  return value;
}

/** Whether somebody is signed in with an account, which has a password. */
export function isPerson(session: Session): session is Session & { name: string } {
  return session.kind === "person" && session.name !== null;
}

/** Whether who is signed in may change things. */
export function useMayAdmin(): boolean {
  return useSession().session.scopes.includes("admin");
}

/** Whether who is signed in may work on incidents. */
export function useMayRespond(): boolean {
  const { scopes } = useSession().session;
  return scopes.includes("respond") || scopes.includes("admin");
}

/** The zone of the address: UTC unless it says otherwise. */
export function useZone(): Zone {
  const search = useSearch({ strict: false }) as { tz?: string };
  return search.tz === "local" ? "local" : "utc";
}
