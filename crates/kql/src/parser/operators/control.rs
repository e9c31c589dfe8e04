//! Operators that hold queries of their own, and `render`.

use super::Parser;
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "fork" { [ name "=" ] "(" subquery ")" }
    pub(super) fn fork(&mut self) -> ForkOperator {
        let start = self.start();
        self.bump();
        let mut branches = Vec::new();
        while self.at(K::OpenParen) || self.nth(self.name_length(0)) == K::Equal {
            branches.push(self.fork_branch());
        }
        if branches.is_empty() {
            self.expected("`(` and a query");
        }
        ForkOperator { span: self.finish(start), branches }
    }

    fn fork_branch(&mut self) -> ForkBranch {
        let start = self.start();
        let name = self.opt_name();
        if name.is_some() || self.at(K::Equal) {
            self.expect(K::Equal);
        }
        let query = self.in_parentheses(Self::subquery);
        ForkBranch { span: self.finish(start), name, query }
    }

    /// "facet" "by" columns [ "with" ( "(" subquery ")" | operator ) ]
    pub(super) fn facet(&mut self) -> FacetOperator {
        let start = self.start();
        self.bump();
        self.expect_word("by");
        let columns = self.list(Self::entity);
        let with = self.eat_word("with").then(|| {
            if self.at(K::OpenParen) {
                return self.in_parentheses(Self::subquery);
            }
            let start = self.start();
            let operator = self.nested(Self::operator);
            PipeExpression { span: self.finish(start), source: None, operators: vec![operator] }
        });
        FacetOperator { span: self.finish(start), columns, with }
    }

    /// "partition" [ parameters ] "by" column [ "in" scope ] ( "(" subquery ")" | "{" query "}" )
    pub(super) fn partition(&mut self) -> PartitionOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        self.expect_word("by");
        let by = self.entity();
        let scope = self.eat_word("in").then(|| self.operand());
        let body = if self.eat(K::OpenBrace) {
            let query = self.nested(Self::query);
            self.close(K::CloseBrace);
            PartitionBody::Query(query)
        } else {
            PartitionBody::Subquery(self.in_parentheses(Self::subquery))
        };
        PartitionOperator { span: self.finish(start), parameters, by, scope, body }
    }

    /// "__partitionby" [ parameters ] column [ "id" guid ] "(" subquery ")"
    pub(super) fn partition_by(&mut self) -> PartitionByOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let column = self.entity();
        let context_id = self.eat_word("id").then(|| self.operand());
        let query = self.in_parentheses(Self::subquery);
        PartitionByOperator { span: self.finish(start), parameters, column, context_id, query }
    }

    /// "scan" [ parameters ] [ "order" "by" keys ] [ "partition" "by" columns ] [ "declare" parameters ]
    /// "with" "(" { step } ")"
    pub(super) fn scan(&mut self) -> ScanOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["with_match_id", "with_step_name"]);
        let order_by = if self.eat_word("order") {
            self.expect_word("by");
            self.list(Self::sort_key)
        } else {
            Vec::new()
        };
        let partition_by = if self.eat_word("partition") {
            self.expect_word("by");
            self.list(Self::expression)
        } else {
            Vec::new()
        };
        let declarations = if self.eat_word("declare") { self.parameter_list() } else { Vec::new() };
        self.expect_word("with");
        let steps = self.in_parentheses(Self::scan_steps);
        ScanOperator { span: self.finish(start), parameters, order_by, partition_by, declarations, steps }
    }

    fn scan_steps(&mut self) -> Vec<ScanStep> {
        let mut steps = Vec::new();
        while self.at_word("step") {
            steps.push(self.scan_step());
            if !self.eat(K::Semicolon) {
                self.expected("`;` after the step");
            }
        }
        if steps.is_empty() || !self.at(K::CloseParen) {
            self.expected("`step`");
        }
        // Semicolons separate steps here, so recovery goes past them.
        while !self.at(K::CloseParen) {
            self.skip_to_recovery(true);
            if !self.eat(K::Semicolon) {
                break;
            }
        }
        steps
    }

    /// "step" name [ "optional" ] [ "output" "=" output ] ":" condition [ "=>" assignments ]
    fn scan_step(&mut self) -> ScanStep {
        let start = self.start();
        self.bump();
        let name = self.name();
        let is_optional = self.eat_word("optional");
        let output = self.eat_word("output").then(|| {
            self.expect(K::Equal);
            self.name()
        });
        self.expect(K::Colon);
        let condition = self.predicate();
        let assignments = if self.eat(K::FatArrow) { self.list(Self::scan_assignment) } else { Vec::new() };
        ScanStep { span: self.finish(start), name, is_optional, output, condition, assignments }
    }

    /// name "=" expression
    fn scan_assignment(&mut self) -> ScanAssignment {
        let start = self.start();
        let name = self.name();
        self.expect(K::Equal);
        let expression = self.expression();
        ScanAssignment { span: self.finish(start), name, expression }
    }

    /// "render" chart [ "with" "(" properties ")" | { property } ]
    pub(super) fn render(&mut self) -> RenderOperator {
        let start = self.start();
        self.bump();
        let chart = self.name();
        let properties = if self.at_word("with") && self.nth(1) == K::OpenParen {
            self.bump();
            self.bracketed_list(K::OpenParen, K::CloseParen, Self::render_property)
        } else {
            self.legacy_render_properties()
        };
        RenderOperator { span: self.finish(start), chart, properties }
    }

    /// name "=" value { "," value }
    fn render_property(&mut self) -> RenderProperty {
        let start = self.start();
        let name = self.name();
        self.expect(K::Equal);
        let values = self.render_values();
        RenderProperty { span: self.finish(start), name, values }
    }

    /// value { "," value }, up to a comma before the next property
    fn render_values(&mut self) -> Vec<Expression> {
        let mut values = vec![self.expression()];
        while self.at(K::Comma) && self.nth(1) != K::CloseParen {
            let length = self.name_length(1);
            if length > 0 && self.nth(1 + length) == K::Equal {
                break;
            }
            self.bump();
            values.push(self.expression());
        }
        values
    }

    /// { name "=" value | "by" columns | "with" value }, the form without parentheses
    fn legacy_render_properties(&mut self) -> Vec<RenderProperty> {
        let mut properties = Vec::new();
        while self.at(K::Word) && (self.nth(1) == K::Equal || matches!(self.word(), "by" | "with")) {
            let start = self.start();
            let name = self.name();
            self.eat(K::Equal);
            let values = self.render_values();
            properties.push(RenderProperty { span: self.finish(start), name, values });
            self.eat(K::Comma);
        }
        properties
    }
}
