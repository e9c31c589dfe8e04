//! The views that come with the program: the normalised ones that Sentinel's content names (`imAuthentication`, `_Im_Dns`,
//! `ASimNetworkSession`, ...), through which one rule reads all tables of a kind, and those over Defender's tables of
//! machines (`DeviceProcessEvents`, ...), which add what Sysmon and the security log of Windows say of the same.
//!
//! They stand in `content/asim/*.kql` and `content/device/*.kql`: a line `// names:` with every name a view has, a line
//! `// about:`, and the function as it would be stored. A stored function of the same name comes before them. Views over
//! a table come before the table of their name; `table('...')` names that alone.
//!
//! # Source
//! Microsoft Sentinel documentation, "Advanced Security Information Model (ASIM) schemas" and "parsers"; Microsoft
//! Defender XDR, "Advanced hunting schema"; fields of Windows' events as Sysmon and Windows security auditing document
//! them.

use std::collections::HashMap;
use std::sync::LazyLock;

const NORMALISED: [&str; 12] = [
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

/// Views with the names of tables.
const OVER_TABLES: [&str; 7] = [
    include_str!("../../../../content/device/events.kql"),
    include_str!("../../../../content/device/file_events.kql"),
    include_str!("../../../../content/device/image_load_events.kql"),
    include_str!("../../../../content/device/logon_events.kql"),
    include_str!("../../../../content/device/network_events.kql"),
    include_str!("../../../../content/device/process_events.kql"),
    include_str!("../../../../content/device/registry_events.kql"),
];

/// The functions by name.
static BY_NAME: LazyLock<HashMap<&'static str, &'static str>> = LazyLock::new(|| {
    let named = |file: &'static str| {
        let text = file.find("\n(").map_or("", |start| &file[start + 1..]);
        names(file).map(move |name| (name, text))
    };
    NORMALISED.into_iter().chain(OVER_TABLES).flat_map(named).collect()
});

fn names(file: &'static str) -> impl Iterator<Item = &'static str> {
    let line = file.lines().find_map(|line| line.strip_prefix("// names:"));
    line.unwrap_or_default().split_whitespace()
}

/// The text of a view, `(parameters) { body }`.
pub(super) fn function_text(name: &str) -> Option<&'static str> {
    BY_NAME.get(name).copied()
}

/// Whether the name of a table means a view over it.
pub(crate) fn is_over_table(name: &str) -> bool {
    !moneta_event::catalog::read_with(name).is_empty()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use moneta_kql::Diagnostic;

    use super::*;

    #[test]
    fn every_file_is_a_function_and_no_name_means_two() {
        let all: Vec<_> = NORMALISED.into_iter().chain(OVER_TABLES).flat_map(names).collect();
        assert_eq!(all.len(), BY_NAME.len(), "{all:?}");
        for (name, text) in BY_NAME.iter() {
            let declared = format!("let {name} = {text};");
            let parsed = moneta_kql::parse(&declared);
            assert!(!parsed.diagnostics.iter().any(Diagnostic::is_error), "{name}: {:?}", parsed.diagnostics);
        }
        let content = concat!(env!("CARGO_MANIFEST_DIR"), "/../../content");
        for (folder, files) in [("asim", NORMALISED.len()), ("device", OVER_TABLES.len())] {
            let count = std::fs::read_dir(format!("{content}/{folder}")).unwrap().count();
            assert_eq!(count, files, "a file of content/{folder} is not compiled in");
        }
    }

    /// Rules on arriving rows follow the tables that the catalog names; the view must read these and no others.
    #[test]
    fn a_view_over_a_table_reads_the_tables_that_the_catalog_says() {
        for file in OVER_TABLES {
            let [table] = names(file).collect::<Vec<_>>()[..] else { panic!("{file}") };
            let sources = ["Event", "SecurityEvent"].into_iter();
            let read: BTreeSet<&str> = sources.filter(|name| file.contains(&format!("    ({name}\n"))).collect();
            let said = moneta_event::catalog::read_with(table).iter().copied().collect();
            assert_eq!(read, said, "{table}");
            assert!(
                is_over_table(table) && file.contains(&format!("union isfuzzy=true table('{table}'),\n")),
                "{table}"
            );
        }
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
