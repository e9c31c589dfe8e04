//! The connections to the file: one that writes, one that reads beside it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use moneta_base::Timestamp;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::Doing;
use crate::{Error, migration};

/// How long to wait for another process (a backup, a curious `sqlite3`) that holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The metastore: a handle that many threads share.
///
/// Reads do not wait for the fsync of a write: they have their own connection to the write-ahead log.
#[derive(Debug)]
pub struct Metastore {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    path: PathBuf,
}

impl Metastore {
    /// Opens the file, or makes it, readable by its owner only; upgrades an older schema.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::NotOurs`], [`Error::Newer`], and SQLite's own.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, Error> {
        make_private(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let mut writer = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        migration::migrate(&mut writer, path, now)?;
        writer.pragma_update(None, "journal_mode", "wal").doing("turning on the write-ahead log")?;
        // FULL: a commit is on disk when it returns, also when power fails. A revoked credential must stay revoked.
        writer.pragma_update(None, "synchronous", "full").doing("turning on full syncs")?;
        // Deleted sessions and links leave no trace in free pages.
        writer.pragma_update(None, "secure_delete", true).doing("turning on secure deletion")?;
        let reader = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        reader.pragma_update(None, "query_only", true).doing("opening a second connection")?;
        Ok(Self { writer: Mutex::new(writer), reader: Mutex::new(reader), path: path.to_owned() })
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves everything from the write-ahead log into the file and closes it: afterwards the one file is the whole.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn close(self) -> Result<(), Error> {
        drop(self.reader);
        let writer = self.writer.into_inner().unwrap_or_else(PoisonError::into_inner);
        writer
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", (), |_| Ok(()))
            .doing("writing the log back into the file")?;
        writer.close().map_err(|(_, source)| Error::Sqlite { doing: "closing the file", source })
    }

    /// Writes a copy of everything into a new file, readable by its owner only. Changes wait meanwhile.
    ///
    /// # Errors
    /// When the file exists and is not empty, or the disk refuses.
    pub fn copy_to(&self, path: &Path) -> Result<(), Error> {
        make_private(path).map_err(|source| Error::Open { path: path.to_owned(), source })?;
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        writer.execute("VACUUM INTO ?1", [path.to_string_lossy()]).doing("copying the file")?;
        Ok(())
    }

    /// Checks the file's own structure; empty when nothing is wrong.
    ///
    /// # Errors
    /// When the file cannot be read at all.
    pub fn check_integrity(&self) -> Result<Vec<String>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare("PRAGMA integrity_check(100)").doing("checking the file")?;
        let lines = statement.query_map((), |row| row.get::<_, String>(0)).doing("checking the file")?;
        let lines = lines.collect::<rusqlite::Result<Vec<_>>>().doing("checking the file")?;
        Ok(lines.into_iter().filter(|line| line != "ok").collect())
    }

    /// The connection for reading. A panic elsewhere leaves it usable: it holds no transaction of its own.
    pub(crate) fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs a change in one transaction; rolled back when it fails or panics.
    pub(crate) fn write<T>(
        &self,
        doing: &'static str,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        // Immediate: two processes that read first and write later would otherwise fail with "busy" at once.
        let transaction = writer.transaction_with_behavior(TransactionBehavior::Immediate).doing(doing)?;
        let value = change(&transaction)?;
        transaction.commit().doing(doing)?;
        Ok(value)
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let flags = flags | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).doing("opening the file")?;
    connection.busy_timeout(BUSY_TIMEOUT).doing("setting the busy timeout")?;
    connection.pragma_update(None, "foreign_keys", true).doing("turning on foreign keys")?;
    connection.pragma_update(None, "trusted_schema", false).doing("distrusting the schema")?;
    Ok(connection)
}

/// Makes the file with mode 0600 before SQLite would make it with the process's mask; its companions copy the mode.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path).map(drop)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn the_file_is_private_synced_and_whole_after_closing() {
        let dir = TestDir::new();
        let path = dir.join("meta.sqlite");
        let store = Metastore::open(&path, Timestamp::default()).unwrap();
        let pragma = |name: &str| -> String {
            let writer = store.writer.lock().unwrap();
            writer
                .pragma_query_value(None, name, |row| {
                    row.get::<_, String>(0).or_else(|_| row.get::<_, i64>(0).map(|n| n.to_string()))
                })
                .unwrap()
        };
        assert_eq!((pragma("journal_mode").as_str(), pragma("synchronous").as_str()), ("wal", "2"));
        assert_eq!((pragma("foreign_keys").as_str(), pragma("secure_delete").as_str()), ("1", "1"));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(store.check_integrity().unwrap().is_empty());
        store.close().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_copy_is_whole_and_private() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let setting = crate::Setting {
            key: "a".to_owned(),
            value: 1.into(),
            changed_by: "ada".to_owned(),
            changed_at: Timestamp::default(),
        };
        store.put_setting(&setting).unwrap();
        let copy = dir.join("copy.sqlite");
        store.copy_to(&copy).unwrap();
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(store.copy_to(&copy).is_err(), "a copy takes the place of nothing");
        let copy = Metastore::open(&copy, Timestamp::default()).unwrap();
        assert_eq!(copy.setting("a").unwrap(), Some(setting));
    }

    #[test]
    fn a_failed_change_leaves_nothing_behind() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let result: Result<(), Error> = store.write("testing", |transaction| {
            transaction.execute("INSERT INTO setting VALUES ('a', '1', 'x', 0)", ()).doing("testing")?;
            Err(Error::LinkSpent)
        });
        assert!(matches!(result, Err(Error::LinkSpent)));
        assert!(store.setting("a").unwrap().is_none());
    }
}
