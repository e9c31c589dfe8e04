//! The names of aggregates' columns.

use moneta_kql::syntax::{CallExpression, Expression};

use super::{Aggregate, AggregateNaming};
use crate::binder::{Binder, Row};
use crate::functions::conversion::cell_text;

/// The names of the columns a call fills, in order; `None` for those that have none.
pub fn names(binder: &mut Binder<'_>, function: &Aggregate, call: &CallExpression, row: &Row) -> Option<Vec<String>> {
    let argument = |binder: &Binder<'_>, index: usize| {
        call.arguments.get(index).and_then(|a| binder.argument_name(a, row)).unwrap_or_default()
    };
    match function.naming {
        AggregateNaming::Prefix(prefix) => Some(vec![format!("{prefix}{}", argument(binder, 0))]),
        AggregateNaming::Arguments => Some(expanded(binder, call, row, "", usize::MAX)),
        AggregateNaming::FirstPrefixed(prefix) => Some(expanded(binder, call, row, prefix, 1)),
        AggregateNaming::EachPrefixed(prefix) => Some(expanded(binder, call, row, prefix, usize::MAX)),
        AggregateNaming::Percentiles | AggregateNaming::WeightedPercentiles => {
            let measured = if function.naming == AggregateNaming::WeightedPercentiles { 2 } else { 1 };
            let base = argument(binder, 0);
            let mut names = Vec::new();
            for percentile in call.arguments.iter().skip(measured) {
                let mut none = Row::none();
                let shown = binder
                    .quietly(|binder| binder.scalar(&percentile.expression, &mut none))
                    .and_then(|e| e.as_literal().map(|v| cell_text(crate::fold::cell(v), v.column_type())))
                    .unwrap_or_default();
                let shown = shown.strip_suffix(".0").unwrap_or(&shown).replace('.', "_");
                names.push(format!("percentile_{base}_{shown}"));
            }
            Some(names)
        }
    }
}

/// The names of arguments, `*` opened; the first `prefixed` ones with a prefix.
fn expanded(binder: &Binder<'_>, call: &CallExpression, row: &Row, prefix: &str, prefixed: usize) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, argument) in call.arguments.iter().enumerate() {
        if let Some(name) = argument.name() {
            names.push(name.text.clone());
            continue;
        }
        let prefix = if index < prefixed { prefix } else { "" };
        match argument.expression.unparenthesized() {
            Expression::Star(_) => {
                let first = call.arguments.first().and_then(|a| a.expression.as_name()).map(|n| n.text.clone());
                for column in row.columns.iter() {
                    let repeated = index > 0 && Some(column.name.to_string()) == first;
                    if !row.grouped_by.contains(&column.name) && !repeated {
                        names.push(format!("{prefix}{}", column.name));
                    }
                }
            }
            other => names.push(format!("{prefix}{}", binder.name_of(other, row).unwrap_or_default())),
        }
    }
    names
}
