//! All rules together, compiled: the value that is swapped when rules change.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use moneta_base::{RuleId, TableName};
use moneta_event::{TableCatalog, TableSchema};

use crate::correlation;
use crate::error::{Error, NotLoaded};
use crate::fields::Resolver;
use crate::ir::{Body, Detection, Expression, Field, Rule};
use crate::matcher::{BlockView, Evaluation};
use crate::plan::{PlanBuilder, TablePlan};
use crate::reference::{RegexCache, RowView};
use crate::taxonomy::{Target, Taxonomy};

/// A set of rules, ready to match. Immutable: share it in an `Arc`, replace it whole.
#[derive(Debug, Default)]
pub struct CompiledRules {
    rules: Vec<Arc<Rule>>,
    tables: HashMap<TableName, TablePlan>,
    correlations: correlation::Resolved,
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
    /// Compiles rules for the tables their log sources lie in. Rules without a table, rules whose id is taken, and
    /// correlations over rules that are not there are returned with the reason.
    #[must_use]
    pub fn compile(rules: Vec<Rule>, taxonomy: &Taxonomy, catalog: &TableCatalog) -> (Self, Vec<NotLoaded>) {
        let mut sorted = Sorted::default();
        rules.into_iter().for_each(|rule| sorted.take(rule, taxonomy));
        let Sorted { mut detections, targets, filters, correlations, mut not_loaded, .. } = sorted;
        detections.iter_mut().for_each(|rule| narrow(rule, &filters));
        let borrowed: Vec<&Rule> = detections.iter().collect();
        let (mut resolved, order, refused) = correlation::resolve(&borrowed, &correlations);
        not_loaded.extend(refused.into_iter().map(|(index, error)| not_loaded_rule(&correlations[index], error)));
        resolved.narrow(&detections, &correlations, &filters);
        let first_correlation = detections.len() + filters.len();
        resolved.renumber(|candidate| {
            first_correlation + order.iter().position(|known| *known == candidate).unwrap_or_default()
        });
        let tables = plans(&detections, &targets, &resolved, taxonomy, catalog);
        let mut correlations: Vec<Option<Rule>> = correlations.into_iter().map(Some).collect();
        let correlations: Vec<Rule> = order.iter().filter_map(|index| correlations[*index].take()).collect();
        let rules = detections.into_iter().chain(filters).chain(correlations).map(Arc::new).collect();
        (Self { rules, tables, correlations: resolved }, not_loaded)
    }

    /// The rules: those over single events in the order given, then filters, then correlations.
    #[must_use]
    pub fn rules(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// Whether matches of a rule over single events are alerts by themselves: no correlation refers to it, or one that
    /// says so (`generate`).
    #[must_use]
    pub fn alerts_alone(&self, rule: usize) -> bool {
        self.correlations.leaves.get(&rule).is_none_or(|leaf| leaf.generates)
    }

    /// Whether some rule looks at several events.
    #[must_use]
    pub fn has_correlations(&self) -> bool {
        !self.correlations.plans.is_empty()
    }

    /// The correlations that cannot run without a rule: those over it, and those over these.
    #[must_use]
    pub fn dependents(&self, rule_id: &RuleId) -> Vec<&Arc<Rule>> {
        let mut without: Vec<&Arc<Rule>> = self.rules.iter().filter(|rule| rule.metadata.id == *rule_id).collect();
        let mut at = 0;
        while let Some(rule) = without.get(at).copied() {
            let over = |plan: &&correlation::Plan| plan.definition.rules.iter().any(|name| rule.is_called(name));
            for above in self.correlations.plans.iter().filter(over).map(|plan| &self.rules[plan.rule]) {
                if !without.iter().any(|known| Arc::ptr_eq(known, above)) {
                    without.push(above);
                }
            }
            at += 1;
        }
        without.drain(..1.min(without.len()));
        without
    }

    /// Rules that are looked at for every row of their log source, because no value that must be there tells where they
    /// may hold.
    pub fn rules_without_witness(&self) -> impl Iterator<Item = usize> {
        let of_plan = |plan: &'_ TablePlan| {
            let targets = plan.gates.iter().flat_map(|gate| &gate.without_witness);
            targets.map(|target| plan.targets[*target as usize].rule).collect::<Vec<usize>>()
        };
        self.tables.values().flat_map(of_plan)
    }

    pub(crate) fn correlations(&self) -> &correlation::Resolved {
        &self.correlations
    }

    /// Tables that some rule looks at.
    pub fn tables(&self) -> impl Iterator<Item = &TableName> {
        self.tables.keys()
    }

    /// The rules that hold in a batch, in order of rule, also those that raise no alerts by themselves.
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
        let Body::Detection(Detection { expression, .. }) = &self.rules[rule].body else { return Vec::new() };
        self.held(rule, row).next().map(|view| view.evidence(expression)).unwrap_or_default()
    }

    /// Whether the rule holds in a row, computed the plain way.
    #[must_use]
    pub fn holds(&self, rule: usize, row: u32) -> bool {
        self.held(rule, row).next().is_some()
    }

    /// Whether a row that the rule holds in meets other expressions too, over fields that the rule's plan knows: in one
    /// of the ways in which the rule sees it, as if they were part of its condition.
    pub(crate) fn meets(&self, rule: usize, row: u32, others: &[Expression]) -> bool {
        others.is_empty() || self.held(rule, row).any(|view| others.iter().all(|other| view.holds(other)))
    }

    /// Per field that the rule, or a correlation over it, names: its values in a row that the rule holds in.
    #[must_use]
    pub fn values(&self, rule: usize, row: u32, fields: &[String]) -> Vec<Vec<String>> {
        let view = self.held(rule, row).next();
        let texts = |field: &String| match &view {
            Some(view) => view.cell(&Field::named(field)).values().iter().map(|value| value.to_string()).collect(),
            None => Vec::new(),
        };
        fields.iter().map(texts).collect()
    }

    pub(crate) fn rules(&self) -> &[Arc<Rule>] {
        self.rules
    }

    /// The ways in which a rule sees a row that it holds in; none for rules that are no detections.
    pub(crate) fn held<'s>(&'s self, rule: usize, row: u32) -> impl Iterator<Item = RowView<'s, 'a>> {
        let expression = match &self.rules[rule].body {
            Body::Detection(Detection { expression, .. }) => Some(expression),
            _ => None,
        };
        self.row_views(rule, row).filter(move |view| view.in_source() && expression.is_some_and(|all| view.holds(all)))
    }

    pub(crate) fn row_views<'s>(&'s self, rule: usize, row: u32) -> impl Iterator<Item = RowView<'s, 'a>> {
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

/// Rules by what they do, as far as each can be used by itself.
#[derive(Default)]
struct Sorted {
    detections: Vec<Rule>,
    /// Per detection.
    targets: Vec<Vec<Target>>,
    filters: Vec<Rule>,
    correlations: Vec<Rule>,
    ids: HashSet<RuleId>,
    not_loaded: Vec<NotLoaded>,
}

impl Sorted {
    fn take(&mut self, rule: Rule, taxonomy: &Taxonomy) {
        if self.ids.contains(&rule.metadata.id) {
            let error = Error::rule(rule.line, "another rule has the same id; give each rule its own");
            self.not_loaded.push(not_loaded_rule(&rule, error));
            return;
        }
        match &rule.body {
            Body::Detection(Detection { log_source, .. }) => {
                let Some(targets) = taxonomy.targets(log_source) else {
                    let meant = taxonomy.nearest(log_source).map(|name| format!("; did you mean {name}?"));
                    let error = Error::NoTable(format!("{log_source}{}", meant.unwrap_or_default()));
                    self.not_loaded.push(not_loaded_rule(&rule, error));
                    return;
                };
                self.targets.push(targets);
                self.ids.insert(rule.metadata.id.clone());
                self.detections.push(rule);
            }
            Body::Filter(_) => {
                self.ids.insert(rule.metadata.id.clone());
                self.filters.push(rule);
            }
            Body::Correlation(_) => {
                self.ids.insert(rule.metadata.id.clone());
                self.correlations.push(rule);
            }
        }
    }
}

fn not_loaded_rule(rule: &Rule, error: Error) -> NotLoaded {
    NotLoaded {
        file: rule.file.to_string(),
        rule_id: rule.metadata.id.to_string(),
        title: rule.metadata.title.clone(),
        error,
    }
}

/// Adds the conditions of the filters that are for a rule.
fn narrow(rule: &mut Rule, filters: &[Rule]) {
    for candidate in filters {
        let Body::Filter(filter) = &candidate.body else { continue };
        let named = filter.rules.is_empty() || filter.rules.iter().any(|reference| rule.is_called(reference));
        let Body::Detection(detection) = &mut rule.body else { return };
        if named && filter.log_source.covers(&detection.log_source) {
            let before = std::mem::replace(&mut detection.expression, Expression::Constant(true));
            detection.expression = Expression::All(vec![before, filter.expression.clone()]);
        }
    }
}

/// The plan of every table that some rule looks at.
fn plans(
    detections: &[Rule],
    targets: &[Vec<Target>],
    correlations: &correlation::Resolved,
    taxonomy: &Taxonomy,
    catalog: &TableCatalog,
) -> HashMap<TableName, TablePlan> {
    let mut builders: BTreeMap<TableName, PlanBuilder> = BTreeMap::new();
    let mut schemas: HashMap<TableName, Arc<TableSchema>> = HashMap::new();
    for (index, (rule, targets)) in detections.iter().zip(targets).enumerate() {
        let Body::Detection(Detection { expression, .. }) = &rule.body else { continue };
        let leaf = correlations.leaves.get(&index);
        let named = leaf.into_iter().flat_map(|leaf| leaf.fields.iter().map(|name| Field::named(name)));
        let more_fields: Vec<Field> =
            named.chain(leaf.into_iter().flat_map(|leaf| leaf.filtered.iter().cloned())).collect();
        for target in targets {
            let schema = schemas.entry(target.table.clone()).or_insert_with(|| schema_of(&target.table, catalog));
            let resolver = Resolver { schema, target, taxonomy };
            builders.entry(target.table.clone()).or_default().add(index, expression, &more_fields, &resolver);
        }
    }
    builders.into_iter().map(|(table, builder)| (table, builder.build())).collect()
}

pub(crate) fn schema_of(table: &TableName, catalog: &TableCatalog) -> Arc<TableSchema> {
    catalog.get(table.as_str()).cloned().unwrap_or_else(|| Arc::new(TableSchema::custom(table.clone())))
}
