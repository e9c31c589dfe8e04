//! `top-nested` and `top-hitters`.
//!
//! `top-nested` groups by its first key and keeps the groups with the greatest aggregates, then goes into each of them
//! with the next key. What is left out of a level can be gathered into one row per level (`with others`); deeper keys
//! of such a row are gathered as well, or null.

use std::sync::Arc;

use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{SortDirection, TopHittersOperator, TopNestedLevel, TopNestedOperator};

use super::apply::is_hidden;
use super::filter::Filter;
use super::join::{Join, Kind};
use super::partition::is_numbered;
use super::project::Project;
use super::sort::Sort;
use super::summarize::{BoundAggregate, Summarize};
use super::union::Union;
use crate::aggregates;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode, SortKey};
use crate::functions::registry;
use crate::types;
use crate::value::Value;

/// The greatest number of levels: each reads the input once more.
const LEVELS_MAX: usize = 10;

/// One level being bound.
struct Level<'n> {
    node: &'n TopNestedLevel,
    key_name: String,
    aggregate_name: String,
    /// The key as a column of the staged input.
    key: Column,
    /// The rows and groups kept on this level, `None` for all.
    count: Option<usize>,
    /// The label of the rest.
    others: Option<ScalarExpr>,
    /// The aggregate as a column.
    aggregate: Column,
}

impl Binder<'_> {
    /// `top-nested 2 of a with others = "rest" by count(), top-nested 3 of b by sum(x)`.
    pub(crate) fn bind_top_nested(&mut self, input: Relation, node: &TopNestedOperator) -> Option<Relation> {
        if node.levels.len() > LEVELS_MAX {
            let message = format!("top-nested takes at most {LEVELS_MAX} levels");
            return self.fail(codes::LIMIT, node.span, message);
        }
        let reads_again = node.levels.len() > 1 || node.levels.iter().any(|level| level.others.is_some());
        if reads_again && is_numbered(&input.columns) {
            let message = "inside mv-apply top-nested takes one level and no `with others`; summarize and take the top";
            return self.fail(codes::UNSUPPORTED, node.span, message);
        }
        let (staged, mut levels) = self.nested_levels(input, node)?;
        let hidden: Vec<Column> = staged.columns.iter().filter(|c| is_hidden(&c.name)).cloned().collect();
        let (mut rows, mut prefix) = (staged.clone(), hidden.clone());
        let mut branches: Vec<Relation> = Vec::new();
        for index in 0..levels.len() {
            let kept = self.kept_groups(&rows, &prefix, index, &mut levels)?;
            if levels[index..].iter().any(|level| level.others.is_some()) {
                branches.push(self.rest(&rows, &kept, &prefix, index, &levels)?);
            }
            prefix.extend([levels[index].key.clone(), levels[index].aggregate.clone()]);
            if index + 1 < levels.len() {
                rows = joined(staged.clone(), kept, &prefix, index + 1, &levels);
            } else {
                branches.insert(0, kept);
            }
        }
        let mut names = Names::default();
        let wanted = levels
            .iter()
            .flat_map(|level| [(&level.key, level.key_name.clone()), (&level.aggregate, level.aggregate_name.clone())]);
        let mut outputs: Vec<(Column, ScalarExpr)> =
            wanted.map(|(c, name)| (Column::new(&names.unique(&name), c.column_type), ScalarExpr::column(c))).collect();
        outputs.extend(hidden.iter().map(|c| (c.clone(), ScalarExpr::column(c))));
        let branch = |rows: Relation| (String::new(), Project::exact("top-nested", rows, outputs.clone()));
        Some(Union::relation(branches.into_iter().map(branch).collect(), false, None))
    }

    /// The input with the keys of all levels as columns `__n0`, `__n1`, ...
    fn nested_levels<'n>(
        &mut self,
        input: Relation,
        node: &'n TopNestedOperator,
    ) -> Option<(Relation, Vec<Level<'n>>)> {
        let mut staged: Vec<(Column, ScalarExpr)> =
            input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let mut levels = Vec::new();
        for (index, level) in node.levels.iter().enumerate() {
            let (name, bound, _) = self.named_scalars(&level.of, &mut Row::of(&input))?.into_iter().next()?;
            let key_name = name.unwrap_or_else(|| format!("Column{}", index + 1));
            let key = Column::new(&format!("__n{index}"), bound.column_type);
            let count = level.count.as_ref().map(|count| self.row_count(count));
            let count = if let Some(count) = count { Some(count?) } else { None };
            let others = match &level.others {
                None => None,
                Some(label) => Some(self.scalar(label, &mut Row::none())?.converted(key.column_type)),
            };
            let given = level.by.expression.name().map(|name| name.text.clone());
            let aggregate_name = given.unwrap_or_else(|| format!("aggregated_{key_name}"));
            staged.push((key.clone(), bound));
            // Its type is known once it is bound.
            let aggregate = Column::new(&format!("__t{index}"), ColumnType::Long);
            levels.push(Level { node: level, key_name, aggregate_name, key, count, others, aggregate });
        }
        Some((Project::exact("top-nested", input, staged), levels))
    }

    /// The groups a level keeps: the prefix, its key and its aggregate.
    fn kept_groups(
        &mut self,
        rows: &Relation,
        prefix: &[Column],
        index: usize,
        levels: &mut [Level<'_>],
    ) -> Option<Relation> {
        let level = &mut levels[index];
        let keys: Vec<Column> = prefix.iter().chain([&level.key]).cloned().collect();
        let (grouped, values) = self.aggregated(rows, &keys, &[level.node], Vec::new())?;
        let value = values.into_iter().next()?;
        level.aggregate.column_type = value.column_type;
        let mut outputs: Vec<(Column, ScalarExpr)> = keys.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        outputs.push((level.aggregate.clone(), value));
        let groups = Project::exact("top-nested", grouped, outputs);
        let Some(count) = level.count else { return Some(groups) };
        let descending = level.node.by.direction != Some(SortDirection::Ascending);
        let expression = ScalarExpr::column(&level.aggregate);
        let order = Arc::new([SortKey { expression, descending, nulls_first: false }]);
        // Groups are told apart by the keys before, not by their aggregates.
        let partition = prefix.iter().filter(|c| !c.name.starts_with("__t")).map(|c| Arc::clone(&c.name));
        let function = registry().get("row_number")?;
        let number = ScalarNode::Window { function, args: Vec::new(), order, partition: partition.collect() };
        let rank = Column::new("__rank", ColumnType::Long);
        let mut ranked: Vec<(Column, ScalarExpr)> =
            groups.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        ranked.push((rank.clone(), ScalarExpr::new(ColumnType::Long, number)));
        let limit = ScalarExpr::literal(Value::Long(i64::try_from(count).unwrap_or(i64::MAX)));
        let operator = moneta_kql::syntax::BinaryOperator::LessOrEqual;
        let within = self.operation(operator, ScalarExpr::column(&rank), limit, level.node.span)?;
        let columns = groups.columns.to_vec();
        let top = Filter::relation(Project::exact("top-nested", groups, ranked), within);
        Some(Project::exact("top-nested", top, columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect()))
    }

    /// Rows grouped by columns, with the aggregates of levels over them.
    fn aggregated(
        &mut self,
        rows: &Relation,
        keys: &[Column],
        nodes: &[&TopNestedLevel],
        extra: Vec<BoundAggregate>,
    ) -> Option<(Relation, Vec<ScalarExpr>)> {
        let mut row = Row::of(rows);
        row.aggregates = Some(extra);
        let mut values = Vec::new();
        for node in nodes {
            let (_, value) = self.aggregate_entry(&node.by.expression, &mut row)?.into_iter().next()?;
            values.push(value);
        }
        let aggregates = row.aggregates.take().unwrap_or_default();
        let outputs = aggregates.iter().flat_map(|a| a.outputs.iter().cloned());
        let columns = keys.iter().cloned().chain(outputs).collect();
        let keys = keys.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        Some((Relation::new(columns, Summarize { input: rows.clone(), keys, aggregates }), values))
    }

    /// The rows a level leaves out, gathered into one row per group of the levels before.
    fn rest(
        &mut self,
        rows: &Relation,
        kept: &Relation,
        prefix: &[Column],
        index: usize,
        levels: &[Level<'_>],
    ) -> Option<Relation> {
        let own = prefix.iter().filter(|c| !c.name.starts_with("__t")).chain([&levels[index].key]);
        let keys = own.map(|c| (ScalarExpr::column(c), ScalarExpr::column(c))).collect();
        let columns = rows.columns.to_vec();
        let join =
            Join { kind: Kind::LeftAnti, left: rows.clone(), right: kept.clone(), keys, right_names: Vec::new() };
        let left_out = Relation::new(columns, join);
        let count = Column::new("__rest", ColumnType::Long);
        let counted = BoundAggregate {
            function: aggregates::registry().get("count")?,
            args: Vec::new(),
            predicate: None,
            outputs: vec![count.clone()],
        };
        let deeper = &levels[index..];
        let nodes: Vec<&TopNestedLevel> = deeper.iter().filter(|l| l.others.is_some()).map(|l| l.node).collect();
        let (grouped, values) = self.aggregated(&left_out, prefix, &nodes, vec![counted])?;
        let zero = ScalarExpr::literal(Value::Long(0));
        let operator = moneta_kql::syntax::BinaryOperator::Greater;
        let any = self.operation(operator, ScalarExpr::column(&count), zero, levels[index].node.span)?;
        let grouped = Filter::relation(grouped, any);
        let mut outputs: Vec<(Column, ScalarExpr)> =
            prefix.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let mut values = values.into_iter();
        for level in deeper {
            let value = level.others.as_ref().and_then(|_| values.next());
            let null = |column: &Column| ScalarExpr::literal(Value::null(column.column_type));
            let label = level.others.clone().unwrap_or_else(|| null(&level.key));
            outputs.push((level.key.clone(), label));
            let column_type = value.as_ref().map_or(level.aggregate.column_type, |value| value.column_type);
            let aggregate = Column { column_type, ..level.aggregate.clone() };
            outputs.push((aggregate.clone(), value.unwrap_or_else(|| null(&aggregate))));
        }
        Some(Project::exact("top-nested", grouped, outputs))
    }

    /// `top-hitters 5 of x by weight`: the values that weigh most.
    pub(crate) fn bind_top_hitters(&mut self, input: Relation, node: &TopHittersOperator) -> Option<Relation> {
        let count = self.row_count(&node.count)?;
        let (name, key, _) = self.named_scalars(&node.of, &mut Row::of(&input))?.into_iter().next()?;
        let name = name.unwrap_or_else(|| "Column1".to_owned());
        let weight = match &node.by {
            None => None,
            Some(by) => self.named_scalars(&by.expression, &mut Row::of(&input))?.into_iter().next(),
        };
        let (function, args, own_name, column_type) = match weight {
            None => ("count", Vec::new(), format!("approximate_count_{name}"), ColumnType::Long),
            Some((own, weight, _)) => {
                let column_type = match weight.column_type {
                    t if types::is_integer(t) => ColumnType::Long,
                    t if types::is_number(t) || t == ColumnType::TimeSpan => t,
                    other => {
                        let message = format!("top-hitters weighs by numbers, not by a {other}");
                        return self.fail(codes::TYPE, node.span, message);
                    }
                };
                let own = own.unwrap_or_default();
                ("sum", vec![weight], format!("approximate_sum_{own}"), column_type)
            }
        };
        let function = aggregates::registry().get(function)?;
        let mut names = Names::default();
        let key_column = Column::new(&names.unique(&name), key.column_type);
        let output = Column::new(&names.unique(&own_name), column_type);
        let aggregate = BoundAggregate { function, args, predicate: None, outputs: vec![output.clone()] };
        let hidden: Vec<Column> = input.columns.iter().filter(|c| is_hidden(&c.name)).cloned().collect();
        let keys = hidden.iter().map(|c| (c.clone(), ScalarExpr::column(c)));
        let keys = std::iter::once((key_column.clone(), key)).chain(keys).collect();
        let columns = std::iter::once(&key_column).chain(&hidden).chain([&output]).cloned().collect();
        let grouped = Relation::new(columns, Summarize { input, keys, aggregates: vec![aggregate] });
        let order = vec![SortKey { expression: ScalarExpr::column(&output), descending: true, nulls_first: false }];
        let top = Sort::relation(grouped, order, Some(count));
        let outputs = [key_column, output].iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        Some(Project::relation("top-hitters", top, outputs))
    }
}

/// The rows that belong to the kept groups, with the groups' aggregates.
fn joined(staged: Relation, kept: Relation, prefix: &[Column], depth: usize, levels: &[Level<'_>]) -> Relation {
    let own = prefix.iter().filter(|c| !c.name.starts_with("__t"));
    let keys = own.map(|c| (ScalarExpr::column(c), ScalarExpr::column(c))).collect();
    let added: Vec<Column> = levels[..depth].iter().map(|level| level.aggregate.clone()).collect();
    let columns = staged.columns.iter().chain(&added).cloned().collect();
    let right_names = added.iter().map(|c| (Arc::clone(&c.name), Arc::clone(&c.name))).collect();
    Relation::new(columns, Join { kind: Kind::Inner, left: staged, right: kept, keys, right_names })
}
