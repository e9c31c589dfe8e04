//! Operators that group rows.

use super::Parser;
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "summarize" [ parameters ] [ named expressions ] [ "by" named expressions [ "bin" "=" width ] ]
    pub(super) fn summarize(&mut self) -> SummarizeOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let has_aggregates = !self.at_operator_end() && !self.at_by();
        let aggregates = if has_aggregates { self.list(Self::named_expression) } else { Vec::new() };
        let by = self.eat_word("by").then(|| self.list(Self::named_expression));
        let bin = (by.is_some() && self.at_word("bin") && self.nth(1) == K::Equal).then(|| {
            self.bump();
            self.bump();
            self.expression()
        });
        SummarizeOperator { span: self.finish(start), parameters, aggregates, by, bin }
    }

    /// Whether `by` stands here as a keyword and not as the name of a column.
    fn at_by(&self) -> bool {
        self.at_word("by") && self.nth(1) != K::Equal
    }

    /// "make-series" [ parameters ] aggregates "on" axis range [ "by" named expressions ]
    pub(super) fn make_series(&mut self) -> MakeSeriesOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind"]);
        let aggregates = self.list(Self::make_series_aggregate);
        self.expect_word("on");
        let axis = self.named(Self::sum_expression);
        let range = self.make_series_range();
        let by = if self.eat_word("by") { self.list(Self::named_expression) } else { Vec::new() };
        MakeSeriesOperator { span: self.finish(start), parameters, aggregates, axis, range, by }
    }

    /// named expression [ "default" "=" value ]
    fn make_series_aggregate(&mut self) -> MakeSeriesAggregate {
        let expression = self.named_expression();
        let default = self.eat_word("default").then(|| {
            self.expect(K::Equal);
            self.expression()
        });
        let span = expression.span.to(self.finish(expression.span.start));
        MakeSeriesAggregate { span, expression, default }
    }

    /// "in" "range" "(" from "," to "," step ")" | [ "from" from ] [ "to" to ] "step" step
    fn make_series_range(&mut self) -> MakeSeriesRange {
        let start = self.start();
        let is_in_range = self.eat_word("in");
        let (from, to, step);
        if is_in_range {
            self.expect_word("range");
            (from, to, step) = self.in_parentheses(|parser| {
                let from = parser.expression();
                parser.expect(K::Comma);
                let to = parser.expression();
                parser.expect(K::Comma);
                (Some(from), Some(to), parser.expression())
            });
        } else {
            from = self.eat_word("from").then(|| self.expression());
            to = self.eat_word("to").then(|| self.expression());
            self.expect_word("step");
            step = self.expression();
        }
        MakeSeriesRange { span: self.finish(start), is_in_range, from, to, step }
    }

    /// "top-hitters" [ parameters ] count "of" expression [ "by" key ]
    pub(super) fn top_hitters(&mut self) -> TopHittersOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let count = self.expression();
        self.expect_word("of");
        let of = self.named_expression();
        let by = self.eat_word("by").then(|| self.sort_key());
        TopHittersOperator { span: self.finish(start), parameters, count, of, by }
    }

    /// level { "," level }
    pub(super) fn top_nested(&mut self) -> TopNestedOperator {
        let start = self.start();
        let levels = self.list(Self::top_nested_level);
        TopNestedOperator { span: self.finish(start), levels }
    }

    /// "top-nested" [ count ] "of" expression [ "with" "others" "=" label ] "by" key
    fn top_nested_level(&mut self) -> TopNestedLevel {
        let start = self.start();
        self.expect_word("top-nested");
        let count = (!self.at_word("of")).then(|| self.expression());
        self.expect_word("of");
        let of = self.named_expression();
        let others = self.eat_word("with").then(|| {
            self.expect_word("others");
            self.expect(K::Equal);
            self.expression()
        });
        self.expect_word("by");
        let by = self.sort_key();
        TopNestedLevel { span: self.finish(start), count, of, others, by }
    }

    /// "reduce" [ parameters ] "by" expression [ "with" named expressions ]
    pub(super) fn reduce(&mut self) -> ReduceOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind"]);
        self.expect_word("by");
        let by = self.named_expression();
        let with = if self.eat_word("with") { self.list(Self::named_expression) } else { Vec::new() };
        ReduceOperator { span: self.finish(start), parameters, by, with }
    }
}
