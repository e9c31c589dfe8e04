//! What is probably wrong with rules that load: fields no column has, values that a column cannot hold, parts that are
//! not used, conditions that are dear, and what a rule does not say of itself.
//!
//! A diagnosis never keeps a rule from running; what does is a [`NotLoaded`](crate::NotLoaded).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use moneta_base::RuleId;
use moneta_event::{Column, ColumnType, TableCatalog};
use serde::Serialize;

use crate::analytics::{AnalyticsRule, IncidentMatching};
use crate::compile::{CompiledRules, schema_of};
use crate::correlation::{Kind, Plan};
use crate::exception;
use crate::fields::{Resolver, Slot};
use crate::ir::{Body, Detection, Expression, Field, Filter, LogSource, Matcher, Metadata, Rule, Test};
use crate::nearest;
use crate::pattern::{Pattern, Piece};
use crate::rule_tests::RuleTest;
use crate::sigma;
use crate::taxonomy::Taxonomy;

/// How much a diagnosis matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something could be said or done better.
    Note,
    /// The rule probably does not do what its author means.
    Warning,
}

/// What is probably wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Diagnosis {
    /// The file.
    pub file: String,
    /// Line of the rule in the file, from 1.
    pub line: usize,
    /// The rule's id.
    pub rule_id: String,
    /// Its title.
    pub title: String,
    /// How much it matters.
    pub severity: Severity,
    /// A word for the kind of diagnosis.
    pub code: &'static str,
    /// What it is, and what to do.
    pub message: String,
}

/// The code of fields that no column has. A value may still come without one, so this is a warning only where another
/// name is near; it is told all the same.
pub const UNKNOWN_FIELD: &str = "unknown_field";
const UNKNOWN_COLUMN: &str = "unknown_column";
const UNKNOWN_DETAIL: &str = "unknown_detail";

/// What keeps rules from finding what they look for: fields that no column has, values that a column cannot hold,
/// misspelt keys, filters that change no rule. Of the wanted rules, by file and line.
#[must_use]
pub fn warnings(
    rules: &CompiledRules,
    taxonomy: &Taxonomy,
    catalog: &TableCatalog,
    wanted: impl Fn(&RuleId) -> bool,
) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    for rule in rules.rules().iter().filter(|rule| wanted(&rule.metadata.id)) {
        let mut messages = Messages { rule: About::of(rule), found: &mut found };
        unknown_words(rule, taxonomy, &mut messages);
        match &rule.body {
            Body::Detection(Detection { log_source, expression, .. }) => {
                fields(log_source, expression, taxonomy, catalog, &mut messages);
            }
            Body::Correlation(_) => compared_fields(rules, taxonomy, catalog, &mut messages),
            Body::Filter(filter) => filtered_rules(filter, rules, taxonomy, catalog, &mut messages),
        }
    }
    found.retain(Diagnosis::is_about_matching);
    found.sort();
    found
}

/// Diagnoses of all rules, by file and line.
#[must_use]
pub fn lint(rules: &CompiledRules, taxonomy: &Taxonomy, catalog: &TableCatalog) -> Vec<Diagnosis> {
    let dear: BTreeSet<usize> = rules.rules_without_witness().collect();
    let mut known: HashMap<String, &str> = HashMap::new();
    let mut found = Vec::new();
    for (index, rule) in rules.rules().iter().enumerate() {
        let mut messages = Messages { rule: About::of(rule), found: &mut found };
        about_itself(&mut messages);
        unknown_words(rule, taxonomy, &mut messages);
        let detection = match &rule.body {
            Body::Detection(detection) => detection,
            Body::Correlation(_) => {
                compared_fields(rules, taxonomy, catalog, &mut messages);
                continue;
            }
            Body::Filter(filter) => {
                filtered_rules(filter, rules, taxonomy, catalog, &mut messages);
                continue;
            }
        };
        unused_parts(detection, &mut messages);
        fields(&detection.log_source, &detection.expression, taxonomy, catalog, &mut messages);
        if dear.contains(&index) {
            messages.warn(
                "no_required_value",
                "nothing in the condition asks for a value that must be there, so every event of the log source is \
                 looked at, and most may match; add a test that must hold",
            );
        }
        let meaning = format!("{:?}{:?}", detection.log_source, detection.expression);
        if let Some(other) = known.insert(meaning, rule.metadata.id.as_str()) {
            messages.warn("same_as_another", &format!("the rule {other} has the same log source and condition"));
        }
    }
    found.sort();
    found
}

impl Diagnosis {
    /// Whether it may keep a rule from finding what it looks for: a warning, or a field that no column has.
    #[must_use]
    pub fn is_about_matching(&self) -> bool {
        self.severity == Severity::Warning || self.code == UNKNOWN_FIELD
    }
}

/// Diagnoses of an analytics rule; `columns` are those of its query's result.
#[must_use]
pub fn lint_query(rule: &AnalyticsRule, columns: &[String]) -> Vec<Diagnosis> {
    let mut found = Vec::new();
    let about =
        About { file: &rule.file, line: rule.line, metadata: &rule.metadata, tests: &rule.tests, raises_alerts: true };
    let mut messages = Messages { rule: about, found: &mut found };
    about_itself(&mut messages);
    for (what, column) in named_columns(rule).iter().filter(|(_, column)| !columns.contains(column)) {
        let hint = nearest::hint(column, columns.iter().map(String::as_str));
        messages.warn(UNKNOWN_COLUMN, &format!("{what} names {column:?}, which the result has not; {hint}"));
    }
    let details = || rule.custom_details.iter().map(|(name, _)| name.as_str());
    let grouping = rule.incident.grouping.as_ref().map(|grouping| &grouping.matching);
    let grouped_by = match grouping {
        Some(IncidentMatching::Selected { custom_details, .. }) => custom_details.as_slice(),
        _ => &[],
    };
    for name in grouped_by.iter().filter(|name| !details().any(|known| known == name.as_str())) {
        let hint = match rule.custom_details.is_empty() {
            true => "the rule has no customDetails".to_owned(),
            false => nearest::hint(name, details()),
        };
        messages.warn(UNKNOWN_DETAIL, &format!("groupByCustomDetails names {name:?}; {hint}"));
    }
    found.sort();
    found
}

/// What of [`lint_query`] is about names that are not there, and so keeps an alert from saying what it should.
#[must_use]
pub fn query_warnings(rule: &AnalyticsRule, columns: &[String]) -> Vec<Diagnosis> {
    let mut found = lint_query(rule, columns);
    found.retain(|one| [UNKNOWN_COLUMN, UNKNOWN_DETAIL].contains(&one.code));
    found
}

/// The columns of its result that an analytics rule names, and what each is for.
fn named_columns(rule: &AnalyticsRule) -> Vec<(String, String)> {
    let overrides = &rule.overrides;
    let one = |what: &str, column: &String| (what.to_owned(), column.clone());
    let mut named: Vec<(String, String)> = Vec::new();
    for (identifier, column) in rule.entities.iter().flat_map(|mapping| &mapping.fields) {
        named.push((format!("the entity identifier {identifier}"), column.clone()));
    }
    named
        .extend(rule.custom_details.iter().map(|(name, column)| (format!("the custom detail {name}"), column.clone())));
    named.extend(rule.entity_columns.iter().map(|column| one("sentinelEntitiesMappings", column)));
    named.extend(
        overrides.properties.iter().map(|(name, column)| (format!("the alert property {name}"), column.clone())),
    );
    let members = [
        ("alertSeverityColumnName", &overrides.severity_column),
        ("alertTacticsColumnName", &overrides.tactics_column),
    ];
    named.extend(members.into_iter().filter(|(_, column)| !column.is_empty()).map(|(what, column)| one(what, column)));
    let formats =
        [("alertDisplayNameFormat", &overrides.name_format), ("alertDescriptionFormat", &overrides.description_format)];
    for (what, format) in formats {
        named.extend(columns_of_format(format).map(|column| (what.to_owned(), column.to_owned())));
    }
    named
}

/// The columns of `{{column}}` in a text.
fn columns_of_format(format: &str) -> impl Iterator<Item = &str> {
    format.split("{{").skip(1).filter_map(|rest| Some(rest.split_once("}}")?.0.trim()))
}

/// What every rule says of itself.
#[derive(Clone, Copy)]
struct About<'a> {
    file: &'a str,
    line: usize,
    metadata: &'a Metadata,
    tests: &'a [RuleTest],
    /// A filter raises none: nobody asks what it says of itself.
    raises_alerts: bool,
}

impl<'a> About<'a> {
    fn of(rule: &'a Rule) -> Self {
        Self {
            file: &rule.file,
            line: rule.line,
            metadata: &rule.metadata,
            tests: &rule.tests,
            raises_alerts: !matches!(rule.body, Body::Filter(_)),
        }
    }
}

struct Messages<'a> {
    rule: About<'a>,
    found: &'a mut Vec<Diagnosis>,
}

impl Messages<'_> {
    fn push(&mut self, severity: Severity, code: &'static str, message: &str) {
        self.found.push(Diagnosis {
            file: self.rule.file.to_string(),
            line: self.rule.line,
            rule_id: self.rule.metadata.id.to_string(),
            title: self.rule.metadata.title.clone(),
            severity,
            code,
            message: message.to_owned(),
        });
    }

    fn warn(&mut self, code: &'static str, message: &str) {
        self.push(Severity::Warning, code, message);
    }

    fn note(&mut self, code: &'static str, message: &str) {
        self.push(Severity::Note, code, message);
    }
}

fn about_itself(messages: &mut Messages<'_>) {
    let rule = messages.rule;
    let metadata = rule.metadata;
    if metadata.id.as_str().starts_with("sha256-") {
        messages.warn("no_id", "the rule has no id, so every change to its text makes it another rule; give it a UUID");
    }
    if matches!(metadata.status.as_str(), "deprecated" | "unsupported") {
        messages.warn("not_maintained", &format!("the rule's status is {}", metadata.status));
    }
    let texts = [
        ("no_author", "author", metadata.author.is_empty()),
        ("no_description", "description", metadata.description.is_empty()),
        ("no_references", "references", metadata.references.is_empty()),
        ("no_technique", "tag of ATT&CK", !metadata.tags.iter().any(|tag| tag.starts_with("attack."))),
    ];
    for (code, what, missing) in texts {
        if missing && rule.raises_alerts {
            messages.note(code, &format!("the rule has no {what}"));
        }
    }
    let both = [true, false].map(|outcome| rule.tests.iter().any(|test| test.matches == outcome));
    if both != [true, true] && rule.raises_alerts {
        messages.note("no_tests", "the rule lacks a test of an event that must match, or of one that must not");
    }
}

/// A taxonomy whose names nothing is known of, and keys that say nothing here. The specification lets rules have keys of their own: only those are warned of that are
/// probably others, misspelt.
fn unknown_words(rule: &Rule, taxonomy: &Taxonomy, messages: &mut Messages<'_>) {
    if !taxonomy.is_called(&rule.taxonomy) {
        let message = format!(
            "the rule is written in the taxonomy {:?}, which is not known here: its names of log sources and fields are \
             taken as they are; say what they mean in the file that rules.taxonomy names",
            rule.taxonomy
        );
        messages.warn("unknown_taxonomy", &message);
    }
    for key in &rule.unknown_keys {
        match nearest::nearest(key, sigma::KEYS) {
            Some(meant) => {
                messages.warn("unknown_key", &format!("the key {key:?} says nothing; did you mean {meant:?}?"))
            }
            None => messages.note("unknown_key", &format!("the key {key:?} says nothing to Moneta")),
        }
    }
}

/// The rules that a filter is for, and the fields that it looks at.
fn filtered_rules(
    filter: &Filter,
    rules: &CompiledRules,
    taxonomy: &Taxonomy,
    catalog: &TableCatalog,
    messages: &mut Messages<'_>,
) {
    // An exception names its one rule, whatever that is.
    if messages.rule.metadata.id.as_str().starts_with(exception::ID_PREFIX) {
        return;
    }
    let source = &filter.log_source;
    fields(source, &filter.expression, taxonomy, catalog, messages);
    let covers = |rule: &Rule| rule.log_source().is_some_and(|other| source.covers(other));
    if filter.rules.is_empty() {
        if !rules.rules().iter().any(|rule| covers(rule)) {
            let meant = taxonomy.targets(source).is_none().then(|| taxonomy.nearest(source)).flatten();
            let hint = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
            messages.warn("filters_nothing", &format!("no rule that is loaded has the log source {source}{hint}"));
        }
        return;
    }
    for reference in &filter.rules {
        let Some((index, rule)) = rules.rules().iter().enumerate().find(|(_, rule)| rule.is_called(reference)) else {
            let names = rules.rules().iter().flat_map(|rule| [rule.metadata.name.as_str(), rule.metadata.id.as_str()]);
            let meant = nearest::nearest(reference, names.filter(|name| !name.is_empty()));
            let hint = meant.map(|name| format!("; did you mean {name:?}?")).unwrap_or_default();
            let message = format!("the filter names the rule {reference:?}, which is not loaded{hint}");
            messages.warn("filters_nothing", &message);
            continue;
        };
        let below = rules.correlations().plans.iter().filter(|plan| plan.rule == index);
        let mut below = below.flat_map(|plan| plan.inputs.iter().flat_map(BTreeMap::keys));
        if !covers(rule) && !below.any(|leaf| covers(&rules.rules()[*leaf])) {
            let (title, other) = (&rule.metadata.title, rule.log_source().map(ToString::to_string));
            let other = other.map(|other| format!(", which is {other}")).unwrap_or_default();
            let message =
                format!("the filter changes nothing in {title}: its log source {source} is not that rule's{other}");
            messages.warn("filters_nothing", &message);
        }
    }
}

/// Search identifiers that the condition does not name.
fn unused_parts(detection: &Detection, messages: &mut Messages<'_>) {
    let words: Vec<&str> = detection.condition.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')')).collect();
    let is_used = |name: &str| {
        words.iter().any(|word| {
            *word == name
                || (word.eq_ignore_ascii_case("them") && !name.starts_with('_'))
                || (word.contains(['*', '?']) && Pattern::parse(word).matches(name))
        })
    };
    for (name, _) in detection.searches.iter().filter(|(name, _)| !is_used(name)) {
        messages.warn("unused_part", &format!("the condition does not use {name:?}"));
    }
}

/// Every test against every place where the rule's log source lies. What is wrong in one place and right in another is
/// no fault of the rule.
fn fields(
    source: &LogSource,
    expression: &Expression,
    taxonomy: &Taxonomy,
    catalog: &TableCatalog,
    messages: &mut Messages<'_>,
) {
    let targets = taxonomy.targets(source).unwrap_or_default();
    let mut tests = Vec::new();
    collect(expression, &mut tests);
    let mut faults: BTreeMap<(&'static str, String), Fault> = BTreeMap::new();
    for (place, target) in targets.iter().enumerate() {
        let schema = schema_of(&target.table, catalog);
        let resolver = Resolver { schema: &schema, target, taxonomy };
        for test in &tests {
            let Field::Named(name) = &test.field else { continue };
            let slot = resolver.resolve(&test.field);
            if is_unknown(&slot, &resolver) {
                let key = (UNKNOWN_FIELD, name.to_string());
                faults.entry(key).or_insert_with(|| unknown_field(name, &resolver)).places.insert(place);
            }
            let typed = slot.columns.first().filter(|column| column.path.is_empty());
            let Some((column, column_type)) = typed.and_then(|c| Some((&c.name, c.column_type?))) else { continue };
            if let Some(message) = type_fault(name, column, column_type, &test.matcher) {
                let key = ("type_mismatch", format!("{name} {}", test.matcher.describe()));
                let fault = || Fault { severity: Severity::Warning, message, places: BTreeSet::new() };
                faults.entry(key).or_insert_with(fault).places.insert(place);
            }
        }
    }
    for ((code, _), fault) in faults.iter().filter(|(_, fault)| fault.places.len() == targets.len()) {
        messages.push(fault.severity, code, &fault.message);
    }
}

/// The fields by which a correlation groups and that it compares, in the events of every rule below it.
fn compared_fields(rules: &CompiledRules, taxonomy: &Taxonomy, catalog: &TableCatalog, messages: &mut Messages<'_>) {
    let resolved = rules.correlations();
    let own = |plan: &&Plan| rules.rules()[plan.rule].metadata.id == messages.rule.metadata.id;
    let Some(plan) = resolved.plans.iter().find(own) else { return };
    let numeric =
        matches!(plan.definition.kind, Kind::ValueSum { .. } | Kind::ValueAvg { .. } | Kind::ValuePercentile { .. });
    let mut known: BTreeSet<(usize, &str)> = BTreeSet::new();
    for (leaf, places) in plan.inputs.iter().flatten() {
        let Body::Detection(detection) = &rules.rules()[*leaf].body else { continue };
        let Some(names) = resolved.leaves.get(leaf).map(|leaf| &leaf.fields) else { continue };
        let of_rule = format!("in the events of {}, ", rules.rules()[*leaf].metadata.title);
        let grouped = places.group.iter().map(|at| (at, false));
        for (at, is_number) in grouped.chain(places.values.iter().map(|at| (at, numeric))) {
            let name = names[*at].as_str();
            if !known.insert((*leaf, name)) {
                continue;
            }
            let mut faults = Vec::new();
            for target in taxonomy.targets(&detection.log_source).unwrap_or_default() {
                let schema = schema_of(&target.table, catalog);
                let resolver = Resolver { schema: &schema, target: &target, taxonomy };
                let slot = resolver.resolve(&Field::named(name));
                faults.push(match is_unknown(&slot, &resolver) {
                    true => Some((UNKNOWN_FIELD, unknown_field(name, &resolver))),
                    false => number_fault(name, &slot).filter(|_| is_number).map(|fault| ("type_mismatch", fault)),
                });
            }
            // What is wrong in one place and right in another is no fault of the rule.
            if let Some(Some((code, fault))) = faults.iter().find(|_| faults.iter().all(Option::is_some)) {
                messages.push(fault.severity, code, &format!("{of_rule}{}", fault.message));
            }
        }
    }
}

/// Why a field has no numbers.
fn number_fault(name: &str, slot: &Slot) -> Option<Fault> {
    let column = slot.columns.first().filter(|column| column.path.is_empty())?;
    let column_type = column.column_type?;
    let message = format!("{name} is to be a number, but the column {} is of type {}", column.name, column_type.name());
    let fault = Fault { severity: Severity::Warning, message, places: BTreeSet::new() };
    matches!(column_type, ColumnType::Bool | ColumnType::DateTime).then_some(fault)
}

/// What is wrong with a field, and in which of the places.
struct Fault {
    severity: Severity,
    message: String,
    places: BTreeSet<usize>,
}

fn collect<'e>(expression: &'e Expression, tests: &mut Vec<&'e Test>) {
    match expression {
        Expression::Constant(_) => {}
        Expression::Test(test) => tests.push(test),
        Expression::Not(inner) => collect(inner, tests),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().for_each(|part| collect(part, tests)),
    }
}

/// Whether no column holds a field, and nothing says that it comes without one.
fn is_unknown(slot: &Slot, resolver: &Resolver<'_>) -> bool {
    slot.columns.is_empty() && slot.hiding.is_none() && !resolver.schema.name().is_custom()
}

fn unknown_field(name: &str, resolver: &Resolver<'_>) -> Fault {
    let table = resolver.schema.name();
    let columns = resolver.schema.columns().iter().map(|column: &Column| &*column.name);
    let aliases = resolver.taxonomy.table_fields(table.as_str()).into_iter().flat_map(BTreeMap::keys);
    let known = columns.chain(aliases.chain(resolver.target.fields.keys()).map(String::as_str));
    let place = format!("{table} has no column for {name:?}; it is looked for among the fields without one (_Extra)");
    let (severity, message) = match nearest::nearest(name, known) {
        Some(meant) => (Severity::Warning, format!("{place}; did you mean {meant:?}?")),
        None => (Severity::Note, place),
    };
    Fault { severity, message, places: BTreeSet::new() }
}

/// Why no value of a column's type can meet a test. A value that does not fit its column is kept beside it and may.
fn type_fault(name: &str, column: &str, column_type: ColumnType, matcher: &Matcher) -> Option<String> {
    let is_number = matches!(column_type, ColumnType::Int | ColumnType::Long | ColumnType::Real | ColumnType::Decimal);
    let holds_never = match matcher {
        Matcher::Text { pattern, .. } if matches!(column_type, ColumnType::Int | ColumnType::Long) => {
            !literals_are(pattern, |c| c.is_ascii_digit() || c == '-')
        }
        Matcher::Text { pattern, .. } if is_number => {
            !literals_are(pattern, |c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E'))
        }
        Matcher::Text { pattern, .. } if column_type == ColumnType::Bool => {
            ["true", "false"].iter().all(|value| !pattern.folded().matches(value))
        }
        Matcher::Cidr(_) => is_number || matches!(column_type, ColumnType::Bool | ColumnType::DateTime),
        Matcher::Number(..) => matches!(column_type, ColumnType::Bool | ColumnType::DateTime),
        Matcher::Time(..) => is_number || column_type == ColumnType::Bool,
        _ => false,
    };
    let kind = column_type.name();
    let test = matcher.describe();
    let message = || format!("{name} {test}, but the column {column} is of type {kind}: no value of that type does");
    holds_never.then(message)
}

fn literals_are(pattern: &Pattern, allowed: impl Fn(char) -> bool) -> bool {
    pattern.pieces().iter().all(|piece| match piece {
        Piece::Literal(text) => text.chars().all(&allowed),
        Piece::One | Piece::Many => true,
    })
}
