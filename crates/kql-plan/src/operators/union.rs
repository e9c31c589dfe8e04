//! `union`: columns by name in the order of first appearance; a name with several types becomes several columns.

use std::sync::Arc;

use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, Union as UnionPlan};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{Expression, UnionOperator};

use super::TabularOperator;
use crate::binder::{Binder, Names, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::error::Result;
use crate::lower::LowerContext;
use crate::value::Value;

/// The greatest number of tables in one union.
const INPUTS_MAX: usize = 500;

/// Puts the rows of several relations under one another.
#[derive(Debug)]
pub struct Union {
    /// The relations, each with what fills the columns of the result.
    pub inputs: Vec<(Relation, Vec<ScalarExpr>)>,
}

impl TabularOperator for Union {
    fn name(&self) -> &'static str {
        "union"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn inputs(&self) -> Vec<&Relation> {
        self.inputs.iter().map(|(relation, _)| relation).collect()
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let mut plans = Vec::with_capacity(self.inputs.len());
        let kept = ctx.kept(&relation.columns);
        for (input, fillers) in &self.inputs {
            let filled =
                relation.columns.iter().zip(fillers).zip(&kept).filter(|(_, kept)| **kept).map(|(pair, _)| pair);
            let mut read = std::collections::BTreeSet::new();
            filled.clone().for_each(|(_, filler)| filler.read_columns(&mut read));
            let plan = ctx.relation_needing(input, &read)?;
            let outputs = filled
                .map(|(column, filler)| Ok(ctx.scalar(filler)?.alias(&*column.name)))
                .collect::<Result<Vec<Expr>>>()?;
            plans.push(Arc::new(LogicalPlanBuilder::from(plan).project(outputs)?.build()?));
        }
        if plans.len() == 1 {
            return Ok(Arc::unwrap_or_clone(plans.swap_remove(0)));
        }
        Ok(LogicalPlan::Union(UnionPlan::try_new_with_loose_types(plans)?))
    }
}

impl Binder<'_> {
    /// `union kind=outer withsource=S isfuzzy=true a, b*`, with the piped rows first.
    pub(crate) fn bind_union(&mut self, input: Option<Relation>, node: &UnionOperator) -> Option<Relation> {
        let word =
            |name: &str| node.parameters.iter().find(|p| p.name.text == name).and_then(|p| p.word()).map(str::to_owned);
        let fuzzy = word("isfuzzy").is_some_and(|w| w == "true");
        let inner = word("kind").is_some_and(|w| w == "inner");
        let source_column = word("withsource").or_else(|| word("with_source"));
        let mut inputs: Vec<(String, Relation)> = Vec::new();
        if let Some(input) = input {
            let label = input.operator.as_table().map_or_else(|| "union_arg0".to_owned(), str::to_owned);
            inputs.push((label, input));
        }
        for source in &node.sources {
            let before = inputs.len();
            if let Expression::Wildcard(_) | Expression::Star(_) = source.unparenthesized() {
                let matched = self.tables_matching(source.unparenthesized());
                if matched.is_empty() && !fuzzy {
                    return self.fail(codes::NO_TABLE, source.span(), "no table matches the pattern");
                }
                inputs.extend(matched);
            } else {
                let known = self.diagnostics_len();
                match self.relation(source) {
                    Some(relation) => {
                        let label =
                            source.as_name().map_or_else(|| format!("union_arg{before}"), |name| name.text.clone());
                        inputs.push((label, relation));
                    }
                    // A fuzzy union leaves out what cannot be resolved.
                    None if fuzzy => self.forget_diagnostics(known),
                    None => return None,
                }
            }
            if inputs.len() > INPUTS_MAX {
                return self.fail(codes::LIMIT, source.span(), format!("a union takes at most {INPUTS_MAX} tables"));
            }
        }
        if inputs.is_empty() {
            return self.fail(codes::NO_TABLE, node.span, "the union has no table");
        }
        Some(Union::relation(inputs, inner, source_column.as_deref()))
    }
}

impl Union {
    /// The union of labelled relations.
    #[must_use]
    pub fn relation(inputs: Vec<(String, Relation)>, inner: bool, source_column: Option<&str>) -> Relation {
        let mut merged: Vec<Column> = Vec::new();
        for column in inputs.iter().flat_map(|(_, relation)| relation.columns.iter()) {
            if !merged.contains(column) {
                // Columns of one name stand together.
                let at = merged.iter().rposition(|c| c.name == column.name).map_or(merged.len(), |at| at + 1);
                merged.insert(at, column.clone());
            }
        }
        if inner {
            merged.retain(|column| inputs.iter().all(|(_, relation)| relation.columns.contains(column)));
        }
        let clashes = |name: &str| merged.iter().filter(|c| &*c.name == name).count() > 1;
        let mut names = Names::default();
        let mut columns: Vec<Column> = Vec::new();
        if let Some(name) = source_column {
            columns.push(Column::new(&names.unique(name), ColumnType::String));
        }
        for column in &merged {
            let wanted = if clashes(&column.name) {
                format!("{}_{}", column.name, column.column_type)
            } else {
                column.name.to_string()
            };
            columns.push(Column::new(&names.unique(&wanted), column.column_type));
        }
        let filled = inputs.into_iter().map(|(label, relation)| {
            let own = merged.iter().map(|column| {
                if relation.columns.contains(column) {
                    ScalarExpr::column(column)
                } else {
                    ScalarExpr::literal(Value::null(column.column_type))
                }
            });
            let label = source_column.map(|_| ScalarExpr::literal(Value::String(label)));
            let fillers = label.into_iter().chain(own).collect();
            (relation, fillers)
        });
        let inputs = filled.collect();
        Relation::new(columns, Union { inputs })
    }
}
