//! Bookmarks: texts of senders that say where they go on, kept for them.

use moneta_base::Timestamp;
use rusqlite::OptionalExtension;

use crate::error::Doing;
use crate::{Error, Metastore};

impl Metastore {
    /// Keeps a text under a key, in place of a former one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn put_bookmark(&self, key: &str, text: &str, now: Timestamp) -> Result<(), Error> {
        const DOING: &str = "keeping a bookmark";
        self.write(DOING, |transaction| {
            let sql = "INSERT OR REPLACE INTO bookmark VALUES (?1, ?2, ?3)";
            transaction.execute(sql, (key, text, now.as_nanos())).map(drop).doing(DOING)
        })
    }

    /// The text kept under a key.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn bookmark(&self, key: &str) -> Result<Option<String>, Error> {
        const DOING: &str = "reading a bookmark";
        let reader = self.reader();
        let mut statement = reader.prepare_cached("SELECT text FROM bookmark WHERE key = ?1").doing(DOING)?;
        statement.query_row([key], |row| row.get(0)).optional().doing(DOING)
    }
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn a_bookmark_is_there_after_a_restart_and_is_the_last_one() {
        let dir = TestDir::new();
        let path = dir.join("meta.sqlite");
        let store = Metastore::open(&path, Timestamp::default()).unwrap();
        assert_eq!(store.bookmark("a").unwrap(), None);
        store.put_bookmark("a", "<b/>", Timestamp::from_seconds(1)).unwrap();
        store.put_bookmark("a", "<c/>", Timestamp::from_seconds(2)).unwrap();
        store.close().unwrap();
        let store = Metastore::open(&path, Timestamp::default()).unwrap();
        assert_eq!(store.bookmark("a").unwrap().as_deref(), Some("<c/>"));
        assert_eq!(store.bookmark("b").unwrap(), None);
    }
}
