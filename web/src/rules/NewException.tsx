// A new exception: of which rule, where which fields have which values, why, until when; and what it would take away.
import { Button, Field, Input, Select, Spinner, Textarea } from "@fluentui/react-components";
import { useEffect, useId, useRef, useState } from "react";
import { send } from "../api/client";
import type { RuleSummary } from "../api/types";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { scrollTo } from "../parts/scroll";
import { parseRange, rangeLabel } from "../parts/time";
import { useSubmit } from "../parts/useSubmit";
import { useTyped } from "../parts/useTyped";
import { CONDITIONS_MAX, dayAfter, DAYS_MAX, endOf, filledIn, holdsLineEnds, NO_CONDITION, parseWhere, problemOf, TESTS, type Condition, type ExceptionPreview, type Test } from "./exceptions";
import { Match } from "./Match";
import { RANGES, useLook, useRangeOfLook } from "./useLook";

/** Excepted matches that are drawn; all are counted. */
const MATCHES_MAX = 20;

interface NewExceptionProps {
  /** All rules; those that run are offered. */
  rules: RuleSummary[];
  /** Empty while none is chosen. */
  ruleId: string;
  /** The conditions as the address has them. */
  where: string;
  chooseRule(id: string): void;
  setWhere(where: string | undefined): void;
  /** The last day as the address has it, `yyyy-mm-dd`. */
  until: string;
  setUntil(day: string): void;
  close(): void;
}

export function NewException({ rules, ruleId, where, chooseRule, setWhere, until, setUntil, close }: NewExceptionProps) {
  const [typed, setTyped] = useTyped(where, (text) => setWhere(text || undefined));
  const [reason, setReason] = useState("");
  // Half a day is typed here alone: it would be none in the address.
  const [day, setDay] = useState(until);
  const changeDay = (text: string) => {
    setDay(text);
    if (text !== "") setUntil(text);
  };
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => scrollTo(place.current), []);
  const parsed = parseWhere(typed);
  const conditions = parsed.length > 0 ? parsed : [NO_CONDITION];
  const problem = problemOf(conditions);
  const isBadDay = day < dayAfter(0) || day > dayAfter(DAYS_MAX);
  const rule = rules.find((one) => one.rule_id === ruleId);
  const isReady = rule?.enabled === true && problem === "" && !isBadDay && reason.trim() !== "";
  const { error, isBusy, submit } = useSubmit(
    () => send("POST", "/v1/exceptions", { body: { rule_id: ruleId, conditions: filledIn(conditions), reason: reason.trim(), expires: endOf(day) } }),
    "exceptions",
    close,
  );
  return (
    <div ref={place} className="panel" role="region" aria-label="New exception">
      <div className="section-head">
        <h2>New exception</h2>
        <span className="grow" />
        <Button size="small" onClick={close}>Close</Button>
      </div>
      <form className="form" onSubmit={submit}>
        <RuleField rules={rules} rule={rule} ruleId={ruleId} choose={chooseRule} />
        <Conditions conditions={conditions} change={(next) => setTyped(JSON.stringify(next))} />
        {ruleId !== "" && <Preview key={`${ruleId}\n${typed}`} ruleId={ruleId} conditions={conditions} problem={problem} />}
        <Field label="Why" required hint="What it is, and who says that it is expected. It stays in the audit.">
          <Textarea value={reason} rows={2} onChange={(_, data) => setReason(data.value)} />
        </Field>
        <Field label="Last day, in UTC" required validationState={isBadDay ? "error" : "none"} validationMessage={isBadDay ? `A day from today to ${dayAfter(DAYS_MAX)}.` : ""}>
          <Input type="date" value={day} min={dayAfter(0)} max={dayAfter(DAYS_MAX)} onChange={(_, data) => changeDay(data.value)} />
        </Field>
        {error !== undefined && <Failure error={error} title="Not made" />}
        <div><Button type="submit" appearance="primary" disabled={!isReady || isBusy}>Make the exception</Button></div>
      </form>
    </div>
  );
}

function RuleField({ rules, rule, ruleId, choose }: { rules: RuleSummary[]; rule: RuleSummary | undefined; ruleId: string; choose(id: string): void }) {
  // A rule that rests matches nothing.
  const offered = rules.filter((one) => one.enabled);
  const isOffered = offered.some((one) => one.rule_id === ruleId);
  const problem =
    ruleId === "" || isOffered ? ""
    : rule === undefined ? "It is not among the rules that run or rest: choose another."
    : "This rule rests and raises nothing: let it run first.";
  return (
    <Field label="Rule" required validationState={problem ? "error" : "none"} validationMessage={problem}>
      <Select value={ruleId} onChange={(_, data) => choose(data.value)}>
        <option value="">Choose one</option>
        {!isOffered && ruleId !== "" && <option value={ruleId}>{rule?.title ?? ruleId}</option>}
        {offered.map((one) => <option key={one.rule_id} value={one.rule_id}>{one.title}</option>)}
      </Select>
    </Field>
  );
}

function Conditions({ conditions, change }: { conditions: Condition[]; change(next: Condition[]): void }) {
  return (
    <fieldset className="conditions">
      <legend>Excepted where all of these hold</legend>
      {conditions.map((condition, index) => (
        <ConditionLine
          key={index}
          number={index + 1}
          condition={condition}
          isOnly={conditions.length === 1}
          change={(part) => change(conditions.map((one, at) => (at === index ? { ...one, ...part } : one)))}
          remove={() => change(conditions.filter((_, at) => at !== index))}
        />
      ))}
      <div><Button size="small" disabled={conditions.length >= CONDITIONS_MAX} onClick={() => change([...conditions, NO_CONDITION])}>One more condition</Button></div>
    </fieldset>
  );
}

interface ConditionLineProps {
  /** Its place, from 1. */
  number: number;
  condition: Condition;
  isOnly: boolean;
  change(part: Partial<Condition>): void;
  remove(): void;
}

function ConditionLine({ number, condition, isOnly, change, remove }: ConditionLineProps) {
  const hint = useId();
  const text = condition.values.join("\n");
  // A text area cannot tell a line end within a value from one between two: what is typed there would except more.
  const isFixed = holdsLineEnds(condition);
  return (
    <>
      <div className="condition">
        <Input aria-label={`Field ${number}`} placeholder="Field, such as Image" value={condition.field} onChange={(_, data) => change({ field: data.value })} />
        <Select aria-label={`Comparison ${number}`} value={condition.test} onChange={(_, data) => change({ test: data.value as Test })}>
          {TESTS.map(({ value, words }) => <option key={value} value={value}>{words}</option>)}
        </Select>
        <Textarea aria-label={`Values ${number}`} aria-describedby={isFixed ? hint : undefined} placeholder="Values, a line each" rows={Math.min(6, text.split("\n").length)} readOnly={isFixed} value={text} onChange={(_, data) => change({ values: data.value.split("\n") })} />
        <Button size="small" appearance="subtle" disabled={isOnly && !isFixed} aria-label={`Remove condition ${number}`} onClick={remove}>Remove</Button>
      </div>
      {isFixed && <p id={hint} className="quiet">Values of condition {number} hold line ends and cannot be changed here: remove it to write another.</p>}
    </>
  );
}

interface PreviewProps {
  ruleId: string;
  conditions: Condition[];
  /** What is still wrong with the conditions; empty when nothing is. */
  problem: string;
}

/** What it would take away of what is stored; drawn anew for other conditions, so that no answer stands beside others. */
function Preview({ ruleId, conditions, problem }: PreviewProps) {
  const zone = useZone();
  const [range, setRange] = useRangeOfLook(RANGES);
  const { report, error, isBusy, look } = useLook(range, (bounds) => send<ExceptionPreview>("POST", "/v1/exceptions/preview", { body: { rule_id: ruleId, conditions: filledIn(conditions), ...bounds } }));
  return (
    <div>
      <div className="toolbar">
        <Select aria-label="Time to look at" value={range} onChange={(_, data) => setRange(data.value)}>
          {RANGES.map((text) => <option key={text} value={text}>{rangeLabel(parseRange(text), zone)}</option>)}
        </Select>
        <Button disabled={problem !== "" || isBusy} onClick={look}>See what it would take away</Button>
        {isBusy && <Spinner size="tiny" label="Reading what is stored" />}
        {problem !== "" && <span className="quiet">{problem}</span>}
      </div>
      {error !== undefined && <Failure error={error} title="Not looked" />}
      {report && <Previewed preview={report} />}
    </div>
  );
}

function Previewed({ preview }: { preview: ExceptionPreview }) {
  const { num_rows, num_matches, num_excepted, excepted } = preview;
  const shown = excepted.slice(0, MATCHES_MAX);
  return (
    <>
      <p role="status">
        <strong>{num_excepted === 0 ? "It would take nothing away" : `It would take away ${showCount(num_excepted)} of ${plural(num_matches, "match", "matches")}`}</strong>
        {num_excepted === 0 && num_matches > 0 && `: ${plural(num_matches, "match", "matches")} would stay`}. {plural(num_rows, "row")} looked at.
        {num_excepted > 0 && num_excepted === num_matches && num_matches > 1 && " Nothing of the rule would be left: is that meant?"}
        {shown.length > 0 && num_excepted > shown.length && ` The first ${shown.length} are listed.`}
      </p>
      {shown.map((match, index) => <Match key={index} match={match} />)}
    </>
  );
}
