//! Tells people when acknowledged records come under no checkpoint, though none of them needs a witness for that.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ingest::{LedgerFailure, LedgerOutcome};
use moneta_ports::{Alarm, AlarmKind};

use super::CaretakerParts;

/// How old the last checkpoint may be over what was acknowledged before it: the longest that a receipt promises.
const AGE_MAX: Duration = moneta_verify::receipt::MERGE_DELAY_MAX;

/// Looks after their age.
#[derive(Debug, Default)]
pub(super) struct CheckpointWatch {
    /// What the age counts from until there is one.
    started_at: Option<Timestamp>,
}

impl CheckpointWatch {
    pub(super) fn look(&mut self, parts: &CaretakerParts) {
        let now = parts.clock.now();
        let started_at = *self.started_at.get_or_insert(now);
        let writing = (parts.writing)();
        let age = now.since(writing.covered_at.unwrap_or(started_at));
        if let Some(alarm) = alarm_of(writing.ledger_failure.as_ref(), age) {
            parts.alarms.raise(alarm);
        }
    }
}

/// What people are to hear. A ledger that stopped is told at once: it does not come back by itself.
fn alarm_of(failure: Option<&LedgerFailure>, age: Duration) -> Option<Alarm> {
    let alarm = |kind, subject: &str, text| Some(Alarm { kind, subject: subject.to_owned(), text });
    match failure {
        Some(LedgerFailure { reason, outcome: LedgerOutcome::NotAsWritten }) => {
            let text = format!("No checkpoint is signed until a restart: {reason}.");
            alarm(AlarmKind::Damaged, "ledger", text)
        }
        Some(LedgerFailure { reason, outcome: LedgerOutcome::Stopped }) => {
            let text = format!("No checkpoint is signed until a restart: {reason}.");
            alarm(AlarmKind::CheckpointAge, "ledger", text)
        }
        failure if age > AGE_MAX => {
            let reason = failure.map_or_else(String::new, |failure| format!(": {}", failure.reason));
            let text = format!("What was acknowledged in the last {} s is under no checkpoint{reason}.", age.as_secs());
            alarm(AlarmKind::CheckpointAge, "local", text)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(failure: Option<LedgerOutcome>, age_seconds: u64, expected: Option<(AlarmKind, &str)>) {
        let failure = failure.map(|outcome| LedgerFailure { reason: "it broke".to_owned(), outcome });
        let told = alarm_of(failure.as_ref(), Duration::from_secs(age_seconds));
        let told = told.as_ref().map(|alarm| (alarm.kind, alarm.text.as_str()));
        assert_eq!(told.map(|(kind, _)| kind), expected.map(|(kind, _)| kind), "{told:?}");
        assert!(told.zip(expected).is_none_or(|((_, text), (_, words))| text.contains(words)), "{told:?}");
    }

    #[test]
    fn a_checkpoint_is_missed_after_a_minute_and_a_stopped_ledger_at_once() {
        check(None, 60, None);
        check(None, 61, Some((AlarmKind::CheckpointAge, "61 s is under no checkpoint.")));
        check(Some(LedgerOutcome::Retried), 5, None);
        check(Some(LedgerOutcome::Retried), 61, Some((AlarmKind::CheckpointAge, "under no checkpoint: it broke.")));
        check(Some(LedgerOutcome::Stopped), 0, Some((AlarmKind::CheckpointAge, "until a restart: it broke.")));
        check(Some(LedgerOutcome::NotAsWritten), 0, Some((AlarmKind::Damaged, "until a restart: it broke.")));
    }
}
