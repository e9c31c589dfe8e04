// Bytes: base64 with one spelling, hexadecimal, and a reader of little-endian numbers that ends loudly.

/** Decodes base64 that has exactly this spelling; `undefined` for everything else. */
export function fromBase64(encoded: string): Uint8Array | undefined {
  let binary: string;
  try {
    binary = atob(encoded);
  } catch {
    return undefined;
  }
  // Spaces and loose ends decode too; they are another spelling of the same bytes.
  if (btoa(binary) !== encoded) return undefined;
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** UTF-8 as text; what is none becomes the replacement character. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
}

export class ByteReader {
  private at = 0;
  private readonly view: DataView;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly tooShort: () => Error,
  ) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  private step(length: number): number {
    const from = this.at;
    if (from + length > this.bytes.length) throw this.tooShort();
    this.at += length;
    return from;
  }

  take(length: number): Uint8Array {
    const from = this.step(length);
    return this.bytes.slice(from, from + length);
  }

  u8 = () => this.view.getUint8(this.step(1));
  u16 = () => this.view.getUint16(this.step(2), true);
  u32 = () => this.view.getUint32(this.step(4), true);
  i32 = () => this.view.getInt32(this.step(4), true);
  u64 = () => this.view.getBigUint64(this.step(8), true);
  i64 = () => this.view.getBigInt64(this.step(8), true);
  f64 = () => this.view.getFloat64(this.step(8), true);

  isAtEnd(): boolean {
    return this.at === this.bytes.length;
  }
}
