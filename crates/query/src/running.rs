//! Which queries run: whose turn it is, who may stop them, and what became of the last ones.
//!
//! Nothing here is durable; the audit table is the record.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::{ErrorKind, Timestamp};
use moneta_ports::{OpContext, QueryError, QueryRequest, QueryState, Scope};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::Limits;
use crate::limits::WAITING_PER_PRINCIPAL_MAX;

/// Queries that are remembered after their end.
const ENDED_MAX: usize = 1_000;
/// Characters of a text that are remembered.
const TEXT_CHARACTERS_MAX: usize = 16_384;
/// When a refused caller may come back.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Which places a query waits for. Streams take as long as their readers, and must not keep answers from being given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// An answer that is collected.
    Answer,
    /// Rows handed on as they come.
    Stream,
}

/// How a query ended that did not fail.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    pub(crate) num_rows: u64,
    pub(crate) memory_peak_bytes: usize,
    pub(crate) bytes_read: u64,
    /// Why rows are missing, if any are.
    pub(crate) note: String,
}

/// The queries of an engine.
#[derive(Debug)]
pub(crate) struct Running {
    answers: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    per_principal: usize,
    principals: Mutex<HashMap<(Lane, String), Arc<Semaphore>>>,
    queries: Mutex<Queries>,
    last_number: AtomicU64,
}

#[derive(Debug, Default)]
struct Queries {
    running: HashMap<u64, Entry>,
    ended: VecDeque<QueryState>,
}

#[derive(Debug)]
struct Entry {
    state: QueryState,
    started: Instant,
    stop: watch::Sender<Option<String>>,
}

/// A query from the moment it came to its end.
#[derive(Debug)]
pub(crate) struct Ticket {
    running: Arc<Running>,
    number: u64,
    principal: String,
    stopped: watch::Receiver<Option<String>>,
}

/// The right to run, for as long as it is held.
#[derive(Debug)]
pub(crate) struct Turn {
    _own: OwnedSemaphorePermit,
    _shared: OwnedSemaphorePermit,
}

impl Running {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            answers: Arc::new(Semaphore::new(limits.concurrency.max(1))),
            streams: Arc::new(Semaphore::new(limits.concurrency.max(1))),
            per_principal: limits.concurrency_per_principal.max(1),
            principals: Mutex::default(),
            queries: Mutex::default(),
            last_number: AtomicU64::new(0),
        })
    }

    /// Notes a query that has come.
    ///
    /// # Errors
    /// [`QueryError::Throttled`] when too many of the principal's wait already.
    pub(crate) fn begin(
        self: &Arc<Self>,
        ctx: &OpContext,
        request: &QueryRequest,
        now: Timestamp,
    ) -> Result<Ticket, QueryError> {
        let number = self.last_number.fetch_add(1, Ordering::Relaxed) + 1;
        let principal = ctx.actor.name.clone();
        let (stop, stopped) = watch::channel(None);
        let id = if request.id.is_empty() { format!("query-{number}") } else { request.id.clone() };
        let state = QueryState {
            id,
            principal: principal.clone(),
            application: ctx.claims.application.clone(),
            text: request.text.chars().take(TEXT_CHARACTERS_MAX).collect(),
            since: now,
            elapsed: Duration::ZERO,
            state: "Waiting",
            reason: String::new(),
            num_rows: 0,
            memory_peak_bytes: 0,
        };
        let mut queries = self.lock();
        let own = queries.running.values().filter(|entry| entry.state.principal == principal).count();
        if own >= self.per_principal + WAITING_PER_PRINCIPAL_MAX {
            let message = format!(
                "{principal} has {own} queries under way, and query.concurrency_per_principal = {}; wait for them",
                self.per_principal
            );
            return Err(QueryError::Throttled { message, retry_after: RETRY_AFTER });
        }
        queries.running.insert(number, Entry { state, started: Instant::now(), stop });
        drop(queries);
        Ok(Ticket { running: self.clone(), number, principal, stopped })
    }

    /// The queries that run, then those that ended, the last first.
    pub(crate) fn list(&self, ctx: &OpContext) -> Vec<QueryState> {
        let queries = self.lock();
        let live = |entry: &Entry| QueryState { elapsed: entry.started.elapsed(), ..entry.state.clone() };
        let mut all: Vec<QueryState> = queries.running.values().map(live).collect();
        all.sort_by_key(|query| std::cmp::Reverse(query.since));
        all.extend(queries.ended.iter().rev().cloned());
        all.retain(|query| may_see(ctx, &query.principal));
        all
    }

    /// Stops a query; whether there was one that the principal may stop.
    pub(crate) fn cancel(&self, ctx: &OpContext, id: &str) -> bool {
        let queries = self.lock();
        let matching =
            queries.running.values().filter(|entry| entry.state.id == id && may_see(ctx, &entry.state.principal));
        let mut found = false;
        for entry in matching {
            found = true;
            let _ = entry.stop.send(Some(ctx.actor.name.clone()));
        }
        found
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queries> {
        self.queries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places_of(&self, lane: Lane, principal: &str) -> Arc<Semaphore> {
        let mut principals = self.principals.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever asks nothing now needs no entry: names come from outside, and memory must not.
        principals.retain(|_, places| Arc::strong_count(places) > 1);
        let places = || Arc::new(Semaphore::new(self.per_principal));
        principals.entry((lane, principal.to_owned())).or_insert_with(places).clone()
    }
}

/// An administrator sees every query, others their own.
fn may_see(ctx: &OpContext, principal: &str) -> bool {
    ctx.may(Scope::Admin) || ctx.actor.name == principal
}

impl Ticket {
    /// Waits for a place: first among the principal's own queries, then among all.
    pub(crate) async fn turn(&self, lane: Lane) -> Result<Turn, QueryError> {
        let closed = |error: tokio::sync::AcquireError| QueryError::Failed {
            kind: ErrorKind::Internal,
            message: error.to_string(),
        };
        let own = self.running.places_of(lane, &self.principal).acquire_owned().await.map_err(closed)?;
        let places = match lane {
            Lane::Answer => &self.running.answers,
            Lane::Stream => &self.running.streams,
        };
        let shared = places.clone().acquire_owned().await.map_err(closed)?;
        if let Some(entry) = self.running.lock().running.get_mut(&self.number) {
            entry.state.state = "InProgress";
        }
        Ok(Turn { _own: own, _shared: shared })
    }

    /// Resolves when somebody stops the query, with who did.
    pub(crate) async fn stopped(&self) -> String {
        let mut stopped = self.stopped.clone();
        let by = stopped.wait_for(Option::is_some).await.ok().and_then(|by| by.clone());
        match by {
            Some(by) => by,
            // The registry's side lives as long as this ticket.
            None => std::future::pending().await,
        }
    }

    /// Notes how the query ended.
    pub(crate) fn end(self, result: Result<Ended, &QueryError>) {
        let mut queries = self.running.lock();
        let Some(Entry { mut state, started, .. }) = queries.running.remove(&self.number) else { return };
        state.elapsed = started.elapsed();
        match result {
            Ok(ended) => {
                state.state = "Completed";
                state.num_rows = ended.num_rows;
                state.memory_peak_bytes = ended.memory_peak_bytes;
                state.reason = ended.note;
            }
            Err(error) => {
                state.state = if matches!(error, QueryError::Cancelled(_)) { "Cancelled" } else { "Failed" };
                state.reason = error.to_string();
            }
        }
        remember(&mut queries, state);
    }
}

impl Drop for Ticket {
    /// Whoever asked has gone away before there was an answer.
    fn drop(&mut self) {
        let mut queries = self.running.lock();
        if let Some(Entry { mut state, started, .. }) = queries.running.remove(&self.number) {
            state.elapsed = started.elapsed();
            state.state = "Cancelled";
            state.reason = "the caller went away".to_owned();
            remember(&mut queries, state);
        }
    }
}

fn remember(queries: &mut Queries, state: QueryState) {
    queries.ended.push_back(state);
    if queries.ended.len() > ENDED_MAX {
        queries.ended.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ctx(name: &str, scope: Scope) -> OpContext {
        let mut ctx = OpContext::service(name);
        ctx.scopes = vec![scope];
        ctx
    }

    fn running(per_principal: usize) -> Arc<Running> {
        Running::new(&Limits { concurrency: 3, concurrency_per_principal: per_principal, ..Limits::default() })
    }

    fn request(id: &str) -> QueryRequest {
        QueryRequest { id: id.to_owned(), ..QueryRequest::new("T") }
    }

    #[tokio::test]
    async fn only_an_administrator_sees_and_stops_the_queries_of_others() {
        let running = running(2);
        let (ada, bob, root) = (ctx("ada", Scope::Query), ctx("bob", Scope::Query), ctx("root", Scope::Admin));
        let ticket = running.begin(&ada, &request("a"), Timestamp::default()).unwrap();
        assert_eq!((running.list(&ada).len(), running.list(&bob).len(), running.list(&root).len()), (1, 0, 1));
        assert!(!running.cancel(&bob, "a") && !running.cancel(&ada, "b"));
        assert!(running.cancel(&root, "a"));
        assert_eq!(ticket.stopped().await, "root");
        ticket.end(Err(&QueryError::Cancelled("by root".to_owned())));
        assert_eq!(running.list(&ada)[0].state, "Cancelled");
        assert!(!running.cancel(&ada, "a"));
    }

    #[tokio::test]
    async fn a_principal_with_many_queries_leaves_places_for_others() {
        let running = running(2);
        let (ada, bob) = (ctx("ada", Scope::Query), ctx("bob", Scope::Query));
        let begin = |ctx: &OpContext| running.begin(ctx, &request(""), Timestamp::default()).unwrap();
        let (first, second, third, other) = (begin(&ada), begin(&ada), begin(&ada), begin(&bob));
        let (turn, _second) = (first.turn(Lane::Answer).await.unwrap(), second.turn(Lane::Answer).await.unwrap());
        let waits = tokio::time::timeout(Duration::from_millis(20), third.turn(Lane::Answer)).await;
        assert!(waits.is_err());
        other.turn(Lane::Answer).await.unwrap();
        // What reads slowly keeps nobody from an answer, and the other way round.
        third.turn(Lane::Stream).await.unwrap();
        drop(turn);
        third.turn(Lane::Answer).await.unwrap();
    }

    #[test]
    fn more_than_may_wait_are_refused_by_the_name_of_the_limit() {
        let running = running(1);
        let ada = ctx("ada", Scope::Query);
        let begin = || running.begin(&ada, &request(""), Timestamp::default());
        let tickets: Vec<Ticket> = (0..=WAITING_PER_PRINCIPAL_MAX).map(|_| begin().unwrap()).collect();
        assert!(begin().unwrap_err().to_string().contains("query.concurrency_per_principal"));
        drop(tickets);
        assert!(begin().is_ok());
    }
}
