//! `moneta man`: manual pages, made of the same definitions as the help.

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::arguments::Arguments;
use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Write the manual pages, one for each command.
#[derive(Debug, Args)]
pub struct Man {
    /// Where to, such as `/usr/local/share/man/man1`; made when it is not there.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

impl Man {
    /// Writes them.
    ///
    /// # Errors
    /// When the directory or a page cannot be written.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        let failed = |error| Failure::io(format!("cannot write manual pages to {}", self.dir.display()), error);
        std::fs::create_dir_all(&self.dir).map_err(failed)?;
        clap_mangen::generate_to(Arguments::command(), &self.dir).map_err(failed)?;
        console.say(&format!("read them with `man -l {}`", self.dir.join("moneta.1").display()));
        Ok(Exit::Success)
    }
}
