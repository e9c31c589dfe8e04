//! The layers of the workspace and the rule that arrows point down only.
//!
//! Reads manifests, not code: what a manifest does not name cannot be used. Development dependencies are free.

use std::path::Path;

use anyhow::{Context, Result};

/// The crates of each layer. In the last layer crates may use those named before them: edges are wired somewhere.
pub const LAYERS: [&[&str]; 5] = [
    &["base", "merkle", "event", "kql", "geometry"],
    &["formats", "scrub", "kql-plan", "promql", "rules", "kafka", "nats", "s3"],
    &["host", "journal", "store", "ledger", "keys", "metastore", "ports"],
    &["collect", "ingest", "query", "monitor", "notify", "access"],
    &["api", "verify", "server", "cli"],
];

/// Crates that serve tests only and may use anything, and be used by tests only.
pub const ASIDE: [&str; 1] = ["testkit"];

/// Layers whose crates use each other in the order in which they are listed: the vocabulary builds on itself, and
/// the edges are wired together. Everywhere else a sideways arrow is an error.
const ORDERED_LAYERS: [usize; 2] = [0, 4];

/// Crates that may depend on the query engine.
const QUERY_ENGINE_USERS: [&str; 2] = ["kql-plan", "query"];

/// Checks every manifest below `crates`; returns one line per broken rule.
///
/// # Errors
/// When a manifest cannot be read.
pub fn check(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for entry in std::fs::read_dir(root.join("crates")).context("reading crates")? {
        let dir = entry?.path();
        let name = dir.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let manifest =
            std::fs::read_to_string(dir.join("Cargo.toml")).with_context(|| format!("manifest of {name}"))?;
        let manifest: toml::Table = manifest.parse().with_context(|| format!("manifest of {name}"))?;
        findings.extend(check_crate(&name, &manifest));
    }
    findings.sort();
    Ok(findings)
}

fn check_crate(name: &str, manifest: &toml::Table) -> Vec<String> {
    if ASIDE.contains(&name) {
        return Vec::new();
    }
    let Some((layer, place)) = locate(name) else {
        return vec![format!("crates/{name}: stands in no layer; add it to xtask/src/layers.rs and ARCHITECTURE.md")];
    };
    let mut findings = Vec::new();
    for dependency in dependencies(manifest) {
        if dependency.starts_with("datafusion") && !QUERY_ENGINE_USERS.contains(&name) {
            findings.push(format!("crates/{name}: only {} may use {dependency}", QUERY_ENGINE_USERS.join(" and ")));
        }
        if dependency == "tokio" && layer < 3 {
            findings.push(format!("crates/{name}: layer {layer} does nothing asynchronous, but depends on tokio"));
        }
        let Some(ours) = dependency.strip_prefix("moneta-") else { continue };
        let allowed = match locate(ours) {
            Some((below, _)) if below < layer => true,
            Some((same, earlier)) if same == layer => ORDERED_LAYERS.contains(&layer) && earlier < place,
            _ => false,
        };
        if !allowed {
            findings.push(format!("crates/{name} (layer {layer}) must not depend on {ours}: arrows point down only"));
        }
        if name == "verify" && locate(ours).is_none_or(|(below, _)| below != 0) {
            findings.push(format!("crates/verify depends on layer 0 only, not on {ours}"));
        }
    }
    findings
}

fn locate(name: &str) -> Option<(usize, usize)> {
    LAYERS
        .iter()
        .enumerate()
        .find_map(|(layer, crates)| crates.iter().position(|c| *c == name).map(|place| (layer, place)))
}

fn dependencies(manifest: &toml::Table) -> Vec<String> {
    let sections = ["dependencies", "build-dependencies"];
    sections
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|table| table.keys().cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(name: &str, dependency: &str) -> usize {
        let manifest: toml::Table = format!("[dependencies]\n{dependency} = \"1\"").parse().unwrap();
        check_crate(name, &manifest).len()
    }

    #[test]
    fn arrows_up_and_sideways_are_found() {
        assert_eq!(findings("store", "moneta-base"), 0);
        assert_eq!(findings("store", "moneta-journal"), 1);
        assert_eq!(findings("base", "moneta-store"), 1);
        assert_eq!(findings("ingest", "moneta-query"), 1);
        assert_eq!(findings("server", "moneta-api"), 0);
        assert_eq!(findings("api", "moneta-server"), 1);
        assert_eq!(findings("verify", "moneta-store"), 1);
    }

    #[test]
    fn engines_and_tasks_stay_out_of_the_lower_layers() {
        assert_eq!(findings("rules", "datafusion"), 1);
        assert_eq!(findings("kql-plan", "datafusion"), 0);
        assert_eq!(findings("journal", "tokio"), 1);
        assert_eq!(findings("nowhere", "serde"), 1);
    }
}
