//! Alarms: what people must hear of Moneta itself. They become alerts like those of rules.

use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// The newest checkpoint, or the newest with a quorum of cosignatures, is too old.
    CheckpointAge,
    /// A witness knows a tree of this log that the log does not continue.
    SplitView,
    /// A witness knows a larger tree of this log than the log has.
    RolledBack,
    /// A source that used to send sends nothing.
    SourceSilent,
    /// A source sends much less than it used to.
    SourceThinned,
    /// Records of a source are missing by their own numbering.
    SourceGapped,
    /// The newest records of a source come much later than they used to.
    SourceLate,
    /// Events of a source lie in the future.
    SourceClock,
    /// A shard or a segment that the root log names is gone, and no drop entry says why.
    Missing,
    /// A stored file is not the one that was signed for.
    Damaged,
    /// Alerts could not be delivered to a receiver.
    DeliveryFailed,
    /// An analytics rule could not be evaluated.
    RuleFailed,
    /// A rule that is stored and to run does not run.
    RuleStopped,
    /// A rule raises so many alerts that they are no longer delivered one by one.
    RuleThrottled,
    /// A correlation forgot events to stay within its bounds, or the state of all of them was lost.
    CorrelationsShort,
    /// Alerts of a table could not be stored, and it is matched no further until the next start.
    DetectionStalled,
    /// Alerts join no incidents any more until the next start.
    IncidentsStalled,
    /// Segments cannot be moved to the bucket, or objects not removed from it.
    BucketFailed,
    /// The disk of the data directory fills up.
    DiskFilling,
    /// It is nearly full.
    DiskNearlyFull,
    /// Records are refused for want of room.
    DiskFull,
    /// There is no room to remember how far further files, objects and senders got.
    ProducersFull,
    /// The journal takes no records until the next start.
    JournalStopped,
    /// Sealing, merging or retention fails again and again.
    KeepingFailed,
    /// A sender sent other content under a number that it had used.
    SenderConflict,
}

impl AlarmKind {
    /// All kinds.
    pub const ALL: [Self; 25] = [
        Self::CheckpointAge,
        Self::SplitView,
        Self::RolledBack,
        Self::SourceSilent,
        Self::SourceThinned,
        Self::SourceGapped,
        Self::SourceLate,
        Self::SourceClock,
        Self::Missing,
        Self::Damaged,
        Self::DeliveryFailed,
        Self::RuleFailed,
        Self::RuleStopped,
        Self::RuleThrottled,
        Self::CorrelationsShort,
        Self::DetectionStalled,
        Self::IncidentsStalled,
        Self::BucketFailed,
        Self::DiskFilling,
        Self::DiskNearlyFull,
        Self::DiskFull,
        Self::ProducersFull,
        Self::JournalStopped,
        Self::KeepingFailed,
        Self::SenderConflict,
    ];

    /// The kind's name, the label of the metric and the end of the rule id.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckpointAge => "checkpoint-age",
            Self::SplitView => "split-view",
            Self::RolledBack => "rolled-back",
            Self::SourceSilent => "source-silent",
            Self::SourceThinned => "source-thinned",
            Self::SourceGapped => "source-gapped",
            Self::SourceLate => "source-late",
            Self::SourceClock => "source-clock",
            Self::Missing => "missing",
            Self::Damaged => "damaged",
            Self::DeliveryFailed => "delivery-failed",
            Self::RuleFailed => "rule-failed",
            Self::RuleStopped => "rule-stopped",
            Self::RuleThrottled => "rule-throttled",
            Self::CorrelationsShort => "correlations-short",
            Self::DetectionStalled => "detection-stalled",
            Self::IncidentsStalled => "incidents-stalled",
            Self::BucketFailed => "bucket-failed",
            Self::DiskFilling => "disk-filling",
            Self::DiskNearlyFull => "disk-nearly-full",
            Self::DiskFull => "disk-full",
            Self::ProducersFull => "producers-full",
            Self::JournalStopped => "journal-stopped",
            Self::KeepingFailed => "keeping-failed",
            Self::SenderConflict => "sender-conflict",
        }
    }

    /// A title for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::CheckpointAge => "Checkpoints are too old",
            Self::SplitView => "A witness saw another history of the ledger",
            Self::RolledBack => "The ledger was rolled back",
            Self::SourceSilent => "A source fell silent",
            Self::SourceThinned => "A source sends much less than usual",
            Self::SourceGapped => "Records of a source are missing",
            Self::SourceLate => "Records of a source come late",
            Self::SourceClock => "The clock of a source is fast",
            Self::Missing => "Stored records are missing",
            Self::Damaged => "A stored file is damaged",
            Self::DeliveryFailed => "Alerts do not reach a receiver",
            Self::RuleFailed => "An analytics rule cannot be evaluated",
            Self::RuleStopped => "A rule does not run any more",
            Self::RuleThrottled => "A rule raises too many alerts",
            Self::CorrelationsShort => "A correlation does not remember all it should",
            Self::DetectionStalled => "Detection on a table stands still",
            Self::IncidentsStalled => "Alerts join no incidents",
            Self::BucketFailed => "Object storage does not do as it should",
            Self::DiskFilling => "The disk fills up",
            Self::DiskNearlyFull => "The disk is nearly full",
            Self::DiskFull => "Records are refused: the disk is full",
            Self::ProducersFull => "New files, objects and senders find no room",
            Self::JournalStopped => "No records are accepted: the journal stopped",
            Self::KeepingFailed => "Records cannot be put into segments, or old ones not dropped",
            Self::SenderConflict => "A sender contradicts what it sent before",
        }
    }

    /// What it means and what to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::CheckpointAge => {
                "Until there is a new one, whoever can write to the disk or holds the signing key could exchange the newest \
                 records. Ingest goes on. Look whether the witnesses run and can be reached; when it is the log itself \
                 that signs nothing, mend what the reason names, look at the disk, and restart."
            }
            Self::SplitView => {
                "Somebody signed two histories with the key of this log. Keep the files of the ledger and of the \
                 witness as they are, and compare them."
            }
            Self::RolledBack => {
                "The data directory was put back to an earlier state, or records were removed from its end. Keep its \
                 files as they are. If it was restored from a backup on purpose, begin a new log."
            }
            Self::SourceSilent => {
                "Look whether the machine runs, whether its logging was turned off, and whether anything lies between it \
                 and here. An attacker may have stopped it."
            }
            Self::SourceThinned => {
                "Look whether its logging was turned down, whether a filter drops records on the way, or whether there \
                 is simply less to tell. After a day the new amount counts as usual."
            }
            Self::SourceGapped => {
                "Records were written and did not arrive: they were lost on the way or removed. Compare with what the \
                 machine itself still has."
            }
            Self::SourceLate => {
                "Detection works on old events meanwhile. Look for a queue that does not drain, and whether the clock of \
                 the machine is slow."
            }
            Self::SourceClock => {
                "Times of its events cannot be trusted, and queries for the last minutes miss them. Look at its clock \
                 and at the time zone it writes."
            }
            Self::Missing => {
                "Files were deleted that no retention called for. Keep the directory as it is, look who could write to it, \
                 and bring the files back from a backup: `moneta verify` says when all is there again."
            }
            Self::Damaged => {
                "The disk lost it, or somebody changed it. Run `moneta verify` for the whole picture, look at the disk's \
                 own log, and bring the file back from a backup."
            }
            Self::DeliveryFailed => {
                "The alerts stand in SecurityAlert. Look whether the receiver runs and lets Moneta in; `moneta alerts test` \
                 sends it a test."
            }
            Self::RuleFailed => {
                "What it looks for in that time was not looked for. The reason names the limit or the error; change the \
                 query, or the limits in the configuration."
            }
            Self::RuleStopped => {
                "What it looks for is not looked for. Add what the reason names, such as a list of values or the rules that \
                 a correlation counts, or disable the rule: `moneta rules list` names all that do not run."
            }
            Self::RuleThrottled => {
                "Its alerts are stored with their first event only, are not delivered, and make no incidents, until it \
                 calms down. Narrow the rule, or make an exception."
            }
            Self::CorrelationsShort => {
                "It may miss what it looks for. Narrow the rules it counts, group by a field with fewer values, or shorten \
                 its timespan; `moneta rules backfill` looks at what is stored once more."
            }
            Self::DetectionStalled => {
                "No rule sees its new records, which are stored all the same. Mend what the reason names and restart: the \
                 journal keeps the records, and detection goes on where it stopped."
            }
            Self::IncidentsStalled => {
                "Alerts are still stored and delivered. Mend what the reason names and restart: the journal keeps the \
                 alerts, and those that are in no incident join theirs."
            }
            Self::BucketFailed => {
                "Segments stay on the local disk until it does, and queries for what was moved fail. Nothing is lost. Look \
                 whether the server of the bucket runs, and whether the credentials may read, write and delete there."
            }
            Self::DiskFilling | Self::DiskNearlyFull | Self::DiskFull => {
                "Nothing stored is overwritten. `moneta store retention` shows what each table takes and when the disk is \
                 full: make the volume larger, or keep tables for fewer days. Once there is room, everything goes on by \
                 itself."
            }
            Self::ProducersFull => {
                "Once the room is used up, the first new file or object waits, and with it what the same collector would \
                 read after it, and new senders are refused: let another server, with a data directory of its own, take \
                 the new ones before that."
            }
            Self::JournalStopped => {
                "After a failed write nobody knows what is on the disk, so the server ends and reads it back at the next \
                 start. What was acknowledged is safe; senders keep the rest. Look at the disk's own log; when the server \
                 does not come back by itself, start it."
            }
            Self::KeepingFailed => {
                "Nothing is lost: records stay in the journal and can be queried, and it is tried again every second. Mend \
                 what the reason names. Until then the journal and the memory for its records grow, up to the bounds in the \
                 configuration; past them senders are told to come back."
            }
            Self::SenderConflict => {
                "Nothing was overwritten, and what came now was refused. The sender was put back to an older state, or \
                 somebody speaks in its name: look at its machine, and give it a new name or epoch when it was restored."
            }
        }
    }

    /// How bad it is, in the words of rules.
    #[must_use]
    pub const fn level(self) -> &'static str {
        match self {
            Self::CheckpointAge
            | Self::SourceSilent
            | Self::SourceGapped
            | Self::DeliveryFailed
            | Self::RuleFailed
            | Self::RuleStopped
            | Self::CorrelationsShort
            | Self::DetectionStalled
            | Self::IncidentsStalled
            | Self::BucketFailed
            | Self::DiskNearlyFull
            | Self::ProducersFull
            | Self::KeepingFailed
            | Self::SenderConflict => "high",
            Self::SourceThinned | Self::SourceLate | Self::RuleThrottled | Self::DiskFilling => "medium",
            Self::SourceClock => "low",
            Self::SplitView
            | Self::RolledBack
            | Self::Missing
            | Self::Damaged
            | Self::DiskFull
            | Self::JournalStopped => "critical",
        }
    }
}

impl fmt::Display for AlarmKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// What.
    pub kind: AlarmKind,
    /// With what: a witness, a file, a shard. The same kind and subject are one matter.
    pub subject: String,
    /// The facts, in one sentence.
    pub text: String,
}

/// Takes alarms and makes alerts of them.
pub trait AlarmSink: Send + Sync {
    /// Reports a matter. Never waits: it may be called by any thread. One that goes on may be reported again and
    /// again; people hear of it at once, and then from time to time.
    fn raise(&self, alarm: Alarm);
}
