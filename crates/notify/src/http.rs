//! Calls of one address over HTTP/1.1, directly or through a proxy: one call a connection, and of the answer only its
//! status and when to come again.
//!
//! # Source
//! RFC 9112 (messages), RFC 9110, section 15.2 (interim answers) and 10.2.3 (`Retry-After`, in seconds).

use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use crate::tls::{Peer, Stream};
use crate::{Error, Proxy, address};

/// Bytes of the head of an answer at most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Interim answers before the answer at most.
const INTERIM_MAX: usize = 8;
/// A receiver cannot make Moneta wait longer than this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// An address to call and what is allowed on the way there.
#[derive(Clone)]
pub struct Endpoint {
    /// The address, without credentials.
    pub url: String,
    /// Hosts that may have private addresses, and loopback ones without encryption. They are inside: no proxy is asked for
    /// them.
    pub allow_private_hosts: Vec<String>,
    /// Whether the call may go unencrypted beyond this machine.
    pub allow_plaintext: bool,
    /// Authorities of the receiver's certificate, in PEM; those of the system when absent.
    pub authority: Option<std::path::PathBuf>,
    /// The proxy that leads out; the call goes directly when absent.
    pub proxy: Option<Proxy>,
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
pub(crate) struct HttpSender {
    peer: Peer,
    /// Host and, where it is not the usual one, port.
    host: String,
    /// Path and query. Of a webhook they often are a secret: they do not belong into messages.
    target: String,
    encrypted: bool,
    proxy: Option<Proxy>,
    timeout: Duration,
    /// Made at the first call, unless authorities were named.
    connector: OnceLock<TlsConnector>,
}

impl std::fmt::Debug for HttpSender {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpSender").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl HttpSender {
    /// Checks the address as far as its text goes; names are resolved and checked at every call.
    pub(crate) fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        let url = Url::parse(&endpoint.url).map_err(Error::NotAUrl)?;
        let host = url.host_str().ok_or(Error::NoHost)?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::Credentials);
        }
        let is_inside = address::is_listed(host, &endpoint.allow_private_hosts);
        let encrypted = url.scheme() == "https";
        let may_be_plain = url.scheme() == "http" && (is_inside || endpoint.allow_plaintext);
        if !encrypted && !may_be_plain {
            return Err(Error::Plaintext(host.to_owned()));
        }
        let peer = Peer {
            address: format!("{host}:{}", url.port_or_known_default().ok_or(Error::NoHost)?),
            allow_private_hosts: endpoint.allow_private_hosts.clone(),
            allow_plaintext: endpoint.allow_plaintext,
            authority: endpoint.authority.clone(),
        };
        let connector = OnceLock::new();
        if encrypted && peer.authority.is_some() {
            let _ = connector.set(peer.connector()?);
        }
        Ok(Self {
            peer,
            host: url[Position::BeforeHost..Position::AfterPort].to_owned(),
            target: url[Position::BeforePath..Position::AfterQuery].to_owned(),
            encrypted,
            proxy: endpoint.proxy.clone().filter(|_| !is_inside),
            timeout: endpoint.timeout,
            connector,
        })
    }

    /// Sends a JSON body once. What the receiver answers is not passed on, but for its status.
    pub(crate) async fn post(&self, headers: &[(&str, String)], body: &[u8]) -> Result<(), Error> {
        let is_text = |text: &str| text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if !headers.iter().all(|(_, value)| is_text(value)) {
            return Err(Error::Unsendable("what goes into a header is no plain text"));
        }
        let head = self.head(headers, body.len());
        let called = tokio::time::timeout(self.timeout, self.call(head.as_bytes(), body)).await;
        let Head { status, retry_after } = called.map_err(|_| Error::Timeout(self.timeout))??;
        match status {
            200..=299 => Ok(()),
            status => Err(Error::Refused { status, retry_after }),
        }
    }

    fn head(&self, headers: &[(&str, String)], body_bytes: usize) -> String {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!(
            "POST {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: moneta/{}\r\nAccept: */*\r\nContent-Type: application/json\r\n\
             Content-Length: {body_bytes}\r\nConnection: close\r\n{headers}\r\n",
            self.target,
            self.host,
            env!("CARGO_PKG_VERSION"),
        )
    }

    async fn call(&self, head: &[u8], body: &[u8]) -> Result<Head, Error> {
        let mut stream = self.connect().await?;
        let sending = |source| Error::Connection { doing: "sending", source };
        stream.write_all(&[head, body].concat()).await.map_err(sending)?;
        stream.flush().await.map_err(sending)?;
        let answer = read_head(&mut BufReader::new(stream)).await;
        answer.map_err(|source| Error::Connection { doing: "reading the answer", source })
    }

    /// A connection to one of the addresses just checked and to nothing else.
    async fn connect(&self) -> Result<Box<dyn Stream>, Error> {
        let stream = match &self.proxy {
            Some(proxy) => proxy.connect(&self.peer.resolve(self.encrypted).await?).await?,
            None => self.peer.connect(self.encrypted).await?,
        };
        if !self.encrypted {
            return Ok(Box::new(stream));
        }
        let connector = match self.connector.get() {
            Some(connector) => connector,
            None => {
                let made = self.peer.connector()?;
                self.connector.get_or_init(|| made)
            }
        };
        self.peer.encrypt(connector, stream).await
    }
}

/// What is used of an answer.
pub(crate) struct Head {
    pub(crate) status: u16,
    /// When the receiver wants to be called again, bounded.
    retry_after: Option<Duration>,
}

/// Reads the head of an answer, and none of what follows. Interim answers are passed over.
///
/// # Errors
/// When the connection breaks, or what comes is no answer of HTTP/1 or too long.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Head> {
    let wrong = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is none of HTTP/1");
    for _ in 0..=INTERIM_MAX {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") && !text.ends_with(b"\n\n") {
            if text.len() == HEAD_BYTES_MAX {
                return Err(wrong());
            }
            text.push(stream.read_u8().await?);
        }
        let head = parse_head(&String::from_utf8_lossy(&text)).ok_or_else(wrong)?;
        if !(100..200).contains(&head.status) {
            return Ok(head);
        }
    }
    Err(wrong())
}

fn parse_head(text: &str) -> Option<Head> {
    let mut lines = text.lines();
    let (version, rest) = lines.next()?.split_once(' ')?;
    let status = rest.split(' ').next().filter(|status| status.len() == 3)?.parse().ok()?;
    if !matches!(version, "HTTP/1.1" | "HTTP/1.0") || status < 100 {
        return None;
    }
    let seconds = lines.filter_map(|line| line.split_once(':'));
    let seconds = seconds.filter(|(name, _)| name.eq_ignore_ascii_case("retry-after"));
    let retry_after = seconds.filter_map(|(_, value)| value.trim().parse().ok()).next();
    Some(Head { status, retry_after: retry_after.map(|seconds| Duration::from_secs(seconds).min(RETRY_AFTER_MAX)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_is_read_to_its_end_and_no_further() {
        let read = async |text: &str| {
            let mut bytes = text.as_bytes();
            let head = read_head(&mut bytes).await;
            head.map(|head| (head.status, head.retry_after.map(|after| after.as_secs()), bytes.len())).ok()
        };
        assert_eq!(read("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody").await, Some((200, None, 4)));
        assert_eq!(read("HTTP/1.0 503\r\nRetry-After: 7\r\n\r\n").await, Some((503, Some(7), 0)));
        assert_eq!(read("HTTP/1.1 429 Later\nretry-after: 999999\n\n").await, Some((429, Some(60), 0)));
        assert_eq!(read("HTTP/1.1 100 Go on\r\n\r\nHTTP/1.1 201 Made\r\n\r\n").await, Some((201, None, 0)));
        for bad in ["", "HTTP/1.1 200 OK\r\n", "HTTP/2 200 OK\r\n\r\n", "220 mail\r\n\r\n", "HTTP/1.1 2000 x\r\n\r\n"] {
            assert_eq!(read(bad).await, None, "{bad:?}");
        }
        let long = format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
        assert_eq!(read(&long).await, None);
        assert_eq!(read(&"HTTP/1.1 102 Wait\r\n\r\n".repeat(INTERIM_MAX + 2)).await, None);
    }
}
