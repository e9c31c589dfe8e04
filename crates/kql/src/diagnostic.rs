//! Diagnostics: what is wrong with a query, where, and what probably was meant.
//!
//! The type is shared by the parser (codes `SYN....`) and the binder (codes `SEM....`). Texts are sentences for the
//! person who wrote the query; they name what was expected and never quote more than one token of the query, so that
//! hidden string literals do not leak.

use crate::syntax::Span;
use std::fmt::Write as _;

/// The greatest number of characters of a source line shown by [`render_diagnostics`].
const LINE_SHOWN_CHARACTERS_MAX: usize = 160;

/// Kusto's codes for syntax errors.
pub mod codes {
    /// The text could not be read at all: it is too large or nests too deeply.
    pub const CANNOT_PARSE: &str = "SYN0001";
    /// A token stands where the grammar has another one.
    pub const UNEXPECTED: &str = "SYN0002";
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The query runs, but probably not as meant.
    Warning,
    /// The query cannot run.
    Error,
}

/// One finding about a query text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The code, as Kusto's clients know it: `SYN0002`, `SEM0100`.
    pub code: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// The part of the text it is about.
    pub span: Span,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What probably was meant: text that could stand at `span`, or advice.
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// Makes an error without a suggestion.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, severity: Severity::Error, span, message: message.into(), suggestion: None }
    }

    /// Makes a warning without a suggestion.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { code, severity: Severity::Warning, span, message: message.into(), suggestion: None }
    }

    /// Adds what probably was meant.
    pub fn with_suggestion(mut self, suggestion: impl Into<String>) -> Diagnostic {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// Says whether the query cannot run because of this.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A place in a text as people count it: both from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineColumn {
    /// The line.
    pub line: usize,
    /// The column in characters (not bytes).
    pub column: usize,
}

/// Returns the line and column of a byte offset. An offset beyond the text counts as its end.
pub fn line_column(text: &str, offset: usize) -> LineColumn {
    let (start, line) = line_start(text, offset);
    let column = text[start..floor_boundary(text, offset)].chars().count() + 1;
    LineColumn { line, column }
}

/// Renders diagnostics for a terminal: message, place, source line, carets, suggestion.
pub fn render_diagnostics(text: &str, diagnostics: &[Diagnostic]) -> String {
    let mut output = String::new();
    for diagnostic in diagnostics {
        render_one(text, diagnostic, &mut output);
    }
    output
}

/// Renders where a part of a text stands: its line and column, the line itself, carets below the part. The text need
/// not be a query.
pub fn render_place(text: &str, span: Span) -> String {
    let offset = floor_boundary(text, span.start);
    let place = line_column(text, offset);
    let (start, _) = line_start(text, offset);
    let line = text[start..].lines().next().unwrap_or("");
    // A long line is shown from a little before the place.
    let skipped = place.column.saturating_sub(LINE_SHOWN_CHARACTERS_MAX / 2);
    let shown: String = line.chars().skip(skipped).take(LINE_SHOWN_CHARACTERS_MAX).collect();
    let indent: String =
        shown.chars().take(place.column - 1 - skipped).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
    let end = floor_boundary(text, span.end).clamp(offset, (start + line.len()).max(offset));
    let room = (shown.chars().count() + 1).saturating_sub(place.column - 1 - skipped).max(1);
    let carets = "^".repeat(text[offset..end].chars().count().clamp(1, room));
    let number = place.line.to_string();
    let gutter = " ".repeat(number.len());
    let LineColumn { line, column } = place;
    format!("{gutter}--> line {line}, column {column}\n{gutter} |\n{number} | {shown}\n{gutter} | {indent}{carets}\n")
}

/// The part of a line, counted from 1, without the blanks around it: what an error is about that knows no more.
pub fn line_span(text: &str, line: usize) -> Span {
    let mut start = 0;
    for (index, content) in text.split_inclusive('\n').enumerate() {
        if index + 1 == line {
            let blanks = content.len() - content.trim_start().len();
            let end = start + content.trim_end().len();
            return Span::new((start + blanks).min(end), end);
        }
        start += content.len();
    }
    Span::new(text.len(), text.len())
}

fn render_one(text: &str, diagnostic: &Diagnostic, output: &mut String) {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    // Writing to a String cannot fail.
    let _ = writeln!(output, "{severity}[{}]: {}", diagnostic.code, diagnostic.message);
    output.push_str(&render_place(text, diagnostic.span));
    if let Some(suggestion) = &diagnostic.suggestion {
        let gutter = " ".repeat(line_column(text, diagnostic.span.start).line.to_string().len());
        let _ = writeln!(output, "{gutter} = help: {suggestion}");
    }
}

/// Returns the offset of the first byte of the line that holds `offset`, and the line's number from 1.
fn line_start(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..floor_boundary(text, offset)];
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (start, before.bytes().filter(|byte| *byte == b'\n').count() + 1)
}

/// Returns the greatest character boundary not above `offset`.
fn floor_boundary(text: &str, offset: usize) -> usize {
    text.floor_char_boundary(offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_lines_and_characters_from_one() {
        let check = |text: &str, offset: usize, line: usize, column: usize| {
            assert_eq!(line_column(text, offset), LineColumn { line, column }, "{text:?} at {offset}");
        };
        check("", 0, 1, 1);
        check("ab\ncd", 3, 2, 1);
        check("ab\ncd", 5, 2, 3);
        check("ab\ncd", 99, 2, 3);
        check("aé\u{1F600}x", 7, 1, 4);
    }

    #[test]
    fn shows_the_line_with_carets_and_help() {
        let text = "T\n| sumarize count()";
        let diagnostic = Diagnostic::error(codes::UNEXPECTED, Span::new(4, 12), "unknown operator `sumarize`")
            .with_suggestion("did you mean `summarize`?");
        assert_eq!(
            render_diagnostics(text, &[diagnostic]),
            "error[SYN0002]: unknown operator `sumarize`\n --> line 2, column 3\n  |\n2 | | sumarize count()\n  |   ^^^^^^^^\n  = help: did you mean `summarize`?\n"
        );
    }

    #[test]
    fn a_line_is_a_place_without_the_blanks_around_it() {
        let text = "a: 1\n  b: é \r\nc";
        let check = |line: usize, expected: &str| {
            let span = line_span(text, line);
            assert_eq!(&text[span.start..span.end], expected, "{line}");
        };
        check(1, "a: 1");
        check(2, "b: é");
        check(3, "c");
        check(9, "");
        assert_eq!(render_place(text, line_span(text, 2)), " --> line 2, column 3\n  |\n2 |   b: é \n  |   ^^^^\n");
    }

    #[test]
    fn renders_places_outside_the_text_and_inside_characters() {
        for span in [Span::new(1, 2), Span::new(50, 60), Span::new(3, 1), Span::new(0, 400)] {
            let diagnostic = Diagnostic::error(codes::UNEXPECTED, span, "m");
            assert!(render_diagnostics("é\u{1F600}\nx", &[diagnostic]).contains("^"));
        }
    }

    #[test]
    fn shortens_long_lines_around_the_place() {
        let text = "x".repeat(5_000);
        let shown = render_diagnostics(&text, &[Diagnostic::error(codes::UNEXPECTED, Span::new(4_000, 4_500), "m")]);
        assert!(shown.lines().all(|line| line.len() < 200), "{shown}");
    }
}
