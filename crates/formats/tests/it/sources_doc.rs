//! `docs/sources.md` is made from the formats and mappings themselves.
//!
//! `MONETA_UPDATE_GOLDENS=1` writes it; a person reads the difference before it is committed.

use std::fmt::Write as _;

use moneta_formats::{Format, Mappings};

const HEAD: &str = "# Sources

What Moneta reads, and where it goes. Made from the code: change the formats in `crates/formats` or the mappings in
`content/mappings`, then run the tests of `moneta-formats` with `MONETA_UPDATE_GOLDENS=1`.

The format of a file is recognised by its content; `--format NAME` says it where that is not possible. Text may be UTF-8
or, with a byte order mark, UTF-16. What cannot be parsed is kept whole in `Quarantine` with the reason.

## Formats

| Name | What it is | Tables |
|---|---|---|
";

const MIDDLE: &str = "
## Records by their shape

JSON records of any format above, and rows of separated values, are told apart by the names of their members. The first
line that fits decides; `{path}` stands for a value of the record. Members without a column are kept in `_Extra`.

| Mapping | What it is for | Table |
|---|---|---|
";

#[test]
fn the_list_of_sources_is_up_to_date() {
    let mut text = HEAD.to_owned();
    for format in Format::ALL {
        writeln!(text, "| `{}` | {} | {} |", format.name(), format.about(), format.tables()).unwrap();
    }
    text.push_str(MIDDLE);
    for mapping in Mappings::built_in().summaries() {
        writeln!(text, "| {} | {} | {} |", mapping.name, mapping.about, mapping.table).unwrap();
    }
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sources.md");
    if std::env::var_os("MONETA_UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "run the tests with MONETA_UPDATE_GOLDENS=1");
}
