//! Every service on one data directory. Opening is a row of small steps; each part sees the others as traits only.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moneta_access::{Access, AccessParts, HashCost};
use moneta_base::fs::{FileSystem, write_atomically};
use moneta_base::{Clock, Entropy, ErrorKind, Seq, TableName, TenantId};
use moneta_event::TableCatalog;
use moneta_event::catalog::table;
use moneta_event::root_entry::{KeyRef, RootEntry, RootEvent};
use moneta_formats::Mappings;
use moneta_host::{DirectoryLock, RealFs, SystemClock, SystemEntropy};
use moneta_ingest::{Ingest, OpenReport, Parts, Policy, Recovered};
use moneta_keys::{DeviceUri, KeyRing};
use moneta_merkle::{NoteSigner, SignedNote, VerifierKey, sha256};
use moneta_metastore::Metastore;
use moneta_monitor::{
    AlarmParts, Alarms, Analytics, IncidentBook, Monitor, MonitorParts, SourceWatch, SourceWatchParts, StatePlace,
};
use moneta_ports::{
    AlertChannels, AlertDelivery, AuditSink, BlockSubscriber, EventSink, Incidents, Metrics, OpContext, Operations,
    PortError, QueryEngine, QueryObjects, RuleAdmin,
};
use moneta_query::{Engine, Limits, Objects, Outside, Spill, StoreTables};
use moneta_rules::{Placeholders, Taxonomy};
use moneta_scrub::Scrubber;

use crate::analytics::start_analytics;
use crate::background::Background;
use crate::caretaker::{CareBoard, Caretaker, CaretakerParts, Fill, start_caretaker};
use crate::config::{Config, QueryConfig};
use crate::delivery::{Deliveries, start_delivery};
use crate::error::ServerError;
use crate::holds;
use crate::incidents::start_incidents;
use crate::mover::{MoverParts, remove_cache, start_mover};
use crate::objects::bucket_options;
use crate::operations::NodeOperations;
use crate::rule_admin::{RuleSettings, Rules};
use crate::scrubbing::Scrubbing;
use crate::starter;
use crate::volume::{DataVolume, RESERVE_FILE};
use crate::witnessing::{Board, Witnessing, WitnessingParts, start_witnessing};
use crate::{local, mappings, snapshot};

/// Time between two looks whether the journal has stopped.
const JOURNAL_POLL: Duration = Duration::from_secs(1);
/// How long people are told of a journal that stopped before the process ends.
const TELLING_TIME: Duration = Duration::from_secs(10);

/// Rows of the journal that wait for a subscriber at a start at most.
const RECOVERY_ROWS_MAX: u64 = 8 * 8_192;
/// Time between two looks whether it got on with them.
const RECOVERY_POLL: Duration = Duration::from_millis(5);

/// Every service of one data directory, which stays locked until this is shut down or dropped.
pub struct Node {
    pub(crate) world: World,
    pub(crate) data: PathBuf,
    pub(crate) ingest: Arc<Ingest>,
    pub(crate) metastore: Arc<Metastore>,
    pub(crate) monitor: Arc<Monitor>,
    analytics: Arc<Analytics>,
    sources: Arc<SourceWatch>,
    incidents: Arc<IncidentBook>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) operations: Arc<NodeOperations>,
    pub(crate) access: Arc<Access>,
    pub(crate) catalog: Arc<TableCatalog>,
    alarms: Arc<Alarms>,
    witnesses: Arc<Board>,
    care: Arc<CareBoard>,
    mappings: Arc<Mappings>,
    deliveries: Arc<Deliveries>,
    signer: Arc<dyn NoteSigner>,
    _lock: DirectoryLock,
}

/// The outside world, shared by all parts.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) fs: Arc<dyn FileSystem>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    pub(crate) metrics: Arc<Metrics>,
}

impl World {
    fn real() -> Self {
        Self {
            fs: Arc::new(RealFs),
            clock: Arc::new(SystemClock::default()),
            entropy: Arc::new(SystemEntropy::new()),
            metrics: Arc::new(Metrics::new()),
        }
    }
}

fn open_keys(world: &World, config: &Config, data: &Path) -> Result<KeyRing, ServerError> {
    let device = config.ledger.device_key.as_deref().map(DeviceUri::parse).transpose();
    let keys = device
        .and_then(|device| KeyRing::open_in(world.fs.clone(), &data.join("keys"), &*world.entropy, device.as_ref()));
    keys.map_err(|error| ServerError::part("key ring", error.kind(), error))
}

impl Node {
    /// Opens the data directory, making it at the first start, and recovers what the last run left behind.
    ///
    /// # Errors
    /// [`ServerError::Locked`] when another process has the directory; otherwise the part that could not be opened.
    pub async fn open(config: &Config, data: &Path) -> Result<Self, ServerError> {
        let world = World::real();
        let mappings = mappings::load(config)?;
        let lock = prepare_directory(&world, data)?;
        let tenant = load_tenant(&world, data)?;
        let keys = open_keys(&world, config, data)?;
        let signer: Arc<dyn NoteSigner> = keys.log_signer();
        let metastore = open_metastore(&world, data)?;
        let catalog = TableCatalog::built_in();
        let scrubbing = Scrubbing::open(config, &keys)?;
        let scrubber = scrubbing.scrubber.clone();
        let (ingest, report) = open_ingest(&world, data, config, &keys, tenant, &catalog, &metastore, scrubber)?;
        log_recovery(&report);
        append_start_entries(&world, &keys, &ingest);
        let catalog = Arc::new(catalog);
        let deliveries = start_delivery(config, &keys, &world, &ingest, tenant, report.recovered.alerts()).await?;
        let alarms = start_alarms(&world, &ingest, deliveries.port());
        deliveries.attach(alarms.clone(), ingest.clone());
        let lateness = std::time::Duration::from_secs(config.rules.lateness_seconds);
        let rule_settings = RuleSettings {
            placeholders: load_placeholders(config)?,
            taxonomy: load_taxonomy(config, &catalog)?,
            trusted_signers: trusted_signers(config)?,
            lateness,
        };
        let rules =
            Rules::load(metastore.clone(), ingest.clone(), catalog.clone(), world.clock.clone(), rule_settings)?;
        let sources = start_sources(&world, data, &ingest, alarms.clone(), &report.recovered).await?;
        let alerts = report.recovered.alerts();
        let incidents = start_incidents(&world, &ingest, &metastore, &rules, alarms.clone(), tenant, alerts)?;
        let quiet = std::time::Duration::from_secs(config.notify.repeat_minutes.saturating_mul(60));
        let told = || (deliveries.port(), alarms.clone(), quiet);
        let monitor = start_monitor(&world, data, &ingest, told(), &rules, tenant, &report.recovered).await?;
        rules.attach(monitor.clone());
        let engine = start_engine(config, &world, data, &ingest, &metastore)?;
        rules.attach_engine(engine.clone());
        deliveries.attach_engine(engine.clone());
        let analytics = start_analytics(&world, &ingest, engine.clone(), told(), lateness, tenant);
        let attached = rules.attach_analytics(analytics.clone());
        attached.map_err(|error| ServerError::part("analytics rules", error.kind, error))?;
        ingest.note_subscribers_complete();
        rules.attach_alarms(alarms.clone());
        let access = start_access(&world, &metastore, &ingest)?;
        let (witnesses, care) = (Arc::new(Board::default()), Arc::new(CareBoard::default()));
        let operations = NodeOperations::new(
            &world, data, tenant, &ingest, &engine, &metastore, &rules, &catalog, &witnesses, &care, &mappings,
            &sources, scrubbing,
        );
        let operations = Arc::new(operations);
        operations.watch();
        Ok(Self {
            world,
            data: data.to_owned(),
            ingest,
            metastore,
            monitor,
            analytics,
            sources,
            incidents,
            engine,
            rules,
            operations,
            access,
            catalog,
            alarms,
            witnesses,
            care,
            mappings,
            deliveries,
            signer,
            _lock: lock,
        })
    }

    /// Adds the rules that come with the program, where the directory is new and nobody declined them.
    ///
    /// # Errors
    /// When they cannot be audited or stored.
    pub(crate) async fn add_starter_rules(&self, config: &Config) -> Result<(), ServerError> {
        let added = self.rules.add_starter(&own_context(), config.rules.starter).await;
        added.map_err(|error| ServerError::part("starter rules", error.kind, error))
    }

    /// Starts offering checkpoints to the configured witnesses.
    ///
    /// # Errors
    /// When a witness or the quorum cannot be.
    pub(crate) fn start_witnessing(&self, config: &Config) -> Result<Option<Witnessing>, ServerError> {
        let parts = WitnessingParts {
            ledger: self.ingest.ledger().clone(),
            alarms: self.alarms.clone(),
            clock: self.world.clock.clone(),
            metrics: self.world.metrics.clone(),
            board: self.witnesses.clone(),
        };
        start_witnessing(&config.ledger, parts)
    }

    /// Starts moving segments to the bucket, if there is one.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start_mover(&self, config: &Config) -> Result<Option<Background>, ServerError> {
        if config.objects.bucket.is_none() {
            let segments = self.ingest.store().moved_segments();
            if let Some(moved) = segments.first().and_then(|segment| segment.moved.as_ref()) {
                let count = segments.len();
                tracing::error!(count, first = %moved.uri, "segments lie in a bucket, and [objects] names none: queries for them fail");
            }
            return Ok(None);
        }
        let parts = MoverParts {
            ingest: self.ingest.clone(),
            clock: self.world.clock.clone(),
            metrics: self.world.metrics.clone(),
            alarms: self.alarms.clone(),
            config: config.objects.clone(),
        };
        let started = start_mover(parts);
        started.map(Some).map_err(|error| ServerError::part("mover", ErrorKind::OPERATOR, error))
    }

    /// Starts looking after what is stored.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start_caretaker(&self, config: &Config) -> Result<Caretaker, ServerError> {
        let (watched, writing, journal) = (self.ingest.clone(), self.ingest.clone(), self.ingest.clone());
        let (audit, runtime) = (self.ingest.clone(), tokio::runtime::Handle::current());
        let parts = CaretakerParts {
            fs: self.world.fs.clone(),
            data: self.data.clone(),
            store: self.ingest.store().clone(),
            fill: Box::new(move || Fill {
                rung: watched.rung(),
                producers_percent: watched.status().producers_percent,
            }),
            writing: Box::new(move || writing.status()),
            journal: Box::new(move || journal.journal_files()),
            audit: Box::new(move |event| runtime.block_on(audit.record(&own_context(), event))),
            key: self.ingest.ledger().verifier_key().clone(),
            alarms: self.alarms.clone(),
            clock: self.world.clock.clone(),
            metrics: self.world.metrics.clone(),
            board: self.care.clone(),
            budget: config.store.scrub_bytes_per_second,
        };
        start_caretaker(parts).map_err(|error| ServerError::part("caretaker", ErrorKind::OPERATOR, error))
    }

    /// Resolves some time after the journal has stopped, when people have been told, with why.
    pub(crate) async fn journal_stopped(&self) -> PortError {
        loop {
            if let Some(reason) = self.ingest.status().stopped {
                tokio::time::sleep(TELLING_TIME).await;
                return PortError::new(ErrorKind::OPERATOR, reason);
            }
            tokio::time::sleep(JOURNAL_POLL).await;
        }
    }

    /// Where events go.
    #[must_use]
    pub fn events(&self) -> Arc<dyn EventSink> {
        self.ingest.clone()
    }

    /// What answers queries.
    #[must_use]
    pub fn queries(&self) -> Arc<dyn QueryEngine> {
        self.engine.clone()
    }

    /// What keeps functions, saved queries and watchlists.
    #[must_use]
    pub fn objects(&self) -> Arc<dyn QueryObjects> {
        self.engine.clone()
    }

    /// What holds the rules.
    #[must_use]
    pub fn rules(&self) -> Arc<dyn RuleAdmin> {
        self.rules.clone()
    }

    /// Where alerts go.
    #[must_use]
    pub fn channels(&self) -> Arc<dyn AlertChannels> {
        self.deliveries.clone()
    }

    /// What keeps incidents.
    #[must_use]
    pub fn incidents(&self) -> Arc<dyn Incidents> {
        self.incidents.clone()
    }

    /// The installation as its operators see it.
    #[must_use]
    pub fn operations(&self) -> Arc<dyn Operations> {
        self.operations.clone()
    }

    /// Who is there and what they may do.
    #[must_use]
    pub fn access(&self) -> Arc<Access> {
        self.access.clone()
    }

    /// The built-in tables.
    #[must_use]
    pub fn catalog(&self) -> Arc<TableCatalog> {
        self.catalog.clone()
    }

    /// Which table and columns records of known shapes have: the operator's mappings, then the built-in ones.
    #[must_use]
    pub fn mappings(&self) -> Arc<Mappings> {
        self.mappings.clone()
    }

    /// Finishes what is under way, seals everything, signs a last checkpoint and writes the inventory.
    ///
    /// # Errors
    /// When a segment, the ledger or the inventory cannot be written; nothing acknowledged is lost.
    pub async fn shut_down(self) -> Result<(), ServerError> {
        self.monitor.stop().await;
        self.analytics.stop().await;
        self.sources.stop().await;
        self.alarms.stop().await;
        self.incidents.stop().await;
        self.deliveries.stop().await;
        let ingest = self.ingest.clone();
        let closed = tokio::task::spawn_blocking(move || ingest.shut_down()).await;
        let closed = closed.unwrap_or_else(|error| {
            Err(moneta_ports::PortError::caused_by(ErrorKind::Internal, "shutting down was interrupted", error))
        });
        closed.map_err(|error| ServerError::part("store", error.kind, error))?;
        self.operations.stop_watching().await;
        local::withdraw(&*self.world.fs, &self.data);
        let Self {
            world,
            data,
            metastore,
            signer,
            _lock,
            ingest,
            monitor,
            analytics,
            sources,
            incidents,
            engine,
            rules,
            operations,
            access,
            catalog: _,
            alarms,
            witnesses: _,
            care: _,
            mappings: _,
            deliveries,
        } = self;
        // Each of these holds the metastore or whoever does.
        drop((operations, access, incidents, rules, analytics, sources, engine, monitor, alarms, deliveries, ingest));
        close_metastore(metastore)?;
        remove_cache(&*world.fs, &data);
        write_inventory(&world, &data, &*signer)
    }
}

/// Closes the metastore, so that its one file is the whole. Whoever still holds it keeps it open until the process
/// ends; the inventory then names a file that will change, which is said.
fn close_metastore(metastore: Arc<Metastore>) -> Result<(), ServerError> {
    match Arc::into_inner(metastore) {
        Some(metastore) => metastore.close().map_err(|error| ServerError::part("metastore", error.kind(), error)),
        None => {
            tracing::warn!("a request still uses the metastore: the inventory will not match it");
            Ok(())
        }
    }
}

/// Lists every file with its hash, signed: `moneta-verify` finds any change made while nothing runs.
fn write_inventory(world: &World, data: &Path, signer: &dyn NoteSigner) -> Result<(), ServerError> {
    let path = data.join(moneta_verify::inventory::FILE_NAME);
    let failed = |source| ServerError::Data { action: "write", path: path.clone(), source };
    let text = moneta_verify::inventory::text_of(data).map_err(failed)?;
    let note = SignedNote::sign(&text, signer);
    let note = note.map_err(|error| ServerError::part("inventory", ErrorKind::Internal, error))?;
    write_atomically(&*world.fs, &path, note.encode().as_bytes()).map_err(failed)
}

/// Makes and locks the directory, and removes what speaks of the last run.
fn prepare_directory(world: &World, data: &Path) -> Result<DirectoryLock, ServerError> {
    let failed = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ServerError::Data { action, path, source }
    };
    world.fs.create_dir_all(data).map_err(failed("create", data))?;
    let lock = DirectoryLock::acquire(data).map_err(ServerError::Locked)?;
    local::withdraw(&*world.fs, data);
    snapshot::remove(&*world.fs, data).map_err(failed("remove", &data.join(snapshot::DIR)))?;
    for name in [RESERVE_FILE, moneta_verify::inventory::FILE_NAME] {
        let path = data.join(name);
        if world.fs.exists(&path) {
            world.fs.remove_file(&path).and_then(|()| world.fs.sync_dir(data)).map_err(failed("remove", &path))?;
        }
    }
    Ok(lock)
}

/// The tenant of the installation, made at the first start.
fn load_tenant(world: &World, data: &Path) -> Result<TenantId, ServerError> {
    let path = data.join("tenant.id");
    let failed = |action| {
        let path = path.clone();
        move |source| ServerError::Data { action, path, source }
    };
    if !world.fs.exists(&path) {
        let mut bytes = [0; 16];
        world.entropy.fill(&mut bytes);
        let tenant = TenantId::from_random(bytes);
        write_atomically(&*world.fs, &path, tenant.to_string().as_bytes()).map_err(failed("write"))?;
        return Ok(tenant);
    }
    let text = String::from_utf8(world.fs.read(&path).map_err(failed("read"))?).unwrap_or_default();
    TenantId::parse(text.trim()).map_err(|error| ServerError::part("tenant id", ErrorKind::Internal, error))
}

#[expect(clippy::too_many_arguments, reason = "wiring: one argument a part")]
fn open_ingest(
    world: &World,
    data: &Path,
    config: &Config,
    keys: &KeyRing,
    tenant: TenantId,
    catalog: &TableCatalog,
    metastore: &Metastore,
    scrubber: Arc<Scrubber>,
) -> Result<(Arc<Ingest>, OpenReport), ServerError> {
    let parts = Parts {
        fs: world.fs.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        signer: keys.log_signer(),
        origin: keys.log_name().to_owned(),
        scrubber,
        tenant,
        catalog: catalog.clone(),
        policy: policy(config, metastore)?,
        metrics: world.metrics.clone(),
        volume: Arc::new(DataVolume::new(data, config.store.reserve_bytes)),
        bucket: bucket_options(&config.objects, data, tenant, world.clock.clone(), world.entropy.clone())?,
    };
    Ingest::open(data, parts).map_err(|error| ServerError::part("durable state", error.kind(), error))
}

/// When to seal and drop: the configuration, overruled by what was set while running.
pub(crate) fn policy(config: &Config, metastore: &Metastore) -> Result<Policy, ServerError> {
    let mut retention_days = BTreeMap::new();
    for (table, days) in &config.retention.tables {
        let table = moneta_base::TableName::new(table)
            .map_err(|error| ServerError::Setting { key: "retention.tables", message: error.to_string() })?;
        retention_days.insert(table, days.0);
    }
    retention_days
        .extend(metastore.retention_days().map_err(|error| ServerError::part("metastore", error.kind(), error))?);
    Ok(Policy {
        seal_age: std::time::Duration::from_secs(config.store.seal_age_seconds),
        seal_bytes: config.store.seal_bytes,
        hot_bytes_max: config.store.hot_bytes_max,
        journal_bytes_max: config.store.journal_bytes_max,
        retention_days_default: config.retention.default_days.0,
        retention_days,
        retention_floor_days: config.retention.floor_days.0,
        holds: holds::load(metastore).map_err(|error| ServerError::part("holds", error.kind, error))?,
    })
}

/// Opens the metastore. A new one says that the directory is: the first server adds the rules that come with it.
fn open_metastore(world: &World, data: &Path) -> Result<Arc<Metastore>, ServerError> {
    let path = data.join("meta.sqlite");
    let is_new = !path.exists();
    let failed = |error: moneta_metastore::Error| ServerError::part("metastore", error.kind(), error);
    let metastore = Metastore::open(&path, world.clock.now()).map_err(failed)?;
    if is_new {
        starter::offer(&metastore, world.clock.now()).map_err(failed)?;
    }
    Ok(Arc::new(metastore))
}

/// The values of rules' placeholders.
fn load_placeholders(config: &Config) -> Result<Placeholders, ServerError> {
    let Some(path) = &config.rules.placeholders else { return Ok(Placeholders::default()) };
    let setting = |message: String| ServerError::Setting { key: "rules.placeholders", message };
    let text =
        std::fs::read_to_string(path).map_err(|error| setting(format!("cannot read {}: {error}", path.display())))?;
    Placeholders::parse(&text).map_err(|error| setting(format!("{}: {error}", path.display())))
}

/// Where the data of log sources lies: as built in, and as the file of the installation says.
fn load_taxonomy(config: &Config, catalog: &TableCatalog) -> Result<Taxonomy, ServerError> {
    let Some(path) = &config.rules.taxonomy else { return Ok(Taxonomy::built_in()) };
    let setting = |message: String| ServerError::Setting { key: "rules.taxonomy", message };
    let text =
        std::fs::read_to_string(path).map_err(|error| setting(format!("cannot read {}: {error}", path.display())))?;
    Taxonomy::built_in_and(&text, catalog).map_err(|error| setting(format!("{}: {error}", path.display())))
}

/// The keys of those whose rule packs are taken.
fn trusted_signers(config: &Config) -> Result<Vec<VerifierKey>, ServerError> {
    let read = |text: &String| {
        VerifierKey::parse(text).map_err(|error| ServerError::Setting {
            key: "rules.trusted_signers",
            message: format!("{text:?} is no verifier key, which `moneta rules pack` prints: {error}"),
        })
    };
    config.rules.trusted_signers.iter().map(read).collect()
}

fn log_recovery(report: &OpenReport) {
    for dropped in &report.dropped {
        tracing::warn!(
            file = %dropped.file.display(), offset = dropped.offset, size_bytes = dropped.size_bytes, why = dropped.why,
            kept_as = ?dropped.kept_as, "cut off a torn write that was never acknowledged"
        );
    }
    if report.recovered.num_blocks() > 0 {
        tracing::info!(
            blocks = report.recovered.num_blocks(),
            unsealed = report.recovered.num_hot(),
            headers_appended = report.headers_appended,
            "recovered the journal"
        );
    }
}

/// Tells the root log which program runs from here on, and at the first start which keys it works with.
fn append_start_entries(world: &World, keys: &KeyRing, ingest: &Ingest) {
    let digest = std::env::current_exe().and_then(|path| moneta_host::sha256_of_file(&path));
    let digest = moneta_merkle::Hash(digest.unwrap_or_default());
    let mut events = vec![RootEvent::Build { version: env!("CARGO_PKG_VERSION").to_owned(), digest }];
    if keys.created() {
        let (version, _) = keys.token_keys().current();
        let token = keys.token_keys().key_id(version).map(|id| ("token", u64::from(version), id));
        let ledger = ("ledger", 1, sha256(keys.verifier_key().public_key()));
        let key_created = |(purpose, version, id): (&str, u64, _)| {
            RootEvent::KeyCreated(KeyRef { purpose: purpose.to_owned(), version, id })
        };
        events.extend(token.into_iter().chain([ledger]).map(key_created));
    }
    for event in events {
        if let Err(error) = ingest.ledger().append_root(&RootEntry { at: world.clock.now(), event }) {
            tracing::warn!(error = %error, "the start could not be entered in the root log");
        }
    }
}

/// Who hears of alerts, who of alarms, and how long once of the same.
pub(crate) type Told = (Arc<dyn AlertDelivery>, Arc<Alarms>, std::time::Duration);

async fn start_monitor(
    world: &World,
    data: &Path,
    ingest: &Arc<Ingest>,
    (delivery, alarms, quiet): Told,
    rules: &Rules,
    tenant: TenantId,
    recovered: &Recovered,
) -> Result<Arc<Monitor>, ServerError> {
    let failed = |source| ServerError::part("monitor", ErrorKind::OPERATOR, source);
    let alert_schema = ingest.store().schema(&TableName::new(table::SECURITY_ALERT).expect("a built-in table"));
    let parts = MonitorParts {
        events: ingest.clone(),
        delivery,
        alarms,
        clock: world.clock.clone(),
        metrics: world.metrics.clone(),
        alert_schema: alert_schema.expect("a built-in table"),
        tenant,
        resume: resume_points(ingest, recovered).await,
        state: StatePlace { fs: world.fs.clone(), directory: data.join("monitor") },
        quiet,
    };
    let monitor = Monitor::start(parts, rules.active()).map_err(failed)?;
    monitor.begin_recovery(recovered.alerts());
    hand_on(&*monitor, recovered).await?;
    monitor.end_recovery();
    ingest.subscribe(monitor.clone());
    Ok(monitor)
}

/// Hands what the journal recovered to a subscriber, no faster than it works that off: all of it may be more than fits into
/// memory.
async fn hand_on(subscriber: &dyn BlockSubscriber, recovered: &Recovered) -> Result<(), ServerError> {
    for block in recovered.blocks() {
        let block = block.map_err(|error| ServerError::part("durable state", error.kind(), error))?;
        while subscriber.backlog_rows() > RECOVERY_ROWS_MAX {
            tokio::time::sleep(RECOVERY_POLL).await;
        }
        subscriber.on_block(&block);
    }
    Ok(())
}

fn start_alarms(world: &World, ingest: &Arc<Ingest>, delivery: Arc<dyn AlertDelivery>) -> Arc<Alarms> {
    let alert_schema = ingest.store().schema(&TableName::new(table::SECURITY_ALERT).expect("a built-in table"));
    Alarms::start(AlarmParts {
        events: ingest.clone(),
        delivery,
        clock: world.clock.clone(),
        metrics: world.metrics.clone(),
        alert_schema: alert_schema.expect("a built-in table"),
    })
}

/// Watches what is received from whom, from where the last run counted.
async fn start_sources(
    world: &World,
    data: &Path,
    ingest: &Ingest,
    alarms: Arc<Alarms>,
    recovered: &Recovered,
) -> Result<Arc<SourceWatch>, ServerError> {
    let parts = SourceWatchParts {
        fs: world.fs.clone(),
        data: data.to_owned(),
        clock: world.clock.clone(),
        metrics: world.metrics.clone(),
        alarms,
    };
    let failed = |source| ServerError::part("watch over sources", ErrorKind::OPERATOR, source);
    let sources = SourceWatch::start(parts).map_err(failed)?;
    hand_on(&*sources, recovered).await?;
    ingest.subscribe(sources.clone());
    Ok(sources)
}

/// Where the monitor goes on in every table that holds rows.
async fn resume_points(ingest: &Ingest, recovered: &Recovered) -> BTreeMap<TableName, Seq> {
    let mut resume = BTreeMap::new();
    for table in ingest.store().tables_with_rows().into_iter().chain(recovered.tables().cloned()) {
        if !resume.contains_key(&table)
            && let Some(mark) = ingest.mark_of(&moneta_monitor::producer_of(&table)).await
        {
            resume.insert(table, moneta_monitor::resume_point(Some(mark)));
        }
    }
    resume
}

fn start_engine(
    config: &Config,
    world: &World,
    data: &Path,
    ingest: &Arc<Ingest>,
    metastore: &Arc<Metastore>,
) -> Result<Arc<Engine>, ServerError> {
    let spill = Spill { directory: data.join("spill"), bytes_max: config.query.spill_bytes_max };
    let limits = Limits { spill: Some(spill), ..query_limits(config) };
    let objects = Objects::load(metastore.clone());
    let objects = objects.map_err(|error| ServerError::part("stored objects", error.kind, error))?;
    let tables = Arc::new(StoreTables::new(ingest.store().clone(), limits.cache_bytes));
    let (clock, metrics) = (world.clock.clone(), world.metrics.clone());
    let engine = Engine::new(tables, Some(objects), outside(config)?, ingest.clone(), clock, metrics, limits);
    let engine = engine.map_err(|error| ServerError::part("query engine", ErrorKind::Internal, error))?;
    engine.keep_views_ready();
    Ok(Arc::new(engine))
}

/// What queries may read that is not in the store.
pub(crate) fn outside(config: &Config) -> Result<Outside, ServerError> {
    let QueryConfig { external_locations, geoip_database, .. } = &config.query;
    Outside::new(external_locations, geoip_database.as_deref())
        .map_err(|error| ServerError::part("configuration", ErrorKind::Caller, error))
}

/// The configured limits of queries.
pub(crate) fn query_limits(config: &Config) -> Limits {
    Limits {
        rows_max: config.query.rows_max,
        result_bytes_max: config.query.result_bytes_max,
        memory_bytes: config.query.memory_bytes,
        memory_per_query_bytes: config.query.memory_per_query_bytes,
        cache_bytes: config.query.cache_bytes,
        timeout: std::time::Duration::from_secs(config.query.timeout_seconds),
        concurrency: config.query.concurrency,
        concurrency_per_principal: config.query.concurrency_per_principal,
        spill: None,
    }
}

fn start_access(world: &World, metastore: &Arc<Metastore>, ingest: &Arc<Ingest>) -> Result<Arc<Access>, ServerError> {
    let parts = AccessParts {
        metastore: metastore.clone(),
        audit: ingest.clone(),
        clock: world.clock.clone(),
        entropy: world.entropy.clone(),
        metrics: world.metrics.clone(),
        hash_cost: HashCost::OWASP,
    };
    Access::new(parts).map(Arc::new).map_err(|error| ServerError::part("access service", error.kind(), error))
}

/// The context of the process itself.
pub(crate) fn own_context() -> OpContext {
    OpContext::service("server")
}
