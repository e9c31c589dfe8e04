//! What every collector must keep, checked in one place.

use moneta_collect::{Collector, Intake};
use moneta_ports::Metric;

use crate::sink::RecordingSink;

/// What a source was given, and where it must turn up.
pub struct Given<'a> {
    /// The table of the records.
    pub table: &'a str,
    /// The column that tells them apart.
    pub column: &'a str,
    /// The records, in the order in which they were given.
    pub records: &'a [String],
    /// Records that must be quarantined.
    pub quarantined: usize,
}

/// Stops the collector and checks: every record it accepted is stored once and in order, quarantined, or counted as
/// dropped with a reason; and the collector counted what it stored.
pub async fn assert_source_compliance(sink: &RecordingSink, intake: &Intake, collector: Collector, given: &Given<'_>) {
    collector.stop().await;
    let stored = sink.column(given.table, given.column);
    let quarantined = sink.quarantined();
    let dropped = intake.metrics.value(Metric::CollectDropped);
    assert_eq!(quarantined.len(), given.quarantined, "{quarantined:?}");
    assert!(quarantined.iter().all(|record| !record.reason.is_empty() && !record.reason_code.is_empty()));
    let lost = given.records.len() as u64 - stored.len() as u64;
    assert_eq!(lost, dropped, "{} of {} stored, {dropped} counted as dropped", stored.len(), given.records.len());
    let mut expected = given.records.iter();
    for record in &stored {
        assert!(expected.any(|given| given == record), "{record:?} is doubled, out of order, or was never given");
    }
    assert_eq!(intake.metrics.value(Metric::CollectRecords), (stored.len() + quarantined.len()) as u64);
    let reasons: u64 = ["refused", "stopped", "udp_queue_full", "udp_kernel_buffer"]
        .iter()
        .map(|reason| intake.metrics.labelled_value(Metric::CollectDropped, reason))
        .sum();
    assert_eq!(reasons, dropped, "every drop has a reason");
}
