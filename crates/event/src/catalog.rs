//! The built-in tables: Microsoft's names, columns and types, and Moneta's own.
//!
//! The lists stand in `tables/*.tables`, one column a line, so that they can be read and compared without code.

use std::collections::BTreeMap;
use std::sync::Arc;

use moneta_base::TableName;

use crate::{Column, ColumnType, TableSchema};

const BUILT_IN: [&str; 2] = [include_str!("../tables/microsoft.tables"), include_str!("../tables/moneta.tables")];

/// Whether only Moneta itself writes to a table: events from outside in it would be forged evidence.
#[must_use]
pub fn is_own_table(name: &str) -> bool {
    [table::MONETA_AUDIT, table::MONETA_HEALTH, table::QUARANTINE, table::QUARANTINE_REPLAY].contains(&name)
}

/// The tables whose rows a query that names a table sees too, with the columns of that table: Windows' own events behind
/// Defender's tables of machines. Rows keep the name of their table (`Type`) and their place in it (`_Seq`).
#[must_use]
pub fn read_with(table: &str) -> &'static [&'static str] {
    match table {
        "DeviceProcessEvents" | "DeviceNetworkEvents" | "DeviceRegistryEvents" => {
            &[self::table::EVENT, self::table::SECURITY_EVENT]
        }
        "DeviceEvents" | "DeviceFileEvents" | "DeviceImageLoadEvents" => &[self::table::EVENT],
        "DeviceLogonEvents" => &[self::table::SECURITY_EVENT],
        _ => &[],
    }
}

/// Names of Moneta's own tables and of those its engines write.
pub mod table {
    /// Records that could not be parsed, with the reason.
    pub const QUARANTINE: &str = "Quarantine";
    /// Quarantined records that became events since.
    pub const QUARANTINE_REPLAY: &str = "QuarantineReplay";
    /// Who did what in Moneta.
    pub const MONETA_AUDIT: &str = "MonetaAudit";
    /// Moneta's own state over time.
    pub const MONETA_HEALTH: &str = "MonetaHealth";
    /// Alerts.
    pub const SECURITY_ALERT: &str = "SecurityAlert";
    /// What was made of alerts: a row per change of an incident.
    pub const SECURITY_INCIDENT: &str = "SecurityIncident";
    /// Windows events of channels other than Security.
    pub const EVENT: &str = "Event";
    /// Windows security events.
    pub const SECURITY_EVENT: &str = "SecurityEvent";
    /// Syslog messages.
    pub const SYSLOG: &str = "Syslog";
    /// IIS and other W3C extended logs.
    pub const W3C_IIS_LOG: &str = "W3CIISLog";
    /// Counters of a machine.
    pub const PERF: &str = "Perf";
    /// Processes of a machine.
    pub const DEVICE_PROCESS_EVENTS: &str = "DeviceProcessEvents";
    /// Messages in the Graylog Extended Log Format.
    pub const GELF: &str = "Gelf_CL";
    /// Events of Fluentd and Fluent Bit whose shape says nothing of their table.
    pub const FLUENT: &str = "Fluent_CL";
    /// Signs of life.
    pub const HEARTBEAT: &str = "Heartbeat";
}

/// The tables that exist before any data arrives. An immutable value: share it in an `Arc`.
#[derive(Debug, Clone, Default)]
pub struct TableCatalog {
    tables: BTreeMap<TableName, Arc<TableSchema>>,
}

impl TableCatalog {
    /// The built-in tables.
    ///
    /// # Panics
    /// When the lists compiled in are malformed, which a test excludes.
    #[must_use]
    pub fn built_in() -> Self {
        let mut catalog = Self::default();
        for text in BUILT_IN {
            for schema in parse_tables(text).expect("the compiled-in table lists are checked by a test") {
                catalog.insert(schema);
            }
        }
        catalog
    }

    /// Adds or replaces a table.
    pub fn insert(&mut self, schema: TableSchema) {
        self.tables.insert(schema.name().clone(), Arc::new(schema));
    }

    /// The table of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<TableSchema>> {
        TableName::new(name).ok().and_then(|name| self.tables.get(&name))
    }

    /// All tables in name order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<TableSchema>> {
        self.tables.values()
    }
}

/// Parses a table list: `[Table]` opens a table, `Column type` adds a column, `#` starts a comment line.
fn parse_tables(text: &str) -> Result<Vec<TableSchema>, String> {
    let mut tables: Vec<(TableName, Vec<Column>)> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let at = |problem: &str| format!("line {}: {problem}: {line}", index + 1);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            tables.push((TableName::new(name).map_err(|e| at(&e.to_string()))?, Vec::new()));
            continue;
        }
        let (name, type_name) = line.split_once(' ').ok_or_else(|| at("expected a name and a type"))?;
        let column_type = ColumnType::parse(type_name).ok_or_else(|| at("unknown type"))?;
        let table = tables.last_mut().ok_or_else(|| at("column before any table"))?;
        table.1.push(Column::new(name, column_type));
    }
    Ok(tables.into_iter().map(|(name, columns)| TableSchema::new(name, columns)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn built_in_tables_are_well_formed() {
        let catalog = TableCatalog::built_in();
        assert!(catalog.iter().count() > 200);
        let security = catalog.get(table::SECURITY_EVENT).unwrap();
        assert_eq!(security.column("EventID").unwrap().column_type, ColumnType::Int);
        assert!(catalog.get(table::QUARANTINE).is_some());
        assert!(catalog.get("NoSuchTable").is_none());
    }

    #[test]
    fn every_table_fits_the_column_limit() {
        for schema in TableCatalog::built_in().iter() {
            assert!(schema.columns().len() <= moneta_base::limits::TABLE_COLUMNS_MAX, "{}", schema.name());
        }
    }

    #[test]
    fn names_the_line_of_a_malformed_list() {
        assert!(parse_tables("[T]\nA strange").unwrap_err().starts_with("line 2: unknown type"));
        assert!(parse_tables("A int").unwrap_err().contains("before any table"));
    }
}
