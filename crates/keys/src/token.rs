//! The versioned keys under which personal data becomes tokens.
//!
//! Plain data for the scrubbing engine: it takes the current version for new tokens and older ones to find old tokens.

use std::collections::BTreeMap;

use moneta_base::Entropy;
use moneta_merkle::{Hash, sha256};

use crate::error::{Error, Result};
use crate::file::KeyFile;
use crate::secret::Secret;

const KEY_PREFIX: &str = "key-";

/// All token keys, one of them current.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenKeys {
    current: u32,
    keys: BTreeMap<u32, Secret>,
}

impl TokenKeys {
    /// Starts with version 1.
    pub(crate) fn generate(entropy: &dyn Entropy) -> TokenKeys {
        TokenKeys { current: 1, keys: BTreeMap::from([(1, Secret::generate(entropy))]) }
    }

    /// Returns the version that new tokens carry, and its key.
    #[must_use]
    pub fn current(&self) -> (u32, &Secret) {
        (self.current, self.keys.get(&self.current).expect("the current version is always there"))
    }

    /// Returns the key of a version; none if it never was or is destroyed.
    #[must_use]
    pub fn get(&self, version: u32) -> Option<&Secret> {
        self.keys.get(&version)
    }

    /// Returns all versions and keys, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &Secret)> {
        self.keys.iter().map(|(version, key)| (*version, key))
    }

    /// Returns an identifier of a version's key for the root log; it reveals nothing of the key.
    #[must_use]
    pub fn key_id(&self, version: u32) -> Option<Hash> {
        self.get(version).map(|key| sha256(&[b"moneta token key id\n".as_slice(), key.expose()].concat()))
    }

    /// Returns the keys with a new current version added.
    pub(crate) fn rotated(&self, entropy: &dyn Entropy) -> TokenKeys {
        let mut next = self.clone();
        next.current += 1;
        next.keys.insert(next.current, Secret::generate(entropy));
        next
    }

    /// Returns the keys without one version.
    pub(crate) fn without(&self, version: u32) -> Result<TokenKeys> {
        let mut next = self.clone();
        if version == self.current || next.keys.remove(&version).is_none() {
            return Err(Error::TokenVersion(version));
        }
        Ok(next)
    }

    pub(crate) fn from_file(file: &KeyFile) -> Result<TokenKeys> {
        let version = |text: &str| {
            let number = moneta_merkle::text::decimal(text).and_then(|number| u32::try_from(number).ok());
            number.ok_or_else(|| file.corrupt("a version is not a number"))
        };
        let current = version(file.text("current")?)?;
        let mut keys = BTreeMap::new();
        for name in file.names() {
            if let Some(number) = name.strip_prefix(KEY_PREFIX) {
                keys.insert(version(number)?, file.secret(name)?);
            }
        }
        if !keys.contains_key(&current) {
            return Err(file.corrupt("the current version has no key"));
        }
        Ok(TokenKeys { current, keys })
    }

    pub(crate) fn to_fields(&self) -> Vec<(String, zeroize::Zeroizing<String>)> {
        let current = ("current".to_owned(), zeroize::Zeroizing::new(self.current.to_string()));
        let keys = self.keys.iter();
        std::iter::once(current)
            .chain(keys.map(|(version, key)| crate::file::field(&format!("{KEY_PREFIX}{version}"), key.expose())))
            .collect()
    }
}
