//! The actions of a Delta commit, as JSON and back.
//!
//! # Source
//! Delta transaction log protocol, sections "Actions" and "Schema Serialization Format".
//!
//! # Tags
//! Moneta's own facts of a segment stand in `add.tags`, which other readers pass over:
//! ```text
//! moneta.sha256           SHA-256 of the file, hexadecimal; in `remove.tags` too
//! moneta.blocks_root      RFC 6962 root over its block headers, hexadecimal
//! moneta.first_seq, moneta.end_seq                `_Seq`, [first, end)
//! moneta.event_time_min, moneta.event_time_max    nanoseconds since 1970
//! moneta.footer           <offset of the Parquet footer>:<CRC32C of it, 8 hexadecimal digits>
//! moneta.object_version   the version of the object, of a segment that was moved to a bucket with versions
//! moneta.moved            "true" in `remove.tags`: the file itself was moved, to where an `add` of the commit says
//! ```
//! The `path` of a segment that was moved is the address of its object, `s3://…/<Table>/<day>/<first>-<end>-<the first
//! 16 digits of its SHA-256>.parquet`: the protocol allows absolute paths.

use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::root_entry::ObjectRef;
use moneta_event::schema::standard;
use moneta_event::types::{DECIMAL_PRECISION, DECIMAL_SCALE, TYPE_METADATA_KEY};
use moneta_event::{Column, ColumnType, ShardId};
use moneta_merkle::{Hash, sha256};
use serde_json::{Value, json};

use crate::segment::{Moved, SegmentMeta, path_of_object};

/// Application id of the `txn` actions, whose version is the `_Seq` after the last sealed row.
pub(crate) const APP_ID: &str = "moneta";

pub(crate) fn protocol() -> Value {
    json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } })
}

pub(crate) fn metadata(table: &TableName, columns: &[Column], now: Timestamp) -> Value {
    json!({ "metaData": {
        "id": table_id(table),
        "name": table.as_str(),
        "format": { "provider": "parquet", "options": {} },
        "schemaString": schema_string(columns),
        "partitionColumns": [],
        "configuration": {},
        "createdTime": millis(now),
    } })
}

pub(crate) fn transaction(sealed_end: Seq, now: Timestamp) -> Value {
    json!({ "txn": { "appId": APP_ID, "version": sealed_end, "lastUpdated": millis(now) } })
}

pub(crate) fn commit_info(operation: &str, now: Timestamp) -> Value {
    json!({ "commitInfo": {
        "timestamp": millis(now),
        "operation": operation,
        "operationParameters": {},
        "engineInfo": concat!("moneta/", env!("CARGO_PKG_VERSION")),
    } })
}

/// When a commit was written, in milliseconds; `None` when it does not say.
pub(crate) fn commit_millis(bytes: &[u8]) -> Option<i64> {
    let actions = bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    actions.filter_map(|action| action["commitInfo"]["timestamp"].as_i64()).next_back()
}

/// Takes a file off the list. `data_change`: its rows go too; else another file of the commit holds them.
pub(crate) fn remove(segment: &SegmentMeta, data_change: bool, now: Timestamp) -> Value {
    json!({ "remove": {
        "path": segment.listed_path(),
        "deletionTimestamp": millis(now),
        "dataChange": data_change,
        "size": segment.size_bytes,
        "tags": { "moneta.sha256": segment.hash.to_hex() },
    } })
}

/// Takes a file off the list that an `add` of the same commit lists at another place.
pub(crate) fn remove_moved(segment: &SegmentMeta, now: Timestamp) -> Value {
    let mut action = remove(segment, false, now);
    action["remove"]["tags"]["moneta.moved"] = "true".into();
    action
}

/// Whether an action lists an object, or takes a file off the list that was moved: no merge does that.
fn is_of_move(body: &Value) -> bool {
    body["path"].as_str().is_some_and(is_uri) || body["tags"]["moneta.moved"] == "true"
}

fn is_uri(path: &str) -> bool {
    path.contains("://")
}

/// Notes the files that an action of a merge takes off the list, and the path below `store` of the one it lists.
pub(crate) fn note_merge(
    action: &Value,
    table: &TableName,
    merge: &mut (Vec<ObjectRef>, Option<String>),
) -> Result<(), String> {
    let of_merge = |key: &str| action.get(key).filter(|body| body["dataChange"] == false && !is_of_move(body));
    let path = |body: &Value| body["path"].as_str().map(|path| format!("{table}/{path}"));
    if let Some(add) = of_merge("add") {
        merge.1 = path(add);
    } else if let Some(remove) = of_merge("remove") {
        let hash = remove["tags"]["moneta.sha256"].as_str().and_then(|text| Hash::from_hex(text).ok());
        let object = (path(remove), remove["size"].as_u64(), hash);
        let (Some(path), Some(size_bytes), Some(hash)) = object else {
            return Err("a remove action of a merge lacks its path, size or hash".to_owned());
        };
        merge.0.push(ObjectRef { path, size_bytes, hash });
    }
    Ok(())
}

/// Lists a file. `data_change`: its rows are new; else they were in files that the commit takes off the list.
pub(crate) fn add(segment: &SegmentMeta, data_change: bool, now: Timestamp) -> Value {
    // Delta keeps statistics of times in milliseconds: the maximum is rounded up so that it stays a bound.
    let floor = segment.event_time_min.as_nanos().div_euclid(1_000_000);
    let ceiling = -((-segment.event_time_max.as_nanos()).div_euclid(1_000_000));
    let time = |millis| format!("{}Z", &Timestamp::from_millis(millis).to_string()[..23]);
    let stats = json!({
        "numRecords": segment.num_rows(),
        "minValues": { standard::SEQ: segment.first_seq, standard::TIME_GENERATED: time(floor) },
        "maxValues": { standard::SEQ: segment.end_seq - 1, standard::TIME_GENERATED: time(ceiling) },
        "nullCount": { standard::SEQ: 0, standard::TIME_GENERATED: 0 },
    });
    let mut action = json!({ "add": {
        "path": segment.listed_path(),
        "partitionValues": {},
        "size": segment.size_bytes,
        "modificationTime": millis(now),
        "dataChange": data_change,
        "stats": stats.to_string(),
        "tags": {
            "moneta.sha256": segment.hash.to_hex(),
            "moneta.blocks_root": segment.blocks_root.to_hex(),
            "moneta.first_seq": segment.first_seq.to_string(),
            "moneta.end_seq": segment.end_seq.to_string(),
            "moneta.event_time_min": segment.event_time_min.as_nanos().to_string(),
            "moneta.event_time_max": segment.event_time_max.as_nanos().to_string(),
            "moneta.footer": format!("{}:{:08x}", segment.footer_start, segment.footer_checksum),
        },
    } });
    if let Some(version) = segment.moved.as_ref().and_then(|moved| moved.version.as_ref()) {
        action["add"]["tags"]["moneta.object_version"] = version.as_str().into();
    }
    action
}

/// Lists a file in a checkpoint, where no row is new. When it was written stands in the commit that is summed up; here it
/// is the beginning of its ingest day.
pub(crate) fn add_in_checkpoint(segment: &SegmentMeta) -> Value {
    add(segment, false, Timestamp::from_seconds(i64::from(segment.shard.day.0) * 86_400))
}

/// The last merge among `remove` actions: its files have one time, and their rows lie side by side.
pub(crate) fn last_merge(tombstones: &[Value], table: &TableName) -> Result<Option<(Vec<ObjectRef>, String)>, String> {
    let is_of_merge = |body: &Value| body["dataChange"] == false && !is_of_move(body);
    let of_merge = tombstones.iter().filter(|action| is_of_merge(&action["remove"]));
    let at = |action: &Value| action["remove"]["deletionTimestamp"].as_i64();
    let Some(last) = of_merge.clone().filter_map(at).max() else { return Ok(None) };
    let mut merge = (Vec::new(), None);
    for action in of_merge.filter(|action| at(action) == Some(last)) {
        note_merge(action, table, &mut merge)?;
    }
    let rows = |object: &ObjectRef| crate::segment::parse_file_name(object.path.rsplit('/').next()?);
    let ranges: Option<Vec<_>> = merge.0.iter().map(rows).collect();
    let day = merge.0.first().and_then(|object| ShardId::parse(object.path.rsplit_once('/')?.0));
    let (Some(ranges), Some(shard)) = (ranges, day) else {
        return Err("a removed file has no name of ours".to_owned());
    };
    let (first, end) = (ranges.iter().map(|range| range.0).min(), ranges.iter().map(|range| range.1).max());
    let path = crate::segment::file_path(&shard, first.unwrap_or_default(), end.unwrap_or_default());
    Ok(Some((merge.0, path)))
}

pub(crate) fn parse_add(add: &Value, table: &TableName) -> Result<SegmentMeta, String> {
    let path = add["path"].as_str().ok_or("an add action has no path")?;
    let tag = |name: &str| add["tags"][name].as_str().ok_or_else(|| format!("{path} has no tag {name}"));
    let bad = |name: &str| format!("{path}: tag {name} cannot be");
    let number = |name: &str| tag(name)?.parse::<i64>().map_err(|_| bad(name));
    let seq = |name: &str| number(name).and_then(|value| Seq::try_from(value).map_err(|_| bad(name)));
    let hash = |name: &str| Hash::from_hex(tag(name)?).map_err(|_| bad(name));
    let moved = is_uri(path).then(|| {
        let version = add["tags"]["moneta.object_version"].as_str().map(str::to_owned);
        Moved { uri: path.to_owned(), version }
    });
    let within = match &moved {
        Some(moved) => path_of_object(&moved.uri, table.as_str())
            .ok_or_else(|| format!("{path} is no name of an object of {table}"))?,
        None => path.to_owned(),
    };
    let day = within.split('/').next().unwrap_or_default();
    let shard = ShardId::parse(&format!("{table}/{day}"));
    let footer = tag("moneta.footer")?.split_once(':');
    let footer = footer.and_then(|(start, sum)| Some((start.parse().ok()?, u32::from_str_radix(sum, 16).ok()?)));
    let (footer_start, footer_checksum) = footer.ok_or_else(|| bad("moneta.footer"))?;
    let segment = SegmentMeta {
        shard: shard.ok_or_else(|| format!("{path} is not in the directory of a day"))?,
        path: format!("{table}/{within}"),
        size_bytes: add["size"].as_u64().ok_or_else(|| format!("{path} has no size"))?,
        hash: hash("moneta.sha256")?,
        blocks_root: hash("moneta.blocks_root")?,
        first_seq: seq("moneta.first_seq")?,
        end_seq: seq("moneta.end_seq")?,
        event_time_min: Timestamp::from_nanos(number("moneta.event_time_min")?),
        event_time_max: Timestamp::from_nanos(number("moneta.event_time_max")?),
        footer_start,
        footer_checksum,
        moved,
    };
    if segment.path != crate::segment::file_path(&segment.shard, segment.first_seq, segment.end_seq) {
        return Err(format!("{path} is not the name of the rows it is said to hold"));
    }
    match segment.first_seq < segment.end_seq {
        true => Ok(segment),
        false => Err(bad("moneta.end_seq")),
    }
}

pub(crate) fn parse_columns(schema_string: &Value) -> Result<Vec<Column>, String> {
    let text = schema_string.as_str().ok_or("metaData has no schemaString")?;
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("schemaString is not JSON: {error}"))?;
    let fields = schema["fields"].as_array().ok_or("schemaString has no fields")?;
    let column = |field: &Value| {
        let name = field["name"].as_str()?;
        let column_type = ColumnType::parse(field["metadata"][TYPE_METADATA_KEY].as_str()?)?;
        Some(Column::new(name, column_type))
    };
    let columns: Option<Vec<_>> = fields.iter().map(column).collect();
    columns.ok_or_else(|| "schemaString has a field without a Kusto type".to_owned())
}

/// Milliseconds since 1970, as Delta counts time.
fn millis(time: Timestamp) -> i64 {
    time.as_nanos().div_euclid(1_000_000)
}

/// A stable id of a table: a UUID made of its name, so that a rebuilt catalog has the same.
fn table_id(name: &TableName) -> String {
    let digest = sha256(name.as_str().as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest.as_bytes()[..16]);
    moneta_base::TenantId::from_random(bytes).to_string()
}

/// Every column is nullable: a segment leaves out the columns that none of its rows has.
fn schema_string(columns: &[Column]) -> String {
    let field = |column: &Column| {
        json!({
            "name": &*column.name,
            "type": delta_type(column.column_type),
            "nullable": true,
            "metadata": { TYPE_METADATA_KEY: column.column_type.name() },
        })
    };
    json!({ "type": "struct", "fields": columns.iter().map(field).collect::<Vec<_>>() }).to_string()
}

fn delta_type(column_type: ColumnType) -> String {
    match column_type {
        ColumnType::Bool => "boolean".to_owned(),
        ColumnType::Int => "integer".to_owned(),
        ColumnType::Long | ColumnType::TimeSpan => "long".to_owned(),
        ColumnType::Real => "double".to_owned(),
        ColumnType::Decimal => format!("decimal({DECIMAL_PRECISION},{DECIMAL_SCALE})"),
        ColumnType::DateTime => "timestamp".to_owned(),
        ColumnType::String | ColumnType::Dynamic | ColumnType::Guid => "string".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use moneta_base::IngestDay;
    use moneta_event::TableSchema;

    use super::*;

    #[test]
    fn a_segment_survives_its_action_and_a_foreign_name_is_refused() {
        let table = TableName::new("Syslog").unwrap();
        let shard = ShardId { table: table.clone(), day: IngestDay(20_000) };
        let segment = SegmentMeta {
            path: crate::segment::file_path(&shard, 5, 9),
            shard,
            size_bytes: 77,
            hash: Hash([1; 32]),
            blocks_root: Hash([2; 32]),
            first_seq: 5,
            end_seq: 9,
            event_time_min: Timestamp::from_nanos(-1_500_100),
            event_time_max: Timestamp::from_nanos(1_500_100),
            footer_start: 60,
            footer_checksum: 0xab,
            moved: None,
        };
        let uri = format!("s3://bucket/a/{}", segment.object_name());
        let moved = SegmentMeta { moved: Some(Moved { uri, version: Some("v".to_owned()) }), ..segment.clone() };
        assert_eq!(parse_add(&add(&moved, false, Timestamp::from_seconds(3))["add"], &table).unwrap(), moved);
        let other = TableName::new("Event").unwrap();
        assert!(parse_add(&add(&moved, false, Timestamp::from_seconds(3))["add"], &other).is_err());
        let action = add(&segment, true, Timestamp::from_seconds(3));
        assert_eq!(parse_add(&action["add"], &table).unwrap(), segment);
        let stats: Value = serde_json::from_str(action["add"]["stats"].as_str().unwrap()).unwrap();
        assert_eq!(stats["minValues"]["TimeGenerated"], "1969-12-31T23:59:59.998Z");
        assert_eq!(stats["maxValues"]["TimeGenerated"], "1970-01-01T00:00:00.002Z");
        let mut foreign = action["add"].clone();
        foreign["path"] = "../../etc/passwd".into();
        assert!(parse_add(&foreign, &table).is_err());
    }

    #[test]
    fn columns_survive_the_schema_string() {
        let own = ColumnType::ALL.map(|column_type| Column::new(column_type.name(), column_type));
        let schema = TableSchema::new(TableName::new("T_CL").unwrap(), own);
        assert_eq!(parse_columns(&schema_string(schema.columns()).into()).unwrap(), schema.columns());
    }
}
