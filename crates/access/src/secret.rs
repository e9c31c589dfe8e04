//! Random secrets, their text forms, and what is stored in their place.

use aws_lc_rs::{constant_time, digest};
use moneta_base::Entropy;
use moneta_metastore::SecretHash;

/// Begins every credential, so that secret scanners can find one that was leaked.
pub const CREDENTIAL_PREFIX: &str = "mnt_";

/// Bytes of the public part of a credential.
const ID_BYTES: usize = 8;

/// A secret of 256 random bits as 64 hexadecimal digits, and its hash.
pub(crate) fn new_secret(entropy: &dyn Entropy) -> (String, SecretHash) {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let text = hex(&bytes);
    let hash = hash_of(&text);
    (text, hash)
}

/// The public part of a new credential.
pub(crate) fn new_id(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; ID_BYTES];
    entropy.fill(&mut bytes);
    hex(&bytes)
}

/// SHA-256 of a secret's text. A fast hash suffices: nobody can guess 256 random bits.
pub(crate) fn hash_of(secret: &str) -> SecretHash {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, secret.as_bytes()).as_ref());
    hash
}

/// Whether two hashes are equal, in time that does not depend on where they differ.
pub(crate) fn same(a: &SecretHash, b: &SecretHash) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// The text of a credential: `mnt_<id>_<secret>`.
pub(crate) fn credential_text(id: &str, secret: &str) -> String {
    format!("{CREDENTIAL_PREFIX}{id}_{secret}")
}

/// The id and the secret of a credential's text.
pub(crate) fn split_credential(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(CREDENTIAL_PREFIX)?.split_once('_')?;
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    (id.len() == 2 * ID_BYTES && secret.len() == 64 && is_hex(id) && is_hex(secret)).then_some((id, secret))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use moneta_testkit::SeededEntropy;

    use super::*;

    #[test]
    fn a_credential_splits_into_what_it_was_made_of() {
        let entropy = SeededEntropy::new(1);
        let (id, (secret, hash)) = (new_id(&entropy), new_secret(&entropy));
        let text = credential_text(&id, &secret);
        assert_eq!(split_credential(&text), Some((id.as_str(), secret.as_str())));
        assert!(same(&hash_of(&secret), &hash));
        assert!(!same(&hash_of("x"), &hash));
        for bad in ["", "mnt_", "mnt_a_b", &text[1..], &text[..text.len() - 1], &text.replace("mnt", "key")] {
            assert_eq!(split_credential(bad), None, "{bad}");
        }
    }
}
