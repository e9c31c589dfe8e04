// Where events come from: what runs, what is lost, what is late, what could not be read.
import { Button, MessageBar, MessageBarBody, Tab, TabList } from "@fluentui/react-components";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { send } from "../api/client";
import { asObjects, quote, runQuery } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useMayAdmin, useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { Answered, Page, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { useStatus } from "../query/schema";
import { Quality, Received } from "./Received";

const REFRESH_MS = 10_000;
const REASONS_MAX = 50;
/** Records that one request reads again by their numbers; the server takes no more. */
const REPLAYED_MAX = 100_000;

/** The records of quarantine with a reason, of a source. */
function quarantined(reason: string, source: string): string {
  return `Quarantine\n| where tostring(column_ifexists('Reason', '')) == ${quote(reason)} and _Source == ${quote(source)}`;
}

interface SourcesSearch {
  view?: string;
  text?: string;
  trouble?: string;
}

export function SourcesPage() {
  const search = useSearch({ from: "/sources" }) as SourcesSearch;
  const navigate = useNavigate({ from: "/sources" });
  const setSearch = (change: Record<string, string | undefined>) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const zone = useZone();
  const status = useStatus(REFRESH_MS);
  const view = search.view === "quality" ? "quality" : "received";
  return (
    <Page title="Sources">
      <TabList selectedValue={view} onTabSelect={(_, data) => setSearch({ view: data.value === "quality" ? "quality" : undefined })}>
        <Tab value="received">What comes in</Tab>
        <Tab value="quality">How complete it is</Tab>
      </TabList>
      {view === "quality" && <Quality />}
      {view === "received" && (
        <Received
          text={search.text ?? ""}
          onlyTroubled={search.trouble === "yes"}
          onText={(text) => setSearch({ text: text || undefined })}
          onTroubled={(only) => setSearch({ trouble: only ? "yes" : undefined })}
        />
      )}
      <Section title="Collectors">
        <Answered query={status}>
          {({ collectors }) => collectors.length === 0 ? <p>None is at work: events come only through the HTTP interface.</p> : (
            <table className="plain">
              <thead>
                <tr><th scope="col">Source</th><th scope="col">State</th><th scope="col" className="number">Records since the start</th><th scope="col">Since</th><th scope="col">Reason</th></tr>
              </thead>
              <tbody>
                {collectors.map((collector) => (
                  <tr key={collector.name}>
                    <td><Text text={collector.name} /></td>
                    <td><span className={`state ${collector.state}`}>{collector.state}</span></td>
                    <td className="number">{showCount(collector.num_records)}</td>
                    <td className="time">{showTime(collector.since, zone).slice(0, 19)}</td>
                    <td className="wrap"><Text text={collector.reason} /></td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Answered>
      </Section>
      <Quarantine />
    </Page>
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
  /** Reads records again: those of a reason and source, or all. */
  const replay = async (of?: { reason: string; source: string }) => {
    setBusy(true);
    setError(undefined);
    setReport(undefined);
    try {
      const seqs = of && asObjects(await runQuery(`${quarantined(of.reason, of.source)}\n| project _Seq\n| take ${REPLAYED_MAX}`, { rowsMax: REPLAYED_MAX })).map((row) => Number(row._Seq));
      setReport(await send("POST", "/v1/quarantine/replay", { body: seqs ? { seqs } : { all: true } }));
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
                <thead><tr><th scope="col">Reason</th><th scope="col">Source</th><th scope="col" className="number">Records</th><th scope="col">Last</th><th scope="col"><span className="only-read">Read again</span></th></tr></thead>
                <tbody>
                  {rows.map((row, index) => (
                    <tr key={index}>
                      <td className="wrap"><Text text={String(row.Reason)} /></td>
                      <td className="wrap"><Text text={String(row.Source)} /></td>
                      <td className="number">
                        <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `${quarantined(String(row.Reason), String(row.Source))}\n| order by _Seq desc`, range: "all" }) as never}>{showCount(Number(row.Records))}</Link>
                      </td>
                      <td className="time">{showTime(String(row.Last), zone).slice(0, 19)}</td>
                      <td>{mayAdmin && <Button size="small" appearance="subtle" disabled={isBusy} aria-label={`Read again what “${String(row.Reason)}” kept out`} onClick={() => void replay({ reason: String(row.Reason), source: String(row.Source) })}>Read again</Button>}</td>
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
