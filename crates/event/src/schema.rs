//! The columns of a table: those every table has and those of its own.

use std::sync::Arc;

use foldhash::HashMap;
use moneta_base::TableName;

use crate::ColumnType;

/// Names of the columns that every table has.
pub mod standard {
    /// Event time in UTC.
    pub const TIME_GENERATED: &str = "TimeGenerated";
    /// Whose data the row is.
    pub const TENANT_ID: &str = "TenantId";
    /// Name of the table.
    pub const TYPE: &str = "Type";
    /// Position in the table's order of arrival, dense from 0.
    pub const SEQ: &str = "_Seq";
    /// When the block of the row was made durable.
    pub const INGEST_TIME: &str = "_IngestTime";
    /// Where the record came from.
    pub const SOURCE: &str = "_Source";
    /// [`RecordClass`](crate::RecordClass) of the row.
    pub const CLASS: &str = "_Class";
    /// [`Delivery`](crate::Delivery) of the row.
    pub const DELIVERY: &str = "_Delivery";
    /// The scrubbed original.
    pub const RAW: &str = "_Raw";
    /// Unknown fields, and values that did not fit their column: a JSON object.
    pub const EXTRA: &str = "_Extra";
}

/// Columns that begin every table, in their order in query results.
const LEADING: [(&str, ColumnType); 3] = [
    (standard::TENANT_ID, ColumnType::String),
    (standard::TIME_GENERATED, ColumnType::DateTime),
    (standard::TYPE, ColumnType::String),
];

/// Columns that end every table, in their order in query results.
const TRAILING: [(&str, ColumnType); 7] = [
    (standard::SEQ, ColumnType::Long),
    (standard::INGEST_TIME, ColumnType::DateTime),
    (standard::SOURCE, ColumnType::String),
    (standard::CLASS, ColumnType::String),
    (standard::DELIVERY, ColumnType::String),
    (standard::RAW, ColumnType::String),
    (standard::EXTRA, ColumnType::Dynamic),
];

/// Bytes of the name of a column at most.
const COLUMN_NAME_BYTES_MAX: usize = 256;

/// Columns whose values follow from the block header and are not stored in a batch.
pub const IMPLIED_BY_HEADER: [&str; 4] = [standard::TENANT_ID, standard::TYPE, standard::SEQ, standard::INGEST_TIME];

/// Whether a table of the user's own may have a column of that name.
#[must_use]
pub fn is_column_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= COLUMN_NAME_BYTES_MAX
        && !name.starts_with('_')
        && !name.chars().any(char::is_control)
        && !name.ends_with(crate::stored::TICKS_SUFFIX)
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Column {
    /// Case-sensitive name.
    pub name: Arc<str>,
    /// Kusto type.
    pub column_type: ColumnType,
}

impl Column {
    /// A column.
    #[must_use]
    pub fn new(name: &str, column_type: ColumnType) -> Self {
        Self { name: name.into(), column_type }
    }
}

/// The name and columns of a table, standard columns included, in query order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    name: TableName,
    columns: Vec<Column>,
    by_name: HashMap<Arc<str>, usize>,
}

impl TableSchema {
    /// A table with its own columns between the leading and trailing standard ones. A column named like a standard
    /// one, or like an earlier one, is left out: the first meaning of a name stays.
    #[must_use]
    pub fn new(name: TableName, own_columns: impl IntoIterator<Item = Column>) -> Self {
        let standard = |pairs: &[(&str, ColumnType)]| pairs.iter().map(|(n, t)| Column::new(n, *t)).collect::<Vec<_>>();
        let trailing = standard(&TRAILING);
        let mut schema = Self { name, columns: Vec::new(), by_name: HashMap::default() };
        standard(&LEADING).into_iter().for_each(|column| schema.push(column));
        own_columns
            .into_iter()
            .filter(|column| !trailing.iter().any(|t| t.name == column.name))
            .for_each(|column| schema.push(column));
        trailing.into_iter().for_each(|column| schema.push(column));
        schema
    }

    /// A table of the user's own that has no columns yet but the standard ones.
    #[must_use]
    pub fn custom(name: TableName) -> Self {
        Self::new(name, [])
    }

    fn push(&mut self, column: Column) {
        if !self.by_name.contains_key(&column.name) {
            self.by_name.insert(column.name.clone(), self.columns.len());
            self.columns.push(column);
        }
    }

    /// This table with further columns of its own, before the trailing standard ones.
    #[must_use]
    pub fn with_columns(&self, added: impl IntoIterator<Item = Column>) -> Self {
        Self::new(self.name.clone(), self.own_columns().iter().cloned().chain(added))
    }

    /// The columns that not every table has, in query order.
    #[must_use]
    pub fn own_columns(&self) -> &[Column] {
        &self.columns[LEADING.len()..self.columns.len() - TRAILING.len()]
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &TableName {
        &self.name
    }

    /// All columns in query order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The position of a column.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.index_of(name).map(|index| &self.columns[index])
    }

    /// The Arrow schema of the whole table, in query order.
    #[must_use]
    pub fn arrow(&self) -> arrow::datatypes::SchemaRef {
        let fields: Vec<_> = self.columns.iter().map(|c| c.column_type.field(&c.name)).collect();
        Arc::new(arrow::datatypes::Schema::new(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_columns_stand_between_the_standard_ones_and_never_replace_them() {
        let own = [
            Column::new("A", ColumnType::Int),
            Column::new("_Seq", ColumnType::String),
            Column::new("A", ColumnType::Real),
        ];
        let schema =
            TableSchema::new(TableName::new("T").unwrap(), own).with_columns([Column::new("B", ColumnType::Bool)]);
        let names: Vec<_> = schema.columns().iter().map(|c| &*c.name).collect();
        assert_eq!(names[..5], ["TenantId", "TimeGenerated", "Type", "A", "B"]);
        assert_eq!(names.len(), 12);
        assert_eq!(schema.column("A").unwrap().column_type, ColumnType::Int);
        assert_eq!(schema.column("_Seq").unwrap().column_type, ColumnType::Long);
    }
}
