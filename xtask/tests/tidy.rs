//! The house rules as a plain test, so that nobody has to remember to run `cargo xtask tidy`.

#[test]
fn the_repository_keeps_its_own_rules() {
    let findings = xtask::tidy::check(&xtask::workspace_root()).expect("the repository is readable");
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}
