//! Real samples of mapped formats, where they are present. What is expected was read from the samples by a person, or
//! counted from them by other means than the decoder's.

use std::collections::BTreeMap;
use std::path::PathBuf;

use moneta_base::Timestamp;
use moneta_formats::DecodeOptions;
use moneta_testkit::corpus_or_skip;
use serde_json::{Map, Value, json};

use crate::support::{Whole, decode};

/// Files of a folder of samples whose names end in one of these, in order.
pub fn files(folder: &str, cases: usize, endings: &[&str]) -> Vec<PathBuf> {
    let Some(path) = corpus_or_skip(cases, &format!("samples/{folder}")) else { return Vec::new() };
    let mut files: Vec<_> = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| endings.iter().any(|ending| file.to_string_lossy().ends_with(ending)));
    files.sort();
    files
}

pub fn name_of(file: &std::path::Path) -> String {
    file.file_name().unwrap().to_string_lossy().into_owned()
}

/// Decodes one sample as what it is recognised as; `None` when the corpus is not there.
pub fn sample(folder: &str, name: &str) -> Option<Whole> {
    let path = corpus_or_skip(1, &format!("samples/{folder}/{name}"))?;
    Some(decode(name, &std::fs::read(path).unwrap()))
}

/// Rows per table.
pub fn tables(whole: &Whole) -> BTreeMap<String, usize> {
    let mut tables = BTreeMap::new();
    for batch in &whole.batches {
        *tables.entry(batch.table.to_string()).or_default() += batch.rows.num_rows();
    }
    tables
}

/// Checks that a row has these values.
pub fn check_row(row: &Map<String, Value>, expected: &[(&str, Value)]) {
    for (column, value) in expected {
        assert_eq!(row.get(*column), Some(value), "{column} of {row:?}");
    }
}

/// Checks the rows of a sample: the table and number of rows, and values of one of them.
pub fn check(folder: &str, name: &str, table: &str, rows: usize, row: usize, expected: &[(&str, Value)]) {
    let Some(whole) = sample(folder, name) else { return };
    assert_eq!(tables(&whole).into_iter().collect::<Vec<_>>(), [(table.to_owned(), rows)], "{name}");
    assert_eq!(whole.reasons(), [""; 0], "{name}");
    check_row(&whole.rows()[row], expected);
}

#[test]
fn every_suricata_event_is_a_row_of_its_types_table() {
    let mut records = 0;
    for file in files("suricata_eve", 181, &[".json"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = decode(&name_of(&file), text.as_bytes());
        let (mut expected, mut out_of_range) = (BTreeMap::new(), 0);
        for event in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            records += 1;
            if !("1990".."2026-06-17").contains(&event["timestamp"].as_str().unwrap()) {
                out_of_range += 1;
                continue;
            }
            let words = event["event_type"].as_str().unwrap().split('_').map(|word| {
                let (first, rest) = word.split_at(1);
                first.to_uppercase() + rest
            });
            *expected.entry(format!("Suricata{}_CL", words.collect::<String>())).or_default() += 1;
        }
        assert_eq!(tables(&whole), expected, "{}", file.display());
        assert_eq!(whole.reasons(), vec!["time_out_of_range"; out_of_range], "{}", file.display());
        assert!(whole.batches.iter().all(|batch| batch.values_overflowed == 0), "{}", file.display());
    }
    assert!(records == 0 || records >= 1290, "{records}");
}

#[test]
fn a_suricata_alert_has_typed_columns() {
    check_first(
        "suricata_eve",
        "alert-testmyids-midstream5.eve.json",
        "SuricataAlert_CL",
        &[
            ("TimeGenerated", json!("2016-07-13T22:42:07.3880300Z")),
            ("flow_id", json!(1_983_486_542_025_678_i64)),
            ("src_ip", json!("82.165.177.154")),
            ("dest_port", json!(54_186)),
            ("alert_signature_id", json!(2_100_498)),
            ("alert_signature", json!("GPL ATTACK_RESPONSE id check returned root")),
            ("alert_severity", json!(2)),
            ("flow_start", json!("2016-07-13T22:42:07.1996720Z")),
        ],
    );
}

/// Checks the first row of a table.
fn check_first(folder: &str, name: &str, table: &str, expected: &[(&str, Value)]) {
    let Some(whole) = sample(folder, name) else { return };
    let rows = whole.rows();
    check_row(rows.iter().find(|row| row["Type"] == table).unwrap(), expected);
}

#[test]
fn every_cloudtrail_event_is_a_row_with_its_actor() {
    let mut records = 0;
    for file in files("aws_cloudtrail", 28, &[".json"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = decode(&name_of(&file), text.as_bytes());
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        records += events.len();
        assert_eq!(whole.num_rows(), events.len(), "{}", file.display());
        for (row, event) in whole.rows().iter().zip(&events) {
            assert_eq!(row["Type"], "AWSCloudTrail");
            for (column, path) in [
                ("EventName", "/eventName"),
                ("AwsEventId", "/eventID"),
                ("SourceIpAddress", "/sourceIPAddress"),
                ("UserIdentityArn", "/userIdentity/arn"),
                ("UserIdentityType", "/userIdentity/type"),
                ("SessionIssuerUserName", "/userIdentity/sessionContext/sessionIssuer/userName"),
                ("ErrorCode", "/errorCode"),
                ("TlsVersion", "/tlsDetails/tlsVersion"),
            ] {
                assert_eq!(row.get(column), event.pointer(path).filter(|value| !value.is_null()), "{column}");
            }
        }
    }
    assert!(records == 0 || records > 100, "{records}");
}

#[test]
fn azure_logs_fill_the_columns_of_their_tables() {
    check(
        "azure_activity",
        "activity_rest_administrative_docs.json",
        "AzureActivity",
        1,
        0,
        &[
            ("TimeGenerated", json!("2018-01-29T20:42:31.3810679Z")),
            ("Caller", json!("rob@contoso.com")),
            ("OperationNameValue", json!("Microsoft.Network/networkSecurityGroups/write")),
            ("CategoryValue", json!("Administrative")),
            ("ActivityStatusValue", json!("Succeeded")),
            ("ResourceGroup", json!("myResourceGroup")),
            ("_Class", json!("control")),
        ],
    );
    check(
        "azure_activity",
        "activity_storage_eventhub_docs.json",
        "AzureActivity",
        1,
        0,
        &[
            ("Caller", json!("admin@contoso.com")),
            ("CallerIpAddress", json!("111.111.111.11")),
            ("ResourceGroup", json!("MSSupportGroup")),
            ("ResourceProvider", json!("microsoft.support")),
        ],
    );
    check(
        "azure_resource",
        "keyvault_auditevent_docs.json",
        "AzureDiagnostics",
        1,
        0,
        &[
            ("OperationName", json!("VaultGet")),
            ("DurationMs", json!(78)),
            ("clientInfo_s", json!("azure-resource-manager/2.0")),
            ("httpStatusCode_d", json!("200.0")),
            ("Resource", json!("CONTOSOKEYVAULT")),
            ("CallerIPAddress", json!("104.40.82.76")),
        ],
    );
    check(
        "azure_signin",
        "signin_azure_monitor_docs.json",
        "SigninLogs",
        1,
        0,
        &[
            ("ResultType", json!("50140")),
            ("AppDisplayName", json!("Azure Portal")),
            ("Identity", json!("Timothy Perkins")),
            ("Location", json!("US")),
            ("ConditionalAccessStatus", json!("notApplied")),
            ("ResourceIdentity", json!("00000003-0000-0ff1-ce00-000000000000")),
            ("IsInteractive", json!("true")),
        ],
    );
    let expected = [("AppDisplayName", json!("Azure Portal")), ("_Class", json!("control"))];
    check("azure_signin", "aad_logons.jsonl", "SigninLogs", 86, 0, &expected);
}

/// Which table each record is of was read from its own fields: searches of a directory by a process on a device, copies of
/// a directory seen on a domain controller, and what people did in applications.
#[test]
fn records_of_a_union_of_defender_tables_go_to_the_table_of_each() {
    let Some(whole) = sample("m365_defender", "Microsoft365DefenderEvents.Zip") else { return };
    let expected = [("CloudAppEvents", 2), ("DeviceEvents", 5), ("IdentityDirectoryEvents", 2)];
    assert_eq!(tables(&whole), expected.map(|(table, rows)| (table.to_owned(), rows)).into());
    let rows = whole.rows();
    let of = |table: &str| rows.iter().find(|row| row["Type"] == table).unwrap();
    check_row(
        of("DeviceEvents"),
        &[
            ("TimeGenerated", json!("2021-08-02T13:11:39.7724491Z")),
            ("ActionType", json!("LdapSearch")),
            ("DeviceName", json!("adfs01.simulandlabs.com")),
            ("InitiatingProcessFileName", json!("powershell.exe")),
            ("InitiatingProcessId", json!(5692)),
            ("InitiatingProcessAccountUpn", json!("wardog@simulandlabs.com")),
            ("ReportId", json!(113_597)),
            ("_Class", json!("data")),
        ],
    );
    let searched = of("DeviceEvents")["AdditionalFields"].to_string();
    assert!(searched.contains("DC=simulandlabs"), "{searched}");
    check_row(
        of("IdentityDirectoryEvents"),
        &[
            ("ActionType", json!("Directory Services replication")),
            ("AccountUpn", json!("pgustavo@simulandlabs.com")),
            ("DestinationDeviceName", json!("dc01.simulandlabs.com")),
            ("Protocol", json!("Drsr")),
            ("_Class", json!("control")),
        ],
    );
    check_row(
        of("CloudAppEvents"),
        &[
            ("ActionType", json!("MailItemsAccessed")),
            ("Application", json!("Microsoft Exchange Online")),
            ("UserAgent", json!("Client=REST;;")),
        ],
    );
}

#[test]
fn flow_logs_give_a_row_per_tuple() {
    // Tuples counted by their ends in the text: 5 + 4 + 3 in version 1.
    check(
        "nsg_flow",
        "nsg_flow_v1_docs.json",
        "NTANetAnalytics",
        12,
        0,
        &[
            ("SrcIp", json!("42.119.146.95")),
            ("DestIp", json!("10.1.0.4")),
            ("DestPort", json!(5358)),
            ("FlowStatus", json!("Denied")),
            ("DeniedInFlows", json!(1)),
            ("L4Protocol", json!("T")),
        ],
    );
    for (name, column) in [("nsg_flow_v2_docs.json", 13), ("vnet_flow_v4_docs.json", 13)] {
        let Some(whole) = sample("nsg_flow", name) else { return };
        let path = corpus_or_skip(1, &format!("samples/nsg_flow/{name}")).unwrap();
        let text = std::fs::read_to_string(path).unwrap();
        let tuples: Vec<&str> = text.split('"').filter(|part| part.matches(',').count() >= 12).collect();
        assert_eq!(whole.num_rows(), tuples.len(), "{name}");
        for (row, tuple) in whole.rows().iter().zip(&tuples) {
            let parts: Vec<&str> = tuple.split(',').collect();
            assert_eq!(row["SrcIp"], parts[1]);
            assert_eq!(row["DestPort"].to_string(), parts[4]);
            let bytes = row.get("BytesDestToSrc").map(ToString::to_string).unwrap_or_default();
            assert_eq!(bytes, parts[column - 1], "{tuple}");
        }
    }
}

#[test]
fn calls_and_their_streams_are_joined_by_the_call() {
    let Some(whole) = sample("qoe", "graph_callrecord_expanded_docs.json") else { return };
    let rows = whole.rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("CallDetailRecord_CL")),
            ("CallId", json!("e523d2ed-2966-4b6b-925b-754a88034cc5")),
            ("CallerUpn", json!("abbie.wilkins@contoso.com")),
            ("DurationSeconds", json!(25)),
        ],
    );
    check_row(
        &rows[1],
        &[
            ("Type", json!("CallQuality_CL")),
            ("CallId", json!("e523d2ed-2966-4b6b-925b-754a88034cc5")),
            ("JitterAvg", json!("16.0")),
        ],
    );
    check(
        "qoe",
        "graph_sessions_media_docs.json",
        "CallQuality_CL",
        2,
        1,
        &[("JitterMax", json!("12.0")), ("RoundTripTimeAvg", json!("64.0")), ("PacketUtilization", json!(709))],
    );
    let name = "graph_direct_routing_calls_docs.json";
    check(
        "cdr",
        name,
        "CallDetailRecord_CL",
        1,
        0,
        &[
            ("Trunk", json!("tll-audiocodes01.adatum.biz")),
            ("Successful", json!("true")),
            ("DurationSeconds", json!(5)),
            ("InviteTime", json!("2019-11-01T00:00:21.9490000Z")),
        ],
    );
    check(
        "cdr",
        "graph_pstn_calls_docs.json",
        "CallDetailRecord_CL",
        1,
        0,
        &[
            ("CallId", json!("1835317186_112562680@61.221.3.176")),
            ("DurationSeconds", json!(219)),
            ("Currency", json!("USD")),
        ],
    );
}

#[test]
fn telemetry_and_host_results_reach_their_tables() {
    check(
        "app_insights",
        "request_continuous_export_docs.json",
        "AppRequests",
        1,
        0,
        &[
            ("DurationMs", json!("104.6804")),
            ("Success", json!("true")),
            ("ResultCode", json!("200")),
            ("OperationId", json!("fCOhCdCnZ9I=")),
            ("TimeGenerated", json!("2016-03-21T10:05:45.7334717Z")),
        ],
    );
    for (name, ending) in [("osqueryd.results.log", "removed"), ("osqueryd.snapshots.log", "snapshot")] {
        let Some(path) = corpus_or_skip(1, &format!("samples/hids/{name}")) else { return };
        let lines = std::fs::read_to_string(path).unwrap().lines().count();
        check(
            "hids",
            name,
            "HostIntrusion_CL",
            lines,
            0,
            &[("Computer", json!("jumpvm")), ("Action", json!(ending)), ("Product", json!("osquery"))],
        );
    }
    check("m365_audit", "OfficeActivityEvents.Zip", "OfficeActivity", 1, 0, &[]);
    check("azure_audit", "AADAuditEvents.Zip", "AuditLogs", 4, 0, &[("_Class", json!("control"))]);
    check(
        "cef_syslog",
        "LinuxAudit_CL.json",
        "LinuxAudit_CL",
        11,
        0,
        &[
            ("RecordType", json!("PATH")),
            ("Serial", json!(40_649)),
            ("FilePath", json!("/etc/bind/zones/db.example.com")),
        ],
    );
    check(
        "cef_syslog",
        "LinuxAudit_CL.json",
        "LinuxAudit_CL",
        11,
        4,
        &[
            ("RecordTypes", json!("SYSCALL")),
            ("Result", json!("success")),
            ("SyscallName", json!("openat")),
            ("Action", json!("openat")),
            ("ProcessId", json!(347_300)),
            ("ParentProcessId", json!(939)),
            ("ProcessName", json!("sshd")),
            ("Executable", json!("/usr/sbin/sshd")),
            ("UserName", json!("unset")),
            ("Uid", json!("root")),
            ("ExitCode", json!(5)),
            ("Key", json!("session")),
        ],
    );
    check(
        "cef_syslog",
        "CiscoISEEvent.json",
        "Syslog",
        31,
        0,
        &[
            ("Computer", json!("ciscoise_psn06")),
            ("TimeGenerated", json!("2020-11-16T11:00:47.5000000Z")),
            ("EventTime", json!("2020-09-28T21:35:41.0000000Z")),
        ],
    );
}

/// Counts how far decoded values agree with those a source ships as expected.
#[derive(Default)]
pub struct Agreement {
    agreed: usize,
    misses: Vec<String>,
}

impl Agreement {
    pub fn add(&mut self, agrees: bool, miss: impl FnOnce() -> String) {
        if agrees {
            self.agreed += 1;
        } else {
            self.misses.push(miss());
        }
    }

    /// Checks that at least so many parts in a thousand agree, and lists those that do not.
    pub fn check(&self, what: &str, per_mille_min: usize) {
        let all = self.agreed + self.misses.len();
        println!("{what}: {} of {all} agree", self.agreed);
        for miss in self.misses.iter().take(60) {
            println!("  {miss}");
        }
        assert!(self.agreed * 1000 >= all * per_mille_min, "{what}: {} of {all}: {:#?}", self.agreed, self.misses);
    }
}

/// The records of all events, by type and serial.
fn audit_records(whole: &Whole) -> Vec<(String, i64, Value)> {
    let mut records = Vec::new();
    for row in whole.rows() {
        let serial = row["Serial"].as_i64().unwrap();
        for record in row["Records"].as_array().unwrap() {
            let kind = record["type"].as_str().unwrap().to_lowercase();
            records.push((kind, serial, record["data"].clone()));
        }
    }
    records
}

#[test]
fn audit_records_agree_with_the_expected_results_of_their_source() {
    let mut agreement = Agreement::default();
    for golden in files("auditd", 4, &[".log.golden"]) {
        let name = name_of(&golden);
        let expected: Vec<Value> = serde_json::from_slice(&std::fs::read(&golden).unwrap()).unwrap();
        let expected: Vec<Value> = expected.into_iter().filter(|record| record["record_type"].is_string()).collect();
        let log: String = expected
            .iter()
            .map(|record| {
                let kind = record["record_type"].as_str().unwrap().to_uppercase();
                let kind = kind.strip_prefix("UNKNOWN[").map_or(kind.clone(), |rest| format!("UNKNOWN[{rest}"));
                format!("type={kind} msg={}\n", record["raw_msg"].as_str().unwrap())
            })
            .collect();
        let found = audit_records(&decode(&name, log.as_bytes()));
        for record in &expected {
            let kind = record["record_type"].as_str().unwrap();
            let serial = record["sequence"].as_i64().unwrap();
            if kind == "eoe" {
                continue;
            }
            let data = record.get("data").and_then(Value::as_object).cloned().unwrap_or_default();
            let candidates: Vec<_> = found.iter().filter(|(k, s, _)| k == kind && *s == serial).collect();
            agreement.add(!candidates.is_empty(), || format!("{name}: no {kind} {serial}"));
            for (field, value) in &data {
                let agrees = candidates.iter().any(|(_, _, found)| found.get(field) == Some(value));
                agreement.add(agrees, || {
                    format!(
                        "{name} {kind} {serial}: {field} is {value}, found {:?}",
                        candidates.first().and_then(|c| c.2.get(field))
                    )
                });
            }
        }
    }
    agreement.check("audit records", 990);
}

/// Time and serial of each record.
fn stamps_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.split_once("audit(")?.1.split_once(')')).map(|(stamp, _)| stamp)
}

#[test]
fn audit_events_are_joined_by_serial_and_losses_are_told() {
    if let Some(whole) = sample("auditd", "testdata_rollover.log") {
        let serials: Vec<_> = whole.rows().iter().map(|row| row["Serial"].as_i64().unwrap()).collect();
        assert!(serials.is_sorted_by_key(|serial| (*serial + 10) % (1 << 32)), "{serials:?}");
        assert!(whole.rows().iter().all(|row| !row.contains_key("LostBefore")));
    }
    for file in files("auditd", 8, &[".log", "auditd_log.txt"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let whole = decode(&name_of(&file), text.as_bytes());
        let stamps: std::collections::BTreeSet<&str> = stamps_of(&text).collect();
        let times: Vec<f64> = stamps_of(&text).map(|stamp| stamp.split(':').next().unwrap().parse().unwrap()).collect();
        // One file is sorted by type, not by time: no reader can hold back that long.
        if times.is_sorted() {
            assert_eq!(whole.num_rows(), stamps.len(), "{}: one row per event", file.display());
        } else {
            assert!((stamps.len()..stamps.len() + 5).contains(&whole.num_rows()), "{}", file.display());
        }
        let others = text.lines().filter(|line| !line.is_empty()).count() - stamps_of(&text).count();
        assert_eq!(whole.reasons(), vec!["no_record"; others], "{}", file.display());
    }
    let Some(whole) = sample("auditd", "testdata_lost_messages.log") else { return };
    let lost: i64 = whole.rows().iter().filter_map(|row| row.get("LostBefore")?.as_i64()).sum();
    let serials: Vec<_> = whole.rows().iter().map(|row| row["Serial"].as_i64().unwrap()).collect();
    let gaps: i64 = serials.windows(2).map(|pair| pair[1] - pair[0] - 1).sum();
    assert_eq!(lost, gaps);
    assert!(lost > 0);
}

/// Every value of a Zeek log, by our own reading of its declarations.
#[test]
fn every_value_of_a_zeek_log_is_in_its_column() {
    let mut agreement = Agreement::default();
    let mut counts = (0, 0, 0);
    for (folder, cases) in [("zeek_baseline", 463), ("zeek", 14)] {
        for file in files(folder, cases, &[".log", ".log.0"]) {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = name_of(&file);
            if text.starts_with('{') {
                let whole = decode(&name, text.as_bytes());
                assert_eq!(whole.num_rows() + whole.quarantined.len(), text.lines().count(), "{name}");
                continue;
            }
            let whole = crate::support::decode_pieces(
                moneta_formats::Format::Zeek,
                crate::support::options(&name),
                text.as_bytes(),
                1 << 16,
            );
            let rows = whole.rows();
            let mut next = rows.iter();
            let mut fields: Vec<String> = Vec::new();
            counts.0 += 1;
            for line in text.lines() {
                if let Some(names) = line.strip_prefix("#fields\t") {
                    fields = names.split('\t').map(|name| name.replace('.', "_")).collect();
                } else if line.starts_with('#') || line.is_empty() {
                } else if fields.is_empty() && !line.starts_with('{') {
                    // Cut-down logs begin with the names, or have none at all.
                    let parts = line.split('\t');
                    let has_names =
                        parts.clone().all(|part| part == part.to_lowercase() && !part.contains([' ', '|', '-']));
                    fields = parts.map(|name| name.replace('.', "_")).collect();
                    if !has_names {
                        fields = (1..=fields.len()).map(|position| format!("field_{position}")).collect();
                        counts.1 += 1;
                        next.next().unwrap_or_else(|| panic!("{name}: no row for {line}"));
                    }
                } else {
                    let values: Vec<&str> = line.split('\t').collect();
                    let is_refused = whole.quarantined.iter().any(|record| record.bytes == line.as_bytes());
                    if is_refused {
                        counts.2 += 1;
                        continue;
                    }
                    counts.1 += 1;
                    let row = next.next().unwrap_or_else(|| panic!("{name}: no row for {line}"));
                    for (field, value) in fields.iter().zip(values) {
                        if ["-", "(empty)", ""].contains(&value) || field == "ts" {
                            continue;
                        }
                        let found = row.get(field).or_else(|| row.get("_Extra")?.get(field));
                        agreement.add(found.is_some_and(|found| same_value(found, value)), || {
                            format!("{name}: {field} is {value}, found {found:?}")
                        });
                    }
                }
            }
        }
    }
    println!("files, rows, refused: {counts:?}");
    // Packets of the seventies by broken clocks, and JSON in the dress of the other form.
    assert!(counts.2 * 100 <= counts.1 * 2, "{counts:?}");
    agreement.check("Zeek values", 995);
}

fn same_value(found: &Value, text: &str) -> bool {
    match found {
        Value::Array(list) => list.len() == text.split(',').count(),
        Value::Number(number) => number.to_string() == text,
        Value::String(found) => {
            let number = found.parse::<f64>().ok().filter(|number| text.parse() == Ok(*number));
            let truth = matches!((found.as_str(), text), ("true", "T") | ("false", "F"));
            found == text || number.is_some() || truth || text.contains('\\') || found.ends_with('Z')
        }
        _ => false,
    }
}

#[test]
fn exported_rows_reach_the_tables_they_came_from() {
    // Records counted by the csv module of another language.
    check(
        "windows_csv",
        "host_logons.csv",
        "SecurityEvent",
        14,
        0,
        &[
            ("EventID", json!(4624)),
            ("TargetUserName", json!("MSTICAdmin")),
            ("LogonType", json!(4)),
            ("TimeGenerated", json!("2019-01-15T05:15:02.9800000Z")),
        ],
    );
    check("windows_csv", "processes_on_host.csv", "SecurityEvent", 363, 0, &[("EventID", json!(4688))]);
    check(
        "azure_security_alerts",
        "alertlist.csv",
        "SecurityAlert",
        189,
        0,
        &[
            ("AlertSeverity", json!("Low")),
            ("AlertName", json!("DC local group addition - Demo")),
            ("StartTime", json!("2019-01-11T06:31:40.0000000Z")),
            ("IsIncident", json!("false")),
        ],
    );
    check(
        "m365_audit",
        "demo_exchange_data.csv",
        "OfficeActivity",
        1334,
        0,
        &[("Operation", json!("Set-ConditionalAccessPolicy"))],
    );
    check(
        "nsg_flow",
        "az_net_flows.csv",
        "NTANetAnalytics",
        460,
        0,
        &[
            ("FlowType", json!("AzurePublic")),
            ("DestPort", json!(443)),
            ("AllowedOutFlows", json!(4)),
            ("FlowStartTime", json!("2019-02-12T13:00:07.0000000Z")),
        ],
    );
    check(
        "azure_activity",
        "azureactivity_row_sentinel_lab.csv",
        "AzureActivity",
        1,
        0,
        &[("CallerIpAddress", json!("37.142.150.162"))],
    );
    check(
        "cef_syslog",
        "AkamaiSIEM.csv",
        "CommonSecurityLog",
        29,
        0,
        &[
            ("DeviceVendor", json!("Akamai")),
            ("DestinationPort", json!(443)),
            ("TimeGenerated", json!("2020-11-13T16:27:16.9330000Z")),
        ],
    );
}

#[test]
fn measurements_and_calls_are_typed() {
    for name in ["ec2_cpu_utilization_5f5533", "ec2_network_in_257a54", "rds_cpu_utilization_cc0c53"] {
        let Some(path) = corpus_or_skip(1, &format!("samples/performance/{name}.csv")) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let whole = decode(&format!("{name}.csv"), text.as_bytes());
        let rows = whole.rows();
        assert_eq!(rows.len(), text.lines().count() - 1);
        for (row, line) in rows.iter().zip(text.lines().skip(1)) {
            let (time, value) = line.split_once(',').unwrap();
            assert_eq!((&row["Type"], &row["Name"]), (&json!("InsightsMetrics"), &json!(name)));
            assert_eq!(row["TimeGenerated"], format!("{}.0000000Z", time.replace(' ', "T")));
            let found: f64 = row["Val"].as_str().unwrap().parse().unwrap();
            assert!((found - value.parse::<f64>().unwrap()).abs() < 1e-9, "{line}");
        }
    }
    for (name, answered) in [("cdr.csv", 215), ("smallcdr.csv", 35), ("smallcdr_wo_parallelcalls.csv", 35)] {
        let Some(path) = corpus_or_skip(1, &format!("samples/cdr/{name}")) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let whole = decode(name, text.as_bytes());
        assert_eq!(whole.num_rows(), text.lines().count(), "{name}: {:?}", whole.reasons());
        let rows = whole.rows();
        let found = rows.iter().filter(|row| row["Successful"] == "true").count();
        assert_eq!(found, text.matches("\"ANSWERED\"").count(), "{name}");
        assert!(found > 0, "{answered}");
        assert!(rows.iter().all(|row| row.contains_key("StartTime") && row.contains_key("DurationSeconds")));
    }
}

#[test]
fn storage_records_keep_their_urls_whole() {
    let Some(whole) = sample("azure_storage", "storage_analytics_docs.log") else { return };
    let rows = whole.rows();
    let tables: Vec<_> = rows.iter().map(|row| row["Type"].as_str().unwrap()).collect();
    assert_eq!(tables, ["StorageBlobLogs", "StorageBlobLogs", "StorageQueueLogs", "StorageTableLogs"]);
    check_row(
        &rows[0],
        &[
            ("OperationName", json!("PutBlob")),
            ("StatusCode", json!("201")),
            ("CallerIpAddress", json!("71.197.193.44:53371")),
            ("ObjectKey", json!("/logsamples/container1/1.txt")),
            ("RequestHeaderSize", json!(654)),
        ],
    );
    assert!(rows[0]["Uri"].as_str().unwrap().ends_with("&sv=2020-04-08&timeout=901"));
    assert!(rows[2]["Uri"].as_str().unwrap().contains("numofmessages=32&peekonly=true&timeout=30"));
    check_row(&rows[3], &[("SchemaVersion", json!("1.0")), ("OperationName", json!("CreateTable"))]);
}

#[test]
fn web_requests_are_taken_apart() {
    let name = "web_attack_and_isp_webshell_localhost_access_log.txt";
    let Some(path) = corpus_or_skip(1, &format!("samples/web_access/{name}")) else { return };
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
    let whole = decode(name, text.as_bytes());
    // One line of the file is of 1970.
    assert_eq!(whole.reasons(), ["time_out_of_range"]);
    let refused = |line: &&str| line.contains("/1970:");
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty() && !refused(line)).collect();
    assert_eq!(whole.num_rows(), lines.len());
    for (row, line) in whole.rows().iter().zip(lines) {
        assert_eq!(row["ClientIP"], line.split(' ').next().unwrap());
        let status = line.rsplit(' ').nth(1).unwrap();
        assert_eq!(row["Status"].to_string(), status, "{line}");
        // What is no request of HTTP stays whole.
        assert!(row.contains_key("Uri") || line.contains("\"-\""), "{line}");
    }
}

#[test]
fn client_logs_give_a_row_per_record() {
    let mut refused = BTreeMap::<&str, usize>::new();
    let (mut rows, mut starts) = (0, 0);
    for file in files("system_center", 75, &[".log"]) {
        let bytes = std::fs::read(&file).unwrap();
        let whole = crate::support::decode_pieces(
            moneta_formats::Format::ClientLog,
            DecodeOptions {
                received: Timestamp::parse("2026-12-01").unwrap(),
                ..crate::support::options(&name_of(&file))
            },
            &bytes,
            1 << 16,
        );
        rows += whole.num_rows();
        starts += String::from_utf8_lossy(&bytes).matches("<![LOG[").count();
        for reason in whole.reasons() {
            *refused.entry(reason).or_default() += 1;
        }
    }
    println!("client logs: {rows} rows, {starts} CMTrace beginnings, refused {refused:?}");
    let all_refused: usize = refused.values().sum();
    assert!(rows == 0 || (rows + all_refused >= starts && all_refused < 20), "{rows} {refused:?}");
    check_first(
        "system_center",
        "ccm_psadt_install.log",
        "ConfigurationManagerLog_CL",
        &[
            ("Component", json!("Open-ADTSession")),
            ("Severity", json!(1)),
            ("ThreadId", json!(57_068)),
            ("LogFormat", json!("CMTrace")),
        ],
    );
}

#[test]
fn forwarded_events_in_xml_are_rows_of_their_channels_table() {
    let mut events = 0;
    let mut refused = Vec::new();
    for file in files("wef_xml", 19, &[".xml"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        let name = name_of(&file);
        let whole = decode(&name, text.as_bytes());
        let starts = text.matches("<Event ").count() + text.matches("<Event>").count();
        events += starts;
        assert_eq!(whole.num_rows() + whole.quarantined.len(), starts, "{name}");
        refused.extend(whole.reasons().into_iter().map(|reason| format!("{name}: {reason}")));
        for row in whole.rows() {
            let expected = if row.get("Channel").is_some_and(|c| c == "Security") { "SecurityEvent" } else { "Event" };
            assert_eq!(row["Type"], expected, "{name}");
            assert!(row.contains_key("EventID") && row.contains_key("Computer"), "{name}: {row:?}");
        }
    }
    println!("{events} events, refused: {refused:?}");
    check_first(
        "wef_xml",
        "openwec_nxlog_event_4625.xml",
        "SecurityEvent",
        &[("EventID", json!(4625)), ("Activity", json!("4625 - An account failed to log on."))],
    );
    // Cut off within its rendering: what came before is there.
    let Some(whole) = sample("wef_xml", "openwec_event_raw_content_recovered.xml") else { return };
    assert_eq!(whole.num_rows(), 1, "{:?}", whole.reasons());
}

/// A line of the corpus of fail2ban, with what came before it since the line before and what is expected of it.
struct Expected {
    service: String,
    before: String,
    line: String,
    is_match: bool,
    time: Option<String>,
    host: Option<String>,
    user: Option<String>,
}

fn expectations() -> Vec<Expected> {
    let mut cases = Vec::new();
    for file in files("syslog_auth", 67, &[""]) {
        let text = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let (mut expected, mut before): (Option<Value>, String) = (None, String::new());
        for line in text.lines() {
            if let Some(json) = line.trim_start().strip_prefix("# failJSON:") {
                expected = serde_json::from_str(json.trim()).ok();
            } else if let Some(case) = expected.take() {
                let text = |name: &str| case[name].as_str().map(str::to_owned);
                let is_match = case["match"] == true;
                cases.push(Expected {
                    service: name_of(&file),
                    before: before.clone(),
                    line: line.to_owned(),
                    is_match,
                    time: text("time"),
                    host: text("host"),
                    user: text("user"),
                });
                // A record may span lines, of which only the last tells an attack.
                before = if is_match { String::new() } else { format!("{before}{line}\n") };
            } else if !line.starts_with('#') {
                before.push_str(line);
                before.push('\n');
            }
        }
    }
    cases
}

impl Expected {
    /// The row of the line itself, behind those of the lines before it.
    fn row(&self) -> Map<String, Value> {
        let whole = [self.before.as_str(), &self.line].concat();
        let format = moneta_formats::recognise("x", whole.as_bytes()).unwrap_or(moneta_formats::Format::Syslog);
        let received = Timestamp::parse("2026-12-01").unwrap();
        let late = DecodeOptions { received, ..crate::support::options("x") };
        let decoded = crate::support::decode_pieces(format, late, whole.as_bytes(), 1 << 16);
        decoded.rows().pop().unwrap_or_default()
    }
}

/// Whether the time of a line has a zone of its own, or counts from an epoch.
fn names_zone(line: &str) -> bool {
    let head: String = line.chars().take(70).collect();
    let zones = ["UTC", "GMT", "EDT", "audit(", "Z ", "Z:", "Z\""];
    let offset = |sign: char| {
        head.match_indices(sign).any(|(at, _)| head[at + 1..].chars().take(2).all(|c| c.is_ascii_digit()) && at > 10)
    };
    zones.iter().any(|zone| head.contains(zone))
        || offset('+')
        || offset('-')
        || line.starts_with(['@', '1'])
        || line.starts_with("[1")
}

/// Times only: fail2ban's expectations are in its test zone (Zurich), with a year of its own where a line has none. The
/// labels of atomic time differ by ten seconds: it reads them as if they counted from 1970 in civil time.
#[test]
fn times_agree_with_those_expected_of_sixty_seven_services() {
    let mut agreement = Agreement::default();
    for case in expectations().into_iter().filter(|case| case.is_match) {
        let Some(expected) = case.time.as_deref() else { continue };
        let row = case.row();
        let found = row.get("TimeGenerated").and_then(Value::as_str).unwrap_or("").to_owned();
        let Some(wanted) = Timestamp::parse(expected.split('.').next().unwrap()) else { continue };
        // The zone of the line, not that of the test, is what we read; of a clock without date, the time of day.
        let is_clock_only = case.line.as_bytes().get(2) == Some(&b':') && case.line.as_bytes().get(5) == Some(&b':');
        let agrees = Timestamp::parse(&found).is_some_and(|found| {
            let (_, month, day, hour, minute, second, _) = wanted.civil();
            let year = found.civil().0;
            let at = |year| Timestamp::from_civil(year, month, day, hour, minute, second, 0);
            [year - 1, year, year + 1].into_iter().filter_map(at).any(|wanted| {
                let apart = found.as_nanos().div_euclid(1_000_000_000) - wanted.as_nanos() / 1_000_000_000;
                let atomic = if case.line.starts_with('@') { 10 } else { 0 };
                apart + atomic == 0
                    || (names_zone(&case.line) && (apart + atomic) % 3600 == 0 && apart.abs() <= 12 * 3600 + atomic)
                    || (is_clock_only && apart % 86_400 == 0)
            })
        });
        agreement.add(agrees, || format!("{}: {expected}, found {found} in {:.90}", case.service, case.line));
    }
    agreement.check("times of services", 990);
}

/// Where it came from and who it was: of the lines that tell an attack, and of those that tell of none.
#[test]
fn hosts_and_users_agree_with_those_expected_of_sixty_seven_services() {
    let (mut hosts, mut users) = (Agreement::default(), Agreement::default());
    let mut elsewhere = 0;
    for case in expectations().into_iter().filter(|case| case.is_match) {
        let row = case.row();
        let among = |names: &[&str], wanted: &str| {
            names.iter().any(|name| row.get(*name).and_then(Value::as_str).is_some_and(|found| found == wanted))
        };
        let host = case.host.as_deref();
        if host.is_some_and(|host| !case.line.contains(host)) {
            // What the record itself does not say stands in one before it: a rule joins them, not a parser.
            elsewhere += 1;
            println!("{}: {host:?} is told by an earlier record than {:.120}", case.service, case.line);
        } else if let Some(host) = host {
            let is_there =
                among(&["SrcIpAddr", "SrcHostname", "ClientIP", "SourceAddress", "SourceIP", "src_ip"], host);
            hosts.add(is_there, || {
                format!("{}: {host}, found {:?} in {}", case.service, row.get("SrcIpAddr"), case.line)
            });
        }
        if let Some(user) = case.user.as_deref() {
            let columns = ["TargetUsername", "ActorUsername", "UserName", "TargetUserName"];
            // An empty name is none.
            let is_there = match user {
                "" => columns.iter().all(|name| !row.contains_key(*name)),
                user => among(&columns, user),
            };
            users.add(is_there, || format!("{}: {user} in {}", case.service, case.line));
        }
    }
    assert!(elsewhere <= 12, "{elsewhere} hosts are in no record of theirs");
    hosts.check("hosts of services", 990);
    users.check("users of services", 990);
}

/// OSSEC's rule tests name the decoder of each line; where that is the name of a program, it is the one we find.
#[test]
fn programs_agree_with_the_decoders_of_rule_tests() {
    let programs = ["sshd", "proftpd", "su", "dhcpd", "postfix", "postfix-reject", "doas", "named", "rshd"];
    let mut agreement = Agreement::default();
    for file in files("hids", 25, &[".ini"]) {
        let text = std::fs::read_to_string(&file).unwrap();
        for test in text.split("\n[").filter(|test| !test.trim().is_empty()) {
            let value = |name: &str| {
                let line = test.lines().find(|line| line.starts_with(name))?;
                Some(line.split_once('=')?.1.trim().to_owned())
            };
            let Some(decoder) = value("decoder").filter(|decoder| programs.contains(&decoder.as_str())) else {
                continue;
            };
            let program = decoder.split('-').next().unwrap().to_owned();
            for log in test.lines().filter(|line| line.starts_with("log ") && line.contains(" pass ")) {
                let line = log.split_once('=').unwrap().1.trim();
                let late =
                    DecodeOptions { received: Timestamp::parse("2026-12-01").unwrap(), ..crate::support::options("x") };
                let whole =
                    crate::support::decode_pieces(moneta_formats::Format::Syslog, late, line.as_bytes(), 1 << 16);
                let rows = whole.rows();
                let found = rows[0].get("ProcessName").and_then(Value::as_str).unwrap_or("").to_owned();
                let agrees = found.rsplit('/').next() == Some(&program) || found.split('/').next() == Some(&program);
                agreement.add(agrees, || format!("{}: {program}, found {found:?} in {line}", name_of(&file)));
            }
        }
    }
    agreement.check("programs of rule tests", 990);
}

#[test]
fn security_devices_speak_through_syslog() {
    let text = "<134>Jun  1 10:00:00 fw CEF:0|Vendor|Product|1.0|100|Blocked \\| dropped|7|src=192.0.2.1 spt=1024 dst=198.51.100.7 dpt=443 proto=TCP act=deny msg=a\\=b c cs1Label=Rule cs1=r1 custom=x\n\
        <13>Jun  1 10:00:01 ids LEEF:1.0|Vendor|Sensor|2|E7|src=192.0.2.9\tdst=198.51.100.1\tdstPort=22\tusrName=jo\tsev=7\tsrcMAC=00:11:22:33:44:55\tdevTime=01/06/2026 09:00\tdevTimeFormat=dd/MM/yyyy HH:mm\n\
        <189>date=2026-06-01 time=10:00:02 devname=\"gate\" devid=\"F1\" logid=\"0000000013\" type=\"traffic\" subtype=\"forward\" level=\"notice\" srcip=192.0.2.5 srcport=5000 dstip=198.51.100.2 dstport=80 action=\"accept\"\n";
    let whole = crate::support::decode_pieces(
        moneta_formats::Format::Syslog,
        crate::support::options("x"),
        text.as_bytes(),
        50,
    );
    let rows = whole.rows();
    assert!(rows.iter().all(|row| row["Type"] == "CommonSecurityLog"), "{rows:?}");
    check_row(
        &rows[0],
        &[
            ("Activity", json!("Blocked | dropped")),
            ("SourceIP", json!("192.0.2.1")),
            ("DestinationPort", json!(443)),
            ("Message", json!("a=b c")),
            ("DeviceCustomString1", json!("r1")),
            ("AdditionalExtensions", json!("custom=x")),
            ("Computer", json!("fw")),
        ],
    );
    check_row(
        &rows[1],
        &[
            ("TimeGenerated", json!("2026-06-01T09:00:00.0000000Z")),
            ("DeviceProduct", json!("Sensor")),
            ("DestinationPort", json!(22)),
            ("SourceUserName", json!("jo")),
            ("LogSeverity", json!("7")),
            ("SourceMACAddress", json!("00:11:22:33:44:55")),
        ],
    );
    check_row(
        &rows[2],
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:02.0000000Z")),
            ("DeviceVendor", json!("Fortinet")),
            ("SourcePort", json!(5000)),
            ("DeviceAction", json!("accept")),
        ],
    );
}

#[test]
fn a_firewall_says_itself_when_it_saw_what_it_reports() {
    let base = r#"logid="0000000013" type="traffic" subtype="forward" level="notice" devid="F1" srcip=192.0.2.5"#;
    let check = |text: String, expected: &str| {
        let options = crate::support::options("x");
        let whole = crate::support::decode_pieces(moneta_formats::Format::Syslog, options, text.as_bytes(), 50);
        assert_eq!(whole.reasons(), [""; 0], "{text}");
        check_row(&whole.rows()[0], &[("Type", json!("CommonSecurityLog")), ("TimeGenerated", json!(expected))]);
    };
    let zoned = |more: &str| format!("<189>date=2026-06-01 time=10:00:02 {base} {more}\n");
    check(zoned("tz=\"+0200\""), "2026-06-01T08:00:02.0000000Z");
    check(zoned("tz=\"-0730\""), "2026-06-01T17:30:02.0000000Z");
    check(zoned("eventtime=1780300802123456789 tz=\"+0200\""), "2026-06-01T08:00:02.1234567Z");
    check(zoned("eventtime=1780300802 tz=\"+0200\""), "2026-06-01T08:00:02.0000000Z");
    // A number that is no time of ours.
    check(zoned("eventtime=0 tz=\"+0200\""), "2026-06-01T08:00:02.0000000Z");
    let headed = format!("<189>Jun  1 12:00:00 gate date=2026-06-01 time=10:00:02 tz=\"+0200\" {base}\n");
    check(headed, "2026-06-01T08:00:02.0000000Z");
}

#[test]
fn events_of_osquery_are_rows_of_devices() {
    let event = |columns: Value| {
        json!({
            "name": "pack_audit_events", "hostIdentifier": "web01", "calendarTime": "Mon Jun  1 10:00:00 2026 UTC",
            "unixTime": 1_780_308_000, "action": "added", "columns": columns,
        })
    };
    let started = json!({
        "pid": "4711", "parent": "1", "path": "/usr/bin/curl", "cmdline": "curl x", "auid": "1000", "uid": "0",
        "syscall": "execve",
    });
    let connected = json!({
        "action": "connect", "pid": "4711", "path": "/usr/bin/curl", "auid": "1000", "remote_address": "192.0.2.7",
        "remote_port": "443", "local_address": "198.51.100.1", "local_port": "50000", "success": "1",
    });
    let running = json!({ "pid": "4711", "parent": "1", "path": "/usr/bin/curl", "cmdline": "curl x", "uid": "0" });
    let text = [started, connected, running].map(|columns| event(columns).to_string()).join("\n");
    let whole = decode("osqueryd.results.log", text.as_bytes());
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    let of = |table: &str| rows.iter().find(|row| row["Type"] == table).unwrap();
    check_row(
        of("DeviceProcessEvents"),
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.0000000Z")),
            ("DeviceName", json!("web01")),
            ("ActionType", json!("ProcessCreated")),
            ("ProcessId", json!(4711)),
            ("InitiatingProcessId", json!(1)),
            ("FolderPath", json!("/usr/bin/curl")),
            ("ProcessCommandLine", json!("curl x")),
        ],
    );
    assert_eq!(of("DeviceProcessEvents")["AdditionalFields"]["syscall"], "execve");
    check_row(
        of("DeviceNetworkEvents"),
        &[("ActionType", json!("ConnectionAttempt")), ("RemoteIP", json!("192.0.2.7")), ("RemotePort", json!(443))],
    );
    check_row(of("HostIntrusion_CL"), &[("CommandLine", json!("curl x")), ("Product", json!("osquery"))]);
}

#[test]
fn fast_alerts_are_rows() {
    for name in ["expected_fast.log", "tests_http2-files_expected_fast.log"] {
        let Some(path) = corpus_or_skip(1, &format!("samples/suricata/{name}")) else { return };
        let text = std::fs::read_to_string(path).unwrap();
        let whole = decode(name, text.as_bytes());
        assert_eq!(whole.reasons(), [""; 0]);
        assert_eq!(whole.num_rows(), text.lines().count());
        check_row(
            &whole.rows()[0],
            &[
                ("Type", json!("SuricataAlert_CL")),
                ("alert_signature_id", json!(6)),
                ("src_port", json!(3000)),
                ("dest_port", json!(56_508)),
                ("proto", json!("TCP")),
            ],
        );
    }
}
