// The query text. It belongs to the page; the editor shows it, asks the server about it, and says when to run.
import { forwardRef, useEffect, useImperativeHandle, useRef } from "react";
import { useSession } from "../app/session";
import { Echoes } from "./echoes";
import { findingsOf, LANGUAGE, mark } from "./language";
import { EDITOR_OPTIONS, monaco, themeName } from "./monaco";
import { blockAt, blocks, type Block } from "./statements";

export interface EditorHandle {
  /** The block under the cursor, or the selection. */
  current(): Block | undefined;
  insert(text: string): void;
  replace(from: number, to: number, text: string): void;
  format(): void;
  focus(): void;
}

interface EditorProps {
  text: string;
  language: "kql" | "sql";
  onChange(text: string): void;
  onRun(): void;
}

/** How long nobody types before the server is asked what is wrong. */
const QUIET_MS = 350;

/** Lines that are coloured at once; the editor colours further ones when it is idle. */
const LINES_COLOURED_MAX = 200;

/** Colours a text before it is drawn: the editor would wait for an idle moment, which a busy machine does not have. */
function colourNow(editor: monaco.editor.IStandaloneCodeEditor): void {
  const model = editor.getModel() as (monaco.editor.ITextModel & { tokenization?: { forceTokenization?(line: number): void } }) | null;
  model?.tokenization?.forceTokenization?.(Math.min(model.getLineCount(), LINES_COLOURED_MAX));
}

const Editor = forwardRef<EditorHandle, EditorProps>(function Editor({ text, language, onChange, onRun }, handle) {
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<monaco.editor.IStandaloneCodeEditor>(undefined);
  const latest = useRef({ onChange, onRun });
  latest.current = { onChange, onRun };
  const echoes = useRef(new Echoes());
  const { isDark } = useSession();

  useEffect(() => {
    if (!place.current) return;
    const made = monaco.editor.create(place.current, {
      ...EDITOR_OPTIONS,
      value: text,
      language: LANGUAGE,
      // Before there is a text to colour: a change of colours later lets the editor begin anew.
      theme: themeName(isDark),
      ariaLabel: "Query text. Shift and Enter runs the statement under the cursor. Tab leaves the editor, Control and the right bracket indents.",
      fontSize: 14,
      renderLineHighlight: "line",
      suggest: { showIcons: true, preview: false },
      quickSuggestions: { other: true, comments: false, strings: false },
      tabSize: 4,
    });
    editor.current = made;
    colourNow(made);
    made.addCommand(monaco.KeyMod.Shift | monaco.KeyCode.Enter, () => latest.current.onRun());
    made.addCommand(monaco.KeyMod.CtrlCmd | monaco.KeyCode.Enter, () => latest.current.onRun());
    const changes = made.onDidChangeModelContent(() => {
      const value = made.getValue();
      echoes.current.tell(value);
      latest.current.onChange(value);
    });
    made.setPosition(made.getModel()?.getPositionAt(text.length) ?? { lineNumber: 1, column: 1 });
    return () => {
      changes.dispose();
      made.getModel()?.dispose();
      made.dispose();
    };
    // The text and the colours as they are when the editor is made; later changes are told below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  // A text from elsewhere, such as the history or the address.
  useEffect(() => {
    const made = editor.current;
    if (made && !echoes.current.has(text) && made.getValue() !== text) {
      made.executeEdits("page", [{ range: (made.getModel() as monaco.editor.ITextModel).getFullModelRange(), text }]);
      colourNow(made);
    }
  }, [text]);

  useEffect(() => monaco.editor.setTheme(themeName(isDark)), [isDark]);

  useEffect(() => {
    const model = editor.current?.getModel();
    if (!model) return;
    if (language === "sql") {
      // The server checks SQL when it runs it.
      mark(model, []);
      return;
    }
    const abort = new AbortController();
    const timer = setTimeout(() => {
      findingsOf(blocks(text), abort.signal).then(
        (findings) => !model.isDisposed() && mark(model, findings),
        () => {
          // The next change asks again.
        },
      );
    }, QUIET_MS);
    return () => {
      clearTimeout(timer);
      abort.abort();
    };
  }, [text, language]);

  useImperativeHandle(handle, () => ({
    current() {
      const made = editor.current;
      const model = made?.getModel();
      if (!made || !model) return undefined;
      const selection = made.getSelection();
      if (selection && !selection.isEmpty()) {
        const [start, end] = [model.getOffsetAt(selection.getStartPosition()), model.getOffsetAt(selection.getEndPosition())];
        return { start, end, text: model.getValueInRange(selection) };
      }
      return blockAt(model.getValue(), model.getOffsetAt(made.getPosition() ?? { lineNumber: 1, column: 1 }));
    },
    insert(added) {
      editor.current?.trigger("page", "type", { text: added });
      editor.current?.focus();
    },
    replace(from, to, added) {
      const made = editor.current;
      const model = made?.getModel();
      if (!made || !model) return;
      const range = monaco.Range.fromPositions(model.getPositionAt(from), model.getPositionAt(to));
      made.executeEdits("page", [{ range, text: added }]);
      made.pushUndoStop();
    },
    format: () => void editor.current?.getAction("editor.action.formatDocument")?.run(),
    focus: () => editor.current?.focus(),
  }));

  return <div ref={place} className="editor" />;
});

export default Editor;
