//! `[[kafka.sources]]`: topics to read as the configuration names them, and the collectors' options made of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use moneta_collect::{KafkaOptions, KafkaStart};
use moneta_kafka::{BrokerAddress, Login, Mechanism};
use serde::{Deserialize, Serialize};

use crate::channel_config::read_secret;
use crate::source_config::{self, TlsFilesOf, is_word, message_format, message_table};

/// Brokers and topics of one source at most.
const NAMES_MAX: usize = 1_000;
/// Characters of a topic's name at most, as brokers have it.
const TOPIC_CHARS_MAX: usize = 249;

/// `[kafka]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Clusters and their topics.
    pub sources: Vec<KafkaSource>,
}

/// `[[kafka.sources]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KafkaSource {
    /// Its name, unique; progress is remembered under it.
    pub name: String,
    /// Hosts and ports of brokers that are asked first.
    pub brokers: Vec<String>,
    /// The topics.
    pub topics: Vec<String>,
    /// What each record is; `ndjson` when absent.
    pub format: Option<String>,
    /// The table of records whose shape says nothing of it; one named by the topic when absent.
    pub table: Option<String>,
    /// `earliest` (when absent) or `latest`.
    pub start: Option<String>,
    /// Whether to speak TLS; yes when absent.
    pub tls: Option<bool>,
    /// Authorities of the brokers' certificates, in PEM; those of the system when absent.
    pub authority: Option<PathBuf>,
    /// The certificate to show, in PEM; none when absent.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// The name by which to sign in; nobody signs in when absent.
    pub user: Option<String>,
    /// How: `PLAIN` (when absent), `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// Whether the password may be sent without TLS.
    pub allow_plaintext: bool,
}

impl KafkaConfig {
    /// What to collect.
    pub(crate) fn build(&self) -> Result<Vec<KafkaOptions>, String> {
        source_config::build_all(&self.sources, |source| &source.name, KafkaSource::build)
    }
}

impl KafkaSource {
    fn build(&self) -> Result<KafkaOptions, String> {
        self.topics.iter().try_for_each(|topic| check_topic(topic))?;
        let topics: BTreeSet<&String> = self.topics.iter().collect();
        if topics.is_empty() || topics.len() > NAMES_MAX || self.brokers.is_empty() || self.brokers.len() > NAMES_MAX {
            return Err(format!("brokers and topics: name from 1 to {NAMES_MAX} of each"));
        }
        let files = TlsFilesOf { authority: &self.authority, certificate: &self.certificate, key: &self.key };
        let tls = files.trust(self.tls)?;
        Ok(KafkaOptions {
            name: self.name.clone(),
            brokers: self.brokers.iter().map(|text| broker(text)).collect::<Result<_, _>>()?,
            topics: topics.into_iter().cloned().collect(),
            format: message_format(self.format.as_deref())?,
            table: message_table(self.table.as_deref())?,
            start: match self.start.as_deref().unwrap_or("earliest") {
                "earliest" => KafkaStart::Earliest,
                "latest" => KafkaStart::Latest,
                other => return Err(format!("no start {other:?}; there are earliest, latest")),
            },
            login: self.login(tls.is_some())?,
            tls,
        })
    }

    fn login(&self, encrypted: bool) -> Result<Option<Login>, String> {
        let (user, path) = match (&self.user, &self.password_file) {
            (None, None) if self.mechanism.is_none() => return Ok(None),
            (Some(user), Some(path)) => (user.clone(), path),
            _ => return Err("user and password_file go together, and with mechanism".to_owned()),
        };
        let wanted = self.mechanism.as_deref().unwrap_or(Mechanism::Plain.name());
        let mechanism = Mechanism::ALL.into_iter().find(|known| known.name() == wanted);
        let known = Mechanism::ALL.map(Mechanism::name).join(", ");
        let mechanism = mechanism.ok_or_else(|| format!("no mechanism {wanted:?}; there are {known}"))?;
        if !encrypted && !self.allow_plaintext {
            return Err(
                "the password would be sent in the clear, or could be guessed: let TLS on, or set allow_plaintext"
                    .to_owned(),
            );
        }
        Ok(Some(Login { mechanism, user, password: read_secret("password_file", path)? }))
    }
}

/// Refuses what no topic can be called.
pub(crate) fn check_topic(topic: &str) -> Result<(), String> {
    if is_word(topic) && (1..=TOPIC_CHARS_MAX).contains(&topic.len()) {
        return Ok(());
    }
    Err(format!("{topic:?} is no name of a topic: at most {TOPIC_CHARS_MAX} letters, digits, `-`, `_` and `.`"))
}

/// A broker's address.
pub(crate) fn broker(text: &str) -> Result<BrokerAddress, String> {
    let wrong = || format!("{text:?} is not a host and a port, such as kafka.example.org:9093");
    BrokerAddress::parse(text).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use moneta_formats::Format;

    use super::*;

    const HUB: &str = "name = \"hub\"\nbrokers = [\"hub.example:9093\"]\ntopics = [\"logs\"]\n";

    fn build(text: &str) -> Result<KafkaOptions, String> {
        let source: KafkaSource = toml::from_str(text).unwrap();
        KafkaConfig { sources: vec![source] }.build().map(|mut sources| sources.remove(0))
    }

    #[test]
    fn a_source_is_encrypted_and_read_from_its_beginning_unless_told() {
        let options = build(HUB).unwrap();
        assert_eq!((options.format, options.start), (Format::Ndjson, KafkaStart::Earliest));
        assert!(options.tls.is_some() && options.login.is_none());
        let options = build(&format!("{HUB}tls = false\nformat = \"syslog\"\nstart = \"latest\"")).unwrap();
        assert_eq!((options.format, options.start, options.tls), (Format::Syslog, KafkaStart::Latest, None));
    }

    #[test]
    fn what_cannot_work_is_named() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "Endpoint=sb://x\n").unwrap();
        let login = format!("user = \"$ConnectionString\"\npassword_file = {:?}", secret.path());
        assert_eq!(build(&format!("{HUB}{login}")).unwrap().login.unwrap().password, "Endpoint=sb://x");
        for (text, part) in [
            (format!("{HUB}{login}\ntls = false"), "in the clear"),
            (format!("{HUB}{login}\ntls = false\nallow_plaintext = true"), ""),
            (format!("{HUB}user = \"u\""), "go together"),
            (format!("{HUB}mechanism = \"PLAIN\""), "go together"),
            (format!("{HUB}{login}\nmechanism = \"SCRAM-SHA-512\""), ""),
            (format!("{HUB}{login}\nmechanism = \"SCRAM-SHA-1\""), "there are PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
            (format!("{HUB}key = \"k\""), "certificate and key go together"),
            (format!("{HUB}tls = false\nauthority = \"a\""), "tls = false turns off"),
            (format!("{HUB}format = \"evtx\""), "there are syslog, ndjson"),
            (format!("{HUB}format = \"jsn\""), "jsn"),
            (format!("{HUB}table = \"a b\""), "is no name of a table"),
            (format!("{HUB}start = \"now\""), "there are earliest, latest"),
            (HUB.replace("logs", "a b"), "is no name of a topic"),
            (HUB.replace("[\"logs\"]", "[]"), "brokers and topics"),
            (HUB.replace(":9093", ""), "is not a host and a port"),
            (HUB.replace("\"hub\"", "\"a b\""), "a name is a word"),
        ] {
            let found = build(&text).err().unwrap_or_default();
            assert!(if part.is_empty() { found.is_empty() } else { found.contains(part) }, "{text}: {found}");
        }
        let source: KafkaSource = toml::from_str(HUB).unwrap();
        let twice = KafkaConfig { sources: vec![source.clone(), source] };
        assert!(twice.build().unwrap_err().contains("two sources named \"hub\""));
    }
}
