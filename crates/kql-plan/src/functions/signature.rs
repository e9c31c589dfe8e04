//! Signatures of functions, written as one line of text: `(source: text, start: integer, [length: integer]) -> string`.
//!
//! `[..]` is optional, `...` after a parameter repeats it. Besides type names a parameter may be of a kind (see
//! [`Kind`]); a result may be `$1` (the first argument's type), `common` or `branch` (what the `common` / `branch`
//! parameters agree on), `wide` (the widest number) or `promoted` (the first argument's, `int` made `long`).

use moneta_event::ColumnType;

use crate::types;

/// What an argument must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One type, and what converts to it without loss; a `dynamic` is converted.
    Type(ColumnType),
    /// A `string`, or a `dynamic` read as text.
    Text,
    /// Anything, converted to text.
    AsText,
    /// A number; a `dynamic` is read as `real`.
    Number,
    /// `int` or `long`; a `dynamic` is read as `long`.
    Integer,
    /// A number, `datetime` or `timespan`.
    Summable,
    /// Anything with an order.
    Orderable,
    /// Anything.
    Scalar,
    /// One type with all other `common` arguments.
    Common,
    /// One type with all other `branch` arguments; different types become `dynamic`.
    Branch,
}

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name, for the manual and for named arguments.
    pub name: String,
    /// What it takes.
    pub kind: Kind,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be given any number of times.
    pub repeats: bool,
}

/// The type of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Returns {
    /// Always this type.
    Type(ColumnType),
    /// The type of the argument at this position.
    Argument(usize),
    /// The common type of the `common` and `branch` arguments.
    Common,
    /// The widest of the number arguments.
    Widest,
    /// The first argument's, with `int` made `long`.
    Promoted,
}

/// A parsed signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The parameters.
    pub params: Vec<Param>,
    /// The result.
    pub returns: Returns,
    /// The text it came from.
    pub text: &'static str,
}

/// Why arguments do not fit a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mismatch {
    /// Too few or too many.
    Count,
    /// The argument at this position has a type the parameter does not take.
    Type(usize),
}

impl Signature {
    /// Parses the text of a declaration.
    ///
    /// # Panics
    /// On text that is no signature; a test parses every declaration.
    #[must_use]
    pub fn parse(text: &'static str) -> Self {
        let (params, returns) = text.split_once("->").expect("a signature has an arrow");
        let inner =
            params.trim().strip_prefix('(').and_then(|p| p.strip_suffix(')')).expect("parameters in parentheses");
        let params = inner.split(',').map(str::trim).filter(|p| !p.is_empty()).map(parse_param).collect();
        Self { params, returns: parse_returns(returns.trim()), text }
    }

    /// The parameter of an argument position.
    #[must_use]
    pub fn param(&self, position: usize) -> Option<&Param> {
        let repeated = self.params.iter().position(|p| p.repeats);
        match (self.params.get(position), repeated) {
            (Some(param), _) => Some(param),
            (None, Some(first)) => {
                // Several repeated parameters at the end repeat as a group.
                let group = self.params.len() - first;
                self.params.get(first + (position - first) % group)
            }
            (None, None) => None,
        }
    }

    /// Whether arguments of these types fit.
    pub fn accepts(&self, args: &[ColumnType]) -> Result<(), Mismatch> {
        let required = self.params.iter().filter(|p| !p.optional && !p.repeats).count();
        let repeats = self.params.iter().any(|p| p.repeats);
        if args.len() < required || (args.len() > self.params.len() && !repeats) {
            return Err(Mismatch::Count);
        }
        for (position, arg) in args.iter().enumerate() {
            let param = self.param(position).ok_or(Mismatch::Count)?;
            if !accepts(param.kind, *arg) {
                return Err(Mismatch::Type(position));
            }
        }
        Ok(())
    }

    /// The type each argument is converted to, and the type of the result; `None` if the types have nothing in common.
    #[must_use]
    pub fn resolve(&self, args: &[ColumnType]) -> Option<(Vec<ColumnType>, ColumnType)> {
        let kind = |position: usize| self.param(position).map_or(Kind::Scalar, |p| p.kind);
        let mut common: Option<ColumnType> = None;
        for (position, arg) in args.iter().enumerate() {
            common = match (kind(position), common) {
                (Kind::Common | Kind::Branch, None) => Some(*arg),
                (Kind::Common, Some(so_far)) => Some(types::common_strict(so_far, *arg)?),
                (Kind::Branch, Some(so_far)) => Some(types::common_branch(so_far, *arg)),
                (_, so_far) => so_far,
            };
        }
        let wanted: Vec<ColumnType> = args
            .iter()
            .enumerate()
            .map(|(position, arg)| match kind(position) {
                Kind::Type(wanted) => wanted,
                Kind::Text | Kind::AsText => ColumnType::String,
                Kind::Number if *arg == ColumnType::Dynamic => ColumnType::Real,
                Kind::Integer if *arg == ColumnType::Dynamic => ColumnType::Long,
                Kind::Common | Kind::Branch => common.unwrap_or(*arg),
                Kind::Number | Kind::Integer | Kind::Summable | Kind::Orderable | Kind::Scalar => *arg,
            })
            .collect();
        let first = wanted.first().copied().unwrap_or(ColumnType::Long);
        let result = match self.returns {
            Returns::Type(column_type) => column_type,
            Returns::Argument(position) => *wanted.get(position)?,
            Returns::Common => common.unwrap_or(ColumnType::Dynamic),
            Returns::Widest => wanted.iter().copied().filter(|t| types::is_number(*t)).reduce(types::widest_number)?,
            Returns::Promoted if first == ColumnType::Int => ColumnType::Long,
            Returns::Promoted => first,
        };
        Some((wanted, result))
    }
}

fn accepts(kind: Kind, arg: ColumnType) -> bool {
    use ColumnType::{DateTime, Dynamic, Int, Long, TimeSpan};
    match kind {
        Kind::Type(wanted) if wanted == arg => true,
        Kind::Type(wanted) => match wanted {
            Dynamic => false,
            Int => matches!(arg, Long | Dynamic),
            _ if types::is_number(wanted) => {
                arg == Dynamic || (types::is_number(arg) && types::widest_number(wanted, arg) == wanted)
            }
            _ => arg == Dynamic,
        },
        Kind::Text => matches!(arg, ColumnType::String | Dynamic),
        Kind::Number => types::is_number(arg) || arg == Dynamic,
        Kind::Integer => types::is_integer(arg) || arg == Dynamic,
        Kind::Summable => types::is_number(arg) || matches!(arg, DateTime | TimeSpan | Dynamic),
        Kind::Orderable | Kind::AsText | Kind::Scalar | Kind::Common | Kind::Branch => true,
    }
}

fn parse_param(text: &str) -> Param {
    let optional = text.starts_with('[');
    let text = text.trim_matches(['[', ']']);
    let repeats = text.ends_with("...");
    let (name, kind) = text.trim_end_matches("...").split_once(':').expect("a parameter has a name and a kind");
    Param { name: name.trim().to_owned(), kind: parse_kind(kind.trim()), optional, repeats }
}

fn parse_kind(text: &str) -> Kind {
    match text {
        "text" => Kind::Text,
        "astext" => Kind::AsText,
        "number" => Kind::Number,
        "integer" => Kind::Integer,
        "summable" => Kind::Summable,
        "orderable" => Kind::Orderable,
        "scalar" => Kind::Scalar,
        "common" => Kind::Common,
        "branch" => Kind::Branch,
        other => Kind::Type(ColumnType::parse(other).expect("a kind or a type name")),
    }
}

fn parse_returns(text: &str) -> Returns {
    match text {
        "common" => Returns::Common,
        "wide" => Returns::Widest,
        "promoted" => Returns::Promoted,
        other => match other.strip_prefix('$') {
            Some(position) => Returns::Argument(position.parse::<usize>().expect("a position") - 1),
            None => Returns::Type(ColumnType::parse(other).expect("a type name")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_fit_by_kind_and_count() {
        let check = |text: &'static str, args: &[ColumnType], expected: Result<(), Mismatch>| {
            assert_eq!(Signature::parse(text).accepts(args), expected, "{text}");
        };
        use ColumnType::{Int, Long, Real, String};
        check("(a: text, [n: integer]) -> long", &[String], Ok(()));
        check("(a: text, [n: integer]) -> long", &[String, Long, Long], Err(Mismatch::Count));
        check("(a: text) -> long", &[Long], Err(Mismatch::Type(0)));
        check("(a: real) -> real", &[Int], Ok(()));
        check("(a: scalar...) -> string", &[Int, Long, Real], Ok(()));
    }

    #[test]
    fn results_follow_the_arguments() {
        let resolve = |text: &'static str, args: &[ColumnType]| Signature::parse(text).resolve(args).map(|r| r.1);
        use ColumnType::{Bool, Dynamic, Int, Long, Real, String};
        assert_eq!(resolve("(c: bool, a: branch, b: branch) -> common", &[Bool, Int, String]), Some(Dynamic));
        assert_eq!(resolve("(a: common...) -> common", &[Int, Real]), Some(Real));
        assert_eq!(resolve("(a: common...) -> common", &[Int, String]), None);
        assert_eq!(resolve("(a: number) -> promoted", &[Int]), Some(Long));
    }
}
