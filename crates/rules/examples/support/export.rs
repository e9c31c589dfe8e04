//! Rows as events that another Sigma engine can read: their fields by their own names and by those that rules use.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int32Type, Int64Type};
use arrow::util::display::array_value_to_string;
use moneta_base::TableName;
use moneta_event::TableCatalog;
use moneta_event::schema::standard;
use moneta_rules::ir::{Body, Expression, Field, LogSource, Matcher};
use moneta_rules::{CompiledRules, Explainer, Rule, Taxonomy, parse_file};
use serde_json::{Map, Value};

/// Columns that say how a row came, not what it says.
const NOT_FIELDS: [&str; 8] = [
    standard::TENANT_ID,
    standard::TYPE,
    standard::SOURCE,
    standard::CLASS,
    standard::DELIVERY,
    standard::EXTRA,
    standard::TIME_GENERATED,
    standard::RAW,
];

/// A log source: the rules for it, and all fields they name.
#[derive(Default)]
pub struct Source {
    pub rules: Vec<String>,
    pub fields: BTreeSet<String>,
}

/// What is gathered over all events.
#[derive(Default)]
pub struct Export {
    /// The numbers of log sources that events have together, and the number of that class.
    classes: BTreeMap<Vec<usize>, usize>,
    /// Fields that two log sources of one event see differently.
    pub conflicts: BTreeMap<String, usize>,
}

impl Export {
    /// The number of the class of events that are of these log sources.
    pub fn class(&mut self, sources: Vec<usize>) -> usize {
        let next = self.classes.len();
        *self.classes.entry(sources).or_insert(next)
    }

    /// Per class, the ids of the rules for it.
    pub fn rules<'a>(&self, list: &[&'a Source]) -> Vec<BTreeSet<&'a str>> {
        let mut classes: Vec<BTreeSet<&str>> = vec![BTreeSet::new(); self.classes.len()];
        for (sources, class) in &self.classes {
            let ids = sources.iter().flat_map(|source| &list[*source].rules);
            classes[*class] = ids.map(String::as_str).collect();
        }
        classes
    }
}

/// Per row the log sources it is of, by number.
pub fn sources_of_rows(probes: &CompiledRules, table: &TableName, rows: &RecordBatch) -> Vec<Vec<usize>> {
    let mut sources: Vec<Vec<usize>> = vec![Vec::new(); rows.num_rows()];
    for found in probes.match_batch(table, rows) {
        found.rows.iter().for_each(|row| sources[*row as usize].push(found.rule));
    }
    sources
}

/// Rules over single events by log source.
pub fn sources<'a>(rules: impl Iterator<Item = &'a Rule>) -> BTreeMap<LogSource, Source> {
    let mut sources: BTreeMap<LogSource, Source> = BTreeMap::new();
    for rule in rules {
        let Body::Detection(detection) = &rule.body else { continue };
        let source = sources.entry(detection.log_source.clone()).or_default();
        source.rules.push(rule.metadata.id.to_string());
        fields_of(&detection.expression, &mut source.fields);
    }
    sources
}

/// Adds the fields that an expression names.
pub fn fields_of(expression: &Expression, fields: &mut BTreeSet<String>) {
    match expression {
        Expression::Constant(_) => {}
        Expression::Not(inner) => fields_of(inner, fields),
        Expression::All(parts) | Expression::Any(parts) => parts.iter().for_each(|part| fields_of(part, fields)),
        Expression::Test(test) => {
            if let Field::Named(name) = &test.field {
                fields.insert(name.to_string());
            }
            if let Matcher::Other { field, .. } = &test.matcher {
                fields.insert(field.to_string());
            }
        }
    }
}

/// Per log source a rule that every event of it meets, and that names all the fields.
pub fn probes(sources: &BTreeMap<LogSource, Source>) -> CompiledRules {
    let mut text = String::new();
    for (source, Source { fields, .. }) in sources {
        let parts = [("product", &source.product), ("category", &source.category), ("service", &source.service)];
        let parts = parts.iter().filter(|(_, value)| !value.is_empty());
        let log_source: String = parts.map(|(name, value)| format!("  {name}: '{value}'\n")).collect();
        let named: String = fields.iter().map(|field| format!("    '{field}|exists': true\n")).collect();
        let all = "  s:\n    no-such-field: null\n";
        let rest = if named.is_empty() { String::new() } else { format!("  t:\n{named}") };
        let condition = if named.is_empty() { "s" } else { "s or t" };
        text += &format!(
            "---\ntitle: x\nid: '{source}'\nlogsource:\n{log_source}detection:\n{all}{rest}  condition: {condition}\n"
        );
    }
    let parsed = parse_file("probes", &text);
    assert!(parsed.not_loaded.is_empty(), "{:?}", parsed.not_loaded);
    CompiledRules::compile(parsed.rules, &Taxonomy::built_in(), &TableCatalog::built_in()).0
}

/// The event of a row that is of some log sources.
pub fn event(
    rows: &RecordBatch,
    row: usize,
    sources: &[usize],
    list: &[&Source],
    explainer: &Explainer<'_>,
    export: &mut Export,
) -> Map<String, Value> {
    let mut event = columns(rows, row);
    let mut seen: BTreeMap<&str, Value> = BTreeMap::new();
    for source in sources {
        let names: Vec<String> = list[*source].fields.iter().cloned().collect();
        let values = explainer.values(*source, u32::try_from(row).unwrap(), &names);
        for (name, texts) in list[*source].fields.iter().zip(values) {
            let value = match texts.len() {
                0 => Value::Null,
                1 => Value::from(texts[0].as_str()),
                _ => Value::from(texts),
            };
            if seen.insert(name, value.clone()).is_some_and(|before| before != value) {
                *export.conflicts.entry(name.clone()).or_default() += 1;
            }
        }
    }
    for (name, value) in seen {
        let known = event.get(name).map(|known| known.as_str().map_or_else(|| known.to_string(), str::to_owned));
        if value.is_null() {
            event.remove(name);
        } else if known.as_deref() != value.as_str() {
            event.insert(name.to_owned(), value);
        }
    }
    event
}

/// What the row says, by the names of columns and of fields that have none.
fn columns(rows: &RecordBatch, row: usize) -> Map<String, Value> {
    let mut event = Map::new();
    for (index, field) in rows.schema().fields().iter().enumerate() {
        let array = rows.column(index);
        if NOT_FIELDS.contains(&field.name().as_str()) || array.is_null(row) {
            continue;
        }
        let value = match array.data_type() {
            DataType::Int32 => Value::from(array.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => Value::from(array.as_primitive::<Int64Type>().value(row)),
            _ => Value::from(array_value_to_string(array, row).unwrap()),
        };
        if value.as_str() != Some("") {
            event.insert(field.name().clone(), value);
        }
    }
    let extra = rows.column_by_name(standard::EXTRA).and_then(|c| c.as_string_opt::<i32>());
    if let Some(Ok(extra)) = extra.filter(|e| e.is_valid(row)).map(|e| serde_json::from_str(e.value(row))) {
        let extra: Map<String, Value> = extra;
        extra.into_iter().for_each(|(name, value)| _ = event.entry(name).or_insert(value));
    }
    event
}
