//! Key files: the log signer, the token keys, and the secret of webhooks.
//!
//! Everything is made at the first start and loaded afterwards. A key that is missing or damaged is an error with the
//! file's name, never silently made again: a new signing key would be another log, a new token key would break every
//! pseudonym. No secret is ever printed, and secrets are wiped from memory when dropped.
//!
//! - [`KeyRing`]: all keys of one installation.
//! - [`LogSigner`]: the Ed25519 key that signs checkpoints, in memory or in a PKCS #11 device ([`DeviceUri`]). [`TokenKeys`]: the versioned keys of scrubbing.
//! - [`open_witness_key`], [`open_pack_key`]: the key of a witness and that of rule packs, each alone in its directory.
//! - [`mod@file`]: the layout of the files.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod device;
mod error;
pub mod file;
mod lone;
mod ring;
mod secret;
mod signer;
mod token;

pub use device::DeviceUri;
pub use error::{Error, Result};
pub use lone::{open_pack_key, open_witness_key};
pub use ring::{KeyRing, read_webhook_secret};
pub use secret::{SECRET_BYTES, Secret};
pub use signer::LogSigner;
pub use token::TokenKeys;
