// Lines of a list that are pointed at by a press.

/** Whether a press is for the line itself: its links lead elsewhere, and to point at the line then would come back at once. */
export function isForLine(target: EventTarget): boolean {
  return target instanceof Element && target.closest("a, input") === null;
}
