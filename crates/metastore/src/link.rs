//! Links that work once: the way in before there is an account.

use moneta_base::Timestamp;
use rusqlite::{OptionalExtension, Transaction};

use crate::error::Doing;
use crate::{Error, Metastore, SecretHash};

/// A link that works once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneTimeLink {
    /// SHA-256 of the token in the link.
    pub token_hash: SecretHash,
    /// What it is for, such as `first-account`.
    pub purpose: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

impl Metastore {
    /// Adds a link.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn insert_link(&self, link: &OneTimeLink) -> Result<(), Error> {
        const DOING: &str = "adding a one-time link";
        let values = (
            link.token_hash,
            &link.purpose,
            link.created.as_nanos(),
            link.expires.as_nanos(),
            link.used.map(Timestamp::as_nanos),
        );
        self.write(DOING, |transaction| {
            transaction.execute("INSERT INTO one_time_link VALUES (?1, ?2, ?3, ?4, ?5)", values).map(drop).doing(DOING)
        })
    }

    /// Whether a link is known, unused and within its time. Spending it checks again.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn link_is_good(&self, token_hash: &SecretHash, now: Timestamp) -> Result<bool, Error> {
        const DOING: &str = "reading a one-time link";
        let sql = "SELECT 1 FROM one_time_link WHERE token_hash = ?1 AND used IS NULL AND expires > ?2";
        let reader = self.reader();
        let row = reader.query_row(sql, (token_hash, now.as_nanos()), |_| Ok(())).optional().doing(DOING)?;
        Ok(row.is_some())
    }

    /// Forgets unused links of a purpose, before a new one is made.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_unused_links(&self, purpose: &str) -> Result<usize, Error> {
        const DOING: &str = "forgetting one-time links";
        self.write(DOING, |transaction| {
            transaction.execute("DELETE FROM one_time_link WHERE purpose = ?1 AND used IS NULL", [purpose]).doing(DOING)
        })
    }
}

/// Marks a good link as used.
pub(crate) fn spend(transaction: &Transaction<'_>, token_hash: &SecretHash, now: Timestamp) -> Result<(), Error> {
    let sql = "UPDATE one_time_link SET used = ?2 WHERE token_hash = ?1 AND used IS NULL AND expires > ?2";
    let changed = transaction.execute(sql, (token_hash, now.as_nanos())).doing("spending a one-time link")?;
    if changed == 1 { Ok(()) } else { Err(Error::LinkSpent) }
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn a_link_is_good_until_it_expires_or_gives_way() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let time = Timestamp::from_seconds;
        let link =
            OneTimeLink { token_hash: [1; 32], purpose: "p".into(), created: time(0), expires: time(10), used: None };
        store.insert_link(&link).unwrap();
        assert!(store.link_is_good(&[1; 32], time(9)).unwrap());
        assert!(!store.link_is_good(&[1; 32], time(10)).unwrap());
        assert!(!store.link_is_good(&[2; 32], time(9)).unwrap());
        assert_eq!(store.delete_unused_links("p").unwrap(), 1);
        assert!(!store.link_is_good(&[1; 32], time(9)).unwrap());
    }
}
