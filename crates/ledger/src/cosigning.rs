//! The log's side of witnessing: offers the root checkpoint to witnesses, collects their cosignatures, and says when
//! one of them knows another history.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::PoisonError;

use moneta_base::fs::write_atomically;
use moneta_merkle::proof::{prove_consistency, verify_consistency};
use moneta_merkle::{AddCheckpoint, Hash, Quorum, SignedCheckpoint, SignedNote, WitnessKey};

use crate::error::{Error, Result};
use crate::ledger::{Ledger, LogName};

/// Name of the file with the newest checkpoint that a quorum of witnesses cosigned, beside the newest checkpoint.
const COSIGNED: &str = "cosigned";

/// An answer of a witness as it comes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A way to one witness.
pub trait WitnessLink: Debug + Send + Sync {
    /// The witness's key.
    fn key(&self) -> &WitnessKey;

    /// Sends the body of an `add-checkpoint` request.
    ///
    /// # Errors
    /// When the witness cannot be reached, in words.
    fn offer(&self, body: &str) -> std::result::Result<WitnessReply, String>;
}

/// What a witness's answer means, where it is not a cosignature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessAlarm {
    /// It cannot be reached or does not answer as it should; try again later.
    Away(String),
    /// It saw a larger tree of this log: this log was rolled back.
    RolledBack {
        /// The size that it saw.
        seen: u64,
    },
    /// It saw a tree that this one does not extend: somebody signed two histories.
    SplitView,
}

/// What one round of asking gave.
#[derive(Debug)]
pub struct Cosigned {
    /// Size of the tree that was offered.
    pub size: u64,
    /// When a quorum was reached, in seconds since 1970; `None` when too few consented.
    pub quorum_at: Option<u64>,
    /// What the witnesses said that did not cosign, by name.
    pub alarms: Vec<(String, WitnessAlarm)>,
}

/// Offers checkpoints to the witnesses of a log, and remembers how far each of them is.
#[derive(Debug)]
pub struct Cosigner {
    links: Vec<Box<dyn WitnessLink>>,
    quorum: Quorum,
    /// By link, the size that the witness is thought to know.
    known: Vec<u64>,
}

impl Cosigner {
    /// Asks `needed` of the witnesses at the links.
    ///
    /// # Errors
    /// As [`Quorum::new`].
    pub fn new(links: Vec<Box<dyn WitnessLink>>, needed: usize) -> Result<Self> {
        let quorum = Quorum::new(links.iter().map(|link| link.key().clone()).collect(), needed)?;
        let known = vec![0; links.len()];
        Ok(Self { links, quorum, known })
    }

    /// The witnesses and how many of them are needed.
    #[must_use]
    pub fn quorum(&self) -> &Quorum {
        &self.quorum
    }

    /// Offers the root checkpoint of this moment to every witness. Once a quorum consents, the checkpoint with its
    /// cosignatures is stored, and [`Ledger::cosigned`] gives it.
    ///
    /// # Errors
    /// When the ledger cannot be read or written. What witnesses say is no error: see [`Cosigned::alarms`].
    pub fn ask(&mut self, ledger: &Ledger) -> Result<Cosigned> {
        let checkpoint = ledger.root_checkpoint();
        let (mut note, mut alarms) = (checkpoint.note().clone(), Vec::new());
        for (link, known) in self.links.iter().zip(&mut self.known) {
            match ask(ledger, &checkpoint, &**link, known)? {
                Ok(consent) => consent.signatures().iter().for_each(|line| note.add_signature(line.clone())),
                Err(alarm) => alarms.push((link.key().name().to_owned(), alarm)),
            }
        }
        let quorum_at = self.quorum.reached_at(&note)?;
        if quorum_at.is_some() {
            ledger.keep_cosigned(&note)?;
        }
        Ok(Cosigned { size: checkpoint.size(), quorum_at, alarms })
    }
}

/// Asks one witness; a note with its line alone is its consent. A witness that knows another size says so, and is asked
/// once more from there.
fn ask(
    ledger: &Ledger,
    checkpoint: &SignedCheckpoint,
    link: &dyn WitnessLink,
    known: &mut u64,
) -> Result<std::result::Result<SignedNote, WitnessAlarm>> {
    *known = (*known).min(checkpoint.size());
    for _ in 0..2 {
        let proof = ledger.prove_growth(&LogName::Root, *known, checkpoint.size())?;
        let request = AddCheckpoint { old_size: *known, proof, checkpoint: checkpoint.encode() };
        let reply = match link.offer(&request.encode()) {
            Ok(reply) => reply,
            Err(reason) => return Ok(Err(WitnessAlarm::Away(reason))),
        };
        match (reply.status, known_size(&reply)) {
            (200, _) => {
                let consent = consent(checkpoint, link.key(), &reply.body);
                *known = if consent.is_ok() { checkpoint.size() } else { 0 };
                return Ok(consent);
            }
            (409, Some(seen)) if seen > checkpoint.size() => return Ok(Err(WitnessAlarm::RolledBack { seen })),
            (409, Some(seen)) if seen != *known => *known = seen,
            (409 | 422, _) => return Ok(Err(WitnessAlarm::SplitView)),
            (status, _) => {
                return Ok(Err(WitnessAlarm::Away(format!("it answers {status}: {}", reply.body.trim_end()))));
            }
        }
    }
    Ok(Err(WitnessAlarm::Away("it names another size each time it is asked".to_owned())))
}

fn known_size(reply: &WitnessReply) -> Option<u64> {
    moneta_merkle::text::decimal(reply.body.strip_suffix('\n')?)
}

/// The note with the witness's line alone, if it is right.
fn consent(
    checkpoint: &SignedCheckpoint,
    key: &WitnessKey,
    lines: &str,
) -> std::result::Result<SignedNote, WitnessAlarm> {
    let bad = || WitnessAlarm::Away("its cosignature does not verify".to_owned());
    let note = format!("{}\n{lines}", checkpoint.note().text());
    let note = SignedNote::parse(note.as_bytes()).map_err(|_| bad())?;
    match key.cosigned_at(&note) {
        Ok(Some(_)) => Ok(note),
        Ok(None) | Err(_) => Err(bad()),
    }
}

impl Ledger {
    /// The newest root checkpoint that a quorum of witnesses cosigned, with their lines; none before the first.
    #[must_use]
    pub fn cosigned(&self) -> Option<SignedCheckpoint> {
        self.cosigned.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The newest root checkpoint as others are shown it: with the cosignatures it has.
    #[must_use]
    pub fn served_checkpoint(&self) -> SignedCheckpoint {
        let newest = self.root_checkpoint();
        let cosigned = self.cosigned().filter(|cosigned| cosigned.note().text() == newest.note().text());
        cosigned.unwrap_or(newest)
    }

    /// Stores a cosigned checkpoint before it is shown to anybody.
    fn keep_cosigned(&self, note: &SignedNote) -> Result<()> {
        let bytes = note.encode();
        let checkpoint = SignedCheckpoint::open(bytes.as_bytes(), &self.origin, &self.keys)?;
        let path = self.cosigned_path();
        write_atomically(&*self.fs, &path, bytes.as_bytes()).map_err(Error::io(&path))?;
        *self.cosigned.write().unwrap_or_else(PoisonError::into_inner) = Some(checkpoint);
        Ok(())
    }

    /// Reads the cosigned checkpoint of the last run. The root log must be a continuation of it: witnesses know it, so
    /// a log that is not was put back to an earlier day or exchanged.
    pub(crate) fn load_cosigned(&self) -> Result<()> {
        let path = self.cosigned_path();
        if !self.fs.exists(&path) {
            return Ok(());
        }
        let bytes = self.fs.read(&path).map_err(Error::io(&path))?;
        let corrupt = |reason: String| Error::Corrupt { path: path.clone(), reason };
        let cosigned = SignedCheckpoint::open(&bytes, &self.origin, &self.keys);
        let cosigned = cosigned.map_err(|error| corrupt(error.to_string()))?;
        let newest = self.root_checkpoint();
        let (old, new) = ((cosigned.size(), cosigned.root()), (newest.size(), newest.root()));
        if old.0 > new.0 {
            let reason =
                format!("witnesses know {} root entries, the root log has {}: it was rolled back", old.0, new.0);
            return Err(corrupt(reason));
        }
        if old.0 > 0 && !self.extends(old, new)? {
            return Err(corrupt("the root log does not continue the tree that witnesses know".to_owned()));
        }
        *self.cosigned.write().unwrap_or_else(PoisonError::into_inner) = Some(cosigned);
        Ok(())
    }

    fn extends(&self, old: (u64, Hash), new: (u64, Hash)) -> Result<bool> {
        let proof = prove_consistency(old.0, new.0, &self.root_files())?;
        Ok(verify_consistency(old.0, new.0, &proof, &old.1, &new.1).is_ok())
    }

    fn cosigned_path(&self) -> PathBuf {
        self.root_files().dir().join(COSIGNED)
    }
}
