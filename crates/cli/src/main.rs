//! The command line: binary `moneta`.
//!
//! Results go to standard output, everything said about them to standard error. Exit codes are in [`failure`]. No
//! command takes a secret as an argument. What a command does on a data directory it asks of the server that works on
//! it, when one runs, and else does itself under the directory's lock ([`target`]).
//!
//! One file per command below `commands`; nothing there knows HTTP or Arrow beyond what it prints.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod arguments;
mod client;
mod commands;
mod console;
mod decode;
mod export_file;
mod failure;
mod files;
mod output;
mod rows;
mod target;

use std::process::ExitCode;

use clap::Parser;

use crate::arguments::Arguments;
use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Queries and ingest allocate on many threads at once and give back large pieces often, which the C library's allocator
/// answers by returning memory to the kernel and asking for it again.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console = Console::new(&arguments.global);
    let outcome = start(&arguments, &console).unwrap_or_else(|failure| failure.report(&console));
    ExitCode::from(outcome.code())
}

fn start(arguments: &Arguments, console: &Console) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("cannot start worker threads", error))?;
    runtime.block_on(commands::run(arguments, console))
}
