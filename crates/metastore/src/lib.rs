//! Small, precious state that is not events: accounts, credentials, sessions, one-time links, rules, settings, incidents,
//! bookmarks and the objects of queries, in one SQLite file.
//!
//! Every method is one short transaction that is on disk when it returns. No secret stands here in clear: passwords
//! as argon2id hashes, credentials, cookies and links as SHA-256 of 256 random bits. This crate decides nothing: who
//! may do what, and that a change is audited before it is made (ACCESS-1), is the business of its callers. It reads
//! no clock: times are arguments.
//!
//! The methods speak no SQL outwards, so that another database can come behind them.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod account;
pub mod bookmark;
pub mod credential;
pub mod error;
pub mod incident;
pub mod link;
mod migration;
pub mod object;
mod open;
pub mod rule;
pub mod session;
pub mod setting;

pub use account::Account;
pub use credential::Credential;
pub use error::Error;
pub use incident::{IncidentRow, IncidentSelection, IncidentWriter, RuleAlert, StoredIncident, StoredIncidentAlert};
pub use link::OneTimeLink;
pub use migration::SCHEMA_VERSION;
pub use object::{ObjectKind, ObjectRows, StoredObject};
pub use open::Metastore;
pub use rule::StoredRule;
pub use session::Session;
pub use setting::Setting;

/// SHA-256 of a secret: what is stored in its place.
pub type SecretHash = [u8; 32];
