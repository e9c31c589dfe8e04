// Alerts of each hour as stacked bars. Drawn with what every page has: the library of charts would double the first load.
import { useZone } from "../app/session";
import { SEVERITY_COLOUR } from "../app/theme";
import { SEVERITIES } from "../incidents/incidents";
import { plural, showCount } from "../parts/numbers";
import { showTime } from "../parts/time";

export interface Hour {
  /** When it begins. */
  at: string;
  /** Alerts by severity, in the order of [`SEVERITIES`]: the worst first, from the bottom up. */
  counts: number[];
}

/** Hours from one label to the next. */
const LABEL_STEP = 3;

export function HourBars({ hours }: { hours: Hour[] }) {
  const zone = useZone();
  const sum = (counts: number[]) => counts.reduce((all, count) => all + count, 0);
  const most = Math.max(1, ...hours.map((hour) => sum(hour.counts)));
  const totals = SEVERITIES.map((_, index) => sum(hours.map((hour) => hour.counts[index] ?? 0)));
  const time = (hour: Hour) => showTime(hour.at, zone).slice(11, 16);
  return (
    <>
      <div className="hour-legend">
        {SEVERITIES.map((severity, index) => <span key={severity} className={`severity ${severity}`}>{severity} {showCount(totals[index] ?? 0)}</span>)}
      </div>
      <div className="hour-bars" role="img" aria-label={`Alerts by the hour: ${plural(sum(totals), "alert")}`}>
        <div className="hour-scale"><span>{showCount(most)}</span><span>0</span></div>
        {hours.map((hour, index) => (
          <div key={hour.at} className="hour" title={`${time(hour)}: ${hourText(hour)}`}>
            <div className="hour-stack">
              {hour.counts.map((count, severity) => count > 0 && <span key={severity} style={{ height: `${(100 * count) / most}%`, background: SEVERITY_COLOUR[SEVERITIES[severity] ?? ""] }} />)}
            </div>
            <span className="hour-label">{(hours.length - 1 - index) % LABEL_STEP === 0 ? time(hour) : ""}</span>
          </div>
        ))}
      </div>
    </>
  );
}

function hourText({ counts }: Hour): string {
  return counts.map((count, index) => (count > 0 ? `${showCount(count)} ${SEVERITIES[index]}` : "")).filter(Boolean).join(", ") || "no alert";
}
