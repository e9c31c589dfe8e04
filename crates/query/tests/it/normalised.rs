//! The normalised views: they bind against the built-in tables, and bring rows of different tables to one form.

use std::sync::Arc;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableCatalog, Value};
use moneta_ports::{CreateMode, QueryObjects, StoredFunction};
use moneta_query::MemoryTables;

use crate::support::{Fixture, admin, kql};

const VIEWS: [&str; 12] = [
    "_Im_AlertEvent",
    "_Im_AuditEvent",
    "_Im_Authentication",
    "_Im_Dns",
    "_Im_FileEvent",
    "_Im_NetworkSession",
    "_Im_ProcessCreate",
    "_Im_ProcessEvent",
    "_Im_ProcessTerminate",
    "_Im_RegistryEvent",
    "_Im_UserManagement",
    "_Im_WebSession",
];

pub type Fields<'a> = &'a [(&'a str, Value<'a>)];

/// All built-in tables, and rows in some of them.
pub fn installation(rows: &[(&str, Fields<'_>)]) -> Fixture {
    let (catalog, mut tables) = (TableCatalog::built_in(), MemoryTables::default());
    for schema in catalog.iter() {
        let mut builder = BatchBuilder::new(Arc::clone(schema), RecordClass::Control, Delivery::AtLeastOnce);
        for (_, fields) in rows.iter().filter(|(table, _)| *table == schema.name().as_str()) {
            fields.iter().for_each(|(name, value)| builder.set_field(name, *value));
            builder.finish_row(Timestamp::from_seconds(1_767_323_000), &SourceName::lossy("s"), "raw");
        }
        let empty = arrow::array::RecordBatch::new_empty(schema.arrow());
        tables.add(schema, builder.finish().map_or(empty, |batch| batch.rows));
    }
    Fixture::with_tables(tables)
}

#[tokio::test]
async fn every_view_binds_against_the_built_in_tables() {
    let fixture = installation(&[]);
    for view in VIEWS {
        assert_eq!(fixture.rows(kql(&format!("{view}() | count"))).await, ["0"], "{view}");
        let filtered =
            format!("{view}(starttime=ago(1d), endtime=now(), pack=true) | summarize count() by EventSchema, Type");
        assert!(fixture.rows(kql(&filtered)).await.is_empty(), "{view}");
    }
}

#[tokio::test]
async fn sign_ins_of_windows_linux_and_entra_have_one_form() {
    let windows: Fields<'_> = &[
        ("EventID", Value::Long(4625)),
        ("Computer", Value::Text("dc1")),
        ("TargetUserName", Value::Text("ada")),
        ("TargetDomainName", Value::Text("CORP")),
        ("IpAddress", Value::Text("::ffff:192.0.2.7")),
        ("SubStatus", Value::Text("0xC000006A")),
        ("LogonType", Value::Long(10)),
    ];
    let linux: Fields<'_> = &[
        ("Computer", Value::Text("web1")),
        ("ProcessName", Value::Text("sshd")),
        ("EventType", Value::Text("Logon")),
        ("EventResult", Value::Text("Success")),
        ("TargetUsername", Value::Text("ada")),
        ("SrcIpAddr", Value::Text("192.0.2.7")),
    ];
    let entra: Fields<'_> = &[
        ("UserPrincipalName", Value::Text("ada@example.com")),
        ("IPAddress", Value::Text("198.51.100.9")),
        ("ResultType", Value::Text("50034")),
    ];
    let other: Fields<'_> = &[("EventID", Value::Long(4688)), ("NewProcessName", Value::Text("C:\\a.exe"))];
    let fixture =
        installation(&[("SecurityEvent", windows), ("Syslog", linux), ("SigninLogs", entra), ("SecurityEvent", other)]);
    let shown =
        "| project Type, EventResult, EventResultDetails, TargetUsername, SrcIpAddr, EventSubType | order by Type asc";
    assert_eq!(
        fixture.rows(kql(&format!("imAuthentication {shown}"))).await,
        [
            "SecurityEvent|Failure|Incorrect password|CORP\\ada|192.0.2.7|RemoteInteractive",
            "SigninLogs|Failure|No such user|ada@example.com|198.51.100.9|",
            "Syslog|Success||ada|192.0.2.7|",
        ]
    );
    let some = "_Im_Authentication(eventresult='Failure', srcipaddr_has_any_prefix=dynamic(['192.0.2.'])) | count";
    assert_eq!(fixture.rows(kql(some)).await, ["1"]);
    assert_eq!(fixture.rows(kql("imProcessCreate(targetprocess_has_any=dynamic(['a.exe'])) | count")).await, ["1"]);
    assert_eq!(fixture.rows(kql("_Im_ProcessTerminate() | count")).await, ["0"]);
}

/// Rows of each kind, from tables of different products, in the columns of the view.
#[tokio::test]
async fn each_view_brings_rows_of_different_tables_to_one_form() {
    const SYSMON: (&str, Value<'_>) = ("Source", Value::Text("Microsoft-Windows-Sysmon"));
    const HOST: (&str, Value<'_>) = ("Computer", Value::Text("pc1"));
    let event = |id: i64| ("EventID", Value::Long(id));
    let text = |name: &'static str, value: &'static str| (name, Value::Text(value));
    let rows: Vec<(&str, Vec<(&str, Value<'_>)>)> = vec![
        ("Event", vec![SYSMON, HOST, event(22), text("QueryName", "x.example"), text("QueryStatus", "9003")]),
        (
            "SuricataDns_CL",
            vec![
                text("src_ip", "192.0.2.7"),
                text("dns_rrname", "y.example"),
                text("dns_rcode", "NOERROR"),
                text("dns_type", "answer"),
            ],
        ),
        (
            "AWSVPCFlow",
            vec![
                text("Action", "REJECT"),
                text("SrcAddr", "192.0.2.1"),
                ("DstPort", Value::Long(22)),
                ("Protocol", Value::Long(6)),
            ],
        ),
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(3),
                text("SourceIp", "192.0.2.2"),
                text("DestinationPort", "443"),
                text("Protocol", "tcp"),
                text("Initiated", "true"),
            ],
        ),
        (
            "W3CIISLog",
            vec![
                HOST,
                text("csMethod", "GET"),
                text("csUriStem", "/a"),
                text("csUriQuery", "b=c"),
                text("scStatus", "404"),
                text("cIP", "192.0.2.3"),
            ],
        ),
        (
            "WebAccessLog_CL",
            vec![
                text("Method", "POST"),
                text("Uri", "/login"),
                ("Status", Value::Long(200)),
                text("ClientIP", "192.0.2.4"),
            ],
        ),
        ("Event", vec![SYSMON, HOST, event(11), text("TargetFilename", "C:\\a.txt"), text("Image", "C:\\p.exe")]),
        (
            "SecurityEvent",
            vec![
                HOST,
                event(4663),
                text("ObjectType", "File"),
                text("ObjectName", "C:\\b.txt"),
                text("AccessMask", "0x10000"),
            ],
        ),
        (
            "Event",
            vec![
                SYSMON,
                HOST,
                event(13),
                text("EventType", "SetValue"),
                text("TargetObject", "HKLM\\Run\\evil"),
                text("Details", "c.exe"),
            ],
        ),
        (
            "AzureActivity",
            vec![
                text("OperationNameValue", "MICROSOFT.X/Y/DELETE"),
                text("ActivityStatusValue", "Failed"),
                text("Caller", "ada"),
                text("CallerIpAddress", "192.0.2.5"),
            ],
        ),
        (
            "SecurityEvent",
            vec![
                HOST,
                event(4732),
                text("TargetUserName", "Admins"),
                text("MemberName", "-"),
                text("MemberSid", "S-1"),
                text("SubjectUserName", "ada"),
                text("SubjectDomainName", "CORP"),
            ],
        ),
        ("SecurityEvent", vec![HOST, event(4688), text("NewProcessName", "C:\\d.exe"), text("CommandLine", "d /x")]),
        (
            "SecurityAlert",
            vec![
                text("AlertName", "rule"),
                text("AlertSeverity", "High"),
                text("VendorName", "Moneta"),
                text("CompromisedEntity", "pc1"),
            ],
        ),
        (
            "SuricataAlert_CL",
            vec![text("alert_signature", "scan"), ("alert_severity", Value::Long(2)), text("src_ip", "192.0.2.8")],
        ),
        (
            "HostIntrusion_CL",
            vec![HOST, text("Product", "Falco"), text("RuleName", "shell"), text("Severity", "Warning")],
        ),
        ("HostIntrusion_CL", vec![HOST, text("Product", "osquery"), text("RuleName", "users")]),
    ];
    let rows: Vec<(&str, Fields<'_>)> = rows.iter().map(|(table, fields)| (*table, fields.as_slice())).collect();
    let fixture = installation(&rows);
    for (view, columns, expected) in [
        (
            "_Im_Dns",
            "DnsQuery, DnsResponseCodeName, EventResult, SrcIpAddr",
            &["Event|x.example|NXDOMAIN|Failure|", "SuricataDns_CL|y.example|NOERROR|Success|192.0.2.7"][..],
        ),
        (
            "_Im_NetworkSession",
            "DvcAction, SrcIpAddr, DstPortNumber, NetworkProtocol",
            &[
                "AWSVPCFlow|Deny|192.0.2.1|22|TCP",
                "Event|Allow|192.0.2.2|443|TCP",
                "SuricataAlert_CL|Allow|192.0.2.8||",
            ],
        ),
        (
            "_Im_WebSession",
            "Url, HttpRequestMethod, EventResultDetails, EventResult, SrcIpAddr",
            &["W3CIISLog|/a?b=c|GET|404|Failure|192.0.2.3", "WebAccessLog_CL|/login|POST|200|Success|192.0.2.4"],
        ),
        (
            "_Im_FileEvent",
            "EventType, TargetFilePath, ActingProcessName",
            &["Event|FileCreated|C:\\a.txt|C:\\p.exe", "SecurityEvent|FileDeleted|C:\\b.txt|"],
        ),
        (
            "_Im_RegistryEvent",
            "EventType, RegistryKey, RegistryValue, RegistryValueData",
            &["Event|RegistryValueSet|HKLM\\Run|evil|c.exe"],
        ),
        (
            "_Im_AuditEvent",
            "Operation, EventResult, ActorUsername, SrcIpAddr",
            &["AzureActivity|MICROSOFT.X/Y/DELETE|Failure|ada|192.0.2.5"],
        ),
        (
            "_Im_UserManagement",
            "EventType, TargetUsername, GroupName, ActorUsername",
            &["SecurityEvent|UserAddedToGroup|S-1|Admins|CORP\\ada"],
        ),
        (
            "_Im_ProcessCreate",
            "TargetProcessName, TargetProcessCommandLine, DvcHostname",
            &["SecurityEvent|C:\\d.exe|d /x|pc1"],
        ),
        (
            "_Im_AlertEvent",
            "AlertName, EventSeverity, DvcHostname, SrcIpAddr",
            &[
                "HostIntrusion_CL|shell|Medium|pc1|",
                "SecurityAlert|rule|High|pc1|",
                "SuricataAlert_CL|scan|Medium||192.0.2.8",
            ],
        ),
    ] {
        let shown = format!("{view}() | project Type, {columns} | order by Type asc");
        assert_eq!(fixture.rows(kql(&shown)).await, expected, "{view}");
    }
}

#[tokio::test]
async fn a_stored_function_comes_before_a_view_and_never_leads_back_to_itself() {
    let fixture = installation(&[]);
    let put = async |name: &str, body: &str| {
        let (name, parameters, body) = (name.to_owned(), "()".to_owned(), body.to_owned());
        let function = StoredFunction { name, parameters, body, ..StoredFunction::default() };
        fixture.engine.put_function(&admin(), function, CreateMode::Create, false).await
    };
    put("imDns", "{ print Mine = 1 }").await.unwrap();
    assert_eq!(fixture.rows(kql("imDns() | project Mine")).await, ["1"]);
    assert_eq!(fixture.rows(kql("_Im_Dns() | count")).await, ["0"]);
    let error = put("_Im_ProcessEvent", "{ imProcessCreate() }").await.unwrap_err();
    assert!(error.to_string().contains("_Im_ProcessEvent -> imProcessCreate -> _Im_ProcessEvent"), "{error}");
}
