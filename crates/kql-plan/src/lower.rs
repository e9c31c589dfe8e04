//! From the bound query to DataFusion's logical plan.
//!
//! Column names stay as they are and are always looked up exactly; names made here start with `__`.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::{Column as PlanColumn, Spans};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::functions::math::isnan;
use datafusion::logical_expr::expr::{Case, InList, ScalarFunction, WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, Subquery, WindowFrame, WindowFunctionDefinition, cast, lit,
};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{BinaryOperator, ListOperator};

use crate::aggregates;
use crate::bound::{BoundResult, Relation, ScalarExpr, ScalarNode, SortKey};
use crate::error::Result;
use crate::functions::lists::ListFunction;
use crate::functions::path::{self, PathFunction};
use crate::functions::row::RowKernel;
use crate::functions::serial::SerialFunction;
use crate::functions::terms::{TextFunction, TextOperator};
use crate::functions::udf::RowFunction;
use crate::functions::{Kernel, NativeCall, Nulls, arithmetic, compare, conversion};
use crate::json;
use crate::operators::external::ExternalSource;
use crate::operators::materialize::Uses;
use crate::steps;
use crate::types;
use crate::value::Value;

/// Where the rows of tables come from. Whoever implements it decides which rows and columns the asking person sees.
pub trait TableProviderSource: Sync {
    /// The provider of a table of the catalog.
    fn provider(&self, table: &str) -> Option<Arc<dyn TableProvider>>;

    /// Whoever fetches what `externaldata` names; `None` where nothing may be fetched.
    fn external(&self) -> Option<Arc<dyn ExternalSource>> {
        None
    }
}

/// Lowers one result of a bound query.
///
/// # Shapes
/// The plan's columns are the result's, in order; the rows are sorted if the query ends in an order.
/// # Errors
/// When a table is gone, or when DataFusion refuses the plan.
pub fn lower(result: &BoundResult, tables: &dyn TableProviderSource) -> Result<LogicalPlan> {
    let uses = Uses::default();
    let plan = lower_with(result, tables, &uses)?;
    // What is materialized and read only once needs no place of its own.
    match uses.learned() {
        Some(uses) => lower_with(result, tables, &uses),
        None => Ok(plan),
    }
}

fn lower_with(result: &BoundResult, tables: &dyn TableProviderSource, uses: &Uses) -> Result<LogicalPlan> {
    let ctx = LowerContext { tables, needed: None, uses };
    let plan = ctx.ordered(&result.relation)?;
    let columns: Vec<Expr> = result.relation.columns.iter().map(|c| column(&c.name)).collect();
    steps::project(plan, columns)
}

/// What lowering needs to know.
#[derive(Clone, Copy)]
pub struct LowerContext<'a> {
    /// The tables.
    pub tables: &'a dyn TableProviderSource,
    /// The columns the reader of the plan needs; `None` for all. A plan may have more.
    pub needed: Option<&'a BTreeSet<Arc<str>>>,
    /// How often materialized queries are read.
    pub uses: &'a Uses,
}

impl std::fmt::Debug for LowerContext<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LowerContext")
    }
}

/// A column of a plan by its exact name.
#[must_use]
pub fn column(name: &str) -> Expr {
    Expr::Column(PlanColumn::new_unqualified(name))
}

impl LowerContext<'_> {
    /// The plan of a relation.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn relation(&self, relation: &Relation) -> Result<LogicalPlan> {
        relation.operator.lower(relation, &LowerContext { needed: None, ..*self })
    }

    /// The plan of a relation of which only some columns are needed. Unions of many wide tables would otherwise carry
    /// thousands of columns through every stage of planning.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn relation_needing(&self, relation: &Relation, needed: &BTreeSet<Arc<str>>) -> Result<LogicalPlan> {
        relation.operator.lower(relation, &LowerContext { needed: Some(needed), ..*self })
    }

    /// What this plan's reader needs and some expressions read; `None` for all columns.
    #[must_use]
    pub fn needed_with<'e>(&self, read: impl IntoIterator<Item = &'e ScalarExpr>) -> Option<BTreeSet<Arc<str>>> {
        let mut needed = self.needed?.clone();
        read.into_iter().for_each(|expression| expression.read_columns(&mut needed));
        Some(needed)
    }

    /// The plan of an input: all of it, or the columns named.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn input(&self, relation: &Relation, needed: Option<&BTreeSet<Arc<str>>>) -> Result<LogicalPlan> {
        match needed {
            Some(needed) => self.relation_needing(relation, needed),
            None => self.relation(relation),
        }
    }

    /// Which of these columns the plan must have: those needed, and never none.
    #[must_use]
    pub fn kept(&self, columns: &[Column]) -> Vec<bool> {
        let mut kept: Vec<bool> =
            columns.iter().map(|c| self.needed.is_none_or(|needed| needed.contains(&c.name))).collect();
        if let (Some(first), false) = (kept.first().copied(), kept.contains(&true)) {
            debug_assert!(!first);
            kept[0] = true;
        }
        kept
    }

    /// The plan of a relation, sorted as the relation says: plans in between may have lost the order.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn ordered(&self, relation: &Relation) -> Result<LogicalPlan> {
        let plan = self.relation(relation)?;
        if relation.order.is_empty() || relation.operator.keeps_own_order() {
            return Ok(plan);
        }
        let keys = self.sort_keys(&relation.order)?;
        steps::sort(plan, keys, None)
    }

    /// Sort keys.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn sort_keys(&self, keys: &[SortKey]) -> Result<Vec<SortExpr>> {
        let mut all = Vec::with_capacity(keys.len());
        for key in keys {
            let expression = self.scalar(&key.expression)?;
            // NaN stands beside null at whichever end. Plain order has it behind infinity.
            if key.expression.column_type == ColumnType::Real && key.nulls_first != key.descending {
                let is_nan = isnan().call(vec![expression.clone()]);
                all.push(is_nan.sort(!key.nulls_first, key.nulls_first));
            }
            all.push(expression.sort(!key.descending, key.nulls_first));
        }
        Ok(all)
    }

    /// A projection of expressions under names. Window functions inside are computed first.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn project(&self, plan: LogicalPlan, expressions: &[(Column, ScalarExpr)]) -> Result<LogicalPlan> {
        let (plan, rewritten) = self.windowed(plan, expressions.iter().map(|(_, expression)| expression))?;
        let mut all = Vec::with_capacity(rewritten.len());
        for ((target, _), expression) in expressions.iter().zip(&rewritten) {
            let lowered = self.scalar(expression)?;
            let same = matches!(&lowered, Expr::Column(c) if c.relation.is_none() && c.name == *target.name);
            all.push(if same { lowered } else { lowered.alias(&*target.name) });
        }
        steps::project(plan, all)
    }

    /// The plan with the window functions of expressions as further columns, and the expressions over those columns.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn windowed<'e>(
        &self,
        plan: LogicalPlan,
        expressions: impl IntoIterator<Item = &'e ScalarExpr>,
    ) -> Result<(LogicalPlan, Vec<ScalarExpr>)> {
        let mut found = Windows { taken: free_number(&plan), all: Vec::new() };
        let rewritten = expressions.into_iter().map(|expression| found.extract(expression)).collect();
        let deepest = found.all.iter().map(|window| window.depth).max().map_or(0, |depth| depth + 1);
        let mut plan = plan;
        // A window function over another one needs that one's column.
        for depth in 0..deepest {
            let level = found.all.iter().filter(|window| window.depth == depth);
            let level = level
                .map(|window| Ok((self.window(&window.expression)?, window.name.as_str())))
                .collect::<Result<Vec<_>>>()?;
            plan = with_windows(plan, level)?;
        }
        Ok((plan, rewritten))
    }

    /// A window function over all rows in their order.
    fn window(&self, expression: &ScalarExpr) -> Result<Expr> {
        use datafusion::functions_window as functions;
        let ScalarNode::Window { function, args, order, partition } = &expression.node else {
            return self.scalar(expression);
        };
        let args = args.iter().map(|arg| self.scalar(arg)).collect::<Result<Vec<_>>>()?;
        let fun = match function.name {
            "prev" => WindowFunctionDefinition::WindowUDF(functions::lead_lag::lag_udwf()),
            "next" => WindowFunctionDefinition::WindowUDF(functions::lead_lag::lead_udwf()),
            "row_number" if args.is_empty() => {
                WindowFunctionDefinition::WindowUDF(functions::row_number::row_number_udwf())
            }
            name => SerialFunction::definition(name, expression.column_type),
        };
        let params = WindowFunctionParams {
            args,
            partition_by: partition.iter().map(|name| column(name)).collect(),
            order_by: self.sort_keys(order)?,
            window_frame: WindowFrame::new_bounds(
                datafusion::logical_expr::WindowFrameUnits::Rows,
                datafusion::logical_expr::WindowFrameBound::Preceding(datafusion::scalar::ScalarValue::UInt64(None)),
                datafusion::logical_expr::WindowFrameBound::CurrentRow,
            ),
            filter: None,
            null_treatment: None,
            distinct: false,
        };
        Ok(Expr::WindowFunction(Box::new(WindowFunction { fun, params })))
    }

    /// A predicate where null may stand for false.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn predicate(&self, expression: &ScalarExpr) -> Result<Expr> {
        match &expression.node {
            ScalarNode::And(all) => self.chain(all, true, Expr::and),
            ScalarNode::Or(all) => self.chain(all, true, Expr::or),
            ScalarNode::Binary { operator, left, right } if is_comparison(*operator) => {
                let (left_type, right_type) = (left.column_type, right.column_type);
                Ok(compare::lower(*operator, (self.scalar(left)?, left_type), (self.scalar(right)?, right_type), true))
            }
            ScalarNode::List { operator, operand, items } => self.list(*operator, operand, items, true),
            _ => self.scalar(expression),
        }
    }

    fn chain(&self, all: &[ScalarExpr], as_filter: bool, join: fn(Expr, Expr) -> Expr) -> Result<Expr> {
        let mut level = all
            .iter()
            .map(|one| if as_filter { self.predicate(one) } else { self.scalar(one) })
            .collect::<Result<Vec<_>>>()?;
        // Joined in pairs, so that a long chain does not become a deep tree.
        while level.len() > 1 {
            let mut next = Vec::with_capacity(level.len().div_ceil(2));
            let mut rest = level.into_iter();
            while let Some(left) = rest.next() {
                next.push(match rest.next() {
                    Some(right) => join(left, right),
                    None => left,
                });
            }
            level = next;
        }
        Ok(level.pop().unwrap_or_else(|| lit(true)))
    }

    /// An expression.
    ///
    /// # Errors
    /// As [`lower`].
    pub fn scalar(&self, expression: &ScalarExpr) -> Result<Expr> {
        let target = expression.column_type;
        Ok(match &expression.node {
            ScalarNode::Literal(value) => Expr::Literal(value.to_scalar(), None),
            ScalarNode::Column(name) => column(name),
            ScalarNode::And(all) => self.chain(all, false, Expr::and)?,
            ScalarNode::Or(all) => self.chain(all, false, Expr::or)?,
            ScalarNode::Binary { operator, left, right } => self.binary(*operator, left, right, target)?,
            ScalarNode::List { operator, operand, items } => self.list(*operator, operand, items, false)?,
            ScalarNode::InTable { operator, operand, relation } => {
                let list = self.list_of(relation)?;
                ListFunction::call(*operator, self.text(operand)?, list)
            }
            ScalarNode::Call { function, args } => {
                let types: Vec<ColumnType> = args.iter().map(|arg| arg.column_type).collect();
                let args = args.iter().map(|arg| self.scalar(arg)).collect::<Result<Vec<_>>>()?;
                let propagates = function.nulls == Nulls::Propagate;
                match function.kernel {
                    Kernel::Row(kernel) => RowFunction::call(
                        function.name,
                        kernel,
                        propagates,
                        function.deterministic,
                        &types,
                        target,
                        args,
                    ),
                    Kernel::Native(native, _) => native(NativeCall { args, types, return_type: target }),
                    Kernel::Special | Kernel::Window => {
                        return Err(crate::error::Error::Unsupported { what: format!("{}()", function.name) });
                    }
                }
            }
            ScalarNode::Convert(inner) => self.convert(inner, target)?,
            ScalarNode::Path { base, steps } => PathFunction::call(self.scalar(base)?, steps),
            ScalarNode::Element { base, index } => {
                let types = [base.column_type, index.column_type];
                let kernel: RowKernel = path::element;
                RowFunction::call(
                    "kql_element",
                    kernel,
                    true,
                    true,
                    &types,
                    target,
                    vec![self.scalar(base)?, self.scalar(index)?],
                )
            }
            ScalarNode::Conditional { branches, otherwise } => {
                let when_then_expr = branches
                    .iter()
                    .map(|(when, then)| Ok((Box::new(self.predicate(when)?), Box::new(self.scalar(then)?))))
                    .collect::<Result<Vec<_>>>()?;
                Expr::Case(Case { expr: None, when_then_expr, else_expr: Some(Box::new(self.scalar(otherwise)?)) })
            }
            ScalarNode::Subquery(relation) => {
                let plan = self.ordered(relation)?;
                let first = relation.columns.first().map_or("", |c| &c.name);
                let plan = LogicalPlanBuilder::from(plan).limit(0, Some(1))?.build()?;
                let plan = steps::project(plan, [column(first)])?;
                let value = subquery(plan);
                if target == ColumnType::String { coalesce(vec![value, lit("")]) } else { value }
            }
            ScalarNode::Window { .. } => self.window(expression)?,
        })
    }

    fn binary(
        &self,
        operator: BinaryOperator,
        left: &ScalarExpr,
        right: &ScalarExpr,
        target: ColumnType,
    ) -> Result<Expr> {
        if let Some(text) = TextOperator::of(operator) {
            return Ok(TextFunction::call(text, self.text(left)?, self.text(right)?));
        }
        let sides = ((self.scalar(left)?, left.column_type), (self.scalar(right)?, right.column_type));
        Ok(if is_comparison(operator) {
            compare::lower(operator, sides.0, sides.1, false)
        } else {
            arithmetic::lower(operator, sides.0, sides.1, target)
        })
    }

    /// An expression as text.
    fn text(&self, expression: &ScalarExpr) -> Result<Expr> {
        if expression.column_type == ColumnType::String {
            self.scalar(expression)
        } else {
            self.convert(expression, ColumnType::String)
        }
    }

    fn convert(&self, inner: &ScalarExpr, target: ColumnType) -> Result<Expr> {
        let from = inner.column_type;
        let lowered = self.scalar(inner)?;
        let widens = types::is_number(from)
            && types::is_number(target)
            && target != ColumnType::Decimal
            && types::widest_number(from, target) == target;
        if from == target {
            return Ok(lowered);
        }
        if widens {
            return Ok(cast(lowered, target.computed()));
        }
        let name = match target {
            ColumnType::Bool => "kql_to_bool",
            ColumnType::Int => "kql_to_int",
            ColumnType::Long => "kql_to_long",
            ColumnType::Real => "kql_to_real",
            ColumnType::Decimal => "kql_to_decimal",
            ColumnType::String => "kql_to_string",
            ColumnType::DateTime => "kql_to_datetime",
            ColumnType::TimeSpan => "kql_to_timespan",
            ColumnType::Dynamic => "kql_to_dynamic",
            ColumnType::Guid => "kql_to_guid",
        };
        let kernel: RowKernel = |args, call| conversion::convert(args[0], call);
        Ok(RowFunction::call(name, kernel, target != ColumnType::String, true, &[from], target, vec![lowered]))
    }

    fn list(
        &self,
        operator: ListOperator,
        operand: &ScalarExpr,
        items: &[ScalarExpr],
        as_filter: bool,
    ) -> Result<Expr> {
        let exact = matches!(operator, ListOperator::In | ListOperator::NotIn);
        let literals: Option<Vec<&Value>> = items.iter().map(ScalarExpr::as_literal).collect();
        let own_type = operand.column_type;
        if let (true, Some(literals), false) = (exact, &literals, own_type == ColumnType::Dynamic)
            && literals.iter().all(|value| value.column_type() == own_type)
        {
            return self.native_list(operator == ListOperator::NotIn, operand, literals, as_filter);
        }
        if let Some(literals) = literals {
            let texts: Vec<String> = literals
                .iter()
                .map(|value| json::quote(&conversion::cell_text(crate::fold::cell(value), value.column_type())))
                .collect();
            return Ok(ListFunction::call(operator, self.text(operand)?, lit(format!("[{}]", texts.join(",")))));
        }
        let kernel: RowKernel = |args, call| {
            let all: Vec<serde_json::Value> = args
                .iter()
                .zip(call.types)
                .map(|(cell, t)| conversion::cell_value(*cell, *t))
                .flat_map(flatten)
                .collect();
            serde_json::Value::Array(all).into()
        };
        let types: Vec<ColumnType> = items.iter().map(|item| item.column_type).collect();
        let args = items.iter().map(|item| self.scalar(item)).collect::<Result<Vec<_>>>()?;
        let list = RowFunction::call("kql_list", kernel, false, true, &types, ColumnType::Dynamic, args);
        Ok(ListFunction::call(operator, self.text(operand)?, list))
    }

    fn native_list(&self, negated: bool, operand: &ScalarExpr, items: &[&Value], as_filter: bool) -> Result<Expr> {
        let expr = self.scalar(operand)?;
        let list: Vec<Expr> =
            items.iter().filter(|v| !v.is_null()).map(|v| Expr::Literal(v.to_scalar(), None)).collect();
        if list.is_empty() {
            return Ok(lit(negated));
        }
        let found = Expr::InList(InList { expr: Box::new(expr), list, negated });
        let total = operand.column_type == ColumnType::String || (as_filter && !negated);
        Ok(if total { found } else { coalesce(vec![found, lit(negated)]) })
    }

    /// The distinct values of the first column of a query as one JSON array of texts.
    fn list_of(&self, relation: &Relation) -> Result<Expr> {
        let Some(first) = relation.columns.first() else { return Ok(lit("[]")) };
        let plan = self.relation_needing(relation, &std::iter::once(Arc::clone(&first.name)).collect())?;
        // A single dynamic column holds arrays as often as values; `kql_list_flatten` opens them.
        let kernel: RowKernel = |args, call| {
            serde_json::Value::Array(flatten(conversion::cell_value(args[0], call.types[0])).collect()).into()
        };
        let value = RowFunction::call(
            "kql_list_flatten",
            kernel,
            false,
            true,
            &[first.column_type],
            ColumnType::Dynamic,
            vec![column(&first.name)],
        );
        let collected = aggregates::collect::merged_list(value).alias("__list");
        let plan = steps::aggregate(plan, [], [collected])?;
        Ok(subquery(plan))
    }
}

/// The elements of an array, or the value itself.
fn flatten(value: serde_json::Value) -> Box<dyn Iterator<Item = serde_json::Value>> {
    match value {
        serde_json::Value::Array(all) => Box::new(all.into_iter()),
        one => Box::new(std::iter::once(one)),
    }
}

fn subquery(plan: LogicalPlan) -> Expr {
    Expr::ScalarSubquery(Subquery { subquery: Arc::new(plan), outer_ref_columns: Vec::new(), spans: Spans::new() })
}

/// Whether an operator is `== != < <= > >=`.
#[must_use]
pub fn is_comparison(operator: BinaryOperator) -> bool {
    use BinaryOperator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    matches!(operator, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
}

/// The window functions found in expressions.
struct Windows {
    /// The first number no column of the plan has.
    taken: usize,
    all: Vec<FoundWindow>,
}

/// A window function and the column it fills.
struct FoundWindow {
    name: String,
    expression: ScalarExpr,
    /// How many window functions must be computed before this one.
    depth: usize,
}

impl Windows {
    /// Replaces window functions by columns `__w0`, `__w1`, ... and collects them, inner ones first.
    fn extract(&mut self, expression: &ScalarExpr) -> ScalarExpr {
        if !expression.has_window() {
            return expression.clone();
        }
        let rewritten = expression.with_children(&mut |child| self.extract(child));
        let ScalarNode::Window { .. } = rewritten.node else { return rewritten };
        let mut read = BTreeSet::new();
        rewritten.read_columns(&mut read);
        let inner = self.all.iter().filter(|window| read.contains(window.name.as_str()));
        let depth = inner.map(|window| window.depth + 1).max().unwrap_or(0);
        let name = format!("__w{}", self.taken + self.all.len());
        // Window functions may give other Arrow types than Kusto's.
        let result = cast_window(&rewritten, &name);
        self.all.push(FoundWindow { name, expression: rewritten, depth });
        result
    }
}

/// The first number `n` for which the plan has no column `__w<n>` or one after it.
fn free_number(plan: &LogicalPlan) -> usize {
    let fields = plan.schema().fields().iter();
    fields.filter_map(|f| f.name().strip_prefix("__w")?.parse::<usize>().ok()).map(|n| n + 1).max().unwrap_or(0)
}

/// A plan with window functions computed under names of their own.
///
/// # Errors
/// When DataFusion refuses the plan.
pub fn with_windows(plan: LogicalPlan, windows: Vec<(Expr, &str)>) -> Result<LogicalPlan> {
    let own: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let mut functions: Vec<Expr> = Vec::new();
    let mut outputs = own;
    for (function, name) in windows {
        outputs.push(column(&function.schema_name().to_string()).alias(name));
        if !functions.contains(&function) {
            functions.push(function);
        }
    }
    let plan = LogicalPlanBuilder::window_plan(plan, functions)?;
    steps::project(plan, outputs)
}

/// A column made by a window function, in the Arrow type of its Kusto type.
fn cast_window(expression: &ScalarExpr, name: &str) -> ScalarExpr {
    ScalarExpr::new(
        expression.column_type,
        ScalarNode::Call {
            function: &WINDOW_RESULT,
            args: vec![ScalarExpr::new(expression.column_type, ScalarNode::Column(name.into()))],
        },
    )
}

/// Brings the result of a window function into its Kusto form.
static WINDOW_RESULT: crate::functions::Function = crate::functions::Function::new(
    "kql_window_result",
    &["(value: scalar) -> $1"],
    Kernel::Native(
        |mut call| {
            let value = cast(call.args.swap_remove(0), call.return_type.computed());
            if call.return_type == ColumnType::String { coalesce(vec![value, lit("")]) } else { value }
        },
        |args, _| args[0].into(),
    ),
);

/// The name of the function an expression calls and its arguments, for those who look at lowered filters.
#[must_use]
pub fn function_call(expr: &Expr) -> Option<(&str, &[Expr])> {
    match expr {
        Expr::ScalarFunction(ScalarFunction { func, args }) => Some((func.name(), args)),
        _ => None,
    }
}
