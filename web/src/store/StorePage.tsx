// What is stored, for how long, under which checkpoint, and whether it is still what it was.
import { Button, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle, Field, Input, MessageBar, MessageBarBody, MessageBarTitle, Spinner } from "@fluentui/react-components";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useState } from "react";
import { send } from "../api/client";
import type { TableStatus, VerifyReport } from "../api/types";
import { Failure } from "../app/Failure";
import { useMayAdmin } from "../app/session";
import { plural, showBytes, showCount, showMs } from "../parts/numbers";
import { Answered, Page, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { showAge } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { useSubmit } from "../parts/useSubmit";
import { useStatus } from "../query/schema";
import { Checkpoint } from "./Checkpoint";
import { GrowthChart } from "./GrowthChart";
import { Holds } from "./Holds";

const REFRESH_MS = 15_000;
const FINDINGS_MAX = 200;

interface StoreSearch {
  view?: string | undefined;
}

export function StorePage() {
  const status = useStatus(REFRESH_MS);
  const mayAdmin = useMayAdmin();
  const search = useSearch({ from: "/store" }) as StoreSearch;
  const navigate = useNavigate({ from: "/store" });
  const setSearch = (change: StoreSearch) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const { dialog, subject, open } = useDialog();
  const changing = dialog === "retention" ? status.data?.tables.find((table) => table.name === subject) : undefined;
  return (
    <Page title="Store">
      <Answered query={status}>
        {(status) => (
          <>
            <dl className="cards">
              <Card name="Disk left" value={`${showBytes(status.disk.available_bytes)} of ${showBytes(status.disk.total_bytes)}`} />
              <Card name="Disk lasts" value={status.disk.days_until_full === null ? "no end in sight" : plural(status.disk.days_until_full, "day")} />
              <Card name="Segments" value={showBytes(status.tables.reduce((sum, table) => sum + table.segment_bytes, 0))} />
              <Card name="Journal" value={`${showBytes(status.journal.size_bytes)}, oldest ${showAge(status.journal.oldest_age_seconds)}`} />
              <Card name="Last write to disk took" value={showMs(status.journal.last_fsync_ms)} />
            </dl>
            <Section title="Tables">
              <div className="scroll-x" tabIndex={0} role="group" aria-label="Tables">
                <table className="plain">
                  <thead>
                    <tr>
                      <th scope="col">Table</th><th scope="col" className="number">Rows</th><th scope="col" className="number">Segments</th>
                      <th scope="col" className="number">Their size</th><th scope="col" className="number">Fresh blocks</th>
                      <th scope="col" className="number">Grows a day</th><th scope="col" className="number">Forecast</th><th scope="col">Oldest day</th><th scope="col">Kept for</th>
                    </tr>
                  </thead>
                  <tbody>
                    {status.tables.map((table) => (
                      <tr key={table.name}>
                        <td>
                          <Link to="/query" search={(previous) => ({ tz: previous.tz, q: `${table.name}\n| order by _Seq desc`, range: "all" }) as never}>{table.name}</Link>
                        </td>
                        <td className="number">{showCount(table.num_rows)}</td>
                        <td className="number">{showCount(table.num_segments)}</td>
                        <td className="number">{showBytes(table.segment_bytes)}</td>
                        <td className="number">{showCount(table.num_hot_blocks)}</td>
                        <td className="number">{table.bytes_per_day > 0 ? showBytes(table.bytes_per_day) : ""}</td>
                        <td className="number">{table.forecast_bytes > 0 ? showBytes(table.forecast_bytes) : ""}</td>
                        <td className="time">{table.oldest_day ?? ""}{table.held_days > 0 && <div className="quiet">{plural(table.held_days, "day")} held</div>}</td>
                        <td>
                          {table.retention_days === null ? "for ever" : plural(table.retention_days, "day")}
                          {mayAdmin && (
                            <Button size="small" appearance="subtle" aria-label={`Change how long ${table.name} is kept`} onClick={() => open("retention", table.name)}>Change</Button>
                          )}
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
              <p className="quiet">A table grows by the mean of its last seven whole days with rows. Its forecast is what it takes once it has as many days as it is kept.</p>
            </Section>
            <GrowthChart status={status} showsTable={search.view === "growth-table"} showTable={(shows) => setSearch({ view: shows ? "growth-table" : undefined })} />
            <Checkpoint checkpoint={status.checkpoint} />
            {mayAdmin && <Holds tables={status.tables.map((table) => table.name)} dialog={dialog} subject={subject} open={open} />}
          </>
        )}
      </Answered>
      <Verify />
      {mayAdmin && changing && <Retention key={changing.name} table={changing} close={() => open(undefined)} />}
    </Page>
  );
}

function Card({ name, value }: { name: string; value: string }) {
  return (
    <div className="card">
      <dt>{name}</dt>
      <dd>{value}</dd>
    </div>
  );
}

function Verify() {
  const [report, setReport] = useState<VerifyReport>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const verify = async () => {
    setBusy(true);
    setError(undefined);
    setReport(undefined);
    try {
      setReport(await send<VerifyReport>("POST", "/v1/verify"));
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  const isGood = report?.findings.length === 0;
  return (
    <Section title="Check everything stored" tools={<Button disabled={isBusy} onClick={() => void verify()}>Check now</Button>}>
      <p className="quiet">
        The server reads every block and segment and compares them with the ledger. To trust nothing but a key of your own, run <code>moneta-verify</code> on a copy.
      </p>
      {isBusy && <Spinner label="Reading everything; this takes a while on a large store" />}
      {error !== undefined && <Failure error={error} title="The check could not run" />}
      {report && (
        <MessageBar intent={isGood ? "success" : "error"} layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>{isGood ? "Nothing was changed, nothing is missing" : `${plural(report.findings.length, "thing does", "things do")} not fit`}</MessageBarTitle>
            {plural(report.num_records, "record")} in {plural(report.num_blocks, "block")}, {plural(report.num_segments, "segment")},{" "}
            {plural(report.num_root_entries, "entry", "entries")} of the root log, in {showMs(report.elapsed_ms)}.
            <ul>
              {report.findings.slice(0, FINDINGS_MAX).map((finding, index) => (
                <li key={index}>
                  <Text text={`${finding.file}${finding.table ? `, ${finding.table}` : ""}${finding.record === null ? "" : `, record ${finding.record}`}: ${finding.problem}`} />
                </li>
              ))}
              {report.findings.length > FINDINGS_MAX && <li>and {report.findings.length - FINDINGS_MAX} more; `moneta verify` lists all</li>}
            </ul>
          </MessageBarBody>
        </MessageBar>
      )}
    </Section>
  );
}

function Retention({ table, close }: { table: TableStatus; close(): void }) {
  const [text, setText] = useState(String(table.retention_days ?? ""));
  const days = /^\d{1,6}$/.test(text.trim()) ? Number(text) : undefined;
  const isBad = text.trim() !== "" && (days === undefined || days === 0);
  const isShorter = days !== undefined && (table.retention_days === null || days < table.retention_days);
  const { error, isBusy, submit } = useSubmit(
    () => send("PUT", `/v1/tables/${encodeURIComponent(table.name)}/retention`, { body: { days: days ?? null } }),
    "status",
    close,
  );
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>How long {table.name} is kept</DialogTitle>
            <DialogContent>
              <Field
                label="Days; empty is what the configuration says"
                validationState={isBad ? "error" : isShorter ? "warning" : "none"}
                validationMessage={isBad ? "A whole number from 1." : isShorter ? "Days older than this are dropped, and cannot be had back." : ""}
              >
                <Input value={text} inputMode="numeric" onChange={(_, data) => setText(data.value)} />
              </Field>
              {error !== undefined && <Failure error={error} title="Not changed" />}
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={isBad || isBusy}>{isShorter ? "Drop older days" : "Keep so long"}</Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
