//! The three kinds of failure, decided once per error variant and mapped to HTTP and exit codes only at the edges; and an
//! error with its causes as one line.
//!
//! This module never makes messages: each crate's own `Error` enum does.

use std::error::Error;
use std::time::Duration;

/// An error and its causes in one line, each after a colon.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (**cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_follow_their_error() {
        let inner = std::io::Error::other("the disk is gone");
        let outer = std::io::Error::other(std::io::Error::new(inner.kind(), inner));
        assert_eq!(chain(&std::fmt::Error), std::fmt::Error.to_string());
        assert!(chain(&outer).ends_with("the disk is gone"));
    }
}
