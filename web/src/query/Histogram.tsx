// How many events the query's filters keep over time; dragging over the bars chooses their time.
import { Button } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import type { EChartsType } from "echarts/core";
import { useMemo } from "react";
import { asObjects, runQuery } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useSession, useZone } from "../app/session";
import { SERIES } from "../app/theme";
import { plural, showCount } from "../parts/numbers";
import { binFor, showTime } from "../parts/time";
import { Canvas } from "../results/Canvas";
import { barMiddle, everyBar } from "./bars";
import { histogramQuery } from "./statements";

interface HistogramProps {
  /** The query as it ran. */
  text: string;
  times: { from?: string; to?: string };
  onChoose(range: string): void;
  showsTable: boolean;
  showTable(shows: boolean): void;
}

/** The times that the bars span: the chosen ones, else those of the events. */
async function spanOf(text: string, times: { from?: string; to?: string }): Promise<[number, number] | undefined> {
  if (times.from && times.to) return [Date.parse(times.from), Date.parse(times.to)];
  if (times.from) return [Date.parse(times.from), Date.now()];
  const asked = histogramQuery(text, "1d")?.replace(/\| summarize Events[\s\S]*$/, "| summarize First = min(TimeGenerated), Last = max(TimeGenerated)");
  if (!asked) return undefined;
  const [row] = asObjects(await runQuery(asked, times));
  if (!row?.First || !row.Last) return undefined;
  return [Date.parse(String(row.First)), Date.parse(String(row.Last)) + 1];
}

export function Histogram({ text, times, onChoose, showsTable, showTable }: HistogramProps) {
  const { isDark } = useSession();
  const zone = useZone();
  const canAsk = histogramQuery(text, "1h") !== undefined;
  const bars = useQuery({
    queryKey: ["histogram", text, times],
    enabled: canAsk,
    staleTime: Infinity,
    queryFn: async () => {
      const span = await spanOf(text, times);
      if (!span) return { bars: [], bin: "", span: undefined };
      const bin = binFor((span[1] - span[0]) / 1000);
      const asked = histogramQuery(text, bin);
      if (!asked) return { bars: [], bin, span };
      const rows = asObjects(await runQuery(asked, times)).filter((row) => row.TimeGenerated !== null);
      return { bars: everyBar(rows.map((row) => ({ at: String(row.TimeGenerated), events: Number(row.Events) })), bin, span), bin, span };
    },
  });
  const data = bars.data;
  const total = data?.bars.reduce((sum, bar) => sum + bar.events, 0) ?? 0;
  const points = useMemo(() => (data?.span ? data.bars.map((bar) => [barMiddle(bar.at, data.bin, data.span), bar.events]) : []), [data]);
  const option = useMemo(
    () => ({
      grid: { left: 8, right: 8, top: 8, bottom: 6, containLabel: true },
      brush: { xAxisIndex: 0, brushType: "lineX", brushMode: "single", throttleType: "debounce", throttleDelay: 250, outOfBrush: { colorAlpha: 0.4 } },
      toolbox: { show: false },
      xAxis: {
        type: "time",
        // The axis is the chosen time, however wide a bar is.
        containShape: false,
        ...(data?.span ? { min: data.span[0], max: data.span[1] } : {}),
        axisLabel: { color: isDark ? "#d6d6d6" : "#424242", hideOverlap: true, formatter: (ms: number) => axisTime(ms, data?.span, zone) },
      },
      yAxis: { type: "value", minInterval: 1, splitNumber: 2, axisLabel: { color: isDark ? "#d6d6d6" : "#424242" }, splitLine: { lineStyle: { color: isDark ? "#454545" : "#e0e0e0" } } },
      tooltip: {
        trigger: "axis",
        renderMode: "richText",
        confine: true,
        formatter: (hits: { dataIndex: number }[]) => {
          const bar = data?.bars[hits[0]?.dataIndex ?? -1];
          return bar ? `${showTime(bar.at, zone)} + ${data?.bin ?? ""}\n${plural(bar.events, "event")}` : "";
        },
      },
      series: [{ type: "bar", data: points, color: SERIES[0], barMaxWidth: 14, animation: false }],
    }),
    [data, points, isDark, zone],
  );
  const listen = (chart: EChartsType) => {
    const arm = () => chart.dispatchAction({ type: "takeGlobalCursor", key: "brush", brushOption: { brushType: "lineX", brushMode: "single" } });
    chart.on("finished", arm);
    chart.on("brushEnd", (event) => {
      const [from, to] = (event as { areas: { coordRange?: [number, number] }[] }).areas[0]?.coordRange ?? [0, 0];
      if (to - from > 0) onChoose(`${new Date(from).toISOString()}..${new Date(to).toISOString()}`);
    });
  };
  if (!canAsk) return <p className="quiet histogram-note">This query does not begin with rows of a table, so there is no histogram.</p>;
  if (bars.isError) return <Failure error={bars.error} title="No histogram" />;
  return (
    <section className="histogram" aria-label="Events over time">
      <div className="histogram-head quiet">
        <span>{data ? `${plural(total, "event")}${data.bin ? `, bars of ${data.bin}` : ""}; drag to choose a time` : "Counting…"}</span>
        <span className="grow" />
        <Button size="small" appearance="subtle" aria-pressed={showsTable} onClick={() => showTable(!showsTable)}>
          {showsTable ? "Bars" : "As a table"}
        </Button>
      </div>
      {showsTable ? (
        <div className="histogram-table" tabIndex={0} role="group" aria-label="Events over time as a table">
          <table className="plain">
            <thead>
              <tr><th scope="col">From</th><th scope="col" className="number">Events</th></tr>
            </thead>
            <tbody>
              {(data?.bars ?? []).filter((bar) => bar.events > 0).map((bar) => (
                <tr key={bar.at}><td>{showTime(bar.at, zone)}</td><td className="number">{showCount(bar.events)}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <Canvas option={option} height={108} label={`Events over time: ${plural(total, "event")}`} onReady={listen} />
      )}
    </section>
  );
}

function axisTime(ms: number, span: [number, number] | undefined, zone: "utc" | "local"): string {
  const text = showTime(new Date(ms).toISOString(), zone);
  const days = span ? (span[1] - span[0]) / 86_400_000 : 1;
  return days > 3 ? text.slice(0, 10) : days > 1 ? text.slice(5, 16) : text.slice(11, 19);
}
