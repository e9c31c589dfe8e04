//! `moneta rules pack`: makes a signed pack of rule files, and gives packs to a server or a data directory.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use moneta_host::{RealFs, SystemEntropy};
use moneta_keys::open_pack_key;
use moneta_rules::pack::{PackDetails, pack};
use serde_json::{Value, json};

use super::offline::{compile, read};
use super::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::files;
use crate::output::visible;
use crate::target::{Target, local_context};

/// Ending of packs among rule files.
const ENDING: &str = "pack";

/// Make a signed pack of the rule files in a directory.
///
/// The key is made at first use. Its verifier key is what others put under `rules.trusted_signers`.
#[derive(Debug, Args)]
pub struct Pack {
    /// The directory with the rule files (*.yml, *.yaml).
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The pack's name, such as `acme-windows`.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Its version, larger than the one before.
    #[arg(long, value_name = "NUMBER")]
    version: u64,
    /// Who wrote it.
    #[arg(long, value_name = "AUTHOR")]
    author: String,
    /// The directory of the signing key, with nothing else in it.
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,
    /// The name of the signing key, such as `acme.example/rules`.
    #[arg(long, value_name = "NAME")]
    signer: String,
    /// Where to write the pack, as NAME.pack; in this directory, under the pack's name, when absent.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Pack {
    /// Makes it; negative when a rule in it would not load.
    ///
    /// # Errors
    /// When files or the key cannot be read, or the pack cannot be made or written.
    pub fn run(&self, console: &Console) -> Result<Exit, Failure> {
        if !self.directory.is_dir() {
            return Err(Failure::usage(format!("{} is no directory", self.directory.display())));
        }
        let paths = [self.directory.clone()];
        let mut packed = BTreeMap::new();
        for file in read(&paths)? {
            packed.insert(self.path_within(Path::new(&file.name))?, file.text);
        }
        let count = packed.len();
        let compiled = compile(&paths, None, None)?;
        compiled.complain(console);
        let (signer, key) = open_pack_key(&RealFs, &self.keys, &SystemEntropy::new(), &self.signer)
            .map_err(|error| Failure::usage("the signing key cannot be used").caused_by(&error))?;
        let details = PackDetails { name: self.name.clone(), version: self.version, author: self.author.clone() };
        let made = pack(&details, packed, &*signer).map_err(|error| Failure::usage(error.to_string()))?;
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{}.{ENDING}", self.name)));
        if !is_pack(&out) {
            return Err(Failure::usage(format!("{} does not end in .{ENDING}, as packs do", out.display())));
        }
        std::fs::write(&out, made).map_err(|error| Failure::io(format!("cannot write {}", out.display()), error))?;
        if console.json {
            console.value(&json!({
                "file": out, "files": count, "rules": compiled.rules.rules().len(), "verifier_key": key.to_string(),
            }))?;
        } else {
            console.line(&format!(
                "{}: version {} with {count} files",
                visible(&out.to_string_lossy()),
                self.version
            ))?;
            console.line("Who trusts it has in the configuration:")?;
            console.line("  [rules]")?;
            console.line(&format!("  trusted_signers = [{}]", json!(key.to_string())))?;
        }
        Ok(Exit::negative_unless(compiled.not_loaded.is_empty()))
    }

    /// The path of a file below the directory, with `/` between its parts.
    fn path_within(&self, path: &Path) -> Result<String, Failure> {
        let within = path.strip_prefix(&self.directory).unwrap_or(path);
        let parts: Option<Vec<&str>> = within.iter().map(|part| part.to_str()).collect();
        let parts = parts.ok_or_else(|| Failure::usage(format!("the path {} is not UTF-8", path.display())))?;
        Ok(parts.join("/"))
    }
}

/// Whether a path names a pack.
pub fn is_pack(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == ENDING)
}

/// Adds a pack; the report on its rules.
///
/// # Errors
/// When it cannot be read, or is refused.
pub async fn add(target: &Target, path: &Path) -> Result<Value, Failure> {
    let bytes = std::fs::read(path).map_err(|error| files::unreadable(path, error))?;
    match target {
        Target::Server(client) => client.post_bytes("v1/rules/packs", bytes).await,
        Target::Directory(node) => to_value(&node.rules().add_pack(&local_context(), &bytes).await?),
    }
}
