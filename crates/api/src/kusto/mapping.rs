//! Which parts of a record go to which columns: a mapping, read from its JSON, and applied.
//!
//! # Source
//! Kusto documentation, "Ingestion mappings", "CSV mapping", "JSON mapping": members of the array's objects, paths, and
//! transformations. Nothing is dropped: what no column names is kept in `_Extra` under `Unmapped`.

use std::collections::BTreeSet;

use moneta_base::Timestamp;
use moneta_event::{ColumnType, TableSchema};
use moneta_ports::MappingKind;
use serde_json::{Map, Value};

/// Where a record keeps what its mapping does not name; no column of that name is made.
pub(super) const UNMAPPED: &str = "Unmapped";
/// Columns of a mapping at most.
const COLUMNS_MAX: usize = 1_000;
/// Steps of a path at most.
const PATH_STEPS_MAX: usize = 32;

/// A mapping that can be applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mapping {
    columns: Vec<Mapped>,
}

#[derive(Debug, Clone, PartialEq)]
struct Mapped {
    column: String,
    column_type: ColumnType,
    part: Part,
    transform: Transform,
}

/// What of a record a column gets.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    Position(usize),
    Path(Vec<Step>),
    Constant(Value),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Member(String),
    Element(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transform {
    None,
    /// Time in so many nanoseconds' units since 1970.
    Unix(i64),
    /// The record without what other columns take.
    DropMapped,
}

/// The transformations by their names.
const TRANSFORMS: [(&str, Transform); 5] = [
    ("datetimefromunixseconds", Transform::Unix(1_000_000_000)),
    ("datetimefromunixmilliseconds", Transform::Unix(1_000_000)),
    ("datetimefromunixmicroseconds", Transform::Unix(1_000)),
    ("datetimefromunixnanoseconds", Transform::Unix(1)),
    ("dropmappedfields", Transform::DropMapped),
];

impl Mapping {
    /// Reads a mapping over the columns of a table.
    ///
    /// # Errors
    /// What is wrong with it, and which columns the table lacks.
    pub(super) fn parse(kind: MappingKind, text: &str, schema: &TableSchema) -> Result<Self, String> {
        let objects: Vec<Map<String, Value>> = serde_json::from_str(text)
            .map_err(|error| format!("a mapping is a JSON array of objects, one a column: {error}"))?;
        if objects.is_empty() || objects.len() > COLUMNS_MAX {
            return Err(format!("a mapping has between 1 and {COLUMNS_MAX} columns"));
        }
        let columns = objects.iter().map(|object| mapped(kind, object, schema)).collect::<Result<Vec<_>, _>>()?;
        let mut seen = BTreeSet::new();
        if let Some(twice) = columns.iter().find(|column| !seen.insert(&column.column)) {
            return Err(format!("the column {:?} is mapped twice", twice.column));
        }
        Ok(Self { columns })
    }

    /// A JSON record as an object of columns.
    pub(super) fn of_record(&self, record: Value) -> Map<String, Value> {
        let mut out = Map::new();
        for column in self.columns.iter().filter(|column| column.transform != Transform::DropMapped) {
            let value = match &column.part {
                Part::Path(path) => find(&record, path),
                Part::Constant(value) => Some(value),
                Part::Position(_) => None,
            };
            column.put(value, &mut out);
        }
        // A column of the whole record keeps all of it already.
        let is_whole = |column: &Mapped| {
            column.path().is_some_and(<[Step]>::is_empty) && column.transform != Transform::DropMapped
        };
        if self.columns.iter().any(is_whole) {
            return out;
        }
        let mut rest = record;
        for path in self.columns.iter().filter_map(Mapped::path).filter(|path| !path.is_empty()) {
            remove(&mut rest, path);
        }
        if !is_empty(&rest) {
            let bag = self.columns.iter().find(|column| column.transform == Transform::DropMapped);
            out.insert(bag.map_or(UNMAPPED, |column| &column.column).to_owned(), rest);
        }
        out
    }

    /// A row of separated values as an object of columns.
    pub(super) fn of_values(&self, values: &csv::StringRecord) -> Map<String, Value> {
        let mut out = Map::new();
        let mut taken = BTreeSet::new();
        for column in &self.columns {
            match &column.part {
                Part::Position(position) => {
                    taken.insert(*position);
                    let text = values.get(*position).filter(|text| !text.is_empty());
                    let parsed = |text: &str| match (column.column_type, column.transform) {
                        (ColumnType::Dynamic, _) | (_, Transform::Unix(_)) => {
                            serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
                        }
                        _ => Value::from(text),
                    };
                    column.put(text.map(parsed).as_ref(), &mut out);
                }
                Part::Constant(value) => column.put(Some(value), &mut out),
                Part::Path(_) => {}
            }
        }
        let others = values.iter().enumerate().filter(|(at, text)| !taken.contains(at) && !text.is_empty());
        let others: Map<String, Value> = others.map(|(at, text)| (format!("Field{}", at + 1), text.into())).collect();
        if !others.is_empty() {
            out.insert(UNMAPPED.to_owned(), Value::Object(others));
        }
        out
    }
}

impl Mapped {
    fn path(&self) -> Option<&[Step]> {
        if let Part::Path(path) = &self.part { Some(path) } else { None }
    }

    fn put(&self, value: Option<&Value>, out: &mut Map<String, Value>) {
        let value = match value {
            None | Some(Value::Null) => return,
            Some(value) => value,
        };
        let value = match self.transform {
            Transform::Unix(unit) => time(value, unit).unwrap_or_else(|| value.clone()),
            _ => value.clone(),
        };
        let is_text = self.column_type == ColumnType::String && !value.is_string();
        out.insert(self.column.clone(), if is_text { value.to_string().into() } else { value });
    }
}

/// A number of units since 1970 as a time; a value that is none stays as it is and shows itself.
fn time(value: &Value, unit_nanos: i64) -> Option<Value> {
    let whole = value.as_i64().or_else(|| value.as_str()?.trim().parse().ok());
    let nanos = match whole {
        Some(whole) => whole.checked_mul(unit_nanos)?,
        None => {
            let parts = value.as_f64()?;
            let (seconds, rest) = (parts.trunc(), parts.fract());
            let seconds = format!("{seconds:.0}").parse::<i64>().ok()?.checked_mul(unit_nanos)?;
            let rest = format!("{:.0}", rest * 1e9).parse::<i64>().ok()?.checked_mul(unit_nanos)? / 1_000_000_000;
            seconds.checked_add(rest)?
        }
    };
    Some(Timestamp::from_nanos(nanos).to_string().into())
}

fn mapped(kind: MappingKind, object: &Map<String, Value>, schema: &TableSchema) -> Result<Mapped, String> {
    let mut members = Map::new();
    let nested = |(name, value): (&String, &Value)| match value {
        Value::Object(inner) if name.eq_ignore_ascii_case("properties") => inner.clone(),
        value => [(name.clone(), value.clone())].into_iter().collect(),
    };
    for (name, value) in object.iter().flat_map(nested).filter(|(_, value)| !value.is_null()) {
        members.insert(name.to_ascii_lowercase(), value);
    }
    let mut take = |name: &str| members.remove(name);
    let text = |value: Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let name = take("column").or_else(|| take("name")).map(text);
    let name = name.filter(|name| !name.is_empty()).ok_or("each object of a mapping names its `column`")?;
    let column = schema
        .column(&name)
        .ok_or_else(|| format!("{} has no column {name:?}: add it by `.create-merge table` first", schema.name()))?;
    if let Some(said) = take("datatype").map(text).filter(|said| !said.is_empty())
        && ColumnType::parse(&said.to_ascii_lowercase()) != Some(column.column_type)
    {
        return Err(format!("the column {name:?} is {}, not {said:?}", column.column_type));
    }
    let (ordinal, path, constant) = (take("ordinal").map(text), take("path").map(text), take("constvalue"));
    let transform = take("transform").map(text).filter(|said| !said.is_empty() && !said.eq_ignore_ascii_case("none"));
    if let Some((unknown, _)) = members.iter().next() {
        return Err(format!(
            "{unknown:?} of the column {name:?} is not possible; there are column, datatype, ordinal, path, constvalue \
             and transform"
        ));
    }
    let part = match (kind, constant, ordinal, path) {
        (_, Some(constant), ..) => Part::Constant(constant),
        (MappingKind::Csv, None, Some(ordinal), None) => {
            Part::Position(ordinal.parse().map_err(|_| format!("the ordinal {ordinal:?} is no number from 0 on"))?)
        }
        (MappingKind::Json, None, None, Some(path)) => Part::Path(steps(&path)?),
        (MappingKind::Csv, ..) => return Err(format!("the column {name:?} needs an `ordinal` or a `constvalue`")),
        (MappingKind::Json, ..) => return Err(format!("the column {name:?} needs a `path` or a `constvalue`")),
    };
    let transform = transform_of(&name, transform.as_deref(), &part, column.column_type)?;
    Ok(Mapped { column: name, column_type: column.column_type, part, transform })
}

fn transform_of(name: &str, said: Option<&str>, part: &Part, kind: ColumnType) -> Result<Transform, String> {
    let Some(said) = said else { return Ok(Transform::None) };
    let known = TRANSFORMS.iter().find(|(known, _)| said.eq_ignore_ascii_case(known)).map(|(_, known)| *known);
    match known {
        Some(Transform::DropMapped) if *part != Part::Path(Vec::new()) => {
            Err(format!("DropMappedFields of the column {name:?} needs the path `$`"))
        }
        Some(Transform::Unix(_)) if kind != ColumnType::DateTime => {
            Err(format!("{said} gives a datetime, and the column {name:?} is {kind}"))
        }
        Some(known) => Ok(known),
        None => Err(format!(
            "the transform {said:?} of the column {name:?} is not possible; there are DateTimeFromUnixSeconds, \
             -Milliseconds, -Microseconds, -Nanoseconds and DropMappedFields"
        )),
    }
}

/// The steps of `$.a['b c'][0]`.
fn steps(path: &str) -> Result<Vec<Step>, String> {
    let wrong = || format!("the path {path:?} is not like `$.member`, `$['member']` or `$.list[0]`");
    let mut rest = path.trim().strip_prefix('$').ok_or_else(wrong)?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        if steps.len() >= PATH_STEPS_MAX {
            return Err(format!("the path {path:?} has more than {PATH_STEPS_MAX} steps"));
        }
        if let Some(after) = rest.strip_prefix('.') {
            let end = after.find(['.', '[']).unwrap_or(after.len());
            if end == 0 {
                return Err(wrong());
            }
            steps.push(Step::Member(after[..end].to_owned()));
            rest = &after[end..];
            continue;
        }
        let inside = rest.strip_prefix('[').ok_or_else(wrong)?;
        let quote = inside.chars().next().filter(|c| matches!(c, '\'' | '"'));
        if let Some(quote) = quote {
            let end = inside[1..].find(quote).ok_or_else(wrong)? + 1;
            steps.push(Step::Member(inside[1..end].to_owned()));
            rest = inside[end + 1..].strip_prefix(']').ok_or_else(wrong)?;
        } else {
            let end = inside.find(']').ok_or_else(wrong)?;
            steps.push(Step::Element(inside[..end].trim().parse().map_err(|_| wrong())?));
            rest = &inside[end + 1..];
        }
    }
    Ok(steps)
}

fn find<'a>(record: &'a Value, path: &[Step]) -> Option<&'a Value> {
    path.iter().try_fold(record, |value, step| match step {
        Step::Member(name) => value.get(name),
        Step::Element(index) => value.get(index),
    })
}

/// Takes the value at a path out, and what is empty without it. An element leaves a null, so that others keep their
/// places.
fn remove(value: &mut Value, path: &[Step]) {
    let Some((step, rest)) = path.split_first() else { return };
    match (value, step) {
        (Value::Object(members), Step::Member(name)) => {
            let Some(inner) = members.get_mut(name) else { return };
            remove(inner, rest);
            if rest.is_empty() || is_empty(inner) {
                members.shift_remove(name);
            }
        }
        (Value::Array(elements), Step::Element(index)) => {
            let Some(inner) = elements.get_mut(*index) else { return };
            remove(inner, rest);
            if rest.is_empty() || is_empty(inner) {
                *inner = Value::Null;
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(elements) => elements.iter().all(Value::is_null),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use moneta_base::TableName;
    use moneta_event::Column;
    use serde_json::json;

    use super::*;

    fn parse(kind: MappingKind, mapping: &Value) -> Result<Mapping, String> {
        let columns = [("a", ColumnType::Long), ("s", ColumnType::String), ("bag", ColumnType::Dynamic)];
        let columns = columns.map(|(name, kind)| Column::new(name, kind));
        let schema = TableSchema::new(TableName::new("T_CL").unwrap(), columns);
        Mapping::parse(kind, &mapping.to_string(), &schema)
    }

    fn map(mapping: &Value, record: &Value) -> Value {
        parse(MappingKind::Json, mapping).unwrap().of_record(record.clone()).into()
    }

    #[test]
    fn members_go_to_columns_and_nothing_is_dropped() {
        let mapping = json!([
            { "column": "a", "path": "$.x.n", "datatype": "long" },
            { "Column": "s", "Properties": { "Path": "$.list[1]['b c']" } },
            { "column": "TimeGenerated", "path": "$.at", "transform": "DateTimeFromUnixMilliseconds" },
        ]);
        let record =
            json!({ "x": { "n": 1 }, "list": [{ "k": 2 }, { "b c": { "d": 3 } }], "at": 1500, "more": [true] });
        let expected = json!({ "a": 1, "s": "{\"d\":3}", "TimeGenerated": "1970-01-01T00:00:01.5000000Z",
            "Unmapped": { "list": [{ "k": 2 }, null], "more": [true] } });
        assert_eq!(map(&mapping, &record), expected);
        assert_eq!(map(&mapping, &json!({ "x": { "n": null } })), json!({}));
        assert_eq!(map(&mapping, &json!({ "at": 1.5e3 }))["TimeGenerated"], "1970-01-01T00:00:01.5000000Z");
    }

    #[test]
    fn the_rest_or_all_of_a_record_goes_to_a_column_of_its_own() {
        let rest = json!([{ "column": "a", "path": "$.x.n" },
            { "column": "bag", "path": "$", "transform": "DropMappedFields" }, { "column": "s", "constvalue": "c" }]);
        let record = json!({ "x": { "n": 1, "m": 2 } });
        assert_eq!(map(&rest, &record), json!({ "a": 1, "bag": { "x": { "m": 2 } }, "s": "c" }));
        let all = json!([{ "column": "bag", "path": "$" }]);
        assert_eq!(map(&all, &record), json!({ "bag": record }));
    }

    #[test]
    fn values_go_to_columns_by_their_position() {
        let mapping = json!([{ "Name": "s", "DataType": "string", "Ordinal": "2" },
            { "column": "bag", "Properties": { "Ordinal": 0 } }, { "Name": "a", "ConstValue": 7, "Ordinal": null }]);
        let mapping = parse(MappingKind::Csv, &mapping).unwrap();
        let row = csv::StringRecord::from(vec!["{\"k\":1}", "b", "c", ""]);
        let expected = json!({ "s": "c", "bag": { "k": 1 }, "a": 7, "Unmapped": { "Field2": "b" } });
        assert_eq!(Value::from(mapping.of_values(&row)), expected);
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let check = |kind, mapping: Value, words: &str| {
            let error = parse(kind, &mapping).unwrap_err();
            assert!(error.contains(words), "{error}");
        };
        use MappingKind::{Csv, Json};
        check(Json, json!({}), "JSON array");
        check(Json, json!([]), "between 1 and");
        check(Json, json!([{ "path": "$.a" }]), "names its `column`");
        check(Json, json!([{ "column": "b", "path": "$.b" }]), ".create-merge table");
        check(Json, json!([{ "column": "a", "path": "$.b", "datatype": "string" }]), "is long");
        check(Json, json!([{ "column": "a", "ordinal": 1 }]), "needs a `path`");
        check(Json, json!([{ "column": "a", "path": "a" }]), "`$.member`");
        check(Json, json!([{ "column": "a", "path": "$..a" }]), "`$.member`");
        check(Json, json!([{ "column": "a", "path": "$.a", "color": 1 }]), "color");
        check(Json, json!([{ "column": "a", "path": "$.a", "transform": "SourceLocation" }]), "SourceLocation");
        check(Json, json!([{ "column": "a", "path": "$.a", "transform": "DateTimeFromUnixSeconds" }]), "is long");
        check(Json, json!([{ "column": "bag", "path": "$.a", "transform": "DropMappedFields" }]), "path `$`");
        check(Json, json!([{ "column": "a", "path": "$.a" }, { "column": "a", "path": "$.b" }]), "twice");
        check(Csv, json!([{ "column": "a", "path": "$.a" }]), "needs an `ordinal`");
        check(Csv, json!([{ "column": "a", "ordinal": -1 }]), "from 0 on");
    }
}
