//! The program as its users run it: the real binary on real directories, killed, damaged and searched.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod acceptance;
mod apply;
mod backfill;
mod bucket_inbox;
mod case;
mod commands;
mod custody;
mod device_key;
mod exceptions;
mod exports;
mod flips;
mod http2;
mod hunting;
mod incidents;
mod kill_correlation;
mod kill_delivery;
mod kill_files;
mod kill_json;
mod kill_microsoft365;
mod kill_syslog;
mod moving;
mod objects;
mod personal_data;
mod rules;
mod runaway;
mod support;
mod tls;
mod witnesses;
