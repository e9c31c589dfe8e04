// The table of a result: 100,000 rows and hundreds of columns, of which only what is seen is drawn.
import { Button, Menu, MenuItem, MenuList, MenuPopover } from "@fluentui/react-components";
import { ArrowSortDownRegular, ArrowSortUpRegular, TableCellsMergeRegular, TableCellsSplitRegular } from "@fluentui/react-icons";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState, type KeyboardEvent } from "react";
import type { Cell, Column, ResultTable, Row } from "../api/kusto";
import { plural, showCount } from "../parts/numbers";
import { Text } from "../parts/Text";
import { visible } from "../parts/text";
import type { Zone } from "../parts/time";
import { useTyped } from "../parts/useTyped";
import { columnName } from "../query/filters";
import { GroupLine } from "./GroupLine";
import { cellId, GridRow, type Place, type RowActions } from "./GridRow";
import { arrange, cellText, columnOrder, columnWidths, filledColumns, groupLines, summarise, type ColumnFilters, type Sort } from "./gridModel";

const ROW_HEIGHT = 28;
const FILTER_HEIGHT = 30;
const PAGE_ROWS = 20;
/** How far inside a cell its menu begins. */
const MENU_INDENT = 12;
/** Rows drawn above and below what is seen, so that a turn of the wheel shows none that is empty. */
const ROWS_BEYOND = 8;

export interface GridProps {
  table: ResultTable;
  zone: Zone;
  search: string;
  sort: Sort | undefined;
  hidesEmpty: boolean;
  label: string;
  /** Absent where rows keep their order. */
  onSort?: (sort: Sort | undefined) => void;
  onOpen(row: number): void;
  /** Absent where a filter cannot be added. */
  onFilter?: (column: Column, value: Cell, keep: boolean) => void;
  /** What values of columns must be; fields for it are shown where it can be changed. */
  filters?: ColumnFilters;
  onFilters?: ((filters: ColumnFilters) => void) | undefined;
  /** Names of the dynamic columns whose members are shown as columns; fields for it are shown where it can be changed. */
  expanded?: string[];
  onExpand?: (name: string) => void;
  /** Names of the columns that rows are grouped by. */
  groupBy?: string[];
}

const NO_FILTERS: ColumnFilters = {};
const NO_GROUPS: string[] = [];
const NO_CELLS: Row = [];

export function Grid(props: GridProps) {
  const { table, zone, search, sort, hidesEmpty, label, onSort, onOpen, onFilter, filters = NO_FILTERS, onFilters, groupBy = NO_GROUPS, expanded = NO_GROUPS, onExpand } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const order = useMemo(() => arrange(table, search, sort, filters), [table, search, sort, filters]);
  const [open, setOpen] = useState<ReadonlySet<string>>(new Set());
  const { lines, groups } = useMemo(() => groupLines(table, order, groupBy, open), [table, order, groupBy, open]);
  const shown = useMemo(() => {
    const filled = hidesEmpty && table.rows.length > 0 ? filledColumns(table) : undefined;
    return columnOrder(table).filter((index) => filled?.[index] ?? true);
  }, [table, hidesEmpty]);
  const measured = useMemo(() => columnWidths(table), [table]);
  const [widths, setWidths] = useState<Record<string, number>>({});
  const widthOf = (index: number) => widths[table.columns[index]?.name ?? ""] ?? measured[index] ?? 120;
  const [active, setActive] = useState<Place>({ row: 0, column: 0 });
  const [menu, setMenu] = useState<{ x: number; y: number } & Place>();

  const rows = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: ROWS_BEYOND,
    scrollPaddingStart: ROW_HEIGHT + (onFilters ? FILTER_HEIGHT : 0),
  });
  const columns = useVirtualizer({
    horizontal: true,
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: (position) => widthOf(shown[position] ?? 0),
    overscan: 3,
  });

  const columnAt = (position: number) => table.columns[shown[position] ?? -1];
  const groupAt = (line: number) => groups[-1 - (lines[line] ?? 0)];
  const rowAt = (line: number) => lines[line] ?? -1;
  const isRow = rowAt(active.row) >= 0;
  const valueAt = (place: Place): Cell => {
    const group = groupAt(place.row);
    return group ? group.value : (table.rows[rowAt(place.row)]?.[shown[place.column] ?? -1] ?? null);
  };
  /** Opens a group or closes it; without `to`, the other of what it is. */
  const turn = (line: number, to?: boolean): boolean => {
    const group = groupAt(line);
    if (!group || group.isOpen === to) return false;
    const next = new Set(open);
    if (!next.delete(group.key)) next.add(group.key);
    setOpen(next);
    return true;
  };

  const move = (row: number, column: number) => {
    const place = {
      row: Math.max(0, Math.min(lines.length - 1, row)),
      column: Math.max(0, Math.min(shown.length - 1, column)),
    };
    setActive(place);
    rows.scrollToIndex(place.row);
    columns.scrollToIndex(place.column);
  };
  const filter = (place: Place, keep: boolean) => {
    const group = groupAt(place.row);
    const column = group ? table.columns.find((one) => one.name === group.column) : columnAt(place.column);
    if (column) onFilter?.(column, valueAt(place), keep);
  };
  const canExpand = (column: Column | undefined): column is Column => onExpand !== undefined && column?.type === "dynamic";
  const expandAt = (place: Place) => {
    const column = columnAt(place.column);
    if (canExpand(column) && !groupAt(place.row)) onExpand?.(column.name);
  };
  const expandLabel = (column: Column) => (expanded.includes(column.name) ? "Close members" : "Members as columns");
  const sortBy = (column: Column | undefined) => column && onSort?.(nextSort(sort, column.name));
  /** What can be done with the cell that has the focus, at its place: keys have no other way to some of it. */
  const openMenu = () => {
    const place = (document.getElementById(cellId(active)) ?? scroller.current)?.getBoundingClientRect();
    if (place && lines.length > 0) setMenu({ x: place.left + MENU_INDENT, y: place.bottom, ...active });
  };
  const closeMenu = () => {
    setMenu(undefined);
    scroller.current?.focus({ preventScroll: true });
  };
  const copy = (place: Place) => void navigator.clipboard?.writeText(cellText(valueAt(place)));

  const onKeyDown = (event: KeyboardEvent) => {
    // What is typed into a filter is no way through the rows.
    if (event.target instanceof HTMLInputElement) return;
    const jump: Record<string, () => void> = {
      ArrowDown: () => move(active.row + 1, active.column),
      ArrowUp: () => move(active.row - 1, active.column),
      ArrowLeft: () => turn(active.row, false) || move(active.row, active.column - 1),
      ArrowRight: () => turn(active.row, true) || move(active.row, active.column + 1),
      PageDown: () => move(active.row + PAGE_ROWS, active.column),
      PageUp: () => move(active.row - PAGE_ROWS, active.column),
      Home: () => move(event.ctrlKey ? 0 : active.row, 0),
      End: () => move(event.ctrlKey ? lines.length - 1 : active.row, shown.length - 1),
      Enter: () => (isRow ? onOpen(rowAt(active.row)) : turn(active.row)),
      "+": () => filter(active, true),
      "-": () => filter(active, false),
      x: () => expandAt(active),
      s: () => sortBy(columnAt(active.column)),
    };
    if ((event.ctrlKey || event.metaKey) && event.key === "c") copy(active);
    else if (jump[event.key] && !event.altKey) jump[event.key]?.();
    else return;
    event.preventDefault();
  };

  // Rows are drawn anew only when they change: what they call stays the same while what it does follows.
  const openLine = useRef<(line: number) => void>(() => {});
  openLine.current = (line) => onOpen(rowAt(line));
  const actions = useMemo<RowActions>(
    () => ({
      choose: setActive,
      open: (line) => openLine.current(line),
      menu: (event, place) => {
        event.preventDefault();
        setActive(place);
        setMenu({ x: event.clientX, y: event.clientY, ...place });
      },
    }),
    [],
  );

  const resize = (event: React.PointerEvent, index: number) => {
    event.preventDefault();
    event.stopPropagation();
    const name = table.columns[index]?.name ?? "";
    const [from, width] = [event.clientX, widthOf(index)];
    const drag = (moved: PointerEvent) => {
      setWidths((known) => ({ ...known, [name]: Math.max(48, width + moved.clientX - from) }));
      columns.measure();
    };
    const stop = () => {
      window.removeEventListener("pointermove", drag);
      window.removeEventListener("pointerup", stop);
    };
    window.addEventListener("pointermove", drag);
    window.addEventListener("pointerup", stop);
  };

  const activeColumn = columnAt(active.column);
  const activeIndex = shown[active.column] ?? -1;
  const summary = useMemo(() => summarise(table, order, activeIndex), [table, order, activeIndex]);
  const menuColumn = menu && columnAt(menu.column);
  const columnItems = columns.getVirtualItems();
  const totalWidth = columns.getTotalSize();

  return (
    <div className="grid-frame">
      <div
        ref={scroller}
        className="grid"
        role={groups.length > 0 ? "treegrid" : "grid"}
        aria-label={label}
        aria-rowcount={lines.length + 1}
        aria-colcount={shown.length}
        aria-activedescendant={lines.length > 0 ? cellId(active) : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
        onContextMenu={(event) => {
          // That of the keyboard: it comes from what has the focus, that of the mouse from a cell.
          if (event.target !== event.currentTarget) return;
          event.preventDefault();
          openMenu();
        }}
      >
        <div role="rowgroup" className="grid-head" style={{ width: totalWidth, height: ROW_HEIGHT + (onFilters ? FILTER_HEIGHT : 0) }}>
          <div role="row" aria-rowindex={1}>
            {columnItems.map((item) => {
              const column = columnAt(item.index);
              if (!column) return null;
              const isSorted = sort?.column === column.name;
              return (
                <div
                  key={column.name + String(item.index)}
                  role="columnheader"
                  aria-colindex={item.index + 1}
                  aria-sort={onSort && (isSorted ? (sort.descending ? "descending" : "ascending") : "none")}
                  className="grid-cell grid-header"
                  style={{ left: item.start, width: item.size }}
                >
                  {onSort ? (
                    <button type="button" tabIndex={-1} title={visible(`${column.name}: ${column.type}; press to sort (s)`)} onClick={() => sortBy(column)}>
                      <Text text={column.name} />
                      {isSorted && (sort.descending ? <ArrowSortDownRegular aria-hidden /> : <ArrowSortUpRegular aria-hidden />)}
                    </button>
                  ) : (
                    <span className="grid-title" title={visible(`${column.name}: ${column.type}`)}><Text text={column.name} /></span>
                  )}
                  {canExpand(column) && (
                    <button
                      type="button"
                      tabIndex={-1}
                      className="grid-expand"
                      title={`${expandLabel(column)} (x)`}
                      aria-label={`${expandLabel(column)} of ${visible(column.name)}`}
                      aria-pressed={expanded.includes(column.name)}
                      onClick={() => onExpand?.(column.name)}
                    >
                      {expanded.includes(column.name) ? <TableCellsMergeRegular aria-hidden /> : <TableCellsSplitRegular aria-hidden />}
                    </button>
                  )}
                  <span className="grid-grip" onPointerDown={(event) => resize(event, shown[item.index] ?? 0)} />
                </div>
              );
            })}
          </div>
          {onFilters && (
            <div role="row" className="grid-filters">
              {columnItems.map((item) => {
                const column = columnAt(item.index);
                if (!column) return null;
                const { name } = column;
                return (
                  <div key={name + String(item.index)} role="gridcell" className="grid-filter" style={{ left: item.start, width: item.size }}>
                    <FilterField name={name} text={filters[name] ?? ""} onChange={(text) => onFilters({ ...filters, [name]: text })} />
                  </div>
                );
              })}
            </div>
          )}
        </div>
        <div role="rowgroup" className="grid-body" style={{ height: rows.getTotalSize(), width: totalWidth }}>
          {rows.getVirtualItems().map((item) => {
            const row = rowAt(item.index);
            const group = groupAt(item.index);
            if (group) {
              return (
                <GroupLine
                  key={group.key}
                  id={cellId({ row: item.index, column: active.column })}
                  group={group}
                  type={table.columns.find((column) => column.name === group.column)?.type ?? "string"}
                  zone={zone}
                  item={item}
                  isActive={item.index === active.row}
                  onClick={() => {
                    setActive({ row: item.index, column: active.column });
                    turn(item.index);
                  }}
                />
              );
            }
            return (
              <GridRow
                key={row}
                cells={table.rows[row] ?? NO_CELLS}
                columns={table.columns}
                shown={shown}
                items={columnItems}
                line={item.index}
                start={item.start}
                height={item.size}
                activeColumn={item.index === active.row ? active.column : undefined}
                zone={zone}
                actions={actions}
              />
            );
          })}
        </div>
        {order.length === 0 && <p className="grid-empty">{table.rows.length === 0 ? "No rows. A longer time or fewer conditions may find some." : "No row meets the search and the column filters: widen or clear them."}</p>}
      </div>
      <div className="grid-foot">
        <span>
          {order.length === table.rows.length
            ? plural(order.length, "row")
            : `${showCount(order.length)} of ${plural(table.rows.length, "row")}`}
          {groups.length > 0 && ` in ${plural(groups.filter((group) => group.depth === 0).length, "group")}`}
          {shown.length < table.columns.length && `, ${plural(table.columns.length - shown.length, "empty column")} not shown`}
        </span>
        {summary && (
          <span>
            <Text text={table.columns[activeIndex]?.name ?? ""} />: sum {showCount(summary.sum)}, mean {showCount(summary.sum / summary.count)}, min{" "}
            {showCount(summary.min)}, max {showCount(summary.max)}
          </span>
        )}
        <span className="grow" />
        {order.length > 0 && (
          <>
            {onFilter && (
              <>
                <Button size="small" appearance="subtle" onClick={() => filter(active, true)}>
                  Add value as filter
                </Button>
                <Button size="small" appearance="subtle" onClick={() => filter(active, false)}>
                  Leave value out
                </Button>
              </>
            )}
            {isRow && canExpand(activeColumn) && (
              <Button size="small" appearance="subtle" title="x" onClick={() => expandAt(active)}>
                {expandLabel(activeColumn)}
              </Button>
            )}
            {onSort && activeColumn && (
              <Button size="small" appearance="subtle" title="s" onClick={() => sortBy(activeColumn)}>
                {sortLabel(sort, activeColumn.name)}
              </Button>
            )}
            <Button size="small" appearance="subtle" onClick={() => copy(active)}>
              Copy cell
            </Button>
            <Button size="small" appearance="subtle" disabled={!isRow} onClick={() => onOpen(rowAt(active.row))}>
              Open row
            </Button>
          </>
        )}
      </div>
      {menu && (
        <Menu
          open
          onOpenChange={(_, data) => !data.open && closeMenu()}
          positioning={{ target: { getBoundingClientRect: () => new DOMRect(menu.x, menu.y, 0, 0) } }}
        >
          <MenuPopover>
            <MenuList>
              {onFilter && <MenuItem onClick={() => filter(menu, true)}>Add value as filter</MenuItem>}
              {onFilter && <MenuItem onClick={() => filter(menu, false)}>Leave value out</MenuItem>}
              {canExpand(menuColumn) && rowAt(menu.row) >= 0 && <MenuItem onClick={() => expandAt(menu)}>{expandLabel(menuColumn)}</MenuItem>}
              {onSort && menuColumn && <MenuItem onClick={() => sortBy(menuColumn)}>{sortLabel(sort, menuColumn.name)}</MenuItem>}
              <MenuItem onClick={() => copy(menu)}>Copy cell</MenuItem>
              {menuColumn && <MenuItem onClick={() => void navigator.clipboard?.writeText(columnPath(menuColumn))}>Copy path</MenuItem>}
              {rowAt(menu.row) >= 0 && <MenuItem onClick={() => void navigator.clipboard?.writeText(rowText(table, rowAt(menu.row)))}>Copy row as JSON</MenuItem>}
              {rowAt(menu.row) >= 0 && <MenuItem onClick={() => onOpen(rowAt(menu.row))}>Open row</MenuItem>}
            </MenuList>
          </MenuPopover>
        </Menu>
      )}
    </div>
  );
}

function FilterField({ name, text, onChange }: { name: string; text: string; onChange(text: string): void }) {
  const [typed, setTyped] = useTyped(text, onChange);
  return <input aria-label={`${visible(name)} must be`} placeholder="text, =, !=, <, >, !" value={typed} onChange={(event) => setTyped(event.target.value)} />;
}

function nextSort(sort: Sort | undefined, column: string): Sort | undefined {
  if (sort?.column !== column) return { column, descending: false };
  return sort.descending ? undefined : { column, descending: true };
}

/** What the next step of sorting by a column does. */
function sortLabel(sort: Sort | undefined, column: string): string {
  const next = nextSort(sort, column);
  return next === undefined ? "Do not sort" : next.descending ? "Sort downwards" : "Sort upwards";
}

/** A column as KQL names it: an expanded one is a path, which its name is already. */
function columnPath(column: Column): string {
  return column.from ? column.name : columnName(column.name);
}

function rowText(table: ResultTable, row: number): string {
  return JSON.stringify(Object.fromEntries(table.columns.map((column, index) => [column.name, table.rows[row]?.[index] ?? null])));
}
