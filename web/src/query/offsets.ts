// The server counts bytes of UTF-8, editors count UTF-16 units.

/** Bytes of the text before an offset in UTF-16 units. */
export function byteOffset(text: string, offset: number): number {
  return new TextEncoder().encode(text.slice(0, offset)).length;
}

/** UTF-16 offsets of byte offsets, each at the beginning of its character. */
export function textOffset(text: string, bytes: number): number {
  let counted = 0;
  let units = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const size = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    if (counted + size > bytes) break;
    counted += size;
    units += character.length;
  }
  return units;
}
