//! Where larger sets of real samples lie, for tests that use them when they are there.
//!
//! The corpora are not part of the repository. `MONETA_CORPUS` names their directory.

use std::path::{Path, PathBuf};

/// Names the directory of the corpora.
pub const CORPUS_VARIABLE: &str = "MONETA_CORPUS";

/// The directory of the corpora: `$MONETA_CORPUS`, else `../shared` beside the workspace; `None` when it does not
/// exist.
#[must_use]
pub fn corpus() -> Option<PathBuf> {
    let path = match std::env::var_os(CORPUS_VARIABLE) {
        Some(path) => workspace_root().join(path),
        None => workspace_root().join("../shared"),
    };
    path.is_dir().then_some(path)
}

/// The path `name` below the corpora, or `None` after saying that `cases` cases of it were not run.
///
/// # Panics
/// When it is missing and the environment variable `CI` is set: a build server must not skip silently.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test must say so, and a test has no other channel")]
pub fn corpus_or_skip(cases: usize, name: &str) -> Option<PathBuf> {
    let found = corpus().map(|root| root.join(name)).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("corpus not present, {cases} cases not run ({name})");
        assert!(std::env::var_os("CI").is_none(), "the corpus {name} is missing; set {CORPUS_VARIABLE}");
    }
    found
}

/// The root of the workspace this crate was built in.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two directories below the workspace root")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workspace_root_holds_this_crate() {
        assert!(workspace_root().join("crates/testkit/Cargo.toml").is_file());
    }
}
