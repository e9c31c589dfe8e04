//! Statements and declarations.

use super::Parser;
use crate::diagnostic::{Diagnostic, codes};
use crate::nearest::nearest;
use crate::syntax::*;
use crate::token::TokenKind as K;

/// Whether what follows `<|` after a command that begins with these words is no query: rows written out, or a script.
pub(crate) fn has_raw_input<'a>(words: impl IntoIterator<Item = &'a str>) -> bool {
    words.into_iter().enumerate().any(|(at, word)| word == "inline" || (at == 0 && word == "execute"))
}

impl Parser<'_> {
    /// statement { ";" statement } [";"] end
    pub(super) fn statements_to_end(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            self.statements(&mut statements);
            if self.at(K::End) {
                return statements;
            }
            // A closing bracket without an opening one: what follows it up to `;` belongs to nothing.
            let start = self.start();
            self.error_here(format!("{} closes nothing", self.found()), None);
            self.bump();
            if !self.begins_line() {
                self.skip_to_recovery(true);
            }
            let span = self.finish(start);
            statements.push(Statement::Error(Skipped { text: span.text(self.text).into(), span }));
        }
    }

    /// Statements up to a closing bracket or the end.
    fn statements(&mut self, statements: &mut Vec<Statement>) {
        loop {
            while self.eat(K::Semicolon) {}
            if matches!(self.kind(), K::End | K::CloseParen | K::CloseBrace | K::CloseBracket) {
                return;
            }
            let before = self.position;
            statements.push(self.statement());
            let is_command_input = self.previous_kind() == Some(K::LessPipe);
            if matches!(self.kind(), K::Semicolon | K::End | K::CloseBrace | K::CloseParen | K::CloseBracket)
                || is_command_input
            {
                continue;
            }
            self.missing_semicolon(before, statements);
        }
    }

    /// After a statement comes neither `;` nor an end.
    fn missing_semicolon(&mut self, before: usize, statements: &mut Vec<Statement>) {
        let is_next_statement = self.begins_line() && self.position > before && self.at(K::Word);
        if is_next_statement {
            let span = self.missing();
            let message = format!("expected `;` before {}", self.found());
            if self.last_error_position != Some(self.position) {
                self.last_error_position = Some(self.position);
                self.report(
                    Diagnostic::error(codes::UNEXPECTED, span, message)
                        .with_suggestion("statements are separated by `;`"),
                );
            }
            return;
        }
        self.expected("`;` or `|`");
        let skipped = self.skip_to_recovery(true);
        if !skipped.span.is_empty() {
            statements.push(Statement::Error(skipped));
        }
    }

    fn statement(&mut self) -> Statement {
        let next_is_name = self.name_length(1) > 0;
        match (self.word(), self.nth_word(1)) {
            ("let", _) if next_is_name || self.nth(1) == K::Equal => Statement::Let(self.let_statement()),
            ("set", _) if next_is_name => Statement::Set(self.set_statement()),
            ("declare", "query_parameters") => Statement::QueryParameters(self.query_parameters_statement()),
            ("declare", "pattern") => Statement::Pattern(self.pattern_statement()),
            ("restrict", "access") => Statement::Restrict(self.restrict_statement()),
            ("alias", "database") => Statement::Alias(self.alias_statement()),
            _ if self.at(K::Dot) => Statement::Command(self.command_statement()),
            _ => self.query_statement(),
        }
    }

    /// expression { "|" operator }
    fn query_statement(&mut self) -> Statement {
        let before = self.position;
        let mut expression = self.nested(Self::query);
        if self.position == before {
            // Nothing here begins a query: keep the text, so that the statement is not lost.
            let skipped = self.skip_to_recovery(true);
            if skipped.span.is_empty() {
                self.bump();
            }
            expression = Expression::Error(Box::new(skipped));
        }
        Statement::Query(QueryStatement { span: expression.span(), expression })
    }

    /// "let" name "=" ( function | expression { "|" operator } )
    fn let_statement(&mut self) -> LetStatement {
        let start = self.start();
        self.bump();
        let name = self.name();
        self.expect(K::Equal);
        let value = if self.at_function() {
            LetValue::Function(self.nested(Self::function_declaration))
        } else {
            LetValue::Expression(self.nested(Self::query))
        };
        LetStatement { span: self.finish(start), name, value }
    }

    /// Whether a function begins here: `view (`, `()` before `{`, or `(name:`.
    fn at_function(&self) -> bool {
        let ahead = usize::from(self.at_word("view"));
        if self.nth(ahead) != K::OpenParen {
            return false;
        }
        let name = self.name_length(ahead + 1);
        ahead == 1
            || self.nth(ahead + 1) == K::CloseParen
            || (name > 0 && self.nth(ahead + 1 + name) == K::Colon)
            || self.is_brace_after_names(ahead + 1)
    }

    /// Whether `a, b) {` is ahead: a function whose parameters lack their types.
    fn is_brace_after_names(&self, mut ahead: usize) -> bool {
        while self.name_length(ahead) > 0 {
            ahead += self.name_length(ahead);
            if self.nth(ahead) == K::Comma {
                ahead += 1;
            }
        }
        self.nth(ahead) == K::CloseParen && self.nth(ahead + 1) == K::OpenBrace
    }

    /// ["view"] "(" parameters ")" body
    fn function_declaration(&mut self) -> FunctionDeclaration {
        let start = self.start();
        let is_view = self.eat_word("view");
        let parameters = self.parameter_list();
        let body = self.function_body();
        FunctionDeclaration { span: self.finish(start), is_view, parameters, body }
    }

    /// "(" [ parameter { "," parameter } ] ")"
    pub(super) fn parameter_list(&mut self) -> Vec<Parameter> {
        self.bracketed_list(K::OpenParen, K::CloseParen, Self::parameter)
    }

    /// name ":" ( type | row schema ) [ "=" literal ]
    fn parameter(&mut self) -> Parameter {
        let start = self.start();
        let name = self.name();
        self.expect(K::Colon);
        let ty = if self.at(K::OpenParen) {
            ParameterType::Table(self.row_schema())
        } else {
            ParameterType::Scalar(self.type_name())
        };
        let default = self.eat(K::Equal).then(|| self.expression());
        Parameter { span: self.finish(start), name, ty, default }
    }

    /// "{" { statement ";" } [ expression ] [";"] "}"
    fn function_body(&mut self) -> FunctionBody {
        let start = self.start();
        let mut statements = Vec::new();
        let mut result = None;
        if self.expect(K::OpenBrace) {
            self.statements(&mut statements);
            if let Some(Statement::Query(_)) = statements.last()
                && let Some(Statement::Query(query)) = statements.pop()
            {
                result = Some(query.expression);
            }
            self.close(K::CloseBrace);
        }
        FunctionBody { span: self.finish(start), statements, result }
    }

    /// "(" [ "*" | name ":" type { "," name ":" type } [","] ] ")"
    pub(super) fn row_schema(&mut self) -> RowSchema {
        let start = self.start();
        let mut star = None;
        let columns = self.bracketed_list(K::OpenParen, K::CloseParen, |parser| {
            if parser.at(K::Star) {
                star = Some(parser.bump().span);
                None
            } else {
                Some(parser.column_declaration())
            }
        });
        RowSchema { span: self.finish(start), star, columns: columns.into_iter().flatten().collect() }
    }

    fn column_declaration(&mut self) -> ColumnDeclaration {
        let start = self.start();
        let name = self.name();
        self.expect(K::Colon);
        let ty = self.type_name();
        ColumnDeclaration { span: self.finish(start), name, ty }
    }

    /// One of the names of types.
    pub(super) fn type_name(&mut self) -> TypeName {
        if !self.at(K::Word) {
            self.expected("a type");
            return TypeName { scalar: None, text: String::new(), span: self.missing() };
        }
        let text = self.word();
        let scalar = ScalarType::from_name(text);
        if scalar.is_none() {
            let suggestion = nearest(text, ScalarType::ALL.map(ScalarType::name));
            let advice = match suggestion {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("the types are {}", ScalarType::ALL.map(ScalarType::name).join(", ")),
            };
            self.error_here(format!("unknown type {}", self.found()), Some(advice));
        }
        let token = self.bump();
        TypeName { scalar, text: text.into(), span: token.span }
    }

    /// "set" name [ "=" value ]
    fn set_statement(&mut self) -> SetStatement {
        let start = self.start();
        self.bump();
        let name = self.name();
        let value = self.eat(K::Equal).then(|| self.expression());
        SetStatement { span: self.finish(start), name, value }
    }

    /// "declare" "query_parameters" "(" parameters ")"
    fn query_parameters_statement(&mut self) -> QueryParametersStatement {
        let start = self.start();
        self.bump();
        self.bump();
        let parameters = self.parameter_list();
        QueryParametersStatement { span: self.finish(start), parameters }
    }

    /// "declare" "pattern" name [ "=" definition ]
    fn pattern_statement(&mut self) -> PatternStatement {
        let start = self.start();
        self.bump();
        self.bump();
        let name = self.name();
        let definition = self.eat(K::Equal).then(|| self.nested(Self::pattern_definition));
        PatternStatement { span: self.finish(start), name, definition }
    }

    /// "(" parameters ")" [ "[" parameter "]" ] "{" { rule } "}"
    fn pattern_definition(&mut self) -> PatternDefinition {
        let start = self.start();
        let parameters = self.parameter_list();
        let path = self.eat(K::OpenBracket).then(|| {
            let path = self.parameter();
            self.close(K::CloseBracket);
            path
        });
        let mut rules = Vec::new();
        if self.expect(K::OpenBrace) {
            while self.at(K::OpenParen) {
                rules.push(self.pattern_rule());
                self.eat(K::Semicolon);
            }
            self.close(K::CloseBrace);
        }
        PatternDefinition { span: self.finish(start), parameters, path, rules }
    }

    /// "(" literals ")" [ "." "[" literal "]" ] "=" body
    fn pattern_rule(&mut self) -> PatternRule {
        let start = self.start();
        let arguments = self.bracketed_list(K::OpenParen, K::CloseParen, Self::expression);
        let path = self.eat(K::Dot).then(|| {
            self.expect(K::OpenBracket);
            let path = self.expression();
            self.close(K::CloseBracket);
            path
        });
        self.expect(K::Equal);
        let body = self.function_body();
        PatternRule { span: self.finish(start), arguments, path, body }
    }

    /// "restrict" "access" "to" "(" entities ")"
    fn restrict_statement(&mut self) -> RestrictStatement {
        let start = self.start();
        self.bump();
        self.bump();
        self.expect_word("to");
        let entities = self.bracketed_list(K::OpenParen, K::CloseParen, Self::wildcard_operand);
        RestrictStatement { span: self.finish(start), entities }
    }

    /// "alias" "database" name "=" expression
    fn alias_statement(&mut self) -> AliasStatement {
        let start = self.start();
        self.bump();
        self.bump();
        let name = self.name();
        self.expect(K::Equal);
        let expression = self.expression();
        AliasStatement { span: self.finish(start), name, expression }
    }

    /// "." words anything [ "<|" query ] { "|" operator }
    fn command_statement(&mut self) -> CommandStatement {
        let start = self.start();
        self.bump();
        let mut words = Vec::new();
        while self.at(K::Word) {
            words.push(self.hyphenated_name());
        }
        if words.is_empty() {
            self.expected("a command");
        }
        self.skip_command_text();
        let text = self.finish(start).text(self.text).trim().to_string();
        let mut input = None;
        if self.eat(K::LessPipe) {
            input = self.command_input(&words);
        }
        let operators = if input.is_none() { self.pipeline(Vec::new()) } else { Vec::new() };
        CommandStatement { span: self.finish(start), words, text, operators, input }
    }

    /// What follows `<|`: a query; nothing where it is data, a script, or begins with a statement of its own.
    fn command_input(&mut self, words: &[Name]) -> Option<Expression> {
        let words = || words.iter().map(Name::as_str);
        if has_raw_input(words()) {
            self.position = self.tokens.len() - 1;
            self.previous_end = self.text.trim_end().len().max(self.previous_end);
            return None;
        }
        if words().next() == Some("purge") {
            return Some(Expression::Pipe(Box::new(self.nested(Self::subquery))));
        }
        let is_statement = matches!(self.word(), "let" | "set" | "declare") && self.name_length(1) > 0;
        (!is_statement).then(|| self.nested(Self::query))
    }

    /// A word, with what is joined to it by hyphens.
    fn hyphenated_name(&mut self) -> Name {
        let start = self.start();
        self.bump();
        while self.at(K::Minus) && self.start() == self.previous_end && self.is_joined(1) && self.nth(1) == K::Word {
            self.bump();
            self.bump();
        }
        let span = self.finish(start);
        Name { text: span.text(self.text).into(), bracketed: false, span }
    }

    /// Skips to `|`, `<|` or `;` outside brackets.
    fn skip_command_text(&mut self) {
        let mut open = 0usize;
        loop {
            match self.kind() {
                K::End => return,
                K::Pipe | K::LessPipe | K::Semicolon if open == 0 => return,
                K::OpenParen | K::OpenBracket | K::OpenBrace => open += 1,
                K::CloseParen | K::CloseBracket | K::CloseBrace => open = open.saturating_sub(1),
                _ => {}
            }
            self.bump();
        }
    }

    /// "macro-expand" bodies: "(" statement { ";" statement } ")"
    pub(super) fn parenthesized_statements(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        if self.expect(K::OpenParen) {
            self.statements(&mut statements);
            self.close(K::CloseParen);
        }
        statements
    }
}
