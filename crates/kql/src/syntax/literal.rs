//! Literal values, already decoded.
//!
//! Times are counted in the language's own unit, the tick of 100 ns, so nothing written is lost here; a consumer
//! with a narrower range narrows it and says so.

use super::Span;

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub struct Literal {
    /// Where it was written.
    pub span: Span,
    /// Its value.
    pub value: LiteralValue,
}

/// The value of a literal. `None` inside is the typed null: `long(null)`.
#[derive(Debug, Clone, PartialEq)]
pub enum LiteralValue {
    /// `true`, `bool(false)`, `bool(null)`.
    Bool(Option<bool>),
    /// `int(5)`.
    Int(Option<i32>),
    /// `5`, `0x1F`, `long(5)`.
    Long(Option<i64>),
    /// `1.5`, `1e10`, `real(nan)`, `real(+inf)`.
    Real(Option<f64>),
    /// `decimal(1.50)`: the digits as written, checked to be a number.
    Decimal(Option<String>),
    /// `'..'`, `".."`, verbatim, hidden and multi-line forms; adjacent ones are joined. There is no null string.
    String(StringLiteral),
    /// `datetime(2020-01-01)`.
    ///
    /// # Units
    /// Ticks of 100 ns since 0001-01-01T00:00:00Z.
    Datetime(Option<i64>),
    /// `datetime(8:00)`: a time of the day the query runs on.
    ///
    /// # Units
    /// Ticks of 100 ns since midnight UTC.
    DatetimeToday(i64),
    /// `1d`, `timespan(1.02:03:04)`.
    ///
    /// # Units
    /// Ticks of 100 ns; saturates at the 64-bit ends.
    Timespan(Option<i64>),
    /// `guid(...)`, lower case with hyphens.
    Guid(Option<String>),
    /// `dynamic(...)`.
    Dynamic(DynamicValue),
}

/// A string literal, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StringLiteral {
    /// The text.
    pub value: String,
    /// Whether it was written with `h`, so that it must not be shown in logs.
    pub is_hidden: bool,
}

/// The value inside `dynamic(...)`: JSON, plus the literals the language allows there.
#[derive(Debug, Clone, PartialEq)]
pub enum DynamicValue {
    /// `null`.
    Null,
    /// `true`, `false`.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Long(i64),
    /// Any other number.
    Real(f64),
    /// A string.
    String(String),
    /// `datetime(...)`, in ticks of 100 ns since 0001-01-01T00:00:00Z.
    Datetime(i64),
    /// `timespan(...)` or `1d`, in ticks of 100 ns.
    Timespan(i64),
    /// `guid(...)`.
    Guid(String),
    /// `[...]`.
    Array(Vec<DynamicValue>),
    /// `{...}`, in order of writing; of equal keys the last counts.
    Object(Vec<(String, DynamicValue)>),
}
