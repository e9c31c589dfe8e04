// KQL in the editor. Colours are the editor's own guess; completion, hover, layout and findings are the server's, so
// that the page says what the command line and the interface say.
import * as monaco from "monaco-editor/editor/editor.api";
import { send, type Finding } from "../api/client";
import { maskQuoted } from "./statements";
import { byteOffset, textOffset } from "./offsets";

export const LANGUAGE = "kql";

const OPERATORS =
  "as consume count datatable distinct evaluate extend externaldata facet filter find fork getschema invoke join let limit lookup make-graph make-series materialize mv-apply mv-expand order parse parse-kv parse-where partition print project project-away project-by-names project-keep project-rename project-reorder range reduce render sample sample-distinct scan search serialize set sort summarize take top top-hitters top-nested union where";
const WORDS =
  "and or not in has has_any has_all has_cs contains contains_cs startswith startswith_cs endswith endswith_cs hasprefix hassuffix matches regex between by on kind asc desc nulls first last with of to from step default true false null typeof declare query_parameters pattern restrict access alias database view";
const TYPES = "bool boolean int long real double decimal string datetime date timespan time dynamic guid";

const grammar: monaco.languages.IMonarchLanguage = {
  operators: OPERATORS.split(" "),
  words: WORDS.split(" "),
  types: TYPES.split(" "),
  tokenizer: {
    root: [
      [/\/\/.*$/, "comment"],
      [/^\s*\.[a-z][\w-]*/, "keyword"],
      [/(\||;)/, "delimiter.pipe"],
      [/```/, { token: "string", next: "@fence" }],
      [/@"(?:[^"]|"")*"?/, "string"],
      [/@'(?:[^']|'')*'?/, "string"],
      [/[hH]?"(?:[^"\\]|\\.)*"?/, "string"],
      [/[hH]?'(?:[^'\\]|\\.)*'?/, "string"],
      [/\d+(?:\.\d+)?(?:d|h|m|s|ms|microsecond|tick|us|ns)\b/, "number"],
      [/0[xX][0-9a-fA-F]+/, "number"],
      [/\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/, "number"],
      [/(?:make-graph|make-series|mv-apply|mv-expand|parse-kv|parse-where|project-away|project-by-names|project-keep|project-rename|project-reorder|sample-distinct|top-hitters|top-nested)\b/, "keyword"],
      [/!?(?:in~?|has_cs|has|contains_cs|contains|startswith_cs|startswith|endswith_cs|endswith|between)\b/, "keyword.operator"],
      [/[A-Za-z_]\w*(?=\s*\()/, { cases: { "@operators": "keyword", "@words": "keyword.operator", "@types": "type", "@default": "function" } }],
      [/[A-Za-z_]\w*/, { cases: { "@operators": "keyword", "@words": "keyword.operator", "@types": "type", "@default": "identifier" } }],
      [/[=<>!~+\-*/%]+/, "operator"],
      [/[()[\]{},]/, "delimiter"],
    ],
    fence: [
      [/```/, { token: "string", next: "@pop" }],
      [/[^`]+|`/, "string"],
    ],
  },
};

/** Registers the language once. */
let isRegistered = false;
export function registerLanguage(): void {
  if (isRegistered) return;
  isRegistered = true;
  monaco.languages.register({ id: LANGUAGE });
  monaco.languages.setMonarchTokensProvider(LANGUAGE, grammar);
  monaco.languages.setLanguageConfiguration(LANGUAGE, {
    comments: { lineComment: "//" },
    brackets: [["(", ")"], ["[", "]"], ["{", "}"]],
    autoClosingPairs: [
      { open: "(", close: ")" },
      { open: "[", close: "]" },
      { open: "{", close: "}" },
      { open: '"', close: '"', notIn: ["string", "comment"] },
      { open: "'", close: "'", notIn: ["string", "comment"] },
    ],
    wordPattern: /[A-Za-z_][\w-]*/,
  });
  monaco.languages.registerCompletionItemProvider(LANGUAGE, { triggerCharacters: [" ", ".", "|", "(", ",", "=", "\n"], provideCompletionItems: complete });
  monaco.languages.registerHoverProvider(LANGUAGE, { provideHover: hover });
  monaco.languages.registerDocumentFormattingEditProvider(LANGUAGE, { provideDocumentFormattingEdits: layOut });
  defineThemes();
}

function defineThemes(): void {
  const rules = (dark: boolean): monaco.editor.ITokenThemeRule[] => [
    { token: "comment", foreground: dark ? "8fae7f" : "3d7a33" },
    { token: "string", foreground: dark ? "d9a27a" : "9a3412" },
    { token: "number", foreground: dark ? "b5cea8" : "0b6b50" },
    { token: "keyword", foreground: dark ? "6fb3f2" : "0451a5" },
    { token: "keyword.operator", foreground: dark ? "c79be8" : "7a2fa0" },
    { token: "function", foreground: dark ? "e0d08a" : "785a00" },
    { token: "type", foreground: dark ? "5cc9b5" : "1a6f85" },
    { token: "delimiter.pipe", foreground: dark ? "e1963f" : "a75f0a", fontStyle: "bold" },
  ];
  monaco.editor.defineTheme("moneta-light", { base: "vs", inherit: true, rules: rules(false), colors: { "editor.background": "#ffffff" } });
  monaco.editor.defineTheme("moneta-dark", { base: "vs-dark", inherit: true, rules: rules(true), colors: { "editor.background": "#1f1f1f", "editorLineNumber.foreground": "#9a9a9a" } });
}

interface WireCompletion {
  kind: string;
  label: string;
  detail: string;
  insert: string;
  start: number;
  end: number;
}

const KINDS: Record<string, monaco.languages.CompletionItemKind> = {
  column: monaco.languages.CompletionItemKind.Field,
  table: monaco.languages.CompletionItemKind.Class,
  function: monaco.languages.CompletionItemKind.Function,
  operator: monaco.languages.CompletionItemKind.Keyword,
  keyword: monaco.languages.CompletionItemKind.Keyword,
  variable: monaco.languages.CompletionItemKind.Variable,
  value: monaco.languages.CompletionItemKind.Value,
};

async function complete(
  model: monaco.editor.ITextModel,
  position: monaco.Position,
): Promise<monaco.languages.CompletionList | null> {
  const text = model.getValue();
  const offset = model.getOffsetAt(position);
  const answer = await quietly(send<{ completions: WireCompletion[] }>("POST", "/v1/kql/complete", { body: { text, offset: byteOffset(text, offset) } }));
  if (!answer) return null;
  const range = (start: number, end: number) => rangeOf(model, textOffset(text, start), textOffset(text, end));
  return {
    suggestions: answer.completions.map((found, index) => ({
      label: found.label,
      kind: KINDS[found.kind] ?? monaco.languages.CompletionItemKind.Text,
      detail: found.detail,
      insertText: found.insert,
      range: range(found.start, found.end),
      // The server's order is by use; the editor would sort by name.
      sortText: String(index).padStart(5, "0"),
    })),
  };
}

async function hover(model: monaco.editor.ITextModel, position: monaco.Position): Promise<monaco.languages.Hover | null> {
  const text = model.getValue();
  const body = { text, offset: byteOffset(text, model.getOffsetAt(position)) };
  const answer = await quietly(send<{ hover: { start: number; end: number; title: string; text: string } | null }>("POST", "/v1/kql/hover", { body }));
  if (!answer?.hover) return null;
  const { start, end, title, text: about } = answer.hover;
  return {
    range: rangeOf(model, textOffset(text, start), textOffset(text, end)),
    // Fenced, so that nothing in a title is read as markup; sentences are escaped.
    contents: [{ value: `\`\`\`kql\n${title.replaceAll("```", "")}\n\`\`\`` }, { value: escapeMarkdown(about) }],
  };
}

function escapeMarkdown(text: string): string {
  return text.replace(/[\\`*_{}[\]()#+\-.!|<>~&]/g, "\\$&");
}

async function layOut(model: monaco.editor.ITextModel): Promise<monaco.languages.TextEdit[]> {
  const answer = await quietly(send<{ text: string }>("POST", "/v1/kql/format", { body: { text: model.getValue() } }));
  return answer ? [{ range: model.getFullModelRange(), text: answer.text }] : [];
}

/** What the editor asks by itself fails in silence: the next key asks again. */
async function quietly<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch {
    return undefined;
  }
}

function rangeOf(model: monaco.editor.ITextModel, start: number, end: number): monaco.IRange {
  const [from, to] = [model.getPositionAt(start), model.getPositionAt(end)];
  return { startLineNumber: from.lineNumber, startColumn: from.column, endLineNumber: to.lineNumber, endColumn: to.column };
}

/** Asks for findings of every block by itself: blocks run one by one, so they are judged one by one. */
export async function findingsOf(blocks: { start: number; text: string }[], signal: AbortSignal): Promise<Finding[]> {
  const all = await Promise.all(
    blocks
      .filter((block) => maskQuoted(block.text).trim() !== "" && !block.text.trimStart().startsWith("."))
      .map(async (block) => {
        const answer = await send<{ diagnostics: Finding[] }>("POST", "/v1/kql/diagnostics", { body: { text: block.text }, signal });
        return answer.diagnostics.map((finding) => ({
          ...finding,
          start: block.start + textOffset(block.text, finding.start),
          end: block.start + textOffset(block.text, finding.end),
        }));
      }),
  );
  return all.flat();
}

/** Shows findings in a text. */
export function mark(model: monaco.editor.ITextModel, findings: Finding[]): void {
  monaco.editor.setModelMarkers(
    model,
    "moneta",
    findings.map((finding) => ({
      ...rangeOf(model, finding.start, Math.max(finding.end, finding.start + 1)),
      message: finding.message,
      code: finding.code,
      source: "Moneta",
      severity: finding.severity === "warning" ? monaco.MarkerSeverity.Warning : monaco.MarkerSeverity.Error,
    })),
  );
}
