//! How a command ends: the one map from errors to exit codes, and how an error is told.
//!
//! # Exit codes
//! ```text
//!  0  done
//!  1  done, and the answer is negative: something does not verify, a rule does not load, a file was not understood
//!  2  the command, its input or the request is wrong
//!  3  done, and the answer is evidence: the log signed for records that it does not have
//! 69  a server or a data directory is not available now
//! 70  a defect in Moneta, or damaged data
//! 74  reading or writing failed
//! 77  not allowed
//! 78  the configuration is wrong
//! ```
//! # Source
//! sysexits.h for the codes above 2; grep for the difference between 1 and 2.

use std::error::Error as StdError;
use std::io;

use moneta_base::ErrorKind;
use moneta_ports::{PortError, QueryError};
use moneta_server::ServerError;
use moneta_server::config::ConfigError;
use serde_json::json;

use crate::console::Console;

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked.
    Success,
    /// It ran, and the answer is negative.
    Negative,
    /// What was asked is wrong.
    Usage,
    /// It ran, and the log is convicted by its own signature.
    Evidence,
    /// What it needs is not available now.
    Unavailable,
    /// A defect, or damaged data.
    Internal,
    /// Reading or writing failed.
    Io,
    /// Not allowed.
    Denied,
    /// The configuration is wrong.
    Config,
}

impl Exit {
    /// The process's exit code.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Negative => 1,
            Self::Usage => 2,
            Self::Evidence => 3,
            Self::Unavailable => 69,
            Self::Internal => 70,
            Self::Io => 74,
            Self::Denied => 77,
            Self::Config => 78,
        }
    }

    /// `Negative` unless `good`.
    #[must_use]
    pub const fn negative_unless(good: bool) -> Self {
        if good { Self::Success } else { Self::Negative }
    }

    const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Caller => Self::Usage,
            ErrorKind::Denied => Self::Denied,
            ErrorKind::Environment { .. } => Self::Unavailable,
            ErrorKind::Internal => Self::Internal,
        }
    }
}

/// Why a command could not be done, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    causes: Vec<String>,
    advice: Option<String>,
    /// A text that tells the message better, on a terminal: a query with its mistakes marked.
    rendered: Option<Box<str>>,
    /// The line of a file that it is about, with the place marked.
    place: Option<Box<str>>,
}

impl Failure {
    /// A failure with a message of its own.
    #[must_use]
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), causes: Vec::new(), advice: None, rendered: None, place: None }
    }

    /// What was asked is wrong.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// Reading or writing failed.
    #[must_use]
    pub fn io(message: impl Into<String>, source: io::Error) -> Self {
        Self::new(Exit::Io, message).caused_by(&source)
    }

    /// Adds an error and its own causes.
    #[must_use]
    pub fn caused_by(mut self, source: &(dyn StdError + 'static)) -> Self {
        let mut next = Some(source);
        while let Some(error) = next {
            let text = error.to_string();
            let last = self.causes.last().unwrap_or(&self.message);
            if !last.ends_with(&text) {
                self.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds what to do.
    #[must_use]
    pub fn advise(self, advice: impl Into<String>) -> Self {
        Self { advice: Some(advice.into()), ..self }
    }

    /// Adds the text to show in place of the message.
    #[must_use]
    pub fn rendered(self, text: impl Into<String>) -> Self {
        Self { rendered: Some(text.into().into()), ..self }
    }

    /// Marks what is wrong in the line of a file.
    #[must_use]
    pub fn at(self, place: Option<String>) -> Self {
        Self { place: place.map(Into::into), ..self }
    }

    /// A word that names nothing, and what probably was meant, or all there is.
    #[must_use]
    pub fn unknown<'a>(what: &str, word: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let advice = match moneta_kql::nearest(word, known.iter().copied()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => known.join(", "),
        };
        Self::usage(format!("there is no {what} {word:?}")).advise(advice)
    }

    /// Tells the failure on standard error; returns how the process ends.
    pub fn report(&self, console: &Console) -> Exit {
        if self.is_closed_output() {
            return Exit::Success;
        }
        if console.json {
            let error = json!({ "message": self.message, "place": self.place, "causes": self.causes,
                "advice": self.advice, "exit": self.exit.code() });
            console.complain(&json!({ "error": error }).to_string());
            return self.exit;
        }
        match &self.rendered {
            Some(text) => console.complain(text.trim_end()),
            None => console.complain(&format!("{} {}", console.label("error:", false), self.message)),
        }
        if let Some(place) = &self.place {
            console.complain(place.trim_end_matches('\n'));
        }
        self.causes.iter().for_each(|cause| console.complain(&format!("  because: {cause}")));
        if let Some(advice) = &self.advice {
            console.complain(&format!("  try: {advice}"));
        }
        self.exit
    }

    /// Whoever read our output has seen enough: no failure, and nobody to tell.
    fn is_closed_output(&self) -> bool {
        self.exit == Exit::Io && self.message == CLOSED_OUTPUT
    }
}

const CLOSED_OUTPUT: &str = "standard output was closed";

/// Only writing results reaches this: every other file operation says which file it was about.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::new(Exit::Io, CLOSED_OUTPUT),
            _ => Self::io("cannot write to standard output", error),
        }
    }
}

impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        let failure = Self::new(Exit::of(error.kind), error.message.clone());
        match error.source.as_deref() {
            Some(source) => failure.caused_by(source),
            None => failure,
        }
    }
}

impl From<moneta_access::Error> for Failure {
    fn from(error: moneta_access::Error) -> Self {
        Self::new(Exit::of(error.kind()), error.to_string()).caused_by(&error)
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        let exit = match &error {
            ServerError::Locked(_) | ServerError::Listen { .. } => Exit::Unavailable,
            ServerError::Config(_) | ServerError::Setting { .. } => Exit::Config,
            ServerError::Data { .. } => Exit::Io,
            ServerError::Part { .. } => Exit::of(error.kind()),
        };
        Self::new(exit, error.to_string()).caused_by(&error)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let failure = Self::new(Exit::Config, error.to_string()).caused_by(&error);
        match error {
            ConfigError::Invalid { place, .. } => failure.at(place),
            ConfigError::Unreadable { .. } => failure,
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        let failure = Self::new(Exit::of(error.kind()), error.to_string());
        match error {
            QueryError::Invalid { rendered, .. } => failure.rendered(rendered),
            _ => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_once_each() {
        let inner = io::Error::other("disk on fire");
        let failure = Failure::io("cannot read x", inner);
        assert_eq!(failure.causes, ["disk on fire"]);
        let same = Failure::new(Exit::Io, "cannot: disk on fire").caused_by(&io::Error::other("disk on fire"));
        assert!(same.causes.is_empty());
    }

    #[test]
    fn verification_findings_never_share_a_code_with_could_not_run() {
        let codes = [Exit::Usage, Exit::Unavailable, Exit::Internal, Exit::Io, Exit::Denied, Exit::Config];
        assert!(codes.iter().all(|exit| exit.code() > Exit::Negative.code()));
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert!(failure.is_closed_output());
    }
}
