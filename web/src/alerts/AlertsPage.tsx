// The triage list: worst and newest first, one key a step, everything about an alert beside it.
import { Button, MessageBar, MessageBarBody, Spinner, ToggleButton } from "@fluentui/react-components";
import { DismissRegular } from "@fluentui/react-icons";
import { useQuery } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { Failure } from "../app/Failure";
import { useZone } from "../app/session";
import { plural, showCount } from "../parts/numbers";
import { RangePicker } from "../parts/RangePicker";
import { Text } from "../parts/Text";
import { parseRange, rangeBounds, secondsSince, showAge, showTime } from "../parts/time";
import { useKeys } from "../parts/useKeys";
import { Find } from "../parts/Find";
import { SEVERITIES } from "../incidents/incidents";
import { ALERTS_MAX, alertsQuery, fetchAlerts, fetchCounts, type Alert } from "./alerts";
import { AlertDetail } from "./AlertDetail";

const ROW_HEIGHT = 52;
const REFRESH_MS = 30_000;

interface AlertsSearch {
  range?: string;
  severity?: string;
  rule?: string;
  alert?: string;
  text?: string;
}

export function AlertsPage() {
  const search = useSearch({ from: "/alerts" }) as AlertsSearch;
  const navigate = useNavigate({ from: "/alerts" });
  const zone = useZone();
  const range = useMemo(() => parseRange(search.range, "7d"), [search.range]);
  const filter = useMemo(() => ({ severity: search.severity, rule: search.rule, text: search.text }), [search.severity, search.rule, search.text]);
  const key = [filter, search.range ?? "7d"];
  const alerts = useQuery({ queryKey: ["alerts", ...key], queryFn: () => fetchAlerts(filter, rangeBounds(range)), refetchInterval: REFRESH_MS });
  const counts = useQuery({ queryKey: ["alert-counts", ...key], queryFn: () => fetchCounts(filter, rangeBounds(range)), refetchInterval: REFRESH_MS });
  const list = alerts.data ?? [];
  const setSearch = (change: Partial<AlertsSearch>, replace = true) =>
    void navigate({ search: (previous: object) => ({ ...previous, ...change }) as never, replace });
  const chosen = list.findIndex((alert) => alert.id === search.alert);
  const [at, setAt] = useState(0);
  const place = chosen >= 0 ? chosen : Math.min(at, Math.max(0, list.length - 1));

  const go = (to: number) => {
    const next = Math.max(0, Math.min(list.length - 1, to));
    setAt(next);
    const alert = list[next];
    // With an alert open, the next one opens in its place.
    if (alert && search.alert) setSearch({ alert: alert.id });
  };
  useKeys({
    j: () => go(place + 1),
    k: () => go(place - 1),
    ArrowDown: () => go(place + 1),
    ArrowUp: () => go(place - 1),
    Escape: () => setSearch({ alert: undefined } as never),
    Enter: () => {
      const alert = list[place];
      if (alert) setSearch({ alert: alert.id });
    },
  });

  return (
    <main className="alerts-page">
      <div className="toolbar alerts-tools">
        <h1>Alerts</h1>
        <RangePicker range={range} zone={zone} onChange={(text) => setSearch({ range: text })} />
        <div role="group" aria-label="Severity" className="toolbar">
          {SEVERITIES.map((severity) => (
            <ToggleButton
              key={severity}
              size="small"
              checked={search.severity === severity}
              onClick={() => setSearch({ severity: search.severity === severity ? undefined : severity } as never)}
            >
              <span className={`severity ${severity}`}>
                {severity} {counts.data ? showCount(counts.data[severity] ?? 0) : ""}
              </span>
            </ToggleButton>
          ))}
        </div>
        <Find label="Find in alerts" text={search.text ?? ""} onChange={(text) => setSearch({ text: text || undefined } as never)} />
        {search.rule && (
          <Button size="small" icon={<DismissRegular />} iconPosition="after" onClick={() => setSearch({ rule: undefined } as never)}>
            Rule: <Text text={search.rule} />
          </Button>
        )}
        <span className="grow" />
        <Link to="/query" search={(previous) => ({ tz: previous.tz, q: alertsQuery(filter), range: search.range ?? "7d" }) as never} className="button-link">
          As a query
        </Link>
      </div>
      <div className="alerts-body">
        <div className="alerts-list-frame">
          {alerts.isPending && <Spinner label="Reading alerts" />}
          {alerts.isError && <Failure error={alerts.error} retry={() => void alerts.refetch()} />}
          {alerts.isSuccess && list.length === 0 && (
            <p className="grid-empty">
              No alert in this time meets these filters.{" "}
              {search.severity || search.rule || search.text ? (
                <button type="button" className="text-link" onClick={() => setSearch({ severity: undefined, rule: undefined, text: undefined } as never)}>Without the filters</button>
              ) : (
                <Link to="/rules" search={(previous) => ({ tz: previous.tz }) as never}>See which rules run</Link>
              )}
            </p>
          )}
          {list.length >= ALERTS_MAX && (
            <MessageBar intent="info"><MessageBarBody>The first {plural(list.length, "alert")} are shown: worst first, then newest.</MessageBarBody></MessageBar>
          )}
          {list.length > 0 && <List list={list} place={place} isOpen={search.alert !== undefined} zone={zone} open={(alert, index) => { setAt(index); setSearch({ alert: alert.id }); }} />}
        </div>
        {search.alert && <AlertDetail id={search.alert} close={() => setSearch({ alert: undefined } as never)} chooseRule={(rule) => setSearch({ rule })} />}
      </div>
    </main>
  );
}

/** What an alert is about, in a line; those of Moneta itself rest on no event and describe it. */
function aboutLine({ entity, eventTable, eventCount, tactics, description }: Alert): string {
  const parts = [entity, eventTable && `${plural(eventCount, "event")} of ${eventTable}`, tactics].filter(Boolean);
  return parts.length > 0 ? parts.join(" · ") : description;
}

interface ListProps {
  list: Alert[];
  place: number;
  isOpen: boolean;
  zone: "utc" | "local";
  open(alert: Alert, index: number): void;
}

function List({ list, place, isOpen, zone, open }: ListProps) {
  const scroller = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({ count: list.length, getScrollElement: () => scroller.current, estimateSize: () => ROW_HEIGHT, overscan: 8 });
  useEffect(() => rows.scrollToIndex(place), [place, rows]);
  return (
    <div ref={scroller} className="alerts-list" role="listbox" aria-label="Alerts; j and k move, Enter opens" tabIndex={0} aria-activedescendant={`alert-${place}`}>
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {rows.getVirtualItems().map((item) => {
          const alert = list[item.index];
          if (!alert) return null;
          return (
            <div
              key={alert.id}
              id={`alert-${item.index}`}
              role="option"
              aria-selected={item.index === place}
              aria-setsize={list.length}
              aria-posinset={item.index + 1}
              className={`alert-line${item.index === place ? " current" : ""}${isOpen && item.index === place ? " open" : ""}`}
              style={{ transform: `translateY(${item.start}px)`, height: item.size }}
              onClick={() => open(alert, item.index)}
            >
              <span className={`severity ${alert.severity}`}>{alert.severity}</span>
              <span className="alert-name">
                <strong><Text text={alert.name} /></strong>
                <span className="quiet"><Text text={aboutLine(alert)} /></span>
              </span>
              <span className="alert-when" title={showTime(alert.at, zone)}>
                {showAge(secondsSince(alert.at))} ago
                <span className="quiet">{showTime(alert.at, zone).slice(0, 19)}</span>
              </span>
            </div>
          );
        })}
      </div>
    </div>
  );
}
