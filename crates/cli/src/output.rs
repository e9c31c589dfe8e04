//! Results on standard output: a table for people, JSON, NDJSON and CSV for programs.
//!
//! Log content is hostile: control, bidirectional and zero-width characters are shown as escapes in tables, and a CSV
//! cell that a spreadsheet would run as a formula is quoted with an apostrophe.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::Value;

/// Width of a table column at most, in characters; the rest is cut with an ellipsis.
const COLUMN_WIDTH_MAX: usize = 80;

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    Table,
    /// One JSON array of objects.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a header line.
    Csv,
}

impl Format {
    /// The wanted format, or the natural one: a table on a terminal, NDJSON into a pipe.
    #[must_use]
    pub fn or_natural(wanted: Option<Self>) -> Self {
        wanted.unwrap_or(if io::stdout().is_terminal() { Self::Table } else { Self::Ndjson })
    }
}

/// A result table with cells as the query API writes them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Grid {
    /// Column names.
    pub columns: Vec<String>,
    /// Rows of as many cells.
    pub rows: Vec<Vec<Value>>,
}

impl Grid {
    /// Some members of the objects of a list, a row for each object; null where an object has none.
    #[must_use]
    pub fn of(list: &Value, columns: &[&str]) -> Self {
        let row = |item: &Value| columns.iter().map(|column| item[*column].clone()).collect();
        let rows = list.as_array().into_iter().flatten().map(row).collect();
        Self { columns: columns.iter().map(|name| (*name).to_owned()).collect(), rows }
    }
}

/// Prints a result.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(grid: &Grid, format: Format, out: &mut dyn Write) -> io::Result<()> {
    match format {
        Format::Table => print_table(grid, out),
        Format::Json => {
            let rows: Vec<Value> = grid.rows.iter().map(|row| object(grid, row)).collect();
            writeln!(out, "{}", Value::Array(rows))
        }
        Format::Ndjson => grid.rows.iter().try_for_each(|row| writeln!(out, "{}", object(grid, row))),
        Format::Csv => print_csv(grid, out),
    }
}

fn object(grid: &Grid, row: &[Value]) -> Value {
    Value::Object(grid.columns.iter().cloned().zip(row.iter().cloned()).collect())
}

fn print_table(grid: &Grid, out: &mut dyn Write) -> io::Result<()> {
    let rows: Vec<Vec<String>> =
        grid.rows.iter().map(|row| row.iter().map(|cell| clip(&visible(&text(cell)))).collect()).collect();
    let header: Vec<String> = grid.columns.iter().map(|name| visible(name)).collect();
    let width = |column: usize| rows.iter().chain([&header]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        padded.join("  ").trim_end().to_owned()
    };
    writeln!(out, "{}", line(&header))?;
    writeln!(out, "{}", widths.iter().map(|width| "─".repeat(*width)).collect::<Vec<_>>().join("  "))?;
    rows.iter().try_for_each(|row| writeln!(out, "{}", line(row)))
}

fn print_csv(grid: &Grid, out: &mut dyn Write) -> io::Result<()> {
    let line = |cells: Vec<String>| cells.iter().map(|cell| csv_cell(cell)).collect::<Vec<_>>().join(",");
    write!(out, "{}\r\n", line(grid.columns.clone()))?;
    grid.rows.iter().try_for_each(|row| write!(out, "{}\r\n", line(row.iter().map(text).collect())))
}

/// A cell of RFC 4180. Text that begins like a formula gets an apostrophe, for some spreadsheets also in wide forms; numbers
/// keep their sign.
fn csv_cell(text: &str) -> String {
    let begins = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    let formula = text.starts_with(begins) && text.parse::<f64>().is_err();
    let guarded = if formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) { format!("\"{}\"", guarded.replace('"', "\"\"")) } else { guarded }
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Makes characters visible that a terminal would obey or hide.
#[must_use]
pub fn visible(text: &str) -> String {
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}' | '\u{00ad}')
    };
    if !text.chars().any(hidden) {
        return text.to_owned();
    }
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

fn clip(text: &str) -> String {
    if text.chars().count() <= COLUMN_WIDTH_MAX {
        return text.to_owned();
    }
    text.chars().take(COLUMN_WIDTH_MAX - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(grid: &Grid, format: Format, expected: &str) {
        let mut out = Vec::new();
        print(grid, format, &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    fn grid() -> Grid {
        Grid {
            columns: vec!["a".into(), "b".into()],
            rows: vec![vec![json!(1), json!("x,\"y\"")], vec![json!(null), json!("=1+1")]],
        }
    }

    #[test]
    fn every_format_prints_the_same_cells() {
        check(&grid(), Format::Table, "a  b\n─  ─────\n1  x,\"y\"\n   =1+1\n");
        check(&grid(), Format::Ndjson, "{\"a\":1,\"b\":\"x,\\\"y\\\"\"}\n{\"a\":null,\"b\":\"=1+1\"}\n");
        check(&grid(), Format::Csv, "a,b\r\n1,\"x,\"\"y\"\"\"\r\n,'=1+1\r\n");
    }

    #[test]
    fn a_list_of_objects_is_a_grid_of_the_columns_asked_for() {
        let list = json!([{ "b": 1, "a": "x", "c": 2 }, { "a": null }]);
        let rows = vec![vec![json!("x"), json!(1)], vec![json!(null), json!(null)]];
        assert_eq!(Grid::of(&list, &["a", "b"]), Grid { columns: vec!["a".into(), "b".into()], rows });
        assert!(Grid::of(&json!(null), &["a"]).rows.is_empty());
    }

    #[test]
    fn a_terminal_never_obeys_log_content() {
        let hostile = Grid { columns: vec!["m".into()], rows: vec![vec![json!("\u{1b}[2Jgone\u{202e}")]] };
        check(&hostile, Format::Table, "m\n─────────────────────\n\\u{1b}[2Jgone\\u{202e}\n");
    }

    #[test]
    fn long_cells_are_cut_in_tables_only() {
        let long = Grid { columns: vec!["m".into()], rows: vec![vec![json!("x".repeat(200))]] };
        let mut out = Vec::new();
        print(&long, Format::Csv, &mut out).unwrap();
        assert!(String::from_utf8(out).unwrap().contains(&"x".repeat(200)));
    }
}
