//! Streams and their pull consumers.

use moneta_base::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

use crate::{Connection, Error, Message};

/// Where requests to JetStream go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Api {
    prefix: String,
}

impl Api {
    /// That of a domain; of the server's own when absent.
    #[must_use]
    pub fn new(domain: Option<&str>) -> Self {
        Self { prefix: domain.map_or_else(|| "$JS.API".to_owned(), |domain| format!("$JS.{domain}.API")) }
    }

    fn subject(&self, request: &str, names: &[&str]) -> String {
        let names = names.iter().flat_map(|name| [".", *name]);
        [self.prefix.as_str(), ".", request].into_iter().chain(names).collect()
    }
}

/// When a stream removes messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Retention {
    /// When they are too many or too old.
    Limits,
    /// When every consumer has acknowledged them.
    Interest,
    /// When one consumer has acknowledged them.
    WorkQueue,
}

/// A stream as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamInfo {
    /// When it was made, in nanoseconds since 1970: tells it from one of the same name before it.
    pub created_ns: i64,
    /// When it removes messages.
    pub retention: Retention,
    /// The lowest number that a message has, or that of the next one where there is none.
    pub first: u64,
    /// The highest number that a message had; 0 where there was none.
    pub last: u64,
}

/// How a consumer is to be: it delivers to whoever asks, and every message is acknowledged by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig<'a> {
    /// Its name.
    pub name: &'a str,
    /// What people are told of it.
    pub description: &'a str,
    /// Only messages under this subject; all when absent.
    pub subject: Option<&'a str>,
    /// The first message; all that are there when absent.
    pub start: Option<u64>,
    /// Nanoseconds after which a message that was not acknowledged is delivered again.
    pub ack_wait_ns: u64,
    /// Messages that may wait for their acknowledgement.
    pub max_ack_pending: u64,
}

/// A consumer as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerInfo {
    /// What people are told of it.
    pub description: String,
    /// The subject of its messages; empty for all.
    pub subject: String,
    /// The message that was delivered last.
    pub delivered: u64,
    /// How many deliveries that were.
    pub deliveries: u64,
    /// Messages that wait for their acknowledgement.
    pub unacknowledged: u64,
}

/// How much is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pull {
    /// Messages at most.
    pub messages: usize,
    /// Bytes at most; not less than the longest message has.
    pub bytes: usize,
    /// Nanoseconds to wait for them.
    pub wait_ns: u64,
}

/// What the subject by which a message is acknowledged says of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// Its number in the stream.
    pub number: u64,
    /// The number of this delivery by its consumer.
    pub delivery: u64,
    /// When the stream took it, in nanoseconds since 1970.
    pub time_ns: i64,
}

impl Delivery {
    /// Of a message; `None` when it comes from no stream.
    #[must_use]
    pub fn of(message: &Message) -> Option<Self> {
        let words: Vec<&str> = message.reply.as_deref()?.strip_prefix("$JS.ACK.")?.split('.').collect();
        // stream, consumer, tries, number, delivery, time, left; before them domain and account where there are more.
        let facts = match words.len() {
            7 => &words[3..6],
            9.. => &words[5..8],
            _ => return None,
        };
        let [number, delivery, time_ns] = facts else { return None };
        Some(Self { number: number.parse().ok()?, delivery: delivery.parse().ok()?, time_ns: time_ns.parse().ok()? })
    }
}

impl Connection {
    /// A stream.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stream(&mut self, api: &Api, stream: &str) -> Result<StreamInfo, Error> {
        let answer: StreamAnswer = self.call(api, "STREAM.INFO", &[stream], &Json::Null).await?;
        let created = Timestamp::parse(&answer.created);
        Ok(StreamInfo {
            created_ns: created.ok_or(Error::NotNats("a stream has no time at which it was made"))?.as_nanos(),
            retention: answer.config.retention,
            first: answer.state.first_seq,
            last: answer.state.last_seq,
        })
    }

    /// A consumer; `None` where there is none of the name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn consumer(&mut self, api: &Api, stream: &str, name: &str) -> Result<Option<ConsumerInfo>, Error> {
        match self.call::<ConsumerAnswer>(api, "CONSUMER.INFO", &[stream, name], &Json::Null).await {
            Ok(answer) => Ok(Some(answer.into())),
            Err(error) if error.is_no_consumer() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a consumer.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn create_consumer(
        &mut self,
        api: &Api,
        stream: &str,
        config: &ConsumerConfig<'_>,
    ) -> Result<ConsumerInfo, Error> {
        let mut wanted = json!({
            "durable_name": config.name,
            "description": config.description,
            "ack_policy": "explicit",
            "ack_wait": config.ack_wait_ns,
            "max_ack_pending": config.max_ack_pending,
            "max_deliver": -1,
            "replay_policy": "instant",
            "deliver_policy": if config.start.is_some() { "by_start_sequence" } else { "all" },
        });
        if let Some(start) = config.start {
            wanted["opt_start_seq"] = start.into();
        }
        if let Some(subject) = config.subject {
            wanted["filter_subject"] = subject.into();
        }
        let body = json!({ "stream_name": stream, "config": wanted });
        let answer: ConsumerAnswer = self.call(api, "CONSUMER.DURABLE.CREATE", &[stream, config.name], &body).await?;
        Ok(answer.into())
    }

    /// Removes a consumer; nothing happens where there is none of the name.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_consumer(&mut self, api: &Api, stream: &str, name: &str) -> Result<(), Error> {
        match self.call::<Json>(api, "CONSUMER.DELETE", &[stream, name], &Json::Null).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_no_consumer() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Asks for messages, with the next [`flush`](Connection::flush). The messages come by
    /// [`take`](Connection::take); a message under the subject that is answered, with a [`status`](Message::status), is
    /// the end of them.
    pub fn pull(&mut self, api: &Api, stream: &str, name: &str, pull: Pull) -> String {
        let body = json!({ "batch": pull.messages, "max_bytes": pull.bytes, "expires": pull.wait_ns });
        self.ask(&api.subject("CONSUMER.MSG.NEXT", &[stream, name]), body.to_string().as_bytes())
    }

    /// Acknowledges a message by the subject that came with it, with the next [`flush`](Connection::flush).
    pub fn acknowledge(&mut self, reply: &str) {
        self.publish(reply, None, b"+ACK");
    }

    async fn call<T: DeserializeOwned>(
        &mut self,
        api: &Api,
        request: &'static str,
        names: &[&str],
        body: &Json,
    ) -> Result<T, Error> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = self.request(&api.subject(request, names), body.as_bytes()).await?;
        read_answer(request, &answer)
    }
}

fn read_answer<T: DeserializeOwned>(request: &'static str, answer: &[u8]) -> Result<T, Error> {
    let wrong = || Error::NotNats("an answer of JetStream is not what was asked for");
    let refusal: Refusal = serde_json::from_slice(answer).map_err(|_| wrong())?;
    match refusal.error {
        Some(Reason { err_code, code, description }) => {
            let code = if err_code == 0 { code } else { err_code };
            Err(Error::Api { request, code, description })
        }
        None => serde_json::from_slice(answer).map_err(|_| wrong()),
    }
}

#[derive(Deserialize)]
struct Refusal {
    error: Option<Reason>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Reason {
    code: u64,
    err_code: u64,
    description: String,
}

#[derive(Deserialize)]
struct StreamAnswer {
    created: String,
    config: StreamSettings,
    state: StreamState,
}

#[derive(Deserialize)]
struct StreamSettings {
    retention: Retention,
}

#[derive(Deserialize)]
struct StreamState {
    first_seq: u64,
    last_seq: u64,
}

#[derive(Deserialize)]
struct ConsumerAnswer {
    config: ConsumerSettings,
    delivered: Pair,
    num_ack_pending: u64,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ConsumerSettings {
    description: String,
    filter_subject: String,
}

#[derive(Deserialize)]
struct Pair {
    consumer_seq: u64,
    stream_seq: u64,
}

impl From<ConsumerAnswer> for ConsumerInfo {
    fn from(answer: ConsumerAnswer) -> Self {
        Self {
            description: answer.config.description,
            subject: answer.config.filter_subject,
            delivered: answer.delivered.stream_seq,
            deliveries: answer.delivered.consumer_seq,
            unacknowledged: answer.num_ack_pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Incoming, Operation};

    fn delivery(reply: &str) -> Option<Delivery> {
        let mut incoming = Incoming::default();
        incoming.push(format!("MSG a 1 {reply} 0\r\n\r\n").as_bytes());
        let Some(Operation::Message(message)) = incoming.next().unwrap() else { panic!("{reply}") };
        Delivery::of(&message)
    }

    #[test]
    fn the_subject_of_an_acknowledgement_says_what_was_delivered() {
        let expected = Some(Delivery { number: 17, delivery: 9, time_ns: 1_790_000_000_000_000_005 });
        assert_eq!(delivery("$JS.ACK.door.moneta.1.17.9.1790000000000000005.3"), expected);
        assert_eq!(delivery("$JS.ACK.hub.AbC.door.moneta.1.17.9.1790000000000000005.3"), expected);
        assert_eq!(delivery("$JS.ACK._.AbC.door.moneta.1.17.9.1790000000000000005.3.x7"), expected);
        for other in ["_INBOX.1", "$JS.ACK.a.b", "$JS.ACK.a.b.c.d.e.f.g", "$JS.ACK.a.b.1.-2.3.4.5"] {
            assert_eq!(delivery(other), None, "{other}");
        }
    }

    #[test]
    fn what_jetstream_refuses_is_told_by_number_and_reason() {
        let refused = br#"{"type":"x","error":{"code":404,"err_code":10014,"description":"consumer not found"}}"#;
        let error = read_answer::<Json>("CONSUMER.INFO", refused).unwrap_err();
        assert!(error.is_no_consumer());
        assert_eq!(error.to_string(), "JetStream answered CONSUMER.INFO with consumer not found (10014)");
        assert!(read_answer::<StreamAnswer>("STREAM.INFO", b"{}").is_err());
        assert!(read_answer::<StreamAnswer>("STREAM.INFO", b"<html>").is_err());
    }

    #[test]
    fn requests_go_to_the_domain() {
        assert_eq!(Api::new(None).subject("CONSUMER.INFO", &["a", "b"]), "$JS.API.CONSUMER.INFO.a.b");
        assert_eq!(Api::new(Some("hub")).subject("STREAM.INFO", &["a"]), "$JS.hub.API.STREAM.INFO.a");
    }
}
