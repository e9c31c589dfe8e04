//! Detection rules as they were handed in.

use moneta_base::{RuleId, Timestamp};
use rusqlite::Row;
use serde_json::Value;

use crate::error::Doing;
use crate::{Error, Metastore, SecretHash};

/// A stored rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRule {
    /// Its id.
    pub rule_id: RuleId,
    /// The file it came in.
    pub file_name: String,
    /// The text of the rule.
    pub text: String,
    /// SHA-256 of the text.
    pub sha256: SecretHash,
    /// Who added it.
    pub added_by: String,
    /// When.
    pub added_at: Timestamp,
    /// The signed pack it came with, if it did: what it says of itself and who signed it.
    pub pack: Option<Value>,
}

impl Metastore {
    /// Adds rules, or replaces those of the same ids: all or none.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn put_rules(&self, rules: &[StoredRule]) -> Result<(), Error> {
        const DOING: &str = "storing rules";
        self.write(DOING, |transaction| {
            let sql = "INSERT OR REPLACE INTO rule VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let mut statement = transaction.prepare_cached(sql).doing(DOING)?;
            for rule in rules {
                let values = (
                    rule.rule_id.as_str(),
                    &rule.file_name,
                    &rule.text,
                    rule.sha256,
                    &rule.added_by,
                    rule.added_at.as_nanos(),
                    rule.pack.as_ref().map(Value::to_string),
                );
                statement.execute(values).doing(DOING)?;
            }
            Ok(())
        })
    }

    /// All rules by id.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn rules(&self) -> Result<Vec<StoredRule>, Error> {
        const DOING: &str = "reading rules";
        let reader = self.reader();
        let sql = "SELECT rule_id, file_name, text, sha256, added_by, added_at, pack FROM rule ORDER BY rule_id";
        let mut statement = reader.prepare_cached(sql).doing(DOING)?;
        let rows = statement.query_map((), read).doing(DOING)?;
        rows.collect::<rusqlite::Result<_>>().doing(DOING)
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn delete_rule(&self, rule_id: &RuleId) -> Result<(), Error> {
        const DOING: &str = "removing a rule";
        self.write(DOING, |transaction| {
            let sql = "DELETE FROM rule WHERE rule_id = ?1";
            match transaction.execute(sql, [rule_id.as_str()]).doing(DOING)? {
                0 => Err(Error::NotFound { what: "rule", name: rule_id.to_string() }),
                _ => Ok(()),
            }
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<StoredRule> {
    Ok(StoredRule {
        rule_id: RuleId::new(&row.get::<_, String>(0)?),
        file_name: row.get(1)?,
        text: row.get(2)?,
        sha256: row.get(3)?,
        added_by: row.get(4)?,
        added_at: Timestamp::from_nanos(row.get(5)?),
        pack: row.get::<_, Option<String>>(6)?.map(|text| json(&text)).transpose()?,
    })
}

fn json(text: &str) -> rusqlite::Result<Value> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn a_rule_replaces_its_former_self() {
        let dir = TestDir::new();
        let store = Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap();
        let rule = |id: &str, text: &str| StoredRule {
            rule_id: RuleId::new(id),
            file_name: "r.yml".to_owned(),
            text: text.to_owned(),
            sha256: [3; 32],
            added_by: "ada".to_owned(),
            added_at: Timestamp::from_seconds(5),
            pack: (id == "a").then(|| serde_json::json!({ "name": "p", "version": 2 })),
        };
        store.put_rules(&[rule("b", "one"), rule("a", "one")]).unwrap();
        store.put_rules(&[rule("b", "two")]).unwrap();
        assert_eq!(store.rules().unwrap(), [rule("a", "one"), rule("b", "two")]);
        store.delete_rule(&RuleId::new("a")).unwrap();
        assert!(matches!(store.delete_rule(&RuleId::new("a")), Err(Error::NotFound { .. })));
    }
}
