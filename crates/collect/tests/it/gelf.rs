//! GELF listeners: chunks, packing, framing, what is lost or broken.

use std::io::Write;
use std::net::SocketAddr;

use flate2::Compression;
use flate2::write::ZlibEncoder;
use moneta_collect::{ListenOptions, start_gelf_tcp, start_gelf_udp};
use moneta_ports::Metric;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UdpSocket};

use crate::compliance::{Given, assert_source_compliance};
use crate::sink::{RecordingSink, intake};

fn options() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse::<SocketAddr>().unwrap())
}

fn message(number: usize) -> String {
    format!(
        r#"{{"version":"1.1","host":"web","short_message":"message {number}","level":4,"timestamp":1781524740.25}}"#
    )
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}

fn given(records: &[String], quarantined: usize) -> Given<'_> {
    Given { table: "Gelf_CL", column: "Message", records, quarantined }
}

/// The chunks of a message, packed.
fn chunks(id: u8, text: &str, count: u8) -> Vec<Vec<u8>> {
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(text.as_bytes()).unwrap();
    let packed = zlib.finish().unwrap();
    let parts = packed.chunks(packed.len().div_ceil(usize::from(count)));
    let head = |number: u8| [&[0x1e, 0x0f][..], &[id; 8], &[number, count]].concat();
    (0..).zip(parts).map(|(number, part)| [head(number), part.to_vec()].concat()).collect()
}

#[tokio::test]
async fn tcp_messages_end_with_a_zero_byte() {
    let (sink, records) = (RecordingSink::new(), texts(1_000));
    let intake = intake(&sink);
    sink.refuse(2);
    let collector = start_gelf_tcp(intake.clone(), options(), None).await.unwrap();
    let mut stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    for number in 0..records.len() {
        stream.write_all(format!("{}\0", message(number)).as_bytes()).await.unwrap();
    }
    stream.write_all(b"not JSON\0").await.unwrap();
    sink.until_records(records.len() + 1).await;
    assert!(sink.column("Gelf_CL", "_Source").iter().all(|source| source == "gelf/tcp/127.0.0.1"));
    assert_eq!(sink.column("Gelf_CL", "TimeGenerated")[0], "2026-06-15T11:59:00.250Z");
    assert_source_compliance(&sink, &intake, collector, &given(&records, 1)).await;
}

#[tokio::test]
async fn udp_chunks_are_joined_and_those_that_lack_others_are_counted() {
    let (sink, records) = (RecordingSink::new(), texts(3));
    let intake = intake(&sink);
    let collector = start_gelf_udp(intake.clone(), options()).await.unwrap();
    let sender = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    sender.connect(collector.local_address().unwrap()).await.unwrap();
    let mut datagrams = vec![message(0).into_bytes()];
    datagrams.extend(chunks(1, &message(1), 3).into_iter().rev());
    datagrams.extend(chunks(2, &message(7), 4).into_iter().skip(1));
    datagrams.extend(chunks(3, &message(2), 1));
    datagrams.push(vec![0x1e, 0x0f, 0]);
    datagrams.push(vec![0x78, 0x9c, 0]);
    for datagram in datagrams {
        sender.send(&datagram).await.unwrap();
    }
    sink.until_records(5).await;
    collector.stop().await;
    assert_eq!(sink.column("Gelf_CL", "Message"), records);
    assert!(sink.column("Gelf_CL", "_Delivery").iter().all(|delivery| delivery == "best-effort"));
    let codes: Vec<&str> = sink.quarantined().iter().map(|record| record.reason_code).collect();
    assert_eq!(codes, ["bad_chunk", "not_unpacked"]);
    assert_eq!(intake.metrics.labelled_value(Metric::CollectDropped, "parts_missing"), 3);
    assert_eq!(intake.metrics.labelled_value(Metric::CollectSourceDropped, "gelf/udp/127.0.0.1"), 3);
}
