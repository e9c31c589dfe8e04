//! Reads the partitions that one broker leads, until something is not as it was.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use moneta_base::error::chain;
use moneta_kafka::{BrokerAddress, Connect, Connection, FetchFrom, FetchLimits, Fetched, Place, code};

use super::Shared;
use super::connect::Unreachable;
use super::partition::Partition;
use crate::collector::{Stopped, is_stopped, until_stopped};
use crate::intake::{ResumePoint, Stored};

/// How much is asked for at once.
const LIMITS: FetchLimits = FetchLimits { wait_ms: 500, bytes: 16 << 20, partition_bytes: 2 << 20 };
/// How long a broker may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Why reading ends.
enum End {
    /// It was told to.
    Stopped,
    /// The broker has to be asked anew.
    Failed(Unreachable),
}

impl<E: Into<Unreachable>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// Reads until told to stop, or until the broker cannot be read from, which [`Shared::trouble`] then says.
pub(super) async fn read(shared: Arc<Shared>, leader: BrokerAddress, partitions: Vec<Partition>, mut stopped: Stopped) {
    let thing = format!("broker {leader}");
    let mut reader = LeaderReader { shared: &shared, thing: &thing, partitions };
    if let Err(End::Failed(error)) = reader.run(&leader, &mut stopped).await {
        shared.tell(&thing, Some(chain(&error)));
    }
}

struct LeaderReader<'a> {
    shared: &'a Shared,
    thing: &'a str,
    partitions: Vec<Partition>,
}

impl LeaderReader<'_> {
    async fn run(&mut self, leader: &BrokerAddress, stopped: &mut Stopped) -> Result<(), End> {
        let mut connection = within(stopped, self.shared.brokers.open(leader)).await?;
        for partition in &mut self.partitions {
            match self.shared.resume.resume_point(&partition.place.producer).await {
                Some(point) => partition.place.resume(point),
                None if partition.from_end => {
                    let asked = connection.offset(&partition.topic, partition.number, Place::End);
                    let end = number(within(stopped, asked).await?);
                    stand_at(self.shared, partition, (0, end), stopped).await?;
                }
                None => {
                    let asked = connection.offset(&partition.topic, partition.number, Place::First);
                    partition.place.next = number(within(stopped, asked).await?);
                }
            }
        }
        while !is_stopped(stopped) {
            let from: Vec<FetchFrom> = self.partitions.iter().map(Partition::from).collect();
            let fetched = within(stopped, connection.fetch(&from, LIMITS)).await?;
            self.take(&mut connection, fetched, stopped).await?;
            self.shared.tell(self.thing, None);
        }
        Ok(())
    }

    /// Stores what came, each partition by itself.
    async fn take(
        &mut self,
        connection: &mut Connection,
        fetched: Vec<Fetched>,
        stopped: &mut Stopped,
    ) -> Result<(), End> {
        let shared = self.shared;
        let came: Vec<(&mut Partition, &Fetched)> = self
            .partitions
            .iter_mut()
            .filter_map(|partition| {
                fetched.iter().find(|fetched| partition.is(fetched)).map(|found| (partition, found))
            })
            .collect();
        let mut lost = Vec::new();
        let mut stores = Vec::new();
        for (partition, fetched) in came {
            match fetched.code {
                code::NONE if fetched.batches.is_empty() => {}
                code::NONE => stores.push(store(shared, partition, fetched, stopped.clone())),
                code::OFFSET_OUT_OF_RANGE => lost.push(partition),
                code => return Err(moneta_kafka::Error::Refused { request: "Fetch", code }.into()),
            }
        }
        for stored in join_all(stores).await {
            stored?;
        }
        for partition in lost {
            realign(shared, connection, partition, stopped).await?;
        }
        Ok(())
    }
}

async fn store(shared: &Shared, partition: &mut Partition, fetched: &Fetched, mut stopped: Stopped) -> Result<(), End> {
    let before = partition.place.next;
    if partition.store(shared, fetched, &mut stopped).await == Stored::Stopped {
        return Err(End::Stopped);
    }
    if partition.place.next == before {
        return Err(moneta_kafka::Error::NotKafka("records came that make no whole batch").into());
    }
    Ok(())
}

/// Goes on where the broker has records, when it has none where they were expected, and says what that means.
async fn realign(
    shared: &Shared,
    connection: &mut Connection,
    partition: &mut Partition,
    stopped: &mut Stopped,
) -> Result<(), End> {
    let (topic, id) = (partition.topic.clone(), partition.number);
    let first = number(within(stopped, connection.offset(&topic, id, Place::First)).await?);
    let end = number(within(stopped, connection.offset(&topic, id, Place::End)).await?);
    let (epoch, next, source) = (partition.place.epoch, partition.place.next, partition.place.source.as_str());
    if next < first {
        let lost = first - next;
        tracing::error!(source, lost, from = next, to = first, "the broker removed records before they were read");
        shared.intake.count_dropped(source, "gone", lost);
        return stand_at(shared, partition, (epoch, first), stopped).await;
    }
    if next > end {
        tracing::error!(source, stored_to = next, first, end, "the offsets began anew: all that is there is read");
        return stand_at(shared, partition, (epoch.wrapping_add(1), first), stopped).await;
    }
    // It is there now: leaders change.
    Ok(())
}

async fn stand_at(
    shared: &Shared,
    partition: &mut Partition,
    point: ResumePoint,
    stopped: &mut Stopped,
) -> Result<(), End> {
    match partition.stand_at(shared, point, stopped).await {
        Stored::Yes => Ok(()),
        // Without its place remembered nothing of it can be stored either.
        Stored::Refused | Stored::Stopped => Err(End::Stopped),
    }
}

/// What a broker answers, in time, and unless reading has to stop.
async fn within<T, E: Into<Unreachable>>(
    stopped: &mut Stopped,
    asked: impl Future<Output = Result<T, E>>,
) -> Result<T, End> {
    tokio::select! {
        answered = tokio::time::timeout(ANSWER_MAX, asked) => match answered {
            Ok(answer) => answer.map_err(|error| End::Failed(error.into())),
            Err(_) => Err(End::Failed(Unreachable::late())),
        },
        () = until_stopped(stopped) => Err(End::Stopped),
    }
}

fn number(offset: i64) -> u64 {
    u64::try_from(offset).unwrap_or_default()
}
