// People and programs that may come in, where alerts go out, and what is hidden before it is stored.
import { Tab, TabList } from "@fluentui/react-components";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Page } from "../parts/Page";
import { useMayAdmin, useSession } from "../app/session";
import { Accounts } from "./Accounts";
import { Channels } from "./Channels";
import { Credentials } from "./Credentials";
import { ScrubPolicy } from "./ScrubPolicy";

export function SettingsPage() {
  const { session } = useSession();
  const mayAdmin = useMayAdmin();
  const search = useSearch({ from: "/settings" }) as { view?: string; text?: string };
  const navigate = useNavigate({ from: "/settings" });
  const setSearch = (change: Record<string, string | undefined>) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const view = search.view === "channels" || (search.view === "hidden" && mayAdmin) ? search.view : "access";
  return (
    <Page title="Settings">
      <p className="quiet">
        Signed in as {session.name}, who may {session.scopes.join(", ")}. What the server collects, keeps and calls is set in its
        configuration file.
      </p>
      <TabList selectedValue={view} onTabSelect={(_, data) => setSearch({ view: data.value === "access" ? undefined : String(data.value), text: undefined, dialog: undefined })}>
        <Tab value="access">Who may come in</Tab>
        <Tab value="channels">Where alerts go</Tab>
        {mayAdmin && <Tab value="hidden">What is hidden</Tab>}
      </TabList>
      {view === "channels" && <Channels />}
      {view === "hidden" && <ScrubPolicy text={search.text ?? ""} find={(text) => setSearch({ text: text || undefined })} />}
      {view === "access" && <Access />}
      <p className="quiet">
        These pages are made with the work of others: <a href="/assets/licences.txt">their licences</a>.
      </p>
    </Page>
  );
}

function Access() {
  const mayAdmin = useMayAdmin();
  if (!mayAdmin) return <p>Credentials and accounts are shown to those who may “admin”.</p>;
  return (
    <>
      <Credentials />
      <Accounts />
    </>
  );
}
