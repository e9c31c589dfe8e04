//! The rows of a query handed on as they come, never collected: any number of them in bounded memory.
//!
//! One task runs the query and hands on one batch after the other, each when the last was taken; another stops it when
//! its reader goes away or falls silent, when somebody cancels it, or when its time is over. It is audited before the
//! first row leaves, and again when it ends; a reader is told that it has everything only after that.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arrow::array::RecordBatch;
use datafusion::execution::SessionState;
use datafusion::physical_plan::{ExecutionPlan, SendableRecordBatchStream};
use futures::StreamExt;
use moneta_base::ErrorKind;
use moneta_ports::{BoxFuture, OpContext, QueryColumn, QueryDiagnostic, QueryError, QueryRequest, RowStream};
use moneta_store::rows_bytes;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};

use crate::auditor::{Auditor, Details, read_details};
use crate::engine::{
    Core, Planned, Prepared, ResultLimits, aligned, failed, on_threads, plan_failed, query_columns, timed_out,
};
use crate::memory::QueryMemory;
use crate::pauses::Stop;
use crate::running::{Ended, Lane, Ticket};

/// Audit action of a query whose rows are about to be handed on.
pub(crate) const BEGINS: &str = "query.stream";
/// Audit action of its end.
const ENDS: &str = "query.stream-end";
/// Batches made before the reader takes them.
const AHEAD_BATCHES_MAX: usize = 1;
/// How long a reader may take nothing before the query is given up for others.
const STALLED_MAX: Duration = Duration::from_secs(300);

/// What goes to the reader, in this order.
enum Piece {
    Head(Head),
    Rows(RecordBatch),
    End,
}

type Sender = mpsc::Sender<Result<Piece, QueryError>>;
type Finish = (Details, oneshot::Sender<Result<(), QueryError>>);

struct Head {
    columns: Vec<QueryColumn>,
    warnings: Vec<QueryDiagnostic>,
}

/// A query on its way.
struct Job {
    ctx: OpContext,
    request: QueryRequest,
    auditor: Auditor,
    started: Instant,
    /// Whether rows may have been handed on.
    has_begun: AtomicBool,
    num_rows: AtomicU64,
}

/// Begins a query; returns when its columns are known.
pub(crate) async fn begin(
    core: Arc<Core>,
    threads: Handle,
    auditor: Auditor,
    ticket: Ticket,
    ctx: &OpContext,
    request: QueryRequest,
) -> Result<Box<dyn RowStream>, QueryError> {
    let (out, mut pieces) = mpsc::channel(AHEAD_BATCHES_MAX);
    let (finish, finished) = oneshot::channel();
    let (started, has_begun, num_rows) = (Instant::now(), AtomicBool::new(false), AtomicU64::new(0));
    let job = Arc::new(Job { ctx: ctx.clone(), request, auditor, started, has_begun, num_rows });
    threads.spawn(watch(core, threads.clone(), ticket, job, out, finished));
    match pieces.recv().await {
        Some(Ok(Piece::Head(head))) => {
            Ok(Box::new(Rows { head, pieces, finish, are_all_taken: false, has_failed: false }))
        }
        Some(Err(error)) => Err(error),
        _ => Err(broken()),
    }
}

/// Runs a query to its end, whatever ends it.
async fn watch(
    core: Arc<Core>,
    threads: Handle,
    ticket: Ticket,
    job: Arc<Job>,
    out: Sender,
    finished: oneshot::Receiver<Finish>,
) {
    let work = async {
        let _turn = ticket.turn(Lane::Stream).await?;
        let (job, out) = (job.clone(), out.clone());
        on_threads(&threads, |stop| async move { core.hand_on(&job, &out, &stop).await }).await
    };
    let timeout = async {
        match job.request.timeout {
            Some(timeout) => {
                tokio::time::sleep(timeout).await;
                timeout
            }
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = work => result,
        by = ticket.stopped() => Err(QueryError::Cancelled(format!("the query was cancelled by {by}"))),
        () = out.closed() => Err(gone_away()),
        timeout = timeout => Err(timed_out(timeout)),
    };
    let result = match result {
        Ok(ended) => has_all(&out, finished).await.map(|finish| (ended, finish)),
        Err(error) => Err(error),
    };
    end(ticket, &job, out, result).await;
}

/// Tells the reader that there are no more rows, and waits until it says that they are where they go.
async fn has_all(out: &Sender, finished: oneshot::Receiver<Finish>) -> Result<Finish, QueryError> {
    give(out, Piece::End).await?;
    match tokio::time::timeout(STALLED_MAX, finished).await {
        Ok(Ok(finish)) => Ok(finish),
        _ => Err(gone_away()),
    }
}

/// Audits the end, and only then tells the reader.
async fn end(ticket: Ticket, job: &Job, out: Sender, result: Result<(Ended, Finish), QueryError>) {
    let action = if job.has_begun.load(Ordering::Relaxed) { ENDS } else { BEGINS };
    let num_rows = job.num_rows.load(Ordering::Relaxed);
    let elapsed = job.started.elapsed();
    match result {
        Ok((ended, (mut details, answer))) => {
            let outcome = Ok(Some(num_rows));
            details.extend(read_details(ended.bytes_read, ended.memory_peak_bytes));
            let audited = job.auditor.ended(action, &job.ctx, &job.request, outcome, elapsed, details).await;
            ticket.end(audited.as_ref().map(|()| ended));
            // A reader that went away in this moment has nobody to tell.
            let _ = answer.send(audited);
        }
        Err(error) => {
            let details = [("rows_sent".to_owned(), num_rows.into())].into_iter().collect();
            let audited = job.auditor.ended(action, &job.ctx, &job.request, Err(&error), elapsed, details).await;
            ticket.end(Err(&error));
            let _ = tokio::time::timeout(STALLED_MAX, out.send(Err(audited.err().unwrap_or(error)))).await;
        }
    }
}

/// The one result of a query whose rows are handed on.
fn only(prepared: &Prepared) -> Result<&Planned, QueryError> {
    if let [planned] = &prepared.results[..] {
        return Ok(planned);
    }
    let number = prepared.results.len();
    let message = format!("the text has {number} results, and rows are handed on of one; ask for each by itself");
    Err(failed(ErrorKind::Caller, message))
}

impl Core {
    /// The columns of what [`Self::hand_on`] would give.
    pub(crate) async fn columns(
        &self,
        ctx: &OpContext,
        request: &QueryRequest,
        stop: &Stop,
    ) -> Result<Vec<QueryColumn>, QueryError> {
        let (prepared, _memory) = self.prepare_with_memory(ctx, request, stop).await?;
        only(&prepared).map(|planned| query_columns(&planned.columns))
    }

    /// Runs a query and gives its batches to the reader.
    async fn hand_on(&self, job: &Job, out: &Sender, stop: &Stop) -> Result<Ended, QueryError> {
        let (prepared, memory) = self.prepare_with_memory(&job.ctx, &job.request, stop).await?;
        let planned = only(&prepared)?;
        let limits = ResultLimits::of_stream(&job.request, &prepared.options);
        let (plan, mut rows) = self.open(planned, &memory, &self.session).await?;
        let mut next = rows.next().await;
        if let Some(Err(QueryError::Limit { code, .. })) = &next
            && self.could_spill(code, &plan)
        {
            drop(rows);
            rows = self.open(planned, &memory, &self.session_that_spills()).await?.1;
            next = rows.next().await;
        }
        let mut next = next.transpose()?;
        job.auditor.begun(BEGINS, &job.ctx, &job.request).await?;
        job.has_begun.store(true, Ordering::Relaxed);
        let head = Head { columns: query_columns(&planned.columns), warnings: prepared.warnings.clone() };
        give(out, Piece::Head(head)).await?;
        let mut bytes = 0;
        while let Some(batch) = next {
            let batch = aligned(&batch, &planned.columns)?;
            bytes += rows_bytes(&batch);
            let left = limits.rows.saturating_sub(num_rows(job));
            let kept = batch.slice(0, batch.num_rows().min(left));
            if let Some(cut) = limits.exceeded(kept.num_rows() < batch.num_rows(), bytes) {
                return Err(QueryError::Limit { code: cut.code, message: cut.message });
            }
            if kept.num_rows() > 0 {
                job.num_rows.fetch_add(kept.num_rows() as u64, Ordering::Relaxed);
                give(out, Piece::Rows(kept)).await?;
            }
            if limits.is_take && num_rows(job) >= limits.rows {
                break;
            }
            next = rows.next().await.transpose()?;
        }
        let completeness = prepared.snapshot.counters.completeness();
        match completeness.not_read.first() {
            Some(reason) => Err(failed(ErrorKind::Internal, format!("the rows would not be all: {reason}"))),
            None => Ok(Ended {
                memory_peak_bytes: memory.peak(),
                num_rows: num_rows(job) as u64,
                bytes_read: completeness.bytes_read,
                ..Ended::default()
            }),
        }
    }

    /// The rows of a result before any of them is asked for.
    async fn open(
        &self,
        planned: &Planned,
        memory: &Arc<QueryMemory>,
        session: &SessionState,
    ) -> Result<(Arc<dyn ExecutionPlan>, Batches), QueryError> {
        let plan = self.physical_plan(&planned.logical, session).await?;
        let batches = Batches(self.start(plan.clone(), memory)?);
        Ok((plan, batches))
    }
}

/// Batches with errors of the interface.
struct Batches(SendableRecordBatchStream);

impl Batches {
    async fn next(&mut self) -> Option<Result<RecordBatch, QueryError>> {
        self.0.next().await.map(|batch| batch.map_err(plan_failed))
    }
}

fn num_rows(job: &Job) -> usize {
    usize::try_from(job.num_rows.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
}

async fn give(out: &Sender, piece: Piece) -> Result<(), QueryError> {
    match tokio::time::timeout(STALLED_MAX, out.send(Ok(piece))).await {
        Ok(sent) => sent.map_err(|_| gone_away()),
        Err(_) => {
            let seconds = STALLED_MAX.as_secs();
            Err(QueryError::Cancelled(format!("the reader took nothing for {seconds} seconds")))
        }
    }
}

fn gone_away() -> QueryError {
    QueryError::Cancelled("the reader went away before it had everything".to_owned())
}

fn broken() -> QueryError {
    failed(ErrorKind::Internal, "a query broke off".to_owned())
}

/// The reader's end.
struct Rows {
    head: Head,
    pieces: mpsc::Receiver<Result<Piece, QueryError>>,
    finish: oneshot::Sender<Finish>,
    are_all_taken: bool,
    /// What a query still makes while it is stopped comes after the error, and is not given.
    has_failed: bool,
}

impl RowStream for Rows {
    fn columns(&self) -> &[QueryColumn] {
        &self.head.columns
    }

    fn warnings(&self) -> &[QueryDiagnostic] {
        &self.head.warnings
    }

    fn next(&mut self) -> BoxFuture<'_, Result<Option<RecordBatch>, QueryError>> {
        Box::pin(async move {
            if self.are_all_taken {
                return Ok(None);
            }
            if self.has_failed {
                return Err(broken());
            }
            match self.pieces.recv().await {
                Some(Ok(Piece::Rows(batch))) => Ok(Some(batch)),
                Some(Ok(Piece::End)) => {
                    self.are_all_taken = true;
                    Ok(None)
                }
                Some(Err(error)) => {
                    self.has_failed = true;
                    Err(error)
                }
                Some(Ok(Piece::Head(_))) | None => Err(broken()),
            }
        })
    }

    fn finish(self: Box<Self>, details: Details) -> BoxFuture<'static, Result<(), QueryError>> {
        Box::pin(async move {
            if !self.are_all_taken {
                return Err(failed(ErrorKind::Internal, "the rows of a query were not all taken".to_owned()));
            }
            let (answer, answered) = oneshot::channel();
            self.finish.send((details, answer)).map_err(|_| broken())?;
            answered.await.unwrap_or_else(|_| Err(broken()))
        })
    }
}
