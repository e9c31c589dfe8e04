//! `[[notify.channels]]`: a receiver of alerts as the configuration names it, and the channel made of it.
//!
//! Secrets (addresses that let in whoever knows them, keys, passwords) can be named by a file, so that they need not stand
//! in the configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use moneta_base::Level;
use moneta_base::error::chain;
use moneta_kafka::{Login, Mechanism};
use moneta_notify::channels::alertmanager::Alertmanager;
use moneta_notify::channels::email::{Email, MailLogin, MailTls};
use moneta_notify::channels::kafka::Kafka;
use moneta_notify::channels::pagerduty::{self, PagerDuty};
use moneta_notify::channels::slack::Slack;
use moneta_notify::channels::syslog::{Syslog, SyslogTransport};
use moneta_notify::channels::teams::Teams;
use moneta_notify::channels::webhook::Webhook;
use moneta_notify::{Carrier, ChannelOptions, Endpoint, Peer};
use serde::{Deserialize, Serialize};

use crate::config::NotifyConfig;
use crate::kafka_config::{broker, check_topic};

/// Seconds one attempt may be given at most.
const TIMEOUT_SECONDS_MAX: u64 = 120;
/// Brokers of one channel at most.
const BROKERS_MAX: usize = 100;

/// `[[notify.channels]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ChannelConfig {
    /// Its name, unique.
    pub name: String,
    /// `webhook`, `slack`, `teams`, `pagerduty`, `alertmanager`, `email`, `syslog` or `kafka`.
    pub kind: String,
    /// The least level of alerts that go there; all when absent.
    pub level_min: Option<String>,
    /// Seconds one attempt may take; 10 when absent.
    pub timeout_seconds: Option<u64>,
    /// Whether the way there may be unencrypted beyond this machine.
    pub allow_plaintext: bool,
    /// The address to call, of all kinds but e-mail, syslog and Kafka.
    pub url: Option<String>,
    /// A file that holds the address.
    pub url_file: Option<PathBuf>,
    /// A file that holds the routing key of PagerDuty.
    pub key_file: Option<PathBuf>,
    /// Host and port of a mail server or a syslog collector.
    pub server: Option<String>,
    /// Of e-mail: `starttls` (when absent), `implicit` or `none`. Of Kafka: `implicit` (when absent) or `none`.
    pub tls: Option<String>,
    /// Of syslog: `tls` (when absent), `tcp` or `udp`.
    pub transport: Option<String>,
    /// Authorities of the server's certificate, in PEM; those of the system when absent.
    pub authority: Option<PathBuf>,
    /// Hosts and ports of brokers that are asked first.
    pub brokers: Vec<String>,
    /// The topic that alerts go to.
    pub topic: Option<String>,
    /// The name by which to sign in to the mail server or the brokers; nobody signs in when absent.
    pub user: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// The address that mail comes from.
    pub from: Option<String>,
    /// The addresses that mail goes to.
    pub to: Vec<String>,
}

/// What a kind is made of: its name, the keys that it needs or may have.
const KINDS: [(&str, &[&str]); 8] = [
    ("webhook", &["url", "url_file", "authority"]),
    ("slack", &["url", "url_file", "authority"]),
    ("teams", &["url", "url_file", "authority"]),
    ("pagerduty", &["url", "url_file", "authority", "key_file"]),
    ("alertmanager", &["url", "url_file", "authority"]),
    ("email", &["server", "tls", "authority", "user", "password_file", "from", "to"]),
    ("syslog", &["server", "transport", "authority"]),
    ("kafka", &["brokers", "topic", "tls", "authority", "user", "password_file"]),
];

impl ChannelConfig {
    /// The channel's options and carrier. `secret` signs webhooks.
    pub(crate) fn build(
        &self,
        notify: &NotifyConfig,
        secret: &[u8],
    ) -> Result<(ChannelOptions, Box<dyn Carrier>), String> {
        let about = |message: String| format!("channel {:?}: {message}", self.name);
        let kind = self.kind().map_err(about)?;
        let mut options = ChannelOptions::new(&self.name, kind);
        options.web_url = notify.web_url.clone().unwrap_or_default().trim_end_matches('/').to_owned();
        if let Some(word) = &self.level_min {
            let known: Vec<&str> = Level::ALL.iter().map(|level| level.name()).collect();
            options.level_min = Level::parse(word)
                .ok_or_else(|| about(format!("no level_min {word:?}; there are {}", known.join(", "))))?;
        }
        if let Some(seconds) = self.timeout_seconds {
            if !(1..=TIMEOUT_SECONDS_MAX).contains(&seconds) {
                return Err(about(format!("timeout_seconds is from 1 to {TIMEOUT_SECONDS_MAX}")));
            }
            options.timeout = Duration::from_secs(seconds);
        }
        let carrier = self.carrier(kind, options.timeout, notify, secret).map_err(about)?;
        Ok((options, carrier))
    }

    /// The kind, once name, kind and keys go together.
    fn kind(&self) -> Result<&'static str, String> {
        if self.name.is_empty() || !self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
        {
            return Err("a name is a word of letters, digits, `-`, `_` and `.`".to_owned());
        }
        let found = KINDS.iter().find(|(name, _)| *name == self.kind);
        let names: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
        let (kind, keys) = found.ok_or_else(|| format!("no kind {:?}; there are {}", self.kind, names.join(", ")))?;
        let value = serde_json::to_value(self).map_err(|error| error.to_string())?;
        let given = value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty()));
        let general = ["name", "kind", "level_min", "timeout_seconds", "allow_plaintext"];
        for (key, _) in given {
            if !general.contains(&key.as_str()) && !keys.contains(&key.as_str()) {
                return Err(format!("{kind} has no key {key}; it has {}", keys.join(", ")));
            }
        }
        Ok(kind)
    }

    fn carrier(
        &self,
        kind: &str,
        timeout: Duration,
        notify: &NotifyConfig,
        secret: &[u8],
    ) -> Result<Box<dyn Carrier>, String> {
        let allow_private_hosts = &notify.allow_private_hosts;
        let proxy = notify.proxy()?;
        let endpoint = |default: Option<&str>| -> Result<Endpoint, String> {
            Ok(Endpoint {
                url: self.url(default)?,
                allow_private_hosts: allow_private_hosts.clone(),
                allow_plaintext: self.allow_plaintext,
                authority: self.authority.clone(),
                proxy: proxy.clone(),
                timeout,
            })
        };
        let said = |error: moneta_notify::Error| chain(&error);
        Ok(match kind {
            "webhook" => Box::new(Webhook::new(&endpoint(None)?, secret.to_vec()).map_err(said)?),
            "slack" => Box::new(Slack::new(&endpoint(None)?).map_err(said)?),
            "teams" => Box::new(Teams::new(&endpoint(None)?).map_err(said)?),
            "alertmanager" => Box::new(Alertmanager::new(&endpoint(None)?).map_err(said)?),
            "pagerduty" => {
                let path = self.key_file.as_ref().ok_or("key_file is missing: a file with the routing key")?;
                let endpoint = endpoint(Some(pagerduty::ADDRESS))?;
                Box::new(PagerDuty::new(&endpoint, read_secret("key_file", path)?).map_err(said)?)
            }
            "email" => Box::new(self.email(self.peer(allow_private_hosts)?)?),
            "kafka" => Box::new(self.kafka(allow_private_hosts)?),
            _ => {
                let transport = match self.transport.as_deref().unwrap_or("tls") {
                    "tls" => SyslogTransport::Tls,
                    "tcp" => SyslogTransport::Tcp,
                    "udp" => SyslogTransport::Udp,
                    other => return Err(format!("no transport {other:?}; there are tls, tcp, udp")),
                };
                Box::new(Syslog::new(self.peer(allow_private_hosts)?, transport).map_err(said)?)
            }
        })
    }

    fn email(&self, peer: Peer) -> Result<Email, String> {
        let tls = match self.tls.as_deref().unwrap_or("starttls") {
            "starttls" => MailTls::StartTls,
            "implicit" => MailTls::Implicit,
            "none" => MailTls::None,
            other => return Err(format!("no tls {other:?}; there are starttls, implicit, none")),
        };
        let login = self.login()?.map(|(user, password)| MailLogin { user, password });
        let from = self.from.clone().ok_or("from is missing: the address that mail comes from")?;
        Email::new(peer, tls, login, from, self.to.clone()).map_err(|error| chain(&error))
    }

    fn kafka(&self, allow_private_hosts: &[String]) -> Result<Kafka, String> {
        let encrypted = match self.tls.as_deref().unwrap_or("implicit") {
            "implicit" => true,
            "none" => false,
            other => return Err(format!("no tls {other:?}; there are implicit, none")),
        };
        if self.brokers.is_empty() || self.brokers.len() > BROKERS_MAX {
            return Err(format!("brokers: name from 1 to {BROKERS_MAX}, such as kafka.example.org:9093"));
        }
        let brokers = self.brokers.iter().map(|text| broker(text)).collect::<Result<_, _>>()?;
        let topic = self.topic.clone().ok_or("topic is missing: the one that alerts go to")?;
        check_topic(&topic)?;
        let login = self.login()?.map(|(user, password)| Login { mechanism: Mechanism::Plain, user, password });
        // The address of each broker is filled in when it is called.
        let peer = self.peer_at(String::new(), allow_private_hosts);
        Kafka::new(brokers, topic, peer, encrypted, login).map_err(|error| chain(&error))
    }

    /// The name and the password by which to sign in.
    fn login(&self) -> Result<Option<(String, String)>, String> {
        match (&self.user, &self.password_file) {
            (None, None) => Ok(None),
            (Some(user), Some(path)) => Ok(Some((user.clone(), read_secret("password_file", path)?))),
            _ => Err("user and password_file go together".to_owned()),
        }
    }

    fn peer(&self, allow_private_hosts: &[String]) -> Result<Peer, String> {
        let server = self.server.clone().ok_or("server is missing: host and port, such as mail.example.org:587")?;
        Ok(self.peer_at(server, allow_private_hosts))
    }

    fn peer_at(&self, address: String, allow_private_hosts: &[String]) -> Peer {
        Peer {
            address,
            allow_private_hosts: allow_private_hosts.to_vec(),
            allow_plaintext: self.allow_plaintext,
            authority: self.authority.clone(),
        }
    }

    fn url(&self, default: Option<&str>) -> Result<String, String> {
        match (&self.url, &self.url_file, default) {
            (Some(_), Some(_), _) => Err("url and url_file are both there; one is enough".to_owned()),
            (Some(url), None, _) => Ok(url.clone()),
            (None, Some(path), _) => read_secret("url_file", path),
            (None, None, Some(default)) => Ok(default.to_owned()),
            (None, None, None) => Err("url or url_file is missing".to_owned()),
        }
    }
}

/// The content of a file without white space around it.
pub(crate) fn read_secret(key: &str, path: &Path) -> Result<String, String> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{key}: cannot read {}: {error}", path.display()))?;
    match text.trim() {
        "" => Err(format!("{key}: {} is empty", path.display())),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> String {
        let config: ChannelConfig = toml::from_str(&format!("name = \"x\"\n{text}")).unwrap();
        let notify = NotifyConfig { allow_private_hosts: vec!["127.0.0.1".to_owned()], ..NotifyConfig::default() };
        config.build(&notify, &[7; 32]).err().unwrap_or_default()
    }

    #[test]
    fn every_kind_says_what_it_needs_and_what_it_does_not_know() {
        for (text, part) in [
            ("kind = \"pager\"", "there are webhook, slack"),
            ("kind = \"slack\"", "url or url_file is missing"),
            ("kind = \"slack\"\nurl = \"https://x\"\nserver = \"y\"", "slack has no key server"),
            ("kind = \"slack\"\nurl = \"http://x.example\"", "not encrypted"),
            ("kind = \"slack\"\nurl = \"https://u:p@x\"", "must not contain a user name"),
            ("kind = \"slack\"\nurl = \"https://x\"\nauthority = \"/no/such\"", "cannot be read"),
            ("kind = \"pagerduty\"", "key_file is missing"),
            ("kind = \"pagerduty\"\nkey_file = \"/no/such\"", "cannot read /no/such"),
            ("kind = \"email\"\nserver = \"mail:25\"\nto = [\"a@b\"]", "from is missing"),
            ("kind = \"email\"\nserver = \"mail:25\"\nfrom = \"a@b\"\nto = [\"b\"]", "is not an address"),
            ("kind = \"email\"\nserver = \"mail\"\nfrom = \"a@b\"\nto = [\"a@b\"]", "is not a host and a port"),
            ("kind = \"email\"\nserver = \"mail:25\"\nfrom = \"a@b\"\nto = [\"a@b\"]\nuser = \"u\"", "go together"),
            ("kind = \"syslog\"\nserver = \"s:514\"\ntransport = \"relp\"", "there are tls, tcp, udp"),
            ("kind = \"syslog\"\nserver = \"s:514\"\nauthority = \"/no/such\"", "cannot be read"),
            ("kind = \"kafka\"\ntopic = \"alerts\"", "brokers: name from 1"),
            ("kind = \"kafka\"\nbrokers = [\"k\"]\ntopic = \"alerts\"", "is not a host and a port"),
            ("kind = \"kafka\"\nbrokers = [\"k:9093\"]", "topic is missing"),
            ("kind = \"kafka\"\nbrokers = [\"k:9093\"]\ntopic = \"a b\"", "is no name of a topic"),
            ("kind = \"kafka\"\nbrokers = [\"k:9093\"]\ntopic = \"a\"\ntls = \"starttls\"", "there are implicit, none"),
            ("kind = \"kafka\"\nbrokers = [\"k:9093\"]\ntopic = \"a\"\nuser = \"u\"", "go together"),
            ("kind = \"kafka\"\nbrokers = [\"k:9092\"]\ntopic = \"a\"\ntls = \"none\"", ""),
            ("kind = \"webhook\"\nurl = \"https://x\"\nlevel_min = \"bad\"", "there are informational"),
            ("kind = \"webhook\"\nurl = \"https://x\"\ntimeout_seconds = 0", "from 1 to 120"),
            ("kind = \"webhook\"\nurl = \"https://x\"\nlevel_min = \"high\"", ""),
            ("kind = \"syslog\"\nserver = \"s:514\"\ntransport = \"udp\"\nallow_plaintext = true", ""),
        ] {
            let found = problem(text);
            assert!(if part.is_empty() { found.is_empty() } else { found.contains(part) }, "{text}: {found}");
        }
    }
}
