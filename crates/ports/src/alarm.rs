//! Alarms: what people must hear of Moneta itself. They become alerts like those of rules.

use std::fmt;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// The newest checkpoint with a quorum of cosignatures is too old.
    CheckpointAge,
    /// A witness knows a tree of this log that the log does not continue.
    SplitView,
    /// A witness knows a larger tree of this log than the log has.
    RolledBack,
}

impl AlarmKind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::CheckpointAge, Self::SplitView, Self::RolledBack];

    /// The kind's name, the label of the metric and the end of the rule id.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::CheckpointAge => "checkpoint-age",
            Self::SplitView => "split-view",
            Self::RolledBack => "rolled-back",
        }
    }

    /// A title for people.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::CheckpointAge => "Checkpoints are not witnessed",
            Self::SplitView => "A witness saw another history of the ledger",
            Self::RolledBack => "The ledger was rolled back",
        }
    }

    /// What it means and what to do.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::CheckpointAge => {
                "Until witnesses cosign again, whoever holds the signing key could exchange the newest records. Ingest \
                 goes on. Look whether the witnesses run and can be reached."
            }
            Self::SplitView => {
                "Somebody signed two histories with the key of this log. Keep the files of the ledger and of the \
                 witness as they are, and compare them."
            }
            Self::RolledBack => {
                "The data directory was put back to an earlier state, or records were removed from its end. Keep its \
                 files as they are. If it was restored from a backup on purpose, begin a new log."
            }
        }
    }

    /// How bad it is, in the words of rules.
    #[must_use]
    pub const fn level(self) -> &'static str {
        match self {
            Self::CheckpointAge => "high",
            Self::SplitView | Self::RolledBack => "critical",
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
