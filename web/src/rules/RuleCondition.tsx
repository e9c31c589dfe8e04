// The part of a rule that decides, as it was written.
import { Spinner } from "@fluentui/react-components";
import { Failure } from "../app/Failure";
import { Text } from "../parts/Text";
import { factsOf } from "./ruleText";
import { useRule } from "./rules";

export function RuleCondition({ ruleId }: { ruleId: string }) {
  const rule = useRule(ruleId);
  if (rule.isPending) return <Spinner size="tiny" label="Reading the rule" />;
  if (rule.isError) return <Failure error={rule.error} title="The rule was not read" />;
  const condition = factsOf(rule.data.source.text, ruleId)?.condition || rule.data.source.text;
  return <pre className="panel limited" tabIndex={0}><Text text={condition} /></pre>;
}
