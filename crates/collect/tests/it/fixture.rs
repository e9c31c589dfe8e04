//! A directory, and collectors that read it for a recording sink.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use moneta_collect::{Collector, FileOptions, InboxOptions, Intake, ResumePoints, start_files, start_inbox};
use moneta_testkit::TestDir;

use crate::sink::{RecordingSink, intake};

pub struct Fixture {
    pub dir: TestDir,
    pub sink: Arc<RecordingSink>,
    pub intake: Intake,
}

impl Fixture {
    pub fn new() -> Self {
        let sink = RecordingSink::new();
        Self { dir: TestDir::new(), intake: intake(&sink), sink }
    }

    /// A path below the directory; the directories on the way are made.
    pub fn path(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    pub fn append(&self, name: &str, content: impl AsRef<[u8]>) {
        append(&self.path(name), content);
    }

    pub fn append_lines(&self, name: &str, lines: &[String]) {
        self.append(name, text_of(lines));
    }

    pub fn resume(&self) -> Arc<dyn ResumePoints> {
        self.sink.clone()
    }

    /// Options that follow a pattern.
    pub fn file_options(&self, pattern: &str) -> FileOptions {
        let patterns = vec![self.path(pattern).display().to_string()];
        let settle = Duration::from_millis(100);
        FileOptions { poll: Duration::from_millis(10), settle, ..FileOptions::new(patterns) }
    }

    pub fn follow(&self, pattern: &str) -> Collector {
        start_files(self.intake.clone(), self.resume(), self.file_options(pattern)).unwrap()
    }

    /// Options that read the directory as an inbox.
    pub fn inbox_options(&self) -> InboxOptions {
        let options = InboxOptions::new(vec![self.dir.path().to_owned()]);
        InboxOptions { poll: Duration::from_millis(10), settle: Duration::from_millis(100), ..options }
    }

    /// Reads the directory as an inbox.
    pub fn watch(&self) -> Collector {
        let options = self.inbox_options();
        start_inbox(self.intake.clone(), self.resume(), options).unwrap()
    }

    /// Waits for so many records, and then long enough to see more of them, if any came.
    pub async fn exactly(&self, count: usize) {
        self.sink.until_records(count).await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(self.sink.num_records(), count);
    }
}

pub fn append(path: &Path, content: impl AsRef<[u8]>) {
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(content.as_ref()).unwrap();
}

pub fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

/// Lines, each with its end.
pub fn text_of(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}
