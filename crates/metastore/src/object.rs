//! Objects of queries: stored functions, saved queries, materialised views, watchlists, declared tables, mappings. What
//! they mean is their service's business; here they are a name, a JSON definition, and perhaps rows as bytes.

use moneta_base::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction};
use serde_json::Value;

use crate::error::Doing;
use crate::{Error, Metastore};

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectKind {
    /// A stored function.
    Function,
    /// A saved query.
    Query,
    /// A materialised view.
    View,
    /// A watchlist.
    Watchlist,
    /// A table that was declared before its first event.
    Table,
    /// Which parts of records go to which columns of a table.
    Mapping,
}

impl ObjectKind {
    /// The kind's name in the file; never changes.
    const fn name(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::Query => "query",
            Self::View => "view",
            Self::Watchlist => "watchlist",
            Self::Table => "table",
            Self::Mapping => "mapping",
        }
    }
}

/// A stored object without its rows.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredObject {
    /// What it is.
    pub kind: ObjectKind,
    /// Its name, unique within its kind.
    pub name: String,
    /// What its service needs to know.
    pub definition: Value,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
}

/// The rows of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectRows {
    /// A number that belongs to them and changes with them, such as a watermark.
    pub mark: u64,
    /// Their bytes.
    pub content: Vec<u8>,
}

impl Metastore {
    /// Makes or replaces an object, with its rows in the same transaction; former rows go.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn put_object(&self, object: &StoredObject, rows: Option<&ObjectRows>) -> Result<(), Error> {
        const DOING: &str = "storing an object";
        let (kind, name) = (object.kind.name(), &object.name);
        let values = (kind, name, object.definition.to_string(), &object.changed_by, object.changed_at.as_nanos());
        self.write(DOING, |transaction| {
            // Deletes the rows of a former object with it.
            transaction.execute("DELETE FROM query_object WHERE kind = ?1 AND name = ?2", (kind, name)).doing(DOING)?;
            transaction.execute("INSERT INTO query_object VALUES (?1, ?2, ?3, ?4, ?5)", values).doing(DOING)?;
            rows.map_or(Ok(()), |rows| insert_rows(transaction, kind, name, rows))
        })
    }

    /// Replaces an object's rows and leaves everything else as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the object is gone.
    pub fn put_object_rows(&self, kind: ObjectKind, name: &str, rows: &ObjectRows) -> Result<(), Error> {
        const DOING: &str = "storing an object's rows";
        self.write(DOING, |transaction| {
            let sql = "SELECT count(*) FROM query_object WHERE kind = ?1 AND name = ?2";
            let found: i64 = transaction.query_row(sql, (kind.name(), name), |row| row.get(0)).doing(DOING)?;
            if found == 0 {
                return Err(not_found(kind, name));
            }
            insert_rows(transaction, kind.name(), name, rows)
        })
    }

    /// All objects of a kind by name.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn objects(&self, kind: ObjectKind) -> Result<Vec<StoredObject>, Error> {
        const DOING: &str = "listing objects";
        let reader = self.reader();
        let sql = "SELECT name, definition, changed_by, changed_at FROM query_object WHERE kind = ?1 ORDER BY name";
        let mut statement = reader.prepare_cached(sql).doing(DOING)?;
        let rows = statement.query_map([kind.name()], |row| read(kind, row)).doing(DOING)?;
        rows.collect::<rusqlite::Result<_>>().doing(DOING)
    }

    /// An object's rows, if it has any.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn object_rows(&self, kind: ObjectKind, name: &str) -> Result<Option<ObjectRows>, Error> {
        const DOING: &str = "reading an object's rows";
        let reader = self.reader();
        let sql = "SELECT mark, content FROM query_object_rows WHERE kind = ?1 AND name = ?2";
        let mut statement = reader.prepare_cached(sql).doing(DOING)?;
        let read = |row: &Row<'_>| {
            let mark: i64 = row.get(0)?;
            Ok(ObjectRows { mark: mark.cast_unsigned(), content: row.get(1)? })
        };
        statement.query_row((kind.name(), name), read).optional().doing(DOING)
    }

    /// Removes an object and its rows.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn delete_object(&self, kind: ObjectKind, name: &str) -> Result<(), Error> {
        const DOING: &str = "removing an object";
        self.write(DOING, |transaction| {
            let sql = "DELETE FROM query_object WHERE kind = ?1 AND name = ?2";
            match transaction.execute(sql, (kind.name(), name)).doing(DOING)? {
                0 => Err(not_found(kind, name)),
                _ => Ok(()),
            }
        })
    }
}

fn not_found(kind: ObjectKind, name: &str) -> Error {
    Error::NotFound { what: kind.name(), name: name.to_owned() }
}

fn insert_rows(transaction: &Transaction<'_>, kind: &str, name: &str, rows: &ObjectRows) -> Result<(), Error> {
    let sql = "INSERT OR REPLACE INTO query_object_rows VALUES (?1, ?2, ?3, ?4)";
    let values = (kind, name, rows.mark.cast_signed(), &rows.content);
    transaction.execute(sql, values).map(drop).doing("storing an object's rows")
}

fn read(kind: ObjectKind, row: &Row<'_>) -> rusqlite::Result<StoredObject> {
    let text: String = row.get(1)?;
    let definition = serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(StoredObject {
        kind,
        name: row.get(0)?,
        definition,
        changed_by: row.get(2)?,
        changed_at: Timestamp::from_nanos(row.get(3)?),
    })
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;
    use serde_json::json;

    use super::*;

    fn object(kind: ObjectKind, name: &str, n: i64) -> StoredObject {
        StoredObject {
            kind,
            name: name.to_owned(),
            definition: json!({ "n": n }),
            changed_by: "ada".to_owned(),
            changed_at: Timestamp::from_seconds(5),
        }
    }

    #[test]
    fn objects_of_different_kinds_may_share_a_name_and_are_replaced_whole() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let rows = ObjectRows { mark: u64::MAX, content: vec![1, 2] };
        store.put_object(&object(ObjectKind::View, "a", 1), Some(&rows)).unwrap();
        store.put_object(&object(ObjectKind::Function, "a", 2), None).unwrap();
        assert_eq!(store.object_rows(ObjectKind::View, "a").unwrap(), Some(rows));
        assert_eq!(store.object_rows(ObjectKind::Function, "a").unwrap(), None);
        store.put_object(&object(ObjectKind::View, "a", 3), None).unwrap();
        assert_eq!(store.objects(ObjectKind::View).unwrap(), [object(ObjectKind::View, "a", 3)]);
        assert_eq!(store.object_rows(ObjectKind::View, "a").unwrap(), None);
        assert_eq!(store.objects(ObjectKind::Function).unwrap(), [object(ObjectKind::Function, "a", 2)]);
    }

    #[test]
    fn rows_do_not_outlive_their_object_and_do_not_come_without_one() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let rows = ObjectRows { mark: 7, content: vec![] };
        let orphan = store.put_object_rows(ObjectKind::View, "a", &rows);
        assert!(matches!(orphan, Err(Error::NotFound { what: "view", .. })));
        store.put_object(&object(ObjectKind::View, "a", 1), None).unwrap();
        store.put_object_rows(ObjectKind::View, "a", &rows).unwrap();
        store.delete_object(ObjectKind::View, "a").unwrap();
        assert_eq!(store.object_rows(ObjectKind::View, "a").unwrap(), None);
        assert!(matches!(store.delete_object(ObjectKind::View, "a"), Err(Error::NotFound { .. })));
    }
}
