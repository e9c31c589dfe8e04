//! Signed-in browsers.

use moneta_base::Timestamp;
use rusqlite::{OptionalExtension, Row};

use crate::error::Doing;
use crate::{Error, Metastore, SecretHash};

/// A session: what a cookie stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the cookie's value.
    pub cookie_hash: SecretHash,
    /// The account that signed in.
    pub account: String,
    /// When it signed in.
    pub created: Timestamp,
    /// When the session was last used, give or take a minute.
    pub last_used: Timestamp,
    /// When it ends, used or not.
    pub expires: Timestamp,
}

impl Metastore {
    /// Adds a session; of the account's older ones only so many stay that there are `per_account_max` in all.
    ///
    /// # Errors
    /// SQLite's own, also when there is no such account.
    pub fn insert_session(&self, session: &Session, per_account_max: u32) -> Result<(), Error> {
        const DOING: &str = "adding a session";
        self.write(DOING, |transaction| {
            let older = "DELETE FROM session WHERE account = ?1 AND cookie_hash NOT IN
                (SELECT cookie_hash FROM session WHERE account = ?1 ORDER BY created DESC LIMIT ?2)";
            let kept = per_account_max.saturating_sub(1);
            transaction.execute(older, (&session.account, kept)).doing(DOING)?;
            let values = (
                session.cookie_hash,
                &session.account,
                session.created.as_nanos(),
                session.last_used.as_nanos(),
                session.expires.as_nanos(),
            );
            transaction.execute("INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?5)", values).map(drop).doing(DOING)
        })
    }

    /// The session of a cookie, also when it has expired.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn session(&self, cookie_hash: &SecretHash) -> Result<Option<Session>, Error> {
        const DOING: &str = "reading a session";
        let reader = self.reader();
        let sql = "SELECT cookie_hash, account, created, last_used, expires FROM session WHERE cookie_hash = ?1";
        let mut statement = reader.prepare_cached(sql).doing(DOING)?;
        statement.query_row([cookie_hash], read).optional().doing(DOING)
    }

    /// Notes a use.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn touch_session(&self, cookie_hash: &SecretHash, now: Timestamp) -> Result<(), Error> {
        const DOING: &str = "noting the use of a session";
        self.write(DOING, |transaction| {
            let sql = "UPDATE session SET last_used = ?2 WHERE cookie_hash = ?1";
            transaction.execute(sql, (cookie_hash, now.as_nanos())).map(drop).doing(DOING)
        })
    }

    /// Ends a session; ending one that is not there is no error.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_session(&self, cookie_hash: &SecretHash) -> Result<(), Error> {
        const DOING: &str = "ending a session";
        self.write(DOING, |transaction| {
            transaction.execute("DELETE FROM session WHERE cookie_hash = ?1", [cookie_hash]).map(drop).doing(DOING)
        })
    }

    /// Forgets sessions past their end; returns how many.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_expired_sessions(&self, now: Timestamp) -> Result<usize, Error> {
        const DOING: &str = "forgetting expired sessions";
        self.write(DOING, |transaction| {
            transaction.execute("DELETE FROM session WHERE expires <= ?1", [now.as_nanos()]).doing(DOING)
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        cookie_hash: row.get(0)?,
        account: row.get(1)?,
        created: Timestamp::from_nanos(row.get(2)?),
        last_used: Timestamp::from_nanos(row.get(3)?),
        expires: Timestamp::from_nanos(row.get(4)?),
    })
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;
    use crate::Account;

    fn session(byte: u8) -> Session {
        let time = |seconds: u8| Timestamp::from_seconds(1_800_000_000 + i64::from(seconds));
        Session {
            cookie_hash: [byte; 32],
            account: "ada".to_owned(),
            created: time(byte),
            last_used: time(byte),
            expires: time(byte + 100),
        }
    }

    #[test]
    fn the_oldest_sessions_give_way_and_expired_ones_are_forgotten() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let account = Account {
            name: "ada".to_owned(),
            password_hash: String::new(),
            scopes: Vec::new(),
            created: Timestamp::default(),
            disabled: None,
        };
        assert!(store.insert_session(&session(1), 2).is_err());
        store.insert_account(&account).unwrap();
        for byte in 1..=3 {
            store.insert_session(&session(byte), 2).unwrap();
        }
        assert!(store.session(&[1; 32]).unwrap().is_none());
        assert_eq!(store.session(&[3; 32]).unwrap().unwrap(), session(3));
        assert_eq!(store.delete_expired_sessions(session(2).expires).unwrap(), 1);
        store.touch_session(&[3; 32], session(50).created).unwrap();
        assert_eq!(store.session(&[3; 32]).unwrap().unwrap().last_used, session(50).created);
        store.delete_session(&[3; 32]).unwrap();
        assert!(store.session(&[3; 32]).unwrap().is_none());
    }
}
