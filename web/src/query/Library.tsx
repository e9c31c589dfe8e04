// Texts to begin from: what this browser ran last, and what people saved on the server.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input, Tab, TabList } from "@fluentui/react-components";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../api/client";
import type { SavedQuery } from "../api/types";
import { Failure } from "../app/Failure";
import { useMayAdmin, useSession, useZone } from "../app/session";
import { plural, showMs } from "../parts/numbers";
import { Text } from "../parts/Text";
import { visible } from "../parts/text";
import { showTime } from "../parts/time";
import { useSubmit } from "../parts/useSubmit";
import { forgetHistory, readHistory } from "./history";

export function useSavedQueries() {
  return useQuery({
    queryKey: ["saved-queries"],
    queryFn: async () => (await send<{ saved_queries: SavedQuery[] }>("GET", "/v1/saved-queries")).saved_queries,
  });
}

/** Tells of a saved query whether who is signed in may replace and remove it: their own, or any as an administrator. */
function useMayChange(): (query: SavedQuery) => boolean {
  const { session } = useSession();
  const mayAdmin = useMayAdmin();
  return (query) => mayAdmin || query.changed_by === session.name;
}

interface LibraryProps {
  tab: "history" | "saved";
  choose(tab: string): void;
  open(text: string, language: "kql" | "sql"): void;
  close(): void;
}

export function Library({ tab, choose, open, close }: LibraryProps) {
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface className="wide">
        <DialogBody>
          <DialogTitle>Queries</DialogTitle>
          <DialogContent>
            <TabList selectedValue={tab} onTabSelect={(_, data) => choose(String(data.value))}>
              <Tab value="history">Run in this browser</Tab>
              <Tab value="saved">Saved</Tab>
            </TabList>
            {tab === "history" ? <History open={open} /> : <Saved open={open} />}
          </DialogContent>
          <DialogActions>
            <Button onClick={close}>Close</Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

function History({ open }: Pick<LibraryProps, "open">) {
  const zone = useZone();
  const [entries, setEntries] = useState(readHistory);
  if (entries.length === 0) return <p>Nothing was run here yet.</p>;
  const forget = () => {
    forgetHistory();
    setEntries([]);
  };
  return (
    <>
      <ul className="texts">
        {entries.map((entry) => (
          <li key={entry.at + entry.language + entry.text}>
            <button type="button" onClick={() => open(entry.text, entry.language)}>
              <code><Text text={entry.text} /></code>
              <span className="quiet">
                {entry.language === "sql" && "SQL, "}
                {showTime(entry.at, zone)}
                {entry.problem ? ", failed" : `, ${plural(entry.rows ?? 0, "row")} in ${showMs(entry.ms ?? 0)}`}
              </span>
            </button>
          </li>
        ))}
      </ul>
      <Button size="small" onClick={forget}>Forget all</Button>
    </>
  );
}

function Saved({ open }: Pick<LibraryProps, "open">) {
  const saved = useSavedQueries();
  const client = useQueryClient();
  const mayChange = useMayChange();
  const [error, setError] = useState<unknown>();
  if (saved.isError) return <Failure error={saved.error} />;
  const list = saved.data ?? [];
  if (list.length === 0 && saved.isSuccess) return <p>Nobody saved a query yet. “Save” beside “Run” does.</p>;
  const remove = async (name: string) => {
    setError(undefined);
    try {
      await send("DELETE", `/v1/saved-queries/${encodeURIComponent(name)}`);
      await client.invalidateQueries({ queryKey: ["saved-queries"] });
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <>
      {error !== undefined && <Failure error={error} title="Not removed" />}
      <ul className="texts">
        {list.map((query) => (
          <li key={query.name}>
            <button type="button" onClick={() => open(query.text, query.language)}>
              <strong><Text text={query.name} /></strong> <span className="quiet">{query.folder && <><Text text={query.folder} />, </>}saved by <Text text={query.changed_by} /></span>
              <code><Text text={query.text} /></code>
              {query.doc_string && <span className="quiet"><Text text={query.doc_string} /></span>}
            </button>
            {mayChange(query) && <Button size="small" appearance="subtle" aria-label={`Remove ${query.name}`} onClick={() => void remove(query.name)}>Remove</Button>}
          </li>
        ))}
      </ul>
    </>
  );
}

/** Saves a text under a name. */
export function SaveDialog({ text, language, close }: { text: string; language: "kql" | "sql"; close(): void }) {
  const saved = useSavedQueries();
  const [name, setName] = useState("");
  const [about, setAbout] = useState("");
  const mayChange = useMayChange();
  const taken = (saved.data ?? []).find((query) => query.name === name.trim());
  const isOthers = taken !== undefined && !mayChange(taken);
  const warning = isOthers ? `${visible(taken.changed_by)} saved one of this name; choose another name.` : taken ? "There is one of this name; saving replaces it." : "";
  const { error, isBusy, submit } = useSubmit(
    () => send("PUT", `/v1/saved-queries/${encodeURIComponent(name.trim())}`, { body: { text, language, doc_string: about } }),
    "saved-queries",
    close,
  );
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>Save this query</DialogTitle>
            <DialogContent>
              <Field label="Name" required validationState={isOthers ? "error" : taken ? "warning" : "none"} validationMessage={warning}>
                <Input value={name} onChange={(_, data) => setName(data.value)} />
              </Field>
              <Field label="What it is for">
                <Input value={about} onChange={(_, data) => setAbout(data.value)} />
              </Field>
              {error !== undefined && <Failure error={error} title="Not saved" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={name.trim() === "" || isOthers || isBusy}>{taken ? "Replace" : "Save"}</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
