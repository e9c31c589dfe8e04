//! Secrets of programs that send events or run queries.

use moneta_base::Timestamp;
use rusqlite::{OptionalExtension, Row};

use crate::account::{from_json, to_json};
use crate::error::Doing;
use crate::{Error, Metastore, SecretHash};

/// A credential. The secret itself is shown once when it is made and never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credential {
    /// Its public part.
    pub id: String,
    /// What people call it; unique among those not revoked.
    pub name: String,
    /// SHA-256 of the secret part.
    pub secret_hash: SecretHash,
    /// Names of the scopes granted.
    pub scopes: Vec<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Timestamp,
    /// When it was last used, give or take an hour.
    pub last_used: Option<Timestamp>,
    /// Since when it is revoked.
    pub revoked: Option<Timestamp>,
}

const COLUMNS: &str = "id, name, secret_hash, scopes, created_by, created, expires, last_used, revoked";

impl Metastore {
    /// Adds a credential.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the id, or the name among credentials not revoked, is taken.
    pub fn insert_credential(&self, credential: &Credential) -> Result<(), Error> {
        let values = (
            &credential.id,
            &credential.name,
            credential.secret_hash,
            to_json(&credential.scopes),
            &credential.created_by,
            credential.created.as_nanos(),
            credential.expires.as_nanos(),
            credential.last_used.map(Timestamp::as_nanos),
            credential.revoked.map(Timestamp::as_nanos),
        );
        self.write("adding a credential", |transaction| {
            let sql = "INSERT INTO credential VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            match transaction.execute(sql, values) {
                Err(error) if Error::is_constraint(&error) => {
                    Err(Error::AlreadyExists { what: "a credential", name: credential.name.clone() })
                }
                other => other.map(drop).doing("adding a credential"),
            }
        })
    }

    /// The credential with that id, also when it is revoked or expired.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn credential(&self, id: &str) -> Result<Option<Credential>, Error> {
        let reader = self.reader();
        let mut statement = reader
            .prepare_cached(&format!("SELECT {COLUMNS} FROM credential WHERE id = ?1"))
            .doing("reading a credential")?;
        statement.query_row([id], read).optional().doing("reading a credential")
    }

    /// All credentials, the newest first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn credentials(&self) -> Result<Vec<Credential>, Error> {
        let reader = self.reader();
        let mut statement = reader
            .prepare_cached(&format!("SELECT {COLUMNS} FROM credential ORDER BY created DESC, id"))
            .doing("listing credentials")?;
        let rows = statement.query_map((), read).doing("listing credentials")?;
        rows.collect::<rusqlite::Result<_>>().doing("listing credentials")
    }

    /// Revokes a credential for good; revoking twice keeps the first time.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn revoke_credential(&self, id: &str, now: Timestamp) -> Result<(), Error> {
        self.write("revoking a credential", |transaction| {
            let changed = transaction
                .execute("UPDATE credential SET revoked = coalesce(revoked, ?2) WHERE id = ?1", (id, now.as_nanos()))
                .doing("revoking a credential")?;
            if changed == 0 {
                return Err(Error::NotFound { what: "credential", name: id.to_owned() });
            }
            Ok(())
        })
    }

    /// Notes a use.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn touch_credential(&self, id: &str, now: Timestamp) -> Result<(), Error> {
        self.write("noting the use of a credential", |transaction| {
            transaction
                .execute("UPDATE credential SET last_used = ?2 WHERE id = ?1", (id, now.as_nanos()))
                .map(drop)
                .doing("noting the use of a credential")
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Credential> {
    let time = |nanos: Option<i64>| nanos.map(Timestamp::from_nanos);
    Ok(Credential {
        id: row.get(0)?,
        name: row.get(1)?,
        secret_hash: row.get(2)?,
        scopes: from_json(row, 3)?,
        created_by: row.get(4)?,
        created: Timestamp::from_nanos(row.get(5)?),
        expires: Timestamp::from_nanos(row.get(6)?),
        last_used: time(row.get(7)?),
        revoked: time(row.get(8)?),
    })
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn a_name_is_free_again_after_revocation_and_the_first_revocation_stands() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), NOW).unwrap();
        let credential = |id: &str| Credential {
            id: id.to_owned(),
            name: "shipper".to_owned(),
            secret_hash: [7; 32],
            scopes: vec!["ingest".to_owned()],
            created_by: "ada".to_owned(),
            created: NOW,
            expires: NOW,
            last_used: None,
            revoked: None,
        };
        store.insert_credential(&credential("1")).unwrap();
        assert!(matches!(store.insert_credential(&credential("2")), Err(Error::AlreadyExists { .. })));
        store.touch_credential("1", NOW).unwrap();
        store.revoke_credential("1", NOW).unwrap();
        store.revoke_credential("1", Timestamp::from_seconds(1_900_000_000)).unwrap();
        store.insert_credential(&credential("2")).unwrap();
        let first = store.credential("1").unwrap().unwrap();
        assert_eq!((first.revoked, first.last_used), (Some(NOW), Some(NOW)));
        assert_eq!(store.credentials().unwrap().len(), 2);
        assert!(matches!(store.revoke_credential("3", NOW), Err(Error::NotFound { .. })));
    }
}
