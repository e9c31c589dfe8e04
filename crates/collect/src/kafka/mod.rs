//! Reads topics of a Kafka broker, or of whatever speaks its protocol, such as Azure Event Hubs.
//!
//! ```text
//! every look: who leads which partition ─► a reader per leader ─► fetch ─► decode ─► submit with the next offset
//! ```
//! Every partition of the topics is read, also those that come later. How far is no business of the broker: the offset
//! behind the last stored record is the sequence of the submission that stored it, so that data and progress are committed
//! together and a restart of either side neither loses nor doubles a record (`exactly-once`). Nothing is ever committed
//! to the broker, and no consumer group is joined: two servers that read one topic get all of it each.
//!
//! The *epoch* of a partition counts how often its offsets began anew. Records that the broker removed before they were
//! read are counted as dropped (`gone`), and said.

mod connect;
mod partition;
mod reader;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use moneta_base::TableName;
use moneta_base::error::chain;
use moneta_formats::Format;
use moneta_kafka::{BrokerAddress, Login, Metadata, code, find};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::connect::{Brokers, Unreachable};
use self::partition::{Partition, producer};
use self::reader::read;
use crate::Error;
use crate::collector::{Collector, Stopped, Trouble, is_stopped, until_stopped};
use crate::intake::{Intake, ResumePoints};
use crate::tls::ServerTrust;

/// How often it is asked who leads the partitions, and whether there are new ones.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Wait before the brokers are asked again after something failed; it doubles.
const RETRY_MIN: Duration = Duration::from_millis(250);
/// Longest such wait.
const RETRY_MAX: Duration = Duration::from_secs(15);
/// How long it may take to find out who leads the partitions.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// Where to begin in a partition of which nothing was ever stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaStart {
    /// With the first record that is there.
    Earliest,
    /// Behind the last one, in partitions that are there at the first look; with the first one in those that come later.
    Latest,
}

/// Which topics to read, and how.
#[derive(Debug, Clone)]
pub struct KafkaOptions {
    /// What the source is called. Progress is remembered under this name.
    pub name: String,
    /// Brokers that are asked first; they name the others.
    pub brokers: Vec<BrokerAddress>,
    /// The topics.
    pub topics: Vec<String>,
    /// What each record is, in a format of lines that stand for themselves.
    pub format: Format,
    /// The table of records whose shape says nothing of it; absent: one named by the topic.
    pub table: Option<TableName>,
    /// Where to begin.
    pub start: KafkaStart,
    /// Whom to trust; absent: no TLS.
    pub tls: Option<ServerTrust>,
    /// How to sign in.
    pub login: Option<Login>,
}

/// Reads topics. A broker that cannot be reached is tried again for ever; [`Collector::trouble`] says why.
///
/// # Errors
/// [`Error::Tls`] when a file that TLS needs cannot be used.
pub fn start_kafka(intake: Intake, resume: Arc<dyn ResumePoints>, options: KafkaOptions) -> Result<Collector, Error> {
    let connector = options.tls.as_ref().map(ServerTrust::connector).transpose()?;
    let (name, label) = (format!("kafka {}", options.name), format!("kafka/{}", options.name));
    let trouble = Trouble::default();
    let brokers = Brokers { connector, login: options.login.clone() };
    let shared = Shared { intake, resume, brokers, label: label.clone(), trouble: trouble.clone(), options };
    let cluster = Cluster {
        shared: Arc::new(shared),
        seen: BTreeSet::new(),
        from_end: BTreeSet::new(),
        readers: BTreeMap::new(),
    };
    Ok(Collector::start(&name, label, None, |stopped| cluster.run(stopped)).telling(trouble))
}

/// What all readers of a source need.
struct Shared {
    intake: Intake,
    resume: Arc<dyn ResumePoints>,
    brokers: Brokers,
    /// What records are counted under, and names of sources begin with.
    label: String,
    trouble: Trouble,
    options: KafkaOptions,
}

impl Shared {
    /// Says that something cannot be reached, or can again; the log hears of changes.
    fn tell(&self, thing: &str, reason: Option<String>) {
        self.trouble.tell(&self.label, thing, reason);
    }
}

/// A partition by topic and number.
type Named = (String, i32);

/// The brokers of one source, and who reads from them.
struct Cluster {
    shared: Arc<Shared>,
    /// Topics that were looked for before.
    seen: BTreeSet<String>,
    /// Partitions to be read from their end, unless something of them is stored.
    from_end: BTreeSet<Named>,
    readers: BTreeMap<BrokerAddress, Reader>,
}

struct Reader {
    partitions: Vec<Named>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Reader {
    async fn stop(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "a reader of Kafka did not end in order");
        }
    }
}

impl Cluster {
    async fn run(mut self, mut stopped: Stopped) {
        let mut retry = RETRY_MIN;
        while !is_stopped(&stopped) {
            let looked = tokio::select! {
                looked = self.look() => looked,
                () = until_stopped(&mut stopped) => break,
            };
            let is_well = match looked {
                Ok(metadata) => self.follow(metadata).await,
                Err(error) => {
                    self.shared.tell("brokers", Some(chain(&error)));
                    false
                }
            };
            retry = if is_well { RETRY_MIN } else { (retry * 2).min(RETRY_MAX) };
            tokio::select! {
                () = tokio::time::sleep(if is_well { LOOK_EVERY } else { retry }) => {}
                // A reader that ended has something to find out anew.
                () = self.until_one_ended(), if is_well => {}
                () = until_stopped(&mut stopped) => {}
            }
        }
        for (_, reader) in std::mem::take(&mut self.readers) {
            reader.stop().await;
        }
    }

    async fn look(&self) -> Result<Metadata, Unreachable> {
        let Shared { brokers, options, .. } = &*self.shared;
        let found = tokio::time::timeout(LOOK_MAX, find(brokers, &options.brokers, &options.topics)).await;
        let metadata = found.unwrap_or_else(|_| Err(Unreachable::late()))?;
        self.shared.tell("brokers", None);
        Ok(metadata)
    }

    /// Lets every partition be read from its leader; whether all of them are.
    async fn follow(&mut self, metadata: Metadata) -> bool {
        let mut wanted: BTreeMap<BrokerAddress, Vec<Named>> = BTreeMap::new();
        let mut is_well = true;
        for topic in &metadata.topics {
            let without: Vec<_> =
                topic.leaders.iter().filter(|(_, leader)| leader.is_none()).map(|(id, _)| id).collect();
            let reason = match topic.code {
                code::NONE if topic.leaders.is_empty() => Some("it has no partitions".to_owned()),
                code::NONE if without.is_empty() => None,
                code::NONE => Some(format!("partitions {without:?} have no leader now")),
                code::UNKNOWN_TOPIC_OR_PARTITION => Some("there is no such topic, or it may not be seen".to_owned()),
                code => Some(moneta_kafka::Error::Refused { request: "Metadata", code }.to_string()),
            };
            is_well &= reason.is_none();
            self.shared.tell(&format!("topic {}", topic.topic), reason);
            self.note_first_look(&topic.topic, topic.leaders.iter().map(|(id, _)| *id).collect()).await;
            for (partition, leader) in &topic.leaders {
                if let Some(leader) = leader {
                    wanted.entry(leader.clone()).or_default().push((topic.topic.clone(), *partition));
                }
            }
        }
        is_well & self.read_from(wanted).await
    }

    /// Remembers the partitions that are there when a topic is looked for first, where reading begins at their end.
    async fn note_first_look(&mut self, topic: &str, partitions: Vec<i32>) {
        if !self.seen.insert(topic.to_owned()) || self.shared.options.start == KafkaStart::Earliest {
            return;
        }
        for partition in &partitions {
            let producer = producer(&self.shared.label, topic, *partition);
            if self.shared.resume.resume_point(&producer).await.is_some() {
                // It was read before: what is not known of it came since.
                return;
            }
        }
        self.from_end.extend(partitions.into_iter().map(|partition| (topic.to_owned(), partition)));
    }

    /// Starts and stops readers until they are those wanted; whether none of them had ended by itself.
    async fn read_from(&mut self, wanted: BTreeMap<BrokerAddress, Vec<Named>>) -> bool {
        let mut is_well = true;
        for (leader, reader) in std::mem::take(&mut self.readers) {
            let has_ended = reader.task.is_finished();
            is_well &= !has_ended;
            if !has_ended && wanted.get(&leader) == Some(&reader.partitions) {
                self.readers.insert(leader, reader);
            } else {
                reader.stop().await;
                if !wanted.contains_key(&leader) {
                    self.shared.tell(&format!("broker {leader}"), None);
                }
            }
        }
        for (leader, partitions) in wanted {
            if self.readers.contains_key(&leader) {
                continue;
            }
            let from_end = |named: &Named| self.from_end.contains(named);
            let positions = partitions.iter().map(|named| Partition::new(&self.shared.label, named, from_end(named)));
            let (stop, stopped) = watch::channel(false);
            let task = tokio::spawn(read(self.shared.clone(), leader.clone(), positions.collect(), stopped));
            self.readers.insert(leader, Reader { partitions, stop, task });
        }
        is_well
    }

    async fn until_one_ended(&self) {
        while !self.readers.values().any(|reader| reader.task.is_finished()) {
            tokio::time::sleep(RETRY_MIN).await;
        }
    }
}
