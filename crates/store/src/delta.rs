//! The Delta log of a table: which segments count, in a form that any Delta reader opens.
//!
//! Writes what the Delta protocol asks of a writer of version 2: one JSON file a commit, made durable and put in place
//! only if no other has its number. Reads every commit back at start. It never writes data files.
//!
//! # Source
//! Delta transaction log protocol, sections "Delta Log Entries", "Actions" and "Schema Serialization Format". Moneta's
//! own facts of a segment stand in `add.tags`, which other readers pass over.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use moneta_base::fs::{FileSystem, TEMPORARY_SUFFIX};
use moneta_base::{Seq, TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_event::types::{DECIMAL_PRECISION, DECIMAL_SCALE, TYPE_METADATA_KEY};
use moneta_event::{Column, ColumnType, ShardId, TableSchema};
use moneta_merkle::{Hash, sha256};
use serde_json::{Value, json};

use crate::Error;
use crate::segment::SegmentMeta;

/// Directory of the log within a table.
pub(crate) const LOG_DIR: &str = "_delta_log";
/// Application id of the `txn` actions, whose version is the `_Seq` after the last sealed row.
const APP_ID: &str = "moneta";

/// The log of one table.
#[derive(Debug)]
pub(crate) struct DeltaLog {
    table_dir: PathBuf,
    next_version: u64,
    /// Columns in the last `metaData`; `None` before the first.
    written_columns: Option<Vec<Column>>,
}

/// What the commits of a log add up to.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    pub(crate) columns: Vec<Column>,
    /// By path below `store`.
    pub(crate) segments: BTreeMap<String, SegmentMeta>,
}

impl DeltaLog {
    /// The log of a table that has none yet.
    pub(crate) fn new(table_dir: PathBuf) -> Self {
        Self { table_dir, next_version: 0, written_columns: None }
    }

    /// Reads a log; a table without one has no commits.
    pub(crate) fn open(fs: &dyn FileSystem, table_dir: &Path, table: &TableName) -> Result<(Self, Replayed), Error> {
        let mut log = Self::new(table_dir.to_owned());
        let mut replayed = Replayed::default();
        let dir = table_dir.join(LOG_DIR);
        for entry in fs.list(&dir).map_err(|source| Error::io("list", &dir, source))? {
            if entry.name().ends_with(TEMPORARY_SUFFIX) {
                fs.remove_file(&entry.path).map_err(|source| Error::io("remove", &entry.path, source))?;
                continue;
            }
            if entry.path != log.commit_path(log.next_version) {
                return Err(Error::corrupt(
                    &entry.path,
                    format!("commit {:020}.json should come next", log.next_version),
                ));
            }
            let bytes = fs.read(&entry.path).map_err(|source| Error::io("read", &entry.path, source))?;
            replayed.apply(&bytes, table).map_err(|reason| Error::corrupt(&entry.path, reason))?;
            log.next_version += 1;
        }
        if log.next_version > 0 {
            log.written_columns = Some(replayed.columns.clone());
        }
        Ok((log, replayed))
    }

    /// Lists a segment.
    pub(crate) fn commit_segment(
        &mut self,
        fs: &dyn FileSystem,
        schema: &TableSchema,
        segment: &SegmentMeta,
        now: Timestamp,
    ) -> Result<(), Error> {
        let mut actions = self.preface(schema, now);
        actions.push(json!({ "txn": { "appId": APP_ID, "version": segment.end_seq, "lastUpdated": millis(now) } }));
        actions.push(add_action(segment, now));
        actions.push(commit_info("WRITE", now));
        self.commit(fs, &actions)?;
        self.written_columns = Some(schema.columns().to_vec());
        Ok(())
    }

    /// Takes segments off the list.
    pub(crate) fn commit_removal(
        &mut self,
        fs: &dyn FileSystem,
        segments: &[Arc<SegmentMeta>],
        now: Timestamp,
    ) -> Result<(), Error> {
        let removal = |segment: &Arc<SegmentMeta>| json!({ "remove": { "path": path_in_table(segment), "deletionTimestamp": millis(now), "dataChange": true, "size": segment.size_bytes } });
        let mut actions: Vec<Value> = segments.iter().map(removal).collect();
        actions.push(commit_info("DELETE", now));
        self.commit(fs, &actions)
    }

    /// The actions that must stand before the first data, and again when columns were added.
    fn preface(&self, schema: &TableSchema, now: Timestamp) -> Vec<Value> {
        let mut actions = Vec::new();
        if self.next_version == 0 {
            actions.push(json!({ "protocol": { "minReaderVersion": 1, "minWriterVersion": 2 } }));
        }
        if self.written_columns.as_deref() != Some(schema.columns()) {
            actions.push(json!({ "metaData": {
                "id": table_id(schema.name()),
                "name": schema.name().as_str(),
                "format": { "provider": "parquet", "options": {} },
                "schemaString": schema_string(schema),
                "partitionColumns": [],
                "configuration": {},
                "createdTime": millis(now),
            } }));
        }
        actions
    }

    fn commit(&mut self, fs: &dyn FileSystem, actions: &[Value]) -> Result<(), Error> {
        let dir = self.table_dir.join(LOG_DIR);
        let path = self.commit_path(self.next_version);
        fs.create_dir_all(&dir).map_err(|source| Error::io("create", &dir, source))?;
        let text: String = actions.iter().map(|action| format!("{action}\n")).collect();
        put_if_absent(fs, &dir, &path, text.as_bytes())?;
        fs.sync_dir(&self.table_dir).map_err(|source| Error::io("sync", &self.table_dir, source))?;
        self.next_version += 1;
        Ok(())
    }

    fn commit_path(&self, version: u64) -> PathBuf {
        self.table_dir.join(LOG_DIR).join(format!("{version:020}.json"))
    }
}

/// Makes a file durable under a temporary name and then gives it its own, unless that is taken.
fn put_if_absent(fs: &dyn FileSystem, dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let temporary = path.with_extension(format!("json{TEMPORARY_SUFFIX}"));
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| Error::io(action, &path, source)
    };
    if fs.exists(&temporary) {
        fs.remove_file(&temporary).map_err(io("remove", &temporary))?;
    }
    let mut file = fs.create(&temporary).map_err(io("create", &temporary))?;
    file.append(bytes).and_then(|()| file.sync()).map_err(io("write", &temporary))?;
    drop(file);
    match fs.link_new(&temporary, path) {
        // A try that failed after the link left the same bytes: this is it, done.
        Err(error)
            if error.kind() == std::io::ErrorKind::AlreadyExists && fs.read(path).is_ok_and(|found| found == bytes) => {
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Conflict { path: path.to_owned() });
        }
        other => other.map_err(io("link", path))?,
    }
    fs.sync_dir(dir).map_err(io("sync", dir))?;
    fs.remove_file(&temporary).map_err(io("remove", &temporary))
}

impl Replayed {
    fn apply(&mut self, bytes: &[u8], table: &TableName) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        for line in text.lines().filter(|line| !line.is_empty()) {
            let action: Value = serde_json::from_str(line).map_err(|error| format!("it is not JSON: {error}"))?;
            if let Some(metadata) = action.get("metaData") {
                self.columns = parse_schema(&metadata["schemaString"])?;
            } else if let Some(add) = action.get("add") {
                let segment = parse_add(add, table)?;
                self.segments.insert(segment.path.clone(), segment);
            } else if let Some(path) = action.get("remove").and_then(|remove| remove["path"].as_str()) {
                self.segments.remove(&format!("{table}/{path}"));
            }
        }
        Ok(())
    }
}

fn add_action(segment: &SegmentMeta, now: Timestamp) -> Value {
    // Delta keeps statistics of times in milliseconds: the maximum is rounded up so that it stays a bound.
    let floor = segment.event_time_min.as_nanos().div_euclid(1_000_000);
    let ceiling = -((-segment.event_time_max.as_nanos()).div_euclid(1_000_000));
    let time = |millis| {
        let text = Timestamp::from_millis(millis).to_string();
        format!("{}Z", &text[..23])
    };
    let stats = json!({
        "numRecords": segment.num_rows(),
        "minValues": { standard::SEQ: segment.first_seq, standard::TIME_GENERATED: time(floor) },
        "maxValues": { standard::SEQ: segment.end_seq - 1, standard::TIME_GENERATED: time(ceiling) },
        "nullCount": { standard::SEQ: 0, standard::TIME_GENERATED: 0 },
    });
    json!({ "add": {
        "path": path_in_table(segment),
        "partitionValues": {},
        "size": segment.size_bytes,
        "modificationTime": millis(now),
        "dataChange": true,
        "stats": stats.to_string(),
        "tags": {
            "moneta.sha256": segment.hash.to_hex(),
            "moneta.blocks_root": segment.blocks_root.to_hex(),
            "moneta.first_seq": segment.first_seq.to_string(),
            "moneta.end_seq": segment.end_seq.to_string(),
            "moneta.event_time_min": segment.event_time_min.as_nanos().to_string(),
            "moneta.event_time_max": segment.event_time_max.as_nanos().to_string(),
        },
    } })
}

fn parse_add(add: &Value, table: &TableName) -> Result<SegmentMeta, String> {
    let path = add["path"].as_str().ok_or("an add action has no path")?;
    let tag = |name: &str| add["tags"][name].as_str().ok_or_else(|| format!("{path} has no tag {name}"));
    let number = |name: &str| tag(name)?.parse::<i64>().map_err(|_| format!("{path}: tag {name} is not a number"));
    let seq = |name: &str| {
        number(name).and_then(|value| Seq::try_from(value).map_err(|_| format!("{path}: tag {name} is negative")))
    };
    let hash = |name: &str| Hash::from_hex(tag(name)?).map_err(|_| format!("{path}: tag {name} is not a hash"));
    let day = path.split('/').next().unwrap_or_default();
    let shard =
        ShardId::parse(&format!("{table}/{day}")).ok_or_else(|| format!("{path} is not in the directory of a day"))?;
    Ok(SegmentMeta {
        shard,
        path: format!("{table}/{path}"),
        size_bytes: add["size"].as_u64().ok_or_else(|| format!("{path} has no size"))?,
        hash: hash("moneta.sha256")?,
        blocks_root: hash("moneta.blocks_root")?,
        first_seq: seq("moneta.first_seq")?,
        end_seq: seq("moneta.end_seq")?,
        event_time_min: Timestamp::from_nanos(number("moneta.event_time_min")?),
        event_time_max: Timestamp::from_nanos(number("moneta.event_time_max")?),
        footer: Arc::new(OnceLock::new()),
    })
}

fn path_in_table(segment: &SegmentMeta) -> &str {
    segment.path.split_once('/').map_or(segment.path.as_str(), |(_, within)| within)
}

fn commit_info(operation: &str, now: Timestamp) -> Value {
    json!({ "commitInfo": { "timestamp": millis(now), "operation": operation, "operationParameters": {}, "engineInfo": concat!("moneta/", env!("CARGO_PKG_VERSION")) } })
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

fn schema_string(schema: &TableSchema) -> String {
    let field = |column: &Column| {
        json!({
            "name": &*column.name,
            "type": delta_type(column.column_type),
            "nullable": true,
            "metadata": { TYPE_METADATA_KEY: column.column_type.name() },
        })
    };
    json!({ "type": "struct", "fields": schema.columns().iter().map(field).collect::<Vec<_>>() }).to_string()
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

fn parse_schema(schema_string: &Value) -> Result<Vec<Column>, String> {
    let text = schema_string.as_str().ok_or("metaData has no schemaString")?;
    let schema: Value = serde_json::from_str(text).map_err(|error| format!("schemaString is not JSON: {error}"))?;
    let fields = schema["fields"].as_array().ok_or("schemaString has no fields")?;
    let column = |field: &Value| {
        let name = field["name"].as_str()?;
        let column_type = ColumnType::parse(field["metadata"][TYPE_METADATA_KEY].as_str()?)?;
        Some(Column::new(name, column_type))
    };
    fields
        .iter()
        .map(column)
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| "schemaString has a field without a Kusto type".to_owned())
}
