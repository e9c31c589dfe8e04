//! Syslog listeners.
//!
//! TCP and TLS: a connection is read only while its earlier messages are stored, so that the sender feels back-pressure.
//! RELP: each message is acknowledged once it is durable, and sent again otherwise.
//! UDP: there is nobody to hold up, so that datagrams beyond the queue are counted as dropped, by source.

mod relp;
mod relp_frames;

use std::collections::BTreeMap;
use std::net::IpAddr;

use moneta_event::catalog::table;
use moneta_formats::Format;
use moneta_formats::framing::FrameDecoder;

pub use relp::start_relp;

use crate::collector::Collector;
use crate::listener::ListenOptions;
use crate::portions::RecordKind;
use crate::stream::{self, StreamKind};
use crate::tls::TlsFiles;
use crate::udp::{self, Datagram, DatagramKind, Unpack, Unpacked};
use crate::{Error, Intake};

/// What syslog messages are.
const MESSAGES: RecordKind = RecordKind { format: Format::Syslog, table: table::SYSLOG };

/// Listens for syslog over TCP.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
///
/// # Source
/// RFC 6587 (framing).
pub async fn start_syslog_tcp(intake: Intake, options: ListenOptions) -> Result<Collector, Error> {
    stream::start(intake, options, None, stream_kind("syslog tcp", "syslog-tcp", "syslog/tcp")).await
}

/// Listens for syslog over TLS. Senders must show a certificate where `tls` names an authority of clients.
///
/// # Errors
/// [`Error::Listen`] as for TCP, [`Error::Tls`] when the certificate, the key or the authority cannot be used.
///
/// # Source
/// RFC 5425.
pub async fn start_syslog_tls(intake: Intake, options: ListenOptions, tls: &TlsFiles) -> Result<Collector, Error> {
    stream::start(intake, options, Some(tls), stream_kind("syslog tls", "syslog-tls", "syslog/tls")).await
}

fn stream_kind(name: &'static str, label: &'static str, place: &'static str) -> StreamKind<FrameDecoder> {
    StreamKind { name, label, place, records: MESSAGES, framing: FrameDecoder::new }
}

/// Listens for syslog over UDP: one message per datagram.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub async fn start_syslog_udp(intake: Intake, options: ListenOptions) -> Result<Collector, Error> {
    let kind = DatagramKind { name: "syslog udp", label: "syslog-udp", place: "syslog/udp", records: MESSAGES };
    udp::start(intake, options, kind, Messages).await
}

/// Each datagram is a message.
struct Messages;

impl Unpack for Messages {
    fn unpack(&mut self, datagram: Datagram) -> Unpacked {
        Unpacked::Record(datagram.bytes)
    }

    fn take_lost(&mut self, _: bool) -> BTreeMap<IpAddr, u64> {
        BTreeMap::new()
    }
}
