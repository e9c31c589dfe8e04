//! Reads a stream from one server, until something is not as it was.

use std::time::Duration;

use moneta_nats::{Connection, Delivery, Message, Pull};
use tokio::time::Instant;

use super::connect::{Server, Unreadable};
use super::portion::Portion;
use super::{Shared, consumer};
use crate::collector::{Stopped, is_stopped, until_due, until_stopped};
use crate::intake::Stored;
use crate::place::Place;

/// Messages that are asked for at once.
const PULL_MESSAGES: usize = 2_000;
/// Bytes that are asked for at once, unless one message may have more.
const PULL_BYTES: usize = 8 << 20;
/// Bytes of subjects beside those of a message, as the server counts them, at most.
const SUBJECT_BYTES_MAX: usize = 64 << 10;
/// How long the server waits for messages.
const PULL_WAIT: Duration = Duration::from_secs(5);
/// How long a server may take to answer, beside that.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Why reading ends.
pub(super) enum End {
    /// It was told to.
    Stopped,
    /// The server, or another, has to be called anew.
    Failed {
        /// Why.
        error: Unreadable,
        /// Whether the stream could be read before.
        was_well: bool,
    },
}

/// Why a step of reading ends.
enum Halt {
    Stopped,
    Failed(Unreadable),
}

impl<E: Into<Unreadable>> From<E> for Halt {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads until told to stop, or until the stream cannot be read.
pub(super) async fn read(shared: &Shared, server: &Server, stopped: &mut Stopped) -> End {
    let mut was_well = false;
    match run(shared, server, &mut was_well, stopped).await {
        Ok(()) | Err(Halt::Stopped) => End::Stopped,
        Err(Halt::Failed(error)) => End::Failed { error, was_well },
    }
}

async fn run(shared: &Shared, server: &Server, was_well: &mut bool, stopped: &mut Stopped) -> Result<(), Halt> {
    let (mut connection, max_payload) = within(stopped, server.open(shared.options.login.as_ref())).await?;
    let stream = within(stopped, connection.stream(&shared.api, &shared.options.stream)).await?;
    let mut place = Place::new("nats", &shared.source());
    if consumer::stand(shared, &mut place, &stream, stopped).await != Stored::Yes {
        return Err(Halt::Stopped);
    }
    let set = consumer::set(shared, &mut connection, stream.retention, place.next);
    let deliveries = within(stopped, set).await?;
    *was_well = true;
    shared.trouble.tell(&shared.label, "servers", None);
    let bytes = PULL_BYTES.max(max_payload.saturating_add(SUBJECT_BYTES_MAX));
    let portion = Portion::default();
    StreamReader { shared, connection, place, deliveries, portion, asked: None, bytes }.run(stopped).await
}

/// What was asked for and has not all come.
struct Asked {
    /// Where the end of it is told.
    inbox: String,
    /// Messages that are to come.
    left: usize,
    /// When the server must have said something.
    late: Instant,
}

struct StreamReader<'a> {
    shared: &'a Shared,
    connection: Connection,
    place: Place,
    /// Deliveries of the consumer so far.
    deliveries: u64,
    portion: Portion,
    asked: Option<Asked>,
    /// Bytes to ask for.
    bytes: usize,
}

impl StreamReader<'_> {
    async fn run(mut self, stopped: &mut Stopped) -> Result<(), Halt> {
        while !is_stopped(stopped) {
            while let Some(message) = self.connection.take()? {
                self.accept(message)?;
                if self.portion.is_full() {
                    self.store(stopped).await?;
                }
            }
            if self.asked.is_none() {
                self.store(stopped).await?;
                self.ask();
            }
            within(stopped, self.connection.flush()).await?;
            self.wait(stopped).await?;
        }
        self.store(stopped).await?;
        // The answer of the server is not waited for: what it did not hear of is told from what is stored.
        Ok(self.connection.flush().await?)
    }

    fn ask(&mut self) {
        let wait_ns = u64::try_from(PULL_WAIT.as_nanos()).unwrap_or(u64::MAX);
        let pull = Pull { messages: PULL_MESSAGES, bytes: self.bytes, wait_ns };
        let options = &self.shared.options;
        let inbox = self.connection.pull(&self.shared.api, &options.stream, &options.consumer, pull);
        self.asked = Some(Asked { inbox, left: PULL_MESSAGES, late: Instant::now() + PULL_WAIT + ANSWER_MAX });
    }

    /// Waits until bytes come, or what is held is due.
    async fn wait(&mut self, stopped: &mut Stopped) -> Result<(), Halt> {
        let due = self.portion.due;
        let late = self.asked.as_ref().map_or_else(|| Instant::now() + ANSWER_MAX, |asked| asked.late);
        let is_due = tokio::select! {
            filled = tokio::time::timeout_at(late, self.connection.fill()) => {
                filled.map_err(|_| Halt::Failed(Unreadable::Late))??;
                false
            }
            () = until_due(due) => true,
            () = until_stopped(stopped) => false,
        };
        if is_due { self.store(stopped).await } else { Ok(()) }
    }

    fn accept(&mut self, message: Message) -> Result<(), Unreadable> {
        let Some(delivery) = Delivery::of(&message) else { return self.note_status(&message) };
        self.deliveries = self.deliveries.saturating_add(1);
        if delivery.delivery != self.deliveries {
            return Err(Unreadable::Gap { expected: self.deliveries, found: delivery.delivery });
        }
        if let Some(asked) = &mut self.asked {
            asked.left = asked.left.saturating_sub(1);
            asked.late = Instant::now() + PULL_WAIT + ANSWER_MAX;
            if asked.left == 0 {
                self.asked = None;
            }
        }
        match &message.reply {
            // It is stored: the server was not told, or did not hear of it.
            Some(reply) if delivery.number < self.place.next => self.connection.acknowledge(reply),
            _ => self.portion.push(delivery, message),
        }
        Ok(())
    }

    /// Hears how what was asked for ended.
    fn note_status(&mut self, message: &Message) -> Result<(), Unreadable> {
        if self.asked.as_ref().is_none_or(|asked| asked.inbox != message.subject) {
            // Of what was asked before, or of nobody.
            return Ok(());
        }
        match message.status() {
            Some((100, _)) => return Ok(()),
            Some((404 | 408, _)) => {}
            Some((409, text)) if text.starts_with("Message Size Exceeds") => {}
            Some((503, _)) => return Err(Unreadable::Ended("nobody answers for the consumer".to_owned())),
            Some((code, text)) => return Err(Unreadable::Ended(format!("{text} ({code})"))),
            None => return Err(moneta_nats::Error::NotNats("a message came that is of no stream").into()),
        }
        self.asked = None;
        Ok(())
    }

    async fn store(&mut self, stopped: &mut Stopped) -> Result<(), Halt> {
        let portion = std::mem::take(&mut self.portion);
        let stored = portion.store(self.shared, &mut self.place, stopped).await;
        for reply in stored.map_err(|_| Halt::Stopped)? {
            self.connection.acknowledge(&reply);
        }
        // The server was not listened to while the store was busy.
        if let Some(asked) = &mut self.asked {
            asked.late = Instant::now() + PULL_WAIT + ANSWER_MAX;
        }
        Ok(())
    }
}

/// What a server answers, in time, and unless reading has to stop.
async fn within<T, E: Into<Unreadable>>(
    stopped: &mut Stopped,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, Halt> {
    tokio::select! {
        answered = tokio::time::timeout(ANSWER_MAX, asked) => match answered {
            Ok(answer) => answer.map_err(|error| Halt::Failed(error.into())),
            Err(_) => Err(Halt::Failed(Unreadable::Late)),
        },
        () = until_stopped(stopped) => Err(Halt::Stopped),
    }
}
