//! Objects in a bucket of a real server of S3's protocol are read by a server that is killed again and again: each record
//! is stored once.
//!
//! `MONETA_MOVE_KILLS` sets the number of kills.

use std::time::Duration;

use moneta_testkit::Random;

use crate::moving::S3;
use crate::support::{Moneta, number, wait_until};

/// Objects that are put before each kill: compressed ones, and one that is written anew with more lines.
const OBJECTS: usize = 40;
const RECORDS: usize = 25;

/// Python for the record of a number.
const RECORD: &str = "__import__('json').dumps({'eventVersion': '1.08', 'eventTime': '2026-06-15T11:00:00Z', \
    'eventSource': 's3.amazonaws.com', 'eventName': 'Get', 'awsRegion': 'x', 'eventID': str(n), \
    'eventType': 'AwsApiCall', 'userIdentity': {'type': 'Root'}})";

/// Puts objects `[begin, end)` of compressed records, and the one that grows.
fn put(server: &S3, begin: usize, end: usize) {
    let compressed = format!(
        "[s3.put_object(Bucket='logs', Key='AWSLogs/%06d.json.gz' % o, Body=__import__('gzip').compress(\
         chr(10).join({RECORD} for n in range(o * {RECORDS}, o * {RECORDS} + {RECORDS})).encode())) and o \
         for o in range({begin}, {end})]"
    );
    assert!(server.ask(&compressed).is_some());
    let lines = end * RECORDS;
    let grown = format!(
        "s3.put_object(Bucket='logs', Key='AWSLogs/grown.ndjson', \
         Body=''.join({RECORD} + chr(10) for n in range(1000000, 1000000 + {lines})).encode()) and 1"
    );
    assert!(server.ask(&grown).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_bucket_survive_kills_and_are_stored_once() {
    let Some(server) = S3::start("").await else { return };
    let mut moneta = Moneta::new();
    let endpoint = &server.endpoint;
    let source = format!(
        "[{{ name = 'trail', bucket = 'logs', prefix = 'AWSLogs/', endpoint = '{endpoint}', poll_seconds = 1 }}]"
    );
    moneta.settings = vec![
        ("MONETA_BUCKETS__SOURCES", source.leak()),
        ("AWS_ACCESS_KEY_ID", "K"),
        ("AWS_SECRET_ACCESS_KEY", "S3CRET"),
    ];
    let kills = number("MONETA_MOVE_KILLS", 4);
    let mut random = Random::new(3);
    let mut running = moneta.serve();
    for kill in 0..kills {
        put(&server, kill * OBJECTS, (kill + 1) * OBJECTS);
        tokio::time::sleep(Duration::from_millis(200 + random.below(1_500) as u64)).await;
        running.kill();
        running = moneta.serve();
    }
    let total = u64::try_from(2 * kills * OBJECTS * RECORDS).unwrap();
    wait_until("everything", || moneta.count("AWSCloudTrail | count") >= total).await;
    running.stop();
    let distinct = moneta.count("AWSCloudTrail | distinct AwsEventId | count");
    assert_eq!((distinct, moneta.count("AWSCloudTrail | count")), (total, total));
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}
