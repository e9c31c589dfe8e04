//! Reads objects that other programs put into a directory, or into a bucket of S3-compatible storage: diagnostic blobs of
//! Azure that grow for an hour, CloudTrail and flow logs as compressed objects, anything else a format is known for.
//!
//! ```text
//! list of a tree or a bucket ─ every poll ─► objects that changed and then rested ─► decode from the stored position ─► submit
//! ```
//! An object is known by its path, of which the store keeps a hash, and how it begins. Progress is the sequence of the
//! submission that stored the records, so that data and progress are committed together: a restart neither loses nor
//! doubles a record. There are two kinds:
//!
//! - *Growing* objects (lines of text, JSON): the sequence is the position behind the last stored record. What comes after
//!   is read once the object rested for a poll; the end of a JSON envelope may be written anew. An unfinished last line
//!   is taken as a record once the object rested for [`InboxOptions::settle`].
//! - *Whole* objects (archives, compressed and binary files): read once they rested that long; the sequence is the number
//!   of records stored, and [`DONE`](objects::DONE) at the end. One whose size or beginning changes is another object.
//!
//! In a bucket an object appears whole and at once, so none is waited for but the end of an unfinished last line; what
//! changed is known by its entity tag, and of one that does not grow the tag stands in place of its beginning. One that may
//! grow is known by both: with the same beginning, another tag and nothing behind what is stored, it is another object.
//!
//! Objects are never changed, moved or removed. What was read of an object is remembered while it is there and for some
//! days after, so that one that comes back soon is not stored again (see [`absent`](crate::absent)). An object for
//! which there is no room to be remembered waits, and the others are read.

mod content;
mod objects;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::objects::Objects;
use tokio::time::Instant;

use self::content::Storage;
use self::objects::{Outcome, Place, read_object};
pub(crate) use self::tree::Listed;
use self::tree::{Found, list, list_bucket};
use crate::Error;
use crate::absent::{ABSENT_FOR, Absent};
use crate::collector::{Collector, Stopped, Trouble, is_stopped, until_stopped};
use crate::files::SETTLE;
use crate::intake::{Intake, ResumePoints};

pub(crate) const COLLECTOR: &str = "inbox";

/// Time between two looks at least, whatever is set.
const POLL_MIN: Duration = Duration::from_millis(10);

/// Which directories to read.
#[derive(Debug, Clone)]
pub struct InboxOptions {
    /// The directories, each with everything below it.
    pub directories: Vec<PathBuf>,
    /// How often they are looked at.
    pub poll: Duration,
    /// How long an object must rest to count as complete.
    pub settle: Duration,
    /// How long an object must be gone to be forgotten.
    pub absent_for: Duration,
}

impl InboxOptions {
    /// Looks every five seconds; an object is complete after a minute, and forgotten three days after it went.
    #[must_use]
    pub fn new(directories: Vec<PathBuf>) -> Self {
        Self { directories, poll: Duration::from_secs(5), settle: SETTLE, absent_for: ABSENT_FOR }
    }
}

/// Reads what is put into directories.
///
/// # Errors
/// [`Error::Inbox`] for a directory that is not there or cannot be read.
pub fn start_inbox(intake: Intake, resume: Arc<dyn ResumePoints>, options: InboxOptions) -> Result<Collector, Error> {
    for directory in &options.directories {
        std::fs::read_dir(directory).map_err(|source| Error::Inbox { directory: directory.clone(), source })?;
    }
    let InboxOptions { directories, poll, settle, absent_for } = options;
    let inbox = Inbox::new(intake, resume, COLLECTOR, move || list(&directories), poll, settle);
    let inbox = Inbox { absent: Some(Absent::new(absent_for)), ..inbox };
    let trouble = inbox.trouble();
    Ok(Collector::start("inbox", COLLECTOR, None, |stopped| inbox.run(stopped)).telling(trouble))
}

/// Which objects of a bucket to read.
#[derive(Debug, Clone)]
pub struct BucketOptions {
    /// What the source is called. Progress is remembered under this name.
    pub name: String,
    /// The bucket.
    pub objects: Arc<dyn Objects>,
    /// What the keys of the objects begin with.
    pub prefix: String,
    /// How often it is listed.
    pub poll: Duration,
    /// How long an object must rest for an unfinished last line to be a record.
    pub settle: Duration,
    /// How long an object must be gone to be forgotten.
    pub absent_for: Duration,
}

impl BucketOptions {
    /// Lists the bucket every minute; as for a directory else.
    #[must_use]
    pub fn new(name: String, objects: Arc<dyn Objects>, prefix: String) -> Self {
        Self { name, objects, prefix, poll: Duration::from_secs(60), settle: SETTLE, absent_for: ABSENT_FOR }
    }
}

/// Reads what is put into a bucket. One that cannot be reached is tried again for ever; [`Collector::trouble`] says why.
#[must_use]
pub fn start_bucket(intake: Intake, resume: Arc<dyn ResumePoints>, options: BucketOptions) -> Collector {
    let BucketOptions { name, objects, prefix, poll, settle, absent_for } = options;
    let label = format!("bucket/{name}");
    let bucket = objects.clone();
    let inbox = Inbox::new(intake, resume, &label, move || list_bucket(&*bucket, &prefix), poll, settle);
    let inbox = Inbox { absent: Some(Absent::new(absent_for)), storage: Storage::Bucket(objects), ..inbox };
    let trouble = inbox.trouble();
    Collector::start(&format!("bucket {name}"), label, None, |stopped| inbox.run(stopped)).telling(trouble)
}

/// Reads objects that a list names, again and again.
pub(crate) struct Inbox {
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    /// What the sources and producers of the objects begin with, and they are counted under.
    collector: Arc<str>,
    list: Arc<dyn Fn() -> Listed + Send + Sync>,
    storage: Storage,
    poll: Duration,
    settle: Duration,
    known: BTreeMap<PathBuf, Known>,
    is_full: bool,
    /// Why an object could not be read at the last look.
    unread: Option<String>,
    trouble: Trouble,
    /// Objects that are gone, where all that the collector reads is in the list.
    absent: Option<Absent>,
}

/// An object as it was last seen.
#[derive(Debug, Clone, PartialEq)]
struct Known {
    found: Found,
    /// Since when it has been so.
    since: Instant,
    /// Whether it was read so, and whether as a complete one.
    read: Option<bool>,
    /// Why it could not be read, as it was told last.
    failed: Option<ErrorKind>,
}

impl Inbox {
    pub(crate) fn new(
        intake: Intake,
        resume: Arc<dyn ResumePoints>,
        collector: &str,
        list: impl Fn() -> Listed + Send + Sync + 'static,
        poll: Duration,
        settle: Duration,
    ) -> Self {
        let (list, known, poll) = (Arc::new(list), BTreeMap::new(), poll.max(POLL_MIN));
        let (trouble, absent, storage) = (Trouble::default(), None, Storage::Files);
        let collector = Arc::from(collector);
        Self {
            intake,
            resume,
            collector,
            list,
            storage,
            poll,
            settle,
            known,
            is_full: false,
            unread: None,
            trouble,
            absent,
        }
    }

    /// What objects wait for, and why.
    pub(crate) fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    pub(crate) async fn run(mut self, mut stopped: Stopped) {
        while !is_stopped(&stopped) {
            self.look(&mut stopped).await;
            tokio::select! {
                () = tokio::time::sleep(self.poll) => {}
                () = until_stopped(&mut stopped) => {}
            }
        }
    }

    /// Looks at every object, in the order of paths, and reads those that changed and rest now.
    async fn look(&mut self, stopped: &mut Stopped) {
        let list = self.list.clone();
        let listed = tokio::select! {
            listed = tokio::task::spawn_blocking(move || list()) => listed.unwrap_or_default(),
            () = until_stopped(stopped) => return,
        };
        self.trouble.tell(&self.collector, "list", listed.failed.clone());
        if listed.failed.is_some() {
            self.absent.iter_mut().for_each(Absent::note_unseen);
            return;
        }
        if !std::mem::replace(&mut self.is_full, listed.is_full) && listed.is_full {
            tracing::error!(
                max = tree::OBJECTS_MAX,
                "there are too many objects to read; which are left out follows no order: move those away that were read"
            );
        }
        self.known.retain(|path, _| listed.objects.contains_key(path));
        self.forget_absent(&listed, stopped).await;
        let mut waiting = 0;
        self.unread = None;
        for (path, found) in listed.objects {
            if is_stopped(stopped) {
                return;
            }
            waiting += usize::from(self.look_at(path, found, stopped).await == Some(Outcome::NoRoom));
        }
        let reason = (waiting > 0).then(|| format!("{waiting} objects wait for room to be remembered"));
        self.trouble.tell(&self.collector, "objects", reason);
        self.trouble.tell(&self.collector, "reading", self.unread.take());
    }

    /// Lets the store forget objects that have been gone for long.
    async fn forget_absent(&mut self, listed: &Listed, stopped: &mut Stopped) {
        let Some(absent) = &mut self.absent else { return };
        if listed.is_full || listed.is_partial {
            absent.note_unseen();
        } else if absent.is_due() {
            let there: BTreeSet<String> = listed.objects.keys().map(|path| objects::name_of(path)).collect();
            let prefix = objects::producer_prefix(&self.collector);
            let is_there = |producer: &str| producer.strip_prefix(&prefix).map(|name| there.contains(name));
            let judge = |(producer, point): (String, _)| {
                let is_there = is_there(&producer);
                (producer, point, is_there)
            };
            let judged = self.resume.remembered(&prefix).await.into_iter().map(judge).collect();
            absent.look(&self.intake, &self.collector, judged, stopped).await;
        }
    }

    /// Looks at an object; what became of it, where it was read.
    async fn look_at(&mut self, path: PathBuf, found: Found, stopped: &mut Stopped) -> Option<Outcome> {
        let now = Instant::now();
        let first = || Known { found: found.clone(), since: now, read: None, failed: None };
        let known = self.known.entry(path.clone()).or_insert_with(first);
        let is_at_once = self.storage.is_whole_at_once();
        if known.found != found {
            *known = Known { found: found.clone(), since: now, read: None, ..*known };
            if !is_at_once {
                return None;
            }
        }
        let is_settled = now.duration_since(known.since) >= self.settle;
        let is_new = known.since == now && !is_at_once;
        if is_new || known.read == Some(true) || (known.read == Some(false) && !is_settled) {
            return None;
        }
        let (collector, storage) = (&*self.collector, &self.storage);
        let place = Place { collector, storage, path: &path, found: &found, is_settled };
        let outcome = read_object(&self.intake, &*self.resume, &place, stopped).await;
        if outcome.is_err() && is_stopped(stopped) {
            return None;
        }
        let known = self.known.get_mut(&path)?;
        let failed = outcome.as_ref().err().map(std::io::Error::kind);
        let found = outcome.as_ref().ok().copied();
        match outcome {
            Ok(Outcome::Read) => known.read = Some(is_settled),
            Ok(Outcome::NotYet | Outcome::NoRoom) => {}
            // What was refused is tried again when it changes, or at the next start.
            Ok(Outcome::ReadToEnd | Outcome::Refused) => known.read = Some(true),
            Err(error) => {
                if failed != known.failed {
                    tracing::warn!(path = %path.display(), %error, "an object cannot be read; it is tried again");
                }
                self.unread.get_or_insert_with(|| format!("{}: {error}", path.display()));
            }
        }
        known.failed = failed;
        found
    }
}
