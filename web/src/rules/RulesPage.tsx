// The detection rules: which there are and which run, what they cover, adding and removing.
import { Button, Input, MessageBar, MessageBarBody, Select, Tab, TabList } from "@fluentui/react-components";
import { AddRegular, EditRegular } from "@fluentui/react-icons";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef } from "react";
import { send } from "../api/client";
import type { RuleSummary } from "../api/types";
import { useMayAdmin, useZone } from "../app/session";
import { Confirm } from "../parts/Confirm";
import { plural, showCount } from "../parts/numbers";
import { Answered, Page } from "../parts/Page";
import { Text } from "../parts/Text";
import { scrollTo } from "../parts/scroll";
import { showTime } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { useStatus } from "../query/schema";
import { AddRules } from "./AddRules";
import { Coverage } from "./Coverage";
import { Exceptions, type ExceptionsSearch } from "./Exceptions";
import { Matrix } from "./Matrix";
import { RuleDetail } from "./RuleDetail";
import { NEW, RuleEditor } from "./RuleEditor";
import { LEVELS, useFired, useRules, type Fired } from "./rules";

interface RulesSearch extends ExceptionsSearch {
  text?: string;
  level?: string;
  rule?: string;
  view?: string;
  runs?: string;
  edit?: string;
  add?: string;
  cell?: string;
}

const VIEWS = ["list", "matrix", "coverage", "exceptions"];

export function RulesPage() {
  const search = useSearch({ from: "/rules" }) as RulesSearch;
  const navigate = useNavigate({ from: "/rules" });
  const rules = useRules();
  const fired = useFired();
  const mayAdmin = useMayAdmin();
  const client = useQueryClient();
  const { dialog, subject: removing, open } = useDialog();
  const setSearch = (change: Record<string, string | undefined>) => void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace: true });
  const view = VIEWS.find((one) => one === search.view) ?? "list";
  const title = rules.data?.find((rule) => rule.rule_id === removing)?.title ?? removing;
  const alerts = fired.data ?? NONE;
  const status = useStatus();
  const stored = useMemo(() => status.data && new Map(status.data.tables.map((table) => [table.name, table.num_rows])), [status.data]);
  return (
    <div className="alerts-body with-detail">
      <div className="detail-beside">
        <Page title="Rules" tools={mayAdmin && <Tools setSearch={setSearch} />}>
          {mayAdmin && search.add && <AddRules close={() => setSearch({ add: undefined })} />}
          {mayAdmin && search.edit && <RuleEditor key={search.edit} id={search.edit} close={() => setSearch({ edit: undefined })} />}
          <TabList selectedValue={view} onTabSelect={(_, data) => setSearch({ view: data.value === "list" ? undefined : String(data.value) })}>
            <Tab value="list">List</Tab>
            <Tab value="matrix">ATT&CK</Tab>
            <Tab value="coverage">Kinds of log</Tab>
            <Tab value="exceptions">Exceptions</Tab>
          </TabList>
          <Answered query={rules}>
            {(all) =>
              view === "coverage" ? (
                <Coverage rules={all} fired={alerts} stored={stored} />
              ) : view === "exceptions" ? (
                <Exceptions rules={all} search={search} setSearch={setSearch} />
              ) : view === "matrix" ? (
                <Matrix rules={all} fired={alerts} stored={stored} cell={search.cell} open={(cell) => setSearch({ cell })} choose={(rule) => setSearch({ rule })} />
              ) : (
                <RuleList all={all} fired={alerts} search={search} setSearch={setSearch} />
              )
            }
          </Answered>
        </Page>
      </div>
      {search.rule && !search.edit && <RuleDetail key={search.rule} id={search.rule} setSearch={setSearch} remove={mayAdmin ? () => open("remove", search.rule) : undefined} />}
      {mayAdmin && dialog === "remove" && removing !== "" && (
        <Confirm
          title="Remove this rule?"
          action="Remove"
          close={() => open(undefined)}
          act={async () => {
            await send("DELETE", `/v1/rules/${encodeURIComponent(removing)}`);
            setSearch({ rule: undefined, dialog: undefined });
            // The list alone: the rule that is gone may still be on the page, and nobody has it any more.
            await client.invalidateQueries({ queryKey: ["rules"], exact: true });
          }}
        >
          <p>“<Text text={title} />” stops matching at once. Its alerts stay. To have it again, add its file again.</p>
        </Confirm>
      )}
    </div>
  );
}

function Tools({ setSearch }: Pick<RuleListProps, "setSearch">) {
  return (
    <>
      <Button appearance="primary" icon={<EditRegular />} onClick={() => setSearch({ edit: NEW, rule: undefined, add: undefined })}>Write a rule</Button>
      <Button icon={<AddRegular />} onClick={() => setSearch({ add: "files", edit: undefined })}>Add files</Button>
    </>
  );
}

const NONE = new Map<string, Fired>();

/** Whether a rule runs, as the address says it. */
function stateOf(rule: RuleSummary): "yes" | "no" | "stopped" {
  if (!rule.enabled) return "no";
  return rule.problem ? "stopped" : "yes";
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
  const chosen = useRef<HTMLTableRowElement>(null);
  const wanted = (search.text ?? "").toLowerCase();
  const shown = useMemo(
    () =>
      all.filter(
        (rule) =>
          (!search.level || rule.level === search.level) &&
          (!search.runs || stateOf(rule) === search.runs) &&
          `${rule.title} ${rule.rule_id} ${rule.log_source} ${rule.author}`.toLowerCase().includes(wanted),
      ),
    [all, search.level, search.runs, wanted],
  );
  // While it is edited, the editor is what is looked at.
  useEffect(() => (search.edit ? undefined : scrollTo(chosen.current)), [search.rule, search.edit]);
  if (all.length === 0) {
    return (
      <p>
        There is no rule yet, so nothing raises an alert.{" "}
        {mayAdmin ? <>Write one or add files, both above: <code>content/rules</code> of the repository has many to begin with.</> : "An administrator adds them here."}
      </p>
    );
  }
  const isKnown = !search.rule || all.some((rule) => rule.rule_id === search.rule);
  return (
    <>
      {!isKnown && (
        <MessageBar intent="warning"><MessageBarBody>The rule <Text text={search.rule ?? ""} /> is not among those that run or rest.</MessageBarBody></MessageBar>
      )}
      <div className="toolbar">
        <Input placeholder="Find a rule" aria-label="Find a rule" value={search.text ?? ""} onChange={(_, data) => setSearch({ text: data.value || undefined })} />
        <Select aria-label="Level" value={search.level ?? ""} onChange={(_, data) => setSearch({ level: data.value || undefined })}>
          <option value="">Every level</option>
          {LEVELS.map((level) => <option key={level} value={level}>{level}</option>)}
        </Select>
        <Select aria-label="Runs" value={search.runs ?? ""} onChange={(_, data) => setSearch({ runs: data.value || undefined })}>
          <option value="">Running or not</option>
          <option value="yes">Running</option>
          <option value="no">Resting</option>
          <option value="stopped">Cannot run</option>
        </Select>
        <span className="quiet">{shown.length === all.length ? plural(all.length, "rule") : `${shown.length} of ${plural(all.length, "rule")}`}</span>
      </div>
      <div className="scroll-x" tabIndex={0} role="group" aria-label="Rules">
        <table className="plain">
          <thead>
            <tr>
              <th scope="col">Level</th>
              <th scope="col">Rule</th>
              <th scope="col" className="aside">Applies to</th>
              <th scope="col" className="number">Alerts in 30 days</th>
              <th scope="col" className="aside">Last alert</th>
              <th scope="col" className="aside" title="Of the incidents that people judged, the share that was a true positive">True positives</th>
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
                    <button type="button" className="text-link" onClick={() => setSearch({ rule: rule.rule_id })}><Text text={rule.title} /></button>{!rule.enabled && <span className="quiet"> rests</span>}
                    {stateOf(rule) === "stopped" && <div className="bad">Cannot run: <Text text={rule.problem ?? ""} /></div>}
                    <div className="quiet">{rule.author && <Text text={rule.author} />}<span className="aside">{rule.author && " · "}<code>{rule.rule_id}</code></span></div>
                  </td>
                  <td className="aside">{rule.log_source === "" ? <span className="quiet">events of other rules</span> : <Text text={rule.log_source} />}</td>
                  <td className="number">
                    {alerts ? (
                      <Link to="/alerts" search={(previous) => ({ tz: previous.tz, rule: rule.title, range: "30d" }) as never}>{showCount(alerts.count)}</Link>
                    ) : (
                      <span className="quiet">0</span>
                    )}
                  </td>
                  <td className="time aside">{alerts ? showTime(alerts.last, zone).slice(0, 19) : ""}</td>
                  <td className="time aside">{rule.judgement.precision === null ? "" : `${(rule.judgement.precision * 100).toFixed(0)} %`}</td>
                </tr>
              );
            })}
          </tbody>
        </table>
      </div>
    </>
  );
}
