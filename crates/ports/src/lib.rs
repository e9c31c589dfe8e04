//! The traits through which services meet: each service sees others only as one of these, wired in `moneta-server`.
//!
//! Nothing here does work, holds state, or knows HTTP. Methods that wait return boxed futures, so that every trait
//! can stand behind an `Arc<dyn ...>`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod alarm;
pub mod alert;
pub mod audit;
pub mod channels;
pub mod context;
pub mod error;
pub mod incidents;
pub mod ingest;
pub mod metrics;
pub mod objects;
pub mod operations;
pub mod query;
pub mod rules;
pub mod sources;
pub mod volume;
pub mod witness;

pub use alarm::{Alarm, AlarmKind, AlarmSink};
pub use alert::{Alert, AlertDelivery, MatchedEvent};
pub use audit::{AuditEvent, AuditSink, Outcome};
pub use channels::{AlertChannels, ChannelStatus, ChannelTest, Resent, UndeliveredAlert};
pub use context::{Actor, ActorKind, ClientClaims, OpContext, Scope};
pub use error::PortError;
pub use incidents::{
    Classification, EntityRisk, Evidence, FalsePositiveCause, Incident, IncidentActivity, IncidentAlert,
    IncidentChange, IncidentComment, IncidentDetails, IncidentError, IncidentFilter, IncidentPage, IncidentSeverity,
    IncidentStatus, Incidents, JudgedAlert, RuleJudgement, Verdict, VerdictCounts,
};
pub use ingest::{
    BlockSubscriber, EventSink, IdempotencyKey, IngestReceipt, KeyLife, NoRoomToRemember, SignedAnswer, StoredRange,
    Submission,
};
pub use metrics::{Metric, MetricKind, Metrics};
pub use objects::{
    CreateMode, DeclaredTable, IngestionMapping, MappingKind, MaterializedView, QueryObjects, SavedQuery,
    StoredFunction, TableChange, ViewStatus, Watchlist, WatchlistFormat, WatchlistUpload,
};
pub use operations::{LedgerPath, Operations, ReceiptAnswer};
pub use query::{
    Completeness, EditorCompletion, EditorHover, QueryAnswer, QueryColumn, QueryDiagnostic, QueryEngine, QueryError,
    QueryLanguage, QueryRequest, QueryState, ResultTable, RowStream, TimeScope, Truncation,
};
pub use rules::{
    BackfillMatch, BackfillReport, BackfillSelection, EventExplanation, ExceptionCondition, ExceptionPreview,
    FailedRuleTest, NewException, RuleAdmin, RuleException, RuleFile, RulePack, RuleReport, RuleSetReport, RuleSource,
    RuleSummary, RuleTuning, RuleWarning, TuningHint,
};
pub use sources::{SourceQuality, SourceStatus};
pub use volume::{Space, Volume};
pub use witness::{CheckpointWitness, WitnessResponse};

/// A boxed future, as the traits return it.
pub type BoxFuture<'a, T> = futures::future::BoxFuture<'a, T>;
