//! A running collector and the way to stop it.

use std::future::Future;
use std::net::SocketAddr;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinHandle};

/// Told when a collector must stop.
pub(crate) type Stopped = watch::Receiver<bool>;

/// A running collector. Dropping it stops it without waiting for what it holds.
#[derive(Debug)]
pub struct Collector {
    name: String,
    /// What its records are counted under.
    label: &'static str,
    local_address: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
}

impl Collector {
    /// Starts `run` as a task that ends after it was told to.
    pub(crate) fn start<F>(
        name: &str,
        label: &'static str,
        local_address: Option<SocketAddr>,
        run: impl FnOnce(Stopped) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(run(stopped));
        Self { name: name.to_owned(), label, local_address, stop, task: Some(task) }
    }

    /// What it collects, such as `syslog tcp`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its records are counted under in `Metric::CollectRecords`.
    #[must_use]
    pub fn label(&self) -> &'static str {
        self.label
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

/// Resolves once the collector must stop; also when its handle is gone.
pub(crate) async fn until_stopped(stopped: &mut Stopped) {
    // An error means that the handle was dropped, which is a stop too.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Whether the collector must stop.
pub(crate) fn is_stopped(stopped: &Stopped) -> bool {
    *stopped.borrow() || stopped.has_changed().is_err()
}
