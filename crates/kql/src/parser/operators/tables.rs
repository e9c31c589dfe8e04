//! Operators that bring in further tables, and those that make rows.

use super::{LoneEqual, Mode, Parser};
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "join" [ parameters ] right [ "on" conditions | "where" predicate ]
    pub(super) fn join(&mut self) -> JoinOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind", "isfuzzy"]);
        let right = self.operand();
        let condition = if self.eat_word("on") {
            JoinCondition::On(self.list(Self::predicate))
        } else if self.eat_word("where") {
            JoinCondition::Where(self.predicate())
        } else {
            JoinCondition::None
        };
        JoinOperator { span: self.finish(start), parameters, right, condition }
    }

    /// "lookup" [ parameters ] right "on" conditions
    pub(super) fn lookup(&mut self) -> LookupOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind"]);
        let right = self.operand();
        let on = if self.expect_word("on") { self.list(Self::predicate) } else { Vec::new() };
        LookupOperator { span: self.finish(start), parameters, right, on }
    }

    /// "union" [ parameters ] sources
    pub(super) fn union(&mut self) -> UnionOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["isfuzzy", "kind", "withsource", "with_source"]);
        let sources = self.list(Self::wildcard_operand);
        UnionOperator { span: self.finish(start), parameters, sources }
    }

    /// "range" column "from" from "to" to "step" step
    pub(super) fn range(&mut self) -> RangeOperator {
        let start = self.start();
        self.bump();
        let column = self.name();
        self.expect_word("from");
        let from = self.expression();
        self.expect_word("to");
        let to = self.expression();
        self.expect_word("step");
        let step = self.expression();
        RangeOperator { span: self.finish(start), column, from, to, step }
    }

    /// "search" [ parameters ] [ "in" "(" sources ")" ] predicate
    pub(super) fn search(&mut self) -> SearchOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind", "datascope", "withsource", "with_source"]);
        let sources = self.opt_search_sources();
        let predicate = self.search_predicate();
        SearchOperator { span: self.finish(start), parameters, sources, predicate }
    }

    /// [ "in" "(" source { "," source } ")" ]
    fn opt_search_sources(&mut self) -> Vec<Expression> {
        if !self.at_word("in") || self.nth(1) != K::OpenParen {
            return Vec::new();
        }
        self.bump();
        self.bracketed_list(K::OpenParen, K::CloseParen, Self::search_source)
    }

    /// A table, perhaps with `| as name` after it.
    fn search_source(&mut self) -> Expression {
        let source = self.wildcard_operand();
        if !self.at(K::Pipe) {
            return source;
        }
        let start = source.span().start;
        let operators = self.nested(|parser| parser.pipeline(Vec::new()));
        let span = self.finish(start);
        Expression::Pipe(Box::new(PipeExpression { span, source: Some(source), operators }))
    }

    fn search_predicate(&mut self) -> Expression {
        let mode = Mode { is_search: true, lone_equal: LoneEqual::Mistake, ..Mode::default() };
        self.with_mode(mode, Self::expression)
    }

    /// "find" [ parameters ] [ "in" "(" sources ")" ] [ "where" ] predicate [ projection ] [ "project-away" columns ]
    pub(super) fn find(&mut self) -> FindOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["datascope", "withsource", "with_source"]);
        let sources = self.opt_search_sources();
        let needs_where = !parameters.is_empty() || !sources.is_empty();
        if !self.eat_word("where") && needs_where {
            self.expected("`where`");
        }
        let predicate = self.search_predicate();
        let projection = match self.word() {
            "project" => {
                self.bump();
                FindProjection::Columns(self.list(Self::find_column))
            }
            "project-smart" => FindProjection::Smart(self.bump().span),
            _ => FindProjection::Default,
        };
        let has_away = self.eat_word("project-away") || self.eat_word("__projectAway");
        let project_away = if has_away { self.list(Self::find_column) } else { Vec::new() };
        FindOperator { span: self.finish(start), parameters, sources, predicate, projection, project_away }
    }

    /// ( name | "pack" "(" "*" ")" | "*" ) [ ":" type ]
    fn find_column(&mut self) -> FindColumn {
        let column = self.wildcard_operand();
        let ty = self.eat(K::Colon).then(|| self.type_name());
        FindColumn { span: column.span().to(self.finish(column.span().start)), column, ty }
    }

    /// "macro-expand" [ parameters ] group "as" name "(" statements ")"
    pub(super) fn macro_expand(&mut self) -> MacroExpandOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["isfuzzy", "kind"]);
        let group = self.operand();
        self.expect_word("as");
        let name = self.name();
        let statements = self.nested(Self::parenthesized_statements);
        MacroExpandOperator { span: self.finish(start), parameters, group, name, statements }
    }
}
