// The overview: what is wrong, since when, who has it, what next. Read in ten seconds by somebody who was asleep.
import { Spinner } from "@fluentui/react-components";
import { CheckmarkCircleFilled, ErrorCircleFilled, InfoFilled, WarningFilled } from "@fluentui/react-icons";
import { useQuery } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useEffect, useMemo, useState } from "react";
import { Refusal, send } from "../api/client";
import type { PartState, Status } from "../api/types";
import { Failure } from "../app/Failure";
import { useSession, useZone } from "../app/session";
import { plural, showBytes, showCount } from "../parts/numbers";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { useStatus } from "../query/schema";
import type { QueueFilter } from "../incidents/incidents";
import { useQueue } from "../incidents/useIncidents";
import { useChannels } from "../settings/channels";
import { useSources } from "../sources/sources";
import { problems, shortList, verdict, type Problem, type Weight } from "./problems";
import { AlertsOverTime } from "./AlertsOverTime";

/** Problems listed at most; the rest is a link. */
const PROBLEMS_MAX = 10;
const REFRESH_MS = 30_000;

function useParts() {
  return useQuery({
    queryKey: ["readyz"],
    refetchInterval: REFRESH_MS,
    queryFn: async (): Promise<PartState[]> => {
      try {
        return (await send<{ parts: PartState[] }>("GET", "/health/readyz")).parts;
      } catch (error) {
        // A server that is not ready says so with an error status, and why in the same form.
        const body = error instanceof Refusal && error.status === 503 ? (error.body as { parts?: PartState[] } | undefined) : undefined;
        if (body?.parts) return body.parts;
        throw error;
      }
    },
  });
}

export function HomePage() {
  const mayQuery = useSession().session.scopes.some((scope) => scope !== "ingest");
  if (!mayQuery) {
    return (
      <main className="page">
        <h1>Moneta</h1>
        <p>This account may only send events. An administrator can give it the scope “query”.</p>
      </main>
    );
  }
  return <Overview />;
}

/** Also what is low stands in the queue; here it is only counted. */
const OPEN: QueueFilter = { state: "open" };

function Overview() {
  const status = useStatus(REFRESH_MS);
  const parts = useParts();
  const incidents = useQueue(OPEN);
  const channels = useChannels(REFRESH_MS);
  const me = useSession().session.name ?? "";
  const sources = useSources(REFRESH_MS);
  const asked = [status, parts, sources, incidents, channels];
  const isPending = asked.some((query) => query.isPending);
  const failure = asked.find((query) => query.isError);
  const found = useMemo(
    () => problems({ status: status.data, parts: parts.data ?? [], sources: sources.data ?? [], incidents: incidents.data?.incidents ?? [], channels: channels.data ?? [], now: Date.now() }),
    [status.data, parts.data, sources.data, incidents.data, channels.data],
  );
  const open = incidents.data?.incidents.length ?? 0;
  const worst: Weight | "fine" = found[0]?.weight ?? "fine";
  return (
    <main className="page home">
      {isPending && !failure ? (
        <>
          <h1>Overview</h1>
          <Spinner label="Looking" />
        </>
      ) : (
        <header className={`verdict ${failure ? "serious" : worst}`}>
          <WeightIcon weight={failure ? "serious" : worst} />
          <div>
            <h1>{failure ? "This page cannot see everything" : verdict(found, me)}</h1>
            <p className="quiet"><Refreshed at={Math.min(status.dataUpdatedAt, incidents.dataUpdatedAt)} /> <Link to="/incidents">{plural(open, "open incident")}</Link> in all.</p>
          </div>
        </header>
      )}
      {failure && <Failure error={failure.error} retry={() => void failure.refetch()} title="A part of this page is missing" />}
      <div className={found.length > 0 ? "home-body" : "home-side"}>
        {found.length > 0 && <ProblemList found={found} />}
        <div className="home-side">
          <AlertsOverTime />
          {status.data && <Vitals status={status.data} />}
        </div>
      </div>
    </main>
  );
}

function ProblemList({ found }: { found: Problem[] }) {
  const zone = useZone();
  const shown = shortList(found, PROBLEMS_MAX);
  return (
    <section aria-labelledby="problems">
      <h2 id="problems" className="only-read">What is wrong</h2>
      <table className="plain problems">
        <thead>
          <tr><th scope="col">What</th><th scope="col">Since</th><th scope="col">Who</th><th scope="col">Next</th></tr>
        </thead>
        <tbody>
          {shown.map((problem, index) => (
            <tr key={index} className={problem.weight}>
              <td>
                <div className="problem-what">
                  <WeightIcon weight={problem.weight} />
                  <div>
                    <strong><Text text={problem.what} /></strong>
                    <div className="quiet"><Text text={problem.why} /></div>
                  </div>
                </div>
              </td>
              <td>
                {problem.since ? (
                  <>
                    {showAge(secondsSince(problem.since))} ago
                    <div className="quiet">{showTime(problem.since, zone).slice(0, 19)}</div>
                  </>
                ) : (
                  <span className="quiet">now</span>
                )}
              </td>
              <td>{problem.who ? <Text text={problem.who} /> : <span className="quiet">{problem.isIncident ? "nobody" : ""}</span>}</td>
              <td>
                <Link to={problem.next.to} search={(previous: { tz?: string }) => ({ tz: previous.tz, view: problem.next.view }) as never}>
                  {problem.next.label}
                </Link>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {found.length > shown.length && (
        <p>
          <Link to="/incidents">{plural(found.length - shown.length, "more incident")}</Link>
        </p>
      )}
    </section>
  );
}

function Vitals({ status }: { status: Status }) {
  const running = status.collectors.filter((collector) => collector.state === "running" || collector.state === "waiting").length;
  const rows = status.tables.reduce((sum, table) => sum + table.num_rows, 0);
  const free = status.disk.total_bytes > 0 ? (100 * status.disk.available_bytes) / status.disk.total_bytes : 0;
  const facts: [string, string, string][] = [
    ["Events a second", showCount(Math.round(status.events_per_second)), "/sources"],
    ["Sources at work", `${running} of ${status.collectors.length}`, "/sources"],
    ["Rows stored", showCount(rows), "/store"],
    ["Disk left", `${showBytes(status.disk.available_bytes)} (${free.toFixed(0)}\u00a0%)`, "/store"],
    ["Newest checkpoint", `${showAge(status.checkpoint.age_seconds)} old`, "/store"],
    ["Rules loaded", showCount(status.rules_loaded), "/rules"],
    ["Running for", showAge(status.uptime_seconds), "/store"],
  ];
  return (
    <section aria-labelledby="vitals">
      <h2 id="vitals">How it goes</h2>
      <dl className="cards">
        {facts.map(([name, value, to]) => (
          <div className="card" key={name}>
            <dt>{name}</dt>
            <dd><Link to={to}>{value}</Link></dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

export function WeightIcon({ weight }: { weight: Weight | "fine" }) {
  switch (weight) {
    case "critical":
      return <ErrorCircleFilled className="weight critical" aria-label="urgent" role="img" />;
    case "serious":
      return <WarningFilled className="weight serious" aria-label="look at it today" role="img" />;
    case "notice":
      return <InfoFilled className="weight notice" aria-label="to know" role="img" />;
    case "fine":
      return <CheckmarkCircleFilled className="weight fine" aria-label="well" role="img" />;
  }
}

function Refreshed({ at }: { at: number }) {
  const [, tick] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 5_000);
    return () => clearInterval(timer);
  }, []);
  return at === 0 ? "" : `Seen ${showAge((Date.now() - at) / 1000)} ago.`;
}
