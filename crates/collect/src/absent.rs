//! Forgets files and objects that are gone, so that the store has room to remember those that come.
//!
//! Whether a resend can come is what decides. The one who could send again is the collector itself, out of a file that is
//! there; so a file is forgotten only when it has been absent at every look for [`ABSENT_FOR`], with no look that failed
//! to see everything in between, and the server has run all that time. What it held stays stored. A file that comes back after
//! that is new, and is stored again: whoever brings old files back later than that must expect it. Where nothing at all is
//! found nothing is forgotten: an unmounted disk looks like that.

use std::collections::BTreeMap;
use std::time::Duration;

use moneta_ports::{IdempotencyKey, KeyLife, Submission};
use tokio::time::Instant;

use crate::collector::Stopped;
use crate::intake::{Intake, ResumePoint, Stored};

/// How long a file must have been absent to be forgotten.
pub(crate) const ABSENT_FOR: Duration = Duration::from_secs(3 * 24 * 3600);
/// Time between two looks at what is remembered, where it is not a small part of that.
const LOOK_EVERY: Duration = Duration::from_secs(3600);

/// What is remembered of files that are not there, and since when.
#[derive(Debug)]
pub(crate) struct Absent {
    absent_for: Duration,
    since: BTreeMap<String, (ResumePoint, Instant)>,
    looked: Option<Instant>,
}

impl Absent {
    /// Forgets what has been absent for so long.
    pub(crate) fn new(absent_for: Duration) -> Self {
        Self { absent_for, since: BTreeMap::new(), looked: None }
    }

    /// Whether it is time for a look.
    pub(crate) fn is_due(&self) -> bool {
        let every = LOOK_EVERY.min(self.absent_for / 4);
        self.looked.is_none_or(|looked| looked.elapsed() >= every)
    }

    /// Something could not be seen: what was not found since may have been there.
    pub(crate) fn note_unseen(&mut self) {
        self.since.clear();
    }

    /// Hears which of the remembered are there; `None` where that cannot be told. Forgets those that are due.
    pub(crate) async fn look(
        &mut self,
        intake: &Intake,
        collector: &str,
        remembered: Vec<(String, ResumePoint, Option<bool>)>,
        stopped: &mut Stopped,
    ) {
        let now = Instant::now();
        self.looked = Some(now);
        let mut since = std::mem::take(&mut self.since);
        if !remembered.iter().any(|(_, _, is_there)| *is_there == Some(true)) {
            return;
        }
        for (producer, point, _) in remembered.into_iter().filter(|(_, _, is_there)| *is_there == Some(false)) {
            let before = since.remove(&producer).filter(|(was, _)| *was == point).map(|(_, since)| since);
            self.since.insert(producer, (point, before.unwrap_or(now)));
        }
        let is_due = |since: &Instant| now.duration_since(*since) >= self.absent_for;
        let due = self.since.iter().filter(|(_, (_, since))| is_due(since));
        let due: Vec<(String, ResumePoint)> = due.map(|(producer, (point, _))| (producer.clone(), *point)).collect();
        for (producer, (epoch, sequence)) in &due {
            let key = IdempotencyKey {
                producer: producer.clone(),
                epoch: *epoch,
                sequence: *sequence,
                life: KeyLife::Forgotten,
            };
            let forget = Submission { key: Some(key), ..Submission::default() };
            if intake.submit(collector, &forget, stopped).await != Stored::Yes {
                return;
            }
            self.since.remove(producer);
        }
        if !due.is_empty() {
            tracing::info!(collector, count = due.len(), "forgot how far files and objects were read that are gone");
        }
    }
}
