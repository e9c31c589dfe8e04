//! The terminal: results on standard output, talk on standard error, colour where it is wanted.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::arguments::{ColorWhen, Global};
use crate::output::{self, Format, Grid};

/// Where a command writes.
#[derive(Debug, Clone, Copy)]
pub struct Console {
    /// Results as JSON.
    pub json: bool,
    quiet: bool,
    color_out: bool,
    color_err: bool,
}

impl Console {
    /// The console as the arguments and the environment want it.
    #[must_use]
    pub fn new(global: &Global) -> Self {
        Self {
            json: global.json,
            quiet: global.quiet,
            color_out: wants_color(global.color, io::stdout().is_terminal()),
            color_err: wants_color(global.color, io::stderr().is_terminal()),
        }
    }

    /// Whether a progress bar helps anybody.
    #[must_use]
    pub fn shows_progress(&self) -> bool {
        !self.quiet && !self.json && io::stderr().is_terminal()
    }

    /// Says something about the work. A closed standard error stops nothing.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.complain(text);
        }
    }

    /// Says something that must be said even when quiet: an error.
    pub fn complain(&self, text: &str) {
        let _ = writeln!(io::stderr().lock(), "{text}");
    }

    /// Says in one line that a reader gave up on damaged data.
    pub fn note_panic(info: &std::panic::PanicHookInfo<'_>) {
        let text = info.payload_as_str().unwrap_or("no reason given");
        let _ = writeln!(io::stderr().lock(), "note: a reader gave up on damaged data: {text}");
    }

    /// Prints a line of the result.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn line(&self, text: &str) -> io::Result<()> {
        writeln!(io::stdout().lock(), "{text}")
    }

    /// Prints a value as one line of JSON.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn value(&self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string(value).map_err(io::Error::other)?;
        self.line(&text)
    }

    /// Prints a table of results.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn grid(&self, grid: &Grid, format: Format) -> io::Result<()> {
        let mut out = io::BufWriter::new(io::stdout().lock());
        output::print(grid, format, &mut out)?;
        out.flush()
    }

    /// The format of results: `--format`, else `--json`, else what suits where they go.
    #[must_use]
    pub fn format(&self, wanted: Option<Format>) -> Format {
        Format::or_natural(wanted.or(self.json.then_some(Format::Json)))
    }

    /// Whether standard error shows colour.
    #[must_use]
    pub const fn colors_errors(&self) -> bool {
        self.color_err
    }

    /// A short word in green or red, for standard error.
    #[must_use]
    pub fn label(&self, word: &str, good: bool) -> String {
        paint(word, if good { GREEN } else { RED }, self.color_err)
    }

    /// A short word in green, yellow or red, for standard output.
    #[must_use]
    pub fn verdict(&self, word: &str) -> String {
        let color = match word {
            "OK" => GREEN,
            "WARN" => YELLOW,
            _ => RED,
        };
        paint(&format!("{word:<4}"), color, self.color_out)
    }
}

const RED: u8 = 31;
const GREEN: u8 = 32;
const YELLOW: u8 = 33;

fn paint(text: &str, color: u8, on: bool) -> String {
    if on { format!("\u{1b}[{color}m{text}\u{1b}[0m") } else { text.to_owned() }
}

/// # Source
/// no-color.org and bixense.com/clicolors.
fn wants_color(when: ColorWhen, is_terminal: bool) -> bool {
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match when {
        ColorWhen::Always => true,
        ColorWhen::Never => false,
        ColorWhen::Auto if set("NO_COLOR") => false,
        ColorWhen::Auto => {
            is_terminal || std::env::var("CLICOLOR_FORCE").is_ok_and(|value| value != "0" && !value.is_empty())
        }
    }
}
