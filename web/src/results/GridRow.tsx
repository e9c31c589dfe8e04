// One row of a result. While somebody scrolls, the rows that stay in sight are not drawn again.
import { memo, type MouseEvent } from "react";
import type { Column, Row } from "../api/kusto";
import type { Zone } from "../parts/time";
import { isNumeric, Value } from "./Value";

/** A line of the grid and a column as shown, both counted from 0. */
export interface Place {
  row: number;
  column: number;
}

/** What a row asks of its grid; it stays the same object, or every row would be drawn with every change. */
export interface RowActions {
  choose(place: Place): void;
  open(line: number): void;
  menu(event: MouseEvent, place: Place): void;
}

interface GridRowProps {
  cells: Row;
  columns: Column[];
  /** Indexes of the columns in the order they are shown. */
  shown: number[];
  /** The columns in sight. */
  items: { index: number; start: number; size: number }[];
  line: number;
  start: number;
  height: number;
  /** The column with the focus; absent where another row has it. */
  activeColumn: number | undefined;
  zone: Zone;
  actions: RowActions;
}

export function cellId({ row, column }: Place): string {
  return `cell-${row}-${column}`;
}

export const GridRow = memo(function GridRow({ cells, columns, shown, items, line, start, height, activeColumn, zone, actions }: GridRowProps) {
  return (
    <div
      role="row"
      aria-rowindex={line + 2}
      aria-selected={activeColumn !== undefined}
      className={line % 2 ? "grid-row odd" : "grid-row"}
      style={{ transform: `translateY(${start}px)`, height }}
      onDoubleClick={() => actions.open(line)}
    >
      {items.map((item) => {
        const index = shown[item.index] ?? 0;
        const column = columns[index];
        if (!column) return null;
        const place = { row: line, column: item.index };
        return (
          <div
            key={item.index}
            id={cellId(place)}
            role="gridcell"
            aria-colindex={item.index + 1}
            className={cellClass(column, item.index === activeColumn)}
            style={{ left: item.start, width: item.size }}
            onClick={() => actions.choose(place)}
            onContextMenu={(event) => actions.menu(event, place)}
          >
            <Value value={cells[index] ?? null} type={column.type} zone={zone} />
          </div>
        );
      })}
    </div>
  );
});

function cellClass(column: Column, isActive: boolean): string {
  return `grid-cell${isNumeric(column.type) ? " number" : ""}${isActive ? " active" : ""}`;
}
