//! `moneta mapping`: work on mapping files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use moneta_formats::{Decoded, Mappings};
use serde_json::{Map, Value, json};

use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::failure::{Exit, Failure};
use crate::files::unreadable;
use crate::rows;

/// Refused records that are told one by one.
const REFUSALS_SHOWN_MAX: usize = 10;
/// Columns that every row has, whatever the mapping.
const STANDARD: [&str; 6] = ["Type", "_Source", "_Class", "_Delivery", "_Raw", "_Extra"];

/// Work on mapping files, which describe formats without code.
#[derive(Debug, Subcommand)]
pub enum Mapping {
    /// Say what a mapping file makes of a sample, and what is wrong with either.
    Test(Test),
}

/// Say what a mapping file makes of a sample, and what is wrong with either.
#[derive(Debug, Args)]
pub struct Test {
    /// The mapping file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Records of the format.
    #[arg(value_name = "SAMPLE")]
    sample: PathBuf,
    /// The format that carries the records, such as ndjson, csv or syslog. Recognised from content when absent.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What became of a sample.
#[derive(Debug, Default)]
struct Findings {
    tables: BTreeMap<String, TableFindings>,
    refused: u64,
    refusals: Vec<String>,
}

#[derive(Debug, Default)]
struct TableFindings {
    rows: u64,
    /// Rows that have a value, by column.
    filled: BTreeMap<String, u64>,
    /// Rows that have a field without column, by the field's name.
    without_column: BTreeMap<String, u64>,
    first: Option<Map<String, Value>>,
}

impl Mapping {
    /// Runs the command; negative when the sample did not become rows as a whole.
    ///
    /// # Errors
    /// When the mapping file has a mistake, or a file cannot be read.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let Self::Test(command) = self;
        command.run(console)
    }
}

impl Test {
    fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let wish = Wish::natural().with(self.format.as_deref(), None)?;
        let wish = wish.with_mappings(std::slice::from_ref(&self.file))?;
        let mut findings = Findings::default();
        let outcome = decode_file(&self.sample, &wish, |portion| {
            findings.add(&portion);
            true
        })?;
        if outcome == Outcome::NotRecognised {
            return Err(Failure::usage(format!(
                "{}: no format was recognised; name the one that carries the records with --format (ndjson, json, csv, \
                 or syslog for lines of text)",
                self.sample.display()
            )));
        }
        console.value(&findings.report())?;
        let hits = findings.rows_of_own(&self.file)?;
        if hits == 0 {
            console.complain(&format!(
                "no record went to a table of {}: its conditions hold for none of them",
                self.file.display()
            ));
        }
        Ok(Exit::negative_unless(findings.refused == 0 && hits > 0))
    }
}

impl Findings {
    fn add(&mut self, portion: &Decoded) {
        for batch in &portion.batches {
            let table = self.tables.entry(batch.table.to_string()).or_default();
            rows::objects(batch.table.as_str(), &batch.rows).into_iter().for_each(|row| table.add(row));
        }
        for record in &portion.quarantined {
            self.refused += 1;
            if self.refusals.len() < REFUSALS_SHOWN_MAX {
                self.refusals.push(format!("at byte {}: {}: {}", record.offset, record.reason_code, record.reason));
            }
        }
    }

    /// Rows in tables that the mappings of a file name.
    fn rows_of_own(&self, file: &Path) -> Result<u64, Failure> {
        let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
        let own = Mappings::parse(&[(&file.display().to_string(), &text)]);
        let own = own.map_err(|error| Failure::usage(error.to_string()))?;
        let is_own = |table: &str| {
            own.summaries().any(|summary| match (summary.table.split_once('{'), summary.table.rsplit_once('}')) {
                (Some((before, _)), Some((_, behind))) => table.starts_with(before) && table.ends_with(behind),
                _ => summary.table == table,
            })
        };
        Ok(self.tables.iter().filter(|(name, _)| is_own(name)).map(|(_, table)| table.rows).sum())
    }

    fn report(&self) -> Value {
        let table = |(name, table): (&String, &TableFindings)| {
            json!({
                "table": name,
                "rows": table.rows,
                "columns_filled": table.filled,
                "fields_without_column": table.without_column,
                "first_row": table.first,
            })
        };
        json!({
            "tables": self.tables.iter().map(table).collect::<Vec<_>>(),
            "refused": self.refused,
            "refusals": self.refusals,
        })
    }
}

impl TableFindings {
    fn add(&mut self, row: Map<String, Value>) {
        self.rows += 1;
        for name in row.keys().filter(|name| !STANDARD.contains(&name.as_str())) {
            *self.filled.entry(name.clone()).or_default() += 1;
        }
        if let Some(Value::Object(extra)) = row.get("_Extra") {
            for name in extra.keys() {
                *self.without_column.entry(name.clone()).or_default() += 1;
            }
        }
        self.first.get_or_insert(row);
    }
}
