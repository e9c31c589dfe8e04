//! `docs/configuration.md` against the program: every key is there, with its default.

use std::path::Path;

use moneta_server::Config;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/configuration.md");
    std::fs::read_to_string(path).expect("docs/configuration.md is there")
}

/// The first TOML block of the document.
fn block(document: &str) -> &str {
    let (_, rest) = document.split_once("```toml\n").expect("the document has a TOML block");
    rest.split_once("```").expect("the block ends").0
}

/// Section and key of every setting, also of those without a default.
fn keys() -> Vec<(String, String)> {
    let value = serde_json::to_value(Config::default()).expect("a configuration is plain data");
    let sections = value.as_object().expect("a configuration has sections");
    let pairs = sections.iter().flat_map(|(section, keys)| {
        let keys = keys.as_object().expect("a section has keys");
        keys.keys().map(|key| (section.clone(), key.clone()))
    });
    pairs.collect()
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let documented: Config = toml::from_str(block(&document())).expect("the block is a valid configuration");
    assert_eq!(documented, Config::default());
}

#[test]
fn every_key_is_documented() {
    let document = document();
    for (section, key) in keys() {
        let in_block = block(&document).split(&format!("[{section}]\n")).nth(1).unwrap_or_default();
        let in_block = in_block.split("\n[").next().unwrap_or_default();
        let is_listed = in_block.lines().any(|line| line.trim_start_matches("# ").starts_with(&format!("{key} =")));
        assert!(is_listed, "the block of docs/configuration.md lacks [{section}] {key}");
        let chapter = document.split(&format!("\n## {section}\n")).nth(1).unwrap_or_default();
        let chapter = chapter.split("\n## ").next().unwrap_or_default();
        assert!(chapter.contains(&format!("| `{key}` |")), "the chapter {section} does not explain {key}");
    }
}
