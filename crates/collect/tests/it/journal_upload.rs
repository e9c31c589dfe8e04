//! Journals that `systemd-journal-upload` would send.

use moneta_collect::{ListenOptions, start_journal_upload};

use crate::acknowledged::tls_files;
use crate::sink::{RecordingSink, intake};
use crate::web::Client;

const EXPORT: &str = "Content-Type: application/vnd.fdo.journal\r\n";

fn options() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse().unwrap())
}

fn entry(number: u32) -> Vec<u8> {
    let text = format!("message\n{number}");
    let mut bytes = b"__REALTIME_TIMESTAMP=1781524740123456\n_HOSTNAME=host1\nPRIORITY=6\nMESSAGE\n".to_vec();
    bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
    bytes.extend_from_slice(b"\n\n");
    bytes
}

fn chunk(bytes: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat()
}

#[tokio::test]
async fn an_upload_is_answered_when_all_of_it_is_stored() {
    let sink = RecordingSink::new();
    let collector = start_journal_upload(intake(&sink), options(), Some(&tls_files())).await.unwrap();
    let mut client = Client::connect(collector.local_address().unwrap()).await;
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: a\r\n{EXPORT}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
    );
    client.write(head.as_bytes()).await;
    assert_eq!(client.answer().await.unwrap().status, 100);
    sink.refuse(2);
    for number in 0..500 {
        let bytes = entry(number);
        // Entries are cut anywhere.
        let (begin, end) = bytes.split_at(number as usize % bytes.len());
        for part in [begin, end].into_iter().filter(|part| !part.is_empty()) {
            client.write(&chunk(part)).await;
        }
    }
    client.write(b"0\r\n\r\n").await;
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (202, &b"OK.\n"[..]));
    let texts: Vec<String> = (0..500).map(|number| format!("message\n{number}")).collect();
    assert_eq!(sink.column("Syslog", "SyslogMessage"), texts);
    assert!(sink.column("Syslog", "_Source").iter().all(|source| source == "journal-upload/client.example.org"));
    sink.refuse_for_good(1);
    assert_eq!(client.post("/upload", EXPORT, &entry(500)).await.status, 500, "the sender keeps what is not stored");
    assert_eq!(client.post("/upload", EXPORT, &entry(500)).await.status, 202);
    assert_eq!(sink.num_records(), 501);
    collector.stop().await;
}

#[tokio::test]
async fn what_is_no_upload_is_refused_and_what_breaks_off_is_no_damage() {
    let sink = RecordingSink::new();
    let collector = start_journal_upload(intake(&sink), options(), Some(&tls_files())).await.unwrap();
    let address = collector.local_address().unwrap();
    let mut client = Client::connect(address).await;
    assert_eq!(client.post("/upload", "Content-Type: text/plain\r\n", b"x").await.status, 415);
    let packed = format!("{EXPORT}Content-Encoding: zstd\r\n");
    assert_eq!(client.post("/upload", &packed, b"x").await.status, 415);
    assert_eq!(client.post("/other", EXPORT, b"x").await.status, 404);
    let mut cut = Client::connect(address).await;
    let bytes = entry(1);
    let head = format!("POST /upload HTTP/1.1\r\nHost: a\r\n{EXPORT}Content-Length: {}\r\n\r\n", bytes.len() + 10);
    cut.write(&[head.as_bytes(), &bytes, b"MESSAGE"].concat()).await;
    drop(cut);
    assert_eq!(client.post("/upload", EXPORT, b"no entry\n\n").await.status, 202);
    collector.stop().await;
    assert_eq!(sink.quarantined().len(), 1, "{:?}", sink.quarantined());
}
