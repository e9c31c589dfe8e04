//! Rule packs: rule files that travel together, signed by whom they come from.
//!
//! ```text
//! {"manifest": <signed note>, "files": {<path>: <text>, ...}}         one JSON document
//!
//! moneta rule pack 1                       text of the note; lines end in a newline
//! name <name>
//! version <decimal, from 1>
//! author <author>
//! file <SHA-256 of the text, 64 hexadecimal digits> <path>    one line per file, by path
//! ```
//! # Source
//! The manifest is a signed note of C2SP signed-note with Ed25519, as checkpoints are. The form of its text is ours.
//!
//! A pack is taken whole or not at all: [`open`] returns files only when one of the trusted keys signed the manifest and
//! the files are those it names, byte for byte. Nothing here parses rules, reads files or decides whom to trust.

use std::collections::BTreeMap;

use moneta_merkle::note::NoteSigner;
use moneta_merkle::{Hash, SignedNote, VerifierKey, sha256};
use serde::{Deserialize, Serialize};

use crate::limits;

/// First line of a manifest.
const HEADER: &str = "moneta rule pack 1";

/// What a pack says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackDetails {
    /// Its name: letters, digits, `-`, `_` and `.`.
    pub name: String,
    /// Its version, from 1; a later one is larger.
    pub version: u64,
    /// Who wrote it; one line.
    pub author: String,
}

/// A pack whose signature and files are right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenedPack {
    /// What it says of itself.
    pub details: PackDetails,
    /// The name of the trusted key that signed it.
    pub signer: String,
    /// SHA-256 of the manifest.
    pub manifest: Hash,
    /// Paths and texts, by path.
    pub files: Vec<(String, String)>,
}

/// Why a pack was not made, or is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// It is no pack.
    #[error("this is no rule pack: {0}; `moneta rules pack` makes one")]
    Form(String),
    /// No signature can be read.
    #[error("the rule pack is not signed: {0}; `moneta rules pack` signs it")]
    Unsigned(String),
    /// Nobody who is trusted signed it.
    #[error(
        "the rule pack is signed by {0}, whose key is not among rules.trusted_signers; add the verifier key, once you know that it is theirs"
    )]
    Untrusted(String),
    /// A trusted key's signature is wrong.
    #[error("the manifest of the rule pack was changed after {0} signed it; get the pack anew")]
    BadSignature(String),
    /// A file is not the one that was signed for.
    #[error("the rule pack was changed after it was signed: {0}; get the pack anew")]
    Changed(String),
    /// What it is to say of itself cannot be said.
    #[error("{0}")]
    Details(String),
    /// A bound.
    #[error("{what} is beyond the limit {limit} of {bound}")]
    Limit {
        /// What is too much.
        what: &'static str,
        /// The limit's name.
        limit: &'static str,
        /// The bound.
        bound: usize,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    manifest: String,
    files: BTreeMap<String, String>,
}

/// Makes a pack of files, signed.
///
/// # Errors
/// [`PackError`]; a signer that fails is [`PackError::Details`].
pub fn pack(
    details: &PackDetails,
    files: BTreeMap<String, String>,
    signer: &dyn NoteSigner,
) -> Result<String, PackError> {
    check_details(details)?;
    if files.is_empty() {
        return Err(PackError::Details("there is no rule file to pack".to_owned()));
    }
    check_bounds(&files)?;
    let mut text = format!("{HEADER}\nname {}\nversion {}\nauthor {}\n", details.name, details.version, details.author);
    for (path, content) in &files {
        check_path(path).map_err(PackError::Details)?;
        text.push_str(&format!("file {} {path}\n", sha256(content.as_bytes())));
    }
    let note = SignedNote::sign(&text, signer);
    let note = note.map_err(|error| PackError::Details(format!("the manifest cannot be signed: {error}")))?;
    let manifest = note.encode();
    // The bound of notes holds for reading: a pack that nobody can open is not made.
    SignedNote::parse(manifest.as_bytes())
        .map_err(|error| PackError::Details(format!("the manifest cannot be a signed note: {error}")))?;
    serde_json::to_string_pretty(&Document { manifest, files })
        .map_err(|error| PackError::Details(format!("the pack cannot be written: {error}")))
}

/// Opens a pack that one of `trusted` signed.
///
/// # Errors
/// [`PackError`], which says what is wrong with it.
pub fn open(bytes: &[u8], trusted: &[VerifierKey]) -> Result<OpenedPack, PackError> {
    if bytes.len() > limits::PACK_BYTES_MAX {
        return Err(PackError::Limit {
            what: "the size of the rule pack",
            limit: "PACK_BYTES_MAX",
            bound: limits::PACK_BYTES_MAX,
        });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| PackError::Form(error.to_string()))?;
    check_bounds(&document.files)?;
    let note = SignedNote::parse(document.manifest.as_bytes());
    let note = note.map_err(|error| PackError::Unsigned(error.to_string()))?;
    let keys = note.verify(trusted).map_err(|error| match error {
        moneta_merkle::Error::BadSignature { name } => PackError::BadSignature(name),
        _ => {
            let names: Vec<&str> = note.signatures().iter().map(|line| line.name.as_str()).collect();
            PackError::Untrusted(names.join(", "))
        }
    })?;
    let signer = keys.first().map(|key| key.name().to_owned()).unwrap_or_default();
    let (details, digests) = read_manifest(note.text())?;
    let files = check_files(&digests, document.files)?;
    Ok(OpenedPack { details, signer, manifest: sha256(note.text().as_bytes()), files })
}

/// What a manifest says, strictly: a signature is over a text that has one meaning.
fn read_manifest(text: &str) -> Result<(PackDetails, BTreeMap<String, Hash>), PackError> {
    let wrong = |what: &str| PackError::Form(format!("its manifest {what}"));
    let mut lines = text.lines();
    if lines.next() != Some(HEADER) {
        return Err(wrong(&format!("does not begin with {HEADER:?}; perhaps a newer Moneta wrote it")));
    }
    let mut said = |word: &str| -> Result<String, PackError> {
        let line = lines.next().and_then(|line| line.strip_prefix(word)).and_then(|rest| rest.strip_prefix(' '));
        line.map(str::to_owned).ok_or_else(|| wrong(&format!("has no line {word:?} where it belongs")))
    };
    let (name, version, author) = (said("name")?, said("version")?, said("author")?);
    let version = version.parse().map_err(|_| wrong("has a version that is no number"))?;
    let details = PackDetails { name, version, author };
    check_details(&details)?;
    let mut digests = BTreeMap::new();
    for line in lines {
        let parts = line.strip_prefix("file ").and_then(|rest| rest.split_once(' '));
        let (digest, path) = parts.ok_or_else(|| wrong(&format!("has an unknown line {line:?}")))?;
        let digest = Hash::from_hex(digest).map_err(|_| wrong(&format!("has no SHA-256 for {path:?}")))?;
        check_path(path).map_err(|problem| wrong(&format!("names a file it must not: {problem}")))?;
        if digests.insert(path.to_owned(), digest).is_some() {
            return Err(wrong(&format!("names {path:?} twice")));
        }
    }
    Ok((details, digests))
}

/// The files, when they are those that were signed for.
fn check_files(
    digests: &BTreeMap<String, Hash>,
    files: BTreeMap<String, String>,
) -> Result<Vec<(String, String)>, PackError> {
    if let Some(missing) = digests.keys().find(|path| !files.contains_key(*path)) {
        return Err(PackError::Changed(format!("{missing:?} is missing")));
    }
    for (path, text) in &files {
        match digests.get(path) {
            None => return Err(PackError::Changed(format!("{path:?} was added"))),
            Some(digest) if *digest != sha256(text.as_bytes()) => {
                return Err(PackError::Changed(format!("the content of {path:?} is another")));
            }
            Some(_) => {}
        }
    }
    Ok(files.into_iter().collect())
}

fn check_details(details: &PackDetails) -> Result<(), PackError> {
    let PackDetails { name, version, author } = details;
    let is_word = |name: &str| name.chars().all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one));
    if name.is_empty() || name.len() > limits::PACK_TEXT_BYTES_MAX || !is_word(name) {
        let problem = format!("{name:?} is no name of a pack: it has letters, digits, '-', '_' and '.'");
        return Err(PackError::Details(problem));
    }
    if *version == 0 {
        return Err(PackError::Details("the versions of a pack begin at 1".to_owned()));
    }
    let too_long = author.len() > limits::PACK_TEXT_BYTES_MAX;
    if author.trim().is_empty() || too_long || author.chars().any(char::is_control) {
        let bound = limits::PACK_TEXT_BYTES_MAX;
        return Err(PackError::Details(format!("the author of a pack is one line of 1 to {bound} bytes")));
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), String> {
    let is_proper = |part: &str| !part.is_empty() && part != "." && part != "..";
    if path.len() > limits::PACK_TEXT_BYTES_MAX || path.chars().any(char::is_control) || !path.split('/').all(is_proper)
    {
        let bound = limits::PACK_TEXT_BYTES_MAX;
        return Err(format!("{path:?} is no relative path of at most {bound} bytes, such as windows/rule.yml"));
    }
    Ok(())
}

fn check_bounds(files: &BTreeMap<String, String>) -> Result<(), PackError> {
    let beyond = |what, limit, bound| Err(PackError::Limit { what, limit, bound });
    if files.len() > limits::PACK_FILES_MAX {
        return beyond("the number of files in a rule pack", "PACK_FILES_MAX", limits::PACK_FILES_MAX);
    }
    if files.values().any(|text| text.len() > limits::RULE_FILE_BYTES_MAX) {
        return beyond("the size of a rule file", "RULE_FILE_BYTES_MAX", limits::RULE_FILE_BYTES_MAX);
    }
    Ok(())
}
