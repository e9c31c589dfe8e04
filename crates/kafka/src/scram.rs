//! SCRAM: signing in without sending the password, to a server that proves to know it too.
//!
//! ```text
//! n,,n=USER,r=NONCE            ─►
//!                              ◄─ r=NONCE+MORE,s=SALT,i=ITERATIONS
//! c=biws,r=NONCE+MORE,p=PROOF  ─►
//!                              ◄─ v=SIGNATURE
//! ```
//! Names and passwords are taken as the UTF-8 that they are, as Kafka's own clients do, and not prepared (RFC 4013).
//!
//! # Source
//! RFC 5802, sections 3, 5 and 7; RFC 7677 for SHA-256; Apache Kafka, "Security", section "Authentication using
//! SASL/SCRAM", for SHA-512 and names within the messages.

use std::num::NonZeroU32;

use aws_lc_rs::{constant_time, digest, hmac, pbkdf2};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::Error;

/// Rounds that a server may ask for: the least is that of RFC 7677 and of Kafka, the most takes about a second.
const ITERATIONS: std::ops::RangeInclusive<u32> = 4_096..=1_000_000;
/// Bytes of a message of the server at most.
const MESSAGE_BYTES_MAX: usize = 8 << 10;
/// The header without channel binding (`n,,`), in Base64.
const NO_BINDING: &str = "biws";

/// A hash that SCRAM is done with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
        }
    }

    fn digest(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha512 => &digest::SHA512,
        }
    }

    fn pbkdf2(self) -> pbkdf2::Algorithm {
        match self {
            Self::Sha256 => pbkdf2::PBKDF2_HMAC_SHA256,
            Self::Sha512 => pbkdf2::PBKDF2_HMAC_SHA512,
        }
    }

    fn signed(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        hmac::sign(&hmac::Key::new(self.hmac(), key), message).as_ref().to_vec()
    }
}

/// A client that has said who it is.
pub(crate) struct Client {
    hash: Hash,
    nonce: String,
    /// Its first message without the header.
    first: String,
}

/// A client that has proved to know the password, and waits for the same of the server.
#[derive(Debug)]
pub(crate) struct Proved {
    signature: Vec<u8>,
}

impl Client {
    /// `nonce` is new for every attempt: printable, without a comma.
    pub(crate) fn new(hash: Hash, user: &str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        Self { hash, first: format!("n={user},r={nonce}"), nonce }
    }

    /// The first message.
    pub(crate) fn first(&self) -> String {
        format!("n,,{}", self.first)
    }

    /// Answers the server's first message.
    ///
    /// # Errors
    /// [`Error::Scram`] when the server does not follow the exchange, or asks for too few or too many rounds.
    pub(crate) fn prove(self, password: &str, server_first: &[u8]) -> Result<(String, Proved), Error> {
        let server_first = text_of(server_first)?;
        let nonce = attribute(server_first, 'r')?;
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(Error::Scram("its nonce is not behind ours"));
        }
        let salt = STANDARD.decode(attribute(server_first, 's')?).map_err(|_| Error::Scram("its salt is no Base64"))?;
        let iterations = attribute(server_first, 'i')?.parse().ok().filter(|count| ITERATIONS.contains(count));
        let iterations = iterations.and_then(NonZeroU32::new);
        let iterations =
            iterations.ok_or(Error::Scram("it asks for fewer than 4,096 rounds, or more than 1,000,000"))?;

        let hash = self.hash;
        let mut salted = vec![0; hash.digest().output_len()];
        pbkdf2::derive(hash.pbkdf2(), iterations, &salt, password.as_bytes(), &mut salted);
        let client_key = hash.signed(&salted, b"Client Key");
        let stored_key = digest::digest(hash.digest(), &client_key);
        let without_proof = format!("c={NO_BINDING},r={nonce}");
        let exchange = format!("{},{server_first},{without_proof}", self.first);
        let client_signature = hash.signed(stored_key.as_ref(), exchange.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(&client_signature).map(|(key, signature)| key ^ signature).collect();
        let server_key = hash.signed(&salted, b"Server Key");
        let signature = hash.signed(&server_key, exchange.as_bytes());
        Ok((format!("{without_proof},p={}", STANDARD.encode(proof)), Proved { signature }))
    }
}

impl Proved {
    /// Whether the server knows the password too.
    ///
    /// # Errors
    /// [`Error::Scram`] when it does not, or says why it refuses.
    pub(crate) fn check(&self, server_last: &[u8]) -> Result<(), Error> {
        let signature = attribute(text_of(server_last)?, 'v')?;
        let signature = STANDARD.decode(signature).map_err(|_| Error::Scram("its signature is no Base64"))?;
        constant_time::verify_slices_are_equal(&signature, &self.signature)
            .map_err(|_| Error::Scram("it does not know the password"))
    }
}

fn text_of(message: &[u8]) -> Result<&str, Error> {
    if message.len() > MESSAGE_BYTES_MAX {
        return Err(Error::Scram("its message is too long"));
    }
    std::str::from_utf8(message).map_err(|_| Error::Scram("its message is no text"))
}

/// An attribute of a message; one that must be understood (`m`) is understood by nobody.
fn attribute(message: &str, name: char) -> Result<&str, Error> {
    if message.starts_with("m=") {
        return Err(Error::Scram("it asks for an extension"));
    }
    let value = message.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    value.ok_or(Error::Scram("its message lacks a part"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7677, section 3; the other made with another implementation (hashlib and hmac of Python).
    const EXCHANGES: [(Hash, [&str; 3], [&str; 4]); 2] = [
        (
            Hash::Sha256,
            ["user", "pencil", "rOprNGfwEbeRWgbNEkqO"],
            [
                "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
                "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
                "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                 p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
                "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
            ],
        ),
        (
            Hash::Sha512,
            ["a=b,c", "pä,=ss", "fyko+d2lbbFgONRv9qkxdawL"],
            [
                "n,,n=a=3Db=2Cc,r=fyko+d2lbbFgONRv9qkxdawL",
                "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=UVNYQ1IrUTZzZWs4YmY5Mg==,i=8192",
                "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,\
                 p=+k8+DOKXLaBcetSMLpD5qCxOwvAHgWNn6Y5tVSaT8f8m+Z/RUrMZHm4uFtwRhHVtBa3MkLgNOmVN7cb4KT2sPg==",
                "v=tpcc/TCXNg//WgWJS22MjA5NVCwLT1WRX+OMoHbLLe8WfO12TNKuWdrOvjxVEGGsPIiNtxRjOeYzQQLLl7lcEg==",
            ],
        ),
    ];

    fn said(error: Error) -> String {
        error.to_string()
    }

    #[test]
    fn the_exchanges_of_the_standard_are_met() {
        for (hash, [user, password, nonce], [first, server_first, last, server_last]) in EXCHANGES {
            let client = Client::new(hash, user, nonce.to_owned());
            assert_eq!(client.first(), first);
            let (found, proved) = client.prove(password, server_first.as_bytes()).unwrap();
            assert_eq!(found, last);
            proved.check(server_last.as_bytes()).unwrap();
            let other = server_last.replacen(['6', 't'], "A", 1);
            assert!(said(proved.check(other.as_bytes()).unwrap_err()).contains("does not know the password"));
        }
    }

    #[test]
    fn a_server_that_does_not_follow_the_exchange_is_left() {
        let prove = |server_first: &str| {
            let client = Client::new(Hash::Sha256, "user", "abc".to_owned());
            client.prove("pencil", server_first.as_bytes()).map(|_| ()).map_err(said)
        };
        assert_eq!(prove("r=abcd,s=QQ==,i=4096"), Ok(()));
        for (server_first, reason) in [
            ("r=abc,s=QQ==,i=4096", "nonce"),
            ("r=xabcd,s=QQ==,i=4096", "nonce"),
            ("r=abcd,s=QQ==,i=1", "rounds"),
            ("r=abcd,s=QQ==,i=4000000000", "rounds"),
            ("r=abcd,s=Q,i=4096", "Base64"),
            ("r=abcd,i=4096", "lacks a part"),
            ("m=x,r=abcd,s=QQ==,i=4096", "extension"),
            (&"x".repeat(10_000), "too long"),
        ] {
            let found = prove(server_first).unwrap_err();
            assert!(found.contains(reason), "{server_first}: {found}");
        }
        let proved = Proved { signature: vec![1] };
        assert!(said(proved.check(b"e=invalid-proof").unwrap_err()).contains("lacks a part"));
        assert!(said(proved.check(b"\xff").unwrap_err()).contains("no text"));
    }
}
