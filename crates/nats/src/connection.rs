//! One connection to one server.

use std::io;

use aws_lc_rs::rand;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::wire::{Incoming, Message, Operation};
use crate::{Error, Login};

/// Bytes of the first line of a server at most.
const GREETING_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read at once.
const READ_BYTES: usize = 64 << 10;
/// The number of the one subscription that a connection has.
const INBOX_ID: u32 = 1;

/// The bytes of one connection.
pub trait Transport: Send {
    /// Sends all of them.
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>>;

    /// Reads what is there, and waits where nothing is; 0 bytes are the end. Giving up the wait loses nothing.
    fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>>;
}

/// What a server says of itself before anything else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ServerInfo {
    /// Bytes of a message at most.
    pub max_payload: usize,
    /// Whether it knows headers, which JetStream needs.
    pub headers: bool,
    /// Whether it wants TLS.
    pub tls_required: bool,
    /// Whether it takes TLS.
    pub tls_available: bool,
    /// What it wants signed.
    nonce: Option<String>,
}

/// Reads the line with which a server begins, and not a byte more: TLS may come next.
///
/// # Errors
/// See [`Error`].
pub async fn greet(transport: &mut dyn Transport) -> Result<ServerInfo, Error> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while byte[0] != b'\n' {
        if line.len() >= GREETING_BYTES_MAX {
            return Err(Error::TooLong { length: line.len(), max: GREETING_BYTES_MAX });
        }
        if transport.read(&mut byte).await? == 0 {
            return Err(Error::Connection(io::ErrorKind::UnexpectedEof.into()));
        }
        line.push(byte[0]);
    }
    let mut incoming = Incoming::default();
    incoming.push(&line);
    match incoming.next()? {
        Some(Operation::Info(json)) => {
            let info: ServerInfo =
                serde_json::from_slice(&json).map_err(|_| Error::NotNats("what it says of itself is no JSON"))?;
            if info.headers { Ok(info) } else { Err(Error::NotNats("it is older than JetStream: it knows no headers")) }
        }
        Some(Operation::Refused(reason)) => Err(Error::Refused(reason)),
        _ => Err(Error::NotNats("it does not begin with what it is")),
    }
}

/// A connection that is signed in. After an error, or a request that was given up half-way, it is unusable.
pub struct Connection {
    transport: Box<dyn Transport>,
    incoming: Incoming,
    /// What is to be sent.
    outgoing: Vec<u8>,
    /// Where answers go: a subject that nobody can guess.
    inbox: String,
    /// What the last request is numbered.
    number: u64,
}

impl Connection {
    /// Signs in at a server that was greeted, and listens for answers. `encrypted` says whether TLS is spoken.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn open(
        transport: Box<dyn Transport>,
        info: &ServerInfo,
        login: Option<&Login>,
        encrypted: bool,
    ) -> Result<Self, Error> {
        let mut random = [0; 16];
        rand::fill(&mut random).map_err(|_| io::Error::other("the machine gives no randomness"))?;
        let inbox = format!("_INBOX.{}", hex::encode(random));
        let mut connection = Self { transport, incoming: Incoming::default(), outgoing: Vec::new(), inbox, number: 0 };
        let connect = Json::Object(connect(info, login, encrypted)?);
        let inbox = &connection.inbox;
        let said = format!("CONNECT {connect}\r\nPING\r\nSUB {inbox}.* {INBOX_ID}\r\n");
        connection.outgoing.extend_from_slice(said.as_bytes());
        connection.flush().await?;
        loop {
            match connection.incoming.next()? {
                Some(Operation::Pong) => return Ok(connection),
                Some(Operation::Refused(reason)) => return Err(Error::Refused(reason)),
                Some(Operation::Message(_)) => return Err(Error::NotNats("a message came that nobody asked for")),
                Some(_) => {}
                None => connection.fill().await?,
            }
        }
    }

    /// Asks and waits for the answer. Whatever else comes meanwhile is passed over.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn request(&mut self, subject: &str, payload: &[u8]) -> Result<Vec<u8>, Error> {
        let reply = self.ask(subject, payload);
        self.flush().await?;
        loop {
            match self.take()? {
                Some(message) if message.subject == reply => {
                    return match message.status() {
                        Some((503, _)) => Err(Error::NobodyAnswers { subject: subject.to_owned() }),
                        _ => Ok(message.payload),
                    };
                }
                Some(_) => {}
                None => {
                    self.flush().await?;
                    self.fill().await?;
                }
            }
        }
    }

    /// Asks with the next [`flush`](Self::flush), and answers the subject to which the answers come.
    pub(crate) fn ask(&mut self, subject: &str, payload: &[u8]) -> String {
        self.number += 1;
        let reply = format!("{}.{}", self.inbox, self.number);
        self.publish(subject, Some(&reply), payload);
        reply
    }

    /// Publishes with the next [`flush`](Self::flush).
    pub(crate) fn publish(&mut self, subject: &str, reply: Option<&str>, payload: &[u8]) {
        let (reply, space) = reply.map_or(("", ""), |reply| (reply, " "));
        let line = format!("PUB {subject} {reply}{space}{}\r\n", payload.len());
        self.outgoing.extend_from_slice(line.as_bytes());
        self.outgoing.extend_from_slice(payload);
        self.outgoing.extend_from_slice(b"\r\n");
    }

    /// The next message that has come whole. What the server wants answered is answered with the next
    /// [`flush`](Self::flush).
    ///
    /// # Errors
    /// See [`Error`].
    pub fn take(&mut self) -> Result<Option<Message>, Error> {
        loop {
            match self.incoming.next()? {
                None => return Ok(None),
                Some(Operation::Message(message)) => return Ok(Some(message)),
                Some(Operation::Ping) => self.outgoing.extend_from_slice(b"PONG\r\n"),
                Some(Operation::Refused(reason)) => return Err(Error::Refused(reason)),
                Some(Operation::Pong | Operation::Fine | Operation::Info(_)) => {}
            }
        }
    }

    /// Sends what is to be sent.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        if !self.outgoing.is_empty() {
            let said = std::mem::take(&mut self.outgoing);
            self.transport.write(&said).await?;
        }
        Ok(())
    }

    /// Waits for bytes. Giving up the wait loses nothing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn fill(&mut self) -> Result<(), Error> {
        let mut buffer = vec![0; READ_BYTES];
        match self.transport.read(&mut buffer).await? {
            0 => Err(Error::Connection(io::ErrorKind::UnexpectedEof.into())),
            length => {
                self.incoming.push(&buffer[..length]);
                Ok(())
            }
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What a client says of itself.
fn connect(info: &ServerInfo, login: Option<&Login>, encrypted: bool) -> Result<Map<String, Json>, Error> {
    let mut connect = Map::new();
    for (name, value) in [
        ("verbose", false),
        ("pedantic", false),
        ("echo", false),
        ("headers", true),
        ("no_responders", true),
        ("tls_required", encrypted),
    ] {
        connect.insert(name.to_owned(), value.into());
    }
    for (name, value) in [("name", "moneta"), ("lang", "rust"), ("version", env!("CARGO_PKG_VERSION"))] {
        connect.insert(name.to_owned(), value.into());
    }
    connect.insert("protocol".to_owned(), 1.into());
    if let Some(login) = login {
        login.write(info.nonce.as_deref(), &mut connect)?;
    }
    Ok(connect)
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    /// A server that says what it is to say, a byte at a time, and keeps what it is told.
    struct Said {
        says: std::vec::IntoIter<u8>,
        told: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    }

    impl Said {
        fn new(says: &str) -> Self {
            Self { says: says.as_bytes().to_vec().into_iter(), told: std::sync::Arc::default() }
        }
    }

    impl Transport for Said {
        fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
            self.told.lock().unwrap().extend_from_slice(bytes);
            Box::pin(async { Ok(()) })
        }

        fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<usize>> {
            let byte = self.says.next();
            Box::pin(async move {
                byte.into_iter().for_each(|byte| buffer[0] = byte);
                Ok(usize::from(byte.is_some()))
            })
        }
    }

    const INFO: &str = "INFO {\"headers\":true,\"max_payload\":1048576,\"nonce\":\"abc\",\"tls_required\":true}\r\n";

    #[test]
    fn a_greeting_is_read_to_its_end_and_no_further() {
        let mut server = Said::new(&format!("{INFO}\x16\x03"));
        let info = block_on(greet(&mut server)).unwrap();
        assert!(info.tls_required && info.nonce.as_deref() == Some("abc"));
        assert_eq!(server.says.next(), Some(0x16));
        for wrong in ["", "PING\r\n", "INFO x\r\n", "INFO {}\r\n", "-ERR 'full'\r\n", &"A".repeat(GREETING_BYTES_MAX)] {
            assert!(block_on(greet(&mut Said::new(wrong))).is_err(), "{wrong:.20}");
        }
    }

    #[test]
    fn who_is_refused_hears_why_and_who_is_not_may_ask() {
        let info = ServerInfo { headers: true, ..ServerInfo::default() };
        let open = |says: &str| block_on(Connection::open(Box::new(Said::new(says)), &info, None, false));
        let refused = open("-ERR 'Authorization Violation'\r\n").unwrap_err();
        assert!(refused.to_string().contains("Authorization Violation"));
        let mut connection = open("PONG\r\nPING\r\n-ERR 'Permissions Violation'\r\n").unwrap();
        assert!(block_on(connection.request("a", b"")).is_err());
        assert!(block_on(open("PONG\r\n").unwrap().request("a", b"")).is_err(), "the connection ends");
    }
}
