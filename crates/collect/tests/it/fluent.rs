//! The forward protocol: what is acknowledged is stored, and only those who know the key are heard.

use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA512};
use moneta_collect::{Collector, ListenOptions, start_fluent};
use rmpv::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::compliance::{Given, assert_source_compliance};
use crate::sink::{RecordingSink, intake};

fn options() -> ListenOptions {
    ListenOptions::new("127.0.0.1:0".parse::<SocketAddr>().unwrap())
}

struct Sender(TcpStream);

impl Sender {
    async fn connect(collector: &Collector) -> Self {
        Self(TcpStream::connect(collector.local_address().unwrap()).await.unwrap())
    }

    async fn send(&mut self, value: &Value) {
        let mut bytes = Vec::new();
        rmpv::encode::write_value(&mut bytes, value).unwrap();
        // In pieces, as networks bring them.
        for piece in bytes.chunks(7) {
            self.0.write_all(piece).await.unwrap();
        }
    }

    /// The next value of the other side; `None` when it closed.
    async fn answer(&mut self) -> Option<Value> {
        let mut bytes = Vec::new();
        loop {
            if let Ok(value) = rmpv::decode::read_value(&mut &bytes[..]) {
                return Some(value);
            }
            bytes.push(self.0.read_u8().await.ok()?);
        }
    }
}

fn map(members: &[(&str, Value)]) -> Value {
    Value::Map(members.iter().map(|(name, value)| ((*name).into(), value.clone())).collect())
}

/// Events `message FIRST` and so on, to be acknowledged by the first number.
fn forward(first: usize, count: usize) -> Value {
    let entry = |number: usize| {
        let record = map(&[("Message", format!("message {number}").into())]);
        Value::Array(vec![1_781_524_740.into(), record])
    };
    let entries = (first..first + count).map(entry).collect();
    let options = map(&[("chunk", format!("c{first}").into())]);
    Value::Array(vec!["app.door".into(), Value::Array(entries), options])
}

fn ack(first: usize) -> Option<Value> {
    Some(map(&[("ack", format!("c{first}").into())]))
}

fn texts(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("message {number}")).collect()
}

fn given(records: &[String], quarantined: usize) -> Given<'_> {
    Given { table: "Fluent_CL", column: "Message", records, quarantined }
}

#[tokio::test]
async fn chunks_are_acknowledged_once_they_are_stored() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let collector = start_fluent(intake.clone(), options(), None, None).await.unwrap();
    let mut sender = Sender::connect(&collector).await;
    sink.set_open(false);
    sender.send(&forward(0, 100)).await;
    let early = tokio::time::timeout(Duration::from_millis(300), sender.answer()).await;
    assert!(early.is_err(), "acknowledged before it was stored: {early:?}");
    sink.set_open(true);
    assert_eq!(sender.answer().await, ack(0));
    assert_eq!(sink.num_records(), 100);
    sink.refuse(2);
    sender.send(&Value::Nil).await;
    sender.send(&forward(100, 10_000)).await;
    assert_eq!(sender.answer().await, ack(100));
    assert_eq!(sink.column("Fluent_CL", "Tag")[5], "app.door");
    assert_eq!(sink.column("Fluent_CL", "TimeGenerated")[5], "2026-06-15T11:59:00Z");
    assert!(sink.column("Fluent_CL", "_Source").iter().all(|source| source == "fluent/127.0.0.1"));
    assert_source_compliance(&sink, &intake, collector, &given(&texts(10_100), 0)).await;
}

#[tokio::test]
async fn what_breaks_the_protocol_is_kept_and_ends_the_connection() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let collector = start_fluent(intake.clone(), options(), None, None).await.unwrap();
    for broken in [Value::from("no message"), Value::Array(vec!["t".into(), Value::Nil])] {
        let mut sender = Sender::connect(&collector).await;
        sender.send(&broken).await;
        assert_eq!(sender.answer().await, None);
    }
    let mut sender = Sender::connect(&collector).await;
    sender.send(&forward(0, 2)).await;
    assert_eq!(sender.answer().await, ack(0));
    sender.0.write_all(&[0xdd, 0xff, 0xff, 0xff, 0xff]).await.unwrap();
    assert_eq!(sender.answer().await, None, "four thousand million values are refused at once");
    assert!(sink.quarantined().iter().all(|record| record.reason_code == "bad_message"));
    assert_source_compliance(&sink, &intake, collector, &given(&texts(2), 3)).await;
}

fn digest(parts: &[&[u8]]) -> String {
    let mut hash = Context::new(&SHA512);
    parts.iter().for_each(|part| hash.update(part));
    hex::encode(hash.finish())
}

/// Signs in with a key; whether the other side let us in, and proved that it knows the key too.
async fn sign_in(sender: &mut Sender, key: &[u8]) -> bool {
    let hello = sender.answer().await.unwrap();
    assert_eq!(hello[0], Value::from("HELO"));
    let options = hello[1].as_map().unwrap();
    let nonce = options.iter().find(|(name, _)| name.as_str() == Some("nonce")).unwrap().1.as_slice().unwrap();
    let (salt, name) = (&b"salt"[..], &b"client"[..]);
    let proof = digest(&[salt, name, nonce, key]);
    let ping = ["PING".into(), "client".into(), Value::Binary(salt.to_vec()), proof.into(), "".into(), "".into()];
    sender.send(&Value::Array(ping.to_vec())).await;
    let pong = sender.answer().await.unwrap();
    assert_eq!(pong[0], Value::from("PONG"));
    let proven = digest(&[salt, pong[3].as_str().unwrap().as_bytes(), nonce, key]);
    assert_eq!(pong[1] == Value::from(true), pong[4] == Value::from(proven), "{pong}");
    pong[1] == Value::from(true)
}

#[tokio::test]
async fn only_those_who_know_the_key_are_heard() {
    let sink = RecordingSink::new();
    let intake = intake(&sink);
    let collector = start_fluent(intake.clone(), options(), None, Some("s3cret".to_owned())).await.unwrap();
    let mut stranger = Sender::connect(&collector).await;
    assert!(!sign_in(&mut stranger, b"guess").await);
    assert_eq!(stranger.answer().await, None);
    let mut rude = Sender::connect(&collector).await;
    rude.send(&forward(0, 1)).await;
    assert_eq!(rude.answer().await.unwrap()[0], Value::from("HELO"));
    assert_eq!(rude.answer().await.unwrap()[1], Value::from(false));
    assert_eq!(rude.answer().await, None);
    assert_eq!(sink.num_records(), 0);
    let mut known = Sender::connect(&collector).await;
    assert!(sign_in(&mut known, b"s3cret").await);
    known.send(&forward(0, 3)).await;
    assert_eq!(known.answer().await, ack(0));
    assert_source_compliance(&sink, &intake, collector, &given(&texts(3), 0)).await;
}
