//! Settings made while the server runs, such as retention per table.

use std::collections::BTreeMap;

use moneta_base::{TableName, Timestamp};
use rusqlite::{OptionalExtension, Row};
use serde_json::Value;

use crate::error::Doing;
use crate::{Error, Metastore};

/// Settings of this form hold a table's retention in days: `retention.<Table>`.
const RETENTION_PREFIX: &str = "retention.";

/// A setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its key, words separated by dots.
    pub key: String,
    /// Its value.
    pub value: Value,
    /// Who changed it last.
    pub changed_by: String,
    /// When.
    pub changed_at: Timestamp,
}

impl Metastore {
    /// Makes or changes a setting.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn put_setting(&self, setting: &Setting) -> Result<(), Error> {
        const DOING: &str = "changing a setting";
        let values = (&setting.key, setting.value.to_string(), &setting.changed_by, setting.changed_at.as_nanos());
        self.write(DOING, |transaction| {
            let sql = "INSERT OR REPLACE INTO setting VALUES (?1, ?2, ?3, ?4)";
            transaction.execute(sql, values).map(drop).doing(DOING)
        })
    }

    /// The setting with that key.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn setting(&self, key: &str) -> Result<Option<Setting>, Error> {
        const DOING: &str = "reading a setting";
        let reader = self.reader();
        let sql = "SELECT key, value, changed_by, changed_at FROM setting WHERE key = ?1";
        let mut statement = reader.prepare_cached(sql).doing(DOING)?;
        statement.query_row([key], read).optional().doing(DOING)
    }

    /// All settings by key.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn settings(&self) -> Result<Vec<Setting>, Error> {
        const DOING: &str = "listing settings";
        let reader = self.reader();
        let sql = "SELECT key, value, changed_by, changed_at FROM setting ORDER BY key";
        let mut statement = reader.prepare_cached(sql).doing(DOING)?;
        let rows = statement.query_map((), read).doing(DOING)?;
        rows.collect::<rusqlite::Result<_>>().doing(DOING)
    }

    /// Removes a setting, so that its default holds again; removing one that is not there is no error.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn delete_setting(&self, key: &str) -> Result<(), Error> {
        const DOING: &str = "removing a setting";
        self.write(DOING, |transaction| {
            transaction.execute("DELETE FROM setting WHERE key = ?1", [key]).map(drop).doing(DOING)
        })
    }

    /// Retention of the tables that have one of their own, in days.
    ///
    /// # Errors
    /// [`Error::Damaged`] for a setting that names no table or holds no number of days: nothing may be dropped then.
    pub fn retention_days(&self) -> Result<BTreeMap<TableName, u32>, Error> {
        let settings = self.settings()?;
        let pairs = settings.iter().filter_map(|setting| Some((setting.key.strip_prefix(RETENTION_PREFIX)?, setting)));
        let parsed = pairs.map(|(table, setting)| {
            let damaged =
                |problem: String| Error::Damaged { what: "setting", problem: format!("{}: {problem}", setting.key) };
            let table = TableName::new(table).map_err(|error| damaged(error.to_string()))?;
            let days = setting.value.as_u64().and_then(|days| u32::try_from(days).ok());
            days.map(|days| (table, days)).ok_or_else(|| damaged("not a number of days".to_owned()))
        });
        parsed.collect()
    }

    /// Sets a table's own retention in days; `None` removes it.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn set_retention_days(
        &self,
        table: &TableName,
        days: Option<u32>,
        changed_by: &str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let key = format!("{RETENTION_PREFIX}{table}");
        match days {
            None => self.delete_setting(&key),
            Some(days) => self.put_setting(&Setting {
                key,
                value: days.into(),
                changed_by: changed_by.to_owned(),
                changed_at: now,
            }),
        }
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Setting> {
    let text: String = row.get(1)?;
    let value = serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(1, rusqlite::types::Type::Text, Box::new(error)))?;
    Ok(Setting { key: row.get(0)?, value, changed_by: row.get(2)?, changed_at: Timestamp::from_nanos(row.get(3)?) })
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_setting_holds_any_json_and_its_last_change() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        for value in [json!(1), json!({"a": [null, "x"]})] {
            let setting = Setting {
                key: "a.b".to_owned(),
                value,
                changed_by: "ada".to_owned(),
                changed_at: Timestamp::from_seconds(5),
            };
            store.put_setting(&setting).unwrap();
            assert_eq!(store.setting("a.b").unwrap(), Some(setting));
        }
        assert_eq!(store.settings().unwrap().len(), 1);
        store.delete_setting("a.b").unwrap();
        assert!(store.setting("a.b").unwrap().is_none());
    }

    #[test]
    fn retention_that_cannot_be_read_is_an_error_not_a_default() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let syslog = TableName::new("Syslog").unwrap();
        store.set_retention_days(&syslog, Some(90), "ada", Timestamp::default()).unwrap();
        assert_eq!(store.retention_days().unwrap(), [(syslog.clone(), 90)].into());
        store.set_retention_days(&syslog, None, "ada", Timestamp::default()).unwrap();
        assert!(store.retention_days().unwrap().is_empty());
        let mut bad = Setting {
            key: "retention.Syslog".to_owned(),
            value: json!("soon"),
            changed_by: String::new(),
            changed_at: Timestamp::default(),
        };
        store.put_setting(&bad).unwrap();
        assert!(matches!(store.retention_days(), Err(Error::Damaged { .. })));
        bad.value = json!(5);
        bad.key = "retention.a/b".to_owned();
        store.put_setting(&bad).unwrap();
        assert!(store.retention_days().is_err());
    }
}
