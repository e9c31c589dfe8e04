//! What correlations find in small streams.

use std::collections::BTreeMap;
use std::sync::Arc;

use moneta_base::Timestamp;
use moneta_event::TableCatalog;
use moneta_event::Value::{self, Text};
use moneta_rules::correlation::{Correlator, Counters, Finding, Settings, Snapshot};
use moneta_rules::exception::{self, Comparison, Condition};
use moneta_rules::{CompiledRules, Taxonomy, parse_file};

use crate::support::{HOUR, compile, rule, table, timed_rows};

/// Rules `a`, `b` and `c`, met by events whose `Image` says so, and one correlation.
pub fn with_correlation(correlation: &str) -> Arc<CompiledRules> {
    Arc::new(compile(&format!("{}---\ntitle: Correlated\nid: corr\nlevel: high\ncorrelation:\n{correlation}", base())))
}

fn base() -> String {
    let one = |name: &str| {
        rule(name, &format!("s:\n  Image: {name}\ncondition: s")).replacen(
            &format!("id: {name}"),
            &format!("id: {name}\nname: rule_{name}"),
            1,
        )
    };
    ["a", "b", "c"].map(one).concat()
}

/// Seconds, image, user, further field.
type Event<'a> = (i64, &'a str, &'a str, &'a str);

fn fields<'a>((seconds, image, user, more): &Event<'a>) -> (i64, Vec<(&'static str, Value<'a>)>) {
    let given = [("EventLog", "System"), ("Image", *image), ("User", *user), ("BytesOut", *more)];
    (*seconds, given.into_iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| (name, Text(text))).collect())
}

fn feed(correlator: &mut Correlator, first_seq: u64, events: &[Event<'_>]) -> Vec<Finding> {
    let rows: Vec<_> = events.iter().map(fields).collect();
    let batch = timed_rows("Event", &rows);
    let matches = correlator.rules().match_batch(&table("Event"), &batch);
    correlator.observe(&table("Event"), &batch, first_seq, &matches)
}

/// Groups, seconds of the first and last event, and number of events of all findings, at the end of the stream.
fn findings(correlation: &str, events: &[Event<'_>]) -> Vec<(String, i64, i64, usize)> {
    let mut correlator = Correlator::new(with_correlation(correlation), Settings::default());
    let mut found = feed(&mut correlator, 0, events);
    found.extend(correlator.finish());
    found.iter().map(shown).collect()
}

fn shown(finding: &Finding) -> (String, i64, i64, usize) {
    let seconds = |time: Timestamp| time.as_nanos() / 1_000_000_000 - HOUR;
    let group: Vec<&str> = finding.group.iter().map(|(_, value)| value.as_str()).collect();
    (group.join("/"), seconds(finding.times.0), seconds(finding.times.1), finding.num_events)
}

fn one(group: &str, from: i64, to: i64, events: usize) -> (String, i64, i64, usize) {
    (group.to_owned(), from, to, events)
}

#[test]
fn events_are_counted_per_group_within_the_timespan() {
    let counted =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 3\n";
    let near = [(0, "a", "ann", ""), (60, "a", "bob", ""), (120, "a", "ann", ""), (180, "b", "ann", "")];
    assert_eq!(findings(counted, &near), []);
    let third = [(0, "a", "ann", ""), (60, "a", "bob", ""), (120, "a", "ann", ""), (599, "a", "ann", "")];
    assert_eq!(findings(counted, &third), [one("ann", 0, 599, 3)]);
    // The window leaves out its beginning: an event ten minutes before is not in it.
    let apart = [(0, "a", "ann", ""), (300, "a", "ann", ""), (600, "a", "ann", "")];
    assert_eq!(findings(counted, &apart), []);
    // Case splits no count, and the first spelling is shown.
    let cased = [(0, "a", "Ann", ""), (60, "a", "ANN", ""), (120, "a", "ann", "")];
    assert_eq!(findings(counted, &cased), [one("Ann", 0, 120, 3)]);
    assert_eq!(findings(counted, &[cased[2], cased[1], cased[0]]), [one("Ann", 0, 120, 3)]);
    // Over the boundary of a period, the window still slides.
    let across = [(590, "a", "ann", ""), (595, "a", "ann", ""), (605, "a", "ann", "")];
    assert_eq!(findings(counted, &across), [one("ann", 590, 605, 3)]);
}

#[test]
fn an_exception_of_a_correlation_keeps_events_from_counting_in_it_alone() {
    let counted = |id: &str| {
        format!(
            "---\ntitle: X\nid: {id}\ncorrelation:\n  type: event_count\n  rules: [rule_a, rule_b]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 2\n"
        )
    };
    let text = [base(), counted("one"), counted("two")].concat();
    let except = |field: &str, values: &[&str]| Condition {
        field: field.to_owned(),
        comparison: Comparison::Equals,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    };
    let events = [(0, "a", "ann", "1"), (1, "b", "ann", "2"), (2, "a", "bob", "3"), (3, "a", "bob", "4")];
    let found = |conditions: &[Condition]| -> Vec<(String, String)> {
        let mut rules = parse_file("", &text).rules;
        rules.push(exception::filter("e", "one", conditions).unwrap());
        let (compiled, refused) = CompiledRules::compile(rules, &Taxonomy::built_in(), &TableCatalog::built_in());
        assert_eq!(refused, []);
        let rules = Arc::new(compiled);
        let mut correlator = Correlator::new(Arc::clone(&rules), Settings::default());
        let mut found: Vec<(String, String)> = feed(&mut correlator, 0, &events)
            .iter()
            .map(|finding| (rules.rules()[finding.rule].metadata.id.to_string(), finding.group[0].1.clone()))
            .collect();
        found.sort();
        found
    };
    let both = |of_one: &[&str]| -> Vec<(String, String)> {
        let pairs = of_one.iter().map(|group| ("one", *group)).chain([("two", "ann"), ("two", "bob")]);
        pairs.map(|(rule, group)| (rule.to_owned(), group.to_owned())).collect()
    };
    assert_eq!(found(&[except("BytesOut", &["9"])]), both(&["ann", "bob"]));
    // Neither the rules nor the correlation name the field otherwise.
    assert_eq!(found(&[except("BytesOut", &["2"])]), both(&["bob"]));
    assert_eq!(found(&[except("Image", &["A"]), except("BytesOut", &["1", "4"])]), both(&[]));
    assert_eq!(found(&[except("Image", &["B"]), except("BytesOut", &["1"])]), both(&["ann", "bob"]));
}

/// A filter of the correlation `corr` over rules of the log sources `windows/system` and `windows/application`: whom it
/// leaves of events of both, as found when two of one user are enough.
fn left_by_filter(log_source: &str, condition: &str) -> Vec<String> {
    let other = rule("z", "s:\n  Image: z\ncondition: s").replace("service: system", "service: application");
    let correlation = "---\ntitle: C\nid: corr\ncorrelation:\n  type: event_count\n  rules: [a, z]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 2\n";
    let filter = format!(
        "---\ntitle: F\nid: f\nlogsource:\n{log_source}filter:\n  rules: [corr]\n  known:\n    User: ann\n  condition: {condition}\n"
    );
    let rules = Arc::new(compile(&[base(), other, correlation.to_owned(), filter].concat()));
    let of_log = |log: &'static str, image: &'static str, user: &'static str| {
        vec![("EventLog", Text(log)), ("Image", Text(image)), ("User", Text(user))]
    };
    let events: Vec<_> = [
        of_log("System", "a", "ann"),
        of_log("System", "a", "ann"),
        of_log("Application", "z", "bob"),
        of_log("Application", "z", "bob"),
        of_log("Application", "z", "ann"),
    ]
    .into_iter()
    .zip(0..)
    .map(|(fields, second)| (second, fields))
    .collect();
    let batch = timed_rows("Event", &events);
    let mut correlator = Correlator::new(Arc::clone(&rules), Settings::default());
    let matches = rules.match_batch(&table("Event"), &batch);
    let found = correlator.observe(&table("Event"), &batch, 0, &matches);
    found.iter().map(|finding| format!("{} {}", finding.group[0].1, finding.num_events)).collect()
}

#[test]
fn a_filter_of_a_correlation_is_for_events_of_its_log_source_alone() {
    let (system, application) = ("  product: windows\n  service: system\n", "  service: application\n");
    // All of the filter's log source, which both rules say: ann counts nowhere.
    assert_eq!(left_by_filter("  product: windows\n", "not known"), ["bob 2"]);
    // Two events of ann are of the system's log, and one of the applications'.
    assert_eq!(left_by_filter(system, "not known"), ["bob 2"]);
    assert_eq!(left_by_filter(application, "not known"), ["ann 2", "bob 2"]);
    // What the filter keeps is of its log source; the other's events are none of its business.
    assert_eq!(left_by_filter(system, "known"), ["ann 2", "bob 2"]);
    assert_eq!(left_by_filter(application, "known"), ["ann 2"]);
    assert_eq!(left_by_filter("  product: linux\n", "not known"), ["ann 2", "bob 2"]);
}

#[test]
fn a_group_raises_one_alert_in_a_period_and_the_next_in_the_next() {
    let counted =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 2\n";
    let events: Vec<Event<'_>> = (0..12).map(|minute| (minute * 100, "a", "ann", "")).collect();
    assert_eq!(findings(counted, &events).len(), 2);
}

#[test]
fn an_event_that_meets_two_of_the_rules_is_one_event() {
    let text = format!(
        "{}---\ntitle: X\nid: x\nname: rule_x\nlogsource:\n  product: windows\n  service: system\ndetection:\n  s:\n    Image: a\n  condition: s\n---\ntitle: C\nid: corr\ncorrelation:\n  type: event_count\n  rules: [rule_a, rule_x]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 2\n",
        base()
    );
    let mut correlator = Correlator::new(Arc::new(compile(&text)), Settings::default());
    assert_eq!(feed(&mut correlator, 0, &[(0, "a", "ann", "")]), []);
    assert_eq!(feed(&mut correlator, 1, &[(1, "a", "ann", "")]).len(), 1);
}

#[test]
fn distinct_values_are_counted_once_and_absent_ones_never() {
    let counted = "  type: value_count\n  rules: [rule_a]\n  group-by: [Image]\n  timespan: 1h\n  condition:\n    field: User\n    gte: 2\n";
    assert_eq!(findings(counted, &[(0, "a", "ann", ""), (1, "a", "ann", ""), (2, "a", "", "")]), []);
    assert_eq!(findings(counted, &[(0, "a", "ann", ""), (1, "a", "bob", "")]), [one("a", 0, 1, 2)]);
    assert_eq!(findings(counted, &[(0, "a", "ann", ""), (1, "a", "ANN", "")]), [], "case is not a difference");
    let pairs = counted.replace("field: User", "field: [User, BytesOut]");
    assert_eq!(findings(&pairs, &[(0, "a", "ann", "x"), (1, "a", "Ann", "X")]), []);
    assert_eq!(findings(&pairs, &[(0, "a", "ann", "1"), (1, "a", "ann", "2")]), [one("a", 0, 1, 2)]);
}

#[test]
fn temporal_wants_all_rules_and_ordered_wants_their_order() {
    let temporal = "  type: temporal\n  rules: [rule_a, rule_b]\n  group-by: [User]\n  timespan: 5m\n";
    let ordered = temporal.replace("type: temporal", "type: temporal_ordered");
    let forward = [(0, "a", "ann", ""), (60, "b", "ann", "")];
    let backward = [(0, "b", "ann", ""), (60, "a", "ann", "")];
    for (events, in_order) in [(&forward, 1), (&backward, 0)] {
        assert_eq!(findings(temporal, events), [one("ann", 0, 60, 2)]);
        assert_eq!(findings(&ordered, events).len(), in_order);
    }
    assert_eq!(findings(temporal, &[(0, "a", "ann", ""), (60, "b", "bob", "")]), []);
    assert_eq!(findings(temporal, &[(0, "a", "ann", ""), (301, "b", "ann", "")]), []);
}

#[test]
fn temporal_conditions_are_numbers_of_rules_or_expressions() {
    let some = "  type: temporal\n  rules: [rule_a, rule_b, rule_c]\n  group-by: [User]\n  timespan: 5m\n  condition:\n    gte: 2\n";
    let events = [(0, "a", "ann", ""), (60, "c", "ann", "")];
    assert_eq!(findings(some, &events), [one("ann", 0, 60, 2)]);
    let expression = |text: &str| some.replace("condition:\n    gte: 2", &format!("condition: {text}"));
    assert_eq!(findings(&expression("rule_a AND rule_b"), &events), []);
    assert_eq!(findings(&expression("rule_a and (rule_b or rule_c)"), &events).len(), 1);
    // What must not be there is known when the period is over.
    assert_eq!(findings(&expression("rule_a and not rule_b"), &events).len(), 1);
    assert_eq!(findings(&expression("rule_a and not rule_c"), &events), []);
}

#[test]
fn numbers_are_summed_averaged_and_ranked() {
    let of = |kind: &str, condition: &str| {
        format!(
            "  type: {kind}\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    field: BytesOut\n    {condition}\n"
        )
    };
    let events = [(0, "a", "ann", "10"), (1, "a", "ann", "20"), (2, "a", "ann", "90"), (3, "a", "ann", "none")];
    let holds = |kind: &str, condition: &str| !findings(&of(kind, condition), &events).is_empty();
    assert!(holds("value_sum", "gt: 119") && !holds("value_sum", "gt: 120"));
    assert!(holds("value_avg", "gte: 40") && !holds("value_avg", "gt: 40"));
    assert!(holds("value_median", "eq: 20"));
    assert!(
        holds("value_percentile", "gt: 54\n    percentile: 75")
            && !holds("value_percentile", "gt: 55\n    percentile: 75")
    );
    // Without a percentile: the share of a single value among all.
    assert!(holds("value_percentile", "lte: 25") && !holds("value_percentile", "lte: 24"));
}

#[test]
fn bounds_from_above_are_judged_when_the_period_is_over() {
    let few = "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 2\n    lt: 4\n";
    let mut correlator = Correlator::new(with_correlation(few), Settings::default());
    assert_eq!(feed(&mut correlator, 0, &[(0, "a", "ann", ""), (1, "a", "ann", ""), (2, "a", "bob", "")]), []);
    assert_eq!(correlator.advance(Timestamp::from_seconds(HOUR + 3_599)), []);
    let found = correlator.advance(Timestamp::from_seconds(HOUR + 3_600));
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), [one("ann", 0, 1, 2)]);
    // A late event is put where it belongs, and the period is judged again.
    let late = feed(&mut correlator, 3, &[(3, "a", "bob", "")]);
    assert_eq!(late.iter().map(shown).collect::<Vec<_>>(), [one("bob", 2, 3, 2)]);
    let many: Vec<Event<'_>> = (0..4).map(|second| (second, "a", "ann", "")).collect();
    assert_eq!(findings(few, &many), []);
}

#[test]
fn aliases_join_different_fields_through_every_level() {
    let text = format!(
        "{}---\ntitle: Low\nid: low\nname: low\ncorrelation:\n  type: event_count\n  rules: [rule_a]\n  group-by: [who]\n  aliases:\n    who:\n      rule_a: User\n  timespan: 1h\n  condition:\n    gte: 2\n---\ntitle: High\nid: high\ncorrelation:\n  type: temporal_ordered\n  rules: [low, rule_b]\n  group-by: [person]\n  aliases:\n    person:\n      low: who\n      rule_b: BytesOut\n  timespan: 1h\n",
        base()
    );
    let rules = Arc::new(compile(&text));
    let mut correlator = Correlator::new(rules.clone(), Settings::default());
    let events = [(0, "a", "ann", ""), (1, "a", "ann", ""), (2, "b", "x", "ann"), (3, "b", "ann", "x")];
    let mut found = feed(&mut correlator, 0, &events);
    found.extend(correlator.finish());
    assert_eq!(found.len(), 1);
    assert_eq!(rules.rules()[found[0].rule].metadata.id.as_str(), "high");
    assert_eq!(found[0].group, [("person".to_owned(), "ann".to_owned())]);
}

#[test]
fn correlated_rules_are_silent_unless_generate_is_set() {
    let counted =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 2\n";
    let rules = with_correlation(counted);
    assert_eq!((rules.alerts_alone(0), rules.alerts_alone(1)), (false, true));
    assert!(with_correlation(&format!("{counted}  generate: true\n")).alerts_alone(0));
}

#[test]
fn a_batch_that_is_fed_again_changes_nothing() {
    let counted =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 2\n";
    let mut correlator = Correlator::new(with_correlation(counted), Settings::default());
    let events = [(0, "a", "ann", ""), (1, "a", "ann", "")];
    assert_eq!(feed(&mut correlator, 7, &events).len(), 1);
    assert_eq!(feed(&mut correlator, 7, &events), []);
}

#[test]
fn a_snapshot_goes_on_where_it_was_taken() {
    let counted =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 3\n";
    let rules = with_correlation(counted);
    let mut correlator = Correlator::new(rules.clone(), Settings::default());
    feed(&mut correlator, 0, &[(0, "a", "ann", ""), (1, "a", "ann", "")]);
    let bytes = correlator.snapshot(&BTreeMap::from([(table("Event"), 2)]));
    let mut restored = Snapshot::read(&bytes, rules, Settings::default()).unwrap();
    assert_eq!(restored.positions[&table("Event")], 2);
    assert_eq!(restored.correlator.snapshot(&restored.positions), bytes);
    assert_eq!(feed(&mut restored.correlator, 2, &[(2, "a", "ann", "")]).len(), 1);
    // A changed definition begins anew; bytes of a newer program are refused.
    let changed = with_correlation(&counted.replace("gte: 3", "gte: 2"));
    let mut anew = Snapshot::read(&bytes, changed.clone(), Settings::default()).unwrap().correlator;
    assert_eq!(anew.newly_given_up(), [(3, Counters { redefined: 2, ..Counters::default() })]);
    assert_eq!(feed(&mut anew, 2, &[(2, "a", "ann", "")]), []);
    let newer = String::from_utf8(bytes).unwrap().replace("\"version\":2", "\"version\":9");
    let error = Snapshot::read(newer.as_bytes(), changed.clone(), Settings::default()).unwrap_err();
    assert!(error.to_string().contains("version 9"), "{error}");
    assert!(Snapshot::read(b"{", changed, Settings::default()).is_err());
}

/// One correlation, or two over the same rules by the key of another field.
fn next_to_another(with_another: bool) -> Arc<CompiledRules> {
    let over = |id: &str, group: &str, further: &str| {
        format!(
            "---\ntitle: {id}\nid: {id}\nname: {id}\ncorrelation:\n  type: value_count\n  rules: [rule_a]\n  group-by: [{group}]\n  timespan: 1h\n  generate: true\n  condition:\n    field: BytesOut\n    gte: 3\n{further}"
        )
    };
    // The other one comes first, so that its fields do too.
    let other = if with_another { over("another", "Image", "") } else { String::new() };
    Arc::new(compile(&[base(), other, over("kept", "User", "")].concat()))
}

#[test]
fn a_correlation_goes_on_while_others_over_its_rules_come_and_go() {
    for (before, after) in [(false, true), (true, false)] {
        let mut correlator = Correlator::new(next_to_another(before), Settings::default());
        assert_eq!(feed(&mut correlator, 0, &[(0, "a", "ann", "1"), (1, "a", "ann", "2")]), []);
        let bytes = correlator.snapshot(&BTreeMap::new());
        let mut correlator = Snapshot::read(&bytes, next_to_another(after), Settings::default()).unwrap().correlator;
        assert_eq!(correlator.newly_given_up(), []);
        let found = feed(&mut correlator, 2, &[(2, "a", "ann", "3")]);
        let kept: Vec<_> = found.iter().filter(|one| one.group[0].0 == "User").map(shown).collect();
        assert_eq!(kept, [one("ann", 0, 2, 3)], "another one before: {before}, after: {after}");
        assert_eq!(found.len(), 1, "the other one saw only one event");
    }
}

#[test]
fn a_correlation_that_comes_above_another_takes_nothing_whose_group_nobody_read() {
    let below = "---\ntitle: L\nid: low\nname: low\ncorrelation:\n  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 1\n    lte: 9\n";
    let above = "---\ntitle: H\nid: high\ncorrelation:\n  type: event_count\n  rules: [low]\n  group-by: [BytesOut]\n  timespan: 1h\n  condition:\n    gte: 1\n";
    let compiled = |parts: &[&str]| Arc::new(compile(&[&base(), parts.concat().as_str()].concat()));
    let mut correlator = Correlator::new(compiled(&[below]), Settings::default());
    assert_eq!(feed(&mut correlator, 0, &[(0, "a", "ann", "1")]), []);
    let bytes = correlator.snapshot(&BTreeMap::new());
    let mut correlator = Snapshot::read(&bytes, compiled(&[below, above]), Settings::default()).unwrap().correlator;
    assert_eq!(feed(&mut correlator, 1, &[(4_000, "a", "ann", "2")]), []);
    let groups: Vec<_> = correlator.finish().iter().map(|found| found.group[0].1.clone()).collect();
    assert_eq!(groups, ["2"], "the period of the first event has no value to group by");
}

#[test]
fn a_state_of_the_first_version_is_read() {
    let rules = next_to_another(false);
    let mut correlator = Correlator::new(Arc::clone(&rules), Settings::default());
    assert_eq!(feed(&mut correlator, 0, &[(0, "a", "ann", "1"), (1, "a", "ann", "2")]), []);
    let mut state: serde_json::Value = serde_json::from_slice(&correlator.snapshot(&BTreeMap::new())).unwrap();
    state["version"] = 1.into();
    state.as_object_mut().unwrap().remove("leaves");
    // As the first version computed it.
    state["correlations"][0]["definition"] = FIRST_DEFINITION.into();
    let read = |rules| Snapshot::read(state.to_string().as_bytes(), rules, Settings::default()).unwrap().correlator;
    assert_eq!(feed(&mut read(Arc::clone(&rules)), 2, &[(2, "a", "ann", "3")]).len(), 1);
    assert_eq!(read(next_to_another(true)).counters().redefined, 2, "nobody knows which fields these events have");
}

const FIRST_DEFINITION: &str = "ff90e569481ed655396924614f6a475c";

#[test]
fn memory_is_bounded_and_what_is_given_up_is_counted() {
    let both = "  type: temporal\n  rules: [rule_a, rule_b]\n  group-by: [User]\n  timespan: 1h\n";
    let settings = Settings { groups_max: 2, group_entries_max: 2, lateness_nanos: 0, ..Settings::default() };
    let mut correlator = Correlator::new(with_correlation(both), settings);
    let events =
        [(0, "a", "ann", ""), (1, "a", "bob", ""), (2, "a", "cid", ""), (3, "a", "cid", ""), (4, "a", "cid", "")];
    // Ann's group is the oldest, and the third event of Cid is one too many to keep.
    assert_eq!(feed(&mut correlator, 0, &events), []);
    assert_eq!(correlator.counters().evicted, 2);
    assert_eq!(correlator.newly_given_up(), [(3, Counters { evicted: 2, ..Counters::default() })]);
    assert_eq!(correlator.newly_given_up(), []);
    assert_eq!(correlator.counters().evicted, 2, "what was told is counted still");
    feed(&mut correlator, 5, &[(90_000, "a", "bob", ""), (4, "a", "bob", "")]);
    assert_eq!(correlator.counters().too_late, 1);
}

#[test]
fn a_group_keeps_as_many_events_as_its_correlation_counts_to() {
    let counted = "  type: event_count\n  rules: [rule_a]\n  timespan: 1h\n  condition:\n    gte: 12000\n";
    let all: Vec<Event<'_>> = vec![(1, "a", "ann", ""); 12_000];
    assert_eq!(findings(counted, &all[1..]), []);
    assert_eq!(findings(counted, &all), [one("", 1, 1, 12_000)]);
    // Values that many events share, over a window that is longer than what is usually kept.
    let values =
        "  type: value_count\n  rules: [rule_a]\n  timespan: 1h\n  condition:\n    field: BytesOut\n    gte: 11000\n";
    let numbers: Vec<String> = (0..11_000).map(|number: u32| number.to_string()).collect();
    let distinct: Vec<Event<'_>> = numbers.iter().map(|number| (1, "a", "ann", number.as_str())).collect();
    assert_eq!(findings(values, &distinct[1..]), []);
    assert_eq!(findings(values, &distinct), [one("", 1, 1, 11_000)]);
}

#[test]
fn a_correlation_that_is_met_by_everything_takes_nothing_from_the_others() {
    let loud = "  type: temporal\n  rules: [rule_a, rule_c]\n  group-by: [BytesOut]\n  timespan: 1h\n";
    let quiet = "---\ntitle: Quiet\nid: quiet\ncorrelation:\n  type: event_count\n  rules: [rule_b]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 3\n";
    let text = format!("{}---\ntitle: Loud\nid: loud\ncorrelation:\n{loud}{quiet}", base());
    let settings = Settings { entries_max: 10, ..Settings::default() };
    let mut correlator = Correlator::new(Arc::new(compile(&text)), settings);
    let numbers: Vec<String> = (0..50).map(|number: u32| number.to_string()).collect();
    let mut events: Vec<Event<'_>> = vec![(0, "b", "ann", ""), (1, "b", "ann", "")];
    events.extend(numbers.iter().map(|number| (2, "a", "bob", number.as_str())));
    assert_eq!(feed(&mut correlator, 0, &events), []);
    assert_eq!(correlator.counters().evicted, 42);
    let found = feed(&mut correlator, 100, &[(3, "b", "ann", "")]);
    assert_eq!(found.iter().map(shown).collect::<Vec<_>>(), [one("ann", 0, 3, 3)]);
}

#[test]
fn a_finding_says_what_held_and_of_each_event_why() {
    let sum = "  type: value_sum\n  rules: [rule_a, rule_b]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    field: BytesOut\n    gte: 12\n";
    let mut correlator = Correlator::new(with_correlation(sum), Settings::default());
    feed(&mut correlator, 0, &[(0, "a", "ann", "5"), (9, "b", "ann", "8")]);
    let found = correlator.finish().remove(0);
    assert_eq!(found.explanation(), "value_sum of BytesOut gte 12 within 10m: 13 where User = ann");
    let events: Vec<_> =
        found.events.iter().map(|event| (event.at.seq, event.rules.concat(), event.values[0].1.clone())).collect();
    assert_eq!(events, [(0, "a".to_owned(), "5".to_owned()), (1, "b".to_owned(), "8".to_owned())]);
}

#[test]
fn a_correlation_over_correlations_names_the_events_that_its_findings_rest_on() {
    let below = "---\ntitle: Below\nid: below\nname: below\ncorrelation:\n  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 3\n";
    let above = "---\ntitle: Above\nid: above\nname: above\ncorrelation:\n  type: temporal_ordered\n  rules: [below, rule_b]\n  group-by: [User]\n  timespan: 1h\n";
    let top = "---\ntitle: Top\nid: top\ncorrelation:\n  type: temporal\n  rules: [above, rule_c]\n  group-by: [User]\n  timespan: 2h\n  generate: true\n";
    let rules = Arc::new(compile(&[&base(), below, above, top].concat()));
    let (first, second) = (
        [(0, "a", "ann", ""), (1, "a", "ann", ""), (2, "a", "bob", ""), (3, "a", "ann", "")],
        [(4, "b", "ann", ""), (5, "c", "ann", "")],
    );
    let found = |settings: Settings| {
        let mut correlator = Correlator::new(Arc::clone(&rules), settings);
        let mut found = feed(&mut correlator, 0, &first);
        let state = correlator.snapshot(&BTreeMap::new());
        correlator = Snapshot::read(&state, Arc::clone(&rules), settings).unwrap().correlator;
        found.extend(feed(&mut correlator, 4, &second));
        let events = |finding: &Finding| {
            let events = finding.events.iter().map(|event| format!("{} {}", event.at.seq, event.rules.concat()));
            (shown(finding), events.collect::<Vec<_>>().join(", "))
        };
        found.iter().map(events).collect::<Vec<_>>()
    };
    assert_eq!(
        found(Settings::default()),
        [
            (one("ann", 0, 4, 4), "0 Below, 1 Below, 3 Below, 4 b".to_owned()),
            (one("ann", 0, 5, 5), "0 Above, 1 Above, 3 Above, 4 Above, 5 c".to_owned()),
        ]
    );
    // The earliest, and always the one that a finding ends with.
    let bounded = found(Settings { below_events_max: 1, ..Settings::default() });
    assert_eq!(bounded[0], (one("ann", 0, 4, 3), "0 Below, 3 Below, 4 b".to_owned()));
    assert_eq!(bounded[1].1, "0 Above, 4 Above, 5 c");
}

#[test]
fn events_below_findings_count_against_the_bound_on_events() {
    let below = "---\ntitle: Below\nid: below\nname: below\ncorrelation:\n  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 3\n";
    let above = "---\ntitle: Above\nid: above\ncorrelation:\n  type: event_count\n  rules: [below]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 2\n";
    let rules = Arc::new(compile(&[&base(), below, above].concat()));
    let events: Vec<Event<'_>> = (0..3).map(|second| (second, "a", "ann", "")).collect();
    // Three events, one finding, and the three that it rests on.
    for (entries_max, evicted) in [(7, 0), (6, 3)] {
        let mut correlator = Correlator::new(Arc::clone(&rules), Settings { entries_max, ..Settings::default() });
        feed(&mut correlator, 0, &events);
        assert!((correlator.counters().evicted > 0) == (evicted > 0), "{entries_max}: {:?}", correlator.counters());
    }
}

#[test]
fn events_of_one_moment_are_summed_together() {
    let sum = "  type: value_sum\n  rules: [rule_a]\n  timespan: 10m\n  condition:\n    field: BytesOut\n    gte: 5\n";
    let mut correlator = Correlator::new(with_correlation(sum), Settings::default());
    let moment = Timestamp::from_seconds(HOUR + 1);
    let mut found = feed(&mut correlator, 1, &[(1, "a", "ann", "5")]);
    found.extend(correlator.advance(moment));
    // Another of the same moment comes, before it in order, and takes away from the sum.
    found.extend(feed(&mut correlator, 0, &[(1, "a", "ann", "-1")]));
    found.extend(correlator.finish());
    assert_eq!(found, []);
}

#[test]
fn all_correlations_together_have_a_bound_and_the_oldest_group_goes_first() {
    let counted =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 3\n";
    let settings = Settings { entries_max: 3, ..Settings::default() };
    let mut correlator = Correlator::new(with_correlation(counted), settings);
    let events = [(0, "a", "ann", ""), (1, "a", "ann", ""), (2, "a", "bob", ""), (3, "a", "bob", "")];
    assert_eq!(feed(&mut correlator, 0, &events), []);
    assert_eq!(correlator.counters().evicted, 2, "both of Ann's");
    assert_eq!(feed(&mut correlator, 4, &[(4, "a", "bob", "")]).len(), 1);
    let bytes = correlator.snapshot(&BTreeMap::new());
    let mut again = Snapshot::read(&bytes, Arc::clone(correlator.rules()), settings).unwrap().correlator;
    feed(&mut again, 5, &[(5, "a", "cid", "")]);
    assert_eq!(again.counters().evicted, 3, "what was read counts too");
}

#[test]
fn what_waits_to_be_decided_survives_a_long_silence() {
    let bounded = "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1h\n  condition:\n    gte: 2\n    lte: 5\n";
    let mut correlator = Correlator::new(with_correlation(bounded), Settings::default());
    let days = 86_400;
    assert_eq!(feed(&mut correlator, 0, &[(0, "a", "ann", ""), (1, "a", "ann", ""), (10 * days, "a", "ann", "")]), []);
    assert_eq!(correlator.finish().len(), 1, "the period of the first two");
}

#[test]
fn what_cannot_be_resolved_is_refused_with_the_reason() {
    let refused = |correlation: &str| {
        let parsed = parse_file("x", &format!("{}---\ntitle: C\nid: corr\ncorrelation:\n{correlation}", base()));
        let (_, more) =
            CompiledRules::compile(parsed.rules, &Taxonomy::built_in(), &moneta_event::TableCatalog::built_in());
        parsed.not_loaded.iter().chain(&more).map(|n| n.error.to_string()).collect::<Vec<_>>().join("; ")
    };
    for (correlation, part) in [
        ("  type: temporal\n  rules: [rule_aa, rule_b]\n  timespan: 1h\n", "did you mean \"rule_a\"?"),
        ("  type: temporal\n  rules: [corr]\n  timespan: 1h\n", "refers to itself"),
        ("  type: evnt_count\n  rules: [rule_a]\n  timespan: 1h\n", "did you mean \"event_count\"?"),
        ("  type: event_count\n  rules: [rule_a]\n  timespan: 1h\n", "needs a condition"),
        (
            "  type: event_count\n  rules: [rule_a]\n  timespan: 1h\n  condition:\n    field: x\n",
            "compares with nothing",
        ),
        ("  type: value_count\n  rules: [rule_a]\n  timespan: 1h\n  condition:\n    gte: 1\n", "names no field"),
        ("  type: event_count\n  rules: [rule_a]\n  timespan: soon\n  condition:\n    gte: 1\n", "timespan \"soon\""),
        (
            "  type: event_count\n  rules: [rule_a]\n  timespan: 1h\n  condition:\n    gte: 100001\n",
            "CORRELATION_EVENTS_MAX",
        ),
        ("  type: event_count\n  rules: [rule_a]\n  timespan: 9999d\n  condition:\n    gte: 1\n", "TIMESPAN_DAYS_MAX"),
        ("  type: temporal\n  rules: [rule_a]\n  timespan: 1h\n  groupby: [User]\n", "did you mean \"group-by\"?"),
        ("  type: temporal\n  rules: [rule_a]\n  timespan: 1h\n  aliases:\n    x:\n      rule_q: y\n", "rule_q"),
    ] {
        let reasons = refused(correlation);
        assert!(reasons.contains(part), "{correlation}: {reasons}");
    }
}

const NEW: &str =
    "  type: first_seen\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    field: BytesOut\n";

#[test]
fn a_value_is_new_when_no_event_of_the_timespan_before_has_it() {
    // Nobody's first event is new: nothing was seen before it.
    assert_eq!(findings(NEW, &[(0, "a", "ann", "1")]), []);
    assert_eq!(findings(NEW, &[(0, "a", "ann", "1"), (10, "a", "ann", "1"), (20, "a", "bob", "2")]), []);
    assert_eq!(findings(NEW, &[(0, "a", "ann", "1"), (10, "a", "ann", "2")]), [one("ann", 0, 10, 2)]);
    // An event that comes late takes the novelty from what follows it.
    assert_eq!(findings(NEW, &[(0, "a", "ann", "1"), (10, "a", "ann", "2"), (5, "a", "ann", "2")]).len(), 1);
    assert_eq!(
        findings(NEW, &[(20, "a", "ann", "1"), (30, "a", "ann", "2"), (10, "a", "ann", "2")]),
        [one("ann", 10, 20, 2)]
    );
    // Beyond the timespan all is forgotten.
    assert_eq!(findings(NEW, &[(0, "a", "ann", "1"), (601, "a", "ann", "2")]), []);
    let three = format!("{NEW}    gte: 3\n");
    let four = [(0, "a", "ann", "1"), (1, "a", "ann", "2"), (2, "a", "ann", "1"), (3, "a", "ann", "4")];
    assert_eq!(findings(&three, &four), [one("ann", 0, 3, 4)]);
    assert_eq!(findings(&three, &four[..3]), []);
}

const ABSENCE: &str = "  type: absence\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 1m\n";

#[test]
fn events_that_stop_are_found_and_the_end_of_the_data_is_no_stop() {
    let found = |events: &[Event<'_>]| findings(ABSENCE, events);
    assert_eq!(found(&[(0, "a", "ann", "")]), []);
    assert_eq!(found(&[(0, "a", "ann", ""), (30, "a", "ann", ""), (59, "a", "bob", "")]), []);
    assert_eq!(found(&[(0, "a", "ann", ""), (60, "a", "bob", "")]), [one("ann", 0, 0, 1)]);
    assert_eq!(found(&[(0, "a", "ann", ""), (200, "a", "ann", "")]), [one("ann", 0, 0, 1)]);
    // One that comes late fills the gap, as long as nothing was said of it.
    assert_eq!(found(&[(0, "a", "ann", ""), (80, "a", "ann", ""), (40, "a", "ann", "")]), []);
}

#[test]
fn the_watermark_decides_that_events_stopped() {
    let mut correlator = Correlator::new(with_correlation(ABSENCE), Settings::default());
    assert!(feed(&mut correlator, 0, &[(0, "a", "ann", "")]).is_empty());
    let at = |seconds: i64| Timestamp::from_seconds(HOUR + seconds);
    assert!(correlator.advance(at(59)).is_empty());
    let bytes = correlator.snapshot(&BTreeMap::new());
    let rules = Arc::clone(correlator.rules());
    let mut correlator = Snapshot::read(&bytes, rules, Settings::default()).unwrap().correlator;
    assert_eq!(correlator.advance(at(60)).iter().map(shown).collect::<Vec<_>>(), [one("ann", 0, 0, 1)]);
    assert!(correlator.advance(at(500)).is_empty());
}

#[test]
fn a_group_that_an_event_counts_in_says_how_near_it_came() {
    let count =
        "  type: event_count\n  rules: [rule_a]\n  group-by: [User]\n  timespan: 10m\n  condition:\n    gte: 3\n";
    let mut correlator = Correlator::new(with_correlation(count), Settings::default());
    feed(&mut correlator, 0, &[(0, "a", "ann", ""), (1, "a", "bob", ""), (2, "a", "ann", ""), (3, "b", "ann", "")]);
    let rules = Arc::clone(correlator.rules());
    let id = rules.rules().iter().find(|rule| rule.metadata.title == "Correlated").map(|rule| &rule.metadata.id);
    let id = id.unwrap_or_else(|| &rules.rules().last().unwrap().metadata.id).clone();
    let table = rules.tables().next().unwrap().clone();
    let states = |correlator: &mut Correlator, seq| {
        let states = correlator.states_of(&id, &table, seq, 10);
        states.iter().map(|state| (state.holds, state.lines(table.as_str(), seq)[0].clone())).collect::<Vec<_>>()
    };
    let near = "- event_count gte 3 within 10m: 2 where User = ann".to_owned();
    assert_eq!(states(&mut correlator, 2), [(false, near)]);
    assert_eq!(states(&mut correlator, 3), [], "an event of another rule counts in none");
    feed(&mut correlator, 4, &[(5, "a", "ann", "")]);
    let held = "+ event_count gte 3 within 10m: 3 where User = ann".to_owned();
    assert_eq!(
        states(&mut correlator, 0),
        [(true, held)],
        "the window that holds is shown, whichever event is asked about"
    );
    assert_eq!(rules.span_nanos(&id), Some(600_000_000_000));
}
