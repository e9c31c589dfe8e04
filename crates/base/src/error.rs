//! The three kinds of failure, decided once per error variant and mapped to HTTP and exit codes only at the edges.
//!
//! This module never formats messages: each crate's own `Error` enum does.

use std::time::Duration;

/// Who must act for a failed operation to succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller sent something that can never work; the message says what to change.
    Caller,
    /// The caller is not allowed to do this.
    Denied,
    /// The outside world failed (disk, network, peer). The same request may work later.
    Environment {
        /// How long to wait before trying again; `None` when an operator must act first.
        retry_after: Option<Duration>,
    },
    /// A defect in Moneta or damaged data: an operator must look.
    Internal,
}

impl ErrorKind {
    /// An environment failure that is worth retrying after one second.
    pub const RETRY: Self = Self::Environment { retry_after: Some(Duration::from_secs(1)) };
    /// An environment failure that stays until an operator acts.
    pub const OPERATOR: Self = Self::Environment { retry_after: None };
}
