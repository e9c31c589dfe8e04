// What surrounds every page: navigation, the zone, the theme, who is signed in, and the keys that work everywhere.
import {
  Button, Menu, MenuItem, MenuItemRadio, MenuList, MenuPopover, MenuTrigger, Tooltip, Dialog, DialogBody, DialogContent,
  DialogSurface, DialogTitle, DialogActions, DialogTrigger,
} from "@fluentui/react-components";
import {
  AlertRegular, ClipboardTaskListLtrRegular, DatabaseRegular, DocumentBulletListClockRegular, HomeRegular, KeyboardRegular, LiveRegular, PersonRegular,
  PlugConnectedRegular, SearchRegular, SettingsRegular, ShieldTaskRegular, ShieldCheckmarkRegular, WeatherMoonRegular,
  WeatherSunnyRegular,
} from "@fluentui/react-icons";
import { useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { Suspense, useCallback, useEffect, useState, type ReactNode } from "react";
import { send } from "../api/client";
import { zoneName } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { afterKey } from "../parts/useKeys";
import { PasswordDialog } from "../settings/PasswordDialog";
import { isPerson, useSession, useZone } from "./session";
import type { ThemeChoice } from "./theme";

const PAGES = [
  { to: "/", label: "Home", icon: <HomeRegular />, key: "h" },
  { to: "/incidents", label: "Incidents", icon: <DocumentBulletListClockRegular />, key: "i" },
  { to: "/alerts", label: "Alerts", icon: <AlertRegular />, key: "a" },
  { to: "/query", label: "Query", icon: <SearchRegular />, key: "q" },
  { to: "/live", label: "Live", icon: <LiveRegular />, key: "l" },
  { to: "/rules", label: "Rules", icon: <ShieldTaskRegular />, key: "r" },
  { to: "/sources", label: "Sources", icon: <PlugConnectedRegular />, key: "o" },
  { to: "/store", label: "Store", icon: <DatabaseRegular />, key: "s" },
  { to: "/verify", label: "Verify", icon: <ShieldCheckmarkRegular />, key: "v" },
  { to: "/audit", label: "Audit", icon: <ClipboardTaskListLtrRegular />, key: "u" },
  { to: "/settings", label: "Settings", icon: <SettingsRegular />, key: "e" },
] as const;

const KEYS: [string, string][] = [
  ["g then a letter", `go to a page: ${PAGES.map((page) => `${page.key} ${page.label}`).join(", ")}`],
  ["?", "show these keys"],
  ["Shift+Enter", "query: run the statement under the cursor"],
  ["Ctrl+Space", "query: what may stand at the cursor"],
  ["Tab and Shift+Tab, Ctrl+] and Ctrl+[", "editors: leave them, indent lines more or less"],
  ["arrows, Home, End, Page Up, Page Down", "results: move from cell to cell"],
  ["Enter, Ctrl+C", "results: open the row, copy the cell"],
  ["s", "results: sort by the column, then the other way round, then not"],
  ["Shift+F10 or the menu key", "results: what can be done with the cell"],
  ["+ and -", "results: add the value as a filter, or leave it out"],
  ["j and k, Enter, Esc", "incidents and alerts: next, previous, open, close"],
  ["j and k or arrows, Enter", "risks and exceptions of rules: next, previous, open"],
  ["x, a, c", "incidents: choose one, assign, close with a verdict"],
  ["n, e", "exceptions of rules: make one, end one"],
];

/** Whether a key is meant for what has the focus. */
function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) || target.closest(".monaco-editor") !== null;
}

function useGlobalKeys(showKeys: () => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    const isAfterG = afterKey("g", 1500);
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
      if (event.key === "?") showKeys();
      const page = isAfterG(event.key, event.timeStamp) ? PAGES.find(({ key }) => key === event.key) : undefined;
      if (!page) return;
      event.preventDefault();
      void navigate({ to: page.to, search: (previous) => ({ tz: previous.tz }) as never });
    };
    // Before the page's own keys: the letter after `g` is not theirs.
    window.addEventListener("keydown", onKey, { capture: true });
    return () => window.removeEventListener("keydown", onKey, { capture: true });
  }, [navigate, showKeys]);
}

export function Shell() {
  const [isShowingKeys, setShowingKeys] = useState(false);
  const showKeys = useCallback(() => setShowingKeys(true), []);
  useGlobalKeys(showKeys);
  return (
    <div className="shell">
      <a className="skip" href="#content">
        Skip to the content
      </a>
      <header className="top">
        <Link to="/" className="brand">
          <img src="/assets/favicon.svg" alt="" width="24" height="24" />
          Moneta
        </Link>
        <span className="grow" />
        <ZoneButton />
        <ThemeMenu />
        <Tooltip content="Keys" relationship="label">
          <Button appearance="subtle" icon={<KeyboardRegular />} onClick={showKeys} />
        </Tooltip>
        <PersonMenu />
      </header>
      <nav className="side" aria-label="Pages">
        {PAGES.map((page) => (
          <Link key={page.to} to={page.to} className="side-link" activeOptions={{ exact: page.to === "/", includeSearch: false }}>
            <span aria-hidden="true" className="side-icon">{page.icon}</span>
            <span className="side-label">{page.label}</span>
          </Link>
        ))}
      </nav>
      <div className="content" id="content" tabIndex={-1}>
        <Suspense fallback={null}>
          <Outlet />
        </Suspense>
      </div>
      <Keys isOpen={isShowingKeys} close={() => setShowingKeys(false)} />
      <OwnPassword />
    </div>
  );
}

function ZoneButton() {
  const zone = useZone();
  const navigate = useNavigate();
  const other = zone === "utc" ? "local" : "utc";
  return (
    <Tooltip content={`Times are shown in ${zoneName(zone)}; press for ${zoneName(other)}`} relationship="description">
      <Button
        appearance="subtle"
        size="small"
        onClick={() => void navigate({ to: ".", search: (previous: object) => ({ ...previous, tz: other }) as never, replace: true })}
      >
        {zoneName(zone)}
      </Button>
    </Tooltip>
  );
}

function ThemeMenu() {
  const { isDark, themeChoice, setThemeChoice } = useSession();
  return (
    <Menu
      checkedValues={{ theme: [themeChoice] }}
      onCheckedValueChange={(_, data) => setThemeChoice((data.checkedItems[0] ?? "system") as ThemeChoice)}
    >
      <MenuTrigger disableButtonEnhancement>
        <Tooltip content="Light or dark" relationship="label">
          <Button appearance="subtle" icon={isDark ? <WeatherMoonRegular /> : <WeatherSunnyRegular />} />
        </Tooltip>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <MenuItemRadio name="theme" value="system">As the system</MenuItemRadio>
          <MenuItemRadio name="theme" value="light">Light</MenuItemRadio>
          <MenuItemRadio name="theme" value="dark">Dark</MenuItemRadio>
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}

function PersonMenu() {
  const { session } = useSession();
  const client = useQueryClient();
  const { open } = useDialog();
  const signOut = async () => {
    await send("POST", "/v1/sign-out");
    client.clear();
    location.assign("/");
  };
  return (
    <Menu>
      <MenuTrigger disableButtonEnhancement>
        <Button appearance="subtle" icon={<PersonRegular />}>
          {session.name}
        </Button>
      </MenuTrigger>
      <MenuPopover>
        <MenuList>
          <MenuItem disabled>May: {session.scopes.join(", ")}</MenuItem>
          {isPerson(session) && <MenuItem onClick={() => open("password")}>Change password…</MenuItem>}
          <MenuItem onClick={() => void signOut()}>Sign out</MenuItem>
        </MenuList>
      </MenuPopover>
    </Menu>
  );
}

/** The dialog for one's own password: the address of any page may ask for it. */
function OwnPassword(): ReactNode {
  const { session } = useSession();
  const { dialog, open } = useDialog();
  if (dialog !== "password" || !isPerson(session)) return null;
  return <PasswordDialog name={session.name} isOwn close={() => open(undefined)} />;
}

function Keys({ isOpen, close }: { isOpen: boolean; close: () => void }): ReactNode {
  return (
    <Dialog open={isOpen} onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <DialogBody>
          <DialogTitle>Keys</DialogTitle>
          <DialogContent>
            <dl className="keys">
              {KEYS.map(([key, meaning]) => (
                <div key={key}>
                  <dt><kbd>{key}</kbd></dt>
                  <dd>{meaning}</dd>
                </div>
              ))}
            </dl>
          </DialogContent>
          <DialogActions>
            <DialogTrigger disableButtonEnhancement>
              <Button>Close</Button>
            </DialogTrigger>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}
