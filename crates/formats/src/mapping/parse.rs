//! Reads mapping files; every mistake is named with the mapping it stands in.

use foldhash::HashMap;
use moneta_base::TableName;
use moneta_event::RecordClass;
use toml::{Table, Value};

use super::choose::{Condition, NameSet, Names, Test};
use super::line::LinePattern;
use super::{Convert, Field, MAPPINGS_MAX, Mapping, Mappings, Path, Special, TableRule};
use crate::Error;

const KEYS: [&str; 12] =
    ["name", "about", "when", "line", "table", "time", "class", "inline", "resource", "special", "fields", "constants"];

pub(super) fn mappings(files: &[(&str, &str)]) -> Result<Mappings, Error> {
    let classes = HashMap::default();
    let mut set = Mappings { all: Vec::new(), names: Names::default(), has_lines: false, classes };
    for (name, text) in files {
        read_file(text, &mut set).map_err(|error| error.in_file(name))?;
    }
    if set.all.len() > MAPPINGS_MAX {
        return Err(wrong("?", &format!("more than {MAPPINGS_MAX} mappings")));
    }
    Ok(set)
}

fn read_file(text: &str, set: &mut Mappings) -> Result<(), Error> {
    let file: Table = text.parse().map_err(|error: toml::de::Error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        wrong("?", &format!("line {}: {}", before.matches('\n').count() + 1, error.message()))
    })?;
    if let Some(key) = file.keys().find(|key| *key != "mapping") {
        return Err(wrong("?", &format!("unknown key {key:?}; a file holds [[mapping]] only")));
    }
    let Some(entries) = file.get("mapping") else {
        return Err(wrong("?", "a file holds at least one [[mapping]]"));
    };
    let entries = entries.as_array().ok_or_else(|| wrong("?", "write [[mapping]], with two brackets"))?;
    for entry in entries {
        let table = entry.as_table().ok_or_else(|| wrong("?", "write [[mapping]], with two brackets"))?;
        let mapping = Reader::new(table)?.mapping(&mut set.names)?;
        if set.all.iter().any(|known| known.name == mapping.name) {
            return Err(wrong(&mapping.name, "another mapping has this name"));
        }
        set.has_lines |= mapping.line.is_some();
        if let Some(table) = mapping.fixed_table() {
            set.classes.entry(table.to_string()).or_insert(mapping.class);
        }
        set.all.push(mapping);
    }
    Ok(())
}

fn wrong(mapping: &str, reason: &str) -> Error {
    Error::Mapping { file: String::new(), mapping: mapping.to_owned(), reason: reason.to_owned() }
}

struct Reader<'a> {
    table: &'a Table,
    name: &'a str,
}

impl<'a> Reader<'a> {
    fn new(table: &'a Table) -> Result<Self, Error> {
        let name = table.get("name").and_then(Value::as_str).ok_or_else(|| wrong("?", "a mapping needs a name"))?;
        match table.keys().find(|key| !KEYS.contains(&key.as_str())) {
            Some(key) => Err(wrong(name, &format!("unknown key {key:?}; known keys: {}", KEYS.join(", ")))),
            None => Ok(Self { table, name }),
        }
    }

    fn wrong(&self, reason: impl AsRef<str>) -> Error {
        wrong(self.name, reason.as_ref())
    }

    /// A text, or a list of texts.
    fn texts(&self, key: &str) -> Result<Vec<&'a str>, Error> {
        self.table.get(key).map_or_else(|| Ok(Vec::new()), |value| self.texts_of(key, value))
    }

    fn texts_of(&self, key: &str, value: &'a Value) -> Result<Vec<&'a str>, Error> {
        let list = match value {
            Value::String(text) => return Ok(vec![text]),
            Value::Array(list) => list,
            _ => return Err(self.wrong(format!("{key} must be a text or a list of texts"))),
        };
        let texts = list.iter().map(Value::as_str).collect::<Option<Vec<_>>>();
        texts.ok_or_else(|| self.wrong(format!("{key} must be a text or a list of texts")))
    }

    fn mapping(&self, names: &mut Names) -> Result<Mapping, Error> {
        let mut mapping = Mapping {
            name: self.name.to_owned(),
            about: self.table.get("about").and_then(Value::as_str).unwrap_or_default().to_owned(),
            line: self.line()?,
            conditions: Vec::new(),
            required: NameSet::default(),
            forbidden: NameSet::default(),
            table: self.table_rule()?,
            time: self.texts("time")?.into_iter().map(path).collect(),
            class: self.class()?,
            inline: self.texts("inline")?.into_iter().map(path).collect(),
            resource: self.table.get("resource").and_then(Value::as_str).map(path),
            special: self.special()?,
            fields: self.fields()?,
            constants: self.constants()?,
        };
        let conditions = self.texts("when")?;
        if mapping.line.is_some() && (!conditions.is_empty() || mapping.special.is_some()) {
            return Err(self.wrong("a mapping with line takes neither when nor special: the form of the line decides"));
        }
        if mapping.line.is_none() && conditions.is_empty() {
            return Err(self.wrong("when must name at least one condition, or line the form of a line"));
        }
        for text in conditions {
            let condition = condition(text);
            let first = condition.path.first().map(|name| &**name).unwrap_or_default();
            let position =
                names.add(first).ok_or_else(|| self.wrong(format!("too many or too long names: {first:?}")))?;
            match (&condition.test, condition.path.len()) {
                (Test::Absent, 1) => mapping.forbidden.insert(position),
                (Test::Absent, _) => mapping.conditions.push(condition),
                (Test::Exists, 1) => mapping.required.insert(position),
                _ => {
                    mapping.required.insert(position);
                    mapping.conditions.push(condition);
                }
            }
        }
        Ok(mapping)
    }

    fn line(&self) -> Result<Option<LinePattern>, Error> {
        let Some(value) = self.table.get("line") else { return Ok(None) };
        let text = value.as_str().ok_or_else(|| self.wrong("line must be a text"))?;
        LinePattern::parse(text).map(Some).map_err(|reason| self.wrong(reason))
    }

    fn table_rule(&self) -> Result<TableRule, Error> {
        let text =
            self.table.get("table").and_then(Value::as_str).ok_or_else(|| self.wrong("a mapping needs a table"))?;
        if let Some((before, rest)) = text.split_once('{') {
            let (inner, behind) = rest.split_once('}').ok_or_else(|| self.wrong("table: a brace is not closed"))?;
            // Whatever the value, the whole must be a name.
            TableName::new(&format!("{before}X{behind}")).map_err(|error| self.wrong(error.to_string()))?;
            return Ok(TableRule::Named { before: before.to_owned(), path: path(inner), behind: behind.to_owned() });
        }
        TableName::new(text).map(TableRule::Fixed).map_err(|error| self.wrong(error.to_string()))
    }

    fn class(&self) -> Result<RecordClass, Error> {
        match self.table.get("class").map(|value| value.as_str().unwrap_or_default()) {
            None | Some("data") => Ok(RecordClass::Data),
            Some("control") => Ok(RecordClass::Control),
            Some("processed") => Ok(RecordClass::Processed),
            Some(other) => Err(self.wrong(format!("class {other:?}: write control, data or processed"))),
        }
    }

    fn special(&self) -> Result<Option<Special>, Error> {
        let Some(value) = self.table.get("special") else { return Ok(None) };
        let name = value.as_str().unwrap_or_default();
        match Special::ALL.into_iter().find(|special| special.name() == name) {
            Some(special) => Ok(Some(special)),
            None => {
                Err(self.wrong(format!("special {name:?}: known are {}", Special::ALL.map(Special::name).join(", "))))
            }
        }
    }

    fn section(&self, key: &str) -> Result<Vec<(&'a String, &'a Value)>, Error> {
        match self.table.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Table(table)) => Ok(table.iter().collect()),
            Some(_) => Err(self.wrong(format!("write [mapping.{key}]"))),
        }
    }

    fn fields(&self) -> Result<Vec<Field>, Error> {
        let mut fields = Vec::new();
        for (column, value) in self.section("fields")? {
            for text in self.texts_of(column, value)? {
                let (from, convert) = text.split_once('|').map_or((text, ""), |(from, convert)| (from, convert.trim()));
                let convert = match convert {
                    "" => Convert::None,
                    "epoch" => Convert::Epoch,
                    "first" => Convert::First,
                    "join" => Convert::Join,
                    "ms_from_us" => Convert::MillisFromMicros,
                    "ms_from_s" => Convert::MillisFromSeconds,
                    "level" => Convert::Level,
                    "known" => Convert::Known,
                    "result" => Convert::AuditResult,
                    other => return Err(self.wrong(format!("{column}: unknown convert {other:?}"))),
                };
                fields.push(Field { column: column.clone(), path: path(from.trim()), convert });
            }
        }
        Ok(fields)
    }

    fn constants(&self) -> Result<Vec<(String, String)>, Error> {
        let text = |(column, value): (&String, &Value)| match value.as_str() {
            Some(text) => Ok((column.clone(), text.to_owned())),
            None => Err(self.wrong(format!("{column}: a constant is a text"))),
        };
        self.section("constants")?.into_iter().map(text).collect()
    }
}

/// Names joined by dots; a dot within a name is written `\.`.
fn path(text: &str) -> Path {
    let mut names = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        match character {
            '\\' if !escaped => escaped = true,
            '.' if !escaped => names.push(String::new()),
            other => {
                escaped = false;
                if let Some(name) = names.last_mut() {
                    name.push(other);
                }
            }
        }
    }
    names.into_iter().map(String::into_boxed_str).collect()
}

fn condition(text: &str) -> Condition {
    if let Some(absent) = text.strip_prefix('!') {
        return Condition { path: path(absent), test: Test::Absent };
    }
    if let Some(filled) = text.strip_prefix('+') {
        return Condition { path: path(filled), test: Test::Filled };
    }
    match text.split_once('=') {
        Some((from, values)) => {
            Condition { path: path(from), test: Test::OneOf(values.split('|').map(str::to_owned).collect()) }
        }
        None => Condition { path: path(text), test: Test::Exists },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let error = mappings(&[("own.toml", text)]).unwrap_err().to_string();
        assert!(error.starts_with("own.toml: ") && error.contains(expected), "{text}: {error}");
    }

    #[test]
    fn mistakes_are_named_with_their_mapping() {
        check("[[mapping]]\nabout = 'x'", "a mapping needs a name");
        check("[[mapping]]\nname = 'x'\nwhen = 'a'", "mapping x: a mapping needs a table");
        check("[[mapping]]\nname = 'x'\ntable = 'T_CL'", "when must name");
        check("[[mapping]]\nname = 'x'\ntable = 'T_CL'\nwhen = 'a'\ncolour = 1", "unknown key \"colour\"");
        check("[[mapping]]\nname = 'x'\ntable = 'T{a'\nwhen = 'a'", "a brace is not closed");
        check("[[mapping]]\nname = 'x'\ntable = 'T_CL'\nwhen = 'a'\nclass = 'x'", "write control, data or processed");
        check("[[mapping]]\nname = 'x'\ntable = 'T_CL'\nwhen = 'a'\nspecial = 'x'", "known are");
        check("[[mapping]]\nname = 'x'\ntable = 'T_CL'\nwhen = 'a'\n[mapping.fields]\nA = 'b | c'", "unknown convert");
        check("[other]\n", "unknown key \"other\"");
        check("\n[[mapping]\n", "line 2");
        check("", "at least one [[mapping]]");
        check("[mapping]\nname = 'x'", "two brackets");
        let one = "[[mapping]]\nname = 'x'\ntable = 'T_CL'\nwhen = 'a'\n";
        check(&one.repeat(2), "mapping x: another mapping has this name");
    }

    #[test]
    fn the_built_in_mappings_are_well_formed() {
        let built_in = Mappings::built_in();
        assert!(built_in.summaries().count() > 30);
        let catalog = moneta_event::TableCatalog::built_in();
        for mapping in &built_in.all {
            assert!(!mapping.about.is_empty(), "{} says nothing about itself", mapping.name);
            let TableRule::Fixed(name) = &mapping.table else { continue };
            let Some(schema) = catalog.get(name.as_str()) else {
                assert!(name.is_custom(), "{}: no table {name}", mapping.name);
                continue;
            };
            let columns =
                mapping.fields.iter().map(|f| &f.column).chain(mapping.constants.iter().map(|(name, _)| name));
            for column in columns {
                assert!(schema.column(column).is_some(), "{}: {name} has no column {column}", mapping.name);
            }
        }
    }
}
