//! Signed notes: a text, an empty line, and one signature line per key.
//!
//! ```text
//! <text, ending in a newline>
//! <empty line>
//! — <key name> base64(key id (4 bytes) || signature)     (one line per signature; the dash is U+2014)
//!
//! key id        first 4 bytes of SHA-256(key name || 0x0A || 0x01 || public key (32 bytes))
//! verifier key  <key name>+<key id, 8 hexadecimal digits>+base64(0x01 || public key)
//! ```
//! Source: C2SP signed-note; the verifier key text is that of golang.org/x/mod/sumdb/note. Type 0x01, Ed25519, is the
//! only one made or checked here; lines of other keys are kept as they are and never trusted.

use std::fmt;

use crate::crypto;
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::text;

/// Bytes of an Ed25519 signature.
pub const SIGNATURE_BYTES: usize = 64;

/// Longest note read: a checkpoint with many large witness signatures is far below it.
pub const NOTE_BYTES_MAX: usize = 1 << 20;

/// Most signature lines read; the specification asks for at least 16.
pub const SIGNATURES_MAX: usize = 100;

const SIGNATURE_START: &str = "\u{2014} ";
const ED25519_TYPE: u8 = 0x01;
const KEY_ID_BYTES: usize = 4;

/// Holds a private key and signs note texts with it.
///
/// The key may live in a file, a token or a service; the ledger sees only this.
pub trait NoteSigner: Send + Sync {
    /// Returns the key name that signature lines carry.
    fn name(&self) -> &str;

    /// Returns the Ed25519 public key.
    fn public_key(&self) -> [u8; 32];

    /// Signs `message` with Ed25519.
    ///
    /// # Errors
    /// [`Error::Signer`] if the key cannot be used now.
    fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES]>;
}

/// The public half of a note key: a name and an Ed25519 key.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifierKey {
    name: String,
    key_id: [u8; KEY_ID_BYTES],
    public_key: [u8; 32],
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`Error::VerifierKey`] if the name is empty or has spaces, control characters or `+` in it.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<VerifierKey> {
        if !is_key_name(name) {
            return Err(Error::VerifierKey("the name is empty or has a space or plus"));
        }
        Ok(VerifierKey { name: name.to_owned(), key_id: key_id(name, &public_key), public_key })
    }

    /// Returns the verifier key of a signer.
    ///
    /// # Errors
    /// As [`VerifierKey::new`].
    pub fn of(signer: &dyn NoteSigner) -> Result<VerifierKey> {
        VerifierKey::new(signer.name(), signer.public_key())
    }

    /// Reads `name+id+key`.
    ///
    /// # Errors
    /// [`Error::VerifierKey`] if it is malformed, of another signature type, or its id is not its key's.
    pub fn parse(text: &str) -> Result<VerifierKey> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::VerifierKey("it has not three parts"));
        };
        let id: [u8; KEY_ID_BYTES] =
            text::hex_array(id).ok_or(Error::VerifierKey("the id is not 8 hexadecimal digits"))?;
        let typed = text::base64_decode(encoded).ok_or(Error::VerifierKey("the key is not base64"))?;
        let public_key = match typed.split_first() {
            Some((&ED25519_TYPE, key)) => {
                key.try_into().map_err(|_| Error::VerifierKey("the key is not of 32 bytes"))?
            }
            _ => return Err(Error::VerifierKey("the key is not of type Ed25519")),
        };
        let key = VerifierKey::new(name, public_key)?;
        if key.key_id != id {
            return Err(Error::VerifierKey("the id is of another key"));
        }
        Ok(key)
    }

    /// Returns the key name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the key id.
    #[must_use]
    pub fn key_id(&self) -> [u8; KEY_ID_BYTES] {
        self.key_id
    }

    /// Returns the Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    fn made(&self, signature: &NoteSignature) -> bool {
        self.name == signature.name && self.key_id == signature.key_id
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = vec![ED25519_TYPE];
        typed.extend_from_slice(&self.public_key);
        let id = u32::from_be_bytes(self.key_id);
        write!(formatter, "{}+{id:08x}+{}", self.name, text::base64_encode(&typed))
    }
}

impl fmt::Debug for VerifierKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    /// The key's name.
    pub name: String,
    /// The key's id.
    pub key_id: [u8; KEY_ID_BYTES],
    /// The signature, in whatever form its type has.
    pub signature: Vec<u8>,
}

/// A text with its signatures. Holding one says nothing about whether they are right: see [`SignedNote::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedNote {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl SignedNote {
    /// Signs `text` with one key.
    ///
    /// # Errors
    /// [`Error::Note`] if the text cannot stand in a note; [`Error::Signer`] from the signer; [`Error::BadSignature`]
    /// if what it returned does not verify, so that a faulty signer cannot publish.
    pub fn sign(text: &str, signer: &dyn NoteSigner) -> Result<SignedNote> {
        check_text(text)?;
        let key = VerifierKey::of(signer)?;
        let signature = signer.sign(text.as_bytes())?;
        if !crypto::ed25519_verify(&key.public_key, text.as_bytes(), &signature) {
            return Err(Error::BadSignature { name: key.name });
        }
        let line = NoteSignature { name: key.name, key_id: key.key_id, signature: signature.to_vec() };
        Ok(SignedNote { text: text.to_owned(), signatures: vec![line] })
    }

    /// Reads a note without judging its signatures.
    ///
    /// # Errors
    /// [`Error::Note`] saying which rule of the form is broken.
    pub fn parse(bytes: &[u8]) -> Result<SignedNote> {
        if bytes.len() > NOTE_BYTES_MAX {
            return Err(Error::Note("it is too long"));
        }
        let note = std::str::from_utf8(bytes).map_err(|_| Error::Note("it is not UTF-8"))?;
        let cut = note.rfind("\n\n").ok_or(Error::Note("no empty line before the signatures"))?;
        let (text, rest) = note.split_at(cut + 1);
        check_text(text)?;
        let lines = rest[1..].strip_suffix('\n').ok_or(Error::Note("it does not end in a newline"))?;
        let signatures: Vec<NoteSignature> =
            lines.split('\n').take(SIGNATURES_MAX + 1).map(parse_signature).collect::<Result<_>>()?;
        if signatures.len() > SIGNATURES_MAX {
            return Err(Error::Note("too many signatures"));
        }
        Ok(SignedNote { text: text.to_owned(), signatures })
    }

    /// Writes the note. A note that was read is written as the same bytes.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for line in &self.signatures {
            let signed = [line.key_id.as_slice(), &line.signature].concat();
            note.push_str(&format!("{SIGNATURE_START}{} {}\n", line.name, text::base64_encode(&signed)));
        }
        note
    }

    /// Returns the signed text, ending in a newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the signature lines in order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds another party's signature line, such as a witness's. Nothing is checked.
    pub fn add_signature(&mut self, signature: NoteSignature) {
        self.signatures.push(signature);
    }

    /// Returns which of `keys` signed, each at most once.
    ///
    /// # Errors
    /// [`Error::BadSignature`] if any line under a known key is wrong, even if another is right;
    /// [`Error::NoKnownSignature`] if there is none.
    pub fn verify<'keys>(&self, keys: &'keys [VerifierKey]) -> Result<Vec<&'keys VerifierKey>> {
        let mut found: Vec<&VerifierKey> = Vec::new();
        for line in &self.signatures {
            let Some(key) = keys.iter().find(|key| key.made(line)) else { continue };
            if !crypto::ed25519_verify(&key.public_key, self.text.as_bytes(), &line.signature) {
                return Err(Error::BadSignature { name: key.name.clone() });
            }
            if !found.contains(&key) {
                found.push(key);
            }
        }
        if found.is_empty() { Err(Error::NoKnownSignature) } else { Ok(found) }
    }
}

/// Reports whether `name` may be a key name.
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty()
        && !name.chars().any(|character| character.is_whitespace() || character.is_control() || character == '+')
}

fn key_id(name: &str, public_key: &[u8; 32]) -> [u8; KEY_ID_BYTES] {
    let message = [name.as_bytes(), b"\n", &[ED25519_TYPE], public_key].concat();
    let [a, b, c, d, ..] = sha256(&message).0;
    [a, b, c, d]
}

fn check_text(text: &str) -> Result<()> {
    if !text.ends_with('\n') {
        return Err(Error::Note("the text does not end in a newline"));
    }
    if text.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
        return Err(Error::Note("the text has a control character"));
    }
    Ok(())
}

fn parse_signature(line: &str) -> Result<NoteSignature> {
    let (name, encoded) = line
        .strip_prefix(SIGNATURE_START)
        .and_then(|rest| rest.split_once(' '))
        .ok_or(Error::Note("a signature line is malformed"))?;
    if !is_key_name(name) {
        return Err(Error::Note("a signature line has no proper key name"));
    }
    let signed = text::base64_decode(encoded).ok_or(Error::Note("a signature is not base64"))?;
    let (key_id, signature) = signed.split_first_chunk().ok_or(Error::Note("a signature is too short"))?;
    if signature.is_empty() {
        return Err(Error::Note("a signature is too short"));
    }
    Ok(NoteSignature { name: name.to_owned(), key_id: *key_id, signature: signature.to_vec() })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};

    /// Signs with a key made from a fixed seed.
    pub(crate) struct SeedSigner {
        name: String,
        pair: Ed25519KeyPair,
    }

    impl SeedSigner {
        pub(crate) fn new(name: &str, seed: u8) -> SeedSigner {
            SeedSigner { name: name.to_owned(), pair: Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap() }
        }
    }

    impl NoteSigner for SeedSigner {
        fn name(&self) -> &str {
            &self.name
        }

        fn public_key(&self) -> [u8; 32] {
            self.pair.public_key().as_ref().try_into().unwrap()
        }

        fn sign(&self, message: &[u8]) -> Result<[u8; SIGNATURE_BYTES]> {
            Ok(self.pair.sign(message).as_ref().try_into().unwrap())
        }
    }

    fn signed(text: &str) -> (SignedNote, Vec<VerifierKey>) {
        let signer = SeedSigner::new("log.example/one", 1);
        (SignedNote::sign(text, &signer).unwrap(), vec![VerifierKey::of(&signer).unwrap()])
    }

    #[test]
    fn verifier_key_of_the_go_checksum_database_reads_and_writes() {
        let text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
        let key = VerifierKey::parse(text).unwrap();
        assert_eq!(key.name(), "sum.golang.org");
        assert_eq!(key.to_string(), text);
    }

    #[test]
    fn rejects_malformed_verifier_keys() {
        for text in [
            "",
            "sum.golang.org",
            "sum.golang.org+033de0ae",
            "sum.golang.org+033de0af+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+33de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+As4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8",
            "sum.golang.org+033de0ae+Ac4zctda0e5eza",
        ] {
            assert!(VerifierKey::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn signed_note_reads_back_and_verifies() {
        let (note, keys) = signed("first\n\nsecond \u{e8}\n");
        let encoded = note.encode();
        let read = SignedNote::parse(encoded.as_bytes()).unwrap();
        assert_eq!(read, note);
        assert_eq!(read.encode(), encoded);
        assert_eq!(read.text(), "first\n\nsecond \u{e8}\n");
        assert_eq!(read.verify(&keys).unwrap(), [&keys[0]]);
    }

    #[test]
    fn unknown_signatures_are_kept_and_ignored() {
        let (mut note, keys) = signed("text\n");
        let witness = SeedSigner::new("witness.example", 2);
        let other = SignedNote::sign("text\n", &witness).unwrap();
        note.add_signature(other.signatures()[0].clone());
        let read = SignedNote::parse(note.encode().as_bytes()).unwrap();
        assert_eq!(read.signatures().len(), 2);
        assert_eq!(read.verify(&keys).unwrap().len(), 1);
        assert!(matches!(read.verify(&[]), Err(Error::NoKnownSignature)));
        let both = [keys[0].clone(), VerifierKey::of(&witness).unwrap()];
        assert_eq!(read.verify(&both).unwrap().len(), 2);
    }

    #[test]
    fn one_wrong_signature_of_a_known_key_rejects_the_note() {
        let (mut note, keys) = signed("text\n");
        let mut wrong = note.signatures()[0].clone();
        wrong.signature[10] ^= 1;
        note.add_signature(wrong);
        assert!(matches!(note.verify(&keys), Err(Error::BadSignature { .. })));
    }

    #[test]
    fn every_flipped_bit_is_rejected() {
        let (note, keys) = signed("origin\n1\n");
        let encoded = note.encode().into_bytes();
        for position in 0..encoded.len() {
            for bit in 0..8 {
                let mut flipped = encoded.clone();
                flipped[position] ^= 1 << bit;
                let accepted = SignedNote::parse(&flipped).and_then(|note| note.verify(&keys).map(|_| ()));
                assert!(accepted.is_err(), "byte {position} bit {bit}");
            }
        }
    }

    #[test]
    fn rejects_notes_out_of_form() {
        let (note, _) = signed("text\n");
        let line = note.encode().split_once("\n\n").unwrap().1.to_owned();
        for bytes in [
            String::new(),
            "text\n".to_owned(),
            "text\n\n".to_owned(),
            format!("text\n{line}"),
            format!("te\txt\n\n{line}"),
            format!("text\n\n{}", line.trim_end()),
            format!("text\n\n- {line}"),
            format!("text\n\n{}", line.replace("one ", "one")),
            format!("text\n\n{}", line.replace("one ", "o+e ")),
            format!("text\n\n{}", line.repeat(SIGNATURES_MAX + 1)),
        ] {
            assert!(SignedNote::parse(bytes.as_bytes()).is_err(), "{bytes:?}");
        }
        assert!(SignedNote::parse(b"text\xff\n\n").is_err());
        assert!(SignedNote::parse(&vec![b'a'; NOTE_BYTES_MAX + 1]).is_err());
        assert!(SignedNote::sign("no newline", &SeedSigner::new("a", 1)).is_err());
    }

    #[test]
    fn a_faulty_signer_cannot_sign() {
        struct Faulty(SeedSigner);
        impl NoteSigner for Faulty {
            fn name(&self) -> &str {
                self.0.name()
            }
            fn public_key(&self) -> [u8; 32] {
                self.0.public_key()
            }
            fn sign(&self, _: &[u8]) -> Result<[u8; SIGNATURE_BYTES]> {
                self.0.sign(b"something else\n")
            }
        }
        let faulty = Faulty(SeedSigner::new("log.example", 1));
        assert!(matches!(SignedNote::sign("text\n", &faulty), Err(Error::BadSignature { .. })));
    }
}
