//! Files of any size in any format, streamed: decoded and stored while they arrive.
//!
//! A file is stored in parts, each whole or not at all. Parts are cut by records, not by how the network cut the
//! bytes, so that the same file sent again under the same idempotency key is recognised part by part: an upload that
//! broke off is continued by sending the file again.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use bytes::Bytes;
use moneta_base::ErrorKind;
use moneta_formats::{Decoded, Decoder, Format, HEAD_BYTES, recognise_with};
use moneta_ports::{IngestReceipt, SignedAnswer, Submission};
use serde::{Deserialize, Serialize};

use crate::ApiError;
use crate::auth::MayIngest;
use crate::body::Pieces;
use crate::ingest::{RequestKey, check_tables, decode_options, idempotency, source_of, writable_table};
use crate::intake::on_other_thread;
use crate::state::App;

/// Times a part is offered again under back-pressure before the upload is given up: the sender waits meanwhile,
/// because nothing is read from it.
const ATTEMPTS_MAX: u32 = 120;
/// The longest pause between two of them.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Bytes gathered before they are decoded: a decoder runs on another thread, and handing over costs.
const GATHER_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Parameters {
    /// The file's name: the source of its events, and a hint where content does not tell the format.
    name: Option<String>,
    /// The format; recognised from content when absent.
    format: Option<String>,
    /// The table of every record; the format and the record decide when absent.
    table: Option<String>,
    /// Zone of time stamps that name none, in seconds east of UTC.
    zone_offset_seconds: Option<i32>,
    /// Whether the answer has a receipt of each part.
    #[serde(default)]
    receipts: bool,
}

/// What became of a file.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Uploaded {
    name: String,
    format: &'static str,
    /// Events stored, by table.
    tables: BTreeMap<String, u64>,
    accepted: u64,
    quarantined: u64,
    /// The format that the content looks like, if another was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    looks_like: Option<&'static str>,
    /// Bytes received, decompressed where the transfer was compressed.
    bytes: u64,
    parts: u64,
    /// Parts that had been stored before under the same key.
    duplicate_parts: u64,
    /// When the last part became durable; absent when there was none.
    stored_at: Option<String>,
    elapsed_ms: u64,
    /// What the log signed for each part, if it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipts: Option<Vec<String>>,
}

/// `POST /v1/ingest?name=...&format=...`: the file as body.
pub(crate) async fn file(
    MayIngest(ctx): MayIngest,
    State(state): State<App>,
    parameters: Result<Query<Parameters>, QueryRejection>,
    request: Request,
) -> Result<Json<Uploaded>, ApiError> {
    let started = Instant::now();
    let Query(parameters) = parameters.map_err(|rejection| ApiError::bad_request(rejection.body_text()))?;
    let key = idempotency(request.headers(), &ctx)?;
    let table = parameters.table.as_deref().map(|name| writable_table(&state, name)).transpose()?;
    let name = parameters.name.unwrap_or_else(|| source_of(&ctx));
    let mut pieces = Pieces::of(request);
    let head = gather(&mut pieces, Vec::new(), HEAD_BYTES).await?;
    let format = match &parameters.format {
        Some(format) => Format::parse(format).map_err(|error| ApiError::bad_request(error.to_string()))?,
        // Empty log files are common in directories of them; nothing is stored, whatever their format.
        None if head.is_empty() => Format::Ndjson,
        None => recognise_with(&state.mappings, &name, &head).ok_or_else(|| not_recognised(&name))?,
    };
    let mut options = decode_options(&state, &name, key.is_some());
    options.table = table;
    options.zone_offset_seconds = parameters.zone_offset_seconds.unwrap_or(0);
    let receipts = parameters.receipts.then(Vec::new);
    let uploaded = Uploaded { name, format: format.name(), receipts, ..Uploaded::default() };
    let mut upload = Upload { state, key, uploaded };
    let outcome = upload.run(Decoder::new(format, options), pieces, head).await;
    upload.uploaded.elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    match outcome {
        Ok(()) => Ok(Json(upload.uploaded)),
        Err(error) => {
            let stored = [("stored".to_owned(), serde_json::json!(upload.uploaded))];
            Err(ApiError { details: Some(Box::new(stored.into_iter().collect())), ..error })
        }
    }
}

struct Upload {
    state: App,
    key: Option<RequestKey>,
    uploaded: Uploaded,
}

impl Upload {
    async fn run(&mut self, mut decoder: Decoder, mut pieces: Pieces, head: Vec<u8>) -> Result<(), ApiError> {
        let mut bytes = head;
        while !bytes.is_empty() {
            let fed = on_other_thread(move || {
                let mut portions = Vec::new();
                decoder.feed(&bytes, &mut |portion| portions.push(portion));
                (decoder, portions)
            });
            let (returned, portions) = fed.await?;
            decoder = returned;
            self.store_all(portions).await?;
            self.uploaded.bytes = pieces.num_bytes;
            bytes = gather(&mut pieces, Vec::new(), GATHER_BYTES).await?;
        }
        let last = on_other_thread(move || {
            let mut portions = Vec::new();
            decoder.finish(&mut |portion| portions.push(portion));
            portions
        });
        let last = last.await?;
        self.store_all(last).await
    }

    async fn store_all(&mut self, portions: Vec<Decoded>) -> Result<(), ApiError> {
        for portion in portions.into_iter().filter(|portion| portion.records > 0) {
            check_tables(&portion.batches)?;
            let (receipt, signed) = self.store(&portion).await?;
            self.note(&portion, &receipt);
            self.uploaded.receipts.iter_mut().for_each(|receipts| receipts.extend(signed.clone()));
        }
        Ok(())
    }

    /// Stores one part, waiting while the journal cannot keep up.
    async fn store(&self, portion: &Decoded) -> Result<SignedAnswer, ApiError> {
        let mut attempt = 0;
        loop {
            let submission = Submission {
                batches: portion.batches.clone(),
                quarantined: portion.quarantined.clone(),
                key: self.key.as_ref().map(|key| key.part(self.uploaded.parts)),
            };
            let stored = match self.uploaded.receipts {
                Some(_) => self.state.events.submit_for_receipt(submission).await,
                None => self.state.events.submit(submission).await.map(|receipt| (receipt, None)),
            };
            match stored {
                Err(error) if attempt < ATTEMPTS_MAX => match error.kind {
                    ErrorKind::Environment { retry_after: Some(after) } => {
                        attempt += 1;
                        tokio::time::sleep(after.min(PAUSE_MAX)).await;
                    }
                    _ => return Err(error.into()),
                },
                other => return Ok(other?),
            }
        }
    }

    fn note(&mut self, portion: &Decoded, receipt: &IngestReceipt) {
        let uploaded = &mut self.uploaded;
        for batch in &portion.batches {
            let rows = batch.rows.num_rows() as u64;
            *uploaded.tables.entry(batch.table.to_string()).or_insert(0) += rows;
            uploaded.accepted += rows;
        }
        uploaded.looks_like = portion.looks_like;
        uploaded.quarantined += portion.quarantined.len() as u64;
        uploaded.parts += 1;
        uploaded.duplicate_parts += u64::from(receipt.duplicate);
        uploaded.stored_at = Some(receipt.stored_at.to_string());
    }
}

/// Adds pieces to `bytes` until there are enough or the body ends.
async fn gather(pieces: &mut Pieces, mut bytes: Vec<u8>, enough: usize) -> Result<Vec<u8>, ApiError> {
    while bytes.len() < enough {
        let piece: Option<Bytes> = pieces.next().await?;
        let Some(piece) = piece else { break };
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn not_recognised(name: &str) -> ApiError {
    let known = Format::ALL.map(Format::name).join(", ");
    ApiError::bad_request(format!("the format of {name:?} was not recognised; name it with `format=`: {known}"))
}
