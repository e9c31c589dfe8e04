//! `moneta ingest`: stores files and directories of logs.
//!
//! Each file's parts are stored under keys made of its content, so that ingesting it again, also after a run that broke
//! off, stores nothing twice. The keys are the same through a server and on the directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use moneta_base::{Clock, ErrorKind};
use moneta_event::Delivery;
use moneta_formats::Decoded;
use moneta_host::SystemClock;
use moneta_merkle::sha256;
use moneta_ports::{EventSink, IdempotencyKey, IngestReceipt, KeyLife, PortError, SignedAnswer, Submission};
use moneta_server::Node;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::arguments::Global;
use crate::client::{Client, Upload};
use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::failure::{Exit, Failure};
use crate::files::{self, Input};
use crate::output::{Format as OutputFormat, Grid};
use crate::target::{Missing, Target};

/// The producer under which a server stores what this program sends it.
const PRODUCER: &str = "api/credential/local-command-line";
/// Portions decoded ahead of the store.
const PORTIONS_AHEAD: usize = 2;
/// Times a part is offered again while the journal cannot keep up.
const ATTEMPTS_MAX: u32 = 120;
/// The longest wait between two of them.
const WAIT_MAX: Duration = Duration::from_secs(5);
/// Characters of the key that a receipt's file name begins with.
const RECEIPT_NAME_CHARACTERS: usize = 16;
/// Names of files that are listed when their format is unknown.
const NAMES_LISTED_MAX: usize = 10;

/// Store files and directories of logs.
#[derive(Debug, Args)]
pub struct Ingest {
    /// Files and directories.
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// The format of all files: evtx, syslog, w3c, ndjson, json, zip or gzip. Recognised from content when absent.
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// The table of all records. The format and the records decide when absent.
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// The offset from UTC of times that name none, such as +02:00.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    zone: Option<String>,
    /// Store files again that were stored before.
    #[arg(long)]
    again: bool,
    /// Keep what the log signs for each part of a file in this directory, for `moneta prove --receipt`.
    #[arg(long, value_name = "DIR")]
    receipts: Option<PathBuf>,
}

/// What became of everything.
#[derive(Debug, Default, Serialize)]
struct Summary {
    files: u64,
    /// Events stored now, by table.
    tables: BTreeMap<String, u64>,
    events: u64,
    quarantined: u64,
    /// Records that had been stored before.
    already_stored: u64,
    not_recognised: Vec<String>,
    /// Files that look like another format than the one asked for, and which.
    looks_like: BTreeMap<String, String>,
    bytes: u64,
    elapsed_ms: u64,
    events_per_second: u64,
}

impl Ingest {
    /// Stores everything; negative when a file that was named could not be understood.
    ///
    /// # Errors
    /// When a file cannot be read, or nothing can be stored.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let wish = Wish::natural().with(self.format.as_deref(), self.table.as_deref())?;
        let wish = wish.in_zone(self.zone.as_deref())?;
        let wish = Wish { delivery: Delivery::ExactlyOnce, ..wish };
        let inputs = files::find(&self.paths)?;
        let keeper = self.receipts.as_deref().map(ReceiptKeeper::new).transpose()?;
        let target = Target::open(global, Missing::Create).await?;
        let progress = progress(&inputs, console);
        let started = Instant::now();
        let outcome = self.store_all(&target, &inputs, &wish, keeper.as_ref(), &progress).await;
        progress.finish_and_clear();
        let closed = target.close().await;
        let mut summary = outcome?;
        closed?;
        summary.finish(started.elapsed());
        let named =
            inputs.iter().filter(|input| input.named).any(|input| summary.not_recognised.contains(&name_of(input)));
        summary.print(console)?;
        Ok(Exit::negative_unless(!named))
    }

    async fn store_all(
        &self,
        target: &Target,
        inputs: &[Input],
        wish: &Wish,
        keeper: Option<&ReceiptKeeper>,
        progress: &ProgressBar,
    ) -> Result<Summary, Failure> {
        let mut summary = Summary::default();
        for input in inputs {
            progress.set_message(name_of(input));
            let key = self.key(input)?;
            match target {
                Target::Server(client) => self.send(client, input, wish, key, keeper, &mut summary).await?,
                Target::Directory(node) => store(node, input, wish, key, keeper, &mut summary, progress).await?,
            }
            summary.bytes += input.size_bytes;
            progress.set_position(summary.bytes);
        }
        Ok(summary)
    }

    /// Names what is stored of a file: its content, and how it is to be understood.
    fn key(&self, input: &Input) -> Result<String, Failure> {
        let content = files::content_id(&input.path)?;
        let (format, table) = (self.format.as_deref().unwrap_or("-"), self.table.as_deref().unwrap_or("-"));
        let again = if self.again { format!(" {}", SystemClock::new().now()) } else { String::new() };
        let zone = self.zone.as_deref().map_or_else(String::new, |zone| format!(" {zone}"));
        Ok(sha256(format!("{content} {format} {table}{zone}{again}").as_bytes()).to_hex())
    }

    async fn send(
        &self,
        client: &Client,
        input: &Input,
        wish: &Wish,
        key: String,
        keeper: Option<&ReceiptKeeper>,
        summary: &mut Summary,
    ) -> Result<(), Failure> {
        let name = name_of(input);
        if self.format.is_none() && !is_recognised(input)? {
            summary.not_recognised.push(name);
            return Ok(());
        }
        let upload = Upload {
            path: &input.path,
            name: &name,
            format: self.format.as_deref(),
            table: self.table.as_deref(),
            zone_offset_seconds: self.zone.as_ref().map(|_| wish.zone_offset_seconds),
            key: Some(key.clone()),
            receipts: keeper.is_some(),
        };
        let answer = client.upload(&upload).await?;
        summary.add_answer(&answer);
        if let Some(keeper) = keeper {
            let receipts = answer["receipts"].as_array().into_iter().flatten();
            for (part, receipt) in (0..).zip(receipts.filter_map(Value::as_str)) {
                keeper.keep(&key, part, receipt)?;
            }
        }
        Ok(())
    }
}

/// Keeps receipts as files: `<key of the file's content>-<part>.receipt`.
struct ReceiptKeeper {
    dir: PathBuf,
}

impl ReceiptKeeper {
    fn new(dir: &Path) -> Result<Self, Failure> {
        let made = std::fs::create_dir_all(dir);
        made.map_err(|error| Failure::io(format!("cannot make {}", dir.display()), error))?;
        Ok(Self { dir: dir.to_owned() })
    }

    fn keep(&self, key: &str, part: u64, receipt: &str) -> Result<(), Failure> {
        let short: String = key.chars().take(RECEIPT_NAME_CHARACTERS).collect();
        let path = self.dir.join(format!("{short}-{part:06}.receipt"));
        std::fs::write(&path, receipt).map_err(|error| Failure::io(format!("cannot write {}", path.display()), error))
    }
}

/// The name of a file as its events carry it: the whole path, so that two files of one name can be told apart.
fn name_of(input: &Input) -> String {
    std::path::absolute(&input.path).unwrap_or_else(|_| input.path.clone()).to_string_lossy().into_owned()
}

fn is_recognised(input: &Input) -> Result<bool, Failure> {
    use std::io::Read as _;
    let unreadable = |error| files::unreadable(&input.path, error);
    let mut head = Vec::new();
    let file = std::fs::File::open(&input.path).map_err(unreadable)?;
    file.take(moneta_formats::HEAD_BYTES as u64).read_to_end(&mut head).map_err(unreadable)?;
    Ok(moneta_formats::recognise(&name_of(input), &head).is_some())
}

/// Stores a file in a data directory of this process.
async fn store(
    node: &Node,
    input: &Input,
    wish: &Wish,
    key: String,
    keeper: Option<&ReceiptKeeper>,
    summary: &mut Summary,
    progress: &ProgressBar,
) -> Result<(), Failure> {
    let (sender, mut portions) = mpsc::channel::<Decoded>(PORTIONS_AHEAD);
    let wish = Wish { mappings: node.mappings(), ..wish.clone() };
    let path = PathBuf::from(name_of(input));
    let decoding =
        tokio::task::spawn_blocking(move || decode_file(&path, &wish, |portion| sender.blocking_send(portion).is_ok()));
    let events = node.events();
    let mut part = 0;
    while let Some(portion) = portions.recv().await {
        progress.inc(portion.bytes);
        if portion.records == 0 {
            continue;
        }
        refuse_own_tables(&portion)?;
        let (receipt, signed) = submit(&*events, &portion, &part_key(&key, part), keeper.is_some()).await?;
        summary.add_portion(&portion, &receipt);
        if let Some(other) = portion.looks_like {
            summary.looks_like.insert(name_of(input), other.to_owned());
        }
        if let (Some(keeper), Some(signed)) = (keeper, signed) {
            keeper.keep(&key, part, &signed)?;
        }
        part += 1;
    }
    let outcome =
        decoding.await.map_err(|error| Failure::new(Exit::Internal, "decoding was interrupted").caused_by(&error))?;
    match outcome? {
        Outcome::NotRecognised => summary.not_recognised.push(name_of(input)),
        Outcome::Decoded(_) | Outcome::Stopped => summary.files += 1,
    }
    Ok(())
}

/// The key of a part, as the server makes it of the file's key.
fn part_key(file_key: &str, part: u64) -> IdempotencyKey {
    let mut epoch = [0; 16];
    epoch.copy_from_slice(&sha256(file_key.as_bytes()).as_bytes()[..16]);
    IdempotencyKey {
        producer: PRODUCER.to_owned(),
        epoch: u128::from_be_bytes(epoch),
        sequence: part,
        life: KeyLife::Request,
    }
}

/// Events from outside in a table that only Moneta writes would be forged evidence.
fn refuse_own_tables(portion: &Decoded) -> Result<(), Failure> {
    match portion.batches.iter().find(|batch| moneta_event::catalog::is_own_table(batch.table.as_str())) {
        Some(batch) => Err(Failure::new(Exit::Denied, format!("only Moneta itself writes to {}", batch.table))),
        None => Ok(()),
    }
}

async fn submit(
    events: &dyn EventSink,
    portion: &Decoded,
    key: &IdempotencyKey,
    wants_receipt: bool,
) -> Result<SignedAnswer, PortError> {
    let mut attempt = 0;
    loop {
        let (batches, quarantined) = (portion.batches.clone(), portion.quarantined.clone());
        let submission = Submission { batches, quarantined, key: Some(key.clone()) };
        let stored = match wants_receipt {
            true => events.submit_for_receipt(submission).await,
            false => events.submit(submission).await.map(|receipt| (receipt, None)),
        };
        let error = match stored {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        match error.kind {
            ErrorKind::Environment { retry_after: Some(after) } if attempt < ATTEMPTS_MAX => {
                attempt += 1;
                tokio::time::sleep(after.min(WAIT_MAX)).await;
            }
            _ => return Err(error),
        }
    }
}

impl Summary {
    fn add_portion(&mut self, portion: &Decoded, receipt: &IngestReceipt) {
        if receipt.duplicate {
            self.already_stored += portion.records;
            return;
        }
        for batch in &portion.batches {
            self.add_rows(batch.table.as_str(), batch.rows.num_rows() as u64);
        }
        self.quarantined += portion.quarantined.len() as u64;
    }

    fn add_rows(&mut self, table: &str, rows: u64) {
        *self.tables.entry(table.to_owned()).or_default() += rows;
        self.events += rows;
    }

    /// Adds what the server says about a file.
    fn add_answer(&mut self, answer: &Value) {
        let number = |member: &str| answer[member].as_u64().unwrap_or_default();
        self.files += 1;
        if let (Some(name), Some(other)) = (answer["name"].as_str(), answer["looks_like"].as_str()) {
            self.looks_like.insert(name.to_owned(), other.to_owned());
        }
        if number("parts") > 0 && number("duplicate_parts") == number("parts") {
            self.already_stored += number("accepted") + number("quarantined");
            return;
        }
        for (table, rows) in answer["tables"].as_object().into_iter().flatten() {
            self.add_rows(table, rows.as_u64().unwrap_or_default());
        }
        self.quarantined += number("quarantined");
    }

    fn finish(&mut self, elapsed: Duration) {
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        self.events_per_second = (self.events + self.quarantined) * 1_000 / self.elapsed_ms.max(1);
    }

    fn print(&self, console: &Console) -> std::io::Result<()> {
        if console.json {
            return console.value(self);
        }
        let row = |(table, rows): (&String, &u64)| vec![json!(table), json!(rows)];
        let grid = Grid { columns: vec!["Table".into(), "Events".into()], rows: self.tables.iter().map(row).collect() };
        if !grid.rows.is_empty() {
            console.grid(&grid, OutputFormat::Table)?;
        }
        console.line(&self.sentence())?;
        for (name, other) in self.looks_like.iter().take(NAMES_LISTED_MAX) {
            console.say(&format!("looks like {other}: {name}; if it is, replay what was refused with --as {other}"));
        }
        for name in self.not_recognised.iter().take(NAMES_LISTED_MAX) {
            console.say(&format!("not recognised: {name}"));
        }
        if self.not_recognised.len() > NAMES_LISTED_MAX {
            console.say(&format!(
                "and {} more; name the format with --format",
                self.not_recognised.len() - NAMES_LISTED_MAX
            ));
        }
        Ok(())
    }

    fn sentence(&self) -> String {
        let mut parts = vec![format!("{} events stored", self.events), format!("{} quarantined", self.quarantined)];
        if self.already_stored > 0 {
            parts.push(format!("{} stored before", self.already_stored));
        }
        if !self.not_recognised.is_empty() {
            parts.push(format!("{} files not recognised", self.not_recognised.len()));
        }
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let (megabytes, seconds) = (self.bytes as f64 / 1e6, self.elapsed_ms as f64 / 1e3);
        format!(
            "{} from {} files: {megabytes:.1} MB in {seconds:.1} s, {} events/s",
            parts.join(", "),
            self.files,
            self.events_per_second
        )
    }
}

fn progress(inputs: &[Input], console: &Console) -> ProgressBar {
    let total = inputs.iter().map(|input| input.size_bytes).sum();
    let target = if console.shows_progress() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let template = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} {wide_msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(Some(total), target).with_style(style)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_sent_again_is_counted_as_stored_before() {
        let mut summary = Summary::default();
        summary.add_answer(
            &json!({ "parts": 2, "duplicate_parts": 0, "tables": { "Syslog": 3 }, "accepted": 3, "quarantined": 1 }),
        );
        summary.add_answer(
            &json!({ "parts": 2, "duplicate_parts": 2, "tables": { "Syslog": 3 }, "accepted": 3, "quarantined": 1 }),
        );
        assert_eq!((summary.events, summary.quarantined, summary.already_stored, summary.files), (3, 1, 4, 2));
    }

    #[test]
    fn parts_of_a_file_share_an_epoch() {
        let (first, second) = (part_key("k", 0), part_key("k", 1));
        assert_eq!(first.epoch, second.epoch);
        assert_ne!(first.epoch, part_key("other", 0).epoch);
        assert_ne!(first.sequence, second.sequence);
    }
}
