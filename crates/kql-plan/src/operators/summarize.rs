//! `summarize`, `distinct`, `count`.

use datafusion::logical_expr::{Expr, LogicalPlan};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{CountOperator, DistinctOperator, Expression, NamedExpression, SummarizeOperator, Target};

use super::TabularOperator;
use super::apply::{is_hidden, kept};
use super::project::Project;
use crate::aggregates::{self, Aggregate, AggregateCall};
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::error::Result;
use crate::lower::{LowerContext, column, with_windows};
use crate::steps;

/// One bound aggregate: a call, and the columns it fills.
#[derive(Debug, Clone)]
pub struct BoundAggregate {
    /// The function.
    pub function: &'static Aggregate,
    /// The arguments without the predicate.
    pub args: Vec<ScalarExpr>,
    /// The rows that count, if not all.
    pub predicate: Option<ScalarExpr>,
    /// The columns it fills, under names of its own.
    pub outputs: Vec<Column>,
}

impl BoundAggregate {
    /// Counts only rows for which a column holds.
    fn restrict(&mut self, column: &Column) {
        let own = self.predicate.take();
        let all = std::iter::once(ScalarExpr::column(column)).chain(own).collect();
        self.predicate = Some(ScalarExpr::new(ColumnType::Bool, crate::bound::ScalarNode::And(all)));
    }
}

/// Groups rows and computes aggregates.
#[derive(Debug)]
pub struct Summarize {
    /// The rows.
    pub input: Relation,
    /// The group keys with the names `__k0`, `__k1`, ...
    pub keys: Vec<(Column, ScalarExpr)>,
    /// The aggregates.
    pub aggregates: Vec<BoundAggregate>,
}

impl TabularOperator for Summarize {
    fn name(&self) -> &'static str {
        "summarize"
    }

    fn details(&self) -> String {
        let call = |a: &BoundAggregate| {
            let args: Vec<String> = a.args.iter().map(ToString::to_string).collect();
            let filter = a.predicate.as_ref().map(|p| format!(" if {p}")).unwrap_or_default();
            format!("{}({}){filter}", a.function.name, args.join(", "))
        };
        let keys: Vec<String> = self.keys.iter().map(|(_, key)| key.to_string()).collect();
        let calls: Vec<String> = self.aggregates.iter().map(call).collect();
        format!("{} by {}", calls.join(", "), keys.join(", "))
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn passes_columns(&self) -> bool {
        false
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let mut read = std::collections::BTreeSet::new();
        let arguments = self.aggregates.iter().flat_map(|a| a.args.iter().chain(&a.predicate));
        let expressions = self.keys.iter().map(|(_, key)| key).chain(arguments);
        expressions.chain(self.input.order.iter().map(|key| &key.expression)).for_each(|e| e.read_columns(&mut read));
        let plan = ctx.relation_needing(&self.input, &read)?;
        let (plan, order) = self.with_row_number(plan, ctx)?;
        let (plan, keys) = ctx.windowed(plan, self.keys.iter().map(|(_, key)| key))?;
        let (plan, mut args) = ctx.windowed(plan, self.aggregates.iter().flat_map(|a| &a.args))?;
        let keys = self
            .keys
            .iter()
            .zip(&keys)
            .map(|((name, _), key)| Ok(ctx.scalar(key)?.alias(&*name.name)))
            .collect::<Result<Vec<Expr>>>()?;
        let mut computed: Vec<Expr> = Vec::new();
        let mut outputs: Vec<Expr> = self.keys.iter().map(|(name, _)| column(&name.name)).collect();
        for (index, aggregate) in self.aggregates.iter().enumerate() {
            let call = AggregateCall {
                args: args.drain(..aggregate.args.len()).map(|arg| ctx.scalar(&arg)).collect::<Result<Vec<_>>>()?,
                bound: &aggregate.args,
                filter: aggregate.predicate.as_ref().map(|p| ctx.predicate(p)).transpose()?,
                outputs: &aggregate.outputs,
                order: order.clone(),
            };
            let (parts, finish) = (aggregate.function.lower)(&call);
            let names: Vec<String> = (0..parts.len()).map(|part| format!("__a{index}_{part}")).collect();
            computed.extend(parts.into_iter().zip(&names).map(|(part, name)| part.alias(name)));
            let finished = finish(names.iter().map(|name| column(name)).collect(), &call);
            outputs.extend(finished.into_iter().zip(&aggregate.outputs).map(|(e, c)| e.alias(&*c.name)));
        }
        debug_assert_eq!(outputs.len(), relation.columns.len());
        steps::project(steps::aggregate(plan, keys, computed)?, outputs)
    }
}

impl Summarize {
    /// Numbers the rows if an aggregate wants their order and they have one.
    fn with_row_number(&self, plan: LogicalPlan, ctx: &LowerContext<'_>) -> Result<(LogicalPlan, Option<Expr>)> {
        let wanted = self.aggregates.iter().any(|a| a.function.ordered);
        if !wanted || self.input.order.is_empty() {
            return Ok((plan, None));
        }
        let number = aggregates::collect::row_number(ctx.sort_keys(&self.input.order)?, Vec::new());
        let plan = with_windows(plan, vec![(number, "__row_number")])?;
        Ok((plan, Some(column("__row_number"))))
    }
}

/// The keys of groups under construction.
pub(crate) struct Grouping {
    /// The keys with the names `__k0`, `__k1`, ...
    pub(crate) keys: Vec<(Column, ScalarExpr)>,
    /// The names the query gives them, where it does.
    pub(crate) key_names: Vec<Option<String>>,
}

impl Binder<'_> {
    /// `summarize n = count() by k`.
    pub(crate) fn bind_summarize(&mut self, input: Relation, node: &SummarizeOperator) -> Option<Relation> {
        let by: &[NamedExpression] = node.by.as_deref().unwrap_or(&[]);
        self.summarized(input, &node.aggregates, by)
    }

    /// Aggregates by keys.
    pub(crate) fn summarized(
        &mut self,
        input: Relation,
        aggregates: &[NamedExpression],
        by: &[NamedExpression],
    ) -> Option<Relation> {
        let grouping = self.group_keys(&input, by)?;
        let input_names: Vec<_> = input.columns.iter().map(|c| std::sync::Arc::clone(&c.name)).collect();
        let mut row = Row::of(&input);
        row.aggregates = Some(Vec::new());
        row.grouped_by = grouping.keys.iter().filter_map(|(_, key)| key.as_column().cloned()).collect();
        let mut entries: Vec<(Option<String>, ScalarExpr)> = Vec::new();
        for named in aggregates {
            entries.extend(self.aggregate_entry(named, &mut row)?);
        }
        let mut names = Names::default();
        let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
        let wanted_keys =
            grouping.key_names.iter().zip(&grouping.keys).map(|(n, (c, _))| (n.clone(), ScalarExpr::column(c)));
        for (wanted, expression) in wanted_keys.chain(entries) {
            let name = match wanted {
                Some(wanted) => names.unique(&wanted),
                None => loop {
                    let name = names.numbered("Column");
                    if input_names.iter().all(|known| **known != *name) {
                        break name;
                    }
                },
            };
            outputs.push((Column::new(&name, expression.column_type), expression));
        }
        let mut bound = row.aggregates.take().unwrap_or_default();
        if let Some(counts) = kept(&input.columns) {
            bound.iter_mut().for_each(|aggregate| aggregate.restrict(counts));
        }
        let columns =
            grouping.keys.iter().map(|(c, _)| c.clone()).chain(bound.iter().flat_map(|a| a.outputs.iter().cloned()));
        let columns = columns.collect();
        let grouped = Relation::new(columns, Summarize { input, keys: grouping.keys, aggregates: bound });
        Some(Project::relation("project", grouped, outputs))
    }

    /// The keys after `by`, and with them the hidden columns of a surrounding `mv-apply`.
    pub(crate) fn group_keys(&mut self, input: &Relation, by: &[NamedExpression]) -> Option<Grouping> {
        let mut grouping = Grouping { keys: Vec::new(), key_names: Vec::new() };
        let mut row = Row::of(input);
        for named in by {
            let expressions: Vec<(Option<String>, ScalarExpr)> = match named.expression.unparenthesized() {
                Expression::Star(_) => input
                    .columns
                    .iter()
                    .filter(|c| !is_hidden(&c.name))
                    .map(|c| (Some(c.name.to_string()), ScalarExpr::column(c)))
                    .collect(),
                _ => self.named_scalars(named, &mut row)?.into_iter().map(|(name, bound, _)| (name, bound)).collect(),
            };
            for (name, bound) in expressions {
                let column = Column::new(&format!("__k{}", grouping.keys.len()), bound.column_type);
                grouping.keys.push((column, bound));
                grouping.key_names.push(name);
            }
        }
        // What mv-apply carries along separates groups too.
        let counts = kept(&input.columns);
        for hidden in input.columns.iter().filter(|c| is_hidden(&c.name) && Some(*c) != counts) {
            let column = Column::new(&format!("__k{}", grouping.keys.len()), hidden.column_type);
            grouping.keys.push((column, ScalarExpr::column(hidden)));
            grouping.key_names.push(Some(hidden.name.to_string()));
        }
        Some(grouping)
    }

    /// One entry of a summarize: a call that may fill several columns, or an expression over aggregates.
    pub(crate) fn aggregate_entry(
        &mut self,
        named: &NamedExpression,
        row: &mut Row,
    ) -> Option<Vec<(Option<String>, ScalarExpr)>> {
        if let Expression::Call(call) = named.expression.unparenthesized()
            && let Some(function) = aggregates::registry().get(&call.function.text)
            && !self.is_user_function(&call.function.text)
        {
            let own_names = aggregates::naming::names(self, function, call, row);
            let columns = self.aggregate_call(function, call, row)?;
            let own_names = own_names.unwrap_or_default();
            let given: Vec<String> = match &named.target {
                None => Vec::new(),
                Some(Target::Name(name)) => vec![name.text.clone()],
                Some(Target::Names(list)) => list.names.iter().map(|n| n.text.clone()).collect(),
            };
            let entries = columns.into_iter().enumerate().map(|(index, column)| {
                let name =
                    given.get(index).cloned().or_else(|| own_names.get(index).cloned().filter(|name| !name.is_empty()));
                (name, ScalarExpr::column(&column))
            });
            return Some(entries.collect());
        }
        let name = match &named.target {
            Some(Target::Name(name)) => Some(name.text.clone()),
            Some(Target::Names(list)) => list.names.first().map(|n| n.text.clone()),
            None => self.name_of(&named.expression, row),
        };
        let before = row.aggregates.as_ref().map_or(0, Vec::len);
        let bound = self.scalar(&named.expression, row)?;
        let added = row.aggregates.as_ref().map_or(0, Vec::len) - before;
        if added == 0 && !bound.is_constant() {
            let message = "summarize needs an aggregation function here";
            return self.fail(codes::AGGREGATE_EXPECTED, named.expression.span(), message);
        }
        Some(vec![(name, bound)])
    }

    /// `distinct a, b` or `distinct *`.
    pub(crate) fn bind_distinct(&mut self, input: Relation, node: &DistinctOperator) -> Option<Relation> {
        self.summarized(input, &[], &node.columns)
    }

    /// `count`.
    pub(crate) fn bind_count(&mut self, input: Relation, node: &CountOperator) -> Option<Relation> {
        let name = node.name.as_ref().map_or("Count", |name| &name.text);
        let function = aggregates::registry().get("count")?;
        let output = Column::new(name, ColumnType::Long);
        let counts = kept(&input.columns);
        let mut aggregate =
            BoundAggregate { function, args: Vec::new(), predicate: None, outputs: vec![output.clone()] };
        counts.into_iter().for_each(|counts| aggregate.restrict(counts));
        let hidden = input.columns.iter().filter(|c| is_hidden(&c.name) && Some(*c) != counts);
        let keys: Vec<(Column, ScalarExpr)> = hidden.map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let columns = keys.iter().map(|(c, _)| c.clone()).chain([output]).collect();
        Some(Relation::new(columns, Summarize { input, keys, aggregates: vec![aggregate] }))
    }
}
