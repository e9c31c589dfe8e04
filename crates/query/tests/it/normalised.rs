//! The normalised views: they bind against the built-in tables, and bring rows of different tables to one form.

use std::sync::Arc;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableCatalog, Value};
use moneta_ports::{CreateMode, QueryObjects, StoredFunction};
use moneta_query::MemoryTables;

use crate::support::{Fixture, admin, kql};

const VIEWS: [&str; 11] = [
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

type Fields<'a> = &'a [(&'a str, Value<'a>)];

/// All built-in tables, and rows in some of them.
fn installation(rows: &[(&str, Fields<'_>)]) -> Fixture {
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
