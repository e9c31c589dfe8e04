//! Runs every collector against a sink that records, refuses and blocks as told.

#![allow(clippy::unwrap_used)]

mod acknowledged;
mod bucket;
mod compliance;
mod files;
mod fixture;
mod fluent;
mod gelf;
mod host;
mod inbox;
mod journal_upload;
mod kafka;
mod kafka_broker;
mod microsoft365;
mod microsoft365_service;
mod sink;
mod syslog;
mod systemd_journal;
mod web;
mod wef;
