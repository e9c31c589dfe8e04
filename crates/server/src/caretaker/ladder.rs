//! Tells people how full the disk is, at every rung but the lowest, and the audit table at every step up or down; and
//! people, when the journal's room for senders runs out.

use moneta_base::Timestamp;
use moneta_ingest::Rung;
use moneta_ports::{Alarm, AlarmKind, AuditEvent};

use super::CaretakerParts;

/// Fill of the journal's room for senders from which people are told, in percent.
const PRODUCERS_PERCENT_TOLD: u8 = 90;

/// How full things are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Fill {
    /// The disk of the data directory.
    pub(crate) rung: Rung,
    /// The room for the marks of senders, files and objects.
    pub(crate) producers_percent: u8,
}

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Ladder {
    audited: Rung,
    told: Rung,
    /// Since when it is so: the same rung climbed again is another matter.
    since: Timestamp,
}

impl Ladder {
    pub(super) fn look(&mut self, parts: &CaretakerParts) {
        let Fill { rung, producers_percent } = (parts.fill)();
        if rung != self.told {
            (self.told, self.since) = (rung, parts.clock.now());
        }
        let alarms = [disk_alarm(rung, self.since), producers_alarm(producers_percent)];
        alarms.into_iter().flatten().for_each(|alarm| parts.alarms.raise(alarm));
        if rung != self.audited {
            self.audit(rung, parts);
        }
    }

    fn audit(&mut self, rung: Rung, parts: &CaretakerParts) {
        let mut event = AuditEvent::success("disk.fill", "volume", "data");
        event.details.insert("state".to_owned(), rung.name().into());
        event.details.insert("before".to_owned(), self.audited.name().into());
        tracing::warn!(before = self.audited.name(), now = rung.name(), "the disk is fuller or emptier than before");
        match (parts.audit)(event) {
            Ok(()) => self.audited = rung,
            // Tried again at the next look, until it is in the audit table.
            Err(error) => tracing::error!(%error, "how full the disk is could not be audited"),
        }
    }
}

/// What people are to hear of a rung.
fn disk_alarm(rung: Rung, since: Timestamp) -> Option<Alarm> {
    let (kind, consequence) = match rung {
        Rung::Free => return None,
        Rung::Filling => (AlarmKind::DiskFilling, "nothing is refused yet"),
        Rung::NearlyFull => (AlarmKind::DiskNearlyFull, "nothing is refused yet"),
        Rung::DataRefused => (AlarmKind::DiskFull, "records of class data are refused, senders keep them"),
        Rung::AuditOnly => {
            (AlarmKind::DiskFull, "all but what Moneta itself tells is refused, senders keep their records")
        }
    };
    let text = format!("The disk of the data directory is {} % full or more: {consequence}.", rung.percent());
    Some(Alarm { kind, subject: format!("{} since {since}", rung.name()), text })
}

fn producers_alarm(percent: u8) -> Option<Alarm> {
    let text = format!("{percent} % of the room that remembers how far files, objects and senders got is in use.");
    let subject = "journal".to_owned();
    (percent >= PRODUCERS_PERCENT_TOLD).then_some(Alarm { kind: AlarmKind::ProducersFull, subject, text })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use moneta_base::ErrorKind;
    use moneta_ports::{AlarmSink, Metrics, PortError};
    use moneta_testkit::{FixedClock, SimFs};

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<(AlarmKind, String)>>);

    impl AlarmSink for Heard {
        fn raise(&self, alarm: Alarm) {
            self.0.lock().expect("no test panicked").push((alarm.kind, alarm.subject));
        }
    }

    /// A caretaker of a disk whose fill and audit table the test decides on.
    struct Scene {
        parts: CaretakerParts,
        fill: Arc<Mutex<Fill>>,
        heard: Arc<Heard>,
        audited: Arc<Mutex<Vec<String>>>,
        is_audit_broken: Arc<Mutex<bool>>,
        clock: Arc<FixedClock>,
    }

    fn scene() -> Scene {
        let (fill, heard, audited) = (Arc::<Mutex<Fill>>::default(), Arc::<Heard>::default(), Arc::default());
        let (is_audit_broken, clock) = (Arc::<Mutex<bool>>::default(), Arc::new(FixedClock::default()));
        let (seen, broken, rows): (_, _, Arc<Mutex<Vec<String>>>) =
            (fill.clone(), is_audit_broken.clone(), Arc::clone(&audited));
        let parts = CaretakerParts {
            fs: Arc::new(SimFs::new()),
            data: "nowhere".into(),
            store: crate::caretaker::empty_store(),
            fill: Box::new(move || *seen.lock().expect("no test panicked")),
            writing: Box::new(Default::default),
            journal: Box::new(Vec::new),
            audit: Box::new(move |event| {
                if *broken.lock().expect("no test panicked") {
                    return Err(PortError::new(ErrorKind::OPERATOR, "disk full"));
                }
                let step = format!("{} to {}", event.details["before"], event.details["state"]);
                rows.lock().expect("no test panicked").push(step.replace('"', ""));
                Ok(())
            }),
            key: moneta_merkle::VerifierKey::new("test", [0; 32]).expect("a name"),
            alarms: heard.clone(),
            clock: clock.clone(),
            metrics: Arc::new(Metrics::default()),
            board: Arc::default(),
            budget: 0,
        };
        Scene { parts, fill, heard, audited, is_audit_broken, clock }
    }

    #[test]
    fn every_step_is_an_alarm_of_its_own_and_audited_once() {
        let scene = scene();
        let mut ladder = Ladder::default();
        let climb = [Rung::Free, Rung::Filling, Rung::AuditOnly, Rung::AuditOnly, Rung::Free, Rung::AuditOnly];
        for (second, rung) in climb.into_iter().enumerate() {
            scene.clock.set(Timestamp::from_seconds(i64::try_from(second).expect("a few")));
            scene.fill.lock().expect("no test panicked").rung = rung;
            ladder.look(&scene.parts);
        }
        let steps = ["free to filling", "filling to audit-only", "audit-only to free", "free to audit-only"];
        assert_eq!(*scene.audited.lock().expect("no test panicked"), steps);
        let heard = scene.heard.0.lock().expect("no test panicked");
        let kinds: Vec<_> = heard.iter().map(|(kind, _)| *kind).collect();
        let full = AlarmKind::DiskFull;
        assert_eq!(kinds, [AlarmKind::DiskFilling, full, full, full]);
        // The same matter goes on until it is left; then it is another.
        assert_eq!(heard[1].1, heard[2].1);
        assert_ne!(heard[2].1, heard[3].1);
    }

    #[test]
    fn a_step_that_cannot_be_audited_is_told_at_once_and_audited_later() {
        let scene = scene();
        let mut ladder = Ladder::default();
        scene.fill.lock().expect("no test panicked").rung = Rung::DataRefused;
        *scene.is_audit_broken.lock().expect("no test panicked") = true;
        ladder.look(&scene.parts);
        ladder.look(&scene.parts);
        let subjects: Vec<_> = scene.heard.0.lock().expect("no test panicked").clone();
        assert!(subjects.len() == 2 && subjects[0] == subjects[1], "{subjects:?}");
        *scene.is_audit_broken.lock().expect("no test panicked") = false;
        ladder.look(&scene.parts);
        ladder.look(&scene.parts);
        assert_eq!(*scene.audited.lock().expect("no test panicked"), ["free to data-refused"]);
    }

    #[test]
    fn people_hear_before_the_room_for_senders_is_used_up() {
        let scene = scene();
        let mut ladder = Ladder::default();
        for percent in [0, 89, 90, 100] {
            scene.fill.lock().expect("no test panicked").producers_percent = percent;
            ladder.look(&scene.parts);
        }
        let told = (AlarmKind::ProducersFull, "journal".to_owned());
        assert_eq!(*scene.heard.0.lock().expect("no test panicked"), [told.clone(), told]);
    }
}
