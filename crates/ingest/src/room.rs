//! How full the disk may get, and who is let in at which fill. Nothing stored is ever overwritten to make room: senders
//! are told to come back instead, and keep what they have.
//!
//! ```text
//! from 75 %   people are warned
//! from 85 %   people are warned urgently
//! from 92 %   records of class `data` are refused; `control` and `processed` go on
//! from 97 %   everything is refused but what Moneta itself tells, above all in the audit stream, which has
//!             a reserve
//! ```
//! A rung is left again once the fill is two percent below its beginning, by itself. The reserve counts as used all the
//! time, so that giving it away does not look like room. This looks at the disk and decides; it tells nobody: the
//! server watches the rung.
//!
//! # Source
//! NIST SP 800-53 AU-5 (1) (2), and the ladder of auditd(8).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moneta_base::{Clock, ErrorKind, Timestamp};
use moneta_ports::{PortError, Space, Volume};

/// Time between two looks at the disk at least: a look is one system call.
const LOOK_INTERVAL: Duration = Duration::from_millis(200);
/// What a fill must be below the beginning of a rung for the rung to be left, in permille.
const SLACK_PERMILLE: u64 = 20;
/// Time between two tries to set the reserve aside after one that failed.
const RESERVE_AGAIN: Duration = Duration::from_secs(60);
/// When senders are told to come back.
const COME_BACK: Duration = Duration::from_secs(15);

/// How full the disk is, by what follows from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// There is room.
    #[default]
    Free,
    /// People are warned.
    Filling,
    /// People are warned urgently.
    NearlyFull,
    /// Records of class `data` are refused.
    DataRefused,
    /// All is refused but what Moneta itself tells.
    AuditOnly,
}

impl Rung {
    /// The rungs above the first, the highest first.
    const HIGHEST_FIRST: [Self; 4] = [Self::AuditOnly, Self::DataRefused, Self::NearlyFull, Self::Filling];

    /// The fill from which it is in force, in percent.
    #[must_use]
    pub const fn percent(self) -> u64 {
        match self {
            Self::Free => 0,
            Self::Filling => 75,
            Self::NearlyFull => 85,
            Self::DataRefused => 92,
            Self::AuditOnly => 97,
        }
    }

    /// Its name in the status.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Free => "free",
            Self::Filling => "filling",
            Self::NearlyFull => "nearly-full",
            Self::DataRefused => "data-refused",
            Self::AuditOnly => "audit-only",
        }
    }

    /// The rung at a fill, given the one before.
    fn at(permille: u64, before: Self) -> Self {
        let begins = |rung: &Self| {
            let slack = if *rung <= before { SLACK_PERMILLE } else { 0 };
            permille >= rung.percent() * 10 - slack
        };
        Self::HIGHEST_FIRST.into_iter().find(begins).unwrap_or_default()
    }
}

/// Whose records they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stream {
    /// What Moneta itself tells: its audit, alerts, how far it matched rules. Without records from outside it is
    /// little.
    Own,
    /// Records of class `data` from outside.
    Data,
    /// Everything else.
    Other,
}

/// Looks after the room of the disk.
pub(crate) struct Room {
    volume: Arc<dyn Volume>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    looked_at: Option<Timestamp>,
    rung: Rung,
    is_aside: bool,
    /// When the reserve could not be set aside last.
    failed_at: Option<Timestamp>,
}

impl Room {
    pub(crate) fn new(volume: Arc<dyn Volume>, clock: Arc<dyn Clock>) -> Self {
        Self { volume, clock, state: Mutex::default() }
    }

    /// How full the disk is.
    pub(crate) fn rung(&self) -> Rung {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that goes back must not blind this.
        let is_fresh = |at: Timestamp| now >= at && now.since(at) < LOOK_INTERVAL;
        if !state.looked_at.is_some_and(is_fresh) {
            state.looked_at = Some(now);
            self.look(&mut state, now);
        }
        state.rung
    }

    fn look(&self, state: &mut State, now: Timestamp) {
        let space = match self.volume.space() {
            Ok(space) if space.total_bytes > 0 => space,
            // Not knowing is no reason to refuse: a write that finds no room is refused all the same.
            Ok(_) => return,
            Err(error) => return tracing::warn!(%error, "the room of the data directory cannot be read"),
        };
        let reserve = self.volume.reserve_bytes();
        let free = if state.is_aside { space.available_bytes } else { space.available_bytes.saturating_sub(reserve) };
        state.rung = Rung::at(Space { available_bytes: free, ..space }.used_permille(), state.rung);
        if state.rung == Rung::AuditOnly && state.is_aside {
            match self.volume.give() {
                Ok(()) => state.is_aside = false,
                Err(error) => tracing::error!(%error, "the reserve of the audit stream cannot be given"),
            }
        } else if state.rung < Rung::AuditOnly && !state.is_aside && reserve > 0 {
            let failed_lately = |at: Timestamp| now >= at && now.since(at) < RESERVE_AGAIN;
            if !state.failed_at.is_some_and(failed_lately) {
                self.set_aside(state, now);
            }
        }
    }

    fn set_aside(&self, state: &mut State, now: Timestamp) {
        match self.volume.set_aside() {
            Ok(()) => (state.is_aside, state.failed_at) = (true, None),
            Err(error) => {
                state.failed_at = Some(now);
                tracing::warn!(%error, "no reserve could be set aside for the audit stream; it is tried again");
            }
        }
    }

    /// Lets a submission in, or says when to come back.
    pub(crate) fn admit(&self, stream: Stream) -> Result<(), PortError> {
        match message(self.rung(), stream) {
            Some(message) => Err(PortError::new(ErrorKind::Environment { retry_after: Some(COME_BACK) }, message)),
            None => Ok(()),
        }
    }

    /// Gives the reserve back to the disk: nobody looks after it from here on.
    pub(crate) fn close(&self) {
        if let Err(error) = self.volume.give() {
            tracing::warn!(%error, "the reserve of the audit stream stays until the next start");
        }
    }
}

/// What a sender is told that is not let in.
fn message(rung: Rung, stream: Stream) -> Option<&'static str> {
    match (stream, rung) {
        (Stream::Data | Stream::Other, Rung::AuditOnly) => {
            Some("the disk is full: nothing is stored until there is room; keep it and send it again")
        }
        (Stream::Data, Rung::DataRefused) => Some(
            "the disk is nearly full: records of class data are not stored until there is room; keep them and send them \
             again",
        ),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in_follows_from_the_rung() {
        let refused = |rung, stream| message(rung, stream).is_some();
        for rung in [Rung::Free, Rung::Filling, Rung::NearlyFull] {
            assert!(![Stream::Own, Stream::Data, Stream::Other].into_iter().any(|stream| refused(rung, stream)));
        }
        assert!(refused(Rung::DataRefused, Stream::Data) && !refused(Rung::DataRefused, Stream::Other));
        assert!(refused(Rung::AuditOnly, Stream::Data) && refused(Rung::AuditOnly, Stream::Other));
        assert!(!refused(Rung::AuditOnly, Stream::Own));
    }

    #[test]
    fn rungs_begin_where_they_say_and_are_left_a_little_below() {
        for (permille, before, expected) in [
            (749, Rung::Free, Rung::Free),
            (750, Rung::Free, Rung::Filling),
            (735, Rung::Filling, Rung::Filling),
            (729, Rung::Filling, Rung::Free),
            (969, Rung::Free, Rung::DataRefused),
            (970, Rung::Free, Rung::AuditOnly),
            (951, Rung::AuditOnly, Rung::AuditOnly),
            (949, Rung::AuditOnly, Rung::DataRefused),
            (0, Rung::AuditOnly, Rung::Free),
            (1_000, Rung::Free, Rung::AuditOnly),
        ] {
            assert_eq!(Rung::at(permille, before), expected, "{permille} after {before:?}");
        }
    }
}
