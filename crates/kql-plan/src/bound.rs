//! The bound query: names resolved, types known, nothing of DataFusion yet. It prints as an indented tree.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{BinaryOperator, ListOperator};

use crate::functions::Function;
use crate::json::Step;
use crate::operators::TabularOperator;
use crate::value::Value;

/// A whole bound query.
#[derive(Debug, Clone)]
pub struct BoundQuery {
    /// The results, one per query statement.
    pub results: Vec<BoundResult>,
    /// The tables of the catalog that are read.
    pub tables: BTreeSet<String>,
    /// The options given by `set`, in order.
    pub options: Vec<(String, Option<Value>)>,
    /// The first call whose columns depend on data nobody has looked at: they are missing from the query.
    pub probe: Option<crate::two_phase::Probe>,
}

/// One result of a query.
#[derive(Debug, Clone)]
pub struct BoundResult {
    /// The rows.
    pub relation: Relation,
    /// How to show them, if the query says so.
    pub render: Option<Render>,
}

/// What `render` asks for. It travels beside the rows and changes nothing in them.
#[derive(Debug, Clone, PartialEq)]
pub struct Render {
    /// The kind of chart.
    pub chart: String,
    /// Its properties, as written.
    pub properties: Vec<(String, String)>,
}

impl BoundQuery {
    /// The columns of the first result.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        self.results.first().map_or(&[], |result| &result.relation.columns)
    }

    /// The option of that name given by `set`; `None` inside means it stands without a value.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<Option<&Value>> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }
}

/// Rows with named, typed columns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Relation {
    /// The columns in order; names are unique.
    pub columns: Arc<[Column]>,
    /// The operator that makes the rows.
    pub operator: Arc<dyn TabularOperator>,
    /// The order of the rows, if the last `sort` or `top` still decides it.
    pub order: Arc<[SortKey]>,
    /// Whether the data may have more columns than are known (see [`crate::two_phase`]).
    pub open: bool,
}

impl Relation {
    /// Rows without a known order.
    #[must_use]
    pub fn new(columns: Vec<Column>, operator: impl TabularOperator + 'static) -> Self {
        Self::sharing(&columns.into(), operator)
    }

    /// Rows with the columns of others, which are shared.
    #[must_use]
    pub fn sharing(columns: &Arc<[Column]>, operator: impl TabularOperator + 'static) -> Self {
        let open = operator.columns_depend_on_data()
            || (operator.passes_columns() && operator.inputs().into_iter().any(|input| input.open));
        Self { columns: Arc::clone(columns), operator: Arc::new(operator), order: Arc::new([]), open }
    }

    /// The same rows in a known order.
    #[must_use]
    pub fn ordered(self, order: Arc<[SortKey]>) -> Self {
        Self { order, ..self }
    }

    /// The column of that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| &*column.name == name)
    }
}

/// A key of a sort.
#[derive(Debug, Clone)]
pub struct SortKey {
    /// The key.
    pub expression: ScalarExpr,
    /// Whether greater values come first.
    pub descending: bool,
    /// Whether nulls come first.
    pub nulls_first: bool,
}

/// A scalar expression with its type.
#[derive(Debug, Clone)]
pub struct ScalarExpr {
    /// The type of its values.
    pub column_type: ColumnType,
    /// What it is.
    pub node: ScalarNode,
}

/// The forms of a scalar expression.
#[derive(Debug, Clone)]
pub enum ScalarNode {
    /// A constant.
    Literal(Value),
    /// A column of the input.
    Column(Arc<str>),
    /// All hold.
    And(Vec<ScalarExpr>),
    /// Any holds.
    Or(Vec<ScalarExpr>),
    /// An arithmetic, comparison or text operator.
    Binary {
        /// The operator.
        operator: BinaryOperator,
        /// The left operand.
        left: Box<ScalarExpr>,
        /// The right operand.
        right: Box<ScalarExpr>,
    },
    /// A list operator over values.
    List {
        /// The operator.
        operator: ListOperator,
        /// The tested value.
        operand: Box<ScalarExpr>,
        /// The list.
        items: Vec<ScalarExpr>,
    },
    /// A list operator over the first column of a query.
    InTable {
        /// The operator.
        operator: ListOperator,
        /// The tested value.
        operand: Box<ScalarExpr>,
        /// The query.
        relation: Relation,
    },
    /// A function call. The arguments have the types the signature asks for.
    Call {
        /// The function.
        function: &'static Function,
        /// The arguments.
        args: Vec<ScalarExpr>,
    },
    /// A conversion to the expression's type.
    Convert(Box<ScalarExpr>),
    /// A path into a `dynamic`.
    Path {
        /// The value.
        base: Box<ScalarExpr>,
        /// The steps.
        steps: Vec<Step>,
    },
    /// A step into a `dynamic` that is computed.
    Element {
        /// The value.
        base: Box<ScalarExpr>,
        /// The key or index.
        index: Box<ScalarExpr>,
    },
    /// The value of the first branch whose condition holds.
    Conditional {
        /// Conditions and values.
        branches: Vec<(ScalarExpr, ScalarExpr)>,
        /// The value if none holds.
        otherwise: Box<ScalarExpr>,
    },
    /// The first column of the first row of a query.
    Subquery(Relation),
    /// A window function over the rows in an order.
    Window {
        /// The function.
        function: &'static Function,
        /// Its arguments.
        args: Vec<ScalarExpr>,
        /// The order of the rows.
        order: Arc<[SortKey]>,
        /// The columns that separate groups of rows.
        partition: Vec<Arc<str>>,
    },
}

impl ScalarExpr {
    /// An expression.
    #[must_use]
    pub fn new(column_type: ColumnType, node: ScalarNode) -> Self {
        Self { column_type, node }
    }

    /// A constant.
    #[must_use]
    pub fn literal(value: Value) -> Self {
        Self { column_type: value.column_type(), node: ScalarNode::Literal(value) }
    }

    /// A column.
    #[must_use]
    pub fn column(column: &Column) -> Self {
        Self { column_type: column.column_type, node: ScalarNode::Column(Arc::clone(&column.name)) }
    }

    /// The constant, if it is one.
    #[must_use]
    pub fn as_literal(&self) -> Option<&Value> {
        if let ScalarNode::Literal(value) = &self.node { Some(value) } else { None }
    }

    /// The column's name, if it is a column.
    #[must_use]
    pub fn as_column(&self) -> Option<&Arc<str>> {
        if let ScalarNode::Column(name) = &self.node { Some(name) } else { None }
    }

    /// This expression converted to a type; a constant at once.
    #[must_use]
    pub fn converted(self, column_type: ColumnType) -> Self {
        if self.column_type == column_type {
            return self;
        }
        crate::fold::fold(Self::new(column_type, ScalarNode::Convert(Box::new(self))))
    }

    /// The expressions directly inside.
    #[must_use]
    pub fn children(&self) -> Vec<&ScalarExpr> {
        match &self.node {
            ScalarNode::Literal(_) | ScalarNode::Column(_) | ScalarNode::Subquery(_) => Vec::new(),
            ScalarNode::And(all) | ScalarNode::Or(all) => all.iter().collect(),
            ScalarNode::Binary { left, right, .. } => vec![left, right],
            ScalarNode::List { operand, items, .. } => std::iter::once(&**operand).chain(items).collect(),
            ScalarNode::InTable { operand, .. } => vec![operand],
            ScalarNode::Call { args, .. } | ScalarNode::Window { args, .. } => args.iter().collect(),
            ScalarNode::Convert(inner) => vec![inner],
            ScalarNode::Path { base, .. } => vec![base],
            ScalarNode::Element { base, index } => vec![base, index],
            ScalarNode::Conditional { branches, otherwise } => {
                branches.iter().flat_map(|(c, v)| [c, v]).chain(std::iter::once(&**otherwise)).collect()
            }
        }
    }

    /// The same expression with `change` applied to each expression directly inside.
    #[must_use]
    pub fn with_children(&self, change: &mut dyn FnMut(&ScalarExpr) -> ScalarExpr) -> Self {
        let mut boxed = |inner: &ScalarExpr| Box::new(change(inner));
        let node = match &self.node {
            ScalarNode::Literal(_) | ScalarNode::Column(_) | ScalarNode::Subquery(_) => return self.clone(),
            ScalarNode::Binary { operator, left, right } => {
                ScalarNode::Binary { operator: *operator, left: boxed(left), right: boxed(right) }
            }
            ScalarNode::InTable { operator, operand, relation } => {
                ScalarNode::InTable { operator: *operator, operand: boxed(operand), relation: relation.clone() }
            }
            ScalarNode::Convert(inner) => ScalarNode::Convert(boxed(inner)),
            ScalarNode::Path { base, steps } => ScalarNode::Path { base: boxed(base), steps: steps.clone() },
            ScalarNode::Element { base, index } => ScalarNode::Element { base: boxed(base), index: boxed(index) },
            ScalarNode::And(all) => ScalarNode::And(all.iter().map(change).collect()),
            ScalarNode::Or(all) => ScalarNode::Or(all.iter().map(change).collect()),
            ScalarNode::List { operator, operand, items } => ScalarNode::List {
                operator: *operator,
                operand: boxed(operand),
                items: items.iter().map(change).collect(),
            },
            ScalarNode::Call { function, args } => {
                ScalarNode::Call { function, args: args.iter().map(change).collect() }
            }
            ScalarNode::Conditional { branches, otherwise } => ScalarNode::Conditional {
                branches: branches.iter().map(|(when, then)| (change(when), change(then))).collect(),
                otherwise: Box::new(change(otherwise)),
            },
            ScalarNode::Window { function, args, order, partition } => ScalarNode::Window {
                function,
                args: args.iter().map(change).collect(),
                order: Arc::clone(order),
                partition: partition.clone(),
            },
        };
        Self::new(self.column_type, node)
    }

    /// Whether a window function is anywhere inside.
    #[must_use]
    pub fn has_window(&self) -> bool {
        matches!(self.node, ScalarNode::Window { .. }) || self.children().into_iter().any(Self::has_window)
    }

    /// Adds the names of the columns the expression reads.
    pub fn read_columns(&self, into: &mut BTreeSet<Arc<str>>) {
        match &self.node {
            ScalarNode::Column(name) => {
                into.insert(Arc::clone(name));
            }
            ScalarNode::Window { order, partition, .. } => {
                order.iter().for_each(|key| key.expression.read_columns(into));
                into.extend(partition.iter().cloned());
            }
            _ => {}
        }
        self.children().into_iter().for_each(|child| child.read_columns(into));
    }

    /// Whether the expression reads a column that is not among these.
    #[must_use]
    pub fn reads_outside(&self, columns: &[Column]) -> bool {
        let mut read = BTreeSet::new();
        self.read_columns(&mut read);
        read.iter().any(|name| !columns.iter().any(|column| column.name == *name))
    }

    /// Whether the expression depends on no column and no query.
    #[must_use]
    pub fn is_constant(&self) -> bool {
        match &self.node {
            ScalarNode::Column(_)
            | ScalarNode::Subquery(_)
            | ScalarNode::InTable { .. }
            | ScalarNode::Window { .. } => false,
            ScalarNode::Call { function, .. } if !function.deterministic => false,
            _ => self.children().into_iter().all(Self::is_constant),
        }
    }
}

impl fmt::Display for ScalarExpr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.node {
            ScalarNode::Literal(value) => write!(f, "{value}"),
            ScalarNode::Column(name) => write!(f, "{name}"),
            ScalarNode::And(all) => join(f, all, " and "),
            ScalarNode::Or(all) => join(f, all, " or "),
            ScalarNode::Binary { operator, left, right } => write!(f, "({left} {} {right})", operator.symbol()),
            ScalarNode::List { operator, operand, items } => {
                write!(f, "{operand} {} ", operator.symbol())?;
                join(f, items, ", ")
            }
            ScalarNode::InTable { operator, operand, .. } => write!(f, "{operand} {} (query)", operator.symbol()),
            ScalarNode::Call { function, args } | ScalarNode::Window { function, args, .. } => {
                f.write_str(function.name)?;
                join(f, args, ", ")
            }
            ScalarNode::Convert(inner) => write!(f, "to{}({inner})", self.column_type),
            ScalarNode::Path { base, steps } => {
                write!(f, "{base}")?;
                steps.iter().try_for_each(|step| match step {
                    Step::Key(key) => write!(f, "[{key:?}]"),
                    Step::Index(index) => write!(f, "[{index}]"),
                })
            }
            ScalarNode::Element { base, index } => write!(f, "{base}[{index}]"),
            ScalarNode::Conditional { branches, otherwise } => {
                f.write_str("case(")?;
                branches.iter().try_for_each(|(condition, value)| write!(f, "{condition}, {value}, "))?;
                write!(f, "{otherwise})")
            }
            ScalarNode::Subquery(_) => f.write_str("toscalar(query)"),
        }
    }
}

fn join(f: &mut fmt::Formatter<'_>, all: &[ScalarExpr], separator: &str) -> fmt::Result {
    f.write_str("(")?;
    for (index, expression) in all.iter().enumerate() {
        if index > 0 {
            f.write_str(separator)?;
        }
        write!(f, "{expression}")?;
    }
    f.write_str(")")
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        print(self, 0, f)
    }
}

fn print(relation: &Relation, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let details = relation.operator.details();
    let separator = if details.is_empty() { "" } else { " " };
    writeln!(f, "{:depth$}{}{separator}{details}", "", relation.operator.name(), depth = depth * 2)?;
    relation.operator.inputs().into_iter().try_for_each(|input| print(input, depth + 1, f))
}

impl fmt::Display for BoundQuery {
    /// One tree per result: each operator above its inputs, then the columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for result in &self.results {
            if let Some(render) = &result.render {
                writeln!(f, "render {}", render.chart)?;
            }
            write!(f, "{}", result.relation)?;
            let columns: Vec<String> =
                result.relation.columns.iter().map(|c| format!("{}:{}", c.name, c.column_type)).collect();
            writeln!(f, "columns ({})", columns.join(", "))?;
        }
        Ok(())
    }
}
