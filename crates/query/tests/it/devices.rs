//! The views over Defender's tables of machines: events of Sysmon and of the security log as rows of these.

use std::sync::Arc;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{ParsedBatch, TableCatalog, Value};
use moneta_formats::{DecodeOptions, Decoder, Format};
use moneta_ports::{CreateMode, QueryObjects, StoredFunction};
use moneta_query::MemoryTables;
use moneta_testkit::corpus_or_skip;

use crate::normalised::{Fields, installation};
use crate::support::{Fixture, admin, kql};

const VIEWS: [&str; 7] = [
    "DeviceEvents",
    "DeviceFileEvents",
    "DeviceImageLoadEvents",
    "DeviceLogonEvents",
    "DeviceNetworkEvents",
    "DeviceProcessEvents",
    "DeviceRegistryEvents",
];

const SYSMON: (&str, Value<'_>) = ("Source", Value::Text("Microsoft-Windows-Sysmon"));
const HOST: (&str, Value<'_>) = ("Computer", Value::Text("pc1"));

fn text(name: &'static str, value: &'static str) -> (&'static str, Value<'static>) {
    (name, Value::Text(value))
}

fn event(id: i64) -> (&'static str, Value<'static>) {
    ("EventID", Value::Long(id))
}

fn with_rows(rows: &[(&'static str, Vec<(&'static str, Value<'static>)>)]) -> Fixture {
    let rows: Vec<(&str, Fields<'_>)> = rows.iter().map(|(table, fields)| (*table, fields.as_slice())).collect();
    installation(&rows)
}

#[tokio::test]
async fn a_view_has_the_columns_of_its_table() {
    let fixture = installation(&[]);
    for view in VIEWS {
        let of_table = fixture.rows(kql(&format!("table('{view}') | getschema"))).await;
        assert_eq!(fixture.rows(kql(&format!("{view} | getschema"))).await, of_table, "{view}");
        assert!(of_table.len() > 30, "{view}");
    }
}

fn processes() -> Fixture {
    with_rows(&[
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(1),
                text("Image", r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe"),
                text("CommandLine", "powershell -enc QQA="),
                text("ProcessId", "4712"),
                text("User", r"CORP\ada"),
                text("Hashes", "MD5=0123456789ABCDEF0123456789ABCDEF,SHA256=AB01,IMPHASH=00"),
                text("IntegrityLevel", "High"),
                text("ParentImage", r"C:\Windows\explorer.exe"),
                text("ParentProcessId", "88"),
                text("ParentUser", r"CORP\eve"),
            ],
        ),
        (
            "SecurityEvent",
            vec![
                HOST,
                event(4688),
                text("NewProcessName", r"C:\Windows\System32\cmd.exe"),
                text("CommandLine", "cmd /c dir"),
                text("NewProcessId", "0x1268"),
                text("ProcessId", "0x58"),
                text("ParentProcessName", r"C:\Windows\explorer.exe"),
                text("SubjectUserName", "ada"),
                text("SubjectDomainName", "CORP"),
                text("SubjectUserSid", "S-1-5-21-1"),
                text("SubjectLogonId", "0x3e7"),
                text("TargetUserName", "-"),
                text("MandatoryLabel", "S-1-16-8192"),
                text("TokenElevationType", "%%1938"),
            ],
        ),
        ("DeviceProcessEvents", vec![text("DeviceName", "pc2"), text("FileName", "Bash"), text("ActionType", "X")]),
        ("Event", vec![SYSMON, HOST, event(5), text("Image", r"C:\powershell.exe")]),
        ("SecurityEvent", vec![HOST, event(4689), text("ProcessName", r"C:\cmd.exe")]),
    ])
}

#[tokio::test]
async fn processes_of_sysmon_and_of_the_security_log_are_rows_of_defenders_table() {
    let fixture = processes();
    let found = |condition: &str, columns: &str| {
        let query = format!("DeviceProcessEvents | where {condition} | project {columns}");
        let fixture = &fixture;
        async move { fixture.rows(kql(&query)).await }
    };
    assert_eq!(
        found(
            "FileName =~ 'PowerShell.exe'",
            "Type, ActionType, DeviceName, DeviceId, AccountDomain, AccountName, ProcessId, ProcessIntegrityLevel, MD5, SHA256, \
             InitiatingProcessFileName, InitiatingProcessId, InitiatingProcessAccountName, Timestamp"
        )
        .await,
        ["Event|ProcessCreated|pc1|pc1|CORP|ada|4712|High|0123456789abcdef0123456789abcdef|ab01|explorer.exe|88|eve|\
          2026-01-02T03:03:20Z"]
    );
    assert_eq!(
        found(
            "ProcessCommandLine has 'dir'",
            "Type, FileName, FolderPath, ProcessId, AccountName, AccountSid, LogonId, ProcessIntegrityLevel, \
             ProcessTokenElevation, InitiatingProcessFolderPath, InitiatingProcessId"
        )
        .await,
        [
            r"SecurityEvent|cmd.exe|C:\Windows\System32\cmd.exe|4712|ada|S-1-5-21-1|999|Medium|TokenElevationTypeLimited|C:\Windows\explorer.exe|88"
        ]
    );
    assert_eq!(found("DeviceName == 'pc2'", "DeviceName, FileName").await, ["pc2|Bash"]);
}

#[tokio::test]
async fn no_event_is_found_twice() {
    let fixture = processes();
    for (query, rows) in [
        ("DeviceProcessEvents", "3"),
        ("table('DeviceProcessEvents')", "1"),
        ("database('moneta').DeviceProcessEvents", "3"),
        ("union Device*", "1"),
        ("union DeviceProcessEvents, DeviceNetworkEvents", "3"),
        ("search in (DeviceProcessEvents) 'powershell'", "1"),
        ("imProcessCreate", "3"),
        ("let t = DeviceProcessEvents; t", "3"),
        // A query that names the tables behind a view reads them itself, as content for several products does.
        ("union Event, DeviceProcessEvents", "4"),
        ("union (SecurityEvent | where EventID == 4688), (Event | where EventID == 1), DeviceProcessEvents", "3"),
        ("let known = SecurityEvent | where EventID == 4688; union known, DeviceProcessEvents", "3"),
        ("union imProcessCreate, DeviceProcessEvents", "6"),
    ] {
        assert_eq!(fixture.rows(kql(&format!("{query} | count"))).await, [rows], "{query}");
    }
}

#[tokio::test]
async fn a_stored_function_replaces_a_view() {
    let fixture = processes();
    let (name, body) = ("DeviceProcessEvents".to_owned(), "{ table('DeviceProcessEvents') }".to_owned());
    let function = StoredFunction { name, parameters: "()".to_owned(), body, ..StoredFunction::default() };
    fixture.engine.put_function(&admin(), function, CreateMode::Create, false).await.unwrap();
    assert_eq!(fixture.rows(kql("DeviceProcessEvents | count")).await, ["1"]);
}

#[tokio::test]
async fn the_other_events_of_machines_are_rows_of_their_tables() {
    const PACKET: &str = "<EventData><Data Name=\"ProcessID\">812</Data><Data Name=\"Application\">\\device\\harddiskvolume1\\windows\\system32\\svchost.exe</Data><Data Name=\"Direction\">%%14592</Data><Data Name=\"SourceAddress\">203.0.113.9</Data><Data Name=\"SourcePort\">50122</Data><Data Name=\"DestAddress\">10.0.0.5</Data><Data Name=\"DestPort\">3389</Data><Data Name=\"Protocol\">6</Data></EventData>";
    let fixture = with_rows(&[
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(3),
                text("Image", r"C:\a\nc.exe"),
                text("ProcessId", "7"),
                text("User", r"CORP\ada"),
                text("Protocol", "tcp"),
                text("Initiated", "true"),
                text("SourceIp", "10.0.0.5"),
                text("SourcePort", "50000"),
                text("DestinationIp", "198.51.100.7"),
                text("DestinationPort", "443"),
                text("DestinationHostname", "x.example"),
            ],
        ),
        // Later versions of Sysmon name the far end of an inbound connection first.
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(3),
                text("Image", r"C:\Windows\System32\svchost.exe"),
                text("ProcessId", "8"),
                text("Protocol", "tcp"),
                text("Initiated", "false"),
                text("SourceIp", "192.168.56.1"),
                text("SourcePort", "52543"),
                text("DestinationIp", "192.168.56.101"),
                text("DestinationPort", "3389"),
            ],
        ),
        ("SecurityEvent", vec![HOST, event(5156), ("EventData", Value::Text(PACKET))]),
        ("Event", vec![SYSMON, HOST, event(7), text("Image", r"C:\a.exe"), text("ImageLoaded", r"C:\b\evil.dll")]),
        ("Event", vec![SYSMON, HOST, event(11), text("Image", r"C:\a.exe"), text("TargetFilename", r"C:\b\x.ps1")]),
        ("Event", vec![SYSMON, HOST, event(23), text("Image", r"C:\a.exe"), text("TargetFilename", r"C:\b\y.ps1")]),
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(13),
                text("EventType", "SetValue"),
                text("TargetObject", r"HKLM\System\CurrentControlSet\Control\Lsa\LmLevel"),
                text("Details", "DWORD (0x0000000a)"),
            ],
        ),
        ("Event", vec![SYSMON, HOST, event(12), text("EventType", "CreateKey"), text("TargetObject", r"HKU\S-1\K")]),
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(14),
                text("EventType", "RenameKey"),
                text("TargetObject", r"HKLM\A\old"),
                text("NewName", r"HKLM\A\new"),
            ],
        ),
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(22),
                text("QueryName", "x.example"),
                text("QueryStatus", "0"),
                text("Image", r"C:\a.exe"),
            ],
        ),
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(10),
                text("SourceImage", r"C:\mimi.exe"),
                text("TargetImage", r"C:\Windows\System32\lsass.exe"),
                text("GrantedAccess", "0x1010"),
            ],
        ),
        (
            "SecurityEvent",
            vec![
                HOST,
                event(4624),
                text("TargetUserName", "ada"),
                text("TargetDomainName", "CORP"),
                ("LogonType", Value::Long(10)),
                text("IpAddress", "::ffff:203.0.113.9"),
                text("IpPort", "50123"),
                text("WorkstationName", "-"),
                text("ProcessName", r"C:\Windows\System32\winlogon.exe"),
            ],
        ),
        (
            "SecurityEvent",
            vec![
                HOST,
                event(4625),
                text("TargetUserName", "bob"),
                ("LogonType", Value::Long(3)),
                text("SubStatus", "0xC000006A"),
            ],
        ),
    ]);
    for (query, expected) in [
        (
            "DeviceNetworkEvents | project Type, ActionType, RemoteIP, RemotePort, RemoteUrl, RemoteIPType, LocalIP, LocalPort, \
             LocalIPType, Protocol, InitiatingProcessFileName, InitiatingProcessId",
            &[
                "Event|ConnectionSuccess|198.51.100.7|443|x.example|Public|10.0.0.5|50000|Private|Tcp|nc.exe|7",
                "Event|InboundConnectionAccepted|192.168.56.1|52543||Private|192.168.56.101|3389|Private|Tcp|svchost.exe|8",
                "SecurityEvent|InboundConnectionAccepted|203.0.113.9|50122||Public|10.0.0.5|3389|Private|Tcp|svchost.exe|812",
            ][..],
        ),
        (
            "DeviceImageLoadEvents | project Type, ActionType, FileName, InitiatingProcessFileName",
            &["Event|ImageLoaded|evil.dll|a.exe"],
        ),
        (
            "DeviceFileEvents | project Type, ActionType, FileName, FolderPath",
            &[r"Event|FileCreated|x.ps1|C:\b\x.ps1", r"Event|FileDeleted|y.ps1|C:\b\y.ps1"],
        ),
        (
            "DeviceRegistryEvents | project Type, ActionType, RegistryKey, RegistryValueName, RegistryValueData, \
             RegistryValueType, PreviousRegistryKey",
            &[
                r"Event|RegistryKeyCreated|HKEY_USERS\S-1\K||||",
                r"Event|RegistryKeyRenamed|HKEY_LOCAL_MACHINE\A\new||||HKEY_LOCAL_MACHINE\A\old",
                r"Event|RegistryValueSet|HKEY_LOCAL_MACHINE\System\CurrentControlSet\Control\Lsa|LmLevel|10|Dword|",
            ],
        ),
        (
            "DeviceEvents | project Type, ActionType, FileName, InitiatingProcessFileName, \
             tostring(AdditionalFields.DnsQueryString), tolong(AdditionalFields.DesiredAccess)",
            &["Event|DnsQueryResponse||a.exe|x.example|", "Event|OpenProcessApiCall|lsass.exe|mimi.exe||4112"],
        ),
        (
            "DeviceLogonEvents | project Type, ActionType, AccountDomain, AccountName, LogonType, RemoteIP, RemotePort, \
             RemoteIPType, RemoteDeviceName, FailureReason, InitiatingProcessFileName",
            &[
                "SecurityEvent|LogonFailed||bob|Network|||||InvalidUserNameOrPassword|",
                "SecurityEvent|LogonSuccess|CORP|ada|RemoteInteractive|203.0.113.9|50123|Public|||winlogon.exe",
            ],
        ),
    ] {
        assert_eq!(
            fixture.rows(kql(&format!("{query} | order by Type asc, ActionType asc"))).await,
            expected,
            "{query}"
        );
    }
}

/// Every record of a file in JSON lines.
fn of_sample(name: &str) -> Option<Fixture> {
    let path = corpus_or_skip(1, name)?;
    let (catalog, mut tables) = (Arc::new(TableCatalog::built_in()), MemoryTables::default());
    for schema in catalog.iter() {
        tables.add(schema, arrow::array::RecordBatch::new_empty(schema.arrow()));
    }
    let received = Timestamp::parse("2026-06-15").unwrap();
    let options = DecodeOptions::new(Arc::clone(&catalog), SourceName::lossy(name), received);
    let mut batches: Vec<ParsedBatch> = Vec::new();
    let mut decoder = Decoder::new(Format::Ndjson, options);
    decoder.feed(&std::fs::read(path).unwrap(), &mut |portion| batches.extend(portion.batches));
    decoder.finish(&mut |portion| batches.extend(portion.batches));
    for batch in batches {
        tables.add(catalog.get(batch.table.as_str()).unwrap(), batch.rows);
    }
    Some(Fixture::with_tables(tables))
}

/// What is expected was counted and read in the file itself, by event number and provider.
#[tokio::test]
async fn hunting_queries_find_what_sysmon_and_windows_recorded_of_an_intrusion() {
    let Some(fixture) = of_sample("samples/winlogbeat_json/winlogbeat6_empire_enable_rdp_first500.json") else {
        return;
    };
    for (query, expected) in [
        ("DeviceProcessEvents | summarize count() by Type", &["Event|3", "SecurityEvent|8"][..]),
        ("DeviceNetworkEvents | summarize count() by Type", &["Event|37", "SecurityEvent|51"]),
        ("DeviceImageLoadEvents | summarize count() by ActionType", &["ImageLoaded|70"]),
        ("DeviceFileEvents | summarize count() by ActionType", &["FileCreated|5"]),
        ("DeviceRegistryEvents | summarize count() by ActionType", &["RegistryKeyCreated|19", "RegistryValueSet|4"]),
        ("DeviceLogonEvents | summarize count() by ActionType", &["LogonSuccess|8"]),
        ("DeviceEvents | summarize count() by ActionType", &["NamedPipeEvent|11", "OpenProcessApiCall|45"]),
        (
            "DeviceProcessEvents | where FileName =~ 'REG.EXE' and ProcessCommandLine has 'fDenyTSConnections' | project Type, \
             DeviceName, ProcessId, AccountName, LogonId, SHA1, ProcessIntegrityLevel, InitiatingProcessFileName, \
             InitiatingProcessId",
            &[
                "Event|HR001.shire.com|7792|nmartha|789663|429df8371b437209d79dc97978c33157d1a71c4b|High|powershell.exe|5452",
                "SecurityEvent|HR001.shire.com|7792|nmartha|789663||High|powershell.exe|5452",
            ],
        ),
        (
            "DeviceRegistryEvents | where RegistryValueName == 'fDenyTSConnections' \
             | project RegistryKey, RegistryValueData, RegistryValueType",
            &[r"HKEY_LOCAL_MACHINE\System\CurrentControlSet\Control\Terminal Server|0|Dword"],
        ),
        (
            "DeviceNetworkEvents | where RemoteIPType == 'Public' | summarize count() by RemoteIP, RemotePort",
            &["20.44.85.239|443|2"],
        ),
        // One connection, seen by both and on both of its ends.
        (
            "DeviceNetworkEvents | where RemotePort == 53120 or LocalPort == 53120 | project Type, ActionType, DeviceName, \
             RemoteIP, RemotePort, LocalIP, LocalPort, Protocol, InitiatingProcessFileName | order by DeviceName asc, Type asc",
            &[
                "Event|InboundConnectionAccepted|HFDC01.shire.com|172.18.39.106|53120|172.18.39.5|49667|Tcp|lsass.exe",
                "SecurityEvent|InboundConnectionAccepted|HFDC01.shire.com|172.18.39.106|53120|172.18.39.5|49667|Tcp|lsass.exe",
                "SecurityEvent|ConnectionSuccess|HR001.shire.com|172.18.39.5|49667|172.18.39.106|53120|Tcp|lsass.exe",
            ],
        ),
        (
            "DeviceLogonEvents | where LogonType == 'Network' and RemoteIP == '172.18.39.106' \
             | project AccountName, AccountDomain, RemotePort, Protocol",
            &["HR001$|SHIRE.COM|53120|Kerberos", "HR001$|SHIRE.COM|53122|Kerberos"],
        ),
        // The ends of a session are those of who began it.
        (
            "imNetworkSession | where SrcPortNumber == 53120 | project Type, SrcIpAddr, DstIpAddr, DstPortNumber",
            &[
                "Event|172.18.39.106|172.18.39.5|49667",
                "SecurityEvent|172.18.39.106|172.18.39.5|49667",
                "SecurityEvent|172.18.39.106|172.18.39.5|49667",
            ],
        ),
    ] {
        let mut rows = fixture.rows(kql(query)).await;
        if !query.contains("order by") {
            rows.sort();
        }
        assert_eq!(rows, expected, "{query}");
    }
}
