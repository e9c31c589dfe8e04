//! Queries that would never end, or take all memory, stop at a limit that they name, and events are stored meanwhile.

use crate::support::{Moneta, json_lines};

/// Queries without a sensible end, and what the refusal of each must name.
const RUNAWAYS: [(&str, &[&str]); 5] = [
    ("range x from 1 to 1000000000000 step 1 | summarize sum(x % 7)", &["range_rows_max"]),
    (
        "range a from 1 to 1000000 step 1 | extend k = 1 | join kind=inner (range b from 1 to 1000000 step 1 \
         | extend k = 1) on k | summarize sum(a * b)",
        &["query.timeout_seconds", "query.memory_per_query_bytes"],
    ),
    (
        "range a from 1 to 100000 step 1 | extend l = range(1, 1000) | mv-expand m = l to typeof(long) \
         | extend n = range(1, 1000) | mv-expand o = n to typeof(long) | summarize sum(m * o)",
        &["query.timeout_seconds", "query.memory_per_query_bytes"],
    ),
    (
        "range a from 1 to 100000000 step 1 | extend s = strcat(a, '-', a * 7) | sort by s desc | summarize max(s)",
        &["query.timeout_seconds", "query.memory_per_query_bytes", "query.spill_bytes_max"],
    ),
    ("print s = 'aaaa' | where s matches regex '((((a{0,200}){0,200}){0,200}){0,200})b'", &["size limit"]),
];

#[test]
fn runaway_queries_stop_at_a_limit_by_its_name_while_events_are_stored() {
    let mut moneta = Moneta::new();
    moneta.settings = vec![
        ("MONETA_QUERY__TIMEOUT_SECONDS", "4"),
        ("MONETA_QUERY__MEMORY_PER_QUERY_BYTES", "100000000"),
        ("MONETA_QUERY__SPILL_BYTES_MAX", "200000000"),
    ];
    let server = moneta.serve();
    std::thread::scope(|scope| {
        let moneta = &moneta;
        let asked: Vec<_> =
            RUNAWAYS.iter().map(|(text, _)| scope.spawn(move || moneta.run(&["query", text]))).collect();
        for part in 0..4 {
            let file = moneta.file(&format!("part{part}.ndjson"), json_lines(50 + part));
            assert_eq!(moneta.json(&["ingest", &file])["events"], 50 + part);
        }
        for (run, (text, names)) in asked.into_iter().zip(RUNAWAYS) {
            let run = run.join().unwrap();
            let names_one = names.iter().any(|name| run.stderr.contains(name));
            assert!(run.code != 0 && names_one, "{text}: {run:?}");
        }
    });
    // Digits at the end of a file's name do not make a table of their own. What was stopped leaves its thread at its next
    // pause, so on a busy machine the first question may still find all threads taken.
    let stored = std::iter::repeat_with(|| moneta.run(&["--json", "query", "part_CL | count"]))
        .take(10)
        .find(|run| run.code == 0)
        .expect("the server answers again");
    assert!(stored.stdout.contains("206"), "{stored:?}");
    server.stop();
}
