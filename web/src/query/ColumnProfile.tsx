// What a column holds in the chosen time: how many values, the most frequent, the least and the greatest.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Spinner } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { asObjects, runQuery, type Cell } from "../api/kusto";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { showCount } from "../parts/numbers";
import { Text } from "../parts/Text";
import { cellText } from "../results/gridModel";
import { isNumeric, Value } from "../results/Value";
import { isOrdered, profileQueries } from "./profile";
import type { SchemaTable } from "./schema";

interface ProfileProps {
  table: string;
  column: SchemaTable["columns"][number];
  times: { from?: string; to?: string };
  close(): void;
}

export function ColumnProfile({ table, column, times, close }: ProfileProps) {
  const zone = useZone();
  const profile = useQuery({
    queryKey: ["profile", table, column.name, times],
    queryFn: async () => {
      const { facts, top } = profileQueries(table, column);
      const [first, second] = await Promise.all([runQuery(facts, times), runQuery(top, times)]);
      return { facts: asObjects(first)[0] ?? {}, top: asObjects(second) };
    },
  });
  const rows = Number(profile.data?.facts.Rows ?? 0);
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <DialogBody>
          <DialogTitle>
            <Text text={`${table}.${column.name}`} /> <span className="quiet">{column.type}</span>
          </DialogTitle>
          <DialogContent>
            {profile.isPending && <Spinner label="Reading the column" />}
            {profile.isError && <Failure error={profile.error} />}
            {profile.data && (
              <>
                <dl className="facts">
                  <dt>Rows in this time</dt>
                  <dd>{showCount(rows)}</dd>
                  <dt>Without a value</dt>
                  <dd>{showCount(Number(profile.data.facts.Empty ?? 0))}</dd>
                  <dt>Different values</dt>
                  <dd>about {showCount(Number(profile.data.facts.Distinct ?? 0))}</dd>
                  <dt>{isOrdered(column.type) ? "Least" : "First in order of text"}</dt>
                  <dd><Value value={bound(profile.data.facts.Least)} type={column.type} zone={zone} /></dd>
                  <dt>{isOrdered(column.type) ? "Greatest" : "Last in order of text"}</dt>
                  <dd><Value value={bound(profile.data.facts.Greatest)} type={column.type} zone={zone} /></dd>
                  {isNumeric(column.type) && (
                    <>
                      <dt>Mean</dt>
                      <dd><Value value={bound(profile.data.facts.Mean)} type="real" zone={zone} /></dd>
                    </>
                  )}
                </dl>
                <table className="plain">
                  <caption>Most frequent values</caption>
                  <thead>
                    <tr><th scope="col">Value</th><th scope="col" className="number">Rows</th><th scope="col" className="number">Share</th></tr>
                  </thead>
                  <tbody>
                    {profile.data.top.map((row, index) => (
                      <tr key={index}>
                        <td className="wrap">{row.Value === "" ? <span className="null">empty</span> : <Text text={cellText(row.Value).slice(0, 200)} />}</td>
                        <td className="number">{showCount(Number(row.Rows))}</td>
                        <td className="number">{rows > 0 ? shareText(Number(row.Rows) / rows) : ""}</td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </>
            )}
          </DialogContent>
          <DialogActions>
            <Button onClick={close}>Close</Button>
          </DialogActions>
        </DialogBody>
      </DialogSurface>
    </Dialog>
  );
}

/** A share in percent; what is little is not nothing. */
function shareText(share: number): string {
  return share > 0 && share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`;
}

/** A bound of the column: none when no row has a value. */
function bound(value: Cell | undefined): Cell {
  return value === "" || value === undefined ? null : value;
}
