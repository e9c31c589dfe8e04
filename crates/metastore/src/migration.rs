//! The schema, as steps that only go forwards, and the check that refuses a file of a newer program.
//!
//! Every released step stays as it is: a change is a new step at the end. Each step runs in one transaction with the
//! row that records it.

use std::path::Path;

use moneta_base::Timestamp;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior};

use crate::Error;
use crate::error::Doing;

/// `MNTA` in SQLite's application id: tells our files from other programs' databases.
const APPLICATION_ID: i64 = 0x4d4e_5441;

/// The steps; step `n` (from 1) leads to version `n`.
const STEPS: [&str; 6] = [VERSION_1, VERSION_2, VERSION_3, VERSION_4, VERSION_5, VERSION_6];

/// The version this program writes.
pub const SCHEMA_VERSION: i64 = 6;
const _: () = assert!(STEPS.len() == 6, "SCHEMA_VERSION is the number of steps");

/// Times are nanoseconds since 1970 in UTC; lists and values are JSON text.
const VERSION_1: &str = "
CREATE TABLE account (
    name          TEXT PRIMARY KEY COLLATE NOCASE,
    password_hash TEXT NOT NULL,
    scopes        TEXT NOT NULL CHECK (json_valid(scopes)),
    created       INTEGER NOT NULL,
    disabled      INTEGER
) STRICT;
CREATE TABLE credential (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL,
    secret_hash BLOB NOT NULL CHECK (length(secret_hash) = 32),
    scopes      TEXT NOT NULL CHECK (json_valid(scopes)),
    created_by  TEXT NOT NULL,
    created     INTEGER NOT NULL,
    expires     INTEGER NOT NULL,
    last_used   INTEGER,
    revoked     INTEGER
) STRICT;
CREATE UNIQUE INDEX credential_name ON credential (name) WHERE revoked IS NULL;
CREATE TABLE session (
    cookie_hash BLOB PRIMARY KEY CHECK (length(cookie_hash) = 32),
    account     TEXT NOT NULL COLLATE NOCASE REFERENCES account (name) ON DELETE CASCADE,
    created     INTEGER NOT NULL,
    last_used   INTEGER NOT NULL,
    expires     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX session_account ON session (account, created);
CREATE TABLE one_time_link (
    token_hash BLOB PRIMARY KEY CHECK (length(token_hash) = 32),
    purpose    TEXT NOT NULL,
    created    INTEGER NOT NULL,
    expires    INTEGER NOT NULL,
    used       INTEGER
) STRICT, WITHOUT ROWID;
CREATE TABLE rule (
    rule_id   TEXT PRIMARY KEY,
    file_name TEXT NOT NULL,
    text      TEXT NOT NULL,
    sha256    BLOB NOT NULL CHECK (length(sha256) = 32),
    added_by  TEXT NOT NULL,
    added_at  INTEGER NOT NULL
) STRICT;
CREATE TABLE setting (
    key        TEXT PRIMARY KEY,
    value      TEXT NOT NULL CHECK (json_valid(value)),
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL
) STRICT;
";

/// Objects of queries: functions, saved queries, views, watchlists. What an object is stands in `definition` as JSON; its
/// rows, where it has any, stand apart, so that a list of objects does not read them.
const VERSION_2: &str = "
CREATE TABLE query_object (
    kind       TEXT NOT NULL,
    name       TEXT NOT NULL,
    definition TEXT NOT NULL CHECK (json_valid(definition)),
    changed_by TEXT NOT NULL,
    changed_at INTEGER NOT NULL,
    PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE query_object_rows (
    kind    TEXT NOT NULL,
    name    TEXT NOT NULL,
    mark    INTEGER NOT NULL,
    content BLOB NOT NULL,
    PRIMARY KEY (kind, name),
    FOREIGN KEY (kind, name) REFERENCES query_object (kind, name) ON DELETE CASCADE
) STRICT;
";

/// Incidents. `incident_key` is what they are found by when an alert looks for one to join; `incident_row` holds versions
/// that are not yet rows of `SecurityIncident`.
const VERSION_3: &str = "
CREATE TABLE incident (
    number     INTEGER PRIMARY KEY,
    status     TEXT NOT NULL,
    severity   INTEGER NOT NULL,
    owner      TEXT NOT NULL,
    title      TEXT NOT NULL,
    created    INTEGER NOT NULL,
    definition TEXT NOT NULL CHECK (json_valid(definition))
) STRICT;
CREATE INDEX incident_status ON incident (status, number);
CREATE TABLE incident_alert (
    place       INTEGER PRIMARY KEY,
    alert_id    TEXT NOT NULL UNIQUE,
    incident    INTEGER NOT NULL REFERENCES incident (number) ON DELETE CASCADE,
    rule_id     TEXT NOT NULL,
    raised      INTEGER NOT NULL,
    delay_nanos INTEGER,
    definition  TEXT NOT NULL CHECK (json_valid(definition))
) STRICT;
CREATE INDEX incident_alert_incident ON incident_alert (incident);
CREATE INDEX incident_alert_rule ON incident_alert (rule_id, incident, delay_nanos);
CREATE TABLE incident_key (
    key     TEXT NOT NULL,
    number  INTEGER NOT NULL REFERENCES incident (number) ON DELETE CASCADE,
    created INTEGER NOT NULL,
    PRIMARY KEY (key, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_key_number ON incident_key (number);
CREATE TABLE incident_activity (
    place      INTEGER PRIMARY KEY,
    incident   INTEGER NOT NULL REFERENCES incident (number) ON DELETE CASCADE,
    definition TEXT NOT NULL CHECK (json_valid(definition))
) STRICT;
CREATE INDEX incident_activity_incident ON incident_activity (incident);
CREATE TABLE incident_row (
    id         INTEGER PRIMARY KEY,
    definition TEXT NOT NULL CHECK (json_valid(definition))
) STRICT;
CREATE TABLE incident_progress (
    alerts_end  INTEGER,
    last_row    INTEGER NOT NULL,
    last_number INTEGER NOT NULL
) STRICT;
INSERT INTO incident_progress VALUES (NULL, 0, 0);
";

/// Indexes for what is asked of incidents by time: the alerts of the last days, and what an alert may join.
const VERSION_4: &str = "
CREATE INDEX incident_alert_raised ON incident_alert (raised);
CREATE INDEX incident_key_created ON incident_key (key, created);
";

/// The signed pack that a rule came with.
const VERSION_5: &str = "
ALTER TABLE rule ADD COLUMN pack TEXT CHECK (json_valid(pack));
";

/// Where senders go on that do not know it themselves, in words of their own.
const VERSION_6: &str = "
CREATE TABLE bookmark (
    key     TEXT PRIMARY KEY,
    text    TEXT NOT NULL,
    changed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
";

/// Brings the file to [`SCHEMA_VERSION`], step by step.
///
/// # Errors
/// [`Error::NotOurs`], [`Error::Newer`]; the file is then as it was.
pub fn migrate(connection: &mut Connection, path: &Path, now: Timestamp) -> Result<(), Error> {
    let found = version_of(connection, path)?;
    if found > SCHEMA_VERSION {
        return Err(Error::Newer { path: path.to_owned(), found, known: SCHEMA_VERSION });
    }
    for (step, version) in STEPS.iter().zip(1..).skip(usize::try_from(found).unwrap_or(0)) {
        apply(connection, step, version, now).doing("upgrading the schema")?;
    }
    Ok(())
}

fn apply(connection: &mut Connection, step: &str, version: i64, now: Timestamp) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Exclusive)?;
    if version == 1 {
        transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
        transaction.execute_batch(
            "CREATE TABLE schema_version (version INTEGER PRIMARY KEY, applied INTEGER NOT NULL) STRICT;",
        )?;
    }
    transaction.execute_batch(step)?;
    transaction.execute("INSERT INTO schema_version VALUES (?1, ?2)", (version, now.as_nanos()))?;
    transaction.commit()
}

/// The version of the file; zero for a new one.
fn version_of(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let not_ours = || Error::NotOurs { path: path.to_owned() };
    let application: i64 = match connection.pragma_query_value(None, "application_id", |row| row.get(0)) {
        Err(error) if error.sqlite_error_code() == Some(rusqlite::ErrorCode::NotADatabase) => return Err(not_ours()),
        other => other.doing("reading the file header")?,
    };
    let objects: i64 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", (), |row| row.get(0))
        .doing("reading the file header")?;
    match (application, objects) {
        (0, 0) => Ok(0),
        (APPLICATION_ID, _) => connection
            .query_row("SELECT max(version) FROM schema_version", (), |row| row.get::<_, Option<i64>>(0))
            .optional()
            .doing("reading the schema version")?
            .flatten()
            .ok_or(Error::Damaged { what: "schema version", problem: "it is missing".to_owned() }),
        _ => Err(not_ours()),
    }
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;
    use crate::Metastore;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    #[test]
    fn a_file_of_a_newer_program_is_refused_unchanged() {
        let dir = TestDir::new();
        let path = dir.join("meta.sqlite");
        Metastore::open(&path, NOW).unwrap().close().unwrap();
        let raw = Connection::open(&path).unwrap();
        raw.execute("INSERT INTO schema_version VALUES (99, 0)", ()).unwrap();
        drop(raw);
        let error = Metastore::open(&path, NOW).unwrap_err();
        assert!(matches!(error, Error::Newer { found: 99, known: SCHEMA_VERSION, .. }), "{error}");
        assert!(error.to_string().contains("run the newer Moneta"));
    }

    #[test]
    fn other_files_are_left_alone() {
        let dir = TestDir::new();
        let (database, text) = (dir.join("other.sqlite"), dir.join("text.sqlite"));
        Connection::open(&database).unwrap().execute_batch("CREATE TABLE x (y)").unwrap();
        std::fs::write(&text, "this is not a database file, but some text that is long enough").unwrap();
        for path in [database, text] {
            assert!(matches!(Metastore::open(&path, NOW).unwrap_err(), Error::NotOurs { .. }), "{}", path.display());
        }
    }

    #[test]
    fn a_file_of_version_1_is_upgraded_and_keeps_its_rows() {
        let dir = TestDir::new();
        let path = dir.join("meta.sqlite");
        let mut old = Connection::open(&path).unwrap();
        apply(&mut old, VERSION_1, 1, NOW).unwrap();
        old.execute("INSERT INTO setting VALUES ('a', '1', 'ada', 0)", ()).unwrap();
        drop(old);
        let store = Metastore::open(&path, NOW).unwrap();
        assert_eq!(store.setting("a").unwrap().unwrap().changed_by, "ada");
        assert!(store.objects(crate::ObjectKind::Function).unwrap().is_empty());
    }

    #[test]
    fn opening_twice_migrates_once() {
        let dir = TestDir::new();
        let path = dir.join("meta.sqlite");
        Metastore::open(&path, NOW).unwrap().close().unwrap();
        Metastore::open(&path, NOW).unwrap().close().unwrap();
        let raw = Connection::open(&path).unwrap();
        let rows: i64 = raw.query_row("SELECT count(*) FROM schema_version", (), |row| row.get(0)).unwrap();
        assert_eq!(rows, SCHEMA_VERSION);
    }
}
