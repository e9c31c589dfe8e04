// The verifier of the browser against the vectors that every checker of Moneta's proofs is held to.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { fromHex, toHex } from "../../src/verify/bytes";
import { checkProof, leafHash, readHeader, readKey, readRecord, rootByPath, showNanos } from "../../src/verify/proof";

const vector = (name: string) => readFileSync(new URL(`../../../docs/formats/vectors/${name}`, import.meta.url), "utf8");
const vectors = JSON.parse(vector("vectors.json")) as Record<string, string & number>;
const proof = vector("record-proof.txt");

test("the vector is proved with its key", async () => {
  const proven = await checkProof(proof, await readKey(vectors.key ?? ""));
  expect(proven.seq).toBe(BigInt(vectors.seq ?? 0));
  expect(`${proven.table}/${proven.day}`).toBe(vectors.shard);
  expect([proven.rootSize, proven.rootHash]).toEqual([BigInt(vectors.root_size ?? 0), vectors.root]);
  expect(proven.fields.find((field) => field.name === "SyslogMessage")?.value).toBe("message 19 of 4: Größe «13»");
  expect(proven.fields.find((field) => field.name === "Share")?.value).toBe("0.05");
});

test("the steps give the hashes of the vectors", async () => {
  const [record, header] = [fromHex(vectors.record ?? ""), fromHex(vectors.header ?? "")];
  expect(toHex(await leafHash(record))).toBe(vectors.record_leaf);
  expect(toHex(await leafHash(header))).toBe(vectors.header_leaf);
  expect(toHex(await leafHash(fromHex(vectors.tick ?? "")))).toBe(vectors.tick_leaf);
  expect(toHex(readHeader(header).recordRoot)).toBe(vectors.record_root);
  expect(readRecord(record)).toHaveLength(9);
});

test("without a key everything but the signature is checked", async () => {
  expect((await checkProof(proof, undefined)).seq).toBe(BigInt(vectors.seq ?? 0));
});

test("another key is refused", async () => {
  const key = await readKey(vectors.key ?? "");
  await expect(checkProof(proof, { ...key, publicKey: key.publicKey.map((byte) => byte ^ 1) })).rejects.toThrow();
  await expect(checkProof(proof, { ...key, name: "other" })).rejects.toThrow("did not sign");
  await expect(readKey("nonsense")).rejects.toThrow("verifier key");
  await expect(readKey((vectors.key ?? "").replace(/\+.{8}\+/, "+00000000+"))).rejects.toThrow("its own name");
});

test("every changed character is found", async () => {
  const key = await readKey(vectors.key ?? "");
  let tried = 0;
  for (let index = 0; index < proof.length; index += 1) {
    const changed = proof[index] === "A" ? "B" : "A";
    await expect(checkProof(proof.slice(0, index) + changed + proof.slice(index + 1), key), `character ${index}`).rejects.toThrow();
    tried += 1;
  }
  expect(tried).toBe(proof.length);
});

test("every shortened file is found", async () => {
  const key = await readKey(vectors.key ?? "");
  for (let length = 0; length < proof.length; length += 7) await expect(checkProof(proof.slice(0, length), key)).rejects.toThrow();
});

test("paths lead from every leaf of small trees to their root, and to no other place", async () => {
  const hash = async (data: Uint8Array) => new Uint8Array(await crypto.subtle.digest("SHA-256", data as BufferSource));
  const node = (left: Uint8Array, right: Uint8Array) => hash(Uint8Array.of(1, ...left, ...right));
  const split = (size: number) => 2 ** Math.floor(Math.log2(size - 1));
  const root = async (leaves: Uint8Array[]): Promise<Uint8Array> =>
    leaves.length === 1 ? (leaves[0] as Uint8Array) : node(await root(leaves.slice(0, split(leaves.length))), await root(leaves.slice(split(leaves.length))));
  const path = async (leaves: Uint8Array[], index: number): Promise<Uint8Array[]> => {
    if (leaves.length === 1) return [];
    const at = split(leaves.length);
    return index < at
      ? [...(await path(leaves.slice(0, at), index)), await root(leaves.slice(at))]
      : [...(await path(leaves.slice(at), index - at)), await root(leaves.slice(0, at))];
  };
  for (let size = 1; size <= 17; size += 1) {
    const leaves = await Promise.all(Array.from({ length: size }, (_, index) => leafHash(Uint8Array.of(index))));
    const whole = toHex(await root(leaves));
    for (let index = 0; index < size; index += 1) {
      const way = await path(leaves, index);
      expect(toHex(await rootByPath(leaves[index] as Uint8Array, BigInt(index), BigInt(size), way))).toBe(whole);
      if (way.length > 0) await expect(rootByPath(leaves[index] as Uint8Array, BigInt(index), BigInt(size), way.slice(1))).rejects.toThrow();
    }
  }
});

test("nanoseconds before 1970 are times too", () => {
  expect(showNanos(0n)).toBe("1970-01-01T00:00:00.0000000Z");
  expect(showNanos(-1n)).toBe("1969-12-31T23:59:59.9999999Z");
});
