//! Watchlists: small tables that people upload, and what queries see of them.
//!
//! # Shapes
//! `_DTItemId: string`, `LastUpdatedTimeUTC: datetime`, `SearchKey: string`, then the uploaded columns. Columns of CSV
//! are strings; those of JSON have the type that all their values have, else `dynamic`.
//! # Source
//! Microsoft Sentinel's watchlists and its functions `_GetWatchlist` and `_GetWatchlistAlias`.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampNanosecondArray,
};
use arrow::csv::ReaderBuilder;
use arrow::csv::reader::Format;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use moneta_base::{ErrorKind, Timestamp};
use moneta_event::{Column, ColumnType};
use moneta_metastore::ObjectRows;
use moneta_ports::{PortError, Watchlist, WatchlistFormat, WatchlistUpload};
use serde_json::{Map, Value};

use super::ObjectSet;
use super::names::{check_title, refused};
use crate::snapshot::RowsInMemory;

/// Bytes of one upload at most.
const UPLOAD_BYTES_MAX: usize = 16 << 20;
/// Rows of one watchlist at most.
const ROWS_MAX: usize = 500_000;
/// Columns of one watchlist at most.
const COLUMNS_MAX: usize = 200;

/// The columns every watchlist has.
const OWN_COLUMNS: [(&str, ColumnType); 3] = [
    ("_DTItemId", ColumnType::String),
    ("LastUpdatedTimeUTC", ColumnType::DateTime),
    ("SearchKey", ColumnType::String),
];

/// `_GetWatchlist('name')`, or only the rows whose key is in a list.
pub(super) const GET_WATCHLIST: &str = "(watchlistAlias: string, keys: dynamic = dynamic([])) { \
     table(strcat('_Watchlist ', watchlistAlias)) \
     | where coalesce(array_length(keys), 0) == 0 or array_index_of(keys, SearchKey) >= 0 }";

/// `_GetWatchlistAlias`: the names of all watchlists.
pub(super) fn alias_function(set: &ObjectSet) -> String {
    let names: Vec<String> = set.watchlists.keys().map(|name| format!("'{name}'")).collect();
    format!("() {{ datatable(WatchlistAlias: string) [{}] }}", names.join(", "))
}

/// Reads an upload.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(
    upload: &WatchlistUpload,
    changed_by: &str,
    now: Timestamp,
) -> Result<(Watchlist, ObjectRows, RowsInMemory), PortError> {
    check_title("watchlist", &upload.name)?;
    if upload.content.len() > UPLOAD_BYTES_MAX {
        return Err(refused(format!("a watchlist has at most {UPLOAD_BYTES_MAX} bytes")));
    }
    let (columns, arrays) = match upload.format {
        WatchlistFormat::Csv => read_csv(&upload.content)?,
        WatchlistFormat::Json => read_json(&upload.content)?,
    };
    let num_rows = arrays.first().map_or(0, |array| array.len());
    if columns.is_empty() || num_rows > ROWS_MAX || columns.len() > COLUMNS_MAX {
        return Err(refused(format!("a watchlist has 1 to {COLUMNS_MAX} columns and at most {ROWS_MAX} rows")));
    }
    check_columns(&columns)?;
    let key = upload.search_key.clone().unwrap_or_else(|| columns[0].name.to_string());
    let position = columns.iter().position(|column| *column.name == *key);
    let position = position.ok_or_else(|| refused(format!("there is no column {key:?} to search by")))?;
    let rows = with_own_columns(&upload.name, now, position, &columns, arrays)?;
    let content = encode(&rows)?;
    let watchlist = Watchlist {
        name: upload.name.clone(),
        search_key: key,
        columns: columns.iter().map(|c| (c.name.to_string(), c.column_type.name().to_owned())).collect(),
        num_rows: num_rows as u64,
        size_bytes: content.len() as u64,
        content_sha256: moneta_merkle::sha256(&upload.content).to_hex(),
        description: upload.description.clone(),
        changed_by: changed_by.to_owned(),
        changed_at: now.as_nanos(),
    };
    let rows_in_memory = RowsInMemory::new(all_columns(&watchlist), &[rows]).map_err(damaged)?;
    Ok((watchlist, ObjectRows { mark: 0, content }, rows_in_memory))
}

fn check_columns(columns: &[Column]) -> Result<(), PortError> {
    for (index, column) in columns.iter().enumerate() {
        let name = &*column.name;
        if name.is_empty() || OWN_COLUMNS.iter().any(|(own, _)| *own == name) {
            return Err(refused(format!("a column of a watchlist cannot be named {name:?}")));
        }
        if columns[..index].iter().any(|other| other.name == column.name) {
            return Err(refused(format!("the column {name:?} is there twice")));
        }
    }
    Ok(())
}

fn all_columns(watchlist: &Watchlist) -> Vec<Column> {
    let own = OWN_COLUMNS.iter().map(|(name, column_type)| Column::new(name, *column_type));
    let uploaded = watchlist
        .columns
        .iter()
        .map(|(name, column_type)| Column::new(name, ColumnType::parse(column_type).unwrap_or(ColumnType::String)));
    own.chain(uploaded).collect()
}

fn with_own_columns(
    name: &str,
    now: Timestamp,
    key: usize,
    columns: &[Column],
    arrays: Vec<ArrayRef>,
) -> Result<RecordBatch, PortError> {
    let num_rows = arrays.first().map_or(0, |array| array.len());
    let ids: StringArray = (0..num_rows).map(|row| Some(format!("{name}-{row}"))).collect();
    let times = TimestampNanosecondArray::from(vec![now.as_nanos(); num_rows]).with_timezone("UTC");
    let keys = arrow::compute::cast(&arrays[key], &DataType::Utf8).map_err(damaged)?;
    let keys: StringArray = keys.as_string::<i32>().iter().map(|key| Some(key.unwrap_or_default())).collect();
    let own: [ArrayRef; 3] = [Arc::new(ids), Arc::new(times), Arc::new(keys)];
    let names = OWN_COLUMNS.iter().map(|(name, _)| *name).chain(columns.iter().map(|column| &*column.name));
    RecordBatch::try_from_iter_with_nullable(names.zip(own.into_iter().chain(arrays)).map(|(n, a)| (n, a, true)))
        .map_err(damaged)
}

/// Values with a line of names; every column is a string.
fn read_csv(content: &[u8]) -> Result<(Vec<Column>, Vec<ArrayRef>), PortError> {
    let unreadable = |error: arrow::error::ArrowError| refused(format!("the CSV cannot be read: {error}"));
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    let (header, _) = Format::default().with_header(true).infer_schema(content, Some(0)).map_err(unreadable)?;
    let names: Vec<String> = header.fields().iter().map(|field| field.name().trim().to_owned()).collect();
    let schema = Arc::new(Schema::new(names.iter().map(|n| Field::new(n, DataType::Utf8, true)).collect::<Vec<_>>()));
    let reader =
        ReaderBuilder::new(schema.clone()).with_header(true).build(Cursor::new(content)).map_err(unreadable)?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    let rows = arrow::compute::concat_batches(&schema, &batches).map_err(unreadable)?;
    let text = |array: &ArrayRef| -> ArrayRef {
        Arc::new(array.as_string::<i32>().iter().map(|v| Some(v.unwrap_or_default())).collect::<StringArray>())
    };
    let columns = names.iter().map(|name| Column::new(name, ColumnType::String)).collect();
    Ok((columns, rows.columns().iter().map(text).collect()))
}

/// An array of objects, or one object a line.
fn read_json(content: &[u8]) -> Result<(Vec<Column>, Vec<ArrayRef>), PortError> {
    let objects = json_objects(content)?;
    let mut names: Vec<&str> = Vec::new();
    for name in objects.iter().flat_map(Map::keys) {
        if names.len() <= COLUMNS_MAX && !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let column = |name: &str| {
        let values: Vec<Option<&Value>> =
            objects.iter().map(|object| object.get(name).filter(|value| !value.is_null())).collect();
        let (column_type, array) = json_column(&values);
        (Column::new(name, column_type), array)
    };
    Ok(names.into_iter().map(column).unzip())
}

fn json_objects(content: &[u8]) -> Result<Vec<Map<String, Value>>, PortError> {
    let whole: Result<Vec<Map<String, Value>>, _> = serde_json::from_slice(content);
    whole.or_else(|_| {
        let objects = serde_json::Deserializer::from_slice(content).into_iter::<Map<String, Value>>();
        let objects: Result<Vec<_>, serde_json::Error> = objects.take(ROWS_MAX + 1).collect();
        objects
            .map_err(|error| refused(format!("the JSON is neither an array of objects nor one object a line: {error}")))
    })
}

/// The type that all values have, and the values in it.
fn json_column(values: &[Option<&Value>]) -> (ColumnType, ArrayRef) {
    let present = || values.iter().flatten();
    if present().all(|value| value.is_string()) {
        let texts = values.iter().map(|value| Some(value.and_then(Value::as_str).unwrap_or_default()));
        return (ColumnType::String, Arc::new(texts.collect::<StringArray>()));
    }
    if present().all(|value| value.is_boolean()) {
        let array: BooleanArray = values.iter().map(|value| value.and_then(Value::as_bool)).collect();
        return (ColumnType::Bool, Arc::new(array));
    }
    if present().all(|value| value.is_i64()) {
        return (ColumnType::Long, Arc::new(values.iter().map(|v| v.and_then(Value::as_i64)).collect::<Int64Array>()));
    }
    if present().all(|value| value.is_number()) {
        return (
            ColumnType::Real,
            Arc::new(values.iter().map(|v| v.and_then(Value::as_f64)).collect::<Float64Array>()),
        );
    }
    let texts = values.iter().map(|value| value.map(ToString::to_string));
    (ColumnType::Dynamic, Arc::new(texts.collect::<StringArray>()))
}

fn encode(rows: &RecordBatch) -> Result<Vec<u8>, PortError> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).map_err(damaged)?;
    writer.write(rows).and_then(|()| writer.finish()).map_err(damaged)?;
    writer.into_inner().map_err(damaged)
}

/// The stored rows of a watchlist.
pub(super) fn decode(watchlist: &Watchlist, rows: &ObjectRows) -> Result<RowsInMemory, PortError> {
    let reader = StreamReader::try_new(Cursor::new(&rows.content), None).map_err(damaged)?;
    let batches = reader.collect::<Result<Vec<_>, _>>().map_err(damaged)?;
    RowsInMemory::new(all_columns(watchlist), &batches).map_err(damaged)
}

/// The name of a watchlist's table in queries.
#[cfg(test)]
fn table_name(name: &str) -> String {
    format!("{}{name}", super::WATCHLIST_PREFIX)
}

fn damaged(error: impl std::error::Error + Send + Sync + 'static) -> PortError {
    PortError::caused_by(ErrorKind::Internal, "the rows of a watchlist are not as they should be", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upload(format: WatchlistFormat, content: &str, key: Option<&str>) -> WatchlistUpload {
        WatchlistUpload {
            name: "VIP".to_owned(),
            search_key: key.map(str::to_owned),
            format,
            content: content.as_bytes().to_vec(),
            description: String::new(),
        }
    }

    fn read_ok(format: WatchlistFormat, content: &str, key: Option<&str>) -> (Watchlist, RowsInMemory) {
        let (watchlist, rows, now) = read(&upload(format, content, key), "ada", Timestamp::from_seconds(5)).unwrap();
        let stored = decode(&watchlist, &rows).unwrap();
        assert_eq!(stored.batches, now.batches);
        (watchlist, stored)
    }

    #[test]
    fn csv_columns_are_strings_and_the_key_is_the_first_or_the_one_named() {
        let (watchlist, rows) = read_ok(WatchlistFormat::Csv, "User,Level\nada,1\n\"b,ob\",\n", None);
        assert_eq!((watchlist.search_key.as_str(), watchlist.num_rows), ("User", 2));
        let keys = rows.batches[0].column(2).as_string::<i32>();
        assert_eq!((keys.value(0), keys.value(1)), ("ada", "b,ob"));
        assert_eq!(rows.batches[0].column(4).as_string::<i32>().value(1), "");
        let (watchlist, _) = read_ok(WatchlistFormat::Csv, "User,Level\nada,1\n", Some("Level"));
        assert_eq!(watchlist.search_key, "Level");
        assert_eq!(table_name("VIP"), "_Watchlist VIP");
    }

    #[test]
    fn json_columns_have_the_type_of_their_values() {
        let text = r#"{"a":"x","n":1,"r":1,"b":true,"d":{"k":1}}
                      {"a":"y","r":1.5,"m":"only here"}"#;
        let (watchlist, _) = read_ok(WatchlistFormat::Json, text, None);
        let types: Vec<&str> = watchlist.columns.iter().map(|(_, column_type)| column_type.as_str()).collect();
        assert_eq!(types, ["string", "long", "real", "bool", "dynamic", "string"]);
    }

    #[test]
    fn what_cannot_be_a_watchlist_is_refused_with_the_reason() {
        let check = |format, content: &str, key: Option<&str>, words: &str| {
            let error = read(&upload(format, content, key), "ada", Timestamp::default()).unwrap_err();
            assert!(error.to_string().contains(words) && error.kind == ErrorKind::Caller, "{error}");
        };
        check(WatchlistFormat::Csv, "", None, "columns");
        check(WatchlistFormat::Csv, "a,a\n1,2\n", None, "twice");
        check(WatchlistFormat::Csv, "a,SearchKey\n1,2\n", None, "cannot be named");
        check(WatchlistFormat::Csv, "a,b\n1\n", None, "cannot be read");
        check(WatchlistFormat::Csv, "a\n1\n", Some("b"), "no column");
        check(WatchlistFormat::Json, "[1]", None, "JSON");
    }
}
