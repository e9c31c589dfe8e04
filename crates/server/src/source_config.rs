//! What sections of sources that others keep have in common: names, formats, tables, TLS.

use std::collections::BTreeSet;
use std::path::PathBuf;

use moneta_base::TableName;
use moneta_collect::ServerTrust;
use moneta_formats::Format;

/// Sources of one kind at most.
const SOURCES_MAX: usize = 100;
/// Characters of a source's name at most.
const NAME_CHARS_MAX: usize = 64;

/// Builds every source of a kind; names are words and unique.
pub(crate) fn build_all<S, O>(
    sources: &[S],
    name: impl Fn(&S) -> &String,
    build: impl Fn(&S) -> Result<O, String>,
) -> Result<Vec<O>, String> {
    if sources.len() > SOURCES_MAX {
        return Err(format!("there are more than {SOURCES_MAX}"));
    }
    let mut names = BTreeSet::new();
    let one = |source: &S| {
        let name = name(source);
        if !names.insert(name.clone()) {
            return Err(format!("there are two sources named {name:?}"));
        }
        let checked = match name.is_empty() || !is_word(name) || name.len() > NAME_CHARS_MAX {
            true => Err(format!("a name is a word of at most {NAME_CHARS_MAX} letters, digits, `-`, `_` and `.`")),
            false => build(source),
        };
        checked.map_err(|message| format!("source {name:?}: {message}"))
    };
    sources.iter().map(one).collect()
}

/// The format of messages that each hold one record; `ndjson` when absent.
pub(crate) fn message_format(name: Option<&str>) -> Result<Format, String> {
    let format = Format::parse(name.unwrap_or("ndjson")).map_err(|error| error.to_string())?;
    if stands_alone(format) {
        return Ok(format);
    }
    let known = Format::ALL.into_iter().filter(|format| stands_alone(*format));
    let known: Vec<&str> = known.map(Format::name).collect();
    Err(format!(
        "format {:?} does not have one record that stands for itself in each message; there are {}",
        format.name(),
        known.join(", ")
    ))
}

/// The table of records whose shape says nothing of it.
pub(crate) fn message_table(name: Option<&str>) -> Result<Option<TableName>, String> {
    let read =
        |name: &str| TableName::new(name).map_err(|_| format!("{name:?} is no name of a table, such as Orders_CL"));
    name.map(read).transpose()
}

/// Whether a message can hold a record of the format without others around it.
fn stands_alone(format: Format) -> bool {
    format.grows_by_lines() && !format.needs_beginning()
}

/// Whether a text consists of letters, digits, `-`, `_` and `.`.
pub(crate) fn is_word(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

/// The files that a source names for TLS.
pub(crate) struct TlsFilesOf<'a> {
    pub(crate) authority: &'a Option<PathBuf>,
    pub(crate) certificate: &'a Option<PathBuf>,
    pub(crate) key: &'a Option<PathBuf>,
}

impl TlsFilesOf<'_> {
    /// Whom to trust; `None` where TLS is turned off. It is on when nothing is said.
    pub(crate) fn trust(&self, tls: Option<bool>) -> Result<Option<ServerTrust>, String> {
        let own = match (self.certificate, self.key) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
            _ => return Err("certificate and key go together".to_owned()),
        };
        if tls.unwrap_or(true) {
            return Ok(Some(ServerTrust { authority: self.authority.clone(), own }));
        }
        if self.authority.is_some() || own.is_some() {
            return Err("authority, certificate and key are for TLS, which tls = false turns off".to_owned());
        }
        Ok(None)
    }
}
