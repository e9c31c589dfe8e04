//! `[[microsoft365.sources]]`: directories (tenants) of Microsoft 365 as the configuration names them, the collectors'
//! options made of it, and the way to their servers.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use moneta_base::error::chain;
use moneta_collect::{
    GraphList, HttpAnswer, HttpCaller, HttpFailure, HttpRequest, Microsoft365Options, SignIn, SignInProof,
};
use moneta_notify::{CheckedServer, Endpoint};
use moneta_ports::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::channel_config::read_secret;
use crate::config::NotifyConfig;
use crate::source_config;

/// What is pulled of the Management Activity API when nothing is said: all that `ActivityFeed.Read` opens.
const CONTENT_TYPES: [&str; 4] = ["Audit.AzureActiveDirectory", "Audit.Exchange", "Audit.SharePoint", "Audit.General"];
/// Needs a right of its own.
const DLP: &str = "DLP.All";
/// How long one call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(120);
/// Seconds between two looks.
const POLL_SECONDS: std::ops::RangeInclusive<u64> = 5..=3_600;
/// Minutes that things may be late.
const OVERLAP_MINUTES: std::ops::RangeInclusive<u64> = 0..=720;
/// Hours to go back at the first start: what the Management Activity API keeps.
const HISTORY_HOURS: std::ops::RangeInclusive<u64> = 0..=168;

/// `[microsoft365]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Microsoft365Config {
    /// Directories (tenants), and what is pulled of each.
    pub sources: Vec<Microsoft365Source>,
}

/// `[[microsoft365.sources]]`
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Microsoft365Source {
    /// Its name, unique; progress is remembered under it.
    pub name: String,
    /// The identifier of the directory (tenant).
    pub tenant: String,
    /// The identifier of the application (client).
    pub client: String,
    /// A file that holds the application's secret.
    pub secret_file: Option<PathBuf>,
    /// The certificate that the application is registered with, in PEM.
    pub certificate: Option<PathBuf>,
    /// Its private key, in PEM.
    pub key: Option<PathBuf>,
    /// Content types of the Management Activity API; all but `DLP.All` when absent.
    pub activity: Option<Vec<String>>,
    /// Lists of Microsoft Graph; all when absent.
    pub graph: Option<Vec<String>>,
    /// Seconds between two looks; 60 when absent.
    pub poll_seconds: Option<u64>,
    /// Minutes that things may appear late; 60 when absent.
    pub overlap_minutes: Option<u64>,
    /// Hours to go back at the first start; 24 when absent.
    pub history_hours: Option<u64>,
    /// Where to sign in; `https://login.microsoftonline.com` when absent.
    pub login_url: Option<String>,
    /// The Management Activity API; `https://manage.office.com` when absent.
    pub activity_url: Option<String>,
    /// Microsoft Graph; `https://graph.microsoft.com` when absent.
    pub graph_url: Option<String>,
}

impl Microsoft365Config {
    /// What to pull, the way that alerts go out: through the same proxy, and to the same private hosts.
    pub(crate) fn build(&self, notify: &NotifyConfig) -> Result<Vec<Microsoft365Options>, String> {
        source_config::build_all(&self.sources, |source| &source.name, |source| source.build(notify))
    }
}

impl Microsoft365Source {
    fn build(&self, notify: &NotifyConfig) -> Result<Microsoft365Options, String> {
        for (key, value) in [("tenant", &self.tenant), ("client", &self.client)] {
            if value.is_empty() || !source_config::is_word(value) {
                return Err(format!(
                    "{key} = {value:?}: give the identifier that the overview of the application shows"
                ));
            }
        }
        let url = |key: &str, given: &Option<String>, default: &str| {
            root_of(given.as_deref().unwrap_or(default)).map_err(|reason| format!("{key}: {reason}"))
        };
        let login_url = url("login_url", &self.login_url, "https://login.microsoftonline.com")?;
        let activity_url = url("activity_url", &self.activity_url, "https://manage.office.com")?;
        let graph_url = url("graph_url", &self.graph_url, "https://graph.microsoft.com")?;
        let caller = Servers::new([&login_url, &activity_url, &graph_url], notify)?;
        let number = |key: &str, given: Option<u64>, default: u64, range: std::ops::RangeInclusive<u64>| {
            let number = given.unwrap_or(default);
            let wrong = || format!("{key} is from {} to {}", range.start(), range.end());
            range.contains(&number).then_some(number).ok_or_else(wrong)
        };
        let (content_types, lists) = (self.content_types()?, self.lists()?);
        if content_types.is_empty() && lists.is_empty() {
            return Err("activity and graph are both empty: nothing is left to pull".to_owned());
        }
        Ok(Microsoft365Options {
            name: self.name.clone(),
            caller: Arc::new(caller),
            sign_in: SignIn {
                url: login_url,
                tenant: self.tenant.clone(),
                client: self.client.clone(),
                proof: self.proof()?,
            },
            activity_url,
            content_types,
            graph_url,
            lists,
            poll: Duration::from_secs(number("poll_seconds", self.poll_seconds, 60, POLL_SECONDS)?),
            overlap: Duration::from_secs(60 * number("overlap_minutes", self.overlap_minutes, 60, OVERLAP_MINUTES)?),
            history: Duration::from_secs(3_600 * number("history_hours", self.history_hours, 24, HISTORY_HOURS)?),
            retry_min: None,
        })
    }

    fn proof(&self) -> Result<SignInProof, String> {
        match (&self.secret_file, &self.certificate, &self.key) {
            (Some(path), None, None) => Ok(SignInProof::Secret(read_secret("secret_file", path)?)),
            (None, Some(certificate), Some(key)) => {
                Ok(SignInProof::Certificate { certificate: certificate.clone(), key: key.clone() })
            }
            _ => Err("give secret_file, or certificate and key".to_owned()),
        }
    }

    fn content_types(&self) -> Result<Vec<String>, String> {
        let Some(given) = &self.activity else { return Ok(CONTENT_TYPES.map(str::to_owned).to_vec()) };
        let known = || CONTENT_TYPES.into_iter().chain([DLP]);
        chosen("activity", given, |name| known().find(|known| *known == name).map(str::to_owned), known())
    }

    fn lists(&self) -> Result<Vec<GraphList>, String> {
        let Some(given) = &self.graph else { return Ok(GraphList::ALL.to_vec()) };
        let find = |name: &str| GraphList::ALL.into_iter().find(|list| list.name() == name);
        chosen("graph", given, find, GraphList::ALL.into_iter().map(GraphList::name))
    }
}

/// What a list of names stands for, each once.
fn chosen<T: PartialEq>(
    key: &str,
    given: &[String],
    find: impl Fn(&str) -> Option<T>,
    known: impl Iterator<Item = &'static str>,
) -> Result<Vec<T>, String> {
    let known: Vec<&str> = known.collect();
    let mut all = Vec::new();
    for name in given {
        let found = find(name).ok_or_else(|| format!("{key}: no {name:?}; there are {}", known.join(", ")))?;
        if !all.contains(&found) {
            all.push(found);
        }
    }
    Ok(all)
}

/// Scheme, host and port of an address that has nothing else.
fn root_of(url: &str) -> Result<String, String> {
    let root = url.trim_end_matches('/');
    let host = root.strip_prefix("https://").or_else(|| root.strip_prefix("http://")).unwrap_or_default();
    if host.is_empty() || host.contains(['/', '?', '#', '@', ' ']) {
        return Err(format!("{url:?}: give scheme and host only, such as https://graph.microsoft.com"));
    }
    Ok(root.to_owned())
}

/// The servers of a source: no other is called.
struct Servers(BTreeMap<String, CheckedServer>);

impl Servers {
    fn new(roots: [&String; 3], notify: &NotifyConfig) -> Result<Self, String> {
        let proxy = notify.proxy()?;
        let server = |root: &String| {
            let endpoint = Endpoint {
                url: root.clone(),
                allow_private_hosts: notify.allow_private_hosts.clone(),
                allow_plaintext: false,
                authority: None,
                proxy: proxy.clone(),
                timeout: CALL_TIMEOUT,
            };
            let server = CheckedServer::new(&endpoint).map_err(|error| chain(&error))?;
            Ok((root.clone(), server))
        };
        roots.into_iter().map(server).collect::<Result<_, String>>().map(Self)
    }
}

impl HttpCaller for Servers {
    fn call(&self, request: HttpRequest) -> BoxFuture<'_, Result<HttpAnswer, HttpFailure>> {
        Box::pin(async move {
            let HttpRequest { url, headers, post, answer_bytes_max } = request;
            let path = url.match_indices('/').nth(2).map_or(url.len(), |(at, _)| at);
            let (root, target) = url.split_at(path);
            let unknown = || HttpFailure::NoAnswer("it is no server of this source".to_owned());
            let server = self.0.get(root).ok_or_else(unknown)?;
            let answered = server.call(target, &headers, post.as_deref(), answer_bytes_max).await;
            let answer = answered.map_err(|error| match error {
                moneta_notify::Error::TooLarge(_) => HttpFailure::TooLarge,
                moneta_notify::Error::Timeout(time) => HttpFailure::NoAnswer(format!("nothing came within {time:?}")),
                error => HttpFailure::NoAnswer(chain(&error)),
            })?;
            Ok(HttpAnswer { status: answer.status, headers: answer.headers, body: answer.body })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(text: &str) -> Result<Microsoft365Options, String> {
        let source: Microsoft365Source = toml::from_str(text).unwrap();
        let config = Microsoft365Config { sources: vec![source] };
        let notify = NotifyConfig { allow_private_hosts: vec!["127.0.0.1".to_owned()], ..NotifyConfig::default() };
        config.build(&notify).map(|mut sources| sources.remove(0))
    }

    #[test]
    fn three_identifiers_and_a_secret_suffice() {
        let secret = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(secret.path(), "q8~secret\n").unwrap();
        let whole =
            format!("name = \"contoso\"\ntenant = \"t-1\"\nclient = \"c-1\"\nsecret_file = {:?}\n", secret.path());
        let options = build(&whole).unwrap();
        assert_eq!(options.content_types, CONTENT_TYPES);
        assert_eq!(options.lists, GraphList::ALL);
        assert!(matches!(&options.sign_in.proof, SignInProof::Secret(secret) if secret == "q8~secret"));
        assert!(!format!("{:?}", options.sign_in).contains("q8~secret"));
        for (more, part) in [
            ("activity = [\"DLP.All\"]\ngraph = []", ""),
            ("activity = []\ngraph = []", "nothing is left"),
            ("activity = [\"Audit.Teams\"]", "there are Audit.AzureActiveDirectory"),
            ("graph = [\"signins\"]", "there are signIns, directoryAudits, alerts_v2"),
            ("certificate = \"c\"", "give secret_file, or certificate and key"),
            ("poll_seconds = 1", "poll_seconds is from 5"),
            ("overlap_minutes = 1000", "overlap_minutes is from 0"),
            ("history_hours = 200", "history_hours is from 0"),
            ("graph_url = \"https://graph.microsoft.us/\"", ""),
            ("graph_url = \"https://graph.microsoft.com/v1.0\"", "scheme and host only"),
            ("graph_url = \"http://graph.example\"", "not encrypted"),
            ("graph_url = \"http://127.0.0.1:1\"", ""),
        ] {
            let found = build(&format!("{whole}{more}")).err().unwrap_or_default();
            assert!(if part.is_empty() { found.is_empty() } else { found.contains(part) }, "{more}: {found}");
        }
        for (key, part) in [("secret_file", "give secret_file"), ("tenant", "tenant"), ("name", "a name is a word")] {
            let text: String =
                whole.lines().filter(|line| !line.starts_with(key)).map(|line| format!("{line}\n")).collect();
            let found = build(&text).err().unwrap_or_default();
            assert!(found.contains(part), "{key}: {found}");
        }
    }

    #[tokio::test]
    async fn only_the_servers_of_a_source_are_called_and_no_private_address() {
        let public = "https://login.example".to_owned();
        let private = "https://10.0.0.1".to_owned();
        let servers = Servers::new([&public, &private, &public], &NotifyConfig::default()).unwrap();
        let call = |url: &str| {
            let (url, headers) = (url.to_owned(), vec![("authorization", "Bearer x".to_owned())]);
            servers.call(HttpRequest { url, headers, post: None, answer_bytes_max: 1 })
        };
        let reason = |failure: HttpFailure| failure.to_string();
        assert!(reason(call("https://other.example/a").await.unwrap_err()).contains("no server of this source"));
        assert!(reason(call("https://10.0.0.1/a").await.unwrap_err()).contains("is private"));
    }
}
