// The table of a result: 100,000 rows and hundreds of columns, of which only what is seen is drawn.
import { Button, Menu, MenuItem, MenuList, MenuPopover } from "@fluentui/react-components";
import { ArrowSortDownRegular, ArrowSortUpRegular } from "@fluentui/react-icons";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef, useState, type KeyboardEvent, type MouseEvent } from "react";
import type { Cell, Column, ResultTable } from "../api/kusto";
import { plural, showCount } from "../parts/numbers";
import type { Zone } from "../parts/time";
import { arrange, cellText, columnOrder, columnWidths, filledColumns, summarise, type Sort } from "./gridModel";
import { isNumeric, Value } from "./Value";

const ROW_HEIGHT = 28;
const PAGE_ROWS = 20;

export interface GridProps {
  table: ResultTable;
  zone: Zone;
  search: string;
  sort: Sort | undefined;
  hidesEmpty: boolean;
  label: string;
  onSort(sort: Sort | undefined): void;
  onOpen(row: number): void;
  /** Absent where a filter cannot be added. */
  onFilter?: (column: Column, value: Cell, keep: boolean) => void;
}

interface Place {
  row: number;
  column: number;
}

export function Grid(props: GridProps) {
  const { table, zone, search, sort, hidesEmpty, label, onSort, onOpen, onFilter } = props;
  const scroller = useRef<HTMLDivElement>(null);
  const order = useMemo(() => arrange(table, search, sort), [table, search, sort]);
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
    count: order.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
    scrollPaddingStart: ROW_HEIGHT,
  });
  const columns = useVirtualizer({
    horizontal: true,
    count: shown.length,
    getScrollElement: () => scroller.current,
    estimateSize: (position) => widthOf(shown[position] ?? 0),
    overscan: 3,
  });

  const columnAt = (position: number) => table.columns[shown[position] ?? -1];
  const valueAt = (place: Place): Cell => table.rows[order[place.row] ?? -1]?.[shown[place.column] ?? -1] ?? null;

  const move = (row: number, column: number) => {
    const place = {
      row: Math.max(0, Math.min(order.length - 1, row)),
      column: Math.max(0, Math.min(shown.length - 1, column)),
    };
    setActive(place);
    rows.scrollToIndex(place.row);
    columns.scrollToIndex(place.column);
  };
  const filter = (place: Place, keep: boolean) => {
    const column = columnAt(place.column);
    if (column) onFilter?.(column, valueAt(place), keep);
  };
  const copy = (place: Place) => void navigator.clipboard?.writeText(cellText(valueAt(place)));

  const onKeyDown = (event: KeyboardEvent) => {
    const jump: Record<string, () => void> = {
      ArrowDown: () => move(active.row + 1, active.column),
      ArrowUp: () => move(active.row - 1, active.column),
      ArrowLeft: () => move(active.row, active.column - 1),
      ArrowRight: () => move(active.row, active.column + 1),
      PageDown: () => move(active.row + PAGE_ROWS, active.column),
      PageUp: () => move(active.row - PAGE_ROWS, active.column),
      Home: () => move(event.ctrlKey ? 0 : active.row, 0),
      End: () => move(event.ctrlKey ? order.length - 1 : active.row, shown.length - 1),
      Enter: () => order.length > 0 && onOpen(order[active.row] ?? 0),
      "+": () => filter(active, true),
      "-": () => filter(active, false),
    };
    if ((event.ctrlKey || event.metaKey) && event.key === "c") copy(active);
    else if (jump[event.key] && !event.altKey) jump[event.key]?.();
    else return;
    event.preventDefault();
  };

  const openMenu = (event: MouseEvent, place: Place) => {
    event.preventDefault();
    setActive(place);
    setMenu({ x: event.clientX, y: event.clientY, ...place });
  };

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

  const activeIndex = shown[active.column] ?? -1;
  const summary = useMemo(() => summarise(table, order, activeIndex), [table, order, activeIndex]);
  const columnItems = columns.getVirtualItems();
  const totalWidth = columns.getTotalSize();
  const cellId = (place: Place) => `cell-${place.row}-${place.column}`;

  return (
    <div className="grid-frame">
      <div
        ref={scroller}
        className="grid"
        role="grid"
        aria-label={label}
        aria-rowcount={order.length + 1}
        aria-colcount={shown.length}
        aria-activedescendant={order.length > 0 ? cellId(active) : undefined}
        tabIndex={0}
        onKeyDown={onKeyDown}
      >
        <div role="rowgroup" className="grid-head" style={{ width: totalWidth }}>
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
                  aria-sort={isSorted ? (sort.descending ? "descending" : "ascending") : "none"}
                  className="grid-cell grid-header"
                  style={{ left: item.start, width: item.size }}
                >
                  <button
                    type="button"
                    tabIndex={-1}
                    title={`${column.name}: ${column.type}`}
                    onClick={() => onSort(nextSort(sort, column.name))}
                  >
                    {column.name}
                    {isSorted && (sort.descending ? <ArrowSortDownRegular aria-hidden /> : <ArrowSortUpRegular aria-hidden />)}
                  </button>
                  <span className="grid-grip" onPointerDown={(event) => resize(event, shown[item.index] ?? 0)} />
                </div>
              );
            })}
          </div>
        </div>
        <div role="rowgroup" className="grid-body" style={{ height: rows.getTotalSize(), width: totalWidth }}>
          {rows.getVirtualItems().map((item) => {
            const row = order[item.index] ?? 0;
            return (
              <div
                key={row}
                role="row"
                aria-rowindex={item.index + 2}
                aria-selected={item.index === active.row}
                className={item.index % 2 ? "grid-row odd" : "grid-row"}
                style={{ transform: `translateY(${item.start}px)`, height: item.size }}
                onDoubleClick={() => onOpen(row)}
              >
                {columnItems.map((columnItem) => {
                  const index = shown[columnItem.index] ?? 0;
                  const column = table.columns[index];
                  if (!column) return null;
                  const place = { row: item.index, column: columnItem.index };
                  const isActive = active.row === place.row && active.column === place.column;
                  return (
                    <div
                      key={columnItem.index}
                      id={cellId(place)}
                      role="gridcell"
                      aria-colindex={columnItem.index + 1}
                      className={cellClass(column, isActive)}
                      style={{ left: columnItem.start, width: columnItem.size }}
                      onClick={() => setActive(place)}
                      onContextMenu={(event) => openMenu(event, place)}
                    >
                      <Value value={table.rows[row]?.[index] ?? null} type={column.type} zone={zone} />
                    </div>
                  );
                })}
              </div>
            );
          })}
        </div>
        {order.length === 0 && <p className="grid-empty">{table.rows.length === 0 ? "No rows." : "No row contains this text."}</p>}
      </div>
      <div className="grid-foot">
        <span>
          {order.length === table.rows.length
            ? plural(order.length, "row")
            : `${showCount(order.length)} of ${plural(table.rows.length, "row")}`}
          {shown.length < table.columns.length && `, ${table.columns.length - shown.length} empty columns not shown`}
        </span>
        {summary && (
          <span>
            {table.columns[activeIndex]?.name}: sum {showCount(summary.sum)}, mean {showCount(summary.sum / summary.count)}, min{" "}
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
            <Button size="small" appearance="subtle" onClick={() => copy(active)}>
              Copy cell
            </Button>
            <Button size="small" appearance="subtle" onClick={() => onOpen(order[active.row] ?? 0)}>
              Open row
            </Button>
          </>
        )}
      </div>
      {menu && (
        <Menu
          open
          onOpenChange={(_, data) => !data.open && setMenu(undefined)}
          positioning={{ target: { getBoundingClientRect: () => new DOMRect(menu.x, menu.y, 0, 0) } }}
        >
          <MenuPopover>
            <MenuList>
              {onFilter && <MenuItem onClick={() => filter(menu, true)}>Add value as filter</MenuItem>}
              {onFilter && <MenuItem onClick={() => filter(menu, false)}>Leave value out</MenuItem>}
              <MenuItem onClick={() => copy(menu)}>Copy cell</MenuItem>
              <MenuItem onClick={() => void navigator.clipboard?.writeText(rowText(table, order[menu.row] ?? 0))}>
                Copy row as JSON
              </MenuItem>
              <MenuItem onClick={() => onOpen(order[menu.row] ?? 0)}>Open row</MenuItem>
            </MenuList>
          </MenuPopover>
        </Menu>
      )}
    </div>
  );
}

function cellClass(column: Column, isActive: boolean): string {
  return `grid-cell${isNumeric(column.type) ? " number" : ""}${isActive ? " active" : ""}`;
}

function nextSort(sort: Sort | undefined, column: string): Sort | undefined {
  if (sort?.column !== column) return { column, descending: false };
  return sort.descending ? undefined : { column, descending: true };
}

function rowText(table: ResultTable, row: number): string {
  return JSON.stringify(Object.fromEntries(table.columns.map((column, index) => [column.name, table.rows[row]?.[index] ?? null])));
}
