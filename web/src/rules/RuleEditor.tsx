// Writing a rule: its text, what is wrong with it, what its tests say, and what it would have found, before it is saved.
import { Button, MessageBar, MessageBarBody, Spinner } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useMemo, useRef, useState } from "react";
import { send } from "../api/client";
import type { RuleDetails, RuleSetReport } from "../api/types";
import { Failure } from "../app/Failure";
import { readPreference, writePreference } from "../app/preferences";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { Backfill } from "./Backfill";
import { AtLine, RuleReport, type RuleFile } from "./RuleReport";
import { factsOf, idsOf, isQueryRule, newRule, serverProblem, syntaxProblems, type TextProblem } from "./ruleText";
import { useRule } from "./rules";

const YamlEditor = lazy(() => import("./YamlEditor"));

/** The word of the address for a rule that is not there yet. */
export const NEW = "new";

interface RuleEditorProps {
  /** Id of the rule that is changed, or [`NEW`]. */
  id: string;
  close(): void;
}

export function RuleEditor({ id, close }: RuleEditorProps) {
  return (
    <section className="panel" aria-label="Write a rule">
      {id === NEW ? <Draft id={id} stored={undefined} close={close} /> : <Stored id={id} close={close} />}
    </section>
  );
}

function Stored({ id, close }: RuleEditorProps) {
  const rule = useRule(id);
  if (rule.isPending) return <Spinner label="Reading the rule" />;
  if (rule.isError) return <Failure error={rule.error} title="The rule was not read" />;
  return <Draft id={id} stored={rule.data} close={close} />;
}

/** What somebody wrote and did not save: kept in this browser, one text at a time. */
interface Unsaved {
  id: string;
  text: string;
}

function useDraft(id: string, begin: string) {
  const [text, setText] = useState(() => {
    const unsaved = readPreference<Unsaved | null>("ruleDraft", null);
    return unsaved?.id === id && typeof unsaved.text === "string" ? unsaved.text : begin;
  });
  const write = (next: string) => {
    setText(next);
    writePreference("ruleDraft", next === begin ? null : { id, text: next });
  };
  return { text, write, forget: () => writePreference("ruleDraft", null), isChanged: text !== begin };
}

type Answer = { text: string; kind: "checked" | "saved"; report: RuleSetReport } | { text: string; kind: "failed"; error: unknown };

function Draft({ id, stored, close }: RuleEditorProps & { stored: RuleDetails | undefined }) {
  const client = useQueryClient();
  const [begin, setBegin] = useState(() => stored?.source.text ?? newRule(crypto.randomUUID()));
  const { text, write, forget, isChanged } = useDraft(id, begin);
  const [answer, setAnswer] = useState<Answer>();
  const [isBusy, setBusy] = useState(false);
  const place = useRef<HTMLHeadingElement>(null);
  useEffect(() => scrollTo(place.current), []);
  const files: RuleFile[] = [{ name: stored?.source.file ?? `${idsOf(text)[0] || "rule"}.yml`, text }];
  const syntax = useMemo(() => syntaxProblems(text), [text]);
  // What was said of another text is not said of this one.
  const said = answer?.text === text ? answer : undefined;
  const problems = useMemo<TextProblem[]>(() => (said && "report" in said ? said.report.not_loaded.map((rule) => serverProblem(rule.problem ?? "")) : syntax), [said, syntax]);
  const ask = async (kind: "checked" | "saved") => {
    setBusy(true);
    try {
      const report = await send<RuleSetReport>("POST", kind === "saved" ? "/v1/rules" : "/v1/rules/check", { body: { files } });
      setAnswer({ text, kind, report });
      if (kind === "saved" && report.not_loaded.length === 0) {
        forget();
        setBegin(text);
        await client.invalidateQueries({ queryKey: ["rules"] });
      }
    } catch (error) {
      setAnswer({ text, kind: "failed", error });
    } finally {
      setBusy(false);
    }
  };
  const isQuery = useMemo(() => isQueryRule(text), [text]);
  const isOther = stored !== undefined && syntax.length === 0 && !idsOf(text).includes(id);
  return (
    <>
      <div className="section-head">
        <h2 ref={place}>{stored ? <>Change “<Text text={stored.rule?.title ?? id} />”</> : "Write a rule"}</h2>
        <span className="grow" />
        {isChanged && <Button size="small" onClick={() => { write(begin); setAnswer(undefined); }}>Begin again</Button>}
        <Button size="small" onClick={close}>Close</Button>
      </div>
      {stored?.source.pack && (
        <MessageBar intent="warning"><MessageBarBody>It came with the signed pack <Text text={stored.source.pack.name} />. Saved here, it is no longer its signer’s.</MessageBarBody></MessageBar>
      )}
      <Suspense fallback={<div className="editor rule-text"><Spinner label="Editor" /></div>}>
        <YamlEditor text={text} problems={problems} onChange={write} />
      </Suspense>
      {syntax.map((problem, index) => <AtLine key={index} text={text} {...problem} />)}
      {isOther && <MessageBar intent="warning"><MessageBarBody>The id <code>{id}</code> is gone from the text: saved, this is another rule beside the one that runs.</MessageBarBody></MessageBar>}
      <div className="toolbar">
        <Button disabled={isBusy || syntax.length > 0} onClick={() => void ask("checked")}>Run tests</Button>
        <Button appearance="primary" disabled={isBusy || syntax.length > 0 || (!isChanged && (stored !== undefined || said?.kind === "saved"))} onClick={() => void ask("saved")}>Save</Button>
        {isBusy && <Spinner size="tiny" label="The server reads it" />}
        <span className="quiet">{stored ? "Saved, it runs in place of the one before." : "Saved, it runs."} What is not saved stays in this browser.</span>
      </div>
      <div role="status">
        {said?.kind === "failed" && <Failure error={said.error} title="Not done" />}
        {said && "report" in said && <RuleReport files={files} report={said.report} isDraft={said.kind === "checked"} />}
      </div>
      {isQuery && <p><Link className="button-link" to="/query" search={(previous) => ({ tz: previous.tz, q: factsOf(text, id)?.condition ?? "" }) as never}>Its query on the query page</Link></p>}
      {syntax.length === 0 && <Backfill key={text} files={files} isQuery={isQuery} />}
    </>
  );
}
