//! Starts the collectors that the configuration names, and stops them in order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moneta_collect::{
    Collector, FileOptions, HostOptions, InboxOptions, Intake, JournalOptions, ListenOptions, RecordStart, ResumePoint,
    ResumePoints, Senders, TlsFiles, Trouble, WefOptions, start_bucket, start_files, start_fluent, start_gelf_tcp,
    start_gelf_udp, start_host, start_inbox, start_journal_upload, start_kafka, start_microsoft365, start_nats,
    start_relp, start_syslog_tcp, start_syslog_tls, start_syslog_udp, start_systemd_journal, start_wef,
};
use moneta_ingest::Ingest;
use moneta_ports::operations::CollectorStatus;
use moneta_ports::{BoxFuture, Metric};
use tokio::task::AbortHandle;

use crate::channel_config::read_secret;
use crate::config::{Config, SyslogConfig};
use crate::error::ServerError;
use crate::node::{Node, World};
use crate::since::Since;
use crate::wef_config::StoredBookmarks;

/// The running collectors.
pub(crate) struct Collectors(Vec<Collector>);

/// Starts everything the configuration turns on. A listener that cannot listen stops the start; a journal that is not
/// there is left out.
pub(crate) async fn start_collectors(config: &Config, node: &Node) -> Result<Collectors, ServerError> {
    let intake = Intake {
        sink: node.events(),
        clock: node.world.clock.clone(),
        catalog: node.catalog(),
        mappings: node.mappings(),
        metrics: node.world.metrics.clone(),
        senders: Arc::new(senders(config)?),
    };
    let mut collectors = start_syslog(config, &intake).await?;
    collectors.extend(start_gelf(config, &intake).await?);
    collectors.extend(start_fluent_forward(config, &intake).await?);
    collectors.extend(start_forwarded(config, &intake, node).await?);
    collectors.extend(start_uploads(config, &intake).await?);
    collectors.extend(start_topics(config, &intake, &node.ingest)?);
    collectors.extend(start_streams(config, &intake, &node.ingest)?);
    collectors.extend(start_directories(config, &intake, &node.ingest)?);
    collectors.extend(start_buckets(config, &intake, node)?);
    collectors.extend(start_own_machine(config, &intake, &node.ingest).await?);
    let collectors = Collectors(collectors);
    node.operations.set_collectors(collectors.status(&node.world, Arc::default()));
    Ok(collectors)
}

/// What the configuration says of senders.
fn senders(config: &Config) -> Result<Senders, ServerError> {
    let mut senders = Senders::new(config.syslog.zone_offset_minutes * 60);
    for wanted in &config.collect.senders {
        let added = senders.add(&wanted.source, wanted.zone.as_deref(), wanted.encoding.as_deref());
        added.map_err(|error| ServerError::Setting { key: "collect.senders", message: error.to_string() })?;
    }
    Ok(senders)
}

async fn start_syslog(config: &Config, intake: &Intake) -> Result<Vec<Collector>, ServerError> {
    if !config.syslog.enabled {
        return Ok(Vec::new());
    }
    let wanted = &config.syslog;
    let tcp = start_syslog_tcp(intake.clone(), ListenOptions::new(wanted.tcp_listen)).await;
    let udp = start_syslog_udp(intake.clone(), ListenOptions::new(wanted.udp_listen)).await;
    let mut collectors = vec![tcp.map_err(failed)?, udp.map_err(failed)?];
    let tls = tls_files(wanted, wanted.tls_listen.is_some() || wanted.relp_tls)?;
    if let (Some(address), Some(tls)) = (wanted.tls_listen, &tls) {
        let listener = start_syslog_tls(intake.clone(), ListenOptions::new(address), tls).await;
        collectors.push(listener.map_err(failed)?);
    }
    if let Some(address) = wanted.relp_listen {
        let tls = tls.as_ref().filter(|_| wanted.relp_tls);
        let listener = start_relp(intake.clone(), ListenOptions::new(address), tls).await;
        collectors.push(listener.map_err(failed)?);
    }
    Ok(collectors)
}

async fn start_gelf(config: &Config, intake: &Intake) -> Result<Vec<Collector>, ServerError> {
    let wanted = &config.gelf;
    let tls = tls_files(&config.syslog, wanted.tls && wanted.tcp_listen.is_some())?;
    let mut collectors = Vec::new();
    if let Some(address) = wanted.udp_listen {
        collectors.push(start_gelf_udp(intake.clone(), ListenOptions::new(address)).await.map_err(failed)?);
    }
    if let Some(address) = wanted.tcp_listen {
        let listener = start_gelf_tcp(intake.clone(), ListenOptions::new(address), tls.as_ref()).await;
        collectors.push(listener.map_err(failed)?);
    }
    Ok(collectors)
}

async fn start_fluent_forward(config: &Config, intake: &Intake) -> Result<Option<Collector>, ServerError> {
    let wanted = &config.fluent;
    let Some(address) = wanted.listen else { return Ok(None) };
    let tls = tls_files(&config.syslog, wanted.tls)?;
    let key = wanted.shared_key_file.as_ref().map(|path| read_secret("shared_key_file", path)).transpose();
    let key = key.map_err(|message| ServerError::Setting { key: "fluent", message })?;
    let listener = start_fluent(intake.clone(), ListenOptions::new(address), tls.as_ref(), key).await;
    Ok(Some(listener.map_err(failed)?))
}

async fn start_forwarded(config: &Config, intake: &Intake, node: &Node) -> Result<Option<Collector>, ServerError> {
    let Some(address) = config.wef.listen else { return Ok(None) };
    let setting = |message| ServerError::Setting { key: "wef", message };
    let files = tls_files(&config.syslog, true)?.filter(|files| files.client_authority.is_some());
    let needed = "machines prove who they are by certificates: name syslog.tls_client_authority".to_owned();
    let options = WefOptions {
        listen: ListenOptions::new(address),
        tls: files.ok_or_else(|| setting(needed))?,
        subscriptions: config.wef.build().map_err(setting)?,
    };
    let bookmarks = StoredBookmarks { metastore: node.metastore.clone(), clock: node.world.clock.clone() };
    let listener = start_wef(intake.clone(), Arc::new(bookmarks), options).await;
    Ok(Some(listener.map_err(failed)?))
}

async fn start_uploads(config: &Config, intake: &Intake) -> Result<Option<Collector>, ServerError> {
    let wanted = &config.journal_upload;
    let Some(address) = wanted.listen else { return Ok(None) };
    let tls = tls_files(&config.syslog, wanted.tls)?;
    let listener = start_journal_upload(intake.clone(), ListenOptions::new(address), tls.as_ref()).await;
    Ok(Some(listener.map_err(failed)?))
}

/// The files of TLS, where a listener is to speak it.
fn tls_files(wanted: &SyslogConfig, speaks_tls: bool) -> Result<Option<TlsFiles>, ServerError> {
    if !speaks_tls {
        return Ok(None);
    }
    let named = |path: &Option<PathBuf>, key| {
        let message = "a listener with TLS needs it: name a file in PEM".to_owned();
        path.clone().ok_or(ServerError::Setting { key, message })
    };
    Ok(Some(TlsFiles {
        certificate: named(&wanted.tls_certificate, "syslog.tls_certificate")?,
        key: named(&wanted.tls_key, "syslog.tls_key")?,
        client_authority: wanted.tls_client_authority.clone(),
    }))
}

fn start_topics(config: &Config, intake: &Intake, ingest: &Arc<Ingest>) -> Result<Vec<Collector>, ServerError> {
    let setting = |message| ServerError::Setting { key: "kafka.sources", message };
    let sources = config.kafka.build().map_err(setting)?;
    let resume: Arc<dyn ResumePoints> = Arc::new(StoredMarks(ingest.clone()));
    let start = |options| start_kafka(intake.clone(), resume.clone(), options);
    sources.into_iter().map(start).collect::<Result<_, _>>().map_err(|error| setting(error.to_string()))
}

fn start_streams(config: &Config, intake: &Intake, ingest: &Arc<Ingest>) -> Result<Vec<Collector>, ServerError> {
    let setting = |message| ServerError::Setting { key: "nats.sources", message };
    let sources = config.nats.build().map_err(setting)?;
    let resume: Arc<dyn ResumePoints> = Arc::new(StoredMarks(ingest.clone()));
    let start = |options| start_nats(intake.clone(), resume.clone(), options);
    sources.into_iter().map(start).collect::<Result<_, _>>().map_err(|error| setting(error.to_string()))
}

fn start_directories(config: &Config, intake: &Intake, ingest: &Arc<Ingest>) -> Result<Vec<Collector>, ServerError> {
    let setting = |message| ServerError::Setting { key: "microsoft365.sources", message };
    let sources = config.microsoft365.build(&config.notify).map_err(setting)?;
    let resume: Arc<dyn ResumePoints> = Arc::new(StoredMarks(ingest.clone()));
    let start = |options| start_microsoft365(intake.clone(), resume.clone(), options);
    sources.into_iter().map(start).collect::<Result<_, _>>().map_err(|error| setting(error.to_string()))
}

fn start_buckets(config: &Config, intake: &Intake, node: &Node) -> Result<Vec<Collector>, ServerError> {
    let setting = |message| ServerError::Setting { key: "buckets.sources", message };
    let sources = config.buckets.build(&node.world.clock, &node.world.entropy).map_err(setting)?;
    let resume: Arc<dyn ResumePoints> = Arc::new(StoredMarks(node.ingest.clone()));
    Ok(sources.into_iter().map(|options| start_bucket(intake.clone(), resume.clone(), options)).collect())
}

async fn start_own_machine(
    config: &Config,
    intake: &Intake,
    ingest: &Arc<Ingest>,
) -> Result<Vec<Collector>, ServerError> {
    let wanted = &config.collect;
    if !wanted.enabled {
        return Ok(Vec::new());
    }
    let resume: Arc<dyn ResumePoints> = Arc::new(StoredMarks(ingest.clone()));
    let every = |seconds: u64| (seconds > 0).then(|| Duration::from_secs(seconds));
    let host = HostOptions {
        performance_every: every(wanted.performance_interval_seconds),
        processes_every: every(wanted.process_interval_seconds),
        heartbeat: true,
    };
    let mut collectors = vec![start_host(intake.clone(), host)];
    let settle = Duration::from_secs(wanted.settle_seconds);
    if !wanted.files.is_empty() {
        let failed = |key| move |error: moneta_collect::Error| ServerError::Setting { key, message: error.to_string() };
        let mut options = FileOptions::new(wanted.files.clone());
        if let Some(label) = &wanted.encoding {
            options = options.with_encoding(label).map_err(failed("collect.encoding"))?;
        }
        options.settle = settle;
        for records in &wanted.records {
            let start = RecordStart::new(&records.files, &records.start);
            options.records.push(start.map_err(failed("collect.records"))?);
        }
        collectors.push(start_files(intake.clone(), resume.clone(), options).map_err(failed("collect.files"))?);
    }
    if !wanted.inbox.is_empty() {
        let options = InboxOptions::new(wanted.inbox.clone());
        let options = InboxOptions { settle, poll: options.poll.min(settle.max(Duration::from_secs(1))), ..options };
        let inbox = start_inbox(intake.clone(), resume.clone(), options);
        collectors
            .push(inbox.map_err(|error| ServerError::Setting { key: "collect.inbox", message: error.to_string() })?);
    }
    if wanted.systemd_journal {
        match start_systemd_journal(intake.clone(), resume, JournalOptions::default()).await {
            Ok(journal) => collectors.push(journal),
            Err(error) => tracing::info!(reason = %error, "the systemd journal is not collected"),
        }
    }
    Ok(collectors)
}

fn failed(error: moneta_collect::Error) -> ServerError {
    ServerError::part("listener", error.kind(), error)
}

/// Where collectors got to, as the journal remembers it.
struct StoredMarks(Arc<Ingest>);

impl ResumePoints for StoredMarks {
    fn resume_point<'a>(&'a self, producer: &'a str) -> BoxFuture<'a, Option<ResumePoint>> {
        Box::pin(self.0.mark_of(producer))
    }

    fn remembered<'a>(&'a self, prefix: &'a str) -> BoxFuture<'a, Vec<(String, ResumePoint)>> {
        Box::pin(self.0.marks_beginning_with(prefix))
    }
}

impl Collectors {
    /// The listeners, such as `syslog tcp 127.0.0.1:5514`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        let address = |collector: &Collector| {
            collector.local_address().map(|address: SocketAddr| format!("{} {address}", collector.name()))
        };
        self.0.iter().filter_map(address).collect()
    }

    /// Their names.
    pub(crate) fn names(&self) -> Vec<String> {
        self.0.iter().map(|collector| collector.name().to_owned()).collect()
    }

    /// What the status page says of them. What is lost is counted by its source, not by who lost it.
    fn status(&self, world: &World, since: Arc<Since>) -> crate::operations::CollectorsStatus {
        let (metrics, clock) = (world.metrics.clone(), world.clock.clone());
        let all: Vec<_> =
            self.0.iter().map(|c| (c.name().to_owned(), c.label().to_owned(), c.task(), c.trouble())).collect();
        Arc::new(move || {
            let status = |(name, label, task, trouble): &(String, String, Option<AbortHandle>, Trouble)| {
                let runs = task.as_ref().is_some_and(|task| !task.is_finished());
                let reason = if runs { trouble.text() } else { String::new() };
                let state = match (runs, reason.is_empty()) {
                    (false, _) => "stopped",
                    (true, true) => "running",
                    (true, false) => "waiting",
                };
                CollectorStatus {
                    name: name.clone(),
                    state: state.to_owned(),
                    reason,
                    num_records: metrics.labelled_value(Metric::CollectRecords, label),
                    since: since.note(name, state, clock.now()),
                }
            };
            all.iter().map(status).collect()
        })
    }

    /// Reads no more, stores what was accepted.
    pub(crate) async fn stop(self) {
        for collector in self.0 {
            collector.stop().await;
        }
    }
}
