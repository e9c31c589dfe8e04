//! Kafka: alerts as records of a topic, for programs that read from there.
//!
//! The value is the alert as the webhook has it, JSON; the key is the rule, so that the alerts of one rule stay in order;
//! the header `alert-id` tells an alert that was tried again from a new one. A broker has taken an alert once every replica
//! that is in step has it. Brokers name each other: each is called by the rules that hold for those of the configuration.
//!
//! # Source
//! Apache Kafka, "Protocol Guide".

use std::io;

use moneta_base::Timestamp;
use moneta_kafka::{BrokerAddress, Connect, Login, NewRecord, Transport, code, find, partition_of};
use moneta_ports::{Alert, BoxFuture};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use crate::tls::{Peer, Stream};
use crate::{Carrier, Error};

/// How long brokers wait for each other, in milliseconds. The attempt has a time of its own.
const REPLICAS_WAIT_MS: i32 = 30_000;
/// What a partition without a leader is answered with.
const LEADER_NOT_AVAILABLE: i16 = 5;

/// Writes alerts to a topic.
pub struct Kafka {
    brokers: Vec<BrokerAddress>,
    topics: [String; 1],
    way: Way,
}

/// How brokers are called.
struct Way {
    /// What holds for every one of them; the address is filled in.
    peer: Peer,
    connector: Option<TlsConnector>,
    login: Option<Login>,
}

impl Kafka {
    /// Checks the settings. `peer` says what holds for every broker; its address is not looked at.
    ///
    /// # Errors
    /// What can never work.
    pub fn new(
        brokers: Vec<BrokerAddress>,
        topic: String,
        peer: Peer,
        encrypted: bool,
        login: Option<Login>,
    ) -> Result<Self, Error> {
        if brokers.is_empty() || topic.is_empty() {
            return Err(Error::Setting("brokers and a topic are needed".to_owned()));
        }
        let connector = if encrypted { Some(peer.connector()?) } else { None };
        Ok(Self { brokers, topics: [topic], way: Way { peer, connector, login } })
    }

    async fn deliver(&self, alert: &Alert, now: Timestamp) -> Result<(), Error> {
        let value = serde_json::to_vec(alert).map_err(|_| Error::Unsendable("it is not plain data"))?;
        let (key, topic) = (alert.rule_id.as_str().as_bytes(), &self.topics[0]);
        let metadata = find(&self.way, &self.brokers, &self.topics).await?;
        let refused = |code| moneta_kafka::Error::Refused { request: "Metadata", code };
        let found = metadata.topics.iter().find(|found| found.topic == *topic);
        let found = found.ok_or(refused(code::UNKNOWN_TOPIC_OR_PARTITION))?;
        if found.code != code::NONE {
            return Err(refused(found.code).into());
        }
        let chosen = found.leaders.get(partition_of(key, found.leaders.len()));
        let (partition, leader) = chosen.ok_or(refused(code::UNKNOWN_TOPIC_OR_PARTITION))?;
        let leader = leader.as_ref().ok_or(refused(LEADER_NOT_AVAILABLE))?;
        let mut connection = self.way.open(leader).await?;
        let record = NewRecord { key: Some(key), value: &value, headers: &[("alert-id", &alert.id)] };
        let millis = now.as_nanos() / 1_000_000;
        connection.produce(topic, *partition, &[record], millis, REPLICAS_WAIT_MS).await?;
        Ok(())
    }
}

impl Carrier for Kafka {
    fn send<'a>(&'a self, alert: &'a Alert, now: Timestamp) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.deliver(alert, now))
    }
}

impl Connect for Way {
    type Error = Error;

    fn connect<'a>(&'a self, broker: &'a BrokerAddress) -> BoxFuture<'a, Result<Box<dyn Transport>, Error>> {
        Box::pin(async move {
            let peer = Peer { address: broker.to_string(), ..self.peer.clone() };
            let stream = peer.connect(self.connector.is_some()).await?;
            let stream: Box<dyn Stream> = match &self.connector {
                Some(connector) => peer.encrypt(connector, stream).await?,
                None => Box::new(stream),
            };
            Ok(Box::new(Wire(stream)) as Box<dyn Transport>)
        })
    }

    fn login(&self) -> Option<&Login> {
        self.login.as_ref()
    }
}

/// A connection as the protocol uses it.
struct Wire(Box<dyn Stream>);

impl Transport for Wire {
    fn write<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move {
            self.0.write_all(bytes).await?;
            self.0.flush().await
        })
    }

    fn read<'a>(&'a mut self, buffer: &'a mut [u8]) -> BoxFuture<'a, io::Result<()>> {
        Box::pin(async move { self.0.read_exact(buffer).await.map(drop) })
    }
}
