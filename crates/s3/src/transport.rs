//! Requests and answers, and whoever carries them.

use std::fmt::Debug;

use bytes::Bytes;

/// What a request does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Asks for what is known of an object.
    Head,
    /// Writes.
    Put,
    /// Removes.
    Delete,
}

impl Method {
    /// As HTTP spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// A signed request.
#[derive(Debug, Clone)]
pub struct Request {
    /// What it does.
    pub method: Method,
    /// The whole address, with its query.
    pub url: String,
    /// Headers beside `Host` and `Content-Length`, names in lower case. Their values must not be logged.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Bytes,
    /// Bytes of an answer's body at most: more than that is an error.
    pub answer_bytes_max: usize,
}

impl Request {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str())
    }
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; empty for an answer to `HEAD`.
    pub body: Vec<u8>,
}

impl Response {
    /// A header's value.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// Carries requests to the one server of a [`crate::Place`], with whatever encryption and time limits.
pub trait Transport: Send + Sync + Debug {
    /// Sends a request and waits for its whole answer.
    ///
    /// # Errors
    /// A reason for people, without secrets. Whether the server acted on the request is then unknown.
    fn send(&self, request: &Request) -> Result<Response, String>;
}
