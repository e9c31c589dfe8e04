//! Calls of one address over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use tokio::sync::Mutex;
use url::Url;

use crate::{Error, address};

/// Bytes of an answer that are read and thrown away, so that the connection can be used again.
const ANSWER_BYTES_MAX: usize = 4 << 10;
/// A receiver cannot make Moneta wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// An address to call and what is allowed on the way there.
#[derive(Clone)]
pub struct Endpoint {
    /// The address, without credentials.
    pub url: String,
    /// Hosts that may have private addresses, and loopback ones without encryption.
    pub allow_private_hosts: Vec<String>,
    /// Whether the call may go unencrypted beyond this machine.
    pub allow_plaintext: bool,
    /// How long one call may take.
    pub timeout: Duration,
}

impl std::fmt::Debug for Endpoint {
    /// Prints no address: its path often is a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

/// Calls one address.
#[derive(Debug)]
pub(crate) struct HttpSender {
    url: Url,
    allow_private: bool,
    allow_plaintext: bool,
    timeout: Duration,
    /// The client of the addresses last resolved: connections are kept while they stay the same.
    client: Mutex<Option<(Vec<SocketAddr>, reqwest::Client)>>,
}

impl HttpSender {
    /// Checks the address as far as its text goes; names are resolved and checked at every call.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let url = Url::parse(&endpoint.url).map_err(Error::NotAUrl)?;
        let host = url.host_str().ok_or(Error::NoHost)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Credentials);
        }
        let allow_private = address::is_listed(host, &endpoint.allow_private_hosts);
        let plain = url.scheme() == "http" && (allow_private || endpoint.allow_plaintext);
        if url.scheme() != "https" && !plain {
            return Err(Error::Plaintext(host.to_owned()));
        }
        let (allow_plaintext, timeout) = (endpoint.allow_plaintext, endpoint.timeout);
        Ok(Self { url, allow_private, allow_plaintext, timeout, client: Mutex::default() })
    }

    /// Sends a JSON body once. What the receiver answers is not passed on, but for its status.
    pub(crate) async fn post(&self, headers: HeaderMap, body: Vec<u8>) -> Result<(), Error> {
        let client = self.client().await?;
        let json = HeaderValue::from_static("application/json");
        let request = client.post(self.url.clone()).header(CONTENT_TYPE, json).headers(headers).body(body);
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
        let host = self.url.host_str().ok_or(Error::NoHost)?;
        let port = self.url.port_or_known_default().unwrap_or(443);
        let addresses = address::resolve(host, port, self.allow_private).await?;
        if self.url.scheme() != "https" && !self.allow_plaintext && !address::is_here(&addresses) {
            return Err(Error::Plaintext(host.to_owned()));
        }
        let mut current = self.client.lock().await;
        if let Some((known, client)) = &*current
            && *known == addresses
        {
            return Ok(client.clone());
        }
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
