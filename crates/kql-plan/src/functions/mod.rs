//! The scalar functions: each declared once, with its names, signatures, null rule, documentation, example and kernel.
//!
//! To add a function, add one entry to the list of its subject's file. The binder, the executor, the manual and the
//! tests of examples read the same entry.

pub mod arithmetic;
pub mod columnar;
pub mod compare;
pub mod compression;
pub mod conditional;
pub mod conversion;
pub mod datetime;
pub mod dynamic;
pub mod encoding;
pub mod geo;
pub mod hashing;
pub mod lists;
pub mod location;
pub mod math;
pub mod network;
pub mod path;
pub mod random;
pub mod row;
pub mod serial;
pub mod series;
pub mod service;
pub mod signature;
pub mod sketches;
pub mod special;
pub mod string;
pub mod terms;
pub mod timezone;
pub mod udf;
pub mod units;
pub mod user_agent;
pub mod window;
pub mod xml;

use std::sync::OnceLock;

use datafusion::logical_expr::Expr;
use moneta_event::ColumnType;

use crate::registry::Declaration;
use row::RowKernel;

/// How a call names the column it fills when the query gives no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// Not at all: `Column1`.
    None,
    /// Like its first argument.
    First,
    /// A prefix and the first argument's name.
    Prefix(&'static str),
    /// The first argument's name and a suffix.
    Suffix(&'static str),
    /// Always this name.
    Fixed(&'static str),
}

/// Which columns a call fills that stands alone in `extend`, `project`, `print` or behind `by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fills {
    /// One.
    One,
    /// One per part, named `<function>_<first argument>_<part>`: the kernel gives a dynamic array of the parts.
    /// Anywhere else the call is its first part.
    Parts(&'static [(&'static str, ColumnType)]),
    /// One per array argument, named like it with this suffix. For one array the kernel gives the result, for several
    /// an array of results.
    PerArray(&'static str),
}

/// What a null argument does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nulls {
    /// The result is null (for a `string` result: empty).
    Propagate,
    /// The function decides.
    Handled,
}

/// What a natively lowered function knows of its call.
#[derive(Debug)]
pub struct NativeCall {
    /// The lowered arguments, converted to the types of the signature.
    pub args: Vec<Expr>,
    /// Their Kusto types.
    pub types: Vec<ColumnType>,
    /// The Kusto type of the result.
    pub return_type: ColumnType,
}

/// How a function is evaluated.
#[derive(Debug, Clone, Copy)]
pub enum Kernel {
    /// Row by row over columns.
    Row(RowKernel),
    /// By a native expression with exactly Kusto's meaning, and row by row where a constant is folded.
    Native(fn(NativeCall) -> Expr, RowKernel),
    /// By the binder itself, which turns the call into something else.
    Special,
    /// Over the rows around the current one, in the order of the last sort.
    Window,
}

/// The declaration of a scalar function.
#[derive(Debug, Clone, Copy)]
pub struct Function {
    /// The name.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// The signatures, tried in order (see [`signature`]).
    pub signatures: &'static [&'static str],
    /// The name of the column it fills.
    pub naming: Naming,
    /// Which columns it fills, if not one.
    pub fills: Fills,
    /// The null rule.
    pub nulls: Nulls,
    /// Whether equal arguments give equal results, so that a call may be folded or shared.
    pub deterministic: bool,
    /// One sentence for the manual.
    pub doc: &'static str,
    /// Calls with their results as the language prints them; a test runs each.
    pub examples: &'static [(&'static str, &'static str)],
    /// The implementation.
    pub kernel: Kernel,
}

impl Function {
    /// A deterministic function of one name whose null arguments give null.
    #[must_use]
    pub const fn new(name: &'static str, signatures: &'static [&'static str], kernel: Kernel) -> Self {
        Self {
            name,
            aliases: &[],
            signatures,
            naming: Naming::None,
            fills: Fills::One,
            nulls: Nulls::Propagate,
            deterministic: true,
            doc: "",
            examples: &[],
            kernel,
        }
    }

    /// A function of rows.
    #[must_use]
    pub const fn row(name: &'static str, signatures: &'static [&'static str], kernel: RowKernel) -> Self {
        Self::new(name, signatures, Kernel::Row(kernel))
    }

    /// With other spellings.
    #[must_use]
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// With a rule for the column's name.
    #[must_use]
    pub const fn naming(mut self, naming: Naming) -> Self {
        self.naming = naming;
        self
    }

    /// With several columns to fill.
    #[must_use]
    pub const fn fills(mut self, fills: Fills) -> Self {
        self.fills = fills;
        self
    }

    /// With a null rule of its own.
    #[must_use]
    pub const fn handles_nulls(mut self) -> Self {
        self.nulls = Nulls::Handled;
        self
    }

    /// With a result that may differ from call to call.
    #[must_use]
    pub const fn volatile(mut self) -> Self {
        self.deterministic = false;
        self
    }

    /// With its manual entry.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str, examples: &'static [(&'static str, &'static str)]) -> Self {
        self.doc = doc;
        self.examples = examples;
        self
    }
}

impl Declaration for Function {
    fn name(&self) -> &'static str {
        self.name
    }

    fn aliases(&self) -> &'static [&'static str] {
        self.aliases
    }

    fn signatures(&self) -> &'static [&'static str] {
        self.signatures
    }
}

/// All scalar functions by name.
pub type Registry = crate::registry::Registry<Function>;

/// The registry of scalar functions.
///
/// # Panics
/// When a declaration is malformed, which a test excludes.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        Registry::new(&[
            conditional::FUNCTIONS,
            conversion::FUNCTIONS,
            string::FUNCTIONS,
            datetime::FUNCTIONS,
            dynamic::FUNCTIONS,
            math::FUNCTIONS,
            encoding::FUNCTIONS,
            network::FUNCTIONS,
            geo::points::FUNCTIONS,
            geo::lines::FUNCTIONS,
            geo::polygons::FUNCTIONS,
            geo::cells::FUNCTIONS,
            random::FUNCTIONS,
            window::FUNCTIONS,
            series::FUNCTIONS,
            special::FUNCTIONS,
            compression::FUNCTIONS,
            hashing::FUNCTIONS,
            location::FUNCTIONS,
            service::FUNCTIONS,
            sketches::FUNCTIONS,
            timezone::FUNCTIONS,
            units::FUNCTIONS,
            user_agent::FUNCTIONS,
            xml::FUNCTIONS,
        ])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declaration_is_documented_and_well_formed() {
        for function in registry().iter() {
            assert!(!function.doc.is_empty(), "{} has no documentation", function.name);
            assert!(!function.signatures.is_empty(), "{} has no signature", function.name);
        }
    }
}
