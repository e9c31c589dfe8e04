//! Incidents: which alerts they have, what was done with them, and which of their versions are not yet rows. What an
//! incident is, its service knows; here it is JSON with a few columns to find it by.
//!
//! All changes go through [`Metastore::change_incidents`]: one transaction, in which later steps see earlier ones.

use moneta_base::Timestamp;
use rusqlite::types::Value as SqlValue;
use rusqlite::{OptionalExtension, Row, Transaction, params_from_iter};
use serde_json::Value;

use crate::error::Doing;
use crate::{Error, Metastore};

const READING: &str = "reading incidents";
const CHANGING: &str = "changing incidents";
/// What an incident was closed as; null for one that is open.
const CLASSIFICATION: &str = "json_extract(incident.definition, '$.verdict.classification')";

/// An incident as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredIncident {
    /// Its number.
    pub number: u64,
    /// Its status.
    pub status: String,
    /// How bad it is: a number that grows with badness.
    pub severity: u8,
    /// Who works on it.
    pub owner: String,
    /// Its title.
    pub title: String,
    /// When it was made.
    pub created: Timestamp,
    /// All its service knows.
    pub definition: Value,
}

/// An alert as part of an incident. An alert is part of one incident only.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredIncidentAlert {
    /// Its id.
    pub alert_id: String,
    /// The rule that raised it.
    pub rule_id: String,
    /// When it was raised.
    pub raised: Timestamp,
    /// From its last event to its raising, in nanoseconds; `None` without an event.
    pub delay_nanos: Option<i64>,
    /// All its service knows.
    pub definition: Value,
}

/// Which incidents are wanted. Absent members do not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IncidentSelection {
    /// With one of these statuses; any when empty.
    pub statuses: Vec<String>,
    /// At least so bad.
    pub severity_min: Option<u8>,
    /// Of this owner.
    pub owner: Option<String>,
    /// With an alert of this rule.
    pub rule_id: Option<String>,
    /// With this text in the title.
    pub text: Option<String>,
    /// With a lower number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: usize,
}

/// A version of an incident that is to become a row.
#[derive(Debug, Clone, PartialEq)]
pub struct IncidentRow {
    /// Its place: rows become rows in this order.
    pub id: u64,
    /// The version.
    pub definition: Value,
}

/// One alert of a rule and the incident it is part of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleAlert {
    /// The rule.
    pub rule_id: String,
    /// The incident.
    pub incident: u64,
    /// From its last event to its raising, in nanoseconds.
    pub delay_nanos: Option<i64>,
}

impl Metastore {
    /// Makes a change of incidents, whole or not at all.
    ///
    /// # Errors
    /// SQLite's own, and those of the change.
    pub fn change_incidents<T>(
        &self,
        change: impl FnOnce(&IncidentWriter<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        self.write(CHANGING, |transaction| change(&IncidentWriter { transaction }))
    }

    /// Incidents by number, the highest first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incidents(&self, wanted: &IncidentSelection) -> Result<Vec<Value>, Error> {
        let (mut terms, mut values): (Vec<String>, Vec<SqlValue>) = (vec!["1".to_owned()], Vec::new());
        let mut term = |text: &str, value: SqlValue| {
            terms.push(text.to_owned());
            values.push(value);
        };
        let number = |number: u64| SqlValue::Integer(i64::try_from(number).unwrap_or(i64::MAX));
        wanted.severity_min.into_iter().for_each(|min| term("severity >= ?", number(min.into())));
        wanted.owner.iter().for_each(|owner| term("owner = ? COLLATE NOCASE", owner.clone().into()));
        let of_rule = "number IN (SELECT incident FROM incident_alert WHERE rule_id = ?)";
        wanted.rule_id.iter().for_each(|rule| term(of_rule, rule.clone().into()));
        wanted.text.iter().for_each(|text| term("instr(lower(title), lower(?)) > 0", text.clone().into()));
        wanted.before.into_iter().for_each(|before| term("number < ?", number(before)));
        if !wanted.statuses.is_empty() {
            terms.push(format!("status IN ({})", marks(wanted.statuses.len())));
            values.extend(wanted.statuses.iter().map(|status| SqlValue::from(status.clone())));
        }
        values.push(number(wanted.limit as u64));
        let terms = terms.join(" AND ");
        let sql = format!("SELECT definition FROM incident WHERE {terms} ORDER BY number DESC LIMIT ?");
        let reader = self.reader();
        let mut statement = reader.prepare_cached(&sql).doing(READING)?;
        let rows = statement.query_map(params_from_iter(values), |row| json(row, 0)).doing(READING)?;
        rows.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// One incident.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident(&self, number: u64) -> Result<Option<Value>, Error> {
        let reader = self.reader();
        let sql = "SELECT definition FROM incident WHERE number = ?1";
        let mut statement = reader.prepare_cached(sql).doing(READING)?;
        statement.query_row([number.cast_signed()], |row| json(row, 0)).optional().doing(READING)
    }

    /// The alerts of an incident, in the order in which they joined.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident_alerts(&self, number: u64) -> Result<Vec<Value>, Error> {
        self.of_incident("SELECT definition FROM incident_alert WHERE incident = ?1 ORDER BY place", number)
    }

    /// What was done with an incident, the oldest first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident_activity(&self, number: u64) -> Result<Vec<Value>, Error> {
        self.of_incident("SELECT definition FROM incident_activity WHERE incident = ?1 ORDER BY place", number)
    }

    fn of_incident(&self, sql: &str, number: u64) -> Result<Vec<Value>, Error> {
        let reader = self.reader();
        let mut statement = reader.prepare_cached(sql).doing(READING)?;
        let rows = statement.query_map([number.cast_signed()], |row| json(row, 0)).doing(READING)?;
        rows.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// Alerts raised since a time, with their incidents, the newest first; without those of incidents that were
    /// classified, under `verdict` in their definition, as one of `without`.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn alerts_since(&self, since: Timestamp, without: &[&str], limit: usize) -> Result<Vec<(u64, Value)>, Error> {
        let sql = format!(
            "SELECT incident, incident_alert.definition FROM incident_alert JOIN incident ON number = incident
            WHERE raised >= ? AND coalesce({CLASSIFICATION}, '') NOT IN ({}) ORDER BY raised DESC, place DESC LIMIT ?",
            marks(without.len())
        );
        let mut values: Vec<SqlValue> = vec![since.as_nanos().into()];
        values.extend(without.iter().map(|word| SqlValue::from((*word).to_owned())));
        values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        let reader = self.reader();
        let mut statement = reader.prepare_cached(&sql).doing(READING)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), json(row, 1)?));
        let rows = statement.query_map(params_from_iter(values), read).doing(READING)?;
        rows.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// Every incident, or every one with an alert of a rule, with the classification in its definition, under
    /// `verdict`.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident_classifications(&self, rule_id: Option<&str>) -> Result<Vec<(u64, Option<String>)>, Error> {
        let of_rule = rule_id.map_or("", |_| "WHERE number IN (SELECT incident FROM incident_alert WHERE rule_id = ?)");
        let sql = format!("SELECT number, {CLASSIFICATION} FROM incident {of_rule}");
        let reader = self.reader();
        let mut statement = reader.prepare_cached(&sql).doing(READING)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?.cast_unsigned(), row.get(1)?));
        let rows = statement.query_map(params_from_iter(rule_id), read).doing(READING)?;
        rows.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// The alerts of incidents with their rules, in order of both; of all rules, or of one.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn alerts_of_rules(&self, rule_id: Option<&str>) -> Result<Vec<RuleAlert>, Error> {
        let of_rule = rule_id.map_or("", |_| "WHERE rule_id = ?");
        let sql =
            format!("SELECT rule_id, incident, delay_nanos FROM incident_alert {of_rule} ORDER BY rule_id, incident");
        let reader = self.reader();
        let mut statement = reader.prepare_cached(&sql).doing(READING)?;
        let read = |row: &Row<'_>| {
            let incident: i64 = row.get(1)?;
            Ok(RuleAlert { rule_id: row.get(0)?, incident: incident.cast_unsigned(), delay_nanos: row.get(2)? })
        };
        let rows = statement.query_map(params_from_iter(rule_id), read).doing(READING)?;
        rows.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// Alerts of a rule, each with the classification of its incident: the newest `limit` of each classification, in order
    /// of classification and then the newest first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn judged_alerts(&self, rule_id: &str, limit: usize) -> Result<Vec<(Value, Option<String>)>, Error> {
        let sql = format!(
            "SELECT definition, judged FROM (SELECT incident_alert.definition, {CLASSIFICATION} AS judged,
                row_number() OVER (PARTITION BY {CLASSIFICATION} ORDER BY raised DESC, place DESC) AS age
                FROM incident_alert JOIN incident ON number = incident WHERE rule_id = ?1)
            WHERE age <= ?2 ORDER BY judged, age"
        );
        let reader = self.reader();
        let mut statement = reader.prepare_cached(&sql).doing(READING)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let read = |row: &Row<'_>| Ok((json(row, 0)?, row.get(1)?));
        let rows = statement.query_map(rusqlite::params![rule_id, limit], read).doing(READING)?;
        rows.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// Versions that are not yet rows, the oldest first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident_rows(&self, limit: usize) -> Result<Vec<IncidentRow>, Error> {
        let reader = self.reader();
        let sql = "SELECT id, definition FROM incident_row ORDER BY id LIMIT ?1";
        let mut statement = reader.prepare_cached(sql).doing(READING)?;
        let read = |row: &Row<'_>| {
            let id: i64 = row.get(0)?;
            Ok(IncidentRow { id: id.cast_unsigned(), definition: json(row, 1)? })
        };
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement.query_map([limit], read).doing(READING)?.collect::<rusqlite::Result<_>>().doing(READING)
    }

    /// How far the alerts are dealt with: the `_Seq` after the last one; `None` before the first.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident_cursor(&self) -> Result<Option<u64>, Error> {
        let reader = self.reader();
        let sql = "SELECT alerts_end FROM incident_progress";
        let end: Option<i64> = reader.query_row(sql, (), |row| row.get(0)).doing(READING)?;
        Ok(end.map(i64::cast_unsigned))
    }
}

/// The steps of a change.
pub struct IncidentWriter<'a> {
    transaction: &'a Transaction<'a>,
}

impl IncidentWriter<'_> {
    /// The number of the next incident.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn next_number(&self) -> Result<u64, Error> {
        let sql = "UPDATE incident_progress SET last_number = last_number + 1 RETURNING last_number";
        let number: i64 = self.transaction.query_row(sql, (), |row| row.get(0)).doing(CHANGING)?;
        Ok(number.cast_unsigned())
    }

    /// One incident.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn incident(&self, number: u64) -> Result<Option<Value>, Error> {
        let sql = "SELECT definition FROM incident WHERE number = ?1";
        let found = self.transaction.query_row(sql, [number.cast_signed()], |row| json(row, 0));
        found.optional().doing(CHANGING)
    }

    /// Whether an alert is part of an incident.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn has_alert(&self, alert_id: &str) -> Result<bool, Error> {
        let sql = "SELECT EXISTS (SELECT 1 FROM incident_alert WHERE alert_id = ?1)";
        self.transaction.query_row(sql, [alert_id], |row| row.get(0)).doing(CHANGING)
    }

    /// The incidents under any of the keys that were made since a time, do not have the status `without`, and have fewer
    /// alerts than the first maximum: the newest first, as many as the second says.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn newest_with_key(
        &self,
        keys: &[String],
        since: Timestamp,
        without: Option<&str>,
        (alerts_max, incidents_max): (usize, usize),
    ) -> Result<Vec<Value>, Error> {
        let sql = format!(
            "SELECT definition FROM incident WHERE number IN (SELECT number FROM incident_key WHERE key IN ({}) AND created >= ?)
            AND status IS NOT ? AND (SELECT count(*) FROM incident_alert WHERE incident = number) < ?
            ORDER BY number DESC LIMIT ?",
            marks(keys.len())
        );
        let mut values: Vec<SqlValue> = keys.iter().map(|key| SqlValue::from(key.clone())).collect();
        let number = |number: usize| SqlValue::from(i64::try_from(number).unwrap_or(i64::MAX));
        values.extend([since.as_nanos().into(), without.map(str::to_owned).into()]);
        values.extend([number(alerts_max), number(incidents_max)]);
        let mut statement = self.transaction.prepare_cached(&sql).doing(CHANGING)?;
        let found = statement.query_map(params_from_iter(values), |row| json(row, 0)).doing(CHANGING)?;
        found.collect::<Result<_, _>>().doing(CHANGING)
    }

    /// Makes or replaces an incident, and notes that this version is to become a row.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn put(&self, incident: &StoredIncident) -> Result<(), Error> {
        let sql = "INSERT INTO incident (number, status, severity, owner, title, created, definition)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (number) DO UPDATE SET status = excluded.status,
            severity = excluded.severity, owner = excluded.owner, title = excluded.title, definition = excluded.definition";
        let text = incident.definition.to_string();
        let values = (
            incident.number.cast_signed(),
            &incident.status,
            incident.severity,
            &incident.owner,
            &incident.title,
            incident.created.as_nanos(),
            &text,
        );
        self.transaction.prepare_cached(sql).and_then(|mut it| it.execute(values)).doing(CHANGING)?;
        let sql = "UPDATE incident_progress SET last_row = last_row + 1 RETURNING last_row";
        let id: i64 = self.transaction.query_row(sql, (), |row| row.get(0)).doing(CHANGING)?;
        let sql = "INSERT INTO incident_row (id, definition) VALUES (?1, ?2)";
        self.transaction.execute(sql, (id, &text)).map(drop).doing(CHANGING)
    }

    /// Makes an alert part of an incident.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_alert(&self, number: u64, alert: &StoredIncidentAlert) -> Result<(), Error> {
        let sql = "INSERT INTO incident_alert (alert_id, incident, rule_id, raised, delay_nanos, definition)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
        let values = (
            &alert.alert_id,
            number.cast_signed(),
            &alert.rule_id,
            alert.raised.as_nanos(),
            alert.delay_nanos,
            alert.definition.to_string(),
        );
        let mut statement = self.transaction.prepare_cached(sql).doing(CHANGING)?;
        statement.execute(values).map(drop).doing(CHANGING)
    }

    /// Lets an incident be found under a key.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_key(&self, number: u64, key: &str, created: Timestamp) -> Result<(), Error> {
        let sql = "INSERT OR IGNORE INTO incident_key (key, number, created) VALUES (?1, ?2, ?3)";
        let mut statement = self.transaction.prepare_cached(sql).doing(CHANGING)?;
        statement.execute((key, number.cast_signed(), created.as_nanos())).map(drop).doing(CHANGING)
    }

    /// Notes what was done.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn add_activity(&self, number: u64, activity: &Value) -> Result<(), Error> {
        let sql = "INSERT INTO incident_activity (incident, definition) VALUES (?1, ?2)";
        let mut statement = self.transaction.prepare_cached(sql).doing(CHANGING)?;
        statement.execute((number.cast_signed(), activity.to_string())).map(drop).doing(CHANGING)
    }

    /// Notes how far alerts are dealt with.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn set_cursor(&self, alerts_end: u64) -> Result<(), Error> {
        let sql = "UPDATE incident_progress SET alerts_end = ?1";
        self.transaction.execute(sql, [alerts_end.cast_signed()]).map(drop).doing(CHANGING)
    }

    /// Notes that versions up to `id` are rows. Later ones get higher ids, also in a file that never saw these.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn rows_done(&self, id: u64) -> Result<(), Error> {
        let id = id.cast_signed();
        self.transaction.execute("DELETE FROM incident_row WHERE id <= ?1", [id]).doing(CHANGING)?;
        let sql = "UPDATE incident_progress SET last_row = max(last_row, ?1)";
        self.transaction.execute(sql, [id]).map(drop).doing(CHANGING)
    }

    /// Forgets the oldest incidents with a status, so that at most `kept` of all are left; how many went.
    ///
    /// # Errors
    /// SQLite's own.
    pub fn forget(&self, status: &str, kept: usize) -> Result<usize, Error> {
        let kept = i64::try_from(kept).unwrap_or(i64::MAX);
        let sql = "DELETE FROM incident WHERE number IN (SELECT number FROM incident WHERE status = ?1 ORDER BY number
            LIMIT max(0, (SELECT count(*) FROM incident) - ?2))";
        self.transaction.execute(sql, (status, kept)).doing(CHANGING)
    }
}

/// So many question marks, for a list of values.
fn marks(count: usize) -> String {
    vec!["?"; count].join(", ")
}

fn json(row: &Row<'_>, at: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(at)?;
    serde_json::from_str(&text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(at, rusqlite::types::Type::Text, Box::new(error)))
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;
    use serde_json::json;

    use super::*;

    fn store(dir: &TestDir) -> Metastore {
        Metastore::open(&dir.join("meta.sqlite"), Timestamp::default()).unwrap()
    }

    fn incident(number: u64, status: &str, severity: u8) -> StoredIncident {
        StoredIncident {
            number,
            status: status.to_owned(),
            severity,
            owner: "ada".to_owned(),
            title: format!("Case {number}"),
            created: Timestamp::from_seconds(5),
            definition: json!({ "number": number }),
        }
    }

    fn alert(id: &str, rule: &str) -> StoredIncidentAlert {
        StoredIncidentAlert {
            alert_id: id.to_owned(),
            rule_id: rule.to_owned(),
            raised: Timestamp::from_seconds(6),
            delay_nanos: Some(7),
            definition: json!({ "id": id }),
        }
    }

    fn numbers(store: &Metastore, wanted: &IncidentSelection) -> Vec<u64> {
        let found = store.incidents(&IncidentSelection { limit: 10, ..wanted.clone() }).unwrap();
        found.iter().filter_map(|one| one["number"].as_u64()).collect()
    }

    #[test]
    fn a_change_is_seen_by_its_own_later_steps_and_undone_as_a_whole() {
        let dir = TestDir::new();
        let store = store(&dir);
        let failed: Result<(), Error> = store.change_incidents(|writer| {
            let number = writer.next_number()?;
            writer.put(&incident(number, "New", 3))?;
            writer.add_key(number, "host:a", Timestamp::from_seconds(5))?;
            writer.add_alert(number, &alert("a1", "r1"))?;
            assert!(writer.has_alert("a1")?);
            let keys = ["host:b", "host:a"].map(str::to_owned);
            assert!(writer.newest_with_key(&keys, Timestamp::from_seconds(5), None, (2, 1))?.len() == 1);
            assert!(writer.newest_with_key(&keys, Timestamp::from_seconds(6), None, (2, 1))?.is_empty());
            Err(Error::LinkSpent)
        });
        assert!(failed.is_err());
        assert_eq!(store.change_incidents(|writer| writer.next_number()).unwrap(), 1);
        assert!(store.incident(1).unwrap().is_none() && store.incident_rows(9).unwrap().is_empty());
    }

    #[test]
    fn incidents_are_found_by_what_is_asked() {
        let dir = TestDir::new();
        let store = store(&dir);
        let put = |number, status, severity, rule: &str| {
            store
                .change_incidents(|writer| {
                    writer.put(&incident(number, status, severity))?;
                    writer.add_alert(number, &alert(&format!("a{number}"), rule))
                })
                .unwrap();
        };
        put(1, "New", 3, "r1");
        put(2, "Closed", 1, "r2");
        put(3, "Active", 2, "r1");
        let all = IncidentSelection::default();
        assert_eq!(numbers(&store, &all), [3, 2, 1]);
        let open = vec!["New".to_owned(), "Active".to_owned()];
        assert_eq!(numbers(&store, &IncidentSelection { statuses: open, ..all.clone() }), [3, 1]);
        assert_eq!(numbers(&store, &IncidentSelection { severity_min: Some(2), before: Some(3), ..all.clone() }), [1]);
        assert_eq!(numbers(&store, &IncidentSelection { rule_id: Some("r1".to_owned()), ..all.clone() }), [3, 1]);
        assert_eq!(numbers(&store, &IncidentSelection { text: Some("CASE 2".to_owned()), ..all.clone() }), [2]);
        assert!(numbers(&store, &IncidentSelection { owner: Some(String::new()), ..all }).is_empty());
        assert_eq!(store.incident_alerts(1).unwrap(), [json!({ "id": "a1" })]);
        assert_eq!(store.alerts_of_rules(None).unwrap().len(), 3);
        let since = |seconds| store.alerts_since(Timestamp::from_seconds(seconds), &["Closed"], 2).unwrap();
        assert_eq!((since(6).len(), since(6)[0].0, since(7).len()), (2, 3, 0));
    }

    #[test]
    fn what_is_asked_of_one_rule_or_not_to_be_judged_so_is_not_read() {
        let dir = TestDir::new();
        let store = store(&dir);
        for (number, rule, word) in [(1, "r1", "Good"), (2, "r2", "Bad"), (3, "r1", "")] {
            let verdict = if word.is_empty() { json!(null) } else { json!({ "classification": word }) };
            let definition = json!({ "number": number, "verdict": verdict });
            store
                .change_incidents(|writer| {
                    writer.put(&StoredIncident { definition, ..incident(number, "New", 1) })?;
                    writer.add_alert(number, &alert(&format!("a{number}"), rule))
                })
                .unwrap();
        }
        let of_rule = |rule| {
            let classified: Vec<u64> =
                store.incident_classifications(rule).unwrap().into_iter().map(|(number, _)| number).collect();
            let alerts: Vec<u64> = store.alerts_of_rules(rule).unwrap().iter().map(|alert| alert.incident).collect();
            (classified, alerts)
        };
        assert_eq!(of_rule(None), (vec![1, 2, 3], vec![1, 3, 2]));
        assert_eq!(of_rule(Some("r1")), (vec![1, 3], vec![1, 3]));
        assert_eq!(of_rule(Some("r3")), (vec![], vec![]));
        let since = |without: &[&str], limit| {
            let alerts = store.alerts_since(Timestamp::default(), without, limit).unwrap();
            alerts.into_iter().map(|(incident, _)| incident).collect::<Vec<u64>>()
        };
        assert_eq!(
            (since(&[], 9), since(&["Bad", "Worse"], 9), since(&["Bad"], 1)),
            (vec![3, 2, 1], vec![3, 1], vec![3])
        );
    }

    #[test]
    fn an_open_incident_with_room_is_found_behind_any_number_of_others() {
        let dir = TestDir::new();
        let store = store(&dir);
        let (keys, since) = (["host:a", "host:b"].map(str::to_owned), Timestamp::from_seconds(5));
        for number in 1..=40 {
            store
                .change_incidents(|writer| {
                    writer.put(&incident(number, if number <= 2 { "New" } else { "Closed" }, 1))?;
                    writer.add_key(number, &keys[usize::from(number % 2 == 0)], since)?;
                    let alerts = if number == 2 { 2 } else { 1 };
                    (0..alerts).try_for_each(|n| writer.add_alert(number, &alert(&format!("a{number}-{n}"), "r")))
                })
                .unwrap();
        }
        let found = |keys: &[String], without, alerts_max| {
            let found = store.change_incidents(|writer| writer.newest_with_key(keys, since, without, (alerts_max, 1)));
            found.unwrap().first().and_then(|found| found["number"].as_u64())
        };
        assert_eq!(found(&keys, None, 9), Some(40), "a closed one may be opened again");
        assert_eq!(found(&keys, Some("Closed"), 9), Some(2));
        assert_eq!(found(&keys, Some("Closed"), 2), Some(1), "the other is full");
        assert_eq!(found(&keys[1..], Some("Closed"), 2), None);
        assert_eq!(found(&[], None, 9), None);
    }

    #[test]
    fn every_version_waits_until_it_is_a_row_and_ids_never_go_back() {
        let dir = TestDir::new();
        let store = store(&dir);
        let put = || store.change_incidents(|writer| writer.put(&incident(1, "New", 3))).unwrap();
        let ids = || store.incident_rows(9).unwrap().iter().map(|row| row.id).collect::<Vec<_>>();
        put();
        put();
        assert_eq!(ids(), [1, 2]);
        store.change_incidents(|writer| writer.rows_done(1)).unwrap();
        assert_eq!(ids(), [2]);
        // The journal knows more than this file: it was put back from a copy.
        store.change_incidents(|writer| writer.rows_done(40)).unwrap();
        put();
        assert_eq!(ids(), [41]);
        assert_eq!(store.incident_cursor().unwrap(), None);
        store.change_incidents(|writer| writer.set_cursor(7)).unwrap();
        assert_eq!(store.incident_cursor().unwrap(), Some(7));
    }

    #[test]
    fn what_is_forgotten_is_old_and_closed_and_takes_all_with_it() {
        let dir = TestDir::new();
        let store = store(&dir);
        for (number, status) in [(1, "New"), (2, "Closed"), (3, "Closed")] {
            store
                .change_incidents(|writer| {
                    writer.put(&incident(number, status, 1))?;
                    writer.add_activity(number, &json!({}))?;
                    writer.add_alert(number, &alert(&format!("a{number}"), "r"))
                })
                .unwrap();
        }
        assert_eq!(store.change_incidents(|writer| writer.forget("Closed", 2)).unwrap(), 1);
        assert_eq!(numbers(&store, &IncidentSelection::default()), [3, 1]);
        assert!(store.incident_activity(2).unwrap().is_empty() && store.incident_alerts(2).unwrap().is_empty());
    }
}
