//! Proofs that travel: an entry's index, its inclusion proof and the checkpoint, in one text file.
//!
//! ```text
//! c2sp.org/tlog-proof@v1
//! [extra <base64>]            never trusted: nothing signs it
//! index <decimal>
//! <base64 hash> ...           sibling of the leaf first
//! <empty line>
//! <checkpoint, verbatim, with all its signatures>
//! ```
//! Source: C2SP tlog-proof. The entry itself is not in the file: the checker brings its bytes.

use crate::checkpoint::{Checkpoint, SignedCheckpoint};
use crate::error::{Error, Result};
use crate::hash::{Hash, leaf_hash};
use crate::note::{NOTE_BYTES_MAX, VerifierKey};
use crate::proof::{PROOF_HASHES_MAX, verify_inclusion};
use crate::text;

/// Longest proof file read: the largest note, a full path and as much extra data again.
pub const TLOG_PROOF_BYTES_MAX: usize = 2 * NOTE_BYTES_MAX;

const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// A proof that some entry is in a log. Holding one says nothing: see [`TlogProof::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogProof {
    /// Data that the application put beside the proof; unauthenticated.
    pub extra: Option<Vec<u8>>,
    /// The entry's index in the log.
    pub index: u64,
    /// The inclusion proof, sibling of the leaf first.
    pub hashes: Vec<Hash>,
    /// The checkpoint file, verbatim.
    pub checkpoint: String,
}

impl TlogProof {
    /// Writes the proof file.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = format!("{HEADER}\n");
        if let Some(extra) = &self.extra {
            out.push_str(&format!("extra {}\n", text::base64_encode(extra)));
        }
        out.push_str(&format!("index {}\n", self.index));
        for hash in &self.hashes {
            out.push_str(&hash.to_base64());
            out.push('\n');
        }
        out.push('\n');
        out.push_str(&self.checkpoint);
        out
    }

    /// Reads a proof file.
    ///
    /// # Errors
    /// [`Error::TlogProof`] saying which line is malformed.
    pub fn parse(text: &str) -> Result<TlogProof> {
        if text.len() > TLOG_PROOF_BYTES_MAX {
            return Err(Error::TlogProof("it is too long"));
        }
        let mut rest = text;
        if next_line(&mut rest)? != HEADER {
            return Err(Error::TlogProof("the first line is another"));
        }
        let mut line = next_line(&mut rest)?;
        let mut extra = None;
        if let Some(encoded) = line.strip_prefix("extra ") {
            extra = Some(text::base64_decode(encoded).ok_or(Error::TlogProof("the extra data is not base64"))?);
            line = next_line(&mut rest)?;
        }
        let index = line
            .strip_prefix("index ")
            .and_then(text::decimal)
            .ok_or(Error::TlogProof("the index line is malformed"))?;
        let mut hashes = Vec::new();
        loop {
            let line = next_line(&mut rest)?;
            if line.is_empty() {
                break;
            }
            if hashes.len() == PROOF_HASHES_MAX {
                return Err(Error::TlogProof("it has more hashes than any tree is high"));
            }
            hashes.push(Hash::from_base64(line).map_err(|_| Error::TlogProof("a line is not a hash"))?);
        }
        Ok(TlogProof { extra, index, hashes, checkpoint: rest.to_owned() })
    }

    /// Checks that `entry` is in the log of that origin, under a checkpoint signed by one of `keys`; returns its head.
    ///
    /// # Errors
    /// As [`SignedCheckpoint::open`] and [`verify_inclusion`].
    pub fn verify(&self, entry: &[u8], origin: &str, keys: &[VerifierKey]) -> Result<Checkpoint> {
        let signed = SignedCheckpoint::open(self.checkpoint.as_bytes(), origin, keys)?;
        verify_inclusion(&leaf_hash(entry), self.index, signed.size(), &self.hashes, &signed.root())?;
        Ok(signed.checkpoint().clone())
    }
}

fn next_line<'text>(rest: &mut &'text str) -> Result<&'text str> {
    let (line, after) = rest.split_once('\n').ok_or(Error::TlogProof("it ends too early"))?;
    *rest = after;
    Ok(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::root_of;
    use crate::note::tests::SeedSigner;
    use crate::proof::prove_inclusion;
    use crate::reader::tests::{reader_of, tiles_of};

    const ORIGIN: &str = "log.example/one";

    fn sample() -> (TlogProof, Vec<VerifierKey>) {
        let leaves: Vec<Hash> = (0u8..9).map(|byte| leaf_hash(&[byte])).collect();
        let signer = SeedSigner::new(ORIGIN, 1);
        let checkpoint = Checkpoint::new(ORIGIN, 9, root_of(&leaves)).unwrap().sign(&signer).unwrap();
        let proof = TlogProof {
            extra: None,
            index: 4,
            hashes: prove_inclusion(4, 9, &reader_of(tiles_of(&leaves))).unwrap(),
            checkpoint: checkpoint.encode(),
        };
        (proof, vec![VerifierKey::of(&signer).unwrap()])
    }

    #[test]
    fn proof_reads_back_and_verifies() {
        let (mut proof, keys) = sample();
        for extra in [None, Some(b"beside".to_vec()), Some(Vec::new())] {
            proof.extra = extra;
            let text = proof.encode();
            let read = TlogProof::parse(&text).unwrap();
            assert_eq!(read, proof);
            assert_eq!(read.encode(), text);
            assert_eq!(read.verify(&[4], ORIGIN, &keys).unwrap().size, 9);
        }
    }

    #[test]
    fn rejects_another_entry_origin_or_key() {
        let (proof, keys) = sample();
        assert!(matches!(proof.verify(&[5], ORIGIN, &keys), Err(Error::ProofRejected(_))));
        assert!(matches!(proof.verify(&[4], "log.example/two", &keys), Err(Error::Origin { .. })));
        let stranger = VerifierKey::of(&SeedSigner::new(ORIGIN, 2)).unwrap();
        assert!(matches!(proof.verify(&[4], ORIGIN, &[stranger]), Err(Error::NoKnownSignature)));
    }

    #[test]
    fn every_flipped_bit_is_rejected() {
        let (proof, keys) = sample();
        let encoded = proof.encode().into_bytes();
        for position in 0..encoded.len() {
            for bit in 0..8 {
                let mut flipped = encoded.clone();
                flipped[position] ^= 1 << bit;
                let accepted = std::str::from_utf8(&flipped).is_ok_and(|text| {
                    TlogProof::parse(text).and_then(|proof| proof.verify(&[4], ORIGIN, &keys)).is_ok()
                });
                assert!(!accepted, "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn rejects_files_out_of_form() {
        let (proof, _) = sample();
        let good = proof.encode();
        for bad in [
            String::new(),
            good.replacen("@v1", "@v2", 1),
            good.replacen("index 4", "index 04", 1),
            good.replacen("index 4\n", "", 1),
            good.replacen("index 4", "extra !\nindex 4", 1),
            good.replacen("\n\n", "\n", 2),
            good.replacen(
                "index 4\n",
                &format!("index 4\n{}", format!("{}\n", Hash::default().to_base64()).repeat(66)),
                1,
            ),
        ] {
            assert!(TlogProof::parse(&bad).is_err(), "{bad:?}");
        }
    }
}
