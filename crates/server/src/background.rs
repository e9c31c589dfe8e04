//! A thread for work that must be done and that nobody waits for. It goes behind others where there are too few cores.

use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

/// The running thread. Dropped, it ends without being waited for: stop it.
pub(crate) struct Background {
    name: &'static str,
    stop: Sender<()>,
    thread: JoinHandle<()>,
}

impl Background {
    /// Starts the work; it must end when nobody can send to its receiver any more, however often it looks.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start(
        name: &'static str,
        work: impl FnOnce(&Receiver<()>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = moneta_host::yield_to_others() {
                tracing::warn!(name, %error, "a thread works beside others, not after them");
            }
            work(&stopped);
        })?;
        Ok(Self { name, stop, thread })
    }

    /// Lets what is being done be finished, and ends.
    pub(crate) fn stop(self) {
        let Self { name, stop, thread } = self;
        drop(stop);
        if thread.join().is_err() {
            tracing::error!(name, "a thread panicked");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::TryRecvError;

    use super::*;

    #[test]
    fn work_that_looked_once_sees_again_that_it_is_to_stop() {
        let background = Background::start("test", |stopped| {
            while matches!(stopped.try_recv(), Err(TryRecvError::Empty)) {
                std::thread::yield_now();
            }
            assert!(stopped.recv().is_err());
        });
        background.unwrap().stop();
    }
}
