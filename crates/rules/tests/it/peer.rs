//! The matcher against another engine, on events made from the rules' own conditions: matching, nearly matching, odd.
//!
//! The other engine is the program `bench/sigma-peer`, which `MONETA_SIGMA_PEER` names; `make sigma-peer` builds it and runs
//! this test. It is no part of `make test`: the peer is a crate of its own, with dependencies of its own.
//! `MONETA_PEER_ROUNDS` sets how many events are made of every rule. Each event is given to all rules of its log sources.
//! What differs is explained by one of `reasons.rs`, or it is a failure.

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
use moneta_rules::{CompiledRules, Rule, Taxonomy};
use moneta_testkit::TestDir;
use moneta_testkit::corpus::{corpus, workspace_root};
use serde_json::{Map, Value};

use crate::conformance::sigma_folders;
use crate::events::{self, Random};
use crate::export::{Export, Source, event, fields_of, probes, sources, sources_of_rows};
use crate::reasons::{IN_RULES, REWRITINGS, Rewrite, Ruled, Sign, fold_letters};
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
            let (column, extra) = column_of(&name, target, &self.taxonomy, &rows.schema);
            if (!extra && !fits(&column, &value)) || !set.insert(column.clone()) {
                continue;
            }
            put(&mut rows.builder, &column, extra, &value);
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

/// What a rule's field is called in a table, and whether it has no column there.
fn column_of(name: &str, target: &Target, taxonomy: &Taxonomy, schema: &TableSchema) -> (String, bool) {
    let lower = name.to_lowercase();
    let renamed = target.fields.get(&lower);
    let renamed = renamed.or_else(|| taxonomy.table_fields(schema.name().as_str())?.get(&lower));
    let column = renamed.and_then(|names| names.first()).map_or(name, String::as_str);
    if let Some(key) = column.strip_prefix("_Extra.") {
        return (key.to_owned(), true);
    }
    let known = schema.columns().iter().find(|known| known.name.eq_ignore_ascii_case(column));
    (known.map_or_else(|| column.to_owned(), |known| known.name.to_string()), false)
}

fn put(builder: &mut BatchBuilder, column: &str, extra: bool, value: &Value) {
    let json;
    let field = match value {
        Value::Null => return,
        Value::Bool(truth) => Field::Bool(*truth),
        Value::String(text) => Field::Text(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Field::Long(whole),
            None => Field::Real(number.as_f64().unwrap()),
        },
        list => {
            json = list.to_string();
            Field::Json(&json)
        }
    };
    if extra { builder.extra(column, field) } else { builder.set_field(column, field) }
}

fn literal(pattern: &Pattern) -> String {
    let piece = |piece: &Piece| match piece {
        Piece::Literal(text) => text.clone(),
        Piece::One => "1".to_owned(),
        Piece::Many => String::new(),
    };
    pattern.pieces().iter().map(piece).collect()
}

/// An event's index, and the id of a rule that it meets.
type Pair = (usize, String);

/// Events with what each engine finds in them.
struct Compared<'a> {
    peer: Peer<'a>,
    events: Vec<(usize, Map<String, Value>)>,
    /// Per class of events, the ids of the rules for them.
    classes: Vec<BTreeSet<String>>,
    rules: CompiledRules,
    /// Per rule over single events, the fields it names.
    fields: BTreeMap<String, BTreeSet<String>>,
    ours: BTreeSet<Pair>,
    theirs: BTreeSet<Pair>,
    refused: BTreeSet<String>,
}

/// Gives made events to both engines.
fn compare(peer: Peer<'_>, rounds: usize) -> Compared<'_> {
    let (compiled, _) = load_rules(peer.folders);
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
    let owned = |ids: &BTreeSet<&str>| ids.iter().map(|id| (*id).to_owned()).collect();
    let classes: Vec<BTreeSet<String>> = export.rules(&list).iter().map(owned).collect();
    let fields = fields_of_rules(compiled.rules().iter().map(|rule| &**rule));
    let (theirs, refused) = peer.ask(&events, &classes);
    Compared { peer, events, classes, rules: compiled, fields, ours, theirs, refused }
}

/// Per rule over single events, the fields it names.
fn fields_of_rules<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeMap<String, BTreeSet<String>> {
    let mut fields: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for rule in rules {
        let Body::Detection(detection) = &rule.body else { continue };
        fields_of(&detection.expression, fields.entry(rule.metadata.id.to_string()).or_default());
    }
    fields
}

fn matches<'a>(
    rules: &'a CompiledRules,
    table: &TableName,
    rows: &RecordBatch,
    first: usize,
) -> impl Iterator<Item = Pair> + 'a {
    rules.match_batch(table, rows).into_iter().flat_map(move |found| {
        let id = rules.rules()[found.rule].metadata.id.to_string();
        found.rows.into_iter().map(move |row| (first + row as usize, id.clone()))
    })
}

/// The other engine, and the folders of its rules.
#[derive(Clone, Copy)]
struct Peer<'a> {
    program: &'a Path,
    folders: &'a [PathBuf],
}

impl Peer<'_> {
    /// What it finds in events of classes, and the rules it refuses.
    fn ask(
        &self,
        events: &[(usize, Map<String, Value>)],
        classes: &[BTreeSet<String>],
    ) -> (BTreeSet<Pair>, BTreeSet<String>) {
        let (dir, rules) = (TestDir::new(), TestDir::new());
        for (index, folder) in self.folders.iter().enumerate().filter(|(_, folder)| folder.is_dir()) {
            std::os::unix::fs::symlink(folder, rules.join(&index.to_string())).unwrap();
        }
        std::fs::write(dir.join("classes.json"), serde_json::to_string(classes).unwrap()).unwrap();
        let mut out = BufWriter::new(std::fs::File::create(dir.join("events.ndjson")).unwrap());
        for (class, event) in events {
            writeln!(out, "{}", serde_json::json!({ "class": class, "event": event })).unwrap();
        }
        out.into_inner().unwrap();
        let found = dir.join("theirs.txt");
        let mut command = Command::new(self.program);
        let run = command.args(["--repeat", "0", "--matches"]).arg(&found).arg(rules.path()).arg(dir.path()).output();
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
}

impl Compared<'_> {
    /// The pairs that differ without a reason; prints the figures.
    #[expect(clippy::print_stdout, reason = "a conformance test reports its figures")]
    fn unexplained(&self, name: &str) -> Vec<String> {
        let (refused, mut differing): (Vec<&Pair>, Vec<_>) =
            self.ours.symmetric_difference(&self.theirs).partition(|(_, rule)| self.refused.contains(rule));
        let mut explained = vec![("the other engine refuses the rule", refused.len())];
        let mut explain = |reason, left: Vec<_>, differing: &mut Vec<_>| {
            explained.push((reason, differing.len() - left.len()));
            *differing = left;
        };
        for (reason, rewrite) in REWRITINGS {
            explain(reason, self.differing_after(rewrite, &differing), &mut differing);
        }
        for (reason, sign) in IN_RULES {
            let signed = self.rules_with(sign, differing.iter().map(|(_, rule)| rule.as_str()).collect());
            let left = differing.iter().copied().filter(|(_, rule)| !signed.contains(rule.as_str())).collect();
            explain(reason, left, &mut differing);
        }
        let total: usize = explained.iter().map(|(_, count)| count).sum();
        println!(
            "{name}: {} rules, {} events, {} matches in both, {total} differing and explained, {} unexplained",
            self.fields.len(),
            self.events.len(),
            self.ours.intersection(&self.theirs).count(),
            differing.len()
        );
        explained.iter().for_each(|(reason, count)| println!("{count:6} {reason}"));
        let kind = |pair: &Pair| if self.ours.contains(pair) { "extra" } else { "missing" };
        let event = |pair: &Pair| Value::Object(self.events[pair.0].1.clone());
        let lines: Vec<String> =
            differing.iter().map(|pair| format!("{} {} {}", kind(pair), pair.1, event(pair))).collect();
        lines.iter().take(LISTED_MAX).for_each(|line| println!("       {line}"));
        lines
    }

    /// The pairs on which the other engine does not agree with us either, once it is given the events rewritten.
    fn differing_after<'p>(&self, rewrite: Rewrite, pairs: &[&'p Pair]) -> Vec<&'p Pair> {
        let none = BTreeSet::new();
        let mut events = Vec::new();
        let mut pair_of_event = Vec::new();
        for (index, (event, rule)) in pairs.iter().enumerate() {
            let (class, event) = &self.events[*event];
            let fields = self.fields.get(rule).unwrap_or(&none);
            // An event may be odd twice: whatever else it is, its letters may also be odd ones.
            let folded = fold_letters(event, fields);
            for rewritten in std::iter::once(event).chain(&folded).flat_map(|event| rewrite(event, fields)) {
                events.push((*class, rewritten));
                pair_of_event.push(index);
            }
        }
        let (theirs, _) = self.peer.ask(&events, &self.classes);
        let agrees = |(event, index): (usize, &usize)| {
            let pair = pairs[*index];
            (theirs.contains(&(event, pair.1.clone())) == self.ours.contains(pair)).then_some(*index)
        };
        let agreed: BTreeSet<usize> = pair_of_event.iter().enumerate().filter_map(agrees).collect();
        pairs.iter().enumerate().filter(|(index, _)| !agreed.contains(index)).map(|(_, pair)| *pair).collect()
    }

    /// The rules among some that have a sign.
    fn rules_with(&self, sign: Sign, ids: BTreeSet<&str>) -> BTreeSet<&str> {
        let signed = |rule: &&Rule| {
            let Body::Detection(Detection { expression, .. }) = &rule.body else { return false };
            ids.contains(rule.metadata.id.as_str())
                && sign(&Ruled { text: &std::fs::read_to_string(&*rule.file).unwrap(), expression })
        };
        let rules = self.rules.rules().iter().map(|rule| &**rule);
        rules.filter(signed).map(|rule| rule.metadata.id.as_str()).collect()
    }
}

#[test]
fn differences_from_the_peer_on_made_events_are_explained() {
    let Some(peer) = std::env::var_os("MONETA_SIGMA_PEER").map(PathBuf::from) else {
        eprintln!("MONETA_SIGMA_PEER names no program, 2 cases not run; `make sigma-peer` runs them");
        return;
    };
    let rounds = std::env::var("MONETA_PEER_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let starter = [workspace_root().join("content/rules")];
    let mut differing = compare(Peer { program: &peer, folders: &starter }, rounds).unexplained("starter rules");
    match corpus().map(|root| root.join("sigma")).filter(|sigma| sigma.is_dir()) {
        Some(sigma) => {
            let folders = sigma_folders(&sigma);
            differing.extend(compare(Peer { program: &peer, folders: &folders }, rounds).unexplained("public rules"));
        }
        None => eprintln!("corpus not present, 1 case not run (sigma)"),
    }
    assert_eq!(differing.len(), 0);
}
