// Where alerts go: each channel with its state and failures, and a test of it.
import { Button, Spinner } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { send } from "../api/client";
import { Failure } from "../app/Failure";
import { useMayAdmin, useZone } from "../app/session";
import { showCount, showMs } from "../parts/numbers";
import { Answered, Section } from "../parts/Page";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { channelState, kindText, useChannels, type ChannelState, type ChannelStatus, type ChannelTest } from "./channels";

export function Channels() {
  const channels = useChannels();
  const mayAdmin = useMayAdmin();
  return (
    <Section title="Channels">
      <p className="quiet">Counted since the start of the server. An alert is tried up to eight times; one that is given up is an alert itself, and every alert stands in these pages all the same.</p>
      <Answered query={channels}>
        {(list) => (list.length === 0 ? <NoChannel /> : <List list={list} mayTest={mayAdmin} />)}
      </Answered>
    </Section>
  );
}

function NoChannel() {
  return (
    <>
      <p>Alerts go nowhere but into these pages. The section <code>notify</code> of the server’s configuration names who gets them:</p>
      <pre className="panel">{'[[notify.channels]]\nname = "on-call"\nkind = "pagerduty"        # or slack, teams, email, webhook, alertmanager, syslog, kafka\nkey_file = "/etc/moneta/pagerduty.key"\nlevel_min = "high"'}</pre>
    </>
  );
}

function List({ list, mayTest }: { list: ChannelStatus[]; mayTest: boolean }) {
  const zone = useZone();
  return (
    <div className="scroll-x" tabIndex={0} role="group" aria-label="Channels">
      <table className="plain">
        <thead>
          <tr>
            <th scope="col">Channel</th><th scope="col">Kind</th><th scope="col">From level</th><th scope="col">State</th><th scope="col" className="number">Delivered</th>
            <th scope="col" className="number">Tried again</th><th scope="col" className="number">Given up</th><th scope="col">Last failure</th>{mayTest && <th scope="col">Send a test</th>}
          </tr>
        </thead>
        <tbody>
          {list.map((channel) => (
            <tr key={channel.name}>
              <td><Text text={channel.name} /></td>
              <td>{kindText(channel.kind)}</td>
              <td><span className={`severity ${channel.level_min}`}>{channel.level_min}</span></td>
              <td className="wrap"><StateOf channel={channel} /></td>
              <td className="number">{showCount(channel.delivered)}</td>
              <td className="number">{showCount(channel.retried)}</td>
              <td className={channel.given_up > 0 ? "number bad" : "number"}>{showCount(channel.given_up)}</td>
              <td className="wrap">
                {channel.last_error === "" ? <span className="quiet">none</span> : <Text text={channel.last_error} />}
                {channel.last_failure && <div className="quiet">{showTime(channel.last_failure, zone).slice(0, 19)}</div>}
              </td>
              {mayTest && <td className="wrap"><Test name={channel.name} /></td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The colour of a state, as collectors have them, and its words. */
const STATES: Record<ChannelState, [colour: string, words: (channel: ChannelStatus) => string]> = {
  failing: ["failed", ({ failing_since }) => `nothing arrives, for ${showAge(secondsSince(failing_since ?? ""))}`],
  lost: ["failed", ({ last_given_up }) => `arrives; an alert was given up ${showAge(secondsSince(last_given_up ?? ""))} ago`],
  shaky: ["stopped", () => "arrives, with failures"],
  delivers: ["running", () => "arrives"],
  idle: ["", () => "nothing was sent yet"],
};

function StateOf({ channel }: { channel: ChannelStatus }) {
  const [colour, words] = STATES[channelState(channel)];
  return <span className={`state ${colour}`}>{words(channel)}</span>;
}

function Test({ name }: { name: string }) {
  const client = useQueryClient();
  const [isBusy, setBusy] = useState(false);
  const [result, setResult] = useState<ChannelTest>();
  const [error, setError] = useState<unknown>();
  const test = async () => {
    setBusy(true);
    setResult(undefined);
    setError(undefined);
    try {
      setResult(await send<ChannelTest>("POST", `/v1/channels/${encodeURIComponent(name)}/test`));
      await client.invalidateQueries({ queryKey: ["channels"] });
    } catch (problem) {
      setError(problem);
    } finally {
      setBusy(false);
    }
  };
  return (
    <>
      <Button size="small" disabled={isBusy} aria-label={`Test ${name}`} onClick={() => void test()}>Test</Button>
      {isBusy && <Spinner size="tiny" label="Sending" />}
      {result && (
        <div role="status" className={result.delivered ? "quiet" : "bad"}>
          {result.delivered ? `Arrived after ${showMs(result.elapsed_ms)}.` : <>Did not arrive: <Text text={result.reason} /></>}
        </div>
      )}
      {error !== undefined && <Failure error={error} title="Not tested" />}
    </>
  );
}
