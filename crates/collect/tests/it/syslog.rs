//! Listeners: framing, limits, back-pressure, stopping.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use moneta_collect::{Collector, Intake, ListenOptions, Senders, start_syslog_tcp, start_syslog_udp};
use moneta_ports::Metric;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use crate::compliance::{Given, assert_source_compliance};
use crate::sink::{RecordingSink, intake};

fn options() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse::<SocketAddr>().unwrap())
}

fn message(number: usize) -> String {
    format!("<13>Jun 15 11:59:00 host1 app[{number}]: message {number}")
}

fn given<'a>(records: &'a [String], quarantined: usize) -> Given<'a> {
    Given { table: "Syslog", column: "_Raw", records, quarantined }
}

#[tokio::test]
async fn tcp_stores_every_message_of_both_framings_while_the_sink_is_busy_at_times() {
    let (sink, records) = (RecordingSink::new(), (0..5_000).map(message).collect::<Vec<_>>());
    let intake = intake(&sink);
    sink.refuse(3);
    let collector = start_syslog_tcp(intake.clone(), options()).await.unwrap();
    let mut stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    for (number, text) in records.iter().enumerate() {
        let framed = if number % 3 == 0 { format!("{} {text}", text.len()) } else { format!("{text}\n") };
        stream.write_all(framed.as_bytes()).await.unwrap();
    }
    sink.until_records(records.len()).await;
    assert_eq!(sink.column("Syslog", "SyslogMessage")[17], "message 17");
    assert!(sink.column("Syslog", "_Delivery").iter().all(|delivery| delivery == "at-least-once"));
    assert!(sink.column("Syslog", "_Source").iter().all(|source| source == "syslog/tcp/127.0.0.1"));
    assert!(sink.submissions() < 1_000, "messages are stored in portions");
    assert_source_compliance(&sink, &intake, collector, &given(&records, 0)).await;
}

#[tokio::test]
async fn a_lone_message_is_stored_at_once_and_stopping_stores_the_rest() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let collector = start_syslog_tcp(intake.clone(), options()).await.unwrap();
    let mut stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    stream.write_all(format!("{}\nunterminated", message(0)).as_bytes()).await.unwrap();
    sink.until_records(1).await;
    assert_source_compliance(&sink, &intake, collector, &given(&[message(0), "unterminated".to_owned()], 0)).await;
}

#[tokio::test]
async fn tcp_takes_what_a_sender_sends_until_it_hears_of_the_end() {
    let sink = RecordingSink::new();
    let collector = start_syslog_tcp(intake(&sink), options()).await.unwrap();
    let stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    assert_nothing_lost_at_the_end(&sink, collector, stream).await;
}

/// Stops a collector while most of what was sent lies unread; the sender adds a message when it sees the end.
pub async fn assert_nothing_lost_at_the_end<S>(sink: &Arc<RecordingSink>, collector: Collector, mut stream: S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let records: Vec<String> = (0..5_001).map(message).collect();
    let lines = |part: &[String]| part.iter().map(|text| format!("{text}\n")).collect::<String>();
    stream.write_all(lines(&records[..1]).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    sink.until_records(1).await;
    sink.set_open(false);
    stream.write_all(lines(&records[1..5_000]).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let stopping = tokio::spawn(collector.stop());
    tokio::task::yield_now().await;
    sink.set_open(true);
    // Over TLS the end comes without a farewell.
    let end = stream.read(&mut [0; 1]).await;
    assert!(
        matches!(&end, Ok(0)) || end.as_ref().is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof),
        "{end:?}"
    );
    stream.write_all(lines(&records[5_000..]).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    stopping.await.unwrap();
    assert_eq!(sink.column("Syslog", "_Raw"), records);
}

#[tokio::test]
async fn a_busy_sink_makes_the_sender_wait() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    sink.set_open(false);
    let collector = start_syslog_tcp(intake.clone(), options()).await.unwrap();
    let mut stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    let records: Vec<String> = (0..20_000).map(|number| format!("{} {}", message(number), "x".repeat(1_000))).collect();
    let lines: Vec<u8> = records.iter().flat_map(|text| format!("{text}\n").into_bytes()).collect();
    let mut sent = 0;
    // The sender is stopped by the window of the connection, long before it is done.
    while let Ok(written) = tokio::time::timeout(Duration::from_millis(500), stream.write(&lines[sent..])).await {
        sent += written.unwrap();
        assert!(sent < lines.len(), "nothing held the sender up");
    }
    sink.set_open(true);
    stream.write_all(&lines[sent..]).await.unwrap();
    sink.until_records(records.len()).await;
    assert_source_compliance(&sink, &intake, collector, &given(&records, 0)).await;
}

#[tokio::test]
async fn a_long_message_is_quarantined_and_the_next_one_stored() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let collector =
        start_syslog_tcp(intake.clone(), ListenOptions { message_bytes_max: 1_000, ..options() }).await.unwrap();
    let mut stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    stream.write_all(format!("{}\n{}\n", "x".repeat(100_000), message(1)).as_bytes()).await.unwrap();
    sink.until_records(2).await;
    assert_eq!(sink.quarantined()[0].reason_code, "too_long");
    assert_source_compliance(&sink, &intake, collector, &given(&[message(1)], 1)).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_and_silent_ones_are_closed() {
    let sink = RecordingSink::new();
    let limits = ListenOptions { connections_max: 1, idle_timeout: Duration::from_millis(300), ..options() };
    let collector = start_syslog_tcp(intake(&sink), limits).await.unwrap();
    let address = collector.local_address().unwrap();
    let mut first = TcpStream::connect(address).await.unwrap();
    first.write_all(format!("{}\n", message(0)).as_bytes()).await.unwrap();
    sink.until_records(1).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert_eq!(second.read(&mut [0; 1]).await.unwrap_or(0), 0);
    // The first is closed for its silence, and makes room.
    assert_eq!(first.read(&mut [0; 1]).await.unwrap(), 0);
    let mut third = TcpStream::connect(address).await.unwrap();
    third.write_all(format!("{}\n", message(1)).as_bytes()).await.unwrap();
    sink.until_records(2).await;
    collector.stop().await;
}

#[tokio::test]
async fn udp_stores_every_datagram_it_accepted() {
    let (sink, records) = (RecordingSink::new(), (0..100).map(message).collect::<Vec<_>>());
    let intake = intake(&sink);
    let collector = start_syslog_udp(intake.clone(), options()).await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for text in &records {
        socket.send_to(text.as_bytes(), collector.local_address().unwrap()).await.unwrap();
    }
    sink.until_records(records.len()).await;
    assert!(sink.column("Syslog", "_Delivery").iter().all(|delivery| delivery == "best-effort"));
    assert_source_compliance(&sink, &intake, collector, &given(&records, 0)).await;
}

#[tokio::test]
async fn udp_counts_what_it_cannot_keep() {
    let (sink, records) = (RecordingSink::new(), (0..200).map(message).collect::<Vec<_>>());
    let intake = intake(&sink);
    sink.set_open(false);
    let collector =
        start_syslog_udp(intake.clone(), ListenOptions { datagrams_queued_max: 10, ..options() }).await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = collector.local_address().unwrap();
    // One datagram is being stored and waits; then the queue fills.
    for record in &records {
        socket.send_to(record.as_bytes(), address).await.unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sink.set_open(true);
    assert_source_compliance(&sink, &intake, collector, &given(&records, 0)).await;
    let dropped = intake.metrics.labelled_value(Metric::CollectDropped, "udp_queue_full");
    assert!(dropped > 0);
    let by_source = intake.metrics.labelled_values(Metric::CollectSourceDropped);
    assert_eq!(by_source, [("syslog/udp/127.0.0.1".to_owned(), dropped)]);
}

#[tokio::test]
async fn an_address_that_is_taken_is_named() {
    let sink = RecordingSink::new();
    let first = start_syslog_tcp(intake(&sink), options()).await.unwrap();
    let taken = ListenOptions::new(first.local_address().unwrap());
    let error = start_syslog_tcp(intake(&sink), taken.clone()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen for syslog tcp on {}", taken.address));
}

#[tokio::test]
async fn a_senders_zone_and_code_page_are_those_of_its_setting() {
    let sink = RecordingSink::new();
    let mut senders = Senders::default();
    senders.add("syslog/*", Some("Europe/Berlin"), Some("windows-1252")).unwrap();
    let intake = Intake { senders: Arc::new(senders), ..intake(&sink) };
    let tcp = start_syslog_tcp(intake.clone(), options()).await.unwrap();
    let udp = start_syslog_udp(intake.clone(), options()).await.unwrap();
    let message = b"<14>Jun 15 10:00:00 web1 app: Gr\xfc\xdfe";
    let mut stream = TcpStream::connect(tcp.local_address().unwrap()).await.unwrap();
    stream.write_all(&[message, &b"\n"[..]].concat()).await.unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.send_to(message, udp.local_address().unwrap()).await.unwrap();
    sink.until_records(2).await;
    assert_eq!(sink.column("Syslog", "SyslogMessage"), ["Grüße", "Grüße"]);
    assert_eq!(sink.column("Syslog", "EventTime"), ["2026-06-15T08:00:00Z"; 2]);
    assert!(sink.quarantined().is_empty());
    tcp.stop().await;
    udp.stop().await;
}
