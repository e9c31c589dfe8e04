// The exceptions of rules: what is excepted, why, by whom and until when; making one, and ending one before its time.
import { Button, Checkbox } from "@fluentui/react-components";
import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useRef } from "react";
import { send } from "../api/client";
import type { RuleSummary } from "../api/types";
import { useMayAdmin, useZone } from "../app/session";
import { Confirm } from "../parts/Confirm";
import { plural } from "../parts/numbers";
import { Answered } from "../parts/Page";
import { scrollTo } from "../parts/scroll";
import { Text } from "../parts/Text";
import { secondsSince, showAge, showTime } from "../parts/time";
import { useDialog } from "../parts/useDialog";
import { useKeys } from "../parts/useKeys";
import { conditionText, dayAfter, sortedExceptions, useExceptions, type RuleException } from "./exceptions";
import { NewException } from "./NewException";

/** What the address says of a new exception whose rule is not chosen yet. */
const NO_RULE = "-";

export interface ExceptionsSearch {
  /** Id of the exception that keys act on. */
  at?: string;
  /** `yes`: those that ended too. */
  ended?: string;
  /** The rule of a new exception; absent while none is made. */
  except?: string;
  /** Its conditions. */
  where?: string;
  /** Its last day. */
  until?: string;
}

interface ExceptionsProps {
  rules: RuleSummary[];
  search: ExceptionsSearch;
  setSearch(change: Record<string, string | undefined>): void;
}

export function Exceptions({ rules, search, setSearch }: ExceptionsProps) {
  const mayAdmin = useMayAdmin();
  const client = useQueryClient();
  const exceptions = useExceptions();
  const { dialog, subject, open } = useDialog();
  const all = sortedExceptions(exceptions.data ?? []);
  const list = search.ended === "yes" ? all : all.filter((one) => one.active);
  const place = Math.max(0, list.findIndex((one) => one.id === search.at));
  const current = list[place];
  const ending = mayAdmin && dialog === "end" ? all.find((one) => one.id === subject && one.active) : undefined;
  const go = (to: number) => setSearch({ at: list[Math.max(0, Math.min(list.length - 1, to))]?.id });
  const begin = () => setSearch({ except: search.except ?? NO_RULE });
  const stop = () => setSearch({ except: undefined, where: undefined, until: undefined });
  useKeys({
    j: () => go(place + 1),
    k: () => go(place - 1),
    ArrowDown: () => go(place + 1),
    ArrowUp: () => go(place - 1),
    n: () => mayAdmin && begin(),
    e: () => mayAdmin && current?.active && open("end", current.id),
    Enter: () => current && setSearch({ rule: current.rule_id }),
  });
  const titleOf = (id: string) => rules.find((rule) => rule.rule_id === id)?.title ?? id;
  return (
    <>
      <p className="quiet">Events that meet an exception raise no alert of its rule and count in no correlation; where the rule is a correlation, they do not count in that one. They stay in their tables.</p>
      {mayAdmin && search.except !== undefined && (
        <NewException
          rules={rules}
          ruleId={search.except === NO_RULE ? "" : search.except}
          where={search.where ?? ""}
          chooseRule={(id) => setSearch({ except: id || NO_RULE })}
          setWhere={(where) => setSearch({ where })}
          until={search.until ?? dayAfter()}
          setUntil={(day) => setSearch({ until: day === dayAfter() ? undefined : day })}
          close={stop}
        />
      )}
      <div className="toolbar">
        {mayAdmin && search.except === undefined && <Button title="n" onClick={begin}>New exception</Button>}
        <Checkbox label="Those that ended, too" checked={search.ended === "yes"} onChange={(_, data) => setSearch({ ended: data.checked === true ? "yes" : undefined })} />
        <span className="grow" />
        <span className="quiet keys-hint"><kbd>j</kbd> <kbd>k</kbd> move, <kbd>Enter</kbd> shows the rule{mayAdmin && <>, <kbd>n</kbd> makes one, <kbd>e</kbd> ends one</>}</span>
      </div>
      <Answered query={exceptions}>
        {() =>
          list.length === 0 ? (
            <p>{all.length === 0 ? "There is none: every match of a rule raises its alert." : "None holds now."}</p>
          ) : (
            <List list={list} place={place} isPointed={search.at !== undefined} titleOf={titleOf} setSearch={setSearch} end={mayAdmin ? (one) => open("end", one.id) : undefined} />
          )
        }
      </Answered>
      {ending && (
        <Confirm
          title="End this exception?"
          action="End"
          close={() => open(undefined)}
          act={async () => {
            await send("DELETE", `/v1/exceptions/${encodeURIComponent(ending.id)}`);
            await client.invalidateQueries({ queryKey: ["exceptions"] });
          }}
        >
          <p>From now on, “<Text text={titleOf(ending.rule_id)} />” raises alerts for <Text text={ending.conditions.map(conditionText).join(", and ")} /> again. The audit keeps what was excepted.</p>
        </Confirm>
      )}
    </>
  );
}

interface ListProps {
  list: RuleException[];
  place: number;
  /** Whether somebody went to that place: only then it is brought into sight. */
  isPointed: boolean;
  titleOf(rule: string): string;
  setSearch(change: Record<string, string | undefined>): void;
  end: ((exception: RuleException) => void) | undefined;
}

function List({ list, place, isPointed, titleOf, setSearch, end }: ListProps) {
  const zone = useZone();
  const line = useRef<HTMLTableRowElement>(null);
  useEffect(() => {
    if (isPointed) scrollTo(line.current);
  }, [place, isPointed]);
  return (
    <div className="scroll-x" tabIndex={0} role="group" aria-label="Exceptions">
      <table className="plain queue">
        <thead>
          <tr><th scope="col">Rule</th><th scope="col">Excepted where</th><th scope="col">Why</th><th scope="col">Made</th><th scope="col">Ends</th>{end && <th scope="col"><span className="only-read">End</span></th>}</tr>
        </thead>
        <tbody>
          {list.map((one, index) => (
            <tr key={one.id} ref={index === place ? line : null} className={index === place ? "chosen" : ""} aria-current={index === place || undefined} onClick={() => setSearch({ at: one.id })}>
              <td className="wrap"><button type="button" className="text-link" onClick={() => setSearch({ rule: one.rule_id })}><Text text={titleOf(one.rule_id)} /></button></td>
              <td className="wrap"><Conditions exception={one} /></td>
              <td className="wrap"><Text text={one.reason} /></td>
              <td className="time">{showTime(one.created, zone).slice(0, 10)}<div className="quiet"><Text text={one.author} /></div></td>
              <td className="time" title={showTime(one.expires, zone)}>{endText(one)}<div className="quiet">{showTime(one.expires, zone).slice(0, 16)}</div></td>
              {end && <td>{one.active && <Button size="small" appearance="subtle" aria-label={`End the exception of ${titleOf(one.rule_id)}`} onClick={() => end(one)}>End</Button>}</td>}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function Conditions({ exception }: { exception: RuleException }) {
  return exception.conditions.map((condition, index) => (
    <div key={index}>{index > 0 && <span className="quiet">and </span>}<code><Text text={conditionText(condition)} /></code></div>
  ));
}

function endText({ active, expires }: RuleException): string {
  const seconds = secondsSince(expires);
  return active && seconds < 0 ? `in ${showAge(-seconds)}` : `${showAge(seconds)} ago`;
}

/** What a rule's own panel says of its exceptions. */
export function ExceptionsOf({ ruleId, setSearch }: { ruleId: string; setSearch(change: Record<string, string | undefined>): void }) {
  const mayAdmin = useMayAdmin();
  const exceptions = useExceptions();
  const held = exceptions.data?.filter((one) => one.rule_id === ruleId && one.active) ?? [];
  return (
    <>
      <h3>Exceptions</h3>
      <Answered query={exceptions}>
        {() => held.length === 0 ? <p className="quiet">None holds.</p> : (
          <ul>{held.map((one) => <li key={one.id}><Conditions exception={one} /> <span className="quiet">ends {endText(one)}</span></li>)}</ul>
        )}
      </Answered>
      <div className="toolbar">
        {held.length > 0 && <button type="button" className="text-link" onClick={() => setSearch({ view: "exceptions", at: held[0]?.id })}>{plural(held.length, "exception")} in the list</button>}
        {mayAdmin && <Button size="small" onClick={() => setSearch({ view: "exceptions", except: ruleId, where: undefined, at: undefined, rule: undefined })}>Except events…</Button>}
      </div>
    </>
  );
}
