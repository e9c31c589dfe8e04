//! `geo_polygon_lookup` and `geo_line_lookup`: rows of a table whose area holds a point, or whose line is near it.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, NamedExpression};

use super::arguments::Arguments;
use super::lookup::without_null_texts;
use super::rows::picked;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::row::{Answer, Call, Cell, Reader, RowKernel};
use crate::functions::{Kernel, registry};
use crate::operators::apply::is_hidden;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::value::Value;

/// The greatest number of points compared with shapes: each pair is computed.
const PAIRS_MAX: usize = 50_000_000;

/// `geo_polygon_lookup(table, polygon, longitude, latitude, radius, return_unmatched, lookup_area_radius, return_lookup_key)`
pub(super) fn geo_polygon_lookup(binder: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(binder, input, n, "geo_polygon_lookup", "geo_distance_point_to_polygon", Some("geo_point_in_polygon"))
}

/// `geo_line_lookup(table, line, longitude, latitude, radius, return_unmatched, lookup_area_radius, return_lookup_key)`
pub(super) fn geo_line_lookup(binder: &mut Binder<'_>, input: Relation, n: &EvaluateOperator) -> Option<Relation> {
    bind(binder, input, n, "geo_line_lookup", "geo_distance_point_to_line", None)
}

fn kernel(binder: &mut Binder<'_>, node: &EvaluateOperator, name: &str) -> Option<RowKernel> {
    match registry().get(name).map(|function| function.kernel) {
        Some(Kernel::Row(kernel) | Kernel::Native(_, kernel)) => Some(kernel),
        _ => {
            let message = format!("`{}` needs the function `{name}()`", node.call.function.text);
            binder.fail(codes::UNSUPPORTED, node.call.span, message)
        }
    }
}

fn bind(
    binder: &mut Binder<'_>,
    input: Relation,
    node: &EvaluateOperator,
    name: &'static str,
    distance: &str,
    inside: Option<&str>,
) -> Option<Relation> {
    let names = [
        "LookupTable",
        "LookupKey",
        "SourceLongitude",
        "SourceLatitude",
        "radius",
        "return_unmatched",
        "lookup_area_radius",
        "return_lookup_key",
    ];
    let mut arguments = Arguments::new(&node.call, &names);
    let table = match arguments.take("LookupTable") {
        Some(argument) => binder.relation(&argument.expression)?,
        None => return binder.fail(codes::ARGUMENTS, node.call.span, format!("{name}() takes a table first")),
    };
    let key = arguments.column(binder, "LookupKey", &table)?;
    let coordinate = |binder: &mut Binder<'_>, argument: Option<&NamedExpression>| match argument {
        Some(argument) => Some(binder.scalar(&argument.expression, &mut Row::of(&input))?.converted(ColumnType::Real)),
        None => binder.fail(codes::ARGUMENTS, node.call.span, format!("{name}() takes a longitude and a latitude")),
    };
    let longitude = coordinate(binder, arguments.take("SourceLongitude"))?;
    let latitude = coordinate(binder, arguments.take("SourceLatitude"))?;
    let radius = arguments.constant(binder, "radius")?.and_then(|value| crate::fold::cell(&value).real());
    let unmatched = arguments.flag(binder, "return_unmatched")?;
    // How wide an area is indexed changes no result.
    let _: Option<Value> = arguments.constant(binder, "lookup_area_radius")?;
    let returns_key = arguments.flag(binder, "return_lookup_key")?;
    arguments.finish(binder)?;
    let test = match (radius, inside) {
        (Some(_), _) => kernel(binder, node, distance)?,
        (None, Some(inside)) => kernel(binder, node, inside)?,
        (None, None) => return binder.fail(codes::ARGUMENTS, node.call.span, format!("{name}() needs a radius")),
    };
    let visible: Vec<Column> = input.columns.iter().filter(|c| !is_hidden(&c.name)).cloned().collect();
    let mut unique = Names::of(&visible);
    let mut columns = visible.clone();
    let mut added = Vec::new();
    for (at, own) in table.columns.iter().enumerate().filter(|(_, c)| returns_key || c.name != key.name) {
        columns.push(Column::new(&unique.unique(&own.name), own.column_type));
        added.push((at, own.column_type));
    }
    let shape = table.columns.iter().position(|c| c.name == key.name)?;
    let mut outputs: Vec<(Column, ScalarExpr)> = visible.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
    outputs.push((Column::new("__longitude", ColumnType::Real), longitude));
    outputs.push((Column::new("__latitude", ColumnType::Real), latitude));
    let points = Project::relation("extend", input, outputs);
    let work = GeoLookup { name, test: Test(test), radius, shape, added, unmatched };
    Some(Gathered::relation(vec![points, table], columns, work))
}

/// The function that compares a point with a shape.
#[derive(Clone, Copy)]
struct Test(RowKernel);

impl std::fmt::Debug for Test {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Test")
    }
}

/// Over the input with longitude and latitude behind it, and the table.
#[derive(Debug)]
struct GeoLookup {
    name: &'static str,
    test: Test,
    radius: Option<f64>,
    shape: usize,
    added: Vec<(usize, ColumnType)>,
    unmatched: bool,
}

impl Gathering for GeoLookup {
    fn name(&self) -> &'static str {
        self.name
    }

    fn details(&self) -> String {
        self.radius.map(|radius| format!("within {radius} m")).unwrap_or_default()
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let (rows, table) = (&inputs[0], &inputs[1]);
        if rows.num_rows().saturating_mul(table.num_rows()) > PAIRS_MAX {
            return Err(format!(
                "{} would compare more than {PAIRS_MAX} pairs; filter the points or shapes",
                self.name
            ));
        }
        let own = rows.num_columns() - 2;
        let (longitudes, latitudes) = (Reader::of(rows.column(own)), Reader::of(rows.column(own + 1)));
        let shapes = Reader::of(table.column(self.shape));
        let (mut left, mut right): (Vec<u32>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
        for (at, row) in (0_u32..).zip(0..rows.num_rows()) {
            work.check()?;
            let before = left.len();
            for (other, shape) in (0_u32..).zip(0..table.num_rows()) {
                if self.fits([longitudes.get(row), latitudes.get(row), shapes.get(shape)]) {
                    left.push(at);
                    right.push(Some(other));
                }
            }
            if self.unmatched && left.len() == before {
                left.push(at);
                right.push(None);
            }
        }
        let mut arrays = picked(&rows.columns()[..own], left)?;
        let right = UInt32Array::from(right);
        for (at, column_type) in &self.added {
            let taken = arrow::compute::take(table.column(*at), &right, None).map_err(|error| error.to_string())?;
            arrays.push(without_null_texts(taken, *column_type)?);
        }
        Ok(arrays)
    }
}

impl GeoLookup {
    fn fits(&self, cells: [Cell<'_>; 3]) -> bool {
        if cells.iter().any(|cell| cell.is_null()) {
            return false;
        }
        let return_type = if self.radius.is_some() { ColumnType::Real } else { ColumnType::Bool };
        let types = [ColumnType::Real, ColumnType::Real, ColumnType::Dynamic];
        match ((self.test.0)(&cells, &Call { types: &types, return_type }), self.radius) {
            (Answer::Bool(inside), _) => inside,
            (Answer::Real(distance), Some(radius)) => distance <= radius,
            _ => false,
        }
    }
}
