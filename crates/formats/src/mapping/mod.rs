//! Declared mappings: which records a mapping is for, the table they go to, and where each of their fields goes.
//!
//! Layout of a mapping file (TOML), one `[[mapping]]` per kind of record:
//!
//! | Key | Meaning |
//! |---|---|
//! | `name` | how diagnostics and documents call it |
//! | `about` | one line for the list of sources |
//! | `when` | conditions, all of which must hold: `path` (there), `+path` (there, and not empty), `!path` (not there), `path=a\|b*` (one of these values) |
//! | `line` | for text in place of `when`: the form of a line, `{name}` for each value |
//! | `table` | the table; `{path}` stands for the value at a path, its words in capitals |
//! | `time` | paths of the event time; the first that can be read wins, else the time of receipt |
//! | `class` | `control`, `data` (the default) or `processed` |
//! | `inline` | paths of objects whose members count as members of the record |
//! | `resource` | path of an Azure resource's identifier, whose parts fill columns that are still empty |
//! | `special` | the reader in code for a record that becomes several rows |
//! | `[mapping.fields]` | column = path, or a list of paths; `path \| convert` converts |
//! | `[mapping.constants]` | column = text that every row has |
//!
//! A path is names joined by dots; of a list, a number names an element, the first by 0. Names of members match whatever
//! their case, first as written. A member without a field of its own goes to the column of its name, whatever its case, else
//! to `_Extra`: nothing is dropped. Converts: `epoch` (a number since 1970), `first` and `join` (of a list), `ms_from_us`,
//! `ms_from_s`, `known` (no value where auditd writes `?` or `(null)`), `result` (`success` or `fail`, whatever auditd calls
//! it), `level` (the number that `AppTraces` has for the name of a level; the name is kept as `SeverityText`).
//!
//! This module reads no files: texts come as arguments, the built-in ones are compiled in.

pub(crate) mod choose;
mod columns;
mod line;
mod parse;
mod rows;
mod special;

use std::sync::{Arc, LazyLock};

use foldhash::HashMap;
use moneta_event::RecordClass;

pub(crate) use choose::Choice;
pub(crate) use columns::{Slot, Slots, find_column};
pub(crate) use rows::{MappedRows, in_capitals};
pub(crate) use special::Special;

/// The mappings compiled in, in the order in which they are tried.
const BUILT_IN: [(&str, &str); 8] = [
    ("network.toml", include_str!("../../../../content/mappings/network.toml")),
    ("azure.toml", include_str!("../../../../content/mappings/azure.toml")),
    ("cloud.toml", include_str!("../../../../content/mappings/cloud.toml")),
    ("defender.toml", include_str!("../../../../content/mappings/defender.toml")),
    ("hosts.toml", include_str!("../../../../content/mappings/hosts.toml")),
    ("databases.toml", include_str!("../../../../content/mappings/databases.toml")),
    ("calls.toml", include_str!("../../../../content/mappings/calls.toml")),
    ("applications.toml", include_str!("../../../../content/mappings/applications.toml")),
];

/// Mappings in one set at most.
pub const MAPPINGS_MAX: usize = 1_000;

/// An ordered set of mappings: the first whose conditions hold maps a record.
#[derive(Debug)]
pub struct Mappings {
    all: Vec<Mapping>,
    names: choose::Names,
    has_lines: bool,
    /// The class of the rows of a table: that of the first mapping with this table alone.
    classes: HashMap<String, RecordClass>,
}

/// One mapping.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub name: String,
    pub about: String,
    /// The form of the lines it is for; `None`: it is for objects.
    pub line: Option<line::LinePattern>,
    pub conditions: Vec<choose::Condition>,
    /// Names that must be, and must not be, members of the record.
    pub required: choose::NameSet,
    pub forbidden: choose::NameSet,
    pub table: TableRule,
    pub time: Vec<Path>,
    pub class: RecordClass,
    pub inline: Vec<Path>,
    pub resource: Option<Path>,
    pub special: Option<Special>,
    pub fields: Vec<Field>,
    pub constants: Vec<(String, String)>,
}

/// Which table the rows of a mapping go to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TableRule {
    Fixed(moneta_base::TableName),
    /// Text before and behind the value at a path.
    Named {
        before: String,
        path: Path,
        behind: String,
    },
}

/// Names from the record inwards.
pub(crate) type Path = Vec<Box<str>>;

/// A column and where its value comes from.
#[derive(Debug)]
pub(crate) struct Field {
    pub column: String,
    pub path: Path,
    pub convert: Convert,
}

/// What is done to a value on its way into a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Convert {
    None,
    Epoch,
    First,
    Join,
    MillisFromMicros,
    MillisFromSeconds,
    Known,
    AuditResult,
    Level,
}

/// One line about a mapping, for lists of sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MappingSummary<'a> {
    /// Its name.
    pub name: &'a str,
    /// What records it is for.
    pub about: &'a str,
    /// The table, with `{path}` where it depends on the record.
    pub table: String,
}

impl Mapping {
    /// The table, where it does not depend on the record.
    pub fn fixed_table(&self) -> Option<moneta_base::TableName> {
        match &self.table {
            TableRule::Fixed(name) => Some(name.clone()),
            TableRule::Named { .. } => None,
        }
    }

    /// The column of a member of the record.
    pub fn column_of(&self, name: &str) -> Option<&str> {
        let field = self.fields.iter().find(|field| field.path.len() == 1 && field.path[0].eq_ignore_ascii_case(name));
        field.map(|field| field.column.as_str())
    }
}

impl Mappings {
    /// The mappings compiled in.
    #[must_use]
    pub fn built_in() -> Arc<Self> {
        static ALL: LazyLock<Arc<Mappings>> =
            LazyLock::new(|| Arc::new(Mappings::parse(&BUILT_IN).expect("a test reads the compiled-in mappings")));
        ALL.clone()
    }

    /// Reads mapping files, each a name and its text, whose mappings are tried in the order given.
    ///
    /// # Errors
    /// [`Error::Mapping`](crate::Error::Mapping) with the file, the mapping and what is wrong in it.
    pub fn parse(files: &[(&str, &str)]) -> Result<Self, crate::Error> {
        parse::mappings(files)
    }

    /// Reads mapping files and puts the compiled-in mappings behind theirs: those of a user win.
    ///
    /// # Errors
    /// As [`parse`](Self::parse); also when a name is that of another mapping.
    pub fn with_built_in(files: &[(&str, &str)]) -> Result<Self, crate::Error> {
        let all: Vec<_> = files.iter().copied().chain(BUILT_IN).collect();
        parse::mappings(&all)
    }

    /// What each mapping is for, in the order in which they are tried.
    pub fn summaries(&self) -> impl Iterator<Item = MappingSummary<'_>> {
        self.all.iter().map(|mapping| MappingSummary {
            name: &mapping.name,
            about: &mapping.about,
            table: match &mapping.table {
                TableRule::Fixed(name) => name.to_string(),
                TableRule::Named { before, path, behind } => format!("{before}{{{}}}{behind}", path.join(".")),
            },
        })
    }

    /// Whether any of them is for lines of text.
    pub(crate) fn has_lines(&self) -> bool {
        self.has_lines
    }

    /// The first mapping whose `line` a line of text has, with the values in it.
    pub(crate) fn choose_line<'a>(&self, text: &'a str) -> Option<(Choice, Vec<(&str, &'a str)>)> {
        let all = self.all.iter().enumerate();
        let mut read = all.filter_map(|(index, mapping)| Some((Choice(index), mapping.line.as_ref()?.read(text)?)));
        read.next()
    }

    /// The class of a row that names its table, with a look at the columns that decide it: the same as where the record
    /// came without that name.
    pub(crate) fn class_of_row<'a>(&self, table: &str, column: impl Fn(&str) -> Option<&'a str>) -> RecordClass {
        match table {
            "SecurityEvent" => column("EventID").map_or(RecordClass::Data, crate::windows::class_of),
            "Syslog" => column("Facility").map_or(RecordClass::Data, crate::syslog::class_of),
            table => match self.classes.get(table).copied().unwrap_or(RecordClass::Data) {
                RecordClass::Control => rows::unless_read(column("readOnly").or_else(|| column("ReadOnly"))),
                class => class,
            },
        }
    }

    pub(crate) fn get(&self, choice: Choice) -> &Mapping {
        &self.all[choice.0]
    }
}
