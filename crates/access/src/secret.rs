//! Random secrets, their text forms, and what is stored in their place.

use aws_lc_rs::{constant_time, digest, hmac};
use moneta_base::Entropy;
use moneta_metastore::SecretHash;

/// Begins every credential, so that secret scanners can find one that was leaked.
pub const CREDENTIAL_PREFIX: &str = "mnt_";

/// What the key of signed requests is derived under: a key for one purpose says nothing about one for another.
const SHARED_KEY_LABEL: &[u8] = b"moneta shared key 1";

/// Bytes of the public part of a credential.
const ID_BYTES: usize = 8;

/// A secret of 256 random bits as 64 hexadecimal digits, and its hash.
pub(crate) fn new_secret(entropy: &dyn Entropy) -> (String, SecretHash) {
    let mut bytes = [0; 32];
    entropy.fill(&mut bytes);
    let text = hex::encode(bytes);
    let hash = hash_of(&text);
    (text, hash)
}

/// The public part of a new credential.
pub(crate) fn new_id(entropy: &dyn Entropy) -> String {
    let mut bytes = [0; ID_BYTES];
    entropy.fill(&mut bytes);
    hex::encode(bytes)
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

/// The key by which a credential signs requests instead of showing itself: HMAC-SHA-256 of a label under the hash of
/// its secret. It can be computed of what is stored, so whoever reads the metastore could sign with it; it opens
/// nothing but the one interface that takes such signatures.
pub(crate) fn shared_key(secret_hash: &SecretHash) -> [u8; 32] {
    let mut key = [0; 32];
    key.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret_hash), SHARED_KEY_LABEL).as_ref());
    key
}

/// Whether `signature` is the HMAC-SHA-256 of `message` under `key`, in time that does not depend on where it differs.
pub(crate) fn is_signed(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, key), message, signature).is_ok()
}

/// The text of the credential that an OAuth client names by its id and secret. The secret may be the last part of the
/// credential's text or the whole; `None` when the whole is of another id.
#[must_use]
pub fn client_credential(id: &str, secret: &str) -> Option<String> {
    match split_credential(secret) {
        Some((own, _)) => (own == id).then(|| secret.to_owned()),
        None => Some(credential_text(id, secret)),
    }
}

/// The id and the secret of a credential's text.
pub(crate) fn split_credential(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(CREDENTIAL_PREFIX)?.split_once('_')?;
    let is_hex = |part: &str| part.bytes().all(|b| b.is_ascii_hexdigit());
    (id.len() == 2 * ID_BYTES && secret.len() == 64 && is_hex(id) && is_hex(secret)).then_some((id, secret))
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
        assert_eq!(client_credential(&id, &secret).as_ref(), Some(&text));
        assert_eq!(client_credential(&id, &text).as_ref(), Some(&text));
        assert_eq!(client_credential("other", &text), None);
    }

    #[test]
    fn the_signature_of_the_documented_request_verifies() {
        // The worked example of Azure Monitor's HTTP Data Collector: a key of 32 known bytes, a body of 9 bytes.
        let message = b"POST\n9\napplication/json\nx-ms-date:Mon, 04 Apr 2016 08:00:00 GMT\n/api/logs";
        let signature = b"\x8b\xb1\xca\xb1\x6b\x1e\x37\x7a\x92\x80\x13\x72\x0d\x4a\x84\xd8";
        let key = b"0123456789abcdef0123456789abcdef";
        let whole = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
        assert_eq!(&whole.as_ref()[..16], signature);
        assert!(is_signed(key, message, whole.as_ref()));
        assert!(!is_signed(key, message, signature));
        assert!(!is_signed(&shared_key(&hash_of("x")), message, whole.as_ref()));
    }
}
