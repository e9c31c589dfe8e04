//! Tokens: what stands in place of a personal value.
//!
//! # Layout
//! `tk<version>_<kind>_<26 letters>`, for instance `tk1_email_` and 26 characters of `a`-`z` and `2`-`7`: the first
//! 128 bits of an HMAC-SHA-256 in RFC 4648 base 32, lower case, unpadded. `<version>` is the version of the key.
//!
//! The key of a kind is `HMAC(tenant key, "moneta token v1\0" + kind)`, so that tokens of one kind say nothing about
//! another. The value is normalised before it is hashed: the same address in another case gives the same token, in
//! every table. A token holds nothing a pattern matches, so that scrubbing twice changes nothing.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::hmac;

use crate::{Error, TokenKeys};

/// Values remembered per generation of the cache: about 10 MiB at typical lengths.
const CACHE_VALUES_MAX: usize = 32_768;
/// Longer values are hashed every time: they do not repeat.
const CACHE_VALUE_BYTES_MAX: usize = 128;
/// Bits kept are 8 times this: 128, as long as a guess must not succeed by chance.
const TOKEN_HASH_BYTES: usize = 16;
/// Characters of the hash in a token.
const TOKEN_HASH_CHARS: usize = 26;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What a personal value is. Each kind has its own key and its own normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenKind {
    /// An e-mail address or a user principal name. Normal form: trimmed, lower case.
    Email,
    /// A telephone number. Normal form: digits only, without the international prefix `00`.
    Phone,
    /// A payment card number. Normal form: digits only.
    Card,
    /// A person's name. Normal form: trimmed, lower case, single blanks.
    Name,
    /// An account name that is not an address. Normal form: trimmed, lower case.
    User,
    /// Other personal text, such as a street. Normal form as for a name.
    Text,
}

impl TokenKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [Self::Email, Self::Phone, Self::Card, Self::Name, Self::User, Self::Text];

    /// The name in tokens, policies and reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Phone => "phone",
            Self::Card => "card",
            Self::Name => "name",
            Self::User => "user",
            Self::Text => "text",
        }
    }

    pub(crate) const fn index(self) -> usize {
        self as usize
    }

    fn normalise(self, value: &str) -> String {
        match self {
            Self::Email | Self::User => value.trim().to_lowercase(),
            Self::Card => digits(value),
            Self::Phone => {
                let all = digits(value);
                all.strip_prefix("00").filter(|rest| rest.len() > 7).unwrap_or(&all).to_owned()
            }
            Self::Name | Self::Text => value.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" "),
        }
    }
}

fn digits(value: &str) -> String {
    value.chars().filter(char::is_ascii_digit).collect()
}

/// Makes tokens and remembers the recent ones.
#[derive(Debug)]
pub(crate) struct TokenMaker {
    current: u32,
    keys: BTreeMap<u32, Vec<hmac::Key>>,
    cache: Mutex<Generations>,
}

/// Two generations: when the young one is full it becomes the old one, so that at most twice the bound is held and
/// values in use stay.
#[derive(Debug, Default)]
struct Generations {
    young: HashMap<(TokenKind, Box<str>), Arc<str>>,
    old: HashMap<(TokenKind, Box<str>), Arc<str>>,
}

impl TokenMaker {
    pub(crate) fn new(keys: &TokenKeys) -> Result<Self, Error> {
        if !keys.keys.contains_key(&keys.current) {
            return Err(Error::KeyMissing(keys.current));
        }
        let derived = |secret: &[u8]| TokenKind::ALL.map(|kind| purpose_key(secret, kind)).to_vec();
        let keys_by_version = keys.keys.iter().map(|(version, secret)| (*version, derived(secret))).collect();
        Ok(Self { current: keys.current, keys: keys_by_version, cache: Mutex::default() })
    }

    pub(crate) fn current(&self) -> u32 {
        self.current
    }

    /// The token of a value under the current key.
    pub(crate) fn token(&self, kind: TokenKind, value: &str) -> Arc<str> {
        if value.len() > CACHE_VALUE_BYTES_MAX {
            return self.compute(self.current, kind, value).into();
        }
        let key = (kind, Box::from(value));
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = cache.young.get(&key) {
            return token.clone();
        }
        let token = match cache.old.remove(&key) {
            Some(token) => token,
            None => self.compute(self.current, kind, value).into(),
        };
        if cache.young.len() >= CACHE_VALUES_MAX {
            cache.old = std::mem::take(&mut cache.young);
        }
        cache.young.insert(key, token.clone());
        token
    }

    /// The tokens of a value under every key still known, newest first.
    pub(crate) fn all_tokens(&self, kind: TokenKind, value: &str) -> Vec<String> {
        self.keys.keys().rev().map(|version| self.compute(*version, kind, value)).collect()
    }

    fn compute(&self, version: u32, kind: TokenKind, value: &str) -> String {
        let key = &self.keys[&version][kind.index()];
        let tag = hmac::sign(key, kind.normalise(value).as_bytes());
        format!("tk{version}_{}_{}", kind.name(), base32(&tag.as_ref()[..TOKEN_HASH_BYTES]))
    }
}

fn purpose_key(secret: &[u8], kind: TokenKind) -> hmac::Key {
    let tenant_key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let derived = hmac::sign(&tenant_key, format!("moneta token v1\0{}", kind.name()).as_bytes());
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

fn base32(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(TOKEN_HASH_CHARS);
    let (mut bits, mut count) = (0_u32, 0);
    for byte in bytes {
        bits = (bits << 8) | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count) as usize & 31]));
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count)) as usize & 31]));
    }
    text
}

/// Whether the text is a token, whole.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("tk") else { return false };
    let mut parts = rest.split('_');
    let (Some(version), Some(kind), Some(hash), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let version_ok = (1..=10).contains(&version.len()) && version.bytes().all(|b| b.is_ascii_digit());
    let kind_ok = TokenKind::ALL.iter().any(|known| known.name() == kind);
    version_ok && kind_ok && hash.len() == TOKEN_HASH_CHARS && hash.bytes().all(|b| ALPHABET.contains(&b))
}

/// Whether the text ends with a token.
pub(crate) fn ends_with_token(text: &str) -> bool {
    let tail_start = text.len().saturating_sub(TOKEN_HASH_CHARS + 20);
    text.get(tail_start..).is_some_and(|tail| tail.match_indices("tk").any(|(at, _)| is_token(&tail[at..])))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn maker() -> TokenMaker {
        TokenMaker::new(&TokenKeys { current: 1, keys: [(1, [7; 32])].into() }).unwrap()
    }

    #[test]
    fn tokens_have_the_documented_form_and_never_change() {
        // A stored token must be found again by every later version: this literal is part of the format.
        let token = maker().token(TokenKind::Email, "alice@contoso.com");
        assert!(is_token(&token), "{token}");
        assert_eq!(&*token, "tk1_email_mgk5ooqbrzglf2zqkwvy5flmum");
    }

    #[test]
    fn values_that_mean_the_same_share_a_token() {
        let maker = maker();
        let same = |kind, a: &str, b: &str| assert_eq!(maker.token(kind, a), maker.token(kind, b), "{a} {b}");
        same(TokenKind::Email, " Alice@Contoso.COM", "alice@contoso.com");
        same(TokenKind::Phone, "+49 (30) 1234-567", "0049 30 1234567");
        same(TokenKind::Card, "4111-1111 1111 1111", "4111111111111111");
        same(TokenKind::Name, "Alice  Example", "alice example ");
    }

    #[test]
    fn kinds_and_key_versions_do_not_share_tokens() {
        let keys = TokenKeys { current: 2, keys: [(1, [7; 32]), (2, [8; 32])].into() };
        let maker = TokenMaker::new(&keys).unwrap();
        let hash = |token: &str| token.rsplit('_').next().unwrap().to_owned();
        assert_ne!(hash(&maker.token(TokenKind::User, "a")), hash(&maker.token(TokenKind::Name, "a")));
        let all = maker.all_tokens(TokenKind::User, "a");
        assert!(all[0].starts_with("tk2_user_") && all[1].starts_with("tk1_user_") && hash(&all[0]) != hash(&all[1]));
    }

    #[test]
    fn the_cache_is_bounded_and_gives_the_same_tokens() {
        let maker = maker();
        let first = maker.token(TokenKind::User, "u0");
        for number in 0..3 * CACHE_VALUES_MAX {
            maker.token(TokenKind::User, &format!("u{number}"));
        }
        let cache = maker.cache.lock().unwrap();
        assert!(cache.young.len() <= CACHE_VALUES_MAX && cache.old.len() <= CACHE_VALUES_MAX);
        drop(cache);
        assert_eq!(maker.token(TokenKind::User, "u0"), first);
    }

    #[test]
    fn a_missing_current_key_is_refused() {
        let error = TokenMaker::new(&TokenKeys { current: 3, keys: BTreeMap::new() }).unwrap_err();
        assert_eq!(error.to_string(), "token key 3 is current but not present");
    }

    #[test]
    fn only_whole_tokens_are_tokens() {
        assert!(ends_with_token("x.tk1_user_aaaaaaaaaaaaaaaaaaaaaaaaaa"));
        for other in
            ["tk1_user_short", "tk_user_aaaaaaaaaaaaaaaaaaaaaaaaaa", "tk1_other_aaaaaaaaaaaaaaaaaaaaaaaaaa", ""]
        {
            assert!(!is_token(other) && !ends_with_token(other), "{other}");
        }
    }
}
