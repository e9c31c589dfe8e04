//! What the handlers work with.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use moneta_access::Access;
use moneta_base::{Clock, Entropy, Timestamp};
use moneta_event::TableCatalog;
use moneta_formats::Mappings;
use moneta_ports::{
    AlertChannels, EventSink, Incidents, Metrics, Operations, QueryEngine, QueryObjects, RuleAdmin, Scope,
};
use tokio::sync::{Mutex, Semaphore};

/// Bodies of events held in memory at once: each may have [`EVENTS_BODY_BYTES_MAX`](crate::body::EVENTS_BODY_BYTES_MAX).
const INGEST_AT_ONCE_MAX: usize = 16;

/// Facts of the installation that shape answers.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Version of the program.
    pub version: String,
    /// When the program was built, where that is known.
    pub built: Option<Timestamp>,
    /// Who requests from this machine are that present nothing; absent: nobody.
    pub loopback: Option<LoopbackIdentity>,
}

/// Who a request from the server's own machine is that presents nothing.
#[derive(Debug, Clone)]
pub struct LoopbackIdentity {
    /// The name that audit rows carry.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// The services behind the interface.
pub struct ApiState {
    /// Who is there and what they may do.
    pub access: Arc<Access>,
    /// Where events go.
    pub events: Arc<dyn EventSink>,
    /// What answers queries.
    pub queries: Arc<dyn QueryEngine>,
    /// What keeps functions, saved queries and watchlists.
    pub objects: Arc<dyn QueryObjects>,
    /// What holds the rules.
    pub rules: Arc<dyn RuleAdmin>,
    /// What keeps incidents.
    pub incidents: Arc<dyn Incidents>,
    /// Where alerts go.
    pub channels: Arc<dyn AlertChannels>,
    /// The installation.
    pub operations: Arc<dyn Operations>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The built-in tables.
    pub catalog: Arc<TableCatalog>,
    /// Which table and columns records of known shapes have.
    pub mappings: Arc<Mappings>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness for request ids.
    pub entropy: Arc<dyn Entropy>,
    /// Facts of the installation.
    pub options: ApiOptions,
}

/// The state as handlers see it.
pub(crate) struct Shared {
    pub(crate) api: ApiState,
    pub(crate) ingest_places: Semaphore,
    /// Held by a check of the whole store: it reads everything, so there is one at a time.
    pub(crate) verifying: Mutex<()>,
    /// The last acknowledgement id given to a Splunk client.
    pub(crate) last_ack: AtomicU64,
    /// When the interface came into being.
    pub(crate) started: Timestamp,
}

impl Shared {
    pub(crate) fn new(api: ApiState) -> Arc<Self> {
        Arc::new(Self {
            started: api.clock.now(),
            api,
            ingest_places: Semaphore::new(INGEST_AT_ONCE_MAX),
            verifying: Mutex::new(()),
            last_ack: AtomicU64::new(0),
        })
    }
}

impl std::ops::Deref for Shared {
    type Target = ApiState;

    fn deref(&self) -> &ApiState {
        &self.api
    }
}

/// The state as axum passes it.
pub(crate) type App = Arc<Shared>;
