//! Decodes files without a store, for `query --file` and `hunt`, and on the way into one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::{Clock, SourceName, TableName};
use moneta_event::{Delivery, TableCatalog};
use moneta_formats::{DecodeOptions, Decoded, Decoder, Format, Mappings, parse_zone, recognise_with};
use moneta_host::SystemClock;

use crate::failure::Failure;
use crate::files::{read_piece, unreadable};

/// How to decode, where the file does not tell.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The tables that exist.
    pub catalog: Arc<TableCatalog>,
    /// The format of all files.
    pub format: Option<Format>,
    /// The table of all records.
    pub table: Option<TableName>,
    /// Which table and columns records of known shapes have.
    pub mappings: Arc<Mappings>,
    /// How sure the path is.
    pub delivery: Delivery,
    /// Zone of time stamps that name none, in seconds east of UTC.
    pub zone_offset_seconds: i32,
}

impl Wish {
    /// The built-in tables, and whatever the file says.
    #[must_use]
    pub fn natural() -> Self {
        let catalog = Arc::new(TableCatalog::built_in());
        let (mappings, delivery) = (Mappings::built_in(), Delivery::AtLeastOnce);
        Self { catalog, format: None, table: None, mappings, delivery, zone_offset_seconds: 0 }
    }

    /// With the format and the table that were typed.
    ///
    /// # Errors
    /// When there is no such format, or it is no name of a table.
    pub fn with(self, format: Option<&str>, table: Option<&str>) -> Result<Self, Failure> {
        let format = format.map(Format::parse).transpose().map_err(|error| Failure::usage(error.to_string()))?;
        let table = table.map(TableName::new).transpose().map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { format, table, ..self })
    }

    /// With the zone that was typed, such as `+02:00`.
    ///
    /// # Errors
    /// When it is none.
    pub fn in_zone(self, zone: Option<&str>) -> Result<Self, Failure> {
        let Some(zone) = zone else { return Ok(self) };
        let wrong = || Failure::usage(format!("{zone:?} is no zone: write the offset from UTC, such as +02:00"));
        Ok(Self { zone_offset_seconds: parse_zone(zone).ok_or_else(wrong)?, ..self })
    }
}

impl Wish {
    /// With the mappings of files before the built-in ones.
    ///
    /// # Errors
    /// When a file cannot be read, or has a mistake, which is named.
    pub fn with_mappings(self, paths: &[PathBuf]) -> Result<Self, Failure> {
        if paths.is_empty() {
            return Ok(self);
        }
        let mut files = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(path).map_err(|error| unreadable(path, error))?;
            files.push((path.display().to_string(), text));
        }
        let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let mappings = Mappings::with_built_in(&files).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Self { mappings: Arc::new(mappings), ..self })
    }
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was decoded as this format.
    Decoded(Format),
    /// Nobody knows its format.
    NotRecognised,
    /// The receiver of the portions wants no more.
    Stopped,
}

/// Decodes a file; `take` gets each portion and says whether it wants the next. Holds one portion at a time.
///
/// # Errors
/// When the file cannot be read.
pub fn decode_file(path: &Path, wish: &Wish, mut take: impl FnMut(Decoded) -> bool) -> Result<Outcome, Failure> {
    let mut file = File::open(path).map_err(|error| unreadable(path, error))?;
    let mut piece = read_piece(&mut file).map_err(|error| unreadable(path, error))?;
    let name = path.to_string_lossy();
    let head = &piece[..piece.len().min(moneta_formats::HEAD_BYTES)];
    let Some(format) = wish.format.or_else(|| recognise_with(&wish.mappings, &name, head)) else {
        return Ok(Outcome::NotRecognised);
    };
    let mut options = DecodeOptions::new(wish.catalog.clone(), SourceName::lossy(&name), SystemClock::new().now());
    options.table = wish.table.clone();
    options.mappings = wish.mappings.clone();
    options.delivery = wish.delivery;
    options.zone_offset_seconds = wish.zone_offset_seconds;
    let mut decoder = Decoder::new(format, options);
    let mut wanted = true;
    while !piece.is_empty() {
        decoder.feed(&piece, &mut |portion| wanted = wanted && take(portion));
        if !wanted {
            return Ok(Outcome::Stopped);
        }
        piece = read_piece(&mut file).map_err(|error| unreadable(path, error))?;
    }
    decoder.finish(&mut |portion| wanted = wanted && take(portion));
    Ok(if wanted { Outcome::Decoded(format) } else { Outcome::Stopped })
}
