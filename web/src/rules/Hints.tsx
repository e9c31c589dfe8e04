// What verdicts say of how to tune a rule: exceptions that would take away alerts judged wrong and none judged right.
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { send } from "../api/client";
import type { RuleTuning, VerdictCounts } from "../api/types";
import { Failure } from "../app/Failure";
import { useMayAdmin } from "../app/session";
import { Text } from "../parts/Text";

export function Hints({ ruleId }: { ruleId: string }) {
  const mayAdmin = useMayAdmin();
  const tuning = useQuery({ queryKey: ["tuning", ruleId], queryFn: () => send<RuleTuning>("GET", `/v1/rules/${encodeURIComponent(ruleId)}/tuning`) });
  if (tuning.isError) return <Failure error={tuning.error} title="The judged alerts were not replayed" />;
  if (!tuning.data || tuning.data.hints.length === 0) return null;
  return (
    <>
      <h3>What the alerts judged wrong share</h3>
      <p className="quiet">No alert judged right has these values. Of {countsInWords(tuning.data.replayed)}, replayed with the exception:</p>
      <ul>
        {tuning.data.hints.map((hint) => (
          <li key={JSON.stringify(hint.conditions)} className="wrap">
            {hint.conditions.map((condition) => (
              <span key={condition.field}><code><Text text={condition.field} /></code> is <Text text={condition.values.join(" or ")} /></span>
            ))}
            : {countsInWords(hint.removes)} would go.{" "}
            {mayAdmin && <Link className="button-link" to="/rules" search={(previous) => ({ tz: previous.tz, view: "exceptions", except: ruleId, where: JSON.stringify(hint.conditions) }) as never}>Except them…</Link>}
          </li>
        ))}
      </ul>
    </>
  );
}

/** Counts that are not zero: `2 true, 3 false`. */
export function countsInWords(counts: VerdictCounts): string {
  const words: [number, string][] = [
    [counts.true_positive, "true"], [counts.benign_positive, "benign"], [counts.false_positive, "false"],
    [counts.undetermined, "undetermined"], [counts.open, "open"],
  ];
  return words.filter(([count]) => count > 0).map(([count, word]) => `${count} ${word}`).join(", ") || "none";
}
