//! Wires the services into one process: configuration in, a running Moneta out.
//!
//! [`Node`] is every service on one data directory; [`serve`] adds collectors and the HTTP interface and runs until
//! told to stop. Wiring stands in small `start_*` functions; no rule of the business stands here.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod analytics;
mod backfill;
mod background;
pub mod backup;
mod buckets_config;
mod capacity;
mod caretaker;
mod case;
mod channel_config;
mod collectors;
pub mod config;
mod delivery;
mod error;
mod exceptions;
mod export;
mod handover;
mod holds;
mod incidents;
mod kafka_config;
mod letters;
mod listener;
pub mod local;
mod mappings;
mod microsoft365_config;
mod mover;
mod nats_config;
mod node;
pub mod objects;
mod objects_config;
mod offline;
mod operations;
mod prove;
mod receipts;
mod replay;
mod rule_admin;
mod rule_packs;
mod rule_trial;
mod scrubbing;
mod serve;
mod since;
mod snapshot;
mod source_config;
mod starter;
mod tls;
mod tuning;
mod volume;
mod wef_config;
mod witness;
mod witnessing;

pub use channel_config::ChannelConfig;
pub use config::Config;
pub use error::ServerError;
pub use node::Node;
pub use objects_config::ObjectsConfig;
pub use offline::offline_query_engine;
pub use rule_trial::RuleTrial;
pub use serve::{Ready, serve};
pub use witness::{WitnessOptions, WitnessReady, serve_witness};
