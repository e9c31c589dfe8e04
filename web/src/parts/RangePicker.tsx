// Chooses a range of times: always in sight, always in the address.
import { Button, Field, Input, Menu, MenuDivider, MenuItem, MenuItemRadio, MenuList, MenuPopover, MenuTrigger, Dialog, DialogActions, DialogBody, DialogContent, DialogSurface, DialogTitle } from "@fluentui/react-components";
import { CalendarClockRegular } from "@fluentui/react-icons";
import { useState, type FormEvent } from "react";
import { parseRange, RANGES, rangeBounds, rangeLabel, rangeText, zoneName, type TimeRange, type Zone } from "./time";

interface RangePickerProps {
  range: TimeRange;
  zone: Zone;
  /** Why the range has no effect now; empty when it has. */
  overruled?: string;
  onChange(text: string): void;
}

export function RangePicker({ range, zone, overruled, onChange }: RangePickerProps) {
  const [isChoosing, setChoosing] = useState(false);
  return (
    <>
      <Menu checkedValues={{ range: [rangeText(range)] }} onCheckedValueChange={(_, data) => onChange(data.checkedItems[0] ?? "24h")}>
        <MenuTrigger disableButtonEnhancement>
          <Button icon={<CalendarClockRegular />} title={overruled} className="range-button">
            {overruled ? "Time set in the query" : rangeLabel(range, zone)}
          </Button>
        </MenuTrigger>
        <MenuPopover>
          <MenuList>
            {RANGES.map((text) => (
              <MenuItemRadio key={text} name="range" value={text}>
                {rangeLabel(parseRange(text), zone)}
              </MenuItemRadio>
            ))}
            <MenuItemRadio name="range" value="all">
              All time
            </MenuItemRadio>
            <MenuDivider />
            <MenuItem onClick={() => setChoosing(true)}>From one time to another…</MenuItem>
          </MenuList>
        </MenuPopover>
      </Menu>
      {isChoosing && (
        <Between
          range={range}
          zone={zone}
          close={() => setChoosing(false)}
          choose={(text) => {
            setChoosing(false);
            onChange(text);
          }}
        />
      )}
    </>
  );
}

/** `yyyy-mm-ddThh:mm:ss` of a time in the zone, as the browser's own field wants it. */
function fieldText(iso: string, zone: Zone): string {
  const date = new Date(iso);
  const shifted = zone === "utc" ? date : new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString().slice(0, 19);
}

function fieldTime(text: string, zone: Zone): Date {
  return new Date(zone === "utc" ? `${text}Z` : text);
}

function Between({ range, zone, close, choose }: { range: TimeRange; zone: Zone; close(): void; choose(text: string): void }) {
  const bounds = rangeBounds(range);
  const [from, setFrom] = useState(fieldText(bounds.from ?? new Date(Date.now() - 86_400_000).toISOString(), zone));
  const [to, setTo] = useState(fieldText(bounds.to ?? new Date().toISOString(), zone));
  const [start, end] = [fieldTime(from, zone), fieldTime(to, zone)];
  const problem = Number.isNaN(start.getTime()) || Number.isNaN(end.getTime()) ? "Give both times." : start >= end ? "The end must be after the beginning." : "";
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (problem === "") choose(`${start.toISOString()}..${end.toISOString()}`);
  };
  return (
    <Dialog open onOpenChange={(_, data) => !data.open && close()}>
      <DialogSurface>
        <form onSubmit={submit}>
          <DialogBody>
            <DialogTitle>From one time to another, in {zoneName(zone)}</DialogTitle>
            <DialogContent>
              <Field label="From, included">
                <Input type="datetime-local" step="1" value={from} onChange={(_, data) => setFrom(data.value)} />
              </Field>
              <Field label="To, not included" validationMessage={problem} validationState={problem ? "error" : "none"}>
                <Input type="datetime-local" step="1" value={to} onChange={(_, data) => setTo(data.value)} />
              </Field>
            </DialogContent>
            <DialogActions>
              <Button onClick={close}>Cancel</Button>
              <Button type="submit" appearance="primary" disabled={problem !== ""}>
                Use these times
              </Button>
            </DialogActions>
          </DialogBody>
        </form>
      </DialogSurface>
    </Dialog>
  );
}
