//! The same alerts whatever the order of arrival and however the stream is divided.
//!
//! `MONETA_ORDER_CASES` sets how many permutations and divisions are tried (25 when it is not set).

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::Timestamp;
use moneta_event::Value::Text;
use moneta_rules::correlation::{Correlator, Counters, Finding, Settings, Snapshot};
use moneta_rules::{CompiledRules, RuleMatch};

use crate::support::{HOUR, compile, rule, table, timed_rows};

const CASES: u64 = 25;
const EVENTS: usize = 40;
/// Seconds that events come after their time at most, and the watermark follows.
const LATENESS: i64 = 300;

fn num_cases() -> u64 {
    std::env::var("MONETA_ORDER_CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(CASES)
}

/// Numbers from a seed: the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        (1..items.len()).rev().for_each(|at| items.swap(at, self.below(at + 1)));
    }
}

/// Correlations of every kind, over one another too.
fn rules() -> Arc<CompiledRules> {
    let base = ["a", "b"].map(|name| {
        rule(name, &format!("s:\n  Image: {name}\ncondition: s")).replacen(
            &format!("id: {name}"),
            &format!("id: {name}\nname: {name}_"),
            1,
        )
    });
    let correlations = [
        ("count", "event_count", "[a_]", "condition:\n    gte: 4"),
        ("range", "event_count", "[a_, b_]", "condition:\n    gte: 2\n    lte: 5"),
        ("values", "value_count", "[a_]", "condition:\n    field: BytesOut\n    gt: 3"),
        ("all", "temporal", "[a_, b_]", ""),
        ("order", "temporal_ordered", "[a_, b_]", ""),
        ("absent", "temporal", "[a_, b_]", "condition: a_ and not b_"),
        ("sum", "value_sum", "[b_]", "condition:\n    field: BytesOut\n    gt: 12"),
        ("mean", "value_avg", "[b_]", "condition:\n    field: BytesOut\n    gte: 5"),
        ("share", "value_percentile", "[a_]", "condition:\n    field: BytesOut\n    lte: 20"),
        ("chain", "temporal_ordered", "[count, b_]", ""),
        ("many", "event_count", "[order]", "condition:\n    gte: 2"),
        ("above", "temporal", "[mean, sum]", ""),
        ("new", "first_seen", "[a_]", "condition:\n    field: BytesOut\n    gte: 2"),
        ("median", "value_median", "[a_]", "condition:\n    field: BytesOut\n    gte: 4"),
        ("quarter", "value_percentile", "[a_, b_]", "condition:\n    field: BytesOut\n    percentile: 25\n    lt: 3"),
        ("silent", "absence", "[b_]", ""),
        ("behind", "temporal", "[silent, new]", ""),
    ];
    let text: String = correlations
        .iter()
        .map(|(name, kind, rules, condition)| {
            format!(
                "---\ntitle: {name}\nid: {name}\nname: {name}\ncorrelation:\n  type: {kind}\n  rules: {rules}\n  group-by: [User]\n  timespan: 5m\n  generate: true\n  {condition}\n"
            )
        })
        .collect();
    // The same people under another name in the events of one of the rules.
    let aliases = "---\ntitle: alias\nid: alias\ncorrelation:\n  type: temporal\n  rules: [a_, b_]\n  group-by: [who]\n  timespan: 5m\n  generate: true\n  aliases:\n    who:\n      a_: User\n      b_: TargetUser\n";
    Arc::new(compile(&(base.concat() + &text + aliases)))
}

/// An event in a batch of its own, with its matches.
#[derive(Clone)]
struct Event {
    seq: u64,
    seconds: i64,
    batch: RecordBatch,
    matches: Vec<RuleMatch>,
}

/// Events in order of time.
fn stream(rules: &CompiledRules, numbers: &mut Numbers) -> Vec<Event> {
    let rows: Vec<_> = (0..EVENTS)
        .map(|_| {
            let user = ["ann", "Ann", "bob", ""][numbers.below(4)];
            let number = ["0", "1", "2", "3", "4", "5", "6", "7", "8"][numbers.below(9)];
            let fields = [
                ("EventLog", "System"),
                ("Image", ["a", "b"][numbers.below(2)]),
                ("User", user),
                ("TargetUser", ["ann", "bob", ""][numbers.below(3)]),
                ("BytesOut", number),
            ];
            let given = fields.into_iter().filter(|(_, text)| !text.is_empty());
            (i64::try_from(numbers.below(1_800)).unwrap(), given.map(|(name, text)| (name, Text(text))).collect())
        })
        .collect();
    let whole = timed_rows("Event", &rows);
    let event = |(at, (seconds, _)): (usize, &(i64, _))| {
        let batch = whole.slice(at, 1);
        let matches = rules.match_batch(&table("Event"), &batch);
        Event { seq: at as u64, seconds: *seconds, batch, matches }
    };
    let mut events: Vec<Event> = rows.iter().enumerate().map(event).collect();
    events.sort_by_key(|event| (event.seconds, event.seq));
    events
}

fn feed(correlator: &mut Correlator, event: &Event) -> Vec<Finding> {
    correlator.observe(&table("Event"), &event.batch, event.seq, &event.matches)
}

/// What identifies a finding, without what depends on the moment it was found.
fn identities(found: &[Finding]) -> BTreeSet<(usize, String, i64)> {
    found.iter().map(|f| (f.rule, format!("{:?}", f.group).to_lowercase(), f.period.0.as_nanos())).collect()
}

/// All findings of a stream that comes in an order, over so many parts that are joined at the end.
fn run(rules: &Arc<CompiledRules>, events: &[Event], parts: usize, numbers: &mut Numbers) -> Vec<Finding> {
    let settings = Settings { lateness_nanos: 86_400 * 1_000_000_000, ..Settings::default() };
    let mut correlators: Vec<Correlator> = (0..parts).map(|_| Correlator::new(Arc::clone(rules), settings)).collect();
    let mut found = Vec::new();
    for event in events {
        let part = numbers.below(parts);
        found.extend(feed(&mut correlators[part], event));
        match numbers.below(8) {
            // A stop and a start in between, and an event that comes twice.
            0 => {
                let bytes = correlators[part].snapshot(&std::collections::BTreeMap::new());
                correlators[part] = Snapshot::read(&bytes, Arc::clone(rules), settings).unwrap().correlator;
            }
            1 => found.extend(feed(&mut correlators[part], event)),
            _ => {}
        }
    }
    let mut whole = correlators.remove(0);
    for other in correlators {
        found.extend(whole.merge(other));
    }
    found.extend(whole.finish());
    found
}

#[test]
fn every_order_and_division_of_the_stream_gives_the_same_alerts() {
    let cases = num_cases();
    let rules = rules();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut total = 0;
    for case in 0..cases {
        let mut events = stream(&rules, &mut numbers);
        let expected = run(&rules, &events, 1, &mut numbers);
        let seen = identities(&expected);
        assert_eq!(seen.len(), expected.len(), "an alert was raised twice in case {case}");
        numbers.shuffle(&mut events);
        let parts = 1 + numbers.below(4);
        let found = run(&rules, &events, parts, &mut numbers);
        let difference: Vec<_> = seen.symmetric_difference(&identities(&found)).cloned().collect();
        assert!(difference.is_empty(), "case {case}, {parts} parts: {difference:?}");
        if parts == 1 {
            assert_eq!(found.len(), seen.len(), "an alert was raised twice in case {case}");
        }
        total += seen.len();
    }
    println!("{cases} orders and divisions, {total} alerts, all the same");
    assert!(total > 0);
}

/// All findings of a stream as a server sees it: each event comes up to [`LATENESS`] after its time, the watermark
/// follows the newest arrival by as much, and what parts of the stream found meanwhile is merged from time to time.
fn run_live(rules: &Arc<CompiledRules>, events: &[Event], parts: usize, numbers: &mut Numbers) -> Vec<Finding> {
    let delayed = events.iter().map(|event| (event.seconds + i64::try_from(numbers.below(301)).unwrap(), event));
    let mut arrivals: Vec<(i64, &Event)> = delayed.collect();
    arrivals.sort_by_key(|(at, event)| (*at, event.seq));
    let anew = || Correlator::new(Arc::clone(rules), Settings::default());
    let (mut whole, mut shards) = (anew(), Vec::from_iter((1..parts).map(|_| anew())));
    let mut found = Vec::new();
    for (at, event) in arrivals {
        match numbers.below(parts) {
            0 => found.extend(feed(&mut whole, event)),
            shard => found.extend(feed(&mut shards[shard - 1], event)),
        }
        if numbers.below(3) == 0 {
            for shard in &mut shards {
                found.extend(whole.merge(std::mem::replace(shard, anew())));
            }
            found.extend(whole.advance(Timestamp::from_seconds(HOUR + at - LATENESS)));
        }
        if numbers.below(8) == 0 {
            let bytes = whole.snapshot(&std::collections::BTreeMap::new());
            whole = Snapshot::read(&bytes, Arc::clone(rules), Settings::default()).unwrap().correlator;
        }
    }
    shards.into_iter().for_each(|shard| found.extend(whole.merge(shard)));
    found.extend(whole.finish());
    assert_eq!(whole.counters(), Counters::default(), "nothing is given up");
    found
}

#[test]
fn every_order_within_the_lateness_gives_the_same_alerts_while_the_watermark_moves() {
    let cases = num_cases();
    let rules = rules();
    let mut numbers = Numbers(0x0123_4567_89ab_cdef);
    let mut total = 0;
    for case in 0..cases {
        let events = stream(&rules, &mut numbers);
        let expected = identities(&run(&rules, &events, 1, &mut numbers));
        let parts = 1 + numbers.below(4);
        let found = run_live(&rules, &events, parts, &mut numbers);
        let difference: Vec<_> = expected.symmetric_difference(&identities(&found)).cloned().collect();
        assert!(difference.is_empty(), "case {case}, {parts} parts: {difference:?}");
        if parts == 1 {
            assert_eq!(found.len(), expected.len(), "an alert was raised twice in case {case}");
        }
        total += expected.len();
    }
    println!("{cases} orders within the lateness, {total} alerts, all the same");
    assert!(total > 0);
}

#[test]
fn the_watermark_may_move_between_any_events_that_are_in_order() {
    let rules = rules();
    let mut numbers = Numbers(7);
    for case in 0..10 {
        let events = stream(&rules, &mut numbers);
        let expected = identities(&run(&rules, &events, 1, &mut numbers));
        let mut correlator = Correlator::new(Arc::clone(&rules), Settings::default());
        let mut found = Vec::new();
        for event in &events {
            found.extend(feed(&mut correlator, event));
            if numbers.below(3) == 0 {
                // Events of the same second may still come.
                found.extend(correlator.advance(Timestamp::from_nanos((HOUR + event.seconds) * 1_000_000_000 - 1)));
            }
        }
        found.extend(correlator.finish());
        assert_eq!(identities(&found), expected, "case {case}");
        assert_eq!(found.len(), expected.len(), "case {case}");
    }
}
