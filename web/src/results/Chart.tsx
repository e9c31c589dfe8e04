// A result as the picture that `render` asked for.
import { useMemo } from "react";
import type { ResultTable, Visualization } from "../api/kusto";
import { useSession, useZone } from "../app/session";
import { Text } from "../parts/Text";
import { Canvas } from "./Canvas";
import { drawing } from "./chartOptions";

export function Chart({ table, visualization }: { table: ResultTable; visualization: Visualization }) {
  const { isDark } = useSession();
  const zone = useZone();
  const drawn = useMemo(() => drawing(table, visualization, { isDark, zone }), [table, visualization, isDark, zone]);
  if (drawn.kind === "none") return <p className="grid-empty">{drawn.reason}</p>;
  if (drawn.kind === "card") {
    return (
      <dl className="cards">
        {drawn.values.map(({ name, value }) => (
          <div key={name} className="card">
            <dd>
              <Text text={value} />
            </dd>
            <dt><Text text={name} /></dt>
          </div>
        ))}
      </dl>
    );
  }
  return (
    <div className="chart">
      {drawn.note && <p className="quiet">{drawn.note}</p>}
      <Canvas option={drawn.option} label={`${visualization.Visualization ?? "chart"} of ${table.rows.length} rows; the table beside it has the values`} />
    </div>
  );
}
