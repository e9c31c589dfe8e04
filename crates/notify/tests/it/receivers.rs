//! Each form of receiver gets alerts from a whole channel: programs of others where there are any, and sockets that answer
//! as the services document it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_kafka::BrokerAddress;
use moneta_notify::channels::alertmanager::Alertmanager;
use moneta_notify::channels::email::{Email, MailLogin, MailTls};
use moneta_notify::channels::kafka::Kafka;
use moneta_notify::channels::pagerduty::PagerDuty;
use moneta_notify::channels::slack::Slack;
use moneta_notify::channels::syslog::{Syslog, SyslogTransport};
use moneta_notify::channels::teams::Teams;
use moneta_notify::{Carrier, Channel, ChannelOptions, DeadLetter, Endpoint, Error, Peer};
use moneta_ports::Metrics;
use moneta_testkit::{FixedClock, TestDir};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, UdpSocket};

use crate::delivery::{alert, unheard};
use crate::processes::{Certificate, Rsyslog, alertmanager, kafka_broker, mail_server};
use crate::receiver::Receiver;

pub const NOW: Timestamp = Timestamp::from_seconds(1_767_323_045);

pub fn endpoint(url: &str) -> Endpoint {
    Endpoint {
        url: url.to_owned(),
        allow_private_hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        allow_plaintext: false,
        authority: None,
        proxy: None,
        timeout: Duration::from_secs(10),
    }
}

fn peer(address: &str, certificate: Option<&Certificate>) -> Peer {
    Peer {
        address: address.to_owned(),
        allow_private_hosts: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        allow_plaintext: false,
        authority: certificate.map(|certificate| certificate.certificate.clone()),
    }
}

fn email(port: u16, tls: MailTls, certificate: Option<&Certificate>, password: &str, to: &[&str]) -> Email {
    let login = certificate.map(|_| MailLogin { user: "moneta".to_owned(), password: password.to_owned() });
    let to = to.iter().map(|to| (*to).to_owned()).collect();
    let peer = peer(&format!("localhost:{port}"), certificate);
    Email::new(peer, tls, login, "moneta@example.org".to_owned(), to).unwrap()
}

/// Delivers one alert through a channel; the dead letters.
async fn through(carrier: impl Carrier + 'static) -> Vec<DeadLetter> {
    let dead = Arc::new(Mutex::new(Vec::new()));
    let letters = dead.clone();
    let options = ChannelOptions { pause: Duration::from_millis(1), ..ChannelOptions::new("x", "x") };
    let on_dead = Arc::new(move |letter| letters.lock().unwrap().push(letter));
    let clock = Arc::new(FixedClock::new(NOW));
    let channel = Channel::start(options, Box::new(carrier), clock, Arc::new(Metrics::new()), on_dead);
    channel.enqueue(alert("a-1"), unheard()).unwrap();
    channel.stop().await;
    dead.lock().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_takes_alerts_over_both_kinds_of_tls_and_checks_who_comes() {
    let dir = TestDir::new();
    let Some(certificate) = Certificate::make(dir.path()) else { return };
    for (mode, tls) in [("starttls", MailTls::StartTls), ("implicit", MailTls::Implicit)] {
        let Some((server, port)) = mail_server(mode, Some(&certificate)) else { return };
        let to = ["ops@example.org", "audit@example.org"];
        let dead = through(email(port, tls, Some(&certificate), "open sesame", &to)).await;
        assert!(dead.is_empty(), "{mode}: {dead:?}");
        let taken: Value = serde_json::from_str(&server.line()).unwrap();
        assert_eq!((&taken["to"], &taken["encrypted"]), (&json!(to), &json!(true)), "{mode}");
        assert!(taken["message"].as_str().unwrap().contains("Message-ID: <a-1@example.org>"), "{taken}");
        let dead = through(email(port, tls, Some(&certificate), "guessed", &to)).await;
        assert_eq!(dead[0].reason, "the mail server answered 535 to AUTH", "{mode}");
        // A certificate of somebody else: nothing is said at all, and it is tried again in vain.
        let other = TestDir::new();
        let stranger = Certificate::make(other.path()).unwrap();
        let error = email(port, tls, Some(&stranger), "open sesame", &to).send(&alert("a-1"), NOW).await.unwrap_err();
        assert!(matches!(error, Error::Connection { doing: "agreeing on TLS", .. }), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_is_put_off_comes_again_and_mail_that_is_refused_does_not() {
    let Some((server, port)) = mail_server("plain", None) else { return };
    let dead = through(email(port, MailTls::None, None, "", &["busy@example.org"])).await;
    assert!(dead.is_empty(), "{dead:?}");
    assert!(server.line().contains("busy@example.org"));
    let dead = through(email(port, MailTls::None, None, "", &["gone@example.org", "ops@example.org"])).await;
    let partly = |code| format!("the mail server answered {code} to RCPT for some receivers; the others have the mail");
    assert_eq!((dead[0].attempts, &dead[0].reason), (1, &partly(550)));
    let taken: Value = serde_json::from_str(&server.line()).unwrap();
    assert_eq!(taken["to"], json!(["ops@example.org"]), "the others get it");
    let dead = through(email(port, MailTls::None, None, "", &["gone@example.org"])).await;
    assert_eq!((dead[0].attempts, dead[0].reason.as_str()), (1, "the mail server answered 550 to RCPT"));
    others_get_mail_once_when_one_receiver_is_put_off().await;
    // A server without STARTTLS gets nothing.
    let dir = TestDir::new();
    let Some(certificate) = Certificate::make(dir.path()) else { return };
    let dead = through(email(port, MailTls::StartTls, Some(&certificate), "", &["ops@example.org"])).await;
    assert!(dead[0].reason.contains("does not offer STARTTLS"), "{dead:?}");
}

async fn others_get_mail_once_when_one_receiver_is_put_off() {
    let Some((server, port)) = mail_server("plain", None) else { return };
    let dead = through(email(port, MailTls::None, None, "", &["busy@example.org", "good@example.org"])).await;
    let reason = "the mail server answered 451 to RCPT for some receivers; the others have the mail";
    assert_eq!((dead[0].attempts, dead[0].reason.as_str()), (1, reason));
    assert!(through(email(port, MailTls::None, None, "", &["last@example.org"])).await.is_empty());
    let taken = |line: &str| -> Value { serde_json::from_str::<Value>(line).unwrap()["to"].clone() };
    assert_eq!(taken(&server.line()), json!(["good@example.org"]));
    assert_eq!(taken(&server.line()), json!(["last@example.org"]), "nobody got a mail twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn alertmanager_takes_an_alert_as_active() {
    let dir = TestDir::new();
    let Some((_process, address)) = alertmanager(&dir).await else { return };
    let carrier = Alertmanager::new(&endpoint(&address)).unwrap();
    // Alertmanager goes by its own clock.
    let now = machine_time();
    carrier.send(&moneta_ports::Alert { raised: now, ..alert("a-1") }, now).await.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let alerts = http.get(format!("{address}/api/v2/alerts")).send().await.unwrap().text().await.unwrap();
    let alerts: Value = serde_json::from_str(&alerts).unwrap();
    assert_eq!(alerts[0]["labels"]["alertname"], "A title", "{alerts}");
    assert_eq!(alerts[0]["annotations"]["author"], "An author");
    assert_eq!(alerts[0]["status"]["state"], "active");
}

/// The time of this machine.
fn machine_time() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_nanos(i64::try_from(since.as_nanos()).unwrap())
}

#[tokio::test]
async fn chat_and_paging_get_their_forms_and_their_words_are_not_repeated() {
    let accepted = "HTTP/1.1 202 Accepted\r\nContent-Length: 20\r\n\r\n{\"status\":\"success\"}";
    let receiver =
        Receiver::start(&[accepted, "HTTP/1.1 429 Later\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"]).await;
    let url = format!("http://{}/hook", receiver.address);
    assert!(through(PagerDuty::new(&endpoint(&url), "key".to_owned()).unwrap()).await.is_empty());
    assert!(through(Slack::new(&endpoint(&url)).unwrap()).await.is_empty());
    assert!(through(Teams::new(&endpoint(&url)).unwrap()).await.is_empty());
    let received = receiver.received(4).await;
    let body = |at: usize| -> Value { serde_json::from_slice(&received[at].body).unwrap() };
    assert_eq!((&body(0)["routing_key"], &body(0)["payload"]["severity"]), (&json!("key"), &json!("error")));
    assert_eq!(body(1), body(2), "what was put off came again as it was");
    assert_eq!(body(2)["blocks"][0]["type"], "header");
    assert_eq!(body(3)["attachments"][0]["content"]["type"], "AdaptiveCard");
    let receiver = Receiver::start(&["HTTP/1.1 400 No\r\nContent-Length: 6\r\n\r\nsecret"]).await;
    let url = format!("http://{}/hook", receiver.address);
    let dead = through(Slack::new(&endpoint(&url)).unwrap()).await;
    assert_eq!((dead[0].attempts, dead[0].reason.as_str()), (1, "the receiver answered 400"));
}

#[tokio::test]
async fn collectors_get_a_counted_message_or_a_datagram() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let taking = tokio::spawn(async move {
        let mut text = String::new();
        listener.accept().await.unwrap().0.read_to_string(&mut text).await.unwrap();
        text
    });
    assert!(through(Syslog::new(peer(&address, None), SyslogTransport::Tcp).unwrap()).await.is_empty());
    let text = taking.await.unwrap();
    let (count, message) = text.split_once(' ').unwrap();
    assert_eq!(count.parse::<usize>().unwrap(), message.len());
    assert!(message.starts_with("<107>1 2026-01-02T03:04:05.000000Z - moneta - alert - CEF:0|Moneta|"), "{message}");
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap().to_string();
    assert!(through(Syslog::new(peer(&address, None), SyslogTransport::Udp).unwrap()).await.is_empty());
    let mut datagram = vec![0; 65_536];
    let length = socket.recv(&mut datagram).await.unwrap();
    assert_eq!(&datagram[..length], message.as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_takes_an_alert_over_tls_and_nothing_is_said_to_a_stranger() {
    let (dir, other) = (TestDir::new(), TestDir::new());
    let Some(certificate) = Certificate::make(dir.path()) else { return };
    let Some(daemon) = Rsyslog::start(dir.path(), &certificate).await else { return };
    let address = format!("localhost:{}", daemon.port);
    let stranger = Certificate::make(other.path()).unwrap();
    let carrier = Syslog::new(peer(&address, Some(&stranger)), SyslogTransport::Tls).unwrap();
    let error = carrier.send(&alert("a-0"), NOW).await.unwrap_err();
    assert!(matches!(error, Error::Connection { doing: "agreeing on TLS", .. }), "{error:?}");
    let carrier = || Syslog::new(peer(&address, Some(&certificate)), SyslogTransport::Tls).unwrap();
    for _ in 0..2 {
        assert!(through(carrier()).await.is_empty());
    }
    let taken = daemon.taken(2).await;
    assert_eq!(taken.len(), 2, "{taken:?}");
    for message in &taken {
        assert_eq!((&message["facility"], &message["severity"]), (&json!("13"), &json!("3")), "log audit, error");
        assert_eq!((&message["application"], &message["kind"]), (&json!("moneta"), &json!("alert")));
        assert_eq!(message["time"], "2026-01-02T03:04:05.000000Z");
        let text = message["text"].as_str().unwrap();
        assert!(text.starts_with("CEF:0|Moneta|Moneta|") && text.contains("|rule-1|A title|8|"), "{text}");
        assert!(text.contains(" externalId=a-1 ") && text.contains(" dvchost=host1 "), "{text}");
        assert!(text.contains("cs1=An author"), "{text}");
    }
}

#[tokio::test]
async fn no_channel_speaks_to_inner_addresses_or_in_clear_unless_told() {
    let inner = Peer { allow_private_hosts: Vec::new(), ..peer("10.0.0.1:514", None) };
    let carrier = Syslog::new(Peer { allow_plaintext: true, ..inner.clone() }, SyslogTransport::Tcp).unwrap();
    assert!(matches!(carrier.send(&alert("a"), NOW).await, Err(Error::Private { .. })));
    let named = Peer { allow_private_hosts: vec!["10.0.0.1".to_owned()], ..inner };
    let carrier = Syslog::new(named, SyslogTransport::Udp).unwrap();
    assert!(matches!(carrier.send(&alert("a"), NOW).await, Err(Error::Plaintext(_))));
    let mail = Peer { allow_private_hosts: Vec::new(), allow_plaintext: true, ..peer("localhost:25", None) };
    let to = vec!["a@example.org".to_owned()];
    let carrier = Email::new(mail, MailTls::None, None, "b@example.org".to_owned(), to).unwrap();
    assert!(matches!(carrier.send(&alert("a"), NOW).await, Err(Error::Private { .. })));
    let metadata = Endpoint { allow_private_hosts: Vec::new(), ..endpoint("https://169.254.169.254/x") };
    assert!(matches!(Slack::new(&metadata).unwrap().send(&alert("a"), NOW).await, Err(Error::Private { .. })));
}

fn kafka(port: u16, allowed: &[&str], encrypted: bool) -> Kafka {
    let brokers = vec![BrokerAddress { host: "127.0.0.1".to_owned(), port }];
    let allow_private_hosts = allowed.iter().map(|host| (*host).to_owned()).collect();
    let peer = Peer { allow_private_hosts, ..peer("", None) };
    Kafka::new(brokers, "alerts".to_owned(), peer, encrypted, None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_away_or_inside_leave_a_dead_letter() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dead = through(kafka(port, &[], false)).await;
    assert_eq!(dead[0].attempts, 1, "a broker in an inner network is not called again: {dead:?}");
    assert!(dead[0].reason.contains("127.0.0.1"), "{dead:?}");
    drop(listener);
    let dead = through(kafka(port, &["127.0.0.1"], false)).await;
    assert_eq!(dead[0].attempts, 8, "{dead:?}");
    assert!(dead[0].reason.contains("the connection to the receiver failed while connecting"), "{dead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_goes_to_the_partition_of_its_rule_and_a_broker_that_refuses_is_named() {
    let Some((mut broker, address)) = kafka_broker() else { return };
    broker.tell("create alerts 5");
    let ports: Vec<u16> =
        address.split(',').map(|broker| broker.rsplit_once(':').unwrap().1.parse().unwrap()).collect();
    let carrier = || kafka(ports[0], &["127.0.0.1"], false);
    assert!(through(carrier()).await.is_empty());
    let read = broker.read("alerts", 5);
    let partition = moneta_kafka::partition_of(alert("a-1").rule_id.as_str().as_bytes(), 5);
    assert_eq!(read.len(), 1);
    assert_eq!(read[0]["partition"], json!(partition));
    assert_eq!(read[0]["headers"], json!({ "alert-id": "a-1" }));
    // Without an address of the pages there is no link.
    let sent = moneta_ports::Alert { link: String::new(), ..alert("a-1") };
    assert_eq!(read[0]["value"], serde_json::to_value(sent).unwrap());
    // TOPIC_AUTHORIZATION_FAILED
    broker.tell("fail alerts 29");
    let dead = through(carrier()).await;
    assert_eq!(dead[0].attempts, 1);
    assert!(dead[0].reason.contains("TOPIC_AUTHORIZATION_FAILED"), "{dead:?}");
}
