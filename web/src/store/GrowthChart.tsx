// The growth of the store as a picture, with the room there is, and as a table.
import { Button } from "@fluentui/react-components";
import { useMemo } from "react";
import type { Status } from "../api/types";
import { useSession } from "../app/session";
import { SERIES } from "../app/theme";
import { plural, showBytes } from "../parts/numbers";
import { Section } from "../parts/Page";
import { Canvas } from "../results/Canvas";
import { axisOption, frame } from "../results/chartParts";
import { growth } from "./growth";

interface GrowthChartProps {
  status: Status;
  showsTable: boolean;
  showTable(shows: boolean): void;
}

export function GrowthChart({ status, showsTable, showTable }: GrowthChartProps) {
  const { isDark } = useSession();
  const grown = useMemo(() => growth(status), [status]);
  const option = useMemo(() => {
    if (!grown) return {};
    const look = { isDark, zone: "utc" as const };
    const series = grown.names.map((name, index) => ({
      name, type: "line", stack: "all", areaStyle: { opacity: 0.6 }, showSymbol: false, animation: false, color: SERIES[index % SERIES.length],
      data: grown.days.map((one) => [one.day, one.bytes[index] ?? 0]),
    }));
    const most = Math.max(...grown.days.map((one) => one.total));
    // The room is drawn where it is near: a large disk would flatten everything else.
    const room = grown.room < most * 3 ? [{ name: "room on the disk", type: "line", showSymbol: false, animation: false, color: "#d13438", lineStyle: { type: "dashed" }, data: grown.days.map((one) => [one.day, grown.room]) }] : [];
    return {
      ...frame({ Visualization: "areachart" }, look, true),
      xAxis: axisOption(look, { type: "value", max: grown.days.at(-1)?.day, axisLabel: { formatter: (day: number) => (day === 0 ? "today" : `${day} d`) } }),
      yAxis: axisOption(look, { type: "value", axisLabel: { formatter: (bytes: number) => showBytes(bytes), hideOverlap: true } }),
      tooltip: { trigger: "axis", renderMode: "richText", confine: true, valueFormatter: (bytes: unknown) => showBytes(Number(bytes)) },
      series: [...series, ...room],
    };
  }, [grown, isDark]);
  if (!grown) return <Section title="Growth"><p className="quiet">Nothing is said of growth before a whole day was stored.</p></Section>;
  return (
    <Section title="Growth" tools={<Button size="small" aria-pressed={showsTable} onClick={() => showTable(!showsTable)}>{showsTable ? "As a picture" : "As a table"}</Button>}>
      <p>
        {grown.fullOn === undefined ? "For a year, what is kept fits on this disk." : <span className="bad">What is kept does not fit on this disk within {plural(grown.fullOn, "day")}.</span>}
      </p>
      {showsTable ? (
        <div className="scroll-x" tabIndex={0} role="group" aria-label="Growth as a table">
          <table className="plain">
            <thead>
              <tr><th scope="col">In</th>{grown.names.map((name) => <th key={name} scope="col" className="number">{name}</th>)}<th scope="col" className="number">All</th></tr>
            </thead>
            <tbody>
              {grown.days.map((one) => (
                <tr key={one.day}><td>{one.day === 0 ? "now" : plural(one.day, "day")}</td>{one.bytes.map((bytes, index) => <td key={index} className="number">{showBytes(bytes)}</td>)}<td className="number">{showBytes(one.total)}</td></tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <Canvas option={option} height={240} label={`Growth of the store over a year, to ${showBytes(grown.days.at(-1)?.total ?? 0)}; the table beside it has the values`} />
      )}
    </Section>
  );
}
