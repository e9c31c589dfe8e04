//! Call records of Microsoft Graph: one row of `CallDetailRecord_CL` for the call, one of `CallQuality_CL` for each
//! stream of media, joined by the call's id.
//!
//! Layout: `sessions[] / segments[] / media[] / streams[]`; a list of media alone (as asked for by itself) gives its
//! streams only. Durations are ISO 8601 (`PT0.016S`) and become milliseconds; ratios stay fractions.

use moneta_event::{RecordClass, Value};

use super::{built_in, capital, make_room, set_item, time_of, with_only};
use crate::clock_text;
use crate::json::{Document, Item};
use crate::mapping::choose::find;
use crate::output::{Output, Refusal, TableId};

/// Columns of a call: column, path.
const CALL: [(&str, &str); 12] = [
    ("CallId", "id"),
    ("CallType", "type"),
    ("Modalities", "modalities"),
    ("StartTime", "startDateTime"),
    ("EndTime", "endDateTime"),
    ("CallerUserId", "organizer_v2.id"),
    ("CallerName", "organizer_v2.identity.user.displayName"),
    ("Organizer", "organizer"),
    ("Participants", "participants"),
    ("Version", "version"),
    ("JoinWebUrl", "joinWebUrl"),
    ("LastModified", "lastModifiedDateTime"),
];

/// Columns of a stream that keep their values: column, member.
const STREAM: [(&str, &str); 4] = [
    ("StreamId", "streamId"),
    ("StreamDirection", "streamDirection"),
    ("PacketLossRateAvg", "averagePacketLossRate"),
    ("PacketLossRateMax", "maxPacketLossRate"),
];
/// Further ones, whose names in the record differ.
const STREAM_MORE: [(&str, &str); 5] = [
    ("MosDegradationAvg", "averageAudioDegradation"),
    ("ConcealedRatioAvg", "averageRatioOfConcealedSamples"),
    ("ConcealedRatioMax", "maxRatioOfConcealedSamples"),
    ("PacketUtilization", "packetUtilization"),
    ("BandwidthEst", "averageBandwidthEstimate"),
];
/// Durations of a stream with columns. All durations become milliseconds.
const STREAM_TIMES: [(&str, &str); 4] = [
    ("JitterAvg", "averageJitter"),
    ("JitterMax", "maxJitter"),
    ("RoundTripTimeAvg", "averageRoundTripTime"),
    ("RoundTripTimeMax", "maxRoundTripTime"),
];

struct Stream<'a> {
    session: Option<Item<'a>>,
    segment: Option<Item<'a>>,
    media: Item<'a>,
    stream: Item<'a>,
}

pub(super) fn write(item: Item<'_>, raw: &str, output: &mut Output) -> Result<(), Refusal> {
    let mut streams = Vec::new();
    for session in list(item, "sessions") {
        for segment in list(session, "segments") {
            collect(segment, Some(session), Some(segment), &mut streams);
        }
        collect(session, Some(session), None, &mut streams);
    }
    collect(item, None, None, &mut streams);
    let is_call = item.get("startDateTime").is_some();
    if streams.is_empty() && !is_call {
        return Err(Refusal::new("no_streams", "neither a call record nor a list of media with streams"));
    }
    let time = time_of(item.get("startDateTime"), output)?;
    make_room(output, streams.len() + 1);
    let mut scratch = Document::default();
    if is_call {
        call(item, time, raw, output, &mut scratch);
    }
    for stream in streams {
        output.reserve(1);
        match stream.begun().map_or(Ok(time), |begun| time_of(Some(begun), output)) {
            Ok(time) => stream.write(item, time, output, &mut scratch),
            Err(refusal) => output.quarantine_part(refusal, &stream.alone(item)),
        }
    }
    Ok(())
}

fn list<'a>(item: Item<'a>, name: &str) -> impl Iterator<Item = Item<'a>> + use<'a> {
    item.get(name).into_iter().flat_map(Item::elements)
}

fn collect<'a>(item: Item<'a>, session: Option<Item<'a>>, segment: Option<Item<'a>>, streams: &mut Vec<Stream<'a>>) {
    for media in list(item, "media") {
        streams.extend(list(media, "streams").map(|stream| Stream { session, segment, media, stream }));
    }
}

fn call(item: Item<'_>, time: moneta_base::Timestamp, raw: &str, output: &mut Output, scratch: &mut Document) {
    let table = output.table(&built_in("CallDetailRecord_CL"));
    for (column, from) in CALL {
        set_item(output, table, column, find(item, &path(from)), scratch);
    }
    let first = list(item, "sessions").next();
    for (column, from) in [
        ("CallerUpn", "caller.associatedIdentity.userPrincipalName"),
        ("CalleeUpn", "callee.associatedIdentity.userPrincipalName"),
        ("CalleeName", "callee.associatedIdentity.displayName"),
        ("CalleeUserId", "callee.associatedIdentity.id"),
    ] {
        set_item(output, table, column, first.and_then(|session| find(session, &path(from))), scratch);
    }
    let failed = list(item, "sessions").find_map(failure);
    for (column, from) in [("FailureReason", "reason"), ("FailureStage", "stage")] {
        set_item(output, table, column, failed.and_then(|failure| failure.get(from)), scratch);
    }
    let ended = item.get("endDateTime").and_then(Item::text).and_then(|text| clock_text::parse_iso(text, 0));
    if let Some(ended) = ended {
        let seconds = (ended.as_nanos() - time.as_nanos()) / 1_000_000_000;
        output.set_field(table, "DurationSeconds", Value::Long(seconds));
    }
    let num_failed = list(item, "sessions").filter(|session| failure(*session).is_some()).count();
    let outcome = match num_failed {
        0 => "Success",
        failed if failed == list(item, "sessions").count() => "Failed",
        _ => "PartlyFailed",
    };
    output.set_field(table, "Outcome", Value::Text(outcome));
    output.set_field(table, "Source", Value::Text("MicrosoftGraph"));
    output.finish_row(table, RecordClass::Data, time, raw);
}

/// What went wrong in a session, if anything did.
fn failure(session: Item<'_>) -> Option<Item<'_>> {
    session.get("failureInfo").filter(|failure| failure.is_object())
}

impl<'a> Stream<'a> {
    /// The stream as a list of media by itself, with the ids of what it is part of.
    fn alone(&self, item: Item<'a>) -> String {
        let id = |part: Option<Item<'a>>| part.and_then(|part| part.get("id")).map_or("null", |id| id.raw());
        let (call, session, segment) = (id(Some(item)), id(self.session), id(self.segment));
        let media = with_only(self.media, "streams", self.stream.raw());
        format!("{{\"id\":{call},\"sessionId\":{session},\"segmentId\":{segment},\"media\":[{media}]}}")
    }

    fn begun(&self) -> Option<Item<'a>> {
        let part = self.segment.or(self.session);
        self.stream.get("startDateTime").or_else(|| part.and_then(|part| part.get("startDateTime")))
    }

    fn write(&self, item: Item<'a>, time: moneta_base::Timestamp, output: &mut Output, scratch: &mut Document) {
        let table = output.table(&built_in("CallQuality_CL"));
        set_item(output, table, "CallId", item.get("id"), scratch);
        let id_of = |part: Option<Item<'a>>, name| part.map_or_else(|| item.get(name), |part| part.get("id"));
        set_item(output, table, "SessionId", id_of(self.session, "sessionId"), scratch);
        set_item(output, table, "SegmentId", id_of(self.segment, "segmentId"), scratch);
        set_item(output, table, "MediaLabel", self.media.get("label"), scratch);
        for part in ["callerNetwork", "calleeNetwork", "callerDevice", "calleeDevice"] {
            set_item(output, table, &capital(part), self.media.get(part), scratch);
        }
        for (name, member) in self.stream.members() {
            self.member(name, member, table, output, scratch);
        }
        output.finish_row(table, RecordClass::Data, time, self.stream.raw());
    }

    fn member(&self, name: &str, member: Item<'a>, table: TableId, output: &mut Output, scratch: &mut Document) {
        let same = STREAM.iter().chain(&STREAM_MORE).find(|(_, from)| *from == name).map(|(column, _)| *column);
        let timed = STREAM_TIMES.iter().find(|(_, from)| *from == name).map(|(column, _)| *column);
        let is_span = |text: &&str| timed.is_some() || text.starts_with("PT");
        match (same, timed, member.text().filter(is_span).and_then(clock_text::parse_span)) {
            (_, column, Some(nanos)) => {
                let column = column.map_or_else(|| capital(name), str::to_owned);
                #[expect(clippy::cast_precision_loss, reason = "delays are below 2^53 ns times a million")]
                output.set_field(table, &column, Value::Real(nanos as f64 / 1e6));
            }
            (Some(column), ..) => set_item(output, table, column, Some(member), scratch),
            _ => set_item(output, table, &capital(name), Some(member), scratch),
        }
    }
}

fn path(text: &str) -> Vec<Box<str>> {
    text.split('.').map(Into::into).collect()
}
