// A field to search by.
import { Input } from "@fluentui/react-components";
import { useTyped } from "./useTyped";

/** A field that asks when nobody types any more. */
export function Find({ label, text, onChange }: { label: string; text: string; onChange(text: string): void }) {
  const [typed, setTyped] = useTyped(text, onChange);
  return <Input size="small" placeholder={label} aria-label={label} value={typed} onChange={(_, data) => setTyped(data.value)} />;
}
