//! Expressions, scalar and tabular alike.
//!
//! One type holds both because the language writes them in the same places (`let x = ...`, arguments, `in (...)`).
//! Payloads are boxed so that an `Expression` is two words.

use super::{Literal, Name, Operator, Parameter, RowSchema, Skipped, Span, TypeName, WildcardName};

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A literal.
    Literal(Box<Literal>),
    /// A name: column, variable, table or function without arguments. `$left`, `$right`, `$table` are names too.
    Name(Box<Name>),
    /// A name with `*` in it, where the operator takes such names.
    Wildcard(Box<WildcardName>),
    /// `*` alone: all columns, any column.
    Star(Span),
    /// `object.member`.
    Path(Box<PathExpression>),
    /// `object[index]`.
    Element(Box<ElementExpression>),
    /// `function(arguments)`, also `toscalar(...)` and `materialize(...)` with a query inside.
    Call(Box<CallExpression>),
    /// `-x`, `+x`.
    Unary(Box<UnaryExpression>),
    /// Two operands of an arithmetic, comparison or string operator.
    Binary(Box<BinaryExpression>),
    /// A chain of `and`, or a chain of `or`.
    Logical(Box<LogicalExpression>),
    /// `x in (...)` and its kin.
    List(Box<ListExpression>),
    /// `x between (a .. b)`.
    Between(Box<BetweenExpression>),
    /// `typeof(...)`.
    Typeof(Box<TypeofExpression>),
    /// `(expression)`; the inner one may be a query.
    Parenthesized(Box<ParenthesizedExpression>),
    /// A query: a source and operators, or operators alone.
    Pipe(Box<PipeExpression>),
    /// `datatable (schema) [values]`.
    Datatable(Box<DatatableExpression>),
    /// `__contextual_datatable guid(...) (schema)`.
    ContextualDatatable(Box<ContextualDatatableExpression>),
    /// `externaldata (schema) [locations] with (properties)`.
    ExternalData(Box<ExternalDataExpression>),
    /// `inline_external_table (schema) kind=storage ... (locations)`.
    InlineExternalTable(Box<InlineExternalTableExpression>),
    /// `entity_group [a, b]`.
    EntityGroup(Box<EntityGroupExpression>),
    /// `materialized-view-combine (...)`.
    MaterializedViewCombine(Box<MaterializedViewCombineExpression>),
    /// `T datascope=hotcache`.
    DataScope(Box<DataScopeExpression>),
    /// An expression was expected here; the range is empty.
    Missing(Span),
    /// Text that is no expression.
    Error(Box<Skipped>),
}

impl Expression {
    /// Returns where the expression was written.
    pub fn span(&self) -> Span {
        match self {
            Expression::Literal(node) => node.span,
            Expression::Name(node) => node.span,
            Expression::Wildcard(node) => node.span,
            Expression::Star(span) | Expression::Missing(span) => *span,
            Expression::Path(node) => node.span,
            Expression::Element(node) => node.span,
            Expression::Call(node) => node.span,
            Expression::Unary(node) => node.span,
            Expression::Binary(node) => node.span,
            Expression::Logical(node) => node.span,
            Expression::List(node) => node.span,
            Expression::Between(node) => node.span,
            Expression::Typeof(node) => node.span,
            Expression::Parenthesized(node) => node.span,
            Expression::Pipe(node) => node.span,
            Expression::Datatable(node) => node.span,
            Expression::ContextualDatatable(node) => node.span,
            Expression::ExternalData(node) => node.span,
            Expression::InlineExternalTable(node) => node.span,
            Expression::EntityGroup(node) => node.span,
            Expression::MaterializedViewCombine(node) => node.span,
            Expression::DataScope(node) => node.span,
            Expression::Error(node) => node.span,
        }
    }

    /// Returns the expression without its outer parentheses.
    pub fn unparenthesized(&self) -> &Expression {
        let mut expression = self;
        while let Expression::Parenthesized(node) = expression {
            expression = &node.inner;
        }
        expression
    }

    /// Returns the name if the expression is nothing but a name.
    pub fn as_name(&self) -> Option<&Name> {
        match self {
            Expression::Name(name) => Some(name),
            _ => None,
        }
    }

    /// Returns the literal if the expression is nothing but a literal.
    pub fn as_literal(&self) -> Option<&Literal> {
        match self {
            Expression::Literal(literal) => Some(literal),
            _ => None,
        }
    }
}

/// `object.member`: a field of a dynamic value, a table of a database, or a call on a scope.
#[derive(Debug, Clone, PartialEq)]
pub struct PathExpression {
    /// Object and member.
    pub span: Span,
    /// The left side.
    pub object: Expression,
    /// What follows the dot.
    pub member: PathMember,
}

/// What may follow a dot.
#[derive(Debug, Clone, PartialEq)]
pub enum PathMember {
    /// `x.name`.
    Name(Name),
    /// `cluster("c").database("d")`, `X.function()`.
    Call(CallExpression),
    /// `database("d").Device*`.
    Wildcard(WildcardName),
}

/// `object[index]`, also the old form `object.[index]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ElementExpression {
    /// Object, brackets and index.
    pub span: Span,
    /// The indexed value.
    pub object: Expression,
    /// The index or key.
    pub index: Expression,
}

/// `function(arguments)`.
#[derive(Debug, Clone, PartialEq)]
pub struct CallExpression {
    /// Name and parentheses.
    pub span: Span,
    /// The function.
    pub function: Name,
    /// Parameters between name and parenthesis: `toscalar kind=nooptimization (...)`.
    pub parameters: Vec<OperatorParameter>,
    /// The arguments; a named one is `name = value`, `*` is [`Expression::Star`].
    pub arguments: Vec<NamedExpression>,
}

/// An expression, perhaps with the name or names its result gets: `x`, `n = x`, `(a, b) = x`.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedExpression {
    /// Names and expression.
    pub span: Span,
    /// The names; `None` if the expression stands alone.
    pub target: Option<Target>,
    /// The expression.
    pub expression: Expression,
}

impl NamedExpression {
    /// Returns the given name if there is exactly one, written without parentheses.
    pub fn name(&self) -> Option<&Name> {
        match &self.target {
            Some(Target::Name(name)) => Some(name),
            _ => None,
        }
    }
}

/// The left side of `=` in a [`NamedExpression`].
#[derive(Debug, Clone, PartialEq)]
pub enum Target {
    /// `n = x`.
    Name(Name),
    /// `(a, b) = x`.
    Names(NameList),
}

/// Names in parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct NameList {
    /// The parentheses and what is between them.
    pub span: Span,
    /// The names.
    pub names: Vec<Name>,
}

/// A `name = value` between an operator's keyword and its operands: `kind=inner`, `hint.strategy=shuffle`.
#[derive(Debug, Clone, PartialEq)]
pub struct OperatorParameter {
    /// Name and value.
    pub span: Span,
    /// The name; dotted ones are one name (`hint.strategy`).
    pub name: Name,
    /// The value: a name, a literal, rarely another expression.
    pub value: Expression,
}

impl OperatorParameter {
    /// Returns the value as a word: the text of a name or of a string literal.
    pub fn word(&self) -> Option<&str> {
        match &self.value {
            Expression::Name(name) => Some(&name.text),
            Expression::Literal(literal) => match &literal.value {
                super::LiteralValue::String(string) => Some(&string.value),
                super::LiteralValue::Bool(Some(true)) => Some("true"),
                super::LiteralValue::Bool(Some(false)) => Some("false"),
                _ => None,
            },
            _ => None,
        }
    }
}

/// `-x`, `+x`.
#[derive(Debug, Clone, PartialEq)]
pub struct UnaryExpression {
    /// Sign and operand.
    pub span: Span,
    /// The sign.
    pub operator: UnaryOperator,
    /// The operand.
    pub operand: Expression,
}

/// A sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum UnaryOperator {
    /// `+`.
    Plus,
    /// `-`.
    Minus,
}

impl UnaryOperator {
    /// Returns how the operator is written.
    pub fn symbol(self) -> &'static str {
        match self {
            UnaryOperator::Plus => "+",
            UnaryOperator::Minus => "-",
        }
    }
}

/// `left operator right`. `left` is [`Expression::Star`] in `* has "x"`.
#[derive(Debug, Clone, PartialEq)]
pub struct BinaryExpression {
    /// Both operands.
    pub span: Span,
    /// The left operand.
    pub left: Expression,
    /// The operator.
    pub operator: BinaryOperator,
    /// Where the operator was written.
    pub operator_span: Span,
    /// The right operand.
    pub right: Expression,
}

/// `a and b and c`, `a or b or c`: two or more operands in order.
#[derive(Debug, Clone, PartialEq)]
pub struct LogicalExpression {
    /// All operands.
    pub span: Span,
    /// Which of the two.
    pub operator: LogicalOperator,
    /// The operands, at least two.
    pub operands: Vec<Expression>,
}

/// `and`, `or`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogicalOperator {
    /// `and`.
    And,
    /// `or`.
    Or,
}

impl LogicalOperator {
    /// Returns how the operator is written.
    pub fn symbol(self) -> &'static str {
        match self {
            LogicalOperator::And => "and",
            LogicalOperator::Or => "or",
        }
    }
}

macro_rules! binary_operators {
    ($($(#[$doc:meta])* $variant:ident $symbol:literal,)*) => {
        /// An operator between two operands.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum BinaryOperator {
            $(#[doc = concat!("`", $symbol, "`.")] $(#[$doc])* $variant,)*
        }

        impl BinaryOperator {
            /// Every operator.
            pub const ALL: &'static [BinaryOperator] = &[$(BinaryOperator::$variant,)*];

            /// Returns how the operator is written.
            pub fn symbol(self) -> &'static str {
                match self { $(BinaryOperator::$variant => $symbol,)* }
            }
        }
    };
}

binary_operators! {
    Add "+",
    Subtract "-",
    Multiply "*",
    Divide "/",
    Modulo "%",
    Equal "==",
    /// Also written `<>`.
    NotEqual "!=",
    Less "<",
    LessOrEqual "<=",
    Greater ">",
    GreaterOrEqual ">=",
    EqualCaseless "=~",
    NotEqualCaseless "!~",
    Has "has",
    NotHas "!has",
    HasCs "has_cs",
    NotHasCs "!has_cs",
    HasPrefix "hasprefix",
    NotHasPrefix "!hasprefix",
    HasPrefixCs "hasprefix_cs",
    NotHasPrefixCs "!hasprefix_cs",
    HasSuffix "hassuffix",
    NotHasSuffix "!hassuffix",
    HasSuffixCs "hassuffix_cs",
    NotHasSuffixCs "!hassuffix_cs",
    Contains "contains",
    /// Also written `notcontains`.
    NotContains "!contains",
    /// Also written `containscs`.
    ContainsCs "contains_cs",
    /// Also written `notcontainscs`.
    NotContainsCs "!contains_cs",
    StartsWith "startswith",
    NotStartsWith "!startswith",
    StartsWithCs "startswith_cs",
    NotStartsWithCs "!startswith_cs",
    EndsWith "endswith",
    NotEndsWith "!endswith",
    EndsWithCs "endswith_cs",
    NotEndsWithCs "!endswith_cs",
    MatchesRegex "matches regex",
    Like "like",
    NotLike "notlike",
    LikeCs "likecs",
    NotLikeCs "notlikecs",
    /// In `search`: `column:"text"`, the same as `has`.
    ColumnHas ":",
}

/// `x in (a, b)`, `x has_any (list)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ListExpression {
    /// Operand, operator and list.
    pub span: Span,
    /// The left side; [`Expression::Star`] in `* has_any (...)`, [`Expression::Parenthesized`] as written.
    pub operand: Expression,
    /// The operator.
    pub operator: ListOperator,
    /// Where the operator was written.
    pub operator_span: Span,
    /// The elements; a single one may be a query, a table name or a dynamic array.
    pub items: Vec<Expression>,
}

/// The operators that take a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListOperator {
    /// `in`.
    In,
    /// `!in`.
    NotIn,
    /// `in~`.
    InCaseless,
    /// `!in~`.
    NotInCaseless,
    /// `has_any`.
    HasAny,
    /// `has_all`.
    HasAll,
}

impl ListOperator {
    /// Returns how the operator is written.
    pub fn symbol(self) -> &'static str {
        match self {
            ListOperator::In => "in",
            ListOperator::NotIn => "!in",
            ListOperator::InCaseless => "in~",
            ListOperator::NotInCaseless => "!in~",
            ListOperator::HasAny => "has_any",
            ListOperator::HasAll => "has_all",
        }
    }
}

/// `x between (low .. high)`, `x !between (low .. high)`; both ends included.
#[derive(Debug, Clone, PartialEq)]
pub struct BetweenExpression {
    /// Operand, operator and bounds.
    pub span: Span,
    /// The tested value.
    pub operand: Expression,
    /// Whether it was written `!between`.
    pub is_negated: bool,
    /// Where the operator was written.
    pub operator_span: Span,
    /// The lower bound.
    pub low: Expression,
    /// The upper bound (a timespan beside a datetime counts from the lower one).
    pub high: Expression,
}

/// `typeof(...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct TypeofExpression {
    /// The whole form.
    pub span: Span,
    /// What is between the parentheses.
    pub argument: TypeofArgument,
}

/// What `typeof` may name.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeofArgument {
    /// `typeof(long)`.
    Scalar(TypeName),
    /// `typeof(a:string, b:long)`, `typeof(*)`, `typeof(*, c:real)`.
    Schema(RowSchema),
}

/// `(inner)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParenthesizedExpression {
    /// The parentheses and what is between them.
    pub span: Span,
    /// What is between them.
    pub inner: Expression,
}

/// A query: `source | operator | operator`.
#[derive(Debug, Clone, PartialEq)]
pub struct PipeExpression {
    /// Source and operators.
    pub span: Span,
    /// Where the rows come from. `None` if the first operator makes them (`print`, `range`, `union`, `search`, `find`,
    /// `evaluate`, `macro-expand`), or if the query stands inside an operator that supplies them (`mv-apply`,
    /// `partition`, `fork`, `facet`).
    pub source: Option<Expression>,
    /// The operators in order; not empty in a tree without diagnostics.
    pub operators: Vec<Operator>,
}

/// `datatable (a:string, b:long) ["x", 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct DatatableExpression {
    /// The whole form.
    pub span: Span,
    /// The parameters before the schema.
    pub parameters: Vec<OperatorParameter>,
    /// The columns.
    pub schema: RowSchema,
    /// The cells row by row: literals, perhaps with a sign.
    pub values: Vec<Expression>,
}

/// `__contextual_datatable guid(...) (schema)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ContextualDatatableExpression {
    /// The whole form.
    pub span: Span,
    /// The id of the table, a guid literal.
    pub id: Expression,
    /// The columns.
    pub schema: RowSchema,
}

/// `externaldata (schema) ["location", ...] with (format = "csv")`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExternalDataExpression {
    /// The whole form.
    pub span: Span,
    /// The parameters before the schema.
    pub parameters: Vec<OperatorParameter>,
    /// The columns.
    pub schema: RowSchema,
    /// The locations: string literals.
    pub locations: Vec<Expression>,
    /// The properties after `with`.
    pub properties: Vec<OperatorParameter>,
}

/// `inline_external_table (schema) kind=storage partition by (...) pathformat=(...) dataformat=csv (locations)`.
#[derive(Debug, Clone, PartialEq)]
pub struct InlineExternalTableExpression {
    /// The whole form.
    pub span: Span,
    /// The columns; `None` if the files say them.
    pub schema: Option<RowSchema>,
    /// `kind=`, `dataformat=`.
    pub parameters: Vec<OperatorParameter>,
    /// The columns after `partition by`, each with the expression it is computed from as its default.
    pub partitions: Vec<Parameter>,
    /// The parts after `pathformat=`: strings, names and calls.
    pub path_format: Vec<Expression>,
    /// The locations: string literals.
    pub locations: Vec<Expression>,
    /// The properties after `with`.
    pub properties: Vec<OperatorParameter>,
}

/// `entity_group [cluster("a").database("b"), ...]`.
#[derive(Debug, Clone, PartialEq)]
pub struct EntityGroupExpression {
    /// The whole form.
    pub span: Span,
    /// The members.
    pub entities: Vec<Expression>,
}

/// `materialized-view-combine ("name") base (...) delta (...) aggregations (summarize ...)`.
#[derive(Debug, Clone, PartialEq)]
pub struct MaterializedViewCombineExpression {
    /// The whole form.
    pub span: Span,
    /// The view's name, a string literal.
    pub view: Expression,
    /// The rows already combined.
    pub base: Expression,
    /// The rows to add.
    pub delta: Expression,
    /// The aggregation: a query that starts with `summarize`.
    pub aggregations: PipeExpression,
}

/// `T datascope=hotcache`.
#[derive(Debug, Clone, PartialEq)]
pub struct DataScopeExpression {
    /// Expression and scope.
    pub span: Span,
    /// The table.
    pub expression: Expression,
    /// `hotcache` or `all`.
    pub scope: Name,
}
