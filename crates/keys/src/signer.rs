//! The key that signs checkpoints: in memory, or in a device that signs.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use moneta_base::Entropy;
use moneta_merkle::note::{NoteSigner, SIGNATURE_BYTES, is_key_name};
use zeroize::Zeroizing;

use crate::device::DeviceKey;
use crate::error::{Error, Result};
use crate::file;

/// An Ed25519 key with the name it signs under.
pub struct LogSigner {
    name: String,
    key: SigningKey,
}

enum SigningKey {
    Memory(Ed25519KeyPair),
    Device(DeviceKey),
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
        Ok(LogSigner { name: name.to_owned(), key: SigningKey::Memory(pair) })
    }

    /// Takes a key in a device.
    pub(crate) fn in_device(name: &str, key: DeviceKey) -> Result<LogSigner> {
        if !is_key_name(name) {
            return Err(Error::LogName(name.to_owned()));
        }
        Ok(LogSigner { name: name.to_owned(), key: SigningKey::Device(key) })
    }

    /// Takes a stored PKCS#8 document; none if it is not one of an Ed25519 key.
    pub(crate) fn from_pkcs8(name: &str, document: &[u8]) -> Option<LogSigner> {
        if !is_key_name(name) {
            return None;
        }
        let pair = Ed25519KeyPair::from_pkcs8(document).ok()?;
        Some(LogSigner { name: name.to_owned(), key: SigningKey::Memory(pair) })
    }

    /// Returns how a key file tells the key: its PKCS#8 document, or where it is.
    pub(crate) fn to_field(&self) -> (String, Zeroizing<String>) {
        match &self.key {
            SigningKey::Memory(pair) => {
                let document = pair.to_pkcs8().expect("an Ed25519 key in memory has a PKCS#8 form");
                file::field("pkcs8", document.as_ref())
            }
            SigningKey::Device(key) => ("device".to_owned(), Zeroizing::new(key.uri().as_str().to_owned())),
        }
    }
}

impl NoteSigner for LogSigner {
    fn name(&self) -> &str {
        &self.name
    }

    fn public_key(&self) -> [u8; 32] {
        match &self.key {
            SigningKey::Memory(pair) => {
                pair.public_key().as_ref().try_into().expect("an Ed25519 public key has 32 bytes")
            }
            SigningKey::Device(key) => key.public_key(),
        }
    }

    fn sign(&self, message: &[u8]) -> moneta_merkle::Result<[u8; SIGNATURE_BYTES]> {
        let failed = |reason: String| moneta_merkle::Error::Signer { name: self.name.clone(), reason };
        let pair = match &self.key {
            SigningKey::Memory(pair) => pair,
            SigningKey::Device(key) => return key.sign(message).map_err(failed),
        };
        let signature = pair.try_sign(message).map_err(|_| failed("the cryptographic module refused".to_owned()))?;
        signature.as_ref().try_into().map_err(|_| failed("the signature is not of 64 bytes".to_owned()))
    }
}

impl fmt::Debug for LogSigner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "LogSigner({})", self.name)
    }
}
