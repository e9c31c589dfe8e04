// What a query cost and what it did not read.
import { plural, showCount, showMs } from "../parts/numbers";
import type { QueryResult } from "../api/kusto";

export function Statistics({ result }: { result: QueryResult }) {
  const { statistics } = result;
  if (!statistics) return <span className="statistics">{showMs(result.elapsedMs)}</span>;
  const pruned = statistics.segmentsTotal - statistics.segmentsRead;
  const parts = [
    showMs(statistics.seconds * 1000),
    `${plural(statistics.rowsScanned, "row")} read`,
    ...(statistics.segmentsTotal > 0 ? [`${showCount(statistics.segmentsRead)} of ${plural(statistics.segmentsTotal, "segment")}`] : []),
    ...(pruned > 0 ? [`${showCount(pruned)} not needed`] : []),
    ...(statistics.blocksRead > 0 ? [plural(statistics.blocksRead, "fresh block")] : []),
  ];
  return (
    <span className="statistics" title={`${showMs(statistics.seconds * 1000)} on the server, ${showMs(result.elapsedMs)} until the page had it all. Query ${result.activityId}`}>
      {parts.join(", ")}
    </span>
  );
}
