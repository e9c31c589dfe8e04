//! Results of any size as files: rows are written as the query gives them, and none is kept.
//!
//! [`Export`] is the way for whoever has an engine; the handlers send what it writes, and at the end trailers with the
//! number of rows and bytes and the SHA-256 of the bytes. An export that fails after its first bytes ends as a broken
//! transfer, without trailers: it can never be taken for a whole one.

mod body;
mod handlers;
mod writer;

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use moneta_base::ErrorKind;
use moneta_ports::{OpContext, QueryDiagnostic, QueryEngine, QueryError, QueryRequest, RowStream};
use serde_json::Value;

pub(crate) use handlers::{download, export, refused};
pub use writer::ExportFormat;
use writer::Writer;
pub(crate) use writer::{plain, plain_schema};

/// Names of the trailers.
pub mod trailers {
    /// Rows of the export.
    pub const ROWS: &str = "moneta-rows";
    /// Its bytes.
    pub const BYTES: &str = "moneta-bytes";
    /// SHA-256 of its bytes, in hexadecimal digits.
    pub const SHA256: &str = "moneta-sha256";
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportTotals {
    /// Rows.
    pub num_rows: u64,
    /// Bytes.
    pub num_bytes: u64,
    /// SHA-256 of the bytes, in hexadecimal digits.
    pub sha256: String,
}

/// A result being written.
pub struct Export {
    rows: Box<dyn RowStream>,
    format: ExportFormat,
    /// Absent once the last bytes are written.
    writer: Option<Writer>,
    digest: Context,
    num_rows: u64,
    num_bytes: u64,
}

impl Export {
    /// Begins a query whose rows are to be written.
    ///
    /// # Errors
    /// As [`QueryEngine::stream`].
    pub async fn begin(
        engine: &dyn QueryEngine,
        ctx: &OpContext,
        request: QueryRequest,
        format: ExportFormat,
    ) -> Result<Self, QueryError> {
        let rows = engine.stream(ctx, request).await?;
        let writer = Some(Writer::new(format, rows.columns()).map_err(|error| unwritable(&error))?);
        Ok(Self { rows, format, writer, digest: Context::new(&SHA256), num_rows: 0, num_bytes: 0 })
    }

    /// Warnings about the query.
    #[must_use]
    pub fn warnings(&self) -> &[QueryDiagnostic] {
        self.rows.warnings()
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// See [`QueryError`]; there will be no more bytes then.
    pub async fn next(&mut self) -> Result<Option<Bytes>, QueryError> {
        while let Some(writer) = self.writer.take() {
            let bytes = match self.rows.next().await? {
                Some(batch) => {
                    self.num_rows += batch.num_rows() as u64;
                    let (writer, bytes) = elsewhere(move || write(writer, &batch)).await?;
                    self.writer = Some(writer);
                    bytes
                }
                None => elsewhere(move || writer.finish()).await?,
            };
            if !bytes.is_empty() {
                self.digest.update(&bytes);
                self.num_bytes += bytes.len() as u64;
                return Ok(Some(bytes.into()));
            }
        }
        Ok(None)
    }

    /// Audits that all bytes have gone where they go.
    ///
    /// # Errors
    /// When that cannot be audited, or there are more.
    pub async fn finish(self) -> Result<ExportTotals, QueryError> {
        let sha256 = hex::encode(self.digest.finish());
        let totals = ExportTotals { num_rows: self.num_rows, num_bytes: self.num_bytes, sha256 };
        let details = [
            ("format".to_owned(), Value::from(self.format.name())),
            ("bytes".to_owned(), totals.num_bytes.into()),
            ("sha256".to_owned(), totals.sha256.clone().into()),
        ];
        self.rows.finish(details.into_iter().collect()).await?;
        Ok(totals)
    }
}

fn write(mut writer: Writer, batch: &RecordBatch) -> Result<(Writer, Vec<u8>), ArrowError> {
    let bytes = writer.write(batch)?;
    Ok((writer, bytes))
}

/// Writing takes long, and must not hold up the threads that answer requests.
async fn elsewhere<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ArrowError> + Send + 'static,
) -> Result<T, QueryError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(|error| unwritable(&error)),
        Err(error) => Err(QueryError::Failed { kind: ErrorKind::Internal, message: error.to_string() }),
    }
}

fn unwritable(error: &ArrowError) -> QueryError {
    let message = format!("the result cannot be written in this form: {error}");
    QueryError::Failed { kind: ErrorKind::Caller, message }
}
