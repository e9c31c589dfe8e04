//! The secrets tokens are made with, as plain data. Where they are kept is not this crate's business.

use std::collections::BTreeMap;
use std::fmt;

/// Length of a token key in bytes: that of the hash, as RFC 2104 recommends.
pub const TOKEN_KEY_BYTES: usize = 32;

/// The token keys of one tenant, by version.
///
/// Tokens of one value under two versions differ; the version stands in the token, so that both can be looked up.
#[derive(Clone)]
pub struct TokenKeys {
    /// The version that makes new tokens.
    pub current: u32,
    /// All versions still known.
    pub keys: BTreeMap<u32, [u8; TOKEN_KEY_BYTES]>,
}

impl fmt::Debug for TokenKeys {
    /// Names the versions; never prints a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let versions: Vec<_> = self.keys.keys().collect();
        f.debug_struct("TokenKeys").field("current", &self.current).field("versions", &versions).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_holds_no_secret() {
        let keys = TokenKeys { current: 2, keys: [(1, [0xab; 32]), (2, [0xcd; 32])].into() };
        assert_eq!(format!("{keys:?}"), "TokenKeys { current: 2, versions: [1, 2] }");
    }
}
