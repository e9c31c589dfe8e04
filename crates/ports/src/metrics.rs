//! The one registry of Moneta's own counters, gauges and timings, and their text form.
//!
//! A metric is a constant here and nowhere else; services count through a shared [`Metrics`]. Names follow
//! `moneta_<component>_<thing>_<unit>`; counters end in `_total`. Nothing here reads a clock or talks to a network.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Different label values of one metric at most; further ones are counted under `other`. A label may come from
/// outside (a table name, a reason), and memory must not.
const LABEL_VALUES_MAX: usize = 1_000;

/// Upper bounds of the buckets of a timing, in seconds: from one fsync to one query limit.
const BUCKETS_SECONDS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 240.0];

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Only grows, from zero at each start.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Durations, counted in buckets.
    Timing,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $id:ident = $kind:ident $name:literal $([$label:literal])?;)+) => {
        /// Every metric Moneta has.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Metric {
            $($(#[doc = $help])+ $id,)+
        }

        impl Metric {
            /// All metrics in the order of the text form.
            pub const ALL: &[Self] = &[$(Self::$id,)+];

            /// Its name on the wire.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$id => $name,)+ }
            }

            /// How it behaves.
            #[must_use]
            pub const fn kind(self) -> MetricKind {
                match self { $(Self::$id => MetricKind::$kind,)+ }
            }

            /// What it says.
            #[must_use]
            pub fn help(self) -> &'static str {
                match self { $(Self::$id => concat!($($help),+).trim_start(),)+ }
            }

            /// The name of its label, where it has one.
            #[must_use]
            pub const fn label(self) -> Option<&'static str> {
                match self { $(Self::$id => metrics!(@label $($label)?),)+ }
            }
        }
    };
    (@label) => { None };
    (@label $label:literal) => { Some($label) };
}

metrics! {
    /// Events acknowledged, by table.
    IngestEvents = Counter "moneta_ingest_events_total" ["table"];
    /// Bytes of raw records acknowledged.
    IngestBytes = Counter "moneta_ingest_bytes_total";
    /// Records quarantined, by reason.
    IngestQuarantined = Counter "moneta_ingest_quarantined_records_total" ["reason"];
    /// Submissions recognised as stored before.
    IngestDuplicates = Counter "moneta_ingest_duplicate_submissions_total";
    /// Submissions refused, by reason.
    IngestRefused = Counter "moneta_ingest_refused_submissions_total" ["reason"];
    /// Personal values replaced by tokens.
    ScrubTokens = Counter "moneta_scrub_tokens_total";
    /// Records dropped before they were durable, by reason.
    CollectDropped = Counter "moneta_collect_dropped_records_total" ["reason"];
    /// Records dropped before they were durable, by the source or listener that lost them.
    CollectSourceDropped = Counter "moneta_collect_source_dropped_records_total" ["source"];
    /// Sources known: what comes from one machine through one input into one table.
    MonitorSources = Gauge "moneta_monitor_sources";
    /// Sources of which something is wrong.
    MonitorSourcesTroubled = Gauge "moneta_monitor_troubled_sources";
    /// Records received, by source.
    CollectRecords = Counter "moneta_collect_records_total" ["source"];
    /// Blocks written.
    JournalBlocks = Counter "moneta_journal_blocks_total";
    /// Time of one fsync of the journal.
    JournalFsync = Timing "moneta_journal_fsync_seconds";
    /// Size of the journal.
    JournalBytes = Gauge "moneta_journal_size_bytes";
    /// Segments written.
    StoreSegments = Counter "moneta_store_segments_total";
    /// Small segments merged into larger ones.
    StoreMergedSegments = Counter "moneta_store_merged_segments_total";
    /// Segments moved to the bucket.
    StoreMovedSegments = Counter "moneta_store_moved_segments_total";
    /// Objects that wait to be removed from the bucket.
    StoreLooseObjects = Gauge "moneta_store_loose_objects";
    /// Bytes of stored files read again and compared with what was signed.
    StoreScrubbedBytes = Counter "moneta_store_scrubbed_bytes_total";
    /// Blocks not yet in a segment.
    StoreHotBlocks = Gauge "moneta_store_hot_blocks";
    /// Time since everything acknowledged was last under a checkpoint.
    LedgerCheckpointAge = Gauge "moneta_ledger_checkpoint_age_seconds";
    /// Entries of the root log under the newest checkpoint.
    LedgerTreeSize = Gauge "moneta_ledger_root_entries";
    /// Time since a quorum of witnesses last vouched for a checkpoint; 0 without witnesses.
    LedgerCosignedAge = Gauge "moneta_ledger_cosigned_age_seconds";
    /// Answers of witnesses, by what they say.
    LedgerWitnessAnswers = Counter "moneta_ledger_witness_answers_total" ["answer"];
    /// Alarms about Moneta itself, by kind, repetitions included.
    MonitorAlarms = Counter "moneta_monitor_alarms_total" ["kind"];
    /// Queries, by outcome.
    QueryRuns = Counter "moneta_query_runs_total" ["outcome"];
    /// Time of one query.
    QueryDuration = Timing "moneta_query_duration_seconds";
    /// Rows that queries returned.
    QueryRows = Counter "moneta_query_rows_total";
    /// Rules that are active.
    MonitorRules = Gauge "moneta_monitor_rules";
    /// Events looked at by rules.
    MonitorEvents = Counter "moneta_monitor_events_total";
    /// Alerts raised, by level.
    MonitorAlerts = Counter "moneta_monitor_alerts_total" ["level"];
    /// Events that correlations gave up: `too_late` to be used, or `evicted` because a bound on what is kept was met.
    MonitorCorrelationGivenUp = Counter "moneta_monitor_correlation_given_up_events_total" ["reason"];
    /// Time from durable event to durable alert.
    MonitorLatency = Timing "moneta_monitor_alert_latency_seconds";
    /// Alerts delivered to webhooks, by outcome.
    NotifyDeliveries = Counter "moneta_notify_deliveries_total" ["outcome"];
    /// Time from accepting an alert to the receiver's answer.
    NotifyLatency = Timing "moneta_notify_delivery_seconds";
    /// Sign-ins and uses of credentials, by outcome.
    AccessSignIns = Counter "moneta_access_sign_ins_total" ["outcome"];
    /// Requests answered, by status class.
    ApiRequests = Counter "moneta_api_requests_total" ["status"];
    /// Time to answer one request.
    ApiDuration = Timing "moneta_api_request_duration_seconds";
    /// Free space of the data directory.
    HostDiskAvailable = Gauge "moneta_host_disk_available_bytes";
}

/// The values of all metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    values: Vec<AtomicU64>,
    timings: Vec<Timing>,
    labelled: Mutex<BTreeMap<(Metric, String), u64>>,
}

#[derive(Debug, Default)]
struct Timing {
    buckets: [AtomicU64; BUCKETS_SECONDS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            values: Metric::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            timings: Metric::ALL.iter().map(|_| Timing::default()).collect(),
            labelled: Mutex::default(),
        }
    }
}

impl Metrics {
    /// All values at zero.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Counts `count` more, without a label.
    pub fn add(&self, metric: Metric, count: u64) {
        debug_assert!(metric.kind() == MetricKind::Counter && metric.label().is_none(), "{metric:?}");
        self.values[metric as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Counts `count` more under a value of the metric's label.
    pub fn add_labelled(&self, metric: Metric, label: &str, count: u64) {
        debug_assert!(metric.kind() == MetricKind::Counter && metric.label().is_some(), "{metric:?}");
        let mut labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (metric, label.to_owned());
        let room = labelled.contains_key(&key)
            || labelled.keys().filter(|(other, _)| *other == metric).count() < LABEL_VALUES_MAX;
        let key = if room { key } else { (metric, "other".to_owned()) };
        *labelled.entry(key).or_insert(0) += count;
        self.values[metric as usize].fetch_add(count, Ordering::Relaxed);
    }

    /// Sets a gauge.
    pub fn set(&self, metric: Metric, value: u64) {
        debug_assert_eq!(metric.kind(), MetricKind::Gauge, "{metric:?}");
        self.values[metric as usize].store(value, Ordering::Relaxed);
    }

    /// Notes how long something took.
    pub fn observe(&self, metric: Metric, duration: Duration) {
        debug_assert_eq!(metric.kind(), MetricKind::Timing, "{metric:?}");
        let timing = &self.timings[metric as usize];
        let seconds = duration.as_secs_f64();
        if let Some(bucket) = BUCKETS_SECONDS.iter().position(|bound| seconds <= *bound) {
            timing.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        timing.count.fetch_add(1, Ordering::Relaxed);
        timing.sum_micros.fetch_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// The value of a counter (over all labels) or gauge, or the number of observations of a timing.
    #[must_use]
    pub fn value(&self, metric: Metric) -> u64 {
        match metric.kind() {
            MetricKind::Timing => self.timings[metric as usize].count.load(Ordering::Relaxed),
            _ => self.values[metric as usize].load(Ordering::Relaxed),
        }
    }

    /// The value of a counter under one label.
    #[must_use]
    pub fn labelled_value(&self, metric: Metric, label: &str) -> u64 {
        let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        labelled.get(&(metric, label.to_owned())).copied().unwrap_or(0)
    }

    /// All values of a metric by label.
    #[must_use]
    pub fn labelled_values(&self, metric: Metric) -> Vec<(String, u64)> {
        let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
        let of_metric = labelled.iter().filter(|((other, _), _)| *other == metric);
        of_metric.map(|((_, label), value)| (label.clone(), *value)).collect()
    }

    /// All metrics as text.
    ///
    /// # Source
    /// OpenMetrics 1.0, section "Text format".
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for metric in Metric::ALL {
            self.render_one(*metric, &mut text);
        }
        text.push_str("# EOF\n");
        text
    }

    fn render_one(&self, metric: Metric, text: &mut String) {
        let name = metric.name();
        let (family, kind) = match metric.kind() {
            // The family of a counter is named without the suffix of its samples.
            MetricKind::Counter => (name.strip_suffix("_total").unwrap_or(name), "counter"),
            MetricKind::Gauge => (name, "gauge"),
            MetricKind::Timing => (name, "histogram"),
        };
        let _ = writeln!(text, "# TYPE {family} {kind}\n# HELP {family} {}", metric.help());
        match (metric.kind(), metric.label()) {
            (MetricKind::Timing, _) => self.timings[metric as usize].render(name, text),
            (_, None) => {
                let _ = writeln!(text, "{name} {}", self.value(metric));
            }
            (_, Some(label)) => {
                let labelled = self.labelled.lock().unwrap_or_else(PoisonError::into_inner);
                for ((_, value), count) in labelled.iter().filter(|((other, _), _)| *other == metric) {
                    let _ = writeln!(text, "{name}{{{label}=\"{}\"}} {count}", escape(value));
                }
            }
        }
    }
}

impl Timing {
    fn render(&self, name: &str, text: &mut String) {
        let mut below = 0;
        for (bound, bucket) in BUCKETS_SECONDS.iter().zip(&self.buckets) {
            below += bucket.load(Ordering::Relaxed);
            let _ = writeln!(text, "{name}_bucket{{le=\"{bound:?}\"}} {below}");
        }
        let count = self.count.load(Ordering::Relaxed).max(below);
        let micros = self.sum_micros.load(Ordering::Relaxed);
        let _ = writeln!(text, "{name}_bucket{{le=\"+Inf\"}} {count}\n{name}_count {count}");
        let _ = writeln!(text, "{name}_sum {}.{:06}", micros / 1_000_000, micros % 1_000_000);
    }
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_the_convention_and_are_unique() {
        let mut names = std::collections::BTreeSet::new();
        for metric in Metric::ALL {
            let name = metric.name();
            assert!(names.insert(name), "{name} twice");
            assert!(name.starts_with("moneta_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == MetricKind::Counter, "{name}");
            assert!(metric.help().ends_with('.') && !metric.help().starts_with(' '), "{name}");
        }
    }

    #[test]
    fn renders_open_metrics_text() {
        let metrics = Metrics::new();
        metrics.add(Metric::IngestBytes, 7);
        metrics.add_labelled(Metric::IngestEvents, "a\"b\\c\nd", 2);
        metrics.set(Metric::JournalBytes, 9);
        metrics.observe(Metric::QueryDuration, Duration::from_millis(2));
        metrics.observe(Metric::QueryDuration, Duration::from_secs(1000));
        let text = metrics.render();
        for line in [
            "# TYPE moneta_ingest_bytes counter",
            "moneta_ingest_bytes_total 7",
            "moneta_ingest_events_total{table=\"a\\\"b\\\\c\\nd\"} 2",
            "moneta_journal_size_bytes 9",
            "moneta_query_duration_seconds_bucket{le=\"0.001\"} 0",
            "moneta_query_duration_seconds_bucket{le=\"0.005\"} 1",
            "moneta_query_duration_seconds_bucket{le=\"+Inf\"} 2",
            "moneta_query_duration_seconds_count 2",
            "moneta_query_duration_seconds_sum 1000.002000",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        assert_eq!(metrics.labelled_value(Metric::IngestEvents, "a\"b\\c\nd"), 2);
    }

    #[test]
    fn labels_from_outside_cannot_fill_the_memory() {
        let metrics = Metrics::new();
        for index in 0..LABEL_VALUES_MAX + 10 {
            metrics.add_labelled(Metric::IngestEvents, &index.to_string(), 1);
        }
        assert_eq!(metrics.labelled_value(Metric::IngestEvents, "other"), 10);
        assert_eq!(metrics.value(Metric::IngestEvents), LABEL_VALUES_MAX as u64 + 10);
    }
}
