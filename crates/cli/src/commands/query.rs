//! `moneta query`: KQL over the store of a server or directory, or over files.

use std::io::Read as _;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use clap::Args;
use moneta_base::{TableName, Timestamp};
use moneta_event::TableSchema;
use moneta_ports::{QueryAnswer, QueryEngine, QueryLanguage, QueryRequest};
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::client::Client;
use crate::console::Console;
use crate::decode::{Outcome, Wish, decode_file};
use crate::export_file::ExportFile;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::{Format, Grid};
use crate::target::{Missing, Target, load_config, local_context};

/// Bytes of a query from standard input at most.
const QUERY_BYTES_MAX: u64 = 4 << 20;
/// Bytes of rows that files may take in memory.
const FILE_ROWS_BYTES_MAX: usize = 4 << 30;

/// Ask a question in KQL, of the store or of files.
#[derive(Debug, Args)]
pub struct Query {
    /// The query; `-` reads it from standard input.
    #[arg(value_name = "QUERY")]
    text: String,
    /// The query is SQL: one SELECT, EXPLAIN of one, or SHOW TABLES.
    #[arg(long)]
    sql: bool,
    /// A file or directory to query in place of the store. May be repeated.
    #[arg(long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How to print the result. A table on a terminal, NDJSON into a pipe.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
    /// Print every stage of the query instead of running it.
    #[arg(long)]
    explain: bool,
    /// The time that `now()` means.
    #[arg(long, value_name = "TIME")]
    now: Option<String>,
    /// Return all rows, however many.
    #[arg(long)]
    all_rows: bool,
    /// Write all rows into a new file, however many; its ending says how: .parquet, .csv, .ndjson or .json.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "explain", "all_rows"])]
    export: Option<PathBuf>,
}

/// Tables of a result, and what is to be said about them.
#[derive(Debug, Default)]
struct Answer {
    tables: Vec<Grid>,
    warnings: Vec<String>,
    /// Why rows are missing, if any are.
    partial: Vec<String>,
}

impl Query {
    /// Runs or explains the query; negative when the answer is not whole.
    ///
    /// # Errors
    /// When the query is wrong or cannot be run.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let request = self.request()?;
        if let Some(path) = &self.export {
            let file = ExportFile::new(path)?;
            if !self.files.is_empty() {
                let engine = self.engine_over_files(global, console)?;
                return file.write_from(&*engine, request, console).await;
            }
            let target = Target::open(global, Missing::Refuse).await?;
            let outcome = match &target {
                Target::Server(client) => file.download(client, &request, console).await,
                Target::Directory(node) => file.write_from(&*node.queries(), request, console).await,
            };
            let closed = target.close().await;
            let exit = outcome?;
            return closed.map(|()| exit);
        }
        if !self.files.is_empty() {
            let engine = self.engine_over_files(global, console)?;
            return self.ask_engine(&*engine, request, console).await;
        }
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match &target {
            Target::Server(client) => self.ask_server(client, &request, console).await,
            Target::Directory(node) => self.ask_engine(&*node.queries(), request, console).await,
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }

    fn request(&self) -> Result<QueryRequest, Failure> {
        let text = text_or_input(&self.text)?;
        let parse = |text: &String| {
            Timestamp::parse(text)
                .ok_or_else(|| Failure::usage(format!("--now {text:?} is not a time")).advise("2026-01-31T12:00:00Z"))
        };
        let now = self.now.as_ref().map(parse).transpose()?;
        let language = if self.sql { QueryLanguage::Sql } else { QueryLanguage::Kql };
        Ok(QueryRequest { language, now, no_truncation: self.all_rows, takes_partial: true, ..QueryRequest::new(text) })
    }

    async fn ask_engine(
        &self,
        engine: &dyn QueryEngine,
        request: QueryRequest,
        console: &Console,
    ) -> Result<Exit, Failure> {
        let ctx = local_context();
        if self.explain {
            let stages = engine.explain(&ctx, request).await?;
            return print_stages(stages, console);
        }
        let answer = engine.query(&ctx, request).await?;
        self.print(&Answer::of_engine(answer)?, console)
    }

    async fn ask_server(&self, client: &Client, request: &QueryRequest, console: &Console) -> Result<Exit, Failure> {
        let body = wire_request(request);
        if self.explain {
            let answer = client.post("v1/explain", &body).await?;
            let text = |stage: &Value, member: &str| stage[member].as_str().unwrap_or_default().to_owned();
            let stages = answer["stages"].as_array().into_iter().flatten();
            return print_stages(stages.map(|stage| (text(stage, "stage"), text(stage, "text"))).collect(), console);
        }
        let frames = client.post("v2/rest/query", &body).await?;
        self.print(&Answer::of_frames(&frames), console)
    }

    fn print(&self, answer: &Answer, console: &Console) -> Result<Exit, Failure> {
        answer.warnings.iter().for_each(|warning| console.say(&format!("warning: {warning}")));
        let format = console.format(self.format);
        for (index, table) in answer.tables.iter().enumerate() {
            if index > 0 && format == Format::Table {
                console.line("")?;
            }
            console.grid(table, format)?;
        }
        answer.partial.iter().for_each(|reason| console.complain(&format!("the answer is not whole: {reason}")));
        Ok(Exit::negative_unless(answer.partial.is_empty()))
    }

    /// Decodes the files into memory.
    fn engine_over_files(&self, global: &Global, console: &Console) -> Result<Arc<dyn QueryEngine>, Failure> {
        let wish = Wish::natural();
        let mut tables = FileTables::new(&wish);
        for input in files::find(&self.files)? {
            let outcome = decode_file(&input.path, &wish, |portion| {
                tables.num_quarantined += portion.quarantined.len();
                portion.batches.into_iter().for_each(|batch| tables.add(&batch.table, batch.rows));
                tables.size_bytes <= FILE_ROWS_BYTES_MAX
            })?;
            match outcome {
                Outcome::Decoded(_) => {}
                Outcome::NotRecognised => console.say(&format!("not recognised: {}", input.path.display())),
                Outcome::Stopped => {
                    return Err(Failure::usage("the files are too large to be queried in memory")
                        .advise("`moneta ingest` them first"));
                }
            }
        }
        if tables.num_quarantined > 0 {
            console.say(&format!("{} records could not be parsed and are left out", tables.num_quarantined));
        }
        Ok(moneta_server::offline_query_engine(&load_config(global)?, tables.into_vec())?)
    }
}

/// Rows of files, by table.
struct FileTables {
    tables: std::collections::BTreeMap<TableName, (Arc<TableSchema>, Vec<RecordBatch>)>,
    num_quarantined: usize,
    size_bytes: usize,
}

impl FileTables {
    /// Every built-in table, empty: a table without rows is no mistake in a query.
    fn new(wish: &Wish) -> Self {
        let empty = |schema: &Arc<TableSchema>| (schema.name().clone(), (schema.clone(), Vec::new()));
        Self { tables: wish.catalog.iter().map(empty).collect(), num_quarantined: 0, size_bytes: 0 }
    }

    fn add(&mut self, table: &TableName, rows: RecordBatch) {
        self.size_bytes += rows.get_array_memory_size();
        let custom = || (Arc::new(TableSchema::custom(table.clone())), Vec::new());
        self.tables.entry(table.clone()).or_insert_with(custom).1.push(rows);
    }

    fn into_vec(self) -> Vec<(Arc<TableSchema>, Vec<RecordBatch>)> {
        self.tables.into_values().collect()
    }
}

impl Answer {
    fn of_engine(answer: QueryAnswer) -> Result<Self, Failure> {
        let failed = |error: arrow::error::ArrowError| {
            Failure::new(Exit::Internal, "the result cannot be printed").caused_by(&error)
        };
        let tables = answer.tables.iter().map(|table| {
            let columns = table.columns.iter().map(|column| column.name.clone()).collect();
            Ok(Grid { columns, rows: moneta_api::json_rows(table).map_err(failed)? })
        });
        let tables = tables.collect::<Result<_, Failure>>()?;
        let warnings = answer.warnings.iter().map(|warning| format!("{}: {}", warning.code, warning.message)).collect();
        Ok(Self {
            tables,
            warnings,
            partial: answer.truncated.iter().map(ToString::to_string).chain(answer.completeness.not_read).collect(),
        })
    }

    /// Reads the frames of Kusto's second answer form.
    fn of_frames(frames: &Value) -> Self {
        let mut answer = Self::default();
        for frame in frames.as_array().into_iter().flatten() {
            match (frame["FrameType"].as_str(), frame["TableKind"].as_str()) {
                (Some("DataTable"), Some("PrimaryResult")) => answer.tables.push(grid_of_frame(frame)),
                (Some("DataSetCompletion"), _) => {
                    let errors = frame["OneApiErrors"].as_array().into_iter().flatten();
                    answer
                        .partial
                        .extend(errors.filter_map(|error| Some(error["error"]["@message"].as_str()?.to_owned())));
                }
                _ => {}
            }
        }
        answer
    }
}

fn grid_of_frame(frame: &Value) -> Grid {
    let columns = frame["Columns"].as_array().into_iter().flatten();
    let columns = columns.map(|column| column["ColumnName"].as_str().unwrap_or_default().to_owned()).collect();
    // The last row of a cut result is an object that says so; the end of the answer says it too.
    let rows = frame["Rows"].as_array().into_iter().flatten().filter_map(|row| row.as_array().cloned()).collect();
    Grid { columns, rows }
}

fn wire_request(request: &QueryRequest) -> Value {
    let mut options = json!({});
    if let Some(now) = request.now {
        options["query_now"] = now.to_string().into();
    }
    if request.language == QueryLanguage::Sql {
        options["query_language"] = request.language.name().into();
    }
    if request.no_truncation {
        options["notruncation"] = true.into();
    }
    json!({ "db": "Moneta", "csl": request.text, "properties": { "Options": options } })
}

fn print_stages(stages: Vec<(String, String)>, console: &Console) -> Result<Exit, Failure> {
    if console.json {
        let stages: Vec<Value> =
            stages.into_iter().map(|(stage, text)| json!({ "stage": stage, "text": text })).collect();
        console.value(&stages)?;
        return Ok(Exit::Success);
    }
    for (stage, text) in stages {
        console.line(&format!("── {stage}\n{}\n", text.trim_end()))?;
    }
    Ok(Exit::Success)
}

/// A text as typed, or standard input for `-`.
///
/// # Errors
/// When standard input cannot be read or is too large.
pub fn text_or_input(text: &str) -> Result<String, Failure> {
    if text == "-" { read_input() } else { Ok(text.to_owned()) }
}

fn read_input() -> Result<String, Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(QUERY_BYTES_MAX + 1).read_to_string(&mut text);
    read.map_err(|error| Failure::io("cannot read the query from standard input", error))?;
    if text.len() as u64 > QUERY_BYTES_MAX {
        return Err(Failure::usage(format!("the query on standard input has more than {QUERY_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Runs a query of this program's own on a target and returns its first table.
///
/// # Errors
/// As the query fails.
pub async fn ask(target: &Target, text: &str) -> Result<Grid, Failure> {
    let request = QueryRequest { no_truncation: true, ..QueryRequest::new(text) };
    let answer = match target {
        Target::Server(client) => Answer::of_frames(&client.post("v2/rest/query", &wire_request(&request)).await?),
        Target::Directory(node) => Answer::of_engine(node.queries().query(&local_context(), request).await?)?,
    };
    if let Some(why) = answer.partial.first() {
        return Err(Failure::new(Exit::Internal, format!("not everything could be read: {why}")));
    }
    Ok(answer.tables.into_iter().next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_become_tables_and_what_is_missing_is_told() {
        let frames = json!([
            { "FrameType": "DataSetHeader" },
            { "FrameType": "DataTable", "TableKind": "QueryProperties", "Columns": [], "Rows": [] },
            { "FrameType": "DataTable", "TableKind": "PrimaryResult", "Columns": [{ "ColumnName": "a", "ColumnType": "long" }],
              "Rows": [[1], { "OneApiErrors": [] }] },
            { "FrameType": "DataSetCompletion", "OneApiErrors": [{ "error": { "@message": "cut" } }] },
        ]);
        let answer = Answer::of_frames(&frames);
        assert_eq!(answer.tables, [Grid { columns: vec!["a".into()], rows: vec![vec![json!(1)]] }]);
        assert_eq!(answer.partial, ["cut"]);
    }

    #[test]
    fn options_travel_in_kustos_names() {
        let now = Timestamp::parse("2026-01-02T03:04:05Z");
        let body = wire_request(&QueryRequest { now, no_truncation: true, ..QueryRequest::new("T") });
        assert_eq!(body["properties"]["Options"]["notruncation"], true);
        assert!(body["properties"]["Options"]["query_now"].as_str().unwrap().starts_with("2026-01-02T03:04:05"));
    }
}
