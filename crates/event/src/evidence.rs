//! The evidence of an alert: which events its row names, and the file that proves the row and all of them.
//!
//! # Layout of the file, version 1
//! Record proofs (`record_proof.rs`) one after the other: that of the alert's row in `SecurityAlert`, then those of the
//! events that the row names, in ascending order of table and `_Seq`. Each begins with its own first line, which stands
//! nowhere else in a proof; there is nothing between them. Any checker of record proofs checks each by itself. Whether all
//! events are there needs no word of whoever made the file: the alert's record, which is proved, names them.

use std::collections::{BTreeMap, BTreeSet};

use moneta_base::Seq;
use moneta_merkle::note::VerifierKey;
use serde_json::{Map, Value};

use crate::catalog::table;
use crate::record::{MalformedRecord, RecordFields};
use crate::record_proof::{FIRST_LINE, ProvenRecord, RecordProof, RecordProofError};

/// Events that an alert names at most.
pub const EVENTS_NAMED_MAX: usize = 1_000;
/// The member of `ExtendedProperties` with the sequences of the events by table, where they lie in several.
pub const EVENT_SEQS_BY_TABLE: &str = "Event Seqs By Table";
/// The table of events that are rows of a query's result: they are stored in the alert's row and nowhere else.
pub const RESULT_TABLE: &str = "QueryResult";

/// The events that a row of `SecurityAlert` names, by table and `_Seq`: those that it lists with their fields, then those
/// that it only names. At most [`EVENTS_NAMED_MAX`], each once. `text` gives the text of a column, empty where it has none.
#[must_use]
pub fn named_events(text: impl Fn(&str) -> String) -> Vec<(String, Seq)> {
    let listed: Vec<Value> = serde_json::from_str(&text("Events")).unwrap_or_default();
    let place = |event: &Value| Some((event["table"].as_str()?.to_owned(), event["seq"].as_u64()?));
    let listed: Vec<(String, Seq)> = listed.iter().filter_map(place).collect();
    let by_table = seqs_by_table(&text);
    // Sequences without a table beside events of several name no rows.
    let is_unclear = by_table.len() == 1 && listed.iter().any(|(table, _)| !by_table.contains_key(table));
    let by_table = by_table.into_iter().filter(|(table, _)| !is_unclear && !table.is_empty());
    let named = by_table.flat_map(|(table, seqs)| seqs.into_iter().map(move |seq| (table.clone(), seq)));
    let mut known = BTreeSet::new();
    let once = listed.into_iter().chain(named).filter(|place| known.insert(place.clone()));
    once.take(EVENTS_NAMED_MAX).collect()
}

fn seqs_by_table(text: &impl Fn(&str) -> String) -> BTreeMap<String, Vec<Seq>> {
    let properties: Map<String, Value> = serde_json::from_str(&text("ExtendedProperties")).unwrap_or_default();
    let stated = properties.get(EVENT_SEQS_BY_TABLE).cloned().unwrap_or_default();
    serde_json::from_value(stated).unwrap_or_else(|_| {
        BTreeMap::from([(text("EventTable"), serde_json::from_str(&text("EventSeqs")).unwrap_or_default())])
    })
}

/// The proofs of an alert's row and of its events. Holding them says nothing: see [`AlertEvidence::verify`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertEvidence {
    /// The proof of the alert's row.
    pub alert: RecordProof,
    /// The proofs of its events.
    pub events: Vec<RecordProof>,
}

/// What verified evidence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenAlert {
    /// `SystemAlertId` of the alert.
    pub id: String,
    /// Its `DisplayName`.
    pub title: String,
    /// What is proved of its row.
    pub row: ProvenRecord,
    /// Events that it counts; it names [`EVENTS_NAMED_MAX`] at most.
    pub event_count: u64,
    /// Events that are proved.
    pub num_proved: usize,
    /// Events that it names and that have no proof in the file, by table and `_Seq`.
    pub absent: Vec<(String, Seq)>,
}

/// Why a text is not the evidence of an alert, or does not prove it.
#[derive(Debug, thiserror::Error)]
pub enum EvidenceError {
    /// More proofs than an alert names events.
    #[error("it has more proofs than an alert names events")]
    TooMany,
    /// A proof cannot be read or does not hold.
    #[error("proof {number} of the file")]
    Proof {
        /// Which, counted from 1: the alert's own.
        number: usize,
        /// Why.
        source: RecordProofError,
    },
    /// The first proof is of something else.
    #[error("the first proof is of a row of {0}, and no alert")]
    NoAlert(String),
    /// The alert's record cannot be read.
    #[error("the record of the alert cannot be read")]
    Record(#[from] MalformedRecord),
    /// An event that is no evidence.
    #[error("row {seq} of {table} is not named by the alert, or is proved twice")]
    NotNamed {
        /// Its table.
        table: String,
        /// Its `_Seq`.
        seq: Seq,
    },
}

impl AlertEvidence {
    /// Writes the file.
    #[must_use]
    pub fn encode(&self) -> String {
        std::iter::once(&self.alert).chain(&self.events).map(RecordProof::encode).collect()
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`EvidenceError::TooMany`]; [`EvidenceError::Proof`] for a part that is no record proof.
    pub fn parse(text: &str) -> Result<Self, EvidenceError> {
        let starts = text.match_indices(FIRST_LINE).map(|(at, _)| at);
        let is_line = |at: &usize| *at > 0 && text.as_bytes()[at - 1] == b'\n';
        let starts: Vec<usize> = std::iter::once(0).chain(starts.filter(is_line)).take(EVENTS_NAMED_MAX + 2).collect();
        if starts.len() > EVENTS_NAMED_MAX + 1 {
            return Err(EvidenceError::TooMany);
        }
        let ends = starts[1..].iter().copied().chain([text.len()]);
        let parts = starts.iter().zip(ends).map(|(start, end)| &text[*start..end]);
        let read =
            |(at, part)| RecordProof::parse(part).map_err(|source| EvidenceError::Proof { number: at + 1, source });
        let mut proofs = parts.enumerate().map(read);
        let alert = proofs.next().expect("there is a part from 0 on")?;
        Ok(Self { alert, events: proofs.collect::<Result<_, _>>()? })
    }

    /// The events that the alert names and that are stored rows, by table and `_Seq`. Of an alert that is not verified,
    /// this is a claim.
    ///
    /// # Errors
    /// [`EvidenceError::NoAlert`]; [`EvidenceError::Record`].
    pub fn named(alert: &RecordProof) -> Result<BTreeSet<(String, Seq)>, EvidenceError> {
        let table = &alert.header.shard.table;
        if table.as_str() != table::SECURITY_ALERT {
            return Err(EvidenceError::NoAlert(table.to_string()));
        }
        let fields = RecordFields::read(&alert.record)?;
        let named = named_events(|column| fields.text(column).to_owned());
        Ok(named.into_iter().filter(|(table, _)| table != RESULT_TABLE).collect())
    }

    /// The events that the alert names and that have no proof here. Of evidence that is not verified, this is a claim.
    ///
    /// # Errors
    /// [`EvidenceError::NoAlert`]; [`EvidenceError::Record`]; [`EvidenceError::NotNamed`].
    pub fn absent(&self) -> Result<BTreeSet<(String, Seq)>, EvidenceError> {
        let mut named = Self::named(&self.alert)?;
        for proof in &self.events {
            let (table, seq) = (proof.header.shard.table.to_string(), proof.header.first_seq + proof.index);
            if !named.remove(&(table.clone(), seq)) {
                return Err(EvidenceError::NotNamed { table, seq });
            }
        }
        Ok(named)
    }

    /// Checks every proof as [`RecordProof::verify`] does, that the first is of an alert, and that the others are of
    /// events that it names, each once. Which of these are not there is part of what is answered.
    ///
    /// # Errors
    /// [`EvidenceError`] saying what does not hold.
    pub fn verify(&self, origin: &str, keys: &[VerifierKey]) -> Result<ProvenAlert, EvidenceError> {
        let proved = |(at, proof): (usize, &RecordProof)| {
            proof.verify(origin, keys).map_err(|source| EvidenceError::Proof { number: at + 1, source })
        };
        let row = proved((0, &self.alert))?;
        for (at, proof) in self.events.iter().enumerate() {
            proved((at + 1, proof))?;
        }
        let absent = self.absent()?.into_iter().collect();
        let fields = RecordFields::read(&self.alert.record)?;
        Ok(ProvenAlert {
            id: fields.text("SystemAlertId").to_owned(),
            title: fields.text("DisplayName").to_owned(),
            row,
            event_count: fields.long("EventCount").and_then(|count| u64::try_from(count).ok()).unwrap_or(0),
            num_proved: self.events.len(),
            absent,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(columns: &[(&str, &str)]) -> Vec<(String, Seq)> {
        let columns: BTreeMap<&str, &str> = columns.iter().copied().collect();
        named_events(|column| columns.get(column).copied().unwrap_or_default().to_owned())
    }

    fn places(found: &[(String, Seq)]) -> Vec<(&str, Seq)> {
        found.iter().map(|(table, seq)| (table.as_str(), *seq)).collect()
    }

    #[test]
    fn events_are_those_listed_and_then_those_named() {
        let listed = r#"[{"table":"T","seq":4,"time":"x"},{"table":"T","seq":4}]"#;
        let found = named(&[("Events", listed), ("EventTable", "T"), ("EventSeqs", "[4,5]")]);
        assert_eq!(places(&found), [("T", 4), ("T", 5)]);
        let mixed = r#"[{"table":"T","seq":4},{"table":"U","seq":1}]"#;
        let found = named(&[("Events", mixed), ("EventTable", "T"), ("EventSeqs", "[4,1,9]")]);
        assert_eq!(places(&found), [("T", 4), ("U", 1)], "sequences of several tables name no rows");
        let by_table = r#"{"Event Seqs By Table":{"T":[4,9],"U":[1,4]}}"#;
        let found = named(&[("Events", mixed), ("EventTable", "T"), ("ExtendedProperties", by_table)]);
        assert_eq!(places(&found), [("T", 4), ("U", 1), ("T", 9), ("U", 4)]);
        assert!(named(&[("EventSeqs", "[1]")]).is_empty(), "no table");
        let many = serde_json::json!((0..3_000).collect::<Vec<u64>>()).to_string();
        assert_eq!(named(&[("EventTable", "T"), ("EventSeqs", &many)]).len(), EVENTS_NAMED_MAX);
    }

    #[test]
    fn a_text_that_is_no_proof_is_no_evidence() {
        for text in ["", "x", FIRST_LINE, &format!("{FIRST_LINE}\n{FIRST_LINE}\n"), &format!("\n{FIRST_LINE}\n")] {
            assert!(matches!(AlertEvidence::parse(text), Err(EvidenceError::Proof { number: 1, .. })), "{text:?}");
        }
        let many = format!("{FIRST_LINE}\n").repeat(EVENTS_NAMED_MAX + 2);
        assert!(matches!(AlertEvidence::parse(&many), Err(EvidenceError::TooMany)));
    }
}
