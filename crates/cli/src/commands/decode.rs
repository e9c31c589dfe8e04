//! `moneta decode`: shows what files become, without storing anything.

use std::path::PathBuf;

use clap::Args;
use moneta_formats::Decoded;
use serde_json::json;

use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::failure::{Exit, Failure};
use crate::{files, rows};

/// Bytes of a refused record that are shown.
const ORIGINAL_CHARS_SHOWN: usize = 200;

/// Show the rows that files become, one JSON object a line, without storing anything.
#[derive(Debug, Args)]
pub struct Decode {
    /// Files and directories.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The format of all files. Recognised from content when absent.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The table of all records. The format and the records decide when absent.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The offset from UTC of times that name none, such as +02:00.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    zone: Option<String>,
    /// A file of mappings to try before the built-in ones. May be repeated.
    #[arg(long = "mapping", value_name = "FILE")]
    mappings: Vec<PathBuf>,
}

impl Decode {
    /// Shows everything; negative when a record or a file that was named could not be understood.
    ///
    /// # Errors
    /// When a file or a mapping cannot be read.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let wish = Wish::natural().with(self.format.as_deref(), self.table.as_deref())?;
        let wish = wish.in_zone(self.zone.as_deref())?.with_mappings(&self.mappings)?;
        let mut good = true;
        for input in files::find(&self.paths)? {
            let (mut failure, mut looks_like) = (None, None);
            let outcome = decode_file(&input.path, &wish, |portion| {
                good &= portion.quarantined.is_empty();
                looks_like = portion.looks_like;
                failure = show(&portion, console).err();
                failure.is_none()
            })?;
            if let Some(error) = failure {
                return Err(error.into());
            }
            if let Some(other) = looks_like {
                console.complain(&format!("{}: looks like {other}", input.path.display()));
            }
            if outcome == Outcome::NotRecognised {
                console.complain(&format!("{}: the format was not recognised", input.path.display()));
                good &= !input.named;
            }
        }
        Ok(Exit::negative_unless(good))
    }
}

fn show(portion: &Decoded, console: &Console) -> std::io::Result<()> {
    for batch in &portion.batches {
        for row in rows::objects(batch.table.as_str(), &batch.rows) {
            console.line(&serde_json::Value::from(row).to_string())?;
        }
    }
    for record in &portion.quarantined {
        let original: String = String::from_utf8_lossy(&record.bytes).chars().take(ORIGINAL_CHARS_SHOWN).collect();
        let shown = json!({
            "Type": "Quarantine",
            "Reason": record.reason_code,
            "Message": record.reason,
            "Offset": record.offset,
            "Original": original,
        });
        console.line(&shown.to_string())?;
    }
    Ok(())
}
