//! Writes events as another Sigma engine can read them: `sigma_export --rules DIR... [--step N] --into DIR FILE|DIR...`
//!
//! `events.ndjson`: per event the number of its class, and its fields by their own names and by those that rules use.
//! `classes.json`: per class, the ids of the rules whose log source its events are of. Events are numbered as
//! `match_rate` numbers them.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

#[path = "support/export.rs"]
mod export;
mod support;

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use export::{Export, Source, event, probes, sources, sources_of_rows};

fn main() {
    let (mut folders, mut inputs, mut into, mut step) = (Vec::new(), Vec::new(), PathBuf::from("."), 1);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--rules" => folders.push(PathBuf::from(arguments.next().unwrap())),
            "--into" => into = arguments.next().unwrap().into(),
            "--step" => step = arguments.next().unwrap().parse().unwrap(),
            _ => inputs.push(PathBuf::from(argument)),
        }
    }
    let loaded = support::compile(support::load(&folders));
    let sources = sources(loaded.rules().iter().map(|rule| &**rule));
    let probes = probes(&sources);
    let list: Vec<&Source> = probes.rules().iter().map(|rule| &sources[rule.log_source().unwrap()]).collect();
    let mut export = Export::default();
    let mut out = BufWriter::new(std::fs::File::create(into.join("events.ndjson")).unwrap());
    let mut events = 0;
    for (table, rows) in support::blocks(&inputs, 8_192, step) {
        let explainer = probes.explainer(&table, &rows);
        for (row, sources) in sources_of_rows(&probes, &table, &rows).into_iter().enumerate() {
            let event = event(&rows, row, &sources, &list, &explainer, &mut export);
            let class = export.class(sources);
            serde_json::to_writer(&mut out, &serde_json::json!({ "class": class, "event": event })).unwrap();
            out.write_all(b"\n").unwrap();
            events += 1;
        }
    }
    let classes = export.rules(&list);
    std::fs::write(into.join("classes.json"), serde_json::to_string(&classes).unwrap()).unwrap();
    println!("events {events}, classes {}, rules {}", classes.len(), loaded.rules().len());
    println!("fields that log sources of one event see differently: {:?}", export.conflicts);
}
