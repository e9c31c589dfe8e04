//! `moneta config`: the configuration in effect and where each value comes from.

use std::fs::File;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Subcommand;
use moneta_host::RealFs;
use moneta_server::config::ENVIRONMENT_PREFIX;
use serde_json::{Value, json};

use crate::arguments::Global;
use crate::commands::rules::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::Grid;
use crate::target::load_config;

/// Show or check the configuration in effect.
#[derive(Debug, Subcommand)]
pub enum Config {
    /// Show every key with its value.
    Show {
        /// Say where each value comes from.
        #[arg(long)]
        origin: bool,
    },
    /// Say whether a server would start with this configuration: every key is known, every file is there.
    Validate,
    /// Print the secret with which webhook calls are signed, as Standard Webhooks writes it: for the receiver.
    WebhookSecret,
}

impl Config {
    /// Shows it.
    ///
    /// # Errors
    /// When the configuration is wrong.
    pub fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        match self {
            Self::Show { origin } => show(*origin, global, console),
            Self::Validate => validate(global, console),
            Self::WebhookSecret => print_webhook_secret(global, console),
        }
    }
}

fn show(origin: bool, global: &Global, console: &Console) -> Result<Exit, Failure> {
    let config = to_value(&load_config(global)?)?;
    let file = read_file(global)?;
    let mut rows = Vec::new();
    for (section, keys) in config.as_object().into_iter().flatten() {
        for (key, value) in keys.as_object().into_iter().flatten() {
            let mut row = vec![json!(format!("{section}.{key}")), shown(value)];
            row.extend(origin.then(|| json!(origin_of(section, key, &file, global))));
            rows.push(row);
        }
    }
    let columns = ["key", "value"].into_iter().chain(origin.then_some("origin")).map(str::to_owned).collect();
    console.grid(&Grid { columns, rows }, console.format(None))?;
    Ok(Exit::Success)
}

fn validate(global: &Global, console: &Console) -> Result<Exit, Failure> {
    let config = load_config(global)?;
    for (key, path) in config.files() {
        let opened =
            std::fs::metadata(path).and_then(|found| if found.is_dir() { Ok(()) } else { File::open(path).map(drop) });
        opened.map_err(|error| {
            Failure::new(Exit::Config, format!("{key}: {} cannot be read", path.display())).caused_by(&error)
        })?;
    }
    if console.json {
        console.value(&json!({ "valid": true, "file": global.config }))?;
    } else {
        let file = global.config.as_ref().map_or("the configuration".to_owned(), |file| file.display().to_string());
        console.line(&format!("{file} is valid"))?;
    }
    Ok(Exit::Success)
}

fn print_webhook_secret(global: &Global, console: &Console) -> Result<Exit, Failure> {
    let secret = moneta_keys::read_webhook_secret(&RealFs, &global.data_dir.join("keys"));
    let secret = secret.map_err(|error| Failure::new(Exit::Io, error.to_string()).caused_by(&error))?;
    let secret = format!("whsec_{}", BASE64.encode(secret.expose()));
    if console.json {
        console.value(&json!({ "secret": secret }))?;
    } else {
        console.line(&secret)?;
    }
    Ok(Exit::Success)
}

/// A value without what addresses in it may hold: that of a webhook has a secret in its path, so its host is enough.
fn shown(value: &Value) -> Value {
    match value {
        Value::Array(list) => list.iter().map(shown).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), shown(value))).collect(),
        Value::String(text) => match reqwest::Url::parse(text).ok().filter(reqwest::Url::has_host) {
            Some(url) => json!(format!("{}://{}/…", url.scheme(), url.host_str().unwrap_or_default())),
            None => value.clone(),
        },
        other => other.clone(),
    }
}

fn read_file(global: &Global) -> Result<toml::Table, Failure> {
    let Some(path) = &global.config else { return Ok(toml::Table::new()) };
    let text =
        std::fs::read_to_string(path).map_err(|error| Failure::io(format!("cannot read {}", path.display()), error))?;
    text.parse().map_err(|error: toml::de::Error| {
        Failure::new(Exit::Config, format!("{}: not TOML", path.display())).caused_by(&error)
    })
}

fn origin_of(section: &str, key: &str, file: &toml::Table, global: &Global) -> String {
    let variable = format!("{ENVIRONMENT_PREFIX}{}__{}", section.to_uppercase(), key.to_uppercase());
    if std::env::var_os(&variable).is_some() {
        return format!("environment {variable}");
    }
    let in_file = file.get(section).and_then(toml::Value::as_table).is_some_and(|table| table.contains_key(key));
    match &global.config {
        Some(path) if in_file => path.display().to_string(),
        _ => "default".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_a_webhook_is_not_shown() {
        assert_eq!(shown(&json!("https://hooks.example.com/secret")), json!("https://hooks.example.com/…"));
        assert_eq!(shown(&json!("127.0.0.1:7979")), json!("127.0.0.1:7979"));
        assert_eq!(shown(&json!(5)), json!(5));
    }
}
