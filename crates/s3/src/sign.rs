//! AWS Signature Version 4 over the headers of a request.
//!
//! # Source
//! Amazon S3 API Reference, "Signature Calculations for the Authorization Header: Transferring Payload in a Single
//! Chunk", whose four examples are the tests.

use aws_lc_rs::{digest, hmac};
use moneta_base::{Timestamp, percent};

use crate::credentials::Credentials;
use crate::place::Place;
use crate::transport::Method;

/// What is signed of a request.
#[derive(Debug, Clone)]
pub(crate) struct Unsigned<'a> {
    pub(crate) method: Method,
    /// Encoded.
    pub(crate) path: &'a str,
    /// Names and values, not encoded.
    pub(crate) query: &'a [(&'static str, String)],
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) payload_sha256: [u8; 32],
}

/// The query of an address: encoded, in order of names.
pub(crate) fn query_text(query: &[(&'static str, String)]) -> String {
    let mut pairs: Vec<String> =
        query.iter().map(|(name, value)| format!("{}={}", percent::encode(name), percent::encode(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// SHA-256 of some bytes.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// A time in RFC 3339, without the parts of its second.
pub(crate) fn whole_seconds(time: Timestamp) -> String {
    format!("{}Z", &time.to_string()[..19])
}

/// All headers of a request but `Host`, with the signature.
pub(crate) fn sign(
    request: Unsigned<'_>,
    place: &Place,
    credentials: &Credentials,
    now: Timestamp,
) -> Vec<(&'static str, String)> {
    // RFC 3339 without its punctuation: 20260102T030405Z.
    let time = whole_seconds(now).replace(['-', ':'], "");
    let day = &time[..8];
    let payload = hex::encode(request.payload_sha256);
    let mut headers = request.headers;
    headers.push(("x-amz-content-sha256", payload.clone()));
    headers.push(("x-amz-date", time.clone()));
    if let Some(token) = &credentials.session_token {
        headers.push(("x-amz-security-token", token.as_str().to_owned()));
    }
    let mut signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.trim())).collect();
    signed.push(("host", &place.host));
    signed.sort_unstable();
    let names = signed.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (method, path, query) = (request.method.name(), request.path, query_text(request.query));
    let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}");
    let scope = format!("{day}/{}/s3/aws4_request", place.region);
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex::encode(sha256(canonical.as_bytes())));
    let secret = zeroize::Zeroizing::new(format!("AWS4{}", credentials.secret.as_str()));
    let signature = hex::encode(mac(&signing_key(&secret, day, &place.region), &to_sign));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
        credentials.key_id
    );
    headers.push(("authorization", authorization));
    headers
}

fn signing_key(secret: &str, day: &str, region: &str) -> [u8; 32] {
    let parts = [region, "s3", "aws4_request"];
    parts.iter().fold(mac(secret.as_bytes(), day), |key, part| mac(&key, part))
}

fn mac(key: &[u8], text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref());
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(method: Method, key: &str, query: &[(&'static str, String)], more: &[(&'static str, &str)]) -> String {
        let place = Place::new(Some("https://s3.amazonaws.com"), "us-east-1", "examplebucket", false).unwrap();
        let credentials = Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None);
        let body: &[u8] = if method == Method::Put { b"Welcome to Amazon S3." } else { b"" };
        let request = Unsigned {
            method,
            path: &place.path_of(key),
            query,
            headers: more.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
            payload_sha256: sha256(body),
        };
        let headers = sign(request, &place, &credentials, Timestamp::parse("2013-05-24T00:00:00Z").unwrap());
        let authorization = &headers.last().unwrap().1;
        assert!(authorization.contains("Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,"));
        authorization.rsplit('=').next().unwrap().to_owned()
    }

    #[test]
    fn the_examples_of_the_specification_are_signed_as_it_says() {
        let range = [("range", "bytes=0-9")];
        assert_eq!(
            signature(Method::Get, "test.txt", &[], &range),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
        );
        let put = [("date", "Fri, 24 May 2013 00:00:00 GMT"), ("x-amz-storage-class", "REDUCED_REDUNDANCY")];
        assert_eq!(
            signature(Method::Put, "test$file.text", &[], &put),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"
        );
        assert_eq!(
            signature(Method::Get, "", &[("lifecycle", String::new())], &[]),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
        );
        let list = [("prefix", "J".to_owned()), ("max-keys", "2".to_owned())];
        assert_eq!(
            signature(Method::Get, "", &list, &[]),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
    }
}
