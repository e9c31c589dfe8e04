//! Tokens to an expression whose types are right; what is PromQL and not answered here is refused by name.

use regex::Regex;

use crate::lexer::{Kind, Token, tokens};
use crate::syntax::{
    Aggregation, Expression, Grouping, MatchOperator, Matcher, Node, Operator, OverTime, POWER_BINDS, Selector, Type,
};
use crate::{DEPTH_MAX, Error, NAME_LABEL, TEXT_BYTES_MAX};

/// Aggregations of PromQL that are not answered.
const OTHER_AGGREGATIONS: [&str; 7] =
    ["stddev", "stdvar", "quantile", "count_values", "group", "limitk", "limit_ratio"];
/// Operators between two vectors.
const SET_OPERATORS: [&str; 4] = ["and", "or", "unless", "atan2"];

/// Reads a query.
///
/// # Errors
/// [`Error::Syntax`] and [`Error::Unsupported`], each with its place.
pub fn parse(text: &str) -> Result<Expression, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Error::syntax(text, 0, format!("the query has more than {TEXT_BYTES_MAX} bytes")));
    }
    let mut parser = Parser { text, tokens: tokens(text)?, at: 0, depth: 0, selectors: Vec::new() };
    let (root, _) = parser.expression(0)?;
    match &parser.tokens[parser.at].kind {
        Kind::End => Ok(Expression { root, selectors: parser.selectors }),
        Kind::Word(word) if SET_OPERATORS.contains(&word.to_ascii_lowercase().as_str()) => {
            Err(parser.unsupported(format!("the operator {word} between two vectors")))
        }
        _ => Err(parser.unexpected()),
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    selectors: Vec<Selector>,
}

type Typed = (Node, Type);

impl Parser<'_> {
    fn offset(&self) -> usize {
        self.tokens[self.at].offset
    }

    fn unexpected(&self) -> Error {
        let shown = match &self.tokens[self.at].kind {
            Kind::End => "the end of the query".to_owned(),
            Kind::Word(word) => format!("{word:?}"),
            Kind::Number(number) => number.to_string(),
            Kind::Duration(_) => "a duration".to_owned(),
            Kind::Text(_) => "a string".to_owned(),
            Kind::Sign(sign) => format!("{sign:?}"),
        };
        Error::syntax(self.text, self.offset(), format!("unexpected {shown}"))
    }

    fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(self.text, self.offset(), message)
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.tokens[self.at].kind, Kind::Sign(found) if found == sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), Error> {
        if self.takes(sign) { Ok(()) } else { Err(self.unexpected()) }
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_there = matches!(&self.tokens[self.at].kind, Kind::Word(found) if found.eq_ignore_ascii_case(word));
        self.at += usize::from(is_there);
        is_there
    }

    /// An expression of operators that bind at least so tightly.
    fn expression(&mut self, binds: u8) -> Result<Typed, Error> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Error::syntax(self.text, self.offset(), format!("the query nests more than {DEPTH_MAX} deep")));
        }
        let mut left = self.operand()?;
        while let Kind::Sign(sign) = self.tokens[self.at].kind {
            let Some((operator, tightness)) = Operator::parse(sign).filter(|(_, tightness)| *tightness >= binds) else {
                break;
            };
            let offset = self.offset();
            self.at += 1;
            let as_bool = self.takes_word("bool");
            if matches!(&self.tokens[self.at].kind, Kind::Word(word) if matches!(word.as_str(), "on" | "ignoring")) {
                return Err(self.unsupported("operators between two vectors"));
            }
            // `^` alone goes from right to left.
            let right = self.expression(if operator == Operator::Power { tightness } else { tightness + 1 })?;
            left = self.binary(offset, operator, as_bool, left, right)?;
        }
        self.depth -= 1;
        Ok(left)
    }

    fn binary(
        &self,
        offset: usize,
        operator: Operator,
        as_bool: bool,
        left: Typed,
        right: Typed,
    ) -> Result<Typed, Error> {
        let wrong = |message: &str| Err(Error::syntax(self.text, offset, message));
        if as_bool && !operator.compares() {
            return wrong("bool modifier can only be used on comparison operators");
        }
        let result = match (left.1, right.1) {
            (Type::Window, _) | (_, Type::Window) => {
                return wrong("binary expression must contain only scalar and instant vector types");
            }
            (Type::Vector, Type::Vector) => {
                return Err(Error::unsupported(
                    self.text,
                    offset,
                    "operators between two vectors; one side must be a number",
                ));
            }
            (Type::Scalar, Type::Scalar) if operator.compares() && !as_bool => {
                return wrong("comparisons between scalars must use BOOL modifier");
            }
            (Type::Scalar, Type::Scalar) => Type::Scalar,
            _ => Type::Vector,
        };
        Ok((Node::Binary { operator, as_bool, left: Box::new(left.0), right: Box::new(right.0) }, result))
    }

    fn operand(&mut self) -> Result<Typed, Error> {
        let token = self.tokens[self.at].clone();
        match token.kind {
            Kind::Number(number) => {
                self.at += 1;
                Ok((Node::Number(number), Type::Scalar))
            }
            Kind::Sign("-" | "+") => {
                self.at += 1;
                let (node, kind) = self.expression(POWER_BINDS)?;
                if kind == Type::Window {
                    return Err(Error::syntax(
                        self.text,
                        token.offset,
                        "a sign stands before numbers and instant vectors only",
                    ));
                }
                let negated = token.kind == Kind::Sign("-");
                Ok((if negated { Node::Negated(Box::new(node)) } else { node }, kind))
            }
            Kind::Sign("(") => {
                self.at += 1;
                let inner = self.expression(0)?;
                self.expect(")")?;
                if self.tokens[self.at].kind == Kind::Sign("[") {
                    return Err(self.unsupported("subqueries"));
                }
                Ok(inner)
            }
            Kind::Sign("{") => self.selector(None),
            Kind::Word(word) => self.word(token.offset, word),
            Kind::Text(_) => Err(self.unsupported("strings as results")),
            _ => Err(self.unexpected()),
        }
    }

    /// A metric, a function or an aggregation.
    fn word(&mut self, offset: usize, word: String) -> Result<Typed, Error> {
        self.at += 1;
        let next_opens = self.tokens[self.at].kind == Kind::Sign("(");
        let next_groups = matches!(&self.tokens[self.at].kind, Kind::Word(word) if matches!(word.to_ascii_lowercase().as_str(), "by" | "without"));
        let lower = word.to_ascii_lowercase();
        if (next_opens || next_groups) && OTHER_AGGREGATIONS.contains(&lower.as_str()) {
            let known = Aggregation::ALL.map(|(name, _)| name).join(", ");
            return Err(Error::unsupported(self.text, offset, format!("the aggregation {word}; these are: {known}")));
        }
        if let Some((_, aggregation)) =
            Aggregation::ALL.iter().find(|(name, _)| *name == lower && (next_opens || next_groups))
        {
            return self.aggregation(*aggregation);
        }
        if !next_opens {
            return self.selector(Some(word));
        }
        match OverTime::ALL.iter().find(|(name, _)| *name == word) {
            Some((_, function)) => self.over_time(*function),
            None => {
                let known = OverTime::ALL.map(|(name, _)| name).join(", ");
                Err(Error::unsupported(self.text, offset, format!("the function {word}(); these are: {known}")))
            }
        }
    }

    fn over_time(&mut self, function: OverTime) -> Result<Typed, Error> {
        self.expect("(")?;
        let offset = self.offset();
        let argument = self.expression(0)?;
        self.expect(")")?;
        match argument {
            (Node::Selector(selector), Type::Window) => Ok((Node::OverTime { function, selector }, Type::Vector)),
            _ => Err(Error::syntax(self.text, offset, "expected a range vector such as up[5m]")),
        }
    }

    fn aggregation(&mut self, aggregation: Aggregation) -> Result<Typed, Error> {
        let before = self.grouping()?;
        self.expect("(")?;
        let offset = self.offset();
        let mut argument = self.expression(0)?;
        let mut parameter = None;
        if aggregation.keeps_series() {
            self.expect(",")?;
            let (number, kind) = argument;
            if kind != Type::Scalar {
                return Err(Error::syntax(self.text, offset, "the number of series to keep is a scalar"));
            }
            parameter = Some(Box::new(number));
            argument = self.expression(0)?;
        }
        if argument.1 != Type::Vector {
            return Err(Error::syntax(self.text, offset, "expected an instant vector to aggregate"));
        }
        self.expect(")")?;
        let after = if before.is_none() { self.grouping()? } else { None };
        let grouping = before.or(after).unwrap_or(Grouping::By(Vec::new()));
        Ok((Node::Aggregate { aggregation, parameter, grouping, inner: Box::new(argument.0) }, Type::Vector))
    }

    fn grouping(&mut self) -> Result<Option<Grouping>, Error> {
        let is_by = self.takes_word("by");
        if !is_by && !self.takes_word("without") {
            return Ok(None);
        }
        self.expect("(")?;
        let mut labels = Vec::new();
        while !self.takes(")") {
            match self.tokens[self.at].kind.clone() {
                Kind::Word(label) | Kind::Text(label) => labels.push(label),
                _ => return Err(self.unexpected()),
            }
            self.at += 1;
            if !self.takes(",") {
                self.expect(")")?;
                break;
            }
        }
        Ok(Some(if is_by { Grouping::By(labels) } else { Grouping::Without(labels) }))
    }

    /// `name{label="value", ...}[range] offset 5m`.
    fn selector(&mut self, name: Option<String>) -> Result<Typed, Error> {
        let offset = self.offset();
        let mut matchers = Vec::new();
        matchers.extend(name.map(|value| Matcher {
            label: NAME_LABEL.to_owned(),
            operator: MatchOperator::Equal,
            value,
            pattern: None,
        }));
        if self.takes("{") {
            while !self.takes("}") {
                matchers.push(self.matcher()?);
                if !self.takes(",") {
                    self.expect("}")?;
                    break;
                }
            }
        }
        if matchers.iter().all(|matcher| matcher.matches("")) {
            return Err(Error::syntax(
                self.text,
                offset,
                "vector selector must contain at least one non-empty matcher",
            ));
        }
        let range_ms = self.range()?;
        let offset_ms = self.offset_modifier()?;
        self.selectors.push(Selector { matchers, range_ms, offset_ms });
        let kind = if range_ms.is_some() { Type::Window } else { Type::Vector };
        Ok((Node::Selector(self.selectors.len() - 1), kind))
    }

    fn matcher(&mut self) -> Result<Matcher, Error> {
        let label = match self.tokens[self.at].kind.clone() {
            Kind::Word(label) => label,
            Kind::Text(name) => {
                // A name in quotes stands for itself: `{"http.requests"}`.
                self.at += 1;
                return Ok(Matcher {
                    label: NAME_LABEL.to_owned(),
                    operator: MatchOperator::Equal,
                    value: name,
                    pattern: None,
                });
            }
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        let operator = match self.tokens[self.at].kind {
            Kind::Sign("=") => MatchOperator::Equal,
            Kind::Sign("!=") => MatchOperator::NotEqual,
            Kind::Sign("=~") => MatchOperator::Matches,
            Kind::Sign("!~") => MatchOperator::NotMatches,
            _ => return Err(self.unexpected()),
        };
        self.at += 1;
        let offset = self.offset();
        let Kind::Text(value) = self.tokens[self.at].kind.clone() else { return Err(self.unexpected()) };
        self.at += 1;
        let is_pattern = matches!(operator, MatchOperator::Matches | MatchOperator::NotMatches);
        let pattern = is_pattern.then(|| Regex::new(&format!("^(?s:{value})$"))).transpose();
        let pattern =
            pattern.map_err(|_| Error::syntax(self.text, offset, format!("{value:?} is no regular expression")))?;
        Ok(Matcher { label, operator, value, pattern })
    }

    fn range(&mut self) -> Result<Option<i64>, Error> {
        if !self.takes("[") {
            return Ok(None);
        }
        let Kind::Duration(range) = self.tokens[self.at].kind else { return Err(self.unexpected()) };
        self.at += 1;
        if self.tokens[self.at].kind == Kind::Sign(":") {
            return Err(self.unsupported("subqueries"));
        }
        if range == 0 {
            return Err(Error::syntax(self.text, self.offset(), "duration must be greater than 0"));
        }
        self.expect("]")?;
        Ok(Some(range))
    }

    fn offset_modifier(&mut self) -> Result<i64, Error> {
        if !self.takes_word("offset") {
            return Ok(0);
        }
        let sign = if self.takes("-") { -1 } else { 1 };
        let Kind::Duration(offset) = self.tokens[self.at].kind else { return Err(self.unexpected()) };
        self.at += 1;
        Ok(sign * offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_answered_is_refused_by_name_and_place() {
        let check = |text: &str, words: &str| {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, Error::Unsupported { .. }), "{text}: {error}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        };
        check("histogram_quantile(0.9, a)", "1:1: not supported here: the function histogram_quantile()");
        check("a / b", "between two vectors");
        check("a and b", "the operator and");
        check("a / on (x) b", "between two vectors");
        check("stddev by (x) (a)", "the aggregation stddev");
        check("rate(a[5m:1m])", "subqueries");
        check("(a)[5m:1m]", "subqueries");
        check("a @ 5", "the modifier @");
        check("'text'", "strings");
    }

    #[test]
    fn what_is_no_query_is_refused_with_its_place() {
        let check = |text: &str, words: &str| {
            let error = parse(text).unwrap_err();
            assert!(matches!(error, Error::Syntax { .. }), "{text}: {error}");
            assert!(error.to_string().contains(words), "{text}: {error}");
        };
        check("", "the end of the query");
        check("a{", "the end");
        check("a{b='c'", "the end");
        check("{}", "non-empty matcher");
        check("{a=~'.*'}", "non-empty matcher");
        check("a{b=~'('}", "no regular expression");
        check("rate(a)", "1:6: parse error: expected a range vector");
        check("sum(a[5m])", "instant vector");
        check("topk(a, b)", "scalar");
        check("1 < 2", "BOOL");
        check("1 + bool 2", "bool modifier");
        check("a[5m] + 1", "only scalar and instant");
        check("a b", "unexpected \"b\"");
        check("a[0s]", "greater than 0");
        check("\n a ?", "2:4");
        check(&"(".repeat(5_000), "deep");
        check(&"-".repeat(5_000), "deep");
    }

    #[test]
    fn selectors_say_which_samples_they_need() {
        let expression = parse("sum without (a, b) (rate(up{job=~'a|b', x!='y'}[5m] offset 1h)) + 1").unwrap();
        let [selector] = expression.selectors() else { panic!() };
        assert_eq!((selector.range_ms, selector.offset_ms), (Some(300_000), 3_600_000));
        assert_eq!(selector.times(10_000_000, 20_000_000), (10_000_000 - 3_900_000, 20_000_000 - 3_600_000));
        let is_met = |pairs: &[(&str, &'static str)]| {
            selector.matches(|label| pairs.iter().find(|(name, _)| *name == label).map(|(_, value)| *value))
        };
        assert!(is_met(&[("__name__", "up"), ("job", "b")]));
        assert!(!is_met(&[("__name__", "up"), ("job", "ab")]), "a pattern is of the whole label");
        assert!(!is_met(&[("__name__", "up"), ("job", "a"), ("x", "y")]));
        assert!(!is_met(&[("job", "a")]));
    }
}
