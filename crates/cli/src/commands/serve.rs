//! `moneta serve`: runs the server and says how to begin.

use clap::Args;
use moneta_server::Ready;
use serde_json::json;
use tracing_subscriber::EnvFilter;

use crate::arguments::Global;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::target::load_config;

/// Environment variable with the log filter, such as `moneta_ingest=debug`.
const LOG_VARIABLE: &str = "MONETA_LOG";
/// What is logged when nothing else is asked for.
const LOG_DEFAULT: &str = "info";

/// Run the server on a data directory.
#[derive(Debug, Args)]
pub struct Serve {
    /// Log as JSON, one object a line.
    #[arg(long)]
    log_json: bool,
}

impl Serve {
    /// Serves until the process is told to stop.
    ///
    /// # Errors
    /// When the configuration is wrong, or the server cannot start or stop.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        start_log(self.log_json, console);
        let config = load_config(global)?;
        let mut printed = Ok(());
        moneta_server::serve(config, &global.data_dir, |ready| printed = announce(ready, global, console)).await?;
        printed?;
        Ok(Exit::Success)
    }
}

/// Sends the program's own log to standard error.
pub fn start_log(json: bool, console: &Console) {
    let filter = EnvFilter::try_from_env(LOG_VARIABLE).unwrap_or_else(|_| EnvFilter::new(LOG_DEFAULT));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match json {
        true => builder.json().try_init(),
        false => builder.with_ansi(console.colors_errors()).try_init(),
    };
}

fn announce(ready: &Ready, global: &Global, console: &Console) -> std::io::Result<()> {
    let address = format!("http://{}", ready.address);
    if console.json {
        return console.value(&json!({
            "address": address,
            "admin_link": ready.admin_link,
            "listeners": ready.listeners,
            "data_dir": ready.data,
            "collectors": ready.collectors,
            "tls_authority": ready.tls_authority,
        }));
    }
    let data = match global.data_dir.to_str() {
        Some("data") | None => String::new(),
        Some(dir) => format!(" --data-dir {}", quoted(dir)),
    };
    // The program may not be on the path: what is printed here must work when it is copied.
    let program = quoted(&std::env::args().next().unwrap_or_else(|| "moneta".to_owned()));
    console.line("")?;
    console.line(&format!("  Moneta is ready at {address}"))?;
    if let Some(link) = &ready.admin_link {
        console.line(&format!("  First account (this link works once): {link}"))?;
    }
    for listener in &ready.listeners {
        console.line(&format!("  Listening: {listener}"))?;
    }
    if !ready.collectors.is_empty() {
        console.line(&format!("  Collecting: {}", ready.collectors.join(", ")))?;
    }
    console.line(&format!("  Data: {}", absolute(&ready.data)))?;
    if let Some(authority) = &ready.tls_authority {
        let authority = quoted(&absolute(authority));
        console.line(&format!("  Over TLS: https://{}, for clients that trust {authority}", ready.address))?;
        console.line(&format!("    export REQUESTS_CA_BUNDLE={authority} NODE_EXTRA_CA_CERTS={authority}"))?;
    }
    console.line("")?;
    console.line("  Three things to try in another terminal:")?;
    console
        .line(&format!("    {program}{data} query 'Syslog | summarize count() by ProcessName | top 10 by count_'"))?;
    console.line(&format!("    {program}{data} ingest /var/log"))?;
    console.line(&format!("    {program}{data} verify"))?;
    console.line("")
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@=".contains(c);
    if word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

fn absolute(path: &std::path::Path) -> String {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_a_shell() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("it's here"), "'it'\\''s here'");
    }
}
