// What a rule met in what is stored: when, where, and the values that met it.
import { Link } from "@tanstack/react-router";
import type { BackfillMatch } from "../api/types";
import { useZone } from "../app/session";
import { Fields } from "../parts/Fields";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { tableOnly } from "../query/filters";

export function Match({ match }: { match: BackfillMatch }) {
  const zone = useZone();
  return (
    <div className="evidence">
      <div className="toolbar">
        <span>{showTime(match.time, zone)}</span>
        <span className="quiet"><Text text={[match.computer, `${plural(match.seqs.length, "event")} of ${match.table}`].filter(Boolean).join(" · ")} /></span>
        <span className="grow" />
        <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: `${tableOnly(match.table)}\n| where _Seq in (${match.seqs.join(", ")})`, range: "all" }) as never}>Query</Link>
      </div>
      <Fields fields={match.fields} />
    </div>
  );
}
