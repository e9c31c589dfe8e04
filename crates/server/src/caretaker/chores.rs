//! Tells people what the write path cannot do any more: a journal that stopped, and what the keeper tries again and again;
//! and of senders that contradict themselves.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ingest::IngestStatus;
use moneta_ports::{Alarm, AlarmKind};

use super::CaretakerParts;

/// How long a chore may fail before people hear of it: what passes by itself wakes nobody.
const FAILING_MAX: Duration = Duration::from_secs(60);
/// How long ago a conflict may be to be told: each look tells of it, and who hears of it hears once.
const CONFLICT_AGE_MAX: Duration = Duration::from_secs(60);

pub(super) fn look(parts: &CaretakerParts) {
    for alarm in alarms_of(&(parts.writing)(), parts.clock.now()) {
        parts.alarms.raise(alarm);
    }
}

/// What people are to hear. That checkpoints are not signed, they hear from whoever watches their age.
fn alarms_of(writing: &IngestStatus, now: Timestamp) -> Vec<Alarm> {
    let stopped = writing.stopped.iter().map(|reason| Alarm {
        kind: AlarmKind::JournalStopped,
        subject: "journal".to_owned(),
        text: format!("Nothing is accepted: {reason}."),
    });
    let failing = writing.failing_chores.iter().filter(|(_, failure)| now.since(failure.since) > FAILING_MAX);
    let failing = failing.map(|(chore, failure)| Alarm {
        kind: AlarmKind::KeepingFailed,
        subject: chore.name().to_owned(),
        text: format!("Failing since {}: {}.", failure.since, failure.reason),
    });
    let conflict = writing.conflict.iter().filter(|conflict| now.since(conflict.at) <= CONFLICT_AGE_MAX);
    let conflict = conflict.map(|conflict| Alarm {
        kind: AlarmKind::SenderConflict,
        subject: conflict.producer.clone(),
        text: format!("What was stored under number {} differs from what was sent under it again.", conflict.sequence),
    });
    stopped.chain(failing).chain(conflict).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use moneta_ingest::{Chore, ChoreFailure, SenderConflict};

    use super::*;

    #[test]
    fn what_fails_for_a_minute_and_a_journal_that_stopped_are_told() {
        let failure = |since| ChoreFailure { since: Timestamp::from_seconds(since), reason: "it broke".to_owned() };
        let failing_chores = [(Chore::Sealing, failure(39)), (Chore::Merging, failure(40))];
        let mut writing = IngestStatus { failing_chores: BTreeMap::from(failing_chores), ..IngestStatus::default() };
        let told = |writing: &IngestStatus| -> Vec<_> {
            let alarms = alarms_of(writing, Timestamp::from_seconds(100));
            alarms.into_iter().map(|alarm| (alarm.kind, alarm.subject)).collect()
        };
        let sealing = (AlarmKind::KeepingFailed, "sealing segments".to_owned());
        assert_eq!(told(&writing), std::slice::from_ref(&sealing));
        writing.stopped = Some("the disk is gone".to_owned());
        assert_eq!(told(&writing), [(AlarmKind::JournalStopped, "journal".to_owned()), sealing]);
        let conflict =
            |at| SenderConflict { at: Timestamp::from_seconds(at), producer: "agent".to_owned(), sequence: 7 };
        writing = IngestStatus { conflict: Some(conflict(40)), ..IngestStatus::default() };
        assert_eq!(told(&writing), [(AlarmKind::SenderConflict, "agent".to_owned())]);
        writing.conflict = Some(conflict(39));
        assert_eq!(told(&writing), []);
    }
}
