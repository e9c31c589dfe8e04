// The page as a whole: who is signed in decides what it shows.

import { send } from "./client.js";
import { showProblem, showText } from "./text.js";
import * as overview from "./overview.js";
import * as queries from "./query.js";

const KEPT_THEME = "moneta.theme";
const at = (id) => document.getElementById(id);

// The token leaves the address bar at once: it must not stay in the history or be copied with the address.
const firstToken = location.pathname === "/welcome" ? new URLSearchParams(location.search).get("token") : null;
if (firstToken !== null) history.replaceState(null, "", "/welcome");

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

function beginTheme() {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const current = () => localStorage.getItem(KEPT_THEME) ?? (system.matches ? "dark" : "light");
  applyTheme(current());
  system.onchange = () => applyTheme(current());
  at("theme").onclick = () => {
    localStorage.setItem(KEPT_THEME, document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    applyTheme(current());
  };
}

function showGate(text) {
  overview.end();
  const isFirst = firstToken !== null && location.pathname === "/welcome";
  at("desk").hidden = true;
  at("status").hidden = true;
  at("sign-out").hidden = true;
  at("who").hidden = true;
  at("gate").hidden = false;
  at("gate-repeat-row").hidden = !isFirst;
  at("gate-password").autocomplete = isFirst ? "new-password" : "current-password";
  showText(at("gate-title"), isFirst ? "Create the first account" : "Sign in");
  showText(at("gate-text"), text ?? (isFirst
    ? "This account administers Moneta. The link works once. Choose a password of at least 12 characters."
    : "With your Moneta account."));
  at("gate-name").focus();
}

async function submitGate(event) {
  event.preventDefault();
  const isFirst = firstToken !== null && location.pathname === "/welcome";
  const [name, password] = [at("gate-name").value, at("gate-password").value];
  showProblem(at("gate-error"), null);
  if (isFirst && password !== at("gate-repeat").value) {
    showProblem(at("gate-error"), "the two passwords differ");
    return;
  }
  try {
    if (isFirst) await send("POST", "/v1/first-account", { token: firstToken, name, password });
    else await send("POST", "/v1/sign-in", { name, password });
  } catch (problem) {
    showProblem(at("gate-error"), problem.message);
    return;
  }
  at("gate-password").value = "";
  at("gate-repeat").value = "";
  history.replaceState(null, "", "/");
  await open();
}

async function open() {
  let session;
  try {
    session = await send("GET", "/v1/session");
  } catch (problem) {
    showGate(problem.message);
    return;
  }
  if (session.name === null) {
    showGate();
    return;
  }
  at("gate").hidden = true;
  at("desk").hidden = false;
  at("who").hidden = false;
  at("sign-out").hidden = false;
  showText(at("who"), session.name);
  const lost = () => showGate("Your session has ended. Sign in again.");
  queries.begin(lost);
  overview.begin(queries.choose, lost);
}

beginTheme();
at("gate-form").onsubmit = submitGate;
at("sign-out").onclick = async () => {
  try {
    await send("POST", "/v1/sign-out", {});
  } finally {
    queries.clear();
    showGate("You are signed out.");
  }
};
if (location.pathname === "/welcome") showGate();
else open();
