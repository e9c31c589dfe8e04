// People and programs that may come in, and where alerts go out.
import { Tab, TabList } from "@fluentui/react-components";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { Page } from "../parts/Page";
import { useMayAdmin, useSession } from "../app/session";
import { Accounts } from "./Accounts";
import { Channels } from "./Channels";
import { Credentials } from "./Credentials";

export function SettingsPage() {
  const { session } = useSession();
  const search = useSearch({ from: "/settings" }) as { view?: string };
  const navigate = useNavigate({ from: "/settings" });
  const view = search.view === "channels" ? "channels" : "access";
  const choose = (chosen: string) => void navigate({ search: (previous: object) => ({ ...previous, view: chosen === "channels" ? chosen : undefined }) as never, replace: true });
  return (
    <Page title="Settings">
      <p className="quiet">
        Signed in as {session.name}, who may {session.scopes.join(", ")}. What the server collects, keeps and calls is set in its
        configuration file.
      </p>
      <TabList selectedValue={view} onTabSelect={(_, data) => choose(String(data.value))}>
        <Tab value="access">Who may come in</Tab>
        <Tab value="channels">Where alerts go</Tab>
      </TabList>
      {view === "channels" ? <Channels /> : <Access />}
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
