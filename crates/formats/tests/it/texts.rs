//! Formats of text through the public interface: lines written for these tests from the formats' descriptions, and
//! lines damaged at random.

use moneta_formats::{Format, recognise};
use serde_json::{Map, Value, json};

use crate::samples::check_row;
use crate::support::{Whole, decode_pieces, options};

/// One well-formed input per format.
pub const SAMPLES: [(Format, &str); 18] = [
    (
        Format::Syslog,
        "<34>Jun  1 10:00:00 host1 su[230]: failed for user\n<13>1 2026-06-01T10:00:00Z h a - - [x y=\"1\"] CEF:0|V|P|1|2|n|3|src=192.0.2.1 msg=a b\n",
    ),
    (
        Format::W3c,
        "#Fields: date time cs-method cs-uri-stem c-ip sc-status\n2026-06-01 10:00:00 GET /a 192.0.2.1 200\n",
    ),
    (
        Format::Ndjson,
        "{\"timestamp\":\"2026-06-01T10:00:00+0000\",\"event_type\":\"alert\",\"alert\":{\"signature\":\"x\",\"severity\":2}}\n",
    ),
    (
        Format::Json,
        "{\"records\":[{\"time\":\"2026-06-01T10:00:00Z\",\"resourceId\":\"/subscriptions/s/resourceGroups/g/providers/p/t/n\",\"category\":\"Audit\",\"operationName\":\"o\",\"properties\":{\"a\":1}}]}",
    ),
    (
        Format::Auditd,
        "type=SYSCALL msg=audit(1780308000.100:7): arch=c000003e syscall=59 success=yes exit=0 ppid=1 pid=2 auid=1000 uid=0 tty=pts0 ses=1 comm=\"id\" exe=\"/usr/bin/id\" key=\"k\"\ntype=EXECVE msg=audit(1780308000.100:7): argc=2 a0=\"id\" a1=2D75\ntype=PROCTITLE msg=audit(1780308000.100:7): proctitle=6964002D75\n",
    ),
    (
        Format::Zeek,
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#fields\tts\tuid\tid.orig_h\tid.orig_p\ttags\n#types\ttime\tstring\taddr\tport\tset[string]\n1780308000.5\tC1\t192.0.2.1\t1024\ta,b\n",
    ),
    (
        Format::Csv,
        "\"(PDH-CSV 4.0) (UTC)(0)\",\"\\\\H\\Memory\\Pages\",\"\\\\H\\Processor(_Total)\\% Time\"\n\"06/01/2026 10:00:00.000\",\"5\",\" \"\n",
    ),
    (
        Format::WebLog,
        "192.0.2.1 - jo [01/Jun/2026:10:00:00 +0000] \"GET /a?b=c HTTP/1.1\" 200 12 \"-\" \"M\"\n2026/06/01 10:00:01 [error] 1#2: *3 open() failed, client: 192.0.2.1, server: s, request: \"GET / HTTP/1.1\", host: \"h\"\n[Mon Jun 01 10:00:02.123456 2026] [core:error] [pid 1:tid 2] [client 192.0.2.1:99] AH00037: no link\n",
    ),
    (
        Format::SqlErrorLog,
        "2026-06-01 10:00:00.10 Logon       Error: 18456, Severity: 14, State: 38.\n2026-06-01 10:00:00.10 Logon       Login failed for user 'jo'. Reason: no such database. [CLIENT: 192.0.2.1]\n2026-06-01 10:00:01.00 Server      first\n  second\n",
    ),
    (
        Format::PostgresLog,
        "2026-06-01 10:00:00.123 UTC [812] shop@orders ERROR:  duplicate key\n2026-06-01 10:00:00.123 UTC [812] shop@orders DETAIL:  Key exists.\n2026-06-01 10:00:00.123 UTC [812] shop@orders STATEMENT:  insert into t\n\tvalues (1)\n2026-06-01 10:00:01 CEST [1] LOG:  ready\n",
    ),
    (
        Format::ClientLog,
        "<![LOG[a\nb]LOG]!><time=\"10:00:00.5+000\" date=\"6-01-2026\" component=\"C\" context=\"\" type=\"3\" thread=\"1\" file=\"f\">\n2026-06-01 10:00:00, Info                  CBS    Loaded\n",
    ),
    (
        Format::StorageLog,
        "1.0;2026-06-01T10:00:00.0000000Z;GetBlob;Success;200;5;4;authenticated;a;a;blob;\"https://x/y?a=b&amp;c=d\";\"/a/b\";i;0;192.0.2.1:5;2020-04-08;1;2;3;4;5;;;;;;\"agent;1\";;\n",
    ),
    (
        Format::VpcFlow,
        "2 123456789012 eni-1 192.0.2.1 198.51.100.2 20641 22 6 20 4249 1780308000 1780308060 ACCEPT OK\n",
    ),
    (
        Format::EventXml,
        "<Events><Event xmlns='x'><System><Provider Name='P'/><EventID>7</EventID><TimeCreated SystemTime='2026-06-01T10:00:00Z'/><Channel>Security</Channel><Computer>c</Computer></System><EventData><Data Name='A'>1 &lt; 2</Data></EventData></Event></Events>",
    ),
    (
        Format::IdsText,
        "06/01-10:00:00.5  [**] [1:1000:2] a test [**] [Classification: bad] [Priority: 2] {TCP} 192.0.2.1:1 -> 198.51.100.2:80\n** Alert 1780308000.1: mail  - syslog,sshd,\n2026 Jun 01 10:00:00 host->/var/log/auth.log\nRule: 5710 (level 5) -> 'no such user'\nSrc IP: 192.0.2.9\nthe line\n\n",
    ),
    (Format::MetricsText, "# TYPE up gauge\nup{job=\"a\\\"b\"} 1 1780308000000\nx 2.5\n"),
    (Format::Logfmt, "ts=2026-06-01T10:00:00Z level=warn msg=\"a \\\"b\\\"\" service=s size=3\n"),
    (Format::Evtx, "ElfFile\0"),
];

fn decode(format: Format) -> Whole {
    let text = SAMPLES.iter().find(|(known, _)| *known == format).unwrap().1;
    let whole = decode_pieces(format, options("x"), text.as_bytes(), usize::MAX);
    let in_pieces = decode_pieces(format, options("x"), text.as_bytes(), 3);
    assert_eq!(in_pieces.rows(), whole.rows(), "{format:?}: the rows depend on how the bytes arrive");
    whole
}

fn check(format: Format, expected: &[&[(&str, Value)]]) {
    let whole = decode(format);
    assert_eq!(whole.reasons(), [""; 0], "{format:?}");
    let rows: Vec<Map<String, Value>> = whole.rows();
    assert_eq!(rows.len(), expected.len(), "{format:?} {rows:?}");
    for (row, expected) in rows.iter().zip(expected) {
        check_row(row, expected);
    }
}

#[test]
fn each_format_is_recognised_by_its_content() {
    for (format, text) in SAMPLES {
        assert_eq!(recognise("x", text.as_bytes()), Some(format), "{text}");
        if format != Format::Evtx {
            assert_eq!(recognise("x", &utf16(text)), Some(format), "{text} in UTF-16");
        }
    }
}

fn utf16(text: &str) -> Vec<u8> {
    [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn text_in_utf16_gives_the_same_rows() {
    for (format, text) in SAMPLES.into_iter().filter(|(format, _)| *format != Format::Evtx) {
        let expected = decode_pieces(format, options("x"), text.as_bytes(), 1000);
        for piece in [1, 7, 1000] {
            let found = decode_pieces(format, options("x"), &utf16(text), piece);
            assert_eq!(found.rows(), expected.rows(), "{format:?}");
        }
    }
}

#[test]
fn an_audit_event_is_one_row() {
    check(
        Format::Auditd,
        &[&[
            ("Type", json!("LinuxAudit_CL")),
            ("SyscallName", json!("execve")),
            ("CommandLine", json!("id -u")),
            ("Result", json!("success")),
            ("ProcessId", json!(2)),
            ("Key", json!("k")),
        ]],
    );
}

#[test]
fn sensors_alerts_are_typed() {
    check(
        Format::Zeek,
        &[&[
            ("Type", json!("ZeekConn_CL")),
            ("id_orig_p", json!(1024)),
            ("tags", json!(["a", "b"])),
            ("TimeGenerated", json!("2026-06-01T10:00:00.5000000Z")),
        ]],
    );
    check(
        Format::IdsText,
        &[
            &[
                ("Type", json!("SuricataAlert_CL")),
                ("alert_signature_id", json!(1000)),
                ("alert_category", json!("bad")),
                ("dest_port", json!(80)),
                ("TimeGenerated", json!("2026-06-01T10:00:00.5000000Z")),
            ],
            &[
                ("Type", json!("HostIntrusion_CL")),
                ("RuleId", json!("5710")),
                ("Level", json!(5)),
                ("RuleName", json!("no such user")),
                ("SourceIP", json!("192.0.2.9")),
                ("Computer", json!("host")),
                ("Message", json!("the line")),
                ("Tags", json!(["syslog", "sshd"])),
            ],
        ],
    );
}

#[test]
fn servers_logs_are_typed() {
    check(
        Format::WebLog,
        &[
            &[
                ("Method", json!("GET")),
                ("UriQuery", json!("b=c")),
                ("Status", json!(200)),
                ("RemoteUser", json!("jo")),
            ],
            &[
                ("Level", json!("error")),
                ("ClientIP", json!("192.0.2.1")),
                ("Message", json!("open() failed")),
                ("Host", json!("h")),
            ],
            &[
                ("ErrorCode", json!("AH00037")),
                ("ClientPort", json!(99)),
                ("Message", json!("no link")),
                ("ThreadId", json!(2)),
            ],
        ],
    );
    check(
        Format::SqlErrorLog,
        &[
            &[
                ("ErrorNumber", json!(18_456)),
                ("Severity", json!(14)),
                ("State", json!(38)),
                ("LoginName", json!("jo")),
                ("ClientIP", json!("192.0.2.1")),
                ("_Class", json!("control")),
            ],
            &[("Message", json!("first\n  second"))],
        ],
    );
    check(
        Format::PostgresLog,
        &[
            &[
                ("TimeGenerated", json!("2026-06-01T10:00:00.1230000Z")),
                ("Severity", json!("ERROR")),
                ("Message", json!("duplicate key")),
                ("Detail", json!("Key exists.")),
                ("Statement", json!("insert into t\nvalues (1)")),
                ("UserName", json!("shop")),
                ("DatabaseName", json!("orders")),
                ("ProcessId", json!(812)),
            ],
            &[
                ("TimeGenerated", json!("2026-06-01T08:00:01.0000000Z")),
                ("Severity", json!("LOG")),
                ("Message", json!("ready")),
            ],
        ],
    );
    check(
        Format::ClientLog,
        &[
            &[("Message", json!("a\nb")), ("Severity", json!(3)), ("Component", json!("C"))],
            &[("Component", json!("CBS")), ("Message", json!("Loaded"))],
        ],
    );
    check(
        Format::Logfmt,
        &[&[
            ("Type", json!("AppTraces")),
            ("Message", json!("a \"b\"")),
            ("SeverityLevel", json!(2)),
            ("AppRoleName", json!("s")),
        ]],
    );
}

#[test]
fn clouds_and_measurements_are_typed() {
    check(
        Format::StorageLog,
        &[&[
            ("Type", json!("StorageBlobLogs")),
            ("Uri", json!("https://x/y?a=b&c=d")),
            ("UserAgentHeader", json!("agent;1")),
            ("StatusCode", json!("200")),
        ]],
    );
    check(
        Format::VpcFlow,
        &[&[
            ("SrcAddr", json!("192.0.2.1")),
            ("DstPort", json!(22)),
            ("Bytes", json!(4249)),
            ("Action", json!("ACCEPT")),
            ("End", json!("2026-06-01T10:01:00.0000000Z")),
        ]],
    );
    check(
        Format::Csv,
        &[&[
            ("Type", json!("Perf")),
            ("ObjectName", json!("Memory")),
            ("CounterName", json!("Pages")),
            ("CounterValue", json!("5.0")),
            ("Computer", json!("H")),
        ]],
    );
    check(
        Format::MetricsText,
        &[
            &[("Name", json!("up")), ("Val", json!("1.0")), ("Tags", json!("{\"job\":\"a\\\"b\"}"))],
            &[("Name", json!("x")), ("Val", json!("2.5"))],
        ],
    );
    check(Format::EventXml, &[&[("Type", json!("SecurityEvent")), ("EventID", json!(7))]]);
}

/// Every pair of formats of these samples: what was asked for, and what is there.
#[test]
fn a_wrong_format_names_the_likely_one() {
    for (there, text) in SAMPLES.iter().filter(|(format, _)| *format != Format::Evtx) {
        for asked in Format::ALL {
            let whole = decode_pieces(asked, options("x"), text.as_bytes(), 1 << 16);
            let is_json = |format| matches!(format, Format::Ndjson | Format::Json);
            let is_right = asked == *there || (is_json(asked) && is_json(*there));
            // Formats that take almost anything say it too: their rows are no proof.
            assert_eq!(whole.looks_like, (!is_right).then(|| there.name()), "{asked:?} for {there:?}");
            if whole.num_rows() == 0 && !is_right {
                let hint = format!("looks like {}, not {}", there.name(), asked.name());
                let is_said = |record: &moneta_event::QuarantinedRecord| record.reason.ends_with(&hint);
                assert!(whole.quarantined.iter().all(is_said), "{asked:?} {:?}", whole.quarantined);
            }
        }
    }
    let whole = decode_pieces(Format::Auditd, options("x"), b"words\n", 1 << 16);
    assert!(!whole.quarantined[0].reason.contains("looks like"));
}

/// What AppLocker decides, whatever carries the event.
#[test]
fn decisions_of_applocker_are_security_events_with_their_verdict() {
    let fields = "<PolicyName>EXE</PolicyName><RuleId>{r-1}</RuleId><RuleName>r</RuleName><FilePath>%OSDRIVE%\\A.EXE</FilePath>\
                  <FileHash>AB</FileHash><Fqbn>O=EXAMPLE\\P\\A.EXE\\1</Fqbn>";
    let package = "<PolicyName>APPX</PolicyName><RuleId>{r-2}</RuleId><RuleName>p</RuleName><Package>Contoso.App</Package>\
                   <Fqbn>CN=CONTOSO\\CONTOSO.APP\\APPX\\1.0</Fqbn>";
    let event = |id: u32| {
        let (channel, fields) = match id {
            8020.. => ("Packaged app-Execution", package),
            8005..=8007 => ("MSI and Script", fields),
            _ => ("EXE and DLL", fields),
        };
        format!(
            "<Event xmlns='x'><System><Provider Name='Microsoft-Windows-AppLocker'/><EventID>{id}</EventID>\
             <TimeCreated SystemTime='2026-06-01T10:00:00Z'/><Channel>Microsoft-Windows-AppLocker/{channel}</Channel>\
             <Computer>c</Computer><Security UserID='S-1-5-18'/></System><UserData><RuleAndFileData xmlns='y'>{fields}\
             </RuleAndFileData></UserData></Event>"
        )
    };
    let ids = (8001..=8007).chain(8020..=8025).chain([8000, 8008]);
    let text: String = ids.map(event).collect();
    let whole = decode_pieces(Format::EventXml, options("x"), text.as_bytes(), 100);
    let rows = whole.rows();
    let (decisions, others): (Vec<_>, Vec<_>) = rows.iter().partition(|row| row["Type"] == "SecurityEvent");
    assert!(others.len() == 2 && others.iter().all(|row| row["Type"] == "Event"), "{others:?}");
    let verdicts: Vec<_> =
        decisions.iter().map(|row| row.get("AppLockerVerdict").and_then(Value::as_str).unwrap_or_default()).collect();
    let three = ["allow", "would-block", "block"];
    assert_eq!(verdicts, [[""].as_slice(), &three, &three, &three, &three].concat());
    let expected = [
        ("EventID", json!(8004)),
        ("Channel", json!("Microsoft-Windows-AppLocker/EXE and DLL")),
        ("PolicyName", json!("EXE")),
        ("RuleId", json!("{r-1}")),
        ("RuleName", json!("r")),
        ("FilePath", json!("%OSDRIVE%\\A.EXE")),
        ("FileHash", json!("AB")),
        ("Fqbn", json!("O=EXAMPLE\\P\\A.EXE\\1")),
        ("Publisher", json!("O=EXAMPLE")),
        ("AppLockerVerdict", json!("block")),
    ];
    check_row(decisions[3], &expected);
    check_row(decisions[3], &[("Account", json!("NT AUTHORITY\\SYSTEM"))]);
    check_row(decisions[12], &[("Package", json!("Contoso.App")), ("Publisher", json!("CN=CONTOSO"))]);

    let beat = json!({
        "@timestamp": "2026-06-01T10:00:00Z",
        "winlog": {
            "provider_name": "Microsoft-Windows-AppLocker", "event_id": 8004, "computer_name": "c",
            "channel": "Microsoft-Windows-AppLocker/EXE and DLL",
            "user_data": {
                "xml_name": "RuleAndFileData", "PolicyName": "EXE", "RuleId": "{r-1}", "RuleName": "r",
                "FilePath": "%OSDRIVE%\\A.EXE", "FileHash": "AB", "Fqbn": "O=EXAMPLE\\P\\A.EXE\\1"
            }
        }
    });
    let whole = decode_pieces(Format::Ndjson, options("x"), beat.to_string().as_bytes(), 100);
    check_row(&whole.rows()[0], &[("Type", json!("SecurityEvent"))]);
    check_row(&whole.rows()[0], &expected);
}

fn own(text: &str) -> moneta_formats::DecodeOptions {
    let mappings = moneta_formats::Mappings::with_built_in(&[("own.toml", text)]).unwrap();
    moneta_formats::DecodeOptions { mappings: std::sync::Arc::new(mappings), ..crate::support::options("x.log") }
}

#[test]
fn lines_of_a_declared_form_are_rows_of_their_table() {
    let options = own("[[mapping]]\nname = 'shop'\nabout = 'shop'\nline = '{at} {level} [{thread}] {text}'\n\
         table = 'Shop_CL'\ntime = 'at'\nclass = 'control'\n[mapping.fields]\nMessage = 'text'\nSeverity = 'level'\n");
    let text = "2026-06-01T10:00:00Z WARN [a-1] disk [full] soon\n<13>Jun  1 10:00:00 h app: other\n";
    let head = moneta_formats::recognise_with(&options.mappings, "x.log", text.as_bytes());
    assert_eq!(head, Some(moneta_formats::Format::Syslog));
    let rows = crate::support::decode_pieces(moneta_formats::Format::Syslog, options, text.as_bytes(), 9).rows();
    assert_eq!(rows[0]["Type"], "Shop_CL");
    assert_eq!(rows[0]["TimeGenerated"], "2026-06-01T10:00:00.0000000Z");
    assert_eq!((&rows[0]["Message"], &rows[0]["Severity"]), (&"disk [full] soon".into(), &"WARN".into()));
    assert_eq!((&rows[0]["thread"], &rows[0]["_Class"]), (&"a-1".into(), &"control".into()));
    assert_eq!(rows[1]["Type"], "Syslog");
}

#[test]
fn json_within_syslog_is_taken_apart() {
    let text = "<13>Jun  1 10:00:00 h suricata[7]: {\"timestamp\":\"2026-06-01T09:59:59Z\",\"event_type\":\"dns\",\"src_ip\":\"192.0.2.7\"}\n\
        <13>Jun  1 10:00:00 h app: @cee: {\"order\":7,\"who\":{\"id\":\"x\"}}\n\
        <13>Jun  1 10:00:00 h app: {\"order\":\n";
    let whole = crate::support::decode_pieces(
        moneta_formats::Format::Syslog,
        crate::support::options("x"),
        text.as_bytes(),
        50,
    );
    let rows = whole.rows();
    let dns = rows.iter().find(|row| row["Type"] == "SuricataDns_CL").unwrap();
    assert_eq!((&dns["src_ip"], &dns["TimeGenerated"]), (&"192.0.2.7".into(), &"2026-06-01T09:59:59.0000000Z".into()));
    let plain: Vec<_> = rows.iter().filter(|row| row["Type"] == "Syslog").collect();
    assert_eq!(plain[0]["MessageFields"], serde_json::json!({"order": 7, "who": {"id": "x"}}));
    assert_eq!(plain[0]["SyslogMessage"], "@cee: {\"order\":7,\"who\":{\"id\":\"x\"}}");
    assert!(!plain[1].contains_key("MessageFields") && plain.len() == 2);
}
