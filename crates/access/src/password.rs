//! Rules for passwords, and their hashes.
//!
//! Hashing is slow by intent and runs on threads for blocking work; only so many at once, because each takes its own
//! memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::PasswordHasher as _;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordVerifier, Version};
use moneta_base::Entropy;
use tokio::sync::Semaphore;

use crate::Error;

/// Characters of a password at least.
///
/// # Source
/// NIST SP 800-63B asks for 8 with a second factor; OWASP ASVS 5.0 recommends 15; ours lies between until there is one.
const CHARACTERS_MIN: usize = 12;
/// Bytes of a password at most: hashing must not become a way to keep the machine busy.
const BYTES_MAX: usize = 1_024;
/// Different characters of a password at least.
const DIFFERENT_MIN: usize = 5;
/// Passwords hashed at once: each takes the memory of its cost.
const HASHES_AT_ONCE_MAX: usize = 4;
/// Passwords that wait to be hashed.
const HASHES_WAITING_MAX: usize = 64;
/// Bytes of salt.
const SALT_BYTES: usize = 16;

/// What one hash costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub passes: u32,
}

impl HashCost {
    /// What passwords are hashed with.
    ///
    /// # Source
    /// OWASP Password Storage Cheat Sheet: argon2id with 19 MiB, two passes, one lane.
    pub const OWASP: Self = Self { memory_kib: 19 * 1024, passes: 2 };
    /// As little as the algorithm allows: for tests of everything else.
    pub const LEAST: Self = Self { memory_kib: 8, passes: 1 };
}

/// Checks the rules for a new password.
///
/// # Errors
/// [`Error::WeakPassword`] with the rule.
pub fn check_rules(name: &str, password: &str) -> Result<(), Error> {
    let weak = |reason| Err(Error::WeakPassword { reason });
    if password.chars().count() < CHARACTERS_MIN {
        return weak("it needs at least 12 characters");
    }
    if password.len() > BYTES_MAX {
        return weak("it may have at most 1,024 bytes");
    }
    if password.to_lowercase().contains(&name.to_lowercase()) {
        return weak("it must not contain the name");
    }
    if password.chars().collect::<std::collections::BTreeSet<_>>().len() < DIFFERENT_MIN {
        return weak("it needs at least 5 different characters");
    }
    Ok(())
}

/// Hashes and checks passwords off the threads that answer requests.
#[derive(Debug)]
pub(crate) struct Hasher {
    cost: HashCost,
    at_once: Semaphore,
    waiting: AtomicUsize,
    /// Stands in for the hash of an account that does not exist, so that asking for one takes as long.
    nobody: Arc<str>,
}

impl Hasher {
    pub(crate) fn new(cost: HashCost, entropy: &dyn Entropy) -> Result<Self, Error> {
        let mut password = [0; 32];
        entropy.fill(&mut password);
        let nobody = hash(cost, &password, &salt(entropy))?.into();
        Ok(Self { cost, at_once: Semaphore::new(HASHES_AT_ONCE_MAX), waiting: AtomicUsize::new(0), nobody })
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: &str, entropy: &dyn Entropy) -> Result<String, Error> {
        let (cost, password, salt) = (self.cost, password.to_owned(), salt(entropy));
        self.run(move || hash(cost, password.as_bytes(), &salt)).await?
    }

    /// Whether the password belongs to the hash. Takes as long without a hash, and is then always `false`.
    pub(crate) async fn verify(&self, password: &str, stored: Option<&str>) -> Result<bool, Error> {
        if password.len() > BYTES_MAX {
            return Ok(false);
        }
        let exists = stored.is_some();
        let stored: Arc<str> = stored.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let password = password.to_owned();
        let matches = self
            .run(move || {
                let parsed = PasswordHash::new(&stored).map_err(|error| Error::Hash { source: error.into() })?;
                Ok::<_, Error>(Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
            })
            .await??;
        Ok(matches && exists)
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
        let _place = Place::take(&self.waiting).ok_or(Error::Busy)?;
        let _permit = self.at_once.acquire().await.map_err(|_| Error::Busy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Busy)
    }
}

/// A place in the queue, given back when dropped.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Option<Self> {
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        let place = Self(waiting);
        (before < HASHES_WAITING_MAX).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn salt(entropy: &dyn Entropy) -> [u8; SALT_BYTES] {
    let mut salt = [0; SALT_BYTES];
    entropy.fill(&mut salt);
    salt
}

fn hash(cost: HashCost, password: &[u8], salt: &[u8]) -> Result<String, Error> {
    let hashed = Params::new(cost.memory_kib, cost.passes, 1, None)
        .map_err(argon2::password_hash::Error::from)
        .and_then(|params| {
            let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
            let hash: PasswordHash = argon2.hash_password_with_salt(password, salt)?;
            Ok(hash.to_string())
        });
    hashed.map_err(|source| Error::Hash { source })
}

#[cfg(test)]
mod tests {
    use moneta_testkit::SeededEntropy;

    use super::*;

    #[test]
    fn weak_passwords_are_refused_with_the_rule() {
        let check = |password: &str| check_rules("ada", password).err().map(|error| error.to_string());
        assert_eq!(check("correct horse battery"), None);
        assert!(check("short").unwrap().contains("12 characters"));
        assert!(check("my name is Ada.").unwrap().contains("contain the name"));
        assert!(check("aaaaaaaaabbbbbb").unwrap().contains("different"));
        assert!(check(&"abcdefg".repeat(200)).unwrap().contains("1,024"));
        assert_eq!(check("äöüßéèñçåøæœ"), None);
    }

    #[tokio::test]
    async fn stored_hashes_are_argon2id_with_owasp_cost_and_their_own_salt() {
        let entropy = SeededEntropy::new(2);
        let hasher = Hasher::new(HashCost::OWASP, &entropy).unwrap();
        let first = hasher.hash("correct horse battery", &entropy).await.unwrap();
        let second = hasher.hash("correct horse battery", &entropy).await.unwrap();
        assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
        assert_ne!(first, second);
        assert!(hasher.verify("correct horse battery", Some(&first)).await.unwrap());
        assert!(!hasher.verify("correct horse batterY", Some(&first)).await.unwrap());
        assert!(!hasher.verify("correct horse battery", None).await.unwrap());
        assert!(hasher.verify("x", Some("damaged")).await.is_err());
    }
}
