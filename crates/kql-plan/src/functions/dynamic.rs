//! Functions over `dynamic` values: arrays, bags and sets.

use std::collections::HashSet;

use moneta_event::ColumnType;
use serde_json::{Map, Value as Json};

use super::conversion::{cell_text, cell_value};
use super::row::{Answer, Call, Cell};
use super::{Fills, Function, Kernel, Naming};
use crate::json::{self, value_text};

/// The greatest number of elements `range` and `repeat` make.
const ELEMENTS_MAX: usize = 1_048_576;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("array_length", &["(array: dynamic) -> long"], |a, _| {
        json::elements(a[0].text()).map(|e| e.len()).into()
    })
    .aliases(&["arraylength"])
    .doc(
        "Counts the elements of an array.",
        &[("array_length(dynamic([1,2,3]))", "3"), ("array_length(dynamic(1))", "long(null)")],
    ),
    Function::row("pack_array", &["(value: scalar...) -> dynamic"], |a, call| Json::Array(flat(a, call)).into())
        .handles_nulls()
        .doc("Makes an array of its arguments.", &[("pack_array(1, 'a')", "dynamic([1,\"a\"])")]),
    Function::row("bag_pack", &["(key: scalar, value: scalar, more: scalar...) -> dynamic"], pack)
        .aliases(&["pack", "pack_dictionary"])
        .handles_nulls()
        .doc("Makes a bag of keys and values.", &[("bag_pack('a', 1, 'b', 'x')", "dynamic({\"a\":1,\"b\":\"x\"})")]),
    Function::new("bag_pack_columns", &["(column: scalar...) -> dynamic"], Kernel::Special)
        .doc("Makes a bag of columns, their names being the keys.", &[]),
    Function::row("bag_keys", &["(bag: dynamic) -> dynamic"], |a, _| {
        json::parse(a[0].text()).as_object().map(|bag| Json::from(bag.keys().cloned().collect::<Vec<_>>())).into()
    })
    .doc("The keys of a bag.", &[("bag_keys(dynamic({'a':1,'b':2}))", "dynamic([\"a\",\"b\"])")]),
    Function::row("bag_has_key", &["(bag: dynamic, key: text) -> bool"], |a, _| {
        let (bag, key) = (a[0].text(), a[1].text());
        let is_bag = |text: &str| text.trim_start().starts_with('{');
        if is_bag(bag) && json::parse(bag).as_object().is_some_and(|bag| bag.contains_key(key)) {
            return true.into();
        }
        match is_path(key) {
            true if is_bag(bag) || json::elements(bag).is_some() => holds_path(bag, key).into(),
            _ if is_bag(bag) => false.into(),
            _ => Answer::Null,
        }
    })
    .doc(
        "Whether a bag has a key; a key that starts with `$.` or `$[` is a path.",
        &[("bag_has_key(dynamic({'a':1}), 'a')", "true"), ("bag_has_key(dynamic([{'a':1}]), '$[0].a')", "true")],
    ),
    Function::row("bag_remove_keys", &["(bag: dynamic, keys: dynamic) -> dynamic"], |a, _| {
        let Json::Object(mut bag) = json::parse(a[0].text()) else { return Answer::Null };
        for key in array(a[1]) {
            remove_key(&mut bag, &value_text(&key));
        }
        Json::Object(bag).into()
    })
    .doc(
        "A bag without some of its keys; a key that starts with `$.` is a path into bags inside it.",
        &[
            ("bag_remove_keys(dynamic({'a':1,'b':2}), dynamic(['a']))", "dynamic({\"b\":2})"),
            ("bag_remove_keys(dynamic({'a':{'b':1,'c':2}}), dynamic(['$.a.b']))", "dynamic({\"a\":{\"c\":2}})"),
        ],
    ),
    Function::row("bag_set_key", &["(bag: dynamic, key: text, value: scalar) -> dynamic"], |a, call| {
        let Json::Object(mut bag) = json::parse(a[0].text()) else { return Answer::Null };
        set_key(&mut bag, a[1].text(), cell_value(a[2], call.types[2]));
        Json::Object(bag).into()
    })
    .handles_nulls()
    .doc(
        "A bag with a key set; a key that starts with `$.` is a path into bags inside it.",
        &[
            ("bag_set_key(dynamic({'a':1}), 'b', 2)", "dynamic({\"a\":1,\"b\":2})"),
            ("bag_set_key(dynamic({'a':{'b':1}}), '$.a.b', 2)", "dynamic({\"a\":{\"b\":2}})"),
        ],
    ),
    Function::row("bag_merge", &["(bag: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        let mut merged: Option<Map<String, Json>> = None;
        for cell in a {
            if let Json::Object(bag) = json::parse(cell.text()) {
                let into = merged.get_or_insert_default();
                for (key, value) in bag {
                    into.entry(key).or_insert(value);
                }
            }
        }
        merged.map(Json::Object).into()
    })
    .handles_nulls()
    .doc(
        "One bag of several; of equal keys the first counts.",
        &[("bag_merge(dynamic({'a':1}), dynamic({'a':2,'b':3}))", "dynamic({\"a\":1,\"b\":3})")],
    ),
    Function::row("bag_zip", &["(keys: dynamic, values: dynamic) -> dynamic"], |a, _| {
        let Json::Array(keys) = json::parse(a[0].text()) else { return Answer::Null };
        let values = array(a[1]);
        let pairs = keys.iter().enumerate().filter_map(|(index, key)| {
            Some((key.as_str()?.to_owned(), values.get(index).cloned().unwrap_or(Json::Null)))
        });
        Json::Object(pairs.collect()).into()
    })
    .doc(
        "A bag of an array of keys and one of values. Keys that are no texts are left out.",
        &[("bag_zip(dynamic(['a']), dynamic([1]))", "dynamic({\"a\":1})")],
    ),
    Function::row("array_concat", &["(array: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        let arrays: Vec<Json> = a.iter().flat_map(|cell| array(*cell)).collect();
        Json::Array(arrays).into()
    })
    .handles_nulls()
    .doc("One array of several.", &[("array_concat(dynamic([1]), dynamic([2,3]))", "dynamic([1,2,3])")]),
    Function::row("array_slice", &["(array: dynamic, start: integer, end: integer) -> dynamic"], |a, _| {
        let all = array(a[0]);
        let range = slice(all.len(), a[1].long().unwrap_or(0), a[2].long().unwrap_or(-1));
        Json::from(all[range].to_vec()).into()
    })
    .doc(
        "The elements from one position to another, both included.",
        &[
            ("array_slice(dynamic([1,2,3,4,5]), 1, 2)", "dynamic([2,3])"),
            ("array_slice(dynamic([1,2,3,4,5]), -3, -2)", "dynamic([3,4])"),
        ],
    ),
    Function::row("array_reverse", &["(array: dynamic) -> dynamic"], |a, _| {
        let mut all = array(a[0]);
        all.reverse();
        Json::Array(all).into()
    })
    .doc("An array in the opposite order.", &[("array_reverse(dynamic([1,2]))", "dynamic([2,1])")]),
    Function::row("array_sum", &["(array: dynamic) -> real"], |a, _| {
        json::parse(a[0].text()).as_array().map(|all| all.iter().filter_map(Json::as_f64).sum::<f64>()).into()
    })
    .doc("The sum of an array.", &[("array_sum(dynamic([1,2.5]))", "real(3.5)")]),
    Function::row(
        "array_index_of",
        &["(array: dynamic, value: scalar, [start: integer], [length: integer], [occurrence: integer]) -> long"],
        |a, call| index_of(&array(a[0]), &cell_value(a[1], call.types[1]), a),
    )
    .doc("The position of a value in an array, or -1.", &[("array_index_of(dynamic(['a','b']), 'b')", "1")]),
    Function::row("array_rotate_left", &["(array: dynamic, count: integer) -> dynamic"], |a, _| {
        rotate(a[0], a[1].long().unwrap_or(0))
    })
    .doc("An array turned to the left.", &[("array_rotate_left(dynamic([1,2,3]), 1)", "dynamic([2,3,1])")]),
    Function::row("array_rotate_right", &["(array: dynamic, count: integer) -> dynamic"], |a, _| {
        rotate(a[0], -a[1].long().unwrap_or(0))
    })
    .doc("An array turned to the right.", &[("array_rotate_right(dynamic([1,2,3]), 1)", "dynamic([3,1,2])")]),
    Function::row(
        "array_shift_left",
        &["(array: dynamic, count: integer, [default: scalar]) -> dynamic"],
        |a, call| shift(a, call, a[1].long().unwrap_or(0)),
    )
    .handles_nulls()
    .doc(
        "An array moved to the left, filled with a value.",
        &[("array_shift_left(dynamic([1,2,3]), 1)", "dynamic([2,3,null])")],
    ),
    Function::row(
        "array_shift_right",
        &["(array: dynamic, count: integer, [default: scalar]) -> dynamic"],
        |a, call| shift(a, call, -a[1].long().unwrap_or(0)),
    )
    .handles_nulls()
    .doc(
        "An array moved to the right, filled with a value.",
        &[("array_shift_right(dynamic([1,2,3]), 1)", "dynamic([null,1,2])")],
    ),
    Function::row("array_split", &["(array: dynamic, indices: scalar) -> dynamic"], |a, call| {
        array_split(&array(a[0]), &cell_value(a[1], call.types[1]))
    })
    .doc("An array cut at positions into arrays.", &[("array_split(dynamic([1,2,3]), 1)", "dynamic([[1],[2,3]])")]),
    Function::row("array_iff", &["(conditions: dynamic, then: scalar, else: scalar) -> dynamic"], array_iff)
        .aliases(&["array_iif"])
        .handles_nulls()
        .doc(
            "Chooses between two arrays element by element.",
            &[("array_iff(dynamic([true,false]), dynamic([1,2]), dynamic([3,4]))", "dynamic([1,4])")],
        ),
    Function::row("array_sort_asc", &["(array: dynamic, more: scalar...) -> dynamic"], |a, call| {
        sorted(a, call, false)
    })
    .naming(Naming::Suffix("_sorted"))
    .fills(Fills::PerArray("_sorted"))
    .handles_nulls()
    .doc("An array in rising order.", &[("array_sort_asc(dynamic([3,1,2]))", "dynamic([1,2,3])")]),
    Function::row("array_sort_desc", &["(array: dynamic, more: scalar...) -> dynamic"], |a, call| {
        sorted(a, call, true)
    })
    .naming(Naming::Suffix("_sorted"))
    .fills(Fills::PerArray("_sorted"))
    .handles_nulls()
    .doc("An array in falling order.", &[("array_sort_desc(dynamic(['a','c','b']))", "dynamic([\"c\",\"b\",\"a\"])")]),
    Function::row("strcat_array", &["(array: dynamic, delimiter: scalar) -> string"], |a, call| {
        let delimiter = cell_text(a[1], call.types[1]);
        array(a[0]).iter().map(value_text).collect::<Vec<_>>().join(&delimiter).into()
    })
    .aliases(&["array_strcat"])
    .doc("Joins the elements of an array as text.", &[("strcat_array(dynamic([1,2]), '->')", "\"1->2\"")]),
    Function::row("set_union", &["(set: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        Json::Array(distinct(a.iter().flat_map(|cell| array(*cell)))).into()
    })
    .handles_nulls()
    .doc(
        "The distinct elements of several arrays.",
        &[("set_union(dynamic([1,2]), dynamic([2,3]))", "dynamic([1,2,3])")],
    ),
    Function::row("set_intersect", &["(set: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        let others: Vec<HashSet<String>> = a[1..].iter().map(|cell| texts(*cell)).collect();
        Json::Array(distinct(array(a[0]).into_iter().filter(|v| others.iter().all(|o| o.contains(&v.to_string())))))
            .into()
    })
    .handles_nulls()
    .doc(
        "The distinct elements that all arrays have.",
        &[("set_intersect(dynamic([1,2]), dynamic([2,3]))", "dynamic([2])")],
    ),
    Function::row("set_difference", &["(set: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        let others: Vec<HashSet<String>> = a[1..].iter().map(|cell| texts(*cell)).collect();
        Json::Array(distinct(array(a[0]).into_iter().filter(|v| !others.iter().any(|o| o.contains(&v.to_string())))))
            .into()
    })
    .handles_nulls()
    .doc(
        "The distinct elements of the first array that no other has.",
        &[("set_difference(dynamic([1,2]), dynamic([2]))", "dynamic([1])")],
    ),
    Function::row("set_has_element", &["(set: dynamic, value: scalar) -> bool"], |a, call| {
        let wanted = cell_value(a[1], call.types[1]);
        json::parse(a[0].text()).as_array().map(|all| all.contains(&wanted)).into()
    })
    .doc("Whether an array has an element.", &[("set_has_element(dynamic(['a']), 'a')", "true")]),
    Function::row("set_equals", &["(left: dynamic, right: dynamic) -> bool"], |a, _| {
        (texts(a[0]) == texts(a[1])).into()
    })
    .doc(
        "Whether two arrays have the same distinct elements.",
        &[("set_equals(dynamic([1,2]), dynamic([2,1,1]))", "true")],
    ),
    Function::row("jaccard_index", &["(left: dynamic, right: dynamic) -> dynamic"], |a, _| {
        let (left, right) = (texts(a[0]), texts(a[1]));
        let long = |n: usize| super::row::long_to_real(i64::try_from(n).unwrap_or(i64::MAX));
        Json::from(long(left.intersection(&right).count()) / long(left.union(&right).count())).into()
    })
    .doc(
        "How much two sets share: from 0 to 1.",
        &[("jaccard_index(dynamic([1,2]), dynamic([2,3,4]))", "dynamic(0.25)")],
    ),
    Function::row("zip", &["(array: dynamic, other: dynamic...) -> dynamic"], |a, _| {
        let arrays: Vec<Vec<Json>> = a.iter().map(|cell| array(*cell)).collect();
        let longest = arrays.iter().map(Vec::len).max().unwrap_or(0);
        let row = |i: usize| {
            Json::from(arrays.iter().map(|all| all.get(i).cloned().unwrap_or(Json::Null)).collect::<Vec<_>>())
        };
        Json::Array((0..longest).map(row).collect()).into()
    })
    .handles_nulls()
    .doc(
        "An array of arrays, the first holding all first elements and so on.",
        &[("zip(dynamic([1,2]), dynamic(['a']))", "dynamic([[1,\"a\"],[2,null]])")],
    ),
    Function::row("range", &["(start: scalar, stop: scalar, [step: scalar]) -> dynamic"], range)
        .doc("An array of equally spaced values.", &[("range(1, 8, 3)", "dynamic([1,4,7])")]),
    Function::row("repeat", &["(value: scalar, count: integer) -> dynamic"], |a, call| {
        let count = a[1].long().and_then(|n| usize::try_from(n).ok()).unwrap_or(0).min(ELEMENTS_MAX);
        Json::from(vec![cell_value(a[0], call.types[0]); count]).into()
    })
    .naming(Naming::Prefix("repeat_"))
    .handles_nulls()
    .doc("An array of one value many times.", &[("repeat(1, 3)", "dynamic([1,1,1])")]),
    Function::row("dynamic_to_json", &["(value: scalar) -> string"], |a, call| {
        sorted_json(&cell_value(a[0], call.types[0])).to_string().into()
    })
    .doc(
        "A value as JSON text with sorted keys.",
        &[("dynamic_to_json(dynamic({'b':1,'a':2}))", "\"{\\\"a\\\":2,\\\"b\\\":1}\"")],
    ),
    Function::row("extract_json", &["(path: text, source: text, [type: scalar]) -> string"], |a, _| {
        crate::json::follow(a[1].text(), &json_path(a[0].text())).map(crate::json::to_text).into()
    })
    .aliases(&["extractjson"])
    .doc("The value at a path in a JSON text.", &[("extract_json('$.a[0]', '{\"a\":[1]}')", "\"1\"")]),
    Function::row("treepath", &["(value: dynamic) -> dynamic"], |a, _| {
        let mut paths = Vec::new();
        tree_paths(&json::parse(a[0].text()), "", 0, &mut paths);
        Json::from(paths).into()
    })
    .naming(Naming::Prefix("tree_"))
    .doc("The paths of all values inside a dynamic.", &[]),
];

fn array(cell: Cell<'_>) -> Vec<Json> {
    if let Json::Array(all) = json::parse(cell.text()) { all } else { Vec::new() }
}

/// Whether a key is a path such as `$.a` or `$[0]`.
fn is_path(key: &str) -> bool {
    key.starts_with("$.") || key.starts_with("$[")
}

/// Whether a path leads to something, be it null.
fn holds_path(json: &str, path: &str) -> bool {
    use crate::json::Step;
    let mut steps = json_path(path);
    let last = steps.pop();
    let inside = json::follow(json, &steps);
    match (inside, last) {
        (Some(inside), Some(Step::Key(key))) => {
            json::parse(inside).as_object().is_some_and(|bag| bag.contains_key(&key))
        }
        (Some(inside), Some(step)) => json::follow(inside, &[step]).is_some(),
        _ => false,
    }
}

/// Sets a key, or what a path `$.a.b` leads to; bags that are missing on the way are made.
fn set_key(bag: &mut Map<String, Json>, key: &str, value: Json) {
    let steps = if is_path(key) && !bag.contains_key(key) { json_path(key) } else { Vec::new() };
    let keys: Option<Vec<&str>> = steps
        .iter()
        .map(|step| if let crate::json::Step::Key(key) = step { Some(key.as_str()) } else { None })
        .collect();
    let (last, before) = match keys.as_deref().map(|keys| keys.split_last()) {
        Some(Some((last, before))) => (*last, before),
        _ => (key, [].as_slice()),
    };
    let mut at = bag;
    for key in before {
        let inner = at.entry((*key).to_owned()).or_insert_with(|| Json::Object(Map::new()));
        // What is no bag cannot hold a key.
        let Json::Object(inner) = inner else { return };
        at = inner;
    }
    at.insert(last.to_owned(), value);
}

/// Removes a key, or what a path `$.a.b` leads to.
fn remove_key(bag: &mut Map<String, Json>, key: &str) {
    use crate::json::Step;
    if bag.shift_remove(key).is_some() || !is_path(key) {
        return;
    }
    let mut steps = json_path(key);
    let Some(last) = steps.pop() else { return };
    let mut steps = steps.into_iter();
    let mut at = match steps.next() {
        None => return remove_member(bag, &last),
        Some(Step::Key(key)) => bag.get_mut(&key),
        Some(Step::Index(_)) => None,
    };
    for step in steps {
        at = at.and_then(|value| match (value, step) {
            (Json::Object(inner), Step::Key(key)) => inner.get_mut(&key),
            (Json::Array(all), Step::Index(index)) => usize::try_from(index).ok().and_then(|i| all.get_mut(i)),
            _ => None,
        });
    }
    if let Some(Json::Object(inner)) = at {
        remove_member(inner, &last);
    }
}

fn remove_member(bag: &mut Map<String, Json>, step: &crate::json::Step) {
    if let crate::json::Step::Key(key) = step {
        bag.shift_remove(key);
    }
}

fn texts(cell: Cell<'_>) -> HashSet<String> {
    array(cell).iter().map(Json::to_string).collect()
}

fn distinct(values: impl Iterator<Item = Json>) -> Vec<Json> {
    let mut seen = HashSet::new();
    values.filter(|value| seen.insert(value.to_string())).collect()
}

fn flat(args: &[Cell<'_>], call: &Call<'_>) -> Vec<Json> {
    args.iter().zip(call.types).map(|(cell, column_type)| cell_value(*cell, *column_type)).collect()
}

fn pack<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let mut bag = Map::new();
    for (pair, types) in args.chunks(2).zip(call.types.chunks(2)) {
        if let ([key, value], [key_type, value_type]) = (pair, types) {
            bag.insert(cell_text(*key, *key_type), cell_value(*value, *value_type));
        }
    }
    Answer::Text(Json::Object(bag).to_string().into())
}

fn slice(len: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let total = i64::try_from(len).unwrap_or(i64::MAX);
    let from_end = |position: i64| if position < 0 { position + total } else { position };
    let start = from_end(start).clamp(0, total);
    let end = from_end(end).saturating_add(1).clamp(start, total);
    usize::try_from(start).unwrap_or(0)..usize::try_from(end).unwrap_or(0)
}

fn index_of<'a>(all: &[Json], wanted: &Json, args: &[Cell<'a>]) -> Answer<'a> {
    let number = |position: usize, default: i64| args.get(position).and_then(|cell| cell.long()).unwrap_or(default);
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let start = if number(2, 0) < 0 { (number(2, 0) + total).max(0) } else { number(2, 0) };
    let end = if number(3, -1) < 0 { total } else { (start + number(3, -1)).min(total) };
    let mut left = number(4, 1);
    for (index, value) in all.iter().enumerate() {
        let index = i64::try_from(index).unwrap_or(i64::MAX);
        if index >= start && index < end && (value == wanted || value_text(value) == value_text(wanted)) {
            left -= 1;
            if left == 0 {
                return Answer::Long(index);
            }
        }
    }
    Answer::Long(-1)
}

fn rotate<'a>(cell: Cell<'_>, count: i64) -> Answer<'a> {
    let mut all = array(cell);
    let total = i64::try_from(all.len()).unwrap_or(1).max(1);
    let by = usize::try_from(count.rem_euclid(total)).unwrap_or(0).min(all.len());
    all.rotate_left(by);
    Json::Array(all).into()
}

fn shift<'a>(args: &[Cell<'a>], call: &Call<'_>, count: i64) -> Answer<'a> {
    let all = array(args[0]);
    let default = args.get(2).map_or(Json::Null, |cell| cell_value(*cell, call.types[2]));
    let moved = |index: usize| {
        i64::try_from(index)
            .ok()
            .and_then(|i| i.checked_add(count))
            .and_then(|i| usize::try_from(i).ok())
            .and_then(|i| all.get(i))
    };
    Json::Array((0..all.len()).map(|index| moved(index).cloned().unwrap_or_else(|| default.clone())).collect()).into()
}

fn array_split<'a>(all: &[Json], indices: &Json) -> Answer<'a> {
    let cuts: Vec<i64> = match indices {
        Json::Array(cuts) => cuts.iter().filter_map(Json::as_i64).collect(),
        one => one.as_i64().into_iter().collect(),
    };
    let total = i64::try_from(all.len()).unwrap_or(i64::MAX);
    let mut parts = Vec::new();
    let mut from = 0;
    for cut in cuts {
        let to = if cut < 0 { cut + total } else { cut }.clamp(from, total);
        parts.push(Json::from(all[usize::try_from(from).unwrap_or(0)..usize::try_from(to).unwrap_or(0)].to_vec()));
        from = to;
    }
    parts.push(Json::from(all[usize::try_from(from).unwrap_or(0)..].to_vec()));
    Json::Array(parts).into()
}

fn array_iff<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let side = |position: usize| cell_value(args[position], call.types[position]);
    let (then, otherwise) = (side(1), side(2));
    let pick = |from: &Json, index: usize| match from {
        Json::Array(all) => all.get(index).cloned().unwrap_or(Json::Null),
        one => one.clone(),
    };
    let conditions = array(args[0]);
    let chosen = conditions.iter().enumerate().map(|(index, condition)| {
        let holds = match condition {
            Json::Bool(value) => Some(*value),
            Json::Number(number) => number.as_f64().map(|n| n != 0.0),
            _ => None,
        };
        holds.map_or(Json::Null, |holds| pick(if holds { &then } else { &otherwise }, index))
    });
    Json::Array(chosen.collect()).into()
}

/// How two values of an array stand in order: numbers, then texts; nulls are sorted apart.
#[must_use]
pub fn compare_values(left: &Json, right: &Json) -> std::cmp::Ordering {
    match (left.as_f64(), right.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => std::cmp::Ordering::Less,
        (None, Some(_)) => std::cmp::Ordering::Greater,
        (None, None) => value_text(left).cmp(&value_text(right)),
    }
}

/// The place of a kind of value among the kinds in a sorted array.
fn rank(value: &Json) -> u8 {
    match value {
        Json::Number(_) => 0,
        Json::String(_) => 1,
        _ => 2,
    }
}

/// One array sorted; or several, all in the order of the first: one whose length differs becomes null.
fn sorted<'a>(args: &[Cell<'a>], call: &Call<'_>, descending: bool) -> Answer<'a> {
    let given = args.iter().zip(call.types).take_while(|(_, t)| **t == ColumnType::Dynamic);
    let arrays: Vec<Json> =
        given.map(|(cell, _)| if cell.is_null() { Json::Null } else { json::parse(cell.text()) }).collect();
    let nulls_last = !matches!(args.last(), Some(Cell::Bool(false)));
    let Some(Json::Array(first)) = arrays.first() else { return Answer::Null };
    let (nulls, mut order): (Vec<usize>, Vec<usize>) = (0..first.len()).partition(|index| first[*index].is_null());
    // Values of one kind stay together: numbers before texts, whichever way each kind is sorted.
    order.sort_by(|a, b| {
        let values = compare_values(&first[*a], &first[*b]);
        rank(&first[*a]).cmp(&rank(&first[*b])).then(if descending { values.reverse() } else { values })
    });
    let order: Vec<usize> = if nulls_last { [order, nulls].concat() } else { [nulls, order].concat() };
    let reordered = |array: &Json| match array {
        Json::Array(all) if all.len() == order.len() => {
            Json::Array(order.iter().map(|index| all[*index].clone()).collect())
        }
        _ => Json::Null,
    };
    match arrays.as_slice() {
        [one] => reordered(one).into(),
        several => Json::Array(several.iter().map(reordered).collect()).into(),
    }
}

fn range<'a>(args: &[Cell<'a>], call: &Call<'_>) -> Answer<'a> {
    let mut all = Vec::new();
    match (args[0], args[1]) {
        (Cell::Time(start), Cell::Time(stop)) => {
            let default = if call.types[0] == ColumnType::DateTime { 3_600_000_000_000 } else { 864_000_000_000 };
            let step = args.get(2).and_then(|cell| cell.long()).unwrap_or(default);
            let mut at = start;
            while step != 0 && all.len() < ELEMENTS_MAX && if step > 0 { at <= stop } else { at >= stop } {
                all.push(Json::from(cell_text(Cell::Time(at), call.types[0])));
                at = at.saturating_add(step);
            }
        }
        (Cell::Long(start), Cell::Long(stop)) if args.get(2).is_none_or(|step| matches!(step, Cell::Long(_))) => {
            let step = args.get(2).and_then(|cell| cell.long()).unwrap_or(1);
            let mut at = start;
            while step != 0 && all.len() < ELEMENTS_MAX && if step > 0 { at <= stop } else { at >= stop } {
                all.push(Json::from(at));
                at = at.saturating_add(step);
            }
        }
        (start, stop) => {
            let (Some(start), Some(stop)) = (start.real(), stop.real()) else { return Answer::Null };
            let step = args.get(2).and_then(|cell| cell.real()).unwrap_or(1.0);
            let mut count = 0i64;
            loop {
                let at = start + super::row::long_to_real(count) * step;
                if step == 0.0 || all.len() >= ELEMENTS_MAX || if step > 0.0 { at > stop } else { at < stop } {
                    break;
                }
                all.push(Json::from(at));
                count += 1;
            }
        }
    }
    Json::Array(all).into()
}

fn sorted_json(value: &Json) -> Json {
    match value {
        Json::Object(bag) => {
            let mut pairs: Vec<_> = bag.iter().map(|(key, value)| (key.clone(), sorted_json(value))).collect();
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(pairs.into_iter().collect())
        }
        Json::Array(all) => Json::Array(all.iter().map(sorted_json).collect()),
        other => other.clone(),
    }
}

/// The steps of a path such as `$.a[0]['b c']`.
fn json_path(path: &str) -> Vec<crate::json::Step> {
    use crate::json::Step;
    let mut steps = Vec::new();
    let mut rest = path.trim().trim_start_matches('$');
    while !rest.is_empty() {
        if let Some(inner) = rest.strip_prefix('[') {
            let (index, tail) = inner.split_once(']').unwrap_or((inner, ""));
            let key = index.trim_matches(['\'', '"']);
            steps.push(index.parse().map_or_else(|_| Step::Key(key.to_owned()), Step::Index));
            rest = tail;
        } else {
            rest = rest.trim_start_matches('.');
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                steps.push(Step::Key(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
    }
    steps
}

fn tree_paths(value: &Json, path: &str, depth: usize, into: &mut Vec<String>) {
    if depth > 64 {
        return;
    }
    match value {
        Json::Object(bag) => {
            for (key, value) in bag {
                let path = format!("{path}['{key}']");
                into.push(path.clone());
                tree_paths(value, &path, depth + 1, into);
            }
        }
        Json::Array(all) => {
            if let Some(first) = all.first() {
                let path = format!("{path}[0]");
                into.push(path.clone());
                tree_paths(first, &path, depth + 1, into);
            }
        }
        _ => {}
    }
}
