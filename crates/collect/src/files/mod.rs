//! Follows text files as they grow: `/var/log` and its like.
//!
//! A file is known by its inode and first line, not by its name, so that rotation by renaming, by copying and truncating,
//! and by compressing is followed, also where nothing ran meanwhile. Archives, where a name stands for them, are read whole as objects of an inbox are. Progress
//! is the offset behind the last stored record: it is the sequence of the submission that stored it, so that data and
//! progress are committed together and a restart neither loses nor doubles a line.

mod content;
mod encoding;
mod follower;
mod life;
mod patterns;
mod reader;
mod records;
mod rotated;
mod text_lines;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::follower::{Follower, PRODUCER_PREFIX, Progress};
use self::patterns::Pattern;
pub(crate) use self::patterns::matches;
pub use self::records::RecordStart;
use crate::Error;
use crate::absent::{ABSENT_FOR, Absent};
use crate::collector::{Collector, Stopped, is_stopped, until_stopped};
use crate::inbox::{Inbox, Listed};
use crate::intake::{Intake, ResumePoints};

pub(crate) const COLLECTOR: &str = "file";
/// Files followed at the same time: each holds a descriptor and a line.
const FILES_MAX: usize = 1_024;
/// How often the patterns are matched again, so that new files are found.
const RESCAN_EVERY: Duration = Duration::from_secs(2);

/// How long an archive or an object must rest to count as complete, unless set.
pub(crate) const SETTLE: Duration = Duration::from_secs(60);

/// Which files to follow.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// Files, directories (every file in them) and names with `*` and `?` in their last part. Names that end in `.gz`,
    /// `.zst` or `.zip` stand for archives; others pass over what was rotated away.
    pub patterns: Vec<String>,
    /// How often files are looked at.
    pub poll: Duration,
    /// The encoding of files that are neither UTF-8 nor UTF-16; `None` takes what is no UTF-8 as damage.
    pub encoding: Option<&'static encoding_rs::Encoding>,
    /// Files whose records span lines, and how a record begins there; the first that fits decides.
    pub records: Vec<RecordStart>,
    /// How long an archive must rest to count as complete.
    pub settle: Duration,
    /// How long a file must be gone to be forgotten.
    pub absent_for: Duration,
}

impl FileOptions {
    /// Sets the encoding of files that are neither UTF-8 nor UTF-16, by a label of the WHATWG Encoding Standard.
    ///
    /// # Errors
    /// [`Error::Encoding`] for a label that is none.
    pub fn with_encoding(mut self, label: &str) -> Result<Self, Error> {
        let encoding = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes());
        self.encoding = Some(encoding.ok_or_else(|| Error::Encoding(label.to_owned()))?);
        Ok(self)
    }

    /// Follows files, looks at them four times a second, and forgets them three days after they went.
    #[must_use]
    pub fn new(patterns: Vec<String>) -> Self {
        let (poll, settle, absent_for) = (Duration::from_millis(250), SETTLE, ABSENT_FOR);
        Self { patterns, poll, encoding: None, records: Vec::new(), settle, absent_for }
    }
}

/// Follows files from where they were stored last, or from their beginning.
///
/// # Errors
/// [`Error::Pattern`] and [`Error::Archive`] for a pattern that cannot be used. Files that are not there yet are waited
/// for.
pub fn start_files(intake: Intake, resume: Arc<dyn ResumePoints>, options: FileOptions) -> Result<Collector, Error> {
    let patterns: Vec<Pattern> = options.patterns.iter().map(|text| Pattern::parse(text)).collect::<Result<_, _>>()?;
    let (archives, patterns): (Vec<_>, Vec<_>) = patterns.into_iter().partition(Pattern::is_of_archives);
    let archives = (!archives.is_empty()).then(|| {
        let list = move || list_archives(&archives);
        Inbox::new(intake.clone(), resume.clone(), COLLECTOR, list, RESCAN_EVERY.min(options.settle), options.settle)
    });
    let trouble = archives.as_ref().map(Inbox::trouble).unwrap_or_default();
    let (encoding, records) = (options.encoding, options.records);
    let absent = Absent::new(options.absent_for);
    let followers = BTreeMap::new();
    let files = Files { intake, resume, patterns, encoding, records, followers, absent, limit_reported: false };
    Ok(Collector::start("files", COLLECTOR, None, |stopped| async move {
        match archives {
            Some(archives) => {
                tokio::join!(files.run(options.poll, stopped.clone()), archives.run(stopped));
            }
            None => files.run(options.poll, stopped).await,
        }
    })
    .telling(trouble))
}

fn list_archives(patterns: &[Pattern]) -> Listed {
    let mut listed = Listed::default();
    for path in patterns.iter().flat_map(Pattern::files) {
        if let Ok(metadata) = std::fs::metadata(&path) {
            listed.add(path, &metadata);
        }
    }
    listed
}

struct Files {
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    patterns: Vec<Pattern>,
    encoding: Option<&'static encoding_rs::Encoding>,
    records: Vec<RecordStart>,
    followers: BTreeMap<PathBuf, Follower>,
    absent: Absent,
    limit_reported: bool,
}

impl Files {
    async fn run(mut self, poll: Duration, mut stopped: Stopped) {
        let mut next_scan = tokio::time::Instant::now();
        while !is_stopped(&stopped) {
            if tokio::time::Instant::now() >= next_scan {
                self.scan().await;
                self.forget_absent(&mut stopped).await;
                next_scan = tokio::time::Instant::now() + RESCAN_EVERY;
            }
            if self.poll_all(&mut stopped).await == Progress::Idle {
                tokio::select! {
                    () = tokio::time::sleep(poll) => {}
                    () = until_stopped(&mut stopped) => {}
                }
            }
        }
    }

    /// Looks at every file once; whether any had more than was read.
    async fn poll_all(&mut self, stopped: &mut Stopped) -> Progress {
        let mut progress = Progress::Idle;
        for follower in self.followers.values_mut() {
            if is_stopped(stopped) {
                break;
            }
            match follower.poll(&self.intake, &*self.resume, stopped).await {
                Ok(Progress::More) => progress = Progress::More,
                Ok(Progress::Idle) => {}
                Err(error) => follower.report(&error),
            }
        }
        self.followers.retain(|_, follower| !follower.is_gone());
        progress
    }

    /// Lets the store forget files that have been gone for long. Those that are known by a hash of their path, because it
    /// is very long or they are archives, stay: nobody can tell whether they are there.
    async fn forget_absent(&mut self, stopped: &mut Stopped) {
        if !self.absent.is_due() {
            return;
        }
        let remembered = self.resume.remembered(PRODUCER_PREFIX).await;
        let judged = tokio::task::spawn_blocking(move || {
            let judge = |(producer, point): (String, _)| {
                let is_there = producer.strip_prefix(PRODUCER_PREFIX).and_then(|path| is_there(Path::new(path)));
                (producer, point, is_there)
            };
            remembered.into_iter().map(judge).collect::<Vec<_>>()
        });
        let judged = judged.await.unwrap_or_default();
        self.absent.look(&self.intake, COLLECTOR, judged, stopped).await;
    }

    async fn scan(&mut self) {
        let patterns = self.patterns.clone();
        let found = tokio::task::spawn_blocking(move || patterns.iter().flat_map(Pattern::files).collect::<Vec<_>>());
        for path in found.await.unwrap_or_default() {
            if self.followers.contains_key(&path) {
                continue;
            }
            if self.followers.len() >= FILES_MAX {
                if !std::mem::replace(&mut self.limit_reported, true) {
                    tracing::warn!(max = FILES_MAX, "too many files to follow; further ones are left out");
                }
                return;
            }
            let start = self.records.iter().find(|records| records.covers(&path)).map(RecordStart::pattern);
            self.followers.insert(path.clone(), Follower::new(path, self.encoding, start));
        }
    }
}

/// Whether a file is there; `None` where nobody can tell, as with one whose directory is not there.
fn is_there(path: &Path) -> Option<bool> {
    if !path.is_absolute() {
        return None;
    }
    match std::fs::symlink_metadata(path) {
        Ok(_) => Some(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            path.parent().is_some_and(Path::is_dir).then_some(false)
        }
        Err(_) => None,
    }
}
