//! One file by name, through rotation and truncation.
//!
//! What a file held when it was renamed, copied and truncated, or compressed is read on from where it lies now. Where that
//! is nowhere, what it held last is lost, perhaps nothing: that is counted as one dropped record and said in the log.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use encoding_rs::Encoding;
use moneta_base::SourceName;
use moneta_event::frame::body::PRODUCER_BYTES_MAX;
use moneta_formats::Decoded;
use moneta_ports::{IdempotencyKey, KeyLife, NoRoomToRemember, Submission};
use regex::Regex;
use tokio::fs::File;
use tokio::time::Instant;

use super::COLLECTOR;
use super::content::Content;
use super::encoding::{Transcoder, decoded_head, detect};
use super::life::{Life, fingerprint, rotated_fingerprint};
use super::patterns::is_unreadable;
use super::reader::{Kind, Reader};
use super::rotated::{self, Found, Sibling};
use crate::collector::Stopped;
use crate::intake::{Intake, ResumePoints, Stored, digest};

/// Beginning of a file's name as a producer; its path follows, or a hash of one that is too long.
pub(super) const PRODUCER_PREFIX: &str = "collect/file/";
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes read from one file before the others have their turn.
const TURN_BYTES: u64 = 4 << 20;
/// How long a file that was renamed or removed is read on: its writer may not know yet.
const ROTATED_GRACE: Duration = Duration::from_secs(2);

/// Whether a file had more than was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    Idle,
}

/// Follows the file of one name.
pub(super) struct Follower {
    path: PathBuf,
    /// The encoding of text that is no Unicode.
    fallback: Option<&'static Encoding>,
    /// How a record begins, where records span lines.
    start: Option<Regex>,
    producer: String,
    current: Option<Current>,
    /// The store has been asked how far this file was read.
    resumed: bool,
    /// Since when the name leads to another file, or to none, without the old one growing.
    left_behind: Option<Instant>,
    /// An inode, and its size when it was found not to be a text file.
    not_text: Option<(u64, u64)>,
    /// The generation of the next file of this name: an inode may come again.
    next_generation: u32,
    /// What was read to its end and has another name: what was rotated away after it comes next.
    finished: Option<Finished>,
    gone: bool,
    last_error: Option<io::ErrorKind>,
}

/// Files of one name that were rotated away and read to their end, without one in between that still has it.
struct Finished {
    inodes: Vec<u64>,
    /// When the last of them was written last.
    written: SystemTime,
}

/// The open file.
struct Current {
    content: Content,
    /// Where it lies, which is not where its life was written if it is a copy.
    inode: u64,
    life: Life,
    source: SourceName,
    reader: Reader,
    transcoder: Transcoder,
    /// Position of the next byte to read.
    offset: u64,
    /// When it had been written last at the last look.
    written: SystemTime,
    /// It was truncated and holds no line yet.
    is_empty: bool,
}

/// What was lost, for the metric of dropped records and the log.
#[derive(Debug, Clone, Copy)]
enum Loss {
    /// The file is not the one that was read, and that one lies nowhere.
    Gone,
    /// It was truncated, and there is no copy of it.
    Truncated,
    /// The compressed file that it became cannot be read.
    Unreadable,
}

impl Loss {
    const fn reason(self) -> &'static str {
        match self {
            Self::Gone => "file_gone",
            Self::Truncated => "file_truncated",
            Self::Unreadable => "file_unreadable",
        }
    }
}

impl Follower {
    pub(super) fn new(path: PathBuf, fallback: Option<&'static Encoding>, start: Option<Regex>) -> Self {
        let name = path.display().to_string();
        let fits = PRODUCER_PREFIX.len() + name.len() <= PRODUCER_BYTES_MAX;
        let name = if fits { name } else { digest(path.as_os_str().as_encoded_bytes()) };
        let producer = format!("{PRODUCER_PREFIX}{name}");
        Self {
            path,
            fallback,
            start,
            producer,
            current: None,
            resumed: false,
            left_behind: None,
            not_text: None,
            next_generation: 0,
            finished: None,
            gone: false,
            last_error: None,
        }
    }

    /// Whether the file is no more and everything of it was read.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Logs an error once, until another one comes.
    pub(super) fn report(&mut self, error: &io::Error) {
        if self.last_error.replace(error.kind()) != Some(error.kind()) {
            tracing::warn!(path = %self.path.display(), %error, "file cannot be read");
        }
    }

    /// Reads and stores what is new.
    pub(super) async fn poll(
        &mut self,
        intake: &Intake,
        resume: &dyn ResumePoints,
        stopped: &mut Stopped,
    ) -> io::Result<Progress> {
        if self.current.is_none() {
            self.open(intake, resume).await?;
        }
        let Some(current) = &mut self.current else { return Ok(Progress::Idle) };
        if current.was_truncated().await? {
            return self.leave_truncated(intake, stopped).await;
        }
        if current.is_empty {
            self.begin_again(intake, fingerprint).await?;
            self.check_name(intake, stopped).await?;
            return Ok(Progress::Idle);
        }
        let before = current.offset;
        let progress = match current.read(intake, &self.producer, stopped).await {
            Ok(progress) => progress,
            Err(error) if error.kind() == io::ErrorKind::InvalidData && current.content.is_packed() => {
                self.tell_lost(intake, Loss::Unreadable, &error.to_string());
                self.let_go(intake, stopped).await?;
                return Ok(Progress::More);
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::StorageFull {
                    // Read again from the start, once it can be remembered how far.
                    (self.current, self.resumed, self.finished) = (None, false, None);
                }
                return Err(error);
            }
        };
        self.last_error = None;
        if current.offset > before {
            self.left_behind = None;
            return Ok(progress);
        }
        self.check_name(intake, stopped).await?;
        Ok(progress)
    }

    /// Opens the file of the name, at the position that is stored.
    async fn open(&mut self, intake: &Intake, resume: &dyn ResumePoints) -> io::Result<()> {
        // Opened before others are looked for: what is rotated away meanwhile is then among them.
        let file = match File::open(&self.path).await {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        if let Some((rotated, written)) = self.next_rotated(intake).await? {
            return self.begin_rotated(intake, rotated, written).await;
        }
        let Some(file) = file else {
            self.gone = true;
            return Ok(());
        };
        let mut content = Content::plain(file);
        let metadata = content.metadata().await?;
        let (inode, size) = (metadata.ino(), metadata.len());
        if self.resumed && (size == 0 || self.not_text == Some((inode, size))) {
            return Ok(());
        }
        let head = content.head().await?;
        // Without a whole first line one life of the file cannot be told from another.
        let print = fingerprint(&head);
        let stored = if self.resumed { None } else { resume.resume_point(&self.producer).await };
        let known = stored.and_then(|point| Life::of_epoch(point.0, print?, inode)).filter(|life| life.inode == inode);
        let (life, offset) = match (stored, known) {
            (Some(point), Some(life)) if point.1 <= size => (Some(life), point.1),
            (Some(point), known) => {
                if let Some(found) = rotated::find(&self.path, point, inode, None).await? {
                    return self.resume_rotated(intake, found, point.1).await;
                }
                let loss = if known.is_some() { Loss::Truncated } else { Loss::Gone };
                self.tell_lost(intake, loss, &format!("it had been read up to byte {}", point.1));
                self.next_generation = known.map_or(0, |life| life.next_generation());
                (None, 0)
            }
            (None, _) => (None, 0),
        };
        self.resumed = true;
        let Some(life) = life.or_else(|| Some(Life::new(inode, print?, self.next_generation))) else { return Ok(()) };
        let (kind, encoding) = self.judge(intake, &head);
        if matches!(kind, Kind::Other) {
            self.not_text = Some((inode, size));
            return Ok(());
        }
        self.current = Current::start(intake, &self.path, content, life, kind, encoding, offset).await?;
        if self.current.is_some() {
            // Not before: what is rotated away until then comes before it.
            self.finished = None;
        }
        Ok(())
    }

    /// Says that something is lost, or may be.
    fn tell_lost(&self, intake: &Intake, loss: Loss, more: &str) {
        let reason = loss.reason();
        tracing::warn!(path = %self.path.display(), reason, more, "records of a followed file may be lost");
        intake.count_dropped(source_of(&self.path).as_str(), reason, 1);
    }

    /// What a file is, and how its text is encoded.
    fn judge(&self, intake: &Intake, head: &[u8]) -> (Kind, &'static Encoding) {
        let of_source = intake.senders.encoding(source_of(&self.path).as_str());
        let encoding = detect(head, of_source.or(self.fallback));
        let text = decoded_head(head, encoding);
        let kind = match &self.start {
            Some(start) if !text.contains(&0) => Kind::Records(start.clone()),
            _ => Kind::of(intake, &self.path.to_string_lossy(), &text),
        };
        (kind, encoding)
    }

    /// Reads the rest of a rotated file first; the file of the name comes after it.
    async fn resume_rotated(&mut self, intake: &Intake, found: Found, offset: u64) -> io::Result<()> {
        let Found { content, head, life, .. } = found;
        let (kind, encoding) = self.judge(intake, &head);
        self.next_generation = life.next_generation();
        self.current = Current::start(intake, &self.path, content, life, kind, encoding, offset).await?;
        self.resumed = true;
        Ok(())
    }

    /// The first of the files that had this name after what is finished, and when it was written last: it was rotated
    /// away before it could be opened. An error says that it cannot be told whether there is one: the next look may tell.
    async fn next_rotated(&mut self, intake: &Intake) -> io::Result<Option<(Content, SystemTime)>> {
        let Some(finished) = &mut self.finished else { return Ok(None) };
        let mut rotations = rotated::rotations(&self.path).await?;
        // The inode of a file that is no more may come again.
        finished.inodes.retain(|finished| rotations.iter().any(|rotation| rotation.inode == *finished));
        rotations.retain(|rotation| rotation.written > finished.written && !finished.inodes.contains(&rotation.inode));
        for Sibling { written, inode, path } in rotations {
            if is_unreadable(&path) {
                self.tell_lost(intake, Loss::Unreadable, &path.display().to_string());
                self.finish(inode, written);
                continue;
            }
            match Content::open(&path).await {
                Ok(content) if content.metadata().await?.ino() == inode => return Ok(Some((content, written))),
                Ok(_) => return Err(rotated::moved_meanwhile()),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    self.tell_lost(intake, Loss::Unreadable, &format!("{}: {error}", path.display()));
                    self.finish(inode, written);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads a rotated file that was never opened, from its beginning.
    async fn begin_rotated(&mut self, intake: &Intake, mut content: Content, written: SystemTime) -> io::Result<()> {
        let inode = content.metadata().await?.ino();
        let head = match content.head().await {
            Ok(head) => head,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                self.tell_lost(intake, Loss::Unreadable, &error.to_string());
                Vec::new()
            }
            Err(error) => return Err(error),
        };
        let (kind, encoding) = self.judge(intake, &head);
        if let Some(fingerprint) = rotated_fingerprint(&head) {
            let life = Life::new(inode, fingerprint, self.next_generation);
            self.current = Current::start(intake, &self.path, content, life, kind, encoding, 0).await?;
        }
        // Whatever it turned out to be, it is not looked at again; where it could not be read, it is.
        self.finish(inode, written);
        Ok(())
    }

    fn finish(&mut self, inode: u64, written: SystemTime) {
        let finished = self.finished.get_or_insert(Finished { inodes: Vec::new(), written });
        finished.inodes.push(inode);
        finished.written = written;
    }

    /// Goes on in the copy that was made of a file before it was truncated; where there is none, begins the file anew.
    async fn leave_truncated(&mut self, intake: &Intake, stopped: &mut Stopped) -> io::Result<Progress> {
        let Some(current) = &mut self.current else { return Ok(Progress::Idle) };
        let point = (current.life.epoch, current.offset);
        if let Some(found) = rotated::find(&self.path, point, current.inode, Some(current.written)).await? {
            current.content = found.content;
            current.inode = found.inode;
            return Ok(Progress::More);
        }
        current.reader.end_of_file();
        let rest = current.reader.take(true);
        current.store(intake, &self.producer, rest, Room::Waited, stopped).await?;
        current.is_empty = true;
        let more = format!("it had been read up to byte {}", point.1);
        self.tell_lost(intake, Loss::Truncated, &more);
        self.begin_again(intake, fingerprint).await?;
        Ok(Progress::More)
    }

    /// Begins a truncated file anew, once there is enough to know it by.
    async fn begin_again(&mut self, intake: &Intake, known_by: fn(&[u8]) -> Option<&[u8]>) -> io::Result<()> {
        let Some(mut old) = self.current.take() else { return Ok(()) };
        let head = match old.content.head().await {
            Ok(head) => head,
            Err(error) => {
                self.current = Some(old);
                return Err(error);
            }
        };
        let Some(print) = known_by(&head) else {
            // Not a line yet: keep the file and its generation until there is one.
            self.current = Some(old);
            return Ok(());
        };
        let (kind, encoding) = self.judge(intake, &head);
        self.next_generation = old.life.next_generation();
        let life = Life::new(old.inode, print, self.next_generation);
        self.current = Current::start(intake, &self.path, old.content, life, kind, encoding, 0).await?;
        Ok(())
    }

    /// Lets go of a file that has another name now, or none, once it has been quiet for a while.
    async fn check_name(&mut self, intake: &Intake, stopped: &mut Stopped) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let same = match tokio::fs::metadata(&self.path).await {
            Ok(metadata) => metadata.ino() == current.inode,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if same {
            self.left_behind = None;
            return Ok(());
        }
        let since = *self.left_behind.get_or_insert_with(Instant::now);
        if !current.is_copy() && since.elapsed() < ROTATED_GRACE {
            return Ok(());
        }
        if current.is_empty {
            // What there is of a line is all that there will be.
            self.begin_again(intake, rotated_fingerprint).await?;
            if self.current.as_ref().is_some_and(|current| !current.is_empty) {
                return Ok(());
            }
        }
        self.let_go(intake, stopped).await
    }

    /// Stores what is begun of a file and closes it.
    async fn let_go(&mut self, intake: &Intake, stopped: &mut Stopped) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        current.reader.end_of_file();
        let rest = current.reader.take(true);
        // It cannot be read again under this name, so room to remember it is waited for.
        current.store(intake, &self.producer, rest, Room::Waited, stopped).await?;
        self.next_generation = current.life.next_generation();
        let (inode, written) = (current.inode, current.content.metadata().await?.modified()?);
        self.finish(inode, written);
        self.current = None;
        self.left_behind = None;
        Ok(())
    }
}

/// What is to happen where there is no room to remember how far a file was read.
#[derive(Debug, Clone, Copy)]
enum Room {
    /// It is an error: the file is read again later.
    Needed,
    /// It is waited for.
    Waited,
}

impl Current {
    async fn start(
        intake: &Intake,
        path: &Path,
        mut content: Content,
        life: Life,
        kind: Kind,
        encoding: &'static Encoding,
        offset: u64,
    ) -> io::Result<Option<Self>> {
        let name = path.to_string_lossy();
        // The header of a W3C log says what its lines mean: it is read again.
        let from_start = matches!(kind, Kind::Lines(format) if format.needs_beginning());
        let source = source_of(path);
        let first = if from_start { 0 } else { offset };
        let Some(mut reader) = Reader::new(intake, kind, &name, source.clone(), first) else {
            return Ok(None);
        };
        let mut transcoder = Transcoder::new(encoding, first);
        if from_start {
            content.seek(0).await?;
            let mut buffer = vec![0; READ_BYTES];
            let mut left = offset;
            while left > 0 {
                let wanted = usize::try_from(left).unwrap_or(READ_BYTES).min(READ_BYTES);
                let len = content.read(&mut buffer[..wanted]).await?;
                if len == 0 {
                    break;
                }
                left -= len as u64;
                transcoder.feed(&buffer[..len], |text| reader.feed(intake, text));
                reader.take(false);
            }
            reader.take(true);
        }
        let metadata = content.metadata().await?;
        let (inode, written) = (metadata.ino(), metadata.modified()?);
        let is_empty = false;
        Ok(Some(Self { content, inode, life, source, reader, transcoder, offset, written, is_empty }))
    }

    /// Whether the file is shorter than what was read, or begins otherwise.
    async fn was_truncated(&mut self) -> io::Result<bool> {
        if self.is_empty || self.is_copy() {
            return Ok(false);
        }
        let metadata = self.content.metadata().await?;
        let (size, written) = (metadata.len(), metadata.modified()?);
        let was_written = size != self.offset || written != self.written;
        if size < self.offset || was_written && !self.begins_as_before().await? {
            return Ok(true);
        }
        self.written = written;
        Ok(false)
    }

    /// Whether it is a copy of the file it was: nobody writes to that.
    fn is_copy(&self) -> bool {
        self.inode != self.life.inode || self.content.is_packed()
    }

    async fn begins_as_before(&mut self) -> io::Result<bool> {
        let (mut beginning, mut filled) = (vec![0; self.life.fingerprint.len()], 0);
        self.content.seek(0).await?;
        while filled < beginning.len() {
            match self.content.read(&mut beginning[filled..]).await? {
                0 => break,
                len => filled += len,
            }
        }
        Ok(beginning[..filled] == self.life.fingerprint)
    }

    /// Reads to the end, or as far as one turn goes, and stores the lines.
    async fn read(&mut self, intake: &Intake, producer: &str, stopped: &mut Stopped) -> io::Result<Progress> {
        self.content.seek(self.offset).await?;
        let mut buffer = vec![0; READ_BYTES];
        let turn_end = self.offset.saturating_add(TURN_BYTES);
        let mut progress = Progress::More;
        while self.offset < turn_end {
            let len = self.content.read(&mut buffer).await?;
            if len == 0 {
                progress = Progress::Idle;
                break;
            }
            self.transcoder.feed(&buffer[..len], |text| self.reader.feed(intake, text));
            self.offset += len as u64;
            let full = self.reader.take(false);
            if !self.store(intake, producer, full, Room::Needed, stopped).await? {
                return Ok(Progress::Idle);
            }
        }
        let rest = self.reader.take(true);
        self.store(intake, producer, rest, Room::Needed, stopped).await?;
        Ok(progress)
    }

    /// Stores portions in order, each under its position; `false` when the collector had to stop first. What was not
    /// stored then is read again after the next start; an error says that it can be later.
    async fn store(
        &mut self,
        intake: &Intake,
        producer: &str,
        portions: Vec<Decoded>,
        room: Room,
        stopped: &mut Stopped,
    ) -> io::Result<bool> {
        for decoded in portions.into_iter().filter(|decoded| decoded.records > 0) {
            let key = IdempotencyKey {
                producer: producer.to_owned(),
                epoch: self.life.epoch,
                sequence: self.transcoder.file_position(decoded.cursor),
                life: KeyLife::Cursor,
            };
            let records = decoded.records;
            let submission = Submission { batches: decoded.batches, quarantined: decoded.quarantined, key: Some(key) };
            let stored = match room {
                Room::Waited => Some(intake.submit(COLLECTOR, &submission, stopped).await),
                Room::Needed => intake.submit_if_remembered(COLLECTOR, &submission, stopped).await,
            };
            match stored {
                Some(Stored::Yes) => {}
                Some(Stored::Refused) => intake.count_dropped(self.source.as_str(), "refused", records),
                Some(Stored::Stopped) => return Ok(false),
                None => return Err(io::Error::new(io::ErrorKind::StorageFull, NoRoomToRemember)),
            }
        }
        Ok(true)
    }
}

fn source_of(path: &Path) -> SourceName {
    SourceName::lossy(&format!("file/{}", path.to_string_lossy()))
}
