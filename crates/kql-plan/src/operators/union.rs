//! `union`: columns by name in the order of first appearance; a name with several types becomes several columns.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use datafusion::catalog::TableProvider;
use datafusion::common::metadata::FieldMetadata;
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, Union as UnionPlan};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{Expression, PathMember, UnionOperator};

use super::TabularOperator;
use super::merged::{Filler, Part, merged};
use crate::binder::{Binder, Names, WRITTEN_TABLE_BYTES, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::{Error, Result};
use crate::lower::LowerContext;
use crate::steps;
use crate::value::Value;

/// The greatest number of tables in one union.
const INPUTS_MAX: usize = 500;

/// The greatest number of expressions written into one plan: beyond it, each input is planned by itself when the union
/// is read. Every stage of planning visits every expression, and a `search` over all tables has millions.
const EXPRESSIONS_MAX: usize = 20_000;

/// Puts the rows of several relations under one another.
#[derive(Debug)]
pub struct Union {
    /// The relations with their labels.
    pub inputs: Vec<(String, Relation)>,
    /// What fills each column of the result.
    pub fillers: Vec<UnionFiller>,
}

/// What fills a column of a union.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnionFiller {
    /// The label of the input.
    Label,
    /// The input's column of this name and type; null where it has none.
    Column(Column),
}

impl TabularOperator for Union {
    fn name(&self) -> &'static str {
        "union"
    }

    fn details(&self) -> String {
        String::new()
    }

    fn inputs(&self) -> Vec<&Relation> {
        self.inputs.iter().map(|(_, relation)| relation).collect()
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let kept = ctx.kept(&relation.columns);
        let columns: Vec<Column> =
            relation.columns.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(c, _)| c.clone()).collect();
        let fillers: Vec<&UnionFiller> =
            self.fillers.iter().zip(&kept).filter(|(_, kept)| **kept).map(|(f, _)| f).collect();
        let is_wide = self.inputs.len() * columns.len() > EXPRESSIONS_MAX;
        let mut plans = Vec::new();
        let mut parts = Vec::new();
        for (label, input) in &self.inputs {
            let values = values(label, input, &fillers);
            match part(input, &values, is_wide, ctx)? {
                Some(part) => parts.push(part),
                None => plans.push(Arc::new(filled(input, &columns, &values, ctx)?)),
            }
        }
        if !parts.is_empty() {
            plans.push(Arc::new(merged(&columns, parts)?));
        }
        if plans.len() == 1 {
            return Ok(Arc::unwrap_or_clone(plans.swap_remove(0)));
        }
        Ok(LogicalPlan::Union(UnionPlan::try_new_with_loose_types(plans)?))
    }
}

/// What fills the columns of the result from one input.
fn values(label: &str, input: &Relation, fillers: &[&UnionFiller]) -> Vec<ScalarExpr> {
    let own: HashSet<&Column> = input.columns.iter().collect();
    let value = |filler: &&UnionFiller| match filler {
        UnionFiller::Label => ScalarExpr::literal(Value::String(label.to_owned())),
        UnionFiller::Column(column) if own.contains(column) => ScalarExpr::column(column),
        UnionFiller::Column(column) => ScalarExpr::literal(Value::null(column.column_type)),
    };
    fillers.iter().map(value).collect()
}

/// A plain table as a part of a merged scan; in a wide union, any input.
fn part(input: &Relation, values: &[ScalarExpr], is_wide: bool, ctx: &LowerContext<'_>) -> Result<Option<Part>> {
    let fillers = values.iter().map(|value| match &value.node {
        ScalarNode::Column(name) => Some(Filler::Own(Arc::clone(name))),
        ScalarNode::Literal(value) => Some(Filler::Constant(value.to_scalar())),
        _ => None,
    });
    let Some(fillers) = fillers.collect() else { return Ok(None) };
    let provider: Arc<dyn TableProvider> = match input.operator.as_table() {
        Some(table) => ctx.tables.provider(table).ok_or_else(|| Error::NoTable { table: table.to_owned() })?,
        None if is_wide => Arc::new(ViewTable::new(ctx.relation_needing(input, &columns_read(values))?, None)),
        None => return Ok(None),
    };
    Ok(Some(Part { provider, fillers }))
}

fn columns_read(values: &[ScalarExpr]) -> BTreeSet<Arc<str>> {
    let mut read = BTreeSet::new();
    values.iter().for_each(|value| value.read_columns(&mut read));
    read
}

/// Any other input with the columns of the result.
fn filled(input: &Relation, columns: &[Column], values: &[ScalarExpr], ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
    let plan = ctx.relation_needing(input, &columns_read(values))?;
    // All inputs must agree in the metadata of their fields: DataFusion takes that of the first for the whole union.
    let metadata = |column: &Column| FieldMetadata::from(&column.column_type.computed_field(&column.name));
    let outputs = columns
        .iter()
        .zip(values)
        .map(|(column, value)| Ok(ctx.scalar(value)?.alias_with_metadata(&*column.name, Some(metadata(column)))));
    steps::project(plan, outputs.collect::<Result<Vec<Expr>>>()?)
}

impl Binder<'_> {
    /// `union kind=outer withsource=S isfuzzy=true a, b*`, with the piped rows first.
    pub(crate) fn bind_union(&mut self, input: Option<Relation>, node: &UnionOperator) -> Option<Relation> {
        let word =
            |name: &str| node.parameters.iter().find(|p| p.name.text == name).and_then(|p| p.word()).map(str::to_owned);
        let fuzzy = word("isfuzzy").is_some_and(|w| w == "true");
        let inner = word("kind").is_some_and(|w| w == "inner");
        let source_column = word("withsource").or_else(|| word("with_source"));
        let mut inputs: Vec<(String, Relation)> = Vec::new();
        if let Some(input) = input {
            let label = input.operator.as_table().map_or_else(|| "union_arg0".to_owned(), str::to_owned);
            inputs.push((label, input));
        }
        for source in &node.sources {
            let before = inputs.len();
            if is_pattern(source.unparenthesized()) {
                if let Expression::Path(path) = source.unparenthesized() {
                    self.database_of(&path.object)?;
                }
                let matched = self.tables_matching(source.unparenthesized());
                if matched.is_empty() && !fuzzy {
                    return self.fail(codes::NO_TABLE, source.span(), "no table matches the pattern");
                }
                inputs.extend(matched);
            } else {
                let known = self.diagnostics_len();
                match self.relation(source) {
                    Some(relation) => {
                        let label =
                            source.as_name().map_or_else(|| format!("union_arg{before}"), |name| name.text.clone());
                        inputs.push((label, relation));
                    }
                    // A fuzzy union leaves out what cannot be resolved.
                    None if fuzzy => self.forget_diagnostics(known),
                    None => return None,
                }
            }
            if inputs.len() > INPUTS_MAX {
                return self.fail(codes::LIMIT, source.span(), format!("a union takes at most {INPUTS_MAX} tables"));
            }
        }
        if inputs.is_empty() {
            return self.fail(codes::NO_TABLE, node.span, "the union has no table");
        }
        self.write_out(inputs.len() * WRITTEN_TABLE_BYTES, node.span)?;
        Some(Union::relation(inputs, inner, source_column.as_deref()))
    }
}

/// Whether a source names several tables.
pub(crate) fn is_pattern(source: &Expression) -> bool {
    match source {
        Expression::Wildcard(_) | Expression::Star(_) => true,
        Expression::Path(path) => matches!(path.member, PathMember::Wildcard(_)),
        _ => false,
    }
}

impl Union {
    /// The union of labelled relations.
    #[must_use]
    pub fn relation(inputs: Vec<(String, Relation)>, inner: bool, source_column: Option<&str>) -> Relation {
        let mut all = merged_columns(&inputs);
        if inner {
            let own: Vec<HashSet<&Column>> = inputs.iter().map(|(_, r)| r.columns.iter().collect()).collect();
            all.retain(|column| own.iter().all(|own| own.contains(column)));
        }
        let mut types: HashMap<Arc<str>, usize> = HashMap::new();
        all.iter().for_each(|column| *types.entry(Arc::clone(&column.name)).or_default() += 1);
        let mut names = Names::default();
        let (mut columns, mut fillers) = (Vec::with_capacity(all.len() + 1), Vec::with_capacity(all.len() + 1));
        if let Some(name) = source_column {
            columns.push(Column::new(&names.unique(name), ColumnType::String));
            fillers.push(UnionFiller::Label);
        }
        for column in all {
            let name = if types.get(&column.name).is_some_and(|count| *count > 1) {
                names.unique(&format!("{}_{}", column.name, column.column_type)).into()
            } else {
                unique(&mut names, &column.name)
            };
            columns.push(Column { name, column_type: column.column_type });
            fillers.push(UnionFiller::Column(column));
        }
        Relation::new(columns, Union { inputs, fillers })
    }
}

/// The name itself where it is free, without a copy.
fn unique(names: &mut Names, name: &Arc<str>) -> Arc<str> {
    if names.contains(name) {
        return names.unique(name).into();
    }
    names.insert(name);
    Arc::clone(name)
}

/// The columns of all inputs: by name and type, columns of one name together, in the order of first appearance.
fn merged_columns(inputs: &[(String, Relation)]) -> Vec<Column> {
    let mut places: HashMap<&Arc<str>, usize> = HashMap::new();
    let mut by_name: Vec<Vec<&Column>> = Vec::new();
    for column in inputs.iter().flat_map(|(_, relation)| relation.columns.iter()) {
        let place = *places.entry(&column.name).or_insert_with(|| {
            by_name.push(Vec::new());
            by_name.len() - 1
        });
        if !by_name[place].contains(&column) {
            by_name[place].push(column);
        }
    }
    by_name.into_iter().flatten().cloned().collect()
}
