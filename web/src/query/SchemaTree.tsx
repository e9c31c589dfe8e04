// Tables and views with their columns, and functions: what there is to ask about. A name goes into the text; a column shows
// its values.
import { Button, Spinner } from "@fluentui/react-components";
import { ChevronDownRegular, ChevronRightRegular, DataHistogramRegular, StarFilled, StarRegular } from "@fluentui/react-icons";
import { useMemo, useState } from "react";
import { Failure } from "../app/Failure";
import { readPreference, writePreference } from "../app/preferences";
import { Find } from "../parts/Find";
import { showCount } from "../parts/numbers";
import { Text } from "../parts/Text";
import { visible } from "../parts/text";
import { columnName } from "./filters";
import { useFunctions, useSchema, type SchemaTable } from "./schema";

/** What is shown of the tree, as the address has it. */
export interface SchemaSearch {
  /** What is looked for. */
  tables?: string;
  /** Names of the tables whose columns are shown, with commas between. */
  open?: string;
  /** `shown`: tables without rows, too. */
  unused?: string;
}

interface SchemaTreeProps {
  search: SchemaSearch;
  setSearch(change: Record<string, string | undefined>): void;
  insert(text: string): void;
  /** Shows what a column of a table holds. */
  profile(table: string, column: string): void;
}

export function SchemaTree({ search, setSearch, insert, profile }: SchemaTreeProps) {
  const schema = useSchema();
  const functions = useFunctions();
  const [stars, setStars] = useState<string[]>(() => readPreference("stars", []));
  const toggleStar = (name: string) => {
    const next = stars.includes(name) ? stars.filter((star) => star !== name) : [...stars, name];
    setStars(next);
    writePreference("stars", next);
  };
  const open = new Set((search.open ?? "").split(","));
  const toggle = (name: string) => {
    const next = new Set(open);
    if (!next.delete(name)) next.add(name);
    setSearch({ open: [...next].filter(Boolean).join(",") || undefined });
  };
  const wanted = (search.tables ?? "").trim().toLowerCase();
  const found = useMemo(() => {
    const all = (schema.data ?? []).filter(
      (table) => wanted === "" || table.name.toLowerCase().includes(wanted) || (wanted.length > 2 && table.columns.some((column) => column.name.toLowerCase().includes(wanted))),
    );
    return [...all].sort((a, b) => Number(stars.includes(b.name)) - Number(stars.includes(a.name)));
  }, [schema.data, wanted, stars]);
  const [tables, views] = [found.filter((one) => !one.isView), found.filter((one) => one.isView)];
  const withRows = tables.filter((table) => table.numRows > 0 || stars.includes(table.name));
  const empty = tables.filter((table) => !withRows.includes(table));
  const showsEmpty = search.unused === "shown";
  const shown = showsEmpty || wanted !== "" ? [...withRows, ...empty] : withRows;
  const stored = (functions.data ?? []).filter((stored) => wanted === "" || stored.name.toLowerCase().includes(wanted));
  const listed = (some: SchemaTable[]) => (
    <ul className="schema-list">
      {some.map((table) => (
        <li key={table.name}>
          <TableLine table={table} isOpen={open.has(table.name)} isStarred={stars.includes(table.name)} toggle={() => toggle(table.name)} star={() => toggleStar(table.name)} insert={insert} />
          {open.has(table.name) && <Columns table={table} wanted={wanted} insert={insert} profile={(column) => profile(table.name, column)} />}
        </li>
      ))}
    </ul>
  );

  return (
    <section className="schema" aria-label="Tables">
      <Find label="Find a table or column" text={search.tables ?? ""} onChange={(text) => setSearch({ tables: text || undefined })} />
      {schema.isPending && <Spinner size="tiny" label="Tables" />}
      {schema.isError && <Failure error={schema.error} retry={() => void schema.refetch()} />}
      {listed(shown)}
      {wanted === "" && empty.length > 0 && (
        <Button size="small" appearance="subtle" onClick={() => setSearch({ unused: showsEmpty ? undefined : "shown" })}>
          {showsEmpty ? "Hide" : "Show"} {empty.length} tables without rows
        </Button>
      )}
      {views.length > 0 && (
        <>
          <h3>Views</h3>
          {listed(views)}
        </>
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

interface TableLineProps {
  table: SchemaTable;
  isOpen: boolean;
  isStarred: boolean;
  toggle(): void;
  star(): void;
  insert(text: string): void;
}

function TableLine({ table, isOpen, isStarred, toggle, star, insert }: TableLineProps) {
  return (
    <div className="schema-line">
      <button type="button" className="tree-toggle" aria-expanded={isOpen} aria-label={`Columns of ${table.name}`} onClick={toggle}>
        {isOpen ? <ChevronDownRegular /> : <ChevronRightRegular />}
      </button>
      <button type="button" className="schema-name" title={visible(table.docString) || "Put the name into the query"} onClick={() => insert(columnName(table.name))}>
        <Text text={table.name} />
      </button>
      <span className="quiet schema-count">{table.numRows > 0 ? showCount(table.numRows) : ""}</span>
      <button type="button" className={isStarred ? "star starred" : "star"} aria-pressed={isStarred} aria-label={`Keep ${table.name} at the top`} onClick={star}>
        {isStarred ? <StarFilled /> : <StarRegular />}
      </button>
    </div>
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
