//! A server that is killed again and again while it follows a file that is rotated, an object that grows, and archives:
//! every line once, none lost.
//!
//! `MONETA_FILE_KILLS` sets the number of kills (9 when it is not set).

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::support::{Moneta, number, wait_until};

/// Lives of the server between which the file is rotated once, and everything must have arrived.
const KILLS_PER_STAGE: usize = 3;
/// Time between two portions of lines.
const STEP: Duration = Duration::from_millis(50);
/// Lines of a portion.
const PORTION: usize = 20;
/// Portions between two new archives.
const PORTIONS_PER_ARCHIVE: usize = 200;
/// Lines of an archive: more than go into one commit.
const ARCHIVE_LINES: usize = 12_000;

/// Writes numbered lines to the followed file, the growing object, and new archives.
struct Writer {
    dir: PathBuf,
    written: BTreeMap<&'static str, usize>,
    portions: usize,
    rotations: usize,
}

impl Writer {
    fn new(dir: &Path) -> Self {
        ["logs", "inbox/d=1", "archives"].iter().for_each(|sub| std::fs::create_dir_all(dir.join(sub)).unwrap());
        Self { dir: dir.to_owned(), written: BTreeMap::new(), portions: 0, rotations: 0 }
    }

    fn next(&mut self, kind: &'static str, count: usize) -> String {
        let first = self.written.entry(kind).or_default();
        let numbers = *first..*first + count;
        *first = numbers.end;
        let line = |n: usize| {
            format!("2026-01-02T03:{:02}:{:02}.000000+00:00 web01 filetest[7]: {kind} {n:07}\n", n / 60 % 60, n % 60)
        };
        numbers.map(line).collect()
    }

    /// Appends lines; `is_halting`: with a pause in the last one, so that a kill finds it unfinished.
    fn append(&mut self, name: &str, kind: &'static str, is_halting: bool) {
        let text = self.next(kind, PORTION);
        let mut file = std::fs::File::options().create(true).append(true).open(self.dir.join(name)).unwrap();
        let (start, end) = text.split_at(if is_halting { text.len() - 10 } else { 0 });
        file.write_all(start.as_bytes()).unwrap();
        if is_halting {
            rest(STEP / 10);
        }
        file.write_all(end.as_bytes()).unwrap();
    }

    /// Puts an archive in place when it is complete, as careful writers do.
    fn archive(&mut self, directory: &str, kind: &'static str) {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(self.next(kind, ARCHIVE_LINES).as_bytes()).unwrap();
        let path = self.dir.join(directory).join(format!("{}.log.gz", self.portions));
        let unfinished = path.with_extension("part");
        std::fs::write(&unfinished, encoder.finish().unwrap()).unwrap();
        std::fs::rename(unfinished, path).unwrap();
    }

    fn portion(&mut self) {
        self.append("logs/app.log", "file", true);
        // An unfinished line of an object that rests is taken as a record.
        self.append("inbox/d=1/PT1H.log", "object", false);
        if self.portions.is_multiple_of(PORTIONS_PER_ARCHIVE) {
            self.archive("inbox", "archived-object");
            self.archive("archives", "archived-file");
        }
        self.portions += 1;
    }

    fn rotate(&mut self) {
        self.rotations += 1;
        let rotated = self.dir.join(format!("logs/app.log.{}", self.rotations));
        std::fs::rename(self.dir.join("logs/app.log"), rotated).unwrap();
    }

    /// Writes until it is told to stop, and rotates in between when told to.
    fn run(mut self, stop: &AtomicBool, rotate: &AtomicBool) -> Self {
        while !stop.load(Ordering::Relaxed) {
            self.portion();
            if rotate.swap(false, Ordering::Relaxed) {
                self.rotate();
            }
            rest(STEP);
        }
        self
    }
}

/// A writer has a pace of its own; nothing is waited for.
#[expect(clippy::disallowed_methods, reason = "this makes the load, and no outcome depends on how long it takes")]
fn rest(time: Duration) {
    std::thread::sleep(time);
}

fn count(moneta: &Moneta) -> usize {
    usize::try_from(moneta.count("Syslog | where ProcessName == 'filetest' | count")).unwrap()
}

/// How often each line is there.
fn arrived(moneta: &Moneta) -> BTreeMap<String, usize> {
    let query = "Syslog | where ProcessName == 'filetest' | summarize n = count() by SyslogMessage";
    let rows = moneta.ok(&["query", query, "--format", "ndjson", "--all-rows"]);
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        (row["SyslogMessage"].as_str().unwrap().trim().to_owned(), usize::try_from(row["n"].as_u64().unwrap()).unwrap())
    };
    rows.lines().map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_objects_survive_kills_with_every_line_once() {
    let kills = number("MONETA_FILE_KILLS", 9);
    let mut moneta = Moneta::new();
    let dir = moneta.dir.path().to_owned();
    let mut writer = Writer::new(&dir);
    let config = format!(
        "[collect]\nfiles = [\"{0}/logs/*.log\", \"{0}/archives/*.gz\"]\ninbox = [\"{0}/inbox\"]\nsettle_seconds = 1\n\
         systemd_journal = false\nperformance_interval_seconds = 0\nprocess_interval_seconds = 0\n",
        dir.display()
    );
    moneta.file("moneta.toml", config);
    moneta.settings = vec![("MONETA_CONFIG", "moneta.toml"), ("MONETA_COLLECT__ENABLED", "true")];
    let mut server = moneta.serve();
    let (mut killed, mut slowest) = (0, Duration::ZERO);
    while killed < kills {
        let (stop, rotate) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let writing = std::thread::spawn({
            let (stop, rotate) = (stop.clone(), rotate.clone());
            move || writer.run(&stop, &rotate)
        });
        for life in 0..KILLS_PER_STAGE.min(kills - killed) {
            // Where in reading and committing the kill falls is left to a walk over the milliseconds.
            tokio::time::sleep(Duration::from_millis(1_000 + (killed as u64 * 379) % 2_500)).await;
            rotate.store(life == 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_millis((killed as u64 * 37) % 251)).await;
            server.kill();
            server = moneta.serve();
            (killed, slowest) = (killed + 1, slowest.max(server.ready_in));
        }
        stop.store(true, Ordering::Relaxed);
        writer = tokio::task::spawn_blocking(|| writing.join().unwrap()).await.unwrap();
        let expected: usize = writer.written.values().sum();
        wait_until("every line", || count(&moneta) >= expected).await;
    }
    let stored = arrived(&moneta);
    let written = writer.written.iter().flat_map(|(kind, count)| (0..*count).map(move |n| format!("{kind} {n:07}")));
    let lost: Vec<_> = written.filter(|line| !stored.contains_key(line)).collect();
    let doubled: usize = stored.values().map(|count| count - 1).sum();
    println!(
        "{killed} kills, {} rotations, lines {:?}: lost {}, doubled {doubled}, slowest start {slowest:?}",
        writer.rotations,
        writer.written,
        lost.len()
    );
    assert_eq!((lost, doubled), (Vec::<String>::new(), 0));
    assert_eq!(stored.len(), writer.written.values().sum::<usize>());
    server.stop();
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}
