//! One file by name, through rotation and truncation.

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use encoding_rs::Encoding;
use moneta_base::SourceName;
use moneta_event::frame::body::PRODUCER_BYTES_MAX;
use moneta_formats::{Decoded, HEAD_BYTES};
use moneta_merkle::sha256;
use moneta_ports::{IdempotencyKey, KeyLife, NoRoomToRemember, Submission};
use regex::Regex;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio::time::Instant;

use super::COLLECTOR;
use super::encoding::{Transcoder, decoded_head, detect};
use super::patterns::is_rotation_of;
use super::reader::{Kind, Reader};
use crate::collector::Stopped;
use crate::intake::{Intake, ResumePoints, Stored, digest};

/// Beginning of a file's name as a producer; its path follows, or a hash of one that is too long.
pub(super) const PRODUCER_PREFIX: &str = "collect/file/";
/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;
/// Bytes read from one file before the others have their turn.
const TURN_BYTES: u64 = 4 << 20;
/// Bytes of the first line that tell one life of a file from another.
const FINGERPRINT_BYTES: usize = 256;
/// Lives of one inode that are told apart when they begin with the same line.
const GENERATIONS_MAX: u32 = 64;
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

/// What tells one life of a file from another.
struct Life<'a> {
    inode: u64,
    fingerprint: &'a [u8],
    generation: u32,
}

/// The open file.
struct Current {
    file: File,
    inode: u64,
    fingerprint: Vec<u8>,
    generation: u32,
    epoch: u128,
    source: SourceName,
    reader: Reader,
    transcoder: Transcoder,
    /// Position of the next byte to read.
    offset: u64,
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
            let generation = (current.generation + 1) % GENERATIONS_MAX;
            return self.restart(intake, generation).await;
        }
        let before = current.offset;
        let progress = match current.read(intake, &self.producer, stopped).await {
            Ok(progress) => progress,
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
        if let Some((rotated, written)) = self.next_rotated().await? {
            return self.begin_rotated(intake, rotated, written).await;
        }
        let Some(mut file) = file else {
            self.gone = true;
            return Ok(());
        };
        let metadata = file.metadata().await?;
        let (inode, size) = (metadata.ino(), metadata.len());
        if size == 0 || self.not_text == Some((inode, size)) {
            return Ok(());
        }
        let head = head_of(&mut file).await?;
        let (kind, encoding) = self.judge(intake, &head);
        if matches!(kind, Kind::Other) {
            self.not_text = Some((inode, size));
            return Ok(());
        }
        // Without a whole first line one life of the file cannot be told from another.
        let Some(fingerprint) = fingerprint(&head) else { return Ok(()) };
        let stored = if self.resumed { None } else { resume.resume_point(&self.producer).await };
        let (generation, offset) = match stored.map(|point| (place(inode, fingerprint, point, size), point)) {
            None => (self.next_generation, 0),
            Some((Some(place), _)) => place,
            Some((None, point)) => {
                if let Some(rotated) = self.find_rotated(point).await {
                    self.resumed = true;
                    return self.resume_rotated(intake, rotated, point).await;
                }
                (0, 0)
            }
        };
        self.resumed = true;
        let life = Life { inode, fingerprint, generation };
        self.current = Current::start(intake, &self.path, file, life, kind, encoding, offset).await?;
        if self.current.is_some() {
            // Not before: what is rotated away until then comes before it.
            self.finished = None;
        }
        Ok(())
    }

    /// What a file is, and how its text is encoded.
    fn judge(&self, intake: &Intake, head: &[u8]) -> (Kind, &'static Encoding) {
        let encoding = detect(head, self.fallback);
        let text = decoded_head(head, encoding);
        let kind = match &self.start {
            Some(start) if !text.contains(&0) => Kind::Records(start.clone()),
            _ => Kind::of(intake, &self.path.to_string_lossy(), &text),
        };
        (kind, encoding)
    }

    /// The file that had this name when it was stored last, under the name it was rotated to.
    async fn find_rotated(&self, point: (u128, u64)) -> Option<PathBuf> {
        let name = self.path.file_name()?.to_str()?.to_owned();
        let mut entries = tokio::fs::read_dir(self.path.parent()?).await.ok()?;
        while let Ok(Some(entry)) = entries.next_entry().await {
            let other = entry.file_name();
            let is_sibling = other.to_str().is_some_and(|other| other != name && other.starts_with(&name));
            if !is_sibling {
                continue;
            }
            let Ok(mut file) = File::open(entry.path()).await else { continue };
            let (Ok(metadata), Ok(head)) = (file.metadata().await, head_of(&mut file).await) else { continue };
            let found =
                rotated_fingerprint(&head).and_then(|print| place(metadata.ino(), print, point, metadata.len()));
            if found.is_some_and(|(_, offset)| offset == point.1) {
                return Some(entry.path());
            }
        }
        None
    }

    /// Reads the rest of a rotated file first; the file of the name comes after it.
    async fn resume_rotated(&mut self, intake: &Intake, path: PathBuf, point: (u128, u64)) -> io::Result<()> {
        let mut file = File::open(&path).await?;
        let metadata = file.metadata().await?;
        let head = head_of(&mut file).await?;
        let Some(print) = rotated_fingerprint(&head) else { return Ok(()) };
        let Some((generation, offset)) = place(metadata.ino(), print, point, metadata.len()) else { return Ok(()) };
        let (kind, encoding) = self.judge(intake, &head);
        let life = Life { inode: metadata.ino(), fingerprint: print, generation };
        self.current = Current::start(intake, &self.path, file, life, kind, encoding, offset).await?;
        Ok(())
    }

    /// The first of the files that had this name after what is finished, and when it was written last: it was rotated
    /// away before it could be opened. An error says that it cannot be told whether there is one: the next look may tell.
    async fn next_rotated(&mut self) -> io::Result<Option<(File, SystemTime)>> {
        let (Some(finished), Some(directory)) = (&mut self.finished, self.path.parent()) else { return Ok(None) };
        let mut entries = match tokio::fs::read_dir(directory).await {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut rotated = Vec::new();
        while let Some(entry) = entries.next_entry().await? {
            if is_rotation_of(&self.path, &entry.path()) {
                // Of one that is no more it is not known whether it has another name now.
                let metadata = entry.metadata().await?;
                if metadata.is_file() {
                    rotated.push((metadata.modified()?, metadata.ino(), entry.path()));
                }
            }
        }
        // The inode of a file that is no more may come again.
        finished.inodes.retain(|finished| rotated.iter().any(|(_, inode, _)| inode == finished));
        rotated.retain(|(written, inode, _)| *written > finished.written && !finished.inodes.contains(inode));
        rotated.sort();
        for (written, inode, path) in rotated {
            match File::open(&path).await {
                Ok(file) if file.metadata().await?.ino() == inode => return Ok(Some((file, written))),
                Ok(_) => return Err(io::Error::other("it was rotated while its rotated files were looked for")),
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    tracing::warn!(path = %path.display(), %error, "a file that was rotated away is left out");
                    self.finish(inode, written);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Reads a rotated file that was never opened, from its beginning.
    async fn begin_rotated(&mut self, intake: &Intake, mut file: File, written: SystemTime) -> io::Result<()> {
        let inode = file.metadata().await?.ino();
        let head = head_of(&mut file).await?;
        let (kind, encoding) = self.judge(intake, &head);
        if let Some(fingerprint) = rotated_fingerprint(&head) {
            let life = Life { inode, fingerprint, generation: self.next_generation };
            self.current = Current::start(intake, &self.path, file, life, kind, encoding, 0).await?;
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

    /// Begins the file anew after it was truncated.
    async fn restart(&mut self, intake: &Intake, generation: u32) -> io::Result<Progress> {
        let Some(mut old) = self.current.take() else { return Ok(Progress::Idle) };
        let head = head_of(&mut old.file).await?;
        let Some(print) = fingerprint(&head) else {
            // Not a line yet: keep the file and its generation until there is one.
            old.offset = u64::MAX;
            self.current = Some(old);
            return Ok(Progress::Idle);
        };
        let (kind, encoding) = self.judge(intake, &head);
        let life = Life { inode: old.inode, fingerprint: print, generation };
        self.current = Current::start(intake, &self.path, old.file, life, kind, encoding, 0).await?;
        Ok(Progress::More)
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
        if since.elapsed() >= ROTATED_GRACE {
            current.reader.end_of_file();
            let rest = current.reader.take(true);
            // It cannot be read again under this name, so room to remember it is waited for.
            current.store(intake, &self.producer, rest, Room::Waited, stopped).await?;
            self.next_generation = (current.generation + 1) % GENERATIONS_MAX;
            let (inode, written) = (current.inode, current.file.metadata().await?.modified()?);
            self.finish(inode, written);
            self.current = None;
            self.left_behind = None;
        }
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
        mut file: File,
        life: Life<'_>,
        kind: Kind,
        encoding: &'static Encoding,
        offset: u64,
    ) -> io::Result<Option<Self>> {
        let name = path.to_string_lossy();
        // The header of a W3C log says what its lines mean: it is read again.
        let from_start = matches!(kind, Kind::Lines(format) if format.needs_beginning());
        let source = SourceName::lossy(&format!("file/{name}"));
        let first = if from_start { 0 } else { offset };
        let Some(mut reader) = Reader::new(intake, kind, &name, source.clone(), first) else {
            return Ok(None);
        };
        let mut transcoder = Transcoder::new(encoding, first);
        if from_start {
            file.seek(SeekFrom::Start(0)).await?;
            let mut again = (&mut file).take(offset);
            let mut buffer = vec![0; READ_BYTES];
            loop {
                let len = again.read(&mut buffer).await?;
                if len == 0 {
                    break;
                }
                transcoder.feed(&buffer[..len], |text| reader.feed(intake, text));
                reader.take(false);
            }
            reader.take(true);
        }
        let Life { inode, fingerprint, generation } = life;
        let epoch = epoch(inode, fingerprint, generation);
        let fingerprint = fingerprint.to_vec();
        Ok(Some(Self { file, inode, fingerprint, generation, epoch, source, reader, transcoder, offset }))
    }

    /// Whether the file is shorter than what was read, or begins otherwise.
    async fn was_truncated(&mut self) -> io::Result<bool> {
        let size = self.file.metadata().await?.len();
        if size == 0 && self.offset > 0 {
            // Empty: whatever comes is another life, however it begins.
            self.offset = u64::MAX;
            return Ok(false);
        }
        if size < self.offset {
            return Ok(true);
        }
        if size == self.offset {
            return Ok(false);
        }
        let mut beginning = vec![0; self.fingerprint.len()];
        self.file.seek(SeekFrom::Start(0)).await?;
        self.file.read_exact(&mut beginning).await?;
        Ok(beginning != self.fingerprint)
    }

    /// Reads to the end, or as far as one turn goes, and stores the lines.
    async fn read(&mut self, intake: &Intake, producer: &str, stopped: &mut Stopped) -> io::Result<Progress> {
        if self.offset == u64::MAX {
            return Ok(Progress::Idle);
        }
        self.file.seek(SeekFrom::Start(self.offset)).await?;
        let mut buffer = vec![0; READ_BYTES];
        let turn_end = self.offset.saturating_add(TURN_BYTES);
        let mut progress = Progress::More;
        while self.offset < turn_end {
            let len = self.file.read(&mut buffer).await?;
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
                epoch: self.epoch,
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

async fn head_of(file: &mut File) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(0)).await?;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    file.take(HEAD_BYTES as u64).read_to_end(&mut head).await?;
    Ok(head)
}

/// The beginning of the first line; `None` until the line is whole or long enough.
fn fingerprint(head: &[u8]) -> Option<&[u8]> {
    let end = head.iter().take(FINGERPRINT_BYTES).position(|b| *b == b'\n').map(|end| end + 1);
    end.or((head.len() >= FINGERPRINT_BYTES).then_some(FINGERPRINT_BYTES)).map(|end| &head[..end])
}

/// The same of a file that was rotated away: what there is of its only line is all that there will be.
fn rotated_fingerprint(head: &[u8]) -> Option<&[u8]> {
    fingerprint(head).or((!head.is_empty()).then_some(head))
}

/// The life of a file: its inode, how it begins, and how often it began so.
fn epoch(inode: u64, fingerprint: &[u8], generation: u32) -> u128 {
    let text = [&inode.to_le_bytes()[..], &generation.to_le_bytes(), fingerprint].concat();
    let hash = sha256(&text);
    u128::from_be_bytes(hash.as_bytes()[..16].try_into().expect("a hash has 32 bytes"))
}

/// The generation and offset at which a file continues from a stored position; `None` when the position belongs to
/// another file. A file that became shorter since has begun anew.
fn place(inode: u64, fingerprint: &[u8], point: (u128, u64), size: u64) -> Option<(u32, u64)> {
    let generation = (0..GENERATIONS_MAX).find(|generation| epoch(inode, fingerprint, *generation) == point.0)?;
    Some(if size >= point.1 { (generation, point.1) } else { ((generation + 1) % GENERATIONS_MAX, 0) })
}
