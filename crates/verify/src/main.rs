//! `moneta-verify`: what an auditor runs on a laptop. Reads files, talks to nobody.
//!
//! Exit codes: 0 everything fits, 1 something does not, 2 it, or a part of it, could not be checked, 3 the log signed for records that it
//! does not have, and the receipt that was checked is the evidence.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand};
use moneta_merkle::{Quorum, VerifierKey, WitnessKey};
use moneta_verify::case::{self, CaseReport, verify_case};
use moneta_verify::export::verify_export;
use moneta_verify::receipt::{self, Promise};
use moneta_verify::{CopiedBucket, MovedSegments, Options, Report, known, proof, verify_store};

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
        /// A directory with a copy of the bucket that segments were moved to, as `aws s3 sync` makes it.
        #[arg(long, value_name = "DIR")]
        objects: Option<PathBuf>,
        /// A root checkpoint that was kept elsewhere, which the directory must continue; may be given again.
        #[arg(long = "checkpoint", value_name = "FILE", requires = "key")]
        checkpoints: Vec<PathBuf>,
        #[command(flatten)]
        witnesses: Witnesses,
    },
    /// Check an export of a table or of an incident, as `moneta store export` writes it.
    Export {
        /// The directory.
        dir: PathBuf,
        /// The log's verifier key: a file with it, or its text. Without it the export's own copy is trusted.
        #[arg(long)]
        key: Option<String>,
        #[command(flatten)]
        witnesses: Witnesses,
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
        #[command(flatten)]
        witnesses: Witnesses,
    },
    /// Check a receipt that the log signed when it took records.
    Receipt {
        /// The receipt.
        file: PathBuf,
        /// The log's verifier key: a file with it, or its text.
        #[arg(long)]
        key: String,
        /// The proof, as `moneta prove --receipt` writes it.
        #[arg(long, value_name = "FILE", conflicts_with = "store")]
        proof: Option<PathBuf>,
        /// A data directory, or a copy of one, that should have the records.
        #[arg(long, value_name = "DIR")]
        store: Option<PathBuf>,
    },
    /// Check the evidence of an alert: its row, and every event that it names.
    Alert {
        /// The file, as `moneta prove --alert` writes it.
        file: PathBuf,
        /// The log's verifier key: a file with it, or its text.
        #[arg(long)]
        key: String,
        #[command(flatten)]
        witnesses: Witnesses,
    },
    /// Check an exported record proof.
    Proof {
        /// The file.
        file: PathBuf,
        /// The log's verifier key: a file with it, or its text.
        #[arg(long)]
        key: String,
        #[command(flatten)]
        witnesses: Witnesses,
    },
}

/// Who must have cosigned.
#[derive(Args)]
struct Witnesses {
    /// The verifier key of a witness that must have cosigned: a file with it, or its text; once for each witness.
    #[arg(long = "witness", value_name = "KEY")]
    keys: Vec<String>,
    /// How many of the witnesses are enough; all of them when it is not given.
    #[arg(long, value_name = "COUNT", requires = "keys")]
    quorum: Option<usize>,
}

impl Witnesses {
    fn quorum(&self) -> Result<Option<Quorum>> {
        if self.keys.is_empty() {
            return Ok(None);
        }
        let keys = self.keys.iter().map(|key| read_key(key, WitnessKey::parse)).collect::<Result<Vec<_>>>()?;
        let needed = self.quorum.unwrap_or(keys.len());
        Ok(Some(Quorum::new(keys, needed)?))
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // The Parquet reader may trip over a damaged file. The check goes on and names the file: one line is enough here.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(std::io::stderr(), "note: a reader tripped at {place}; the file is named below");
    }));
    match run(&arguments) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "could not check: {error:#}");
            ExitCode::from(2)
        }
    }
}

/// Checks; returns the exit code.
fn run(arguments: &Arguments) -> Result<u8> {
    if let Command::Receipt { file, key, proof, store } = &arguments.command {
        let (receipt, key) = (read(file)?, read_key(key, VerifierKey::parse)?);
        let proof = proof.as_ref().map(|file| String::from_utf8(read(file)?).context("a proof is text")).transpose()?;
        let promise = match store {
            Some(dir) => receipt::check_receipt_in_store(&receipt, dir, &key),
            None => receipt::check_receipt(&receipt, proof.as_deref(), &key),
        };
        return print_promise(promise, arguments.json);
    }
    if let Command::Alert { file, key, witnesses } = &arguments.command {
        let text = String::from_utf8(read(file)?).context("evidence is text")?;
        let (key, quorum) = (read_key(key, VerifierKey::parse)?, witnesses.quorum()?);
        return print_alert(check_alert(&text, &key, quorum.as_ref()), arguments.json);
    }
    if let Command::Export { dir, key, witnesses } = &arguments.command
        && case::is_case(dir)
    {
        let key = key.as_deref().map(|key| read_key(key, VerifierKey::parse)).transpose()?;
        let report = verify_case(dir, Options { key, quorum: witnesses.quorum()?, ..Options::default() })?;
        return print_case(&report, arguments.json);
    }
    check(arguments).map(|fits| u8::from(!fits))
}

fn check(arguments: &Arguments) -> Result<bool> {
    match &arguments.command {
        Command::Receipt { .. } | Command::Alert { .. } => unreachable!("checked by the caller"),
        Command::Store { dir, key, objects, checkpoints, witnesses } => {
            let key = key.as_deref().map(|key| read_key(key, VerifierKey::parse)).transpose()?;
            let moved = objects.clone().map(|dir| Box::new(CopiedBucket(dir)) as Box<dyn MovedSegments>);
            let mut report = verify_store(dir, Options { key: key.clone(), quorum: witnesses.quorum()?, moved })?;
            for (file, key) in checkpoints.iter().zip(key.iter().cycle()) {
                known::check(dir, file, &read(file)?, key, &mut report);
            }
            print_report(&report, arguments.json)?;
            Ok(report.is_clean())
        }
        Command::Export { dir, key, witnesses } => {
            let key = key.as_deref().map(|key| read_key(key, VerifierKey::parse)).transpose()?;
            let report = verify_export(dir, Options { key, quorum: witnesses.quorum()?, ..Options::default() })?;
            print_report(&report, arguments.json)?;
            Ok(report.is_clean())
        }
        Command::Checkpoint { file, key, origin, witnesses } => {
            let (bytes, key) = (read(file)?, read_key(key, VerifierKey::parse)?);
            let quorum = witnesses.quorum()?;
            let verdict = proof::check_checkpoint(&bytes, origin.as_deref().unwrap_or(key.name()), &key);
            print_verdict(and_cosigned(verdict, || Ok(bytes.clone()), quorum.as_ref()), arguments.json)
        }
        Command::Proof { file, key, witnesses } => {
            let text = String::from_utf8(read(file)?).context("a proof is text")?;
            let quorum = witnesses.quorum()?;
            let verdict = proof::check_record_proof(&text, &read_key(key, VerifierKey::parse)?);
            let checkpoint = || Ok(proof::checkpoint_of(&text)?.into_bytes());
            print_verdict(and_cosigned(verdict, checkpoint, quorum.as_ref()), arguments.json)
        }
    }
}

fn check_alert(text: &str, key: &VerifierKey, quorum: Option<&Quorum>) -> Result<proof::AlertVerdict> {
    let mut verdict = proof::check_alert_evidence(text, key)?;
    if let Some(quorum) = quorum {
        for checkpoint in proof::checkpoints_of(text)? {
            verdict.text.push_str(&format!("; {}", proof::check_quorum(checkpoint.as_bytes(), quorum)?));
        }
    }
    Ok(verdict)
}

fn print_alert(verdict: Result<proof::AlertVerdict>, json: bool) -> Result<u8> {
    let (valid, complete, text) = match verdict {
        Ok(proof::AlertVerdict { is_complete, text }) => (true, is_complete, text),
        Err(error) => (false, false, format!("{error:#}")),
    };
    let (words, code) = match (valid, complete) {
        (true, true) => ("valid", 0),
        (true, false) => ("valid, NOT COMPLETE", 2),
        (false, _) => ("NOT VALID", 1),
    };
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::json!({ "valid": valid, "complete": complete, "text": text }))?,
        false => writeln!(out, "{words}: {text}")?,
    }
    Ok(code)
}

/// The verdict, with what the witnesses say where they are asked for.
fn and_cosigned(
    verdict: Result<String>,
    checkpoint: impl Fn() -> Result<Vec<u8>>,
    quorum: Option<&Quorum>,
) -> Result<String> {
    let Some(quorum) = quorum else { return verdict };
    Ok(format!("{}; {}", verdict?, proof::check_quorum(&checkpoint()?, quorum)?))
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| format!("reading {}", file.display()))
}

/// A key given as text, or as a file that holds it.
fn read_key<K>(text_or_file: &str, parse: impl Fn(&str) -> moneta_merkle::Result<K>) -> Result<K> {
    let text = match parse(text_or_file) {
        Ok(key) => return Ok(key),
        Err(_) => String::from_utf8(read(Path::new(text_or_file))?).context("a key file is text")?,
    };
    parse(text.trim_end()).with_context(|| format!("{text_or_file} is not a key of that kind"))
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

fn print_case(report: &CaseReport, json: bool) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::to_string(report)?)?,
        false => writeln!(out, "{report}")?,
    }
    Ok(report.exit_code())
}

fn print_promise(promise: Result<Promise>, json: bool) -> Result<u8> {
    let (state, words, code, text) = match promise {
        Ok(Promise::Signed(text)) => ("signed", "signed", 0, text),
        Ok(Promise::Kept(text)) => ("kept", "kept", 0, text),
        Ok(Promise::Broken(text)) => ("broken", "SIGNED AND NOT THERE", 3, text),
        Ok(Promise::Undecided(text)) => ("undecided", "cannot tell", 2, text),
        Err(error) => ("not-valid", "NOT VALID", 1, format!("{error:#}")),
    };
    let mut out = std::io::stdout().lock();
    match json {
        true => writeln!(out, "{}", serde_json::json!({ "promise": state, "text": text }))?,
        false => writeln!(out, "{words}: {text}")?,
    }
    Ok(code)
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
