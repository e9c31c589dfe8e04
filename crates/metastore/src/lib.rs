//! Accounts, credentials, rules and settings in SQLite.
