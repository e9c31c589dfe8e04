//! Syslog: a message of RFC 5424 whose text is an event in ArcSight's Common Event Format.
//!
//! # Source
//! RFC 5424 (form), RFC 5425 and 6587 (octet counting over TLS and TCP), RFC 5426 (UDP); Micro Focus, "ArcSight Common
//! Event Format", version 25: `\` and `|` are escaped in the header, `\`, `=` and line ends in the extension.

use moneta_base::{Level, Timestamp};
use moneta_ports::{Alert, BoxFuture};
use tokio::io::AsyncWriteExt;
use tokio::net::UdpSocket;
use tokio_rustls::TlsConnector;

use crate::queue::level_of;
use crate::tls::{Peer, Stream};
use crate::words::{facts, one_line, short};
use crate::{Carrier, Error};

/// Facility 13, "log audit".
const FACILITY: u8 = 13;
/// Characters of a value of the extension at most.
const VALUE_CHARS_MAX: usize = 1_000;
/// Bytes of a datagram at most.
const DATAGRAM_BYTES_MAX: usize = 8 << 10;

/// How messages travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyslogTransport {
    /// TLS over TCP.
    Tls,
    /// TCP.
    Tcp,
    /// UDP: nobody says whether it arrived.
    Udp,
}

/// Sends messages to a collector.
pub struct Syslog {
    peer: Peer,
    transport: SyslogTransport,
    connector: Option<TlsConnector>,
}

impl Syslog {
    /// Checks the address.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(peer: Peer, transport: SyslogTransport) -> Result<Self, Error> {
        peer.parts()?;
        let connector = if transport == SyslogTransport::Tls { Some(peer.connector()?) } else { None };
        Ok(Self { peer, transport, connector })
    }

    async fn deliver(&self, message: &str) -> Result<(), Error> {
        let failed = |source| Error::Connection { doing: "sending", source };
        if self.transport == SyslogTransport::Udp {
            let addresses = self.peer.resolve(false).await?;
            let here =
                if addresses.first().is_some_and(std::net::SocketAddr::is_ipv6) { "[::]:0" } else { "0.0.0.0:0" };
            let socket = UdpSocket::bind(here).await.map_err(failed)?;
            let to = addresses.first().ok_or(Error::NoHost)?;
            return socket.send_to(cut(message, DATAGRAM_BYTES_MAX).as_bytes(), to).await.map(drop).map_err(failed);
        }
        let stream = self.peer.connect(self.connector.is_some()).await?;
        let mut stream: Box<dyn Stream> = match &self.connector {
            Some(connector) => self.peer.encrypt(connector, stream).await?,
            None => Box::new(stream),
        };
        stream.write_all(format!("{} {message}", message.len()).as_bytes()).await.map_err(failed)?;
        stream.shutdown().await.map_err(failed)
    }
}

impl Carrier for Syslog {
    fn send<'a>(&'a self, alert: &'a Alert, _: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { self.deliver(&message(alert)).await })
    }
}

fn message(alert: &Alert) -> String {
    // Severity of syslog, and of CEF from 0 to 10.
    let (severity, cef) = match level_of(alert) {
        Level::Critical => (2, 10),
        Level::High => (3, 8),
        Level::Medium => (4, 5),
        Level::Low => (5, 3),
        Level::Informational => (6, 1),
    };
    let (year, month, day, hour, minute, second, nanos) = alert.raised.civil();
    let time = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", nanos / 1_000);
    let head = format!("<{}>1 {time} - moneta - alert -", FACILITY * 8 + severity);
    let version = env!("CARGO_PKG_VERSION");
    let (rule, title) = (header(alert.rule_id.as_str()), header(&alert.rule_title));
    format!("{head} CEF:0|Moneta|Moneta|{version}|{rule}|{title}|{cef}|{}", extension(alert))
}

fn extension(alert: &Alert) -> String {
    let matched: Vec<String> = facts(alert).into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
    let millis = |time: Timestamp| (time.as_nanos() / 1_000_000).to_string();
    let address = alert.entities.iter().find_map(|entity| entity["Address"].as_str()).unwrap_or_default();
    let first = |names: &[String]| names.first().cloned().unwrap_or_default();
    let members = [
        ("rt", millis(alert.raised)),
        ("externalId", alert.id.clone()),
        ("start", millis(alert.first_event)),
        ("end", millis(alert.last_event)),
        ("dvchost", first(&alert.hosts)),
        ("suser", first(&alert.accounts)),
        ("src", address.to_owned()),
        ("cnt", if alert.event_count > 0 { alert.event_count.to_string() } else { String::new() }),
        ("cs1Label", "RuleAuthor".to_owned()),
        ("cs1", alert.rule_author.clone()),
        ("cs2Label", "Tags".to_owned()),
        ("cs2", alert.tags.join(",")),
        ("cs3Label", "Details".to_owned()),
        ("cs3", matched.join("\n")),
        ("cs4Label", if alert.link.is_empty() { String::new() } else { "Link".to_owned() }),
        ("cs4", alert.link.clone()),
        ("msg", alert.rule_description.clone()),
    ];
    let member = |(name, value): &(&str, String)| format!("{name}={}", escaped(&short(value, VALUE_CHARS_MAX)));
    members.iter().filter(|(_, value)| !value.is_empty()).map(member).collect::<Vec<_>>().join(" ")
}

fn header(text: &str) -> String {
    short(&one_line(text), 512).replace('\\', "\\\\").replace('|', "\\|")
}

fn escaped(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(one_line).collect();
    lines.join("\n").replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n")
}

/// The beginning of a text, whole characters only.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::words::sample;

    #[test]
    fn a_message_is_one_line_whose_fields_cannot_be_broken() {
        let message = message(&sample());
        let start = "<106>1 2026-01-02T03:04:05.000000Z - moneta - alert - CEF:0|Moneta|Moneta|";
        assert!(message.starts_with(start), "{message}");
        assert!(
            message.contains("|rule-1|Bad <thing> \\|here\\|=\\\\|10|rt=1767323045000 externalId=a-1"),
            "{message}"
        );
        assert!(message.contains("cs1Label=RuleAuthor cs1=Ada") && message.ends_with("msg=What\\nit is"), "{message}");
        assert!(!message.contains('\n'));
        let members = "start=1767323000000 end=1767323040000 dvchost=web01 suser=CORP\\\\eve src=192.0.2.7 cnt=37 ";
        assert!(message.contains(members), "{message}");
        assert!(message.contains("cs4Label=Link cs4=https://moneta.example.org/alerts?alert\\=a-1"), "{message}");
        assert_eq!(cut("aä", 2), "a");
    }
}
