// Why a rule matches a stored event, or does not, as the server reckons it part by part.
import { Spinner } from "@fluentui/react-components";
import { useQuery } from "@tanstack/react-query";
import { send } from "../api/client";
import { Failure } from "../app/Failure";
import { Text } from "../parts/Text";

interface EventExplanation {
  holds: boolean;
  lines: string[];
}

export function Explanation({ ruleId, table, seq }: { ruleId: string; table: string; seq: number | string }) {
  const explanation = useQuery({
    queryKey: ["rules", "explain", ruleId, table, String(seq)],
    queryFn: () => send<EventExplanation>("POST", `/v1/rules/${encodeURIComponent(ruleId)}/explain`, { body: { table, seq: Number(seq) } }),
  });
  if (explanation.isPending) return <Spinner size="tiny" label="Asking why" />;
  if (explanation.isError) return <Failure error={explanation.error} title="Not explained" />;
  return (
    <pre className="panel limited" tabIndex={0} aria-label={explanation.data.holds ? "Why it matches" : "Why it does not match"}>
      {explanation.data.lines.map((line, index) => <span key={index} className={`reason ${/^ *\+ /.test(line) ? "met" : ""}`}><Text text={line} />{"\n"}</span>)}
    </pre>
  );
}
