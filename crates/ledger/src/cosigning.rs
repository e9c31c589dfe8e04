//! The log's side of witnessing: offers the root checkpoint to witnesses, collects their cosignatures, and says when
//! one of them knows another history.

use std::fmt::Debug;

use moneta_merkle::{AddCheckpoint, SignedCheckpoint, SignedNote, WitnessKey};

use crate::error::Result;
use crate::ledger::{Ledger, LogName};

/// An answer of a witness as it comes over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessReply {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// A way to one witness.
pub trait WitnessLink: Debug {
    /// The witness's key.
    fn key(&self) -> &WitnessKey;

    /// Sends the body of an `add-checkpoint` request.
    ///
    /// # Errors
    /// When the witness cannot be reached, in words.
    fn offer(&self, body: &str) -> std::result::Result<WitnessReply, String>;
}

/// How many of which witnesses must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    /// The witnesses that count.
    pub witnesses: Vec<WitnessKey>,
    /// How many of them are needed.
    pub needed: usize,
}

impl Quorum {
    /// When the quorum was reached, in seconds since 1970: the time of the last cosignature that was needed. `None`
    /// while it is not.
    ///
    /// # Errors
    /// When a line of one of the witnesses does not verify.
    pub fn reached_at(&self, note: &SignedNote) -> Result<Option<u64>> {
        let times =
            self.witnesses.iter().map(|key| key.cosigned_at(note)).collect::<moneta_merkle::Result<Vec<_>>>()?;
        let mut times: Vec<u64> = times.into_iter().flatten().collect();
        times.sort_unstable();
        Ok(match self.needed {
            0 => Some(0),
            needed => times.get(needed - 1).copied(),
        })
    }
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

/// A checkpoint with the cosignatures that were given, and what the other witnesses said.
#[derive(Debug)]
pub struct Cosigned {
    /// The checkpoint file with all signature lines.
    pub note: SignedNote,
    /// By name of the witness.
    pub alarms: Vec<(String, WitnessAlarm)>,
}

/// Offers the root checkpoint of this moment to every witness.
///
/// # Errors
/// When the ledger cannot be read. What witnesses say is no error: see [`Cosigned::alarms`].
pub fn collect_cosignatures(ledger: &Ledger, links: &[Box<dyn WitnessLink>]) -> Result<Cosigned> {
    let checkpoint = ledger.root_checkpoint();
    let mut cosigned = Cosigned { note: checkpoint.note().clone(), alarms: Vec::new() };
    for link in links {
        match ask(ledger, &checkpoint, &**link)? {
            Ok(note) => note.signatures().iter().for_each(|line| cosigned.note.add_signature(line.clone())),
            Err(alarm) => cosigned.alarms.push((link.key().name().to_owned(), alarm)),
        }
    }
    Ok(cosigned)
}

/// Asks one witness; a note with its line alone is its consent. A witness that knows another size says so, and is asked
/// once more from there.
fn ask(
    ledger: &Ledger,
    checkpoint: &SignedCheckpoint,
    link: &dyn WitnessLink,
) -> Result<std::result::Result<SignedNote, WitnessAlarm>> {
    let mut old_size = 0;
    for _ in 0..2 {
        let proof = ledger.prove_growth(&LogName::Root, old_size, checkpoint.size())?;
        let request = AddCheckpoint { old_size, proof, checkpoint: checkpoint.encode() };
        let reply = match link.offer(&request.encode()) {
            Ok(reply) => reply,
            Err(reason) => return Ok(Err(WitnessAlarm::Away(reason))),
        };
        match (reply.status, known_size(&reply)) {
            (200, _) => return Ok(consent(checkpoint, link.key(), &reply.body)),
            (409, Some(seen)) if seen > checkpoint.size() => return Ok(Err(WitnessAlarm::RolledBack { seen })),
            (409, Some(seen)) if seen != old_size => old_size = seen,
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
