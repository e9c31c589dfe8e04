//! Azure resource logs without a table of their own, as rows of `AzureDiagnostics`.
//!
//! Layout: the common envelope (`time`, `resourceId`, `operationName`, `category`, `resultType`, ...) fills columns;
//! everything within `properties`, `identity` and other members becomes a column named by its path, joined by `_`,
//! with the type behind it: `_s` text, `_d` number, `_b` truth value, `_t` time, `_g` GUID. Lists are text.

use moneta_base::TableName;
use moneta_event::{RecordClass, Value};

use super::{set_text, time_of};
use crate::clock_text;
use crate::json::{Document, Item, Kind};
use crate::mapping::find_column;
use crate::output::{Output, Refusal, TableId};

/// Members of the envelope with their columns.
const ENVELOPE: [(&str, &str); 15] = [
    ("resourceId", "ResourceId"),
    ("operationName", "OperationName"),
    ("operationVersion", "OperationVersion"),
    ("category", "Category"),
    ("resultType", "ResultType"),
    ("resultSignature", "ResultSignature"),
    ("resultDescription", "ResultDescription"),
    ("durationMs", "DurationMs"),
    ("callerIpAddress", "CallerIPAddress"),
    ("correlationId", "CorrelationId"),
    ("level", "Level"),
    ("tenantId", "AADTenantId"),
    ("status", "Status"),
    ("subscriptionId", "SubscriptionId"),
    ("resourceGroup", "ResourceGroup"),
];

/// Columns that one record may name; its further fields stay in one text.
const COLUMNS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;

pub(super) fn write(item: Item<'_>, table: &TableName, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let time = time_of(item.members().find(|(name, _)| is_time(name)).map(|(_, time)| time), output)?;
    let id = output.table(table);
    let mut flattener = Flattener { table: id, name: String::new(), scratch: Document::default(), columns: 0 };
    for (name, member) in item.members() {
        let column = ENVELOPE.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, column)| *column);
        match (column, member.value()) {
            (_, None) => {}
            (None, _) if is_time(name) => {}
            (Some(column), Some(value)) if member.scalar().is_some() => {
                find_column(output, id, column).write(output, id, value, &mut flattener.scratch);
            }
            _ => {
                flattener.name.clear();
                // What lies in `properties` is named without it.
                if !name.eq_ignore_ascii_case("properties") || !member.is_object() {
                    flattener.name.push_str(&column_part(name));
                }
                flattener.write(member, output);
            }
        }
    }
    let resource = item.members().find(|(name, _)| name.eq_ignore_ascii_case("resourceId"));
    if let Some(text) = resource.and_then(|(_, value)| value.text()) {
        ResourceId::parse(text).write(id, output);
    }
    output.finish_row(id, RecordClass::Control, time, raw);
    Ok(())
}

fn is_time(name: &str) -> bool {
    name.eq_ignore_ascii_case("time")
}

struct Flattener {
    table: TableId,
    /// The column's name without its type, as far as the path has come.
    name: String,
    scratch: Document,
    columns: usize,
}

impl Flattener {
    fn write(&mut self, item: Item<'_>, output: &mut Output) {
        let length = self.name.len();
        if item.is_object() && self.columns < COLUMNS_MAX {
            for (name, member) in item.members() {
                if !self.name.is_empty() {
                    self.name.push('_');
                }
                self.name.push_str(&column_part(name));
                self.write(member, output);
                self.name.truncate(length);
            }
            return;
        }
        self.columns += 1;
        let Some(value) = item.value() else { return };
        let (suffix, value) = match value {
            Value::Text(text) if is_guid(text) => ("_g", value),
            Value::Text(text) => match clock_text::parse_iso(text, 0).filter(|_| text.len() >= 19) {
                Some(time) => ("_t", Value::Time(time)),
                None => ("_s", value),
            },
            Value::Bool(_) => ("_b", value),
            Value::Long(_) | Value::Real(_) => ("_d", value),
            _ if item.kind() == Kind::Number => ("_s", Value::Text(item.raw())),
            _ => ("_s", Value::Text(item.raw())),
        };
        self.name.push_str(suffix);
        find_column(output, self.table, &self.name).write(output, self.table, value, &mut self.scratch);
        self.name.truncate(length);
    }
}

fn column_part(name: &str) -> String {
    name.chars().take(256).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

/// The parts of an Azure resource's identifier.
///
/// # Shapes
/// `/subscriptions/<id>/resourceGroups/<group>/providers/<provider>/<type>/<name>[/<type>/<name>...]`
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceId<'a> {
    pub whole: &'a str,
    pub subscription: &'a str,
    pub group: &'a str,
    pub provider: &'a str,
    pub kind: String,
    pub name: &'a str,
}

impl<'a> ResourceId<'a> {
    /// Takes an identifier apart; parts it does not have are empty.
    pub fn parse(text: &'a str) -> Self {
        let mut id = Self { whole: text, ..Self::default() };
        let mut parts = text.split('/').filter(|part| !part.is_empty());
        while let Some(part) = parts.next() {
            match part.to_ascii_lowercase().as_str() {
                "subscriptions" => id.subscription = parts.next().unwrap_or_default(),
                "resourcegroups" => id.group = parts.next().unwrap_or_default(),
                "providers" => {
                    id.provider = parts.next().unwrap_or_default();
                    id.kind.clear();
                }
                kind => {
                    if !id.kind.is_empty() {
                        id.kind.push('/');
                    }
                    id.kind.push_str(kind);
                    id.name = parts.next().unwrap_or_default();
                }
            }
        }
        id
    }

    /// Sets the columns that a table has for the parts, where nothing else has set them.
    pub fn write(&self, table: TableId, output: &mut Output) {
        let lower = self.whole.to_ascii_lowercase();
        for (column, text) in [
            ("_ResourceId", lower.as_str()),
            ("_SubscriptionId", self.subscription),
            ("ResourceId", self.whole),
            ("SubscriptionId", self.subscription),
            ("ResourceGroup", self.group),
            ("ResourceProvider", self.provider),
            ("ResourceProviderValue", self.provider),
            ("ResourceType", &self.kind),
            ("Resource", self.name),
        ] {
            if output.is_unset_column(table, column) {
                set_text(output, table, column, text);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_taken_apart() {
        let id = ResourceId::parse("/SUBSCRIPTIONS/S1/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.SQL/SERVERS/A/DATABASES/B");
        assert_eq!((id.subscription, id.group, id.provider, id.name), ("S1", "G", "MICROSOFT.SQL", "B"));
        assert_eq!(id.kind, "servers/databases");
        assert_eq!(ResourceId::parse("x").name, "");
    }
}
