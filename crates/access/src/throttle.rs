//! Counts attempts per account and per address in fixed windows, in bounded memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use moneta_base::Timestamp;

/// How long attempts are remembered.
const WINDOW: Duration = Duration::from_secs(15 * 60);
/// Windows kept at most. When all are taken the oldest gives way: an attacker with that many addresses gains little
/// by it, because the window of the account stays as long as it is in use.
const WINDOWS_MAX: usize = 10_000;

/// What attempts are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Subject {
    /// Passwords tried on one account, existing or not.
    Account(String),
    /// Passwords tried from one address.
    Address(String),
    /// Credentials refused to one address.
    Refusals(String),
}

impl Subject {
    /// Attempts in one window.
    const fn attempts_max(&self) -> u32 {
        match self {
            Self::Account(_) => 10,
            // An office behind one address signs in too; successes do not count.
            Self::Address(_) => 50,
            Self::Refusals(_) => 10,
        }
    }
}

/// An attempt that came after too many others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// How long to wait.
    pub(crate) retry_after: Duration,
    /// Whether this is the first refusal of the window: the one worth a row in the audit log.
    pub(crate) is_first: bool,
}

#[derive(Debug)]
struct Window {
    start: Timestamp,
    attempts: u32,
}

#[derive(Debug, Default)]
pub(crate) struct Throttle {
    windows: Mutex<HashMap<Subject, Window>>,
}

impl Throttle {
    /// Counts an attempt before it is made, so that parallel attempts cannot exceed the limit.
    pub(crate) fn admit(&self, subject: Subject, now: Timestamp) -> Result<(), Refusal> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let attempts_max = subject.attempts_max();
        if !windows.contains_key(&subject) && windows.len() >= WINDOWS_MAX {
            make_room(&mut windows, now);
        }
        let window = windows.entry(subject).or_insert(Window { start: now, attempts: 0 });
        if now.since(window.start) >= WINDOW {
            *window = Window { start: now, attempts: 0 };
        }
        window.attempts = window.attempts.saturating_add(1);
        if window.attempts <= attempts_max {
            return Ok(());
        }
        let retry_after = WINDOW.saturating_sub(now.since(window.start));
        Err(Refusal { retry_after, is_first: window.attempts == attempts_max + 1 })
    }

    /// Takes back an attempt that succeeded.
    pub(crate) fn take_back(&self, subject: &Subject) {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(window) = windows.get_mut(subject) {
            window.attempts = window.attempts.saturating_sub(1);
        }
    }

    /// Forgets the attempts on a subject.
    pub(crate) fn forget(&self, subject: &Subject) {
        self.windows.lock().unwrap_or_else(PoisonError::into_inner).remove(subject);
    }
}

fn make_room(windows: &mut HashMap<Subject, Window>, now: Timestamp) {
    windows.retain(|_, window| now.since(window.start) < WINDOW);
    if windows.len() >= WINDOWS_MAX {
        let oldest = windows.iter().min_by_key(|(_, window)| window.start).map(|(subject, _)| subject.clone());
        if let Some(subject) = oldest {
            windows.remove(&subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn refuses_after_the_limit_until_the_window_is_over() {
        let throttle = Throttle::default();
        let subject = || Subject::Account("ada".to_owned());
        for _ in 0..10 {
            throttle.admit(subject(), NOW).unwrap();
        }
        let later = NOW.saturating_add(Duration::from_secs(60));
        let refusal = throttle.admit(subject(), later).unwrap_err();
        assert_eq!(refusal, Refusal { retry_after: Duration::from_secs(14 * 60), is_first: true });
        assert!(!throttle.admit(subject(), later).unwrap_err().is_first);
        throttle.admit(Subject::Account("bob".to_owned()), later).unwrap();
        throttle.admit(subject(), NOW.saturating_add(WINDOW)).unwrap();
    }

    #[test]
    fn success_is_not_held_against_anyone() {
        let throttle = Throttle::default();
        let subject = Subject::Address("::1".to_owned());
        for _ in 0..1000 {
            throttle.admit(subject.clone(), NOW).unwrap();
            throttle.take_back(&subject);
        }
    }

    #[test]
    fn memory_stays_bounded() {
        let throttle = Throttle::default();
        for index in 0..WINDOWS_MAX + 50 {
            let _ = throttle.admit(Subject::Address(index.to_string()), NOW);
        }
        assert_eq!(throttle.windows.lock().unwrap().len(), WINDOWS_MAX);
    }
}
