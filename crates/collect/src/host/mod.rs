//! This machine: performance counters, new processes, and a sign of life each minute.
//!
//! Processes are seen by looking: one that lives shorter than the time between two looks is not seen. These rows are
//! `best-effort`.

mod counters;
mod processes;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::{SourceName, TableName, Timestamp};
use moneta_event::catalog::table;
use moneta_event::{BatchBuilder, Delivery, ParsedBatch, RecordClass, TableSchema, Value};
use moneta_ports::Submission;
use tokio::time::{Interval, MissedTickBehavior};

use self::counters::Counters;
use self::processes::Processes;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::Intake;

const COLLECTOR: &str = "host";
const HEARTBEAT_EVERY: Duration = Duration::from_secs(60);

/// What to watch, and how often; `None` turns it off.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Time between two samples of the counters.
    pub performance_every: Option<Duration>,
    /// Time between two looks at the processes.
    pub processes_every: Option<Duration>,
    /// Whether to send a heartbeat each minute.
    pub heartbeat: bool,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            performance_every: Some(Duration::from_secs(15)),
            processes_every: Some(Duration::from_secs(2)),
            heartbeat: true,
        }
    }
}

/// Watches this machine.
#[must_use]
pub fn start_host(intake: Intake, options: HostOptions) -> Collector {
    Collector::start("host", COLLECTOR, None, |stopped| run(intake, options, stopped))
}

async fn run(intake: Intake, options: HostOptions, mut stopped: Stopped) {
    let computer = sysinfo::System::host_name().unwrap_or_else(|_| "localhost".to_owned());
    let watch = Arc::new(Watch {
        counters: Mutex::new(Counters::new()),
        processes: Mutex::new(Processes::new()),
        perf: schema(&intake, table::PERF),
        process_events: schema(&intake, table::DEVICE_PROCESS_EVENTS),
        heartbeat: schema(&intake, table::HEARTBEAT),
        source: SourceName::lossy("host"),
        computer,
    });
    if options.processes_every.is_some() {
        // What runs already is not new: learn it before anything else.
        let watch = watch.clone();
        let learned = tokio::task::spawn_blocking(move || {
            watch.processes.lock().unwrap_or_else(PoisonError::into_inner).look().len()
        });
        if let Err(error) = learned.await {
            tracing::error!(%error, "the processes of this machine cannot be listed");
        }
    }
    let mut performance = options.performance_every.map(every);
    let mut processes = options.processes_every.map(every);
    let mut heartbeat = options.heartbeat.then(|| every(HEARTBEAT_EVERY));
    loop {
        let task: fn(&Watch, Timestamp) -> Option<ParsedBatch> = tokio::select! {
            () = until_stopped(&mut stopped) => return,
            () = tick(&mut performance) => Watch::sample_counters,
            () = tick(&mut processes) => Watch::sample_processes,
            () = tick(&mut heartbeat) => |watch, now| Some(watch.beat(now)),
        };
        let (watch, now) = (watch.clone(), intake.clock.now());
        // Reading /proc blocks.
        let sampled = tokio::task::spawn_blocking(move || task(&watch, now)).await;
        let batches: Vec<ParsedBatch> = sampled.ok().flatten().into_iter().collect();
        intake.store_submission(COLLECTOR, Submission { batches, ..Submission::default() }, &mut stopped).await;
    }
}

fn every(period: Duration) -> Interval {
    let mut interval = tokio::time::interval(period.max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(MissedTickBehavior::Skip);
    interval
}

async fn tick(interval: &mut Option<Interval>) {
    match interval {
        Some(interval) => {
            interval.tick().await;
        }
        None => std::future::pending().await,
    }
}

fn schema(intake: &Intake, name: &str) -> Arc<TableSchema> {
    let custom = || Arc::new(TableSchema::custom(TableName::new(name).expect("the name of a built-in table is valid")));
    intake.catalog.get(name).cloned().unwrap_or_else(custom)
}

/// The state of the watch and the tables it fills.
struct Watch {
    counters: Mutex<Counters>,
    processes: Mutex<Processes>,
    perf: Arc<TableSchema>,
    process_events: Arc<TableSchema>,
    heartbeat: Arc<TableSchema>,
    source: SourceName,
    computer: String,
}

impl Watch {
    fn sample_counters(&self, now: Timestamp) -> Option<ParsedBatch> {
        let samples = self.counters.lock().unwrap_or_else(PoisonError::into_inner).sample();
        let mut builder = BatchBuilder::new(self.perf.clone(), RecordClass::Data, Delivery::BestEffort);
        for sample in samples {
            builder.set_field("Computer", Value::Text(&self.computer));
            builder.set_field("ObjectName", Value::Text(sample.object));
            builder.set_field("CounterName", Value::Text(sample.counter));
            builder.set_field("InstanceName", Value::Text(&sample.instance));
            builder.set_field("CounterValue", Value::Real(sample.value));
            let path = format!("\\\\{}\\{}({})\\{}", self.computer, sample.object, sample.instance, sample.counter);
            builder.set_field("CounterPath", Value::Text(&path));
            builder.set_field("SourceSystem", Value::Text("Linux"));
            builder.finish_row(now, &self.source, "");
        }
        builder.finish()
    }

    fn sample_processes(&self, now: Timestamp) -> Option<ParsedBatch> {
        let new = self.processes.lock().unwrap_or_else(PoisonError::into_inner).look();
        let mut builder = BatchBuilder::new(self.process_events.clone(), RecordClass::Data, Delivery::BestEffort);
        for process in new {
            process.set_fields(&mut builder);
            builder.set_field("DeviceName", Value::Text(&self.computer));
            builder.set_field("SourceSystem", Value::Text("Linux"));
            builder.set_field("Timestamp", Value::Time(now));
            builder.finish_row(now, &self.source, "");
        }
        builder.finish()
    }

    fn beat(&self, now: Timestamp) -> ParsedBatch {
        let mut builder = BatchBuilder::new(self.heartbeat.clone(), RecordClass::Data, Delivery::BestEffort);
        let version = sysinfo::System::os_version().unwrap_or_default();
        let (major, minor) = version.split_once('.').unwrap_or((&version, ""));
        builder.set_field("Computer", Value::Text(&self.computer));
        builder.set_field("Category", Value::Text("Direct Agent"));
        builder.set_field("OSType", Value::Text("Linux"));
        builder.set_field("OSName", Value::Text(&sysinfo::System::name().unwrap_or_default()));
        builder.set_field("OSMajorVersion", Value::Text(major));
        builder.set_field("OSMinorVersion", Value::Text(minor));
        builder.set_field("Version", Value::Text(env!("CARGO_PKG_VERSION")));
        builder.set_field("ComputerEnvironment", Value::Text("Non-Azure"));
        builder.set_field("SourceSystem", Value::Text("Linux"));
        builder.finish_row(now, &self.source, "");
        builder.finish().expect("one row was finished")
    }
}
