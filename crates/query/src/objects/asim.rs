//! The normalised views that Sentinel's content names (`imAuthentication`, `_Im_Dns`, `ASimNetworkSession`, ...): one rule
//! reads all tables of a kind through them.
//!
//! They stand in `content/asim/*.kql`: a line `// names:` with every name a view has, a line `// about:`, and the function
//! as it would be stored. A stored function of the same name comes before them.
//!
//! # Source
//! Microsoft Sentinel documentation, "Advanced Security Information Model (ASIM) schemas" and "parsers".

use std::collections::HashMap;
use std::sync::LazyLock;

const FILES: [&str; 12] = [
    include_str!("../../../../content/asim/alert_event.kql"),
    include_str!("../../../../content/asim/audit_event.kql"),
    include_str!("../../../../content/asim/authentication.kql"),
    include_str!("../../../../content/asim/dns.kql"),
    include_str!("../../../../content/asim/file_event.kql"),
    include_str!("../../../../content/asim/network_session.kql"),
    include_str!("../../../../content/asim/process.kql"),
    include_str!("../../../../content/asim/process_create.kql"),
    include_str!("../../../../content/asim/process_terminate.kql"),
    include_str!("../../../../content/asim/registry_event.kql"),
    include_str!("../../../../content/asim/user_management.kql"),
    include_str!("../../../../content/asim/web_session.kql"),
];

/// The functions by name.
static BY_NAME: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let named = |file: &'static str| {
        let text = file.find("\n(").map_or("", |start| &file[start + 1..]);
        names(file).map(move |name| (name, text))
    };
    FILES.into_iter().flat_map(named).collect()
});

fn names(file: &'static str) -> impl Iterator<Item = &'static str> {
    let line = file.lines().find_map(|line| line.strip_prefix("// names:"));
    line.unwrap_or_default().split_whitespace()
}

/// The text of a view, `(parameters) { body }`.
pub(super) fn function_text(name: &str) -> Option<&'static str> {
    BY_NAME.get(name).copied()
}

#[cfg(test)]
mod tests {
    use moneta_kql::Diagnostic;

    use super::*;

    #[test]
    fn every_file_is_a_function_and_no_name_means_two() {
        let all: Vec<_> = FILES.into_iter().flat_map(names).collect();
        assert_eq!(all.len(), BY_NAME.len(), "{all:?}");
        for (name, text) in BY_NAME.iter() {
            let declared = format!("let {name} = {text};");
            let parsed = moneta_kql::parse(&declared);
            assert!(!parsed.diagnostics.iter().any(Diagnostic::is_error), "{name}: {:?}", parsed.diagnostics);
        }
        let count = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../content/asim")).unwrap().count();
        assert_eq!(count, FILES.len(), "a file of content/asim is not compiled in");
    }

    #[test]
    fn the_names_of_sentinels_content_are_there() {
        for kind in [
            "Authentication",
            "ProcessEvent",
            "NetworkSession",
            "Dns",
            "WebSession",
            "FileEvent",
            "RegistryEvent",
            "AuditEvent",
            "UserManagement",
            "AlertEvent",
        ] {
            for name in [format!("_Im_{kind}"), format!("im{kind}"), format!("_ASim_{kind}"), format!("ASim{kind}")] {
                assert!(function_text(&name).is_some(), "{name}");
            }
        }
        assert!(function_text("_Im_Nothing").is_none());
    }
}
