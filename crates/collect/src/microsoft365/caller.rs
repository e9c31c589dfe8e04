//! Calls of a server over HTTP, as a trait: which addresses may be called, and by what, is decided where it is implemented.

use moneta_ports::BoxFuture;

/// What a call asks.
#[derive(Clone)]
pub struct HttpRequest {
    /// The whole address.
    pub url: String,
    /// Names in lower case, and values, which must not be logged.
    pub headers: Vec<(&'static str, String)>,
    /// What is posted; the call is a `GET` where there is nothing.
    pub post: Option<String>,
    /// Bytes of an answer's body at most.
    pub answer_bytes_max: usize,
}

/// What a server answered, whatever its status.
#[derive(Debug, Clone, Default)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// The answer's body is larger than the request allows.
    #[error("the answer is too large")]
    TooLarge,
    /// Anything else: a reason for people, without secrets.
    #[error("{0}")]
    NoAnswer(String),
}

/// Calls servers: no redirect is followed, and no address is connected to that was not checked.
pub trait HttpCaller: Send + Sync {
    /// Calls once.
    fn call(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpAnswer, HttpFailure>>;
}
