//! GELF listeners: over UDP, in chunks and compressed, best effort; over TCP and TLS, where a connection is read only
//! while its earlier messages are stored.
//!
//! # Source
//! Graylog documentation, "GELF via UDP" and "GELF via TCP".

use std::collections::BTreeMap;
use std::net::IpAddr;

use moneta_base::limits::RECORD_BYTES_MAX;
use moneta_event::catalog::table;
use moneta_formats::Format;
use moneta_formats::framing::Frame;
use moneta_formats::gelf::{Chunks, NoMessage, ZeroFrames, unpack};

use crate::collector::Collector;
use crate::listener::ListenOptions;
use crate::portions::RecordKind;
use crate::stream::{self, Framing, StreamKind};
use crate::tls::TlsFiles;
use crate::udp::{self, Datagram, DatagramKind, Unpack, Unpacked};
use crate::{Error, Intake};

/// What GELF messages are: JSON, of which the mapping `gelf` knows the fields.
const MESSAGES: RecordKind = RecordKind { format: Format::Ndjson, table: table::GELF };

/// Listens for GELF over TCP, behind TLS where `tls` is given.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's, [`Error::Tls`] when certificate or key cannot be
/// used.
pub async fn start_gelf_tcp(
    intake: Intake,
    options: ListenOptions,
    tls: Option<&TlsFiles>,
) -> Result<Collector, Error> {
    let kind = StreamKind {
        name: "gelf tcp",
        label: "gelf-tcp",
        place: "gelf/tcp",
        records: MESSAGES,
        framing: ZeroFrames::new,
    };
    stream::start(intake, with_long_messages(options), tls, kind).await
}

/// Listens for GELF over UDP.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub async fn start_gelf_udp(intake: Intake, options: ListenOptions) -> Result<Collector, Error> {
    let kind = DatagramKind { name: "gelf udp", label: "gelf-udp", place: "gelf/udp", records: MESSAGES };
    udp::start(intake, options, kind, Messages(Chunks::default())).await
}

/// GELF knows no limit but that of its chunks: a message may be as long as any record.
fn with_long_messages(options: ListenOptions) -> ListenOptions {
    ListenOptions { message_bytes_max: RECORD_BYTES_MAX, ..options }
}

impl Framing for ZeroFrames {
    fn feed(&mut self, bytes: &[u8], on_frame: &mut dyn FnMut(Frame<'_>)) {
        Self::feed(self, bytes, on_frame);
    }

    fn finish(&mut self, on_frame: &mut dyn FnMut(Frame<'_>)) {
        Self::finish(self, on_frame);
    }
}

/// Joins and unpacks datagrams.
struct Messages(Chunks);

impl Unpack for Messages {
    fn unpack(&mut self, datagram: Datagram) -> Unpacked {
        let Datagram { peer, received, bytes } = datagram;
        let refused = |bytes: Vec<u8>, reason: NoMessage| Unpacked::Refused(bytes, reason.code(), reason.to_string());
        let head = bytes[..bytes.len().min(64)].to_vec();
        match self.0.join(peer, bytes, received) {
            Err(reason) => refused(head, reason),
            Ok(None) => Unpacked::Part,
            Ok(Some(packed)) => match unpack(&packed, RECORD_BYTES_MAX) {
                Err(reason) => refused(packed, reason),
                Ok(message) => Unpacked::Record(message.into_owned()),
            },
        }
    }

    fn take_lost(&mut self, end: bool) -> BTreeMap<IpAddr, u64> {
        if end {
            self.0.finish();
        }
        self.0.take_lost()
    }
}
