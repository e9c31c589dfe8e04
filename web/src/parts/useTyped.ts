// A text that somebody types, handed on when nobody types any more.
import { useEffect, useRef, useState } from "react";

const QUIET_MS = 400;

/** `text` is what was handed on last, wherever it came from; the answer is what the field shows. */
export function useTyped(text: string, onChange: (text: string) => void): [string, (typed: string) => void] {
  const [typed, setTyped] = useState(text);
  const latest = useRef(onChange);
  latest.current = onChange;
  // What was handed on may come back while somebody types on: only what came from elsewhere replaces what is typed.
  const known = useRef(text);
  useEffect(() => {
    if (text === known.current) return;
    known.current = text;
    setTyped(text);
  }, [text]);
  useEffect(() => {
    if (typed === known.current) return;
    const timer = setTimeout(() => {
      known.current = typed;
      latest.current(typed);
    }, QUIET_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return [typed, setTyped];
}
