//! RELP and TLS: what is acknowledged is stored, and only known senders are heard.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use moneta_collect::{ListenOptions, TlsFiles, start_relp, start_syslog_tls};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::compliance::{Given, assert_source_compliance};
use crate::sink::{RecordingSink, intake};
use crate::syslog::assert_nothing_lost_at_the_end;

fn options() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse::<SocketAddr>().unwrap())
}

fn message(number: usize) -> String {
    format!("<13>Jun 15 11:59:00 host1 app[{number}]: message {number}")
}

fn given<'a>(records: &'a [String], quarantined: usize) -> Given<'a> {
    Given { table: "Syslog", column: "_Raw", records, quarantined }
}

/// A sender that speaks RELP.
struct Sender<S> {
    stream: S,
    transaction: u32,
    received: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Sender<S> {
    async fn open(stream: S) -> Self {
        let mut sender = Self { stream, transaction: 0, received: Vec::new() };
        sender.send("open", "relp_version=0\ncommands=syslog").await;
        let answer = sender.answer().await.unwrap();
        assert!(answer.starts_with("1 rsp ") && answer.contains("200 OK\nrelp_version=0\n"), "{answer}");
        assert!(answer.contains("commands=syslog"), "{answer}");
        sender
    }

    async fn send(&mut self, command: &str, data: &str) {
        self.transaction += 1;
        let frame = format!("{} {command} {} {data}\n", self.transaction, data.len());
        self.stream.write_all(frame.as_bytes()).await.unwrap();
    }

    /// The next frame of the other side; `None` when it closed.
    async fn answer(&mut self) -> Option<String> {
        loop {
            let text = String::from_utf8_lossy(&self.received).into_owned();
            let mut parts = text.splitn(4, ' ');
            let head: Vec<&str> = parts.by_ref().take(2).collect();
            if let (Some(rest), 2) = (parts.next(), head.len()) {
                let (digits, has_data) = rest.split_once('\n').map_or((rest, true), |(digits, _)| (digits, false));
                if let Ok(length) = digits.parse::<usize>() {
                    let head_bytes = head[0].len() + head[1].len() + 2 + digits.len();
                    let whole = head_bytes + if has_data { 1 + length } else { 0 } + 1;
                    if (has_data || length == 0) && self.received.len() >= whole {
                        let frame = self.received.drain(..whole).collect::<Vec<u8>>();
                        return Some(String::from_utf8(frame).unwrap());
                    }
                }
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer).await {
                Ok(len @ 1..) => self.received.extend_from_slice(&buffer[..len]),
                _ => return None,
            }
        }
    }
}

#[tokio::test]
async fn relp_acknowledges_what_is_stored_and_nothing_else() {
    let (sink, records) = (RecordingSink::new(), (0..500).map(message).collect::<Vec<_>>());
    let intake = intake(&sink);
    let collector = start_relp(intake.clone(), options(), None).await.unwrap();
    let stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
    let mut sender = Sender::open(stream).await;
    sink.set_open(false);
    sender.send("syslog", &records[0]).await;
    let early = tokio::time::timeout(Duration::from_millis(300), sender.answer()).await;
    assert!(early.is_err(), "acknowledged before it was stored: {early:?}");
    sink.set_open(true);
    assert_eq!(sender.answer().await.unwrap(), "2 rsp 6 200 OK\n");
    sink.refuse(2);
    for text in &records[1..] {
        sender.send("syslog", text).await;
    }
    for transaction in 3..=records.len() + 1 {
        assert_eq!(sender.answer().await.unwrap(), format!("{transaction} rsp 6 200 OK\n"));
    }
    assert_eq!(sink.num_records(), records.len());
    assert!(sink.column("Syslog", "_Source").iter().all(|source| source == "syslog/relp/127.0.0.1"));
    sender.send("close", "").await;
    assert_eq!(sender.answer().await.unwrap(), format!("{} rsp 6 200 OK\n", records.len() + 2));
    assert_eq!(sender.answer().await.unwrap(), "0 serverclose 0\n");
    assert_eq!(sender.answer().await, None);
    assert_source_compliance(&sink, &intake, collector, &given(&records, 0)).await;
}

#[tokio::test]
async fn relp_answers_with_a_version_that_both_speak() {
    let collector = start_relp(intake(&RecordingSink::new()), options(), None).await.unwrap();
    for (asked, answered) in
        [("relp_version=0", 0), ("relp_version=1", 1), ("relp_version=7", 1), ("commands=syslog", 1)]
    {
        let stream = TcpStream::connect(collector.local_address().unwrap()).await.unwrap();
        let mut sender = Sender { stream, transaction: 0, received: Vec::new() };
        sender.send("open", asked).await;
        let answer = sender.answer().await.unwrap();
        assert!(answer.contains(&format!("\nrelp_version={answered}\n")), "{asked}: {answer}");
    }
    collector.stop().await;
}

#[tokio::test]
async fn relp_quarantines_what_is_too_long_and_refuses_what_it_does_not_know() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let limits = ListenOptions { message_bytes_max: 100, ..options() };
    let collector = start_relp(intake.clone(), limits, None).await.unwrap();
    let address = collector.local_address().unwrap();
    let mut sender = Sender::open(TcpStream::connect(address).await.unwrap()).await;
    sender.send("syslog", &"x".repeat(50_000)).await;
    assert_eq!(sender.answer().await.unwrap(), "2 rsp 6 200 OK\n");
    sender.send("starttls", "").await;
    assert!(sender.answer().await.unwrap().starts_with("3 rsp 59 500 unknown command"));
    sender.send("syslog", &message(1)).await;
    assert_eq!(sender.answer().await.unwrap(), "4 rsp 6 200 OK\n");
    sender.stream.write_all(b"<13>no frame\n").await.unwrap();
    assert_eq!(sender.answer().await.unwrap(), "0 serverclose 0\n");
    assert_eq!(sender.answer().await, None);
    assert_eq!(sink.quarantined()[0].reason_code, "too_long");
    assert_source_compliance(&sink, &intake, collector, &given(&[message(1)], 1)).await;
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/tls").join(name)
}

pub fn tls_files() -> TlsFiles {
    TlsFiles { certificate: file("server.pem"), key: file("server.key"), client_authority: Some(file("ca.pem")) }
}

/// Connects with a certificate of that name, or without.
pub async fn connect(address: SocketAddr, certificate: Option<&str>) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(file("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let config = match certificate {
        None => builder.with_no_client_auth(),
        Some(name) => {
            let chain = vec![CertificateDer::from_pem_file(file(&format!("{name}.pem"))).unwrap()];
            let key = PrivateKeyDer::from_pem_file(file(&format!("{name}.key"))).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("server.example.org").unwrap(), stream).await
}

#[tokio::test]
async fn tls_hears_only_senders_with_a_certificate_of_the_authority() {
    let (sink, records) = (RecordingSink::new(), (0..200).map(message).collect::<Vec<_>>());
    let intake = intake(&sink);
    let collector = start_syslog_tls(intake.clone(), options(), &tls_files()).await.unwrap();
    let address = collector.local_address().unwrap();
    for stranger in [None, Some("stranger")] {
        // In TLS 1.3 the refusal comes behind the handshake of the client.
        if let Ok(mut stream) = connect(address, stranger).await {
            let _ = stream.write_all(format!("{}\n", message(999)).as_bytes()).await;
            assert!(stream.read(&mut [0; 1]).await.map_or(true, |len| len == 0), "{stranger:?} was let in");
        }
    }
    TcpStream::connect(address).await.unwrap().write_all(b"<13>plain\n").await.unwrap();
    let mut stream = connect(address, Some("client")).await.unwrap();
    for text in &records {
        stream.write_all(format!("{} {text}", text.len()).as_bytes()).await.unwrap();
    }
    stream.flush().await.unwrap();
    sink.until_records(records.len()).await;
    assert!(sink.column("Syslog", "_Source").iter().all(|source| source == "syslog/tls/127.0.0.1"));
    assert_source_compliance(&sink, &intake, collector, &given(&records, 0)).await;
}

#[tokio::test]
async fn tls_says_nothing_to_senders_which_never_read() {
    let sink = RecordingSink::new();
    let collector = start_syslog_tls(intake(&sink), options(), &tls_files()).await.unwrap();
    let mut stream = connect(collector.local_address().unwrap(), Some("client")).await.unwrap();
    stream.write_all(format!("{}\n", message(1)).as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    // Whatever follows the handshake was sent before this was read.
    sink.until_records(1).await;
    let socket = stream.into_inner().0.into_std().unwrap();
    assert_eq!(socket.peek(&mut [0; 1]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
    drop(socket);
    collector.stop().await;
}

#[tokio::test]
async fn tls_takes_what_a_sender_sends_until_it_hears_of_the_end() {
    let sink = RecordingSink::new();
    let collector = start_syslog_tls(intake(&sink), options(), &tls_files()).await.unwrap();
    let stream = connect(collector.local_address().unwrap(), Some("client")).await.unwrap();
    assert_nothing_lost_at_the_end(&sink, collector, stream).await;
}

#[tokio::test]
async fn relp_works_behind_tls() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let collector = start_relp(intake.clone(), options(), Some(&tls_files())).await.unwrap();
    let stream = connect(collector.local_address().unwrap(), Some("client")).await.unwrap();
    let mut sender = Sender::open(stream).await;
    sender.send("syslog", &message(1)).await;
    assert_eq!(sender.answer().await.unwrap(), "2 rsp 6 200 OK\n");
    assert_source_compliance(&sink, &intake, collector, &given(&[message(1)], 0)).await;
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named() {
    let start = |files: TlsFiles| async move {
        start_syslog_tls(intake(&RecordingSink::new()), options(), &files).await.unwrap_err().to_string()
    };
    let missing = start(TlsFiles { certificate: file("nowhere.pem"), ..tls_files() }).await;
    assert!(missing.contains("nowhere.pem"), "{missing}");
    let empty = start(TlsFiles { certificate: file("server.key"), ..tls_files() }).await;
    assert!(empty.ends_with("server.key: it holds no certificate in PEM"), "{empty}");
    let other = start(TlsFiles { key: file("client.key"), ..tls_files() }).await;
    assert!(other.contains("client.key"), "{other}");
}
