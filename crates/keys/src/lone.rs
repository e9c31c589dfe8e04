//! Keys that stand alone in a directory: that of a witness, and that of whoever signs rule packs.
//!
//! ```text
//! witness.key     cosigns checkpoints (private)
//! witness.vkey    its verifier key text (type 4), one line, for logs and auditors
//! pack.key        signs rule packs (private)
//! pack.vkey       its verifier key text, one line, for those who take the packs
//! ```

use std::path::Path;
use std::sync::Arc;

use moneta_base::Entropy;
use moneta_base::fs::{FileSystem, create_dir_durably};
use moneta_merkle::note::NoteSigner as _;
use moneta_merkle::{VerifierKey, WitnessKey};
use zeroize::Zeroizing;

use crate::error::{Error, Result};
use crate::file::{self, KeyFile};
use crate::signer::LogSigner;

/// Loads the key in `dir` that cosigns, or makes it when there is none, under the name given.
///
/// # Errors
/// [`Error::Corrupt`] for a file that is not whole; [`Error::OtherName`] for a key of another name;
/// [`Error::LogName`]; [`Error::Io`].
pub fn open_witness_key(
    fs: &dyn FileSystem,
    dir: &Path,
    entropy: &dyn Entropy,
    name: &str,
) -> Result<(Arc<LogSigner>, WitnessKey)> {
    let signer = open_lone_key(fs, dir, entropy, name, "witness")?;
    let key = WitnessKey::of(&signer).map_err(|_| Error::LogName(name.to_owned()))?;
    file::write_private(fs, &dir.join("witness.vkey"), format!("{key}\n").as_bytes())?;
    Ok((Arc::new(signer), key))
}

/// Loads the key in `dir` that signs rule packs, or makes it when there is none, under the name given.
///
/// # Errors
/// As [`open_witness_key`].
pub fn open_pack_key(
    fs: &dyn FileSystem,
    dir: &Path,
    entropy: &dyn Entropy,
    name: &str,
) -> Result<(Arc<LogSigner>, VerifierKey)> {
    let signer = open_lone_key(fs, dir, entropy, name, "pack")?;
    let key = VerifierKey::of(&signer).map_err(|_| Error::LogName(name.to_owned()))?;
    file::write_private(fs, &dir.join("pack.vkey"), format!("{key}\n").as_bytes())?;
    Ok((Arc::new(signer), key))
}

/// The key of a purpose, which names its file.
fn open_lone_key(
    fs: &dyn FileSystem,
    dir: &Path,
    entropy: &dyn Entropy,
    name: &str,
    purpose: &'static str,
) -> Result<LogSigner> {
    let path = dir.join(format!("{purpose}.key"));
    if !fs.exists(&path) {
        create_dir_durably(fs, dir).map_err(|source| Error::Io { path: dir.to_owned(), source })?;
        let signer = LogSigner::generate(name, entropy)?;
        let field = ("name".to_owned(), Zeroizing::new(name.to_owned()));
        file::write(fs, &path, purpose, &[field, signer.to_field()])?;
    }
    let key_file = KeyFile::read(fs, &path, purpose)?;
    let signer = LogSigner::from_pkcs8(key_file.text("name")?, &key_file.bytes("pkcs8")?)
        .ok_or_else(|| key_file.corrupt("it holds no Ed25519 key with a proper name"))?;
    if signer.name() != name {
        return Err(Error::OtherName { path, found: signer.name().to_owned() });
    }
    Ok(signer)
}

#[cfg(test)]
mod tests {
    use moneta_testkit::{SeededEntropy, SimFs};

    use super::*;

    #[test]
    fn a_witness_keeps_its_key_and_its_name() {
        let fs = SimFs::new();
        let open = |seed, name| open_witness_key(&fs, Path::new("/w"), &SeededEntropy::new(seed), name);
        let (_, key) = open(1, "witness.example/1").unwrap();
        assert_eq!(open(2, "witness.example/1").unwrap().1, key);
        assert_eq!(fs.peek(Path::new("/w/witness.vkey")).unwrap(), format!("{key}\n").into_bytes());
        assert!(matches!(open(2, "witness.example/2"), Err(Error::OtherName { .. })));
        assert!(matches!(
            open_witness_key(&SimFs::new(), Path::new("/w"), &SeededEntropy::new(1), "two words"),
            Err(Error::LogName(_))
        ));
        let path = Path::new("/w/witness.key");
        let mut bytes = fs.peek(path).unwrap();
        bytes[40] ^= 1;
        fs.overwrite(path, &bytes);
        assert!(open(2, "witness.example/1").is_err());
    }

    #[test]
    fn the_key_of_packs_is_another_and_is_kept() {
        let fs = SimFs::new();
        let open = |seed| open_pack_key(&fs, Path::new("/p"), &SeededEntropy::new(seed), "acme.example/rules");
        let (signer, key) = open(1).unwrap();
        assert_eq!((open(2).unwrap().1, signer.name()), (key.clone(), "acme.example/rules"));
        assert_eq!(fs.peek(Path::new("/p/pack.vkey")).unwrap(), format!("{key}\n").into_bytes());
        let other = open_pack_key(&fs, Path::new("/p"), &SeededEntropy::new(1), "other.example/rules");
        assert!(matches!(other, Err(Error::OtherName { .. })));
    }
}
