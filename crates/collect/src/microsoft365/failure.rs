//! Why something could not be pulled.

use std::time::Duration;

use moneta_base::Timestamp;
use serde_json::Value as Json;

use super::caller::{HttpAnswer, HttpFailure};

/// Characters of a server's reason that are shown.
const REASON_CHARS_MAX: usize = 300;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server did not answer.
    #[error("{host} does not answer: {reason}")]
    Unreachable {
        /// The server.
        host: String,
        /// Why.
        reason: HttpFailure,
    },
    /// The server refused.
    #[error("{doing}: the server answered {status} {code}{message}")]
    Refused {
        /// What was asked.
        doing: &'static str,
        /// The HTTP status.
        status: u16,
        /// Its own code, such as `AF20051`, or nothing.
        code: String,
        /// Its reason, or nothing.
        message: String,
        /// When it wants to be called again.
        retry_after: Option<Duration>,
    },
    /// The answer names an address of somebody else, who must not get the token.
    #[error("the server named an address that is not its own")]
    Elsewhere,
    /// A page has more than is taken at once, and cannot be made smaller.
    #[error("a page of what became available in the seconds about {0} is too large")]
    PageTooLarge(Timestamp),
    /// The answer, or what the store said, is not what is needed to go on.
    #[error("{0}")]
    Unexpected(&'static str),
}

impl Failure {
    /// What an answer other than success says.
    pub(super) fn refused(doing: &'static str, answer: &HttpAnswer) -> Self {
        let body: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let shown = |text: &str| text.chars().filter(|c| !c.is_control()).take(REASON_CHARS_MAX).collect::<String>();
        // `{"error": {"code", "message"}}` of the services, `{"error", "error_description"}` of the sign-in.
        let (code, message) = match &body["error"] {
            Json::String(code) => (shown(code), body["error_description"].as_str()),
            error => (shown(error["code"].as_str().unwrap_or_default()), error["message"].as_str()),
        };
        let message = message.map(|message| format!(": {}", shown(message))).unwrap_or_default();
        let retry_after = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        Self::Refused { doing, status: answer.status, code, message, retry_after }
    }

    /// Whether the same call may succeed soon.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } => !self.is_too_large(),
            Self::Refused { status, code, .. } => {
                matches!(status, 408 | 425 | 429 | 500 | 502 | 503 | 504) || code == "AF429"
            }
            Self::Elsewhere | Self::PageTooLarge(_) | Self::Unexpected(_) => false,
        }
    }

    /// When the server wants to be called again.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether what was asked for was there, and is no longer.
    pub(super) fn is_expired(&self) -> bool {
        matches!(self, Self::Refused { status: 410, .. }) || self.has_code("AF20051")
    }

    /// Whether what was asked for is not there.
    pub(super) fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. }) || self.has_code("AF20050")
    }

    /// Whether there is no subscription, or somebody turned it off.
    pub(super) fn has_no_subscription(&self) -> bool {
        self.has_code("AF20022") || self.has_code("AF20023")
    }

    /// Whether the answer has more than is taken at once.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self, Self::Unreachable { reason: HttpFailure::TooLarge, .. })
    }

    /// Whether a server said this code.
    pub(super) fn has_code(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { code, .. } if code == wanted)
    }
}
