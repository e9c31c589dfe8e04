// What a query cost, and what it did not have to read: a line, and all of it for those who open the line.
import { Button } from "@fluentui/react-components";
import { plural, showBytes, showCount, showMs } from "../parts/numbers";
import { Text } from "../parts/Text";
import type { QueryResult } from "../api/kusto";

interface StatisticsProps {
  result: QueryResult;
  isOpen: boolean;
  open(isOpen: boolean): void;
}

/** The line. Commands have a time alone. */
export function Statistics({ result, isOpen, open }: StatisticsProps) {
  const { statistics } = result;
  if (!statistics) return <span className="statistics">{showMs(result.elapsedMs)}</span>;
  const parts = [
    showMs(statistics.seconds * 1000),
    `${plural(statistics.rowsScanned, "row")} read`,
    ...(statistics.bytesRead === undefined ? [] : [showBytes(statistics.bytesRead)]),
    ...(statistics.segmentsTotal > 0 ? [`${showCount(statistics.segmentsRead)} of ${plural(statistics.segmentsTotal, "segment")}`] : []),
  ];
  return (
    <Button size="small" appearance="subtle" className="statistics" aria-expanded={isOpen} title="What the query cost" onClick={() => open(!isOpen)}>
      {parts.join(", ")}
    </Button>
  );
}

/** All of it. */
export function Cost({ result }: { result: QueryResult }) {
  const { statistics } = result;
  if (!statistics) return null;
  return (
    <section className="cost" aria-label="What the query cost">
      <dl className="facts">
        <dt>Time</dt>
        <dd>{showMs(statistics.seconds * 1000)} on the server, {showMs(result.elapsedMs)} until the page had it all</dd>
        <dt>Rows read</dt>
        <dd>{showCount(statistics.rowsScanned)}</dd>
        {statistics.bytesRead !== undefined && <><dt>Bytes read</dt><dd>{showBytes(statistics.bytesRead)}</dd></>}
        {statistics.memoryPeakBytes !== undefined && <><dt>Memory at most</dt><dd>{showBytes(statistics.memoryPeakBytes)} at once</dd></>}
        <dt>Segments read</dt>
        <dd>{showCount(statistics.segmentsRead)} of {showCount(statistics.segmentsTotal)}, and {plural(statistics.blocksRead, "block")} of rows that are newer than any segment</dd>
        <dt>Not read</dt>
        <dd>
          {statistics.notRead.length === 0 ? "all of it was needed" : statistics.notRead.map(({ what, count, why }) => <div key={what + why}>{showCount(count)} <Text text={`${what}: ${why}`} /></div>)}
        </dd>
        <dt>Id of the query</dt>
        <dd><code>{result.activityId}</code></dd>
      </dl>
    </section>
  );
}
