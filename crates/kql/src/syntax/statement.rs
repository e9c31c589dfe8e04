//! Statements: what stands between semicolons.

use super::{Expression, Name, Operator, Skipped, Span, TypeName};

/// One statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `let name = value`.
    Let(LetStatement),
    /// `set option = value`.
    Set(SetStatement),
    /// `declare query_parameters (...)`.
    QueryParameters(QueryParametersStatement),
    /// `declare pattern name = (...) { ... }`.
    Pattern(PatternStatement),
    /// `restrict access to (...)`.
    Restrict(RestrictStatement),
    /// `alias database name = cluster(...).database(...)`.
    Alias(AliasStatement),
    /// A query whose rows are a result.
    Query(QueryStatement),
    /// A client command: `.show tables | project TableName`.
    Command(CommandStatement),
    /// Text that is no statement.
    Error(Skipped),
}

impl Statement {
    /// Returns where the statement was written.
    pub fn span(&self) -> Span {
        match self {
            Statement::Let(node) => node.span,
            Statement::Set(node) => node.span,
            Statement::QueryParameters(node) => node.span,
            Statement::Pattern(node) => node.span,
            Statement::Restrict(node) => node.span,
            Statement::Alias(node) => node.span,
            Statement::Query(node) => node.span,
            Statement::Command(node) => node.span,
            Statement::Error(node) => node.span,
        }
    }
}

/// `let name = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct LetStatement {
    /// The whole statement.
    pub span: Span,
    /// The declared name.
    pub name: Name,
    /// What it stands for.
    pub value: LetValue,
}

/// The right side of a `let`.
#[derive(Debug, Clone, PartialEq)]
pub enum LetValue {
    /// A scalar or tabular expression (a [`Expression::Pipe`] if it has operators).
    Expression(Expression),
    /// `(parameters) { body }` or `view (parameters) { body }`.
    Function(FunctionDeclaration),
}

/// A function value: `(T:(*), n:long = 3) { ... }`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionDeclaration {
    /// From `view` or the opening parenthesis to the closing brace.
    pub span: Span,
    /// Whether it was declared with `view`, so that `union *` sees it.
    pub is_view: bool,
    /// The parameters in order; tabular ones come first in a correct program.
    pub parameters: Vec<Parameter>,
    /// The body.
    pub body: FunctionBody,
}

/// One declared parameter of a function, of `declare query_parameters`, of `scan declare`, or of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter {
    /// Name, type and default.
    pub span: Span,
    /// The name.
    pub name: Name,
    /// The type.
    pub ty: ParameterType,
    /// The value used when the caller gives none.
    pub default: Option<Expression>,
}

/// The type of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum ParameterType {
    /// A scalar: `n:long`.
    Scalar(TypeName),
    /// A table: `T:(*)` (any columns) or `T:(a:string, b:long)` (at least these).
    Table(RowSchema),
}

/// Columns with types in parentheses: `(a:string, b:long)`, `(*)`, `(*, c:real)`.
#[derive(Debug, Clone, PartialEq)]
pub struct RowSchema {
    /// The parentheses and what is between them.
    pub span: Span,
    /// Where `*` stands, if it does: any further columns (parameters), or the input's columns (`evaluate`).
    pub star: Option<Span>,
    /// The declared columns in order.
    pub columns: Vec<ColumnDeclaration>,
}

/// `name:type`.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnDeclaration {
    /// Name and type.
    pub span: Span,
    /// The name.
    pub name: Name,
    /// The type.
    pub ty: TypeName,
}

/// `{ statements; expression }`.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionBody {
    /// The braces and what is between them.
    pub span: Span,
    /// The statements before the result: `let` and `declare query_parameters`.
    pub statements: Vec<Statement>,
    /// The value of the function; `None` if the body is empty.
    pub result: Option<Expression>,
}

/// `set name` or `set name = value`.
#[derive(Debug, Clone, PartialEq)]
pub struct SetStatement {
    /// The whole statement.
    pub span: Span,
    /// The option.
    pub name: Name,
    /// Its value: a literal or a bare name; absent means true.
    pub value: Option<Expression>,
}

/// `declare query_parameters (a:string = "x", b:long)`.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryParametersStatement {
    /// The whole statement.
    pub span: Span,
    /// The parameters.
    pub parameters: Vec<Parameter>,
}

/// `declare pattern name = (a:string)[path:string] { ("x").["y"] = { ... }; }`.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternStatement {
    /// The whole statement.
    pub span: Span,
    /// The name of the pattern.
    pub name: Name,
    /// The definition; `None` for a bare declaration.
    pub definition: Option<PatternDefinition>,
}

/// What follows `=` in a pattern declaration.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternDefinition {
    /// From the parameters to the closing brace.
    pub span: Span,
    /// The arguments.
    pub parameters: Vec<Parameter>,
    /// The path argument in brackets.
    pub path: Option<Parameter>,
    /// The cases in order.
    pub rules: Vec<PatternRule>,
}

/// One case of a pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct PatternRule {
    /// The whole case.
    pub span: Span,
    /// The argument values (string literals).
    pub arguments: Vec<Expression>,
    /// The path value (a string literal).
    pub path: Option<Expression>,
    /// What the case stands for.
    pub body: FunctionBody,
}

/// `restrict access to (entity, ...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct RestrictStatement {
    /// The whole statement.
    pub span: Span,
    /// Names, wildcard names, `*`, and paths such as `database("d").*`.
    pub entities: Vec<Expression>,
}

/// `alias database name = expression`.
#[derive(Debug, Clone, PartialEq)]
pub struct AliasStatement {
    /// The whole statement.
    pub span: Span,
    /// The new name.
    pub name: Name,
    /// The database it stands for.
    pub expression: Expression,
}

/// A query whose rows are a result.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryStatement {
    /// The whole statement.
    pub span: Span,
    /// The query; an [`Expression::Pipe`] if it has operators, else for example a bare table name.
    pub expression: Expression,
}

/// A client command: a dot, words, arguments, and then perhaps operators on its answer or an input query.
#[derive(Debug, Clone, PartialEq)]
pub struct CommandStatement {
    /// The whole statement.
    pub span: Span,
    /// The leading words after the dot: `show`, `tables`. Hyphenated words are one.
    pub words: Vec<Name>,
    /// The command's own text, from the dot up to (not including) the pipe or `<|`, trimmed.
    pub text: String,
    /// The operators after `|`, applied to the command's answer.
    pub operators: Vec<Operator>,
    /// The query after `<|`, whose rows the command consumes.
    pub input: Option<Expression>,
}
