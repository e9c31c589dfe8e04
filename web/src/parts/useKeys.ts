// Keys of a page: single ones, which act unless somebody types, presses them with others, or a dialog or menu is open.
import { useEffect, useRef } from "react";

/** What each key does, by `KeyboardEvent.key`. `Enter` on a button or link is the button's or link's own. */
export function useKeys(actions: Record<string, () => void>): void {
  const latest = useRef(actions);
  latest.current = actions;
  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      if (/^(TEXTAREA|SELECT)$/.test(target.tagName) || (target instanceof HTMLInputElement && target.type !== "checkbox")) return;
      if (target.closest("[role=dialog],[role=alertdialog],[role=menu]")) return;
      if (event.key === "Enter" && (target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement)) return;
      const action = latest.current[event.key];
      if (!action) return;
      event.preventDefault();
      action();
    };
    window.addEventListener("keydown", listen);
    return () => window.removeEventListener("keydown", listen);
  }, []);
}

/** Tells of each key, pressed at `now`, whether it came at most `ms` milliseconds after `first`. */
export function afterKey(first: string, ms: number): (key: string, now: number) => boolean {
  // Before all times: a page that is just open has heard nothing yet.
  let pressed = -Infinity;
  return (key, now) => {
    const isAfter = now - pressed < ms;
    pressed = key === first ? now : -Infinity;
    return isAfter;
  };
}
