//! T7: volumes that fill up with what is stored and with what else lies on them, again and again.
//!
//! `MONETA_FILLS` says how often each is filled.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use moneta_base::{ErrorKind, SourceName, TableName, Timestamp};
use moneta_event::{BatchBuilder, Delivery, RecordClass, TableCatalog, Value};
use moneta_ingest::{Ingest, Rung};
use moneta_ports::{AuditEvent, AuditSink, EventSink, OpContext, PortError, Space, Submission, Volume};

use crate::{Fixture, START, num_rows, syslog};

/// A volume that a directory fills for real, beside a ballast that only counts.
pub struct SmallVolume {
    dir: PathBuf,
    total: u64,
    ballast: AtomicU64,
    is_aside: AtomicBool,
}

/// What the audit stream has to itself.
const RESERVE: u64 = 64 << 10;

impl SmallVolume {
    pub fn new(dir: &Path, total: u64) -> Self {
        Self { dir: dir.to_owned(), total, ballast: AtomicU64::new(0), is_aside: AtomicBool::new(false) }
    }

    /// Puts other files on the volume, so that this share of it is used, in percent.
    fn fill_to(&self, percent: u64) {
        let used = size_of(&self.dir) + self.reserved();
        self.ballast.store((self.total * percent / 100).saturating_sub(used), Ordering::Relaxed);
    }

    fn empty(&self) {
        self.ballast.store(0, Ordering::Relaxed);
    }

    fn reserved(&self) -> u64 {
        if self.is_aside.load(Ordering::Relaxed) { RESERVE } else { 0 }
    }
}

impl Volume for SmallVolume {
    fn space(&self) -> io::Result<Space> {
        let used = size_of(&self.dir) + self.ballast.load(Ordering::Relaxed) + self.reserved();
        Ok(Space { total_bytes: self.total, available_bytes: self.total.saturating_sub(used) })
    }

    fn reserve_bytes(&self) -> u64 {
        RESERVE
    }

    fn set_aside(&self) -> io::Result<()> {
        self.is_aside.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn give(&self) -> io::Result<()> {
        self.is_aside.store(false, Ordering::Relaxed);
        Ok(())
    }
}

fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    sizes.sum()
}

/// One submission of a single long row.
async fn submit(ingest: &Arc<Ingest>, class: RecordClass, text: &str) -> Result<(), PortError> {
    let schema = TableCatalog::built_in().get("Syslog").unwrap().clone();
    let mut rows = BatchBuilder::new(schema, class, Delivery::AtLeastOnce);
    rows.set_field("SyslogMessage", Value::Text(text));
    rows.finish_row(Timestamp::from_seconds(START), &SourceName::lossy("test"), text);
    ingest.submit(Submission { batches: vec![rows.finish().unwrap()], ..Submission::default() }).await.map(drop)
}

/// Twenty kilobytes that no compression makes small: a single word, for the index of words is not what is tested.
pub fn text(seed: i64) -> String {
    let mut state = u64::try_from(seed).unwrap();
    let word = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:08x}", state >> 32)
    };
    (0..2_500).map(word).collect()
}

/// Submits until the volume refuses; returns how many were stored. Senders are told when to come back.
async fn until_refused(fixture: &Fixture, ingest: &Arc<Ingest>, class: RecordClass, seconds: &mut i64) -> u64 {
    for stored in 0..10_000 {
        *seconds += 1;
        let text = text(*seconds);
        fixture.clock.set(Timestamp::from_seconds(START + *seconds));
        match submit(ingest, class, &text).await {
            Ok(()) => {}
            Err(error) => {
                assert!(matches!(error.kind, ErrorKind::Environment { retry_after: Some(_) }), "{error:?}");
                assert!(error.message.contains("full"), "{error:?}");
                return stored;
            }
        }
    }
    panic!("the volume took everything");
}

#[tokio::test(flavor = "multi_thread")]
async fn t7_a_full_disk_refuses_keeps_everything_and_goes_on_by_itself() {
    let fills: u64 = std::env::var("MONETA_FILLS").ok().map_or(2, |fills| fills.parse().unwrap());
    for total in [8 << 20, 10 << 20, 12 << 20, 16 << 20, 24 << 20] {
        // What is stored stays: an installation of its own for every few fills.
        for first in (0..fills).step_by(4) {
            fill_again_and_again(total, fills.min(first + 4) - first).await;
        }
    }
}

async fn fill_again_and_again(total: u64, fills: u64) {
    let audit = TableName::new("MonetaAudit").unwrap();
    let fixture = Fixture::on_volume(total);
    let (ingest, _) = fixture.open();
    let (mut stored, mut audited, mut seconds) = (0, 0, 0);
    for fill in 0..fills {
        fixture.volume.fill_to(90);
        let data = until_refused(&fixture, &ingest, RecordClass::Data, &mut seconds).await;
        assert_eq!(ingest.rung(), Rung::DataRefused, "volume of {total}, fill {fill}");
        let control = until_refused(&fixture, &ingest, RecordClass::Control, &mut seconds).await;
        assert_eq!(ingest.rung(), Rung::AuditOnly, "volume of {total}, fill {fill}");
        assert!(data > 0 && control > 0, "volume of {total}, fill {fill}: {data} and {control} rows");
        assert!(!fixture.volume.is_aside.load(Ordering::Relaxed), "the audit stream has its reserve");
        stored += data + control;
        let event = AuditEvent::success("disk.fill", "volume", "data");
        ingest.record(&OpContext::service("test"), event).await.unwrap();
        audited += 1;
        assert_eq!((num_rows(&ingest, &syslog()), num_rows(&ingest, &audit)), (stored, audited));
        // There is room again: the next look takes everything back.
        fixture.volume.empty();
        seconds += 1;
        fixture.clock.set(Timestamp::from_seconds(START + seconds));
        submit(&ingest, RecordClass::Data, "after").await.unwrap();
        stored += 1;
        assert_eq!(ingest.rung(), Rung::Free);
        assert!(fixture.volume.is_aside.load(Ordering::Relaxed), "the reserve is set aside again");
        ingest.seal_all().unwrap();
    }
    ingest.shut_down().unwrap();
    drop(ingest);
    fixture.assert_verifies(stored + audited);
}
