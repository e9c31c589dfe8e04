//! Delivers to receivers on this machine that answer as told.

#![allow(clippy::unwrap_used)]

mod delivery;
mod processes;
mod proxies;
mod receiver;
mod receivers;
