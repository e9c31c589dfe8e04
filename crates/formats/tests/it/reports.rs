//! Reports and binary logs, written from their specifications.

use moneta_formats::{Format, recognise};
use serde_json::{Value, json};

use crate::samples::check_row;
use crate::support::{Whole, decode, decode_pieces, options};

/// Decodes by recognition, whole and in small pieces, which must agree.
fn both(name: &str, bytes: &[u8], format: Format) -> Whole {
    assert_eq!(recognise(name, &bytes[..bytes.len().min(moneta_formats::HEAD_BYTES)]), Some(format));
    let whole = decode(name, bytes);
    assert_eq!(decode_pieces(format, options(name), bytes, 5).rows(), whole.rows());
    whole
}

/// A report with an added and a changed file.
pub const AIDE_REPORT: &str = "Start timestamp: 2026-06-01 10:00:00 +0200 (AIDE 0.18)\n\
AIDE found differences between database and filesystem!!\n\n\
Summary:\n  Total number of entries:\t3\n  Added entries:\t\t1\n  Removed entries:\t0\n  Changed entries:\t1\n\n\
---------------------------------------------------\nAdded entries:\n---------------------------------------------------\n\n\
f++++++++++++++++: /etc/cron.d/new job\n\n\
---------------------------------------------------\nChanged entries:\n---------------------------------------------------\n\n\
f = p..    .C... : /etc/passwd\n\n\
---------------------------------------------------\nDetailed information about changes:\n---------------------------------------------------\n\n\
File: /etc/passwd\n Size      : 100                              | 200\n Perm      : -rw-r--r--                       | -rw-rw-rw-\n\
 SHA256    : AAAA                             | CCCC\n             BBBB                             | DDDD\n\n\
End timestamp: 2026-06-01 10:00:09 +0200 (run time: 0m 9s)\n";

/// A report of both sides of a call.
pub const VQ_REPORT: &str = "VQSessionReport: CallTerm\r\nCallID: 4711@gw.example.org\r\nLocalID: Ann <sip:ann@example.org>\r\n\
RemoteID: Bob <sip:bob@example.net>\r\nLocalAddr: IP=192.0.2.1 PORT=5000 SSRC=1a3b5c7d\r\n\
RemoteAddr: IP=198.51.100.2 PORT=5002 SSRC=0x2468abcd\r\nLocalMetrics:\r\n\
Timestamps:START=2026-06-01T10:00:00Z STOP=2026-06-01T10:03:20Z\r\n\
SessionDesc:PT=18 PD=G729 SR=8000 FMTP=\"annexb=no mode=1\" PLC=3\r\nPacketLoss:NLR=5.0 JDR=2.5\r\n\
BurstGapLoss:BLD=1 BD=40 GLD=2.0 GD=500 GMIN=16\r\nDelay:RTD=200 ESD=140 IAJ=2 MAJ=10\r\n\
QualityEst:RLQ=90 RCQ=85 MOSLQ=4.2 MOSCQ=4.3\r\nRemoteMetrics:\r\nPacketLoss:NLR=0.5\r\n\
DialogID:4711@gw.example.org;to-tag=a;from-tag=b\r\n";

#[test]
fn files_that_aide_found_changed_are_rows_with_their_details() {
    let whole = both("aide.log", AIDE_REPORT.as_bytes(), Format::Aide);
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    assert_eq!(rows.len(), 2);
    check_row(
        &rows[0],
        &[
            ("Type", json!("HostIntrusion_CL")),
            ("TimeGenerated", json!("2026-06-01T08:00:00.0000000Z")),
            ("Action", json!("added")),
            ("FilePath", json!("/etc/cron.d/new job")),
            ("Product", json!("AIDE")),
        ],
    );
    let details = json!({
        "Kind": "File",
        "Size": {"Old": "100", "New": "200"},
        "Perm": {"Old": "-rw-r--r--", "New": "-rw-rw-rw-"},
        "SHA256": {"Old": "AAAABBBB", "New": "CCCCDDDD"},
    });
    check_row(&rows[1], &[("Action", json!("changed")), ("FilePath", json!("/etc/passwd")), ("Details", details)]);
    let stray = decode_pieces(Format::Aide, options("x"), b"no report\n", 100);
    assert_eq!(stray.reasons(), ["no_record"]);
}

#[test]
fn a_voice_quality_report_gives_a_row_per_side() {
    let whole = both("vq.txt", VQ_REPORT.as_bytes(), Format::CallReport);
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    assert_eq!(rows.len(), 2);
    check_row(
        &rows[0],
        &[
            ("Type", json!("CallQuality_CL")),
            ("TimeGenerated", json!("2026-06-01T10:03:20.0000000Z")),
            ("StartTime", json!("2026-06-01T10:00:00.0000000Z")),
            ("CallId", json!("4711@gw.example.org")),
            ("StreamDirection", json!("local")),
            ("LocalAddress", json!("192.0.2.1")),
            ("RemoteAddress", json!("198.51.100.2")),
            ("CodecName", json!("G729")),
            ("PacketLossRateAvg", json!("5.0")),
            ("PacketDiscardRate", json!("2.5")),
            ("RoundTripTimeAvg", json!("200.0")),
            ("JitterAvg", json!("2.0")),
            ("MosListening", json!("4.2")),
            ("MosConversational", json!("4.3")),
            ("BurstGapDuration", json!("500.0")),
        ],
    );
    let others = &rows[0]["OtherMetrics"];
    assert_eq!((&others["sessiondesc.FMTP"], &others["burstgaploss.GMIN"]), (&json!("annexb=no mode=1"), &json!("16")));
    check_row(&rows[1], &[("StreamDirection", json!("remote")), ("PacketLossRateAvg", json!("0.5"))]);
    let empty = decode_pieces(Format::CallReport, options("x"), b"VQSessionReport\nCallID: 1\n", 100);
    assert_eq!(empty.reasons(), ["no_metrics"]);
}

/// A receiver report without blocks, and an extended report with a block of another kind before that of VoIP metrics.
pub const VOIP_PACKET: &str = "80c90001deadbeef80cf000ddeadbeef0400000200000000000000000700000811223344\
80400d10002803e800c8008cc4b07f1059617f2b9000002800500078";

#[test]
fn extended_reports_of_rtcp_are_rows_with_units() {
    let spaced: Vec<&str> = VOIP_PACKET.as_bytes().chunks(2).map(|byte| std::str::from_utf8(byte).unwrap()).collect();
    let text = format!(
        "1780308000.250\t192.0.2.1\t5005\t198.51.100.2\t5007\t{VOIP_PACKET}\n\
         2026-06-01T10:00:01Z [2001:db8::1]:5005 {}\n{VOIP_PACKET}\n80c90001deadbeef\nnot a packet\nyesterday {VOIP_PACKET}\n",
        spaced.join(":")
    );
    let whole = both("rtcp.txt", text.as_bytes(), Format::RtcpXr);
    assert_eq!(whole.reasons(), ["no_metrics", "no_record", "invalid_time"]);
    let rows = whole.rows();
    assert_eq!(rows.len(), 3);
    check_row(
        &rows[0],
        &[
            ("Type", json!("CallQuality_CL")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.2500000Z")),
            ("Source", json!("rtcp-xr")),
            ("StreamId", json!("11223344")),
            ("LocalAddress", json!("192.0.2.1")),
            ("RemoteAddress", json!("198.51.100.2")),
            ("PacketLossRateAvg", json!("50.0")),
            ("PacketDiscardRate", json!("25.0")),
            ("BurstDensity", json!("5.078125")),
            ("BurstGapDensity", json!("6.25")),
            ("BurstDuration", json!("40.0")),
            ("BurstGapDuration", json!("1000.0")),
            ("RoundTripTimeAvg", json!("200.0")),
            ("EndSystemDelay", json!("140.0")),
            ("RFactorConversational", json!("89.0")),
            ("MosConversational", json!("4.3")),
        ],
    );
    assert_eq!(rows[0].get("MosListening"), None, "127 says that it is not known");
    let others = &rows[0]["OtherMetrics"];
    assert_eq!(
        (&others["SignalLevel"], &others["NoiseLevel"], &others["Gmin"]),
        (&json!(-60), &json!(-80), &json!(16))
    );
    assert_eq!((&others["ReporterStreamId"], &others["JitterBufferMaximum"]), (&json!("deadbeef"), &json!(80)));
    assert_eq!((&others["ExternalRFactor"], others.get("ResidualEchoReturnLoss")), (&json!(97), None));
    check_row(
        &rows[1],
        &[("TimeGenerated", json!("2026-06-01T10:00:01.0000000Z")), ("LocalAddress", json!("2001:db8::1"))],
    );
}

pub fn journal_entry() -> Vec<u8> {
    let mut bytes = b"__CURSOR=s=a;i=1\n__REALTIME_TIMESTAMP=1780308000123456\n_HOSTNAME=web1\nPRIORITY=6\n\
SYSLOG_FACILITY=10\nSYSLOG_IDENTIFIER=sshd\n_PID=812\n_UID=0\nMESSAGE\n"
        .to_vec();
    let message = b"Accepted publickey for ann from 192.0.2.7 port 4242 ssh2\nsecond line";
    bytes.extend_from_slice(&(message.len() as u64).to_le_bytes());
    bytes.extend_from_slice(message);
    bytes.extend_from_slice(b"\n\n");
    bytes
}

#[test]
fn journal_entries_are_rows_of_syslog() {
    let export = [journal_entry(), b"__REALTIME_TIMESTAMP=1780308001000000\nMESSAGE=last one".to_vec()].concat();
    let whole = both("journal.export", &export, Format::JournalExport);
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    assert_eq!(rows.len(), 2);
    let first = [
        ("Type", json!("Syslog")),
        ("TimeGenerated", json!("2026-06-01T10:00:00.1234560Z")),
        ("Computer", json!("web1")),
        ("ProcessName", json!("sshd")),
        ("ProcessID", json!(812)),
        ("Facility", json!("authpriv")),
        ("SeverityLevel", json!("info")),
        ("_Class", json!("control")),
    ];
    check_row(&rows[0], &first);
    assert_eq!(rows[0]["_Extra"]["_UID"], "0");
    assert!(rows[0]["SyslogMessage"].as_str().unwrap().ends_with("ssh2\nsecond line"));
    assert_eq!(rows[1]["SyslogMessage"], "last one");
    let json = br#"{"__CURSOR":"s=a;i=1","__REALTIME_TIMESTAMP":"1780308000123456","_HOSTNAME":"web1","PRIORITY":"6","SYSLOG_FACILITY":"10","SYSLOG_IDENTIFIER":"sshd","_PID":"812","_UID":"0","MESSAGE":[104,105,10,120]}"#;
    let rows = decode("journal.json", json).rows();
    check_row(&rows[0], &first);
    assert_eq!(rows[0]["SyslogMessage"], "hi\nx");
    let broken = [b"__CURSOR=a\nno field\nX=1\n\n".to_vec(), journal_entry()].concat();
    let whole = decode_pieces(Format::JournalExport, options("x"), &broken, 1000);
    assert_eq!((whole.reasons(), whole.num_rows()), (vec!["invalid_field"], 1));
}

/// An event of type 7 (IPv4) or 72 (IPv6) in Snort's binary form.
pub fn snort_event(kind: u32, addresses: [&[u8]; 2]) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [1u32, 9, 1_780_308_000, 250_000, 2_100_498, 1, 7, 3, 2] {
        body.extend_from_slice(&number.to_be_bytes());
    }
    addresses.iter().for_each(|address| body.extend_from_slice(address));
    for port in [4242u16, 80] {
        body.extend_from_slice(&port.to_be_bytes());
    }
    body.extend_from_slice(&[6, 32, 0, 1]);
    [&kind.to_be_bytes()[..], &u32::try_from(body.len()).unwrap().to_be_bytes(), &body].concat()
}

#[test]
fn binary_alerts_of_snort_are_rows() {
    let packet = [&2u32.to_be_bytes()[..], &32u32.to_be_bytes(), &[0; 24], &4u32.to_be_bytes(), b"GET "].concat();
    let six = [0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let events =
        [snort_event(7, [&[192, 0, 2, 7], &[198, 51, 100, 1]]), packet.clone(), packet, snort_event(72, [&six, &six])];
    let mut bytes = events.concat();
    let whole = both("snort.u2", &bytes, Format::Unified2);
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("SuricataAlert_CL")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.2500000Z")),
            ("src_ip", json!("192.0.2.7")),
            ("dest_ip", json!("198.51.100.1")),
            ("src_port", json!(4242)),
            ("dest_port", json!(80)),
            ("proto", json!("TCP")),
            ("alert_signature_id", json!(2_100_498)),
            ("alert_gid", json!(1)),
            ("alert_rev", json!(7)),
            ("alert_severity", json!(2)),
            ("alert_action", json!("blocked")),
        ],
    );
    assert_eq!(rows[0]["packets"], 2);
    assert_eq!(rows[1]["src_ip"], "2001:db8::1");
    bytes.truncate(bytes.len() - 3);
    let whole = decode_pieces(Format::Unified2, options("x"), &bytes, 7);
    assert_eq!((whole.num_rows(), whole.reasons()), (1, vec!["cut_off"]));
}

#[test]
fn extended_and_audit_events_of_sql_server_are_rows() {
    let xml = "<events><event name='sql_batch_completed' package='sqlserver' timestamp='2026-06-01T10:00:00.123Z'>\
<data name='duration'><type name='uint64' package='package0'/><value>1500</value></data>\
<data name='result'><value>0</value><text>OK</text></data><data name='batch_text'><value>select 1 &lt; 2</value></data>\
<action name='username' package='sqlserver'><value>ann</value></action></event>\
<event name=\"audit_event\" package=\"SecAudit\" timestamp=\"2026-06-01T10:00:01.000Z\">\
<data name=\"action_id\"><value>541934402</value><text>LGIF</text></data><data name=\"session_id\"><value>51</value></data>\
<data name=\"succeeded\"><value>false</value></data><data name=\"server_principal_name\"><value>sa</value></data></event></events>";
    let xml = xml.replace("name='sql", "name=\"sql").replace("completed' ", "completed\" ");
    let whole = both("xe.xml", xml.as_bytes(), Format::EventXml);
    assert_eq!(whole.reasons(), [""; 0]);
    let rows = whole.rows();
    let of = |table: &str| rows.iter().find(|row| row["Type"] == table).unwrap();
    check_row(
        of("SqlExtendedEvent_CL"),
        &[
            ("TimeGenerated", json!("2026-06-01T10:00:00.1230000Z")),
            ("EventName", json!("sql_batch_completed")),
            ("DurationMicros", json!(1500)),
            ("Statement", json!("select 1 < 2")),
            ("UserName", json!("ann")),
        ],
    );
    assert_eq!(of("SqlExtendedEvent_CL")["result"], "OK");
    check_row(
        of("SQLSecurityAuditEvents"),
        &[
            ("ActionId", json!("LGIF")),
            ("SessionId", json!(51)),
            ("Succeeded", json!("false")),
            ("ServerPrincipalName", json!("sa")),
            ("_Class", json!("control")),
        ],
    );
    let csv = "event_time,sequence_number,action_id,succeeded,session_id,server_principal_name,database_name,statement\n\
2026-06-01 10:00:00.1234567,1,SL  ,1,52,ann,shop,\"select *\nfrom t\"\n";
    let rows = decode("audit.csv", csv.as_bytes()).rows();
    check_row(
        &rows[0],
        &[
            ("Type", json!("SQLSecurityAuditEvents")),
            ("TimeGenerated", json!("2026-06-01T10:00:00.1234567Z")),
            ("DatabaseName", json!("shop")),
            ("Succeeded", json!("true")),
            ("Statement", json!("select *\nfrom t")),
        ],
    );
}

/// Expected from reading the file's own text: event 33205 of the Application log.
#[test]
fn audit_events_in_the_windows_log_are_rows_of_their_table_too() {
    let Some(whole) = crate::samples::sample("evtx", "LM_xp_cmdshell_MSSQL_Events.evtx") else { return };
    let rows = whole.rows();
    let carriers: Vec<_> = rows.iter().filter(|row| row.get("EventID") == Some(&33_205.into())).collect();
    let audits: Vec<_> = rows.iter().filter(|row| row["Type"] == "SQLSecurityAuditEvents").collect();
    assert_eq!(carriers.len(), audits.len());
    assert!(!audits.is_empty());
    for (carrier, audit) in carriers.iter().zip(&audits) {
        let text = carrier["EventData"].as_str().unwrap();
        let field =
            |name: &str| text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap_or("").trim();
        for (column, name) in [
            ("ActionId", "action_id"),
            ("ServerPrincipalName", "server_principal_name"),
            ("DatabaseName", "database_name"),
        ] {
            assert_eq!(audit.get(column).and_then(Value::as_str).unwrap_or(""), field(name), "{name}");
        }
        assert_eq!(audit["SessionId"].to_string(), field("session_id"));
        let day = field("event_time").split(' ').next().unwrap().to_owned();
        assert!(audit["TimeGenerated"].as_str().unwrap().starts_with(&day), "{audit:?}");
    }
}
