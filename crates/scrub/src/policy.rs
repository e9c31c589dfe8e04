//! What counts as personal data: placeholder until the policy file is read.

use crate::Error;

/// Which fields and patterns become tokens.
#[derive(Debug, Clone)]
pub struct Policy {}

impl Policy {
    /// The policy compiled in.
    #[must_use]
    pub fn built_in() -> Self {
        Self {}
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`Error::PolicySyntax`] and [`Error::PolicyContent`].
    pub fn parse(_text: &str) -> Result<Self, Error> {
        Ok(Self {})
    }
}
