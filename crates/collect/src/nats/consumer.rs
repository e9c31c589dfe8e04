//! Where reading goes on, and the consumer on the server set there.

use moneta_nats::{Connection, ConsumerConfig, ConsumerInfo, Retention, StreamInfo};

use super::connect::Unreadable;
use super::{NatsStart, Shared};
use crate::collector::Stopped;
use crate::intake::{ResumePoint, Stored};
use crate::place::Place;

/// What people are told of our consumer, and how it is known as ours.
const DESCRIPTION: &str = "Moneta reads through this consumer and sets it anew by itself";
/// Behind the name of the consumer that holds messages while the other is set anew.
const HOLDER: &str = "-holder";
/// Nanoseconds after which the server delivers again what was not acknowledged: longer than storing takes.
const ACK_WAIT_NS: u64 = 600_000_000_000;
/// Messages that may wait for their acknowledgement: more than are ever asked for at once.
const UNACKNOWLEDGED_MAX: u64 = 20_000;
/// Bits of an epoch that hold when the stream was made.
const CREATED_BITS: u32 = 64;

/// The epoch of a stream that was made then, whose numbers began anew so often.
fn epoch(times: u128, created_ns: i64) -> u128 {
    times << CREATED_BITS | u128::from(created_ns.cast_unsigned())
}

/// What a stored place means for the stream that is there now.
#[derive(Debug, PartialEq, Eq)]
enum Aligned {
    /// Reading goes on there.
    There,
    /// The stream is another, or lost its newest messages: reading goes on there.
    Anew(ResumePoint),
    /// So many messages were removed before they were read.
    Gone(u64, ResumePoint),
}

fn align((was, next): ResumePoint, stream: &StreamInfo) -> Aligned {
    let again = (was >> CREATED_BITS) + 1;
    if epoch(was >> CREATED_BITS, stream.created_ns) != was {
        return Aligned::Anew((epoch(again, stream.created_ns), stream.first.max(1)));
    }
    if next > stream.last.saturating_add(1) {
        return Aligned::Anew((epoch(again, stream.created_ns), stream.last.saturating_add(1)));
    }
    // Elsewhere messages go because they were acknowledged.
    if next < stream.first && stream.retention == Retention::Limits {
        return Aligned::Gone(stream.first - next, (was, stream.first));
    }
    Aligned::There
}

/// Finds out where reading goes on; anything but [`Stored::Yes`] when that cannot be remembered.
pub(super) async fn stand(shared: &Shared, place: &mut Place, stream: &StreamInfo, stopped: &mut Stopped) -> Stored {
    let source = place.source.as_str();
    let Some(point) = shared.resume.resume_point(&place.producer).await else {
        (place.epoch, place.next) = (epoch(0, stream.created_ns), stream.first.max(1));
        return match shared.options.start {
            // Where messages go to one consumer, those passed over would be gone for everybody.
            NatsStart::Latest if stream.retention != Retention::WorkQueue => {
                let end = (place.epoch, stream.last.saturating_add(1));
                place.stand_at(&shared.intake, &shared.label, end, stopped).await
            }
            NatsStart::Earliest | NatsStart::Latest => Stored::Yes,
        };
    };
    let point = match align(point, stream) {
        Aligned::There => {
            place.resume(point);
            return Stored::Yes;
        }
        Aligned::Anew(point) => {
            tracing::error!(source, to = point.1, "the stream's numbers began anew: what is there is read from here");
            point
        }
        Aligned::Gone(lost, point) if shared.options.subject.is_none() => {
            tracing::error!(source, lost, to = point.1, "the server removed messages before they were read");
            shared.intake.count_dropped(source, "gone", lost);
            point
        }
        Aligned::Gone(lost_at_most, point) => {
            tracing::error!(source, lost_at_most, to = point.1, "the server removed messages, perhaps some to be read");
            point
        }
    };
    place.stand_at(&shared.intake, &shared.label, point, stopped).await
}

/// Lets the consumer stand at a number; answers how many deliveries it made before.
pub(super) async fn set(
    shared: &Shared,
    connection: &mut Connection,
    retention: Retention,
    next: u64,
) -> Result<u64, Unreadable> {
    let (api, options) = (&shared.api, &shared.options);
    let (stream, name) = (options.stream.as_str(), options.consumer.as_str());
    let there = connection.consumer(api, stream, name).await?;
    if let Some(consumer) = &there {
        if consumer.description != DESCRIPTION {
            return Err(Unreadable::NotOurs(name.to_owned()));
        }
        if stands_at(consumer, options.subject.as_deref(), next) {
            return Ok(consumer.deliveries);
        }
    }
    // A stream that keeps messages for its consumers would let them go with the last one of these.
    let holder = (retention == Retention::Interest).then(|| format!("{name}{HOLDER}"));
    if let Some(holder) = &holder {
        connection.delete_consumer(api, stream, holder).await?;
        connection.create_consumer(api, stream, &config(shared, holder, Some(next))).await?;
    }
    connection.delete_consumer(api, stream, name).await?;
    // Where messages go to one consumer, they stay until that one acknowledged them, and its beginning is theirs.
    let start = (retention != Retention::WorkQueue).then_some(next);
    let made = connection.create_consumer(api, stream, &config(shared, name, start)).await?;
    if let Some(holder) = &holder {
        connection.delete_consumer(api, stream, holder).await?;
    }
    Ok(made.deliveries)
}

fn stands_at(consumer: &ConsumerInfo, subject: Option<&str>, next: u64) -> bool {
    consumer.unacknowledged == 0
        && consumer.delivered.saturating_add(1) == next
        && consumer.subject == subject.unwrap_or_default()
}

fn config<'a>(shared: &'a Shared, name: &'a str, start: Option<u64>) -> ConsumerConfig<'a> {
    ConsumerConfig {
        name,
        description: DESCRIPTION,
        subject: shared.options.subject.as_deref(),
        start,
        ack_wait_ns: ACK_WAIT_NS,
        max_ack_pending: UNACKNOWLEDGED_MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(created_ns: i64, first: u64, last: u64) -> StreamInfo {
        StreamInfo { created_ns, retention: Retention::Limits, first, last }
    }

    #[test]
    fn a_place_holds_for_the_stream_that_it_was_stored_of() {
        let was = epoch(2, 77);
        assert_eq!(align((was, 5), &stream(77, 1, 9)), Aligned::There);
        assert_eq!(align((was, 10), &stream(77, 10, 9)), Aligned::There, "all is read and removed");
        assert_eq!(align((was, 5), &stream(77, 8, 9)), Aligned::Gone(3, (was, 8)));
        assert_eq!(align((was, 5), &stream(77, 1, 2)), Aligned::Anew((epoch(3, 77), 3)), "its end is lost");
        assert_eq!(align((was, 5), &stream(78, 0, 0)), Aligned::Anew((epoch(3, 78), 1)), "another of its name");
        let queue = StreamInfo { retention: Retention::WorkQueue, ..stream(77, 8, 9) };
        assert_eq!(align((was, 5), &queue), Aligned::There);
    }
}
