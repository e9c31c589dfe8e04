//! Since when the parts of a process have been in the state that they are in. Looks notice a change: whoever asks hours
//! later still learns when it began. What was before this process is not known.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use moneta_base::Timestamp;

/// The states of parts, by name, as the last look saw them. The names are those of parts and collectors of the
/// configuration, so that there are few.
#[derive(Debug, Default)]
pub(crate) struct Since(Mutex<BTreeMap<String, (String, Timestamp)>>);

impl Since {
    /// When a part came into this state, in RFC 3339: `now`, unless an earlier look saw it there.
    pub(crate) fn note(&self, part: &str, state: &str, now: Timestamp) -> String {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (known, since) = states.entry(part.to_owned()).or_insert_with(|| (state.to_owned(), now));
        if known != state {
            (*known, *since) = (state.to_owned(), now);
        }
        since.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_lasts_from_the_look_that_saw_it_first() {
        let (since, at) = (Since::default(), Timestamp::from_seconds);
        let text = |seconds| at(seconds).to_string();
        assert_eq!(since.note("disk", "ready", at(10)), text(10));
        assert_eq!(since.note("disk", "ready", at(20)), text(10));
        assert_eq!(since.note("disk", "not ready", at(30)), text(30));
        assert_eq!(since.note("journal", "ready", at(40)), text(40));
        assert_eq!(since.note("disk", "not ready", at(50)), text(30));
        assert_eq!(since.note("disk", "ready", at(60)), text(60));
    }
}
