//! Expressions that are tables: rows written out, files, groups of databases, views.

use super::Parser;
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "datatable" [ parameters ] schema "[" values "]"
    pub(super) fn datatable(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let parameters = self.any_parameters();
        let schema = self.row_schema();
        let values = self.brackets(|parser| parser.bracketed_list(K::OpenBracket, K::CloseBracket, Self::expression));
        let span = self.finish(start);
        Expression::Datatable(Box::new(DatatableExpression { span, parameters, schema, values }))
    }

    /// "__contextual_datatable" guid schema
    pub(super) fn contextual_datatable(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let id = self.operand();
        let schema = self.row_schema();
        let span = self.finish(start);
        Expression::ContextualDatatable(Box::new(ContextualDatatableExpression { span, id, schema }))
    }

    /// "externaldata" [ parameters ] schema "[" locations "]" [ "with" properties ]
    pub(super) fn external_data(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let parameters = self.any_parameters();
        let schema = self.row_schema();
        let locations =
            self.brackets(|parser| parser.bracketed_list(K::OpenBracket, K::CloseBracket, Self::expression));
        let properties = self.opt_with_properties();
        let span = self.finish(start);
        Expression::ExternalData(Box::new(ExternalDataExpression { span, parameters, schema, locations, properties }))
    }

    /// [ "with" "(" properties ")" ]
    fn opt_with_properties(&mut self) -> Vec<OperatorParameter> {
        if !(self.at_word("with") && self.nth(1) == K::OpenParen) {
            return Vec::new();
        }
        self.bump();
        self.properties()
    }

    /// "inline_external_table" [ schema ] parameters [ "partition" "by" columns ] [ "pathformat" "=" "(" parts ")" ]
    /// parameters "(" locations ")" [ "with" properties ]
    pub(super) fn inline_external_table(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let schema = self.at(K::OpenParen).then(|| self.row_schema());
        let mut parameters = self.any_parameters();
        let mut partitions = Vec::new();
        if self.eat_word("partition") {
            self.expect_word("by");
            partitions = self.brackets(Self::parameter_list);
        }
        let mut path_format = Vec::new();
        if self.eat_word("pathformat") {
            self.expect(K::Equal);
            path_format = self.in_parentheses(|parser| {
                let mut parts = Vec::new();
                while !parser.at_operator_end() {
                    let before = parser.position;
                    parts.push(parser.operand());
                    if parser.position == before {
                        break;
                    }
                }
                parts
            });
        }
        parameters.extend(self.any_parameters());
        let locations = self.brackets(|parser| parser.bracketed_list(K::OpenParen, K::CloseParen, Self::expression));
        let properties = self.opt_with_properties();
        let span = self.finish(start);
        Expression::InlineExternalTable(Box::new(InlineExternalTableExpression {
            span,
            schema,
            parameters,
            partitions,
            path_format,
            locations,
            properties,
        }))
    }

    /// "entity_group" "[" entities "]"
    pub(super) fn entity_group(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let entities = self.brackets(|parser| parser.bracketed_list(K::OpenBracket, K::CloseBracket, Self::expression));
        Expression::EntityGroup(Box::new(EntityGroupExpression { span: self.finish(start), entities }))
    }

    /// "materialized-view-combine" "(" name ")" "base" "(" q ")" "delta" "(" q ")" "aggregations" "(" summarize ")"
    pub(super) fn materialized_view_combine(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let view = self.in_parentheses(Self::expression);
        self.expect_word("base");
        let base = self.in_parentheses(Self::query);
        self.expect_word("delta");
        let delta = self.in_parentheses(Self::query);
        self.expect_word("aggregations");
        let aggregations = self.in_parentheses(Self::subquery);
        let span = self.finish(start);
        Expression::MaterializedViewCombine(Box::new(MaterializedViewCombineExpression {
            span,
            view,
            base,
            delta,
            aggregations,
        }))
    }
}
