//! Offers root checkpoints to the configured witnesses, over HTTP, and raises alarms for what they say.
//!
//! Only origin, size, root and a proof of hashes leave the house. A witness that is away holds nothing up: ingest goes
//! on, the age of the last cosigned checkpoint is a metric, and beyond the configured age it is an alarm.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::error::chain;
use moneta_base::{Clock, ErrorKind};
use moneta_ledger::{Cosigned, Cosigner, Ledger, WitnessAlarm, WitnessLink, WitnessReply};
use moneta_merkle::WitnessKey;
use moneta_ports::operations::WitnessStatus;
use moneta_ports::{Alarm, AlarmKind, AlarmSink, Metric, Metrics};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::LedgerConfig;
use crate::error::ServerError;

/// Time between two looks at the ledger.
const TICK: Duration = Duration::from_secs(2);
/// How often a checkpoint that did not change is offered again: the witnesses' word on it stays fresh.
const AGAIN: Duration = Duration::from_secs(60);
/// How long one request to a witness may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of an answer at most: some signature lines.
const ANSWER_BYTES_MAX: usize = 16 << 10;

/// What the witnesses last said, for the status page. Shared with whoever shows it.
#[derive(Debug, Default)]
pub(crate) struct Board {
    state: Mutex<BoardState>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct BoardState {
    /// When a quorum last vouched for a checkpoint, in seconds since 1970.
    pub(crate) cosigned_at: Option<u64>,
    pub(crate) witnesses: Vec<WitnessStatus>,
}

impl Board {
    pub(crate) fn state(&self) -> BoardState {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BoardState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the task works with.
pub(crate) struct WitnessingParts {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) alarms: Arc<dyn AlarmSink>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) board: Arc<Board>,
}

/// The running task.
pub(crate) struct Witnessing {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Starts offering checkpoints, if the configuration names witnesses.
///
/// # Errors
/// [`ServerError::Setting`] for a witness or quorum that cannot be.
pub(crate) fn start_witnessing(
    config: &LedgerConfig,
    parts: WitnessingParts,
) -> Result<Option<Witnessing>, ServerError> {
    if config.witnesses.is_empty() {
        return Ok(None);
    }
    let links = config
        .witnesses
        .iter()
        .map(|witness| HttpLink::new(&witness.url, &witness.key))
        .collect::<Result<Vec<_>, _>>()?;
    let waiting = |link: &HttpLink| WitnessStatus {
        name: link.key.name().to_owned(),
        state: "waiting".to_owned(),
        reason: String::new(),
        since: parts.clock.now().to_string(),
    };
    parts.board.lock().witnesses = links.iter().map(waiting).collect();
    let links = links.into_iter().map(|link| Box::new(link) as Box<dyn WitnessLink>).collect();
    let cosigner = Cosigner::new(links, config.needed())
        .map_err(|error| ServerError::Setting { key: "ledger.quorum", message: chain(&error) })?;
    let age_max = Duration::from_secs(config.cosigned_age_max_seconds);
    let (stop, stopped) = watch::channel(false);
    let watcher = Watcher::new(parts, age_max, &cosigner);
    Ok(Some(Witnessing { stop, task: tokio::spawn(watcher.run(cosigner, stopped)) }))
}

impl Witnessing {
    /// Offers the last checkpoint and ends.
    pub(crate) async fn stop(self) {
        let _ = self.stop.send(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the witnessing task did not end in order");
        }
    }
}

/// Looks after the age of the last cosigned checkpoint.
struct Watcher {
    parts: WitnessingParts,
    age_max: Duration,
    /// What the age counts from until the first quorum, in seconds since 1970.
    started_at: u64,
}

impl Watcher {
    fn new(parts: WitnessingParts, age_max: Duration, cosigner: &Cosigner) -> Self {
        let started_at = seconds(&*parts.clock);
        // What an earlier run stored counts if the witnesses of now signed it.
        let earlier = parts.ledger.cosigned();
        let earlier = earlier.and_then(|checkpoint| cosigner.quorum().reached_at(checkpoint.note()).ok().flatten());
        parts.board.lock().cosigned_at = earlier;
        Self { parts, age_max, started_at }
    }

    async fn run(self, mut cosigner: Cosigner, mut stopped: watch::Receiver<bool>) {
        let mut last: Option<(u64, Instant)> = None;
        loop {
            let stopping = tokio::time::timeout(TICK, stopped.wait_for(|stop| *stop)).await.is_ok();
            let size = self.parts.ledger.root_checkpoint().size();
            if last.is_none_or(|(asked, at)| asked != size || at.elapsed() >= AGAIN) {
                let ledger = self.parts.ledger.clone();
                let round = tokio::task::spawn_blocking(move || {
                    let asked = cosigner.ask(&ledger);
                    (cosigner, asked)
                });
                let Ok((back, asked)) = round.await else {
                    tracing::error!("asking the witnesses panicked; no more checkpoints are offered until a restart");
                    return;
                };
                cosigner = back;
                match asked {
                    Ok(asked) => {
                        last = asked.quorum_at.map(|_| (asked.size, Instant::now()));
                        self.note(&asked);
                    }
                    Err(error) => {
                        tracing::error!(error = %chain(&error), "a checkpoint could not be offered to witnesses")
                    }
                }
            }
            self.note_age();
            if stopping {
                return;
            }
        }
    }

    fn note(&self, asked: &Cosigned) {
        let mut state = self.parts.board.lock();
        state.cosigned_at = asked.quorum_at.or(state.cosigned_at);
        for witness in &mut state.witnesses {
            let alarm = asked.alarms.iter().find(|(name, _)| *name == witness.name).map(|(_, alarm)| alarm);
            let (now, reason) = words(alarm);
            if witness.state != now || witness.reason != reason {
                tracing::info!(witness = witness.name, state = now, reason, "a witness answers otherwise than before");
            }
            self.parts.metrics.add_labelled(Metric::LedgerWitnessAnswers, now, 1);
            if witness.state != now {
                witness.since = self.parts.clock.now().to_string();
            }
            (witness.state, witness.reason) = (now.to_owned(), reason);
        }
        drop(state);
        for (name, alarm) in &asked.alarms {
            let kind = match alarm {
                WitnessAlarm::Away(_) => continue,
                WitnessAlarm::RolledBack { .. } => AlarmKind::RolledBack,
                WitnessAlarm::SplitView => AlarmKind::SplitView,
            };
            let (_, reason) = words(Some(alarm));
            let text = format!("The witness {name} was offered the tree of {} entries: {reason}.", asked.size);
            self.parts.alarms.raise(Alarm { kind, subject: name.clone(), text });
        }
    }

    fn note_age(&self) {
        let since = self.parts.board.lock().cosigned_at;
        let age = seconds(&*self.parts.clock).saturating_sub(since.unwrap_or(self.started_at));
        self.parts.metrics.set(Metric::LedgerCosignedAge, age);
        if Duration::from_secs(age) > self.age_max {
            let text = match since {
                Some(_) => format!("The last checkpoint with a quorum of cosignatures is {age} s old."),
                None => format!("No checkpoint has had a quorum of cosignatures for {age} s."),
            };
            let subject = "root".to_owned();
            self.parts.alarms.raise(Alarm { kind: AlarmKind::CheckpointAge, subject, text });
        }
    }
}

/// The state of a witness and what is wrong with it, in words.
fn words(alarm: Option<&WitnessAlarm>) -> (&'static str, String) {
    match alarm {
        None => ("cosigned", String::new()),
        Some(WitnessAlarm::Away(reason)) => ("away", reason.clone()),
        Some(WitnessAlarm::RolledBack { seen }) => ("rolled-back", format!("it saw {seen} entries")),
        Some(WitnessAlarm::SplitView) => ("split-view", "it saw a tree that this one does not continue".to_owned()),
    }
}

/// Now, in seconds since 1970.
fn seconds(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now().as_nanos() / moneta_base::time::NANOS_PER_SECOND).unwrap_or(0)
}

/// A witness elsewhere.
#[derive(Debug)]
struct HttpLink {
    key: WitnessKey,
    url: String,
    client: reqwest::Client,
    runtime: Handle,
}

impl HttpLink {
    fn new(url: &str, key: &str) -> Result<Self, ServerError> {
        let wrong = |message: String| ServerError::Setting { key: "ledger.witnesses", message };
        let key = WitnessKey::parse(key).map_err(|error| wrong(format!("key {key:?}: {error}")))?;
        let is_usable = reqwest::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()));
        if !is_usable {
            return Err(wrong(format!("{url:?} is not an address that begins with https:// or http://")));
        }
        let client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .timeout(REQUEST_TIMEOUT)
            .user_agent(concat!("moneta/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| ServerError::part("HTTP client", ErrorKind::Internal, error))?;
        let url = format!("{}/add-checkpoint", url.trim_end_matches('/'));
        Ok(Self { key, url, client, runtime: Handle::current() })
    }

    async fn post(&self, body: String) -> Result<WitnessReply, String> {
        let sent = self.client.post(&self.url).body(body).send().await;
        let mut response = sent.map_err(|error| chain(&error))?;
        let status = response.status().as_u16();
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error))? {
            answer.extend_from_slice(&chunk);
            if answer.len() > ANSWER_BYTES_MAX {
                return Err("its answer is too long".to_owned());
            }
        }
        let body = String::from_utf8(answer).map_err(|_| "its answer is not text".to_owned())?;
        Ok(WitnessReply { status, body })
    }
}

impl WitnessLink for HttpLink {
    fn key(&self) -> &WitnessKey {
        &self.key
    }

    fn offer(&self, body: &str) -> Result<WitnessReply, String> {
        self.runtime.block_on(self.post(body.to_owned()))
    }
}
