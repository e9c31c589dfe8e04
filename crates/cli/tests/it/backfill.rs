//! History gives what arrival gave: a backfill over what is stored has the matches that became alerts.
//!
//! The short form takes the starter rules and the events that stand beside them. `MONETA_BACKFILL=whole` takes all
//! rules and all samples of the corpus; and correlations that many of the samples meet, with those samples that follow one
//! another in time: what comes later than correlations wait for does not count in them on arrival, and in history nothing
//! comes late. Bounds from above are left out there, for samples are years old when they come: on arrival these are decided
//! with what has come so far.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moneta_base::{SourceName, Timestamp};
use moneta_event::TableCatalog;
use moneta_event::schema::standard;
use moneta_formats::{DecodeOptions, Decoder, HEAD_BYTES, recognise};
use moneta_rules::correlation::Settings;
use moneta_rules::hunt::event_time;
use moneta_rules::ir::Body;
use moneta_rules::parse_file;
use moneta_testkit::corpus::workspace_root;
use moneta_testkit::{TestDir, corpus_or_skip};
use serde_json::{Map, Value, json};

use crate::support::{Moneta, Server, files_below};

/// Matches that a backfill lists at most: more could not be compared.
const LISTED_MAX: u64 = 100_000;
/// Folders of rules of the corpus.
const RULE_FOLDERS: [&str; 5] =
    ["rules", "rules-emerging-threats", "rules-threat-hunting", "rules-compliance", "rules-placeholder"];
/// Folders of samples without logs.
const NO_LOGS: [&str; 1] = ["LICENSES"];

/// Rules that many samples meet, and what correlations make of them: one of every way in which they are decided.
const CORRELATIONS: &str = "title: A process
id: moneta-test-process
name: a_process
logsource: { product: windows, category: process_creation }
detection: { s: { Image|exists: true }, condition: s }
---
title: A value of the registry
id: moneta-test-registry
name: a_registry_value
logsource: { product: windows, category: registry_set }
detection: { s: { TargetObject|exists: true }, condition: s }
---
title: A logon
id: moneta-test-logon
name: a_logon
logsource: { product: windows, service: security }
detection: { s: { EventID: [4624, 4625] }, condition: s }
---
title: Many processes
id: moneta-test-event-count
correlation: { type: event_count, rules: [a_process], group-by: [Computer], timespan: 10m, condition: { gte: 5 } }
---
title: Many programs
id: moneta-test-value-count
correlation:
  { type: value_count, rules: [a_process], group-by: [Computer], timespan: 1h, condition: { field: Image, gte: 4 } }
---
title: A process and a value
id: moneta-test-temporal
correlation: { type: temporal, rules: [a_process, a_registry_value], group-by: [Computer], timespan: 1h }
---
title: A process and then a value
id: moneta-test-ordered
correlation: { type: temporal_ordered, rules: [a_process, a_registry_value], group-by: [Computer], timespan: 1h }
---
title: Many logons
id: moneta-test-logons
correlation: { type: event_count, rules: [a_logon], group-by: [TargetUserName], timespan: 1h, condition: { gte: 3 } }
";

/// What one rule found.
#[derive(Debug, Default, PartialEq, Eq)]
struct Found {
    /// Events, each by itself.
    events: BTreeSet<(String, u64)>,
    num_events: u64,
    /// Of a correlation: how often it held for each group.
    groups: BTreeMap<String, usize>,
}

type ByRule = BTreeMap<String, Found>;

/// Both sides, by rule.
struct Outcome {
    stream: ByRule,
    history: ByRule,
    /// Rules some of whose alerts name only a part of their events.
    cut: BTreeSet<String>,
}

/// Whether rows of a table are about Moneta itself: such rows go on coming while they are read.
fn is_own(table: &str) -> bool {
    table.starts_with("Moneta") || matches!(table, "SecurityAlert" | "SecurityIncident")
}

fn numbers(value: &Value) -> Vec<u64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_u64).collect()
}

/// What became alerts on arrival, and the rules some of whose alerts name only a part of their events.
fn stream(moneta: &Moneta, correlations: &BTreeSet<String>) -> (ByRule, BTreeSet<String>) {
    let query = "SecurityAlert | where ProductComponentName in ('Detection on arrival', 'Analytics rules') \
                 | project RuleId, EventTable, EventSeqs, EventCount, ExtendedProperties";
    let (mut found, mut cut) = (ByRule::new(), BTreeSet::new());
    for line in moneta.ok(&["query", query, "--format", "ndjson", "--all-rows"]).lines() {
        let alert: Value = serde_json::from_str(line).unwrap();
        let (rule, table) = (alert["RuleId"].as_str().unwrap().to_owned(), alert["EventTable"].as_str().unwrap());
        if is_own(table) {
            continue;
        }
        let of_rule = found.entry(rule.clone()).or_default();
        if correlations.contains(&rule) {
            let properties: Value = serde_json::from_str(alert["ExtendedProperties"].as_str().unwrap()).unwrap();
            *of_rule.groups.entry(properties["Group"].to_string()).or_default() += 1;
            continue;
        }
        let (seqs, count) = (numbers(&alert["EventSeqs"]), alert["EventCount"].as_u64().unwrap());
        if (seqs.len() as u64) < count {
            cut.insert(rule);
        }
        of_rule.num_events += count;
        of_rule.events.extend(seqs.into_iter().map(|seq| (table.to_owned(), seq)));
    }
    (found, cut)
}

/// What is found in what is stored.
#[expect(clippy::print_stdout, reason = "a test of this length reports its figures")]
async fn history(moneta: &Moneta, server: &Server, correlations: &BTreeSet<String>) -> ByRule {
    let credential = std::fs::read_to_string(moneta.data().join("cli.credential")).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = http.post(format!("{}/v1/rules/backfill", server.address())).bearer_auth(credential.trim());
    let answer = request.json(&json!({})).send().await.unwrap();
    assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    let report: Value = answer.json().await.unwrap();
    assert!(report["num_matches"].as_u64().unwrap() < LISTED_MAX, "too many to compare: {}", report["num_matches"]);
    assert_eq!(report["num_forgotten"], 0);
    println!("history: {} rows, {} matches", report["num_rows"], report["num_matches"]);
    let mut found = ByRule::new();
    for one in report["matches"].as_array().unwrap() {
        let (rule, table) = (one["rule_id"].as_str().unwrap().to_owned(), one["table"].as_str().unwrap());
        if is_own(table) {
            continue;
        }
        let of_rule = found.entry(rule.clone()).or_default();
        if correlations.contains(&rule) {
            let pairs = one["fields"].as_array().unwrap().iter();
            let group: Map<String, Value> =
                pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone())).collect();
            *of_rule.groups.entry(Value::Object(group).to_string()).or_default() += 1;
            continue;
        }
        of_rule.num_events += 1;
        of_rule.events.extend(numbers(&one["seqs"]).into_iter().map(|seq| (table.to_owned(), seq)));
    }
    found
}

impl Outcome {
    /// Stops the server, so that all is matched that arrived, and compares with what is stored.
    async fn of(moneta: &Moneta, server: Server, correlations: &BTreeSet<String>) -> Self {
        server.stop();
        let server = moneta.serve();
        let history = history(moneta, &server, correlations).await;
        let (stream, cut) = stream(moneta, correlations);
        server.stop();
        Self { stream, history, cut }
    }

    /// What differs, in words.
    fn differences(&self) -> Vec<String> {
        let none = Found::default();
        let rules: BTreeSet<&String> = self.stream.keys().chain(self.history.keys()).collect();
        let mut different = Vec::new();
        for rule in rules {
            let (stream, history) = (self.stream.get(rule).unwrap_or(&none), self.history.get(rule).unwrap_or(&none));
            let named = if self.cut.contains(rule) {
                stream.events.is_subset(&history.events)
            } else {
                stream.events == history.events
            };
            if !named || stream.num_events != history.num_events || stream.groups != history.groups {
                let only = |a: &Found, b: &Found| a.events.difference(&b.events).take(5).cloned().collect::<Vec<_>>();
                different.push(format!(
                    "{rule}: stream {} events {:?}, groups {:?}; history {} events {:?}, groups {:?}",
                    stream.num_events,
                    only(stream, history),
                    stream.groups,
                    history.num_events,
                    only(history, stream),
                    history.groups
                ));
            }
        }
        different
    }

    #[expect(clippy::print_stdout, reason = "a test of this length reports its figures")]
    fn print(&self) {
        let sum = |side: &ByRule| side.values().map(|found| found.num_events).sum::<u64>();
        let groups = |side: &ByRule| side.values().flat_map(|found| found.groups.values()).sum::<usize>();
        println!(
            "stream: {} rules, {} events, {} correlations; history: {} rules, {} events, {} correlations; {} rules with \
             alerts that name only a part of their events; {} differ",
            self.stream.len(),
            sum(&self.stream),
            groups(&self.stream),
            self.history.len(),
            sum(&self.history),
            groups(&self.history),
            self.cut.len(),
            self.differences().len()
        );
    }
}

/// Ids of the correlations in some files.
fn correlations_in(files: &[PathBuf]) -> BTreeSet<String> {
    let parsed = files.iter().flat_map(|path| parse_file("", &std::fs::read_to_string(path).unwrap()).rules);
    let of_many = parsed.filter(|rule| matches!(rule.body, Body::Correlation(_)));
    of_many.map(|rule| rule.metadata.id.to_string()).collect()
}

fn starter_rules() -> PathBuf {
    workspace_root().join("content/rules")
}

fn rule_files(folder: &Path) -> Vec<PathBuf> {
    files_below(folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "yml")).collect()
}

/// Per table the events of the tests that stand beside rules.
fn events_beside(files: &[PathBuf]) -> BTreeMap<String, Vec<Value>> {
    let mut events: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for rule in files.iter().flat_map(|path| parse_file("", &std::fs::read_to_string(path).unwrap()).rules) {
        for test in rule.tests {
            let object = |event: Vec<(String, String)>| {
                let members = event.into_iter().filter(|(_, value)| !value.is_empty());
                Value::Object(members.map(|(name, value)| (name, value.into())).collect())
            };
            events.entry(test.table.to_string()).or_default().extend(test.events.into_iter().map(object));
        }
    }
    events
}

#[tokio::test(flavor = "multi_thread")]
async fn history_gives_what_arrival_gave() {
    if std::env::var_os("MONETA_BACKFILL").is_some_and(|form| form == "whole") {
        return history_gives_what_arrival_gave_for_all_samples().await;
    }
    let moneta = Moneta::new();
    let server = moneta.serve();
    let files = rule_files(&starter_rules());
    moneta.ok(&["rules", "add", starter_rules().to_str().unwrap()]);
    for (table, events) in events_beside(&files) {
        if is_own(&table) {
            continue;
        }
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        let name = moneta.file(&format!("{table}.json"), lines);
        moneta.ok(&["ingest", &name, "--format", "ndjson", "--table", &table]);
    }
    let outcome = Outcome::of(&moneta, server, &correlations_in(&files)).await;
    outcome.print();
    assert_eq!(outcome.differences(), [""; 0]);
    assert!(outcome.history.len() > files.len() / 2, "only {} rules found anything", outcome.history.len());
    assert!(outcome.history.values().any(|found| !found.groups.is_empty()), "no correlation held");
}

/// All rules, all samples; then correlations and the samples that follow one another.
#[expect(clippy::print_stdout, reason = "a test of this length reports its figures")]
async fn history_gives_what_arrival_gave_for_all_samples() {
    let Some(root) = corpus_or_skip(1, "samples").and_then(|samples| samples.parent().map(Path::to_owned)) else {
        return;
    };
    let samples = in_order_of_time(&root.join("samples"));
    let folders = RULE_FOLDERS.map(|folder| root.join("sigma").join(folder));
    let found = compare(&folders.into_iter().chain([starter_rules()]).collect::<Vec<_>>(), &samples).await;
    assert!(found.values().map(|found| found.num_events).sum::<u64>() > 1_000, "hardly anything was found");

    let following = following(&samples);
    println!("correlations over {} of {} samples, which follow one another", following.len(), samples.len());
    let directory = TestDir::new();
    let correlations = directory.path().join("correlations.yml");
    std::fs::write(&correlations, CORRELATIONS).unwrap();
    let found = compare(&[directory.path().to_owned()], &following).await;
    for id in correlations_in(&[correlations]) {
        assert!(found.get(&id).is_some_and(|found| !found.groups.is_empty()), "the correlation {id} never held");
    }
}

/// Sends samples to a server with these rules and compares what arrival and history found; returns it.
#[expect(clippy::print_stdout, reason = "a test of this length reports its figures")]
async fn compare(rules: &[PathBuf], samples: &[Sample]) -> ByRule {
    let moneta = Moneta::new();
    let paths = rules.iter().map(|path| path.to_str().unwrap());
    // Without a server, which a caller waits for a minute only. Some rules lack values for their placeholders.
    let added = moneta.run(&["rules", "add"].into_iter().chain(paths).collect::<Vec<_>>());
    assert!(added.code <= 1 && added.stdout.contains("rules loaded"), "{added:?}");
    println!("{}", added.stdout.lines().last().unwrap_or_default());
    let server = moneta.serve();
    for part in samples.chunks(50) {
        let paths = part.iter().map(|sample| sample.path.to_str().unwrap());
        let stored = moneta.run(&["ingest"].into_iter().chain(paths).collect::<Vec<_>>());
        assert!(stored.code <= 1, "{stored:?}");
    }
    let files: Vec<PathBuf> = rules.iter().flat_map(|path| rule_files(path)).collect();
    let outcome = Outcome::of(&moneta, server, &correlations_in(&files)).await;
    outcome.print();
    outcome.differences().iter().for_each(|line| println!("{line}"));
    assert_eq!(outcome.differences().len(), 0);
    outcome.history
}

/// A file of the corpus.
#[derive(Clone)]
struct Sample {
    path: PathBuf,
    /// The times of its first and last event.
    first: Timestamp,
    last: Timestamp,
    /// Whether no event in it comes later than correlations wait for.
    is_in_order: bool,
}

/// As many samples as can follow one another without one beginning before another ends, of those in order.
fn following(samples: &[Sample]) -> Vec<Sample> {
    let mut by_end: Vec<Sample> = samples.iter().filter(|sample| sample.is_in_order).cloned().collect();
    by_end.sort_by(|a, b| (a.last, &a.path).cmp(&(b.last, &b.path)));
    let mut end = Timestamp::default();
    by_end.retain(|sample| {
        let follows = sample.first > end;
        end = if follows { sample.last } else { end };
        follows
    });
    by_end
}

/// Files by the time of their first event.
fn in_order_of_time(folder: &Path) -> Vec<Sample> {
    let logs = files_below(folder).into_iter().filter(|path| {
        let within = path.strip_prefix(folder).unwrap();
        within.components().count() > 1 && !NO_LOGS.iter().any(|name| within.starts_with(name))
    });
    let catalog = Arc::new(TableCatalog::built_in());
    let mut timed: Vec<Sample> = logs.map(|path| sample(path, &catalog)).collect();
    timed.sort_by(|a, b| (a.first, &a.path).cmp(&(b.first, &b.path)));
    timed
}

fn sample(path: PathBuf, catalog: &Arc<TableCatalog>) -> Sample {
    let bytes = std::fs::read(&path).unwrap();
    let head = &bytes[..bytes.len().min(HEAD_BYTES)];
    let Some(format) = recognise(&path.to_string_lossy(), head) else {
        return Sample { path, first: Timestamp::default(), last: Timestamp::default(), is_in_order: false };
    };
    let options =
        DecodeOptions::new(Arc::clone(catalog), SourceName::lossy("test"), Timestamp::from_seconds(2_000_000_000));
    let mut decoder = Decoder::new(format, options);
    let mut times: Option<(Timestamp, Timestamp)> = None;
    let mut is_in_order = true;
    // Beside their own time span, correlations wait so long.
    let lateness = Duration::from_nanos(Settings::default().lateness_nanos.unsigned_abs());
    let mut look = |batches: Vec<moneta_event::ParsedBatch>| {
        for rows in batches
            .iter()
            .map(|batch| &batch.rows)
            .filter(|rows| rows.column_by_name(standard::TIME_GENERATED).is_some())
        {
            for time in (0..rows.num_rows()).map(|row| event_time(rows, row)) {
                let (first, last) = times.unwrap_or((time, time));
                is_in_order &= last.since(time) <= lateness;
                times = Some((first.min(time), last.max(time)));
            }
        }
    };
    decoder.feed(&bytes, &mut |decoded| look(decoded.batches));
    decoder.finish(&mut |decoded| look(decoded.batches));
    let (first, last) = times.unwrap_or_default();
    Sample { path, first, last, is_in_order }
}
