//! The queue in front of a webhook: bounded, with retries, and with a word for every alert that could not be delivered.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use moneta_base::time::NANOS_PER_SECOND;
use moneta_base::{Clock, ErrorKind};
use moneta_ports::{Alert, AlertDelivery, BoxFuture, Metric, Metrics, PortError};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;
use crate::request::Sender;

/// Alerts waiting at most. They are stored already; a longer queue would only deliver them too late.
const QUEUE_ALERTS_MAX: usize = 10_000;
/// Alerts on their way at the same time: one that is tried again does not hold up the others.
const IN_FLIGHT_MAX: usize = 16;
/// Standard Webhooks asks for secrets of at least 24 bytes.
const SECRET_BYTES_MIN: usize = 24;

/// Called for every alert that could not be delivered.
pub type OnDeadLetter = Arc<dyn Fn(DeadLetter) + Send + Sync>;

/// An alert that could not be delivered. The alert itself is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The alert's id.
    pub alert_id: String,
    /// The rule's title.
    pub rule_title: String,
    /// Attempts made.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
}

/// Where alerts go and how hard to try.
#[derive(Clone)]
pub struct WebhookOptions {
    /// The address: https, without credentials.
    pub url: String,
    /// The key of the signature, at least 24 bytes.
    pub secret: Vec<u8>,
    /// Hosts that may have private addresses, and loopback ones with http.
    pub allow_private_hosts: Vec<String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// Attempts per alert at most.
    pub attempts_max: u32,
    /// Pause before the second attempt; it doubles from attempt to attempt.
    pub pause: Duration,
    /// Pause between two attempts at most.
    pub pause_max: Duration,
    /// How long alerts under way may take once [`Webhook::stop`] is called.
    pub stop_grace: Duration,
}

impl WebhookOptions {
    /// The usual patience: 8 attempts of 10 s each, with pauses of about two minutes together.
    #[must_use]
    pub fn new(url: impl Into<String>, secret: Vec<u8>) -> Self {
        Self {
            url: url.into(),
            secret,
            allow_private_hosts: Vec::new(),
            timeout: Duration::from_secs(10),
            attempts_max: 8,
            pause: Duration::from_secs(1),
            pause_max: Duration::from_secs(60),
            stop_grace: Duration::from_secs(5),
        }
    }
}

impl std::fmt::Debug for WebhookOptions {
    /// Prints neither the secret nor the address, whose path often is one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions").field("attempts_max", &self.attempts_max).finish_non_exhaustive()
    }
}

/// Calls one address with every alert, signed.
#[derive(Debug)]
pub struct Webhook {
    queue: Mutex<Option<mpsc::Sender<Queued>>>,
    metrics: Arc<Metrics>,
    /// When alerts under way must be done, once stopped.
    stop: watch::Sender<Option<tokio::time::Instant>>,
    stop_grace: Duration,
    worker: Mutex<Option<JoinHandle<()>>>,
}

struct Queued {
    alert: Alert,
    accepted: Instant,
}

/// What every delivery needs.
struct Courier {
    sender: Sender,
    options: WebhookOptions,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    on_dead_letter: OnDeadLetter,
}

impl Webhook {
    /// Checks the address and starts delivering.
    ///
    /// # Errors
    /// [`Error::NotAUrl`], [`Error::NoHost`], [`Error::Scheme`], [`Error::Credentials`], [`Error::Secret`] for options
    /// that can never work.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(
        options: WebhookOptions,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        on_dead_letter: OnDeadLetter,
    ) -> Result<Self, Error> {
        if options.secret.len() < SECRET_BYTES_MIN {
            return Err(Error::Secret(options.secret.len()));
        }
        let sender = Sender::new(&options)?;
        let (queue, queued) = mpsc::channel(QUEUE_ALERTS_MAX);
        let (stop, stopped) = watch::channel(None);
        let stop_grace = options.stop_grace;
        let courier = Arc::new(Courier { sender, options, clock, metrics: metrics.clone(), on_dead_letter });
        let worker = tokio::spawn(work(courier, queued, stopped));
        Ok(Self { queue: Mutex::new(Some(queue)), metrics, stop, stop_grace, worker: Mutex::new(Some(worker)) })
    }

    /// Takes no more alerts, gives those it has a last chance, and reports the others as dead letters.
    pub async fn stop(&self) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.stop.send_replace(Some(tokio::time::Instant::now() + self.stop_grace));
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker
            && let Err(error) = worker.await
        {
            tracing::error!(%error, "the webhook worker did not end in order");
        }
    }

    fn enqueue(&self, alert: Alert) -> Result<(), PortError> {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let queued = Queued { alert, accepted: Instant::now() };
        let refused = match queue {
            None => "stopped",
            Some(queue) => match queue.try_send(queued) {
                Ok(()) => return Ok(()),
                Err(mpsc::error::TrySendError::Full(_)) => "queue_full",
                Err(mpsc::error::TrySendError::Closed(_)) => "stopped",
            },
        };
        self.metrics.add_labelled(Metric::NotifyDeliveries, refused, 1);
        Err(PortError::new(ErrorKind::RETRY, format!("the alert is stored but not sent to the webhook: {refused}")))
    }
}

impl AlertDelivery for Webhook {
    fn deliver(&self, alert: Alert) -> BoxFuture<'_, Result<(), PortError>> {
        let queued = self.enqueue(alert);
        Box::pin(async { queued })
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
            // An error means that the notifier was dropped: a stop without grace.
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
            Ok(()) => {
                self.metrics.add_labelled(Metric::NotifyDeliveries, "delivered", 1);
                self.metrics.observe(Metric::NotifyLatency, queued.accepted.elapsed());
            }
            Err(error) => self.give_up(&queued.alert, attempts, &error),
        }
    }

    /// Tries until the receiver accepts, refuses for good, or the attempts are used up.
    async fn attempt(&self, alert: &Alert, attempts: &mut u32) -> Result<(), Error> {
        let mut pause = self.options.pause;
        loop {
            *attempts += 1;
            let now_seconds = self.clock.now().as_nanos() / NANOS_PER_SECOND;
            let Err(error) = self.sender.send(alert, now_seconds).await else { return Ok(()) };
            if !error.is_passing() || *attempts >= self.options.attempts_max {
                return Err(error);
            }
            self.metrics.add_labelled(Metric::NotifyDeliveries, "retried", 1);
            let asked = match &error {
                Error::Refused { retry_after: Some(retry_after), .. } => *retry_after,
                _ => Duration::ZERO,
            };
            tokio::time::sleep(pause.max(asked)).await;
            pause = (pause * 2).min(self.options.pause_max);
        }
    }

    fn give_up(&self, alert: &Alert, attempts: u32, error: &Error) {
        let reason = chain(error);
        tracing::error!(alert = %alert.id, attempts, %reason, "an alert was not delivered; it is in SecurityAlert");
        self.metrics.add_labelled(Metric::NotifyDeliveries, "given_up", 1);
        (self.on_dead_letter)(DeadLetter {
            alert_id: alert.id.clone(),
            rule_title: alert.rule_title.clone(),
            attempts,
            reason,
        });
    }
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
