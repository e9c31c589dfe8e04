//! The checkers against whole installations on real files: what is clean passes, what is changed is found.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stderr)]

mod agreement;
mod installation;
mod known;
mod receipts;
mod retention;
mod tamper;
mod vectors;
