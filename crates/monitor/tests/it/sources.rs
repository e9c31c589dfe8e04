//! What is known of sources survives restarts and crashes, exactly.

use std::path::Path;
use std::sync::{Arc, Mutex};

use moneta_base::Timestamp;
use moneta_base::fs::{FileSystem, write_atomically};
use moneta_monitor::{SourceWatch, SourceWatchParts};
use moneta_ports::{Alarm, AlarmSink, BlockSubscriber, Metric, Metrics};
use moneta_testkit::{FixedClock, SimFs};

use crate::{block, syslog};

#[derive(Default)]
struct Heard(Mutex<Vec<Alarm>>);

impl AlarmSink for Heard {
    fn raise(&self, alarm: Alarm) {
        self.0.lock().unwrap().push(alarm);
    }
}

fn start(fs: &Arc<SimFs>, metrics: &Arc<Metrics>) -> Arc<SourceWatch> {
    let parts = SourceWatchParts {
        fs: fs.clone(),
        data: "/data".into(),
        clock: Arc::new(FixedClock::new(Timestamp::from_seconds(1_800_000_000))),
        metrics: metrics.clone(),
        alarms: Arc::new(Heard::default()),
    };
    SourceWatch::start(parts).unwrap()
}

fn disk() -> Arc<SimFs> {
    let fs = Arc::new(SimFs::new());
    fs.create_dir_all(Path::new("/data")).unwrap();
    fs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_counts_nothing_twice_and_nothing_is_left_out() {
    let (fs, metrics) = (disk(), Arc::new(Metrics::new()));
    let first = start(&fs, &metrics);
    assert_eq!(first.needs_from(&syslog()), u64::MAX);
    first.on_block(&block(0, &["a", "b"]));
    // Until the file says so, the journal must keep the block.
    assert_eq!(first.needs_from(&syslog()), 0);
    metrics.add_labelled(Metric::CollectSourceDropped, "s", 3);
    first.stop().await;
    assert_eq!((first.needs_from(&syslog()), first.backlog_rows()), (2, 0));
    let second = start(&fs, &Arc::new(Metrics::new()));
    assert_eq!(second.needs_from(&syslog()), 2);
    // The journal's recovery offers what was counted before, and what was not.
    second.on_block(&block(0, &["a", "b"]));
    second.on_block(&block(2, &["c"]));
    second.stop().await;
    let status = second.status();
    assert_eq!(status.len(), 1);
    assert_eq!((status[0].source.as_str(), status[0].num_records, status[0].num_dropped), ("s", 3, 3));
    // That there were losses is kept with when: of old ones nobody has to be told again.
    assert!(status[0].last_dropped.is_some());
    let quality = second.quality();
    assert!((quality[0].what - 1.0).abs() < 1e-9 && quality[0].who < 1e-9, "{quality:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_file_is_put_aside() {
    let fs = disk();
    write_atomically(&*fs, Path::new("/data/sources.json"), b"{\"version\":1,").unwrap();
    let watch = start(&fs, &Arc::new(Metrics::new()));
    watch.stop().await;
    assert!(watch.status().is_empty());
    assert_eq!(fs.peek(Path::new("/data/sources.json.damaged")).unwrap(), b"{\"version\":1,");
}
