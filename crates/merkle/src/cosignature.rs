//! Cosignatures: a witness says that it saw a checkpoint at a time, and that it extends all it saw of that log before.
//!
//! ```text
//! message       "cosignature/v1" 0x0A "time " <seconds since 1970, decimal> 0x0A <note text of the checkpoint>
//! signature     seconds (8 bytes, big-endian) || Ed25519 signature of the message (64 bytes)
//! key id        first 4 bytes of SHA-256(key name || 0x0A || 0x04 || public key (32 bytes))
//! verifier key  <key name>+<key id, 8 hexadecimal digits>+base64(0x04 || public key)
//! ```
//! Source: C2SP tlog-cosignature, version 1 with Ed25519. The line stands in the checkpoint's note beside the log's own.

use std::fmt;

use crate::checkpoint::SignedCheckpoint;
use crate::crypto;
use crate::error::{Error, Result};
use crate::hash::sha256;
use crate::note::{NoteSignature, NoteSigner, SIGNATURE_BYTES, SignedNote, is_key_name};
use crate::text;

const COSIGNATURE_TYPE: u8 = 0x04;
const TIME_BYTES: usize = 8;
const KEY_ID_BYTES: usize = 4;

/// The public half of a witness's key.
#[derive(Clone, PartialEq, Eq)]
pub struct WitnessKey {
    name: String,
    key_id: [u8; KEY_ID_BYTES],
    public_key: [u8; 32],
}

impl WitnessKey {
    /// Names a public key.
    ///
    /// # Errors
    /// [`Error::VerifierKey`] if the name cannot stand in a signature line.
    pub fn new(name: &str, public_key: [u8; 32]) -> Result<Self> {
        if !is_key_name(name) {
            return Err(Error::VerifierKey("the name is empty or has a space or plus"));
        }
        let typed = [name.as_bytes(), b"\n", &[COSIGNATURE_TYPE], &public_key].concat();
        let mut key_id = [0; KEY_ID_BYTES];
        key_id.copy_from_slice(&sha256(&typed).as_bytes()[..KEY_ID_BYTES]);
        Ok(Self { name: name.to_owned(), key_id, public_key })
    }

    /// The key of a witness that signs with `signer`.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of(signer: &dyn NoteSigner) -> Result<Self> {
        Self::new(signer.name(), signer.public_key())
    }

    /// Reads `name+id+key`.
    ///
    /// # Errors
    /// [`Error::VerifierKey`] if it is malformed, of another type, or its id is not its key's.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(id), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::VerifierKey("it has not three parts"));
        };
        let typed = text::base64_decode(encoded).ok_or(Error::VerifierKey("the key is not base64"))?;
        let Some((&COSIGNATURE_TYPE, key)) = typed.split_first() else {
            return Err(Error::VerifierKey("the key is not that of a witness: its type is not 4"));
        };
        let key = key.try_into().map_err(|_| Error::VerifierKey("the key is not of 32 bytes"))?;
        let key = Self::new(name, key)?;
        match text::hex_array(id) == Some(key.key_id) {
            true => Ok(key),
            false => Err(Error::VerifierKey("the id is of another key")),
        }
    }

    /// The witness's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The Ed25519 public key.
    #[must_use]
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// When this witness saw a checkpoint, in seconds since 1970: the latest of its lines in the note. `None` when it
    /// has none there.
    ///
    /// # Errors
    /// [`Error::BadSignature`] for a line of this key that does not verify.
    pub fn cosigned_at(&self, note: &SignedNote) -> Result<Option<u64>> {
        let mut latest = None;
        let own = note.signatures().iter().filter(|line| line.name == self.name && line.key_id == self.key_id);
        for line in own {
            latest = latest.max(Some(self.time_of(note.text(), line)?));
        }
        Ok(latest)
    }

    fn time_of(&self, note_text: &str, line: &NoteSignature) -> Result<u64> {
        let bad = || Error::BadSignature { name: self.name.clone() };
        let (time, signature) = line.signature.split_first_chunk::<TIME_BYTES>().ok_or_else(bad)?;
        let seconds = u64::from_be_bytes(*time);
        let is_right = crypto::ed25519_verify(&self.public_key, message(note_text, seconds).as_bytes(), signature);
        if is_right { Ok(seconds) } else { Err(bad()) }
    }
}

impl fmt::Display for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let typed = [&[COSIGNATURE_TYPE], self.public_key.as_slice()].concat();
        write!(f, "{}+{:08x}+{}", self.name, u32::from_be_bytes(self.key_id), text::base64_encode(&typed))
    }
}

impl fmt::Debug for WitnessKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How many of which witnesses must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    witnesses: Vec<WitnessKey>,
    needed: usize,
}

impl Quorum {
    /// Asks for `needed` of the witnesses.
    ///
    /// # Errors
    /// [`Error::Quorum`] if there are fewer witnesses, none is needed, or two of them are one: a key that counts twice
    /// is no second pair of eyes.
    pub fn new(witnesses: Vec<WitnessKey>, needed: usize) -> Result<Self> {
        if needed == 0 || needed > witnesses.len() {
            return Err(Error::Quorum("it needs at least one witness, and not more than there are"));
        }
        let is_repeated = |(index, key): (usize, &WitnessKey)| {
            witnesses[..index].iter().any(|other| other.public_key == key.public_key || other.name == key.name)
        };
        match witnesses.iter().enumerate().any(is_repeated) {
            true => Err(Error::Quorum("two of its witnesses have one name or one key")),
            false => Ok(Self { witnesses, needed }),
        }
    }

    /// The witnesses that count.
    #[must_use]
    pub fn witnesses(&self) -> &[WitnessKey] {
        &self.witnesses
    }

    /// How many of them are needed.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.needed
    }

    /// Since when a quorum has vouched for a note, in seconds since 1970: of its newest cosignatures the oldest that is
    /// needed. `None` while they are too few.
    ///
    /// # Errors
    /// When a line of one of the witnesses does not verify.
    pub fn reached_at(&self, note: &SignedNote) -> Result<Option<u64>> {
        let times = self.witnesses.iter().map(|key| key.cosigned_at(note)).collect::<Result<Vec<_>>>()?;
        let mut times: Vec<u64> = times.into_iter().flatten().collect();
        times.sort_unstable_by_key(|time| std::cmp::Reverse(*time));
        Ok(times.get(self.needed - 1).copied())
    }
}

/// Cosigns a checkpoint.
///
/// The caller answers for the promise that it extends every checkpoint of its log that this key cosigned before.
///
/// # Errors
/// [`Error::Signer`] from the signer; [`Error::BadSignature`] if what it returned does not verify.
pub fn cosign(checkpoint: &SignedCheckpoint, seconds: u64, signer: &dyn NoteSigner) -> Result<NoteSignature> {
    let key = WitnessKey::of(signer)?;
    let note_text = checkpoint.note().text();
    let signature: [u8; SIGNATURE_BYTES] = signer.sign(message(note_text, seconds).as_bytes())?;
    let signature = [seconds.to_be_bytes().as_slice(), &signature].concat();
    let line = NoteSignature { name: key.name.clone(), key_id: key.key_id, signature };
    key.time_of(note_text, &line)?;
    Ok(line)
}

fn message(note_text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{note_text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::Checkpoint;
    use crate::note::tests::SeedSigner;

    #[test]
    fn a_cosigned_checkpoint_says_when_and_by_whom_and_still_opens() {
        let (log, witness) = (SeedSigner::new("log.example/one", 1), SeedSigner::new("witness.example", 2));
        let signed = Checkpoint::new(log.name(), 3, sha256(b"x")).unwrap().sign(&log).unwrap();
        let key = WitnessKey::of(&witness).unwrap();
        assert_eq!(WitnessKey::parse(&key.to_string()).unwrap(), key);
        assert_eq!(key.cosigned_at(signed.note()).unwrap(), None);
        let mut note = signed.note().clone();
        note.add_signature(cosign(&signed, 77, &witness).unwrap());
        note.add_signature(cosign(&signed, 60, &witness).unwrap());
        let note = SignedNote::parse(note.encode().as_bytes()).unwrap();
        assert_eq!(key.cosigned_at(&note).unwrap(), Some(77));
        let own = [crate::VerifierKey::of(&log).unwrap()];
        assert_eq!(SignedCheckpoint::open(note.encode().as_bytes(), log.name(), &own).unwrap().size(), 3);
        let other = WitnessKey::of(&SeedSigner::new("witness.example", 3)).unwrap();
        assert_eq!(other.cosigned_at(&note).unwrap(), None);
    }

    #[test]
    fn a_quorum_counts_each_witness_once_and_by_its_newest_line() {
        let log = SeedSigner::new("log.example/one", 1);
        let signers = [2, 3, 4].map(|seed| SeedSigner::new(&format!("witness.example/{seed}"), seed));
        let keys: Vec<_> = signers.iter().map(|signer| WitnessKey::of(signer).unwrap()).collect();
        let signed = Checkpoint::new(log.name(), 3, sha256(b"x")).unwrap().sign(&log).unwrap();
        let two = Quorum::new(keys.clone(), 2).unwrap();
        let mut note = signed.note().clone();
        for (signer, seconds) in [(&signers[0], 50), (&signers[0], 90)] {
            note.add_signature(cosign(&signed, seconds, signer).unwrap());
        }
        assert_eq!(two.reached_at(&note).unwrap(), None);
        note.add_signature(cosign(&signed, 60, &signers[1]).unwrap());
        assert_eq!(two.reached_at(&note).unwrap(), Some(60));
        note.add_signature(cosign(&signed, 70, &signers[2]).unwrap());
        assert_eq!(two.reached_at(&note).unwrap(), Some(70));
        let renamed = WitnessKey::new("other.example", *keys[0].public_key()).unwrap();
        for (witnesses, needed) in
            [(keys.clone(), 0), (keys.clone(), 4), (vec![keys[0].clone(), renamed], 1), (Vec::new(), 1)]
        {
            assert!(matches!(Quorum::new(witnesses, needed), Err(Error::Quorum(_))));
        }
    }

    #[test]
    fn a_cosignature_of_another_time_or_text_is_refused() {
        let (log, witness) = (SeedSigner::new("log.example/one", 1), SeedSigner::new("witness.example", 2));
        let signed = |size| Checkpoint::new(log.name(), size, sha256(b"x")).unwrap().sign(&log).unwrap();
        let key = WitnessKey::of(&witness).unwrap();
        let mut moved = cosign(&signed(3), 77, &witness).unwrap();
        moved.signature[7] ^= 1;
        for (checkpoint, line) in [(signed(3), moved), (signed(4), cosign(&signed(3), 77, &witness).unwrap())] {
            let mut note = checkpoint.note().clone();
            note.add_signature(line);
            assert!(matches!(key.cosigned_at(&note), Err(Error::BadSignature { .. })));
        }
        assert!(WitnessKey::parse(&crate::VerifierKey::of(&witness).unwrap().to_string()).is_err());
    }
}
