// The detection rules: which are active and where they apply, what they cover, adding and removing.
import { Button, Field, Input, MessageBar, MessageBarBody, MessageBarTitle, Select, Tab, TabList, Textarea } from "@fluentui/react-components";
import { AddRegular } from "@fluentui/react-icons";
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState, type ChangeEvent } from "react";
import { send } from "../api/client";
import { asObjects, runQuery } from "../api/kusto";
import type { RuleSetReport, RuleSummary } from "../api/types";
import { Failure } from "../app/Failure";
import { useMayAdmin, useZone } from "../app/session";
import { Confirm } from "../parts/Confirm";
import { plural, showCount } from "../parts/numbers";
import { Answered, Page } from "../parts/Page";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { showTime } from "../parts/time";
import { Coverage } from "./Coverage";

interface RulesSearch {
  text?: string;
  level?: string;
  rule?: string;
  view?: string;
}

const LEVELS = ["critical", "high", "medium", "low", "informational"];

/** Alerts of each rule in the last 30 days, and its techniques as its alerts name them. */
export interface Fired {
  count: number;
  last: string;
}

export function useRules() {
  return useQuery({ queryKey: ["rules"], queryFn: async () => (await send<{ rules: RuleSummary[] }>("GET", "/v1/rules")).rules });
}

function useFired() {
  return useQuery({
    queryKey: ["rules-fired"],
    queryFn: async () => {
      const from = new Date(Date.now() - 30 * 86_400_000).toISOString();
      const rows = asObjects(await runQuery("SecurityAlert | summarize Count = count(), Last = max(TimeGenerated) by RuleId", { from }));
      return new Map<string, Fired>(rows.map((row) => [String(row.RuleId), { count: Number(row.Count), last: String(row.Last) }]));
    },
  });
}

export function RulesPage() {
  const search = useSearch({ from: "/rules" }) as RulesSearch;
  const navigate = useNavigate({ from: "/rules" });
  const rules = useRules();
  const fired = useFired();
  const mayAdmin = useMayAdmin();
  const [isAdding, setAdding] = useState(false);
  const setSearch = (change: Record<string, string | undefined>) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const view = search.view === "coverage" ? "coverage" : "list";
  return (
    <Page title="Rules" tools={mayAdmin && <Button appearance="primary" icon={<AddRegular />} onClick={() => setAdding(true)}>Add rules</Button>}>
      <TabList selectedValue={view} onTabSelect={(_, data) => setSearch({ view: data.value === "coverage" ? "coverage" : undefined })}>
        <Tab value="list">List</Tab>
        <Tab value="coverage">Coverage</Tab>
      </TabList>
      <Answered query={rules}>
        {(all) =>
          view === "coverage" ? <Coverage rules={all} fired={fired.data ?? new Map()} /> : <RuleList all={all} fired={fired.data ?? new Map()} search={search} setSearch={setSearch} />
        }
      </Answered>
      {isAdding && <AddRules close={() => setAdding(false)} />}
    </Page>
  );
}

interface RuleListProps {
  all: RuleSummary[];
  fired: Map<string, Fired>;
  search: RulesSearch;
  setSearch(change: Record<string, string | undefined>): void;
}

function RuleList({ all, fired, search, setSearch }: RuleListProps) {
  const zone = useZone();
  const mayAdmin = useMayAdmin();
  const client = useQueryClient();
  const [removing, setRemoving] = useState<RuleSummary>();
  const chosen = useRef<HTMLTableRowElement>(null);
  const wanted = (search.text ?? "").toLowerCase();
  const shown = useMemo(
    () =>
      all.filter(
        (rule) =>
          (!search.level || rule.level === search.level) &&
          `${rule.title} ${rule.rule_id} ${rule.log_source} ${rule.author}`.toLowerCase().includes(wanted),
      ),
    [all, search.level, wanted],
  );
  useEffect(() => scrollTo(chosen.current), [search.rule]);
  const isKnown = !search.rule || all.some((rule) => rule.rule_id === search.rule);
  return (
    <>
      {!isKnown && (
        <MessageBar intent="warning"><MessageBarBody>The rule {search.rule} is not active any more.</MessageBarBody></MessageBar>
      )}
      <div className="toolbar">
        <Input placeholder="Find a rule" aria-label="Find a rule" value={search.text ?? ""} onChange={(_, data) => setSearch({ text: data.value || undefined })} />
        <Select aria-label="Level" value={search.level ?? ""} onChange={(_, data) => setSearch({ level: data.value || undefined })}>
          <option value="">Every level</option>
          {LEVELS.map((level) => <option key={level} value={level}>{level}</option>)}
        </Select>
        <span className="quiet">{shown.length === all.length ? plural(all.length, "rule") : `${shown.length} of ${plural(all.length, "rule")}`}</span>
      </div>
      <div className="scroll-x" tabIndex={0} role="group" aria-label="Rules">
        <table className="plain">
          <thead>
            <tr>
              <th scope="col">Level</th>
              <th scope="col">Rule</th>
              <th scope="col">Applies to</th>
              <th scope="col" className="number">Alerts in 30 days</th>
              <th scope="col">Last alert</th>
              {mayAdmin && <th scope="col"><span className="only-read">Remove</span></th>}
            </tr>
          </thead>
          <tbody>
            {shown.map((rule) => {
              const alerts = fired.get(rule.rule_id);
              const isChosen = rule.rule_id === search.rule;
              return (
                <tr key={rule.rule_id} ref={isChosen ? chosen : null} className={isChosen ? "chosen" : ""} aria-current={isChosen || undefined}>
                  <td><span className={`severity ${rule.level}`}>{rule.level}</span></td>
                  <td className="wrap">
                    <Text text={rule.title} />
                    <div className="quiet">{rule.author && <><Text text={rule.author} /> · </>}<code>{rule.rule_id}</code></div>
                  </td>
                  <td><Text text={rule.log_source} /></td>
                  <td className="number">
                    {alerts ? (
                      <Link to="/alerts" search={(previous) => ({ tz: previous.tz, rule: rule.title, range: "30d" }) as never}>{showCount(alerts.count)}</Link>
                    ) : (
                      <span className="quiet">0</span>
                    )}
                  </td>
                  <td className="time">{alerts ? showTime(alerts.last, zone).slice(0, 19) : ""}</td>
                  {mayAdmin && (
                    <td><Button size="small" appearance="subtle" aria-label={`Remove ${rule.title}`} onClick={() => setRemoving(rule)}>Remove</Button></td>
                  )}
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
      {removing && (
        <Confirm
          title="Remove this rule?"
          action="Remove"
          close={() => setRemoving(undefined)}
          act={async () => {
            await send("DELETE", `/v1/rules/${encodeURIComponent(removing.rule_id)}`);
            await client.invalidateQueries({ queryKey: ["rules"] });
          }}
        >
          <p>“<Text text={removing.title} />” stops matching at once. Its alerts stay. To have it again, add its file again.</p>
        </Confirm>
      )}
    </>
  );
}

/** Files of one upload; the server's own limit of bytes is lower mostly. */
const FILES_MAX = 5_000;

function AddRules({ close }: { close(): void }) {
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [files, setFiles] = useState<{ name: string; text: string }[]>([]);
  const [report, setReport] = useState<RuleSetReport>();
  const [error, setError] = useState<unknown>();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => scrollTo(place.current), []);
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const chosen = [...(event.target.files ?? [])].slice(0, FILES_MAX);
    setFiles(await Promise.all(chosen.map(async (file) => ({ name: file.name, text: await file.text() }))));
  };
  const add = async () => {
    setError(undefined);
    setReport(undefined);
    try {
      const all = [...files, ...(text.trim() ? [{ name: "from-the-page.yml", text }] : [])];
      setReport(await send<RuleSetReport>("POST", "/v1/rules", { body: { files: all } }));
      await client.invalidateQueries({ queryKey: ["rules"] });
    } catch (problem) {
      setError(problem);
    }
  };
  return (
    <div ref={place} className="panel" role="region" aria-label="Add rules">
      <div className="section-head">
        <h2>Add rules</h2>
        <span className="grow" />
        <Button size="small" onClick={close}>Close</Button>
      </div>
      <p className="quiet">Sigma rules as YAML. A rule of the same id is replaced. What cannot be loaded is named with the reason, and the others load.</p>
      <Field label="Files">
        <input type="file" multiple accept=".yml,.yaml" onChange={(event) => void choose(event)} />
      </Field>
      <Field label="Or their text">
        <Textarea value={text} rows={10} className="mono-field" onChange={(_, data) => setText(data.value)} />
      </Field>
      <p>
        <Button appearance="primary" disabled={files.length === 0 && text.trim() === ""} onClick={() => void add()}>Add</Button>
      </p>
      {error !== undefined && <Failure error={error} title="No rule was added" />}
      {report && (
        <MessageBar intent={report.not_loaded.length > 0 ? "warning" : "success"} layout="multiline">
          <MessageBarBody>
            <MessageBarTitle>
              {plural(report.loaded, "rule")} loaded, {report.unchanged} as before, {report.not_loaded.length} not loaded
            </MessageBarTitle>
            <ul>
              {report.not_loaded.map((rule, index) => (
                <li key={index}><Text text={`${rule.file}: ${rule.title || rule.rule_id || "a rule"}: ${rule.problem ?? ""}`} /></li>
              ))}
            </ul>
          </MessageBarBody>
        </MessageBar>
      )}
    </div>
  );
}
