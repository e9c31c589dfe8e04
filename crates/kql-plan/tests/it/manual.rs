//! The manual is made from what the functions declare, and checked in: it must be fresh.

use moneta_kql_plan::manual::render_manual;
use moneta_testkit::corpus::workspace_root;

#[test]
fn the_manual_says_what_the_registries_declare() {
    let path = workspace_root().join("docs/kql.md");
    let rendered = render_manual();
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &rendered).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == rendered,
        "docs/kql.md is not fresh: run this test with UPDATE_EXPECT=1 and read the difference"
    );
}
