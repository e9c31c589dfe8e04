//! What an audit record must say, and the columns that say it.
//!
//! The columns are those of the built-in tables; a table of the user's own counts by the same names. A column that is
//! empty or holds `-` says nothing.
//!
//! # Source
//! NIST SP 800-53 revision 5, AU-3: what, when, where, source, outcome, identity.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;
use moneta_event::schema::standard;

/// Number of facets.
pub(crate) const FACETS: usize = 6;

/// The identity of a person, account or other subject.
pub(crate) const WHO: usize = 0;
/// The kind of event.
pub(crate) const WHAT: usize = 1;
/// When it happened.
pub(crate) const WHEN: usize = 2;
/// The machine, resource or address where it happened.
pub(crate) const WHERE: usize = 3;
/// The program, product or service it comes from.
pub(crate) const ORIGIN: usize = 4;
/// How it ended.
pub(crate) const OUTCOME: usize = 5;

const COLUMNS: [&[&str]; FACETS] = [
    &[
        "Account",
        "AccountName",
        "SubjectUserName",
        "TargetUserName",
        "TargetUsername",
        "ActorUsername",
        "UserName",
        "UserId",
        "UserPrincipalName",
        "UserDisplayName",
        "Identity",
        "InitiatedBy",
        "ServicePrincipalName",
        "ServicePrincipalId",
        "ManagedIdentityName",
        "Caller",
        "RequesterUpn",
        "RequesterObjectId",
        "AuthenticationHash",
        "csUserName",
        "RemoteUser",
        "SourceUserName",
        "DestinationUserName",
        "ServerPrincipalName",
        "LoginName",
        "UserIdentityArn",
        "UserIdentityPrincipalid",
        "UserIdentityUserName",
        "ActorId",
        "Actor",
        "ActorName",
        "User",
        "Auid",
        "Uid",
        "SystemUserId",
        "InitiatingProcessAccountName",
        "AccountUpn",
        "CallerNumber",
        "CallerUpn",
        "CallerUserId",
        "actor_alternateId_s",
        "Caller_s",
        "identity_claim_appid_g",
    ],
    &[
        "EventID",
        "EventId",
        "Activity",
        "ActivityDisplayName",
        "OperationName",
        "OperationNameValue",
        "Operation",
        "EventName",
        "EventType",
        "ActionType",
        "ActionName",
        "ActionId",
        "Action",
        "RecordType",
        "csMethod",
        "Method",
        "DeviceEventClassID",
        "SyslogMessage",
        "Message",
        "Description",
        "RenderedDescription",
        "RuleName",
        "RuleId",
        "AlertName",
        "alert_signature",
        "event_type",
        "CounterName",
        "Name",
        "FlowType",
        "CallType",
        "Category",
    ],
    &[standard::TIME_GENERATED],
    &[
        "Computer",
        "DeviceName",
        "DvcHostname",
        "HostName",
        "_ResourceId",
        "ResourceId",
        "Resource",
        "TargetResources",
        "LogicalServerName",
        "AccountName",
        "Uri",
        "sIP",
        "Host",
        "DestinationHostName",
        "DestinationIP",
        "DeviceAddress",
        "AWSRegion",
        "IPAddress",
        "CallerIpAddress",
        "ClientIP",
        "SrcIpAddr",
        "SrcIp",
        "DestIp",
        "src_ip",
        "dest_ip",
        "id_orig_h",
        "SourceIpAddress",
        "SourceIP",
        "Location",
        "Trunk",
    ],
    &[
        "SourceSystem",
        "EventSourceName",
        "ProcessName",
        "Source",
        "Provider",
        "ProviderName",
        "Channel",
        "EventLog",
        "DeviceProduct",
        "DeviceVendor",
        "EventSource",
        "ResourceProvider",
        "ResourceProviderValue",
        "LoggedByService",
        "AppDisplayName",
        "ApplicationName",
        "OfficeWorkload",
        "ServiceType",
        "sSiteName",
        "Service",
        "ObjectName",
        "Product",
        "Executable",
        "InitiatingProcessFileName",
        "AppRoleName",
        standard::SOURCE,
    ],
    &[
        "EventResult",
        "Result",
        "ResultType",
        "ResultSignature",
        "ResultStatus",
        "ResultCode",
        "Status",
        "StatusCode",
        "StatusText",
        "Succeeded",
        "Successful",
        "Success",
        "Outcome",
        "EventOutcome",
        "ActivityStatusValue",
        "ActivityStatus",
        "LoginStatus",
        "scStatus",
        "DeviceAction",
        "Keywords",
        "ErrorCode",
        "FlowStatus",
        "Action",
        "ActionType",
        "alert_action",
        "http_status",
        "ExitCode",
        "conn_state",
        "rcode_name",
    ],
];

/// Which rows of a batch say what.
pub(crate) struct Facets {
    columns: [Vec<ArrayRef>; FACETS],
}

impl Facets {
    pub(crate) fn of(rows: &RecordBatch) -> Self {
        // Most columns of a wide table are empty in a batch.
        let filled = |column: &&ArrayRef| column.null_count() < column.len();
        let present = |names: &[&str]| {
            names.iter().filter_map(|name| rows.column_by_name(name).filter(filled).cloned()).collect()
        };
        Self { columns: COLUMNS.map(present) }
    }

    /// Counts what a row says.
    pub(crate) fn count(&self, row: usize, filled: &mut [u64; FACETS]) {
        for (columns, count) in self.columns.iter().zip(filled) {
            *count += u64::from(columns.iter().any(|column| says_something(column, row)));
        }
    }
}

fn says_something(column: &ArrayRef, row: usize) -> bool {
    if column.is_null(row) {
        return false;
    }
    match column.data_type() {
        DataType::Utf8 => !matches!(column.as_string::<i32>().value(row), "" | "-" | "null" | "{}" | "[]" | "\"\""),
        _ => true,
    }
}
