//! What may be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands;

/// Exit codes and the environment, under the help.
const AFTER_HELP: &str = "\
Exit codes: 0 done, 1 done with a negative answer, 2 wrong usage or input, 69 not available, 70 internal,
74 input or output failed, 77 not allowed, 78 wrong configuration.

MONETA_CREDENTIAL may hold the credential for --server. Settings: MONETA_<SECTION>__<KEY>, see `moneta config show`.";

/// Collects, keeps, proves and searches security events.
#[derive(Debug, Parser)]
#[command(name = "moneta", version, about, after_help = AFTER_HELP, propagate_version = false)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The data directory.
    #[arg(long, global = true, env = "MONETA_DATA_DIR", default_value = "data", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// The configuration file.
    #[arg(long, global = true, env = "MONETA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address of a server elsewhere, such as `https://moneta.example.com`.
    #[arg(long, global = true, env = "MONETA_SERVER", value_name = "URL")]
    pub server: Option<String>,
    /// A file with the credential for --server.
    #[arg(long, global = true, value_name = "FILE")]
    pub credential_file: Option<PathBuf>,
    /// Send the credential over plain HTTP to another machine.
    #[arg(long, global = true)]
    pub allow_plaintext: bool,
    /// Print results as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// When to use colour.
    #[arg(long, global = true, value_enum, default_value_t = ColorWhen::Auto, value_name = "WHEN")]
    pub color: ColorWhen,
}

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the server on a data directory.
    Serve(commands::serve::Serve),
    /// Cosign the checkpoints of other installations, on another machine.
    Witness(commands::witness::Witness),
    /// Store files and directories of logs.
    Ingest(commands::ingest::Ingest),
    /// Ask a question in KQL, of the store or of files.
    Query(commands::query::Query),
    /// Show the rows that files become, without storing anything.
    Decode(commands::decode::Decode),
    /// Try mapping files, which describe formats without code.
    #[command(subcommand)]
    Mapping(commands::mapping::Mapping),
    /// Lay out the text of queries.
    #[command(subcommand)]
    Kql(commands::kql::Kql),
    /// Add, list or remove functions that queries call by name.
    #[command(subcommand)]
    Function(commands::objects::Function),
    /// Add, list or remove queries kept under a name.
    #[command(subcommand)]
    SavedQuery(commands::objects::Saved),
    /// Add, list or remove lists of values that queries read with `_GetWatchlist('NAME')`.
    #[command(subcommand)]
    Watchlist(commands::objects::Watchlist),
    /// Make functions, queries, watchlists, rules, holds and retention as files declare them.
    Apply(commands::apply::Apply),
    /// Add, list, remove or check detection rules.
    #[command(subcommand)]
    Rules(commands::rules::Rules),
    /// Show the channels that alerts go to, and try them.
    #[command(subcommand)]
    Alerts(commands::alerts::Alerts),
    /// List, read, take, judge and close incidents.
    #[command(subcommand)]
    Incidents(commands::incidents::Incidents),
    /// Match rules on files, without a server or a store.
    Hunt(commands::hunt::Hunt),
    /// Check everything stored against the ledger.
    Verify(commands::verify::Verify),
    /// Copy everything as it is at this moment, also while the server runs.
    Backup(commands::backup::Backup),
    /// Bring a backup back into an empty data directory, and check it against its ledger.
    Restore(commands::backup::Restore),
    /// Export the proof of a row, for `moneta-verify proof`.
    Prove(commands::prove::Prove),
    /// Look for what could keep Moneta from working here.
    Doctor(commands::doctor::Doctor),
    /// Show the state of the installation.
    Status(commands::status::Status),
    /// Show what is received from whom, how complete it is, and what is wrong with it.
    Sources(commands::sources::Sources),
    /// List or replay records that could not be parsed.
    #[command(subcommand)]
    Quarantine(commands::quarantine::Quarantine),
    /// Create, list or revoke credentials of programs.
    #[command(subcommand)]
    Credential(commands::credential::Credential),
    /// Show or set how long tables are kept.
    #[command(subcommand)]
    Retention(commands::retention::Retention),
    /// Place or release legal holds, and show how much is kept.
    #[command(subcommand)]
    Store(commands::store::Store),
    /// Show or check the configuration in effect.
    #[command(subcommand)]
    Config(commands::config::Config),
    /// Print completions for a shell.
    Completions(commands::completions::Completions),
    /// Write the manual pages.
    Man(commands::man::Man),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Arguments::command().debug_assert();
    }
}
