//! `moneta kql`: what can be done with the text of a query without running it.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use moneta_kql::limits::QUERY_SIZE_BYTES_MAX;
use serde_json::json;

use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Work on the text of queries.
#[derive(Debug, Subcommand)]
pub enum Kql {
    /// Lay queries out: one pipe a line, comments kept.
    Fmt(Fmt),
}

/// Lay queries out: one pipe a line, comments kept.
#[derive(Debug, Args)]
pub struct Fmt {
    /// Files to rewrite; `-`, or none, reads standard input and prints the result.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Change nothing; name the files that would change, and end with 1 if there are any.
    #[arg(long)]
    check: bool,
}

impl Kql {
    /// Runs the command; negative when `--check` found something.
    ///
    /// # Errors
    /// When a text does not parse, or a file cannot be read or written.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let Self::Fmt(command) = self;
        command.run(console)
    }
}

impl Fmt {
    fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let mut changed = 0;
        if self.files.is_empty() {
            changed += usize::from(self.standard_input(console)?);
        }
        for file in &self.files {
            if file.as_os_str() == "-" {
                changed += usize::from(self.standard_input(console)?);
            } else if self.file(file)? {
                changed += 1;
                if console.json {
                    console.value(&json!({ "file": file, "changed": !self.check }))?;
                } else if self.check {
                    console.line(&file.display().to_string())?;
                }
            }
        }
        Ok(if self.check && changed > 0 { Exit::Negative } else { Exit::Success })
    }

    /// Formats standard input; whether that changes anything.
    fn standard_input(&self, console: &Console) -> Result<bool, Failure> {
        let mut text = String::new();
        std::io::stdin()
            .lock()
            .take(QUERY_SIZE_BYTES_MAX as u64 + 1)
            .read_to_string(&mut text)
            .map_err(|error| Failure::io("cannot read the query from standard input", error))?;
        let formatted = formatted(&text, "standard input")?;
        let changes = formatted != text;
        if console.json {
            console.value(&json!({ "text": formatted, "changes": changes }))?;
        } else if !self.check {
            std::io::stdout().lock().write_all(formatted.as_bytes())?;
        }
        Ok(changes)
    }

    /// Formats a file; whether that changes anything.
    fn file(&self, file: &PathBuf) -> Result<bool, Failure> {
        let name = file.display().to_string();
        let text = std::fs::read_to_string(file).map_err(|error| Failure::io(format!("cannot read {name}"), error))?;
        let formatted = formatted(&text, &name)?;
        if formatted == text {
            return Ok(false);
        }
        if !self.check {
            std::fs::write(file, &formatted).map_err(|error| Failure::io(format!("cannot write {name}"), error))?;
        }
        Ok(true)
    }
}

fn formatted(text: &str, name: &str) -> Result<String, Failure> {
    moneta_kql::format(text).map_err(|errors| {
        let findings = moneta_kql::render_diagnostics(text, &errors);
        Failure::usage(format!("{name} does not parse, so it stays as it is\n{findings}"))
    })
}
