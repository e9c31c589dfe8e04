//! Tests of the engine through its public interface.

#![allow(missing_docs, clippy::unwrap_used)]

mod devices;
mod limits;
mod normalised;
mod objects;
mod outside;
mod recall;
mod scan;
mod sql;
mod stream;
mod support;
mod tables;
mod views;
