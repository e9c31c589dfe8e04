//! A client of HTTP that shows exactly what a test wants to see on the wire.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::acknowledged::connect;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

/// A connection that shows the certificate of `client.example.org`.
pub struct Client {
    stream: TlsStream<TcpStream>,
    received: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Self {
        Self { stream: connect(address, Some("client")).await.unwrap(), received: Vec::new() }
    }

    pub async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn post(&mut self, path: &str, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: wec.example.org:5986\r\nContent-Length: {length}\r\n{headers}\r\n");
        self.write(&[head.as_bytes(), body].concat()).await;
        self.answer().await.unwrap()
    }

    /// The next answer; `None` when the other side closed.
    pub async fn answer(&mut self) -> Option<Answer> {
        loop {
            if let Some(answer) = self.whole() {
                return Some(answer);
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(len @ 1..) => self.received.extend_from_slice(&buffer[..len]),
                _ => return None,
            }
        }
    }

    fn whole(&mut self) -> Option<Answer> {
        let end = self.received.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap();
        let named = |name: &str| {
            let lines = head.lines().filter_map(|line| line.split_once(": "));
            lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
        };
        let length: usize = named("content-length").map_or(0, |length| length.parse().unwrap());
        if self.received.len() < end + length {
            return None;
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = self.received[end..end + length].to_vec();
        self.received.drain(..end + length);
        Some(Answer { status, head, body })
    }
}
