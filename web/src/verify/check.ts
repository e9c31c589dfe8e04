// Fetches a proof and checks it: what came of it in words that pages show.
import { Refusal, sendForText } from "../api/client";
import { messageOf } from "../app/Failure";
import { checkProof, Invalid, readKey, type Proven } from "./proof";

export type Outcome = { proof: string; proven: Proven; isSigned: boolean } | { proof: string; problem: string } | { missing: string };

/** Fetches the proof of a row and checks it; `keyText` is the verifier key, empty where nobody brought one. */
export async function fetchAndCheck(table: string, seq: string, keyText: string): Promise<Outcome> {
  let proof: string;
  try {
    proof = await sendForText(`/v1/tables/${encodeURIComponent(table)}/rows/${encodeURIComponent(seq)}/proof`);
  } catch (error) {
    if (error instanceof Refusal && error.status === 404) return { missing: error.message };
    throw error;
  }
  try {
    const key = keyText === "" ? undefined : await readKey(keyText);
    const proven = await checkProof(proof, key);
    // A good proof of another row proves nothing about this one.
    if (proven.table !== table || proven.seq !== BigInt(seq)) throw new Invalid(`the proof is of row ${proven.seq} of ${proven.table}`);
    return { proof, proven, isSigned: key !== undefined };
  } catch (error) {
    return { proof, problem: messageOf(error) };
  }
}
