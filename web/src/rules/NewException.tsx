// A new exception: of which rule, where which fields have which values, why, until when; and what it would take away.
import { Button, Field, Input, Select, Spinner, Textarea } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef, useState, type FormEvent } from "react";
import { send } from "../api/client";
import type { RuleSummary } from "../api/types";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { scrollTo } from "../parts/scroll";
import { parseRange, rangeBounds, rangeLabel } from "../parts/time";
import { useTyped } from "../parts/useTyped";
import { CONDITIONS_MAX, dayAfter, DAYS_MAX, endOf, filledIn, NO_CONDITION, parseWhere, problemOf, TESTS, type Condition, type ExceptionPreview, type Test } from "./exceptions";
import { Match } from "./Match";

const RANGES = ["24h", "7d", "30d", "90d", "all"];
/** Excepted matches that are drawn; all are counted. */
const MATCHES_MAX = 20;

interface NewExceptionProps {
  /** All rules; those that can have exceptions are offered. */
  rules: RuleSummary[];
  /** Empty while none is chosen. */
  ruleId: string;
  /** The conditions as the address has them. */
  where: string;
  chooseRule(id: string): void;
  setWhere(where: string | undefined): void;
  close(): void;
}

export function NewException({ rules, ruleId, where, chooseRule, setWhere, close }: NewExceptionProps) {
  const client = useQueryClient();
  const [typed, setTyped] = useTyped(where, (text) => setWhere(text || undefined));
  const [reason, setReason] = useState("");
  const [day, setDay] = useState(dayAfter());
  const [range, setRange] = useState("7d");
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => scrollTo(place.current), []);
  const parsed = parseWhere(typed);
  const conditions = parsed.length > 0 ? parsed : [NO_CONDITION];
  const problem = problemOf(conditions);
  const isBadDay = day < dayAfter(0) || day > dayAfter(DAYS_MAX);
  const rule = rules.find((one) => one.rule_id === ruleId);
  const isReady = rule !== undefined && problem === "" && !isBadDay && reason.trim() !== "";
  const make = async () => {
    setBusy(true);
    setError(undefined);
    try {
      await send("POST", "/v1/exceptions", { body: { rule_id: ruleId, conditions: filledIn(conditions), reason: reason.trim(), expires: endOf(day) } });
      await client.invalidateQueries({ queryKey: ["exceptions"] });
      close();
    } catch (refusal) {
      setError(refusal);
      setBusy(false);
    }
  };
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (isReady) void make();
  };
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
        {ruleId !== "" && <Preview key={`${ruleId}\n${typed}`} ruleId={ruleId} conditions={conditions} problem={problem} range={range} setRange={setRange} />}
        <Field label="Why" required hint="What it is, and who says that it is expected. It stays in the audit.">
          <Textarea value={reason} rows={2} onChange={(_, data) => setReason(data.value)} />
        </Field>
        <Field label="Last day, in UTC" required validationState={isBadDay ? "error" : "none"} validationMessage={isBadDay ? `A day from today to ${dayAfter(DAYS_MAX)}.` : ""}>
          <Input type="date" value={day} min={dayAfter(0)} max={dayAfter(DAYS_MAX)} onChange={(_, data) => setDay(data.value)} />
        </Field>
        {error !== undefined && <Failure error={error} title="Not made" />}
        <div><Button type="submit" appearance="primary" disabled={!isReady || isBusy}>Make the exception</Button></div>
      </form>
    </div>
  );
}

function RuleField({ rules, rule, ruleId, choose }: { rules: RuleSummary[]; rule: RuleSummary | undefined; ruleId: string; choose(id: string): void }) {
  // A correlation refers to rules, and a rule that rests matches nothing.
  const offered = rules.filter((one) => one.enabled && one.log_source !== "");
  const isOffered = offered.some((one) => one.rule_id === ruleId);
  const problem =
    ruleId === "" || isOffered ? ""
    : rule === undefined ? "There is no such rule any more: choose another."
    : rule.enabled ? "A correlation has no exceptions of its own: choose the rule whose events it counts."
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
  const set = (index: number, part: Partial<Condition>) => change(conditions.map((one, at) => (at === index ? { ...one, ...part } : one)));
  return (
    <fieldset className="conditions">
      <legend>Excepted where all of these hold</legend>
      {conditions.map((condition, index) => (
        <div key={index} className="condition">
          <Input aria-label={`Field ${index + 1}`} placeholder="Field, such as Image" value={condition.field} onChange={(_, data) => set(index, { field: data.value })} />
          <Select aria-label={`Comparison ${index + 1}`} value={condition.test} onChange={(_, data) => set(index, { test: data.value as Test })}>
            {TESTS.map(({ value, words }) => <option key={value} value={value}>{words}</option>)}
          </Select>
          <Textarea aria-label={`Values ${index + 1}`} placeholder="Values, a line each" rows={Math.min(6, Math.max(1, condition.values.length))} value={condition.values.join("\n")} onChange={(_, data) => set(index, { values: data.value.split("\n") })} />
          <Button size="small" appearance="subtle" disabled={conditions.length === 1} aria-label={`Remove condition ${index + 1}`} onClick={() => change(conditions.filter((_, at) => at !== index))}>Remove</Button>
        </div>
      ))}
      <div><Button size="small" disabled={conditions.length >= CONDITIONS_MAX} onClick={() => change([...conditions, NO_CONDITION])}>One more condition</Button></div>
    </fieldset>
  );
}

interface PreviewProps {
  ruleId: string;
  conditions: Condition[];
  /** What is still wrong with the conditions; empty when nothing is. */
  problem: string;
  range: string;
  setRange(range: string): void;
}

/** What it would take away of what is stored; drawn anew for other conditions, so that no answer stands beside others. */
function Preview({ ruleId, conditions, problem, range, setRange }: PreviewProps) {
  const zone = useZone();
  const [preview, setPreview] = useState<ExceptionPreview>();
  const [error, setError] = useState<unknown>();
  const [isBusy, setBusy] = useState(false);
  const look = async () => {
    setBusy(true);
    setError(undefined);
    setPreview(undefined);
    try {
      setPreview(await send<ExceptionPreview>("POST", "/v1/exceptions/preview", { body: { rule_id: ruleId, conditions: filledIn(conditions), ...rangeBounds(parseRange(range)) } }));
    } catch (refusal) {
      setError(refusal);
    } finally {
      setBusy(false);
    }
  };
  return (
    <div>
      <div className="toolbar">
        <Select aria-label="Time to look at" value={range} onChange={(_, data) => setRange(data.value)}>
          {RANGES.map((text) => <option key={text} value={text}>{rangeLabel(parseRange(text), zone)}</option>)}
        </Select>
        <Button disabled={problem !== "" || isBusy} onClick={() => void look()}>See what it would take away</Button>
        {isBusy && <Spinner size="tiny" label="Reading what is stored" />}
        {problem !== "" && <span className="quiet">{problem}</span>}
      </div>
      {error !== undefined && <Failure error={error} title="Not looked" />}
      {preview && <Previewed preview={preview} />}
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
