//! How to sign in: a name and a password, a token, or a key with which to sign what the server sends.

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value as Json};

use crate::Error;

/// The first byte of a seed, the kind of its key left out.
const SEED: u8 = 18 << 3;
/// The first byte of a user's public key.
const USER: u8 = 20 << 3;
/// Bytes of a seed as it is written: two that say what it is, the secret, and a checksum.
const SEED_BYTES: usize = 2 + 32 + 2;

/// How to sign in.
pub enum Login {
    /// A name and its password.
    Password {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// A token.
    Token(String),
    /// A key that the server knows.
    Key(UserKey),
    /// A key, and the token that an operator of the server signed for it.
    Credentials {
        /// The token, as it stands in the file.
        jwt: String,
        /// The key.
        key: UserKey,
    },
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password",
            Self::Token(_) => "Token",
            Self::Key(_) => "Key",
            Self::Credentials { .. } => "Credentials",
        })
    }
}

impl Login {
    /// Reads a file of credentials: a token and a seed, each between lines that begin and end it.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn credentials(text: &str) -> Result<Self, &'static str> {
        let block = |name: &str| {
            let mut lines = text.lines().map(str::trim);
            lines.find(|line| line.starts_with("--") && line.contains("BEGIN") && line.contains(name))?;
            lines.find(|line| !line.is_empty()).filter(|line| !line.starts_with("--"))
        };
        let jwt = block("USER JWT").ok_or("it holds no line BEGIN NATS USER JWT with a token after it")?;
        let seed = block("USER NKEY SEED").ok_or("it holds no line BEGIN USER NKEY SEED with a seed after it")?;
        Ok(Self::Credentials { jwt: jwt.to_owned(), key: UserKey::parse(seed)? })
    }

    /// Says who signs in; `nonce` is what the server wants signed.
    pub(crate) fn write(&self, nonce: Option<&str>, connect: &mut Map<String, Json>) -> Result<(), Error> {
        let mut say = |name: &str, value: &str| connect.insert(name.to_owned(), Json::from(value));
        match self {
            Self::Password { user, password } => {
                say("user", user);
                say("pass", password);
            }
            Self::Token(token) => drop(say("auth_token", token)),
            Self::Key(key) => {
                say("nkey", &key.public());
                say("sig", &key.sign(nonce.ok_or(Error::NoNonce)?));
            }
            Self::Credentials { jwt, key } => {
                say("jwt", jwt);
                say("sig", &key.sign(nonce.ok_or(Error::NoNonce)?));
            }
        }
        Ok(())
    }
}

/// The key of a user.
pub struct UserKey(Ed25519KeyPair);

impl UserKey {
    /// Reads a seed, such as `SUA…`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(seed: &str) -> Result<Self, &'static str> {
        const NO_SEED: &str = "it is no seed of a user's key, which begins with SU and has 58 letters and digits";
        let bytes = from_base32(seed.trim()).filter(|bytes| bytes.len() == SEED_BYTES).ok_or(NO_SEED)?;
        let (body, checksum) = bytes.split_at(SEED_BYTES - 2);
        if crc16(body).to_le_bytes() != checksum {
            return Err("the seed is mistyped: its checksum is wrong");
        }
        let kind = (body[0] & 0b111) << 5 | body[1] >> 3;
        if body[0] & !0b111 != SEED || kind != USER {
            return Err(NO_SEED);
        }
        Ed25519KeyPair::from_seed_unchecked(&body[2..]).map(Self).map_err(|_| NO_SEED)
    }

    /// The public key, as servers are told it.
    #[must_use]
    pub fn public(&self) -> String {
        let mut bytes = vec![USER];
        bytes.extend_from_slice(self.0.public_key().as_ref());
        let checksum = crc16(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        to_base32(&bytes)
    }

    fn sign(&self, nonce: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.0.sign(nonce.as_bytes()).as_ref())
    }
}

impl std::fmt::Debug for UserKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("UserKey").field(&self.public()).finish()
    }
}

/// The letters of base 32.
///
/// # Source
/// RFC 4648, section 6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn from_base32(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes() {
        let value = u32::try_from(BASE32.iter().position(|known| *known == letter)?).ok()?;
        held = (held << 5 | value) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

fn to_base32(bytes: &[u8]) -> String {
    let letters = (0..(bytes.len() * 8).div_ceil(5)).map(|letter| {
        let bit = |n: usize| bytes.get(n / 8).map_or(0, |byte| byte >> (7 - n % 8) & 1);
        let value = (0..5).fold(0, |value, n| value << 1 | bit(letter * 5 + n));
        char::from(BASE32[usize::from(value)])
    });
    letters.collect()
}

/// The checksum of keys: CRC-16 with the polynomial of XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair that the documentation of NKeys shows.
    const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
    const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

    #[test]
    fn a_seed_is_the_key_whose_public_half_is_known() {
        let key = UserKey::parse(SEED).unwrap();
        assert_eq!(key.public(), PUBLIC);
        assert!(!format!("{key:?}").contains(SEED));
        for wrong in ["", "SUA", PUBLIC, &SEED.replace("SUAC", "SUAD"), &SEED.to_lowercase()] {
            assert!(UserKey::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn credentials_are_a_token_and_a_seed() {
        let file = format!(
            "-----BEGIN NATS USER JWT-----\neyJ0.x.y\n------END NATS USER JWT------\n\nkeep it secret\n\n\
             -----BEGIN USER NKEY SEED-----\n{SEED}\n------END USER NKEY SEED------\n"
        );
        let Ok(Login::Credentials { jwt, key }) = Login::credentials(&file) else { panic!("{file}") };
        assert_eq!((jwt.as_str(), key.public().as_str()), ("eyJ0.x.y", PUBLIC));
        assert!(Login::credentials(SEED).unwrap_err().contains("USER JWT"));
        assert!(Login::credentials(&file.replace("NKEY SEED", "KEY")).unwrap_err().contains("SEED"));
    }

    #[test]
    fn the_checksum_is_that_of_xmodem() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
    }
}
