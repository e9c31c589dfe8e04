//! The witness: cosigns checkpoints of logs it knows, each only if it extends what it cosigned of that log before.
//!
//! What it last cosigned of a log is durable before a cosignature goes out, so that no crash makes it forget. A witness
//! whose own directory is put back from a backup does forget: its directory must not be restored.
//!
//! # Layout, version 1
//! A file a log, named by the SHA-256 of the origin in hexadecimal:
//! ```text
//! moneta witness-state v1
//! <origin>
//! <size>
//! <base64 root>
//! <SHA-256 of the lines before, hexadecimal>
//! ```
//! # Source
//! C2SP tlog-witness, `add-checkpoint`; transport is not here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use moneta_base::fs::{FileSystem, create_dir_durably, write_atomically};
use moneta_merkle::cosignature::cosign;
use moneta_merkle::note::NoteSigner;
use moneta_merkle::proof::verify_consistency;
use moneta_merkle::text::{base64_encode, decimal};
use moneta_merkle::{AddCheckpoint, Checkpoint, Hash, SignedCheckpoint, SignedNote, VerifierKey, WitnessKey, sha256};

use crate::error::{Error, Result};

const HEADER: &str = "moneta witness-state v1";

/// What a witness says to a checkpoint it is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WitnessAnswer {
    /// The cosignature, as a line of the checkpoint's note.
    Cosigned(String),
    /// The request cannot be read, or its old size is larger than the checkpoint's.
    Malformed(String),
    /// The witness does not know the log.
    UnknownLog,
    /// The log's key did not sign the checkpoint.
    NotSigned,
    /// The witness knows another size than the request says, or another root of the same size.
    Conflict {
        /// The size it knows.
        size: u64,
    },
    /// The checkpoint does not extend what the witness knows.
    Inconsistent,
}

impl WitnessAnswer {
    /// The HTTP status of the answer.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::Cosigned(_) => 200,
            Self::Malformed(_) => 400,
            Self::NotSigned => 403,
            Self::UnknownLog => 404,
            Self::Conflict { .. } => 409,
            Self::Inconsistent => 422,
        }
    }

    /// The body of the answer; that of a conflict has the content type `text/x.tlog.size`.
    #[must_use]
    pub fn body(&self) -> String {
        match self {
            Self::Cosigned(line) => line.clone(),
            Self::Conflict { size } => format!("{size}\n"),
            Self::Malformed(reason) => format!("{reason}\n"),
            Self::UnknownLog => "this witness does not know the log\n".to_owned(),
            Self::NotSigned => "the checkpoint is not signed by the key of its log\n".to_owned(),
            Self::Inconsistent => "the checkpoint does not extend the one known of this log\n".to_owned(),
        }
    }
}

/// The last head of a log that was cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    size: u64,
    root: Hash,
}

/// A witness.
pub struct Witness {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    signer: Arc<dyn NoteSigner>,
    logs: BTreeMap<String, VerifierKey>,
    heads: Mutex<BTreeMap<String, Head>>,
}

impl Witness {
    /// Opens the state in `dir`, making the directory if it is not there. `logs` are the keys of the logs it may cosign,
    /// each named as the log's origin.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for a state that is not whole; [`Error::OwnLog`] when the witness's key is that of a log;
    /// [`Error::Io`].
    pub fn open(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        signer: Arc<dyn NoteSigner>,
        logs: Vec<VerifierKey>,
    ) -> Result<Self> {
        if let Some(own) = logs.iter().find(|log| *log.public_key() == signer.public_key()) {
            return Err(Error::OwnLog(own.name().to_owned()));
        }
        create_dir_durably(&*fs, dir).map_err(Error::io(dir))?;
        let mut heads = BTreeMap::new();
        for log in &logs {
            let path = dir.join(state_name(log.name()));
            if fs.exists(&path) {
                let bytes = fs.read(&path).map_err(Error::io(&path))?;
                let head = decode(&bytes, log.name());
                let reason =
                    "it is not a state of this log; restore nothing here: a witness must not forget".to_owned();
                heads.insert(log.name().to_owned(), head.ok_or(Error::Corrupt { path, reason })?);
            }
        }
        let logs = logs.into_iter().map(|log| (log.name().to_owned(), log)).collect();
        Ok(Self { fs, dir: dir.to_owned(), signer, logs, heads: Mutex::new(heads) })
    }

    /// The key that its cosignatures verify with.
    ///
    /// # Errors
    /// When the signer's name cannot stand in a signature line.
    pub fn key(&self) -> Result<WitnessKey> {
        Ok(WitnessKey::of(&*self.signer)?)
    }

    /// Looks at a request and cosigns the checkpoint in it, or says why not. `seconds`: now, since 1970.
    ///
    /// # Errors
    /// [`Error::Io`] when the new state could not be made durable, then nothing was cosigned; the signer's.
    pub fn add_checkpoint(&self, body: &[u8], seconds: u64) -> Result<WitnessAnswer> {
        let (request, checkpoint) = match self.read_request(body) {
            Ok(read) => read,
            Err(answer) => return Ok(answer),
        };
        let (origin, new) =
            (&checkpoint.checkpoint().origin, Head { size: checkpoint.size(), root: checkpoint.root() });
        // One after the other: two requests must not both extend the same head.
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        let known = heads.get(origin).copied().unwrap_or(Head { size: 0, root: sha256(b"") });
        if request.old_size != known.size || (known.size == new.size && known.root != new.root) {
            return Ok(WitnessAnswer::Conflict { size: known.size });
        }
        if verify_consistency(known.size, new.size, &request.proof, &known.root, &new.root).is_err() {
            return Ok(WitnessAnswer::Inconsistent);
        }
        let path = self.dir.join(state_name(origin));
        write_atomically(&*self.fs, &path, encode(origin, new).as_bytes()).map_err(Error::io(&path))?;
        heads.insert(origin.clone(), new);
        let line = cosign(&checkpoint, seconds, &*self.signer)?;
        let blob = [line.key_id.as_slice(), &line.signature].concat();
        Ok(WitnessAnswer::Cosigned(format!("\u{2014} {} {}\n", line.name, base64_encode(&blob))))
    }

    fn read_request(&self, body: &[u8]) -> std::result::Result<(AddCheckpoint, SignedCheckpoint), WitnessAnswer> {
        let malformed = |error: moneta_merkle::Error| WitnessAnswer::Malformed(error.to_string());
        let request = AddCheckpoint::parse(body).map_err(malformed)?;
        let note = SignedNote::parse(request.checkpoint.as_bytes()).map_err(malformed)?;
        let unverified = Checkpoint::from_text(note.text()).map_err(malformed)?;
        let key = self.logs.get(&unverified.origin).ok_or(WitnessAnswer::UnknownLog)?;
        let opened = SignedCheckpoint::open(request.checkpoint.as_bytes(), key.name(), std::slice::from_ref(key));
        let checkpoint = opened.map_err(|_| WitnessAnswer::NotSigned)?;
        if request.old_size > checkpoint.size() {
            return Err(WitnessAnswer::Malformed("the old size is larger than the checkpoint's".to_owned()));
        }
        Ok((request, checkpoint))
    }
}

fn state_name(origin: &str) -> String {
    sha256(origin.as_bytes()).to_hex()
}

fn encode(origin: &str, head: Head) -> String {
    let lines = format!("{HEADER}\n{origin}\n{}\n{}\n", head.size, head.root.to_base64());
    let sum = sha256(lines.as_bytes()).to_hex();
    format!("{lines}{sum}\n")
}

fn decode(bytes: &[u8], origin: &str) -> Option<Head> {
    let text = std::str::from_utf8(bytes).ok()?;
    let lines: Vec<&str> = text.lines().collect();
    let [_, _, size, root, _] = lines.as_slice() else { return None };
    let head = Head { size: decimal(size)?, root: Hash::from_base64(root).ok()? };
    (encode(origin, head) == text).then_some(head)
}
