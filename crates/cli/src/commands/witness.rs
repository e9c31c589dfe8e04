//! `moneta witness`: cosigns the checkpoints of other installations.

use std::net::SocketAddr;

use clap::Args;
use moneta_merkle::VerifierKey;
use moneta_server::{WitnessOptions, WitnessReady};
use serde_json::json;

use crate::arguments::Global;
use crate::commands::serve::start_log;
use crate::console::Console;
use crate::failure::{Exit, Failure};

/// Cosign checkpoints of other installations, each only if it continues the one before.
///
/// Run it on another machine, with a directory of its own (--data-dir), which must never be put back from a backup.
#[derive(Debug, Args)]
pub struct Witness {
    /// The verifier key of a log to cosign, or a file that holds it; once for each log. An installation has it at
    /// `keys/ledger.vkey`.
    #[arg(long = "log", value_name = "KEY", required = true)]
    logs: Vec<String>,
    /// The name of the witness's key, such as `witness.example.com/1`. It is made at the first start.
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Where to listen.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7980")]
    listen: SocketAddr,
    /// Log as JSON, one object a line.
    #[arg(long)]
    log_json: bool,
}

impl Witness {
    /// Serves until the process is told to stop.
    ///
    /// # Errors
    /// When a key cannot be read, or the witness cannot start.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        start_log(self.log_json, console);
        if !self.listen.ip().is_loopback() && !global.allow_plaintext {
            let message = format!("{} is not a loopback address", self.listen);
            return Err(Failure::usage(message)
                .advise("put a TLS proxy in front and listen on 127.0.0.1, or add --allow-plaintext: requests and answers are signed and hold no secret"));
        }
        let options = WitnessOptions {
            directory: global.data_dir.clone(),
            name: self.name.clone(),
            listen: self.listen,
            logs: self.logs.iter().map(|text| read_key(text)).collect::<Result<_, _>>()?,
        };
        let mut printed = Ok(());
        moneta_server::serve_witness(options, |ready| printed = announce(ready, console)).await?;
        printed.map_err(|error| Failure::io("cannot write", error))?;
        Ok(Exit::Success)
    }
}

fn announce(ready: &WitnessReady, console: &Console) -> std::io::Result<()> {
    let address = format!("http://{}", ready.address);
    if console.json {
        return console.value(&json!({ "address": address, "key": ready.key }));
    }
    console.line(&format!("The witness is ready at {address}"))?;
    console.line("For the configuration of the logs it cosigns:")?;
    console.line("")?;
    console.line("  [[ledger.witnesses]]")?;
    console.line(&format!("  url = {}", json!(address)))?;
    console.line(&format!("  key = {}", json!(ready.key)))
}

fn read_key(text_or_file: &str) -> Result<VerifierKey, Failure> {
    if let Ok(key) = VerifierKey::parse(text_or_file) {
        return Ok(key);
    }
    let text = std::fs::read_to_string(text_or_file).map_err(|error| {
        Failure::usage(format!("{text_or_file:?} is neither a verifier key nor a file")).caused_by(&error)
    })?;
    VerifierKey::parse(text.trim_end())
        .map_err(|error| Failure::usage(format!("{text_or_file} does not hold a verifier key")).caused_by(&error))
}
