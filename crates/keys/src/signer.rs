//! The key that signs checkpoints.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use moneta_base::Entropy;
use moneta_merkle::note::{NoteSigner, SIGNATURE_BYTES, is_key_name};
use zeroize::Zeroizing;

use crate::error::{Error, Result};

/// An Ed25519 key with the name it signs under.
pub struct LogSigner {
    name: String,
    pair: Ed25519KeyPair,
}

impl LogSigner {
    /// Makes a new key.
    pub(crate) fn generate(name: &str, entropy: &dyn Entropy) -> Result<LogSigner> {
        if !is_key_name(name) {
            return Err(Error::LogName(name.to_owned()));
        }
        let mut seed = Zeroizing::new([0u8; 32]);
        entropy.fill(seed.as_mut_slice());
        let pair = Ed25519KeyPair::from_seed_unchecked(seed.as_slice()).expect("any 32 bytes are an Ed25519 seed");
        Ok(LogSigner { name: name.to_owned(), pair })
    }

    /// Takes a stored PKCS#8 document; none if it is not one of an Ed25519 key.
    pub(crate) fn from_pkcs8(name: &str, document: &[u8]) -> Option<LogSigner> {
        if !is_key_name(name) {
            return None;
        }
        let pair = Ed25519KeyPair::from_pkcs8(document).ok()?;
        Some(LogSigner { name: name.to_owned(), pair })
    }

    /// Returns the PKCS#8 document to store.
    pub(crate) fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let document = self.pair.to_pkcs8().expect("an Ed25519 key in memory has a PKCS#8 form");
        Zeroizing::new(document.as_ref().to_vec())
    }
}

impl NoteSigner for LogSigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn public_key(&self) -> [u8; 32] {
        self.pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
    }

    fn sign(&self, message: &[u8]) -> moneta_merkle::Result<[u8; SIGNATURE_BYTES]> {
        let failed = |reason: &str| moneta_merkle::Error::Signer { name: self.name.clone(), reason: reason.to_owned() };
        let signature = self.pair.try_sign(message).map_err(|_| failed("the cryptographic module refused"))?;
        signature.as_ref().try_into().map_err(|_| failed("the signature is not of 64 bytes"))
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LogSigner({})", self.name)
    }
}
