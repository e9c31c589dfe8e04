//! A channel: the queue in front of a receiver, bounded, with retries, and with a word for every alert that could not be
//! delivered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::error::chain;
use moneta_base::{Clock, ErrorKind, Level, Timestamp};
use moneta_ports::{Alert, BoxFuture, Metric, Metrics, PortError};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Error, Receipt};

/// Alerts waiting at most. They are stored already; a longer queue would only deliver them too late.
const QUEUE_ALERTS_MAX: usize = 10_000;
/// Alerts on their way at the same time: one that is tried again does not hold up the others.
const IN_FLIGHT_MAX: usize = 16;

/// Brings an alert to one receiver in the form it understands.
pub trait Carrier: Send + Sync {
    /// Tries once.
    ///
    /// # Errors
    /// See [`Error`]; whether it is worth another try is the error's to say.
    fn send<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> BoxFuture<'a, Result<(), Error>>;
}

/// Called for every alert that could not be delivered.
pub type OnDeadLetter = Arc<dyn Fn(DeadLetter) + Send + Sync>;

/// An alert that could not be delivered. The alert itself is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The channel.
    pub channel: String,
    /// The alert's id.
    pub alert_id: String,
    /// The rule's title.
    pub rule_title: String,
    /// Attempts made.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
    /// Whether nobody tries again; else the next process hands the alert over once more.
    pub is_final: bool,
}

/// Which alerts a channel takes and how hard it tries.
#[derive(Debug, Clone)]
pub struct ChannelOptions {
    /// Its name.
    pub name: String,
    /// The form of its receiver, such as `slack`.
    pub kind: &'static str,
    /// The least level of alerts it takes.
    pub level_min: Level,
    /// Where people reach Moneta, without a slash at the end; messages have no links when it is empty.
    pub web_url: String,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts per alert at most.
    pub attempts_max: u32,
    /// Pause before the second attempt; it doubles from attempt to attempt.
    pub pause: Duration,
    /// Pause between two attempts at most.
    pub pause_max: Duration,
    /// How long alerts under way may take once [`Channel::stop`] is called.
    pub stop_grace: Duration,
}

impl ChannelOptions {
    /// The usual patience: 8 attempts of 10 s each, with pauses of about two minutes together.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: &'static str) -> Self {
        Self {
            name: name.into(),
            kind,
            level_min: Level::Informational,
            web_url: String::new(),
            timeout: Duration::from_secs(10),
            attempts_max: 8,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            stop_grace: Duration::from_secs(5),
        }
    }
}

/// The level of an alert; one that is not known counts as high.
pub(crate) fn level_of(alert: &Alert) -> Level {
    Level::parse(&alert.level).unwrap_or(Level::High)
}

/// How a channel is doing, since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelCounts {
    /// Alerts delivered.
    pub delivered: u64,
    /// Attempts that failed and were followed by another.
    pub retried: u64,
    /// Alerts given up.
    pub given_up: u64,
    /// Why the last attempt that failed did; empty before one did.
    pub last_error: String,
    /// When an attempt last succeeded.
    pub last_success: Option<Timestamp>,
    /// When an attempt last failed.
    pub last_failure: Option<Timestamp>,
    /// When an alert was last given up.
    pub last_given_up: Option<Timestamp>,
    /// The first of the attempts that have failed since the last success; `None` when the last one succeeded.
    pub failing_since: Option<Timestamp>,
}

/// Delivers alerts to one receiver.
pub struct Channel {
    options: ChannelOptions,
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    courier: Arc<Courier>,
    /// When alerts under way must be done, once stopped.
    stop: watch::Sender<Option<tokio::time::Instant>>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Queued {
    alert: Alert,
    receipt: Receipt,
    accepted: Instant,
}

/// What every delivery needs.
struct Courier {
    carrier: Box<dyn Carrier>,
    options: ChannelOptions,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    on_dead_letter: OnDeadLetter,
    counts: Mutex<ChannelCounts>,
}

impl Channel {
    /// Starts delivering.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use]
    pub fn start(
        options: ChannelOptions,
        carrier: Box<dyn Carrier>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        on_dead_letter: OnDeadLetter,
    ) -> Self {
        let (queue, queued) = mpsc::channel(QUEUE_ALERTS_MAX);
        let (stop, stopped) = watch::channel(None);
        let counts = Mutex::default();
        let courier = Courier { carrier, options: options.clone(), clock, metrics, on_dead_letter, counts };
        let courier = Arc::new(courier);
        let worker = tokio::spawn(work(courier.clone(), queued, stopped));
        Self { options, queue: Mutex::new(Some(queue)), courier, stop, worker: Mutex::new(Some(worker)) }
    }

    /// What it was started with.
    #[must_use]
    pub fn options(&self) -> &ChannelOptions {
        &self.options
    }

    /// How it is doing.
    #[must_use]
    pub fn counts(&self) -> ChannelCounts {
        self.courier.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it takes alerts as bad as this one.
    #[must_use]
    pub fn takes(&self, alert: &Alert) -> bool {
        level_of(alert) >= self.options.level_min
    }

    /// The address of a path on this server; whole addresses stay as they are.
    fn address_of(&self, link: &str) -> String {
        match (link.starts_with('/'), self.options.web_url.as_str()) {
            (false, _) => link.to_owned(),
            (true, "") => String::new(),
            (true, base) => format!("{base}{link}"),
        }
    }

    /// Tries once, at once, whatever the level, and says how it went.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn test(&self, alert: &Alert) -> Result<(), Error> {
        let alert = Alert { link: self.address_of(&alert.link), ..alert.clone() };
        self.courier.send(&alert).await
    }

    /// Takes no more alerts, gives those it has a last chance, and reports the others as dead letters. The receipts of
    /// these stay open: they may be handed over again by the next process.
    pub async fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.stop.send_replace(Some(tokio::time::Instant::now() + self.options.stop_grace));
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the worker of a channel did not end in order");
        }
    }

    /// Queues an alert. The receipt is settled once it is delivered or given up.
    ///
    /// # Errors
    /// When the queue is full or closed; the alert itself is stored.
    pub fn enqueue(&self, mut alert: Alert, receipt: Receipt) -> Result<(), PortError> {
        alert.link = self.address_of(&alert.link);
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queued = Queued { alert, receipt, accepted: Instant::now() };
        let (refused, alert) = match queue {
            None => ("stopped", queued.alert),
            Some(queue) => match queue.try_send(queued) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(queued)) => {
                    queued.receipt.settle();
                    ("queue_full", queued.alert)
                }
                Err(mpsc::error::TrySendError::Closed(queued)) => ("stopped", queued.alert),
            },
        };
        self.courier.metrics.add_labelled(Metric::NotifyDeliveries, refused, 1);
        // What a full queue refuses is settled; what comes after the end waits for the next process.
        self.courier.report(&alert, 0, refused.to_owned(), refused == "queue_full");
        let message = format!("the alert is stored but not sent to {}: {refused}", self.options.name);
        Err(PortError::new(ErrorKind::RETRY, message))
    }
}

/// Takes alerts from the queue until it is closed, then waits for those under way.
async fn work(
    courier: Arc<Courier>,
    mut queue: mpsc::Receiver<Queued>,
    stopped: watch::Receiver<Option<tokio::time::Instant>>,
) {
    let room = Arc::new(Semaphore::new(IN_FLIGHT_MAX));
    let mut under_way = JoinSet::new();
    while let Some(queued) = queue.recv().await {
        let permit = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (courier, stopped) = (courier.clone(), stopped.clone());
        under_way.spawn(async move {
            courier.carry(queued, stopped).await;
            drop(permit);
        });
        while under_way.try_join_next().is_some() {}
    }
    under_way.join_all().await;
}

impl Courier {
    /// Delivers one alert, or reports it as a dead letter.
    async fn carry(&self, queued: Queued, mut stopped: watch::Receiver<Option<tokio::time::Instant>>) {
        let deadline = async {
            // An error means that the channel was dropped: a stop without grace.
            let deadline = stopped.wait_for(Option::is_some).await.ok().and_then(|deadline| *deadline);
            if let Some(deadline) = deadline {
                tokio::time::sleep_until(deadline).await;
            }
        };
        let mut attempts = 0;
        let result = tokio::select! {
            result = self.attempt(&queued.alert, &mut attempts) => result,
            () = deadline => Err(Error::Stopped),
        };
        match result {
            Ok(()) => self.metrics.observe(Metric::NotifyLatency, queued.accepted.elapsed()),
            Err(error @ Error::Stopped) => return self.give_up(&queued.alert, attempts, &error, false),
            Err(error) => self.give_up(&queued.alert, attempts, &error, true),
        }
        queued.receipt.settle();
    }

    /// Tries until the receiver accepts, refuses for good, or the attempts are used up.
    async fn attempt(&self, alert: &Alert, attempts: &mut u32) -> Result<(), Error> {
        let mut pause = self.options.pause;
        loop {
            *attempts += 1;
            let Err(error) = self.send(alert).await else { return Ok(()) };
            if !error.is_passing() || *attempts >= self.options.attempts_max {
                return Err(error);
            }
            self.metrics.add_labelled(Metric::NotifyDeliveries, "retried", 1);
            self.counts.lock().unwrap_or_else(PoisonError::into_inner).retried += 1;
            let asked = match &error {
                Error::Refused { retry_after: Some(retry_after), .. } => *retry_after,
                _ => Duration::ZERO,
            };
            tokio::time::sleep(pause.max(asked)).await;
            pause = (pause * 2).min(self.options.pause_max);
        }
    }

    /// One attempt, within its time.
    async fn send(&self, alert: &Alert) -> Result<(), Error> {
        let limit = self.options.timeout;
        let sent = tokio::time::timeout(limit, self.carrier.send(alert, self.clock.now())).await;
        let result = sent.unwrap_or(Err(Error::Timeout(limit)));
        let now = self.clock.now();
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        match &result {
            Ok(()) => {
                counts.delivered += 1;
                (counts.last_success, counts.failing_since) = (Some(now), None);
                self.metrics.add_labelled(Metric::NotifyDeliveries, "delivered", 1);
            }
            Err(error) => {
                counts.last_error = chain(&error);
                counts.last_failure = Some(now);
                counts.failing_since.get_or_insert(now);
            }
        }
        result
    }

    fn give_up(&self, alert: &Alert, attempts: u32, error: &Error, is_final: bool) {
        let reason = chain(&error);
        let channel = self.options.name.as_str();
        tracing::error!(alert = %alert.id, channel, attempts, %reason, "an alert was not delivered; it is in SecurityAlert");
        self.metrics.add_labelled(Metric::NotifyDeliveries, "given_up", 1);
        self.report(alert, attempts, reason, is_final);
    }

    fn report(&self, alert: &Alert, attempts: u32, reason: String, is_final: bool) {
        let now = self.clock.now();
        {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.given_up += 1;
            counts.last_given_up = Some(now);
        }
        (self.on_dead_letter)(DeadLetter {
            channel: self.options.name.clone(),
            alert_id: alert.id.clone(),
            rule_title: alert.rule_title.clone(),
            attempts,
            reason,
            is_final,
        });
    }
}
