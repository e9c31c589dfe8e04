// Which address shows which page. The state of every page is in its address; a page is loaded when it is first shown.
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, retainSearchParams } from "@tanstack/react-router";
import { Shell } from "./Shell";
import { only, parseSearch, stringifySearch } from "./search";
import { NotFound, PageFailure } from "./Failure";
import { HomePage } from "../home/HomePage";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: NotFound,
  errorComponent: PageFailure,
  // A dialog may be open on any page.
  validateSearch: only("tz", "dialog"),
  // The zone goes along from page to page, so that a link shows the times its sender saw.
  search: { middlewares: [retainSearchParams(["tz"])] },
});

const home = createRoute({ getParentRoute: () => root, path: "/", validateSearch: only("view"), component: HomePage });

const query = createRoute({
  getParentRoute: () => root,
  path: "/query",
  validateSearch: only("q", "range", "view", "lang", "histogram", "sort", "filter", "row", "columns", "group", "empty", "table", "expand", "rows", "cost", "tables", "open", "unused"),
  component: lazyRouteComponent(() => import("../query/QueryPage"), "QueryPage"),
});

const alerts = createRoute({
  getParentRoute: () => root,
  path: "/alerts",
  validateSearch: only("range", "severity", "status", "rule", "alert", "text"),
  component: lazyRouteComponent(() => import("../alerts/AlertsPage"), "AlertsPage"),
});

const incidents = createRoute({
  getParentRoute: () => root,
  path: "/incidents",
  validateSearch: only("view", "state", "status", "severity", "owner", "rule", "text", "at", "days", "kind", "chosen"),
  component: lazyRouteComponent(() => import("../incidents/IncidentsPage"), "IncidentsPage"),
});

const incident = createRoute({
  getParentRoute: () => root,
  path: "/incidents/$number",
  validateSearch: only("view"),
  component: lazyRouteComponent(() => import("../incidents/IncidentPage"), "IncidentPage"),
});

const live = createRoute({
  getParentRoute: () => root,
  path: "/live",
  validateSearch: only("q", "every", "at", "row"),
  component: lazyRouteComponent(() => import("../live/LivePage"), "LivePage"),
});

const rules = createRoute({
  getParentRoute: () => root,
  path: "/rules",
  validateSearch: only("text", "level", "rule", "view", "runs", "at", "ended", "except", "where", "until", "range", "edit", "add", "cell"),
  component: lazyRouteComponent(() => import("../rules/RulesPage"), "RulesPage"),
});

const sources = createRoute({
  getParentRoute: () => root,
  path: "/sources",
  validateSearch: only("view", "text", "trouble"),
  component: lazyRouteComponent(() => import("../sources/SourcesPage"), "SourcesPage"),
});

const store = createRoute({
  getParentRoute: () => root,
  path: "/store",
  validateSearch: only("view"),
  component: lazyRouteComponent(() => import("../store/StorePage"), "StorePage"),
});

const verify = createRoute({
  getParentRoute: () => root,
  path: "/verify",
  validateSearch: only("table", "seq"),
  component: lazyRouteComponent(() => import("../verify/VerifyPage"), "VerifyPage"),
});

const audit = createRoute({
  getParentRoute: () => root,
  path: "/audit",
  validateSearch: only("range", "actor", "action", "outcome", "sort", "row"),
  component: lazyRouteComponent(() => import("../audit/AuditPage"), "AuditPage"),
});

const settings = createRoute({
  getParentRoute: () => root,
  path: "/settings",
  validateSearch: only("view", "text"),
  component: lazyRouteComponent(() => import("../settings/SettingsPage"), "SettingsPage"),
});

const routeTree = root.addChildren([home, query, incidents, incident, alerts, live, rules, sources, store, verify, audit, settings]);

export const router = createRouter({
  routeTree,
  parseSearch,
  stringifySearch: stringifySearch,
  defaultPreload: "intent",
  scrollRestoration: false,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
