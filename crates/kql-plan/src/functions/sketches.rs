//! Functions over sketches: what `hll` and `tdigest` made, merged and asked.

use moneta_event::ColumnType;

use super::row::{Answer, Call, Cell};
use super::series::numbers::{Series, array, push_number};
use super::{Function, Naming};
use crate::sketch::hll::{self, Hll};
use crate::sketch::tdigest::{self, TDigest};
use crate::value::{EPOCH_TICKS, NANOS_PER_TICK};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("dcount_hll", &["(hll: dynamic) -> long"], |a, _| {
        Hll::parse(a[0].text()).and_then(|hll| i64::try_from(hll.count()).ok()).into()
    })
    .naming(Naming::Prefix("dcount_hll_"))
    .doc("The number of distinct values a sketch of `hll` has seen.", &[]),
    Function::row("hll_merge", &["(hll: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        hll::merged(a.iter().map(|cell| cell.text())).map(|hll| hll.text()).into()
    })
    .naming(Naming::Fixed("hll_merged_result"))
    .doc("One sketch of several.", &[]),
    Function::row("__hll_normalize", &["(hll: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        hll::merged(a.iter().map(|cell| cell.text())).map(|hll| hll.text()).into()
    })
    .naming(Naming::First)
    .doc("A sketch in its own form.", &[]),
    Function::row("hll_isvalid", &["(hll: dynamic, value: scalar) -> bool"], |a, _| {
        Hll::parse(a[0].text()).is_some().into()
    })
    .doc("Whether a value is a sketch of `hll`.", &[("hll_isvalid(dynamic([1]), 0)", "false")]),
    Function::row("tdigest_merge", &["(tdigest: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        tdigest::merged(a.iter().map(|cell| cell.text())).map(|mut digest| digest.text()).into()
    })
    .aliases(&["merge_tdigest"])
    .naming(Naming::Fixed("tdigests_merge_result"))
    .doc("One digest of several.", &[]),
    Function::row("tdigest_isvalid", &["(tdigest: dynamic, value: scalar) -> bool"], |a, _| {
        TDigest::parse(a[0].text()).is_some().into()
    })
    .doc("Whether a value is a digest of `tdigest`.", &[("tdigest_isvalid(dynamic([1]), 0)", "false")]),
    Function::row(
        "percentile_tdigest",
        &[
            "(tdigest: dynamic, percentile: real) -> dynamic",
            "(tdigest: dynamic, percentile: real, type: text) -> dynamic",
        ],
        percentile,
    )
    .naming(Naming::Prefix("percentile_tdigest_"))
    .doc(
        "The number at a percentile of a digest.",
        &[("percentile_tdigest(dynamic([[1],[1,2,3],[1,1,1]]), 50)", "dynamic(2)")],
    ),
    Function::row(
        "percentiles_array_tdigest",
        &["(tdigest: dynamic, percentiles: dynamic) -> dynamic", "(tdigest: dynamic, percentile: real...) -> dynamic"],
        percentiles,
    )
    .naming(Naming::Prefix("percentile_tdigest_"))
    .doc(
        "The numbers at several percentiles of a digest.",
        &[("percentiles_array_tdigest(dynamic([[1],[1,2,3],[1,1,1]]), 0, 100)", "dynamic([1,3])")],
    ),
    Function::row("rank_tdigest", &["(tdigest: dynamic, value: scalar) -> real"], |a, call| {
        let digest = TDigest::parse(a[0].text()).zip(measure(a[1], call.types[1]));
        digest.map(|(mut digest, value)| digest.rank(value)).into()
    })
    .doc(
        "How many numbers of a digest are not above a value.",
        &[("rank_tdigest(dynamic([[1],[1,2,3],[1,1,1]]), 2)", "real(2)")],
    ),
    Function::row("percentrank_tdigest", &["(tdigest: dynamic, value: scalar) -> real"], |a, call| {
        let digest = TDigest::parse(a[0].text()).zip(measure(a[1], call.types[1]));
        digest.map(|(mut digest, value)| digest.percent_rank(value)).into()
    })
    .doc(
        "How many percent of the numbers of a digest are not above a value.",
        &[("percentrank_tdigest(dynamic([[1],[1,2,3,4],[1,1,1,1]]), 2)", "real(50)")],
    ),
];

/// The number a digest keeps of a value: times in ticks.
#[must_use]
pub fn measure(cell: Cell<'_>, column_type: ColumnType) -> Option<f64> {
    match (cell, column_type) {
        (Cell::Time(nanos), ColumnType::DateTime) => {
            Some(super::row::long_to_real(crate::value::datetime_ticks(nanos)))
        }
        (Cell::Time(nanos), _) => Some(super::row::long_to_real(nanos / NANOS_PER_TICK)),
        (Cell::Text(text), _) => super::series::numbers::number(text),
        (cell, _) => cell.real(),
    }
}

fn percentile<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let Some(mut digest) = TDigest::parse(args[0].text()) else { return Answer::Null };
    let Some(value) = args[1].real().and_then(|percent| digest.percentile(percent)) else { return Answer::Null };
    match call.return_type {
        ColumnType::DateTime => super::row::real_to_long(value)
            .and_then(|ticks| ticks.checked_sub(EPOCH_TICKS)?.checked_mul(NANOS_PER_TICK))
            .map_or(Answer::Null, Answer::Time),
        ColumnType::TimeSpan => super::row::real_to_long(value)
            .and_then(|ticks| ticks.checked_mul(NANOS_PER_TICK))
            .map_or(Answer::Null, Answer::Time),
        ColumnType::Dynamic => {
            let mut text = String::new();
            push_number(&mut text, value, true);
            text.into()
        }
        ColumnType::String => value.to_string().into(),
        _ => Answer::Real(value),
    }
}

fn percentiles<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let Some(mut digest) = TDigest::parse(args[0].text()) else { return Answer::Null };
    let wanted: Vec<f64> = match (args[1], call.types[1]) {
        (Cell::Text(text), ColumnType::Dynamic) => match Series::read(text) {
            Some(series) => series.present().collect(),
            None => return Answer::Null,
        },
        _ => args[1..].iter().filter_map(|cell| cell.real()).collect(),
    };
    array(wanted.iter().map(|percent| digest.percentile(*percent)), true).into()
}
