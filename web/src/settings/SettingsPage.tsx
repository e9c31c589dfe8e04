// People and programs that may come in.
import { Page } from "../parts/Page";
import { useMayAdmin, useSession } from "../app/session";
import { Accounts } from "./Accounts";
import { Credentials } from "./Credentials";

export function SettingsPage() {
  const { session } = useSession();
  const mayAdmin = useMayAdmin();
  return (
    <Page title="Settings">
      <p className="quiet">
        Signed in as {session.name}, who may {session.scopes.join(", ")}. What the server collects, keeps and calls is set in its
        configuration file.
      </p>
      {mayAdmin ? (
        <>
          <Credentials />
          <Accounts />
        </>
      ) : (
        <p>Credentials and accounts are shown to those who may “admin”.</p>
      )}
      <p className="quiet">
        These pages are made with the work of others: <a href="/assets/licences.txt">their licences</a>.
      </p>
    </Page>
  );
}
