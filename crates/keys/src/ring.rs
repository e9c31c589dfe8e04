//! All keys of one installation, in one directory.
//!
//! ```text
//! keys/ledger.key       signs checkpoints (private), or says in which device the key is that does
//! keys/ledger.vkey      its verifier key text, one line, for anyone to have
//! keys/token-keys       versioned keys of scrubbing
//! keys/webhook.secret   signs webhook bodies
//! keys/creating         there while the first start makes the keys; what it finds half made is made again
//! ```

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use moneta_base::Entropy;
use moneta_base::fs::FileSystem;
use moneta_merkle::VerifierKey;
use moneta_merkle::note::NoteSigner as _;
use zeroize::Zeroizing;

use crate::device::{DeviceKey, DeviceUri};
use crate::error::{Error, Result};
use crate::file::{self, KeyFile};
use crate::secret::Secret;
use crate::signer::LogSigner;
use crate::token::TokenKeys;

const LEDGER_KEY: &str = "ledger.key";
const LEDGER_VKEY: &str = "ledger.vkey";
const TOKEN_KEYS: &str = "token-keys";
const WEBHOOK_SECRET: &str = "webhook.secret";
const CREATING: &str = "creating";
const ALL: [&str; 4] = [LEDGER_KEY, LEDGER_VKEY, TOKEN_KEYS, WEBHOOK_SECRET];

/// The keys of one installation.
pub struct KeyRing {
    fs: Arc<dyn FileSystem>,
    dir: PathBuf,
    created: bool,
    signer: Arc<LogSigner>,
    tokens: TokenKeys,
    webhook: Secret,
}

impl KeyRing {
    /// Loads the keys, or makes them at the first start with a log name of its own
    /// (`moneta.internal/` and 16 random hexadecimal digits).
    ///
    /// # Errors
    /// [`Error::Corrupt`], [`Error::Missing`], [`Error::Version`] for files that are not whole; [`Error::Io`].
    pub fn open(fs: Arc<dyn FileSystem>, dir: &Path, entropy: &dyn Entropy) -> Result<KeyRing> {
        KeyRing::open_in(fs, dir, entropy, None)
    }

    /// As [`KeyRing::open`], with the device that holds the key of the log: found there or made there at the first
    /// start, and of the same log afterwards, wherever the device's module and PIN have gone.
    ///
    /// # Errors
    /// As [`KeyRing::open`]; [`Error::Device`]; [`Error::KeyElsewhere`].
    pub fn open_in(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        entropy: &dyn Entropy,
        device: Option<&DeviceUri>,
    ) -> Result<KeyRing> {
        let mut suffix = [0u8; 8];
        entropy.fill(&mut suffix);
        let name = format!("moneta.internal/{:016x}", u64::from_be_bytes(suffix));
        KeyRing::open_as(fs, dir, entropy, &name, device)
    }

    /// As [`KeyRing::open`], with the name that a new log gets. It is the origin of the root log and the key name on
    /// every signature line, for ever; an existing ring keeps the name it has.
    ///
    /// # Errors
    /// As [`KeyRing::open`], and [`Error::LogName`].
    pub fn open_named(fs: Arc<dyn FileSystem>, dir: &Path, entropy: &dyn Entropy, log_name: &str) -> Result<KeyRing> {
        KeyRing::open_as(fs, dir, entropy, log_name, None)
    }

    fn open_as(
        fs: Arc<dyn FileSystem>,
        dir: &Path,
        entropy: &dyn Entropy,
        log_name: &str,
        device: Option<&DeviceUri>,
    ) -> Result<KeyRing> {
        let created = is_new(fs.as_ref(), dir)?;
        if created {
            let signer = match device {
                Some(uri) => LogSigner::in_device(log_name, DeviceKey::open(&fs, uri, true)?)?,
                None => LogSigner::generate(log_name, entropy)?,
            };
            create(fs.as_ref(), dir, entropy, &signer)?;
        }
        Ok(KeyRing {
            created,
            signer: Arc::new(load_signer(&fs, dir, device)?),
            tokens: TokenKeys::from_file(&KeyFile::read(fs.as_ref(), &dir.join(TOKEN_KEYS), "token")?)?,
            webhook: read_webhook_secret(fs.as_ref(), dir)?,
            dir: dir.to_owned(),
            fs,
        })
    }

    /// Reports whether this start made the keys.
    #[must_use]
    pub fn created(&self) -> bool {
        self.created
    }

    /// Returns the signer of checkpoints.
    #[must_use]
    pub fn log_signer(&self) -> Arc<LogSigner> {
        Arc::clone(&self.signer)
    }

    /// Returns the log's name, which is also the root log's origin.
    #[must_use]
    pub fn log_name(&self) -> &str {
        self.signer.name()
    }

    /// Returns the public half of the signer.
    #[must_use]
    pub fn verifier_key(&self) -> VerifierKey {
        VerifierKey::of(self.signer.as_ref()).expect("the name was checked when the key was made or loaded")
    }

    /// Returns the token keys.
    #[must_use]
    pub fn token_keys(&self) -> &TokenKeys {
        &self.tokens
    }

    /// Returns the secret that signs webhook bodies.
    #[must_use]
    pub fn webhook_secret(&self) -> &Secret {
        &self.webhook
    }

    /// Makes a new current token key and returns its version. Older versions stay, to find old tokens with.
    ///
    /// The caller writes the `key-created` entry.
    ///
    /// # Errors
    /// [`Error::Io`]; the old keys then stay in use.
    pub fn rotate_token_key(&mut self, entropy: &dyn Entropy) -> Result<u32> {
        self.replace_tokens(self.tokens.rotated(entropy))?;
        Ok(self.tokens.current().0)
    }

    /// Destroys an old token key: tokens under it can never be recomputed.
    ///
    /// The caller has approval, removes backups and writes the `key-destroyed` entry.
    ///
    /// # Errors
    /// [`Error::TokenVersion`] for the current or an unknown version; [`Error::Io`].
    pub fn destroy_token_key(&mut self, version: u32) -> Result<()> {
        self.replace_tokens(self.tokens.without(version)?)
    }

    fn replace_tokens(&mut self, tokens: TokenKeys) -> Result<()> {
        file::write(self.fs.as_ref(), &self.dir.join(TOKEN_KEYS), "token", &tokens.to_fields())?;
        self.tokens = tokens;
        Ok(())
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "KeyRing({}, {})", self.dir.display(), self.signer.name())
    }
}

/// Reports whether the keys are still to be made: none is there, or an earlier start was cut while making them.
///
/// No other combination is mended: a missing key may have been stolen or lost, and only a person can tell.
fn is_new(fs: &dyn FileSystem, dir: &Path) -> Result<bool> {
    if fs.exists(&dir.join(CREATING)) {
        return Ok(true);
    }
    let missing: Vec<&str> = ALL.into_iter().filter(|name| !fs.exists(&dir.join(name))).collect();
    match missing.as_slice() {
        [] => Ok(false),
        all if all.len() == ALL.len() => Ok(true),
        [first, ..] => Err(Error::Missing { path: dir.join(first) }),
    }
}

/// Makes all keys. Until the marker is gone nothing has used them, so a second try may make them anew.
fn create(fs: &dyn FileSystem, dir: &Path, entropy: &dyn Entropy, signer: &LogSigner) -> Result<()> {
    let failed = |source| Error::Io { path: dir.to_owned(), source };
    fs.create_dir_all(dir).map_err(failed)?;
    dir.parent().map_or(Ok(()), |parent| fs.sync_dir(parent)).map_err(failed)?;
    file::write_private(fs, &dir.join(CREATING), b"")?;
    let name = ("name".to_owned(), Zeroizing::new(signer.name().to_owned()));
    file::write(fs, &dir.join(LEDGER_KEY), "ledger", &[name, signer.to_field()])?;
    let key = VerifierKey::of(signer).map_err(|_| Error::LogName(signer.name().to_owned()))?;
    file::write_private(fs, &dir.join(LEDGER_VKEY), format!("{key}\n").as_bytes())?;
    file::write(fs, &dir.join(TOKEN_KEYS), "token", &TokenKeys::generate(entropy).to_fields())?;
    let secret = file::field("secret", Secret::generate(entropy).expose());
    file::write(fs, &dir.join(WEBHOOK_SECRET), "webhook", &[secret])?;
    fs.remove_file(&dir.join(CREATING)).map_err(failed)?;
    fs.sync_dir(dir).map_err(failed)
}

/// Reads the secret that signs webhook bodies, without the other keys: what a receiver is told.
///
/// # Errors
/// [`Error::Missing`], [`Error::Corrupt`], [`Error::Io`].
pub fn read_webhook_secret(fs: &dyn FileSystem, dir: &Path) -> Result<Secret> {
    KeyFile::read(fs, &dir.join(WEBHOOK_SECRET), "webhook")?.secret("secret")
}

fn load_signer(fs: &Arc<dyn FileSystem>, dir: &Path, device: Option<&DeviceUri>) -> Result<LogSigner> {
    let path = dir.join(LEDGER_KEY);
    let key_file = KeyFile::read(fs.as_ref(), &path, "ledger")?;
    let name = key_file.text("name")?;
    let signer = match (key_file.text("device"), device) {
        (Ok(uri), device) => {
            let uri = device.cloned().map_or_else(|| DeviceUri::parse(uri), Ok)?;
            LogSigner::in_device(name, DeviceKey::open(fs, &uri, false)?)?
        }
        (Err(_), Some(_)) => return Err(Error::KeyElsewhere { path }),
        (Err(_), None) => LogSigner::from_pkcs8(name, &key_file.bytes("pkcs8")?)
            .ok_or_else(|| key_file.corrupt("it holds no Ed25519 key with a proper name"))?,
    };
    let path = dir.join(LEDGER_VKEY);
    let stored = fs.read(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
    let expected = VerifierKey::of(&signer).map_err(|_| key_file.corrupt("its name is not proper"))?;
    if stored != format!("{expected}\n").into_bytes() {
        return Err(Error::Corrupt { path, reason: "it is not the verifier key of the key that signs" });
    }
    Ok(signer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use moneta_merkle::SignedNote;
    use moneta_testkit::{Fault, SeededEntropy, SimFs};

    const DIR: &str = "/keys";

    fn open(fs: &SimFs, seed: u64) -> Result<KeyRing> {
        KeyRing::open(Arc::new(fs.clone()), Path::new(DIR), &SeededEntropy::new(seed))
    }

    #[test]
    fn keys_are_made_once_and_loaded_afterwards() {
        let fs = SimFs::new();
        let first = open(&fs, 1).unwrap();
        let second = open(&fs, 2).unwrap();
        assert!(first.created() && !second.created());
        assert_eq!(first.verifier_key(), second.verifier_key());
        assert_eq!(first.token_keys(), second.token_keys());
        assert_eq!(first.webhook_secret(), second.webhook_secret());
        assert_eq!(first.webhook_secret(), second.webhook_secret());
        assert!(first.log_name().starts_with("moneta.internal/"));
    }

    #[test]
    fn signatures_verify_under_the_published_key() {
        let fs = SimFs::new();
        let ring = open(&fs, 1).unwrap();
        let note = SignedNote::sign("text\n", ring.log_signer().as_ref()).unwrap();
        let vkey = String::from_utf8(fs.peek(Path::new("/keys/ledger.vkey")).unwrap()).unwrap();
        let key = VerifierKey::parse(vkey.trim_end()).unwrap();
        assert!(note.verify(&[key]).is_ok());
    }

    #[test]
    fn every_flipped_byte_is_reported_with_its_file() {
        let fs = SimFs::new();
        open(&fs, 1).unwrap();
        for path in fs.files() {
            let good = fs.peek(&path).unwrap();
            for position in 0..good.len() {
                let mut bad = good.clone();
                bad[position] ^= 1 << (position % 8);
                fs.overwrite(&path, &bad);
                match open(&fs, 2) {
                    Err(Error::Corrupt { path: named, .. } | Error::Version { path: named }) => assert_eq!(named, path),
                    other => panic!("{} byte {position}: {other:?}", path.display()),
                }
            }
            fs.overwrite(&path, &good);
        }
    }

    #[test]
    fn a_missing_key_is_never_made_again() {
        for name in ALL {
            let fs = SimFs::new();
            open(&fs, 1).unwrap();
            fs.remove_file(&Path::new(DIR).join(name)).unwrap();
            assert!(matches!(open(&fs, 2), Err(Error::Missing { path }) if path.ends_with(name)));
        }
    }

    #[test]
    fn a_first_start_cut_at_any_call_starts_over() {
        let fs = SimFs::new();
        open(&fs, 1).unwrap();
        let calls = fs.num_calls();
        for cut in 0..calls {
            for seed in 0..4 {
                let fs = SimFs::new();
                fs.fail_call(cut, Fault::PowerCut);
                let done = open(&fs, 1);
                fs.crash(seed);
                let again = open(&fs, 2).unwrap_or_else(|error| panic!("cut {cut} seed {seed}: {error}"));
                assert!(done.is_err() || done.unwrap().verifier_key() == again.verifier_key());
            }
        }
    }

    #[test]
    fn token_keys_rotate_and_old_ones_can_be_destroyed() {
        let fs = SimFs::new();
        let mut ring = open(&fs, 1).unwrap();
        let old = ring.token_keys().get(1).unwrap().clone();
        assert_eq!(ring.rotate_token_key(&SeededEntropy::new(9)).unwrap(), 2);
        assert_eq!(open(&fs, 2).unwrap().token_keys(), ring.token_keys());
        assert_eq!(ring.token_keys().get(1), Some(&old));
        assert_ne!(ring.token_keys().key_id(1), ring.token_keys().key_id(2));
        assert!(matches!(ring.destroy_token_key(2), Err(Error::TokenVersion(2))));
        ring.destroy_token_key(1).unwrap();
        assert_eq!(open(&fs, 2).unwrap().token_keys().iter().map(|(version, _)| version).collect::<Vec<_>>(), [2]);
    }

    #[test]
    fn a_log_name_with_a_space_is_refused() {
        let ring = KeyRing::open_named(Arc::new(SimFs::new()), Path::new(DIR), &SeededEntropy::new(1), "a b");
        assert!(matches!(ring, Err(Error::LogName(_))));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let fs = SimFs::new();
        let ring = open(&fs, 1).unwrap();
        let printed = format!("{ring:?} {:?} {:?}", ring.token_keys(), ring.webhook_secret());
        assert!(printed.contains("Secret(..)"));
        let byte = ring.webhook_secret().expose()[0];
        assert!(!printed.contains(&format!("[{byte}, ")));
    }
}
