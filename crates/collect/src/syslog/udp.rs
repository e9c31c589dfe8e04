//! Syslog over UDP: one message per datagram, best effort.
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

use super::{Portions, SyslogOptions};
use crate::Error;
use crate::collector::{Collector, Stopped, until_stopped};
use crate::intake::Intake;

const COLLECTOR: &str = "syslog-udp";
/// A datagram cannot be longer.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// Receive buffer asked of the kernel: a burst of some ten thousand messages.
const KERNEL_BUFFER_BYTES: usize = 8 << 20;
/// How often the kernel's counter of dropped datagrams is read, and drops are logged.
const DROP_REPORT_EVERY: Duration = Duration::from_secs(10);
/// Sources whose drops are told apart between two reports; further ones are counted together.
const DROP_SOURCES_MAX: usize = 1_000;

struct Datagram {
    peer: IpAddr,
    received: Timestamp,
    bytes: Vec<u8>,
}

/// Listens for syslog over UDP.
///
/// # Errors
/// [`Error::Listen`] when the address is taken or not this machine's.
pub async fn start_syslog_udp(intake: Intake, options: SyslogOptions) -> Result<Collector, Error> {
    let address = options.address;
    let failed = |source| Error::Listen { protocol: "udp", address, source };
    let socket = UdpSocket::bind(address).await.map_err(failed)?;
    if let Err(error) = setsockopt(&socket, sockopt::RcvBuf, &KERNEL_BUFFER_BYTES) {
        tracing::warn!(%error, "the receive buffer for syslog over UDP stays small");
    }
    let local = socket.local_addr().map_err(failed)?;
    Ok(Collector::start("syslog udp", COLLECTOR, Some(local), |stopped| run(intake, options, socket, local, stopped)))
}

async fn run(intake: Intake, options: SyslogOptions, socket: UdpSocket, local: SocketAddr, stopped: Stopped) {
    let (queue, queued) = mpsc::channel(options.datagrams_queued_max);
    let storing = tokio::spawn(store(intake.clone(), queued, stopped.clone()));
    let mut drops = Drops { intake, by_source: BTreeMap::new(), port: local.port(), kernel_seen: None };
    receive(&socket, queue, &mut drops, stopped).await;
    // What was dropped since the last report counts too.
    drops.report();
    if let Err(error) = storing.await {
        tracing::error!(%error, "the syslog listener did not end in order");
    }
}

async fn receive(socket: &UdpSocket, queue: mpsc::Sender<Datagram>, drops: &mut Drops, mut stopped: Stopped) {
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
            Ok((len, peer)) => enqueue(&queue, drops, &*clock, peer, &buffer[..len]),
            Err(error) => tracing::debug!(%error, "a datagram was not received"),
        }
    }
    // What the kernel holds was accepted on this machine's behalf.
    while let Ok((len, peer)) = socket.try_recv_from(&mut buffer) {
        enqueue(&queue, drops, &*clock, peer, &buffer[..len]);
    }
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

async fn store(intake: Intake, mut queued: mpsc::Receiver<Datagram>, mut stopped: Stopped) {
    let mut portions = Portions::new(&intake, COLLECTOR, Delivery::BestEffort);
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
        let named = || SourceName::lossy(&format!("syslog/udp/{}", datagram.peer));
        let source = sources.entry(datagram.peer).or_insert_with(named).clone();
        let record =
            RawRecord { bytes: datagram.bytes, source, received: datagram.received, delivery: Delivery::BestEffort };
        portions.push(&record);
        if portions.is_full() {
            portions.flush(&mut stopped).await;
        }
    }
    portions.flush(&mut stopped).await;
}

/// Datagrams lost, since the last report.
struct Drops {
    intake: Intake,
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
        for (peer, datagrams) in std::mem::take(&mut self.by_source) {
            let source = peer.map_or_else(|| COLLECTOR.to_owned(), |peer| format!("syslog/udp/{peer}"));
            self.intake.count_dropped(&source, "udp_queue_full", datagrams);
            tracing::warn!(%source, datagrams, "syslog datagrams dropped: the store is slower than the senders");
        }
        let total = ["/proc/net/udp", "/proc/net/udp6"].iter().filter_map(|path| std::fs::read_to_string(path).ok());
        let total: u64 = total.map(|text| kernel_drops(&text, self.port)).sum();
        let new = total.saturating_sub(self.kernel_seen.replace(total).unwrap_or(total));
        self.intake.count_dropped(COLLECTOR, "udp_kernel_buffer", new);
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
