// The choice of what somebody may do.
import { Checkbox } from "@fluentui/react-components";

const SCOPES: [string, string][] = [
  ["ingest", "ingest: send events"],
  ["query", "query: ask, and see how it goes"],
  ["respond", "respond: work on incidents, and all of query"],
  ["admin", "admin: change rules, retention and who may come in"],
];

export function Scopes({ chosen, choose }: { chosen: string[]; choose(scopes: string[]): void }) {
  return (
    // No field of the library: it would give each box its own label, and none would be read aloud by what it is for.
    <fieldset className="choices">
      <legend>May</legend>
      {SCOPES.map(([scope, label]) => (
        <div key={scope}>
          <Checkbox
            label={label}
            checked={chosen.includes(scope)}
            onChange={(_, data) => choose(data.checked === true ? [...chosen, scope] : chosen.filter((other) => other !== scope))}
          />
        </div>
      ))}
    </fieldset>
  );
}
