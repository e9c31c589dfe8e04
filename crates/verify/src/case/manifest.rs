//! The manifest of a case: every file of it, and everything that it should have and has not.
//!
//! # Layout, version 1
//! ```text
//! moneta case v1
//! incident <number>
//! file <sha256 hex> <size in bytes> <path>                        one line a file but this one, in order of path
//! missing event <dropped, never-stored or too-long> <_Seq> <table as JSON text>      a row that an alert names
//! missing alert no-row <id as JSON text>                          no row of SecurityAlert has that id
//! missing versions before <_Seq>                                  the first row is not the beginning of the incident
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use moneta_base::Seq;
use moneta_merkle::Hash;
use serde_json::json;

/// First line of the manifest.
pub(super) const HEADER: &str = "moneta case v1\n";

/// What is in a case, and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CaseManifest {
    /// Number of the incident.
    pub incident: u64,
    /// SHA-256 and bytes of each file but the manifest, by its path.
    pub files: BTreeMap<String, (Hash, u64)>,
    /// What is missing.
    pub missing: BTreeSet<Missing>,
}

/// Something that a case should have and has not.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// A row that an alert names.
    Event {
        /// Its table, as the alert says.
        table: String,
        /// Its `_Seq`.
        seq: Seq,
        /// Why it is not there.
        why: Why,
    },
    /// An alert of which no row of `SecurityAlert` is stored.
    Alert {
        /// Its `SystemAlertId`.
        id: String,
    },
    /// Versions of the incident.
    Versions {
        /// The first row that is there.
        before: Seq,
    },
}

/// Why an event is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// Its day was dropped by policy, which proofs show.
    Dropped,
    /// There is no such row.
    NeverStored,
    /// The events of its alert are longer than a file of evidence may be.
    TooLong,
}

impl Why {
    const ALL: [Self; 3] = [Self::Dropped, Self::NeverStored, Self::TooLong];

    const fn name(self) -> &'static str {
        match self {
            Self::Dropped => "dropped",
            Self::NeverStored => "never-stored",
            Self::TooLong => "too-long",
        }
    }
}

impl CaseManifest {
    /// Its text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = format!("{HEADER}incident {}\n", self.incident);
        for (path, (hash, size_bytes)) in &self.files {
            text.push_str(&format!("file {} {size_bytes} {path}\n", hash.to_hex()));
        }
        for missing in &self.missing {
            text.push_str(&match missing {
                Missing::Event { table, seq, why } => format!("missing event {} {seq} {}\n", why.name(), json!(table)),
                Missing::Alert { id } => format!("missing alert no-row {}\n", json!(id)),
                Missing::Versions { before } => format!("missing versions before {before}\n"),
            });
        }
        text
    }

    /// Reads its text, of which there is one for each manifest.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(HEADER)?.lines();
        let mut manifest = Self { incident: lines.next()?.strip_prefix("incident ")?.parse().ok()?, ..Self::default() };
        for line in lines {
            if let Some(file) = line.strip_prefix("file ") {
                let mut words = file.splitn(3, ' ');
                let (hash, size, path) = (words.next()?, words.next()?, words.next()?);
                manifest.files.insert(path.to_owned(), (Hash::from_hex(hash).ok()?, size.parse().ok()?));
            } else {
                manifest.missing.insert(Missing::parse(line.strip_prefix("missing ")?)?);
            }
        }
        (manifest.encode() == text).then_some(manifest)
    }
}

impl Missing {
    fn parse(text: &str) -> Option<Self> {
        if let Some(event) = text.strip_prefix("event ") {
            let mut words = event.splitn(3, ' ');
            let (why, seq, table) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
            let why = Why::ALL.into_iter().find(|one| one.name() == why)?;
            return Some(Self::Event { table: serde_json::from_str(table).ok()?, seq, why });
        }
        if let Some(id) = text.strip_prefix("alert no-row ") {
            return Some(Self::Alert { id: serde_json::from_str(id).ok()? });
        }
        Some(Self::Versions { before: text.strip_prefix("versions before ")?.parse().ok()? })
    }
}

impl fmt::Display for Missing {
    /// What the manifest says, in words.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { table, seq, why } => {
                let why = match why {
                    Why::Dropped => "was dropped by policy with its day",
                    Why::NeverStored => "was never stored",
                    Why::TooLong => "is left out: the events of its alert are longer than one file may be",
                };
                write!(f, "row _Seq {seq} of {table:?}, which an alert names, {why}")
            }
            Self::Alert { id } => write!(f, "no row of SecurityAlert is stored of the alert {id:?}"),
            Self::Versions { before } => {
                write!(f, "versions of the incident before row _Seq {before} of SecurityIncident are missing")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_has_one_spelling() {
        let event = |why| Missing::Event { table: "a \"b\"\n".to_owned(), seq: 7, why };
        let mut missing: BTreeSet<Missing> = Why::ALL.into_iter().map(event).collect();
        missing.insert(Missing::Alert { id: "x\ny".to_owned() });
        missing.insert(Missing::Versions { before: 3 });
        let files = BTreeMap::from([
            ("alert/3".to_owned(), (Hash::default(), 5)),
            ("checkpoint".to_owned(), (Hash::default(), 0)),
        ]);
        let manifest = CaseManifest { incident: 12, files, missing };
        let text = manifest.encode();
        assert_eq!(text.lines().count(), 9, "{text}");
        assert_eq!(CaseManifest::parse(&text), Some(manifest));
        for changed in [
            text.replacen("incident 12", "incident 012", 1),
            text.replacen("file 00", "file  00", 1),
            text.replacen(" 5 alert", " 05 alert", 1),
            text.replacen("dropped", "Dropped", 1),
            text.replacen('\n', "\r\n", 1),
            text.trim_end().to_owned(),
            format!("{text}\n"),
            format!("{text}missing versions before 3\n"),
        ] {
            assert_eq!(CaseManifest::parse(&changed), None, "{changed}");
        }
    }
}
