//! Log formats: bytes in, table rows out.
//!
//! [`Decoder`] takes the bytes of one file, stream or message in pieces of any size and delivers [`Decoded`] portions:
//! batches of rows per table, and the records that could not be parsed, each with its reason. [`recognise`] names the
//! format of unknown bytes. [`framing`] cuts a TCP byte stream into syslog messages.
//!
//! This crate never performs I/O, reads no clock and holds no global state: the time of receipt comes as an argument.
//! It holds no more of its input than one record (or one 64 KiB EVTX chunk) and the rows of one portion, so a file of
//! any size streams. No input makes it panic, and every record it counts is either a row or a quarantined record.
//!
//! Layout: one module per format. `output` collects rows and faults, `windows` maps Windows events of every shape.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod aide;
mod archive;
mod auditd;
mod call_report;
mod client_log;
mod clock_text;
mod decoder;
mod delimited;
mod encoding;
mod error;
mod escaped;
mod event_xml;
mod evtx;
pub mod fluent;
mod format;
pub mod framing;
pub mod gelf;
mod history;
mod ids_text;
mod journal_export;
mod json;
mod lines;
mod logfmt;
mod mapping;
mod metrics_text;
mod options;
mod output;
mod postgres_log;
mod rtcp_xr;
mod sql_error_log;
mod storage_log;
mod syslog;
mod unified2;
mod vpc_flow;
mod w3c;
mod web_log;
mod windows;
mod zeek;

pub use archive::Expander;
pub use clock_text::parse_zone;
pub use decoder::Decoder;
pub use error::Error;
pub use format::{Format, HEAD_BYTES, recognise, recognise_with};
pub use mapping::{MappingSummary, Mappings};
pub use options::{DecodeOptions, custom_table_name};
pub use output::Decoded;
