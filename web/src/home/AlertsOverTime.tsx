// Alerts of the last day by the hour and severity, as bars and as a table.
import { Button } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { useMemo, useState } from "react";
import { asObjects, runQuery } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useSession, useZone } from "../app/session";
import { SEVERITY_COLOUR } from "../app/theme";
import { plural } from "../parts/numbers";
import { showTime } from "../parts/time";
import { Canvas } from "../results/Canvas";

const SEVERITIES = ["High", "Medium", "Low", "Informational"];
const HOURS = 24;

export function AlertsOverTime() {
  const { isDark } = useSession();
  const zone = useZone();
  const [showsTable, setShowsTable] = useState(false);
  const counts = useQuery({
    queryKey: ["alerts-over-time"],
    refetchInterval: 60_000,
    queryFn: async () => {
      const from = new Date(Math.floor(Date.now() / 3_600_000 - HOURS + 1) * 3_600_000).toISOString();
      const text = "SecurityAlert | summarize Count = count() by Hour = bin(TimeGenerated, 1h), AlertSeverity";
      return { from, rows: asObjects(await runQuery(text, { from })) };
    },
  });
  const hours = useMemo(() => {
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
  const totals = SEVERITIES.map((_, index) => hours.reduce((sum, hour) => sum + (hour.counts[index] ?? 0), 0));
  const option = useMemo(() => {
    const ink = isDark ? "#d6d6d6" : "#424242";
    return {
      grid: { left: 8, right: 8, top: 32, bottom: 6, containLabel: true },
      legend: { top: 0, left: 0, textStyle: { color: ink } },
      tooltip: { trigger: "axis", renderMode: "richText", confine: true },
      xAxis: { type: "category", data: hours.map((hour) => showTime(hour.at, zone).slice(11, 16)), axisLabel: { color: ink, hideOverlap: true } },
      yAxis: { type: "value", minInterval: 1, axisLabel: { color: ink }, splitLine: { lineStyle: { color: isDark ? "#454545" : "#e0e0e0" } } },
      series: SEVERITIES.map((severity, index) => ({
        name: `${severity} ${hours.reduce((sum, hour) => sum + (hour.counts[index] ?? 0), 0)}`,
        type: "bar",
        stack: "all",
        color: SEVERITY_COLOUR[severity],
        data: hours.map((hour) => hour.counts[index] ?? 0),
        animation: false,
      })),
    };
  }, [hours, isDark, zone]);
  if (counts.isError) return <Failure error={counts.error} title="Alerts over time are missing" />;
  return (
    <section aria-labelledby="over-time">
      <div className="section-head">
        <h2 id="over-time">Alerts by the hour</h2>
        <span className="grow" />
        <Button size="small" appearance="subtle" onClick={() => setShowsTable(!showsTable)}>
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
        <Canvas option={option} height={180} label={`Alerts by the hour: ${plural(totals.reduce((sum, count) => sum + count, 0), "alert")}`} />
      )}
    </section>
  );
}
