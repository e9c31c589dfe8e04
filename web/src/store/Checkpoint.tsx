// The newest signed checkpoint, and what the witnesses say of it.
import { MessageBar, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { sendForText } from "../api/client";
import type { Status } from "../api/types";
import { plural } from "../parts/numbers";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { secondsSince, showAge } from "../parts/time";
import { isAlarming } from "./witness";

const REFRESH_MS = 15_000;

const STATES: Record<string, string> = {
  waiting: "has not answered yet",
  cosigned: "cosigned",
  away: "does not answer",
  "rolled-back": "has seen more than this log shows",
  "split-view": "has seen another history",
};

export function Checkpoint({ checkpoint }: { checkpoint: Status["checkpoint"] }) {
  const note = useQuery({ queryKey: ["checkpoint"], queryFn: () => sendForText("/ledger/root/checkpoint"), refetchInterval: REFRESH_MS });
  const { witnesses } = checkpoint;
  return (
    <Section title="Newest checkpoint of the root log">
      <p className="quiet">
        A signed statement of everything recorded. Keep copies elsewhere: a later check against them shows whether anything before was changed.
      </p>
      {witnesses.some((witness) => isAlarming(witness.state)) && (
        <MessageBar intent="error" layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>A witness contradicts this log</MessageBarTitle>
            Either the log was put back to an older state, or somebody was shown another one. Keep everything as it is, and compare with copies.
          </MessageBarBody>
        </MessageBar>
      )}
      <p>
        {plural(checkpoint.tree_size, "entry", "entries")}, {showAge(checkpoint.age_seconds)} old.{" "}
        {witnesses.length === 0
          ? "No witness is configured: only this server vouches for it."
          : checkpoint.cosigned_size === null
            ? "A quorum of witnesses has not cosigned any yet."
            : `A quorum of witnesses cosigned ${plural(checkpoint.cosigned_size, "entry", "entries")}, ${showAge(checkpoint.cosigned_age_seconds ?? 0)} ago.`}
      </p>
      {witnesses.length > 0 && (
        <table className="plain">
          <thead><tr><th scope="col">Witness</th><th scope="col">State</th><th scope="col">For</th><th scope="col">Reason</th></tr></thead>
          <tbody>
            {witnesses.map((witness) => (
              <tr key={witness.name}>
                <td><Text text={witness.name} /></td>
                <td><span className={isAlarming(witness.state) ? "bad" : ""}>{STATES[witness.state] ?? witness.state}</span></td>
                <td className="time">{showAge(secondsSince(witness.since))}</td>
                <td className="wrap"><Text text={witness.reason} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      <Answered query={note}>{(text) => <pre className="panel scroll-x" tabIndex={0}><Text text={text} /></pre>}</Answered>
    </Section>
  );
}
