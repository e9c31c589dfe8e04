//! Listeners for datagrams: best effort, for there is nobody to hold up.
//!
//! One task receives as fast as it can and does nothing else; another decodes and stores. Between them is a bounded
//! queue. What does not fit is counted by source; what the kernel dropped before is read from its own counter.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use moneta_base::{SourceName, Timestamp};
use moneta_event::{Delivery, RawRecord};
use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;

use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::Intake;
use crate::listener::ListenOptions;
use crate::portions::{Portions, RecordKind};

/// A datagram cannot be longer.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Receive buffer asked of the kernel: a burst of some ten thousand messages.
const KERNEL_BUFFER_BYTES: usize = 8 << 20;
/// How often the kernel's counter of dropped datagrams is read, and drops are logged.
const DROP_REPORT_EVERY: Duration = Duration::from_secs(10);
/// Sources whose drops are told apart between two reports; further ones are counted together.
const DROP_SOURCES_MAX: usize = 1_000;

/// A protocol over datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DatagramKind {
    /// What the collector is called, such as `syslog udp`.
    pub(crate) name: &'static str,
    /// What its records are counted under.
    pub(crate) label: &'static str,
    /// What names of sources begin with.
    pub(crate) place: &'static str,
    pub(crate) records: RecordKind,
}

pub(crate) struct Datagram {
    pub(crate) peer: IpAddr,
    pub(crate) received: Timestamp,
    pub(crate) bytes: Vec<u8>,
}

/// What a datagram is.
pub(crate) enum Unpacked {
    /// A record.
    Record(Vec<u8>),
    /// A part of a record that is not whole yet.
    Part,
    /// No record: its bytes, the reason as a code and as a sentence.
    Refused(Vec<u8>, &'static str, String),
}

/// Looks at datagrams in the order of their arrival.
pub(crate) trait Unpack: Send + 'static {
    fn unpack(&mut self, datagram: Datagram) -> Unpacked;

    /// By sender, the parts of records given up since this was asked last, because others of the same record did not
    /// come; with `end` also those that still wait.
    fn take_lost(&mut self, end: bool) -> BTreeMap<IpAddr, u64>;
}

/// Listens for datagrams of a kind, that `unpack` looks at.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub(crate) async fn start(
    intake: Intake,
    options: ListenOptions,
    kind: DatagramKind,
    unpack: impl Unpack,
) -> Result<Collector, Error> {
    let address = options.address;
    let failed = |source| Error::Listen { what: kind.name, address, source };
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    if let Err(error) = setsockopt(&socket, sockopt::RcvBuf, &KERNEL_BUFFER_BYTES) {
        tracing::warn!(collector = kind.name, %error, "the receive buffer stays small");
    }
    let local = socket.local_addr().map_err(failed)?;
    let (queue, queued) = mpsc::channel(options.datagrams_queued_max);
    let drops =
        Drops { intake: intake.clone(), kind, by_source: BTreeMap::new(), port: local.port(), kernel_seen: None };
    Ok(Collector::start(kind.name, kind.label, Some(local), |stopped| async move {
        let storing = tokio::spawn(store(intake, kind, queued, unpack, stopped.clone()));
        receive(&socket, queue, drops, stopped).await;
        if let Err(error) = storing.await {
            tracing::error!(collector = kind.name, %error, "the listener did not end in order");
        }
    }))
}

async fn receive(socket: &UdpSocket, queue: mpsc::Sender<Datagram>, mut drops: Drops, mut stopped: Stopped) {
    let clock = drops.intake.clock.clone();
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let mut report = tokio::time::interval(DROP_REPORT_EVERY);
    loop {
        let received = tokio::select! {
            received = socket.recv_from(&mut buffer) => received,
            _ = report.tick() => {
                drops.report();
                continue;
            }
            () = until_stopped(&mut stopped) => break,
        };
        match received {
            Ok((len, peer)) => enqueue(&queue, &mut drops, &*clock, peer, &buffer[..len]),
            Err(error) => tracing::debug!(%error, "a datagram was not received"),
        }
    }
    // What the kernel holds was accepted on this machine's behalf.
    while let Ok((len, peer)) = socket.try_recv_from(&mut buffer) {
        enqueue(&queue, &mut drops, &*clock, peer, &buffer[..len]);
    }
    // What was dropped since the last report counts too.
    drops.report();
}

fn enqueue(
    queue: &mpsc::Sender<Datagram>,
    drops: &mut Drops,
    clock: &dyn moneta_base::Clock,
    peer: SocketAddr,
    bytes: &[u8],
) {
    let peer = peer.ip().to_canonical();
    let datagram = Datagram { peer, received: clock.now(), bytes: bytes.to_vec() };
    if queue.try_send(datagram).is_err() {
        drops.count(peer);
    }
}

async fn store(
    intake: Intake,
    kind: DatagramKind,
    mut queued: mpsc::Receiver<Datagram>,
    mut unpack: impl Unpack,
    mut stopped: Stopped,
) {
    let mut portions = Portions::new(&intake, kind.label, kind.records, Delivery::BestEffort);
    let mut sources: BTreeMap<IpAddr, SourceName> = BTreeMap::new();
    loop {
        let datagram = tokio::select! {
            biased;
            () = portions.until_due() => {
                portions.flush(&mut stopped).await;
                continue;
            }
            datagram = queued.recv() => datagram,
        };
        let Some(datagram) = datagram else { break };
        if sources.len() >= DROP_SOURCES_MAX {
            sources.clear();
        }
        let named = || SourceName::lossy(&format!("{}/{}", kind.place, datagram.peer));
        let source = sources.entry(datagram.peer).or_insert_with(named).clone();
        let received = datagram.received;
        match unpack.unpack(datagram) {
            Unpacked::Record(bytes) => {
                portions.push(&RawRecord { bytes, source, received, delivery: Delivery::BestEffort });
            }
            Unpacked::Refused(bytes, code, reason) => {
                portions.refuse(kind.records.quarantined(&source, 0, &bytes, code, reason));
            }
            Unpacked::Part => {}
        }
        count_lost(&intake, kind, unpack.take_lost(false));
        if portions.is_full() {
            portions.flush(&mut stopped).await;
        }
    }
    portions.flush(&mut stopped).await;
    count_lost(&intake, kind, unpack.take_lost(true));
}

fn count_lost(intake: &Intake, kind: DatagramKind, lost: BTreeMap<IpAddr, u64>) {
    for (peer, parts) in lost {
        intake.count_dropped(&format!("{}/{peer}", kind.place), "parts_missing", parts);
    }
}

/// Datagrams lost, since the last report.
struct Drops {
    intake: Intake,
    kind: DatagramKind,
    by_source: BTreeMap<Option<IpAddr>, u64>,
    port: u16,
    kernel_seen: Option<u64>,
}

impl Drops {
    fn count(&mut self, peer: IpAddr) {
        let known = self.by_source.contains_key(&Some(peer)) || self.by_source.len() < DROP_SOURCES_MAX;
        *self.by_source.entry(known.then_some(peer)).or_default() += 1;
    }

    fn report(&mut self) {
        let DatagramKind { label, place, .. } = self.kind;
        for (peer, datagrams) in std::mem::take(&mut self.by_source) {
            let source = peer.map_or_else(|| label.to_owned(), |peer| format!("{place}/{peer}"));
            self.intake.count_dropped(&source, "udp_queue_full", datagrams);
            tracing::warn!(%source, datagrams, "datagrams dropped: the store is slower than the senders");
        }
        let total = ["/proc/net/udp", "/proc/net/udp6"].iter().filter_map(|path| std::fs::read_to_string(path).ok());
        let total: u64 = total.map(|text| kernel_drops(&text, self.port)).sum();
        let new = total.saturating_sub(self.kernel_seen.replace(total).unwrap_or(total));
        self.intake.count_dropped(label, "udp_kernel_buffer", new);
    }
}

/// Datagrams the kernel dropped on sockets bound to a port, from the text of `/proc/net/udp`.
fn kernel_drops(text: &str, port: u16) -> u64 {
    let suffix = format!(":{port:04X}");
    let lines = text.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let bound = lines.filter(|fields| fields.get(1).is_some_and(|local| local.ends_with(&suffix)));
    bound.filter_map(|fields| fields.last()?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counter_is_read_by_port() {
        let text = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n  \
                    12: 0100007F:158A 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 17\n  \
                    13: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 1 2 0 5\n";
        assert_eq!(kernel_drops(text, 5514), 17);
        assert_eq!(kernel_drops(text, 68), 5);
        assert_eq!(kernel_drops("", 68), 0);
    }
}
