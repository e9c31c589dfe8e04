//! Tests of the decoders through the public interface.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(clippy::cast_possible_truncation, reason = "counts of small samples")]
#![allow(clippy::print_stdout, reason = "the counts of samples are worth reading")]

mod archives;
mod corpus;
mod damage;
mod evtx;
mod goldens;
mod hostile;
mod records;
mod reports;
mod samples;
mod shapes;
mod sources_doc;
mod support;
mod texts;
