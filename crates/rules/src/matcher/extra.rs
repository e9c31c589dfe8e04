//! The `_Extra` column of a block, turned from one JSON object per row into columns of cells.
//!
//! Done at most once per block, and only when a rule asks for a field that has no column. Values are not parsed before
//! they are asked for: the scan only finds where each begins and ends.

use std::collections::HashMap;

use arrow::array::{Array, StringArray};
use foldhash::fast::FixedState;

use super::cells::{Cell, normalised};

/// The fields of `_Extra` by normalised name.
#[derive(Debug, Default)]
pub(crate) struct ExtraIndex<'a> {
    columns: HashMap<String, ExtraColumn<'a>, FixedState>,
}

/// The values of one field: rows ascending, a row as often as the field stands in it.
#[derive(Debug, Default)]
pub(crate) struct ExtraColumn<'a> {
    values: Vec<(u32, &'a str)>,
}

impl<'a> ExtraIndex<'a> {
    /// Reads a whole `_Extra` column.
    pub fn new(array: &'a StringArray) -> Self {
        let mut columns: Vec<(String, ExtraColumn<'a>)> = Vec::new();
        // Keys as written repeat from row to row: each spelling is normalised once.
        let mut by_spelling: HashMap<&'a str, usize, FixedState> = HashMap::default();
        let mut by_name: HashMap<String, usize, FixedState> = HashMap::default();
        for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
            let row_number = u32::try_from(row).expect("a block is small");
            for_each_member(array.value(row), |key, value| {
                let column = *by_spelling.entry(key).or_insert_with(|| {
                    let name = normalised(&unescaped(key));
                    *by_name.entry(name.clone()).or_insert_with(|| {
                        columns.push((name, ExtraColumn::default()));
                        columns.len() - 1
                    })
                });
                columns[column].1.values.push((row_number, value));
            });
        }
        Self { columns: columns.into_iter().collect() }
    }

    /// The field of a normalised name.
    pub fn get(&self, name: &str) -> Option<&ExtraColumn<'a>> {
        self.columns.get(name)
    }

    /// All fields.
    pub fn columns(&self) -> impl Iterator<Item = &ExtraColumn<'a>> {
        self.columns.values()
    }
}

impl<'a> ExtraColumn<'a> {
    /// The value in one row, or what a path into it names.
    pub fn cell(&self, row: usize, path: &[String]) -> Cell<'a> {
        let first = self.values.partition_point(|(at, _)| (*at as usize) < row);
        let values = self.values[first..].iter().take_while(|(at, _)| *at as usize == row);
        values.fold(Cell::Absent, |cell, (_, json)| {
            let value = if path.is_empty() { Cell::of_json(json) } else { Cell::of_json_path(json, path) };
            cell.joined(value)
        })
    }

    /// Rows and the JSON text of their values.
    pub fn values(&self) -> &[(u32, &'a str)] {
        &self.values
    }
}

fn unescaped(key: &str) -> String {
    if key.contains('\\') {
        serde_json::from_str(&format!("\"{key}\"")).unwrap_or_else(|_| key.to_owned())
    } else {
        key.to_owned()
    }
}

/// Calls back with the key (escapes kept) and the JSON text of every member of an object. Stops at the first fault:
/// what was read up to there stands.
fn for_each_member<'a>(json: &'a str, mut member: impl FnMut(&'a str, &'a str)) {
    let bytes = json.as_bytes();
    let skip_space = |mut at: usize| {
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
        at
    };
    let mut at = skip_space(0);
    if bytes.get(at) != Some(&b'{') {
        return;
    }
    loop {
        at = skip_space(at + 1);
        if bytes.get(at) != Some(&b'"') {
            return;
        }
        let Some(key_end) = end_of_string(bytes, at) else { return };
        let key = &json[at + 1..key_end - 1];
        let colon = skip_space(key_end);
        if bytes.get(colon) != Some(&b':') {
            return;
        }
        let value_start = skip_space(colon + 1);
        let Some(value_end) = end_of_value(bytes, value_start) else { return };
        member(key, trimmed(&json[value_start..value_end]));
        at = skip_space(value_end);
        if bytes.get(at) != Some(&b',') {
            return;
        }
    }
}

/// A value without the space behind it, which few have.
fn trimmed(value: &str) -> &str {
    match value.as_bytes().last() {
        Some(last) if last.is_ascii_whitespace() => value.trim_end(),
        _ => value,
    }
}

/// The offset after the closing quote of the string that begins at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Option<usize> {
    let mut at = start + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// The offset after the value that begins at `start`: nesting is counted, strings are skipped.
fn end_of_value(bytes: &[u8], start: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = start;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = end_of_string(bytes, at)?;
                if depth == 0 {
                    return Some(at);
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at + 1);
                }
            }
            b',' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(json: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        for_each_member(json, |key, value| found.push((key.to_owned(), value.to_owned())));
        found
    }

    #[test]
    fn members_are_found_without_parsing_them() {
        let pairs = members(r#" { "a" : 1 , "b\"":"x,}", "c":{"d":[1,"]"]},"e":null} "#);
        let shown: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        assert_eq!(shown, ["a=1", "b\\\"=\"x,}\"", "c={\"d\":[1,\"]\"]}", "e=null"]);
        assert_eq!(members("{}"), []);
        assert_eq!(members("[1]"), []);
        assert_eq!(members(r#"{"a":1,"b"#).len(), 1);
        assert_eq!(members("").len(), 0);
    }

    #[test]
    fn names_are_found_whatever_their_case_and_spaces() {
        let array = StringArray::from(vec![Some(r#"{"Threat Name":"x"}"#), None, Some(r#"{"threatname":["y","z"]}"#)]);
        let index = ExtraIndex::new(&array);
        let column = index.get("threatname").unwrap();
        assert_eq!(column.cell(0, &[]), Cell::of_text("x"));
        assert_eq!(column.cell(1, &[]), Cell::Absent);
        assert_eq!(column.cell(2, &[]).values().len(), 3);
    }

    #[test]
    fn a_field_that_stands_twice_has_both_values() {
        let array = StringArray::from(vec![r#"{"Data":"a","Data":"b"}"#]);
        let index = ExtraIndex::new(&array);
        assert_eq!(index.get("data").unwrap().cell(0, &[]).values(), ["a", "b"]);
    }
}
