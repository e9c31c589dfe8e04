//! Expressions: operators by binding power, then postfix forms, then primaries.
//!
//! Binding powers, weakest first: `or`, `and`, equality and lists, order, sum, product, string operators. That string
//! operators bind tighter than products is how Kusto reads them.

use super::literals::is_raw_literal;
use super::{LoneEqual, Mode, Parser};
use crate::diagnostic::{Diagnostic, codes};
use crate::syntax::*;
use crate::token::TokenKind as K;

const OR: u8 = 1;
const AND: u8 = 2;
const EQUALITY: u8 = 3;
const ORDER: u8 = 4;
const SUM: u8 = 5;
const PRODUCT: u8 = 6;
const STRING: u8 = 7;

/// An operator between or after operands.
enum Infix {
    Logical(LogicalOperator),
    Binary(BinaryOperator),
    /// `matches regex`: two words.
    MatchesRegex,
    List(ListOperator),
    Between {
        is_negated: bool,
    },
}

/// Words that are operators and so cannot be an operand.
fn word_infix(word: &str) -> Option<(Infix, u8)> {
    use BinaryOperator as B;
    let operator = match word {
        "or" => return Some((Infix::Logical(LogicalOperator::Or), OR)),
        "and" => return Some((Infix::Logical(LogicalOperator::And), AND)),
        "in" => return Some((Infix::List(ListOperator::In), EQUALITY)),
        "has_any" => return Some((Infix::List(ListOperator::HasAny), EQUALITY)),
        "has_all" => return Some((Infix::List(ListOperator::HasAll), EQUALITY)),
        "between" => return Some((Infix::Between { is_negated: false }, EQUALITY)),
        "matches" => return Some((Infix::MatchesRegex, STRING)),
        "has" => B::Has,
        "has_cs" => B::HasCs,
        "hasprefix" => B::HasPrefix,
        "hasprefix_cs" => B::HasPrefixCs,
        "hassuffix" => B::HasSuffix,
        "hassuffix_cs" => B::HasSuffixCs,
        "contains" => B::Contains,
        "contains_cs" | "containscs" => B::ContainsCs,
        "notcontains" => B::NotContains,
        "notcontainscs" => B::NotContainsCs,
        "startswith" => B::StartsWith,
        "startswith_cs" => B::StartsWithCs,
        "endswith" => B::EndsWith,
        "endswith_cs" => B::EndsWithCs,
        "like" => B::Like,
        "notlike" => B::NotLike,
        "likecs" => B::LikeCs,
        "notlikecs" => B::NotLikeCs,
        _ => return None,
    };
    Some((Infix::Binary(operator), STRING))
}

/// The words after `!`.
fn negated_infix(word: &str) -> Option<(Infix, u8)> {
    use BinaryOperator as B;
    let operator = match word {
        "!in" => return Some((Infix::List(ListOperator::NotIn), EQUALITY)),
        "!between" => return Some((Infix::Between { is_negated: true }, EQUALITY)),
        "!has" => B::NotHas,
        "!has_cs" => B::NotHasCs,
        "!hasprefix" => B::NotHasPrefix,
        "!hasprefix_cs" => B::NotHasPrefixCs,
        "!hassuffix" => B::NotHasSuffix,
        "!hassuffix_cs" => B::NotHasSuffixCs,
        "!contains" => B::NotContains,
        "!contains_cs" => B::NotContainsCs,
        "!startswith" => B::NotStartsWith,
        "!startswith_cs" => B::NotStartsWithCs,
        "!endswith" => B::NotEndsWith,
        "!endswith_cs" => B::NotEndsWithCs,
        _ => return None,
    };
    Some((Infix::Binary(operator), STRING))
}

/// The words after `!`, for suggestions.
const NEGATED_WORDS: [&str; 14] = [
    "!in",
    "!between",
    "!has",
    "!has_cs",
    "!hasprefix",
    "!hasprefix_cs",
    "!hassuffix",
    "!hassuffix_cs",
    "!contains",
    "!contains_cs",
    "!startswith",
    "!startswith_cs",
    "!endswith",
    "!endswith_cs",
];

impl Parser<'_> {
    /// A scalar expression; a table name is one too.
    pub(super) fn expression(&mut self) -> Expression {
        self.frame(|parser| parser.binary(OR))
    }

    /// An expression that stops before `in`, `==` and weaker operators.
    pub(super) fn sum_expression(&mut self) -> Expression {
        self.frame(|parser| parser.binary(SUM))
    }

    /// An expression where a lone `=` is a mistake for `==`.
    pub(super) fn predicate(&mut self) -> Expression {
        let mode = Mode { lone_equal: LoneEqual::Mistake, ..self.mode };
        self.with_mode(mode, Self::expression)
    }

    /// The predicate of `where`, which reads a lone `=` as `==`.
    pub(super) fn where_predicate(&mut self) -> Expression {
        let mode = Mode { lone_equal: LoneEqual::Tolerated, ..self.mode };
        self.with_mode(mode, Self::expression)
    }

    /// A sign, a primary and what follows it: no operator between operands.
    pub(super) fn operand(&mut self) -> Expression {
        self.frame(Self::unary)
    }

    /// An operand that may hold `*` in its names.
    pub(super) fn wildcard_operand(&mut self) -> Expression {
        self.with_mode(Mode { has_wildcards: true, ..Mode::default() }, Self::operand)
    }

    /// A name and its path, without calls: what precedes a parenthesis that is no argument list.
    pub(super) fn entity(&mut self) -> Expression {
        self.frame(|parser| {
            let name = Expression::Name(Box::new(parser.name()));
            parser.postfix(name)
        })
    }

    /// [ target "=" ] expression
    pub(super) fn named_expression(&mut self) -> NamedExpression {
        self.named(Self::expression)
    }

    /// [ target "=" ] whatever `parse` reads
    pub(super) fn named(&mut self, parse: impl FnOnce(&mut Self) -> Expression) -> NamedExpression {
        let start = self.start();
        let target = self.opt_target();
        let expression = parse(self);
        let span = match target {
            Some(_) => self.finish(start).to(expression.span()),
            None => expression.span(),
        };
        NamedExpression { span, target, expression }
    }

    /// ( name | "(" name { "," name } ")" ) "="
    fn opt_target(&mut self) -> Option<Target> {
        let length = self.name_length(0);
        if length > 0 {
            if self.nth(length) != K::Equal || self.mode.lone_equal != LoneEqual::Names {
                return None;
            }
            let name = self.name();
            self.bump();
            return Some(Target::Name(name));
        }
        if !self.at(K::OpenParen) {
            return None;
        }
        let mut ahead = 1;
        loop {
            let length = self.name_length(ahead);
            ahead += length + 1;
            match self.nth(ahead - 1) {
                K::Comma if length > 0 => {}
                K::CloseParen if length > 0 => break,
                _ => return None,
            }
        }
        if self.nth(ahead) != K::Equal {
            return None;
        }
        let start = self.start();
        let names = self.bracketed_list(K::OpenParen, K::CloseParen, Self::name);
        let span = self.finish(start);
        self.bump();
        Some(Target::Names(NameList { span, names }))
    }

    /// Operands joined by operators that bind at least as tightly as `least`.
    fn binary(&mut self, least: u8) -> Expression {
        let mut left = self.frame(Self::unary);
        while let Some((infix, power)) = self.infix() {
            if power < least {
                break;
            }
            left = match infix {
                Infix::Logical(operator) => self.logical(left, operator, power),
                Infix::Binary(operator) => self.binary_rest(left, operator, power, 1),
                Infix::MatchesRegex => {
                    let tokens = 1 + usize::from(self.nth_word(1) == "regex");
                    self.binary_rest(left, BinaryOperator::MatchesRegex, power, tokens)
                }
                Infix::List(operator) => self.list_rest(left, operator),
                Infix::Between { is_negated } => self.between_rest(left, is_negated),
            };
            self.grow();
        }
        left
    }

    /// The operator at the current token.
    fn infix(&mut self) -> Option<(Infix, u8)> {
        use BinaryOperator as B;
        let (operator, power) = match self.kind() {
            K::EqualEqual => (B::Equal, EQUALITY),
            K::NotEqual | K::LessGreater => (B::NotEqual, EQUALITY),
            K::Less => (B::Less, ORDER),
            K::LessEqual => (B::LessOrEqual, ORDER),
            K::Greater => (B::Greater, ORDER),
            K::GreaterEqual => (B::GreaterOrEqual, ORDER),
            K::Plus => (B::Add, SUM),
            K::Minus => (B::Subtract, SUM),
            K::Star => (B::Multiply, PRODUCT),
            K::Slash => (B::Divide, PRODUCT),
            K::Percent => (B::Modulo, PRODUCT),
            K::EqualTilde => (B::EqualCaseless, STRING),
            K::NotTilde => (B::NotEqualCaseless, STRING),
            K::Colon if self.mode.is_search => (B::ColumnHas, STRING),
            K::InCaseless => return Some((Infix::List(ListOperator::InCaseless), EQUALITY)),
            K::NotInCaseless => return Some((Infix::List(ListOperator::NotInCaseless), EQUALITY)),
            K::Word => return word_infix(self.word()),
            K::NotWord => return self.negated_word(),
            K::Equal if self.mode.lone_equal != LoneEqual::Names => {
                self.lone_equal();
                (B::Equal, EQUALITY)
            }
            K::Unknown | K::Pipe => return self.foreign_operator(),
            _ => return None,
        };
        Some((Infix::Binary(operator), power))
    }

    /// Reports a `=` between operands, once per place.
    fn lone_equal(&mut self) {
        const SUGGESTION: &str = "did you mean `==`?";
        if self.mode.lone_equal == LoneEqual::Mistake {
            self.error_here("expected `==`, found `=`".into(), Some(SUGGESTION.into()));
        } else if self.last_error_position != Some(self.position) {
            self.last_error_position = Some(self.position);
            let warning = Diagnostic::warning(codes::UNEXPECTED, self.token().span, "`=` is read as `==` here");
            self.report(warning.with_suggestion(SUGGESTION));
        }
    }

    fn negated_word(&mut self) -> Option<(Infix, u8)> {
        let word = self.token().span.text(self.text);
        let infix = negated_infix(word);
        if infix.is_none() {
            let advice = crate::nearest::nearest(word, NEGATED_WORDS).map(|near| format!("did you mean `{near}`?"));
            let advice = advice.unwrap_or_else(|| "write `not(...)` to negate a condition".into());
            self.error_here(format!("unknown operator `{word}`"), Some(advice));
        }
        infix
    }

    /// `&&` and, in a predicate, `||` of other languages. Two tokens, which [`Parser::logical`] consumes.
    fn foreign_operator(&mut self) -> Option<(Infix, u8)> {
        if !self.is_joined(1) {
            return None;
        }
        let symbol = self.token().span.to(self.nth_token(1).span).text(self.text);
        let (operator, power) = match symbol {
            "&&" => (LogicalOperator::And, AND),
            "||" if self.mode.lone_equal != LoneEqual::Names => (LogicalOperator::Or, OR),
            _ => return None,
        };
        self.error_here(format!("`{symbol}` is no operator"), Some(format!("did you mean `{}`?", operator.symbol())));
        Some((Infix::Logical(operator), power))
    }

    /// left { operator operand }, the operators all the same
    fn logical(&mut self, left: Expression, operator: LogicalOperator, power: u8) -> Expression {
        let start = left.span().start;
        let mut operands = vec![left];
        while let Some((Infix::Logical(next), _)) = self.infix() {
            if next != operator {
                break;
            }
            let is_foreign = !self.at(K::Word);
            self.bump();
            if is_foreign {
                self.bump();
            }
            operands.push(self.nested(|parser| parser.binary(power + 1)));
        }
        let span = self.finish(start);
        Expression::Logical(Box::new(LogicalExpression { span, operator, operands }))
    }

    fn binary_rest(&mut self, left: Expression, operator: BinaryOperator, power: u8, tokens: usize) -> Expression {
        let start = self.start();
        for _ in 0..tokens {
            self.bump();
        }
        let operator_span = self.finish(start);
        let right = self.nested(|parser| parser.binary(power + 1));
        let span = left.span().to(self.finish(start));
        Expression::Binary(Box::new(BinaryExpression { span, left, operator, operator_span, right }))
    }

    /// operand "in" "(" items ")"
    fn list_rest(&mut self, operand: Expression, operator: ListOperator) -> Expression {
        let operator_span = self.bump().span;
        let items = if self.at(K::OpenParen) {
            self.brackets(|parser| parser.bracketed_list(K::OpenParen, K::CloseParen, Self::query))
        } else {
            // A list without parentheses still says what was meant.
            self.error_here(
                format!("expected `(`, found {}", self.found()),
                Some(format!("the list after `{}` stands in parentheses", operator.symbol())),
            );
            if self.at_operator_end() { Vec::new() } else { vec![self.operand()] }
        };
        let span = operand.span().to(operator_span).to(self.finish(operator_span.start));
        Expression::List(Box::new(ListExpression { span, operand, operator, operator_span, items }))
    }

    /// operand "between" "(" low ".." high ")"
    fn between_rest(&mut self, operand: Expression, is_negated: bool) -> Expression {
        let operator_span = self.bump().span;
        let mut low = Expression::Missing(self.missing());
        let mut high = low.clone();
        if self.expect(K::OpenParen) {
            (low, high) = self.brackets(|parser| {
                let low = parser.expression();
                parser.expect(K::DotDot);
                let high = parser.expression();
                parser.close(K::CloseParen);
                (low, high)
            });
        }
        let span = operand.span().to(operator_span).to(self.finish(operator_span.start));
        Expression::Between(Box::new(BetweenExpression { span, operand, is_negated, operator_span, low, high }))
    }

    /// Parses what stands in brackets: names there hold no `*`, and `=` names arguments again.
    pub(super) fn brackets<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> T {
        let mode = Mode { is_search: self.mode.is_search, ..Mode::default() };
        self.with_mode(mode, |parser| parser.nested(parse))
    }

    /// [ "+" | "-" ] postfix
    fn unary(&mut self) -> Expression {
        let operator = match self.kind() {
            K::Minus => UnaryOperator::Minus,
            K::Plus => UnaryOperator::Plus,
            _ => {
                let primary = self.primary();
                return self.postfix(primary);
            }
        };
        let start = self.start();
        if let Some(literal) = self.opt_least_long() {
            return literal;
        }
        self.bump();
        let operand = self.nested(Self::unary);
        Expression::Unary(Box::new(UnaryExpression { span: self.finish(start), operator, operand }))
    }

    /// primary { "." member | "[" index "]" | "datascope" "=" scope }
    fn postfix(&mut self, mut object: Expression) -> Expression {
        loop {
            let next = match self.kind() {
                K::Dot => self.member(object),
                K::OpenBracket if !matches!(object, Expression::Missing(_) | Expression::Star(_)) => {
                    self.element(object)
                }
                K::Word if self.at_word("datascope") && self.nth(1) == K::Equal && object.as_name().is_some() => {
                    self.data_scope(object)
                }
                _ => return object,
            };
            object = next;
            self.grow();
        }
    }

    /// object "." ( name | call | wildcard name | "[" index "]" )
    fn member(&mut self, object: Expression) -> Expression {
        let start = object.span().start;
        self.bump();
        if self.at(K::OpenBracket) && !self.at_bracketed_name(0) {
            return self.element(object);
        }
        let member = if let Some(wildcard) = self.opt_wildcard_name() {
            PathMember::Wildcard(wildcard)
        } else {
            let name = self.name();
            if self.at(K::OpenParen) && !name.is_missing() {
                PathMember::Call(self.call(name))
            } else {
                PathMember::Name(name)
            }
        };
        Expression::Path(Box::new(PathExpression { span: self.finish(start), object, member }))
    }

    /// object "[" index "]"
    fn element(&mut self, object: Expression) -> Expression {
        let start = object.span().start;
        self.bump();
        let index = self.brackets(Self::expression);
        self.close(K::CloseBracket);
        Expression::Element(Box::new(ElementExpression { span: self.finish(start), object, index }))
    }

    fn data_scope(&mut self, expression: Expression) -> Expression {
        let start = expression.span().start;
        self.bump();
        self.bump();
        let scope = self.name();
        Expression::DataScope(Box::new(DataScopeExpression { span: self.finish(start), expression, scope }))
    }

    /// A name with `*` in it, where such names are allowed: tokens that touch each other.
    pub(super) fn opt_wildcard_name(&mut self) -> Option<WildcardName> {
        if !self.mode.has_wildcards {
            return None;
        }
        let is_part = |kind: K| matches!(kind, K::Word | K::Star | K::Long | K::Timespan);
        let mut length = 0;
        let mut has_star = false;
        while is_part(self.nth(length)) && (length == 0 || self.is_joined(length)) {
            has_star |= self.nth(length) == K::Star;
            length += 1;
        }
        if !has_star || (length == 1 && self.at(K::Star) && self.previous_kind() != Some(K::Dot)) {
            return None;
        }
        let start = self.start();
        for _ in 0..length {
            self.bump();
        }
        let span = self.finish(start);
        Some(WildcardName { pattern: span.text(self.text).into(), span })
    }

    pub(super) fn previous_kind(&self) -> Option<K> {
        self.position.checked_sub(1).map(|previous| self.tokens[previous].kind)
    }

    fn primary(&mut self) -> Expression {
        if let Some(wildcard) = self.opt_wildcard_name() {
            return Expression::Wildcard(Box::new(wildcard));
        }
        match self.kind() {
            K::Word => self.word_primary(),
            K::Long | K::Real | K::Timespan | K::String | K::OpenString => self.literal_token(),
            K::OpenParen => self.parenthesized(),
            K::OpenBracket if self.at_bracketed_name(0) => {
                let name = self.name();
                self.name_or_call(name)
            }
            K::Star => Expression::Star(self.bump().span),
            _ => self.missing_expression(),
        }
    }

    fn missing_expression(&mut self) -> Expression {
        let is_negation = self.at(K::NotWord) || self.token().span.text(self.text) == "!";
        let advice = is_negation.then(|| "write `not(...)` to negate a condition".into());
        self.expected_with("an expression", advice);
        Expression::Missing(self.missing())
    }

    /// "(" query ")"
    fn parenthesized(&mut self) -> Expression {
        let start = self.start();
        self.bump();
        let lone_equal = self.mode.lone_equal;
        let inner = self.brackets(|parser| {
            parser.mode.lone_equal = lone_equal;
            parser.query()
        });
        self.close(K::CloseParen);
        Expression::Parenthesized(Box::new(ParenthesizedExpression { span: self.finish(start), inner }))
    }

    /// A literal, a form with a syntax of its own, a call or a name.
    fn word_primary(&mut self) -> Expression {
        let word = self.word();
        let next = self.nth(1);
        match word {
            "true" | "false" | "True" | "False" | "TRUE" | "FALSE" if next != K::OpenParen => self.boolean(),
            "typeof" if next == K::OpenParen => Expression::Typeof(Box::new(self.typeof_expression())),
            "dynamic" if next == K::OpenParen => self.dynamic_literal(),
            "datatable" if next == K::OpenParen || self.nth(2) == K::Equal => self.datatable(),
            "externaldata" | "external_data" if next == K::OpenParen || self.nth(2) == K::Equal => self.external_data(),
            "inline_external_table" if next == K::OpenParen || self.nth(2) == K::Equal => self.inline_external_table(),
            "__contextual_datatable" => self.contextual_datatable(),
            "entity_group" if next == K::OpenBracket => self.entity_group(),
            "materialized-view-combine" => self.materialized_view_combine(),
            _ if next == K::OpenParen && is_raw_literal(word) => self.typed_literal(),
            "by" => self.missing_expression(),
            _ if word_infix(word).is_some() && next != K::OpenParen => self.missing_expression(),
            "and" | "or" | "in" | "between" => self.missing_expression(),
            _ => {
                let name = self.name();
                self.name_or_call(name)
            }
        }
    }

    fn name_or_call(&mut self, name: Name) -> Expression {
        let has_parameters = matches!(name.text.as_str(), "toscalar" | "totable")
            && self.at_word("kind")
            && self.nth(1) == K::Equal
            && !name.bracketed;
        if self.at(K::OpenParen) || has_parameters {
            Expression::Call(Box::new(self.call(name)))
        } else {
            Expression::Name(Box::new(name))
        }
    }

    /// name [ parameters ] "(" [ argument { "," argument } ] ")"
    pub(super) fn call(&mut self, function: Name) -> CallExpression {
        let start = function.span.start;
        let parameters = self.parameters(&["kind"]);
        let arguments =
            self.brackets(|parser| parser.bracketed_list(K::OpenParen, K::CloseParen, |p| p.named(Self::query)));
        CallExpression { span: self.finish(start), function, parameters, arguments }
    }

    /// "typeof" "(" ( type | schema ) ")"
    pub(super) fn typeof_expression(&mut self) -> TypeofExpression {
        let start = self.start();
        self.expect_word("typeof");
        let is_scalar = self.nth(1) == K::Word && self.nth(2) == K::CloseParen;
        let argument = if is_scalar {
            self.bump();
            let ty = self.type_name();
            self.bump();
            TypeofArgument::Scalar(ty)
        } else {
            TypeofArgument::Schema(self.row_schema())
        };
        TypeofExpression { span: self.finish(start), argument }
    }

    pub(super) fn in_parentheses<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> T {
        self.expect(K::OpenParen);
        let result = self.with_mode(Mode::default(), |parser| parser.nested(parse));
        self.close(K::CloseParen);
        result
    }
}
