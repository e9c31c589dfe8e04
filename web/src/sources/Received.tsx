// What is received from whom: how much, how late, what is missing, and since when something is wrong.
import { Switch } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { send } from "../api/client";
import { quote } from "../api/kusto";
import type { SourceQuality, SourceStatus } from "../api/types";
import { useZone } from "../app/session";
import { Find } from "../parts/Find";
import { plural, showCount } from "../parts/numbers";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { columnName } from "../query/filters";
import { isTroubled, stateText, troublesFirst, useSources } from "./sources";

const REFRESH_MS = 15_000;
/** Lines that are drawn; the field narrows them. */
const LINES_MAX = 500;

interface ReceivedProps {
  text: string;
  onlyTroubled: boolean;
  onText(text: string): void;
  onTroubled(only: boolean): void;
}

export function Received({ text, onlyTroubled, onText, onTroubled }: ReceivedProps) {
  const zone = useZone();
  const sources = useSources(REFRESH_MS);
  return (
    <Section
      title="What is received from whom"
      tools={
        <>
          <Find label="Find a source" text={text} onChange={onText} />
          <Switch label="Only what is wrong" checked={onlyTroubled} onChange={(_, data) => onTroubled(data.checked)} />
        </>
      }
    >
      <Answered query={sources}>
        {(all) => {
          const troubled = all.filter(isTroubled).length;
          const found = troublesFirst(all).filter((one) => (!onlyTroubled || isTroubled(one)) && meets(one, text));
          return (
            <>
              <p>
                {summary(all.length, troubled)}
                {all.some((one) => one.num_quarantined > 0) && " Some records could not be read: they stand under “Quarantine” below."}
              </p>
              {found.length > 0 && (
                <div className="scroll-x limited" tabIndex={0} role="group" aria-label="Sources">
                  <table className="plain">
                    <thead>
                      <tr>
                        <th scope="col">State</th><th scope="col">Source and machine</th><th scope="col">Table</th><th scope="col" className="number">A minute</th>
                        <th scope="col" className="number">Expected</th><th scope="col">Last</th><th scope="col" className="number">Behind</th>
                        <th scope="col" className="number">Missing</th><th scope="col" className="number">Dropped</th><th scope="col" className="number">Quarantined</th>
                      </tr>
                    </thead>
                    <tbody>
                      {found.slice(0, LINES_MAX).map((one) => (
                        <tr key={`${one.source}\n${one.computer}\n${one.table}`}>
                          <td className="wrap">
                            <span className={`state ${isTroubled(one) ? "failed" : one.state === "ok" ? "running" : ""}`}>{stateText(one.state)}</span>
                            {one.trouble_since && <div className="quiet">for {showAge(secondsSince(one.trouble_since))}</div>}
                          </td>
                          <td className="wrap"><Text text={one.source} /><div className="quiet"><Text text={one.computer} /></div></td>
                          <td>
                            {one.table !== "" && (
                              <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `${columnName(one.table)}\n| where _Source == ${quote(one.source)}\n| order by _Seq desc`, range: "24h" }) as never}>{one.table}</Link>
                            )}
                          </td>
                          <td className="number">{rate(one.records_per_minute)}</td>
                          <td className="number">{one.expected_per_minute === null ? "" : rate(one.expected_per_minute)}</td>
                          <td className="time" title={one.last_seen ? showTime(one.last_seen, zone) : ""}>{one.last_seen ? `${showAge(secondsSince(one.last_seen))} ago` : "never"}</td>
                          <td className="number">{one.lag_seconds === null ? "" : showAge(one.lag_seconds)}{(one.clock_ahead_seconds ?? 0) > 0 && <div className="quiet">clock {showAge(one.clock_ahead_seconds ?? 0)} fast</div>}</td>
                          <Lost count={one.num_missing} />
                          <Lost count={one.num_dropped} last={one.last_dropped} />
                          <Lost count={one.num_quarantined} />
                        </tr>
                      ))}
                    </tbody>
                  </table>
                </div>
              )}
              {found.length > LINES_MAX && <p className="quiet">{showCount(found.length - LINES_MAX)} more; the field above finds them.</p>}
            </>
          );
        }}
      </Answered>
    </Section>
  );
}

function summary(sources: number, troubled: number): string {
  if (sources === 0) return "Nothing has come in yet. Send a file with “moneta ingest”, or let syslog or a shipper send here.";
  return troubled === 0 ? `${plural(sources, "source")}, and nothing is wrong with any.` : `Something is wrong with ${troubled} of ${plural(sources, "source")}.`;
}

function meets(one: SourceStatus, text: string): boolean {
  return `${one.source} ${one.computer} ${one.table} ${one.state}`.toLowerCase().includes(text.toLowerCase());
}

function rate(perMinute: number): string {
  return showCount(perMinute >= 10 ? Math.round(perMinute) : Math.round(perMinute * 10) / 10);
}

function Lost({ count, last }: { count: number; last?: string | null }) {
  return (
    <td className={count > 0 ? "number bad" : "number"}>
      {showCount(count)}
      {last && <div className="quiet">last {showAge(secondsSince(last))} ago</div>}
    </td>
  );
}

const ASPECTS: [keyof SourceQuality, string][] = [["who", "Who"], ["what", "What"], ["when", "When"], ["where", "Where"], ["source_of_event", "From what"], ["outcome", "Outcome"]];
/** A share below which a source says too little to be of use in an inquiry. */
const SHARE_LOW = 0.5;

export function Quality() {
  const quality = useQuery({ queryKey: ["sources", "quality"], queryFn: () => send<SourceQuality[]>("GET", "/v1/sources/quality"), refetchInterval: REFRESH_MS * 4 });
  return (
    <Section title="How complete the records of the last seven days are">
      <p className="quiet">The share of records that say what an audit record has to (NIST SP 800-53, AU-3).</p>
      <Answered query={quality}>
        {(all) =>
          all.length === 0 ? (
            <p>Nothing came in.</p>
          ) : (
            <div className="scroll-x limited" tabIndex={0} role="group" aria-label="Completeness">
              <table className="plain">
                <thead>
                  <tr><th scope="col">Source and machine</th><th scope="col">Table</th><th scope="col" className="number">Records</th>{ASPECTS.map(([name, label]) => <th key={name} scope="col" className="number">{label}</th>)}</tr>
                </thead>
                <tbody>
                  {all.slice(0, LINES_MAX).map((one) => (
                    <tr key={`${one.source}\n${one.computer}\n${one.table}`}>
                      <td className="wrap"><Text text={one.source} /><div className="quiet"><Text text={one.computer} /></div></td>
                      <td>{one.table}</td>
                      <td className="number">{showCount(one.num_records)}</td>
                      {ASPECTS.map(([name]) => {
                        const share = Number(one[name]);
                        return <td key={name} className={share < SHARE_LOW ? "number bad" : "number"}>{Math.floor(share * 100)} %</td>;
                      })}
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
