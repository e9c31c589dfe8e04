//! Integration tests of the server crate, one module a subject.

mod config_doc;
