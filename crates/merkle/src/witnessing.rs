//! What a log sends to a witness.
//!
//! ```text
//! old <size>                  the size that the witness is thought to know, 0 if none
//! <base64 hash> ...           consistency proof from there, at most 63 lines
//! <empty line>
//! <checkpoint, verbatim>
//! ```
//! Source: C2SP tlog-witness, `add-checkpoint`. The answers are in `moneta-ledger`.

use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::note::NOTE_BYTES_MAX;
use crate::text;

/// Hashes of a consistency proof at most.
pub const CONSISTENCY_HASHES_MAX: usize = 63;

/// A checkpoint offered to a witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size that the witness is thought to know.
    pub old_size: u64,
    /// Consistency proof from that size to the checkpoint's.
    pub proof: Vec<Hash>,
    /// The checkpoint file.
    pub checkpoint: String,
}

impl AddCheckpoint {
    /// Writes the body of the request.
    #[must_use]
    pub fn encode(&self) -> String {
        let hashes: String = self.proof.iter().map(|hash| format!("{}\n", hash.to_base64())).collect();
        format!("old {}\n{hashes}\n{}", self.old_size, self.checkpoint)
    }

    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Error::Witnessing`] saying which line is malformed.
    pub fn parse(body: &[u8]) -> Result<Self> {
        let body = std::str::from_utf8(body).ok().filter(|body| body.len() <= 2 * NOTE_BYTES_MAX);
        let mut rest = body.ok_or(Error::Witnessing("it is too long or not UTF-8"))?;
        let mut next = || -> Result<&str> {
            let (line, after) = rest.split_once('\n').ok_or(Error::Witnessing("it ends too early"))?;
            rest = after;
            Ok(line)
        };
        let old_size = next()?.strip_prefix("old ").and_then(text::decimal);
        let old_size = old_size.ok_or(Error::Witnessing("the line of the old size is malformed"))?;
        let mut proof = Vec::new();
        loop {
            let line = next()?;
            if line.is_empty() {
                break;
            }
            if proof.len() == CONSISTENCY_HASHES_MAX {
                return Err(Error::Witnessing("the proof has more hashes than any tree is high"));
            }
            proof.push(Hash::from_base64(line).map_err(|_| Error::Witnessing("a line is not a hash"))?);
        }
        Ok(Self { old_size, proof, checkpoint: rest.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;

    #[test]
    fn a_request_reads_back_and_others_are_refused() {
        let proof = vec![sha256(b"a"), sha256(b"b")];
        let request = AddCheckpoint { old_size: 7, proof, checkpoint: "log\n9\nroot\n\n— log sig\n".to_owned() };
        let body = request.encode();
        assert_eq!(AddCheckpoint::parse(body.as_bytes()).unwrap(), request);
        let hash = format!("{}\n", sha256(b"a").to_base64());
        for bad in [
            String::new(),
            body.replacen("old 7", "old 07", 1),
            body.replacen("old 7\n", "", 1),
            body.replacen("\n\n", "\n", 1),
            body.replacen("old 7\n", &format!("old 7\n{}", hash.repeat(64)), 1),
        ] {
            assert!(AddCheckpoint::parse(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
