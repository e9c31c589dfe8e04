// Checks the proof of a record in the browser: the record is in its block, the block in its shard, the shard in an
// entry of the root log, and that entry under a checkpoint which a key signed that the reader brought. It asks nobody.
//
// Layouts: docs/formats (record proof, block proof, record, block header). Hashes: RFC 6962; paths: RFC 9162, section
// 2.1.3.2; the checkpoint: C2SP signed-note and tlog-checkpoint; the last proof: C2SP tlog-proof.
import { ByteReader, fromBase64, fromHex, text as utf8, toHex } from "./bytes";

/** Hashes of one path at most: no tree is higher. */
const PATH_MAX = 64;
/** Bytes of a proof file at most. */
export const PROOF_BYTES_MAX = 32 << 20;

/** Something is not as it was signed, or cannot be read. */
export class Invalid extends Error {}

export interface VerifierKey {
  name: string;
  id: Uint8Array;
  publicKey: Uint8Array;
}

export interface ProvenField {
  name: string;
  value: string;
}

export interface Proven {
  table: string;
  day: string;
  seq: bigint;
  ingestTime: string;
  fields: ProvenField[];
  blockRows: number;
  tickAt: string;
  rootSize: bigint;
  rootHash: string;
  origin: string;
}

function need(condition: unknown, problem: string): asserts condition {
  if (!condition) throw new Invalid(problem);
}

async function sha256(...parts: Uint8Array[]): Promise<Uint8Array> {
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return new Uint8Array(await crypto.subtle.digest("SHA-256", all));
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
export const leafHash = (data: Uint8Array) => sha256(LEAF, data);
const nodeHash = (left: Uint8Array, right: Uint8Array) => sha256(NODE, left, right);

function same(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

/** The root that a leaf and its path lead to. */
export async function rootByPath(leaf: Uint8Array, index: bigint, size: bigint, path: Uint8Array[]): Promise<Uint8Array> {
  need(index < size, "the index is outside the tree");
  let [node, last, result] = [index, size - 1n, leaf];
  for (const sibling of path) {
    need(last > 0n, "the path is too long");
    if (node & 1n || node === last) {
      result = await nodeHash(sibling, result);
      while (!(node & 1n) && node) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      result = await nodeHash(result, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  need(last === 0n, "the path is too short");
  return result;
}

/** Reads a verifier key as `keys/ledger.vkey` holds it. */
export async function readKey(line: string): Promise<VerifierKey> {
  const match = /^([^\s+]+)\+([0-9a-f]{8})\+(\S+)$/i.exec(line.trim());
  need(match, "that is no verifier key: it looks like name+8 digits+base64");
  const [name, hex, encoded] = [match[1] ?? "", match[2] ?? "", match[3] ?? ""];
  const typed = unbase64(encoded, 33);
  need(typed[0] === 1, "the key is of another kind than Ed25519");
  const id = (await sha256(new TextEncoder().encode(`${name}\n`), typed)).slice(0, 4);
  need(toHex(id) === hex.toLowerCase(), "the key does not fit its own name");
  return { name, id: fromHex(hex), publicKey: typed.slice(1) };
}

function unbase64(encoded: string, length?: number): Uint8Array {
  const bytes = fromBase64(encoded);
  need(bytes, "a line is not base64");
  need(length === undefined || bytes.length === length, "a hash or key has another length");
  return bytes;
}

function number(digits: string): bigint {
  need(/^(0|[1-9][0-9]{0,19})$/.test(digits) && BigInt(digits) < 1n << 64n, "a number is not one");
  return BigInt(digits);
}

class Lines {
  private at = 0;
  constructor(private readonly text: string) {}

  line(): string {
    const end = this.text.indexOf("\n", this.at);
    need(end >= 0, "it ends too early");
    const line = this.text.slice(this.at, end);
    this.at = end + 1;
    return line;
  }

  field(name: string): string {
    const line = this.line();
    need(line.startsWith(name), `a line “${name.trim()}” is missing`);
    return line.slice(name.length);
  }

  path(): Uint8Array[] {
    const path: Uint8Array[] = [];
    for (let line = this.line(); line !== ""; line = this.line()) {
      need(path.length < PATH_MAX, "it has more hashes than any tree is high");
      path.push(unbase64(line, 32));
    }
    return path;
  }

  rest(): string {
    return this.text.slice(this.at);
  }
}

interface Header {
  shard: string;
  table: string;
  day: string;
  index: bigint;
  firstSeq: bigint;
  numRows: number;
  ingestTime: bigint;
  recordRoot: Uint8Array;
}

const MAGIC = "MBLK\u0001";

export function readHeader(bytes: Uint8Array): Header {
  const body = new ByteReader(bytes, () => new Invalid("a block header ends too early"));
  need(utf8(body.take(5)) === MAGIC, "that is no block header of version 1");
  body.take(16);
  const table = utf8(body.take(body.u8()));
  const day = new Date(body.i32() * 86_400_000).toISOString().slice(0, 10);
  const [index, firstSeq, numRows] = [body.u64(), body.u64(), body.u32()];
  const ingestTime = body.i64();
  body.take(16);
  const recordRoot = body.take(32);
  body.take(32 + 4);
  const deliveries = body.u32() + body.u32() + body.u32();
  body.take(32);
  need(body.isAtEnd() && numRows >= 1 && numRows <= 8192 && deliveries === numRows, "the numbers of a block header disagree");
  return { shard: `${table}/${day}`, table, day, index, firstSeq, numRows, ingestTime, recordRoot };
}

/** Bytes of a value by its type; `undefined` for those that say their length. */
const SIZES: Record<number, number | undefined> = { 1: 1, 2: 4, 3: 8, 4: 8, 5: 16, 6: undefined, 7: 8, 8: 8, 9: undefined, 10: undefined };

/** The fields of a record, in its own order. */
export function readRecord(bytes: Uint8Array): ProvenField[] {
  const body = new ByteReader(bytes, () => new Invalid("a record ends too early"));
  need(body.u8() === 1, "that is no record of version 1");
  const fields: ProvenField[] = [];
  let before: Uint8Array | undefined;
  for (let left = body.u16(); left > 0; left -= 1) {
    const name = body.take(body.u16());
    const kind = body.u8();
    const value = body.take(body.u32());
    need(before === undefined || compareBytes(before, name) < 0, "the fields of a record are not in order");
    need(kind in SIZES && (SIZES[kind] === undefined || SIZES[kind] === value.length), "a field of a record has no such type or length");
    fields.push({ name: utf8(name), value: showValue(kind, value) });
    before = name;
  }
  need(body.isAtEnd(), "bytes after the record");
  return fields;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  for (let index = 0; index < Math.min(a.length, b.length); index += 1) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function showValue(kind: number, bytes: Uint8Array): string {
  const body = new ByteReader(bytes, () => new Invalid("a value ends too early"));
  switch (kind) {
    case 1:
      return body.u8() === 1 ? "true" : "false";
    case 2:
      return String(body.i32());
    case 3:
      return String(body.i64());
    case 4:
      return String(body.f64());
    case 5: {
      const low = body.u64();
      return scaled((body.i64() << 64n) | low, 18);
    }
    case 7:
      return showNanos(body.i64());
    case 8:
      return `${scaled(body.i64(), 9)} s`;
    default:
      return utf8(bytes);
  }
}

/** A whole number with its point moved to the left. */
function scaled(value: bigint, digits: number): string {
  const size = (value < 0n ? -value : value).toString().padStart(digits + 1, "0");
  const fraction = size.slice(-digits).replace(/0+$/, "");
  return `${value < 0n ? "-" : ""}${size.slice(0, -digits)}${fraction && `.${fraction}`}`;
}

/** Nanoseconds since 1970 as the time they are. */
export function showNanos(nanos: bigint): string {
  const second = 1_000_000_000n;
  const fraction = ((nanos % second) + second) % second;
  const date = new Date(Number((nanos - fraction) / 1_000_000n));
  return date.toISOString().replace(/\.\d+Z$/, `.${fraction.toString().padStart(9, "0").slice(0, 7)}Z`);
}

/** The text of a signed note, checked with the key where there is one. */
async function openNote(note: string, key: VerifierKey | undefined): Promise<string> {
  const cut = note.lastIndexOf("\n\n");
  need(cut >= 0 && note.endsWith("\n"), "the checkpoint is no signed note");
  const text = note.slice(0, cut + 1);
  need(!/[\u0000-\u0009\u000b-\u001f]/.test(text), "the checkpoint has control characters");
  let isSigned = false;
  for (const line of note.slice(cut + 2, -1).split("\n")) {
    const match = /^\u2014 ([^\s+]+) (\S+)$/.exec(line);
    need(match, "a signature line is malformed");
    const blob = unbase64(match[2] ?? "");
    need(blob.length > 4, "a signature is too short");
    if (key && match[1] === key.name && same(blob.slice(0, 4), key.id)) {
      const made = await crypto.subtle.importKey("raw", key.publicKey as BufferSource, { name: "Ed25519" }, false, ["verify"]);
      const isRight = await crypto.subtle.verify({ name: "Ed25519" }, made, blob.slice(4) as BufferSource, new TextEncoder().encode(text));
      need(isRight, "the signature of the checkpoint is wrong");
      isSigned = true;
    }
  }
  need(!key || isSigned, "this key did not sign the checkpoint");
  return text;
}

interface Tick {
  v: number;
  at: string;
  type: string;
  shards: [string, number, string][];
}

/** A root log entry, which has exactly one spelling. */
function readTick(bytes: Uint8Array): Tick {
  const spelled = utf8(bytes);
  let entry: Tick;
  try {
    entry = JSON.parse(spelled) as Tick;
  } catch {
    throw new Invalid("the entry of the root log is not JSON");
  }
  need(JSON.stringify(entry) === spelled, "the entry of the root log is spelled in another way");
  need(entry.v === 1 && entry.type === "tick" && Array.isArray(entry.shards), "the entry of the root log lists no shards");
  return entry;
}

/**
 * Checks a proof file.
 *
 * Without a key everything is checked but the signature: the answer then says what somebody claims, not what was signed.
 */
export async function checkProof(file: string, key: VerifierKey | undefined): Promise<Proven> {
  need(file.length <= PROOF_BYTES_MAX, "the proof is too long");
  const lines = new Lines(file);
  need(lines.line() === "moneta record-proof v1", "that is no record proof");
  const record = unbase64(lines.field("record "));
  const [index, recordPath] = [number(lines.field("index ")), lines.path()];
  const fields = readRecord(record);
  const headerBytes = unbase64(lines.field("header "));
  const header = readHeader(headerBytes);
  const recordRoot = await rootByPath(await leafHash(record), index, BigInt(header.numRows), recordPath);
  need(same(recordRoot, header.recordRoot), "the record is not in the block");

  need(lines.line() === "moneta-block-proof@1", "that is no block proof");
  const [shard, blockIndex, shardSize] = [lines.field("shard "), number(lines.field("index ")), number(lines.field("size "))];
  const blockPath = lines.path();
  need(shard === header.shard && blockIndex === header.index, "the block proof is for another block");
  const tickBytes = unbase64(lines.field("tick "));

  need(lines.line() === "c2sp.org/tlog-proof@v1", "that is no tlog-proof");
  let line = lines.line();
  if (line.startsWith("extra ")) {
    unbase64(line.slice(6));
    line = lines.line();
  }
  need(line.startsWith("index "), "the tlog-proof has no index");
  const [tickIndex, tickPath] = [number(line.slice(6)), lines.path()];
  const checkpoint = (await openNote(lines.rest(), key)).slice(0, -1).split("\n");
  need(checkpoint.length >= 3 && checkpoint.every((part) => part !== ""), "that is no checkpoint");
  const origin = checkpoint[0] ?? "";
  need(!key || origin === key.name, "the checkpoint is of another log");
  const [rootSize, rootHash] = [number(checkpoint[1] ?? ""), unbase64(checkpoint[2] ?? "", 32)];
  need(same(await rootByPath(await leafHash(tickBytes), tickIndex, rootSize, tickPath), rootHash), "the entry is not in the root log");

  const tick = readTick(tickBytes);
  const listed = tick.shards.find(([name]) => name === shard);
  need(listed && BigInt(listed[1]) === shardSize, "the entry of the root log does not list the shard at that size");
  const shardRoot = await rootByPath(await leafHash(headerBytes), blockIndex, shardSize, blockPath);
  need(same(shardRoot, unbase64(listed[2], 32)), "the block is not in its shard");
  return {
    table: header.table,
    day: header.day,
    seq: header.firstSeq + index,
    ingestTime: showNanos(header.ingestTime),
    fields,
    blockRows: header.numRows,
    tickAt: tick.at,
    rootSize,
    rootHash: toHex(rootHash),
    origin,
  };
}
