//! Matches exported events with rsigma's engine: `sigma-peer [--repeat N] [--bloom] [--needles] [--matches FILE] RULES_DIR EXPORT_DIR`
//!
//! EXPORT_DIR is what Moneta's example `sigma_export` wrote: `classes.json`, per class of events the ids of the rules for
//! it, and `events.ndjson`, events with the number of their class and fields by the names that rules use. Each class has
//! an engine of its own with only its rules, so that the peer pays nothing for routing. Rules and events are read before
//! the clock starts. This program measures and writes matches; it judges nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rsigma_eval::{Engine, JsonEvent};
use rsigma_parser::{SigmaRule, parse_sigma_yaml};
use serde_json::Value;

#[derive(Default)]
struct Options {
    repeat: usize,
    bloom: bool,
    needles: bool,
    matches: Option<PathBuf>,
    folders: Vec<PathBuf>,
}

fn main() {
    let options = options();
    let [rules, export] = options.folders.as_slice() else { panic!("RULES_DIR EXPORT_DIR") };
    let rules = load(rules);
    let text = std::fs::read_to_string(export.join("classes.json")).unwrap();
    let classes: Vec<Vec<String>> = serde_json::from_str(&text).unwrap();
    let mut refused = BTreeSet::new();
    let engines: Vec<Engine> = classes.iter().map(|ids| engine(ids, &rules, &options, &mut refused)).collect();
    let events = BufReader::new(std::fs::File::open(export.join("events.ndjson")).unwrap());
    let events: Vec<(usize, Value)> = events.lines().map(|line| event(&line.unwrap())).collect();
    let mut found: Vec<(usize, String)> = Vec::new();
    for (number, (class, event)) in events.iter().enumerate() {
        let matches = engines[*class].evaluate(&JsonEvent::borrow(event));
        found.extend(matches.into_iter().filter_map(|m| Some((number, m.header.rule_id?))));
    }
    found.sort();
    found.dedup();
    if let Some(path) = &options.matches {
        let mut out = BufWriter::new(std::fs::File::create(path).unwrap());
        found.iter().for_each(|(event, rule)| writeln!(out, "{event} {rule}").unwrap());
    }
    let mut times = Vec::new();
    for _ in 0..options.repeat {
        times.push(round(&engines, &events));
    }
    times.sort();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let rate = events.len() as f64 / median.as_secs_f64();
    let result = serde_json::json!({
        "events": events.len(), "rules": rules.len(), "refused": refused, "matches": found.len(),
        "events_per_second": rate, "bloom": options.bloom, "needles": options.needles,
    });
    println!("{result}");
}

fn round(engines: &[Engine], events: &[(usize, Value)]) -> Duration {
    let begin = cpu_time();
    let mut matches = 0;
    for (class, event) in events {
        matches += engines[*class].evaluate(&JsonEvent::borrow(event)).len();
    }
    std::hint::black_box(matches);
    cpu_time().saturating_sub(begin)
}

/// What this thread used of a core so far: other work on the machine does not count.
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split(' ').next().unwrap().parse().unwrap())
}

fn options() -> Options {
    let mut options = Options { repeat: 5, ..Options::default() };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--repeat" => options.repeat = arguments.next().unwrap().parse().unwrap(),
            "--bloom" => options.bloom = true,
            "--needles" => options.needles = true,
            "--matches" => options.matches = arguments.next().map(PathBuf::from),
            _ => options.folders.push(argument.into()),
        }
    }
    options
}

fn event(line: &str) -> (usize, Value) {
    let mut line: Value = serde_json::from_str(line).unwrap();
    (line["class"].as_u64().unwrap() as usize, line["event"].take())
}

fn engine(
    ids: &[String],
    rules: &BTreeMap<String, SigmaRule>,
    options: &Options,
    refused: &mut BTreeSet<String>,
) -> Engine {
    let mut engine = Engine::new();
    engine.set_bloom_prefilter(options.bloom);
    let mut chosen = Vec::new();
    for id in ids {
        match rules.get(id) {
            Some(rule) => chosen.push(rule),
            None => _ = refused.insert(id.clone()),
        }
    }
    for (index, _) in engine.add_rules(chosen.iter().copied()) {
        refused.insert(chosen[index].id.clone().unwrap_or_default());
    }
    engine.set_cross_rule_ac(options.needles);
    engine
}

/// All rules below a folder, by id.
fn load(folder: &Path) -> BTreeMap<String, SigmaRule> {
    let mut rules = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yml") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                let parsed = parse_sigma_yaml(&text).map(|collection| collection.rules).unwrap_or_default();
                rules.extend(parsed.into_iter().filter_map(|rule| Some((rule.id.clone()?, rule))));
            }
        }
    }
    rules
}
