//! Who is there and what they may do: accounts, sign-in, sessions, scoped credentials.
//!
//! Every sign-in, granted or refused, and every change to accounts and credentials is audited before it takes effect;
//! when the audit fails, it does not happen (ACCESS-1). Secrets are 256 random bits and shown once; passwords are
//! kept as argon2id hashes. There is no default password: before the first account exists, the only way in is a
//! one-time link that the server prints when it starts.
//!
//! This crate knows no HTTP: headers and cookies are the business of `moneta-api`.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod access;
pub mod accounts;
pub mod authenticate;
pub mod credentials;
pub mod error;
pub mod password;
pub mod secret;
mod throttle;

#[cfg(test)]
mod tests;

pub use access::{Access, AccessParts, ClientInfo, require};
pub use accounts::{AccountSummary, NewAccount, OneTimeLinkText, SignedIn};
pub use authenticate::Presented;
pub use credentials::{CredentialSummary, IssuedCredential, NewCredential};
pub use error::Error;
pub use password::HashCost;
pub use secret::client_credential;
