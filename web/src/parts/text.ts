// Shows hostile text harmlessly: what a terminal or a layout engine would obey is made visible instead.

/** A stretch of text, and whether it stands for characters that were made visible. */
export interface TextPiece {
  text: string;
  marked: boolean;
}

// Controls but for tab and line feed, which layouts show; the deletion mark; directions and their isolates; invisible
// joiners and blanks; line ends that editors disagree on; the byte order mark; interlinear and tag characters.
const UNSEEN =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\u{e0000}-\u{e007f}]/gu;

/** Takes text apart into what can be shown as it is and what is shown as its name. */
export function visiblePieces(text: string): TextPiece[] {
  const pieces: TextPiece[] = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match.index > from) pieces.push({ text: text.slice(from, match.index), marked: false });
    pieces.push({ text: nameOf(match[0]), marked: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), marked: false });
  return pieces;
}

/** The same as one string: for places that hold no markup, such as titles and charts. */
export function visible(text: string): string {
  return text.replace(UNSEEN, nameOf);
}

/** Whether the text has nothing that must be made visible. */
export function isPlain(text: string): boolean {
  return text.search(UNSEEN) < 0;
}

function nameOf(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  // Unicode has pictures of the first controls and of the deletion mark.
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
}
