//! Interpreters of Python with packages of their own, for checkers and readers that are written in it.

use std::path::PathBuf;
use std::process::Command;

use crate::corpus::workspace_root;

/// The interpreter of an environment with the packages of a requirements file, by its path below the workspace. `None` after
/// saying that `cases` cases were not run, where there is no `python3`, or no package index the first time.
///
/// # Panics
/// When there is none and the environment variable `CI` is set: a build server must not skip silently.
#[must_use]
#[expect(clippy::print_stderr, reason = "a skipped test must say so, and a test has no other channel")]
pub fn python_or_skip(cases: usize, requirements: &str) -> Option<PathBuf> {
    let root = workspace_root();
    let mut command = Command::new("sh");
    command.arg(root.join("tests/interop/environment.sh")).arg(root.join(requirements));
    let reason = match command.output() {
        Ok(made) if made.status.success() => {
            return Some(String::from_utf8_lossy(&made.stdout).trim().to_owned().into());
        }
        Ok(made) => String::from_utf8_lossy(&made.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    eprintln!("no Python environment for {requirements}, {cases} cases not run: {reason}");
    assert!(std::env::var_os("CI").is_none(), "no Python environment for {requirements}: {reason}");
    None
}
