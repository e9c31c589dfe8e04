//! Where the data of a log source lies: tables, the rows of them, and the names of the fields there.
//!
//! The built-in file is `content/sigma/taxonomy.toml`; that of an installation adds to it, and replaces what it names
//! again ([`Taxonomy::built_in_and`]). A log source that neither names has no table, and its rules are reported, never run
//! on data they were not written for.

use std::collections::{BTreeMap, BTreeSet};

use moneta_base::TableName;
use moneta_event::TableCatalog;
use serde::Deserialize;

use crate::error::Error;
use crate::ir::LogSource;
use crate::nearest;

const BUILT_IN: &str = include_str!("../../../content/sigma/taxonomy.toml");

/// The map from log sources to tables.
#[derive(Debug, Clone, Default)]
pub struct Taxonomy {
    targets: BTreeMap<LogSource, Vec<Target>>,
    table_fields: BTreeMap<String, FieldNames>,
    /// Taxonomies of rules whose names it knows, beside Sigma's own. Lower case.
    names: BTreeSet<String>,
}

/// The taxonomy that rules are written in unless they say another.
const SIGMA: &str = "sigma";

/// Names a rule may use for a field, in lower case, and what the table calls it, in the order to try.
pub type FieldNames = BTreeMap<String, Vec<String>>;

/// One table that holds data of a log source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The table.
    pub table: TableName,
    /// The rows: every column must have one of its values.
    pub rows: Vec<RowCondition>,
    /// Names of fields that differ here from the rule's.
    pub fields: FieldNames,
}

/// A column and the values that rows of a log source have in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowCondition {
    /// The column.
    pub column: String,
    /// Sigma patterns, any of which the value must match.
    pub values: Vec<String>,
}

impl Taxonomy {
    /// The taxonomy compiled in.
    ///
    /// # Panics
    /// When the file compiled in is malformed, which a test excludes.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the compiled-in taxonomy is checked by a test")
    }

    /// Reads a taxonomy file.
    ///
    /// # Errors
    /// [`Error::Taxonomy`] when it is not TOML of the documented form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: File = toml::from_str(text).map_err(|error| Error::Taxonomy(error.to_string()))?;
        let names = file.names.iter().map(|name| name.to_lowercase()).collect();
        let mut taxonomy = Self { names, ..Self::default() };
        for (table, fields) in file.table {
            taxonomy.table_fields.insert(table, field_names(fields.fields));
        }
        for entry in file.log_source {
            let targets: Result<Vec<_>, _> = entry.targets.into_iter().map(Target::new).collect();
            let source = LogSource { product: entry.product, category: entry.category, service: entry.service };
            if taxonomy.targets.insert(source.clone(), targets?).is_some() {
                return Err(Error::Taxonomy(format!("the log source {source} is there twice")));
            }
        }
        Ok(taxonomy)
    }

    /// The built-in taxonomy with what an installation adds: a log source that its file names is as the file says, and
    /// so is a table's name for a field.
    ///
    /// # Errors
    /// [`Error::Taxonomy`] as [`Taxonomy::parse`], and when the file names a table or a column that is not in the catalog.
    ///
    /// # Panics
    /// As [`Taxonomy::built_in`].
    pub fn built_in_and(text: &str, catalog: &TableCatalog) -> Result<Self, Error> {
        let own = Self::parse(text)?;
        own.check(catalog)?;
        let mut both = Self::built_in();
        both.targets.extend(own.targets);
        both.names.extend(own.names);
        for (table, fields) in own.table_fields {
            both.table_fields.entry(table).or_default().extend(fields);
        }
        Ok(both)
    }

    /// Whether rules of a taxonomy of that name can be read: of none, of Sigma's own, of one that the file names.
    #[must_use]
    pub fn is_called(&self, name: &str) -> bool {
        name.is_empty() || name.eq_ignore_ascii_case(SIGMA) || self.names.contains(&name.to_lowercase())
    }

    /// Tables and columns that are not there. The user's own tables come with their data.
    fn check(&self, catalog: &TableCatalog) -> Result<(), Error> {
        let schema = |key: &str, table: &str| match catalog.get(table) {
            None if TableName::new(table).is_ok_and(|name| name.is_custom()) => Ok(None),
            None => {
                let hint = nearest::hint(table, catalog.iter().map(|schema| schema.name().to_string()));
                Err(Error::Taxonomy(format!("{key}: there is no table {table:?}; {hint}")))
            }
            found => Ok(found),
        };
        for table in self.table_fields.keys() {
            schema("table", table)?;
        }
        for (source, target) in
            self.targets.iter().flat_map(|(source, targets)| targets.iter().map(move |one| (source, one)))
        {
            let key = format!("log_source {source}");
            let Some(schema) = schema(&format!("{key}: targets.table"), target.table.as_str())? else { continue };
            let missing = target.rows.iter().find(|row| schema.column(&row.column).is_none());
            if let Some(RowCondition { column, .. }) = missing {
                let columns = schema.columns().iter().map(|column| column.name.to_string());
                let hint = nearest::hint(column, columns);
                let message = format!("{key}: targets.when: {} has no column {column:?}; {hint}", target.table);
                return Err(Error::Taxonomy(message));
            }
        }
        Ok(())
    }

    /// The tables of a log source; `None` when there is none.
    ///
    /// A source that the file does not name is made of those it does: one that says less (only a category) is all
    /// sources that say the same and more; one that says more (category and service) is what the sources for its parts
    /// have in common.
    #[must_use]
    pub fn targets(&self, source: &LogSource) -> Option<Vec<Target>> {
        if let Some(targets) = self.targets.get(source) {
            return Some(targets.clone());
        }
        if *source == LogSource::default() {
            return None;
        }
        let mut found: Vec<Target> = Vec::new();
        let wider = self.targets.iter().filter(|(known, _)| source.covers(known));
        for target in wider.flat_map(|(_, targets)| targets) {
            if !found.contains(target) {
                found.push(target.clone());
            }
        }
        if found.is_empty() {
            found = self.common_targets(source);
        }
        (!found.is_empty()).then_some(found)
    }

    /// Targets that two sources, each naming two parts of this one, share: rows that meet the conditions of both.
    fn common_targets(&self, source: &LogSource) -> Vec<Target> {
        let of_parts = |product: bool, category: bool, service: bool| {
            let part = |kept: bool, text: &String| if kept { text.clone() } else { String::new() };
            self.targets.get(&LogSource {
                product: part(product, &source.product),
                category: part(category, &source.category),
                service: part(service, &source.service),
            })
        };
        let pairs = [
            (of_parts(true, true, false), of_parts(true, false, true)),
            (of_parts(true, true, false), of_parts(false, true, true)),
            (of_parts(true, false, true), of_parts(false, true, true)),
        ];
        let Some((left, right)) = pairs.into_iter().find_map(|(a, b)| Some((a?, b?))) else { return Vec::new() };
        let mut found = Vec::new();
        for one in left {
            for other in right.iter().filter(|other| other.table == one.table) {
                let mut target = one.clone();
                target.rows.extend(other.rows.iter().cloned());
                other.fields.iter().for_each(|(name, columns)| {
                    target.fields.entry(name.clone()).or_insert_with(|| columns.clone());
                });
                found.push(target);
            }
        }
        found
    }

    /// The known log source that was probably meant.
    #[must_use]
    pub fn nearest(&self, source: &LogSource) -> Option<String> {
        let known: Vec<String> = self.targets.keys().map(LogSource::to_string).collect();
        nearest::nearest(&source.to_string(), known.iter().map(String::as_str)).map(str::to_owned)
    }

    /// Other names of a table's columns, whatever the log source.
    #[must_use]
    pub fn table_fields(&self, table: &str) -> Option<&FieldNames> {
        self.table_fields.get(table)
    }

    /// All log sources that have a table.
    pub fn log_sources(&self) -> impl Iterator<Item = (&LogSource, &[Target])> {
        self.targets.iter().map(|(source, targets)| (source, targets.as_slice()))
    }
}

impl Target {
    fn new(entry: TargetEntry) -> Result<Self, Error> {
        let table = TableName::new(&entry.table).map_err(|error| Error::Taxonomy(error.to_string()))?;
        let rows = entry
            .when
            .into_iter()
            .map(|(column, values)| RowCondition { column, values: values.into_texts() })
            .collect();
        Ok(Self { table, rows, fields: field_names(entry.fields) })
    }
}

fn field_names(fields: BTreeMap<String, OneOrMany>) -> FieldNames {
    fields.into_iter().map(|(name, targets)| (name.to_lowercase(), targets.into_texts())).collect()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    table: BTreeMap<String, TableEntry>,
    #[serde(default)]
    log_source: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableEntry {
    fields: BTreeMap<String, OneOrMany>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    product: String,
    #[serde(default)]
    category: String,
    #[serde(default)]
    service: String,
    targets: Vec<TargetEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TargetEntry {
    table: String,
    #[serde(default)]
    when: BTreeMap<String, OneOrMany>,
    #[serde(default)]
    fields: BTreeMap<String, OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(Word),
    Many(Vec<Word>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Word {
    Text(String),
    Number(i64),
}

impl OneOrMany {
    fn into_texts(self) -> Vec<String> {
        let text = |word| match word {
            Word::Text(text) => text,
            Word::Number(number) => number.to_string(),
        };
        match self {
            Self::One(word) => vec![text(word)],
            Self::Many(words) => words.into_iter().map(text).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fields that sources send and tables have no column for.
    const EXTRA_ONLY: [&str; 15] = [
        "ThreatName",
        "Name",
        "FTNTFGTaction",
        "FTNTFGTcfgpath",
        "FTNTFGTcfgattr",
        "FTNTFGTcfgobj",
        "FTNTFGTuser",
        "FTNTFGTui",
        "cfgpath",
        "cfgattr",
        "cfgobj",
        "ui",
        "QueryType",
        "QueryResults",
        "QueryName",
    ];

    fn source(product: &str, category: &str, service: &str) -> LogSource {
        LogSource { product: product.into(), category: category.into(), service: service.into() }
    }

    #[test]
    fn a_source_that_says_less_is_all_that_say_more_and_one_that_says_more_is_what_they_share() {
        let taxonomy = Taxonomy::built_in();
        let tables = |targets: &[Target]| targets.iter().map(|t| t.table.to_string()).collect::<Vec<_>>();
        let processes = taxonomy.targets(&source("", "process_creation", "")).unwrap();
        assert!(processes.iter().any(|t| t.rows.iter().any(|row| row.values == ["Linux-Sysmon"])));
        assert!(tables(&processes).contains(&"SecurityEvent".to_owned()));
        let security = taxonomy.targets(&source("windows", "process_creation", "security")).unwrap();
        assert_eq!(tables(&security), ["SecurityEvent"]);
        let sysmon = taxonomy.targets(&source("windows", "process_creation", "sysmon")).unwrap();
        assert_eq!(tables(&sysmon), ["Event"]);
        assert!(taxonomy.targets(&source("windows", "process_creation", "nowhere")).is_none());
        assert!(taxonomy.targets(&source("", "", "")).is_none());
        assert_eq!(taxonomy.nearest(&source("windows", "proces_creation", "")).unwrap(), "windows/process_creation");
    }

    #[test]
    fn every_table_and_row_condition_of_the_built_in_file_exists() {
        let catalog = TableCatalog::built_in();
        let taxonomy = Taxonomy::built_in();
        for (source, targets) in taxonomy.log_sources() {
            for target in targets {
                let schema = catalog.get(target.table.as_str());
                assert!(schema.is_some() || target.table.is_custom(), "{source}: {}", target.table);
                let Some(schema) = schema else { continue };
                for condition in &target.rows {
                    assert!(schema.column(&condition.column).is_some(), "{source}: {}", condition.column);
                }
                for name in target.fields.values().flatten() {
                    let base = name.split('.').next().unwrap();
                    // Fields that a table has no column for stand in `_Extra`.
                    let known =
                        schema.column(base).is_some() || schema.name().is_custom() || EXTRA_ONLY.contains(&base);
                    assert!(known, "{source}: {name}");
                }
            }
        }
        for (table, fields) in &taxonomy.table_fields {
            let schema = catalog.get(table).unwrap();
            for name in fields.values().flatten().filter(|name| !name.starts_with("_Extra.")) {
                assert!(schema.column(name.split('.').next().unwrap()).is_some(), "{table}: {name}");
            }
        }
    }

    #[test]
    fn a_file_of_ones_own_adds_to_the_built_in_one_and_replaces_what_it_names() {
        let catalog = TableCatalog::built_in();
        let own = "names = [\"ECS\"]\n[table.Event.fields]\n\"process.name\" = \"Image\"\n[[log_source]]\nproduct = \"shop\"\ntargets = [{ table = \"Shop_CL\" }]\n[[log_source]]\nproduct = \"windows\"\nservice = \"system\"\ntargets = [{ table = \"Mine_CL\" }]\n";
        let taxonomy = Taxonomy::built_in_and(own, &catalog).unwrap();
        let table = |of: &LogSource| taxonomy.targets(of).unwrap()[0].table.to_string();
        assert_eq!(table(&source("shop", "", "")), "Shop_CL");
        assert_eq!(table(&source("windows", "", "system")), "Mine_CL");
        assert_eq!(
            taxonomy.targets(&source("windows", "", "security")),
            Taxonomy::built_in().targets(&source("windows", "", "security"))
        );
        let fields = taxonomy.table_fields("Event").unwrap();
        assert!(fields.contains_key("process.name") && fields.contains_key("provider_name"));
        assert!(taxonomy.is_called("ecs") && !Taxonomy::built_in().is_called("ecs"));
        for (own, part) in [
            (
                "[[log_source]]\nproduct = \"x\"\ntargets = [{ table = \"Evnt\" }]\n",
                "log_source x: targets.table: there is no table \"Evnt\"; did you mean \"Event\"?",
            ),
            (
                "[[log_source]]\nproduct = \"x\"\ntargets = [{ table = \"Event\", when = { EventLgo = \"a\" } }]\n",
                "targets.when: Event has no column \"EventLgo\"; did you mean \"EventLog\"?",
            ),
            ("[table.Evnt.fields]\na = \"b\"\n", "table: there is no table \"Evnt\""),
        ] {
            let error = Taxonomy::built_in_and(own, &catalog).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn a_malformed_file_is_refused_with_its_line() {
        let error = Taxonomy::parse("[[log_source]]\nproduct = \"x\"\ntargts = []").unwrap_err();
        assert!(error.to_string().contains("targts"), "{error}");
        let twice = "[[log_source]]\ntargets = []\n[[log_source]]\ntargets = []\n";
        assert!(Taxonomy::parse(twice).unwrap_err().to_string().contains("twice"));
    }
}
