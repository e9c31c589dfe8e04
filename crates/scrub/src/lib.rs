//! Removes personal data: keyed tokens in place of values.
//!
//! [`Scrubber`] takes a [`ParsedBatch`](moneta_event::ParsedBatch) and alone can make a [`ScrubbedBatch`].
//!
//! This crate never performs I/O, reads no clock and makes no randomness: keys and policy come as arguments.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod batch;
mod card;
mod email;
mod error;
mod finding;
mod json;
mod known;
mod numbers;
mod numeric;
mod phone;
mod policy;
mod quarantine;
mod scrubber;
mod token;
mod token_keys;
mod view;

pub use batch::ScrubbedBatch;
pub use error::Error;
pub use finding::KindCounts;
pub use policy::Policy;
pub use scrubber::{ScrubReport, Scrubber};
pub use token::{TokenKind, is_token};
pub use token_keys::{TOKEN_KEY_BYTES, TokenKeys};
