//! `evaluate plugin(...)`: of the plugins only `bag_unpack` with declared columns so far.

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::EvaluateOperator;

use super::project::Project;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::json::Step;
use crate::value::Value;

impl Binder<'_> {
    /// `evaluate plugin(...) : (schema)`.
    pub(crate) fn bind_evaluate(&mut self, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
        let plugin = &node.call.function;
        let (Some(schema), "bag_unpack") = (&node.schema, plugin.text.as_str()) else {
            let message = match plugin.text.as_str() {
                "bag_unpack" => {
                    "bag_unpack needs its columns declared: evaluate bag_unpack(x) : (*, name:string)".to_owned()
                }
                other => format!("the plugin `{other}` is not supported yet; rewrite the query without it"),
            };
            return self.fail(codes::UNSUPPORTED, plugin.span, message);
        };
        let Some(argument) = node.call.arguments.first() else {
            return self.fail(codes::ARGUMENTS, node.call.span, "bag_unpack() takes a column");
        };
        let bag = self.scalar(&argument.expression, &mut Row::of(&input))?;
        if bag.column_type != ColumnType::Dynamic {
            return self.fail(
                codes::TYPE,
                argument.span,
                format!("bag_unpack needs a dynamic value, not a {}", bag.column_type),
            );
        }
        let prefix = match node.call.arguments.get(1) {
            Some(prefix) => self.scalar(&prefix.expression, &mut Row::none())?,
            None => ScalarExpr::literal(Value::String(String::new())),
        };
        let prefix = prefix.as_literal().and_then(Value::as_str).unwrap_or("").to_owned();
        let declared = self.schema_columns(schema)?;
        let member = |column: &Column| {
            let key = column.name.strip_prefix(prefix.as_str()).unwrap_or(&column.name).to_owned();
            let path = ScalarNode::Path { base: Box::new(bag.clone()), steps: vec![Step::Key(key)] };
            ScalarExpr::new(ColumnType::Dynamic, path).converted(column.column_type)
        };
        let mut names = Names::default();
        let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
        if schema.star.is_some() {
            for column in input.columns.iter().filter(|c| bag.as_column() != Some(&c.name)) {
                names.insert(&column.name);
                outputs.push((column.clone(), ScalarExpr::column(column)));
            }
        }
        for column in declared {
            let value = match input.column(&column.name).filter(|c| bag.as_column() != Some(&c.name)) {
                Some(own) if schema.star.is_none() => ScalarExpr::column(own),
                _ => member(&column),
            };
            outputs.push((Column::new(&names.unique(&column.name), column.column_type), value));
        }
        Some(Project::relation("evaluate", input, outputs))
    }
}
