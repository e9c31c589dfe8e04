//! What goes through a proxy, and what does not.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use moneta_notify::channels::slack::Slack;
use moneta_notify::channels::webhook::Webhook;
use moneta_notify::{Carrier, Endpoint, Error, Proxy};
use moneta_testkit::TestDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::delivery::alert;
use crate::processes::Certificate;
use crate::receiver::Receiver;
use crate::receivers::{NOW, endpoint};

/// A proxy that knows `CONNECT` alone and leads to one receiver, wherever it is asked to.
struct ConnectProxy {
    address: SocketAddr,
    /// First lines of the requests.
    asked: Arc<Mutex<Vec<String>>>,
    /// What it passed on to the receiver.
    passed: Arc<Mutex<Vec<u8>>>,
}

impl ConnectProxy {
    async fn start(receiver: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (asked, passed) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<u8>>>::default());
        let (lines, bytes) = (asked.clone(), passed.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(tunnel(stream, receiver, lines.clone(), bytes.clone()));
            }
        });
        Self { address, asked, passed }
    }

    fn endpoint(&self, url: &str) -> Endpoint {
        let proxy = Proxy::parse(&format!("http://{}", self.address)).unwrap();
        Endpoint { proxy: Some(proxy), allow_private_hosts: Vec::new(), ..endpoint(url) }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn tunnel(
    mut client: TcpStream,
    receiver: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
    passed: Arc<Mutex<Vec<u8>>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    asked.lock().unwrap().push(String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned());
    let mut server = TcpStream::connect(receiver).await?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let up = async {
        let mut bytes = [0; 4_096];
        loop {
            let length = from_client.read(&mut bytes).await?;
            passed.lock().unwrap().extend_from_slice(&bytes[..length]);
            if length == 0 {
                return to_server.shutdown().await;
            }
            to_server.write_all(&bytes[..length]).await?;
        }
    };
    tokio::try_join!(up, tokio::io::copy(&mut from_server, &mut to_client)).map(drop)
}

/// Takes one request over TLS, answers, and returns what came.
async fn secure_receiver(certificate: &Certificate) -> (SocketAddr, tokio::task::JoinHandle<String>) {
    let chain = CertificateDer::pem_file_iter(&certificate.certificate).unwrap().collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(&certificate.key).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let taking = tokio::spawn(async move {
        loop {
            // Whoever does not trust the certificate says nothing.
            let Ok(mut stream) = acceptor.accept(listener.accept().await.unwrap().0).await else { continue };
            let (mut text, mut bytes) = (String::new(), [0; 4_096]);
            while !text.ends_with('}') {
                let length = stream.read(&mut bytes).await.unwrap();
                assert!(length > 0, "{text}");
                text.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
            stream.write_all(b"HTTP/1.1 204 Taken\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            return text;
        }
    });
    (address, taking)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_through_the_tunnel_encrypted_for_the_receiver() {
    let (dir, other) = (TestDir::new(), TestDir::new());
    let Some(certificate) = Certificate::make_for(dir.path(), "IP:1.1.1.1") else { return };
    let stranger = Certificate::make_for(other.path(), "IP:1.1.1.1").unwrap();
    let (address, taking) = secure_receiver(&certificate).await;
    let proxy = ConnectProxy::start(address).await;
    let way = |authority: &Certificate| Endpoint {
        authority: Some(authority.certificate.clone()),
        ..proxy.endpoint("https://1.1.1.1/hook?key=secret")
    };
    let carrier = Webhook::new(&way(&stranger), vec![7; 32]).unwrap();
    let error = carrier.send(&alert("a-1"), NOW).await.unwrap_err();
    assert!(matches!(error, Error::Connection { doing: "agreeing on TLS", .. }), "{error:?}");
    let carrier = Webhook::new(&way(&certificate), vec![7; 32]).unwrap();
    carrier.send(&alert("a-1"), NOW).await.unwrap();
    let request = taking.await.unwrap();
    assert!(request.starts_with("POST /hook?key=secret HTTP/1.1\r\nHost: 1.1.1.1\r\n"), "{request}");
    assert!(request.contains("webhook-id: a-1\r\n") && request.contains("A title"), "{request}");
    assert_eq!(proxy.asked(), ["CONNECT 1.1.1.1:443 HTTP/1.1"; 2], "the address that was checked");
    let passed = proxy.passed.lock().unwrap().clone();
    let reads = |words: &str| passed.windows(words.len()).any(|window| window == words.as_bytes());
    assert!(!passed.is_empty() && !reads("A title") && !reads("key=secret"), "the proxy reads nothing");
}

#[tokio::test]
async fn addresses_are_checked_before_the_proxy_is_asked_and_what_is_inside_is_called_directly() {
    let receiver = Receiver::start(&[]).await;
    let proxy = ConnectProxy::start(receiver.address).await;
    for url in ["https://10.0.0.1/x", "https://169.254.169.254/x", "https://localhost/x", "https://[::1]/x"] {
        let refused = Slack::new(&proxy.endpoint(url)).unwrap().send(&alert("a"), NOW).await;
        assert!(matches!(refused, Err(Error::Private { .. })), "{url}: {refused:?}");
    }
    assert!(matches!(Slack::new(&proxy.endpoint("http://1.1.1.1/x")), Err(Error::Plaintext(_))));
    let inside = Endpoint {
        allow_private_hosts: vec!["127.0.0.1".to_owned()],
        ..proxy.endpoint(&format!("http://{}/inside", receiver.address))
    };
    Slack::new(&inside).unwrap().send(&alert("a"), NOW).await.unwrap();
    assert!(proxy.asked().is_empty(), "{:?}", proxy.asked());
    let plain = Endpoint { allow_plaintext: true, ..proxy.endpoint("http://1.1.1.1:8080/outside") };
    Slack::new(&plain).unwrap().send(&alert("a"), NOW).await.unwrap();
    assert_eq!(proxy.asked(), ["CONNECT 1.1.1.1:8080 HTTP/1.1"]);
    let heads: Vec<String> = receiver.received(2).await.into_iter().map(|one| one.head).collect();
    assert!(heads[0].starts_with("POST /inside HTTP/1.1") && heads[1].contains("Host: 1.1.1.1:8080"), "{heads:?}");
}

#[tokio::test]
async fn a_proxy_that_is_away_is_tried_again_and_one_that_refuses_is_not() {
    for (answer, kind) in
        [("407 Sign in", moneta_base::ErrorKind::OPERATOR), ("503 Later", moneta_base::ErrorKind::RETRY)]
    {
        let refusing = Receiver::start(&[&format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n")]).await;
        let proxy = Proxy::parse(&format!("http://{}", refusing.address)).unwrap();
        let way = Endpoint { proxy: Some(proxy), ..endpoint("https://1.1.1.1/x") };
        let error = Slack::new(&way).unwrap().send(&alert("a"), NOW).await.unwrap_err();
        assert!(matches!(error, Error::Proxy { .. }) && error.kind() == kind, "{error:?}");
        assert!(refusing.received(1).await[0].head.starts_with("CONNECT 1.1.1.1:443 HTTP/1.1"));
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let proxy = Proxy::parse(&format!("http://{gone}")).unwrap();
    let way = Endpoint { proxy: Some(proxy), ..endpoint("https://1.1.1.1/x") };
    let error = Slack::new(&way).unwrap().send(&alert("a"), NOW).await.unwrap_err();
    assert!(matches!(error, Error::Connection { doing: "asking the proxy", .. }), "{error:?}");
}
