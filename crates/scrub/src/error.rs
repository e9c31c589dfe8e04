//! Why a scrubber cannot be made. Scrubbing itself never fails.

use moneta_base::ErrorKind;

/// A policy or a set of keys that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The policy file is not valid TOML or has a key that does not exist.
    #[error("scrub policy cannot be read")]
    PolicySyntax(#[source] toml::de::Error),
    /// The policy names something that does not exist, or sets a limit that cannot be.
    #[error("scrub policy: {0}")]
    PolicyContent(String),
    /// There is no key of the version that should make new tokens.
    #[error("token key {0} is current but not present")]
    KeyMissing(u32),
}

impl Error {
    /// Who must act.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::PolicySyntax(_) | Self::PolicyContent(_) => ErrorKind::Caller,
            Self::KeyMissing(_) => ErrorKind::OPERATOR,
        }
    }
}
