// What a check of a proof came to, in one bar.
import { MessageBar, MessageBarBody, MessageBarTitle, Spinner } from "@fluentui/react-components";
import type { UseQueryResult } from "@tanstack/react-query";
import { Failure } from "../app/Failure";
import { Text } from "../parts/Text";
import type { Outcome } from "./check";

export function ProofState({ outcome }: { outcome: UseQueryResult<Outcome> }) {
  // Browsers offer their cryptography to pages of HTTPS and of this machine only.
  if (!globalThis.crypto?.subtle) {
    return (
      <MessageBar intent="warning" layout="multiline">
        <MessageBarBody>
          This browser does no cryptography for pages over plain HTTP. Open Moneta by HTTPS or on the machine itself, or run <code>moneta-verify proof</code>.
        </MessageBarBody>
      </MessageBar>
    );
  }
  if (outcome.isPending) return <Spinner label="Fetching the proof and checking it" />;
  if (outcome.isError) return <Failure error={outcome.error} title="There is no proof" retry={() => void outcome.refetch()} />;
  const found = outcome.data;
  if ("missing" in found) return <MessageBar intent="warning" layout="multiline"><MessageBarBody><Text text={found.missing} /></MessageBarBody></MessageBar>;
  if ("problem" in found) {
    return (
      <MessageBar intent="error" layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>Not proved</MessageBarTitle>
          <Text text={found.problem} />
        </MessageBarBody>
      </MessageBar>
    );
  }
  return (
    <MessageBar intent={found.isSigned ? "success" : "warning"} layout="multiline">
      <MessageBarBody>
        <MessageBarTitle>{found.isSigned ? "Verified" : "The path is right; the signature was not checked"}</MessageBarTitle>
        {found.isSigned
          ? "This event is exactly what was recorded, and the checkpoint above it was signed with your key."
          : "Bring the verifier key, on the page Verify: without it the server could have made up the whole path."}
      </MessageBarBody>
    </MessageBar>
  );
}
