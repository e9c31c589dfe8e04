//! Randomness of the operating system, through the cryptographic module.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use moneta_base::Entropy;

/// Cryptographically secure random bytes.
#[derive(Debug, Default)]
pub struct SystemEntropy {
    random: SystemRandom,
}

impl SystemEntropy {
    /// The system's source.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        // The trait promises a panic: a key made without randomness would be worse than no service.
        self.random.fill(bytes).expect("the operating system supplies randomness");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        let (mut one, mut two) = ([0; 32], [0; 32]);
        SystemEntropy::new().fill(&mut one);
        SystemEntropy::new().fill(&mut two);
        assert_ne!(one, two);
    }
}
