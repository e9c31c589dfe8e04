//! `moneta credential`: what lets programs in.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Subcommand;
use moneta_access::{Access, NewCredential};
use moneta_ports::Scope;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::Grid;
use crate::target::{Missing, Target, local_context};

const SECONDS_PER_DAY: u64 = 86_400;

/// Create, list or revoke credentials of programs.
#[derive(Debug, Subcommand)]
pub enum Credential {
    /// Make a credential. Its text is printed once and kept nowhere.
    Create {
        /// What it is for: letters, digits, `.`, `_`, `-`, `@`.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// What it may do: ingest, query, respond (work on incidents) or admin. May be repeated.
        #[arg(long = "scope", required = true, value_name = "SCOPE")]
        scopes: Vec<String>,
        /// Days until it expires.
        #[arg(long, default_value_t = 90, value_name = "DAYS")]
        days: u64,
        /// A new file that only you can read, for the text in place of the terminal.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List all credentials.
    List,
    /// Refuse a credential from now on.
    Revoke {
        /// Its id, as `list` shows it.
        #[arg(value_name = "ID")]
        id: String,
    },
}

impl Credential {
    /// Does it.
    ///
    /// # Errors
    /// When it is not allowed, or the change cannot be made.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        // What is wrong with the command itself is said before anything is opened.
        let scopes = match self {
            Self::Create { scopes, .. } => {
                scopes.iter().map(|scope| parse_scope(scope)).collect::<Result<Vec<_>, _>>()?
            }
            _ => Vec::new(),
        };
        let target = Target::open(global, Missing::Refuse).await?;
        let outcome = match self {
            Self::Create { name, days, out, .. } => create(&target, name, scopes, *days, out.as_deref(), console).await,
            Self::List => list(&target, console).await,
            Self::Revoke { id } => revoke(&target, id, console).await,
        };
        let closed = target.close().await;
        let exit = outcome?;
        closed.map(|()| exit)
    }
}

async fn create(
    target: &Target,
    name: &str,
    scopes: Vec<Scope>,
    days: u64,
    out: Option<&Path>,
    console: &Console,
) -> Result<Exit, Failure> {
    // The file comes first: a credential whose text is lost would be of no use.
    let file = out.map(create_private).transpose()?;
    let issued = match target {
        Target::Server(client) => {
            let scopes: Vec<&str> = scopes.iter().map(|scope| scope.name()).collect();
            client.post("v1/credentials", &json!({ "name": name, "scopes": scopes, "expires_in_days": days })).await?
        }
        Target::Directory(node) => issue(&node.access(), name, scopes, days).await?,
    };
    let text = |member: &str| issued[member].as_str().unwrap_or_default();
    if let Some(mut file) = file {
        writeln!(file, "{}", text("credential")).map_err(|error| Failure::io("cannot write the credential", error))?;
        console.say(&format!("credential {} expires {}", text("id"), text("expires")));
    } else if console.json {
        console.value(&issued)?;
    } else {
        console.line(text("credential"))?;
        console
            .say(&format!("expires {}; shown once, keep it in a file that only the program can read", text("expires")));
    }
    Ok(Exit::Success)
}

async fn issue(access: &Access, name: &str, scopes: Vec<Scope>, days: u64) -> Result<Value, Failure> {
    let life = Some(Duration::from_secs(days.saturating_mul(SECONDS_PER_DAY)));
    let issued =
        access.create_credential(&local_context(), NewCredential { name: name.to_owned(), scopes, life }).await?;
    Ok(json!({ "id": issued.id, "credential": issued.text, "expires": issued.expires.to_string() }))
}

fn parse_scope(name: &str) -> Result<Scope, Failure> {
    Scope::parse(name).ok_or_else(|| Failure::unknown("scope", name, Scope::ALL.map(Scope::name)))
}

fn create_private(path: &Path) -> Result<std::fs::File, Failure> {
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(|error| Failure::io(format!("cannot create {}", path.display()), error))
}

async fn list(target: &Target, console: &Console) -> Result<Exit, Failure> {
    let columns = ["id", "name", "scopes", "created_by", "created", "expires", "last_used", "revoked"];
    let all = match target {
        Target::Server(client) => client.get("v1/credentials").await?["credentials"].take(),
        Target::Directory(node) => summaries(&node.access())?,
    };
    console.grid(&Grid::of(&all, &columns), console.format(None))?;
    Ok(Exit::Success)
}

fn summaries(access: &Access) -> Result<Value, Failure> {
    let summary = |credential: moneta_access::CredentialSummary| {
        json!({
            "id": credential.id,
            "name": credential.name,
            "scopes": credential.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>(),
            "created_by": credential.created_by,
            "created": credential.created.to_string(),
            "expires": credential.expires.to_string(),
            "last_used": credential.last_used.map(|time| time.to_string()),
            "revoked": credential.revoked.map(|time| time.to_string()),
        })
    };
    Ok(access.credentials(&local_context())?.into_iter().map(summary).collect())
}

async fn revoke(target: &Target, id: &str, console: &Console) -> Result<Exit, Failure> {
    match target {
        Target::Server(client) => client.delete(&format!("v1/credentials/{id}")).await?,
        Target::Directory(node) => node.access().revoke_credential(&local_context(), id).await?,
    }
    console.say(&format!("revoked {id}"));
    Ok(Exit::Success)
}
