//! People who sign in.

use moneta_base::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction};

use crate::error::Doing;
use crate::{Error, Metastore, SecretHash};

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name; unique without regard to ASCII case.
    pub name: String,
    /// argon2id in the PHC string format.
    pub password_hash: String,
    /// Names of the scopes granted.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// Since when it may no longer sign in.
    pub disabled: Option<Timestamp>,
}

const COLUMNS: &str = "name, password_hash, scopes, created, disabled";

impl Metastore {
    /// Adds an account.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] when the name is taken.
    pub fn insert_account(&self, account: &Account) -> Result<(), Error> {
        self.write("adding an account", |transaction| insert(transaction, account))
    }

    /// Spends a one-time link and adds the first account, both or neither.
    ///
    /// # Errors
    /// [`Error::LinkSpent`] when the link is not good, [`Error::AlreadyExists`] when there is an account already.
    pub fn insert_first_account(&self, account: &Account, link: &SecretHash, now: Timestamp) -> Result<(), Error> {
        self.write("adding the first account", |transaction| {
            crate::link::spend(transaction, link, now)?;
            let others: i64 = transaction
                .query_row("SELECT count(*) FROM account", (), |row| row.get(0))
                .doing("counting accounts")?;
            if others > 0 {
                return Err(Error::AlreadyExists { what: "a first account", name: account.name.clone() });
            }
            insert(transaction, account)
        })
    }

    /// The account of that name.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn account(&self, name: &str) -> Result<Option<Account>, Error> {
        let reader = self.reader();
        let mut statement = reader
            .prepare_cached(&format!("SELECT {COLUMNS} FROM account WHERE name = ?1"))
            .doing("reading an account")?;
        statement.query_row([name], read).optional().doing("reading an account")
    }

    /// All accounts by name.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn accounts(&self) -> Result<Vec<Account>, Error> {
        let reader = self.reader();
        let mut statement =
            reader.prepare_cached(&format!("SELECT {COLUMNS} FROM account ORDER BY name")).doing("listing accounts")?;
        let rows = statement.query_map((), read).doing("listing accounts")?;
        rows.collect::<rusqlite::Result<_>>().doing("listing accounts")
    }

    /// Replaces the password hash and ends every session of the account.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn set_password_hash(&self, name: &str, password_hash: &str) -> Result<(), Error> {
        self.write("changing a password", |transaction| {
            let changed = transaction
                .execute("UPDATE account SET password_hash = ?2 WHERE name = ?1", (name, password_hash))
                .doing("changing a password")?;
            found(changed, name)?;
            end_sessions(transaction, name)
        })
    }

    /// Replaces the scopes and ends every session of the account.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::LastWithScope`] when nobody would have the scope `kept` any more.
    pub fn set_account_scopes(&self, name: &str, scopes: &[String], kept: &str) -> Result<(), Error> {
        self.write("changing scopes", |transaction| {
            let holders = holders(transaction, kept)?;
            let changed = transaction
                .execute("UPDATE account SET scopes = ?2 WHERE name = ?1", (name, to_json(scopes)))
                .doing("changing scopes")?;
            found(changed, name)?;
            check_kept(transaction, kept, holders)?;
            end_sessions(transaction, name)
        })
    }

    /// Disables an account from `since` on and ends its sessions, or enables it again with `None`.
    ///
    /// # Errors
    /// [`Error::NotFound`]; [`Error::LastWithScope`] when nobody would have the scope `kept` any more.
    pub fn set_account_disabled(&self, name: &str, since: Option<Timestamp>, kept: &str) -> Result<(), Error> {
        self.write("disabling an account", |transaction| {
            let holders = holders(transaction, kept)?;
            let changed = transaction
                .execute(
                    "UPDATE account SET disabled = ?2 WHERE name = ?1",
                    (name, since.map(moneta_base::Timestamp::as_nanos)),
                )
                .doing("disabling an account")?;
            found(changed, name)?;
            check_kept(transaction, kept, holders)?;
            end_sessions(transaction, name)
        })
    }
}

/// How many accounts that may sign in have a scope.
fn holders(transaction: &Transaction<'_>, scope: &str) -> Result<i64, Error> {
    let sql = "SELECT count(*) FROM account
        WHERE disabled IS NULL AND EXISTS (SELECT 1 FROM json_each(account.scopes) WHERE value = ?1)";
    transaction.query_row(sql, [scope], |row| row.get(0)).doing("counting accounts with a scope")
}

/// Refuses a change after which nobody has a scope that somebody had before.
fn check_kept(transaction: &Transaction<'_>, scope: &str, before: i64) -> Result<(), Error> {
    if before > 0 && holders(transaction, scope)? == 0 {
        return Err(Error::LastWithScope { scope: scope.to_owned() });
    }
    Ok(())
}

fn insert(transaction: &Transaction<'_>, account: &Account) -> Result<(), Error> {
    let values = (
        &account.name,
        &account.password_hash,
        to_json(&account.scopes),
        account.created.as_nanos(),
        account.disabled.map(Timestamp::as_nanos),
    );
    match transaction.execute("INSERT INTO account VALUES (?1, ?2, ?3, ?4, ?5)", values) {
        Err(error) if Error::is_constraint(&error) => {
            Err(Error::AlreadyExists { what: "an account", name: account.name.clone() })
        }
        other => other.map(drop).doing("adding an account"),
    }
}

fn end_sessions(transaction: &Transaction<'_>, account: &str) -> Result<(), Error> {
    transaction.execute("DELETE FROM session WHERE account = ?1", [account]).map(drop).doing("ending sessions")
}

fn found(changed: usize, name: &str) -> Result<(), Error> {
    if changed == 0 { Err(Error::NotFound { what: "account", name: name.to_owned() }) } else { Ok(()) }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Account> {
    Ok(Account {
        name: row.get(0)?,
        password_hash: row.get(1)?,
        scopes: from_json(row, 2)?,
        created: Timestamp::from_nanos(row.get(3)?),
        disabled: row.get::<_, Option<i64>>(4)?.map(Timestamp::from_nanos),
    })
}

pub(crate) fn to_json(names: &[String]) -> String {
    serde_json::Value::from(names.to_vec()).to_string()
}

pub(crate) fn from_json(row: &Row<'_>, index: usize) -> rusqlite::Result<Vec<String>> {
    let text: String = row.get(index)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(index, rusqlite::types::Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;
    use crate::{OneTimeLink, Session};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn account(name: &str) -> Account {
        Account {
            name: name.to_owned(),
            password_hash: "$argon2id$x".to_owned(),
            scopes: vec!["query".to_owned(), "admin".to_owned()],
            created: NOW,
            disabled: None,
        }
    }

    #[test]
    fn survives_a_reopen_and_is_unique_without_case() {
        let dir = TestDir::new();
        let path = dir.join("meta.sqlite");
        let store = Metastore::open(&path, NOW).unwrap();
        store.insert_account(&account("ada")).unwrap();
        assert!(matches!(store.insert_account(&account("ADA")), Err(Error::AlreadyExists { .. })));
        store.close().unwrap();
        let store = Metastore::open(&path, NOW).unwrap();
        assert_eq!(store.account("Ada").unwrap().unwrap(), account("ada"));
        assert_eq!(store.accounts().unwrap().len(), 1);
        assert!(store.account("bob").unwrap().is_none());
    }

    #[test]
    fn disabling_ends_sessions() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), NOW).unwrap();
        store.insert_account(&account("ada")).unwrap();
        let session =
            Session { cookie_hash: [1; 32], account: "ada".into(), created: NOW, last_used: NOW, expires: NOW };
        store.insert_session(&session, 10).unwrap();
        store.set_account_disabled("ada", Some(NOW), "respond").unwrap();
        assert!(store.session(&[1; 32]).unwrap().is_none());
        assert_eq!(store.account("ada").unwrap().unwrap().disabled, Some(NOW));
        assert!(matches!(store.set_password_hash("bob", "x"), Err(Error::NotFound { .. })));
    }

    #[test]
    fn the_last_account_with_a_scope_keeps_it() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), NOW).unwrap();
        store.insert_account(&account("ada")).unwrap();
        store.insert_account(&account("bob")).unwrap();
        let query = ["query".to_owned()];
        store.set_account_scopes("BOB", &query, "admin").unwrap();
        assert_eq!(store.account("bob").unwrap().unwrap().scopes, query);
        for refused in
            [store.set_account_scopes("ada", &query, "admin"), store.set_account_disabled("ada", Some(NOW), "admin")]
        {
            assert!(matches!(refused, Err(Error::LastWithScope { .. })), "{refused:?}");
        }
        assert_eq!(store.account("ada").unwrap().unwrap(), account("ada"));
        store.set_account_scopes("bob", &account("bob").scopes, "admin").unwrap();
        store.set_account_disabled("ada", Some(NOW), "admin").unwrap();
        // One that is disabled holds nothing.
        assert!(store.set_account_scopes("bob", &query, "admin").is_err());
        assert!(matches!(store.set_account_scopes("eve", &query, "admin"), Err(Error::NotFound { .. })));
    }

    #[test]
    fn the_first_account_spends_its_link_and_is_first_only_once() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), NOW).unwrap();
        let link = |byte: u8| OneTimeLink {
            token_hash: [byte; 32],
            purpose: "first-account".to_owned(),
            created: NOW,
            expires: Timestamp::from_seconds(1_800_000_060),
            used: None,
        };
        for byte in [1, 2] {
            store.insert_link(&link(byte)).unwrap();
        }
        let later = Timestamp::from_seconds(1_800_000_060);
        assert!(matches!(store.insert_first_account(&account("ada"), &[1; 32], later), Err(Error::LinkSpent)));
        assert!(matches!(store.insert_first_account(&account("ada"), &[9; 32], NOW), Err(Error::LinkSpent)));
        store.insert_first_account(&account("ada"), &[1; 32], NOW).unwrap();
        assert!(matches!(store.insert_first_account(&account("bob"), &[1; 32], NOW), Err(Error::LinkSpent)));
        let second = store.insert_first_account(&account("bob"), &[2; 32], NOW);
        assert!(matches!(second, Err(Error::AlreadyExists { .. })), "{second:?}");
    }
}
