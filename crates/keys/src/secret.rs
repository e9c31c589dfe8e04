//! Thirty-two bytes that must not be seen.

use std::fmt;

use moneta_base::Entropy;
use zeroize::Zeroize;

/// Bytes of a secret.
pub const SECRET_BYTES: usize = 32;

/// A secret key. It prints as nothing and is wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; SECRET_BYTES]);

impl Secret {
    /// Makes a new secret of random bytes.
    #[must_use]
    pub fn generate(entropy: &dyn Entropy) -> Secret {
        let mut bytes = [0; SECRET_BYTES];
        entropy.fill(&mut bytes);
        Secret(bytes)
    }

    /// Takes stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Secret {
        Secret(bytes)
    }

    /// Shows the bytes to the code that must use them.
    #[must_use]
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}
