//! The signature of a webhook call.
//!
//! # Source
//! Standard Webhooks 1.0: headers `webhook-id`, `webhook-timestamp`, `webhook-signature`; the signature is `v1,` and
//! base64 of HMAC-SHA-256 over `id.timestamp.body`.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

/// The value of the header `webhook-signature`.
///
/// # Units
/// `timestamp_seconds`: seconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn sign(secret: &[u8], id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret));
    context.update(format!("{id}.{timestamp_seconds}.").as_bytes());
    context.update(body);
    format!("v1,{}", BASE64.encode(context.sign()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_example() {
        // The example of the Standard Webhooks specification.
        let secret = BASE64.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn signs_id_time_and_body() {
        let signature = sign(b"secret", "msg_1", 1_700_000_000, b"{}");
        assert!(signature.starts_with("v1,"));
        assert_eq!(BASE64.decode(&signature[3..]).unwrap().len(), 32);
        for other in [
            sign(b"Secret", "msg_1", 1_700_000_000, b"{}"),
            sign(b"secret", "msg_2", 1_700_000_000, b"{}"),
            sign(b"secret", "msg_1", 1_700_000_001, b"{}"),
            sign(b"secret", "msg_1", 1_700_000_000, b"[]"),
        ] {
            assert_ne!(signature, other);
        }
    }
}
