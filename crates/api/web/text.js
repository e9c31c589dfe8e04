// Values as text. Logs are hostile: nothing from a value ever becomes markup, and characters that hide or reorder
// text are shown as escapes.

// Control characters but tab and line feed, invisible and bidirectional formatting characters, lone surrogates.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff]|\u{e0000}|[\u{e0001}-\u{e0fff}]|[\u{1d173}-\u{1d17a}]/gu;

/// A new element with a class and children: nodes, or texts.
export function element(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/// Appends a value to a parent as text nodes, with hidden characters as visible escapes.
export function appendText(parent, value) {
  const text = String(value);
  let end = 0;
  for (const match of text.matchAll(HIDDEN)) {
    parent.append(document.createTextNode(text.slice(end, match.index)));
    const code = match[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    const mark = element("span", "escape", `\\u{${code}}`);
    mark.title = "a character that hides or reorders text";
    parent.append(mark);
    end = match.index + match[0].length;
  }
  parent.append(document.createTextNode(text.slice(end)));
  return parent;
}

/// Replaces what an element shows.
export function showText(target, value) {
  target.replaceChildren();
  return appendText(target, value);
}

/// Shows or hides a problem.
export function showProblem(target, text) {
  target.hidden = !text;
  showText(target, text ?? "");
}

const GROUPED = new Intl.NumberFormat("en");

/// A whole number with separators.
export function formatCount(count) {
  return GROUPED.format(count);
}

/// Bytes in the largest unit that keeps the number above one.
export function formatBytes(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB", "PB"];
  let index = 0;
  while (bytes >= 1000 && index < units.length - 1) {
    bytes /= 1000;
    index += 1;
  }
  return `${bytes < 10 && index > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${units[index]}`;
}

/// A duration in its largest unit.
export function formatSeconds(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/// A time of the API without its ticks.
export function formatTime(text) {
  return String(text).replace("T", " ").replace(/\.\d+Z$/, "").replace(/Z$/, "");
}
