//! Functions, saved queries and watchlists, with and without a server.

use crate::support::{Moneta, json_lines};

fn store_all(moneta: &Moneta) {
    let list = moneta.file("people.csv", "Step,Owner\n7,ada\n8,bob\n");
    moneta.ok(&["function", "add", "From", "(first: long) { steps_CL | where Step >= first }"]);
    moneta.ok(&["saved-query", "add", "Daily count", "steps_CL | count"]);
    moneta.ok(&["watchlist", "add", "Step owners", "--key", "Step", &list]);
}

fn check_all(moneta: &Moneta) {
    assert_eq!(moneta.count("From(70) | count"), 10);
    let joined = "steps_CL | extend Key = tostring(Step) \
        | join kind=inner (_GetWatchlist('Step owners')) on $left.Key == $right.SearchKey | where Owner == 'ada' | count";
    assert_eq!(moneta.count(joined), 1);
    for (kind, name) in [("function", "From"), ("saved-query", "Daily count"), ("watchlist", "Step owners")] {
        assert_eq!(moneta.json(&[kind, "list"])[0]["name"], name);
    }
}

fn remove_all(moneta: &Moneta) {
    for (kind, name) in [("function", "From"), ("saved-query", "Daily count"), ("watchlist", "Step owners")] {
        moneta.ok(&[kind, "remove", name]);
        assert_ne!(moneta.run(&[kind, "remove", name]).code, 0);
    }
}

#[test]
fn objects_serve_queries_with_a_server_and_without() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(80))]);
    store_all(&moneta);
    check_all(&moneta);
    let server = moneta.serve();
    check_all(&moneta);
    remove_all(&moneta);
    store_all(&moneta);
    server.stop();
    check_all(&moneta);
    remove_all(&moneta);
    let refused = moneta.run(&["function", "add", "Loop", "{ Loop() }"]);
    assert!(refused.code != 0 && refused.stderr.contains("Loop -> Loop"), "{refused:?}");
}
