//! Integration tests of the server crate, one module a subject.

mod config_doc;
mod record_proof;
