//! Completion: what may stand at the cursor.

use std::sync::Arc;

use moneta_base::Timestamp;
use moneta_event::Column;
use moneta_kql::syntax::{
    Expression, FunctionDeclaration, JoinCondition, LetValue, Operator, ParameterType, ScalarType, Span, Statement,
};
use moneta_kql::token::{OPEN_WORDS, TokenKind as K};

use super::keywords::{self, CHARTS, INFIX, OPERATORS, Operands, SOURCE_OPERATORS, STATEMENTS};
use super::place::{Level, Place};
use super::{COMPLETIONS_MAX, Completion, CompletionKind as Kind};
use crate::binder::scope::{Binding, Scope};
use crate::binder::sight::{ReachedOperator, Sight, see};
use crate::binder::{BindOptions, Catalog};
use crate::{aggregates, functions, manual};

/// Functions declared in functions are opened up to this depth.
const FUNCTION_DEPTH_MAX: usize = 8;

/// Words at the start of an operator or statement, after which an operand is wanted.
const HEAD_WORDS: [&str; 3] = ["let", "set", "where"];

/// Returns what may stand at a byte offset of a text: names that begin with what was typed first, then those that hold
/// it; at most [`COMPLETIONS_MAX`]. Inside strings and comments there is nothing.
///
/// # Example
/// ```
/// use moneta_kql_plan::assist::complete;
/// let catalog = moneta_event::TableCatalog::built_in();
/// let found = complete("Syslog | summ", 13, &catalog);
/// assert_eq!(found[0].label, "summarize");
/// ```
#[must_use]
pub fn complete(text: &str, offset: usize, catalog: &dyn Catalog) -> Vec<Completion> {
    let Some(place) = Place::at(text, offset) else { return Vec::new() };
    let mut found = Finder::new(&place, catalog).find();
    let typed = place.word.to_lowercase();
    found.retain(|completion| completion.label.to_lowercase().contains(&typed));
    found.sort_by_key(|completion| {
        let is_later = !completion.label.to_lowercase().starts_with(&typed);
        (is_later, completion.kind, completion.label.to_lowercase())
    });
    found.dedup_by(|one, other| one.kind == other.kind && one.label == other.label);
    found.truncate(COMPLETIONS_MAX);
    found
}

struct Finder<'a> {
    place: &'a Place<'a>,
    catalog: &'a dyn Catalog,
    /// The text up to the cursor, with the functions around the cursor opened.
    opened: String,
    sight: Sight,
    found: Vec<Completion>,
}

impl<'a> Finder<'a> {
    fn new(place: &'a Place<'a>, catalog: &'a dyn Catalog) -> Self {
        let opened = open_functions(place.before);
        let tree = moneta_kql::parse(&opened).tree;
        let sight = see(&tree, catalog, &BindOptions::at(Timestamp::from_nanos(0)));
        Self { place, catalog, opened, sight, found: Vec::new() }
    }

    fn find(mut self) -> Vec<Completion> {
        let Some(level) = self.place.inner().cloned() else { return self.found };
        let last = level.tokens.last().copied();
        match last.map(|token| token.kind) {
            None => self.at_start(&level),
            Some(K::Dot) => self.members(&level),
            Some(K::Colon) if level.opener == Some(K::OpenParen) => self.types(),
            Some(K::Equal) if self.parameter_value(&level) => {}
            _ => self.within(&level),
        }
        self.found
    }

    /// Nothing stands before the word in its bracket or after its pipe.
    fn at_start(&mut self, level: &Level<'_>) {
        if level.is_after_pipe {
            return self.operators();
        }
        match (level.opener, level.callee) {
            (None | Some(K::OpenBrace), _) => self.statements(),
            (Some(K::OpenParen), "typeof") => self.types(),
            (Some(K::OpenParen), "fork") => self.operators(),
            (Some(K::OpenParen), "on") if self.operator_word() == "mv-apply" => self.operators(),
            (Some(K::OpenParen), _) if self.operator_word() == "partition" && !self.is_call(level) => self.operators(),
            (Some(K::OpenParen), callee) => {
                self.expression(level);
                if !self.is_call(level) || matches!(callee, "toscalar" | "materialize" | "view" | "table") {
                    self.sources();
                }
            }
            _ => self.expression(level),
        }
    }

    /// Whether the bracket holds the arguments of a scalar function or an aggregate.
    fn is_call(&self, level: &Level<'_>) -> bool {
        functions::registry().get(level.callee).is_some() || aggregates::registry().get(level.callee).is_some()
    }

    /// The keyword of the operator around the cursor.
    fn operator_word(&self) -> &'a str {
        self.place.operator(|word| keywords::operator(word).is_some()).map_or("", |(word, _)| word)
    }

    /// Something stands before the word.
    fn within(&mut self, level: &Level<'_>) {
        let Some(last) = level.tokens.last().copied() else { return };
        let head = self.place.text(level.tokens[0]);
        let operator = keywords::operator(head).filter(|_| level.is_after_pipe || SOURCE_OPERATORS.contains(&head));
        let is_first = level.tokens.len() == 1;
        match operator {
            Some(operator) if is_first => self.operands(operator, level),
            Some(operator) if self.ends_operand(last) => {
                self.keywords(operator.clauses, Kind::Keyword);
                if !matches!(operator.operands, Operands::Tables | Operands::Columns | Operands::Chart)
                    || self.is_after(level, "on")
                {
                    self.keywords(&INFIX, Kind::Keyword);
                }
                // After a parameter the operands begin.
                if level.tokens.len() >= 3
                    && level.tokens[level.tokens.len() - 2].kind == K::Equal
                    && !self.is_after(level, "on")
                {
                    self.operands(operator, level);
                }
            }
            Some(operator) if operator.operands == Operands::Tables && !self.is_after(level, "on") => self.sources(),
            Some(operator) if operator.operands == Operands::Columns => self.columns(),
            None if self.ends_operand(last) => self.keywords(&INFIX, Kind::Keyword),
            _ => {
                self.expression(level);
                if operator.is_none() && last.kind == K::Equal {
                    self.sources();
                    self.keywords(&SOURCE_OPERATORS, Kind::Keyword);
                }
            }
        }
    }

    fn ends_operand(&self, token: moneta_kql::token::Token) -> bool {
        match token.kind {
            K::Long | K::Real | K::Timespan | K::String | K::CloseParen | K::CloseBracket | K::CloseBrace => true,
            K::Word => {
                let word = self.place.text(token);
                !OPEN_WORDS.contains(&word) && !HEAD_WORDS.contains(&word)
            }
            _ => false,
        }
    }

    fn is_after(&self, level: &Level<'_>, word: &str) -> bool {
        level.tokens.iter().any(|token| self.place.text(*token) == word)
    }

    /// What follows an operator's keyword.
    fn operands(&mut self, operator: &'static keywords::OperatorWords, level: &Level<'_>) {
        for parameter in operator.parameters {
            self.push(Kind::Parameter, parameter, operator.syntax, format!("{parameter}="));
        }
        match operator.operands {
            Operands::Expressions | Operands::Aggregates => self.expression(level),
            Operands::Columns => self.columns(),
            Operands::Tables => self.sources(),
            Operands::Count => self.variables(),
            Operands::Words(words) => self.keywords(words, Kind::Keyword),
            Operands::Chart => self.keywords(&CHARTS, Kind::Value),
            Operands::Plugin => self.plugins(),
            Operands::None => {}
        }
        if operator.keyword == "invoke" {
            self.variables();
        }
    }

    /// The value after `name=`, if the name is a parameter whose values are known.
    fn parameter_value(&mut self, level: &Level<'_>) -> bool {
        let words: Vec<&str> = level.tokens.iter().map(|token| self.place.text(*token)).collect();
        let Some(name) = words.len().checked_sub(2).map(|at| words[at]) else { return false };
        let is_hint = words.len() >= 4 && words[words.len() - 3] == "." && words[words.len() - 4] == "hint";
        let name = if is_hint { format!("hint.{name}") } else { name.to_owned() };
        let values = keywords::parameter_values(words[0], &name);
        self.keywords(values, Kind::Value);
        !values.is_empty()
    }

    fn statements(&mut self) {
        for (label, syntax) in STATEMENTS {
            self.push(Kind::Keyword, label, syntax, format!("{label} "));
        }
        for keyword in SOURCE_OPERATORS {
            let syntax = keywords::operator(keyword).map_or("", |operator| operator.syntax);
            self.push(Kind::Operator, keyword, syntax, format!("{keyword} "));
        }
        self.sources();
    }

    fn operators(&mut self) {
        for operator in OPERATORS {
            self.push(Kind::Operator, operator.keyword, operator.syntax, format!("{} ", operator.keyword));
        }
    }

    /// Tables, and declared names that may be rows.
    fn sources(&mut self) {
        for table in self.catalog.table_names() {
            let count = self.catalog.columns(&table).map_or(0, |columns| columns.len());
            let insert = written_name(&table);
            self.push(Kind::Table, &table, &format!("table of {count} columns"), insert);
        }
        self.variables();
    }

    /// Columns, variables and functions; aggregates where the operator takes them.
    fn expression(&mut self, level: &Level<'_>) {
        self.columns();
        self.variables();
        let takes_aggregates =
            self.place.operator(|word| keywords::operator(word).is_some()).is_some_and(|(word, outer)| {
                let takes = keywords::operator(word).is_some_and(|operator| operator.operands == Operands::Aggregates);
                (takes && !self.is_after(outer, "by")) || (word == "top-nested" && self.is_after(outer, "by"))
            });
        if takes_aggregates && aggregates::registry().get(level.callee).is_none() {
            for aggregate in aggregates::registry().iter() {
                self.function(Kind::Aggregate, aggregate.name, aggregate.signatures, aggregate.doc);
            }
        }
        // Two underscores mark what the binder calls by itself.
        for function in functions::registry().iter().filter(|function| !function.name.starts_with("__")) {
            self.function(Kind::Function, function.name, function.signatures, function.doc);
        }
        self.keywords(&["true", "false", "datetime(", "timespan(", "dynamic("], Kind::Keyword);
        if self.operator_word() == "join" || self.operator_word() == "lookup" {
            self.keywords(&["$left", "$right"], Kind::Keyword);
        }
    }

    fn function(&mut self, kind: Kind, name: &str, signatures: &[&str], doc: &str) {
        let signature = signatures.first().copied().unwrap_or_default();
        self.push(kind, name, &format!("{name}{signature}: {doc}"), format!("{name}("));
    }

    /// The operator the cursor stands in, as the binder reached it.
    fn reached(&self) -> Option<&ReachedOperator> {
        let is_open = |operator: &&ReachedOperator| {
            let mut depth = 0usize;
            for token in moneta_kql::lexer::tokenize(self.opened.get(operator.span.start..).unwrap_or_default()) {
                match token.kind {
                    K::OpenParen | K::OpenBracket | K::OpenBrace => depth += 1,
                    K::CloseParen | K::CloseBracket | K::CloseBrace if depth == 0 => return false,
                    K::CloseParen | K::CloseBracket | K::CloseBrace => depth -= 1,
                    K::Pipe | K::Semicolon if depth == 0 => return false,
                    _ => {}
                }
            }
            true
        };
        let open = self.sight.operators.iter().filter(is_open);
        open.max_by_key(|operator| operator.span.start)
    }

    fn columns(&mut self) {
        let mut columns: Vec<Column> = self.reached().map_or_else(Vec::new, |operator| operator.columns.to_vec());
        columns.extend(self.right_columns().iter().cloned());
        for column in columns.iter().filter(|column| !crate::operators::apply::is_hidden(&column.name)) {
            self.push(Kind::Column, &column.name, column.column_type.name(), written_name(&column.name));
        }
    }

    /// The columns of the right side of the join whose condition is being written.
    fn right_columns(&self) -> Arc<[Column]> {
        let none = || Arc::from([]);
        let Some(operator) = self.reached() else { return none() };
        let Some(right) = right_side(&self.opened, operator.span.start) else { return none() };
        let known = self.sight.relations.iter().rev().find(|(span, _)| *span == right);
        known.map_or_else(none, |(_, columns)| Arc::clone(columns))
    }

    fn members(&mut self, level: &Level<'_>) {
        let object = level.tokens.len().checked_sub(2).map(|at| level.tokens[at]);
        let columns = match object.map(|token| self.place.text(token)) {
            Some("$left") => self.reached().map(|operator| Arc::clone(&operator.columns)),
            Some("$right") => Some(self.right_columns()),
            // After `database("d")` stands a table.
            Some(")") => return self.sources(),
            Some("hint") => {
                let operator = keywords::operator(self.operator_word());
                let hints = operator.map_or(&[][..], |operator| operator.parameters);
                for hint in hints.iter().filter_map(|parameter| parameter.strip_prefix("hint.")) {
                    self.push(Kind::Parameter, hint, "", format!("{hint}="));
                }
                return;
            }
            _ => None,
        };
        for column in columns.iter().flat_map(|columns| columns.iter()) {
            self.push(Kind::Column, &column.name, column.column_type.name(), written_name(&column.name));
        }
    }

    fn scope(&self) -> Scope {
        self.reached().map_or_else(|| self.sight.scope.clone(), |operator| operator.scope.clone())
    }

    fn variables(&mut self) {
        for (name, binding) in self.scope().iter() {
            let (detail, insert) = match binding {
                Binding::Scalar(value) => (value.column_type.name().to_owned(), written_name(name)),
                Binding::Table(relation) => (format!("rows of {} columns", relation.columns.len()), written_name(name)),
                Binding::Function(declaration, _) => (signature(declaration), format!("{name}(")),
                _ => (String::new(), written_name(name)),
            };
            self.push(Kind::Variable, name, &detail, insert);
        }
    }

    fn types(&mut self) {
        for ty in ScalarType::ALL {
            self.push(Kind::Type, ty.name(), "", ty.name().to_owned());
        }
    }

    fn plugins(&mut self) {
        for plugin in manual::OPERATORS.iter().filter_map(|operator| operator.strip_prefix("evaluate ")) {
            self.push(Kind::Plugin, plugin, "", format!("{plugin}("));
        }
    }

    fn keywords(&mut self, words: &[&str], kind: Kind) {
        for word in words {
            let insert =
                if kind == Kind::Value || word.ends_with('(') { (*word).to_owned() } else { format!("{word} ") };
            self.push(kind, word, "", insert);
        }
    }

    fn push(&mut self, kind: Kind, label: &str, detail: &str, insert: String) {
        let (label, detail) = (label.to_owned(), detail.to_owned());
        self.found.push(Completion { kind, label, detail, insert, replaces: self.place.replaces });
    }
}

/// A name as it must be written.
fn written_name(name: &str) -> String {
    let is_plain = name.starts_with(|c: char| c == '_' || c.is_alphabetic())
        && name.chars().all(|c| c == '_' || c.is_alphanumeric());
    if is_plain { name.to_owned() } else { format!("['{}']", name.replace('\\', "\\\\").replace('\'', "\\'")) }
}

/// `(a:string, n:long)` of a declared function.
pub(super) fn signature(declaration: &FunctionDeclaration) -> String {
    let parameters = declaration.parameters.iter().map(|parameter| {
        let ty = match &parameter.ty {
            ParameterType::Scalar(ty) => ty.text.clone(),
            ParameterType::Table(_) => "(...)".to_owned(),
        };
        format!("{}:{ty}", parameter.name.text)
    });
    format!("({})", parameters.collect::<Vec<_>>().join(", "))
}

/// The range of the right side of the join that begins at an offset.
fn right_side(text: &str, start: usize) -> Option<Span> {
    let tail = moneta_kql::parse(&format!("T | {}", text.get(start..)?)).tree;
    let Some(Statement::Query(query)) = tail.statements.into_iter().next() else { return None };
    let Expression::Pipe(pipe) = query.expression else { return None };
    let right = match pipe.operators.into_iter().next()? {
        Operator::Join(node) if !matches!(node.condition, JoinCondition::None) => node.right.span(),
        Operator::Lookup(node) => node.right.span(),
        _ => return None,
    };
    // Four bytes were put in front.
    Some(Span::new(right.start + start - 4, right.end + start - 4))
}

/// Turns the function the text ends in into statements: its parameters become values of their types, and the body goes
/// on where the cursor is.
fn open_functions(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..FUNCTION_DEPTH_MAX {
        let tree = moneta_kql::parse(&text).tree;
        let Some(Statement::Let(statement)) = tree.statements.last() else { return text };
        let LetValue::Function(function) = &statement.value else { return text };
        let body = function.body.span.start;
        let is_open = Place::at(&text, text.len()).is_some_and(|place| {
            place.levels.iter().any(|level| level.opener == Some(K::OpenBrace) && level.start == body)
        });
        if !is_open {
            return text;
        }
        let mut opened = text[..statement.span.start].to_owned();
        function.parameters.iter().for_each(|parameter| opened.push_str(&declared(parameter, &text)));
        opened.push_str(&text[body + 1..]);
        text = opened;
    }
    text
}

/// A parameter as a statement that declares a value of its type.
fn declared(parameter: &moneta_kql::syntax::Parameter, text: &str) -> String {
    let value = match &parameter.ty {
        ParameterType::Table(schema) => {
            let columns: Vec<&str> = schema.columns.iter().map(|column| column.span.text(text)).collect();
            format!("datatable({})[]", columns.join(", "))
        }
        ParameterType::Scalar(ty) => match ty.scalar {
            Some(ScalarType::String) | None => "''".to_owned(),
            Some(ty) => format!("{}(null)", ty.name()),
        },
    };
    format!("let {} = {value};\n", written_name(&parameter.name.text))
}
