//! Our functions as DataFusion sees them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use moneta_event::ColumnType;

use super::columnar;
use super::row::{Call, RowKernel, run_rows};

/// A row kernel with the Kusto types of one call.
#[derive(Debug)]
pub struct RowFunction {
    name: &'static str,
    types: Vec<ColumnType>,
    return_type: ColumnType,
    nulls_propagate: bool,
    kernel: RowKernel,
    signature: Signature,
}

impl RowFunction {
    /// The expression of a call.
    #[must_use]
    pub fn call(
        name: &'static str,
        kernel: RowKernel,
        nulls_propagate: bool,
        deterministic: bool,
        types: &[ColumnType],
        return_type: ColumnType,
        args: Vec<Expr>,
    ) -> Expr {
        let volatility = if deterministic { Volatility::Immutable } else { Volatility::Volatile };
        let signature =
            if args.is_empty() { Signature::nullary(volatility) } else { Signature::variadic_any(volatility) };
        let function = Self { name, types: types.to_vec(), return_type, nulls_propagate, kernel, signature };
        ScalarUDF::new_from_impl(function).call(args)
    }
}

impl PartialEq for RowFunction {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.types == other.types && self.return_type == other.return_type
    }
}

impl Eq for RowFunction {}

impl Hash for RowFunction {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.name, &self.types, self.return_type).hash(state);
    }
}

impl ScalarUDFImpl for RowFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.return_type.computed())
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(self.return_type.computed_field(self.name)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if let Some(column) = columnar::call(self.name, &args.args, self.return_type) {
            return Ok(column);
        }
        let call = Call { types: &self.types, return_type: self.return_type };
        run_rows(&args.args, args.number_rows, &call, self.nulls_propagate, self.kernel)
    }
}
