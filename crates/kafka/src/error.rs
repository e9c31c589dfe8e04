//! Why a broker could not be asked, or did not do what it was asked.

use std::io;

/// The error codes of the protocol that callers tell apart.
///
/// # Source
/// Apache Kafka, "Protocol Guide", section "Error Codes".
pub mod code {
    /// All is well.
    pub const NONE: i16 = 0;
    /// The offset asked for is not there any more, or not yet.
    pub const OFFSET_OUT_OF_RANGE: i16 = 1;
    /// There is no such topic or partition, or not here.
    pub const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
    /// Another broker leads the partition.
    pub const NOT_LEADER: i16 = 6;
}

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The connection could not be made, or broke.
    #[error("the connection to the broker failed")]
    Connection(#[from] io::Error),
    /// The broker said what the protocol does not have there.
    #[error("the broker does not speak the Kafka protocol: {0}")]
    NotKafka(&'static str),
    /// The answer is longer than any that is read.
    #[error("the broker answered {length} bytes; {max} is the most that is read")]
    TooLong {
        /// Bytes of the answer.
        length: u64,
        /// The limit.
        max: usize,
    },
    /// The broker is too old, or too new.
    #[error("the broker does not know {request} in version {version}, which this client speaks")]
    Version {
        /// The request.
        request: &'static str,
        /// Its version.
        version: i16,
    },
    /// The broker lacks the mechanism by which to sign in.
    #[error("the broker does not know the mechanism {wanted}; it has {known}")]
    Mechanism {
        /// The one asked for.
        wanted: &'static str,
        /// Those that it has.
        known: String,
    },
    /// The broker does not sign in as SCRAM has it.
    #[error("the broker cannot be signed in to: {0}")]
    Scram(&'static str),
    /// The broker refused what was asked.
    #[error("the broker answered {request} with {name} ({code})", name = name_of(*code))]
    Refused {
        /// The request.
        request: &'static str,
        /// The code of the error.
        code: i16,
    },
}

impl Error {
    /// Whether the same request may succeed later, without anybody changing a setting.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connection(_) => true,
            Self::Refused { code, .. } => {
                // Errors that the guide calls retriable.
                matches!(code, 1..=3 | 5..=7 | 9 | 13..=16 | 19 | 20 | 41 | 56 | 72 | 74..=76 | 84 | 100 | 104)
            }
            _ => false,
        }
    }
}

/// The name of an error code, where it is one that brokers give to clients like this one.
fn name_of(code: i16) -> &'static str {
    match code {
        1 => "OFFSET_OUT_OF_RANGE",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION",
        5 => "LEADER_NOT_AVAILABLE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        7 => "REQUEST_TIMED_OUT",
        9 => "REPLICA_NOT_AVAILABLE",
        10 => "MESSAGE_TOO_LARGE",
        13 => "NETWORK_EXCEPTION",
        17 => "INVALID_TOPIC_EXCEPTION",
        18 => "RECORD_LIST_TOO_LARGE",
        19 => "NOT_ENOUGH_REPLICAS",
        20 => "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
        29 => "TOPIC_AUTHORIZATION_FAILED",
        31 => "CLUSTER_AUTHORIZATION_FAILED",
        33 => "UNSUPPORTED_SASL_MECHANISM",
        34 => "ILLEGAL_SASL_STATE",
        35 => "UNSUPPORTED_VERSION",
        43 => "UNSUPPORTED_FOR_MESSAGE_FORMAT",
        44 => "POLICY_VIOLATION",
        56 => "KAFKA_STORAGE_ERROR",
        58 => "SASL_AUTHENTICATION_FAILED",
        74 => "FENCED_LEADER_EPOCH",
        75 => "UNKNOWN_LEADER_EPOCH",
        76 => "UNSUPPORTED_COMPRESSION_TYPE",
        87 => "INVALID_RECORD",
        89 => "THROTTLING_QUOTA_EXCEEDED",
        _ => "an error",
    }
}
