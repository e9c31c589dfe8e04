//! Operators that choose or order rows.

use super::Parser;
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "where" [ parameters ] predicate
    pub(super) fn where_operator(&mut self) -> WhereOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let predicate = self.where_predicate();
        WhereOperator { span: self.finish(start), parameters, predicate }
    }

    /// "take" [ parameters ] count
    pub(super) fn take(&mut self) -> TakeOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let count = self.expression();
        TakeOperator { span: self.finish(start), parameters, count }
    }

    /// "sample" [ parameters ] count
    pub(super) fn sample(&mut self) -> SampleOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let count = self.expression();
        SampleOperator { span: self.finish(start), parameters, count }
    }

    /// "sample-distinct" [ parameters ] count "of" expression
    pub(super) fn sample_distinct(&mut self) -> SampleDistinctOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let count = self.expression();
        self.expect_word("of");
        let of = self.named_expression();
        SampleDistinctOperator { span: self.finish(start), parameters, count, of }
    }

    /// "top" [ parameters ] count "by" keys
    pub(super) fn top(&mut self) -> TopOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let count = self.expression();
        self.expect_word("by");
        let by = self.list(Self::sort_key);
        TopOperator { span: self.finish(start), parameters, count, by }
    }

    /// "sort" [ parameters ] "by" keys
    pub(super) fn sort(&mut self) -> SortOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        self.expect_word("by");
        let keys = self.list(Self::sort_key);
        SortOperator { span: self.finish(start), parameters, keys }
    }

    /// named expression [ "asc" | "desc" ] [ "nulls" ( "first" | "last" ) ]
    pub(super) fn sort_key(&mut self) -> SortKey {
        let start = self.start();
        let expression = self.named_expression();
        let direction = match self.word() {
            "asc" => Some(SortDirection::Ascending),
            "desc" => Some(SortDirection::Descending),
            _ => None,
        };
        if direction.is_some() {
            self.bump();
        }
        let nulls = if self.eat_word("nulls") { self.nulls_order() } else { None };
        let span = expression.span.to(self.finish(start));
        SortKey { span, expression, direction, nulls }
    }

    fn nulls_order(&mut self) -> Option<NullsOrder> {
        let order = match self.word() {
            "first" => Some(NullsOrder::First),
            "last" => Some(NullsOrder::Last),
            _ => None,
        };
        if order.is_some() {
            self.bump();
        } else {
            self.expected("`first` or `last`");
        }
        order
    }

    /// "distinct" [ parameters ] ( "*" | expressions )
    pub(super) fn distinct(&mut self) -> DistinctOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let columns = self.list(Self::named_expression);
        DistinctOperator { span: self.finish(start), parameters, columns }
    }

    /// "count" [ "as" name ]
    pub(super) fn count(&mut self) -> CountOperator {
        let start = self.start();
        self.bump();
        let name = self.eat_word("as").then(|| self.name());
        CountOperator { span: self.finish(start), name }
    }

    /// "serialize" [ parameters ] [ named expressions ]
    pub(super) fn serialize(&mut self) -> SerializeOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let expressions = if self.at_operator_end() { Vec::new() } else { self.list(Self::named_expression) };
        SerializeOperator { span: self.finish(start), parameters, expressions }
    }

    /// "consume" [ parameters ]
    pub(super) fn consume(&mut self) -> ConsumeOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        ConsumeOperator { span: self.finish(start), parameters }
    }

    /// "getschema" [ parameters ]
    pub(super) fn get_schema(&mut self) -> GetSchemaOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind"]);
        GetSchemaOperator { span: self.finish(start), parameters }
    }

    /// "assert-schema" schema
    pub(super) fn assert_schema(&mut self) -> AssertSchemaOperator {
        let start = self.start();
        self.bump();
        let schema = self.row_schema();
        AssertSchemaOperator { span: self.finish(start), schema }
    }

    /// "__executeAndCache"
    pub(super) fn execute_and_cache(&mut self) -> ExecuteAndCacheOperator {
        let start = self.start();
        self.bump();
        ExecuteAndCacheOperator { span: self.finish(start) }
    }

    /// "as" [ parameters ] name
    pub(super) fn as_operator(&mut self) -> AsOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let name = self.name();
        AsOperator { span: self.finish(start), parameters, name }
    }

    /// "invoke" call
    pub(super) fn invoke(&mut self) -> InvokeOperator {
        let start = self.start();
        self.bump();
        let function = self.operand();
        let is_call = match &function {
            Expression::Call(_) | Expression::Missing(_) => true,
            Expression::Path(path) => matches!(path.member, PathMember::Call(_)),
            _ => false,
        };
        if !is_call {
            self.expected("`(` and the arguments of the function");
        }
        InvokeOperator { span: self.finish(start), function }
    }

    /// "evaluate" [ parameters ] call [ ":" schema ]
    pub(super) fn evaluate(&mut self) -> EvaluateOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&[]);
        let name = self.name();
        let call = self.frame(|parser| parser.call(name));
        let schema = self.eat(K::Colon).then(|| self.row_schema());
        EvaluateOperator { span: self.finish(start), parameters, call, schema }
    }
}
