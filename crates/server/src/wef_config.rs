//! `[wef]`: what Windows machines are asked to forward, as the configuration says it, and where their bookmarks are kept.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::Clock;
use moneta_collect::{Bookmarks, WefSubscription};
use moneta_metastore::Metastore;
use moneta_ports::{BoxFuture, PortError};
use serde::{Deserialize, Serialize};

use crate::source_config;

/// Bytes of a query at most: all subscriptions together fit into one envelope.
const QUERY_BYTES_MAX: usize = 16 << 10;
/// Subscriptions at most, for the same reason.
const SUBSCRIPTIONS_MAX: usize = 16;
/// Seconds of a heartbeat's or a batch's age at most.
const SECONDS_MAX: u64 = 86_400;

/// What machines are asked for when nothing is named: logons, processes, services, scripts, blocked programs, malware.
/// Channels that a machine does not have are passed over.
const QUERY: &str = r#"<QueryList><Query Id="0">
<Select Path="Security">*</Select>
<Select Path="System">*</Select>
<Select Path="Application">*</Select>
<Select Path="Microsoft-Windows-Sysmon/Operational">*</Select>
<Select Path="Microsoft-Windows-PowerShell/Operational">*</Select>
<Select Path="Microsoft-Windows-AppLocker/EXE and DLL">*</Select>
<Select Path="Microsoft-Windows-AppLocker/MSI and Script">*</Select>
<Select Path="Microsoft-Windows-Windows Defender/Operational">*</Select>
<Select Path="Microsoft-Windows-TaskScheduler/Operational">*</Select>
</Query></QueryList>"#;

/// `[wef]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WefConfig {
    /// Address of the listener for Windows Event Forwarding over HTTPS, with the files of `[syslog]`; absent: none.
    pub listen: Option<SocketAddr>,
    /// What machines are asked for; the usual channels when there are none.
    pub subscriptions: Vec<WefSource>,
}

/// `[[wef.subscriptions]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WefSource {
    /// Its name, unique; bookmarks are kept under it.
    pub name: String,
    /// Which events: a `QueryList` as the Event Viewer shows it; the usual channels when absent.
    pub query: Option<String>,
    /// A file that holds the query.
    pub query_file: Option<PathBuf>,
    /// Whether a machine that is new begins with the events it has already.
    pub read_existing: bool,
    /// Whether events come without their texts for people, which are longer than the rest.
    pub raw: bool,
    /// Seconds a machine may gather events; 30 when absent.
    pub latency_seconds: Option<u64>,
    /// Seconds after which a machine without events says that it lives; 900 when absent.
    pub heartbeat_seconds: Option<u64>,
}

impl WefConfig {
    /// What to ask for.
    pub(crate) fn build(&self) -> Result<Vec<WefSubscription>, String> {
        if self.subscriptions.len() > SUBSCRIPTIONS_MAX {
            return Err(format!("there are more than {SUBSCRIPTIONS_MAX} subscriptions"));
        }
        let usual = [WefSource { name: "moneta".to_owned(), ..WefSource::default() }];
        let wanted = if self.subscriptions.is_empty() { &usual[..] } else { &self.subscriptions[..] };
        source_config::build_all(wanted, |source| &source.name, WefSource::build)
    }
}

impl WefSource {
    fn build(&self) -> Result<WefSubscription, String> {
        let query = match (&self.query, &self.query_file) {
            (None, None) => QUERY.to_owned(),
            (Some(query), None) => query.clone(),
            (None, Some(path)) => std::fs::read_to_string(path)
                .map_err(|error| format!("query_file {} cannot be read: {error}", path.display()))?,
            (Some(_), Some(_)) => return Err("there is a query and a query_file: name one".to_owned()),
        };
        if query.len() > QUERY_BYTES_MAX {
            return Err(format!("the query has more than {QUERY_BYTES_MAX} bytes"));
        }
        Ok(WefSubscription {
            name: self.name.clone(),
            query,
            read_existing: self.read_existing,
            rendered: !self.raw,
            latency_max: seconds("latency_seconds", self.latency_seconds, 30)?,
            heartbeat: seconds("heartbeat_seconds", self.heartbeat_seconds, 900)?,
        })
    }
}

fn seconds(key: &str, value: Option<u64>, usual: u64) -> Result<Duration, String> {
    match value.unwrap_or(usual) {
        value @ 1..=SECONDS_MAX => Ok(Duration::from_secs(value)),
        _ => Err(format!("{key} is a number from 1 to {SECONDS_MAX}")),
    }
}

/// Bookmarks in the metastore.
pub(crate) struct StoredBookmarks {
    pub(crate) metastore: Arc<Metastore>,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Bookmarks for StoredBookmarks {
    fn bookmark<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, PortError>> {
        let (metastore, key) = (self.metastore.clone(), key.to_owned());
        Box::pin(blocking(move || metastore.bookmark(&key)))
    }

    fn keep<'a>(&'a self, key: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        let (metastore, now) = (self.metastore.clone(), self.clock.now());
        let (key, text) = (key.to_owned(), text.to_owned());
        Box::pin(blocking(move || metastore.put_bookmark(&key, &text, now)))
    }
}

/// Does what waits for the disk where nobody else waits for it.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, moneta_metastore::Error> + Send + 'static,
) -> Result<T, PortError> {
    let failed = |error: moneta_metastore::Error| {
        PortError::caused_by(error.kind(), "the bookmarks of machines cannot be reached", error)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| PortError::new(moneta_base::ErrorKind::Internal, error.to_string()))?.map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str) -> Result<Vec<WefSubscription>, String> {
        toml::from_str::<WefConfig>(text).unwrap().build()
    }

    #[test]
    fn without_subscriptions_the_usual_channels_are_asked_for() {
        let usual = build("").unwrap();
        assert_eq!((usual.len(), usual[0].name.as_str()), (1, "moneta"));
        assert!(usual[0].query.contains("Path=\"Security\"") && usual[0].rendered && !usual[0].read_existing);
        let own =
            build("[[subscriptions]]\nname = 'a'\nquery = '<QueryList/>'\nraw = true\nlatency_seconds = 5").unwrap();
        assert_eq!((own[0].query.as_str(), own[0].latency_max.as_secs(), own[0].rendered), ("<QueryList/>", 5, false));
    }

    #[test]
    fn what_cannot_be_asked_for_is_said() {
        for (text, said) in [
            ("[[subscriptions]]\nname = 'a b'", "a name is a word"),
            ("[[subscriptions]]\nname = 'a'\nheartbeat_seconds = 0", "heartbeat_seconds is a number"),
            ("[[subscriptions]]\nname = 'a'\nquery = 'x'\nquery_file = 'y'", "name one"),
            ("[[subscriptions]]\nname = 'a'\nquery_file = '/nowhere'", "/nowhere cannot be read"),
        ] {
            assert!(build(text).unwrap_err().contains(said), "{text}");
        }
    }
}
