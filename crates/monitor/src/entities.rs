//! Entities: the hosts, accounts, addresses and files that an alert speaks of, in Sentinel's form, and what two alerts
//! must share to be about the same thing.

use std::collections::BTreeSet;

use arrow::array::{Array, AsArray, RecordBatch};
use serde_json::{Map, Value, json};

/// Entities of one alert at most.
pub(crate) const ENTITIES_MAX: usize = 500;

/// Fields and columns that name an entity: the name in lower case, the entity's type, the identifier.
///
/// # Source
/// Azure Monitor's table reference for the columns, Sigma's taxonomy for the fields, Sentinel's "entity types reference"
/// for types and identifiers.
const NAMES: [(&str, &str, &str); 43] = [
    ("computer", "host", "HostName"),
    ("computername", "host", "HostName"),
    ("devicename", "host", "HostName"),
    ("hostname", "host", "HostName"),
    ("workstation", "host", "HostName"),
    ("workstationname", "host", "HostName"),
    ("destinationhostname", "host", "HostName"),
    ("account", "account", "FullName"),
    ("accountname", "account", "Name"),
    ("accountupn", "account", "FullName"),
    ("targetaccount", "account", "FullName"),
    ("targetusername", "account", "Name"),
    ("subjectaccount", "account", "FullName"),
    ("subjectusername", "account", "Name"),
    ("samaccountname", "account", "Name"),
    ("user", "account", "FullName"),
    ("username", "account", "Name"),
    ("userid", "account", "FullName"),
    ("userprincipalname", "account", "FullName"),
    ("caller", "account", "FullName"),
    ("initiatingprocessaccountname", "account", "Name"),
    ("sourceusername", "account", "Name"),
    ("destinationusername", "account", "Name"),
    ("ipaddress", "ip", "Address"),
    ("calleripaddress", "ip", "Address"),
    ("clientip", "ip", "Address"),
    ("c-ip", "ip", "Address"),
    ("cip", "ip", "Address"),
    ("remoteip", "ip", "Address"),
    ("hostip", "ip", "Address"),
    ("sourceip", "ip", "Address"),
    ("sourceipaddress", "ip", "Address"),
    ("srcip", "ip", "Address"),
    ("src_ip", "ip", "Address"),
    ("destinationip", "ip", "Address"),
    ("dstip", "ip", "Address"),
    ("dest_ip", "ip", "Address"),
    ("md5", "filehash", "Value"),
    ("sha1", "filehash", "Value"),
    ("sha256", "filehash", "Value"),
    ("filehash", "filehash", "Value"),
    ("recipientaddress", "mailbox", "MailboxPrimaryAddress"),
    ("mailboxownerupn", "mailbox", "MailboxPrimaryAddress"),
];

/// Accounts that are on every machine: two alerts that share one need not be about the same thing.
const EVERYWHERE: [&str; 10] = [
    "system",
    "local service",
    "network service",
    "anonymous logon",
    "root",
    "nt authority\\system",
    "nt authority\\local service",
    "nt authority\\network service",
    "nt authority\\anonymous logon",
    "unknown",
];

/// Gathers entities, each once.
#[derive(Default)]
pub(crate) struct Entities(Vec<Value>);

impl Entities {
    /// Adds what a field names, if it names anything.
    pub(crate) fn add_field(&mut self, field: &str, value: &str) {
        if let Some((kind, identifier)) = named_by(field) {
            self.add(kind, identifier, value);
        }
    }

    /// Adds what the columns of some rows name, row by row.
    pub(crate) fn add_rows(&mut self, rows: &RecordBatch, wanted: impl Iterator<Item = usize>) {
        let columns = rows.schema_ref().fields().iter().zip(rows.columns()).filter_map(|(field, column)| {
            let (kind, identifier) = named_by(field.name())?;
            Some((kind, identifier, column.as_string_opt::<i32>()?))
        });
        let columns: Vec<_> = columns.collect();
        for row in wanted {
            for (kind, identifier, texts) in columns.iter().filter(|(.., texts)| texts.is_valid(row)) {
                self.add(kind, identifier, texts.value(row));
            }
        }
    }

    /// Adds an entity with one identifier.
    pub(crate) fn add(&mut self, kind: &str, identifier: &str, value: &str) {
        let value = value.trim();
        if self.0.len() >= ENTITIES_MAX || matches!(value, "" | "-" | "::" | "0.0.0.0") {
            return;
        }
        let entity = json!({ "Type": kind, identifier: value });
        if !self.0.contains(&entity) {
            self.0.push(entity);
        }
    }

    /// All of them, in the order in which they came.
    pub(crate) fn into_values(self) -> Vec<Value> {
        self.0
    }
}

/// Type and identifier of the entity that a field or column names, in any case.
fn named_by(field: &str) -> Option<(&'static str, &'static str)> {
    let field = field.to_lowercase();
    NAMES.iter().find(|(name, ..)| *name == field).map(|(_, kind, identifier)| (*kind, *identifier))
}

/// Texts by which entities are compared: the same text is the same thing.
pub(crate) fn keys(entities: &[Value]) -> BTreeSet<String> {
    entities.iter().filter_map(Value::as_object).flat_map(keys_of).collect()
}

fn keys_of(entity: &Map<String, Value>) -> Vec<String> {
    let kind = entity.get("Type").and_then(Value::as_str).unwrap_or("unknown").to_lowercase();
    let members = entity.iter().filter(|(name, _)| *name != "Type");
    let texts = members.filter_map(|(_, value)| value.as_str()).map(|text| text.trim().to_lowercase());
    texts.filter(|text| !text.is_empty()).map(|text| format!("{kind}:{text}")).collect()
}

/// Those keys that say that two alerts are about the same thing: not what is on every machine.
pub(crate) fn linking_keys(entities: &[Value]) -> BTreeSet<String> {
    let links = |key: &String| match key.split_once(':') {
        Some(("account", name)) => !EVERYWHERE.contains(&name),
        Some(("ip", address)) => address.parse::<std::net::IpAddr>().is_ok_and(|ip| {
            let ip = ip.to_canonical();
            !ip.is_loopback() && !ip.is_unspecified()
        }),
        Some(("host" | "filehash" | "mailbox" | "url" | "dns" | "azureresource" | "malware", _)) => true,
        _ => false,
    };
    keys(entities).into_iter().filter(links).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    #[test]
    fn fields_of_rules_and_columns_name_the_same_entities() {
        let mut entities = Entities::default();
        for (field, value) in
            [("Computer", "WEB01"), ("computerName", "WEB01"), ("TargetUserName", "-"), ("src_ip", "192.0.2.7")]
        {
            entities.add_field(field, value);
        }
        entities.add_field("CommandLine", "whoami");
        let found = entities.into_values();
        assert_eq!(
            found,
            [json!({"Type": "host", "HostName": "WEB01"}), json!({"Type": "ip", "Address": "192.0.2.7"})]
        );
        assert_eq!(keys(&found).into_iter().collect::<Vec<_>>(), ["host:web01", "ip:192.0.2.7"]);
    }

    #[test]
    fn rows_name_entities_row_by_row_up_to_the_limit() {
        let column = |values: Vec<Option<String>>| Arc::new(StringArray::from(values)) as ArrayRef;
        let count = ENTITIES_MAX + 10;
        let hosts = (0..count).map(|n| (n != 1).then(|| format!("h{n}"))).collect();
        let users = (0..count).map(|_| Some("ada".to_owned())).collect();
        let numbers = Arc::new(Int64Array::from(vec![7; count])) as ArrayRef;
        let columns = [
            ("Computer", column(hosts)),
            ("Message", column(vec![None; count])),
            ("UserId", numbers),
            ("User", column(users)),
        ];
        let rows =
            RecordBatch::try_from_iter_with_nullable(columns.map(|(name, column)| (name, column, true))).unwrap();
        let mut entities = Entities::default();
        entities.add_rows(&rows, [2, 1, 0].into_iter());
        let host = |name: &str| json!({"Type": "host", "HostName": name});
        let user = json!({"Type": "account", "FullName": "ada"});
        assert_eq!(entities.into_values(), [host("h2"), user, host("h0")]);
        let mut entities = Entities::default();
        entities.add_rows(&rows, 0..count);
        assert_eq!(entities.into_values().len(), ENTITIES_MAX);
    }

    #[test]
    fn what_is_on_every_machine_links_nothing() {
        let entities = [
            json!({"Type": "account", "Name": "SYSTEM"}),
            json!({"Type": "ip", "Address": "::ffff:127.0.0.1"}),
            json!({"Type": "process", "ProcessId": "4"}),
            json!({"Type": "Account", "Name": "ada"}),
        ];
        assert_eq!(linking_keys(&entities).into_iter().collect::<Vec<_>>(), ["account:ada"]);
    }

    #[test]
    fn every_name_is_there_once() {
        let names: BTreeSet<_> = NAMES.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), NAMES.len());
        assert!(NAMES.iter().all(|(name, ..)| *name == name.to_lowercase()));
    }
}
