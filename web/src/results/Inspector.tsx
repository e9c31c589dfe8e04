// One row as a list of its fields; dynamic values open as trees, every part of them can become a filter.
import { Button, Input, Switch } from "@fluentui/react-components";
import { AddRegular, ChevronDownRegular, ChevronRightRegular, CopyRegular, DismissRegular, SubtractRegular } from "@fluentui/react-icons";
import { Link } from "@tanstack/react-router";
import { useState } from "react";
import type { Cell, Column, ResultTable } from "../api/kusto";
import type { Zone } from "../parts/time";
import { Text } from "../parts/Text";
import { visible } from "../parts/text";
import { dynamicPath } from "../query/filters";
import { cellText } from "./gridModel";
import { Value } from "./Value";

export type OnFilter = (column: Column, value: Cell, keep: boolean, path?: (string | number)[]) => void;

/** Members of one level of a dynamic value that are drawn; the rest is counted. */
const MEMBERS_MAX = 500;

interface InspectorProps {
  table: ResultTable;
  row: number;
  zone: Zone;
  close(): void;
  onFilter?: OnFilter | undefined;
}

export function Inspector({ table, row, zone, close, onFilter }: InspectorProps) {
  const [search, setSearch] = useState("");
  const [showsEmpty, setShowsEmpty] = useState(false);
  const cells = table.rows[row] ?? [];
  const valueOf = (name: string) => cells[table.columns.findIndex((column) => column.name === name)];
  const [seq, type] = [valueOf("_Seq"), valueOf("Type")];
  const canProve = seq !== undefined && seq !== null && typeof type === "string" && type !== "";
  const wanted = search.toLowerCase();
  const fields = table.columns
    .map((column, index) => ({ column, value: cells[index] ?? null }))
    .filter(({ value }) => showsEmpty || (value !== null && value !== ""))
    .filter(({ column, value }) => wanted === "" || `${column.name} ${cellText(value)}`.toLowerCase().includes(wanted));
  return (
    <aside className="inspector" aria-label="One row">
      <div className="inspector-head">
        <h2>Row {row + 1}</h2>
        <span className="grow" />
        {canProve && (
          <Link to="/verify" search={(previous) => ({ tz: previous.tz, table: type, seq: String(seq) }) as never} className="button-link">
            Verify this event
          </Link>
        )}
        <Button appearance="subtle" icon={<DismissRegular />} aria-label="Close the row" onClick={close} />
      </div>
      <div className="inspector-tools">
        <Input size="small" placeholder="Find in this row" aria-label="Find in this row" value={search} onChange={(_, data) => setSearch(data.value)} />
        <Switch label="Empty fields" checked={showsEmpty} onChange={(_, data) => setShowsEmpty(data.checked)} />
      </div>
      <dl className="fields">
        {fields.map(({ column, value }, index) => (
          <div key={index} className="field">
            <dt>
              <Text text={column.name} />
              <FieldActions column={column} value={value} path={[]} onFilter={onFilter} />
            </dt>
            <dd>
              {column.type === "dynamic" && value !== null && typeof value === "object" ? (
                <DynamicTree column={column} value={value} path={[]} onFilter={onFilter} />
              ) : (
                <Value value={value} type={column.type} zone={zone} whole />
              )}
            </dd>
          </div>
        ))}
      </dl>
    </aside>
  );
}

interface PartProps {
  column: Column;
  value: Cell;
  path: (string | number)[];
  onFilter?: OnFilter | undefined;
}

function FieldActions({ column, value, path, onFilter }: PartProps) {
  const pathText = dynamicPath(column.name, path);
  const name = visible(pathText);
  const copy = (text: string) => void navigator.clipboard?.writeText(text);
  return (
    <span className="field-actions">
      {onFilter && (
        <>
          <Button size="small" appearance="subtle" icon={<AddRegular />} title="Add as filter" aria-label={`Add ${name} as filter`} onClick={() => onFilter(column, value, true, path)} />
          <Button size="small" appearance="subtle" icon={<SubtractRegular />} title="Leave out" aria-label={`Leave out this ${name}`} onClick={() => onFilter(column, value, false, path)} />
        </>
      )}
      <Button size="small" appearance="subtle" icon={<CopyRegular />} title="Copy value" aria-label={`Copy the value of ${name}`} onClick={() => copy(cellText(value))} />
      {path.length > 0 && (
        <Button size="small" appearance="subtle" title="Copy path" aria-label={`Copy the path ${name}`} onClick={() => copy(pathText)}>
          path
        </Button>
      )}
    </span>
  );
}

function DynamicTree({ column, value, path, onFilter }: PartProps) {
  const isList = Array.isArray(value);
  const members: [string | number, Cell][] = isList
    ? value.map((member, index) => [index, member])
    : Object.entries(value as Record<string, Cell>);
  return (
    <ul className="tree">
      {members.slice(0, MEMBERS_MAX).map(([key, member]) => (
        <DynamicMember key={String(key)} name={String(key)} column={column} value={member} path={[...path, key]} onFilter={onFilter} />
      ))}
      {members.length > MEMBERS_MAX && <li className="quiet">{members.length - MEMBERS_MAX} more; copy the value to see them</li>}
    </ul>
  );
}

function DynamicMember({ name, ...part }: PartProps & { name: string }) {
  const { value, path } = part;
  const [isOpen, setOpen] = useState(path.length < 2);
  const isTree = value !== null && typeof value === "object";
  return (
    <li>
      <span className="tree-line">
        {isTree ? (
          <button type="button" className="tree-toggle" aria-expanded={isOpen} aria-label={`${isOpen ? "Close" : "Open"} ${visible(name)}`} onClick={() => setOpen(!isOpen)}>
            {isOpen ? <ChevronDownRegular /> : <ChevronRightRegular />}
          </button>
        ) : (
          <span className="tree-toggle" />
        )}
        <span className="tree-key">
          <Text text={name} />
        </span>
        {!isTree && (
          <span className="tree-value">
            <Value value={value} type="dynamic" zone="utc" whole />
          </span>
        )}
        {isTree && !isOpen && <span className="quiet">{Array.isArray(value) ? `${value.length} members` : `${Object.keys(value).length} fields`}</span>}
        <FieldActions {...part} />
      </span>
      {isTree && isOpen && <DynamicTree {...part} />}
    </li>
  );
}
