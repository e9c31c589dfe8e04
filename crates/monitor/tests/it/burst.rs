//! Many events at once, and rules that match all of them: no match is lost, and the other rules hold as ever.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use moneta_ports::{AlarmKind, BlockSubscriber};

use super::{Fixture, Row, Sink, block_of_rows, start_with};

/// Events of the burst, all of one second.
const EVENTS: u64 = 15_000;
/// Every so many of them is of the program that the rule of one program is about.
const RARE: u64 = 1_000;

/// A rule that every event meets, one that few meet, and correlations over both.
const RULES: &str = "
title: Every event
id: every
name: every
level: low
logsource: { product: linux, service: syslog }
detection: { s: { SyslogMessage: '*' }, condition: s }
---
title: One program
id: rare
name: rare
level: high
logsource: { product: linux, service: syslog }
detection: { s: { ProcessName: rare }, condition: s }
---
title: Twelve thousand
id: twelve-thousand
correlation: { type: event_count, rules: [every], timespan: 5m, generate: true, condition: { gte: 12000 } }
---
title: Five hundred machines
id: machines
correlation: { type: value_count, rules: [every], timespan: 5m, generate: true, condition: { field: Computer, gte: 500 } }
---
title: Ten of one program
id: ten
correlation: { type: event_count, rules: [rare], group-by: [ProcessName], timespan: 5m, generate: true, condition: { gte: 10 } }
";

/// Sends the burst in blocks of so many events.
async fn burst(events_per_block: u64) -> Fixture {
    let fixture = start_with(Sink::default(), RULES);
    for first in (0..EVENTS).step_by(usize::try_from(events_per_block).unwrap()) {
        let seqs = first..EVENTS.min(first + events_per_block);
        let machines: Vec<String> = seqs.clone().map(|seq| format!("host{}", seq % 500)).collect();
        let row = |(seq, machine)| -> Row<'_> {
            let program = if seq % RARE == 0 { "rare" } else { "usual" };
            (0, vec![("Computer", machine), ("ProcessName", program), ("SyslogMessage", "m")])
        };
        let rows: Vec<Row<'_>> = seqs.zip(machines.iter().map(String::as_str)).map(row).collect();
        fixture.monitor.on_block(&block_of_rows("Syslog", first, &rows));
    }
    fixture.monitor.stop().await;
    fixture
}

/// Per rule, how many events its stored alerts count.
fn counted(fixture: &Fixture) -> BTreeMap<String, i64> {
    let mut counts = BTreeMap::new();
    for batch in fixture.sink.taken.lock().unwrap().iter().flat_map(|one| &one.batches) {
        let rules = batch.rows.column_by_name("RuleId").unwrap().as_string::<i32>();
        let events = batch.rows.column_by_name("EventCount").unwrap().as_primitive::<Int64Type>();
        for row in 0..batch.rows.num_rows() {
            *counts.entry(rules.value(row).to_owned()).or_default() += events.value(row);
        }
    }
    counts
}

/// Values are not to be forgotten, and more than 10,000 events of one group are.
const SHORT: (AlarmKind, &str) = (AlarmKind::CorrelationsShort, "machines");

fn alarms(fixture: &Fixture) -> BTreeSet<(AlarmKind, &'static str)> {
    let alarms = fixture.alarms.0.lock().unwrap();
    let known =
        |subject: &str| ["every", "rare", "twelve-thousand", "machines", "ten"].into_iter().find(|id| *id == subject);
    alarms.iter().map(|alarm| (alarm.kind, known(&alarm.subject).unwrap_or("another"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_fifteen_thousand_events_loses_no_match() {
    let fixture = burst(5_000).await;
    let expected = [("every", 15_000), ("machines", 500), ("rare", 15), ("ten", 10), ("twelve-thousand", 12_000)];
    let expected = expected.map(|(rule, events)| (rule.to_owned(), events));
    assert_eq!(counted(&fixture), BTreeMap::from(expected));
    assert_eq!(alarms(&fixture), [SHORT].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_matches_everything_is_reported_and_the_others_hold_as_ever() {
    let fixture = burst(100).await;
    let expected = [("every", 15_000), ("machines", 500), ("rare", 15), ("ten", 10), ("twelve-thousand", 12_000)];
    let expected = expected.map(|(rule, events)| (rule.to_owned(), events));
    assert_eq!(counted(&fixture), BTreeMap::from(expected));
    assert_eq!(alarms(&fixture), [SHORT, (AlarmKind::RuleThrottled, "every")].into());
    let delivered = fixture.delivered.0.lock().unwrap();
    let times = |rule: &str| delivered.iter().filter(|alert| alert.rule_id.as_str() == rule).count();
    assert_eq!(["every", "machines", "rare", "ten", "twelve-thousand"].map(times), [120, 1, 15, 1, 1]);
}
