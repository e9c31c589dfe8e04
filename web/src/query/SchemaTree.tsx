// Tables with their columns: what there is to ask about. A name goes into the text; a column shows its values.
import { Button, Input, Spinner } from "@fluentui/react-components";
import { ChevronDownRegular, ChevronRightRegular, DataHistogramRegular, StarFilled, StarRegular } from "@fluentui/react-icons";
import { useMemo, useState } from "react";
import { Failure } from "../app/Failure";
import { readPreference, writePreference } from "../app/preferences";
import { showCount } from "../parts/numbers";
import { Text } from "../parts/Text";
import { visible } from "../parts/text";
import { columnName } from "./filters";
import { useFunctions, useSchema, type SchemaTable } from "./schema";

interface SchemaTreeProps {
  insert(text: string): void;
  /** Shows what a column of a table holds. */
  profile(table: string, column: string): void;
}

export function SchemaTree({ insert, profile }: SchemaTreeProps) {
  const schema = useSchema();
  const functions = useFunctions();
  const [search, setSearch] = useState("");
  const [stars, setStars] = useState<string[]>(() => readPreference("stars", []));
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const toggleStar = (name: string) => {
    const next = stars.includes(name) ? stars.filter((star) => star !== name) : [...stars, name];
    setStars(next);
    writePreference("stars", next);
  };
  const toggle = (name: string) => {
    const next = new Set(open);
    if (!next.delete(name)) next.add(name);
    setOpen(next);
  };
  const wanted = search.trim().toLowerCase();
  const tables = useMemo(() => {
    const found = (schema.data ?? []).filter(
      (table) => wanted === "" || table.name.toLowerCase().includes(wanted) || (wanted.length > 2 && table.columns.some((column) => column.name.toLowerCase().includes(wanted))),
    );
    return [...found].sort((a, b) => Number(stars.includes(b.name)) - Number(stars.includes(a.name)));
  }, [schema.data, wanted, stars]);
  const withRows = tables.filter((table) => table.numRows > 0 || stars.includes(table.name));
  const empty = tables.filter((table) => !withRows.includes(table));
  const [showsEmpty, setShowsEmpty] = useState(false);
  const shown = showsEmpty || wanted !== "" ? [...withRows, ...empty] : withRows;
  const stored = (functions.data ?? []).filter((stored) => wanted === "" || stored.name.toLowerCase().includes(wanted));

  return (
    <section className="schema" aria-label="Tables">
      <Input size="small" placeholder="Find a table or column" aria-label="Find a table or column" value={search} onChange={(_, data) => setSearch(data.value)} />
      {schema.isPending && <Spinner size="tiny" label="Tables" />}
      {schema.isError && <Failure error={schema.error} retry={() => void schema.refetch()} />}
      <ul className="schema-list">
        {shown.map((table) => (
          <li key={table.name}>
            <div className="schema-line">
              <button type="button" className="tree-toggle" aria-expanded={open.has(table.name)} aria-label={`Columns of ${table.name}`} onClick={() => toggle(table.name)}>
                {open.has(table.name) ? <ChevronDownRegular /> : <ChevronRightRegular />}
              </button>
              <button type="button" className="schema-name" title="Put the name into the query" onClick={() => insert(columnName(table.name))}>
                <Text text={table.name} />
              </button>
              <span className="quiet schema-count">{table.numRows > 0 ? showCount(table.numRows) : ""}</span>
              <button
                type="button"
                className={stars.includes(table.name) ? "star starred" : "star"}
                aria-pressed={stars.includes(table.name)}
                aria-label={`Keep ${table.name} at the top`}
                onClick={() => toggleStar(table.name)}
              >
                {stars.includes(table.name) ? <StarFilled /> : <StarRegular />}
              </button>
            </div>
            {open.has(table.name) && <Columns table={table} wanted={wanted} insert={insert} profile={(column) => profile(table.name, column)} />}
          </li>
        ))}
      </ul>
      {wanted === "" && empty.length > 0 && (
        <Button size="small" appearance="subtle" onClick={() => setShowsEmpty(!showsEmpty)}>
          {showsEmpty ? "Hide" : "Show"} {empty.length} tables without rows
        </Button>
      )}
      {stored.length > 0 && (
        <>
          <h3>Functions</h3>
          <ul className="schema-list">
            {stored.map((stored) => (
              <li key={stored.name} className="schema-line">
                <button type="button" className="schema-name" title={visible(stored.doc_string) || "Put the name into the query"} onClick={() => insert(`${stored.name}()`)}>
                  {stored.name}
                  <span className="quiet">{stored.parameters}</span>
                </button>
              </li>
            ))}
          </ul>
        </>
      )}
    </section>
  );
}

interface ColumnsProps {
  table: SchemaTable;
  wanted: string;
  insert(text: string): void;
  profile(column: string): void;
}

function Columns({ table, wanted, insert, profile }: ColumnsProps) {
  const isNamed = table.name.toLowerCase().includes(wanted);
  const columns = table.columns.filter((column) => isNamed || column.name.toLowerCase().includes(wanted));
  return (
    <ul className="schema-columns">
      {columns.map((column) => (
        <li key={column.name} className="schema-line">
          <button type="button" className="schema-name" onClick={() => insert(columnName(column.name))}>
            <Text text={column.name} /> <span className="quiet">{column.type}</span>
          </button>
          <button type="button" className="star" aria-label={`Values of ${visible(column.name)}`} title="Values of this column" onClick={() => profile(column.name)}>
            <DataHistogramRegular />
          </button>
        </li>
      ))}
    </ul>
  );
}
