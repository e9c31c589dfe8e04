//! One call of a webhook.

use std::net::SocketAddr;
use std::time::Duration;

use moneta_ports::Alert;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use tokio::sync::Mutex;
use url::Url;

use crate::{Error, WebhookOptions, address, signature};

/// Bytes of an answer that are read and thrown away, so that the connection can be used again.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// A receiver cannot make Moneta wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Calls one address.
#[derive(Debug)]
pub(crate) struct Sender {
    url: Url,
    allow_private: bool,
    secret: Vec<u8>,
    timeout: Duration,
    /// The client of the addresses last resolved: connections are kept while they stay the same.
    client: Mutex<Option<(Vec<SocketAddr>, reqwest::Client)>>,
}

impl Sender {
    /// Checks the address as far as its text goes; names are resolved and checked at every call.
    pub(crate) fn new(options: &WebhookOptions) -> Result<Self, Error> {
        let url = Url::parse(&options.url).map_err(Error::NotAUrl)?;
        let host = url.host_str().ok_or(Error::NoHost)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Credentials);
        }
        let bare = |host: &str| host.trim_matches(['[', ']']).to_ascii_lowercase();
        let allow_private = options.allow_private_hosts.iter().any(|allowed| bare(allowed) == bare(host));
        let scheme_ok = url.scheme() == "https" || (url.scheme() == "http" && allow_private);
        if !scheme_ok {
            return Err(Error::Scheme(host.to_owned()));
        }
        let (secret, timeout) = (options.secret.clone(), options.timeout);
        Ok(Self { url, allow_private, secret, timeout, client: Mutex::default() })
    }

    /// Sends the alert once.
    pub(crate) async fn send(&self, alert: &Alert, now_seconds: i64) -> Result<(), Error> {
        let body = serde_json::to_vec(alert).expect("an alert is plain data");
        let id = HeaderValue::from_str(&alert.id).map_err(|_| Error::Unsendable)?;
        let signature = signature::sign(&self.secret, &alert.id, now_seconds, &body);
        let request = self
            .client()
            .await?
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", id)
            .header("webhook-timestamp", now_seconds)
            .header("webhook-signature", signature)
            .body(body);
        // The path of a webhook often is a secret: it does not belong into messages.
        let mut response = request.send().await.map_err(|error| Error::Http(error.without_url()))?;
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        drain(&mut response).await;
        if status.is_success() {
            return Ok(());
        }
        let retry_after = retry_after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX));
        Err(Error::Refused { status: status.as_u16(), retry_after })
    }

    /// A client that can connect to the addresses just checked and to nothing else.
    async fn client(&self) -> Result<reqwest::Client, Error> {
        let addresses = address::resolve(&self.url, self.allow_private).await?;
        let mut current = self.client.lock().await;
        if let Some((known, client)) = &*current
            && *known == addresses
        {
            return Ok(client.clone());
        }
        let host = self.url.host_str().unwrap_or_default();
        let client = reqwest::Client::builder()
            .resolve_to_addrs(host, &addresses)
            .redirect(Policy::none())
            .no_proxy()
            .timeout(self.timeout)
            .user_agent(concat!("moneta/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::Http)?;
        *current = Some((addresses, client.clone()));
        Ok(client)
    }
}

/// Reads a short answer to its end and drops it; a longer one is cut off with its connection.
async fn drain(response: &mut reqwest::Response) {
    let mut read = 0;
    while read < ANSWER_BYTES_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => return,
        }
    }
}
