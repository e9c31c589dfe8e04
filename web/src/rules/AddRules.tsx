// Adding rules: files or text, with what is wrong shown at its line, while somebody writes and after the server looked.
import { Button, Field, MessageBar, MessageBarBody, MessageBarTitle, Textarea } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState, type ChangeEvent } from "react";
import { send } from "../api/client";
import type { RuleSetReport } from "../api/types";
import { Failure } from "../app/Failure";
import { plural } from "../parts/numbers";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { excerpt, serverProblem, syntaxProblems } from "./ruleText";

/** Files of one upload; the server's own limit of bytes is lower mostly. */
const FILES_MAX = 5_000;
const TYPED = "from-the-page.yml";

interface RuleFile {
  name: string;
  text: string;
}

export function AddRules({ close }: { close(): void }) {
  const client = useQueryClient();
  const [text, setText] = useState("");
  const [files, setFiles] = useState<RuleFile[]>([]);
  const [sent, setSent] = useState<{ files: RuleFile[]; report: RuleSetReport }>();
  const [error, setError] = useState<unknown>();
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => scrollTo(place.current), []);
  const problems = useMemo(() => (text.trim() === "" ? [] : syntaxProblems(text)), [text]);
  const choose = async (event: ChangeEvent<HTMLInputElement>) => {
    const chosen = [...(event.target.files ?? [])].slice(0, FILES_MAX);
    setFiles(await Promise.all(chosen.map(async (file) => ({ name: file.name, text: await file.text() }))));
  };
  const add = async () => {
    setError(undefined);
    setSent(undefined);
    try {
      const all = [...files, ...(text.trim() ? [{ name: TYPED, text }] : [])];
      setSent({ files: all, report: await send<RuleSetReport>("POST", "/v1/rules", { body: { files: all } }) });
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
      <p className="quiet">Sigma rules and Sentinel’s analytics rules as YAML. A rule of the same id is replaced. What cannot be loaded is named with the reason, and the others load.</p>
      <Field label="Files">
        <input type="file" aria-label="Files of rules" multiple accept=".yml,.yaml" onChange={(event) => void choose(event)} />
      </Field>
      <Field label="Or their text">
        <Textarea value={text} rows={14} className="mono-field" onChange={(_, data) => setText(data.value)} />
      </Field>
      {problems.map((problem, index) => <AtLine key={index} text={text} {...problem} />)}
      <p>
        <Button appearance="primary" disabled={files.length === 0 && text.trim() === ""} onClick={() => void add()}>Add</Button>
      </p>
      {error !== undefined && <Failure error={error} title="No rule was added" />}
      {sent && <Report {...sent} />}
    </div>
  );
}

function Report({ files, report }: { files: RuleFile[]; report: RuleSetReport }) {
  const texts = new Map(files.map((file) => [file.name, file.text]));
  return (
    <>
      <MessageBar intent={report.not_loaded.length + report.failed_tests.length > 0 ? "warning" : "success"} layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>
            {plural(report.loaded, "rule")} loaded, {report.unchanged} as before, {report.not_loaded.length} not loaded
            {report.failed_tests.length > 0 && `, ${plural(report.failed_tests.length, "test")} failed`}
          </MessageBarTitle>
        </MessageBarBody>
      </MessageBar>
      {report.failed_tests.map((one, index) => (
        <p key={index} className="bad">
          <strong><Text text={one.title || one.rule_id} /></strong> is active, but its test <Text text={one.test} />{" "}
          {one.expected ? "should match and does not" : "should not match and does"}.
        </p>
      ))}
      {report.warnings.map((one, index) => (
        <p key={index} className="bad">
          <strong><Text text={one.title || one.rule_id} /></strong> is active, but <Text text={one.message} />.
        </p>
      ))}
      {report.not_loaded.map((rule, index) => (
        <div key={index}>
          <p><strong><Text text={rule.title || rule.rule_id || "A rule"} /></strong> <span className="quiet"><Text text={rule.file} /></span></p>
          <AtLine text={texts.get(rule.file) ?? ""} {...serverProblem(rule.problem ?? "")} />
        </div>
      ))}
    </>
  );
}

/** A problem under the lines it is about. */
function AtLine({ text, line, message }: { text: string; line: number; message: string }) {
  const lines = excerpt(text, line);
  return (
    <div className="at-line" role="note">
      {lines.length > 0 && (
        <pre>
          {lines.map((one) => (
            <div key={one.number} className={one.isMeant ? "meant" : ""}><span className="line-number">{one.number}</span><Text text={one.text} /></div>
          ))}
        </pre>
      )}
      <p className="bad">{line > 0 && `Line ${line}: `}<Text text={message} /></p>
    </div>
  );
}
