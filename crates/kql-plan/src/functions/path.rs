//! Member access into `dynamic` values, over JSON text.

use std::sync::Arc;

use arrow::array::{Array, AsArray, StringBuilder};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use moneta_event::ColumnType;

use super::row::{Answer, Call, Cell, plain};
use crate::json::{self, Step};

/// `base.a[0]` with constant steps.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PathFunction {
    steps: Vec<Step>,
    signature: Signature,
}

impl PathFunction {
    /// The expression of a path.
    #[must_use]
    pub fn call(base: Expr, steps: &[Step]) -> Expr {
        let function = Self { steps: steps.to_vec(), signature: Signature::any(1, Volatility::Immutable) };
        ScalarUDF::new_from_impl(function).call(vec![base])
    }

    /// The steps, for those who look at lowered plans.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

impl ScalarUDFImpl for PathFunction {
    fn name(&self) -> &str {
        "kql_path"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(format!("{}{:?}", args[0].schema_name(), self.steps))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    fn return_field_from_args(&self, _: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        Ok(Arc::new(ColumnType::Dynamic.field(self.name())))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[0] {
            ColumnarValue::Scalar(scalar) => {
                let found = scalar.try_as_str().flatten().and_then(|json| json::follow(json, &self.steps));
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8(found.map(str::to_owned))))
            }
            ColumnarValue::Array(array) => {
                let array = plain(array)?;
                let texts = array.as_string::<i32>();
                let mut builder = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
                // Neighbouring rows often hold the same value.
                let mut last: Option<(&str, Option<&str>)> = None;
                for text in texts {
                    let found = match (text, last) {
                        (None, _) => None,
                        (Some(text), Some((known, found))) if known == text => found,
                        (Some(text), _) => {
                            let found = json::follow(text, &self.steps);
                            last = Some((text, found));
                            found
                        }
                    };
                    builder.append_option(found);
                }
                Ok(ColumnarValue::Array(Arc::new(builder.finish())))
            }
        }
    }
}

/// `base[index]` with a computed index: a key or a position.
#[must_use]
pub fn element<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let step = match args[1] {
        Cell::Long(index) => Step::Index(index),
        Cell::Text(text) if call.types[1] == ColumnType::Dynamic => match text.parse() {
            Ok(index) => Step::Index(index),
            Err(_) => Step::Key(json::to_text(text).into_owned()),
        },
        Cell::Text(text) => Step::Key(text.to_owned()),
        _ => return Answer::Null,
    };
    json::follow(args[0].text(), &[step]).into()
}

#[cfg(test)]
mod tests {
    use moneta_event::json_path::{Paths, pointer};

    use super::*;

    /// A scan may answer a path from a column of its own, which `Paths` filled: both must mean the same.
    #[test]
    fn paths_found_together_are_those_followed_alone() {
        let texts = [
            r#"{"a":{"b":1,"c":[1,{"b":2}]},"b":"x","d/e":{"~":null,"f":" "}}"#,
            r#" { "a" : { "b" : "q\"uote" } , "a" : { "c" : true } } "#,
            r#"{"a":null,"b":[]}"#,
            r#"{"\u0061":{"b":3},"d\/e":{"~":4}}"#,
            "[{\"a\":1}]",
            "{\"a\":{\"b\":1}",
            "{\"a\":{\"b\":1},\"b\":}",
            "{\"a\":{\"b\" 1}}",
            "{\"b\":1} rest",
            "",
            "null",
            "7",
        ];
        let paths: [&[&str]; 7] = [&["a"], &["a", "b"], &["a", "c"], &["b"], &["d/e", "~"], &["d/e"], &["a", "b", "c"]];
        let together = Paths::new(&paths.map(|names| pointer(names.iter().copied())));
        let mut found = Vec::new();
        for text in texts {
            together.find(text, &mut found);
            for (names, found) in paths.iter().zip(&found) {
                let steps: Vec<_> = names.iter().map(|name| Step::Key((*name).to_owned())).collect();
                assert_eq!(*found, json::follow(text, &steps), "{names:?} in {text}");
            }
        }
    }
}
