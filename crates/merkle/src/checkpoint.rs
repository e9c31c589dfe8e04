//! Checkpoints: the signed head of a log.
//!
//! ```text
//! <origin>                    which log
//! <size>                      leaves, decimal
//! <base64 of the root>        32 bytes
//! [<extension line> ...]      kept when read, never written
//! ```
//! Source: C2SP tlog-checkpoint, inside a signed note. Extension lines are refused on writing because no monitor can
//! audit them.

use crate::error::{Error, Result};
use crate::hash::Hash;
use crate::note::{NoteSigner, SignedNote, VerifierKey};
use crate::text;

/// Longest origin written, the longest that witnesses accept.
pub const ORIGIN_BYTES_MAX: usize = 255;

/// The head of a log at one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Lines after the root, as read.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Describes a head to be signed.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if the origin cannot stand on a line of its own.
    pub fn new(origin: &str, size: u64, root: Hash) -> Result<Checkpoint> {
        if origin.is_empty() || origin.len() > ORIGIN_BYTES_MAX || origin.chars().any(char::is_control) {
            return Err(Error::Checkpoint("the origin is empty, too long or has a control character"));
        }
        Ok(Checkpoint { origin: origin.to_owned(), size, root, extensions: Vec::new() })
    }

    /// Writes the note text.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if there are extension lines.
    pub fn to_text(&self) -> Result<String> {
        if !self.extensions.is_empty() {
            return Err(Error::Checkpoint("extension lines are not written"));
        }
        Ok(format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64()))
    }

    /// Reads a note text.
    ///
    /// # Errors
    /// [`Error::Checkpoint`] if a line is missing, empty or malformed.
    pub fn from_text(text: &str) -> Result<Checkpoint> {
        let body = text.strip_suffix('\n').ok_or(Error::Checkpoint("it does not end in a newline"))?;
        let mut lines = body.split('\n');
        let mut next = |missing| lines.next().filter(|line| !line.is_empty()).ok_or(Error::Checkpoint(missing));
        let origin = next("no origin")?.to_owned();
        let size = text::decimal(next("no size")?).ok_or(Error::Checkpoint("the size is not a decimal number"))?;
        let root = Hash::from_base64(next("no root")?).map_err(|_| Error::Checkpoint("the root is not a hash"))?;
        let extensions: Vec<String> = lines.map(str::to_owned).collect();
        if extensions.iter().any(String::is_empty) {
            return Err(Error::Checkpoint("an extension line is empty"));
        }
        Ok(Checkpoint { origin, size, root, extensions })
    }

    /// Signs the head.
    ///
    /// The caller answers for the promise that it extends every head signed before.
    ///
    /// # Errors
    /// As [`Checkpoint::to_text`] and [`SignedNote::sign`].
    pub fn sign(self, signer: &dyn NoteSigner) -> Result<SignedCheckpoint> {
        let note = SignedNote::sign(&self.to_text()?, signer)?;
        Ok(SignedCheckpoint { checkpoint: self, note })
    }
}

/// A checkpoint that a known key signed: made only by signing or by [`SignedCheckpoint::open`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedCheckpoint {
    checkpoint: Checkpoint,
    note: SignedNote,
}

impl SignedCheckpoint {
    /// Reads a checkpoint file and checks who signed it and for which log.
    ///
    /// # Errors
    /// [`Error::Note`], [`Error::Checkpoint`] for the form; [`Error::NoKnownSignature`], [`Error::BadSignature`] for the
    /// signatures; [`Error::Origin`] if it is another log's.
    pub fn open(bytes: &[u8], origin: &str, keys: &[VerifierKey]) -> Result<SignedCheckpoint> {
        let note = SignedNote::parse(bytes)?;
        note.verify(keys)?;
        let checkpoint = Checkpoint::from_text(note.text())?;
        if checkpoint.origin != origin {
            return Err(Error::Origin { expected: origin.to_owned(), found: checkpoint.origin });
        }
        Ok(SignedCheckpoint { checkpoint, note })
    }

    /// Returns the head.
    #[must_use]
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Returns the number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.checkpoint.size
    }

    /// Returns the root.
    #[must_use]
    pub fn root(&self) -> Hash {
        self.checkpoint.root
    }

    /// Returns the signed note.
    #[must_use]
    pub fn note(&self) -> &SignedNote {
        &self.note
    }

    /// Writes the checkpoint file.
    #[must_use]
    pub fn encode(&self) -> String {
        self.note.encode()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::note::tests::SeedSigner;

    const ORIGIN: &str = "log.example/one";

    fn key() -> Vec<VerifierKey> {
        vec![VerifierKey::of(&SeedSigner::new(ORIGIN, 1)).unwrap()]
    }

    #[test]
    fn text_is_three_lines_and_reads_back() {
        let checkpoint = Checkpoint::new(ORIGIN, 20_852_163, sha256(b"x")).unwrap();
        let text = checkpoint.to_text().unwrap();
        assert_eq!(text, "log.example/one\n20852163\nLXEWQrcmsEQBYnyp+6wy9chTD7GQPMTbAiWHF5IaSIE=\n");
        assert_eq!(Checkpoint::from_text(&text).unwrap(), checkpoint);
    }

    #[test]
    fn signed_checkpoint_opens_for_its_log_only() {
        let signed = Checkpoint::new(ORIGIN, 3, sha256(b"x")).unwrap().sign(&SeedSigner::new(ORIGIN, 1)).unwrap();
        let bytes = signed.encode();
        assert_eq!(SignedCheckpoint::open(bytes.as_bytes(), ORIGIN, &key()).unwrap(), signed);
        assert!(matches!(
            SignedCheckpoint::open(bytes.as_bytes(), "log.example/two", &key()),
            Err(Error::Origin { .. })
        ));
        assert!(matches!(SignedCheckpoint::open(bytes.as_bytes(), ORIGIN, &[]), Err(Error::NoKnownSignature)));
    }

    #[test]
    fn extension_lines_are_kept_but_not_written() {
        let text = format!("o\n0\n{}\nextra one\nextra two\n", sha256(b"").to_base64());
        let checkpoint = Checkpoint::from_text(&text).unwrap();
        assert_eq!(checkpoint.extensions, ["extra one", "extra two"]);
        assert!(matches!(checkpoint.to_text(), Err(Error::Checkpoint(_))));
    }

    #[test]
    fn rejects_texts_out_of_form() {
        let root = sha256(b"").to_base64();
        for text in [
            String::new(),
            "\n".to_owned(),
            format!("\n1\n{root}\n"),
            format!("o\n01\n{root}\n"),
            format!("o\n-1\n{root}\n"),
            format!("o\n1\n{root}"),
            format!("o\n1\n{}\n", &root[1..]),
            format!("o\n1\n{root}\n\n"),
            format!("o\n1\n{root}\nx\n\ny\n"),
            "o\n1\n".to_owned(),
        ] {
            assert!(Checkpoint::from_text(&text).is_err(), "{text:?}");
        }
        assert!(Checkpoint::new("", 0, sha256(b"")).is_err());
        assert!(Checkpoint::new("two\nlines", 0, sha256(b"")).is_err());
        assert!(Checkpoint::new(&"o".repeat(ORIGIN_BYTES_MAX + 1), 0, sha256(b"")).is_err());
    }
}
