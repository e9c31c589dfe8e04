//! The proxy that leads out of a network that has no other way: a tunnel to an address that was checked.
//!
//! The name of a receiver is resolved and its addresses are checked here, as without a proxy, and the proxy is asked for
//! one of these addresses, never for the name: it cannot be led elsewhere by what the name becomes a moment later. What
//! goes through the tunnel is encrypted for the receiver, whose certificate must have the name.
//!
//! # Source
//! RFC 9110, section 9.3.6 (CONNECT).

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use url::Url;

use crate::Error;
use crate::http::read_head;

/// Addresses of one receiver that a proxy is asked for at most.
const ADDRESSES_MAX: usize = 4;

/// An HTTP proxy. The operator names it, so it may be anywhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    host: String,
    port: u16,
}

impl Proxy {
    /// Reads the address of a proxy, `http://proxy.example.org:3128`.
    ///
    /// # Errors
    /// [`Error::Setting`] for another form.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong =
            || Error::Setting(format!("{text:?} is no proxy; write http://HOST:PORT, without a path or a name"));
        let url = Url::parse(text).map_err(|_| wrong())?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        match (url.scheme(), url.host_str(), url.port_or_known_default()) {
            ("http", Some(host), Some(port)) if is_bare && is_anonymous => {
                Ok(Self { host: host.trim_matches(['[', ']']).to_owned(), port })
            }
            _ => Err(wrong()),
        }
    }

    /// A tunnel to the first of some checked addresses that the proxy leads to.
    pub(crate) async fn connect(&self, checked: &[SocketAddr]) -> Result<TcpStream, Error> {
        let mut last = Error::NoHost;
        for address in checked.iter().take(ADDRESSES_MAX) {
            match self.tunnel(*address).await {
                Ok(stream) => return Ok(stream),
                Err(error @ Error::Proxy { .. }) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn tunnel(&self, to: SocketAddr) -> Result<TcpStream, Error> {
        let failed = |source| Error::Connection { doing: "asking the proxy", source };
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await.map_err(failed)?;
        let request = format!("CONNECT {to} HTTP/1.1\r\nHost: {to}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        let status = read_head(&mut stream).await.map_err(failed)?.status;
        if (200..300).contains(&status) { Ok(stream) } else { Err(Error::Proxy { status }) }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_next_checked_address_is_asked_for_when_one_leads_nowhere() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy = Proxy::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for answer in ["502 No", "200 Go", "403 Never"] {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                let mut line = String::new();
                while stream.read_line(&mut line).await.unwrap() > 2 {}
                asked.push(line.lines().next().unwrap_or_default().to_owned());
                stream.write_all(format!("HTTP/1.1 {answer}\r\n\r\n").as_bytes()).await.unwrap();
            }
            asked
        });
        let checked: Vec<SocketAddr> = ["[2606:4700::1]:443", "1.1.1.1:443"].map(|text| text.parse().unwrap()).into();
        assert!(proxy.connect(&checked).await.is_ok());
        assert!(matches!(proxy.connect(&checked[1..]).await, Err(Error::Proxy { status: 403 })));
        let line = |address: &str| format!("CONNECT {address} HTTP/1.1");
        assert_eq!(asked.await.unwrap(), [line("[2606:4700::1]:443"), line("1.1.1.1:443"), line("1.1.1.1:443")]);
        assert!(matches!(proxy.connect(&[]).await, Err(Error::NoHost)));
    }

    #[test]
    fn a_proxy_is_a_host_and_a_port() {
        let proxy = |text| Proxy::parse(text).map(|proxy| (proxy.host, proxy.port)).ok();
        assert_eq!(proxy("http://proxy.example.org:3128"), Some(("proxy.example.org".to_owned(), 3128)));
        assert_eq!(proxy("http://[::1]/"), Some(("::1".to_owned(), 80)));
        for bad in ["proxy:3128", "https://proxy:3128", "http://u:p@proxy", "http://proxy/path", "http://proxy?q", ""] {
            assert_eq!(proxy(bad), None, "{bad:?}");
        }
    }
}
