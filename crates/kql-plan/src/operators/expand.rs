//! `mv-expand`: one row per element of a dynamic array.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Builder, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Column as PlanColumn, UnnestOptions};
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{MvColumn, MvExpandOperator, OperatorParameter, Target, TypeofArgument};

use super::TabularOperator;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::Result;
use crate::functions::registry;
use crate::functions::row::{RowKernel, plain};
use crate::functions::udf::RowFunction;
use crate::json;
use crate::lower::{LowerContext, column};
use crate::steps;

/// The rows the old spelling `mvexpand` makes of one when it names no limit.
const LEGACY_LIMIT: usize = 128;
/// The greatest number of rows made of one.
const LIMIT_MAX: usize = 1_000_000;

/// The most rows one batch of rows becomes. Until a batch is done nobody counts its memory.
const BATCH_ROWS_MAX: usize = 1 << 24;

/// One expanded column.
#[derive(Debug, Clone)]
pub struct Expanded {
    /// The column it fills.
    pub target: Column,
    /// The array.
    pub source: ScalarExpr,
}

/// Makes one row per element.
#[derive(Debug)]
pub struct Expand {
    /// The rows.
    pub input: Relation,
    /// The arrays; several go side by side.
    pub columns: Vec<Expanded>,
    /// The column that gets the element's position.
    pub index: Option<Column>,
    /// The greatest number of rows made of one.
    pub limit: usize,
    /// Whether a bag gives arrays of key and value, not bags of one key.
    pub bags_as_arrays: bool,
}

impl TabularOperator for Expand {
    fn name(&self) -> &'static str {
        "mv-expand"
    }

    fn details(&self) -> String {
        self.columns.iter().map(|e| format!("{} = {}", e.target.name, e.source)).collect::<Vec<_>>().join(", ")
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let kept = ctx.kept(&relation.columns);
        let wanted: Vec<&Column> =
            relation.columns.iter().zip(kept).filter(|(_, kept)| *kept).map(|(c, _)| c).collect();
        let carried: Vec<&Column> = wanted.iter().copied().filter(|c| !self.makes(&c.name)).collect();
        let mut read: BTreeSet<Arc<str>> = carried.iter().map(|c| Arc::clone(&c.name)).collect();
        self.columns.iter().for_each(|expanded| expanded.source.read_columns(&mut read));
        let plan = ctx.relation_needing(&self.input, &read)?;
        let mut arrays = Vec::new();
        for (index, expanded) in self.columns.iter().enumerate() {
            let items = Items { limit: self.limit, bags_as_arrays: self.bags_as_arrays, positions: false };
            arrays.push(items.call(vec![ctx.scalar(&expanded.source)?]).alias(format!("__x{index}")));
        }
        if self.index.is_some() {
            let sources = self.columns.iter().map(|e| ctx.scalar(&e.source)).collect::<Result<Vec<_>>>()?;
            let items = Items { limit: self.limit, bags_as_arrays: self.bags_as_arrays, positions: true };
            arrays.push(items.call(sources).alias("__position"));
        }
        let names: Vec<PlanColumn> = (0..self.columns.len())
            .map(|index| format!("__x{index}"))
            .chain(self.index.iter().map(|_| "__position".to_owned()))
            .map(PlanColumn::new_unqualified)
            .collect();
        let kept = carried.iter().map(|c| column(&c.name));
        let options = UnnestOptions::new().with_preserve_nulls(false);
        let plan = steps::project(plan, kept.chain(arrays))?;
        let unnested = LogicalPlanBuilder::from(plan).unnest_columns_with_options(names, options)?.build()?;
        let outputs = wanted.iter().map(|c| {
            if let Some(position) = self.columns.iter().position(|e| e.target.name == c.name) {
                return element(column(&format!("__x{position}")), c.column_type).alias(&*c.name);
            }
            if self.index.as_ref().is_some_and(|index| index.name == c.name) {
                return column("__position").alias(&*c.name);
            }
            column(&c.name)
        });
        steps::project(unnested, outputs)
    }
}

impl Expand {
    /// Whether the operator itself fills the column of that name.
    fn makes(&self, name: &Arc<str>) -> bool {
        self.columns.iter().any(|e| e.target.name == *name) || self.index.as_ref().is_some_and(|i| i.name == *name)
    }
}

/// An element's JSON text in the wanted type. Only numbers become numbers: the text "2" stays a text.
fn element(text: Expr, target: ColumnType) -> Expr {
    let kernel: RowKernel = |args, call| {
        let json = args[0].text();
        let wants_number = crate::types::is_number(call.return_type) || call.return_type == ColumnType::Bool;
        if json == "null" || json.is_empty() || (wants_number && json.starts_with('"')) {
            return crate::functions::row::Answer::Null;
        }
        crate::functions::conversion::convert(args[0], call)
    };
    RowFunction::call(
        "kql_item",
        kernel,
        target != ColumnType::String,
        true,
        &[ColumnType::Dynamic],
        target,
        vec![text],
    )
}

/// Opens dynamic values into lists of JSON texts, or numbers the elements.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Items {
    limit: usize,
    bags_as_arrays: bool,
    positions: bool,
}

impl Items {
    fn call(self, args: Vec<Expr>) -> Expr {
        let signature = Signature::variadic_any(Volatility::Immutable);
        ScalarUDF::new_from_impl(ItemsFunction { items: self, signature }).call(args)
    }

    /// The elements of a value: null gives one null, a bag its members, a scalar itself.
    fn of(&self, json: Option<&str>) -> Vec<Option<String>> {
        let Some(json) = json else { return vec![None] };
        let mut items: Vec<Option<String>> = match json.trim_start().as_bytes().first() {
            Some(b'[') => json::elements(json)
                .unwrap_or_default()
                .into_iter()
                .map(|e| (e != "null").then(|| e.to_owned()))
                .collect(),
            Some(b'{') => {
                let member = |(key, value): (&str, &str)| {
                    Some(if self.bags_as_arrays { format!("[{key},{value}]") } else { format!("{{{key}:{value}}}") })
                };
                json::members(json).unwrap_or_default().into_iter().map(member).collect()
            }
            _ => vec![(json != "null").then(|| json.to_owned())],
        };
        items.truncate(self.limit);
        items
    }
}

/// [`Items`] as DataFusion sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ItemsFunction {
    items: Items,
    signature: Signature,
}

impl ScalarUDFImpl for ItemsFunction {
    fn name(&self) -> &str {
        if self.items.positions { "kql_positions" } else { "kql_items" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType, datafusion::error::DataFusionError> {
        let item = if self.items.positions { DataType::Int64 } else { DataType::Utf8 };
        Ok(DataType::List(Arc::new(Field::new("item", item, true))))
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef, datafusion::error::DataFusionError> {
        Ok(Arc::new(Field::new(self.name(), self.return_type(&[])?, false)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue, datafusion::error::DataFusionError> {
        let rows = args.number_rows;
        let arrays = args
            .args
            .into_iter()
            .map(|arg| plain(&arg.into_array(rows)?))
            .collect::<Result<Vec<ArrayRef>, datafusion::error::DataFusionError>>()?;
        let value = |array: &ArrayRef, row: usize| {
            let texts = array.as_string::<i32>();
            if texts.is_null(row) { self.items.of(None) } else { self.items.of(Some(texts.value(row))) }
        };
        let mut elements = 0;
        let mut count = |more: usize| {
            elements += more;
            if elements <= BATCH_ROWS_MAX {
                return Ok(());
            }
            let message =
                format!("mv-expand makes more than {BATCH_ROWS_MAX} rows of one batch; filter or limit first");
            Err(datafusion::error::DataFusionError::ResourcesExhausted(message))
        };
        if self.items.positions {
            let mut builder = ListBuilder::new(Int64Builder::new());
            for row in 0..rows {
                let longest = arrays.iter().map(|array| value(array, row).len()).max().unwrap_or(0);
                count(longest)?;
                (0..longest).for_each(|i| builder.values().append_value(i64::try_from(i).unwrap_or(i64::MAX)));
                builder.append(true);
            }
            return Ok(ColumnarValue::Array(Arc::new(builder.finish())));
        }
        let mut builder = ListBuilder::new(StringBuilder::new());
        for row in 0..rows {
            let items = value(&arrays[0], row);
            count(items.len())?;
            items.into_iter().for_each(|item| builder.values().append_option(item));
            builder.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(builder.finish())))
    }
}

impl Binder<'_> {
    /// `mv-expand x = array to typeof(long), y limit 10`.
    pub(crate) fn bind_mv_expand(&mut self, input: Relation, node: &MvExpandOperator) -> Option<Relation> {
        let limit = match &node.limit {
            Some(limit) => self.row_count(limit)?,
            None if node.is_legacy => LEGACY_LIMIT,
            None => LIMIT_MAX,
        };
        self.expanded(input, &node.columns, &node.parameters, limit.min(LIMIT_MAX))
    }

    /// The expansion of columns with an operator's parameters.
    pub(crate) fn expanded(
        &mut self,
        input: Relation,
        columns: &[MvColumn],
        parameters: &[OperatorParameter],
        limit: usize,
    ) -> Option<Relation> {
        let word = |name: &str| parameters.iter().find(|p| p.name.text == name).and_then(|p| p.word());
        let bags_as_arrays = [word("kind"), word("bagexpansion")].contains(&Some("array"));
        let mut outputs: Vec<Column> = input.columns.to_vec();
        let mut names = Names::of(&input.columns);
        let mut expanded = Vec::new();
        for entry in columns {
            let bound = self.expand_entry(&input, entry)?;
            let name = match &entry.expression.target {
                Some(Target::Name(name)) => name.text.clone(),
                Some(Target::Names(list)) => list.names.first().map(|n| n.text.clone()).unwrap_or_default(),
                None => match self.name_of(&entry.expression.expression, &Row::of(&input)) {
                    Some(name) => name,
                    None => names.numbered("Column"),
                },
            };
            names.insert(&name);
            let target = Column::new(&name, bound.1);
            match outputs.iter_mut().find(|c| *c.name == *name) {
                Some(place) => *place = target.clone(),
                None => outputs.push(target.clone()),
            }
            expanded.push(Expanded { target, source: bound.0 });
        }
        let index = word("with_itemindex").map(|name| Column::new(name, ColumnType::Long));
        outputs.extend(index.clone());
        Some(Relation::new(outputs, Expand { input, columns: expanded, index, limit, bags_as_arrays }))
    }

    fn expand_entry(&mut self, input: &Relation, entry: &MvColumn) -> Option<(ScalarExpr, ColumnType)> {
        let span = entry.expression.expression.span();
        let bound = self.scalar(&entry.expression.expression, &mut Row::of(input))?;
        let source = match bound.column_type {
            ColumnType::Dynamic => bound,
            // The text of an array is opened too.
            ColumnType::String => {
                let function = registry().get("parse_json")?;
                ScalarExpr::new(ColumnType::Dynamic, ScalarNode::Call { function, args: vec![bound] })
            }
            other => return self.fail(codes::TYPE, span, format!("mv-expand needs a dynamic value, not a {other}")),
        };
        let target = match entry.to_type.as_ref().map(|t| &t.argument) {
            Some(TypeofArgument::Scalar(name)) => self.declared_type(name)?,
            Some(TypeofArgument::Schema(schema)) => {
                return self.fail(codes::SHAPE, schema.span, "a scalar type is expected here");
            }
            None => ColumnType::Dynamic,
        };
        Some((source, target))
    }
}
