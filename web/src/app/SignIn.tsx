// Signing in, and making the first account by the link that the server printed.
import { Button, Field, Input } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { useState, type FormEvent } from "react";
import { send } from "../api/client";
import { Failure } from "./Failure";

export function SignIn() {
  const token = location.pathname === "/welcome" ? new URLSearchParams(location.search).get("token") : null;
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);

  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      if (token === null) await send("POST", "/v1/sign-in", { body: { name, password } });
      else await send("POST", "/v1/first-account", { body: { token, name, password } });
      // The link is spent, and a secret does not stay in the address. Where somebody was going stays.
      if (location.pathname === "/welcome") history.replaceState(null, "", "/");
      await client.invalidateQueries({ queryKey: ["session"] });
    } catch (problem) {
      setError(problem);
      setPassword("");
    } finally {
      setBusy(false);
    }
  };

  return (
    <main className="sign-in">
      <form onSubmit={(event) => void submit(event)} className="sign-in-card">
        <img src="/assets/favicon.svg" alt="" width="48" height="48" />
        <h1>{token === null ? "Sign in to Moneta" : "Make the first account"}</h1>
        {token !== null && (
          <p>This account may do everything. The password needs at least twelve characters; a sentence is good.</p>
        )}
        <Field label="Name" required>
          <Input value={name} autoComplete="username" autoFocus onChange={(_, data) => setName(data.value)} />
        </Field>
        <Field label="Password" required>
          <Input
            type="password"
            value={password}
            autoComplete={token === null ? "current-password" : "new-password"}
            onChange={(_, data) => setPassword(data.value)}
          />
        </Field>
        {error !== undefined && <Failure error={error} title={token === null ? "Not signed in" : "No account was made"} />}
        <Button type="submit" appearance="primary" disabled={isBusy || name === "" || password === ""}>
          {token === null ? "Sign in" : "Make the account"}
        </Button>
        {token === null && (
          <p className="quiet">
            No account yet? The server prints a link for the first one when it starts; an administrator makes the others.
          </p>
        )}
      </form>
    </main>
  );
}
