//! What a command works on: a server, or a data directory that no server works on.
//!
//! Never both: a running server is found by the files it keeps in its data directory, and the directory's lock keeps
//! out whoever did not look.

use std::path::Path;

use moneta_ports::OpContext;
use moneta_server::{Config, Node};

use crate::arguments::Global;
use crate::client::Client;
use crate::failure::{Exit, Failure};

/// What a command works on.
pub enum Target {
    /// A server, which does the work.
    Server(Client),
    /// A data directory, open in this process.
    Directory(Box<Node>),
}

/// Whether a data directory may be made when there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made: something is about to be stored.
    Create,
    /// It is an error: an empty answer would hide a mistyped path.
    Refuse,
}

impl Target {
    /// Finds the server, or opens the directory.
    ///
    /// # Errors
    /// When neither can be used.
    pub async fn open(global: &Global, missing: Missing) -> Result<Self, Failure> {
        if let Some(server) = find_server(global).await? {
            return Ok(Self::Server(server));
        }
        check_directory(&global.data_dir, missing)?;
        let mut config = load_config(global)?;
        // The reserve is for a server that goes on; a command that ends soon would only move it about.
        config.store.reserve_bytes = 0;
        Ok(Self::Directory(Box::new(Node::open(&config, &global.data_dir).await?)))
    }

    /// Leaves the directory as a clean shutdown does.
    ///
    /// # Errors
    /// When its files cannot be written.
    pub async fn close(self) -> Result<(), Failure> {
        match self {
            Self::Server(_) => Ok(()),
            Self::Directory(node) => Ok(node.shut_down().await?),
        }
    }
}

/// The server that the arguments name, or the one that works on the data directory.
///
/// # Errors
/// When the arguments are unusable.
pub async fn find_server(global: &Global) -> Result<Option<Client>, Failure> {
    if let Some(client) = Client::from_arguments(global)? {
        return Ok(Some(client));
    }
    let Some(local) = moneta_server::local::find(&global.data_dir) else { return Ok(None) };
    let client = Client::local(local)?;
    // A server that was killed leaves its files behind.
    Ok(client.is_alive().await.then_some(client))
}

/// Makes sure that a directory is, or may become, a data directory.
///
/// # Errors
/// When there is none and none may be made.
pub fn check_directory(data: &Path, missing: Missing) -> Result<(), Failure> {
    if missing == Missing::Refuse && !data.join("tenant.id").is_file() {
        return Err(Failure::new(Exit::Unavailable, format!("there is no data directory at {}", data.display()))
            .advise("name it with --data-dir, or make one with `moneta serve` or `moneta ingest`"));
    }
    Ok(())
}

/// The configuration of file and environment.
///
/// # Errors
/// When it is wrong.
pub fn load_config(global: &Global) -> Result<Config, Failure> {
    Ok(Config::load(global.config.as_deref(), std::env::vars())?)
}

/// The context of whoever types: the owner of the data directory, who may do everything there.
#[must_use]
pub fn local_context() -> OpContext {
    let user = std::env::var("USER").ok().filter(|name| !name.is_empty());
    OpContext::local_operator(&user.unwrap_or_else(|| "unknown".to_owned()))
}
