//! `parse-kv`: columns from the keys and values of a text.
//!
//! Keys and values are told apart by delimiters, by whatever is not a letter or digit, or by a regular expression.
//! Either may stand in quotes. The first value of a key counts.

use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{OperatorParameter, ParseKvOperator};
use serde_json::{Value as Json, json};

use super::project::Project;
use crate::binder::{Binder, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::functions::row::Answer;
use crate::functions::{Function, Nulls, registry};
use crate::json::Step;
use crate::value::Value;

/// Finds the values of keys: `(settings, text) -> [value, ...]`, null where a key is not there.
static PARSE: Function = Function {
    nulls: Nulls::Handled,
    ..Function::row("kql_parse_kv", &["(settings: string, text: string) -> dynamic"], |args, _| {
        let Some(settings) = settings(args[0].text()) else { return Answer::Null };
        let found = settings.values(args[1].text());
        Json::Array(found.into_iter().map(|value| value.map_or(Json::Null, Json::String)).collect()).into()
    })
};

/// How a text is taken apart.
#[derive(Debug, Clone, PartialEq, Default)]
struct Settings {
    keys: Vec<String>,
    pair_delimiter: Option<String>,
    kv_delimiter: Option<String>,
    /// Opening and closing quotes.
    quotes: Vec<(char, char)>,
    escapes: Vec<char>,
    greedy: bool,
    regex: Option<String>,
}

/// The settings from their text, kept for the rows that follow.
fn settings(text: &str) -> Option<Arc<Settings>> {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<(String, Arc<Settings>)>> = const { std::cell::RefCell::new(None) };
    }
    KEPT.with_borrow_mut(|kept| match kept {
        Some((known, settings)) if known == text => Some(Arc::clone(settings)),
        _ => {
            let settings = Arc::new(Settings::from_json(&crate::json::parse(text))?);
            *kept = Some((text.to_owned(), Arc::clone(&settings)));
            Some(settings)
        }
    })
}

impl Settings {
    fn to_json(&self) -> Json {
        let quotes: Vec<String> = self.quotes.iter().map(|(open, close)| format!("{open}{close}")).collect();
        json!({
            "keys": self.keys, "pair": self.pair_delimiter, "kv": self.kv_delimiter, "quotes": quotes,
            "escapes": self.escapes.iter().collect::<String>(), "greedy": self.greedy, "regex": self.regex,
        })
    }

    fn from_json(json: &Json) -> Option<Self> {
        let text = |name: &str| json[name].as_str().map(str::to_owned);
        let list = |name: &str| json[name].as_array().into_iter().flatten().filter_map(Json::as_str);
        let pair = |quote: &str| {
            let mut chars = quote.chars();
            chars.next().zip(chars.next())
        };
        Some(Self {
            keys: list("keys").map(str::to_owned).collect(),
            pair_delimiter: text("pair"),
            kv_delimiter: text("kv"),
            quotes: list("quotes").filter_map(pair).collect(),
            escapes: json["escapes"].as_str()?.chars().collect(),
            greedy: json["greedy"].as_bool()?,
            regex: text("regex"),
        })
    }

    /// The value of each key.
    fn values(&self, text: &str) -> Vec<Option<String>> {
        let mut values: Vec<Option<String>> = vec![None; self.keys.len()];
        let mut keep = |key: &str, value: &str| {
            if let Some(index) = self.keys.iter().position(|known| known == key.trim())
                && values[index].is_none()
            {
                values[index] = Some(value.to_owned());
            }
        };
        match &self.regex {
            Some(pattern) => {
                let Some(regex) = crate::functions::string::regex(pattern) else { return values };
                for found in regex.captures_iter(text) {
                    let group = |index: usize| found.get(index).map_or("", |group| group.as_str());
                    keep(group(1), group(2).trim());
                }
            }
            None => {
                let mut cursor = Cursor { settings: self, text, at: 0 };
                while let Some((key, value)) = cursor.pair() {
                    keep(&key, &value);
                }
            }
        }
        values
    }

    fn has_delimiters(&self) -> bool {
        self.pair_delimiter.is_some() || self.kv_delimiter.is_some()
    }

    fn closing(&self, open: char) -> Option<char> {
        self.quotes.iter().find(|(known, _)| *known == open).map(|(_, close)| *close)
    }
}

/// A place in the text.
struct Cursor<'a> {
    settings: &'a Settings,
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    /// The next key with its value; `None` at the end.
    fn pair(&mut self) -> Option<(String, String)> {
        loop {
            self.skip_between();
            if self.rest().is_empty() {
                return None;
            }
            let start = self.at;
            let key = self.part(true);
            // Without delimiters any word may be a key; only the next word of a key that is wanted is a value.
            let is_key = self.settings.has_delimiters() || self.settings.keys.contains(&key);
            if is_key && self.takes_delimiter() {
                let value = self.part(false);
                return Some((key, value));
            }
            // A word without a value.
            if self.at == start {
                self.at += self.rest().chars().next().map_or(1, char::len_utf8);
            }
        }
    }

    /// Passes over what separates pairs.
    fn skip_between(&mut self) {
        let separates = |rest: &str| match &self.settings.pair_delimiter {
            Some(delimiter) if rest.starts_with(delimiter.as_str()) => delimiter.len(),
            Some(_) => rest.chars().next().filter(|c| c.is_whitespace()).map_or(0, char::len_utf8),
            None => {
                let skipped = |c: &char| !c.is_alphanumeric() && *c != '_' && self.settings.closing(*c).is_none();
                rest.chars().next().filter(skipped).map_or(0, char::len_utf8)
            }
        };
        loop {
            let length = separates(&self.text[self.at..]);
            if length == 0 {
                return;
            }
            self.at += length;
        }
    }

    /// Whether the delimiter between key and value stands here, and takes it.
    fn takes_delimiter(&mut self) -> bool {
        match &self.settings.kv_delimiter {
            Some(delimiter) => {
                let spaces = self.rest().len() - self.rest().trim_start().len();
                let after = &self.rest()[spaces..];
                let here = if self.rest().starts_with(delimiter.as_str()) { 0 } else { spaces };
                if !self.rest()[here..].starts_with(delimiter.as_str()) && !after.starts_with(delimiter.as_str()) {
                    return false;
                }
                self.at += here + delimiter.len();
                true
            }
            None => {
                let gap =
                    self.rest().find(|c: char| c.is_alphanumeric() || c == '_' || self.settings.closing(c).is_some());
                match gap {
                    Some(gap) if gap > 0 => {
                        self.at += gap;
                        true
                    }
                    _ => false,
                }
            }
        }
    }

    /// A key or a value, quoted or up to the next delimiter.
    fn part(&mut self, is_key: bool) -> String {
        let trimmed = self.rest().trim_start();
        let skip = self.rest().len() - trimmed.len();
        if let Some(close) = trimmed.chars().next().and_then(|open| self.settings.closing(open))
            && let Some(quoted) = self.quoted(skip, close)
        {
            return quoted;
        }
        let end = match (is_key, &self.settings.pair_delimiter, &self.settings.kv_delimiter) {
            (_, None, None) => self.rest().find(|c: char| !c.is_alphanumeric() && c != '_'),
            (true, pair, kv) => {
                let ends =
                    [pair, kv].into_iter().flatten().filter_map(|delimiter| self.rest().find(delimiter.as_str()));
                ends.min()
            }
            (false, Some(_), _) if self.settings.greedy => self.greedy_end(),
            (false, Some(delimiter), _) => self.rest().find(delimiter.as_str()),
            (false, None, _) => None,
        };
        let end = end.unwrap_or(self.rest().len());
        let part = self.rest()[..end].trim().to_owned();
        self.at += end;
        part
    }

    /// The text in quotes that begins `skip` bytes on; `None` if the quotes do not end.
    fn quoted(&mut self, skip: usize, close: char) -> Option<String> {
        let rest = &self.rest()[skip..];
        let mut chars = rest.char_indices().skip(1);
        let mut inner = String::new();
        while let Some((index, c)) = chars.next() {
            if self.settings.escapes.contains(&c) {
                inner.push(chars.next()?.1);
            } else if c == close {
                self.at += skip + index + c.len_utf8();
                return Some(inner.trim().to_owned());
            } else {
                inner.push(c);
            }
        }
        None
    }

    /// Where an unquoted value ends that may hold delimiters: before the last delimiter in front of the next key.
    fn greedy_end(&self) -> Option<usize> {
        let (pair, kv) = (self.settings.pair_delimiter.as_ref()?, self.settings.kv_delimiter.as_ref()?);
        let next = self.rest().find(kv.as_str())?;
        self.rest()[..next].rfind(pair.as_str())
    }
}

impl Binder<'_> {
    /// `parse-kv x as (a:string, b:long) with (pair_delimiter = " ", kv_delimiter = "=")`.
    pub(crate) fn bind_parse_kv(&mut self, input: Relation, node: &ParseKvOperator) -> Option<Relation> {
        let text = self.scalar(&node.expression, &mut Row::of(&input))?.converted(ColumnType::String);
        let columns = self.schema_columns(&node.schema)?;
        let mut settings = self.kv_settings(&node.properties)?;
        settings.keys = columns.iter().map(|c| c.name.to_string()).collect();
        let literal = ScalarExpr::literal(Value::String(settings.to_json().to_string()));
        let found = ScalarNode::Call { function: &PARSE, args: vec![literal, text] };
        let matched = Column::new(&format!("__kv{}", self.fresh()), ColumnType::Dynamic);
        let own: Vec<(Column, ScalarExpr)> = input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let with_match = own.iter().cloned().chain([(matched.clone(), ScalarExpr::new(ColumnType::Dynamic, found))]);
        let staged = Project::relation("parse-kv", input, with_match.collect());
        let mut outputs = own;
        for (index, column) in columns.into_iter().enumerate() {
            let step = Step::Index(i64::try_from(index).unwrap_or(i64::MAX));
            let path = ScalarNode::Path { base: Box::new(ScalarExpr::column(&matched)), steps: vec![step] };
            let text = ScalarExpr::new(ColumnType::Dynamic, path);
            let value = if column.column_type == ColumnType::Dynamic {
                let args = vec![text.converted(ColumnType::String)];
                ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Call { function: registry().get("parse_json")?, args })
            } else {
                text.converted(column.column_type)
            };
            match outputs.iter_mut().find(|(known, _)| known.name == column.name) {
                Some(place) => *place = (column, value),
                None => outputs.push((column, value)),
            }
        }
        Some(Project::relation("parse-kv", staged, outputs))
    }

    fn kv_settings(&mut self, properties: &[OperatorParameter]) -> Option<Settings> {
        let mut settings = Settings::default();
        for property in properties {
            let value = self.scalar(&property.value, &mut Row::none())?;
            let text = value.as_literal().and_then(Value::as_str).map(str::to_owned);
            let name = property.name.text.as_str();
            let Some(text) = text else {
                match (name, value.as_literal()) {
                    ("greedy", Some(Value::Bool(greedy))) => settings.greedy = *greedy,
                    _ => {
                        let message = format!("`{name}` needs a constant text");
                        return self.fail(codes::CONSTANT_EXPECTED, property.span, message);
                    }
                }
                continue;
            };
            let characters: Vec<char> = text.chars().collect();
            match (name, characters.as_slice()) {
                ("pair_delimiter", [_, ..]) => settings.pair_delimiter = Some(text),
                ("kv_delimiter", [_, ..]) => settings.kv_delimiter = Some(text),
                ("quote", [both]) => settings.quotes.push((*both, *both)),
                ("quote", [open, close]) => settings.quotes.push((*open, *close)),
                ("escape", [escape]) => settings.escapes.push(*escape),
                ("regex", [_, ..]) => {
                    self.check_regex(&value, property.span)?;
                    let groups = crate::functions::string::compile(&text).map_or(0, |regex| regex.captures_len());
                    if groups != 3 {
                        let message = "the regular expression of parse-kv needs two groups: the key and the value";
                        return self.fail(codes::REGEX, property.span, message);
                    }
                    settings.regex = Some(text);
                }
                ("quote" | "escape" | "pair_delimiter" | "kv_delimiter" | "regex", _) => {
                    let message = format!("`{name}` has a wrong number of characters");
                    return self.fail(codes::UNKNOWN_WORD, property.span, message);
                }
                _ => {
                    let message = format!(
                        "parse-kv has no property `{name}`; it has pair_delimiter, kv_delimiter, quote, escape, \
                         greedy and regex"
                    );
                    return self.fail(codes::UNKNOWN_WORD, property.span, message);
                }
            }
        }
        Some(settings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(settings: Settings, text: &str, expected: &[Option<&str>]) {
        let again = Settings::from_json(&settings.to_json()).unwrap();
        assert_eq!(again, settings);
        let found = settings.values(text);
        assert_eq!(found.iter().map(Option::as_deref).collect::<Vec<_>>(), expected, "{text}");
    }

    fn keys(keys: &[&str]) -> Settings {
        Settings { keys: keys.iter().map(ToString::to_string).collect(), ..Settings::default() }
    }

    fn delimited(names: &[&str], pair: &str, kv: &str) -> Settings {
        Settings { pair_delimiter: Some(pair.to_owned()), kv_delimiter: Some(kv.to_owned()), ..keys(names) }
    }

    #[test]
    fn delimiters_separate_pairs() {
        check(delimited(&["a", "b", "c"], ",", ":"), "b : x y, a:1,a:2", &[Some("1"), Some("x y"), None]);
        check(delimited(&["a"], " ", "="), "noise a= b=2", &[Some("")]);
    }

    #[test]
    fn greedy_values_go_on_to_the_next_key() {
        let settings = Settings { greedy: true, ..delimited(&["a", "b"], " ", "=") };
        check(settings, "a=one two b=three four", &[Some("one two"), Some("three four")]);
    }

    #[test]
    fn quotes_hold_delimiters_and_escapes() {
        let settings = Settings { quotes: vec![('"', '"')], escapes: vec!['\\'], ..delimited(&["a b", "c"], " ", "=") };
        check(settings, r#""a b"=1 c="x \"y\" z""#, &[Some("1"), Some("x \"y\" z")]);
    }

    #[test]
    fn without_delimiters_words_are_taken_in_turn() {
        check(
            keys(&["Machine", "Text"]),
            "10:00 [INFO] Machine:Node001, Text: Started",
            &[Some("Node001"), Some("Started")],
        );
    }
}
