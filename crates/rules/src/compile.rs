//! All rules together, compiled: the value that is swapped when rules change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::TableName;
use moneta_event::{TableCatalog, TableSchema};

use crate::error::{Error, NotLoaded};
use crate::fields::Resolver;
use crate::ir::Rule;
use crate::matcher::{BlockView, Evaluation};
use crate::plan::{PlanBuilder, TablePlan};
use crate::reference::{RegexCache, RowView};
use crate::taxonomy::Taxonomy;

/// A set of rules, ready to match. Immutable: share it in an `Arc`, replace it whole.
#[derive(Debug, Default)]
pub struct CompiledRules {
    rules: Vec<Arc<Rule>>,
    tables: HashMap<TableName, TablePlan>,
}

/// A rule and the rows that meet it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleMatch {
    /// Index of the rule in [`CompiledRules::rules`].
    pub rule: usize,
    /// The rows, ascending.
    pub rows: Vec<u32>,
}

impl CompiledRules {
    /// Compiles rules for the tables their log sources lie in. Rules without a table, and rules whose id is taken, are
    /// returned with the reason.
    #[must_use]
    pub fn compile(rules: Vec<Rule>, taxonomy: &Taxonomy, catalog: &TableCatalog) -> (Self, Vec<NotLoaded>) {
        let mut not_loaded = Vec::new();
        let mut loaded: Vec<Arc<Rule>> = Vec::new();
        let mut builders: BTreeMap<TableName, PlanBuilder> = BTreeMap::new();
        let mut schemas: HashMap<TableName, Arc<TableSchema>> = HashMap::new();
        let mut ids = HashSet::new();
        for rule in rules {
            let mut refuse = |error| {
                not_loaded.push(NotLoaded {
                    file: rule.file.to_string(),
                    rule_id: rule.metadata.id.to_string(),
                    title: rule.metadata.title.clone(),
                    error,
                });
            };
            let Some(targets) = taxonomy.targets(&rule.log_source).filter(|targets| !targets.is_empty()) else {
                refuse(Error::NoTable(rule.log_source.to_string()));
                continue;
            };
            if !ids.insert(rule.metadata.id.clone()) {
                refuse(Error::rule(rule.line, "another rule has the same id; give each rule its own"));
                continue;
            }
            for target in targets {
                let schema = schemas.entry(target.table.clone()).or_insert_with(|| schema_of(&target.table, catalog));
                let resolver = Resolver { schema, target, taxonomy };
                builders.entry(target.table.clone()).or_default().add(loaded.len(), &rule.expression, &resolver);
            }
            loaded.push(Arc::new(rule));
        }
        let tables = builders.into_iter().map(|(table, builder)| (table, builder.build())).collect();
        (Self { rules: loaded, tables }, not_loaded)
    }

    /// The rules, in the order given.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Tables that some rule looks at.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }

    /// The rules that hold in a batch, in order of rule.
    ///
    /// # Shapes
    /// `rows`: rows of `table` as [`ParsedBatch`](moneta_event::ParsedBatch) describes. Rows of a match count from the
    /// first of the batch.
    #[must_use]
    pub fn match_batch(&self, table: &TableName, rows: &RecordBatch) -> Vec<RuleMatch> {
        let Some(plan) = self.tables.get(table).filter(|_| rows.num_rows() > 0) else { return Vec::new() };
        let view = BlockView::new(rows);
        let matches = Evaluation::new(plan, &view).run();
        matches.into_iter().map(|(rule, rows)| RuleMatch { rule, rows: rows.iter().collect() }).collect()
    }

    /// Explains matches of a batch.
    #[must_use]
    pub fn explainer<'a>(&'a self, table: &TableName, rows: &'a RecordBatch) -> Explainer<'a> {
        Explainer {
            rules: &self.rules,
            plan: self.tables.get(table),
            view: BlockView::new(rows),
            regexes: RegexCache::default(),
        }
    }
}

/// Says which values of a row met the conditions of a rule.
pub struct Explainer<'a> {
    rules: &'a [Arc<Rule>],
    plan: Option<&'a TablePlan>,
    view: BlockView<'a>,
    regexes: RegexCache,
}

impl<'a> Explainer<'a> {
    /// Fields, by the rule's names, and the values that met its tests. Empty when the rule does not hold there.
    #[must_use]
    pub fn explain(&self, rule: usize, row: u32) -> Vec<(String, String)> {
        self.row_views(rule, row)
            .find(|view| view.holds(&self.rules[rule].expression))
            .map(|view| view.evidence(&self.rules[rule].expression))
            .unwrap_or_default()
    }

    /// Whether the rule's expression holds in a row, computed the plain way. Row conditions of the log source are not
    /// looked at.
    #[must_use]
    pub fn holds(&self, rule: usize, row: u32) -> bool {
        self.row_views(rule, row).any(|view| view.holds(&self.rules[rule].expression))
    }

    fn row_views<'s>(&'s self, rule: usize, row: u32) -> impl Iterator<Item = RowView<'s, 'a>> {
        self.plan.into_iter().flat_map(move |plan| {
            let targets = plan.targets.iter().filter(move |target| target.rule == rule);
            targets.map(move |target| RowView {
                plan,
                target,
                view: &self.view,
                row: row as usize,
                regexes: &self.regexes,
            })
        })
    }
}

fn schema_of(table: &TableName, catalog: &TableCatalog) -> Arc<TableSchema> {
    catalog.get(table.as_str()).cloned().unwrap_or_else(|| Arc::new(TableSchema::custom(table.clone())))
}
