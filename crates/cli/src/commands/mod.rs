//! The commands, one file each.

pub mod alerts;
pub mod apply;
pub mod backup;
pub mod completions;
pub mod config;
pub mod credential;
pub mod decode;
pub mod doctor;
pub mod hunt;
pub mod incidents;
pub mod ingest;
pub mod kql;
pub mod man;
pub mod mapping;
pub mod objects;
pub mod prove;
pub mod quarantine;
pub mod query;
pub mod retention;
pub mod rules;
pub mod serve;
pub mod sources;
pub mod status;
pub mod store;
pub mod verify;
pub mod witness;

use crate::arguments::{Arguments, Command};
use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Runs the command that was typed.
///
/// # Errors
/// The command's own.
pub async fn run(arguments: &Arguments, console: &Console) -> Result<Exit, Failure> {
    let global = &arguments.global;
    match &arguments.command {
        Command::Serve(command) => command.run(global, console).await,
        Command::Witness(command) => command.run(global, console).await,
        Command::Ingest(command) => command.run(global, console).await,
        Command::Query(command) => command.run(global, console).await,
        Command::Decode(command) => command.run(console),
        Command::Mapping(command) => command.run(console),
        Command::Kql(command) => command.run(console),
        Command::Rules(command) => command.run(global, console).await,
        Command::Alerts(command) => command.run(global, console).await,
        Command::Incidents(command) => command.run(global, console).await,
        Command::Function(command) => command.run(global, console).await,
        Command::SavedQuery(command) => command.run(global, console).await,
        Command::Watchlist(command) => command.run(global, console).await,
        Command::Apply(command) => command.run(global, console).await,
        Command::Hunt(command) => command.run(console),
        Command::Verify(command) => command.run(global, console).await,
        Command::Backup(command) => command.run(global, console).await,
        Command::Restore(command) => command.run(global, console).await,
        Command::Prove(command) => command.run(global, console).await,
        Command::Doctor(command) => command.run(global, console).await,
        Command::Status(command) => command.run(global, console).await,
        Command::Sources(command) => command.run(global, console).await,
        Command::Quarantine(command) => command.run(global, console).await,
        Command::Credential(command) => command.run(global, console).await,
        Command::Retention(command) => command.run(global, console).await,
        Command::Store(command) => command.run(global, console).await,
        Command::Config(command) => command.run(global, console),
        Command::Completions(command) => command.run(console),
        Command::Man(command) => command.run(console),
    }
}
