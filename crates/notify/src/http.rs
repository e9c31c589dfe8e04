//! Calls of one server over HTTP/1.1, directly or through a proxy, one call a connection: of receivers of alerts, of whose
//! answers only the status counts and when to come again, and of servers whose answers others read.
//!
//! # Source
//! RFC 9112 (messages; section 7.1, chunks), RFC 9110, section 15.2 (interim answers) and 10.2.3 (`Retry-After`, in
//! seconds).

use std::sync::OnceLock;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_rustls::TlsConnector;
use url::{Position, Url};

use crate::tls::{Peer, Stream};
use crate::{Error, Proxy, address};

/// Bytes of the head of an answer at most.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of the line before a chunk at most.
const CHUNK_LINE_BYTES_MAX: u64 = 1 << 10;
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
        let mut headers = headers.to_vec();
        headers.push(("Content-Type", "application/json".to_owned()));
        let head = self.head("POST", &self.target, &headers, Some(body.len()))?;
        let read = async {
            let answer = read_head(&mut self.send(head.as_bytes(), body).await?).await;
            answer.map_err(reading)
        };
        let Head { status, retry_after } = self.in_time(read).await?;
        match status {
            200..=299 => Ok(()),
            status => Err(Error::Refused { status, retry_after }),
        }
    }

    /// The head of a request.
    fn head(
        &self,
        method: &str,
        target: &str,
        headers: &[(&str, String)],
        body_bytes: Option<usize>,
    ) -> Result<String, Error> {
        let is_text = |text: &str| text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
        if !headers.iter().all(|(_, value)| is_text(value)) || !target.chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::Unsendable("what goes into a header is no plain text"));
        }
        let length = body_bytes.map(|bytes| format!("Content-Length: {bytes}\r\n")).unwrap_or_default();
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        Ok(format!(
            "{method} {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: moneta/{}\r\nAccept: */*\r\n{length}\
             Connection: close\r\n{headers}\r\n",
            self.host,
            env!("CARGO_PKG_VERSION"),
        ))
    }

    async fn send(&self, head: &[u8], body: &[u8]) -> Result<BufReader<Box<dyn Stream>>, Error> {
        let mut stream = self.connect().await?;
        let sending = |source| Error::Connection { doing: "sending", source };
        stream.write_all(&[head, body].concat()).await.map_err(sending)?;
        stream.flush().await.map_err(sending)?;
        Ok(BufReader::new(stream))
    }

    async fn in_time<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::time::timeout(self.timeout, call).await.map_err(|_| Error::Timeout(self.timeout))?
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

fn reading(source: std::io::Error) -> Error {
    Error::Connection { doing: "reading the answer", source }
}

/// Calls one server, at addresses that were checked, and reads what it answers. No redirect is followed.
#[derive(Debug)]
pub struct CheckedServer(HttpSender);

/// What a server answered, whatever its status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckedAnswer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The whole body.
    pub body: Vec<u8>,
}

impl CheckedServer {
    /// A server, by an address of which only scheme, host and port count. It is checked as far as its text goes; names are
    /// resolved and checked at every call.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Error> {
        HttpSender::new(endpoint).map(Self)
    }

    /// Calls once: a `GET` of a path with its query, or a `POST` of a text.
    ///
    /// # Errors
    /// [`Error::TooLarge`] for an answer with a body of more than `answer_bytes_max` bytes, and whatever keeps the server
    /// from being called.
    pub async fn call(
        &self,
        target: &str,
        headers: &[(&str, String)],
        post: Option<&str>,
        answer_bytes_max: usize,
    ) -> Result<CheckedAnswer, Error> {
        let method = if post.is_some() { "POST" } else { "GET" };
        let head = self.0.head(method, target, headers, post.map(str::len))?;
        let read = async {
            let mut stream = self.0.send(head.as_bytes(), post.unwrap_or_default().as_bytes()).await?;
            read_answer(&mut stream, answer_bytes_max).await
        };
        self.0.in_time(read).await
    }
}

/// Reads an answer to its end.
async fn read_answer(
    stream: &mut (impl AsyncBufRead + Unpin),
    answer_bytes_max: usize,
) -> Result<CheckedAnswer, Error> {
    let (head, text) = read_head_text(stream).await.map_err(reading)?;
    let headers = text.lines().skip(1).filter_map(|line| line.split_once(':'));
    let headers = headers.map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    let mut answer = CheckedAnswer { status: head.status, headers: headers.collect(), body: Vec::new() };
    let header = |name: &str| answer.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str());
    let is_chunked = header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked"));
    let length =
        header("content-length").map(|text| text.parse::<usize>().map_err(|_| reading(wrong()))).transpose()?;
    let body = &mut answer.body;
    match (head.status, is_chunked, length) {
        (204 | 304, ..) => {}
        (_, true, _) => read_chunks(stream, body, answer_bytes_max).await?,
        (_, false, Some(length)) => read_exactly(stream, body, length, answer_bytes_max).await?,
        (_, false, None) => {
            stream.take(answer_bytes_max as u64 + 1).read_to_end(body).await.map_err(reading)?;
            if body.len() > answer_bytes_max {
                return Err(Error::TooLarge(answer_bytes_max));
            }
        }
    }
    Ok(answer)
}

/// Reads chunks up to the last one. What may come behind that (trailers) is of no interest: the connection ends.
async fn read_chunks(
    stream: &mut (impl AsyncBufRead + Unpin),
    body: &mut Vec<u8>,
    answer_bytes_max: usize,
) -> Result<(), Error> {
    loop {
        let mut line = Vec::new();
        stream.take(CHUNK_LINE_BYTES_MAX).read_until(b'\n', &mut line).await.map_err(reading)?;
        let line = std::str::from_utf8(&line).ok().and_then(|line| line.strip_suffix('\n'));
        let size = line.and_then(|line| line.split(';').next()).map(str::trim).filter(|size| !size.starts_with('+'));
        let size = size.and_then(|size| usize::from_str_radix(size, 16).ok()).ok_or_else(|| reading(wrong()))?;
        if size == 0 {
            return Ok(());
        }
        read_exactly(stream, body, size, answer_bytes_max).await?;
        let mut end = [0; 2];
        stream.read_exact(&mut end).await.map_err(reading)?;
        if end != *b"\r\n" {
            return Err(reading(wrong()));
        }
    }
}

/// Adds so many bytes, unless that is too much in all.
async fn read_exactly(
    stream: &mut (impl AsyncBufRead + Unpin),
    body: &mut Vec<u8>,
    length: usize,
    answer_bytes_max: usize,
) -> Result<(), Error> {
    if length > answer_bytes_max.saturating_sub(body.len()) {
        return Err(Error::TooLarge(answer_bytes_max));
    }
    let read = stream.take(length as u64).read_to_end(body).await.map_err(reading)?;
    if read == length { Ok(()) } else { Err(reading(std::io::ErrorKind::UnexpectedEof.into())) }
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
    read_head_text(stream).await.map(|(head, _)| head)
}

fn wrong() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "the answer is none of HTTP/1")
}

/// As [`read_head`], with its text.
async fn read_head_text(stream: &mut (impl AsyncRead + Unpin)) -> std::io::Result<(Head, String)> {
    for _ in 0..=INTERIM_MAX {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") && !text.ends_with(b"\n\n") {
            if text.len() == HEAD_BYTES_MAX {
                return Err(wrong());
            }
            text.push(stream.read_u8().await?);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let head = parse_head(&text).ok_or_else(wrong)?;
        if !(100..200).contains(&head.status) {
            return Ok((head, text));
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

    #[tokio::test]
    async fn the_body_of_an_answer_is_read_whole_or_is_an_error() {
        let read = async |text: &str| {
            let answer = read_answer(&mut text.as_bytes(), 10).await;
            answer.map(|answer| String::from_utf8(answer.body).unwrap()).map_err(|error| error.to_string())
        };
        for (rest, body) in [
            ("Content-Length: 4\r\n\r\nbodymore", "body"),
            ("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nA;x=y\r\n0123\r\n\r\n", ""),
            ("Transfer-Encoding: Chunked\r\n\r\n4\r\nbody\r\n2;x=y\r\n01\r\n0\r\n\r\n", "body01"),
            ("\r\nto the end", "to the end"),
            ("Content-Length: 0\r\n\r\n", ""),
        ] {
            let answer = read(&format!("HTTP/1.1 200 OK\r\n{rest}")).await;
            match body.is_empty() && rest.contains("0123") {
                true => assert!(answer.unwrap_err().contains("more than 10 bytes"), "{rest}"),
                false => assert_eq!(answer.as_deref(), Ok(body), "{rest}"),
            }
        }
        for cut in [
            "Content-Length: 5\r\n\r\nbody",
            "Content-Length: -1\r\n\r\nbody",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
            "Transfer-Encoding: chunked\r\n\r\n4\r\nbodymore",
            "Transfer-Encoding: chunked\r\n\r\n+4\r\nbody\r\n0\r\n\r\n",
        ] {
            assert!(read(&format!("HTTP/1.1 200 OK\r\n{cut}")).await.unwrap_err().contains("reading"), "{cut}");
        }
        for long in ["Content-Length: 11\r\n\r\nto the end!", "\r\nto the end!"] {
            assert!(read(&format!("HTTP/1.1 200 OK\r\n{long}")).await.unwrap_err().contains("more than 10 bytes"));
        }
        let answer = read_answer(&mut &b"HTTP/1.1 404 No\r\nNextPageUri: https://x/y\r\n\r\n"[..], 10).await.unwrap();
        assert_eq!(answer.headers, [("nextpageuri".to_owned(), "https://x/y".to_owned())]);
    }
}
