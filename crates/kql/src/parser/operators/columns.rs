//! Operators that make, choose or unfold columns.

use super::{Mode, Parser};
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "project" [ named expressions ]
    pub(super) fn project(&mut self) -> ProjectOperator {
        let start = self.start();
        self.bump();
        let expressions = self.opt_named_expressions();
        ProjectOperator { span: self.finish(start), expressions }
    }

    fn opt_named_expressions(&mut self) -> Vec<NamedExpression> {
        if self.at_operator_end() { Vec::new() } else { self.list(Self::named_expression) }
    }

    /// "extend" named expressions
    pub(super) fn extend(&mut self) -> ExtendOperator {
        let start = self.start();
        self.bump();
        let expressions = self.list(Self::named_expression);
        ExtendOperator { span: self.finish(start), expressions }
    }

    /// "print" named expressions
    pub(super) fn print(&mut self) -> PrintOperator {
        let start = self.start();
        self.bump();
        let expressions = self.opt_named_expressions();
        PrintOperator { span: self.finish(start), expressions }
    }

    /// "project-away" [ column patterns ]
    pub(super) fn project_away(&mut self) -> ProjectAwayOperator {
        let start = self.start();
        self.bump();
        let columns = self.opt_column_patterns();
        ProjectAwayOperator { span: self.finish(start), columns }
    }

    /// "project-keep" column patterns
    pub(super) fn project_keep(&mut self) -> ProjectKeepOperator {
        let start = self.start();
        self.bump();
        let columns = self.opt_column_patterns();
        ProjectKeepOperator { span: self.finish(start), columns }
    }

    fn opt_column_patterns(&mut self) -> Vec<Expression> {
        if self.at_operator_end() { Vec::new() } else { self.list(Self::column_pattern) }
    }

    /// A name, a wildcard name, or an expression for the binder to judge.
    fn column_pattern(&mut self) -> Expression {
        self.with_mode(Mode { has_wildcards: true, ..Mode::default() }, Self::expression)
    }

    /// "project-by-names" expressions
    pub(super) fn project_by_names(&mut self) -> ProjectByNamesOperator {
        let start = self.start();
        self.bump();
        let expressions = self.opt_named_expressions();
        ProjectByNamesOperator { span: self.finish(start), expressions }
    }

    /// "project-rename" [ name "=" name ]
    pub(super) fn project_rename(&mut self) -> ProjectRenameOperator {
        let start = self.start();
        self.bump();
        let renames = self.opt_named_expressions();
        ProjectRenameOperator { span: self.finish(start), renames }
    }

    /// "project-reorder" [ column pattern [ order ] ]
    pub(super) fn project_reorder(&mut self) -> ProjectReorderOperator {
        let start = self.start();
        self.bump();
        let columns = if self.at_operator_end() { Vec::new() } else { self.list(Self::reorder_column) };
        ProjectReorderOperator { span: self.finish(start), columns }
    }

    fn reorder_column(&mut self) -> ReorderColumn {
        let column = self.column_pattern();
        let order = match self.word() {
            "asc" => Some(ReorderDirection::Ascending),
            "desc" => Some(ReorderDirection::Descending),
            "granny-asc" => Some(ReorderDirection::GrannyAscending),
            "granny-desc" => Some(ReorderDirection::GrannyDescending),
            _ => None,
        };
        if order.is_some() {
            self.bump();
        }
        ReorderColumn { span: self.finish(column.span().start), column, order }
    }

    /// "project-smart"
    pub(super) fn project_smart(&mut self) -> ProjectSmartOperator {
        let start = self.start();
        self.bump();
        ProjectSmartOperator { span: self.finish(start) }
    }

    /// "parse" [ "kind" "=" kind [ "flags" "=" flags ] ] expression "with" pattern
    pub(super) fn parse_operator(&mut self) -> ParseOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind", "flags"]);
        let expression = self.expression();
        self.expect_word("with");
        let pattern = self.parse_pattern();
        ParseOperator { span: self.finish(start), parameters, expression, pattern }
    }

    /// { "*" | string | name [ ":" type ] }
    fn parse_pattern(&mut self) -> Vec<ParsePart> {
        let mut parts = Vec::new();
        loop {
            let part = match self.kind() {
                K::Star => ParsePart::Star(self.bump().span),
                K::String | K::OpenString => ParsePart::Text(self.literal_token()),
                _ if self.name_length(0) > 0 => ParsePart::Column(self.parse_column()),
                _ => break,
            };
            parts.push(part);
        }
        if parts.is_empty() {
            self.expected("a pattern of strings, column names and `*`");
        }
        parts
    }

    /// name [ ":" type ]
    fn parse_column(&mut self) -> ParseColumn {
        let start = self.start();
        let name = self.name();
        let ty = self.eat(K::Colon).then(|| self.type_name());
        ParseColumn { span: self.finish(start), name, ty }
    }

    /// "parse-kv" expression "as" schema [ "with" properties ]
    pub(super) fn parse_kv(&mut self) -> ParseKvOperator {
        let start = self.start();
        self.bump();
        let expression = self.expression();
        self.expect_word("as");
        let schema = self.row_schema();
        let properties = if self.eat_word("with") { self.properties() } else { Vec::new() };
        ParseKvOperator { span: self.finish(start), expression, schema, properties }
    }

    /// "mv-expand" [ parameters ] columns [ "limit" count ]
    pub(super) fn mv_expand(&mut self) -> MvExpandOperator {
        let start = self.start();
        let is_legacy = self.at_word("mvexpand");
        self.bump();
        let parameters = self.parameters(&["bagexpansion", "kind", "with_itemindex"]);
        let columns = self.list(Self::mv_column);
        let limit = self.eat_word("limit").then(|| self.expression());
        MvExpandOperator { span: self.finish(start), is_legacy, parameters, columns, limit }
    }

    /// "mv-apply" [ parameters ] columns [ "limit" count ] [ "id" guid ] "on" "(" subquery ")"
    pub(super) fn mv_apply(&mut self) -> MvApplyOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["bagexpansion", "kind", "with_itemindex"]);
        let columns = self.list(Self::mv_column);
        let limit = self.eat_word("limit").then(|| self.expression());
        let context_id = self.eat_word("id").then(|| self.operand());
        self.expect_word("on");
        let query = self.in_parentheses(Self::subquery);
        MvApplyOperator { span: self.finish(start), parameters, columns, limit, context_id, query }
    }

    /// named expression [ "to" typeof ]
    fn mv_column(&mut self) -> MvColumn {
        let expression = self.named_expression();
        let to_type = self.eat_word("to").then(|| self.typeof_expression());
        MvColumn { span: expression.span.to(self.finish(expression.span.start)), expression, to_type }
    }
}
