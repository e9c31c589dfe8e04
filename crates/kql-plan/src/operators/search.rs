//! `search` and `find`: rows of many tables that hold a term or meet a predicate.
//!
//! The predicate is bound against each table by itself. A column that only other tables have is null there; a table
//! with none of the columns the predicate names is left out.

use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{
    BinaryOperator, Expression, FindColumn, FindOperator, FindProjection, LiteralValue, LogicalOperator,
    OperatorParameter, PathMember, SearchOperator, Span,
};

use super::apply::is_hidden;
use super::filter::Filter;
use super::project::Project;
use super::union::Union;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::functions::registry;
use crate::value::Value;

/// The greatest number of tables searched at once.
const TABLES_MAX: usize = 2_000;

/// A table with its name in the result.
type Labelled = (String, Relation);

/// What a predicate sees of one table.
struct Place {
    row: Row,
    /// The table's own columns.
    own: Vec<Column>,
    case_sensitive: bool,
}

/// What a predicate names.
#[derive(Default)]
struct Mentioned {
    names: Vec<String>,
    /// Whether it looks into every column.
    any_column: bool,
}

impl Mentioned {
    fn of(predicate: &Expression) -> Self {
        let mut mentioned = Self::default();
        mentioned.walk(predicate, true);
        mentioned
    }

    /// `is_term`: whether a text standing here is a term looked for in all columns.
    fn walk(&mut self, expression: &Expression, is_term: bool) {
        match expression {
            Expression::Name(name) if !self.names.contains(&name.text) => self.names.push(name.text.clone()),
            Expression::Parenthesized(node) => self.walk(&node.inner, is_term),
            Expression::Logical(node) => node.operands.iter().for_each(|operand| self.walk(operand, is_term)),
            Expression::Literal(node) => self.any_column |= is_term && matches!(node.value, LiteralValue::String(_)),
            Expression::Star(_) => self.any_column = true,
            Expression::Binary(node) => [&node.left, &node.right].into_iter().for_each(|side| self.walk(side, false)),
            Expression::Unary(node) => self.walk(&node.operand, false),
            Expression::Between(node) => {
                [&node.operand, &node.low, &node.high].into_iter().for_each(|part| self.walk(part, false));
            }
            Expression::List(node) => {
                self.walk(&node.operand, false);
                node.items.iter().for_each(|item| self.walk(item, false));
            }
            Expression::Call(node) => {
                let is_not = node.function.text == "not";
                node.arguments.iter().for_each(|argument| self.walk(&argument.expression, is_term && is_not));
            }
            Expression::Path(node) => self.walk(&node.object, false),
            Expression::Element(node) => {
                self.walk(&node.object, false);
                self.walk(&node.index, false);
            }
            _ => {}
        }
    }
}

impl Binder<'_> {
    /// `search kind=case_sensitive in (tables) "text" and column:"text"`.
    pub(crate) fn bind_search(&mut self, input: Option<Relation>, node: &SearchOperator) -> Option<Relation> {
        let kind = node.parameters.iter().find(|p| p.name.text == "kind");
        let case_sensitive = match kind.map(|p| (p.word().map(str::to_lowercase), p.span)) {
            None => false,
            Some((Some(word), _)) if word == "default" || word == "case_insensitive" => false,
            Some((Some(word), _)) if word == "case_sensitive" => true,
            Some((_, span)) => {
                return self.fail(
                    codes::UNKNOWN_WORD,
                    span,
                    "kind is one of default, case_insensitive, case_sensitive",
                );
            }
        };
        let piped = input.is_some();
        let tables = self.searched(input, &node.sources, node.span)?;
        let tables = tables_with(tables, &node.predicate);
        let known = named_columns(&tables, &node.predicate);
        let before = self.diagnostics_len();
        let mut found = Vec::new();
        for (label, relation) in tables {
            let (columns, order) = (relation.columns.to_vec(), Arc::clone(&relation.order));
            let Some(filtered) = self.search_filter(relation, &node.predicate, case_sensitive, &known) else {
                continue;
            };
            let outputs = columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
            found.push((label, Project::exact("search", filtered, outputs).ordered(order)));
        }
        self.some_found(&found, before)?;
        if piped && found.iter().any(|(_, relation)| relation.columns.iter().any(|c| is_hidden(&c.name))) {
            return found.pop().map(|(_, relation)| relation);
        }
        Some(Union::relation(found, false, Some("$table")))
    }

    /// `find withsource = T in (tables) where predicate project a, b:string, pack(*)`.
    pub(crate) fn bind_find(&mut self, input: Option<Relation>, node: &FindOperator) -> Option<Relation> {
        let source = source_column(&node.parameters).unwrap_or_else(|| "source_".to_owned());
        let tables = self.searched(input, &node.sources, node.span)?;
        let tables = tables_with(tables, &node.predicate);
        let known = named_columns(&tables, &node.predicate);
        let outputs = match &node.projection {
            FindProjection::Columns(columns) => self.named_outputs(columns, &tables)?,
            FindProjection::Default | FindProjection::Smart(_) => smart_outputs(&tables, &node.predicate),
        };
        let outputs = self.without_away(outputs, &node.project_away);
        let mut found = Vec::new();
        let before = self.diagnostics_len();
        for (label, relation) in tables {
            let columns = relation.columns.to_vec();
            if let Some(filtered) = self.search_filter(relation, &node.predicate, false, &known) {
                found.push((label, self.found_columns(filtered, &columns, &outputs, node.span)?));
            }
        }
        self.some_found(&found, before)?;
        if found.is_empty() {
            let nothing = Relation::new(Vec::new(), super::datatable::Rows { rows: Vec::new() });
            let fillers = outputs.columns.iter().map(|c| ScalarExpr::literal(Value::null(c.output.column_type)));
            let fillers = outputs.columns.iter().map(|c| c.output.clone()).zip(fillers).collect();
            found.push((String::new(), Project::exact("find", nothing, fillers)));
        }
        Some(Union::relation(found, false, Some(&source)))
    }

    /// A predicate may make no sense for some tables, where a column has another type; those are left out. It is a
    /// mistake if it makes sense for none.
    fn some_found(&mut self, found: &[Labelled], diagnostics_before: usize) -> Option<()> {
        match (found.is_empty(), self.diagnostics_len() > diagnostics_before) {
            (true, true) => None,
            (_, false) => Some(()),
            (false, true) => {
                self.forget_diagnostics(diagnostics_before);
                Some(())
            }
        }
    }

    /// The tables to look into: those piped or named, else all.
    fn searched(&mut self, input: Option<Relation>, sources: &[Expression], span: Span) -> Option<Vec<Labelled>> {
        let mut tables: Vec<Labelled> = Vec::new();
        if let Some(input) = input {
            if !sources.is_empty() {
                return self.fail(codes::SHAPE, span, "rows are piped in, so no tables can be named after `in`");
            }
            let label = input.operator.as_table().unwrap_or("union_arg0").to_owned();
            return Some(vec![(label, input)]);
        }
        if sources.is_empty() {
            return Some(self.tables_matching(&Expression::Star(span)));
        }
        for source in sources {
            let pattern = match source.unparenthesized() {
                Expression::Path(path) => match &path.member {
                    PathMember::Wildcard(pattern) => Some(Expression::Wildcard(Box::new(pattern.clone()))),
                    _ => None,
                },
                wildcard @ (Expression::Wildcard(_) | Expression::Star(_)) => Some(wildcard.clone()),
                _ => None,
            };
            match pattern {
                Some(pattern) => tables.extend(self.tables_matching(&pattern)),
                None => {
                    let relation = self.relation(source)?;
                    let own = source.as_name().map(|name| name.text.clone());
                    tables.push((own.unwrap_or_else(|| format!("union_arg{}", tables.len())), relation));
                }
            }
            if tables.len() > TABLES_MAX {
                let message = format!("at most {TABLES_MAX} tables can be searched at once");
                return self.fail(codes::LIMIT, source.span(), message);
            }
        }
        Some(tables)
    }

    /// The rows that meet a predicate. Columns it names that the table has not are null.
    fn search_filter(
        &mut self,
        relation: Relation,
        predicate: &Expression,
        case_sensitive: bool,
        known: &[Column],
    ) -> Option<Relation> {
        let own: Vec<Column> = Row::of(&relation).columns.to_vec();
        let mut row = Row::of(&relation);
        let foreign: Vec<Column> = known.iter().filter(|c| own.iter().all(|o| o.name != c.name)).cloned().collect();
        row.columns = own.iter().chain(&foreign).cloned().collect();
        let mut place = Place { row, own, case_sensitive };
        let bound = self.search_predicate(predicate, &mut place)?;
        if foreign.is_empty() {
            return Some(Filter::relation(relation, bound));
        }
        let mut staged: Vec<(Column, ScalarExpr)> =
            relation.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        staged.extend(foreign.into_iter().map(|c| {
            let null = ScalarExpr::literal(Value::null(c.column_type));
            (c, null)
        }));
        Some(Filter::relation(Project::exact("project", relation, staged), bound))
    }

    /// A predicate in which texts are terms looked for in every column.
    fn search_predicate(&mut self, expression: &Expression, place: &mut Place) -> Option<ScalarExpr> {
        match expression {
            Expression::Parenthesized(node) => self.search_predicate(&node.inner, place),
            Expression::Star(_) => Some(ScalarExpr::literal(Value::Bool(true))),
            Expression::Logical(node) => {
                let operands = node.operands.iter().map(|operand| self.search_predicate(operand, place));
                let operands = operands.collect::<Option<Vec<_>>>()?;
                let node = match node.operator {
                    LogicalOperator::And => ScalarNode::And(operands),
                    LogicalOperator::Or => ScalarNode::Or(operands),
                };
                Some(ScalarExpr::new(ColumnType::Bool, node))
            }
            Expression::Call(node) if node.function.text == "not" && node.arguments.len() == 1 => {
                let inner = self.search_predicate(&node.arguments[0].expression, place)?;
                self.apply(registry().get("not")?, vec![inner], node.span, &place.row)
            }
            Expression::Literal(node) if matches!(node.value, LiteralValue::String(_)) => {
                let LiteralValue::String(text) = &node.value else { return None };
                self.term_anywhere(&text.value, place, node.span)
            }
            Expression::Binary(node) if node.operator == BinaryOperator::ColumnHas => {
                let term = self.scalar(&node.right, &mut place.row)?;
                let Some(term) = term.as_literal().and_then(Value::as_str).map(str::to_owned) else {
                    return self.fail(codes::CONSTANT_EXPECTED, node.right.span(), "a constant text is expected here");
                };
                let column = self.scalar(&node.left, &mut place.row)?.converted(ColumnType::String);
                self.term(column, &term, place.case_sensitive, node.span)
            }
            Expression::Binary(node) if matches!(node.left.unparenthesized(), Expression::Star(_)) => {
                let mut own = Row { columns: place.own.clone().into(), ..place.row.clone() };
                self.predicate(expression, &mut own)
            }
            other => self.predicate(other, &mut place.row),
        }
    }

    /// A term in any column of the table.
    fn term_anywhere(&mut self, term: &str, place: &Place, span: Span) -> Option<ScalarExpr> {
        let mut tests = Vec::new();
        for column in &place.own {
            let text = ScalarExpr::column(column).converted(ColumnType::String);
            tests.push(self.term(text, term, place.case_sensitive, span)?);
        }
        Some(ScalarExpr::new(ColumnType::Bool, ScalarNode::Or(tests)))
    }

    /// A term in one text. A star at an end stands for more letters, one in the middle for anything.
    fn term(&mut self, text: ScalarExpr, term: &str, case_sensitive: bool, span: Span) -> Option<ScalarExpr> {
        use BinaryOperator as B;
        let inner = term.strip_prefix('*').unwrap_or(term);
        let (starts, inner) = (inner.len() < term.len(), inner.strip_suffix('*').unwrap_or(inner));
        let ends = term.len() > inner.len() + usize::from(starts);
        if inner.contains('*') {
            let pattern = inner.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
            let edge = |open: bool| if open { "" } else { r"\b" };
            let flags = if case_sensitive { "(?s)" } else { "(?is)" };
            let pattern = format!("{flags}{}{pattern}{}", edge(starts), edge(ends));
            return self.operation(B::MatchesRegex, text, ScalarExpr::literal(Value::String(pattern)), span);
        }
        let operator = match (starts, ends, case_sensitive) {
            (false, false, false) => B::Has,
            (false, false, true) => B::HasCs,
            (true, false, false) => B::HasSuffix,
            (true, false, true) => B::HasSuffixCs,
            (false, true, false) => B::HasPrefix,
            (false, true, true) => B::HasPrefixCs,
            (true, true, false) => B::Contains,
            (true, true, true) => B::ContainsCs,
        };
        self.operation(operator, text, ScalarExpr::literal(Value::String(inner.to_owned())), span)
    }

    /// The columns of a `project` in `find`.
    fn named_outputs(&mut self, columns: &[FindColumn], tables: &[Labelled]) -> Option<Outputs> {
        let mut outputs = Outputs { columns: Vec::new(), pack: None };
        let mut names = Names::default();
        for entry in columns {
            let name = match entry.column.unparenthesized() {
                Expression::Name(name) => name.text.clone(),
                Expression::Call(_) | Expression::Star(_) => {
                    outputs.pack = Some("pack_".to_owned());
                    continue;
                }
                other => return self.fail(codes::NAME_EXPECTED, other.span(), "a column name is expected"),
            };
            let found = tables.iter().find_map(|(_, relation)| relation.column(&name)).map(|c| c.column_type);
            let column_type = match &entry.ty {
                Some(declared) => self.declared_type(declared)?,
                None => match found {
                    Some(column_type) => column_type,
                    None => {
                        let candidates: Vec<String> = tables
                            .iter()
                            .flat_map(|(_, relation)| relation.columns.iter().map(|c| c.name.to_string()))
                            .collect();
                        let message = format!("no table has a column named '{name}'");
                        return self.fail_near(codes::UNRESOLVED, entry.span, message, &name, &candidates);
                    }
                },
            };
            let output = Column::new(&names.unique(&name), column_type);
            outputs.columns.push(OutputColumn { source: name.as_str().into(), wanted: None, output });
        }
        Some(outputs)
    }

    /// The outputs without those after `project-away`.
    fn without_away(&mut self, mut outputs: Outputs, away: &[FindColumn]) -> Outputs {
        for entry in away {
            match entry.column.unparenthesized() {
                Expression::Name(name) if outputs.pack.as_deref() == Some(name.text.as_str()) => outputs.pack = None,
                Expression::Name(name) => outputs.columns.retain(|c| *c.output.name != *name.text),
                Expression::Wildcard(pattern) => outputs.columns.retain(|c| !pattern.matches(&c.output.name)),
                Expression::Star(_) => outputs.pack = None,
                _ => {}
            }
        }
        outputs
    }

    /// One table's rows in the columns of the result.
    fn found_columns(&mut self, relation: Relation, own: &[Column], outputs: &Outputs, span: Span) -> Option<Relation> {
        let mut filled: Vec<(Column, ScalarExpr)> = Vec::new();
        let mut used: Vec<Arc<str>> = Vec::new();
        for column in &outputs.columns {
            let found =
                own.iter().find(|c| c.name == column.source && column.wanted.is_none_or(|t| t == c.column_type));
            let value = match found {
                Some(found) => {
                    used.push(Arc::clone(&found.name));
                    ScalarExpr::column(found).converted(column.output.column_type)
                }
                None => ScalarExpr::literal(Value::null(column.output.column_type)),
            };
            filled.push((column.output.clone(), value));
        }
        if let Some(pack) = &outputs.pack {
            let rest = own.iter().filter(|c| !used.contains(&c.name)).map(ScalarExpr::column).collect();
            let bag = self.packed(rest, span, &Row::of(&relation))?;
            filled.push((Column::new(pack, ColumnType::Dynamic), bag));
        }
        Some(Project::exact("find", relation, filled))
    }
}

/// The tables that have a column the predicate names; all if it names none or looks into every column.
fn tables_with(tables: Vec<Labelled>, predicate: &Expression) -> Vec<Labelled> {
    let mentioned = Mentioned::of(predicate);
    let is_column = |name: &String| tables.iter().any(|(_, relation)| relation.column(name).is_some());
    let columns: Vec<&String> = mentioned.names.iter().filter(|name| is_column(name)).collect();
    if mentioned.any_column || columns.is_empty() {
        return tables;
    }
    let has_one = |relation: &Relation| columns.iter().any(|name| relation.column(name).is_some());
    let all: Vec<bool> = tables.iter().map(|(_, relation)| has_one(relation)).collect();
    tables.into_iter().zip(all).filter(|(_, has_one)| *has_one).map(|(table, _)| table).collect()
}

/// The columns a predicate names, each as the first table has it.
fn named_columns(tables: &[Labelled], predicate: &Expression) -> Vec<Column> {
    let names = Mentioned::of(predicate).names;
    names.iter().filter_map(|name| tables.iter().find_map(|(_, relation)| relation.column(name)).cloned()).collect()
}

/// The columns `find` gives.
struct Outputs {
    columns: Vec<OutputColumn>,
    /// The column that holds a bag of all others.
    pack: Option<String>,
}

/// One column `find` gives.
struct OutputColumn {
    /// Its name in the tables.
    source: Arc<str>,
    /// The only type it is taken from, if it has several.
    wanted: Option<ColumnType>,
    output: Column,
}

/// The columns all tables have, those the predicate names, and the rest in a bag.
fn smart_outputs(tables: &[Labelled], predicate: &Expression) -> Outputs {
    let has = |relation: &Relation, column: &Column| relation.columns.contains(column);
    let first = tables.first().map_or(&[][..], |(_, relation)| &relation.columns);
    let mut chosen: Vec<Column> =
        first.iter().filter(|c| tables.iter().all(|(_, relation)| has(relation, c))).cloned().collect();
    for name in Mentioned::of(predicate).names {
        let named = tables.iter().flat_map(|(_, relation)| relation.column(&name));
        for column in named {
            if !chosen.contains(column) {
                chosen.push(column.clone());
            }
        }
    }
    let rest = tables.iter().any(|(_, relation)| relation.columns.iter().any(|c| !chosen.contains(c)));
    let clashes = |name: &str| chosen.iter().filter(|c| &*c.name == name).count() > 1;
    let mut names = Names::default();
    let columns = chosen.iter().map(|column| {
        let clash = clashes(&column.name);
        let name = if clash { format!("{}_{}", column.name, column.column_type) } else { column.name.to_string() };
        OutputColumn {
            source: Arc::clone(&column.name),
            wanted: clash.then_some(column.column_type),
            output: Column::new(&names.unique(&name), column.column_type),
        }
    });
    Outputs { columns: columns.collect(), pack: rest.then(|| "pack_".to_owned()) }
}

fn source_column(parameters: &[OperatorParameter]) -> Option<String> {
    let parameter = parameters.iter().find(|p| matches!(p.name.text.as_str(), "withsource" | "with_source"));
    parameter.and_then(|p| p.word()).map(str::to_owned)
}
