// Brings an element into sight.

/** Newer browsers answer scrolling with a promise, which an effect would take for what undoes it: this answers nothing. */
export function scrollTo(element: Element | null): void {
  void element?.scrollIntoView({ block: "nearest" });
}
