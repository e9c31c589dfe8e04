// Where events come from: what runs, what is lost, what is late, what could not be read.
import { Button, MessageBar, MessageBarBody } from "@fluentui/react-components";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import { send } from "../api/client";
import { asObjects, runQuery } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useMayAdmin, useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { Answered, Page, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { useStatus } from "../query/schema";

const REFRESH_MS = 10_000;
/** Hours back that the freshness of tables is asked for. */
const HOURS = 24;
const REASONS_MAX = 50;

export function SourcesPage() {
  const status = useStatus(REFRESH_MS);
  return (
    <Page title="Sources">
      <Section title="Collectors">
        <Answered query={status}>
          {({ collectors }) => (
            <table className="plain">
              <thead>
                <tr><th scope="col">Source</th><th scope="col">State</th><th scope="col" className="number">Records since the start</th><th scope="col" className="number">Lost</th><th scope="col">Reason</th></tr>
              </thead>
              <tbody>
                {collectors.map((collector) => (
                  <tr key={collector.name}>
                    <td><Text text={collector.name} /></td>
                    <td><span className={`state ${collector.state}`}>{collector.state}</span></td>
                    <td className="number">{showCount(collector.num_records)}</td>
                    <td className={collector.num_dropped > 0 ? "number bad" : "number"}>{showCount(collector.num_dropped)}</td>
                    <td className="wrap"><Text text={collector.reason} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Answered>
      </Section>
      <Freshness />
      <Quarantine />
    </Page>
  );
}

function Freshness() {
  const zone = useZone();
  const fresh = useQuery({
    queryKey: ["freshness"],
    refetchInterval: 60_000,
    queryFn: async () => {
      const text = `union withsource = Table * | where _IngestTime > ago(${HOURS}h) | summarize Rows = count(), LastIn = max(_IngestTime), LastEvent = max(TimeGenerated), Delay = avg((_IngestTime - TimeGenerated) / 1s) by Table, Source = _Source | order by LastIn desc | take 500`;
      return asObjects(await runQuery(text));
    },
  });
  return (
    <Section title={`What came in the last ${HOURS} hours`}>
      <Answered query={fresh}>
        {(rows) =>
          rows.length === 0 ? (
            <p>Nothing came in.</p>
          ) : (
            <div className="scroll-x limited" tabIndex={0} role="group" aria-label="What came in">
              <table className="plain">
                <thead>
                  <tr>
                    <th scope="col">Table</th><th scope="col">Source</th><th scope="col" className="number">Rows</th><th scope="col">Last came in</th>
                    <th scope="col">Newest event</th><th scope="col">Events are late by</th>
                  </tr>
                </thead>
                <tbody>
                  {rows.map((row, index) => (
                    <tr key={index}>
                      <td>{String(row.Table)}</td>
                      <td className="wrap"><Text text={String(row.Source)} /></td>
                      <td className="number">{showCount(Number(row.Rows))}</td>
                      <td className="time">{showAge(secondsSince(String(row.LastIn)))} ago</td>
                      <td className="time">{showTime(String(row.LastEvent), zone).slice(0, 19)}</td>
                      <td className="time">{showAge(Number(row.Delay))}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Answered>
    </Section>
  );
}

function Quarantine() {
  const zone = useZone();
  const mayAdmin = useMayAdmin();
  const client = useQueryClient();
  const [report, setReport] = useState<{ num_stored: number; num_refused: number }>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const kept = useQuery({
    queryKey: ["quarantine"],
    queryFn: async () => asObjects(await runQuery(`Quarantine | summarize Records = count(), Last = max(_IngestTime) by Reason = tostring(column_ifexists('Reason', '')), Source = _Source | top ${REASONS_MAX} by Records`)),
  });
  const replay = async () => {
    setBusy(true);
    setError(undefined);
    try {
      setReport(await send("POST", "/v1/quarantine/replay", { body: { all: true } }));
      await client.invalidateQueries({ queryKey: ["quarantine"] });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <Section
      title="Quarantine: records that could not be read"
      tools={
        <>
          <Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: "Quarantine\n| order by _Seq desc", range: "all" }) as never}>Query them</Link>
          {mayAdmin && <Button size="small" disabled={isBusy} onClick={() => void replay()}>Read all again</Button>}
        </>
      }
    >
      {error !== undefined && <Failure error={error} title="Not read again" />}
      {report && (
        <MessageBar intent="info"><MessageBarBody>{plural(report.num_stored, "record")} became events; {report.num_refused} were refused again.</MessageBarBody></MessageBar>
      )}
      <Answered query={kept}>
        {(rows) =>
          rows.length === 0 ? (
            <p>There are none.</p>
          ) : (
            <div className="scroll-x limited" tabIndex={0} role="group" aria-label="Reasons">
              <table className="plain">
                <thead><tr><th scope="col">Reason</th><th scope="col">Source</th><th scope="col" className="number">Records</th><th scope="col">Last</th></tr></thead>
                <tbody>
                  {rows.map((row, index) => (
                    <tr key={index}>
                      <td className="wrap"><Text text={String(row.Reason)} /></td>
                      <td className="wrap"><Text text={String(row.Source)} /></td>
                      <td className="number">{showCount(Number(row.Records))}</td>
                      <td className="time">{showTime(String(row.Last), zone).slice(0, 19)}</td>
                    </tr>
                  ))}
                </tbody>
              </table>
            </div>
          )
        }
      </Answered>
    </Section>
  );
}
