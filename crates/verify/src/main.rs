//! `moneta-verify`: what an auditor runs on a laptop. Reads files, talks to nobody.
//!
//! Exit codes: 0 everything fits, 1 something does not, 2 it could not be checked.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use moneta_merkle::VerifierKey;
use moneta_verify::{Options, Report, proof, verify_store};

/// Checks records, proofs and checkpoints of Moneta without its server.
#[derive(Parser)]
#[command(name = "moneta-verify", version)]
struct Arguments {
    /// Print the report as JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Check a data directory, or a copy of one.
    Store {
        /// The directory.
        dir: PathBuf,
        /// The log's verifier key: a file with it, or its text. Without it the directory's own copy is trusted.
        #[arg(long)]
        key: Option<String>,
    },
    /// Check the signature of a checkpoint file.
    Checkpoint {
        /// The file.
        file: PathBuf,
        /// The log's verifier key: a file with it, or its text.
        #[arg(long)]
        key: String,
        /// The log's origin line, where it is not the key's name.
        #[arg(long)]
        origin: Option<String>,
    },
    /// Check an exported record proof.
    Proof {
        /// The file.
        file: PathBuf,
        /// The log's verifier key: a file with it, or its text.
        #[arg(long)]
        key: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The Parquet reader may trip over a damaged file. The check goes on and names the file: one line is enough here.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "note: a reader tripped at {place}; the file is named below");
    }));
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "could not check: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    match &arguments.command {
        Command::Store { dir, key } => {
            let key = key.as_deref().map(read_key).transpose()?;
            let report = verify_store(dir, Options { key })?;
            print_report(&report, arguments.json)?;
            Ok(report.is_clean())
        }
        Command::Checkpoint { file, key, origin } => {
            let (bytes, key) = (read(file)?, read_key(key)?);
            print_verdict(
                proof::check_checkpoint(&bytes, origin.as_deref().unwrap_or(key.name()), &key),
                arguments.json,
            )
        }
        Command::Proof { file, key } => {
            let text = String::from_utf8(read(file)?).context("a proof is text")?;
            print_verdict(proof::check_record_proof(&text, &read_key(key)?), arguments.json)
        }
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// A key given as text, or as a file that holds it.
fn read_key(text_or_file: &str) -> Result<VerifierKey> {
    let text = match VerifierKey::parse(text_or_file) {
        Ok(key) => return Ok(key),
        Err(_) => String::from_utf8(read(Path::new(text_or_file))?).context("a key file is text")?,
    };
    VerifierKey::parse(text.trim_end()).with_context(|| format!("{text_or_file} is not a verifier key"))
}

fn print_report(report: &Report, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    for finding in &report.findings {
        writeln!(out, "FOUND  {finding}")?;
    }
    for note in &report.notes {
        writeln!(out, "note   {note}")?;
    }
    writeln!(
        out,
        "{}: {} records in {} blocks, {} segments, {} root entries, {} shards dropped by policy, {} files of the inventory",
        if report.is_clean() { "everything fits" } else { "NOT as it was signed" },
        report.num_records,
        report.num_blocks,
        report.num_segments,
        report.num_root_entries,
        report.num_dropped_shards,
        report.num_inventory_files,
    )?;
    Ok(())
}

fn print_verdict(verdict: Result<String>, json: bool) -> Result<bool> {
    let (valid, text) = match verdict {
        Ok(text) => (true, text),
        Err(error) => (false, format!("{error:#}")),
    };
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::json!({ "valid": valid, "text": text }))?,
        false => writeln!(out, "{}: {text}", if valid { "valid" } else { "NOT VALID" })?,
    }
    Ok(valid)
}
