//! One fuzz target per parser: `FUZZ_SECONDS=60 cargo test -p moneta-formats --test it -- fuzz`.

use std::collections::BTreeMap;

use moneta_event::QuarantinedRecord;
use moneta_formats::{Format, Mappings, recognise};

use super::mutate::fuzz;
use super::{decode_checked, has_positions, seeds};
use crate::support::Whole;

/// What of a decoded input must not depend on how its bytes arrive.
fn digest(whole: &Whole, has_positions: bool) -> (BTreeMap<String, usize>, Vec<(&'static str, u64)>) {
    let mut rows = BTreeMap::new();
    for batch in &whole.batches {
        *rows.entry(batch.table.to_string()).or_default() += batch.rows.num_rows();
    }
    let offset = |record: &QuarantinedRecord| if has_positions { record.offset } else { 0 };
    (rows, whole.quarantined.iter().map(|record| (record.reason_code, offset(record))).collect())
}

fn fuzz_format(name: &str, format: Format, seeds: Vec<Vec<u8>>) {
    fuzz(name, seeds, move |input, random| {
        let choice = random.below(usize::MAX);
        let whole = decode_checked(format, input, 1 << 16);
        // How much of a damaged member comes out before the damage is seen depends on the reader's buffers.
        let is_cut = matches!(format, Format::Gzip | Format::Zip | Format::Zstd) && !whole.quarantined.is_empty();
        if choice % 4 == 0 && input.len() < 40_000 && !is_cut {
            let piece_bytes = 1 + choice / 4 % 700;
            let in_pieces = decode_checked(format, input, piece_bytes);
            let has_positions = has_positions(format, input);
            let found = digest(&in_pieces, has_positions);
            assert_eq!(found, digest(&whole, has_positions), "INGEST-1: in pieces of {piece_bytes} bytes");
        }
        let _ = recognise("x", &input[..input.len().min(moneta_formats::HEAD_BYTES)]);
    });
}

macro_rules! format_targets {
    ($($name:ident $format:ident)*) => {
        $(#[test]
        fn $name() {
            fuzz_format(stringify!($name), Format::$format, seeds::all(Format::$format));
        })*

        #[test]
        fn each_format_has_a_fuzz_target() {
            let targets = [$(Format::$format),*];
            assert!(Format::ALL.iter().all(|format| targets.contains(format)));
        }
    };
}

format_targets! {
    fuzz_evtx Evtx
    fuzz_syslog Syslog
    fuzz_w3c W3c
    fuzz_ndjson Ndjson
    fuzz_json Json
    fuzz_auditd Auditd
    fuzz_zeek Zeek
    fuzz_csv Csv
    fuzz_web_log WebLog
    fuzz_sql_error_log SqlErrorLog
    fuzz_postgres_log PostgresLog
    fuzz_client_log ClientLog
    fuzz_storage_log StorageLog
    fuzz_vpc_flow VpcFlow
    fuzz_event_xml EventXml
    fuzz_ids_text IdsText
    fuzz_metrics_text MetricsText
    fuzz_logfmt Logfmt
    fuzz_aide Aide
    fuzz_call_report CallReport
    fuzz_rtcp_xr RtcpXr
    fuzz_journal_export JournalExport
    fuzz_unified2 Unified2
    fuzz_zip Zip
    fuzz_gzip Gzip
    fuzz_zstd Zstd
}

/// Records that the readers in code take (`mapping/special`), and shapes of Windows events as shippers give them.
macro_rules! record_targets {
    ($($name:ident $table:literal [$($text:expr),* $(,)?])*) => {
        $(#[test]
        fn $name() {
            let seeds: Vec<Vec<u8>> = vec![$($text.as_bytes().to_vec()),*];
            for seed in &seeds {
                let whole = decode_checked(Format::Json, seed, 1 << 16);
                assert!(whole.batches.iter().any(|batch| batch.table.as_str() == $table), "{:?}", digest(&whole, true));
            }
            fuzz_format(stringify!($name), Format::Json, seeds);
        })*
    };
}

record_targets! {
    fuzz_flow_tuples "NTANetAnalytics" [
        r#"{"records":[{"time":"2026-06-01T10:00:00Z","systemId":"s","macAddress":"0022","category":"NetworkSecurityGroupFlowEvent","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.NETWORK/NETWORKSECURITYGROUPS/N","operationName":"NetworkSecurityGroupFlowEvents","properties":{"Version":2,"flows":[{"rule":"R","flows":[{"mac":"0022","flowTuples":["1780308000,192.0.2.1,198.51.100.2,443,80,T,I,A,B,1,2,3,4","1780308001,192.0.2.1,198.51.100.2,443,80,U,O,D,E,,,,"]}]}]}}]}"#,
        r#"{"records":[{"time":"2026-06-01T10:00:00Z","flowLogVersion":4,"flowLogGUID":"g","macAddress":"0022","category":"FlowLogFlowEvent","flowLogResourceID":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.NETWORK/NETWORKWATCHERS/W/FLOWLOGS/F","targetResourceID":"/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/virtualNetworks/v","operationName":"FlowLogFlowEvent","flowRecords":{"flows":[{"aclID":"a","flowGroups":[{"rule":"R","flowTuples":["1780308000000,192.0.2.1,198.51.100.2,443,80,6,O,B,NX,0,0,0,0"]}]}]}}]}"#,
    ]
    fuzz_app_insights "AppRequests" [
        r#"{"time":"2026-06-01T10:00:00Z","iKey":"k","name":"Microsoft.ApplicationInsights.k.Request","tags":{"ai.cloud.role":"r","ai.operation.id":"o"},"data":{"baseType":"RequestData","baseData":{"ver":2,"id":"i","name":"GET /","duration":"00:00:00.5","responseCode":"200","success":true,"url":"https://x/","properties":{"a":"b"},"measurements":{"m":1}}}}"#,
    ]
    fuzz_diagnostics "AzureDiagnostics" [
        r#"{"records":[{"time":"2026-06-01T10:00:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/P/T/N","category":"Audit","operationName":"o","resultType":"Success","level":"Warning","location":"westeurope","properties":{"a":{"b":[1,2.5,true,"x",null]},"c":"{\"d\":1}"}}]}"#,
    ]
    fuzz_call_record "CallDetailRecord_CL" [
        r##"{"@odata.type":"#microsoft.graph.callRecords.callRecord","id":"4711","type":"groupCall","modalities":["audio"],"startDateTime":"2026-06-01T10:00:00Z","endDateTime":"2026-06-01T10:05:00Z","organizer":{"user":{"id":"u"}},"participants":[{"user":{"id":"u"}}],"sessions":[{"id":"s","startDateTime":"2026-06-01T10:00:00Z","endDateTime":"2026-06-01T10:05:00Z","modalities":["audio"],"caller":{"userAgent":{"platform":"windows"}},"segments":[{"id":"g","startDateTime":"2026-06-01T10:00:00Z","endDateTime":"2026-06-01T10:05:00Z","media":[{"label":"main-audio","streams":[{"streamId":"1","streamDirection":"callerToCallee","averageJitter":"PT0.005S","averagePacketLossRate":0.01,"averageRoundTripTime":"PT0.1S"}]}]}]}]}"##,
    ]
    fuzz_journal_json "Syslog" [
        r#"{"__CURSOR":"s=a;i=1","__REALTIME_TIMESTAMP":"1780308000123456","_HOSTNAME":"web1","PRIORITY":"6","SYSLOG_FACILITY":"10","SYSLOG_IDENTIFIER":"sshd","_PID":"812","MESSAGE":[104,105,10,120]}"#,
    ]
    fuzz_otlp_logs "AppTraces" [
        r#"{"resourceLogs":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"s"}}]},"scopeLogs":[{"scope":{"name":"n"},"logRecords":[{"timeUnixNano":"1780308000000000000","severityNumber":13,"severityText":"WARN","body":{"kvlistValue":{"values":[{"key":"a","value":{"arrayValue":{"values":[{"intValue":"1"},{"doubleValue":1.5},{"bytesValue":"AA=="}]}}}]}},"attributes":[{"key":"b","value":{"boolValue":true}}],"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}]}]}]}"#,
    ]
    fuzz_otlp_metrics "InsightsMetrics" [
        r#"{"resourceMetrics":[{"resource":{"attributes":[]},"scopeMetrics":[{"scope":{},"metrics":[{"name":"m","unit":"By","sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"timeUnixNano":"1780308000000000000","asInt":"5","attributes":[]}]}},{"name":"h","histogram":{"dataPoints":[{"timeUnixNano":"1780308000000000000","count":"2","sum":3,"bucketCounts":["1","1"],"explicitBounds":[1]}]}},{"name":"g","gauge":{"dataPoints":[{"timeUnixNano":"1780308000000000000","asDouble":1.5}]}}]}]}]}"#,
    ]
    fuzz_windows_json "SecurityEvent" [
        r#"{"winlog":{"channel":"Security","provider_name":"Microsoft-Windows-Security-Auditing","event_id":4688,"record_id":1,"computer_name":"c","event_data":{"NewProcessName":"C:\\a.exe","ProcessId":"0x1f4"},"user":{"identifier":"S-1-5-18"}},"@timestamp":"2026-06-01T10:00:00Z","message":"A new process has been created.\n\nCreator Subject:\n\tSecurity ID:\t\tS-1-5-18\n"}"#,
        r#"{"EventTime":"2026-06-01 10:00:00","Hostname":"h","EventID":4624,"Channel":"Security","SourceName":"Microsoft-Windows-Security-Auditing","LogonType":"3","TargetUserName":"u","Message":"m"}"#,
        r##"{"Event":{"System":{"Provider":{"#attributes":{"Name":"P"}},"EventID":{"#attributes":{"Qualifiers":1},"#text":4720},"Channel":"Security","Computer":"c","TimeCreated":{"#attributes":{"SystemTime":"2026-06-01T10:00:00Z"}}},"EventData":{"Data":["a","b"],"TargetUserName":"x"}}}"##,
    ]
}

/// The language of mappings: a broken file is an error that names its place, and a file that is taken decodes anything.
#[test]
fn fuzz_mapping_language() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../content/mappings");
    let mut seeds: Vec<Vec<u8>> =
        std::fs::read_dir(root).unwrap().map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    seeds.sort();
    seeds.push(
        b"[[mapping]]\nname = 'shop'\nabout = 'shop'\nline = '{at} {level} [{thread}] {text}'\ntable = 'Shop_CL'\n\
time = 'at'\nclass = 'control'\n[mapping.fields]\nMessage = 'text'\nSeverity = 'level'\n"
            .to_vec(),
    );
    let samples = [seeds::own(Format::Json), b"2026-06-01T10:00:00Z WARN [a-1] disk [full] soon\n".to_vec()];
    fuzz("fuzz_mapping_language", seeds, move |input, _| {
        let text = String::from_utf8_lossy(input);
        let Ok(mappings) = Mappings::with_built_in(&[("own.toml", &text)]) else { return };
        let mappings = std::sync::Arc::new(mappings);
        for (sample, format) in samples.iter().zip([Format::Json, Format::Syslog]) {
            let options = moneta_formats::DecodeOptions { mappings: mappings.clone(), ..crate::support::options("x") };
            crate::support::decode_pieces(format, options, sample, 1 << 16);
        }
    });
}
