//! Columns that depend on data: `bag_unpack`, `pivot` and their like have columns that only the rows tell.
//!
//! Binding stays a pure function. When it meets such a call whose columns are not known, it notes a [`Probe`], rows that
//! tell the columns, and goes on as if the call had made none, with an *open* relation: names it does not know are
//! nulls there, with a warning. Whoever can run queries calls [`bind_over_data`], which runs the probe, binds again with
//! what it found, and so on until nothing is left to be found. Calls are told apart by their number in the order of
//! binding, which does not change as long as what comes before them does not.

use arrow::array::{AsArray, RecordBatch};
use moneta_event::{Column, ColumnType};
use moneta_kql::Diagnostic;
use moneta_kql::syntax::{Span, SyntaxTree};

use crate::binder::{BindOptions, Binder, Catalog, bind, codes};
use crate::bound::{BoundQuery, BoundResult, Relation};

/// The greatest number of such calls in one query: each costs a run over the data.
pub const PROBES_MAX: usize = 32;
/// The greatest number of columns one call may make: wider rows help nobody and cost memory per row.
pub const COLUMNS_MAX: usize = 2_000;

/// Rows that tell the columns of one call.
#[derive(Debug, Clone)]
pub struct Probe {
    /// The call.
    pub span: Span,
    /// Two text columns: the name of a column, and the name of a type it has in some row. Names may come several times.
    pub rows: Relation,
}

impl Probe {
    /// The probe as a query's result, to be lowered and run like one.
    #[must_use]
    pub fn result(&self) -> BoundResult {
        BoundResult { relation: self.rows.clone(), render: None }
    }

    /// The columns its rows tell, by name. A column with several types is `dynamic`.
    ///
    /// # Errors
    /// A sentence, if there are more than [`COLUMNS_MAX`].
    pub fn columns(batches: &[RecordBatch]) -> Result<Vec<Column>, String> {
        let mut found: std::collections::BTreeMap<String, Option<ColumnType>> = std::collections::BTreeMap::new();
        for batch in batches {
            let texts = |index: usize| arrow::compute::cast(batch.column(index), &arrow::datatypes::DataType::Utf8);
            let (Ok(names), Ok(types)) = (texts(0), texts(1)) else { continue };
            for (name, text) in names.as_string::<i32>().iter().zip(types.as_string::<i32>().iter()) {
                let (Some(name), text) = (name, text.unwrap_or_default()) else { continue };
                let (known, found_type) = (found.get(name).copied().flatten(), ColumnType::parse(text));
                let merged = match (known, found_type) {
                    (Some(known), Some(other)) if known != other => Some(ColumnType::Dynamic),
                    (known, other) => known.or(other),
                };
                found.insert(name.to_owned(), merged);
            }
        }
        if found.len() > COLUMNS_MAX {
            return Err(format!(
                "the data would make {} columns, and {COLUMNS_MAX} is the limit; filter first, or declare the columns",
                found.len()
            ));
        }
        let column = |(name, t): (String, Option<ColumnType>)| Column::new(&name, t.unwrap_or(ColumnType::Dynamic));
        Ok(found.into_iter().map(column).collect())
    }
}

/// Binds a syntax tree, running what it needs to know of the data.
///
/// `run` lowers a result, runs it over the same tables as the catalog's, and gives its rows.
///
/// # Errors
/// What `run` failed with. Mistakes in the query are diagnostics, as with [`bind`].
pub async fn bind_over_data<F, R, E>(
    tree: &SyntaxTree,
    catalog: &(dyn Catalog + Sync),
    options: &BindOptions,
    run: F,
) -> Result<(Option<BoundQuery>, Vec<Diagnostic>), E>
where
    F: Fn(BoundResult) -> R,
    R: Future<Output = Result<Vec<RecordBatch>, E>>,
{
    let mut options = options.clone();
    loop {
        let (query, mut diagnostics) = bind(tree, catalog, &options);
        let Some(probe) = query.as_ref().and_then(|query| query.probe.clone()) else { return Ok((query, diagnostics)) };
        if options.found.len() >= PROBES_MAX {
            let message =
                format!("more than {PROBES_MAX} calls have columns that depend on data; declare some of them");
            diagnostics.push(Diagnostic::error(codes::LIMIT, probe.span, message));
            return Ok((None, diagnostics));
        }
        match Probe::columns(&run(probe.result()).await?) {
            Ok(columns) => options.found.push(columns),
            Err(message) => {
                diagnostics.push(Diagnostic::error(codes::LIMIT, probe.span, message));
                return Ok((None, diagnostics));
            }
        }
    }
}

impl Binder<'_> {
    /// The columns a call's data makes, if somebody has looked; else the probe is noted.
    pub(crate) fn columns_of_data(&mut self, span: Span, probe: Relation) -> Option<Vec<Column>> {
        let call = self.data_calls;
        self.data_calls += 1;
        let known = self.options().found.get(call).cloned();
        if known.is_none() && self.probe.is_none() {
            self.probe = Some(Probe { span, rows: probe });
        }
        known
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::StringArray;

    use super::*;

    fn batch(rows: &[(&str, &str)]) -> RecordBatch {
        let names: StringArray = rows.iter().map(|(name, _)| Some(*name)).collect();
        let types: StringArray = rows.iter().map(|(_, t)| Some(*t)).collect();
        RecordBatch::try_from_iter([("name", Arc::new(names) as _), ("type", Arc::new(types) as _)]).unwrap()
    }

    #[test]
    fn columns_are_sorted_and_types_merged() {
        let rows = [("b", "long"), ("a", "string"), ("b", "real"), ("c", ""), ("a", "")];
        let columns = Probe::columns(&[batch(&rows)]).unwrap();
        let shown: Vec<String> = columns.iter().map(|c| format!("{}:{}", c.name, c.column_type)).collect();
        assert_eq!(shown, ["a:string", "b:dynamic", "c:dynamic"]);
    }

    struct Nothing;

    impl Catalog for Nothing {
        fn columns(&self, _: &str) -> Option<Arc<[Column]>> {
            None
        }

        fn table_names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    /// Servers move queries from thread to thread.
    #[test]
    fn binding_over_data_can_be_moved_between_threads() {
        fn movable<T: Send>(future: T) -> T {
            future
        }
        let tree = moneta_kql::parse("print d = dynamic({}) | evaluate bag_unpack(d)").tree;
        let options = BindOptions::at(moneta_base::Timestamp::from_nanos(0));
        let run = |_: BoundResult| async { Ok::<_, String>(vec![batch(&[("a", "long")])]) };
        let bound = futures::executor::block_on(movable(bind_over_data(&tree, &Nothing, &options, run))).unwrap();
        assert_eq!(bound.0.unwrap().columns().iter().map(|c| c.name.to_string()).collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn too_many_columns_are_refused() {
        let names: Vec<String> = (0..=COLUMNS_MAX).map(|n| n.to_string()).collect();
        let rows: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "long")).collect();
        assert!(Probe::columns(&[batch(&rows)]).unwrap_err().contains("2000 is the limit"));
    }
}
