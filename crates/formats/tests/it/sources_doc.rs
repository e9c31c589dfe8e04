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

Records are sent by [clients](clients.md), read from files, brokers, directories and buckets ([configuration](configuration.md)),
and pulled from [Microsoft 365](microsoft365.md).

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

const TAIL: &str = "
## Senders

Configurations of programs that send to Moneta or write what it follows; each is run as it stands here by the tests, while
both sides are stopped, killed and started.

| Program | Configuration | What is lost |
|---|---|---|
| rsyslog | [RELP](examples/rsyslog-relp.conf) | nothing; what was stored just before its acknowledgement got lost comes twice |
| rsyslog | [syslog over TLS](examples/rsyslog-tls.conf), with `gtls` or `ossl` | what is under way when Moneta crashes: TCP has acknowledged it already |
| syslog-ng | [syslog over TLS](examples/syslog-ng.conf) | the same, and what it sends while Moneta ends in order, which it does not see over TLS |
| systemd-journal-upload | [journal upload](examples/journal-upload.conf) | nothing; entries of an upload that was not answered come twice |
| PostgreSQL | [log as JSON](examples/postgresql.conf) | nothing, each line once, as of every followed file |

## Mappings of your own

A file of mappings (TOML) holds one `[[mapping]]` per kind of record. `[mappings] directory` in the configuration names a
directory of such files; `moneta decode --mapping FILE` and `moneta mapping test FILE SAMPLE` try one.

| Key | Meaning |
|---|---|
| `name` | how it is called; no two mappings share one |
| `about` | one line for lists |
| `when` | for objects and rows with a header: conditions, all of which must hold: `path` (there), `+path` (there, and not empty; of a column it is enough that it is there), `!path` (not there), `path=a\\|b*` (one of these values, `*` ends a beginning) |
| `line` | for lines of text, in place of `when`: the form of a line, `{name}` for each value, `{}` for what is not kept; the format that carries them is `syslog` |
| `table` | the table; `{path}` in it stands for a value of the record |
| `time` | paths of the event time; the first that can be read wins, else the time of receipt |
| `class` | `control`, `data` (the default) or `processed` |
| `inline` | paths of objects whose members count as members of the record |
| `resource` | path of an Azure resource's identifier, whose parts fill columns |
| `[mapping.fields]` | `Column = \"path\"`, or a list of paths, of which the first with a value wins; `path \\| convert` converts (`epoch`, `first`, `join`, `ms_from_us`, `ms_from_s`, `level`; of auditd `known`, `result`) |
| `[mapping.constants]` | `Column = \"text\"` that every row has |

A path is names joined by dots; a dot within a name is written `\\.`, and a number names an element of a list, the first by
`0`. Members without a field of their own go to the column of their name, else to `_Extra`.
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
    text.push_str(TAIL);
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/sources.md");
    if std::env::var_os("MONETA_UPDATE_GOLDENS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "run the tests with MONETA_UPDATE_GOLDENS=1");
}
