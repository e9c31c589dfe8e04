//! `moneta completions`: what a shell needs to complete commands.

use std::io::Write;

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use serde_json::json;

use crate::arguments::Arguments;
use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Print completions for a shell.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

impl Completions {
    /// Prints them.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Arguments::command(), "moneta", &mut text);
        if console.json {
            console.value(&json!({ "shell": self.shell.to_string(), "script": String::from_utf8_lossy(&text) }))?;
            return Ok(Exit::Success);
        }
        std::io::stdout().lock().write_all(&text)?;
        Ok(Exit::Success)
    }
}
