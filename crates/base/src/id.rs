//! Identifiers as types, so that a table name is never passed for a source name.
//!
//! Constructors validate; a value of one of these types is always well formed.

use std::fmt;
use std::sync::Arc;

/// Why a text is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// A table name must start with a letter or underscore and hold letters, digits and underscores only.
    #[error("table name {0:?} must be 1 to 128 letters, digits or underscores and not start with a digit")]
    TableName(String),
    /// A source name must be 1 to 256 characters without control characters.
    #[error("source name must be 1 to 256 characters without control characters")]
    SourceName,
    /// A tenant id is a UUID.
    #[error("tenant id {0:?} is not a UUID such as 6f1c0f3e-2a53-4d1b-9a55-0f6f2f9b7d11")]
    TenantId(String),
}

/// A row's position in the arrival order of its table, counted from 0 without gaps.
pub type Seq = u64;

/// The name of a table, such as `SecurityEvent` or `MyApp_CL`. Safe as a file name; case-sensitive.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName(Arc<str>);

impl TableName {
    /// Validates a table name.
    ///
    /// # Errors
    /// [`IdError::TableName`] for anything but 1 to 128 ASCII letters, digits and underscores, or a leading digit.
    pub fn new(name: &str) -> Result<Self, IdError> {
        let first_ok = name.as_bytes().first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
        let rest_ok = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if first_ok && rest_ok && name.len() <= 128 {
            Ok(Self(name.into()))
        } else {
            Err(IdError::TableName(name.chars().take(140).collect()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is a table of the user's own (`<Name>_CL`), whose columns grow with the data.
    #[must_use]
    pub fn is_custom(&self) -> bool {
        self.0.ends_with("_CL")
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// Where records come from: a file, a listener, a machine. Shown in the `_Source` column.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct SourceName(Arc<str>);

impl SourceName {
    /// Validates a source name.
    ///
    /// # Errors
    /// [`IdError::SourceName`] for empty text, more than 256 characters, or control characters.
    pub fn new(name: &str) -> Result<Self, IdError> {
        let len = name.chars().count();
        if len == 0 || len > 256 || name.chars().any(char::is_control) {
            return Err(IdError::SourceName);
        }
        Ok(Self(name.into()))
    }

    /// Makes a valid source name of any text: control characters become `_`, the tail is cut.
    #[must_use]
    pub fn lossy(name: &str) -> Self {
        let cleaned: String = name.chars().map(|c| if c.is_control() { '_' } else { c }).take(256).collect();
        Self(if cleaned.is_empty() { "unknown".into() } else { cleaned.into() })
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SourceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A tenant: whose data it is. A UUID, shown as `TenantId` on every row.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantId([u8; 16]);

impl TenantId {
    /// A tenant id from random bytes, marked as a version 4 UUID.
    #[must_use]
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// A tenant id from its 16 stored bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes of the UUID.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Parses the hyphenated form of a UUID.
    ///
    /// # Errors
    /// [`IdError::TenantId`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let error = || IdError::TenantId(text.chars().take(64).collect());
        let hyphens_ok =
            text.len() == 36 && text.bytes().enumerate().all(|(i, b)| (b == b'-') == matches!(i, 8 | 13 | 18 | 23));
        if !hyphens_ok {
            return Err(error());
        }
        let digits: Vec<u8> = text.bytes().filter(|b| *b != b'-').collect();
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let high = char::from(pair[0]).to_digit(16).ok_or_else(error)?;
            let low = char::from(pair[1]).to_digit(16).ok_or_else(error)?;
            *byte = u8::try_from(high * 16 + low).expect("two hex digits fit a byte");
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A detection rule's identifier: Sigma's UUID, or a digest where a rule has none.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct RuleId(Arc<str>);

impl RuleId {
    /// Takes the identifier as the rule states it.
    #[must_use]
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The identifier as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RuleId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_names_are_safe_as_file_names() {
        for good in ["SecurityEvent", "_x", "A1_CL"] {
            assert_eq!(TableName::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "1a", "../etc", "a b", "a/b", "ä", &"x".repeat(129)] {
            assert!(TableName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn tenant_id_survives_its_text_form() {
        let id = TenantId::from_random([0xab; 16]);
        assert_eq!(TenantId::parse(&id.to_string()).unwrap(), id);
        assert!(TenantId::parse("not-a-uuid").is_err());
        assert!(TenantId::parse("zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz").is_err());
    }

    #[test]
    fn lossy_source_names_hold_no_control_characters() {
        assert_eq!(SourceName::lossy("a\nb").as_str(), "a_b");
        assert_eq!(SourceName::lossy("").as_str(), "unknown");
    }
}
