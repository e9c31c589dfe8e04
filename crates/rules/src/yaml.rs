//! YAML as rules use it: documents of maps, lists and scalars, each with its line.
//!
//! Bounded in bytes, depth and documents. Aliases are refused, so that a small file cannot grow into a large tree.

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use crate::error::Error;
use crate::limits;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Line in the file, from 1.
    pub line: usize,
    /// The value.
    pub kind: Kind,
}

/// The three shapes of YAML.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A scalar.
    Scalar(Scalar),
    /// A list.
    List(Vec<Node>),
    /// A map in file order; keys are unique.
    Map(Vec<(String, Node)>),
}

/// A scalar as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scalar {
    /// Its text, quotes removed and escapes resolved.
    pub text: String,
    /// Whether it was written without quotes: only then can it be null, a number or a truth value.
    pub plain: bool,
}

/// What a scalar means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Meaning {
    Null,
    Bool(bool),
    Integer(i64),
    Real(f64),
    Text,
}

impl Scalar {
    /// The scalar's meaning by YAML's core schema.
    pub fn meaning(&self) -> Meaning {
        if !self.plain {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => return Meaning::Null,
            "true" | "True" | "TRUE" => return Meaning::Bool(true),
            "false" | "False" | "FALSE" => return Meaning::Bool(false),
            _ => {}
        }
        if let Some(digits) = self.text.strip_prefix("0x") {
            return i64::from_str_radix(digits, 16).map_or(Meaning::Text, Meaning::Integer);
        }
        // What YAML 1.1 and 1.2 read differently (`00000429`, `0755`) is the text that its author sees.
        let padded = self.text.len() > 1 && self.text.bytes().all(|b| b.is_ascii_digit()) && self.text.starts_with('0');
        if padded {
            return Meaning::Text;
        }
        let looks_numeric = self.text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b))
            && self.text.bytes().any(|b| b.is_ascii_digit());
        if let Some(value) = looks_numeric.then(|| self.text.parse::<i64>().ok()).flatten() {
            return Meaning::Integer(value);
        }
        match looks_numeric.then(|| self.text.parse::<f64>().ok()).flatten() {
            Some(value) => Meaning::Real(value),
            None => Meaning::Text,
        }
    }
}

impl Node {
    /// The value under a key, when this is a map that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(pairs) => pairs.iter().find(|(name, _)| name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(scalar) if scalar.meaning() != Meaning::Null => Some(&scalar.text),
            _ => None,
        }
    }

    /// The texts of a list of scalars, or of one scalar.
    pub fn texts(&self) -> Vec<String> {
        match &self.kind {
            Kind::List(items) => items.iter().filter_map(Node::text).map(str::to_owned).collect(),
            _ => self.text().map(str::to_owned).into_iter().collect(),
        }
    }
}

/// Reads all documents of a file.
///
/// # Errors
/// [`Error::Yaml`] and [`Error::Limit`].
pub(crate) fn parse(text: &str) -> Result<Vec<Node>, Error> {
    if text.len() > limits::RULE_FILE_BYTES_MAX {
        let bound = limits::RULE_FILE_BYTES_MAX;
        return Err(Error::Limit { what: "the rule file's size", limit: "RULE_FILE_BYTES_MAX", bound });
    }
    let mut reader = Reader { parser: Parser::new_from_str(text) };
    let mut documents = Vec::new();
    loop {
        let (event, span) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::StreamStart | Event::DocumentStart(_) | Event::DocumentEnd | Event::Nothing => {}
            content => {
                documents.push(reader.node(content, span, 0)?);
                if documents.len() > limits::RULE_DOCUMENTS_MAX {
                    let bound = limits::RULE_DOCUMENTS_MAX;
                    return Err(Error::Limit { what: "the number of documents", limit: "RULE_DOCUMENTS_MAX", bound });
                }
            }
        }
    }
}

/// Turns the parser's events into a tree.
struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Error> {
        match self.parser.next_event() {
            Some(Ok(pair)) => Ok(pair),
            Some(Err(error)) => Err(Error::Yaml { line: error.marker().line(), message: error.info().to_owned() }),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Result<Node, Error> {
        let line = span.start.line();
        if depth > limits::RULE_DEPTH_MAX {
            let bound = limits::RULE_DEPTH_MAX;
            return Err(Error::Limit { what: "the nesting of the rule file", limit: "RULE_DEPTH_MAX", bound });
        }
        let kind = match event {
            Event::Scalar(text, style, _, _) => {
                Kind::Scalar(Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain })
            }
            Event::SequenceStart(..) => Kind::List(self.list(depth)?),
            Event::MappingStart(..) => Kind::Map(self.map(depth)?),
            Event::Alias(_) => {
                return Err(Error::Yaml { line, message: "aliases are not allowed; repeat the value".into() });
            }
            _ => return Err(Error::Yaml { line, message: "the document ends early".into() }),
        };
        Ok(Node { line, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Error> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(String, Node)>, Error> {
        let mut pairs: Vec<(String, Node)> = Vec::new();
        loop {
            let (line, key) = match self.next()? {
                (Event::MappingEnd, _) => return Ok(pairs),
                (Event::Scalar(text, ..), span) => (span.start.line(), text.into_owned()),
                (_, span) => {
                    return Err(Error::Yaml { line: span.start.line(), message: "a key must be a word".into() });
                }
            };
            let (event, span) = self.next()?;
            let value = self.node(event, span, depth + 1)?;
            if pairs.iter().any(|(known, _)| *known == key) {
                let message = format!("the key {key:?} stands twice in one map; only one would count");
                return Err(Error::Yaml { line, message });
            }
            pairs.push((key, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(text: &str, plain: bool) -> Meaning {
        Scalar { text: text.to_owned(), plain }.meaning()
    }

    #[test]
    fn only_plain_scalars_have_a_type() {
        assert_eq!(meaning("4688", true), Meaning::Integer(4688));
        assert_eq!(meaning("4688", false), Meaning::Text);
        assert_eq!(meaning("0x1f", true), Meaning::Integer(31));
        assert_eq!(meaning("1.5", true), Meaning::Real(1.5));
        assert_eq!(meaning("0", true), Meaning::Integer(0));
        assert_eq!(meaning("00000429", true), Meaning::Text);
        assert_eq!(meaning("0755", true), Meaning::Text);
        assert_eq!(meaning("null", true), Meaning::Null);
        assert_eq!(meaning("null", false), Meaning::Text);
        assert_eq!(meaning("", true), Meaning::Null);
        assert_eq!(meaning("", false), Meaning::Text);
        assert_eq!(meaning("True", true), Meaning::Bool(true));
        assert_eq!(meaning("-", true), Meaning::Text);
        assert_eq!(meaning("e", true), Meaning::Text);
    }

    #[test]
    fn reads_documents_with_lines() {
        let documents = parse("a: 1\n---\nb:\n  - x\n  - 'y'\n").unwrap();
        assert_eq!(documents.len(), 2);
        assert_eq!(documents[1].get("b").unwrap().texts(), ["x", "y"]);
        assert_eq!(documents[1].get("b").unwrap().line, 4);
    }

    #[test]
    fn refuses_what_is_not_a_rule_file_and_names_the_line() {
        assert!(matches!(parse("a: 1\nb: [1"), Err(Error::Yaml { .. })));
        assert!(matches!(parse("a: &x 1\nb: *x\n"), Err(Error::Yaml { line: 2, .. })));
        assert!(parse("a: 1\na: 2\n").unwrap_err().to_string().contains("line 2"));
        assert!(matches!(parse(&"[".repeat(100)), Err(Error::Limit { limit: "RULE_DEPTH_MAX", .. })));
        let huge = "x".repeat(limits::RULE_FILE_BYTES_MAX + 1);
        assert!(matches!(parse(&huge), Err(Error::Limit { limit: "RULE_FILE_BYTES_MAX", .. })));
    }
}
