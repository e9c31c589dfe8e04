//! `bag_unpack`: a column for each key of a bag.

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, RowSchema};

use super::arguments::Arguments;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::Result;
use crate::functions::Function;
use crate::functions::row::Answer;
use crate::json::{self, Step};
use crate::lower::LowerContext;
use crate::operators::TabularOperator;
use crate::operators::expand::{Expand, Expanded};
use crate::operators::project::Project;
use crate::operators::summarize::Summarize;
use crate::value::Value;

/// What happens when a key has the name of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Conflict {
    Error,
    ReplaceSource,
    KeepSource,
}

/// A bound call.
struct Unpack {
    bag: ScalarExpr,
    prefix: String,
    conflict: Conflict,
    ignored: Vec<String>,
}

impl Unpack {
    fn is_bag(&self, column: &Column) -> bool {
        self.bag.as_column() == Some(&column.name)
    }

    /// The value of the key that fills a column.
    fn member(&self, column: &Column) -> ScalarExpr {
        let key = column.name.strip_prefix(self.prefix.as_str()).unwrap_or(&column.name).to_owned();
        let path = ScalarNode::Path { base: Box::new(self.bag.clone()), steps: vec![Step::Key(key)] };
        ScalarExpr::new(ColumnType::Dynamic, path).converted(column.column_type)
    }
}

/// The columns of the input before a look at the data: more may come.
#[derive(Debug)]
pub(super) struct Open {
    /// The projection of what is known.
    pub(super) known: Project,
}

impl TabularOperator for Open {
    fn name(&self) -> &'static str {
        self.known.name()
    }

    fn details(&self) -> String {
        format!("{}, and what the data has", self.known.details())
    }

    fn inputs(&self) -> Vec<&Relation> {
        self.known.inputs()
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<datafusion::logical_expr::LogicalPlan> {
        self.known.lower(relation, ctx)
    }

    fn columns_depend_on_data(&self) -> bool {
        true
    }
}

/// A projection whose columns depend on data.
pub(super) fn open(keyword: &'static str, input: Relation, mut outputs: Vec<(Column, ScalarExpr)>) -> Relation {
    let hidden = input.columns.iter().filter(|c| crate::operators::apply::is_hidden(&c.name));
    outputs.extend(hidden.map(|c| (c.clone(), ScalarExpr::column(c))));
    if outputs.is_empty() {
        // Rows need a column to be carried by.
        outputs.push((Column::new("__rows", ColumnType::Bool), ScalarExpr::literal(Value::Bool(true))));
    }
    let columns: Vec<Column> = outputs.iter().map(|(column, _)| column.clone()).collect();
    let visible = columns.into_iter().filter(|c| *c.name != *"__rows").collect();
    Relation::new(visible, Open { known: Project { keyword, input, outputs } })
}

/// Binds `bag_unpack(bag, prefix, columnsConflict, ignoredProperties)`.
pub(super) fn bind(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    let unpack = arguments(binder, &input, node)?;
    if let Some(schema) = &node.schema {
        return declared(binder, input, &unpack, schema);
    }
    let probe = probe(&input, &unpack);
    let found = binder.columns_of_data(node.call.span, probe).unwrap_or_default();
    let mut names = Names::default();
    let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
    for column in input.columns.iter().filter(|c| !unpack.is_bag(c)) {
        names.insert(&column.name);
        outputs.push((column.clone(), ScalarExpr::column(column)));
    }
    for key in found.iter().filter(|key| !unpack.ignored.iter().any(|ignored| **ignored == *key.name)) {
        let column = Column::new(&format!("{}{}", unpack.prefix, key.name), key.column_type);
        match (outputs.iter_mut().find(|(c, _)| c.name == column.name), unpack.conflict) {
            (None, _) => outputs.push((column.clone(), unpack.member(&column))),
            (Some(place), Conflict::ReplaceSource) => *place = (column.clone(), unpack.member(&column)),
            (Some(_), Conflict::KeepSource) => {}
            (Some(_), Conflict::Error) => {
                let message = format!(
                    "the bags have a property `{}`, and so is a column called; give a prefix, or columnsConflict = \
                     'replace_source' or 'keep_source'",
                    column.name
                );
                return binder.fail(codes::DUPLICATE, node.call.span, message);
            }
        }
    }
    Some(open("evaluate", input, outputs))
}

fn arguments(binder: &mut Binder<'_>, input: &Relation, node: &EvaluateOperator) -> Option<Unpack> {
    let names = ["column", "OutputColumnPrefix", "columnsConflict", "ignoredProperties"];
    let mut arguments = Arguments::new(&node.call, &names);
    let bag_span = node.call.arguments.first().map_or(node.call.span, |argument| argument.span);
    let bag = arguments.required(binder, "column", &mut Row::of(input))?;
    if bag.column_type != ColumnType::Dynamic {
        let message = format!("bag_unpack needs a dynamic value, not a {}", bag.column_type);
        return binder.fail(codes::TYPE, bag_span, message);
    }
    let prefix = arguments.text(binder, "OutputColumnPrefix")?.unwrap_or_default();
    let conflict = match arguments.text(binder, "columnsConflict")?.as_deref() {
        None | Some("error") => Conflict::Error,
        Some("replace_source") => Conflict::ReplaceSource,
        Some("keep_source") => Conflict::KeepSource,
        Some(other) => {
            let message = format!("columnsConflict is 'error', 'replace_source' or 'keep_source', not '{other}'");
            return binder.fail(codes::UNKNOWN_WORD, node.call.span, message);
        }
    };
    let ignored = arguments.texts(binder, "ignoredProperties")?.unwrap_or_default();
    arguments.finish(binder)?;
    Some(Unpack { bag, prefix, conflict, ignored })
}

/// The declared columns, of which those the input has are the input's own.
fn declared(binder: &mut Binder<'_>, input: Relation, unpack: &Unpack, schema: &RowSchema) -> Option<Relation> {
    let declared = binder.schema_columns(schema)?;
    let mut names = Names::default();
    let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
    if schema.star.is_some() {
        for column in input.columns.iter().filter(|c| !unpack.is_bag(c)) {
            names.insert(&column.name);
            outputs.push((column.clone(), ScalarExpr::column(column)));
        }
    }
    for column in declared {
        let own = input.column(&column.name).filter(|c| !unpack.is_bag(c));
        let replaced = outputs.iter().position(|(c, _)| c.name == column.name);
        match (own, replaced, unpack.conflict) {
            (Some(_), Some(at), Conflict::ReplaceSource) => outputs[at] = (column.clone(), unpack.member(&column)),
            (Some(_), Some(_), Conflict::KeepSource) => {}
            (Some(own), None, conflict) if conflict != Conflict::ReplaceSource => {
                let value = ScalarExpr::column(own).converted(column.column_type);
                outputs.push((Column::new(&names.unique(&column.name), column.column_type), value));
            }
            _ => {
                let value = unpack.member(&column);
                outputs.push((Column::new(&names.unique(&column.name), column.column_type), value));
            }
        }
    }
    Some(Project::relation("evaluate", input, outputs))
}

/// The keys of a bag with the types of their values: `["name","type"]`, ...
static KEY_TYPES: Function = Function::row("kql_key_types", &["(bag: dynamic) -> dynamic"], |args, _| {
    let members = json::members(args[0].text()).unwrap_or_default();
    let pair = |(key, value): (&str, &str)| format!("[{key},\"{}\"]", json_type(value));
    let named = members.into_iter().filter(|(key, _)| *key != "\"\"");
    Answer::Text(format!("[{}]", named.map(pair).collect::<Vec<_>>().join(",")).into())
})
.handles_nulls();

/// The name of the type a JSON value has as a column; empty for null.
pub(super) fn json_type(value: &str) -> &'static str {
    match value.as_bytes().first() {
        Some(b'"') => "string",
        Some(b't' | b'f') => "bool",
        Some(b'{' | b'[') => "dynamic",
        Some(b'-' | b'0'..=b'9') if value.parse::<i64>().is_ok() => "long",
        Some(b'-' | b'0'..=b'9') => "real",
        _ => "",
    }
}

/// The distinct keys with their types, as rows.
fn probe(input: &Relation, unpack: &Unpack) -> Relation {
    let call = ScalarNode::Call { function: &KEY_TYPES, args: vec![unpack.bag.clone()] };
    let pairs = Column::new("__pairs", ColumnType::Dynamic);
    let listed =
        Project::exact("project", input.clone(), vec![(pairs.clone(), ScalarExpr::new(ColumnType::Dynamic, call))]);
    let columns = vec![Expanded { target: pairs.clone(), source: ScalarExpr::column(&pairs) }];
    let expand = Expand { input: listed, columns, index: None, limit: usize::MAX, bags_as_arrays: false };
    let expanded = Relation::new(vec![pairs.clone()], expand);
    distinct(expanded, [element(&pairs, 0), element(&pairs, 1)])
}

fn element(pairs: &Column, index: i64) -> ScalarExpr {
    let path = ScalarNode::Path { base: Box::new(ScalarExpr::column(pairs)), steps: vec![Step::Index(index)] };
    ScalarExpr::new(ColumnType::Dynamic, path).converted(ColumnType::String)
}

/// The distinct pairs of two texts: what a probe is.
pub(super) fn distinct(input: Relation, texts: [ScalarExpr; 2]) -> Relation {
    let [name, column_type] = texts;
    let columns = [Column::new("__k0", ColumnType::String), Column::new("__k1", ColumnType::String)];
    let keys = columns.iter().cloned().zip([name, column_type]).collect();
    Relation::new(columns.to_vec(), Summarize { input, keys, aggregates: Vec::new() })
}
