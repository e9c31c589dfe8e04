// What a rule would have found in what is stored. It raises no alert.
import { Button, Select, Spinner } from "@fluentui/react-components";
import { useState } from "react";
import { send } from "../api/client";
import type { BackfillReport } from "../api/types";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { parseRange, rangeBounds, rangeLabel } from "../parts/time";
import { Match } from "./Match";

/** Matches that are listed; all are counted. */
const MATCHES_MAX = 50;
const RANGES = ["24h", "7d", "30d", "90d", "all"];

export function Backfill({ ruleId }: { ruleId: string }) {
  const zone = useZone();
  const [range, setRange] = useState("7d");
  const [report, setReport] = useState<BackfillReport>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const look = async () => {
    setBusy(true);
    setError(undefined);
    setReport(undefined);
    try {
      setReport(await send<BackfillReport>("POST", "/v1/rules/backfill", { body: { rules: [ruleId], ...rangeBounds(parseRange(range)), limit: MATCHES_MAX } }));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <h3>What it would have found</h3>
      <div className="toolbar">
        <Select size="small" aria-label="Time to look at" value={range} onChange={(_, data) => setRange(data.value)}>
          {RANGES.map((text) => <option key={text} value={text}>{rangeLabel(parseRange(text), zone)}</option>)}
        </Select>
        <Button size="small" disabled={isBusy} onClick={() => void look()}>Look</Button>
        {isBusy && <Spinner size="tiny" label="Reading what is stored" />}
      </div>
      {error !== undefined && <Failure error={error} title="Not looked" />}
      {report && (
        <>
          <p role="status">
            {plural(report.num_matches, "match", "matches")} in {plural(report.num_rows, "row")}; no alert was raised.
            {report.num_forgotten > 0 && ` ${showCount(report.num_forgotten)} events were too many to remember: there may be more.`}
            {report.num_matches > report.matches.length && ` The first ${report.matches.length} are listed.`}
          </p>
          {report.matches.map((match, index) => <Match key={index} match={match} />)}
        </>
      )}
    </>
  );
}
