//! The formatter: one canonical layout of a query text.
//!
//! One pipe a line, subqueries and function bodies indented by four, lines up to [`LINE_CHARACTERS_MAX`] where the text
//! allows it, one space around operators and after commas. Comments stay where they were, blank lines between
//! statements and before pipes are kept (several become one), and so are the line breaks in lists in square brackets,
//! because they show the rows of a `datatable`. Only white space changes: every token is written as it was, so the
//! formatted text parses to the same tree.
//!
//! Text -> tokens with the trivia before them (`pieces`) -> nested groups with spaces decided (`groups`, `spacing`) ->
//! lines (`printer`). Linear in the text. A text with syntax errors is not touched.

mod groups;
mod pieces;
mod printer;
mod spacing;

use crate::diagnostic::Diagnostic;
use crate::parser::parse;

/// The width lines are broken to fit, in characters. A single token or a comment may be longer.
pub const LINE_CHARACTERS_MAX: usize = 120;

/// The width of one level of indentation, in characters.
pub const INDENT_CHARACTERS: usize = 4;

/// Lays a query text out.
///
/// # Errors
/// The syntax errors of the text: what cannot be read is not moved about.
///
/// # Example
/// ```
/// let text = "T|where a==1 and b in(1,2)|take 5";
/// assert_eq!(moneta_kql::format(text).unwrap(), "T\n| where a == 1 and b in (1, 2)\n| take 5\n");
/// ```
pub fn format(text: &str) -> Result<String, Vec<Diagnostic>> {
    let errors: Vec<Diagnostic> = parse(text).diagnostics.into_iter().filter(Diagnostic::is_error).collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    let pieces = pieces::pieces(text);
    // Only a command may hold a string without its end; whatever is added after it would belong to it.
    if pieces.iter().any(|piece| piece.is_unclosed) {
        return Ok(text.to_owned());
    }
    Ok(printer::print(&groups::group(&pieces)))
}

#[cfg(test)]
mod tests {
    use super::format;

    /// Checks the layout of a text, and that the layout is its own.
    fn check(text: &str, expected: &str) {
        let formatted = format(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
        assert_eq!(formatted, expected, "{text}");
        assert_eq!(format(&formatted).unwrap(), expected, "a second time: {text}");
    }

    #[test]
    fn each_pipe_has_its_line() {
        check("T|where a>1|take 5", "T\n| where a > 1\n| take 5\n");
        check("  ", "");
        check("T;;U", "T;\n;\nU\n");
    }

    #[test]
    fn subqueries_are_indented() {
        check(
            "T | join kind = inner (U | where x == 1) on a, $left.b==$right.c | take 1",
            "T\n| join kind=inner (\n    U\n    | where x == 1\n) on a, $left.b == $right.c\n| take 1\n",
        );
        check(
            "let f=(a:string,n:long=3){T|where a==n};f('x')",
            "let f = (a:string, n:long = 3) {\n    T\n    | where a == n\n};\nf('x')\n",
        );
        check("let x = T | take 1; x", "let x = T\n    | take 1;\nx\n");
    }

    #[test]
    fn comments_and_blank_lines_stay() {
        check(
            "// first\nT // table\n\n\n// then\n| where a // one\n and b // two\n| take 1 // last",
            "// first\nT // table\n\n// then\n| where a // one\n    and b // two\n| take 1 // last\n",
        );
        check("f(a, // x\n b)", "f(\n    a, // x\n    b\n)\n");
        check("let a = 1;\n\n\n\nlet b = 2;\nprint a", "let a = 1;\n\nlet b = 2;\nprint a\n");
        check("#connect x\nT", "#connect x\nT\n");
    }

    #[test]
    fn only_tokens_that_must_touch_do() {
        check("union A*,B | project-away *_s", "union A*, B\n| project-away *_s\n");
        check("print a*b, (c)*d, -x, 1-2, y * -3", "print a*b, (c) * d, -x, 1 - 2, y * -3\n");
        check("print datetime( 2020-01-01 ), 5 . x", "print datetime( 2020-01-01 ), 5 . x\n");
        check(
            "E|make-graph a-->b|graph-match (p)-[e*1..3]->(q) where p.x==1",
            "E\n| make-graph a-->b\n| graph-match (p)-[e*1..3]->(q) where p.x == 1\n",
        );
        check("print dynamic({'a':[1,2], 'b':{}})", "print dynamic({'a': [1, 2], 'b': {}})\n");
    }

    #[test]
    fn rows_of_a_datatable_keep_their_lines() {
        check(
            "datatable(a:string,b:long)[\n'x',1,\n  'y',2]",
            "datatable(a:string, b:long)[\n    'x', 1,\n    'y', 2\n]\n",
        );
    }

    #[test]
    fn long_lines_break_at_commas_or_at_logic() {
        let long = "A".repeat(50);
        check(
            &format!("T | project {long}, {long}, {long}"),
            &format!("T\n| project\n    {long},\n    {long},\n    {long}\n"),
        );
        check(
            &format!("T | where {long} == 1 and {long} == 2 and c"),
            &format!("T\n| where {long} == 1\n    and {long} == 2\n    and c\n"),
        );
    }

    #[test]
    fn commands_stay_as_they_are() {
        check(".show  table T   details|project  a", ".show  table T   details\n| project a\n");
        check(".set-or-append T <|U|take 1", ".set-or-append T <|\nU\n| take 1\n");
        check(".ingest inline into table T <| a,b\n c", ".ingest inline into table T <| a,b\n c\n");
    }

    #[test]
    fn a_text_with_errors_is_refused() {
        assert_eq!(format("T | sumarize x").unwrap_err()[0].message, "unknown operator `sumarize`");
    }
}
