// What the server says of rule files: what loads, what its tests say, and what is wrong at which line.
import { MessageBar, MessageBarBody, MessageBarTitle } from "@fluentui/react-components";
import type { RuleSetReport } from "../api/types";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import { excerpt, serverProblem, type TextProblem } from "./ruleText";

export interface RuleFile {
  name: string;
  text: string;
}

interface RuleReportProps {
  files: RuleFile[];
  report: RuleSetReport;
  /** Of files that were only looked at: nothing of them runs. */
  isDraft?: boolean;
}

export function RuleReport({ files, report, isDraft = false }: RuleReportProps) {
  const texts = new Map(files.map((file) => [file.name, file.text]));
  const isBad = report.not_loaded.length + report.failed_tests.length > 0;
  return (
    <>
      <MessageBar intent={isBad ? "warning" : "success"} layout="multiline">
        <MessageBarBody>
          <MessageBarTitle>{isDraft ? draftTitle(report) : addedTitle(report)}</MessageBarTitle>
        </MessageBarBody>
      </MessageBar>
      {report.failed_tests.map((one, index) => (
        <p key={index} className="bad">
          {isDraft ? "The test " : <><strong><Text text={one.title || one.rule_id} /></strong> is active, but its test </>}
          “<Text text={one.test} />” {one.expected ? "should match and does not" : "should not match and does"}.
        </p>
      ))}
      {report.warnings.map((one, index) => (
        <div key={index}>
          <p><strong><Text text={one.title || one.rule_id} /></strong> {isDraft ? "can run" : "is active"}, but:</p>
          <AtLine text={texts.get(one.file) ?? ""} line={one.line} message={one.message} />
        </div>
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

function draftTitle(report: RuleSetReport): string {
  if (report.not_loaded.length > 0) return `${plural(report.not_loaded.length, "rule")} cannot run; nothing was changed`;
  if (report.num_tests === 0) return "It can run, and has no tests";
  if (report.failed_tests.length > 0) return `${report.failed_tests.length} of ${plural(report.num_tests, "test")} failed; nothing was changed`;
  return `It can run, and ${report.num_tests === 1 ? "its test is" : `its ${report.num_tests} tests are`} met`;
}

function addedTitle(report: RuleSetReport): string {
  const failed = report.failed_tests.length > 0 ? `, ${plural(report.failed_tests.length, "test")} failed` : "";
  return `${plural(report.loaded, "rule")} loaded, ${report.unchanged} as before, ${report.not_loaded.length} not loaded${failed}`;
}

/** A problem under the lines it is about. */
export function AtLine({ text, line, message }: TextProblem & { text: string }) {
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
