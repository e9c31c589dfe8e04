// What is shown when a page, or a request of one, does not work.
import { Button, MessageBar, MessageBarActions, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import { Link } from "@tanstack/react-router";
import { Refusal } from "../api/client";
import { Text } from "../parts/Text";

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A failed request, with what can be done. */
export function Failure({ error, retry, title = "This did not work" }: { error: unknown; retry?: () => void; title?: string }) {
  const id = error instanceof Refusal ? error.requestId : "";
  return (
    <MessageBar intent="error" layout="multiline" role="alert">
      <MessageBarBody>
        <MessageBarTitle>{title}</MessageBarTitle>
        <span className="failure-text">
          <Text text={messageOf(error)} />
        </span>
        {id !== "" && <span className="quiet"> Request {id}</span>}
      </MessageBarBody>
      {retry && (
        <MessageBarActions>
          <Button size="small" onClick={retry}>
            Try again
          </Button>
        </MessageBarActions>
      )}
    </MessageBar>
  );
}

export function PageFailure({ error }: { error: unknown }) {
  return (
    <main className="page">
      <h1>This page broke</h1>
      <Failure error={error} retry={() => location.reload()} title="A defect of the page" />
    </main>
  );
}

export function NotFound() {
  return (
    <main className="page">
      <h1>There is no such page</h1>
      <p>
        The address leads nowhere. <Link to="/">Back to the overview</Link>
      </p>
    </main>
  );
}
