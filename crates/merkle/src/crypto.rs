//! The two primitives this crate needs, SHA-256 and Ed25519 verification, in one place.
//!
//! Both come from AWS-LC, so that a FIPS build covers them; a build for another target swaps this file alone. Nothing
//! here knows about trees or notes.

use aws_lc_rs::{digest, signature};

/// Longest prefixed message hashed from the stack; longer ones go through a streaming context.
const STACK_MESSAGE_BYTES: usize = 2_048;

/// Returns the SHA-256 of `data`.
pub(crate) fn sha256(data: &[u8]) -> [u8; 32] {
    to_array(&digest::digest(&digest::SHA256, data))
}

/// Returns the SHA-256 of one byte followed by `data`.
///
/// The short case copies, because one call over contiguous bytes is several times faster than a streaming context.
pub(crate) fn sha256_prefixed(prefix: u8, data: &[u8]) -> [u8; 32] {
    if data.len() < STACK_MESSAGE_BYTES {
        let mut message = [0u8; STACK_MESSAGE_BYTES];
        message[0] = prefix;
        message[1..=data.len()].copy_from_slice(data);
        return sha256(&message[..=data.len()]);
    }
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&[prefix]);
    context.update(data);
    to_array(&context.finish())
}

/// Reports whether `signature` is a valid Ed25519 signature of `message` under `public_key`.
pub(crate) fn ed25519_verify(public_key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&signature::ED25519, public_key).verify(message, signature).is_ok()
}

fn to_array(digest: &digest::Digest) -> [u8; 32] {
    let mut out = [0u8; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stack_and_streaming_hashes_agree_around_the_limit() {
        for length in [0, 1, 64, STACK_MESSAGE_BYTES - 1, STACK_MESSAGE_BYTES, STACK_MESSAGE_BYTES + 1] {
            let data = vec![7u8; length];
            let mut joined = vec![0u8];
            joined.extend_from_slice(&data);
            assert_eq!(sha256_prefixed(0, &data), sha256(&joined), "length {length}");
        }
    }

    #[test]
    fn verifies_the_first_rfc_8032_vector_and_no_altered_one() {
        let public = crate::Hash::from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a").unwrap();
        let mut signature = Vec::new();
        for half in [
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155",
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ] {
            signature.extend_from_slice(crate::Hash::from_hex(half).unwrap().as_bytes());
        }
        assert!(ed25519_verify(public.as_bytes(), b"", &signature));
        assert!(!ed25519_verify(public.as_bytes(), b"x", &signature));
        signature[3] ^= 1;
        assert!(!ed25519_verify(public.as_bytes(), b"", &signature));
    }
}
