//! Expressions over columns of which some are dictionaries: what depends on one such column is computed once for each
//! of its distinct values.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, DictionaryArray, Int32Array, RecordBatch, RecordBatchOptions, new_null_array,
};
use arrow::datatypes::{Field, Int32Type, Schema, SchemaRef};
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::Volatility;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};

/// Rows, column by column, as they are asked for.
pub(crate) trait Columns {
    /// Number of rows.
    fn num_rows(&self) -> usize;

    /// A column: of its type, or a dictionary of it with `Int32` keys.
    fn column(&self, index: usize) -> Result<ArrayRef>;
}

/// An expression over [`Columns`].
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    expr: Arc<dyn PhysicalExpr>,
    /// The columns it reads; in `expr` they are numbered by their place here.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Self) -> bool {
        self.columns == other.columns && self.schema == other.schema && *self.expr == *other.expr
    }
}

impl Expression {
    /// Prepares an expression over rows of `input`.
    pub(crate) fn new(expr: &Arc<dyn PhysicalExpr>, input: &Schema) -> Result<Self> {
        let mut columns: Vec<usize> = Vec::new();
        let renumbered = Arc::clone(expr).transform_down(|node| {
            let Some(column) = node.downcast_ref::<Column>() else { return Ok(Transformed::no(node)) };
            let place = columns.iter().position(|known| *known == column.index()).unwrap_or_else(|| {
                columns.push(column.index());
                columns.len() - 1
            });
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(column.name(), place));
            Ok(Transformed::new(column, true, datafusion::common::tree_node::TreeNodeRecursion::Jump))
        });
        let expr = renumbered.data()?;
        let fields: Vec<_> = columns.iter().map(|index| input.field(*index).clone().with_nullable(true)).collect();
        Ok(Self { expr, columns, schema: Arc::new(Schema::new(fields)) })
    }

    /// A column as it is.
    pub(crate) fn of_column(index: usize, field: &Field) -> Self {
        let schema = Arc::new(Schema::new(vec![field.clone().with_nullable(true)]));
        Self { expr: Arc::new(Column::new(field.name(), 0)), columns: vec![index], schema }
    }

    /// The column that it is, if it computes nothing.
    pub(crate) fn as_column(&self) -> Option<usize> {
        self.expr.downcast_ref::<Column>().and_then(|_| self.columns.first().copied())
    }

    /// The columns it reads.
    pub(crate) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Its values, as plain rows or as a dictionary.
    pub(crate) fn evaluate(&self, input: &dyn Columns) -> Result<ArrayRef> {
        if let [only] = self.columns.as_slice() {
            let column = input.column(*only)?;
            if self.expr.downcast_ref::<Column>().is_some() {
                return Ok(column);
            }
            if let Some(dictionary) = column.as_dictionary_opt::<Int32Type>()
                && dictionary.values().len() <= input.num_rows()
                && let Ok(coded) = self.over_distinct(dictionary)
            {
                return Ok(coded);
            }
            return self.over_rows(vec![plain(&column)?], input.num_rows());
        }
        let columns = self.columns.iter().map(|index| plain(&input.column(*index)?)).collect::<Result<_>>()?;
        self.over_rows(columns, input.num_rows())
    }

    /// Its values as plain rows.
    pub(crate) fn rows(&self, input: &dyn Columns) -> Result<ArrayRef> {
        plain(&self.evaluate(input)?)
    }

    fn over_rows(&self, columns: Vec<ArrayRef>, num_rows: usize) -> Result<ArrayRef> {
        let options = RecordBatchOptions::new().with_row_count(Some(num_rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?;
        self.expr.evaluate(&batch)?.into_array(num_rows)
    }

    /// Computes each distinct value once. A value that no row has may fail where no row would: then the caller looks at
    /// the rows.
    fn over_distinct(&self, dictionary: &DictionaryArray<Int32Type>) -> Result<ArrayRef> {
        let (keys, values) = (dictionary.keys(), dictionary.values());
        if keys.null_count() == 0 {
            let computed = self.over_rows(vec![values.clone()], values.len())?;
            return Ok(Arc::new(DictionaryArray::try_new(keys.clone(), computed)?));
        }
        let null = new_null_array(values.data_type(), 1);
        let with_null = arrow::compute::concat(&[values.as_ref(), null.as_ref()])?;
        let computed = self.over_rows(vec![with_null], values.len() + 1)?;
        let of_null = i32::try_from(values.len()).map_err(|_| arrow::error::ArrowError::DictionaryKeyOverflowError)?;
        let keys: Int32Array = keys.iter().map(|key| Some(key.unwrap_or(of_null))).collect();
        Ok(Arc::new(DictionaryArray::try_new(keys, computed)?))
    }
}

/// A column without a dictionary.
pub(crate) fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    match array.as_dictionary_opt::<Int32Type>() {
        Some(dictionary) => Ok(arrow::compute::take(dictionary.values().as_ref(), dictionary.keys(), None)?),
        None => Ok(array.clone()),
    }
}

/// Whether an expression gives the same for the same row, so that it may be computed once for many.
pub(crate) fn is_repeatable(expr: &Arc<dyn PhysicalExpr>) -> bool {
    let repeatable = match expr.downcast_ref::<ScalarFunctionExpr>() {
        Some(function) => function.fun().signature().volatility != Volatility::Volatile,
        // A subquery's value is not known while plans are made, and everything else unknown might be like it.
        None => !expr.to_string().contains("subquery"),
    };
    repeatable && expr.children().into_iter().all(is_repeatable)
}

/// Columns computed from others, each once, when it is asked for.
pub(crate) struct Computed<'a> {
    input: &'a dyn Columns,
    expressions: &'a [Expression],
    known: Vec<std::cell::OnceCell<ArrayRef>>,
}

impl<'a> Computed<'a> {
    pub(crate) fn new(input: &'a dyn Columns, expressions: &'a [Expression]) -> Self {
        Self { input, expressions, known: vec![std::cell::OnceCell::new(); expressions.len()] }
    }
}

impl Columns for Computed<'_> {
    fn num_rows(&self) -> usize {
        self.input.num_rows()
    }

    fn column(&self, index: usize) -> Result<ArrayRef> {
        if let Some(known) = self.known[index].get() {
            return Ok(known.clone());
        }
        let computed = self.expressions[index].evaluate(self.input)?;
        Ok(self.known[index].get_or_init(|| computed).clone())
    }
}
