//! A running collector and the way to stop it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// Told when a collector must stop.
pub(crate) type Stopped = watch::Receiver<bool>;

/// A running collector. Dropping it stops it without waiting for what it holds.
#[derive(Debug)]
pub struct Collector {
    name: String,
    /// What its records are counted under.
    label: Cow<'static, str>,
    local_address: Option<SocketAddr>,
    trouble: Trouble,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts `run` as a task that ends after it was told to.
    pub(crate) fn start<F>(
        name: &str,
        label: impl Into<Cow<'static, str>>,
        local_address: Option<SocketAddr>,
        run: impl FnOnce(Stopped) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(stopped));
        let (name, label, trouble) = (name.to_owned(), label.into(), Trouble::default());
        Self { name, label, local_address, trouble, stop, task: Some(task) }
    }

    /// What it collects, such as `syslog tcp`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its records are counted under in `Metric::CollectRecords`.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Says what keeps it from working, also while others hold the collector.
    #[must_use]
    pub fn trouble(&self) -> Trouble {
        self.trouble.clone()
    }

    /// A collector that says there what keeps it from working.
    pub(crate) fn telling(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    /// Tells whether it still runs, also while others hold the collector.
    #[must_use]
    pub fn task(&self) -> Option<AbortHandle> {
        self.task.as_ref().map(JoinHandle::abort_handle)
    }

    /// Where it listens, for listeners.
    #[must_use]
    pub fn local_address(&self) -> Option<SocketAddr> {
        self.local_address
    }

    /// Reads no more, stores what was accepted, and returns when that is done or was counted as dropped.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(task) = self.task.take()
            && let Err(error) = task.await
        {
            tracing::error!(collector = %self.name, %error, "collector did not end in order");
        }
    }
}

/// What keeps a collector from working now: a reason for each thing that it cannot reach.
#[derive(Debug, Clone, Default)]
pub struct Trouble(Arc<Mutex<BTreeMap<String, String>>>);

impl Trouble {
    /// The reasons, in one line; empty while all is well.
    #[must_use]
    pub fn text(&self) -> String {
        let reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        reasons.iter().map(|(thing, reason)| format!("{thing}: {reason}")).collect::<Vec<_>>().join("; ")
    }

    /// Says why a thing cannot be read, or that it can again; the log hears of changes.
    pub(crate) fn tell(&self, source: &str, thing: &str, reason: Option<String>) {
        if !self.set(thing, reason.clone()) {
            return;
        }
        match reason {
            Some(reason) => tracing::warn!(source, thing, %reason, "a source cannot be read; it is tried again"),
            None => tracing::info!(source, thing, "a source can be read again"),
        }
    }

    /// Whether it is news that a thing cannot be reached, or that it can.
    fn set(&self, thing: &str, reason: Option<String>) -> bool {
        let mut reasons = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reasons.get(thing) == reason.as_ref() {
            return false;
        }
        match reason {
            Some(reason) => reasons.insert(thing.to_owned(), reason),
            None => reasons.remove(thing),
        };
        true
    }
}

/// Resolves at a time; never where none is given.
pub(crate) async fn until_due(due: Option<tokio::time::Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// Resolves once the collector must stop; also when its handle is gone.
pub(crate) async fn until_stopped(stopped: &mut Stopped) {
    // An error means that the handle was dropped, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Whether the collector must stop.
pub(crate) fn is_stopped(stopped: &Stopped) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}
