//! `[[nats.sources]]`: streams of JetStream to read as the configuration names them, and the collectors' options of it.

use std::collections::BTreeSet;
use std::path::PathBuf;

use moneta_collect::{NatsOptions, NatsStart};
use moneta_nats::{Login, UserKey};
use serde::{Deserialize, Serialize};

use crate::channel_config::read_secret;
use crate::source_config::{self, TlsFilesOf, message_format, message_table};

/// Servers of one source at most.
const SERVERS_MAX: usize = 100;
/// Characters of a stream's, a consumer's and a domain's name, and of a subject, at most, as servers have it.
const NAME_CHARS_MAX: usize = 255;
/// The consumer when none is named.
const CONSUMER: &str = "moneta";
/// The port of servers when none is named.
const PORT: u16 = 4222;

/// `[nats]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsConfig {
    /// Streams, and the servers that have them.
    pub sources: Vec<NatsSource>,
}

/// `[[nats.sources]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NatsSource {
    /// Its name, unique; progress is remembered under it.
    pub name: String,
    /// Hosts and ports of servers, any of which will do. No other is called.
    pub servers: Vec<String>,
    /// The stream.
    pub stream: String,
    /// The durable consumer, this source's alone; `moneta` when absent.
    pub consumer: Option<String>,
    /// Only messages under this subject; all when absent.
    pub subject: Option<String>,
    /// The domain of JetStream; the server's own when absent.
    pub domain: Option<String>,
    /// What each message is; `ndjson` when absent.
    pub format: Option<String>,
    /// The table of records whose shape says nothing of it; one named by the stream when absent.
    pub table: Option<String>,
    /// `earliest` (when absent) or `latest`.
    pub start: Option<String>,
    /// Whether to speak TLS; yes when absent.
    pub tls: Option<bool>,
    /// Authorities of the servers' certificates, in PEM; those of the system when absent.
    pub authority: Option<PathBuf>,
    /// The certificate to show, in PEM; none when absent.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// The name by which to sign in.
    pub user: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// A file that holds a token to sign in with.
    pub token_file: Option<PathBuf>,
    /// A file that holds the seed of a key (NKey) to sign in with.
    pub seed_file: Option<PathBuf>,
    /// A file of credentials (token and seed) to sign in with.
    pub credentials_file: Option<PathBuf>,
    /// Whether a password or a token may be sent without TLS.
    pub allow_plaintext: bool,
}

impl NatsConfig {
    /// What to collect.
    pub(crate) fn build(&self) -> Result<Vec<NatsOptions>, String> {
        let mut consumers = BTreeSet::new();
        let twice = self.sources.iter().find(|one| !consumers.insert((&one.servers, &one.stream, one.consumer())));
        if let Some(one) = twice {
            let (stream, consumer) = (&one.stream, one.consumer());
            return Err(format!(
                "two sources read the stream {stream:?} through one consumer {consumer:?}: name others"
            ));
        }
        source_config::build_all(&self.sources, |source| &source.name, NatsSource::build)
    }
}

impl NatsSource {
    fn consumer(&self) -> &str {
        self.consumer.as_deref().unwrap_or(CONSUMER)
    }

    fn build(&self) -> Result<NatsOptions, String> {
        if self.servers.is_empty() || self.servers.len() > SERVERS_MAX {
            return Err(format!("servers: name from 1 to {SERVERS_MAX}"));
        }
        for (key, name) in [("stream", self.stream.as_str()), ("consumer", self.consumer())] {
            check_name(key, name)?;
        }
        self.domain.as_deref().map_or(Ok(()), |domain| check_name("domain", domain))?;
        self.subject.as_deref().map_or(Ok(()), check_subject)?;
        let files = TlsFilesOf { authority: &self.authority, certificate: &self.certificate, key: &self.key };
        let tls = files.trust(self.tls)?;
        Ok(NatsOptions {
            name: self.name.clone(),
            servers: self.servers.iter().map(|text| server(text)).collect::<Result<_, _>>()?,
            stream: self.stream.clone(),
            consumer: self.consumer().to_owned(),
            subject: self.subject.clone(),
            domain: self.domain.clone(),
            format: message_format(self.format.as_deref())?,
            table: message_table(self.table.as_deref())?,
            start: match self.start.as_deref().unwrap_or("earliest") {
                "earliest" => NatsStart::Earliest,
                "latest" => NatsStart::Latest,
                other => return Err(format!("no start {other:?}; there are earliest, latest")),
            },
            login: self.login(tls.is_some())?,
            tls,
        })
    }

    fn login(&self, encrypted: bool) -> Result<Option<Login>, String> {
        let ways = [&self.password_file, &self.token_file, &self.seed_file, &self.credentials_file];
        if ways.iter().filter(|way| way.is_some()).count() > 1 {
            return Err("sign in by one of password_file, token_file, seed_file and credentials_file".to_owned());
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err("user and password_file go together".to_owned());
        }
        if (self.password_file.is_some() || self.token_file.is_some()) && !encrypted && !self.allow_plaintext {
            return Err("the secret would be sent in the clear: let TLS on, or set allow_plaintext".to_owned());
        }
        if let (Some(user), Some(path)) = (&self.user, &self.password_file) {
            return Ok(Some(Login::Password { user: user.clone(), password: read_secret("password_file", path)? }));
        }
        if let Some(path) = &self.token_file {
            return Ok(Some(Login::Token(read_secret("token_file", path)?)));
        }
        if let Some(path) = &self.seed_file {
            let key = UserKey::parse(&read_secret("seed_file", path)?);
            return key.map(|key| Some(Login::Key(key))).map_err(|reason| format!("seed_file: {reason}"));
        }
        if let Some(path) = &self.credentials_file {
            let login = Login::credentials(&read_secret("credentials_file", path)?);
            return login.map(Some).map_err(|reason| format!("credentials_file: {reason}"));
        }
        Ok(None)
    }
}

/// Refuses what no stream, consumer or domain can be called.
fn check_name(key: &str, name: &str) -> Result<(), String> {
    let may_have = |c: char| c.is_ascii_graphic() && !matches!(c, '.' | '*' | '>' | '/' | '\\');
    if (1..=NAME_CHARS_MAX).contains(&name.len()) && name.chars().all(may_have) {
        return Ok(());
    }
    Err(format!("{key}: {name:?} is no name: at most {NAME_CHARS_MAX} characters, without blanks and . * > / \\"))
}

fn check_subject(subject: &str) -> Result<(), String> {
    let is_whole = subject.split('.').all(|word| !word.is_empty() && word.chars().all(|c| c.is_ascii_graphic()));
    if subject.len() <= NAME_CHARS_MAX && is_whole {
        return Ok(());
    }
    Err(format!("{subject:?} is no subject, such as logs.web.* or logs.>"))
}

/// Host and port of a server.
fn server(text: &str) -> Result<(String, u16), String> {
    let wrong = || format!("{text:?} is not a host, or a host and a port, such as nats.example.org:4222");
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().map_err(|_| wrong())?),
        _ => (text, PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_host = !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || "-_.:".contains(c));
    if is_host && port > 0 { Ok((host.to_owned(), port)) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use moneta_formats::Format;

    use super::*;

    const EDGE: &str = "name = \"edge\"\nservers = [\"nats.example\"]\nstream = \"LOGS\"\n";

    fn build(text: &str) -> Result<NatsOptions, String> {
        let source: NatsSource = toml::from_str(text).unwrap();
        NatsConfig { sources: vec![source] }.build().map(|mut sources| sources.remove(0))
    }

    #[test]
    fn a_source_is_encrypted_and_read_from_its_beginning_unless_told() {
        let options = build(EDGE).unwrap();
        assert_eq!((options.format, options.start), (Format::Ndjson, NatsStart::Earliest));
        assert_eq!((options.servers, options.consumer.as_str()), (vec![("nats.example".to_owned(), 4222)], "moneta"));
        assert!(options.tls.is_some() && options.login.is_none());
        let options = build(&format!("{EDGE}tls = false\nsubject = \"logs.>\"\nstart = \"latest\"")).unwrap();
        assert_eq!((options.start, options.tls, options.subject.as_deref()), (NatsStart::Latest, None, Some("logs.>")));
    }

    #[test]
    fn servers_are_hosts_with_or_without_ports() {
        for (text, host, port) in [
            ("a.example", "a.example", 4222),
            ("a.example:4333", "a.example", 4333),
            ("10.0.0.1:1", "10.0.0.1", 1),
            ("[::1]:4333", "::1", 4333),
            ("::1", "::1", 4222),
        ] {
            assert_eq!(server(text), Ok((host.to_owned(), port)), "{text}");
        }
        for text in ["", ":1", "a:", "a:x", "a:99999", "a:0", "nats://a", "a b", "[]:1"] {
            assert!(server(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_cannot_work_is_named() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "word\n").unwrap();
        let file = |key: &str| format!("{EDGE}{key} = {:?}\n", secret.path());
        let login = file("user = \"u\"\npassword_file");
        assert!(matches!(build(&login).unwrap().login, Some(Login::Password { password, .. }) if password == "word"));
        assert!(matches!(build(&file("token_file")).unwrap().login, Some(Login::Token(token)) if token == "word"));
        for (text, part) in [
            (format!("{login}tls = false"), "in the clear"),
            (format!("{login}tls = false\nallow_plaintext = true"), ""),
            (format!("{}tls = false", file("token_file")), "in the clear"),
            (file("password_file"), "go together"),
            (format!("{EDGE}user = \"u\""), "go together"),
            (format!("{login}token_file = \"x\""), "by one of"),
            (file("seed_file"), "no seed"),
            (file("credentials_file"), "USER JWT"),
            (format!("{EDGE}key = \"k\""), "certificate and key go together"),
            (format!("{EDGE}format = \"evtx\""), "there are syslog, ndjson"),
            (format!("{EDGE}table = \"a b\""), "is no name of a table"),
            (format!("{EDGE}start = \"now\""), "there are earliest, latest"),
            (format!("{EDGE}subject = \"a..b\""), "is no subject"),
            (format!("{EDGE}consumer = \"a.b\""), "consumer: \"a.b\" is no name"),
            (format!("{EDGE}domain = \"\""), "domain: \"\" is no name"),
            (EDGE.replace("LOGS", "a b"), "stream: \"a b\" is no name"),
            (EDGE.replace("[\"nats.example\"]", "[]"), "servers: name"),
            (EDGE.replace("nats.example", "nats://x"), "is not a host"),
        ] {
            let found = build(&text).err().unwrap_or_default();
            assert!(if part.is_empty() { found.is_empty() } else { found.contains(part) }, "{text}: {found}");
        }
        let source: NatsSource = toml::from_str(EDGE).unwrap();
        let other = NatsSource { name: "other".to_owned(), ..source.clone() };
        let found = NatsConfig { sources: vec![source, other] }.build().unwrap_err();
        assert!(found.contains("through one consumer \"moneta\""), "{found}");
    }
}
