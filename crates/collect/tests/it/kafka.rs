//! Topics of Kafka: each record once, whatever goes away in between.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use moneta_collect::{Collector, KafkaOptions, KafkaStart, ServerTrust, start_kafka};
use moneta_formats::Format;
use moneta_kafka::{BrokerAddress, Login, Mechanism};
use moneta_ports::Metric;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::compliance::{Given, assert_source_compliance};
use crate::fixture::Fixture;
use crate::kafka_broker::{Broker, Log, TOPIC};

const SOURCE: &str = "kafka/test/door/0";

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

fn message(number: usize) -> String {
    format!("{{\"Message\":\"message {number}\"}}")
}

fn messages(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(message).collect()
}

fn options(broker: &Broker) -> KafkaOptions {
    KafkaOptions {
        name: "test".to_owned(),
        brokers: vec![BrokerAddress { host: "localhost".to_owned(), port: broker.address.port() }],
        topics: vec![TOPIC.to_owned()],
        format: Format::Ndjson,
        table: None,
        start: KafkaStart::Earliest,
        tls: None,
        login: None,
    }
}

async fn broker() -> Broker {
    Broker::start(anywhere(), Arc::new(Mutex::new(Log::default())), None).await
}

fn append(broker: &Broker, values: &[String]) {
    broker.log.lock().unwrap().append(values);
}

fn start(fixture: &Fixture, options: KafkaOptions) -> Collector {
    start_kafka(fixture.intake.clone(), fixture.resume(), options).unwrap()
}

/// Waits until the collector says this of what keeps it from working.
async fn until_trouble(collector: &Collector, says: impl Fn(&str) -> bool) {
    let trouble = collector.trouble();
    let waited = async {
        while !says(&trouble.text()) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(std::time::Duration::from_secs(60), waited).await;
    assert!(waited.is_ok(), "{:?}", trouble.text());
}

fn given(records: &[String], quarantined: usize) -> Given<'_> {
    Given { table: "door_CL", column: "_Raw", records, quarantined }
}

#[tokio::test]
async fn records_are_stored_once_over_restarts_of_both_sides_and_a_busy_store() {
    let (fixture, broker) = (Fixture::new(), broker().await);
    append(&broker, &messages(0..50));
    append(&broker, &messages(50..80));
    let collector = start(&fixture, options(&broker));
    fixture.sink.until_records(80).await;
    collector.stop().await;

    append(&broker, &messages(80..90));
    fixture.sink.refuse(2);
    let collector = start(&fixture, options(&broker));
    fixture.sink.until_records(90).await;
    broker.stop();
    until_trouble(&collector, |text| text.contains("broker localhost:")).await;
    append(&broker, &messages(90..95));
    let broker = Broker::start(broker.address, broker.log.clone(), None).await;
    fixture.exactly(95).await;
    until_trouble(&collector, str::is_empty).await;

    assert!(fixture.sink.column("door_CL", "_Source").iter().all(|source| source == SOURCE));
    assert!(fixture.sink.column("door_CL", "_Delivery").iter().all(|delivery| delivery == "exactly-once"));
    let extra = &fixture.sink.column("door_CL", "_Extra")[0];
    assert_eq!(extra, "{\"KafkaKey\":\"k\",\"KafkaHeaders\":{\"h\":\"v\"}}");
    let time = &fixture.sink.column("door_CL", "TimeGenerated")[0];
    assert!(time.starts_with("2023-11-14T22:13:20"), "{time}");
    // Neither did anybody join a group nor was an offset committed.
    assert!(broker.log.lock().unwrap().asked.iter().all(|key| [18, 3, 2, 1].contains(key)));
    let records = messages(0..95);
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&records, 0)).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_quarantined_with_its_offset() {
    let (fixture, broker) = (Fixture::new(), broker().await);
    append(&broker, &[message(0), "{ no JSON".to_owned(), message(1), "x".repeat(2 << 20), message(2)]);
    append(&broker, &messages(3..6));
    let damaged = broker.log.lock().unwrap().batches.last_mut().map(|(_, _, batch)| *batch.last_mut().unwrap() ^= 1);
    assert!(damaged.is_some());
    append(&broker, &messages(6..8));
    let collector = start(&fixture, options(&broker));
    fixture.exactly(8).await;
    let found: Vec<_> =
        fixture.sink.quarantined().into_iter().map(|record| (record.offset, record.reason_code)).collect();
    assert_eq!(found, [(1, "invalid_json"), (3, "too_long"), (5, "bad_batch")]);
    assert!(fixture.sink.quarantined().iter().all(|record| record.source.as_str() == SOURCE));
    let records: Vec<String> = [0, 1, 2, 6, 7].map(message).to_vec();
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&records, 3)).await;
}

#[tokio::test]
async fn what_the_broker_removed_before_it_was_read_is_counted() {
    let (fixture, broker) = (Fixture::new(), broker().await);
    append(&broker, &messages(0..3));
    start(&fixture, options(&broker)).stop_after(&fixture, 3).await;
    append(&broker, &messages(3..10));
    append(&broker, &messages(10..12));
    {
        let mut log = broker.log.lock().unwrap();
        log.batches.drain(..2);
        log.first = 10;
    }
    start(&fixture, options(&broker)).stop_after(&fixture, 5).await;
    assert_eq!(fixture.intake.metrics.labelled_value(Metric::CollectDropped, "gone"), 7);
    assert_eq!(fixture.intake.metrics.labelled_value(Metric::CollectSourceDropped, SOURCE), 7);

    // The topic is made anew: its offsets are lower than what is stored.
    *broker.log.lock().unwrap() = Log::default();
    append(&broker, &messages(20..22));
    start(&fixture, options(&broker)).stop_after(&fixture, 7).await;
    append(&broker, &messages(22..23));
    start(&fixture, options(&broker)).stop_after(&fixture, 8).await;
    let expected = [messages(0..3), messages(10..12), messages(20..23)].concat();
    assert_eq!(fixture.sink.column("door_CL", "_Raw"), expected);
}

#[tokio::test]
async fn the_latest_records_are_those_that_come_after_the_first_look() {
    let (fixture, broker) = (Fixture::new(), broker().await);
    append(&broker, &messages(0..3));
    let latest = || KafkaOptions { start: KafkaStart::Latest, ..options(&broker) };
    let collector = start(&fixture, latest());
    fixture.sink.until("the place is remembered", |sink| sink.submissions() > 0).await;
    collector.stop().await;
    // What comes while nobody reads is read later.
    append(&broker, &messages(3..5));
    start(&fixture, latest()).stop_after(&fixture, 2).await;
    assert_eq!(fixture.sink.column("door_CL", "_Raw"), messages(3..5));
}

#[tokio::test]
async fn only_who_knows_the_password_reads_behind_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let fixture = Fixture::new();
    fixture.write("ca.pem", made.cert.pem());
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let log = Log { password: Some("secret".to_owned()), ..Log::default() };
    let tls = TlsAcceptor::from(Arc::new(config));
    let broker = Broker::start(anywhere(), Arc::new(Mutex::new(log)), Some(tls)).await;
    append(&broker, &messages(0..3));
    let login = |password: &str| {
        Some(Login { mechanism: Mechanism::Plain, user: "moneta".to_owned(), password: password.to_owned() })
    };
    let trusting = ServerTrust { authority: Some(fixture.path("ca.pem")), own: None };

    let nobody_trusted = KafkaOptions { tls: Some(ServerTrust::default()), login: login("secret"), ..options(&broker) };
    let collector = start(&fixture, nobody_trusted);
    until_trouble(&collector, |text| text.contains("certificate")).await;
    collector.stop().await;

    let wrong = KafkaOptions { tls: Some(trusting.clone()), login: login("guess"), ..options(&broker) };
    let collector = start(&fixture, wrong);
    until_trouble(&collector, |text| text.contains("SASL_AUTHENTICATION_FAILED")).await;
    assert!(!collector.trouble().text().contains("guess"));
    collector.stop().await;
    assert_eq!(fixture.sink.num_records(), 0);

    let right = KafkaOptions { tls: Some(trusting), login: login("secret"), ..options(&broker) };
    start(&fixture, right).stop_after(&fixture, 3).await;
    assert_eq!(fixture.sink.column("door_CL", "_Raw"), messages(0..3));
}

#[tokio::test]
async fn records_that_can_never_be_stored_are_counted_and_passed() {
    let (fixture, broker) = (Fixture::new(), broker().await);
    append(&broker, &messages(0..3));
    fixture.sink.refuse_for_good(1);
    let collector = start(&fixture, options(&broker));
    fixture.sink.until("they were refused", |sink| sink.submissions() > 0).await;
    append(&broker, &messages(3..5));
    fixture.exactly(2).await;
    assert_eq!(fixture.intake.metrics.labelled_value(Metric::CollectSourceDropped, SOURCE), 3);
    let records = messages(0..5);
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&records, 0)).await;
}

trait StopAfter {
    /// Stops once exactly so many records are stored.
    async fn stop_after(self, fixture: &Fixture, count: usize);
}

impl StopAfter for Collector {
    async fn stop_after(self, fixture: &Fixture, count: usize) {
        fixture.exactly(count).await;
        self.stop().await;
    }
}
