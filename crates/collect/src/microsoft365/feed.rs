//! One list: what of it is stored, and what comes next.

use std::collections::HashMap;
use std::time::Duration;

use futures::future::join_all;
use moneta_base::error::chain;
use moneta_base::{SourceName, Timestamp};
use moneta_event::Delivery;
use moneta_formats::{Decoded, Decoder, Format};
use moneta_ports::{IdempotencyKey, KeyLife, Submission};

use super::failure::Failure;
use super::list::{Content, Item, List};
use super::{Halt, Shared};
use crate::collector::{Stopped, is_stopped, until_stopped};
use crate::intake::{ResumePoint, Stored, digest, num_records};
use crate::place::Place;

/// The longest window: the Management Activity API lists no more at once.
const WINDOW_MAX: Duration = Duration::from_secs(24 * 3600);
/// The shortest: windows have whole seconds.
const WINDOW_MIN: Duration = Duration::from_secs(1);
/// Items of one window at most, unless it is the shortest: each is remembered until the window is read.
const ITEMS_MAX: usize = 2_000;
/// Pages of one window at most: a server that goes on for ever is not followed.
const PAGES_MAX: usize = 10_000;
/// Items that fail one after the other, at most, before the others are not tried either: then it is not the items.
const FAILED_MAX: usize = 16;
/// How much later a list begins than at the oldest that is kept: that goes before it can be fetched.
const BEGIN_SPARE: Duration = Duration::from_secs(3600);
/// Wait before a list is read again after something failed; it doubles.
const RETRY_MIN: Duration = Duration::from_secs(5);
/// Longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(300);
/// The sequence of an item that was stored to its end.
const DONE: u64 = u64::MAX;

/// A list that is read again and again.
pub(super) struct Feed<'a> {
    shared: &'a Shared,
    list: List,
    /// The cursor, in milliseconds: everything before it is stored.
    place: Place,
    /// Beginning of the names by which the store knows items.
    prefix: String,
    /// Marks of items: the time they are remembered by, in milliseconds, and how many of their records are stored.
    marks: HashMap<String, ResumePoint>,
    /// How long a window may be now.
    span: Duration,
    is_resumed: bool,
    is_subscribed: bool,
}

/// What is read at once: `[from, to)`, whole seconds.
#[derive(Clone, Copy)]
struct Window {
    from: Timestamp,
    to: Timestamp,
    /// Where the cursor stands when it was read.
    settled: Timestamp,
}

/// What reading a window showed.
enum Step {
    /// There is more to read at once.
    Behind,
    /// All that is there is stored.
    UpToDate,
}

impl<'a> Feed<'a> {
    pub(super) fn new(shared: &'a Shared, list: List) -> Self {
        let name = format!("{}/{}", shared.label, list.name());
        let prefix = format!("collect/microsoft365-item/{}/", digest(name.as_bytes()));
        let (place, marks) = (Place::new("microsoft365", &name), HashMap::new());
        Self { shared, list, place, prefix, marks, span: WINDOW_MAX, is_resumed: false, is_subscribed: false }
    }

    /// Reads until told to stop.
    pub(super) async fn run(mut self, mut stopped: Stopped) {
        let options = &self.shared.options;
        let retry_min = options.retry_min.unwrap_or(RETRY_MIN);
        let mut retry = retry_min;
        while !is_stopped(&stopped) {
            let (wait, reason) = match self.step(&mut stopped).await {
                Err(Halt::Stopped) => return,
                Ok(Step::Behind) => (Duration::ZERO, None),
                Ok(Step::UpToDate) => (options.poll, None),
                Err(Halt::Failed(failure)) => {
                    let wait = failure.retry_after().unwrap_or_default().min(RETRY_MAX).max(retry);
                    retry = (retry * 2).min(RETRY_MAX);
                    (wait, Some(chain(&failure)))
                }
            };
            if reason.is_none() {
                retry = retry_min;
            }
            self.shared.trouble.tell(&self.shared.label, self.list.name(), reason);
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = until_stopped(&mut stopped) => {}
            }
        }
    }

    /// Goes on where the store says, or begins.
    async fn resume(&mut self, stopped: &mut Stopped) -> Result<(), Halt> {
        match self.shared.resume.resume_point(&self.place.producer).await {
            Some(point) => self.place.resume(point),
            None => {
                let history = self.shared.options.history;
                let kept = self.list.kept_for().map(|kept| kept.saturating_sub(BEGIN_SPARE));
                let begin = self.now().saturating_sub(kept.map_or(history, |kept| history.min(kept)));
                self.stand_at(begin, stopped).await?;
            }
        }
        self.marks = self.shared.resume.remembered(&self.prefix).await.into_iter().collect();
        Ok(())
    }

    /// The time, in whole seconds.
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.shared.intake.clock.now().as_nanos().div_euclid(1_000_000_000))
    }

    fn cursor(&self) -> Timestamp {
        Timestamp::from_millis(i64::try_from(self.place.next).unwrap_or(i64::MAX / 1_000_000))
    }

    /// Reads one window.
    async fn step(&mut self, stopped: &mut Stopped) -> Result<Step, Halt> {
        if !self.is_resumed {
            self.resume(stopped).await?;
            self.is_resumed = true;
        }
        if !self.is_subscribed {
            self.list.subscribe(self.shared, stopped).await?;
            self.is_subscribed = true;
        }
        let now = self.now();
        self.leave_out_expired(now, stopped).await?;
        let from = self.cursor();
        let to = from.saturating_add(self.span).min(now);
        if to <= from {
            return Ok(Step::UpToDate);
        }
        // What is late may be found until the overlap is over. Where that is more than one window, half of a window
        // is passed over at least: so reading gets on, and what is looked through again is never less than half of one.
        let half = Duration::from_secs(to.since(from).as_secs().div_ceil(2));
        let least = if to < now { from.saturating_add(half) } else { from };
        let settled = to.min(now.saturating_sub(self.shared.options.overlap)).max(least);
        let read = self.read(Window { from, to, settled }, stopped).await;
        if let Err(Halt::Failed(failure)) = &read
            && failure.has_no_subscription()
        {
            // Somebody stopped it.
            self.is_subscribed = false;
        }
        let Some(num_items) = read? else {
            self.span = Duration::from_secs(to.since(from).as_secs() / 2).max(WINDOW_MIN);
            return Ok(Step::Behind);
        };
        self.settle(settled, stopped).await?;
        if num_items <= ITEMS_MAX / 4 {
            self.span = (self.span * 2).min(WINDOW_MAX);
        }
        Ok(if to < now { Step::Behind } else { Step::UpToDate })
    }

    /// Passes over what the service keeps no longer, and says so.
    async fn leave_out_expired(&mut self, now: Timestamp, stopped: &mut Stopped) -> Result<(), Halt> {
        let Some(oldest) = self.list.kept_for().map(|kept| now.saturating_sub(kept)) else { return Ok(()) };
        let from = self.cursor();
        if from >= oldest {
            return Ok(());
        }
        let oldest = Timestamp::from_seconds(oldest.as_nanos().div_euclid(1_000_000_000));
        let source = self.place.source.as_str();
        tracing::error!(source, %from, to = %oldest, "the service keeps no longer what became available in this time");
        self.shared.intake.count_dropped(source, "gone", 1);
        self.settle(oldest, stopped).await
    }

    /// Stores what became available in a window; says how many items there are, or nothing when it is too much. An item
    /// that fails keeps no other from being stored, but the window is not read then.
    async fn read(&mut self, window: Window, stopped: &mut Stopped) -> Result<Option<usize>, Halt> {
        let Window { from, to, .. } = window;
        let is_shortest = to.since(from) <= WINDOW_MIN;
        let mut next = Some(self.list.first_page(self.shared, from, to));
        let (mut num_items, mut num_pages) = (0, 0);
        let mut failed = Failed::default();
        while let Some(url) = next.take() {
            num_pages += 1;
            if num_pages > PAGES_MAX {
                return Err(Failure::Unexpected("a list does not end").into());
            }
            let session = self.list.session(self.shared);
            let answer = match session.get(self.shared, "listing", &url, stopped).await {
                Err(Halt::Failed(failure)) if failure.is_too_large() && is_shortest => {
                    return Err(Failure::PageTooLarge(from).into());
                }
                Err(Halt::Failed(failure)) if failure.is_too_large() => return Ok(None),
                other => other?,
            };
            let page = self.list.page(&answer)?;
            drop(answer);
            let is_within = |item: &Item| item.time.is_none_or(|time| from <= time && time < to);
            let items: Vec<Item> = page.items.into_iter().filter(is_within).collect();
            num_items += items.len();
            self.store_all(items, window, &mut failed, stopped).await?;
            if num_items > ITEMS_MAX && !is_shortest {
                return Ok(None);
            }
            next = page.next.map(|url| self.list.named(self.shared, &url));
        }
        failed.first.map_or(Ok(Some(num_items)), |failure| Err(failure.into()))
    }

    /// Stores those items of a page that are not. It goes on behind those that fail, unless too many do.
    async fn store_all(
        &mut self,
        items: Vec<Item>,
        window: Window,
        failed: &mut Failed,
        stopped: &mut Stopped,
    ) -> Result<(), Halt> {
        let mut new: Vec<(Item, String, ResumePoint)> = Vec::new();
        for item in items {
            let producer = format!("{}{}", self.prefix, digest(item.id.as_bytes()));
            // Without a time of its own it is remembered as long as any of its window.
            let millis = item.time.unwrap_or(window.to).as_nanos().div_euclid(1_000_000);
            let begin = (u128::try_from(millis).unwrap_or_default(), 0);
            let mark = self.marks.get(&producer).copied().unwrap_or(begin);
            // A page may name an item twice.
            if mark.1 != DONE && !new.iter().any(|(_, other, _)| *other == producer) {
                new.push((item, producer, mark));
            }
        }
        let mut new = new.into_iter().peekable();
        while new.peek().is_some() {
            let some = new.by_ref().take(self.list.at_once());
            let settled = window.settled;
            let stores = some.map(|(item, producer, mark)| store(self, item, producer, mark, settled, stopped.clone()));
            let stored = join_all(stores).await;
            let mut is_stopped = false;
            for (producer, mark, outcome) in stored {
                // Also what was stored of an item that is not stored whole.
                if mark.1 > 0 {
                    self.marks.insert(producer, mark);
                }
                match outcome {
                    Ok(()) => failed.in_a_row = 0,
                    Err(Halt::Stopped) => is_stopped = true,
                    Err(Halt::Failed(failure)) => {
                        failed.in_a_row += 1;
                        failed.first.get_or_insert(failure);
                    }
                }
            }
            if is_stopped {
                return Err(Halt::Stopped);
            }
            if failed.in_a_row >= FAILED_MAX
                && let Some(failure) = failed.first.take()
            {
                return Err(failure.into());
            }
        }
        Ok(())
    }

    /// Moves the cursor, and then lets the store forget the items before it.
    async fn settle(&mut self, to: Timestamp, stopped: &mut Stopped) -> Result<(), Halt> {
        if to > self.cursor() {
            self.stand_at(to, stopped).await?;
        }
        let cursor = u128::from(self.place.next);
        let passed = self.marks.iter().filter(|(_, (millis, _))| *millis < cursor);
        let passed: Vec<(String, ResumePoint)> = passed.map(|(producer, mark)| (producer.clone(), *mark)).collect();
        for some in passed.chunks(64) {
            let forget = some.iter().map(|(producer, mark)| forget(self.shared, producer, *mark, stopped.clone()));
            let mut outcome = Ok(());
            for ((producer, _), stored) in some.iter().zip(join_all(forget).await) {
                match taken(stored, "the store refuses to forget what of a list is stored") {
                    Ok(()) => drop(self.marks.remove(producer)),
                    halt => outcome = halt,
                }
            }
            outcome?;
        }
        Ok(())
    }

    async fn stand_at(&mut self, time: Timestamp, stopped: &mut Stopped) -> Result<(), Halt> {
        let millis = u64::try_from(time.as_nanos().div_euclid(1_000_000)).unwrap_or_default();
        let (shared, before) = (self.shared, (self.place.epoch, self.place.next));
        let stored = self.place.stand_at(&shared.intake, &shared.label, (0, millis), stopped).await;
        if stored != Stored::Yes {
            // No mark may go that the cursor which is remembered still needs.
            self.place.resume(before);
        }
        taken(stored, "the store refuses to remember how far a list was read")
    }
}

/// Items of a window that could not be stored.
#[derive(Default)]
struct Failed {
    /// Why the first of them was not.
    first: Option<Failure>,
    /// How many were not since one was.
    in_a_row: usize,
}

/// Whether the store took what nothing can go on without; what it refused is tried again later.
fn taken(stored: Stored, refused: &'static str) -> Result<(), Halt> {
    match stored {
        Stored::Yes => Ok(()),
        Stored::Refused => Err(Failure::Unexpected(refused).into()),
        Stored::Stopped => Err(Halt::Stopped),
    }
}

/// Stores the records of an item that are not stored; answers its mark.
async fn store(
    feed: &Feed<'_>,
    item: Item,
    producer: String,
    mut mark: ResumePoint,
    settled: Timestamp,
    mut stopped: Stopped,
) -> (String, ResumePoint, Result<(), Halt>) {
    let outcome = match records_of(feed, &item, settled, &mut stopped).await {
        Ok(Some(portions)) => store_portions(feed, &item, portions, (&producer, &mut mark), &mut stopped).await,
        Ok(None) => Ok(()),
        Err(halt) => Err(halt),
    };
    (producer, mark, outcome)
}

/// The records of an item; nothing when it is not there yet.
async fn records_of(
    feed: &Feed<'_>,
    item: &Item,
    settled: Timestamp,
    stopped: &mut Stopped,
) -> Result<Option<Vec<Decoded>>, Halt> {
    let (shared, source) = (feed.shared, feed.place.source.as_str());
    let url = match &item.content {
        Content::Record(record) => return Ok(Some(decode(feed, record.get().as_bytes()))),
        Content::At(url) => feed.list.named(shared, url),
    };
    let failure = match feed.list.session(shared).get(shared, "fetching content", &url, stopped).await {
        Ok(answer) => return Ok(Some(decode(feed, &answer.body))),
        Err(Halt::Failed(failure)) => failure,
        Err(halt) => return Err(halt),
    };
    let is_last_look = item.time.is_none_or(|time| time < settled);
    let reason = match () {
        () if failure.is_too_large() => "too_long",
        () if failure.is_expired() || (failure.is_missing() && is_last_look) => "gone",
        // What was just listed may be a little late itself.
        () if failure.is_missing() => return Ok(None),
        () => return Err(failure.into()),
    };
    tracing::error!(source, id = %item.id, reason = %failure, "content is left out");
    shared.intake.count_dropped(source, reason, 1);
    // Nothing to store but that it is done with.
    Ok(Some(vec![Decoded::default()]))
}

/// Stores those portions of an item that are not; the last takes the mark to the end.
async fn store_portions(
    feed: &Feed<'_>,
    item: &Item,
    portions: Vec<Decoded>,
    (producer, mark): (&str, &mut ResumePoint),
    stopped: &mut Stopped,
) -> Result<(), Halt> {
    let (shared, source) = (feed.shared, feed.place.source.as_str());
    let (last, mut records) = (portions.len().saturating_sub(1), 0);
    for (index, portion) in portions.into_iter().enumerate() {
        records += portion.records;
        let sequence = if index == last { DONE } else { records };
        if sequence <= mark.1 {
            continue;
        }
        let key = key(producer, (mark.0, sequence), KeyLife::Cursor);
        let submission = Submission { batches: portion.batches, quarantined: portion.quarantined, key: Some(key) };
        match shared.intake.submit(&shared.label, &submission, stopped).await {
            Stored::Yes => {}
            Stored::Refused => {
                let dropped = num_records(&submission);
                let passed = Submission { key: submission.key, ..Submission::default() };
                let stored = shared.intake.submit(&shared.label, &passed, stopped).await;
                taken(stored, "the store refuses to remember what is left out")?;
                // Only now: until it is passed over it is tried again.
                tracing::error!(source, id = %item.id, "records are left out");
                shared.intake.count_dropped(source, "refused", dropped);
            }
            Stored::Stopped => return Err(Halt::Stopped),
        }
        mark.1 = sequence;
    }
    Ok(())
}

/// The portions of an item: the same for the same bytes, and one at least.
fn decode(feed: &Feed<'_>, bytes: &[u8]) -> Vec<Decoded> {
    let source = SourceName::lossy(feed.place.source.as_str());
    let mut options = feed.shared.intake.decode_options(source, Delivery::ExactlyOnce);
    options.fallback_table = feed.list.table();
    let mut decoder = Decoder::new(Format::Json, options);
    let mut portions = Vec::new();
    decoder.feed(bytes, &mut |portion| portions.push(portion));
    decoder.finish(&mut |portion| portions.push(portion));
    portions.retain(|portion: &Decoded| portion.records > 0);
    if portions.is_empty() {
        portions.push(Decoded::default());
    }
    portions
}

async fn forget(shared: &Shared, producer: &str, mark: ResumePoint, mut stopped: Stopped) -> Stored {
    let submission = Submission { key: Some(key(producer, mark, KeyLife::Forgotten)), ..Submission::default() };
    shared.intake.submit(&shared.label, &submission, &mut stopped).await
}

fn key(producer: &str, (epoch, sequence): ResumePoint, life: KeyLife) -> IdempotencyKey {
    IdempotencyKey { producer: producer.to_owned(), epoch, sequence, life }
}
