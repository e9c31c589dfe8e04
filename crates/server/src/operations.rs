//! The installation as its operators see it: readiness, status, verification, replay, retention, ledger files.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use moneta_base::{ErrorKind, Seq, TableName, TenantId, Timestamp};
use moneta_event::TableCatalog;
use moneta_formats::Mappings;
use moneta_ingest::{Ingest, Rung};
use moneta_metastore::Metastore;
use moneta_monitor::SourceWatch;
use moneta_ports::operations::{
    CheckpointStatus, CollectorStatus, DiskStatus, ExportSelection, Hold, HoldRequest, JournalStatus, LedgerPath,
    Operations, PartState, ProofAnswer, ReplayReport, ReplaySelection, RetentionStatus, ScrubPolicy, ScrubTrial,
    Snapshot, Status, TableStatus, VerifyFinding, VerifyReport,
};
use moneta_ports::{
    AuditEvent, AuditSink, BoxFuture, Metric, OpContext, PortError, ReceiptAnswer, SourceQuality, SourceStatus,
    Submission,
};
use moneta_query::Engine;
use moneta_store::Store;
use tokio::task::JoinHandle;

use crate::capacity::Room;
use crate::caretaker::CareBoard;
use crate::node::World;
use crate::objects::FromStore;
use crate::rule_admin::Rules;
use crate::scrubbing::Scrubbing;
use crate::since::Since;
use crate::witnessing::Board;
use crate::{capacity, holds, prove, receipts, replay, snapshot};

/// Age of the last checkpoint beyond which the ledger counts as not ready.
const CHECKPOINT_AGE_MAX_SECONDS: u64 = 900;

/// Time between two looks at whether a part changed its state.
const LOOK: Duration = Duration::from_secs(5);

/// Time over which the rate of events is measured.
const RATE_WINDOW: Duration = Duration::from_secs(60);
/// Looks remembered for it.
const SAMPLES_MAX: usize = 600;

/// Implements [`Operations`].
pub(crate) struct NodeOperations {
    pub(crate) world: World,
    pub(crate) data: PathBuf,
    tenant: TenantId,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) metastore: Arc<Metastore>,
    /// Held while a hold is placed or released: two at once must not see the same set.
    pub(crate) holds: tokio::sync::Mutex<()>,
    /// Held while quarantined records are replayed.
    pub(crate) replaying: tokio::sync::Mutex<()>,
    rules: Arc<Rules>,
    pub(crate) catalog: Arc<TableCatalog>,
    pub(crate) witnesses: Arc<Board>,
    care: Arc<CareBoard>,
    /// Held while files are linked for a backup, or taken away again.
    pub(crate) snapshot: tokio::sync::Mutex<()>,
    pub(crate) mappings: Arc<Mappings>,
    sources: Arc<SourceWatch>,
    scrubbing: Scrubbing,
    started: Instant,
    started_at: Timestamp,
    collectors: std::sync::RwLock<Option<CollectorsStatus>>,
    /// Events stored at the last looks, the oldest first.
    samples: std::sync::Mutex<VecDeque<(Instant, u64)>>,
    since: Since,
    watch: std::sync::Mutex<Option<JoinHandle<()>>>,
}

/// Asks the collectors how they are.
pub(crate) type CollectorsStatus = Arc<dyn Fn() -> Vec<CollectorStatus> + Send + Sync>;

impl NodeOperations {
    #[expect(clippy::too_many_arguments, reason = "wiring: one argument a part")]
    pub(crate) fn new(
        world: &World,
        data: &Path,
        tenant: TenantId,
        ingest: &Arc<Ingest>,
        engine: &Arc<Engine>,
        metastore: &Arc<Metastore>,
        rules: &Arc<Rules>,
        catalog: &Arc<TableCatalog>,
        witnesses: &Arc<Board>,
        care: &Arc<CareBoard>,
        mappings: &Arc<Mappings>,
        sources: &Arc<SourceWatch>,
        scrubbing: Scrubbing,
    ) -> Self {
        Self {
            world: world.clone(),
            data: data.to_owned(),
            tenant,
            ingest: ingest.clone(),
            engine: engine.clone(),
            metastore: metastore.clone(),
            holds: tokio::sync::Mutex::default(),
            replaying: tokio::sync::Mutex::default(),
            rules: rules.clone(),
            catalog: catalog.clone(),
            witnesses: witnesses.clone(),
            care: care.clone(),
            snapshot: tokio::sync::Mutex::default(),
            mappings: mappings.clone(),
            sources: sources.clone(),
            scrubbing,
            started: Instant::now(),
            started_at: world.clock.now(),
            collectors: std::sync::RwLock::new(None),
            samples: std::sync::Mutex::default(),
            since: Since::default(),
            watch: std::sync::Mutex::default(),
        }
    }

    /// Looks from time to time at the state of every part, so that it is known since when.
    pub(crate) fn watch(self: &Arc<Self>) {
        let node: Weak<Self> = Arc::downgrade(self);
        let looking = tokio::spawn(async move {
            while let Some(node) = node.upgrade() {
                let _seen = (node.readiness(), node.collectors());
                drop(node);
                tokio::time::sleep(LOOK).await;
            }
        });
        *self.watch.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(looking);
    }

    /// Looks no more: nothing of the node is held by a look after this.
    pub(crate) async fn stop_watching(&self) {
        let looking = self.watch.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(looking) = looking {
            looking.abort();
            // That it was aborted is what was asked for.
            let _ = looking.await;
        }
    }

    fn collectors(&self) -> Vec<CollectorStatus> {
        let collectors = self.collectors.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        collectors.map(|ask| ask()).unwrap_or_default()
    }

    /// The state of a part, with what keeps it from its work.
    fn part(&self, name: &str, trouble: Option<String>) -> PartState {
        let ready = trouble.is_none();
        let since = self.since.note(name, if ready { "ready" } else { "not ready" }, self.world.clock.now());
        PartState { part: name.to_owned(), ready, reason: trouble.unwrap_or_default(), since }
    }

    /// Lets the status name the collectors.
    pub(crate) fn set_collectors(&self, collectors: CollectorsStatus) {
        *self.collectors.write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(collectors);
    }

    fn disk(&self) -> Result<DiskStatus, PortError> {
        let space = moneta_host::disk_free(&self.data);
        let space = space.map_err(|error| {
            PortError::caused_by(ErrorKind::OPERATOR, "the free space of the data directory cannot be read", error)
        })?;
        self.world.metrics.set(Metric::HostDiskAvailable, space.available_bytes);
        let days_until_full = capacity::days_until_full(&self.rooms(), space.available_bytes);
        Ok(DiskStatus {
            total_bytes: space.total_bytes,
            available_bytes: space.available_bytes,
            state: self.ingest.rung().name().to_owned(),
            days_until_full,
        })
    }

    /// The room of every table with sealed rows.
    fn rooms(&self) -> Vec<Room> {
        let (store, policy, today) = (self.ingest.store(), self.ingest.policy(), self.world.clock.now().day());
        let snapshots = store.tables_with_rows().into_iter().filter_map(|name| store.snapshot(&name));
        snapshots.map(|table| Room::of(table.segments.iter().map(|s| &**s), &policy, today)).collect()
    }

    fn tables(&self) -> Vec<TableStatus> {
        let (store, policy, today) = (self.ingest.store(), self.ingest.policy(), self.world.clock.now().day());
        let status = |name: TableName| {
            let snapshot = store.snapshot(&name)?;
            let mut status = TableStatus {
                num_rows: snapshot.num_rows(),
                num_segments: snapshot.segments.len() as u64,
                num_hot_blocks: snapshot.hot.len() as u64,
                segment_bytes: snapshot.segments.iter().map(|segment| segment.size_bytes).sum(),
                retention_days: Some(policy.days_of(&name)),
                name: name.to_string(),
                ..TableStatus::default()
            };
            Room::of(snapshot.segments.iter().map(|s| &**s), &policy, today).describe(&mut status);
            Some(status)
        };
        store.tables_with_rows().into_iter().filter_map(status).collect()
    }

    fn retention(&self) -> RetentionStatus {
        let policy = self.ingest.policy();
        let tables = policy.retention_days.iter().map(|(table, days)| (table.to_string(), *days)).collect();
        RetentionStatus { default_days: policy.retention_days_default, tables }
    }

    fn journal(&self) -> JournalStatus {
        let status = self.ingest.status();
        let oldest = self.ingest.store().hot_stats().values().map(|hot| hot.oldest).min();
        let now = self.world.clock.now();
        JournalStatus {
            size_bytes: status.journal_bytes,
            oldest_age_seconds: oldest.map_or(0, |at| now.since(at).as_secs()),
            last_fsync_ms: status.last_commit.as_secs_f64() * 1e3,
        }
    }

    fn checkpoint(&self) -> CheckpointStatus {
        let (at, tree_size) = self
            .ingest
            .status()
            .last_checkpoint
            .unwrap_or((self.started_at, self.ingest.ledger().root_checkpoint().size()));
        let now = self.world.clock.now();
        let board = self.witnesses.state();
        let now_seconds = u64::try_from(now.as_nanos() / moneta_base::time::NANOS_PER_SECOND).unwrap_or(0);
        CheckpointStatus {
            tree_size,
            age_seconds: now.since(at).as_secs_f64(),
            cosigned_size: self.ingest.ledger().cosigned().map(|checkpoint| checkpoint.size()),
            cosigned_age_seconds: board.cosigned_at.map(|at| now_seconds.saturating_sub(at)),
            witnesses: board.witnesses,
        }
    }

    /// The rate since the oldest look within the last minute, or since the start.
    fn events_per_second(&self) -> f64 {
        let (now, total) = (Instant::now(), self.ingest.status().events_total);
        let mut samples = self.samples.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        while samples.len() > SAMPLES_MAX
            || samples.front().is_some_and(|(at, _)| now.duration_since(*at) > RATE_WINDOW)
        {
            samples.pop_front();
        }
        let (since, before) = samples.front().copied().unwrap_or((self.started, 0));
        samples.push_back((now, total));
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let events = (total - before) as f64;
        events / now.duration_since(since).as_secs_f64().max(1.0)
    }
}

impl Operations for NodeOperations {
    fn readiness(&self) -> Vec<PartState> {
        let status = self.ingest.status();
        let age = self.world.clock.now().since(status.covered_at.unwrap_or(self.started_at)).as_secs();
        let late = age > CHECKPOINT_AGE_MAX_SECONDS;
        let full = self.ingest.rung() == Rung::AuditOnly;
        vec![
            self.part("journal", status.stopped),
            self.part("ledger", late.then(|| format!("nothing has come under a checkpoint for {age} s"))),
            self.part("disk", full.then(|| "the disk is full: nothing but the audit stream is stored".to_owned())),
        ]
    }

    fn status<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<Status, PortError>> {
        Box::pin(async move {
            Ok(Status {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                tenant: self.tenant.to_string(),
                uptime_seconds: self.started.elapsed().as_secs(),
                events_per_second: self.events_per_second(),
                disk: self.disk()?,
                journal: self.journal(),
                checkpoint: self.checkpoint(),
                scrubbing: self.care.state(),
                tables: self.tables(),
                retention: self.retention(),
                rules_loaded: self.rules.active().rules().len(),
                collectors: self.collectors(),
            })
        })
    }

    fn sources(&self, _: &OpContext) -> Vec<SourceStatus> {
        self.sources.status()
    }

    fn source_quality(&self, _: &OpContext) -> Vec<SourceQuality> {
        self.sources.quality()
    }

    fn verify<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<VerifyReport, PortError>> {
        Box::pin(async move {
            self.ingest.record(ctx, AuditEvent::success("store.verify", "store", "all")).await?;
            self.ingest.publish_now().await?;
            let (data, store) = (self.data.clone(), self.ingest.store().clone());
            let checked = tokio::task::spawn_blocking(move || verify_live(&data, &store)).await;
            checked.map_err(|error| PortError::caused_by(ErrorKind::Internal, "the check was interrupted", error))?
        })
    }

    fn scrub_policy<'a>(&'a self, ctx: &'a OpContext) -> BoxFuture<'a, Result<ScrubPolicy, PortError>> {
        Box::pin(self.scrubbing.policy(ctx, &*self.ingest))
    }

    fn try_scrubbing<'a>(
        &'a self,
        ctx: &'a OpContext,
        records: Submission,
    ) -> BoxFuture<'a, Result<ScrubTrial, PortError>> {
        Box::pin(self.scrubbing.try_out(ctx, &*self.ingest, records))
    }

    fn replay_quarantine<'a>(
        &'a self,
        ctx: &'a OpContext,
        selection: ReplaySelection,
    ) -> BoxFuture<'a, Result<ReplayReport, PortError>> {
        Box::pin(replay::replay(self, ctx, selection))
    }

    fn set_retention<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: TableName,
        days: Option<u32>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            if days == Some(0) {
                return Err(PortError::new(ErrorKind::Caller, "0 days would drop today's records; the least is 1"));
            }
            let floor = self.ingest.policy().retention_floor_days;
            if let Some(days) = days.filter(|days| *days < floor) {
                let message = format!(
                    "{days} days are fewer than the floor of {floor}, which only retention.floor_days in the configuration \
                     changes, at the next start"
                );
                return Err(PortError::new(ErrorKind::Caller, message));
            }
            let mut event = AuditEvent::success("retention.change", "table", table.as_str());
            event.details.insert("days".to_owned(), days.map_or(serde_json::Value::Null, Into::into));
            self.ingest.record_change(ctx, event).await?;
            let changed = self.metastore.set_retention_days(&table, days, &ctx.actor.name, self.world.clock.now());
            changed.map_err(|error| PortError::caused_by(error.kind(), "the retention could not be stored", error))?;
            self.ingest.change_policy(|policy| match days {
                Some(days) => drop(policy.retention_days.insert(table, days)),
                None => drop(policy.retention_days.remove(&table)),
            });
            Ok(())
        })
    }

    fn holds<'a>(&'a self, _: &'a OpContext) -> BoxFuture<'a, Result<Vec<Hold>, PortError>> {
        Box::pin(async {
            let mut holds = self.ingest.policy().holds;
            holds.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(holds)
        })
    }

    fn place_hold<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: String,
        request: HoldRequest,
    ) -> BoxFuture<'a, Result<Hold, PortError>> {
        Box::pin(holds::place(self, ctx, name, request))
    }

    fn release_hold<'a>(
        &'a self,
        ctx: &'a OpContext,
        name: String,
        reason: String,
    ) -> BoxFuture<'a, Result<bool, PortError>> {
        Box::pin(holds::release(self, ctx, name, reason))
    }

    fn begin_snapshot<'a>(
        &'a self,
        ctx: &'a OpContext,
        export: Option<ExportSelection>,
    ) -> BoxFuture<'a, Result<Snapshot, PortError>> {
        Box::pin(snapshot::begin(self, ctx, export))
    }

    fn end_snapshot<'a>(
        &'a self,
        ctx: &'a OpContext,
        manifest: Option<String>,
    ) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(snapshot::end(self, ctx, manifest))
    }

    fn prove_record<'a>(
        &'a self,
        ctx: &'a OpContext,
        table: TableName,
        seq: Seq,
    ) -> BoxFuture<'a, Result<ProofAnswer, PortError>> {
        Box::pin(prove::prove(&self.ingest, ctx, table, seq))
    }

    fn prove_alert<'a>(
        &'a self,
        ctx: &'a OpContext,
        alert_id: String,
    ) -> BoxFuture<'a, Result<ProofAnswer, PortError>> {
        Box::pin(prove::prove_alert(&self.ingest, &*self.engine, ctx, alert_id))
    }

    fn prove_receipt<'a>(
        &'a self,
        ctx: &'a OpContext,
        receipt: String,
    ) -> BoxFuture<'a, Result<ReceiptAnswer, PortError>> {
        Box::pin(receipts::prove(&self.ingest, ctx, receipt))
    }

    fn ledger_file(&self, path: LedgerPath) -> BoxFuture<'_, Result<Option<Vec<u8>>, PortError>> {
        Box::pin(async move {
            if path.as_str() == "root/checkpoint" {
                return Ok(Some(self.ingest.ledger().served_checkpoint().encode().into_bytes()));
            }
            let file = self.data.join("ledger").join(path.as_str());
            match tokio::fs::read(file).await {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(PortError::caused_by(ErrorKind::RETRY, "a file of the ledger cannot be read", error)),
            }
        })
    }
}

/// Checks a directory that is being written to. Files move under the check, so what is found is looked for again: only
/// what two checks find alike is wrong.
fn verify_live(data: &Path, store: &Arc<Store>) -> Result<VerifyReport, PortError> {
    let started = Instant::now();
    let check = || {
        let moved = Some(Box::new(FromStore(store.clone())) as Box<dyn moneta_verify::MovedSegments>);
        moneta_verify::verify_store(data, moneta_verify::Options { moved, ..moneta_verify::Options::default() })
    };
    let failed = |error| PortError::new(ErrorKind::Internal, format!("the check could not run: {error:#}"));
    let mut report = check().map_err(failed)?;
    if !report.is_clean() {
        let again = check().map_err(failed)?.findings;
        report.findings.retain(|finding| again.contains(finding));
    }
    let findings = report.findings.into_iter().map(|finding| VerifyFinding {
        file: finding.file,
        table: finding.table,
        block: finding.block,
        record: finding.record,
        problem: finding.problem,
    });
    Ok(VerifyReport {
        num_blocks: report.num_blocks,
        num_records: report.num_records,
        num_segments: report.num_segments,
        num_root_entries: report.num_root_entries,
        findings: findings.collect(),
        elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    })
}
