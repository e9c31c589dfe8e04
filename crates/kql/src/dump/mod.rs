//! The tree as text: nested parentheses, one node per pair, for goldens and `--explain`.
//!
//! A node is `(kind word ... child ...)`. Names stand for themselves, strings are quoted, hidden strings are masked:
//! a dump may go to a log. The form is for people and tests, not for reading back.

mod operators;

use crate::syntax::*;
use crate::time::{format_datetime, format_timespan};
use operators::operator;
use std::fmt;

/// The greatest width of a node printed on one line.
const LINE_WIDTH_MAX: usize = 100;

/// A node of the dump: a label, its range in the text, its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpNode {
    /// The kind and what belongs to it: `binary ==`, `name T`.
    pub label: String,
    /// Where the node was written.
    pub span: Span,
    /// The children in order.
    pub children: Vec<DumpNode>,
}

impl DumpNode {
    fn new(label: impl Into<String>, span: Span, children: Vec<DumpNode>) -> DumpNode {
        DumpNode { label: label.into(), span, children }
    }

    fn leaf(label: impl Into<String>, span: Span) -> DumpNode {
        DumpNode::new(label, span, Vec::new())
    }

    /// Prints on one line, or `None` if that is wider than `room`.
    fn inline(&self, room: usize) -> Option<String> {
        let mut line = format!("({}", self.label);
        for child in &self.children {
            let left = room.checked_sub(line.chars().count() + 2)?;
            line += " ";
            line += &child.inline(left)?;
        }
        line += ")";
        (line.chars().count() <= room).then_some(line)
    }

    fn print(&self, indent: usize, output: &mut String) {
        output.extend(std::iter::repeat_n(' ', indent));
        if let Some(line) = self.inline(LINE_WIDTH_MAX.saturating_sub(indent)) {
            output.push_str(&line);
            return;
        }
        output.push('(');
        output.push_str(&self.label);
        for child in &self.children {
            output.push('\n');
            child.print(indent + 2, output);
        }
        output.push(')');
    }
}

/// Makes the dump of a tree.
pub fn dump(tree: &SyntaxTree) -> DumpNode {
    DumpNode::new("query", tree.span, tree.statements.iter().map(statement).collect())
}

/// Makes the dump of one expression.
pub fn dump_expression(node: &Expression) -> DumpNode {
    expression(node)
}

impl fmt::Display for DumpNode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = String::new();
        self.print(0, &mut output);
        formatter.write_str(&output)
    }
}

impl fmt::Display for SyntaxTree {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        dump(self).fmt(formatter)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        expression(self).fmt(formatter)
    }
}

fn text(name: &Name) -> String {
    if name.is_missing() {
        "<missing>".into()
    } else if name.bracketed {
        format!("[{:?}]", name.text)
    } else {
        name.text.clone()
    }
}

fn name(node: &Name) -> DumpNode {
    DumpNode::leaf(format!("name {}", text(node)), node.span)
}

fn statement(node: &Statement) -> DumpNode {
    let span = node.span();
    match node {
        Statement::Let(node) => {
            let value = match &node.value {
                LetValue::Expression(value) => expression(value),
                LetValue::Function(function) => function_declaration(function),
            };
            DumpNode::new(format!("let {}", text(&node.name)), span, vec![value])
        }
        Statement::Set(node) => {
            DumpNode::new(format!("set {}", text(&node.name)), span, node.value.iter().map(expression).collect())
        }
        Statement::QueryParameters(node) => {
            DumpNode::new("declare-query-parameters", span, node.parameters.iter().map(parameter).collect())
        }
        Statement::Pattern(node) => {
            let children = node.definition.iter().map(pattern_definition).collect();
            DumpNode::new(format!("declare-pattern {}", text(&node.name)), span, children)
        }
        Statement::Restrict(node) => {
            DumpNode::new("restrict-access", span, node.entities.iter().map(expression).collect())
        }
        Statement::Alias(node) => {
            DumpNode::new(format!("alias-database {}", text(&node.name)), span, vec![expression(&node.expression)])
        }
        Statement::Query(node) => expression(&node.expression),
        Statement::Command(node) => {
            let words: Vec<&str> = node.words.iter().map(Name::as_str).collect();
            let mut children: Vec<DumpNode> = node.operators.iter().map(operator).collect();
            children.extend(node.input.iter().map(expression));
            DumpNode::new(format!("command {}", words.join(" ")), span, children)
        }
        Statement::Error(node) => skipped(node),
    }
}

fn skipped(node: &Skipped) -> DumpNode {
    // Up to the first string: it may be a hidden one.
    let shown = node.text.split(['\'', '"', '`', '~']).next().unwrap_or_default();
    let rest = if shown.len() < node.text.len() { " ..." } else { "" };
    DumpNode::leaf(format!("skipped {shown:?}{rest}"), node.span)
}

fn function_declaration(node: &FunctionDeclaration) -> DumpNode {
    let mut children: Vec<DumpNode> = node.parameters.iter().map(parameter).collect();
    children.push(function_body(&node.body));
    DumpNode::new(if node.is_view { "view" } else { "function" }, node.span, children)
}

fn function_body(node: &FunctionBody) -> DumpNode {
    let mut children: Vec<DumpNode> = node.statements.iter().map(statement).collect();
    children.extend(node.result.iter().map(expression));
    DumpNode::new("body", node.span, children)
}

fn parameter(node: &Parameter) -> DumpNode {
    let (ty, mut children) = match &node.ty {
        ParameterType::Scalar(ty) => (type_text(ty), Vec::new()),
        ParameterType::Table(schema) => ("table".into(), vec![row_schema(schema)]),
    };
    children.extend(node.default.iter().map(expression));
    DumpNode::new(format!("parameter {}:{ty}", text(&node.name)), node.span, children)
}

fn type_text(node: &TypeName) -> String {
    match node.scalar {
        Some(scalar) => scalar.name().into(),
        None if node.text.is_empty() => "<missing>".into(),
        None => format!("<unknown {}>", node.text),
    }
}

fn row_schema(node: &RowSchema) -> DumpNode {
    let mut columns: Vec<DumpNode> = node
        .columns
        .iter()
        .map(|column| DumpNode::leaf(format!("column {}:{}", text(&column.name), type_text(&column.ty)), column.span))
        .collect();
    if let Some(star) = node.star {
        columns.insert(0, DumpNode::leaf("star", star));
    }
    DumpNode::new("schema", node.span, columns)
}

fn pattern_definition(node: &PatternDefinition) -> DumpNode {
    let mut children: Vec<DumpNode> = node.parameters.iter().map(parameter).collect();
    children.extend(node.path.iter().map(|path| DumpNode::new("path", path.span, vec![parameter(path)])));
    children.extend(node.rules.iter().map(|rule| {
        let mut parts: Vec<DumpNode> = rule.arguments.iter().map(expression).collect();
        parts.extend(rule.path.iter().map(|path| DumpNode::new("path", path.span(), vec![expression(path)])));
        parts.push(function_body(&rule.body));
        DumpNode::new("rule", rule.span, parts)
    }));
    DumpNode::new("definition", node.span, children)
}

fn literal(node: &Literal) -> DumpNode {
    fn typed<T>(ty: &str, value: Option<T>, show: impl FnOnce(T) -> String) -> String {
        format!("{ty} {}", value.map_or_else(|| "null".into(), show))
    }
    let label = match &node.value {
        LiteralValue::Bool(value) => typed("bool", *value, |value| value.to_string()),
        LiteralValue::Int(value) => typed("int", *value, |value| value.to_string()),
        LiteralValue::Long(value) => typed("long", *value, |value| value.to_string()),
        LiteralValue::Real(value) => typed("real", *value, |value| format!("{value:?}")),
        LiteralValue::Decimal(value) => typed("decimal", value.as_ref(), Clone::clone),
        LiteralValue::String(value) if value.is_hidden => "string hidden".into(),
        LiteralValue::String(value) => format!("string {:?}", value.value),
        LiteralValue::Datetime(value) => typed("datetime", *value, format_datetime),
        LiteralValue::DatetimeToday(value) => format!("datetime today {}", format_timespan(*value)),
        LiteralValue::Timespan(value) => typed("timespan", *value, format_timespan),
        LiteralValue::Guid(value) => typed("guid", value.as_ref(), Clone::clone),
        LiteralValue::Dynamic(value) => format!("dynamic {value}"),
    };
    DumpNode::leaf(label, node.span)
}

impl fmt::Display for DynamicValue {
    /// Writes JSON; datetimes, timespans and guids as the strings the language shows.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DynamicValue::Null => formatter.write_str("null"),
            DynamicValue::Bool(value) => value.fmt(formatter),
            DynamicValue::Long(value) => value.fmt(formatter),
            // JSON has no other numbers than finite ones.
            DynamicValue::Real(value) if !value.is_finite() => write_json_string(&format!("{value:?}"), formatter),
            DynamicValue::Real(value) => write!(formatter, "{value:?}"),
            DynamicValue::String(value) | DynamicValue::Guid(value) => write_json_string(value, formatter),
            DynamicValue::Datetime(value) => write_json_string(&format_datetime(*value), formatter),
            DynamicValue::Timespan(value) => write_json_string(&format_timespan(*value), formatter),
            DynamicValue::Array(items) => {
                formatter.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    formatter.write_str(if index > 0 { "," } else { "" })?;
                    item.fmt(formatter)?;
                }
                formatter.write_str("]")
            }
            DynamicValue::Object(properties) => {
                formatter.write_str("{")?;
                for (index, (key, value)) in properties.iter().enumerate() {
                    formatter.write_str(if index > 0 { "," } else { "" })?;
                    write_json_string(key, formatter)?;
                    formatter.write_str(":")?;
                    value.fmt(formatter)?;
                }
                formatter.write_str("}")
            }
        }
    }
}

fn write_json_string(value: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    formatter.write_str("\"")?;
    for c in value.chars() {
        match c {
            '"' => formatter.write_str("\\\"")?,
            '\\' => formatter.write_str("\\\\")?,
            '\n' => formatter.write_str("\\n")?,
            '\r' => formatter.write_str("\\r")?,
            '\t' => formatter.write_str("\\t")?,
            c if u32::from(c) < 0x20 => write!(formatter, "\\u{:04x}", u32::from(c))?,
            c => write!(formatter, "{c}")?,
        }
    }
    formatter.write_str("\"")
}

fn expressions(nodes: &[Expression]) -> Vec<DumpNode> {
    nodes.iter().map(expression).collect()
}

fn named_expressions(nodes: &[NamedExpression]) -> Vec<DumpNode> {
    nodes.iter().map(named_expression).collect()
}

fn named_expression(node: &NamedExpression) -> DumpNode {
    let label = match &node.target {
        None => return expression(&node.expression),
        Some(Target::Name(name)) => format!("= {}", text(name)),
        Some(Target::Names(list)) => format!("= ({})", list.names.iter().map(text).collect::<Vec<_>>().join(" ")),
    };
    DumpNode::new(label, node.span, vec![expression(&node.expression)])
}

fn parameters(nodes: &[OperatorParameter]) -> Vec<DumpNode> {
    nodes
        .iter()
        .map(|node| DumpNode::new(format!("with {}", text(&node.name)), node.span, vec![expression(&node.value)]))
        .collect()
}

fn expression(node: &Expression) -> DumpNode {
    let span = node.span();
    match node {
        Expression::Literal(node) => literal(node),
        Expression::Name(node) => name(node),
        Expression::Wildcard(node) => DumpNode::leaf(format!("wildcard {}", node.pattern), span),
        Expression::Star(_) => DumpNode::leaf("star", span),
        Expression::Path(node) => path(node),
        Expression::Element(node) => {
            DumpNode::new("element", span, vec![expression(&node.object), expression(&node.index)])
        }
        Expression::Call(node) => call(node),
        Expression::Unary(node) => {
            DumpNode::new(format!("unary {}", node.operator.symbol()), span, vec![expression(&node.operand)])
        }
        Expression::Binary(node) => DumpNode::new(
            format!("binary {}", node.operator.symbol()),
            span,
            vec![expression(&node.left), expression(&node.right)],
        ),
        Expression::Logical(node) => DumpNode::new(node.operator.symbol(), span, expressions(&node.operands)),
        Expression::List(node) => {
            let mut children = vec![expression(&node.operand)];
            children.extend(expressions(&node.items));
            DumpNode::new(format!("list {}", node.operator.symbol()), span, children)
        }
        Expression::Between(node) => DumpNode::new(
            if node.is_negated { "!between" } else { "between" },
            span,
            vec![expression(&node.operand), expression(&node.low), expression(&node.high)],
        ),
        Expression::Typeof(node) => typeof_expression(node),
        Expression::Parenthesized(node) => DumpNode::new("parentheses", span, vec![expression(&node.inner)]),
        Expression::Pipe(node) => pipe(node),
        Expression::Missing(_) => DumpNode::leaf("missing", span),
        Expression::Error(node) => skipped(node),
        _ => source(node),
    }
}

fn source(node: &Expression) -> DumpNode {
    let span = node.span();
    match node {
        Expression::Datatable(node) => {
            let mut children = parameters(&node.parameters);
            children.push(row_schema(&node.schema));
            children.extend(expressions(&node.values));
            DumpNode::new("datatable", span, children)
        }
        Expression::ContextualDatatable(node) => {
            DumpNode::new("contextual-datatable", span, vec![expression(&node.id), row_schema(&node.schema)])
        }
        Expression::ExternalData(node) => {
            let mut children = parameters(&node.parameters);
            children.push(row_schema(&node.schema));
            children.extend(expressions(&node.locations));
            children.extend(parameters(&node.properties));
            DumpNode::new("externaldata", span, children)
        }
        Expression::InlineExternalTable(node) => {
            let mut children: Vec<DumpNode> = node.schema.iter().map(row_schema).collect();
            children.extend(parameters(&node.parameters));
            children.extend(node.partitions.iter().map(parameter));
            children.extend(expressions(&node.path_format));
            children.extend(expressions(&node.locations));
            children.extend(parameters(&node.properties));
            DumpNode::new("inline-external-table", span, children)
        }
        Expression::EntityGroup(node) => DumpNode::new("entity-group", span, expressions(&node.entities)),
        Expression::MaterializedViewCombine(node) => DumpNode::new(
            "materialized-view-combine",
            span,
            vec![expression(&node.view), expression(&node.base), expression(&node.delta), pipe(&node.aggregations)],
        ),
        Expression::DataScope(node) => {
            DumpNode::new(format!("datascope {}", text(&node.scope)), span, vec![expression(&node.expression)])
        }
        other => DumpNode::leaf(format!("{other:?}"), span),
    }
}

fn path(node: &PathExpression) -> DumpNode {
    let object = expression(&node.object);
    match &node.member {
        PathMember::Name(name) => DumpNode::new(format!("path .{}", text(name)), node.span, vec![object]),
        PathMember::Wildcard(wildcard) => DumpNode::new(format!("path .{}", wildcard.pattern), node.span, vec![object]),
        PathMember::Call(member) => DumpNode::new("path", node.span, vec![object, call(member)]),
    }
}

fn call(node: &CallExpression) -> DumpNode {
    let mut children = parameters(&node.parameters);
    children.extend(named_expressions(&node.arguments));
    DumpNode::new(format!("call {}", text(&node.function)), node.span, children)
}

fn typeof_expression(node: &TypeofExpression) -> DumpNode {
    match &node.argument {
        TypeofArgument::Scalar(ty) => DumpNode::leaf(format!("typeof {}", type_text(ty)), node.span),
        TypeofArgument::Schema(schema) => DumpNode::new("typeof", node.span, vec![row_schema(schema)]),
    }
}

fn pipe(node: &PipeExpression) -> DumpNode {
    let mut children: Vec<DumpNode> = node.source.iter().map(expression).collect();
    children.extend(node.operators.iter().map(operator));
    DumpNode::new("pipe", node.span, children)
}
