//! `evaluate plugin(...) : (schema)`: which plugin does what, and which are refused. The plugins: [`super::plugins`].

use moneta_event::Column;
use moneta_kql::syntax::{EvaluateOperator, RowSchema};

use super::plugins::{PLUGINS, Plugin};
use super::project::Project;
use crate::binder::{Binder, Names, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::value::Value;

/// Plugins that would let a query run foreign code or leave this server, and what to do instead.
const REFUSED: &[(&str, &str)] = &[
    ("python", "queries run no foreign code; compute it in KQL, or export the rows and run Python on them"),
    ("r", "queries run no foreign code; compute it in KQL, or export the rows and run R on them"),
    ("csharp", "queries run no foreign code; compute it in KQL, or export the rows"),
    ("csharp_ext", "queries run no foreign code; compute it in KQL, or export the rows"),
    ("http_request", "queries send nothing over the network; load the data into a table and name the table"),
    ("http_request_post", "queries send nothing over the network; load the data into a table and name the table"),
    ("sql_request", "queries reach no other database; load the data into a table or a watchlist"),
    ("mysql_request", "queries reach no other database; load the data into a table or a watchlist"),
    ("postgresql_request", "queries reach no other database; load the data into a table or a watchlist"),
    ("cosmosdb_sql_request", "queries reach no other database; load the data into a table or a watchlist"),
    ("azure_digital_twins_query_request", "queries reach no other service; load the data into a table"),
    ("ai_embed_text", "rows are sent to no model; compute embeddings outside and load them into a table"),
    ("ai_embeddings", "rows are sent to no model; compute embeddings outside and load them into a table"),
    ("ai_chat_completion", "rows are sent to no model; export them and ask the model outside"),
    ("ai_chat_completion_prompt", "rows are sent to no model; export them and ask the model outside"),
    ("dax_request", "queries reach no other service; load the data into a table or a watchlist"),
    ("diffpatterns_text", "texts are not compared word by word; split them into words and use diffpatterns"),
    ("execute_query", "queries reach no other server; name the table here, or query that server itself"),
    ("execute_show_command", "commands cannot be run inside queries; send the command by itself"),
    ("infer_storage_schema", "queries read no files; load the file and use `getschema` over its table"),
    (
        "infer_storage_schema_with_suggestions",
        "queries read no files; load the file and use `getschema` over its table",
    ),
    ("external_datatable", "queries read no files; load the data into a table and name the table"),
];

impl Binder<'_> {
    /// `evaluate plugin(...) : (schema)`; hints are for planners of other servers and have no meaning here.
    pub(crate) fn bind_evaluate(&mut self, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
        let plugin = self.plugin(node)?;
        let bound = (plugin.bind)(self, input, node)?;
        match (&node.schema, plugin.takes_schema) {
            (Some(schema), false) => self.with_declared_schema(bound, schema),
            _ => Some(bound),
        }
    }

    /// `evaluate plugin(...)` at the start of a query: only plugins that are refused stand there.
    pub(crate) fn bind_evaluate_alone(&mut self, node: &EvaluateOperator) -> Option<Relation> {
        self.plugin(node)?;
        self.fail(codes::SHAPE, node.span, format!("`{}` needs rows to work on", node.call.function.text))
    }

    fn plugin(&mut self, node: &EvaluateOperator) -> Option<&'static Plugin> {
        let name = &node.call.function;
        if let Some(plugin) = PLUGINS.iter().find(|plugin| plugin.name == name.text) {
            return Some(plugin);
        }
        if let Some((_, reason)) = REFUSED.iter().find(|(refused, _)| *refused == name.text) {
            return self.fail(
                codes::UNSUPPORTED,
                name.span,
                format!("the plugin `{}` is refused: {reason}", name.text),
            );
        }
        let known: Vec<String> = PLUGINS.iter().map(|plugin| plugin.name.to_owned()).collect();
        let message = format!("there is no plugin `{}`", name.text);
        self.fail_near(codes::UNKNOWN_FUNCTION, name.span, message, &name.text, &known)
    }

    /// The declared columns of what a plugin gives: by name, converted, null where there is none.
    fn with_declared_schema(&mut self, bound: Relation, schema: &RowSchema) -> Option<Relation> {
        let declared = self.schema_columns(schema)?;
        let mut names = Names::default();
        let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
        if schema.star.is_some() {
            for column in bound.columns.iter().filter(|c| declared.iter().all(|d| d.name != c.name)) {
                names.insert(&column.name);
                outputs.push((column.clone(), ScalarExpr::column(column)));
            }
        }
        for column in declared {
            let value = match bound.column(&column.name) {
                Some(own) => ScalarExpr::column(own).converted(column.column_type),
                None => ScalarExpr::literal(Value::null(column.column_type)),
            };
            outputs.push((Column::new(&names.unique(&column.name), column.column_type), value));
        }
        Some(Project::relation("project", bound, outputs))
    }
}
