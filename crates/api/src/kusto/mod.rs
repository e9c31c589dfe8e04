//! Kusto's REST interface, so that its clients work unmodified.
//!
//! `request` reads what clients send, `ingest` takes rows, `mgmt` answers management commands, `v1` and `v2` write the two answer forms,
//! `cell` the values, `fault` the errors. The order of frames and members is part of the contract: readers walk
//! forwards only.

mod answer;
pub(crate) mod cell;
mod deep_link;
mod fault;
mod handlers;
mod ingest;
mod mapping;
mod mappings;
mod mgmt;
mod objects;
mod records;
mod request;
mod signatures;
mod span;
mod tables;
mod v1;
mod v2;
mod views;

pub(crate) use deep_link::deep_link;
pub(crate) use handlers::{auth_metadata, explain, management, query_v1, query_v1_get, query_v2, query_v2_get};
pub(crate) use ingest::stream as streaming_ingest;

/// The one database. Its name stands in schemas and in clients' connection strings.
pub(crate) const DATABASE: &str = "Moneta";
/// What the official clients send when no database is named.
const DEFAULT_DATABASE: &str = "NetDefaultDB";

fn is_our_database(name: &str) -> bool {
    name.is_empty() || name.eq_ignore_ascii_case(DATABASE) || name.eq_ignore_ascii_case(DEFAULT_DATABASE)
}
