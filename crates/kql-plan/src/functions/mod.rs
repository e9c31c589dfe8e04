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

use std::collections::HashMap;
use std::sync::OnceLock;

use datafusion::logical_expr::Expr;
use moneta_event::ColumnType;

use row::RowKernel;
use signature::Signature;

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
    /// The columns it fills, for one that fills several: what their names end with, and their types. The kernel then
    /// answers with an array of them.
    pub columns: &'static [(&'static str, ColumnType)],
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
            columns: &[],
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

    /// Filling several columns.
    #[must_use]
    pub const fn columns(mut self, columns: &'static [(&'static str, ColumnType)]) -> Self {
        self.columns = columns;
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

/// All scalar functions by name.
#[derive(Debug)]
pub struct Registry {
    functions: Vec<&'static Function>,
    by_name: HashMap<&'static str, usize>,
    signatures: Vec<Vec<Signature>>,
}

impl Registry {
    /// The function of a name or alias.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static Function> {
        self.by_name.get(name).map(|index| self.functions[*index])
    }

    /// The parsed signatures of a function.
    #[must_use]
    pub fn signatures(&self, function: &Function) -> &[Signature] {
        self.by_name.get(function.name).map_or(&[], |index| &self.signatures[*index])
    }

    /// All functions in the order of the manual.
    pub fn iter(&self) -> impl Iterator<Item = &'static Function> + '_ {
        self.functions.iter().copied()
    }

    /// All names and aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.by_name.keys().copied()
    }
}

/// The registry of scalar functions.
///
/// # Panics
/// When a declaration is malformed, which a test excludes.
pub fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let lists = [
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
        ];
        let functions: Vec<&'static Function> = lists.into_iter().flatten().collect();
        let mut by_name = HashMap::new();
        for (index, function) in functions.iter().enumerate() {
            for name in std::iter::once(&function.name).chain(function.aliases) {
                assert!(by_name.insert(*name, index).is_none(), "{name} is declared twice");
            }
        }
        let signatures = functions.iter().map(|f| f.signatures.iter().map(|s| Signature::parse(s)).collect()).collect();
        Registry { functions, by_name, signatures }
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
