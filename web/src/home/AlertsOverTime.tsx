// Alerts of the last day by the hour and severity, as bars and as a table.
import { Button } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useMemo } from "react";
import { asObjects, runQuery } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { SEVERITIES } from "../incidents/incidents";
import { showTime } from "../parts/time";
import { HourBars, type Hour } from "./HourBars";

const HOURS = 24;
/** What the address says where the table is shown in place of the bars. */
const TABLE = "alerts-table";

export function AlertsOverTime() {
  const zone = useZone();
  const showsTable = (useSearch({ from: "/" }) as { view?: string }).view === TABLE;
  const navigate = useNavigate({ from: "/" });
  const turn = () => void navigate({ search: (previous: object) => ({ ...previous, view: showsTable ? undefined : TABLE }) as never, replace: true });
  const counts = useQuery({
    queryKey: ["alerts-over-time"],
    refetchInterval: 60_000,
    queryFn: async () => {
      const from = new Date(Math.floor(Date.now() / 3_600_000 - HOURS + 1) * 3_600_000).toISOString();
      const text = "SecurityAlert | summarize Count = count() by Hour = bin(TimeGenerated, 1h), AlertSeverity";
      return { from, rows: asObjects(await runQuery(text, { from })) };
    },
  });
  const hours: Hour[] = useMemo(() => {
    const start = Date.parse(counts.data?.from ?? new Date(0).toISOString());
    return Array.from({ length: HOURS }, (_, hour) => {
      const at = new Date(start + hour * 3_600_000).toISOString();
      const of = (severity: string) =>
        (counts.data?.rows ?? [])
          .filter((row) => row.AlertSeverity === severity && Date.parse(String(row.Hour)) === Date.parse(at))
          .reduce((sum, row) => sum + Number(row.Count), 0);
      return { at, counts: SEVERITIES.map(of) };
    });
  }, [counts.data]);
  if (counts.isError) return <Failure error={counts.error} title="Alerts over time are missing" />;
  return (
    <section aria-labelledby="over-time">
      <div className="section-head">
        <h2 id="over-time">Alerts by the hour</h2>
        <span className="grow" />
        <Button size="small" appearance="subtle" onClick={turn}>
          {showsTable ? "Bars" : "As a table"}
        </Button>
      </div>
      {showsTable ? (
        <table className="plain">
          <thead>
            <tr>
              <th scope="col">From</th>
              {SEVERITIES.map((severity) => <th key={severity} scope="col" className="number">{severity}</th>)}
            </tr>
          </thead>
          <tbody>
            {hours.filter((hour) => hour.counts.some((count) => count > 0)).map((hour) => (
              <tr key={hour.at}>
                <td>{showTime(hour.at, zone)}</td>
                {hour.counts.map((count, index) => <td key={index} className="number">{count}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
      ) : (
        <HourBars hours={hours} />
      )}
    </section>
  );
}
