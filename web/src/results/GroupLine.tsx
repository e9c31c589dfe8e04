// The line of a group of rows: its value, how many rows it has, open or closed.
import { ChevronDownRegular, ChevronRightRegular } from "@fluentui/react-icons";
import type { ColumnType } from "../api/kusto";
import { plural } from "../parts/numbers";
import { Text } from "../parts/Text";
import type { Zone } from "../parts/time";
import type { Group } from "./gridModel";
import { Value } from "./Value";

/** How far a group stands in from the one around it, in pixels. */
const STEP = 22;

interface GroupLineProps {
  id: string;
  group: Group;
  type: ColumnType;
  zone: Zone;
  item: { index: number; start: number; size: number };
  isActive: boolean;
  onClick(): void;
}

export function GroupLine({ id, group, type, zone, item, isActive, onClick }: GroupLineProps) {
  return (
    <div
      role="row"
      aria-rowindex={item.index + 2}
      aria-level={group.depth + 1}
      aria-expanded={group.isOpen}
      aria-selected={isActive}
      className="grid-row group"
      style={{ transform: `translateY(${item.start}px)`, height: item.size }}
      onClick={onClick}
    >
      <div id={id} role="gridcell" className={`group-cell${isActive ? " active" : ""}`} style={{ paddingLeft: 8 + group.depth * STEP }}>
        {group.isOpen ? <ChevronDownRegular aria-hidden="true" /> : <ChevronRightRegular aria-hidden="true" />}
        <span className="quiet"><Text text={group.column} /></span>
        <strong>{group.value === "" ? <span className="null">empty</span> : <Value value={group.value} type={type} zone={zone} />}</strong>
        <span className="quiet">{plural(group.rows, "row")}</span>
      </div>
    </div>
  );
}
