//! What stored functions take and give, in the forms that editors read.
//!
//! # Source
//! Kusto documentation, ".show databases entities" and ".show schema as json"; the members of parameters as Microsoft's
//! editor (`@kusto/monaco-kusto`) reads them.

use moneta_event::ColumnType;
use moneta_kql::syntax::{ColumnDeclaration, LetValue, Parameter, ParameterType, Statement};
use moneta_ports::{OpContext, StoredFunction};
use serde_json::{Map, Value, json};

use super::mgmt::system_type;
use crate::state::App;

/// The stored functions by name.
pub(super) fn schemas(state: &App, ctx: &OpContext) -> Map<String, Value> {
    let schema = |function: StoredFunction| {
        let value = json!({
            "Name": function.name,
            "InputParameters": parameters(&function.parameters),
            "Parameters": function.parameters,
            "Body": function.body,
            "Folder": function.folder,
            "DocString": function.doc_string,
            "FunctionKind": "Unknown",
            "OutputColumns": output(state, ctx, &function.name),
        });
        (function.name, value)
    };
    state.objects.functions().into_iter().map(schema).collect()
}

fn output(state: &App, ctx: &OpContext, name: &str) -> Vec<Value> {
    let columns = state.objects.function_columns(ctx, name);
    columns.iter().map(|(name, kind)| typed(name, kind)).collect()
}

/// The parameters of `(T:(a:string), n:long = 5)`; none when the text does not parse.
fn parameters(text: &str) -> Vec<Value> {
    let declared = format!("let f = {text} {{ 1 }};");
    let parsed = moneta_kql::parse(&declared);
    let Some(Statement::Let(node)) = parsed.tree.statements.first() else { return Vec::new() };
    let LetValue::Function(function) = &node.value else { return Vec::new() };
    function.parameters.iter().map(|one| parameter(one, &declared)).collect()
}

fn parameter(parameter: &Parameter, text: &str) -> Value {
    let mut value = match &parameter.ty {
        ParameterType::Scalar(kind) => typed(&parameter.name.text, &kind.text),
        ParameterType::Table(schema) => {
            let column = |column: &ColumnDeclaration| typed(&column.name.text, &column.ty.text);
            let columns: Vec<Value> = schema.columns.iter().map(column).collect();
            json!({ "Name": parameter.name.text, "Columns": columns })
        }
    };
    if let (Some(default), Some(value)) = (&parameter.default, value.as_object_mut()) {
        let span = default.span();
        value.insert("CslDefaultValue".to_owned(), text[span.start..span.end].into());
    }
    value
}

/// A name with its type in both of the editor's words.
pub(super) fn typed(name: &str, kind: &str) -> Value {
    let kind = ColumnType::parse(kind).unwrap_or(ColumnType::Dynamic);
    json!({ "Name": name, "Type": system_type(kind), "CslType": kind.name() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_listed_with_types_columns_and_defaults() {
        let found = parameters("(T:(a:string, n:long), any:(*), since:timespan = 1d, words:dynamic)");
        let expected = json!([
            { "Name": "T", "Columns": [
                { "Name": "a", "Type": "System.String", "CslType": "string" },
                { "Name": "n", "Type": "System.Int64", "CslType": "long" },
            ] },
            { "Name": "any", "Columns": [] },
            { "Name": "since", "Type": "System.TimeSpan", "CslType": "timespan", "CslDefaultValue": "1d" },
            { "Name": "words", "Type": "System.Object", "CslType": "dynamic" },
        ]);
        assert_eq!(Value::from(found), expected);
        assert!(parameters("()").is_empty() && parameters("(").is_empty());
    }
}
