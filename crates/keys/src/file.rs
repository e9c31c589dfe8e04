//! The layout of key files, version 1.
//!
//! ```text
//! moneta-key-file 1
//! kind <ledger | token | webhook | session>
//! <field> <value>                      one per line, in the order below, values without blanks
//! check <SHA-256 of all lines above, 64 lower-case hexadecimal digits>
//!
//! kind ledger:            name <log name>, then pkcs8 <base64 of the PKCS#8 document, Ed25519>
//!                         or device <URI of RFC 7512 of the key in a PKCS #11 device>
//! kind token:             current <version>, then one key-<version> <base64 of 32 bytes> for each version, rising
//! kind webhook, session:  secret <base64 of 32 bytes>
//! ```
//! Files are UTF-8 with a newline after every line, mode 0600, and replaced whole: temporary file, sync, rename,
//! directory sync. The checksum finds damage; it is no protection against someone who can write the file.

use std::io;
use std::path::{Path, PathBuf};

use moneta_base::fs::{FileSystem, TEMPORARY_SUFFIX};
use moneta_merkle::{sha256, text};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::secret::{SECRET_BYTES, Secret};

const FIRST_WORD: &str = "moneta-key-file";
const VERSION: &str = "1";

/// Longest key file read: tens of thousands of token keys.
const FILE_BYTES_MAX: usize = 1 << 20;

/// The fields of one key file, in order.
pub(crate) struct KeyFile {
    path: PathBuf,
    fields: Vec<(String, Zeroizing<String>)>,
}

impl KeyFile {
    /// Reads a file and checks its form, kind and checksum.
    pub(crate) fn read(fs: &dyn FileSystem, path: &Path, kind: &str) -> Result<KeyFile> {
        let corrupt = |reason| Error::Corrupt { path: path.to_owned(), reason };
        let bytes = Zeroizing::new(fs.read(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => Error::Missing { path: path.to_owned() },
            _ => Error::Io { path: path.to_owned(), source },
        })?);
        if bytes.len() > FILE_BYTES_MAX {
            return Err(corrupt("it is too long"));
        }
        let content = std::str::from_utf8(&bytes).map_err(|_| corrupt("it is not text"))?;
        let (body, check) = content
            .strip_suffix('\n')
            .and_then(|content| content.rsplit_once('\n'))
            .ok_or_else(|| corrupt("it ends too early"))?;
        let body = &content[..=body.len()];
        if check != check_line(body) {
            // A newer layout may check itself in another way, so the version is looked at even when the check fails.
            return match body.split_once('\n') {
                Some((first, _)) if is_newer(first) => Err(Error::Version { path: path.to_owned() }),
                _ => Err(corrupt("the checksum is not that of its lines")),
            };
        }
        let mut lines = body.lines().map(|line| line.split_once(' ').unwrap_or((line, "")));
        match lines.next() {
            Some((FIRST_WORD, VERSION)) => {}
            Some((FIRST_WORD, _)) => return Err(Error::Version { path: path.to_owned() }),
            _ => return Err(corrupt("it is not a key file")),
        }
        if lines.next() != Some(("kind", kind)) {
            return Err(corrupt("it is a key file of another kind"));
        }
        let fields = lines.map(|(name, value)| (name.to_owned(), Zeroizing::new(value.to_owned()))).collect();
        Ok(KeyFile { path: path.to_owned(), fields })
    }

    /// Returns the value of a field.
    pub(crate) fn text(&self, name: &str) -> Result<&str> {
        let found = self.fields.iter().find(|(field, _)| field == name);
        found.map(|(_, value)| value.as_str()).ok_or_else(|| self.corrupt("a field is missing"))
    }

    /// Returns the bytes of a base64 field.
    pub(crate) fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>> {
        text::base64_decode(self.text(name)?).map(Zeroizing::new).ok_or_else(|| self.corrupt("a field is not base64"))
    }

    /// Returns a secret field.
    pub(crate) fn secret(&self, name: &str) -> Result<Secret> {
        let bytes: [u8; SECRET_BYTES] =
            self.bytes(name)?.as_slice().try_into().map_err(|_| self.corrupt("a secret is not of 32 bytes"))?;
        Ok(Secret::from_bytes(bytes))
    }

    /// Returns the names of the fields.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn corrupt(&self, reason: &'static str) -> Error {
        Error::Corrupt { path: self.path.clone(), reason }
    }
}

/// Writes a key file whole, private from its first byte.
pub(crate) fn write(
    fs: &dyn FileSystem,
    path: &Path,
    kind: &str,
    fields: &[(String, Zeroizing<String>)],
) -> Result<()> {
    let mut body = Zeroizing::new(format!("{FIRST_WORD} {VERSION}\nkind {kind}\n"));
    for (name, value) in fields {
        body.push_str(name);
        body.push(' ');
        body.push_str(value);
        body.push('\n');
    }
    let check = check_line(&body);
    body.push_str(&check);
    body.push('\n');
    write_private(fs, path, body.as_bytes())
}

/// Writes a secret as the base64 value of a field.
pub(crate) fn field(name: &str, bytes: &[u8]) -> (String, Zeroizing<String>) {
    (name.to_owned(), Zeroizing::new(text::base64_encode(bytes)))
}

/// Replaces a file atomically; its mode is 0600 before anything is in it.
pub(crate) fn write_private(fs: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |source| Error::Io { path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(TEMPORARY_SUFFIX);
    let temporary = PathBuf::from(temporary);
    match fs.remove_file(&temporary) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => return Err(failed(source)),
        _ => {}
    }
    let mut file = fs.create(&temporary).map_err(failed)?;
    fs.make_private(&temporary).map_err(failed)?;
    file.append(bytes).map_err(failed)?;
    file.sync().map_err(failed)?;
    fs.rename(&temporary, path).map_err(failed)?;
    path.parent().map_or(Ok(()), |parent| fs.sync_dir(parent)).map_err(failed)
}

fn check_line(body: &str) -> String {
    format!("check {}", sha256(body.as_bytes()))
}

fn is_newer(first_line: &str) -> bool {
    let version = first_line.strip_prefix(FIRST_WORD).and_then(|rest| rest.strip_prefix(' ')).and_then(text::decimal);
    version.is_some_and(|version| version > 1)
}
