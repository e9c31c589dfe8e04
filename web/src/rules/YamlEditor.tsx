// The text of a rule file: it belongs to the page; the editor shows it, and what is wrong with it at its lines.
import "monaco-editor/languages/definitions/yaml/register";
import { useEffect, useRef } from "react";
import { useSession } from "../app/session";
import { Echoes } from "../query/echoes";
import { EDITOR_OPTIONS, monaco, themeName } from "../query/monaco";
import type { TextProblem } from "./ruleText";

interface YamlEditorProps {
  text: string;
  problems: TextProblem[];
  onChange(text: string): void;
}

const OWNER = "rule";

export default function YamlEditor({ text, problems, onChange }: YamlEditorProps) {
  const place = useRef<HTMLDivElement>(null);
  const editor = useRef<monaco.editor.IStandaloneCodeEditor>(undefined);
  const latest = useRef(onChange);
  latest.current = onChange;
  const echoes = useRef(new Echoes());
  const { isDark } = useSession();
  const theme = themeName(isDark);

  useEffect(() => {
    if (!place.current) return;
    const made = monaco.editor.create(place.current, {
      ...EDITOR_OPTIONS,
      value: text,
      language: "yaml",
      theme,
      ariaLabel: "Text of the rule. Tab leaves the editor, Control and the right bracket indents.",
      fontSize: 13,
      quickSuggestions: false,
      tabSize: 2,
      detectIndentation: false,
      insertSpaces: true,
    });
    editor.current = made;
    const changes = made.onDidChangeModelContent(() => {
      const value = made.getValue();
      echoes.current.tell(value);
      latest.current(value);
    });
    return () => {
      changes.dispose();
      made.getModel()?.dispose();
      made.dispose();
    };
    // The text and the colours as they are when the editor is made; later changes are told below.
    // eslint-disable-next-line react-hooks/exhaustive-deps
  }, []);

  useEffect(() => {
    const made = editor.current;
    if (made && !echoes.current.has(text) && made.getValue() !== text) made.setValue(text);
  }, [text]);

  useEffect(() => monaco.editor.setTheme(theme), [theme]);

  useEffect(() => {
    const model = editor.current?.getModel();
    if (!model) return;
    const marker = ({ line, message }: TextProblem) => {
      const at = Math.min(Math.max(1, line), model.getLineCount());
      return { severity: monaco.MarkerSeverity.Error, message, startLineNumber: at, endLineNumber: at, startColumn: Math.max(1, model.getLineFirstNonWhitespaceColumn(at)), endColumn: model.getLineMaxColumn(at) };
    };
    monaco.editor.setModelMarkers(model, OWNER, problems.map(marker));
  }, [problems]);

  return <div ref={place} className="editor rule-text" />;
}
