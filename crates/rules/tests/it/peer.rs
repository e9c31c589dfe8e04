//! The matcher against another engine, on events made from the rules' own conditions: matching, nearly matching, odd.
//!
//! The other engine is the program `bench/sigma-peer`, which `MONETA_SIGMA_PEER` names; `make sigma-peer` builds it and runs
//! this test. It is no part of `make test`: the peer is a crate of its own, with dependencies of its own.
//! `MONETA_PEER_ROUNDS` sets how many events are made of every rule. Each event is given to all rules of its log sources.
//! What differs is explained in `peer_differences.toml`, or it is a failure.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, ColumnType, Delivery, RecordClass, TableCatalog, TableSchema, Value as Field};
use moneta_rules::ir::{Body, Detection, LogSource};
use moneta_rules::pattern::{Pattern, Piece};
use moneta_rules::taxonomy::Target;
use moneta_rules::{CompiledRules, Taxonomy};
use moneta_testkit::TestDir;
use moneta_testkit::corpus::{corpus, workspace_root};
use serde_json::{Map, Value};

use crate::conformance::sigma_folders;
use crate::events::{self, Random};
use crate::export::{Export, Source, event, probes, sources, sources_of_rows};
use crate::support::load_rules;

/// Events made of a rule, unless the environment says another number.
const ROUNDS: usize = 6;
/// Rows of a block.
const BLOCK_ROWS: usize = 4_096;
/// Differences that a failure lists at most.
const LISTED_MAX: usize = 60;

/// Fields by the rule's names.
type Made = BTreeMap<String, Value>;

/// Rows of a table, and the events they are of.
struct Rows {
    builder: BatchBuilder,
    schema: Arc<TableSchema>,
    made: Vec<Made>,
}

/// Puts events into rows as decoders would.
struct Tables {
    taxonomy: Taxonomy,
    catalog: TableCatalog,
    tables: BTreeMap<TableName, Rows>,
}

impl Tables {
    fn new() -> Self {
        Self { taxonomy: Taxonomy::built_in(), catalog: TableCatalog::built_in(), tables: BTreeMap::new() }
    }

    /// Adds an event as a row of a log source.
    fn add(&mut self, source: &LogSource, made: Made, round: usize) {
        let targets = self.taxonomy.targets(source).unwrap();
        let target = &targets[round % targets.len()];
        let custom = || Arc::new(TableSchema::custom(target.table.clone()));
        let schema = self.catalog.get(target.table.as_str()).cloned().unwrap_or_else(custom);
        let rows = self.tables.entry(target.table.clone()).or_insert_with(|| Rows {
            builder: BatchBuilder::new(Arc::clone(&schema), RecordClass::Data, Delivery::BestEffort),
            schema,
            made: Vec::new(),
        });
        let mut set = BTreeSet::new();
        // Lists and objects do not fit a column of text, and no decoder puts them there.
        let fits = |column: &str, value: &Value| {
            let text = rows.schema.column(column).is_some_and(|column| column.column_type == ColumnType::String);
            !(text && (value.is_array() || value.is_object()))
        };
        let mut kept = Made::new();
        for (name, value) in made {
            let column = column_of(&name, target, &self.taxonomy, &rows.schema);
            if !fits(&column, &value) || !set.insert(column.clone()) {
                continue;
            }
            put(&mut rows.builder, &column, &value);
            kept.insert(name, value);
        }
        for condition in target.rows.iter().filter(|condition| !set.contains(&condition.column)) {
            let pattern = Pattern::parse(&condition.values[round % condition.values.len()]);
            rows.builder.set_field(&condition.column, Field::Text(&literal(&pattern)));
        }
        rows.builder.finish_row(Timestamp::from_seconds(1_700_000_000), &SourceName::lossy("test"), "");
        rows.made.push(kept);
    }

    fn finish(self) -> Vec<(TableName, RecordBatch, Vec<Made>)> {
        let finished = |(table, rows): (TableName, Rows)| (table, rows.builder.finish().unwrap().rows, rows.made);
        self.tables.into_iter().map(finished).collect()
    }
}

/// What a rule's field is called in a table.
fn column_of(name: &str, target: &Target, taxonomy: &Taxonomy, schema: &TableSchema) -> String {
    let lower = name.to_lowercase();
    let renamed = target.fields.get(&lower);
    let renamed = renamed.or_else(|| taxonomy.table_fields(schema.name().as_str())?.get(&lower));
    let column = renamed.and_then(|names| names.first()).map_or(name, String::as_str);
    let column = column.strip_prefix("_Extra.").unwrap_or(column);
    let known = schema.columns().iter().find(|known| known.name.eq_ignore_ascii_case(column));
    known.map_or_else(|| column.to_owned(), |known| known.name.to_string())
}

fn put(builder: &mut BatchBuilder, column: &str, value: &Value) {
    match value {
        Value::Null => {}
        Value::Bool(truth) => builder.set_field(column, Field::Bool(*truth)),
        Value::String(text) => builder.set_field(column, Field::Text(text)),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => builder.set_field(column, Field::Long(whole)),
            None => builder.set_field(column, Field::Real(number.as_f64().unwrap())),
        },
        list => builder.set_field(column, Field::Json(&list.to_string())),
    }
}

fn literal(pattern: &Pattern) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::One => "1".to_owned(),
        Piece::Many => String::new(),
    };
    pattern.pieces().iter().map(piece).collect()
}

/// Events with what each engine finds in them.
struct Compared {
    events: Vec<(usize, Map<String, Value>)>,
    ours: BTreeSet<(usize, String)>,
    theirs: BTreeSet<(usize, String)>,
    refused: BTreeSet<String>,
    num_rules: usize,
}

/// Gives made events to both engines.
fn compare(peer: &Path, folders: &[PathBuf], root: &Path, rounds: usize) -> Compared {
    let (compiled, _) = load_rules(folders);
    let sources = sources(compiled.rules().iter().map(|rule| &**rule));
    let probes = probes(&sources);
    let list: Vec<&Source> = probes.rules().iter().map(|rule| &sources[rule.log_source().unwrap()]).collect();
    let mut tables = Tables::new();
    for rule in compiled.rules() {
        let Body::Detection(Detection { expression, log_source, .. }) = &rule.body else { continue };
        let mut random = Random::of(rule.metadata.id.as_str());
        for round in 0..rounds {
            tables.add(log_source, events::event(expression, round, &mut random), round);
        }
    }
    let (mut export, mut events, mut ours) = (Export::default(), Vec::new(), BTreeSet::new());
    for (table, rows, made) in tables.finish() {
        for first in (0..rows.num_rows()).step_by(BLOCK_ROWS) {
            let block = rows.slice(first, BLOCK_ROWS.min(rows.num_rows() - first));
            ours.extend(matches(&compiled, &table, &block, events.len()));
            let explainer = probes.explainer(&table, &block);
            for (row, sources) in sources_of_rows(&probes, &table, &block).into_iter().enumerate() {
                let mut event = event(&block, row, &sources, &list, &explainer, &mut export);
                event.extend(made[first + row].clone());
                events.push((export.class(sources), event));
            }
        }
    }
    let dir = TestDir::new();
    let (theirs, refused) = ask(peer, root, &dir, &events, &export.rules(&list));
    Compared { events, ours, theirs, refused, num_rules: compiled.rules().len() }
}

fn matches<'a>(
    rules: &'a CompiledRules,
    table: &TableName,
    rows: &RecordBatch,
    first: usize,
) -> impl Iterator<Item = (usize, String)> + 'a {
    rules.match_batch(table, rows).into_iter().flat_map(move |found| {
        let id = rules.rules()[found.rule].metadata.id.to_string();
        found.rows.into_iter().map(move |row| (first + row as usize, id.clone()))
    })
}

/// What the other engine finds, and the rules it refuses.
fn ask(
    peer: &Path,
    root: &Path,
    dir: &TestDir,
    events: &[(usize, Map<String, Value>)],
    classes: &[BTreeSet<&str>],
) -> (BTreeSet<(usize, String)>, BTreeSet<String>) {
    std::fs::write(dir.join("classes.json"), serde_json::to_string(classes).unwrap()).unwrap();
    let mut out = BufWriter::new(std::fs::File::create(dir.join("events.ndjson")).unwrap());
    for (class, event) in events {
        writeln!(out, "{}", serde_json::json!({ "class": class, "event": event })).unwrap();
    }
    out.into_inner().unwrap();
    let found = dir.join("theirs.txt");
    let run = Command::new(peer).args(["--repeat", "0", "--matches"]).arg(&found).arg(root).arg(dir.path()).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let summary: Value = serde_json::from_slice(&run.stdout).unwrap();
    let refused = summary["refused"].as_array().unwrap().iter().filter_map(|id| id.as_str().map(str::to_owned));
    let text = std::fs::read_to_string(found).unwrap();
    let pair = |line: &str| {
        let (event, rule) = line.split_once(' ').unwrap();
        (event.parse().unwrap(), rule.to_owned())
    };
    (text.lines().map(pair).collect(), refused.collect())
}

/// Why the engines differ on a rule.
#[derive(serde::Deserialize)]
struct Difference {
    kind: String,
    reason: String,
    rules: Vec<String>,
}

/// The committed reasons.
fn differences() -> Vec<Difference> {
    #[derive(serde::Deserialize)]
    struct File {
        #[serde(default)]
        difference: Vec<Difference>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/peer_differences.toml");
    toml::from_str::<File>(&std::fs::read_to_string(path).unwrap()).unwrap().difference
}

/// The pairs that differ without a reason; prints the figures.
#[expect(clippy::print_stdout, reason = "a conformance test reports its figures")]
fn unexplained(compared: &Compared, name: &str) -> Vec<String> {
    let known = differences();
    let mut explained: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unexplained = Vec::new();
    for pair in compared.ours.symmetric_difference(&compared.theirs) {
        let kind = if compared.ours.contains(pair) { "extra" } else { "missing" };
        let reason = known.iter().find(|one| one.kind == kind && one.rules.contains(&pair.1));
        if compared.refused.contains(&pair.1) {
            *explained.entry("the other engine refuses the rule").or_default() += 1;
        } else if let Some(one) = reason {
            *explained.entry(&one.reason).or_default() += 1;
        } else {
            unexplained.push(format!("{kind} {} {}", pair.1, Value::Object(compared.events[pair.0].1.clone())));
        }
    }
    println!(
        "{name}: {} rules, {} events, {} matches in both, {} differing and explained, {} unexplained",
        compared.num_rules,
        compared.events.len(),
        compared.ours.intersection(&compared.theirs).count(),
        explained.values().sum::<usize>(),
        unexplained.len()
    );
    explained.iter().for_each(|(reason, count)| println!("{count:6} {reason}"));
    unexplained.iter().take(LISTED_MAX).for_each(|line| println!("       {line}"));
    unexplained
}

#[test]
fn differences_from_the_peer_on_made_events_are_explained() {
    let Some(peer) = std::env::var_os("MONETA_SIGMA_PEER").map(PathBuf::from) else {
        eprintln!("MONETA_SIGMA_PEER names no program, 2 cases not run; `make sigma-peer` runs them");
        return;
    };
    let rounds = std::env::var("MONETA_PEER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let starter = workspace_root().join("content/rules");
    let mut differing = unexplained(&compare(&peer, &[starter.clone()], &starter, rounds), "starter rules");
    match corpus().map(|root| root.join("sigma")).filter(|sigma| sigma.is_dir()) {
        Some(sigma) => {
            let folders = sigma_folders(&sigma);
            differing.extend(unexplained(&compare(&peer, &folders, &sigma, rounds), "public rules"));
        }
        None => eprintln!("corpus not present, 1 case not run (sigma)"),
    }
    assert_eq!(differing.len(), 0);
}
