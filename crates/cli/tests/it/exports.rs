//! Exports by the real program over a real connection: whole, hashed, in bounded memory, or visibly broken.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;

use serde_json::{Value, json};

use crate::support::{Moneta, Server, json_lines, wait_until};

/// Memory that one query may use in these tests.
const MEMORY_PER_QUERY: &str = "50000000";
/// What the server's memory may grow by for a large export once a small one has made room for what any export needs.
const GROWTH_BYTES_MAX: u64 = 100_000_000;
/// Rows with a text of a kilobyte.
const WIDE_ROWS: usize = 1_000;
/// Every one of them this many times.
const TIMES: usize = 250;
/// The same of the small export.
const FEW_TIMES: usize = 50;

fn wide_lines() -> String {
    let text = "word ".repeat(205);
    let line =
        |n: usize| format!("{{\"TimeGenerated\":\"2026-01-02T03:04:05Z\",\"Step\":{n},\"Text\":\"{text}{n}\"}}\n");
    (0..WIDE_ROWS).map(line).collect()
}

fn get(moneta: &Moneta, server: &Server, path: &str, headers: &str) -> TcpStream {
    let credential = std::fs::read_to_string(moneta.data().join("cli.credential")).unwrap();
    let mut stream = TcpStream::connect(server.address().trim_start_matches("http://")).unwrap();
    let credential = credential.trim();
    let head = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {credential}\r\nConnection: close\r\n"
    );
    stream.write_all(format!("{head}{headers}\r\n").as_bytes()).unwrap();
    stream
}

/// The text of an answer up to the end of the connection.
fn read_all(mut stream: TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn an_export_is_the_whole_result_with_the_hash_of_its_file() {
    let moneta = Moneta::new();
    let file = moneta.file("Door.ndjson", json_lines(3_000));
    moneta.ok(&["ingest", &file]);
    let text = "Door_CL | project Step, Text";
    let check = |moneta: &Moneta, form: &str, told: &str| {
        // What was said is what sha256sum reads.
        let sums = moneta.file(&format!("{form}.sums"), told);
        let checked =
            Command::new("sha256sum").args(["--check", &sums]).current_dir(moneta.dir.path()).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        let rows: Vec<Value> =
            serde_json::from_str(&moneta.ok(&["query", text, "--all-rows", "--format", "json"])).unwrap();
        let mut expected: Vec<String> = rows.iter().map(Value::to_string).collect();
        let exported = std::fs::read_to_string(moneta.dir.join(&format!("{form}.ndjson"))).unwrap();
        let mut lines: Vec<String> =
            exported.lines().map(|line| serde_json::from_str::<Value>(line).unwrap().to_string()).collect();
        expected.sort();
        lines.sort();
        assert_eq!((lines.len(), lines == expected), (3_000, true));
    };
    // Without a server, then through one.
    check(&moneta, "own", &moneta.ok(&["query", text, "--export", "own.ndjson"]));
    let server = moneta.serve();
    check(&moneta, "served", &moneta.ok(&["query", text, "--export", "served.ndjson"]));
    let told = moneta.json(&["query", text, "--export", "door.parquet"]);
    assert_eq!(told["rows"], json!(3_000));
    let bytes = bytes_of(&moneta, "door.parquet");
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    assert_eq!(reader.build().unwrap().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 3_000);
    // The audit says who took what, with the hash.
    let audited =
        moneta.json(&["query", "MonetaAudit | where Action == 'query.stream-end' | project RowCount, Details"]);
    let found = audited.as_array().unwrap().iter().find(|row| row["Details"]["sha256"] == told["sha256"]);
    assert_eq!(found.unwrap()["RowCount"], json!(3_000));
    // What is there is not written over, and a name says its form.
    assert_eq!(moneta.run(&["query", text, "--export", "door.parquet"]).code, 2);
    assert!(moneta.run(&["query", text, "--export", "door.xlsx"]).stderr.contains(".parquet"));
    server.stop();
}

fn bytes_of(moneta: &Moneta, name: &str) -> std::fs::File {
    std::fs::File::open(moneta.dir.join(name)).unwrap()
}

#[test]
fn a_result_larger_than_memory_is_exported_in_bounded_memory() {
    let mut moneta = Moneta::new();
    moneta.settings = vec![("MONETA_QUERY__MEMORY_PER_QUERY_BYTES", MEMORY_PER_QUERY)];
    let server = moneta.serve();
    moneta.ok(&["ingest", &moneta.file("Wide.ndjson", wide_lines())]);
    let export = |times: usize, file: &str| {
        let text = format!(
            "Wide_CL | extend k = 1 | join kind=inner (range n from 1 to {times} step 1 | extend k = 1) on k \
             | project n, Step, Text"
        );
        moneta.json(&["query", &text, "--export", file])
    };
    export(FEW_TIMES, "few.ndjson");
    let before = server.peak_bytes();
    let told = export(TIMES, "wide.ndjson");
    let grown = server.peak_bytes() - before;
    let num_bytes = told["bytes"].as_u64().unwrap();
    assert_eq!(told["rows"], json!(WIDE_ROWS * TIMES));
    assert!(num_bytes > 2 * GROWTH_BYTES_MAX, "{num_bytes}");
    assert!(grown < GROWTH_BYTES_MAX, "the server grew by {grown} bytes for {num_bytes}");
    println!("exported {num_bytes} bytes while the server's peak grew by {grown}");
    let exported = std::fs::read_to_string(moneta.dir.join("wide.ndjson")).unwrap();
    assert_eq!(exported.lines().count(), WIDE_ROWS * TIMES);
    server.stop();
}

#[test]
fn what_breaks_in_the_middle_leaves_no_file_and_no_end() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    let text = "set truncationmaxrecords=300000; range x from 1 to 1000000 step 1 | extend t = strrep('ab', 50)";
    let run = moneta.run(&["query", text, "--export", "x.csv"]);
    assert_eq!(run.code, 69, "{run:?}");
    assert!(!moneta.dir.join("x.csv").exists() && !moneta.dir.join("x.csv.part").exists());
    let path =
        "/v1/export?format=csv&text=set%20truncationmaxrecords=300000;range%20x%20from%201%20to%201000000%20step%201";
    let answer = read_all(get(&moneta, &server, path, "TE: trailers\r\n"));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\r\n1000\r\n"), "{}", &answer[..500]);
    assert!(!answer.contains("moneta-sha256:") && !answer.ends_with("0\r\n\r\n"), "it looks whole");
    // The same below its limit, for whoever takes trailers and whoever does not.
    let path = "/v1/export?format=csv&text=range%20x%20from%201%20to%20100%20step%201";
    let answer = read_all(get(&moneta, &server, path, "TE: trailers\r\n"));
    assert!(answer.contains("moneta-rows: 100\r\n") && answer.contains("moneta-sha256: "), "{answer}");
    let answer = read_all(get(&moneta, &server, path, ""));
    assert!(answer.ends_with("0\r\n\r\n") && !answer.contains("moneta-rows: "), "{answer}");
    server.stop();
}

#[tokio::test]
async fn a_client_that_goes_away_ends_its_query() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    let path = "/v1/export?format=ndjson&text=range%20x%20from%201%20to%20100000000%20step%201";
    let mut stream = get(&moneta, &server, path, "");
    let mut piece = [0; 4096];
    assert!(stream.read(&mut piece).unwrap() > 0);
    drop(stream);
    let text =
        "MonetaAudit | where Action == 'query.stream-end' and Outcome == 'failure' and Reason has 'went away' | count";
    wait_until("the query is given up", || moneta.count(text) == 1).await;
    server.stop();
}
