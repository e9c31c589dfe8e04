//! Sigma rules, specification 2.1: YAML text in, rules in the common form out.
//!
//! A document is a detection, a correlation or a filter; `action` makes collections of them. What a file holds is either
//! a rule or a [`NotLoaded`] with its reason: nothing is passed over in silence. Whether the rules that a correlation or
//! filter names exist is not looked at here.

mod collection;
mod condition;
mod correlation;
mod detection;
mod filter;
mod modifier;

use std::sync::Arc;

use moneta_base::{Level, RuleId};

use crate::error::{Error, NotLoaded};
use crate::ir::{Body, Detection, LogSource, Metadata, Rule};
use crate::nearest;
use crate::placeholders::Placeholders;
use crate::yaml::{self, Node};
use condition::Condition;
pub(crate) use modifier::compile_regex;

/// Keys of a rule: those of the specification, and Moneta's own `tests`.
pub(crate) const KEYS: [&str; 23] = [
    "title",
    "id",
    "related",
    "name",
    "taxonomy",
    "status",
    "description",
    "license",
    "author",
    "references",
    "date",
    "modified",
    "logsource",
    "detection",
    "correlation",
    "filter",
    "generate",
    "fields",
    "falsepositives",
    "level",
    "tags",
    "scope",
    "tests",
];
/// Keys of a log source.
const LOG_SOURCE_KEYS: [&str; 4] = ["product", "category", "service", "definition"];

/// What a file held.
#[derive(Debug, Default)]
pub struct ParsedFile {
    /// The rules.
    pub rules: Vec<Rule>,
    /// What cannot be used, each with its reason.
    pub not_loaded: Vec<NotLoaded>,
}

/// Reads all documents of a rule file of an installation that knows no placeholders.
#[must_use]
pub fn parse_file(name: &str, text: &str) -> ParsedFile {
    parse_file_with(name, text, &Placeholders::default())
}

/// Reads all documents of a rule file. One bad document does not harm the others, unless the file is not YAML.
#[must_use]
pub fn parse_file_with(name: &str, text: &str, placeholders: &Placeholders) -> ParsedFile {
    let mut parsed = ParsedFile::default();
    let documents = match yaml::parse(text) {
        Ok(documents) => documents,
        Err(error) => {
            // The id and title help to find the rule even when the rest cannot be read.
            let line_value = |key: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(key));
                line.map(|rest| rest.trim().trim_matches(['\'', '"']).chars().take(200).collect()).unwrap_or_default()
            };
            let (rule_id, title) = (line_value("id:"), line_value("title:"));
            parsed.not_loaded.push(NotLoaded { file: name.to_owned(), rule_id, title, error });
            return parsed;
        }
    };
    let file: Arc<str> = name.into();
    for document in collection::expand(documents) {
        let outcome = document
            .and_then(|document| parse_document(&file, &document, placeholders).map_err(|error| (document, error)));
        match outcome {
            Ok(rule) => parsed.rules.push(rule),
            Err((document, error)) => parsed.not_loaded.push(NotLoaded {
                file: name.to_owned(),
                rule_id: text_of(&document, "id"),
                title: text_of(&document, "title"),
                error,
            }),
        }
    }
    parsed
}

fn parse_document(file: &Arc<str>, document: &Node, placeholders: &Placeholders) -> Result<Rule, Error> {
    let line = document.line;
    let yaml::Kind::Map(pairs) = &document.kind else {
        return Err(Error::rule(line, "a rule is a map of title, logsource, detection and more"));
    };
    let title = text_of(document, "title");
    if title.is_empty() {
        return Err(Error::rule(line, "the rule has no title"));
    }
    let body = parse_body(document, placeholders)?;
    let metadata = parse_metadata(document, title)?;
    let tests = crate::rule_tests::parse(document.get("tests"))?;
    let unknown_keys = pairs.iter().map(|(key, _)| key).filter(|key| !KEYS.contains(&key.as_str())).cloned().collect();
    let taxonomy = text_of(document, "taxonomy");
    Ok(Rule { metadata, body, tests, taxonomy, unknown_keys, digest: digest(document), file: Arc::clone(file), line })
}

fn parse_body(document: &Node, placeholders: &Placeholders) -> Result<Body, Error> {
    let log_source = || {
        let node = document.get("logsource");
        let missing = || Error::rule(document.line, "the rule has no logsource");
        node.ok_or_else(missing).and_then(parse_log_source)
    };
    if let Some(node) = document.get("correlation") {
        return correlation::parse(node, document.get("generate")).map(Body::Correlation);
    }
    if let Some(node) = document.get("filter") {
        return filter::parse(node, log_source()?, placeholders).map(Body::Filter);
    }
    let node = document.get("detection").ok_or_else(|| Error::rule(document.line, "the rule has no detection"))?;
    let log_source = log_source()?;
    let detections = detection::parse_detections(node, placeholders)?;
    let condition = node.get("condition").ok_or_else(|| Error::rule(node.line, "the detection has no condition"))?;
    let expression = Condition::new(&detections, condition).expression()?;
    let condition = condition.texts().join(" or ");
    Ok(Body::Detection(Detection { log_source, expression, searches: detections, condition }))
}

fn parse_metadata(document: &Node, title: String) -> Result<Metadata, Error> {
    let list = |key: &str| document.get(key).map(Node::texts).unwrap_or_default();
    let level_text = text_of(document, "level");
    let level = match Level::parse(&level_text) {
        Some(level) => level,
        // The specification makes the level optional and names no default: neither noise nor an alarm.
        None if level_text.is_empty() => Level::Medium,
        None => {
            let line = document.get("level").map_or(document.line, |node| node.line);
            let message = format!("level {level_text:?} is not one of informational, low, medium, high, critical");
            return Err(Error::rule(line, message));
        }
    };
    let stated_id = text_of(document, "id");
    let id = if stated_id.is_empty() {
        RuleId::new(&format!("sha256-{}", &digest(document)[..32]))
    } else {
        RuleId::new(&stated_id)
    };
    Ok(Metadata {
        id,
        name: text_of(document, "name"),
        title,
        description: text_of(document, "description").trim().to_owned(),
        author: text_of(document, "author"),
        level,
        status: text_of(document, "status"),
        tags: list("tags"),
        references: list("references"),
        false_positives: list("falsepositives"),
        license: text_of(document, "license"),
        date: text_of(document, "date"),
        modified: text_of(document, "modified"),
        fields: list("fields"),
    })
}

/// A key that is probably another, misspelt, is refused: without what it says, the rule would look at more than it is
/// written for.
fn parse_log_source(node: &Node) -> Result<LogSource, Error> {
    let yaml::Kind::Map(pairs) = &node.kind else {
        return Err(Error::rule(node.line, "logsource is a map of product, category and service"));
    };
    for (key, value) in pairs.iter().filter(|(key, _)| !LOG_SOURCE_KEYS.contains(&key.as_str())) {
        if let Some(meant) = nearest::nearest(key, LOG_SOURCE_KEYS) {
            return Err(Error::rule(value.line, format!("a logsource has no {key:?}; did you mean {meant:?}?")));
        }
    }
    let part = |key| text_of(node, key).trim().to_lowercase();
    Ok(LogSource { product: part("product"), category: part("category"), service: part("service") })
}

/// SHA-256, in hexadecimal digits, of all that a rule says.
fn digest(document: &Node) -> String {
    // Lines are left out of the digest: moving a rule within its file must not make it another rule.
    fn write(node: &Node, out: &mut String) {
        match &node.kind {
            yaml::Kind::Scalar(scalar) => out.push_str(&format!("{:?}", scalar.text)),
            yaml::Kind::List(items) => items.iter().for_each(|item| {
                out.push('-');
                write(item, out);
            }),
            yaml::Kind::Map(pairs) => pairs.iter().for_each(|(key, value)| {
                out.push_str(&format!("{key:?}:"));
                write(value, out);
            }),
        }
        out.push(';');
    }
    let mut text = String::new();
    write(document, &mut text);
    moneta_merkle::sha256(text.as_bytes()).to_hex()
}

fn text_of(document: &Node, key: &str) -> String {
    document.get(key).and_then(Node::text).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: &str = "title: T\nid: 1\nauthor: A. Uthor\nlevel: high\ntags:\n  - attack.t1\nlogsource:\n  vendor: x\n  product: Windows\n  category: process_creation\ndetection:\n  sel:\n    Image: a\n  condition: sel\n";

    #[test]
    fn reads_a_rule_with_everything_it_says_of_itself() {
        let parsed = parse_file("a.yml", RULE);
        assert_eq!(parsed.not_loaded, []);
        let rule = &parsed.rules[0];
        assert_eq!(rule.metadata.author, "A. Uthor");
        assert_eq!(rule.metadata.level, Level::High);
        assert_eq!(rule.log_source().unwrap().to_string(), "windows/process_creation");
        assert_eq!((&*rule.file, rule.line), ("a.yml", 1));
    }

    #[track_caller]
    fn refused(text: &str, reason: &str) {
        let parsed = parse_file("a.yml", text);
        assert_eq!(parsed.not_loaded.len(), 1, "{text}");
        let error = parsed.not_loaded[0].error.to_string();
        assert!(error.contains(reason), "{error}");
    }

    #[test]
    fn names_what_is_missing_or_not_run() {
        refused("title: T\ncorrelation:\n  type: event_count\n", "names no rules");
        refused("title: T\nlogsource: {}\nfilter:\n  rules: []\n", "the filter has no condition");
        refused("title: T\n", "no detection");
        refused("detection: {}\n", "no title");
        refused(&RULE.replace("level: high", "level: urgent"), "line 4: level \"urgent\"");
        refused(&RULE.replace("condition: sel", "condition: sle"), "sel");
        refused("title: T\nid: 7\n x: [", "not YAML");
        refused("- a\n- b\n", "a rule is a map");
        refused(&RULE.replace("  product: W", "  produkt: W"), "did you mean \"product\"?");
        refused(&RULE.replace("sel:\n    Image: a", "sel: {}"), "sel is empty");
        refused(&RULE.replace("sel:\n    Image: a", "sel:\n    - {}"), "sel is empty");
    }

    #[test]
    fn a_rule_bomb_is_refused_by_the_name_of_its_limit() {
        let values: String = (0..10_000).map(|value| format!("\n      - v{value}")).collect();
        refused(&RULE.replace("Image: a", &format!("Image:{values}")), "RULE_TESTS_MAX");
        // Each dash option makes five values of one.
        let values: String = (0..1_601).map(|value| format!("\n      - -v{value}")).collect();
        refused(&RULE.replace("Image: a", &format!("Image|windash:{values}")), "RULE_TESTS_MAX");
        let alternatives: Vec<String> = (0..10_000).map(|value| format!("v{value}")).collect();
        let regex = |text: &str| RULE.replace("Image: a", &format!("Image|re: '{text}'"));
        refused(&regex(&format!("({})", alternatives.join("|"))), "REGEX_ALTERNATIVES_MAX (1000)");
        refused(&regex("((((a{1,100}){1,100}){1,100}){1,100})+"), "REGEX_BYTES_MAX");
        refused(&regex(&format!("{}a{}", "(".repeat(100), "+)*".repeat(100))), "REGEX_DEPTH_MAX");
        // What is nested and small costs time in proportion to the text, whatever the text: it is no bomb.
        assert_eq!(parse_file("a.yml", &regex("^(([a-z])+.)+[A-Z]([a-z])+$")).not_loaded, []);
        let keywords: String = (0..100_000).map(|word| format!("\n    - word{word}")).collect();
        assert!(keywords.len() > 1 << 20);
        refused(&RULE.replace("sel:\n    Image: a", &format!("sel:{keywords}")), "RULE_FILE_BYTES_MAX");
        let condition = vec!["sel"; 30_000].join(" or ");
        refused(&RULE.replace("condition: sel", &format!("condition: {condition}")), "CONDITION_BYTES_MAX");
    }

    #[test]
    fn one_bad_document_does_not_harm_the_others() {
        let parsed = parse_file("a.yml", &format!("title: bad\n---\n{RULE}"));
        assert_eq!((parsed.rules.len(), parsed.not_loaded.len()), (1, 1));
        assert_eq!(parsed.not_loaded[0].title, "bad");
    }

    #[test]
    fn a_rule_without_id_gets_a_stable_one() {
        let id = |text: &str| parse_file("a", text).rules[0].metadata.id.clone();
        let without = RULE.replace("id: 1\n", "");
        assert_eq!(id(&without), id(&format!("# moved\n\n{without}")));
        assert_ne!(id(&without), id(&without.replace("Image: a", "Image: b")));
    }

    #[test]
    fn a_rules_version_is_its_day_and_what_it_says() {
        let version = |text: &str| parse_file("a", text).rules[0].version();
        let plain = version(RULE);
        assert_eq!((plain.len(), plain.starts_with("sha256:")), ("sha256:".len() + 12, true));
        assert_ne!(version(&RULE.replace("Image: a", "Image: b")), plain);
        assert_eq!(version(&format!("# moved\n{RULE}")), plain);
        let dated = RULE.replace("level: high", "level: high\ndate: 2024-01-02");
        assert!(version(&dated).starts_with("2024-01-02 sha256:"), "{}", version(&dated));
        let changed = dated.replace("level: high", "level: high\nmodified: 2025-03-04");
        assert!(version(&changed).starts_with("2025-03-04 sha256:"), "{}", version(&changed));
    }
}
