//! Kusto's scalar types and their Arrow forms, and the classes a record belongs to.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, TimeUnit};

use crate::decimal;

/// Arrow field metadata key that carries the Kusto type: `string`, `dynamic` and `guid` share one Arrow type.
pub const TYPE_METADATA_KEY: &str = "moneta.type";

/// Digits of a `decimal` in a table.
pub const DECIMAL_PRECISION: u8 = 38;
/// Digits after the point of a `decimal` in a table.
pub const DECIMAL_SCALE: i8 = 18;

/// A scalar type of the Kusto Query Language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ColumnType {
    /// `bool`
    Bool,
    /// `int`: 32 bits.
    Int,
    /// `long`: 64 bits.
    Long,
    /// `real`: IEEE 754 double.
    Real,
    /// `decimal`
    Decimal,
    /// `string`: never null; the empty string stands for "absent".
    String,
    /// `datetime`: UTC.
    DateTime,
    /// `timespan`
    TimeSpan,
    /// `dynamic`: JSON text.
    Dynamic,
    /// `guid`: hyphenated lower-case text.
    Guid,
}

impl ColumnType {
    /// All types.
    pub const ALL: [Self; 10] = [
        Self::Bool,
        Self::Int,
        Self::Long,
        Self::Real,
        Self::Decimal,
        Self::String,
        Self::DateTime,
        Self::TimeSpan,
        Self::Dynamic,
        Self::Guid,
    ];

    /// Kusto's name of the type.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Long => "long",
            Self::Real => "real",
            Self::Decimal => "decimal",
            Self::String => "string",
            Self::DateTime => "datetime",
            Self::TimeSpan => "timespan",
            Self::Dynamic => "dynamic",
            Self::Guid => "guid",
        }
    }

    /// The type of a Kusto type name, with Kusto's synonyms (`boolean`, `date`, `double`, `time`, `uuid`, ...).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "bool" | "boolean" => Self::Bool,
            "int" | "int32" => Self::Int,
            "long" | "int64" => Self::Long,
            "real" | "double" => Self::Real,
            "decimal" => Self::Decimal,
            "string" => Self::String,
            "datetime" | "date" => Self::DateTime,
            "timespan" | "time" => Self::TimeSpan,
            "dynamic" => Self::Dynamic,
            "guid" | "uuid" | "uniqueid" => Self::Guid,
            _ => return None,
        })
    }

    /// The Arrow type that holds values of this type in a table.
    #[must_use]
    pub fn arrow(self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int => DataType::Int32,
            Self::Long => DataType::Int64,
            Self::Real => DataType::Float64,
            Self::Decimal => DataType::Decimal128(DECIMAL_PRECISION, DECIMAL_SCALE),
            Self::String | Self::Dynamic | Self::Guid => DataType::Utf8,
            Self::DateTime => DataType::Timestamp(TimeUnit::Nanosecond, Some(Arc::from("UTC"))),
            Self::TimeSpan => DataType::Duration(TimeUnit::Nanosecond),
        }
    }

    /// The Arrow type that holds values of this type while a query computes: a table's, but for the wider `decimal`.
    #[must_use]
    pub fn computed(self) -> DataType {
        match self {
            Self::Decimal => DataType::Decimal256(decimal::PRECISION, decimal::SCALE),
            other => other.arrow(),
        }
    }

    /// Whether a column of this type can hold null. Only `string` cannot.
    #[must_use]
    pub const fn nullable(self) -> bool {
        !matches!(self, Self::String)
    }

    /// The Arrow field of a column of this type, with the Kusto type in its metadata.
    #[must_use]
    pub fn field(self, name: &str) -> Field {
        let metadata = [(TYPE_METADATA_KEY.to_owned(), self.name().to_owned())].into();
        Field::new(name, self.arrow(), self.nullable()).with_metadata(metadata)
    }

    /// The field of a column of this type while a query computes.
    #[must_use]
    pub fn computed_field(self, name: &str) -> Field {
        self.field(name).with_data_type(self.computed())
    }

    /// The Kusto type of an Arrow field: its metadata, else the natural type of its Arrow type.
    #[must_use]
    pub fn of_field(field: &Field) -> Option<Self> {
        if let Some(name) = field.metadata().get(TYPE_METADATA_KEY) {
            return Self::parse(name);
        }
        Some(match field.data_type() {
            DataType::Boolean => Self::Bool,
            DataType::Int8 | DataType::Int16 | DataType::Int32 => Self::Int,
            DataType::Int64 | DataType::UInt32 | DataType::UInt64 => Self::Long,
            DataType::Float32 | DataType::Float64 => Self::Real,
            DataType::Decimal128(..) | DataType::Decimal256(..) => Self::Decimal,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::String,
            DataType::Timestamp(..) => Self::DateTime,
            DataType::Duration(_) => Self::TimeSpan,
            _ => return None,
        })
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How sure the path was by which a record came (`_Delivery`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// A producer sequence or idempotency key makes resends recognisable.
    ExactlyOnce,
    /// The sender repeats until acknowledged and cannot be recognised when it does.
    #[default]
    AtLeastOnce,
    /// Nobody would notice a loss on the way (UDP).
    BestEffort,
}

impl Delivery {
    /// All classes, in the order of the counters in a block header.
    pub const ALL: [Self; 3] = [Self::ExactlyOnce, Self::AtLeastOnce, Self::BestEffort];

    /// The text in the `_Delivery` column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ExactlyOnce => "exactly-once",
            Self::AtLeastOnce => "at-least-once",
            Self::BestEffort => "best-effort",
        }
    }
}

/// What a record speaks of (`_Class`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RecordClass {
    /// Acts on the control plane: sign-ins, changes of rights and settings, Moneta's own audit.
    Control,
    /// What the observed systems did with data: requests, processes, flows.
    Data,
    /// Derived by Moneta from other records: alerts, statistics.
    Processed,
}

impl RecordClass {
    /// The text in the `_Class` column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::Data => "data",
            Self::Processed => "processed",
        }
    }
}
