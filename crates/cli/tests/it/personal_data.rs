//! Addresses, phone and card numbers sent in every way: afterwards no file and no answer holds one.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use moneta_base::TenantId;
use moneta_host::RealFs;
use moneta_journal::{Journal, JournalOptions, JournaledBlock};
use moneta_testkit::TestDir;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{Moneta, copy_dir, files_below, wait_until};

/// Values planted: a third each of addresses, phone numbers and card numbers, each sent in all ways.
const PLANTED: usize = 200;
/// Ways: JSON over HTTP, syslog over TCP, a file, and a record that cannot be parsed.
const TABLES: [&str; 4] = ["Planted_CL", "Syslog", "called_CL", "Quarantine"];

/// Stands beside every planted value and must be found, or the search would prove nothing.
const MARKER: &str = "plantedmarker";

/// A value that must not be found, as people write such values.
fn planted(n: usize) -> String {
    match n % 3 {
        0 => format!("first{n}.last{n}@mail{n}.example.com"),
        1 => format!("+49 30 {:07}", 4_100_000 + n * 7_919),
        _ => card(n),
    }
}

/// A number with a right check digit.
fn card(n: usize) -> String {
    let digits = format!("4{:014}", 11_111_111_111 + n * 7_654_321);
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, byte)| {
            let digit = u32::from(byte - b'0');
            if index % 2 == 0 { (digit * 2) / 10 + (digit * 2) % 10 } else { digit }
        })
        .sum();
    let digits = format!("{digits}{}", (10 - sum % 10) % 10);
    format!("{} {} {} {}", &digits[..4], &digits[4..8], &digits[8..12], &digits[12..])
}

/// Searches texts for planted values.
struct Search {
    values: Vec<String>,
    found: BTreeSet<String>,
    /// Where the marker was seen.
    marked: BTreeSet<String>,
    texts: u64,
}

impl Search {
    fn look(&mut self, place: &str, bytes: &[u8]) {
        self.texts += 1;
        if contains(bytes, MARKER) {
            self.marked.insert(place.to_owned());
        }
        for value in &self.values {
            if contains(bytes, value) {
                self.found.insert(format!("{value} in {place}"));
            }
        }
    }

    fn look_at_rows(&mut self, place: &str, rows: &RecordBatch) {
        for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
            if *column.data_type() != DataType::Utf8 {
                continue;
            }
            let mut all = String::new();
            column.as_string::<i32>().iter().flatten().for_each(|text| {
                all.push_str(text);
                all.push('\n');
            });
            self.look(&format!("{place}, column {}", field.name()), all.as_bytes());
        }
    }

    /// Every file as it is, and segments unpacked.
    fn look_at_files(&mut self, data: &Path) {
        for file in files_below(data) {
            let name = file.strip_prefix(data).unwrap().display().to_string();
            self.look(&name, &std::fs::read(&file).unwrap());
            if name.ends_with(".parquet") {
                let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&file).unwrap()).unwrap();
                for rows in reader.build().unwrap() {
                    self.look_at_rows(&name, &rows.unwrap());
                }
            }
        }
    }

    /// The journal unpacked; returns the number of rows.
    fn look_at_journal(&mut self, data: &Path) -> usize {
        let tenant = TenantId::parse(std::fs::read_to_string(data.join("tenant.id")).unwrap().trim()).unwrap();
        let mut num_rows = 0;
        let look = |block: JournaledBlock| {
            num_rows += block.rows.num_rows();
            self.look_at_rows("journal", &block.rows);
        };
        Journal::open(Arc::new(RealFs), &data.join("journal"), JournalOptions::new(tenant), look).unwrap();
        num_rows
    }
}

fn contains(bytes: &[u8], text: &str) -> bool {
    memchr::memmem::find(bytes, text.as_bytes()).is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_planted_value_is_found_in_any_file_or_answer() {
    let values: Vec<String> = (0..PLANTED).map(planted).collect();
    let moneta = Moneta::new();
    let server = moneta.serve();
    send_json(&moneta, &server.address(), &values).await;
    send_syslog(&moneta, &values);
    send_files(&moneta, &values);
    let expected = u64::try_from(PLANTED).unwrap();
    wait_until("syslog", || moneta.count("Syslog | where ProcessName == 'planted' | count") == expected).await;
    let mut search = Search { values, found: BTreeSet::new(), marked: BTreeSet::new(), texts: 0 };
    for table in TABLES {
        let answer = moneta.ok(&["query", table, "--format", "ndjson", "--all-rows"]);
        assert!(answer.lines().count() >= PLANTED / 2, "{table}: {} rows", answer.lines().count());
        search.look(&format!("answer of {table}"), answer.as_bytes());
    }
    // As a power cut leaves it: everything in the journal.
    server.kill();
    let copy = TestDir::new();
    copy_dir(&moneta.data(), copy.path());
    search.look_at_files(copy.path());
    let journal_rows = search.look_at_journal(copy.path());
    assert!(journal_rows >= 3 * PLANTED, "the journal held {journal_rows} rows");
    // As a clean shutdown leaves it: everything in segments.
    moneta.serve().stop();
    search.look_at_files(&moneta.data());
    search.look("server log", moneta.log().as_bytes());
    println!(
        "{PLANTED} values planted in 4 ways, {} texts and files searched, {} found",
        search.texts,
        search.found.len()
    );
    assert!(search.found.is_empty(), "{:#?}", search.found.iter().take(20).collect::<Vec<_>>());
    let places =
        ["journal", ".parquet"].map(str::to_owned).into_iter().chain(TABLES.map(|table| format!("answer of {table}")));
    for place in places {
        assert!(
            search.marked.iter().any(|marked| marked.contains(&place)),
            "{place} was not searched: {:?}",
            search.marked
        );
    }
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}

async fn send_json(moneta: &Moneta, address: &str, values: &[String]) {
    let credential = moneta.ok(&["credential", "create", "--name", "planter", "--scope", "ingest"]).trim().to_owned();
    let object = |value: &String| serde_json::json!({ "Text": format!("{MARKER}: contact {value} now"), "Nested": { "to": [value] }, "Plain": value });
    let body: Vec<serde_json::Value> = values.iter().map(object).collect();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{address}/v1/ingest/Planted_CL")).bearer_auth(credential).json(&body);
    let response = request.send().await.unwrap();
    assert!(response.status().is_success(), "{:?}", response.text().await);
}

fn send_syslog(moneta: &Moneta, values: &[String]) {
    let mut stream = TcpStream::connect(("127.0.0.1", moneta.syslog_port)).unwrap();
    for value in values {
        writeln!(stream, "<13>Jan  2 03:04:05 web01 planted: {MARKER}: mail to {value} was refused").unwrap();
    }
}

/// A file that can be parsed, and one that cannot.
fn send_files(moneta: &Moneta, values: &[String]) {
    let lines: String =
        values.iter().map(|value| format!("{{\"Message\":\"{MARKER}: call {value} back\"}}\n")).collect();
    let broken: String =
        values.iter().map(|value| format!("{{\"Message\":\"{MARKER}: call {value} back\"\n")).collect();
    let summary = moneta.json(&["ingest", &moneta.file("called.ndjson", lines), &moneta.file("broken.ndjson", broken)]);
    assert_eq!((&summary["events"], &summary["quarantined"]), (&PLANTED.into(), &PLANTED.into()), "{summary}");
}
