//! The checks behind `cargo xtask`, as functions, so that the same rules also run as plain tests.

pub mod layers;
pub mod metrics;
pub mod source;
pub mod tidy;

use std::path::PathBuf;

/// The root of the workspace this program was built from.
#[must_use]
pub fn workspace_root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().map(PathBuf::from).unwrap_or(manifest)
}
