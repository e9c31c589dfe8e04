//! The condition grammar.
//!
//! ```text
//! or     := and ("or" and)*
//! and    := not ("and" not)*
//! not    := "not" not | atom
//! atom   := "(" or ")" | quantity "of" ("them" | pattern) | identifier
//! quantity := "1" | "any" | "all"
//! ```

use crate::error::Error;
use crate::ir::{Expression, Field, Matcher};
use crate::limits;
use crate::pattern::Pattern;
use crate::yaml::{Kind, Node, Scalar};

use super::detection::{Detection, check_num_tests};

/// Resolves the condition of a rule against its search identifiers.
pub(super) struct Condition<'a> {
    detections: &'a [Detection],
    node: &'a Node,
    num_tests: usize,
}

/// Resolves a condition whose identifiers are the rules of a correlation: each becomes a test named like it.
pub(super) fn over_rules(text: &str, node: &Node, rules: &[String]) -> Result<Expression, Error> {
    let named = |rule: &String| (rule.clone(), Expression::test(Field::named(rule), Matcher::Present));
    let detections: Vec<Detection> = rules.iter().map(named).collect();
    let scalar = Scalar { text: text.to_owned(), plain: true };
    let node = Node { line: node.line, kind: Kind::Scalar(scalar) };
    Condition::new(&detections, &node).expression()
}

impl<'a> Condition<'a> {
    pub fn new(detections: &'a [Detection], node: &'a Node) -> Self {
        Self { detections, node, num_tests: 0 }
    }

    /// The rule's meaning. A list of conditions means any of them.
    pub fn expression(mut self) -> Result<Expression, Error> {
        let node = self.node;
        match &node.kind {
            Kind::List(items) if !items.is_empty() => {
                let parts: Result<Vec<_>, _> = items.iter().map(|item| self.parse(item)).collect();
                Ok(Expression::any(parts?))
            }
            _ => self.parse(node),
        }
    }

    fn parse(&mut self, node: &Node) -> Result<Expression, Error> {
        let text = node.text().ok_or_else(|| Error::rule(node.line, "the condition is empty"))?;
        if text.len() > limits::CONDITION_BYTES_MAX {
            let bound = limits::CONDITION_BYTES_MAX;
            return Err(Error::Limit { what: "the condition's size", limit: "CONDITION_BYTES_MAX", bound });
        }
        if text.contains('|') {
            let message =
                "conditions with | (count, near, …) are not part of Sigma 2; write a correlation rule instead";
            return Err(Error::unsupported(node.line, message));
        }
        let spaced = text.replace('(', " ( ").replace(')', " ) ");
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut parser = Parser { condition: self, tokens: &tokens, line: node.line };
        let expression = parser.or(0)?;
        match parser.tokens.first() {
            None => Ok(expression),
            Some(token) => Err(Error::rule(node.line, format!("the condition has {token:?} where it should end"))),
        }
    }

    /// The expression of one search identifier.
    fn identifier(&mut self, name: &str, line: usize) -> Result<Expression, Error> {
        let Some((_, expression)) = self.detections.iter().find(|(known, _)| known == name) else {
            return Err(Error::rule(line, format!("the condition names {name:?}; {}", self.known_names())));
        };
        self.num_tests += expression.num_tests();
        check_num_tests(self.num_tests)?;
        Ok(expression.clone())
    }

    /// The expressions of all search identifiers that a pattern names, or of `them`.
    fn identifiers(&mut self, pattern: &str, line: usize) -> Result<Vec<Expression>, Error> {
        let glob = Pattern::parse(pattern);
        let them = pattern.eq_ignore_ascii_case("them");
        let names: Vec<String> = self
            .detections
            .iter()
            .map(|(name, _)| name)
            .filter(|name| if them { !name.starts_with('_') } else { glob.matches(name) })
            .cloned()
            .collect();
        if names.is_empty() {
            return Err(Error::rule(line, format!("no search identifier matches {pattern:?}; {}", self.known_names())));
        }
        names.iter().map(|name| self.identifier(name, line)).collect()
    }

    fn known_names(&self) -> String {
        let names: Vec<&str> = self.detections.iter().map(|(name, _)| name.as_str()).collect();
        format!("the detection has {}", names.join(", "))
    }
}

/// Recursive descent over the words of one condition.
struct Parser<'c, 'd, 't> {
    condition: &'c mut Condition<'d>,
    tokens: &'t [&'t str],
    line: usize,
}

impl<'t> Parser<'_, '_, 't> {
    fn next_is(&mut self, word: &str) -> bool {
        let found = self.tokens.first().is_some_and(|token| token.eq_ignore_ascii_case(word));
        if found {
            self.tokens = &self.tokens[1..];
        }
        found
    }

    fn take(&mut self) -> Result<&'t str, Error> {
        let (first, rest) =
            self.tokens.split_first().ok_or_else(|| Error::rule(self.line, "the condition ends too early"))?;
        self.tokens = rest;
        Ok(first)
    }

    fn or(&mut self, depth: usize) -> Result<Expression, Error> {
        let mut parts = vec![self.and(depth)?];
        while self.next_is("or") {
            parts.push(self.and(depth)?);
        }
        Ok(Expression::any(parts))
    }

    fn and(&mut self, depth: usize) -> Result<Expression, Error> {
        let mut parts = vec![self.not(depth)?];
        while self.next_is("and") {
            parts.push(self.not(depth)?);
        }
        Ok(Expression::all(parts))
    }

    fn not(&mut self, depth: usize) -> Result<Expression, Error> {
        if depth > limits::CONDITION_DEPTH_MAX {
            let bound = limits::CONDITION_DEPTH_MAX;
            return Err(Error::Limit { what: "the condition's nesting", limit: "CONDITION_DEPTH_MAX", bound });
        }
        if self.next_is("not") {
            return Ok(Expression::Not(Box::new(self.not(depth + 1)?)));
        }
        self.atom(depth)
    }

    fn atom(&mut self, depth: usize) -> Result<Expression, Error> {
        if self.next_is("(") {
            let inner = self.or(depth + 1)?;
            return match self.next_is(")") {
                true => Ok(inner),
                false => Err(Error::rule(self.line, "the condition lacks a closing parenthesis")),
            };
        }
        let word = self.take()?;
        if self.next_is("of") {
            let pattern = self.take()?;
            let parts = self.condition.identifiers(pattern, self.line)?;
            return match word.to_ascii_lowercase().as_str() {
                "1" | "any" => Ok(Expression::any(parts)),
                "all" => Ok(Expression::all(parts)),
                _ => Err(Error::rule(self.line, format!("{word:?} of: write 1, any or all"))),
            };
        }
        self.condition.identifier(word, self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The condition as text, with every search identifier shown by its name.
    fn shown(expression: &Expression) -> String {
        let joined = |parts: &[Expression], word: &str| {
            let texts: Vec<String> = parts.iter().map(shown).collect();
            format!("({})", texts.join(word))
        };
        match expression {
            Expression::Constant(value) => value.to_string(),
            Expression::Test(test) => test.field.to_string(),
            Expression::Not(inner) => format!("!{}", shown(inner)),
            Expression::All(parts) => joined(parts, " & "),
            Expression::Any(parts) => joined(parts, " | "),
        }
    }

    fn parse(condition: &str) -> Result<String, String> {
        let names = ["sel1", "sel2", "filter_a", "filter_b", "_hidden"];
        let detections: Vec<Detection> = names
            .iter()
            .map(|name| ((*name).to_owned(), Expression::test(Field::named(name), Matcher::Present)))
            .collect();
        let node = Node { line: 9, kind: Kind::Scalar(Scalar { text: condition.to_owned(), plain: true }) };
        Condition::new(&detections, &node).expression().map(|e| shown(&e)).map_err(|e| e.to_string())
    }

    #[track_caller]
    fn check(condition: &str, expected: &str) {
        assert_eq!(parse(condition).as_deref(), Ok(expected), "{condition}");
    }

    #[test]
    fn binds_not_before_and_before_or() {
        check("sel1 or sel2 and not filter_a", "(sel1 | (sel2 & !filter_a))");
        check("(sel1 or sel2) and not filter_a", "((sel1 | sel2) & !filter_a)");
        check("not not sel1", "!!sel1");
        check("NOT sel1 AND sel2", "(!sel1 & sel2)");
        check("not 1 of filter_*", "!(filter_a | filter_b)");
    }

    #[test]
    fn quantities_range_over_patterns_and_them() {
        check("1 of sel*", "(sel1 | sel2)");
        check("all of sel*", "(sel1 & sel2)");
        check("any of *_a", "filter_a");
        check("1 of them", "(sel1 | sel2 | filter_a | filter_b)");
        check("all of them", "(sel1 & sel2 & filter_a & filter_b)");
        check("1 of _hid*", "_hidden");
        check("1 of sel1", "sel1");
    }

    #[test]
    fn errors_say_what_to_change() {
        for (condition, part) in [
            ("sel3", "the detection has sel1, sel2"),
            ("sel1 and", "ends too early"),
            ("(sel1", "closing parenthesis"),
            ("sel1 sel2", "where it should end"),
            ("2 of sel*", "write 1, any or all"),
            ("1 of x*", "no search identifier matches"),
            ("sel1 | count() > 5", "write a correlation rule"),
            ("", "is empty"),
        ] {
            let error = parse(condition).unwrap_err();
            assert!(error.contains(part) && error.contains("line 9"), "{condition}: {error}");
        }
        assert!(parse(&format!("{}sel1", "not ".repeat(100))).unwrap_err().contains("CONDITION_DEPTH_MAX"));
    }
}
