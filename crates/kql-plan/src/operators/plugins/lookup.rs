//! `ipv4_lookup` and `ipv6_lookup`: rows of a table whose network holds an address.

use std::collections::HashMap;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{EvaluateOperator, Expression};

use super::arguments::Arguments;
use super::rows::{groups, picked};
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr};
use crate::functions::network::{ipv4_network, ipv6_network};
use crate::functions::row::Reader;
use crate::operators::apply::is_hidden;
use crate::operators::gathered::{Gathered, Gathering, Work};
use crate::operators::project::Project;
use crate::value::null_scalar;

/// An address or network: its first address and the number of bits that count, of 128.
type Network = fn(&str) -> Option<(u128, u32)>;

/// `ipv4_lookup(table, address, network, extra keys..., return_unmatched)`
pub(super) fn ipv4_lookup(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    bind(binder, input, node, "ipv4_lookup", ipv4_network)
}

/// `ipv6_lookup(table, address, network, return_unmatched)`
pub(super) fn ipv6_lookup(binder: &mut Binder<'_>, input: Relation, node: &EvaluateOperator) -> Option<Relation> {
    bind(binder, input, node, "ipv6_lookup", ipv6_network)
}

fn bind(
    binder: &mut Binder<'_>,
    input: Relation,
    node: &EvaluateOperator,
    name: &'static str,
    network: Network,
) -> Option<Relation> {
    let mut arguments = Arguments::new(&node.call, &["LookupTable", "SourceKey", "LookupKey"]);
    let table = match arguments.take("LookupTable") {
        Some(argument) => binder.relation(&argument.expression)?,
        None => {
            return binder.fail(codes::ARGUMENTS, node.call.span, format!("{name}() takes a table and two columns"));
        }
    };
    let source = arguments.column(binder, "SourceKey", &input)?;
    let lookup = arguments.column(binder, "LookupKey", &table)?;
    let mut unmatched = arguments.flag(binder, "return_unmatched")?;
    let mut extra = Vec::new();
    for argument in arguments.rest() {
        match &argument.expression {
            Expression::Name(key) if input.column(&key.text).is_some() => {
                if table.column(&key.text).is_none() {
                    let message = format!("the lookup table has no column `{}`", key.text);
                    return binder.fail(codes::UNRESOLVED, key.span, message);
                }
                extra.push(key.text.clone());
            }
            other => {
                let flag = binder.scalar(other, &mut Row::none())?;
                unmatched = flag.as_literal() == Some(&crate::value::Value::Bool(true));
            }
        }
    }
    let visible: Vec<Column> = input.columns.iter().filter(|c| !is_hidden(&c.name)).cloned().collect();
    let position = |columns: &[Column], name: &str| columns.iter().position(|c| *c.name == *name);
    let mut names = Names::of(&visible);
    let added: Vec<usize> =
        (0..table.columns.len()).filter(|at| extra.iter().all(|key| **key != *table.columns[*at].name)).collect();
    let mut columns = visible.clone();
    for at in &added {
        let own = &table.columns[*at];
        columns.push(Column::new(&names.unique(&own.name), own.column_type));
    }
    let work = Lookup {
        name,
        network,
        source: position(&visible, &source.name)?,
        lookup: position(&table.columns, &lookup.name)?,
        extra: extra.iter().filter_map(|k| Some((position(&visible, k)?, position(&table.columns, k)?))).collect(),
        added: added.iter().map(|at| (*at, table.columns[*at].column_type)).collect(),
        unmatched,
    };
    let table = with_equal_types(table, &input, &extra);
    Some(Gathered::relation(vec![input, table], columns, work))
}

/// The lookup table with its extra keys in the types of the input's.
fn with_equal_types(table: Relation, input: &Relation, extra: &[String]) -> Relation {
    let outputs = table.columns.iter().map(|c| {
        let wanted = input.column(&c.name).filter(|_| extra.iter().any(|key| **key == *c.name));
        let target = Column { name: c.name.clone(), column_type: wanted.map_or(c.column_type, |w| w.column_type) };
        let value = ScalarExpr::column(c).converted(target.column_type);
        (target, value)
    });
    let outputs = outputs.collect();
    Project::exact("extend", table, outputs)
}

#[derive(Debug)]
struct Lookup {
    name: &'static str,
    network: Network,
    source: usize,
    lookup: usize,
    /// Keys that must be equal too: positions left and right.
    extra: Vec<(usize, usize)>,
    /// The columns of the table that are added.
    added: Vec<(usize, ColumnType)>,
    unmatched: bool,
}

impl Gathering for Lookup {
    fn name(&self) -> &'static str {
        self.name
    }

    fn details(&self) -> String {
        String::new()
    }

    fn run(&self, inputs: &[RecordBatch], work: &Work) -> Result<Vec<ArrayRef>, String> {
        let (rows, table) = (&inputs[0], &inputs[1]);
        let extra = self.extra_groups(rows, table)?;
        let index = Networks::new(table.column(self.lookup), self.network, &extra[rows.num_rows()..]);
        let source = Reader::of(rows.column(self.source));
        let (mut left, mut right): (Vec<u32>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
        for (row, group) in extra.iter().enumerate().take(rows.num_rows()) {
            if row % 4096 == 0 {
                work.check()?;
            }
            let at = u32::try_from(row).map_err(|_| "too many rows for a lookup".to_owned())?;
            let found = index.find(source.get(row).text(), self.network, *group);
            if found.is_empty() && self.unmatched {
                left.push(at);
                right.push(None);
            }
            for other in found {
                left.push(at);
                right.push(Some(*other));
            }
        }
        let mut arrays = picked(rows.columns(), left)?;
        let right = UInt32Array::from(right);
        for (at, column_type) in &self.added {
            let taken = arrow::compute::take(table.column(*at), &right, None).map_err(|e| e.to_string())?;
            arrays.push(without_null_texts(taken, *column_type)?);
        }
        Ok(arrays)
    }
}

/// Texts have no null.
pub(super) fn without_null_texts(array: ArrayRef, column_type: ColumnType) -> Result<ArrayRef, String> {
    if column_type != ColumnType::String || array.null_count() == 0 {
        return Ok(array);
    }
    let empty = null_scalar(column_type).to_array_of_size(array.len()).map_err(|e| e.to_string())?;
    let present = arrow::compute::is_not_null(&array).map_err(|e| e.to_string())?;
    arrow::compute::kernels::zip::zip(&present, &array, &empty).map_err(|e| e.to_string())
}

impl Lookup {
    /// The group of the extra keys of each row of the input, then of each row of the table.
    fn extra_groups(&self, rows: &RecordBatch, table: &RecordBatch) -> Result<Vec<usize>, String> {
        let total = rows.num_rows() + table.num_rows();
        let keys = self
            .extra
            .iter()
            .map(|(l, r)| arrow::compute::concat(&[rows.column(*l).as_ref(), table.column(*r).as_ref()]))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())?;
        Ok(groups(&keys, total)?.of_rows)
    }
}

/// Rows by their network: the number of bits, the first address, and the group of the extra keys.
struct Networks {
    rows: HashMap<(u32, u128, usize), Vec<u32>>,
    /// The numbers of bits there are, the longest first.
    bits: Vec<u32>,
}

impl Networks {
    fn new(column: &ArrayRef, network: Network, extra: &[usize]) -> Self {
        let reader = Reader::of(column);
        let mut rows: HashMap<(u32, u128, usize), Vec<u32>> = HashMap::new();
        for (row, group) in (0_u32..).zip(extra) {
            if let Some((ip, bits)) = network(reader.get(row as usize).text()) {
                rows.entry((bits, masked(ip, bits), *group)).or_default().push(row);
            }
        }
        let mut bits: Vec<u32> = rows.keys().map(|(bits, ..)| *bits).collect();
        bits.sort_unstable_by(|a, b| b.cmp(a));
        bits.dedup();
        Self { rows, bits }
    }

    /// The rows of the narrowest network that holds the address.
    fn find(&self, text: &str, network: Network, group: usize) -> &[u32] {
        let Some((ip, own)) = network(text) else { return &[] };
        let fitting = self.bits.iter().filter(|bits| **bits <= own);
        fitting.filter_map(|bits| self.rows.get(&(*bits, masked(ip, *bits), group))).next().map_or(&[], Vec::as_slice)
    }
}

fn masked(ip: u128, bits: u32) -> u128 {
    if bits == 0 { 0 } else { ip & (u128::MAX << (128 - bits.min(128))) }
}
