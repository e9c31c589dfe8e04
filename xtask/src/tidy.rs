//! The house rules that a program can check. Each finding is a line: place, rule, what to do instead.

use std::path::Path;

use anyhow::{Context, Result};

use crate::layers;
use crate::source::{self, SourceFile};

/// Texts that must not stand in product code, with what to do instead.
const BANNED: &[(&str, &str)] = &[
    ("todo!(", "write it, or return an error that says what is missing"),
    ("unimplemented!(", "write it, or return an error that says what is missing"),
    ("#[ignore", "run the test, or delete it"),
    ("dbg!(", "use tracing"),
    ("std::process::exit", "return an ExitCode from main"),
    ("SystemTime::now", "take a moneta_base::Clock"),
];

/// Files that may do what is banned elsewhere: the one real clock.
const BANNED_EXCEPT: &[(&str, &str)] = &[("SystemTime::now", "crates/host/src/clock.rs")];

/// Checks everything; returns one line per finding.
///
/// # Errors
/// When a file cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let files = source::read_all(root)?;
    let mut findings = layers::check(root)?;
    for file in &files {
        findings.extend(check_module_doc(file));
        findings.extend(check_banned(file));
    }
    findings.extend(check_dead_files(&files));
    findings.extend(check_invariants_quoted(root, &files)?);
    findings.extend(check_dependencies_documented(root)?);
    Ok(findings)
}

fn check_module_doc(file: &SourceFile) -> Option<String> {
    let starts_well = file.text.starts_with("//!");
    (!starts_well)
        .then(|| format!("{}: must start with `//!`: what the file is for and what it never does", file.path.display()))
}

fn check_banned(file: &SourceFile) -> Vec<String> {
    let own_rules = file.path.starts_with("xtask");
    if own_rules {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (banned, instead) in BANNED {
        let excepted = BANNED_EXCEPT.iter().any(|(text, path)| text == banned && file.path == Path::new(path));
        if excepted || (file.is_test() && *banned == "SystemTime::now") {
            continue;
        }
        for (index, line) in file.text.lines().enumerate().filter(|(_, line)| line.contains(banned)) {
            if !line.trim_start().starts_with("//") {
                findings.push(format!("{}:{}: `{banned}`: {instead}", file.path.display(), index + 1));
            }
        }
    }
    findings
}

/// Source files that no `mod` line names are never compiled.
fn check_dead_files(files: &[SourceFile]) -> Vec<String> {
    let roots = ["lib.rs", "main.rs", "mod.rs", "build.rs"];
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.path.components().any(|part| part.as_os_str() == "src")) {
        let name = file.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let stem = name.trim_end_matches(".rs");
        if roots.contains(&name) || file.path.components().any(|part| part.as_os_str() == "bin") {
            continue;
        }
        let declared = [format!("mod {stem};"), format!("mod {stem} {{")];
        let parent = file.path.parent();
        let is_parent = |other: &&SourceFile| {
            other.path.parent() == parent || parent.is_some_and(|p| other.path.with_extension("") == p)
        };
        let named =
            files.iter().filter(is_parent).any(|other| declared.iter().any(|text| other.text.contains(text.as_str())));
        if !named {
            findings.push(format!("{}: no `mod {stem};` names it: delete it or use it", file.path.display()));
        }
    }
    findings
}

/// Every invariant must be quoted by the code that asserts it or by a test.
fn check_invariants_quoted(root: &Path, files: &[SourceFile]) -> Result<Vec<String>> {
    let registry_path = Path::new("crates/base/src/invariants.rs");
    let registry = std::fs::read_to_string(root.join(registry_path)).context("reading the invariants")?;
    let ids = registry.match_indices("id: \"").filter_map(|(at, found)| registry[at + found.len()..].split('"').next());
    let mut findings = Vec::new();
    for id in ids {
        let snake = id.to_lowercase().replace('-', "_");
        let quoted = files.iter().filter(|file| file.path != registry_path).any(|file| {
            let tests = if file.is_test() { file.text.as_str() } else { &file.text[file.product_code().len()..] };
            tests.contains(id) || tests.contains(&snake)
        });
        if !quoted {
            findings.push(format!("{}: no test quotes {id}", registry_path.display()));
        }
    }
    Ok(findings)
}

/// Every external dependency has its reason in `docs/dependencies.md`.
fn check_dependencies_documented(root: &Path) -> Result<Vec<String>> {
    let manifest: toml::Table =
        std::fs::read_to_string(root.join("Cargo.toml"))?.parse().context("workspace manifest")?;
    let document = std::fs::read_to_string(root.join("docs/dependencies.md")).context("docs/dependencies.md")?;
    let table = manifest.get("workspace").and_then(|w| w.get("dependencies")).and_then(|d| d.as_table());
    let names = table.into_iter().flat_map(|table| table.keys()).filter(|name| !name.starts_with("moneta-"));
    Ok(names
        .filter(|name| !document.contains(&format!("`{name}`")))
        .map(|name| {
            format!("Cargo.toml: `{name}` has no row in docs/dependencies.md: why, licence, upkeep, what it replaces")
        })
        .collect())
}
