// The editor with the parts of it that are used, and its worker.
import EditorWorker from "monaco-editor/editor/editor.worker?worker&url";
import * as monaco from "monaco-editor/editor/editor.api";
import "monaco-editor/features/codicon/register";
import "monaco-editor/features/bracketMatching/register";
import "monaco-editor/features/caretOperations/register";
import "monaco-editor/features/clipboard/register";
import "monaco-editor/features/comment/register";
import "monaco-editor/features/contextmenu/register";
import "monaco-editor/features/cursorUndo/register";
import "monaco-editor/features/find/register";
import "monaco-editor/features/format/register";
import "monaco-editor/features/gotoError/register";
import "monaco-editor/features/hover/register";
import "monaco-editor/features/linesOperations/register";
import "monaco-editor/features/multicursor/register";
import "monaco-editor/editor/contrib/suggest/browser/suggestController";
import "monaco-editor/features/wordOperations/register";
import { registerLanguage } from "./language";

/** Only scripts of this server may run as workers: the content policy asks for the decision in one place. */
interface ScriptPolicy {
  createScriptURL(url: string): unknown;
}
interface PolicyFactory {
  createPolicy(name: string, rules: { createScriptURL(url: string): string }): ScriptPolicy;
}
const factory = (globalThis as { trustedTypes?: PolicyFactory }).trustedTypes;
const policy = factory?.createPolicy("moneta-worker", {
  createScriptURL(url) {
    if (new URL(url, location.href).origin !== location.origin) throw new TypeError("a worker from elsewhere");
    return url;
  },
});

(globalThis as { MonacoEnvironment?: unknown }).MonacoEnvironment = {
  getWorker: () => new Worker((policy ? policy.createScriptURL(EditorWorker) : EditorWorker) as string, { type: "module" }),
};

registerLanguage();

export { monaco };

/** What all editors of the pages have in common. */
export const EDITOR_OPTIONS = {
  automaticLayout: true,
  minimap: { enabled: false },
  lineNumbersMinChars: 3,
  scrollBeyondLastLine: false,
  fixedOverflowWidgets: true,
  wordBasedSuggestions: "off",
  // What cannot be seen is shown: pasted text is not trusted either.
  renderControlCharacters: true,
  padding: { top: 8, bottom: 8 },
  // Whoever has only a keyboard comes out of it both ways; Ctrl+] and Ctrl+[ indent.
  tabFocusMode: true,
  "semanticHighlighting.enabled": false,
} satisfies monaco.editor.IStandaloneEditorConstructionOptions;

export function themeName(isDark: boolean): string {
  return isDark ? "moneta-dark" : "moneta-light";
}
