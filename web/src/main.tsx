// The beginning: who is signed in decides whether the pages or the sign-in form are shown.
import { FluentProvider, Spinner } from "@fluentui/react-components";
import { QueryClient, QueryClientProvider, useQuery } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode, useEffect, useMemo, useState } from "react";
import { createRoot } from "react-dom/client";
import { Refusal, send, whenSignedOut } from "./api/client";
import type { Session } from "./api/types";
import { Failure } from "./app/Failure";
import { readPreference, writePreference } from "./app/preferences";
import { router } from "./app/router";
import { SessionContext } from "./app/session";
import { SignIn } from "./app/SignIn";
import { darkTheme, lightTheme, type ThemeChoice } from "./app/theme";
import "./trusted";
import "./style.css";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      // What the server refuses it refuses again; only silence is worth another try.
      retry: (count, error) => count < 2 && error instanceof Refusal && error.status === 0,
      refetchOnWindowFocus: false,
      staleTime: 5_000,
    },
  },
});

whenSignedOut(() => void client.invalidateQueries({ queryKey: ["session"] }));

function usesDark(choice: ThemeChoice): boolean {
  const [systemIsDark, setSystemIsDark] = useState(() => matchMedia("(prefers-color-scheme: dark)").matches);
  useEffect(() => {
    const media = matchMedia("(prefers-color-scheme: dark)");
    const follow = () => setSystemIsDark(media.matches);
    media.addEventListener("change", follow);
    return () => media.removeEventListener("change", follow);
  }, []);
  return choice === "system" ? systemIsDark : choice === "dark";
}

function Application() {
  const [themeChoice, setChoice] = useState<ThemeChoice>(() => readPreference("theme", "system"));
  const isDark = usesDark(themeChoice);
  useEffect(() => {
    document.documentElement.dataset.theme = isDark ? "dark" : "light";
  }, [isDark]);
  const setThemeChoice = (choice: ThemeChoice) => {
    writePreference("theme", choice);
    setChoice(choice);
  };
  const session = useQuery({ queryKey: ["session"], queryFn: () => send<Session>("GET", "/v1/session"), staleTime: 60_000 });
  const value = useMemo(
    () => ({ session: session.data ?? { name: null, scopes: [] }, isDark, themeChoice, setThemeChoice }),
    [session.data, isDark, themeChoice],
  );
  return (
    <FluentProvider theme={isDark ? darkTheme : lightTheme} className="provider">
      {session.isPending ? (
        <Spinner label="Moneta" className="starting" />
      ) : session.isError ? (
        <main className="page">
          <h1>Moneta</h1>
          <Failure error={session.error} retry={() => void session.refetch()} />
        </main>
      ) : session.data.name === null ? (
        <SignIn />
      ) : (
        <SessionContext.Provider value={value}>
          <RouterProvider router={router} />
        </SessionContext.Provider>
      )}
    </FluentProvider>
  );
}

const place = document.getElementById("root");
if (place) {
  createRoot(place).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <Application />
      </QueryClientProvider>
    </StrictMode>,
  );
}
