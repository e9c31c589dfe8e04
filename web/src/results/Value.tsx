// One value of a result as text nodes.
import type { Cell, ColumnType } from "../api/kusto";
import { Text } from "../parts/Text";
import { showTime, type Zone } from "../parts/time";

/** Characters of one cell that the grid draws; the row's own view has the whole value. */
const CELL_CHARACTERS_MAX = 400;

export function Value({ value, type, zone, whole = false }: { value: Cell; type: ColumnType; zone: Zone; whole?: boolean }) {
  if (value === null) return <span className="null">null</span>;
  if (type === "datetime" && typeof value === "string") return showTime(value, zone);
  const text = typeof value === "object" ? JSON.stringify(value) : String(value);
  return <Text text={whole || text.length <= CELL_CHARACTERS_MAX ? text : `${text.slice(0, CELL_CHARACTERS_MAX)}…`} />;
}

export function isNumeric(type: ColumnType): boolean {
  return type === "int" || type === "long" || type === "real" || type === "decimal";
}
