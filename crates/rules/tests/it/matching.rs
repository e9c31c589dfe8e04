//! Sigma's semantics on rows: each test names one fact.

use moneta_event::Value::{self, Bool, Json, Long, Text};
use moneta_rules::hunt;

use crate::support::{compile, rows, rule, table};

/// The rows (of `Event`, channel System) that meet a detection; the plain evaluation must agree.
#[track_caller]
fn check(detection: &str, events: &[&[(&str, Value<'_>)]], expected: &[u32]) {
    let compiled = compile(&rule("r", detection));
    let with_channel: Vec<Vec<(&str, Value<'_>)>> =
        events.iter().map(|event| [&[("EventLog", Text("System"))], *event].concat()).collect();
    let slices: Vec<&[(&str, Value<'_>)]> = with_channel.iter().map(Vec::as_slice).collect();
    let batch = rows("Event", &slices);
    let found = compiled.match_batch(&table("Event"), &batch);
    let found_rows = found.first().map(|m| m.rows.clone()).unwrap_or_default();
    assert_eq!(found_rows, expected, "{detection}");
    let explainer = compiled.explainer(&table("Event"), &batch);
    let plain: Vec<u32> = (0..).take(events.len()).filter(|row| explainer.holds(0, *row)).collect();
    assert_eq!(plain, expected, "plainly: {detection}");
}

const IMAGES: &[&[(&str, Value<'_>)]] = &[
    &[("Image", Text(r"C:\Windows\System32\cmd.exe"))],
    &[("Image", Text(r"c:\windows\system32\CMD.EXE"))],
    &[("Image", Text("other"))],
    &[],
];

#[test]
fn case_does_not_count_unless_asked_for() {
    check("s:\n  Image|endswith: '\\cmd.exe'\ncondition: s", IMAGES, &[0, 1]);
    check("s:\n  Image|endswith|cased: '\\cmd.exe'\ncondition: s", IMAGES, &[0]);
    check("s:\n  Image: 'OTHER'\ncondition: s", IMAGES, &[2]);
}

#[test]
fn a_regex_counts_case_and_matches_anywhere() {
    check("s:\n  Image|re: 'cmd\\.exe$'\ncondition: s", IMAGES, &[0]);
    check("s:\n  Image|re|i: 'CMD\\.exe$'\ncondition: s", IMAGES, &[0, 1]);
}

#[test]
fn an_absent_field_meets_null_and_not_but_nothing_else() {
    check("s:\n  Image: null\ncondition: s", IMAGES, &[3]);
    check("s:\n  Image: ''\ncondition: s", IMAGES, &[3]);
    check("s:\n  Image|exists: true\ncondition: s", IMAGES, &[0, 1, 2]);
    check("s:\n  Image|exists: false\ncondition: s", IMAGES, &[3]);
    check("s:\n  Image: '*'\ncondition: s", IMAGES, &[0, 1, 2]);
    check("s:\n  Image|contains: cmd\ncondition: not s", IMAGES, &[2, 3]);
    check("s:\n  NoSuchField: x\ncondition: not s", IMAGES, &[0, 1, 2, 3]);
    check("s:\n  NoSuchField: null\ncondition: s", IMAGES, &[0, 1, 2, 3]);
    check("s:\n  Image:\n    - null\n    - other\ncondition: s", IMAGES, &[2, 3]);
    check("s:\n  Image|neq: other\ncondition: s", IMAGES, &[0, 1, 3]);
}

#[test]
fn wildcards_match_the_whole_value() {
    check("s:\n  Image: '*\\system32\\\\?md.exe'\ncondition: s", IMAGES, &[0, 1]);
    check("s:\n  Image: 'oth*'\ncondition: s", IMAGES, &[2]);
    check("s:\n  Image: 'th*'\ncondition: s", IMAGES, &[]);
    let stars: &[&[(&str, Value<'_>)]] = &[&[("Image", Text("a*b"))], &[("Image", Text("axb"))]];
    check("s:\n  Image: 'a\\*b'\ncondition: s", stars, &[0]);
    check("s:\n  Image: 'a*b'\ncondition: s", stars, &[0, 1]);
}

#[test]
fn a_number_is_the_same_in_text_and_number_columns() {
    let events: &[&[(&str, Value<'_>)]] = &[
        &[("EventID", Long(7045)), ("ProcessId", Text("1"))],
        &[("EventID", Long(70)), ("ProcessId", Text("01"))],
        &[("ProcessId", Text("11"))],
    ];
    check("s:\n  EventID: 7045\ncondition: s", events, &[0]);
    check("s:\n  EventID: '7045'\ncondition: s", events, &[0]);
    check("s:\n  EventID:\n    - 70\n    - 7045\ncondition: s", events, &[0, 1]);
    check("s:\n  ProcessId: 1\ncondition: s", events, &[0]);
    check("s:\n  ProcessId|gte: 1\ncondition: s", events, &[0, 1, 2]);
    check("s:\n  ProcessId|gt: 1\ncondition: s", events, &[2]);
    check("s:\n  EventID|startswith: 70\ncondition: s", events, &[0, 1]);
    check("s:\n  EventID: null\ncondition: s", events, &[2]);
}

#[test]
fn a_value_that_did_not_fit_its_column_is_found() {
    let events: &[&[(&str, Value<'_>)]] = &[&[("Version", Text("two"))], &[("Version", Long(2))], &[]];
    check("s:\n  Version: two\ncondition: s", events, &[0]);
    check("s:\n  Version: 2\ncondition: s", events, &[1]);
    check("s:\n  Version: null\ncondition: s", events, &[2]);
}

#[test]
fn a_field_of_the_event_hides_what_the_table_keeps_under_its_name() {
    let events: &[&[(&str, Value<'_>)]] =
        &[&[("UserName", Text("NT AUTHORITY\\SYSTEM")), ("UserName", Text("ann"))], &[("UserName", Text("bob"))], &[]];
    check("s:\n  UserName: ann\ncondition: s", events, &[0]);
    check("s:\n  UserName|contains: author\ncondition: s", events, &[]);
    check("s:\n  UserName: bob\ncondition: s", events, &[1]);
    check("s:\n  UserName: null\ncondition: s", events, &[2]);
}

#[test]
fn fields_without_column_are_found_in_the_bag() {
    let events: &[&[(&str, Value<'_>)]] = &[
        &[("Threat Name", Text("EICAR"))],
        &[("threatname", Text("eicar"))],
        &[("Nested", Json(r#"{"Inner":["a","b"]}"#)), ("Flag", Bool(true))],
        &[("Odd\"Key", Text("x")), ("ThreatName", Json("null"))],
    ];
    check("s:\n  ThreatName: eicar\ncondition: s", events, &[0, 1]);
    check("s:\n  Nested.Inner: b\ncondition: s", events, &[2]);
    check("s:\n  Nested|contains: '\"Inner\"'\ncondition: s", events, &[2]);
    check("s:\n  Flag: true\ncondition: s", events, &[2]);
    check("s:\n  ThreatName: null\ncondition: s", events, &[2, 3]);
}

#[test]
fn keywords_are_found_in_every_text() {
    let events: &[&[(&str, Value<'_>)]] = &[
        &[("Image", Text(r"C:\mimikatz.exe"))],
        &[("Unknown", Text("say MIMIKATZ"))],
        &[("Image", Text("x")), ("CommandLine", Text("other keyword"))],
    ];
    check("k:\n  - mimikatz\ncondition: k", events, &[0, 1]);
    check("k:\n  - 'other*word'\n  - say\ncondition: k", events, &[1, 2]);
    check("k:\n  '|all':\n    - other\n    - keyword\ncondition: k", events, &[2]);
    check("k:\n  - mimikatz\ncondition: not k", events, &[2]);
    check("k:\n  '|re': 'C:.*exe'\ncondition: k", events, &[0]);
    // The name of a channel is text of the event too, as in a search of the whole message.
    check("k: system\ncondition: k", events, &[0, 1, 2]);
}

#[test]
fn fields_compare_with_one_another() {
    let events: &[&[(&str, Value<'_>)]] = &[
        &[("Image", Text("A")), ("ParentImage", Text("a"))],
        &[("Image", Text("abc")), ("ParentImage", Text("b"))],
        &[("Image", Text("x"))],
        &[],
    ];
    check("s:\n  Image|fieldref: ParentImage\ncondition: s", events, &[0]);
    check("s:\n  Image|fieldref|cased: ParentImage\ncondition: s", events, &[]);
    check("s:\n  Image|fieldref|contains: ParentImage\ncondition: s", events, &[0, 1]);
    check("s:\n  Image|fieldref|neq: ParentImage\ncondition: s", events, &[1, 2, 3]);
}

#[test]
fn lists_of_maps_are_or_and_maps_are_and() {
    let events: &[&[(&str, Value<'_>)]] = &[
        &[("Image", Text("a")), ("CommandLine", Text("x y"))],
        &[("Image", Text("b")), ("CommandLine", Text("y x"))],
        &[("Image", Text("a")), ("CommandLine", Text("z"))],
    ];
    check("s:\n  Image: a\n  CommandLine|contains: x\ncondition: s", events, &[0]);
    check("s:\n  - Image: b\n  - CommandLine: z\ncondition: s", events, &[1, 2]);
    check("s:\n  CommandLine|contains|all:\n    - x\n    - y\ncondition: s", events, &[0, 1]);
    check("a:\n  Image: a\nb:\n  Image: b\ncondition:\n  - b\n  - a and not b", events, &[0, 1, 2]);
}

#[test]
fn addresses_and_times_are_understood() {
    let events: &[&[(&str, Value<'_>)]] = &[
        &[("DestinationIp", Text("10.1.2.3")), ("CreationUtcTime", Text("2026-01-02 03:04:05.123"))],
        &[("DestinationIp", Text("fe80::1"))],
        &[("DestinationIp", Text("192.168.0.1"))],
    ];
    check("s:\n  DestinationIp|cidr:\n    - 10.0.0.0/8\n    - fe80::/10\ncondition: s", events, &[0, 1]);
    check("s:\n  CreationUtcTime|hour|lte: 3\ncondition: s", events, &[0]);
    check("s:\n  CreationUtcTime|year: 2026\ncondition: s", events, &[0]);
}

#[test]
fn the_log_source_is_enforced() {
    let compiled = compile(&rule("r", "s:\n  Image: a\ncondition: s"));
    let batch = rows("Event", &[&[("EventLog", Text("Application")), ("Image", Text("a"))]]);
    assert_eq!(compiled.match_batch(&table("Event"), &batch), []);
    let batch = rows("Event", &[&[("EventLog", Text("SYSTEM")), ("Image", Text("a"))]]);
    assert_eq!(compiled.match_batch(&table("Event"), &batch).len(), 1);
    assert_eq!(compiled.match_batch(&table("Syslog"), &batch), []);
}

#[test]
fn one_process_rule_covers_sysmon_and_the_security_log() {
    let text = "title: T\nid: p\nauthor: Ann\nlevel: low\nlogsource:\n  product: windows\n  category: process_creation\ndetection:\n  s:\n    Image|endswith: '\\whoami.exe'\n    ParentImage|contains: word\n  f:\n    OriginalFileName: null\n  condition: s and not 1 of f*\n";
    let compiled = compile(text);
    let sysmon = |id: i64| {
        vec![
            ("Source", Text("Microsoft-Windows-Sysmon")),
            ("EventID", Long(id)),
            ("Image", Text(r"C:\whoami.exe")),
            ("ParentImage", Text(r"C:\WinWord.exe")),
            ("OriginalFileName", Text("whoami.exe")),
            ("Computer", Text("pc")),
            ("EventRecordId", Long(77)),
        ]
    };
    let batch = rows("Event", &[&sysmon(1), &sysmon(3)]);
    let found = hunt(&compiled, &table("Event"), &batch, "a.evtx");
    assert_eq!(found.len(), 1);
    assert_eq!(
        (found[0].record_id, found[0].computer.as_str(), found[0].rule_author.as_str()),
        (Some(77), "pc", "Ann")
    );
    let evidence = [("Image", r"C:\whoami.exe"), ("ParentImage", r"C:\WinWord.exe")];
    let shown: Vec<(&str, &str)> = found[0].fields.iter().map(|(f, v)| (f.as_str(), v.as_str())).collect();
    assert_eq!(shown, evidence);
    let json = serde_json::to_value(&found[0]).unwrap();
    assert_eq!(json["fields"]["Image"], r"C:\whoami.exe");

    let security = [
        ("EventID", Long(4688)),
        ("NewProcessName", Text(r"C:\whoami.exe")),
        ("ParentProcessName", Text(r"C:\winword.exe")),
    ];
    // The Security log has no original file name: the filter for its absence holds.
    let batch = rows("SecurityEvent", &[&security]);
    assert_eq!(compiled.match_batch(&table("SecurityEvent"), &batch), []);
    let unfiltered = compile(&text.replace(" and not 1 of f*", ""));
    assert_eq!(unfiltered.match_batch(&table("SecurityEvent"), &batch)[0].rows, [0]);
}

#[test]
fn rules_without_table_or_with_a_taken_id_are_listed() {
    let text = rule("r", "s:\n  Image: a\ncondition: s");
    let parsed = moneta_rules::parse_file(
        "x",
        &format!("{text}{text}{}", text.replace("service: system", "service: nowhere").replace("id: r", "id: q")),
    );
    let taxonomy = moneta_rules::Taxonomy::built_in();
    let catalog = moneta_event::TableCatalog::built_in();
    let (compiled, not_loaded) = moneta_rules::CompiledRules::compile(parsed.rules, &taxonomy, &catalog);
    assert_eq!(compiled.rules().len(), 1);
    let reasons: Vec<String> = not_loaded.iter().map(|n| n.error.to_string()).collect();
    assert!(reasons[0].contains("same id"), "{reasons:?}");
    assert_eq!(reasons[1], "no table for log source windows/nowhere");
}

#[test]
fn nothing_matches_nothing() {
    let compiled = compile(&rule("r", "s:\n  Image: a\ncondition: not s"));
    let batch = rows("Event", &[&[("Image", Text("b"))]]);
    assert_eq!(compiled.match_batch(&table("Event"), &batch.slice(0, 0)), []);
    let none = moneta_rules::CompiledRules::default();
    assert_eq!(none.match_batch(&table("Event"), &batch), []);
}

#[test]
fn a_list_in_a_text_column_of_the_users_own_table_has_several_values() {
    let compiled = compile(
        "title: t\nid: r\nlogsource:\n  category: application\n  product: opencanary\ndetection:\n  s:\n    logtype: 3001\n  condition: s\n",
    );
    // The first event makes the column one of text, so what follows is kept there as text too.
    let batch = rows(
        "OpenCanary_CL",
        &[
            &[("logtype", Text("3001"))],
            &[("logtype", Json(r#"["3001","other"]"#))],
            &[("logtype", Text("[3001"))],
            &[("logtype", Json("[4]"))],
        ],
    );
    let found = compiled.match_batch(&table("OpenCanary_CL"), &batch);
    assert_eq!(found.iter().map(|found| found.rows.clone()).collect::<Vec<_>>(), [[0, 1]]);
}

#[test]
fn a_field_is_found_in_every_column_of_its_name_whatever_the_case() {
    let events: &[&[(&str, Value<'_>)]] =
        &[&[("processPath", Text("a"))], &[("ProcessPath", Text("a"))], &[("ProcessPath", Text("b"))]];
    check("s:\n  ProcessPath: a\ncondition: s", events, &[0, 1]);
    check("s:\n  processpath: a\ncondition: s", events, &[0, 1]);
    check("s:\n  ProcessPath: null\ncondition: s", events, &[]);
}
