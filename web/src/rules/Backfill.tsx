// What a rule would have found in what is stored. It raises no alert.
import { Button, Select, Spinner } from "@fluentui/react-components";
import { send } from "../api/client";
import type { BackfillReport } from "../api/types";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { parseRange, rangeLabel } from "../parts/time";
import { Match } from "./Match";
import type { RuleFile } from "./RuleReport";
import { RANGES, useLook, useRangeOfLook } from "./useLook";

/** Matches that are listed; all are counted. */
const MATCHES_MAX = 50;

/** An analytics rule looks at windows of time: somebody has to say from when on. */
const RANGES_OF_QUERIES = RANGES.filter((range) => range !== "all");

interface BackfillProps {
  /** Ids of active rules. */
  rules?: string[];
  /** Or files that are not added. */
  files?: RuleFile[];
  /** Whether an analytics rule is among them. */
  isQuery: boolean;
}

export function Backfill({ rules, files, isQuery }: BackfillProps) {
  const zone = useZone();
  const offered = isQuery ? RANGES_OF_QUERIES : RANGES;
  const [range, setRange] = useRangeOfLook(offered);
  const { report, error, isBusy, look } = useLook(range, (bounds) => send<BackfillReport>("POST", "/v1/rules/backfill", { body: { ...(rules ? { rules } : {}), ...(files ? { files } : {}), ...bounds, limit: MATCHES_MAX } }));
  return (
    <>
      <h3>What it would have found</h3>
      <div className="toolbar">
        <Select size="small" aria-label="Time to look at" value={range} onChange={(_, data) => setRange(data.value)}>
          {offered.map((text) => <option key={text} value={text}>{rangeLabel(parseRange(text), zone)}</option>)}
        </Select>
        <Button size="small" disabled={isBusy} onClick={look}>Look</Button>
        {isBusy && <Spinner size="tiny" label="Reading what is stored" />}
      </div>
      {error !== undefined && <Failure error={error} title="Not looked" />}
      {report && (
        <>
          <p role="status">
            {plural(report.num_matches, "match", "matches")} in {plural(report.num_rows, "row")}; no alert was raised.
            {report.num_forgotten > 0 && ` ${showCount(report.num_forgotten)} events were too many to remember: there may be more.`}
            {report.left_out && ` Not looked at, for they need a time from when on: ${report.left_out.join(", ")}.`}
            {report.num_matches > report.matches.length && ` The first ${report.matches.length} are listed.`}
          </p>
          {report.matches.map((match, index) => <Match key={index} match={match} />)}
        </>
      )}
    </>
  );
}
