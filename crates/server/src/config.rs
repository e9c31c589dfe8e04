//! The configuration: one TOML file, overridden by `MONETA_<SECTION>__<KEY>` in the environment, overridden by flags.
//!
//! Every key has a default that makes a safe single machine. An unknown key is an error that says which was probably
//! meant, and where it stands.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use moneta_monitor::LATENESS;
use serde::{Deserialize, Serialize};

use crate::buckets_config::BucketsConfig;
use crate::channel_config::ChannelConfig;
use crate::kafka_config::KafkaConfig;
use crate::microsoft365_config::Microsoft365Config;
use crate::nats_config::NatsConfig;
use crate::objects_config::ObjectsConfig;
use crate::wef_config::WefConfig;

/// Prefix of environment variables that override the file.
pub const ENVIRONMENT_PREFIX: &str = "MONETA_";

/// The least bytes of unsealed rows in memory: what the queue before the journal holds.
const HOT_BYTES_LEAST: usize = 64 << 20;
/// The least bytes of journal files: the newest one is never removed, and may have half of it.
const JOURNAL_BYTES_LEAST: u64 = 256 << 20;

/// Environment variables with the prefix that are not configuration keys.
const NOT_KEYS: [&str; 6] =
    ["MONETA_CONFIG", "MONETA_DATA_DIR", "MONETA_CREDENTIAL", "MONETA_SERVER", "MONETA_CORPUS", "MONETA_LOG"];

/// The whole configuration.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// HTTP.
    pub server: ServerConfig,
    /// Syslog listeners.
    pub syslog: SyslogConfig,
    /// Messages in the Graylog Extended Log Format.
    pub gelf: GelfConfig,
    /// Events of Fluentd and Fluent Bit.
    pub fluent: FluentConfig,
    /// Events that Windows machines forward.
    pub wef: WefConfig,
    /// Journals that other machines upload.
    pub journal_upload: JournalUploadConfig,
    /// Topics of Kafka.
    pub kafka: KafkaConfig,
    /// Streams of NATS.
    pub nats: NatsConfig,
    /// Audit records of Microsoft 365, Entra ID and Defender.
    pub microsoft365: Microsoft365Config,
    /// Buckets whose objects are read.
    pub buckets: BucketsConfig,
    /// What the server collects from its own machine.
    pub collect: CollectConfig,
    /// When blocks become segments.
    pub store: StoreConfig,
    /// Where old segments go.
    pub objects: ObjectsConfig,
    /// Who vouches for checkpoints.
    pub ledger: LedgerConfig,
    /// How long tables are kept.
    pub retention: RetentionConfig,
    /// Where alerts go.
    pub notify: NotifyConfig,
    /// Limits of queries.
    pub query: QueryConfig,
    /// What is removed from events before they are stored.
    pub scrub: ScrubConfig,
    /// Formats of the operator's own.
    pub mappings: MappingsConfig,
    /// Detection rules.
    pub rules: RulesConfig,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServerConfig {
    /// Address of the HTTP listener.
    pub listen: SocketAddr,
    /// Takes HTTP without TLS from other machines too. Off: they are told to use TLS.
    pub allow_plaintext: bool,
    /// Certificate shown to clients and those up to its authority, in PEM; absent: one by a private authority.
    pub tls_certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Further names and addresses by which clients reach this server, for the certificate of the private authority.
    pub tls_names: Vec<String>,
    /// What programs of this machine may do without a credential, by the address they come from; empty: nothing.
    pub loopback_scopes: Vec<String>,
    /// The name under which audit rows have them.
    pub loopback_name: String,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: loopback(7979),
            allow_plaintext: false,
            tls_certificate: None,
            tls_key: None,
            tls_names: Vec::new(),
            loopback_scopes: Vec::new(),
            loopback_name: "loopback".to_owned(),
        }
    }
}

impl ServerConfig {
    /// Changes are made by somebody with a name, so `admin` is none of the scopes.
    fn check_loopback(&self) -> Result<(), String> {
        const GIVEN: [&str; 3] = ["ingest", "query", "respond"];
        if let Some(scope) = self.loopback_scopes.iter().find(|scope| !GIVEN.contains(&scope.as_str())) {
            let known = GIVEN.join(", ");
            return Err(format!(
                "server.loopback_scopes: `{scope}` is not given without a credential; these are: {known}"
            ));
        }
        let is_good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@');
        if !(1..=64).contains(&self.loopback_name.len()) || !self.loopback_name.bytes().all(is_good) {
            return Err("server.loopback_name: 1 to 64 letters, digits and `.`, `_`, `-`, `@`".to_owned());
        }
        Ok(())
    }
}

/// `[syslog]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogConfig {
    /// Whether to listen at all.
    pub enabled: bool,
    /// Address of the UDP listener.
    pub udp_listen: SocketAddr,
    /// Address of the TCP listener.
    pub tcp_listen: SocketAddr,
    /// Address of the listener for syslog over TLS (RFC 5425); absent: none.
    pub tls_listen: Option<SocketAddr>,
    /// Address of the RELP listener; absent: none.
    pub relp_listen: Option<SocketAddr>,
    /// Whether the RELP listener speaks TLS.
    pub relp_tls: bool,
    /// Certificate of the TLS listeners and those up to its authority, in PEM.
    pub tls_certificate: Option<PathBuf>,
    /// Private key of the TLS listeners, in PEM.
    pub tls_key: Option<PathBuf>,
    /// Authorities of the certificates that senders must show, in PEM; absent: senders show none.
    pub tls_client_authority: Option<PathBuf>,
    /// Offset from UTC, in minutes, of senders whose time stamps carry no zone (RFC 3164).
    pub zone_offset_minutes: i32,
}

impl Default for SyslogConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            udp_listen: loopback(5514),
            tcp_listen: loopback(5514),
            tls_listen: None,
            relp_listen: None,
            relp_tls: false,
            tls_certificate: None,
            tls_key: None,
            tls_client_authority: None,
            zone_offset_minutes: 0,
        }
    }
}

/// `[[collect.senders]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SenderConfig {
    /// The sources, as `moneta sources` names them; `*` matches any text.
    pub source: String,
    /// The zone of their times that name none: a name such as `Europe/Berlin`, or an offset such as `+02:00`.
    pub zone: Option<String>,
    /// The encoding of their text that is no UTF-8, such as `windows-1252`.
    pub encoding: Option<String>,
}

/// `[gelf]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GelfConfig {
    /// Address of the UDP listener; absent: none.
    pub udp_listen: Option<SocketAddr>,
    /// Address of the TCP listener; absent: none.
    pub tcp_listen: Option<SocketAddr>,
    /// Whether the TCP listener speaks TLS, with the files of `[syslog]`.
    pub tls: bool,
}

/// `[fluent]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FluentConfig {
    /// Address of the listener for the forward protocol; absent: none.
    pub listen: Option<SocketAddr>,
    /// Whether it speaks TLS, with the files of `[syslog]`.
    pub tls: bool,
    /// A file that holds the key which senders must know; absent: they need none.
    pub shared_key_file: Option<PathBuf>,
}

/// `[journal_upload]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalUploadConfig {
    /// Address of the listener for `systemd-journal-upload`; absent: none.
    pub listen: Option<SocketAddr>,
    /// Whether it speaks TLS, with the files of `[syslog]`.
    pub tls: bool,
}

/// `[collect]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CollectConfig {
    /// Whether to collect from this machine.
    pub enabled: bool,
    /// Files to follow; `*` matches within a name.
    pub files: Vec<String>,
    /// The encoding of files that are neither UTF-8 nor UTF-16, such as `windows-1252`.
    pub encoding: Option<String>,
    /// Files whose records span lines.
    pub records: Vec<RecordsConfig>,
    /// What files and senders of all listeners do not say themselves.
    pub senders: Vec<SenderConfig>,
    /// Directories in which other programs put objects: diagnostic blobs, CloudTrail, flow logs.
    pub inbox: Vec<PathBuf>,
    /// Seconds an archive or a compressed object must rest to count as complete.
    pub settle_seconds: u64,
    /// Whether to read the systemd journal where there is one.
    pub systemd_journal: bool,
    /// Seconds between samples of CPU, memory, disks and network; 0 turns them off.
    pub performance_interval_seconds: u64,
    /// Seconds between looks at the process list; 0 turns it off.
    pub process_interval_seconds: u64,
}

impl Default for CollectConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            files: ["/var/log/*.log", "/var/log/syslog", "/var/log/messages", "/var/log/apt/*.log"]
                .map(str::to_owned)
                .to_vec(),
            encoding: None,
            records: Vec::new(),
            senders: Vec::new(),
            inbox: Vec::new(),
            settle_seconds: 60,
            systemd_journal: true,
            performance_interval_seconds: 15,
            process_interval_seconds: 5,
        }
    }
}

/// `[[collect.records]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsConfig {
    /// The files, as in `collect.files`.
    pub files: String,
    /// A regular expression that the first line of every record meets.
    pub start: String,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Seconds after which blocks become a segment, however few they are.
    pub seal_age_seconds: u64,
    /// Bytes of unsealed rows of one table, in memory, after which they become a segment.
    pub seal_bytes: usize,
    /// Bytes of unsealed rows of all tables, in memory, at which senders are told to come back.
    pub hot_bytes_max: usize,
    /// Bytes of journal files at which senders are told to come back.
    pub journal_bytes_max: u64,
    /// Bytes of stored files read again a second at most, to find damage; 0: none are.
    pub scrub_bytes_per_second: u64,
    /// Bytes kept free for the audit stream while the server runs, a hundredth of the volume at most; 0: none.
    pub reserve_bytes: u64,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            seal_age_seconds: 300,
            seal_bytes: 64 << 20,
            hot_bytes_max: 512 << 20,
            journal_bytes_max: 8 << 30,
            scrub_bytes_per_second: 8 << 20,
            reserve_bytes: 1 << 30,
        }
    }
}

/// `[ledger]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LedgerConfig {
    /// The key that signs, in a PKCS #11 device: a URI of RFC 7512. Without it a new log makes a key in a file.
    pub device_key: Option<String>,
    /// Witnesses that checkpoints are offered to.
    pub witnesses: Vec<WitnessConfig>,
    /// How many of them must cosign; more than half of them when it is not given.
    pub quorum: Option<usize>,
    /// Seconds after which the last cosigned checkpoint is too old, which is an alarm.
    pub cosigned_age_max_seconds: u64,
}

impl Default for LedgerConfig {
    fn default() -> Self {
        Self { device_key: None, witnesses: Vec::new(), quorum: None, cosigned_age_max_seconds: 900 }
    }
}

impl LedgerConfig {
    /// How many witnesses must cosign.
    #[must_use]
    pub fn needed(&self) -> usize {
        self.quorum.unwrap_or(self.witnesses.len() / 2 + 1)
    }
}

/// `[[ledger.witnesses]]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessConfig {
    /// Where it takes checkpoints: the part of the address before `/add-checkpoint`.
    pub url: String,
    /// Its verifier key, as the witness prints it.
    pub key: String,
}

/// `[retention]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetentionConfig {
    /// Days every table is kept unless it has a number of its own.
    pub default_days: Days,
    /// Days for single tables.
    pub tables: BTreeMap<String, Days>,
    /// The fewest days any table is kept: nobody sets fewer while the server runs.
    pub floor_days: Days,
}

/// A number of days, or the name of a rule that asks for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Days(pub u32);

impl<'de> Deserialize<'de> for Days {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u32),
            Text(String),
        }
        let text = match Written::deserialize(deserializer)? {
            Written::Number(days) => return Ok(Self(days)),
            Written::Text(text) => text,
        };
        // A variable of the environment is text, whatever it says.
        let days = text.parse().ok().or_else(|| moneta_ports::operations::retention_preset(&text));
        days.map(Self).ok_or_else(|| {
            let names = moneta_ports::operations::RETENTION_PRESETS.map(|(name, _)| name).join(", ");
            serde::de::Error::custom(format!("{text:?} is neither a number of days nor one of {names}"))
        })
    }
}

impl Default for RetentionConfig {
    fn default() -> Self {
        Self { default_days: Days(365), tables: BTreeMap::new(), floor_days: Days(1) }
    }
}

/// `[notify]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyConfig {
    /// Address of the webhook that gets every alert, signed.
    pub webhook_url: Option<String>,
    /// Where people reach this server with a browser, `https://HOST`: messages link to the alert there.
    pub web_url: Option<String>,
    /// The HTTP proxy through which channels that speak HTTP go out, `http://HOST:PORT`; directly when absent.
    pub proxy: Option<String>,
    /// Hosts of receivers that may have private addresses; loopback ones of them need no encryption, and none is called
    /// through the proxy.
    pub allow_private_hosts: Vec<String>,
    /// Minutes in which people hear once of the same rule about the same entities; 0 tells them of every alert.
    pub repeat_minutes: u64,
    /// Further receivers.
    pub channels: Vec<ChannelConfig>,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            webhook_url: None,
            web_url: None,
            proxy: None,
            allow_private_hosts: Vec::new(),
            repeat_minutes: 10,
            channels: Vec::new(),
        }
    }
}

impl NotifyConfig {
    /// The proxy, where there is one.
    ///
    /// # Errors
    /// What is wrong with its address.
    pub(crate) fn proxy(&self) -> Result<Option<moneta_notify::Proxy>, String> {
        let parsed = self.proxy.as_deref().map(moneta_notify::Proxy::parse).transpose();
        parsed.map_err(|error| error.to_string())
    }
}

/// `[query]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QueryConfig {
    /// Rows one query may return.
    pub rows_max: usize,
    /// Bytes one query may return.
    pub result_bytes_max: usize,
    /// Bytes of memory all queries together may use.
    pub memory_bytes: usize,
    /// Bytes of memory one query may use.
    pub memory_per_query_bytes: usize,
    /// Bytes of rows all queries together may put aside on disk while they run.
    pub spill_bytes_max: u64,
    /// Bytes of decoded columns kept in memory between queries.
    pub cache_bytes: usize,
    /// Seconds one query may run.
    pub timeout_seconds: u64,
    /// Queries that run at the same time.
    pub concurrency: usize,
    /// Queries of one principal that run at the same time.
    pub concurrency_per_principal: usize,
    /// Where `externaldata` may read: directories, and beginnings of web addresses.
    pub external_locations: Vec<String>,
    /// A file in MaxMind's format for `geo_info_from_ip_address`.
    pub geoip_database: Option<PathBuf>,
}

impl Default for QueryConfig {
    fn default() -> Self {
        Self {
            rows_max: 500_000,
            result_bytes_max: 64 << 20,
            memory_bytes: 4 << 30,
            memory_per_query_bytes: 1 << 30,
            spill_bytes_max: 16 << 30,
            cache_bytes: 2 << 30,
            timeout_seconds: 240,
            concurrency: 10,
            concurrency_per_principal: 5,
            external_locations: Vec::new(),
            geoip_database: None,
        }
    }
}

/// `[scrub]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScrubConfig {
    /// A policy file in place of the built-in one.
    pub policy: Option<PathBuf>,
}

/// `[mappings]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MappingsConfig {
    /// A directory of mapping files (`*.toml`), tried before the built-in mappings.
    pub directory: Option<PathBuf>,
}

/// `[rules]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RulesConfig {
    /// Whether the first start of a new data directory adds the rules that come with the program.
    pub starter: bool,
    /// A file of lists with the values of rules' placeholders.
    pub placeholders: Option<PathBuf>,
    /// A file of log sources and field names that adds to the built-in one.
    pub taxonomy: Option<PathBuf>,
    /// Verifier keys of those whose rule packs are taken.
    pub trusted_signers: Vec<String>,
    /// Seconds after its end in which events of a window of a query are awaited.
    pub lateness_seconds: u64,
}

impl Default for RulesConfig {
    fn default() -> Self {
        Self {
            starter: true,
            placeholders: None,
            taxonomy: None,
            trusted_signers: Vec::new(),
            lateness_seconds: LATENESS.as_secs(),
        }
    }
}

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The text is not a valid configuration.
    #[error("{origin}: {message}")]
    Invalid {
        /// The file or environment variable.
        origin: String,
        /// What is wrong and what is expected.
        message: String,
        /// The line of the file with the place marked, where one is known.
        place: Option<String>,
    },
}

impl Config {
    /// Reads a file (or nothing) and the environment.
    ///
    /// # Errors
    /// See [`ConfigError`].
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let mut table = match path {
            Some(path) => read_table(path)?,
            None => toml::Table::new(),
        };
        for (name, value) in environment {
            apply_variable(&mut table, &name, value)?;
        }
        let origin = path.map_or_else(|| "configuration".to_owned(), |path| path.display().to_string());
        let invalid = |message: String| ConfigError::Invalid { origin: origin.clone(), message, place: None };
        let config: Self = table.try_into().map_err(|error: toml::de::Error| invalid(advised(error.message())))?;
        config.check().map_err(invalid)?;
        Ok(config)
    }

    /// The files and directories that it names, with their keys.
    #[must_use]
    pub fn files(&self) -> Vec<(&'static str, &Path)> {
        let named = [
            ("server.tls_certificate", &self.server.tls_certificate),
            ("server.tls_key", &self.server.tls_key),
            ("syslog.tls_certificate", &self.syslog.tls_certificate),
            ("syslog.tls_key", &self.syslog.tls_key),
            ("syslog.tls_client_authority", &self.syslog.tls_client_authority),
            ("fluent.shared_key_file", &self.fluent.shared_key_file),
            ("objects.credentials_file", &self.objects.credentials_file),
            ("query.geoip_database", &self.query.geoip_database),
            ("scrub.policy", &self.scrub.policy),
            ("mappings.directory", &self.mappings.directory),
            ("rules.placeholders", &self.rules.placeholders),
            ("rules.taxonomy", &self.rules.taxonomy),
        ];
        named.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?))).collect()
    }

    fn check(&self) -> Result<(), String> {
        let server = &self.server;
        if server.tls_certificate.is_some() != server.tls_key.is_some() {
            return Err("server.tls_certificate and server.tls_key: give both, or neither".to_owned());
        }
        if server.tls_certificate.is_some() && !server.tls_names.is_empty() {
            return Err("server.tls_names is for the private authority: server.tls_certificate has its own".to_owned());
        }
        server.check_loopback()?;
        let retention = &self.retention;
        if retention.floor_days.0 == 0 {
            return Err("retention: 0 days would drop today's records; the least is 1".to_owned());
        }
        if let Some(days) = retention.tables.values().chain([&retention.default_days]).min()
            && days < &retention.floor_days
        {
            let (days, floor) = (days.0, retention.floor_days.0);
            return Err(format!(
                "retention: {days} days are fewer than retention.floor_days, {floor}; the least is {floor}"
            ));
        }
        self.objects.check()?;
        let store = &self.store;
        if store.hot_bytes_max < HOT_BYTES_LEAST || store.journal_bytes_max < JOURNAL_BYTES_LEAST {
            return Err(format!(
                "store.hot_bytes_max = {}, store.journal_bytes_max = {}: the least is {HOT_BYTES_LEAST} and \
                 {JOURNAL_BYTES_LEAST}",
                store.hot_bytes_max, store.journal_bytes_max
            ));
        }
        let ledger = &self.ledger;
        if self.rules.lateness_seconds > 86_400 {
            return Err(format!("rules.lateness_seconds = {}: at most a day, 86400", self.rules.lateness_seconds));
        }
        if let Some(Err(error)) = ledger.device_key.as_deref().map(moneta_keys::DeviceUri::parse) {
            return Err(format!("ledger.device_key: {error}"));
        }
        if !ledger.witnesses.is_empty() && !(1..=ledger.witnesses.len()).contains(&ledger.needed()) {
            let there = ledger.witnesses.len();
            return Err(format!(
                "ledger.quorum = {}: it must be from 1 to the {there} witnesses there are",
                ledger.needed()
            ));
        }
        if ledger.witnesses.is_empty() && ledger.quorum.is_some() {
            return Err("ledger.quorum: there are no ledger.witnesses to make one".to_owned());
        }
        Ok(())
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

fn read_table(path: &Path) -> Result<toml::Table, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    // The text, and not the table it makes, knows where things stand.
    toml::from_str::<Config>(&text).map_err(|error| {
        let (message, place) = explain_toml(&text, &error);
        ConfigError::Invalid { origin: path.display().to_string(), message, place }
    })?;
    text.parse().map_err(|error: toml::de::Error| ConfigError::Invalid {
        origin: path.display().to_string(),
        message: error.message().to_owned(),
        place: None,
    })
}

/// What is wrong with a TOML text, with what was probably meant; and its line with the place marked.
#[must_use]
pub fn explain_toml(text: &str, error: &toml::de::Error) -> (String, Option<String>) {
    let place =
        error.span().map(|span| moneta_kql::render_place(text, moneta_kql::syntax::Span::new(span.start, span.end)));
    (advised(error.message()), place)
}

/// The message with the known name that is nearest to an unknown one. Names stand in backticks, the unknown one first.
fn advised(message: &str) -> String {
    let mut names = message.split('`').skip(1).step_by(2);
    let meant =
        names.next().filter(|_| message.starts_with("unknown ")).and_then(|name| moneta_kql::nearest(name, names));
    match meant {
        Some(meant) => format!("{message}; did you mean `{meant}`?"),
        None => message.to_owned(),
    }
}

/// Sets `section.key` for `MONETA_SECTION__KEY`. The value is TOML where it parses as such, else text.
fn apply_variable(table: &mut toml::Table, name: &str, text: String) -> Result<(), ConfigError> {
    let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX).filter(|_| !NOT_KEYS.contains(&name)) else { return Ok(()) };
    let Some((section, key)) = key.split_once("__") else { return Ok(()) };
    let value = format!("v = {text}").parse::<toml::Table>().ok().and_then(|mut parsed| parsed.remove("v"));
    let value = value.unwrap_or(toml::Value::String(text));
    let invalid = |message: String| ConfigError::Invalid { origin: name.to_owned(), message, place: None };
    let section = table.entry(section.to_lowercase()).or_insert_with(|| toml::Value::Table(toml::Table::new()));
    let section = section.as_table_mut().ok_or_else(|| invalid("the section is not a table".to_owned()))?;
    section.insert(key.to_lowercase(), value);
    // Now, while it is known which variable was the last: the file was right before.
    let tried: Result<Config, toml::de::Error> = table.clone().try_into();
    tried.map(drop).map_err(|error| invalid(advised(error.message())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(Some(file.path()), environment).map_err(|e| e.to_string())
    }

    #[test]
    fn an_empty_file_is_the_default() {
        assert_eq!(load("", &[]).unwrap(), Config::default());
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let config = load(
            "[store]\nseal_age_seconds = 10",
            &[("MONETA_STORE__SEAL_AGE_SECONDS", "20"), ("MONETA_SERVER__LISTEN", "127.0.0.1:1")],
        )
        .unwrap();
        assert_eq!(config.store.seal_age_seconds, 20);
        assert_eq!(config.server.listen.port(), 1);
    }

    #[test]
    fn an_unknown_key_is_named_with_the_known_ones() {
        let message = load("[store]\nseal_aeg = 1", &[]).unwrap_err();
        assert!(message.contains("seal_aeg") && message.contains("seal_age_seconds"), "{message}");
    }

    #[test]
    fn a_mistake_is_shown_where_it_stands_with_what_was_meant() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[server]\n\n[store]\nseal_age_secnds = 1\n").unwrap();
        let Err(ConfigError::Invalid { message, place, .. }) = Config::load(Some(file.path()), []) else { panic!() };
        assert!(message.ends_with("; did you mean `seal_age_seconds`?"), "{message}");
        let place = place.unwrap();
        assert!(place.contains("line 4, column 1") && place.contains("4 | seal_age_secnds = 1\n  | ^^^^"), "{place}");
        let message = load("", &[("MONETA_STROE__SEAL_BYTES", "1")]).unwrap_err();
        assert!(
            message.starts_with("MONETA_STROE__SEAL_BYTES: ") && message.contains("did you mean `store`?"),
            "{message}"
        );
        let message = load("", &[("MONETA_STORE__SEAL_BYTES", "many")]).unwrap_err();
        assert!(message.starts_with("MONETA_STORE__SEAL_BYTES: "), "{message}");
        let message = load("[store\n", &[]).unwrap_err();
        assert!(!message.is_empty());
    }

    #[test]
    fn a_certificate_comes_with_its_key_and_without_further_names() {
        load("[server]\nlisten = \"0.0.0.0:80\"\ntls_names = [\"us.example\"]", &[]).unwrap();
        let message = load("[server]\ntls_key = \"k\"", &[]).unwrap_err();
        assert!(message.contains("both"), "{message}");
        let message = load("[server]\ntls_key = \"k\"\ntls_certificate = \"c\"\ntls_names = [\"n\"]", &[]).unwrap_err();
        assert!(message.contains("tls_names"), "{message}");
    }

    #[test]
    fn what_needs_no_credential_is_never_to_change_things() {
        let config = load("[server]\nloopback_scopes = [\"query\", \"ingest\"]", &[]).unwrap();
        assert_eq!(config.server.loopback_name, "loopback");
        for scope in ["admin", "everything"] {
            let message = load(&format!("[server]\nloopback_scopes = [\"{scope}\"]"), &[]).unwrap_err();
            assert!(message.contains(scope) && message.contains("ingest, query, respond"), "{message}");
        }
        let message = load("[server]\nloopback_name = \"a b\"", &[]).unwrap_err();
        assert!(message.contains("loopback_name"), "{message}");
    }

    #[test]
    fn a_quorum_is_a_majority_unless_told_and_never_more_than_there_are() {
        let witness = "[[ledger.witnesses]]\nurl = \"http://w\"\nkey = \"k\"\n";
        let three = witness.repeat(3);
        assert_eq!(load(&three, &[]).unwrap().ledger.needed(), 2);
        assert_eq!(load(&format!("[ledger]\nquorum = 3\n{three}"), &[]).unwrap().ledger.needed(), 3);
        for quorum in [0, 4] {
            let message = load(&format!("[ledger]\nquorum = {quorum}\n{three}"), &[]).unwrap_err();
            assert!(message.contains("from 1 to the 3 witnesses"), "{message}");
        }
        assert!(load("[ledger]\nquorum = 1", &[]).unwrap_err().contains("no ledger.witnesses"));
        assert!(load("[[ledger.witnesses]]\nurl = \"http://w\"", &[]).unwrap_err().contains("key"));
    }

    #[test]
    fn zero_days_of_retention_are_refused() {
        for zero in ["[retention.tables]\nPerf = 0", "[retention]\nfloor_days = 0", "[retention]\ndefault_days = 0"] {
            assert!(load(zero, &[]).unwrap_err().contains("least is 1"), "{zero}");
        }
    }

    #[test]
    fn days_have_names_and_a_floor() {
        let named =
            load("[retention]\ndefault_days = \"m-21-31\"\ntables = { Perf = \"90d\" }\nfloor_days = 90", &[]).unwrap();
        assert_eq!((named.retention.default_days, named.retention.tables["Perf"]), (Days(915), Days(90)));
        assert!(
            load("[retention]\nfloor_days = \"180d\"\ntables = { Perf = 90 }", &[])
                .unwrap_err()
                .contains("least is 180")
        );
        assert!(load("[retention]\nfloor_days = 400", &[]).unwrap_err().contains("365 days are fewer"));
        assert!(load("[retention]\ndefault_days = \"m-1\"", &[]).unwrap_err().contains("m-21-31"));
    }
}
