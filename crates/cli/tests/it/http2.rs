//! What a connection of HTTP/2 may ask for at once, as the server tells it (RFC 9113, section 6.5).

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::support::Moneta;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS: u8 = 4;
const MAX_CONCURRENT_STREAMS: u16 = 3;
const MAX_HEADER_LIST_SIZE: u16 = 6;

/// The settings that a server announces first.
fn settings(mut stream: TcpStream) -> BTreeMap<u16, u32> {
    stream.write_all(&[PREFACE, &EMPTY_SETTINGS].concat()).unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], SETTINGS, "{head:?}");
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).unwrap();
    let entry = |bytes: &[u8]| {
        (u16::from_be_bytes([bytes[0], bytes[1]]), u32::from_be_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]))
    };
    payload.chunks_exact(6).map(entry).collect()
}

#[test]
fn streams_and_headers_of_a_connection_are_bounded() {
    let moneta = Moneta::new();
    let server = moneta.serve();
    let settings = settings(TcpStream::connect(server.address().trim_start_matches("http://")).unwrap());
    assert!(settings[&MAX_CONCURRENT_STREAMS] <= 256, "{settings:?}");
    assert!(settings[&MAX_HEADER_LIST_SIZE] <= 64 << 10, "{settings:?}");
    server.stop();
}
