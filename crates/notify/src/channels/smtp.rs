//! The dialog with a mail server, one message a connection.
//!
//! # Source
//! RFC 5321 (SMTP), RFC 3207 (STARTTLS), RFC 4954 (AUTH), RFC 8314 (implicit TLS). Where TLS is wanted there is no way
//! around it: a server that does not offer STARTTLS gets nothing, and what it sends before TLS is forgotten.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::Error;
use crate::tls::{Peer, Stream};

/// Bytes of one reply at most, all its lines together.
const REPLY_BYTES_MAX: usize = 64 << 10;

/// How a connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailTls {
    /// From the first byte (port 465).
    Implicit,
    /// By STARTTLS (port 587 or 25).
    StartTls,
    /// Not at all: to this machine, or where the operator says so.
    None,
}

/// A name and a password.
#[derive(Clone)]
pub struct MailLogin {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// A server and how to speak to it.
pub(super) struct Server {
    pub(super) peer: Peer,
    pub(super) tls: MailTls,
    pub(super) connector: Option<TlsConnector>,
    pub(super) login: Option<MailLogin>,
    /// What this machine calls itself.
    pub(super) hello: String,
}

impl Server {
    /// Gives the server one message. When some receivers are refused or put off, the others get it, and the error is
    /// one that is not tried again.
    ///
    /// `message`: lines that end with CR LF; none begins with a dot.
    pub(super) async fn submit(&self, from: &str, to: &[String], message: &str) -> Result<(), Error> {
        let mut dialog = self.open().await?;
        dialog.ask(&format!("MAIL FROM:<{from}>"), "MAIL", 250).await?;
        let mut refused = None;
        let mut accepted = 0;
        for receiver in to {
            match dialog.ask(&format!("RCPT TO:<{receiver}>"), "RCPT", 250).await {
                Ok(_) => accepted += 1,
                Err(Error::Mail { code, .. }) => refused = Some(code),
                Err(error) => return Err(error),
            }
        }
        if accepted == 0 {
            let nobody = Error::Unsendable("there is nobody to send it to");
            return Err(refused.map_or(nobody, |code| Error::Mail { code, step: "RCPT" }));
        }
        dialog.ask("DATA", "DATA", 354).await?;
        dialog.write(message).await?;
        dialog.ask(".", "the message", 250).await?;
        // It is accepted: what becomes of the goodbye does not matter.
        let _ = dialog.ask("QUIT", "QUIT", 221).await;
        refused.map_or(Ok(()), |code| Err(Error::PartlyRefused { code }))
    }

    /// A connection that is ready for a message.
    async fn open(&self) -> Result<Dialog, Error> {
        let stream = self.peer.connect(self.tls != MailTls::None).await?;
        let stream: Box<dyn Stream> = match (&self.connector, self.tls) {
            (Some(connector), MailTls::Implicit) => self.peer.encrypt(connector, stream).await?,
            _ => Box::new(stream),
        };
        let mut dialog = Dialog { stream, read: Vec::new() };
        dialog.expect("the connection", 220).await?;
        let mut offers = dialog.hello(&self.hello).await?;
        if let (Some(connector), MailTls::StartTls) = (&self.connector, self.tls) {
            if !offers.iter().any(|offer| offer.eq_ignore_ascii_case("STARTTLS")) {
                return Err(Error::Setting("the mail server does not offer STARTTLS".to_owned()));
            }
            dialog.ask("STARTTLS", "STARTTLS", 220).await?;
            // Whatever stands in the buffer came unencrypted, perhaps from somebody else.
            let stream = self.peer.encrypt(connector, dialog.stream).await?;
            dialog = Dialog { stream, read: Vec::new() };
            offers = dialog.hello(&self.hello).await?;
        }
        if let Some(login) = &self.login {
            dialog.log_in(login, &offers).await?;
        }
        Ok(dialog)
    }
}

struct Dialog {
    stream: Box<dyn Stream>,
    /// What was read and belongs to a later reply.
    read: Vec<u8>,
}

impl Dialog {
    async fn write(&mut self, text: &str) -> Result<(), Error> {
        let failed = |source| Error::Connection { doing: "sending", source };
        self.stream.write_all(text.as_bytes()).await.map_err(failed)?;
        self.stream.flush().await.map_err(failed)
    }

    /// Sends a command and reads the reply, which must have this code.
    async fn ask(&mut self, command: &str, step: &'static str, code: u16) -> Result<Vec<String>, Error> {
        self.write(&format!("{command}\r\n")).await?;
        self.expect(step, code).await
    }

    /// Reads a reply; its texts, one a line.
    async fn expect(&mut self, step: &'static str, expected: u16) -> Result<Vec<String>, Error> {
        let (code, texts) = self.reply().await?;
        // 251: the receiver is elsewhere, and the server takes care of it.
        if code == expected || (expected == 250 && code == 251) { Ok(texts) } else { Err(Error::Mail { code, step }) }
    }

    async fn hello(&mut self, name: &str) -> Result<Vec<String>, Error> {
        self.ask(&format!("EHLO {name}"), "EHLO", 250).await
    }

    async fn log_in(&mut self, login: &MailLogin, offers: &[String]) -> Result<(), Error> {
        let ways: Vec<String> = offers
            .iter()
            .filter_map(|offer| offer.strip_prefix("AUTH ").or_else(|| offer.strip_prefix("AUTH=")))
            .flat_map(str::split_whitespace)
            .map(str::to_ascii_uppercase)
            .collect();
        if ways.iter().any(|way| way == "PLAIN") {
            let secret = BASE64.encode(format!("\0{}\0{}", login.user, login.password));
            return self.ask(&format!("AUTH PLAIN {secret}"), "AUTH", 235).await.map(drop);
        }
        if ways.iter().any(|way| way == "LOGIN") {
            self.ask("AUTH LOGIN", "AUTH", 334).await?;
            self.ask(&BASE64.encode(&login.user), "AUTH", 334).await?;
            return self.ask(&BASE64.encode(&login.password), "AUTH", 235).await.map(drop);
        }
        Err(Error::Setting("the mail server offers neither AUTH PLAIN nor AUTH LOGIN".to_owned()))
    }

    /// Code and texts of the next reply.
    async fn reply(&mut self) -> Result<(u16, Vec<String>), Error> {
        let broken = || Error::Connection {
            doing: "reading a reply",
            source: std::io::Error::new(std::io::ErrorKind::InvalidData, "it is no reply of a mail server"),
        };
        let (mut texts, mut num_bytes) = (Vec::new(), 0);
        loop {
            let line = self.line().await?;
            num_bytes += line.len();
            let (code, rest) = line.split_at_checked(3).ok_or_else(broken)?;
            let code: u16 = code.parse().map_err(|_| broken())?;
            texts.push(rest.get(1..).unwrap_or_default().trim().to_owned());
            if !rest.starts_with('-') {
                return Ok((code, texts));
            }
            if num_bytes > REPLY_BYTES_MAX {
                return Err(broken());
            }
        }
    }

    async fn line(&mut self) -> Result<String, Error> {
        let failed = |source| Error::Connection { doing: "reading a reply", source };
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Ok(String::from_utf8_lossy(&line).trim_end().to_owned());
            }
            if self.read.len() > REPLY_BYTES_MAX {
                return Err(failed(std::io::Error::new(std::io::ErrorKind::InvalidData, "a line is too long")));
            }
            if self.stream.read_buf(&mut self.read).await.map_err(failed)? == 0 {
                return Err(failed(std::io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }
}
