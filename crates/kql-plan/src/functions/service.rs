//! Functions that ask about the service and its data, and small ones that belong nowhere else.

use moneta_event::ColumnType;
use serde_json::Value as Json;

use super::conversion::to_text;
use super::row::{Answer, Call, Cell};
use super::{Function, Kernel, Naming};
use crate::json;

/// The guid of data that is not cut into extents one could name.
const NO_EXTENT: &str = "00000000-0000-0000-0000-000000000000";

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::new("current_principal_details", &["() -> dynamic"], Kernel::Special)
        .doc("Who asks, as a bag.", &[("gettype(current_principal_details().FQN)", "\"string\"")]),
    Function::new("current_principal_is_member_of", &["(group: scalar...) -> bool"], Kernel::Special).doc(
        "Whether who asks is one of these principals. Groups of a directory are not known here.",
        &[("current_principal_is_member_of('aaduser=nobody@example.com')", "false")],
    ),
    Function::row("extent_id", &["() -> guid"], |_, _| Answer::Text(NO_EXTENT.into()))
        .aliases(&["extentid"])
        .doc(
            "The extent of a row. Rows are not addressed by extents here, so all have the same.",
            &[("extent_id()", "guid(00000000-0000-0000-0000-000000000000)")],
        ),
    Function::row("extent_tags", &["() -> dynamic"], |_, _| Answer::Null)
        .doc("The tags of a row's extent. There are none.", &[("extent_tags()", "dynamic(null)")]),
    Function::new("cursor_current", &["() -> string"], Kernel::Special)
        .aliases(&["current_cursor"])
        .doc("A cursor of now: rows ingested later are behind it.", &[("strlen(cursor_current()) > 0", "true")]),
    Function::new("cursor_after", &["(cursor: text) -> bool"], Kernel::Special)
        .doc("Whether a row was ingested after a cursor; true for all after the empty one.", &[("cursor_after('')", "true")]),
    Function::new("cursor_before_or_at", &["(cursor: text) -> bool"], Kernel::Special)
        .doc("Whether a row was ingested before or at a cursor.", &[("cursor_before_or_at('')", "false")]),
    Function::row("estimate_data_size", &["(column: scalar...) -> long"], |a, call| {
        a.iter().zip(call.types).map(|(cell, column_type)| size_bytes(*cell, *column_type)).sum::<i64>().into()
    })
    .handles_nulls()
    .doc("How many bytes values take, roughly.", &[("estimate_data_size('abc', 1)", "11")]),
    Function::row("around", &["(value: scalar, center: scalar, delta: scalar) -> bool"], around)
        .doc("Whether a value is within a distance of a center.", &[("around(5, 4, 1)", "true"), ("around(5, 3, 1)", "false")]),
    Function::row(
        "indexof_regex",
        &["(source: astext, pattern: astext, [start: integer], [length: integer], [occurrence: integer]) -> long"],
        |a, _| indexof_regex(a),
    )
    .doc(
        "The position of what a pattern matches, or -1.",
        &[("indexof_regex('abcabc', 'a.c')", "0"), ("indexof_regex('abcabc', 'a.c', 0, -1, 2)", "3")],
    ),
    Function::row("ipv4_range_to_cidr_list", &["(start: text, end: text) -> dynamic"], |a, _| {
        cidr_list(a[0].text(), a[1].text()).map(Json::from).into()
    })
    .doc(
        "The networks that together are a range of IPv4 addresses.",
        &[("ipv4_range_to_cidr_list('10.0.0.0', '10.0.1.0')", "dynamic([\"10.0.0.0/24\",\"10.0.1.0/32\"])")],
    ),
    Function::new("bin_auto", &["(value: summable) -> promoted"], Kernel::Special).naming(Naming::First).doc(
        "Rounds down to the bins that `set query_bin_auto_size` and `set query_bin_auto_at` say; without them the value itself.",
        &[("bin_auto(5)", "5")],
    ),
    Function::new("iscolumnexists", &["(name: string) -> bool"], Kernel::Special)
        .doc("Whether there is a column of a name.", &[("iscolumnexists('nothing')", "false")]),
    Function::row("current_node_id", &["() -> string"], |_, _| Answer::Text("moneta".into()))
        .doc("The node that answers.", &[("current_node_id()", "\"moneta\"")]),
    Function::row("row_id", &["() -> string"], |_, _| Answer::Text("".into()))
        .doc("The identity of a row. Rows have none but their place in the ledger, so it is empty.", &[("row_id()", "\"\"")]),
    Function::row("rowstore_ordinal_range", &["() -> dynamic"], |_, _| Answer::Null)
        .doc("The rows of a row store. There is none.", &[("rowstore_ordinal_range()", "dynamic(null)")]),
    Function::new("__cast", &["(type: text, value: scalar) -> dynamic"], Kernel::Special)
        .doc("A value converted to a type.", &[("__cast(typeof(long), '5')", "5")]),
];

fn size_bytes(cell: Cell<'_>, column_type: ColumnType) -> i64 {
    match column_type {
        ColumnType::Bool => 1,
        ColumnType::Int => 4,
        ColumnType::Long | ColumnType::Real | ColumnType::DateTime | ColumnType::TimeSpan => 8,
        ColumnType::Decimal | ColumnType::Guid => 16,
        ColumnType::String | ColumnType::Dynamic => i64::try_from(cell.text().len()).unwrap_or(i64::MAX),
    }
}

fn around<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    match (args[0], args[1], args[2]) {
        (Cell::Time(value), Cell::Time(center), Cell::Time(delta)) => {
            (value >= center.saturating_sub(delta) && value <= center.saturating_add(delta)).into()
        }
        (Cell::Long(value), Cell::Long(center), Cell::Long(delta)) => {
            (value >= center.saturating_sub(delta) && value <= center.saturating_add(delta)).into()
        }
        _ => {
            let number = |position: usize| match args[position] {
                Cell::Text(_) => to_text(args[position], call.types[position]).parse().ok(),
                cell => cell.real(),
            };
            match (number(0), number(1), number(2)) {
                (Some(value), Some(center), Some(delta)) => {
                    let (value, center, delta): (f64, f64, f64) = (value, center, delta);
                    (value >= center - delta && value <= center + delta).into()
                }
                _ => Answer::Null,
            }
        }
    }
}

/// Matches do not overlap; a start beyond the text, and a negative one, give null.
fn indexof_regex<'a>(args: &[Cell<'a>]) -> Answer<'a> {
    let number = |position: usize, default: i64| args.get(position).and_then(|cell| cell.long()).unwrap_or(default);
    let (start, length, occurrence) = (number(2, 0), number(3, -1), number(4, 1));
    let Some(pattern) = super::string::regex(args[1].text()) else { return Answer::Null };
    let (Ok(start), Ok(occurrence)) = (usize::try_from(start), usize::try_from(occurrence)) else {
        return Answer::Null;
    };
    let text = args[0].text();
    if occurrence == 0 || length < -1 {
        return Answer::Null;
    }
    let offset = |position: usize| text.char_indices().map(|(at, _)| at).chain([text.len()]).nth(position);
    let Some(from) = offset(start) else { return Answer::Long(-1) };
    let to = usize::try_from(length).ok().and_then(|n| offset(start.saturating_add(n))).unwrap_or(text.len());
    match pattern.find_iter(&text[from..to]).nth(occurrence - 1) {
        Some(found) => text[..from + found.start()].chars().count().into(),
        None => Answer::Long(-1),
    }
}

/// The fewest networks that hold the addresses from one to another and no other.
fn cidr_list(start: &str, end: &str) -> Option<Vec<String>> {
    let parse = |text: &str| text.trim().parse::<std::net::Ipv4Addr>().ok().map(|ip| u64::from(u32::from(ip)));
    let (mut at, end) = (parse(start)?, parse(end)?);
    let mut networks = Vec::new();
    while at <= end {
        // As large as the alignment of the start and the end allow.
        let aligned = if at == 0 { 32 } else { at.trailing_zeros().min(32) };
        let fits = (end - at + 1).ilog2();
        let bits = aligned.min(fits);
        let address = std::net::Ipv4Addr::from(u32::try_from(at).ok()?);
        networks.push(format!("{address}/{}", 32 - bits));
        at += 1 << bits;
    }
    Some(networks)
}

/// Whether who asks, the first argument, is among the others: what the binder makes of
/// `current_principal_is_member_of`, which alone knows who asks.
pub(crate) static IS_PRINCIPAL: Function =
    Function::row("__is_principal", &["(own: string, group: scalar...) -> bool"], |a, call| {
        let own = a[0].text();
        let named = |(cell, column_type): (&Cell<'_>, &ColumnType)| {
            named_principals(cell.text(), *column_type).iter().any(|name| name == own)
        };
        (!own.is_empty() && a.iter().zip(call.types).skip(1).any(named)).into()
    })
    .handles_nulls();

/// The time a cursor stands for; null for a text that is no cursor.
pub(crate) static CURSOR_MOMENT: Function =
    Function::row("__cursor_moment", &["(cursor: string) -> datetime"], |a, _| {
        cursor_moment(a[0].text()).map_or(Answer::Null, Answer::Time)
    });

/// The time a cursor stands for, in nanoseconds.
pub(crate) fn cursor_moment(cursor: &str) -> Option<i64> {
    cursor.trim().parse().ok().map(|ticks| crate::value::datetime_nanos(ticks).0)
}

/// The principals of `current_principal_is_member_of`: texts, or arrays of texts.
fn named_principals(text: &str, column_type: ColumnType) -> Vec<String> {
    match json::elements(text) {
        Some(all) if column_type == ColumnType::Dynamic => {
            all.iter().map(|element| json::to_text(element).into_owned()).collect()
        }
        _ => vec![text.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_networks() {
        assert_eq!(cidr_list("1.1.128.0", "1.1.140.255").unwrap(), ["1.1.128.0/21", "1.1.136.0/22", "1.1.140.0/24"]);
        assert_eq!(cidr_list("0.0.0.0", "255.255.255.255").unwrap(), ["0.0.0.0/0"]);
        assert_eq!(cidr_list("1.1.1.2", "1.1.1.1").unwrap(), [""; 0]);
        assert_eq!(cidr_list("x", "1.1.1.1"), None);
    }
}
