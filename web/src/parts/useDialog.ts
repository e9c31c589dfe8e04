// The dialog that is open, in the address: `close`, or with what it is about, `revoke:0f3a`.
import { useNavigate, useSearch } from "@tanstack/react-router";
import { useCallback } from "react";

export interface DialogState {
  /** Empty while none is open. */
  dialog: string;
  /** What it is about; empty where that is all that there is. */
  subject: string;
  /** Opens a dialog, `undefined` closes the one that is open. */
  open(dialog: string | undefined, subject?: string): void;
}

export function useDialog(): DialogState {
  const search = useSearch({ strict: false }) as { dialog?: string };
  const navigate = useNavigate();
  const open = useCallback(
    (dialog: string | undefined, subject = "") => {
      const text = dialog !== undefined && subject !== "" ? `${dialog}:${subject}` : dialog;
      void navigate({ to: ".", search: (previous: object) => ({ ...previous, dialog: text }) as never, replace: true });
    },
    [navigate],
  );
  const [dialog, subject] = splitDialog(search.dialog);
  return { dialog, subject, open };
}

/** What stands before the first colon, and what stands behind it. */
export function splitDialog(text = ""): [dialog: string, subject: string] {
  const colon = text.indexOf(":");
  return colon < 0 ? [text, ""] : [text.slice(0, colon), text.slice(colon + 1)];
}
