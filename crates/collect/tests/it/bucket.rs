//! Objects in a bucket: grown, rewritten, compressed, and read on after a restart, each record once.

use std::sync::Arc;
use std::time::Duration;

use moneta_collect::{BucketOptions, Collector, start_bucket};
use moneta_testkit::{S3Fault, SimS3};

use crate::fixture::{Fixture, gzip};

const TRAIL: &str = "AWSLogs/1/CloudTrail/eu-west-1/2026/06/15/";

fn event(number: usize) -> String {
    format!(
        r#"{{"eventVersion":"1.08","eventTime":"2026-06-15T11:00:00Z","eventSource":"s3.amazonaws.com","eventName":"Get{number}","awsRegion":"eu-west-1","eventID":"{number}","eventType":"AwsApiCall","userIdentity":{{"type":"Root"}}}}"#
    )
}

fn trail(numbers: std::ops::Range<usize>) -> Vec<u8> {
    gzip(&format!("{{\"Records\":[{}]}}", numbers.map(event).collect::<Vec<_>>().join(",")))
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| event(number) + "\n").collect()
}

fn options(server: &SimS3, prefix: &str) -> BucketOptions {
    let options = BucketOptions::new("test".to_owned(), Arc::new(server.client()), prefix.to_owned());
    BucketOptions { poll: Duration::from_millis(10), settle: Duration::from_millis(100), ..options }
}

fn watch(fixture: &Fixture, server: &SimS3, prefix: &str) -> Collector {
    start_bucket(fixture.intake.clone(), fixture.resume(), options(server, prefix))
}

fn names(fixture: &Fixture) -> Vec<String> {
    fixture.sink.column("AWSCloudTrail", "EventName")
}

fn expected(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("Get{number}")).collect()
}

#[tokio::test]
async fn objects_below_a_prefix_are_read_once_over_pages_and_restarts() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    for number in 0..10 {
        server.put(&format!("{TRAIL}{number}.json.gz"), &trail(number * 3..number * 3 + 3));
    }
    server.put("AWSLogs/1/Config/other.json.gz", &trail(900..903));
    server.put(&format!("{TRAIL}marker/"), b"");
    let collector = watch(&fixture, &server, TRAIL);
    fixture.exactly(30).await;
    assert_eq!(collector.trouble().text(), "");
    collector.stop().await;
    let gets = server.num_requests();
    server.put(&format!("{TRAIL}10.json.gz"), &trail(30..33));
    let collector = watch(&fixture, &server, TRAIL);
    fixture.exactly(33).await;
    collector.stop().await;
    assert_eq!(names(&fixture), expected(0..33));
    assert!(server.num_requests() > gets);
    assert_eq!(server.requests_of(&format!("{TRAIL}3.json.gz")), 1, "what is stored is not fetched again");
    let sources = fixture.sink.column("AWSCloudTrail", "_Source");
    assert_eq!(sources[0], format!("bucket/test/{TRAIL}0.json.gz"));
    assert!(fixture.sink.column("AWSCloudTrail", "_Delivery").iter().all(|delivery| delivery == "exactly-once"));
}

#[tokio::test]
async fn an_object_that_is_written_anew_with_more_is_read_on() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    // Its last line is not finished.
    server.put("log.ndjson", lines(0..20).trim_end().as_bytes());
    let collector = watch(&fixture, &server, "");
    fixture.exactly(20).await;
    server.put("log.ndjson", lines(0..35).as_bytes());
    fixture.exactly(35).await;
    collector.stop().await;
    server.put("log.ndjson", lines(0..40).as_bytes());
    let collector = watch(&fixture, &server, "");
    fixture.exactly(40).await;
    collector.stop().await;
    assert_eq!(names(&fixture), expected(0..40));
}

#[tokio::test]
async fn another_content_of_a_compressed_object_is_another_object() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    server.put("a.json.gz", &trail(0..3));
    let collector = watch(&fixture, &server, "");
    fixture.exactly(3).await;
    server.put("a.json.gz", &trail(3..6));
    fixture.exactly(6).await;
    collector.stop().await;
    assert_eq!(names(&fixture), expected(0..6));
}

#[tokio::test]
async fn a_key_that_is_overwritten_without_growing_is_another_object() {
    let list = |numbers: std::ops::Range<usize>| {
        let events = numbers.map(event).collect::<Vec<_>>().join(",");
        format!(r#"{{"Records":[{events}]}}"#)
    };
    let contents: [&dyn Fn(std::ops::Range<usize>) -> String; 2] = [&lines, &list];
    for content in contents {
        let (fixture, server) = (Fixture::new(), SimS3::new());
        server.put("log.json", content(10..14).as_bytes());
        let collector = watch(&fixture, &server, "");
        fixture.exactly(4).await;
        // As long as before.
        server.put("log.json", content(20..24).as_bytes());
        fixture.exactly(8).await;
        collector.stop().await;
        // Shorter, while nothing ran; and it grows again.
        server.put("log.json", content(30..32).as_bytes());
        let collector = watch(&fixture, &server, "");
        fixture.exactly(10).await;
        server.put("log.json", content(30..35).as_bytes());
        fixture.exactly(13).await;
        collector.stop().await;
        // What did not change is not read again.
        let collector = watch(&fixture, &server, "");
        fixture.exactly(13).await;
        collector.stop().await;
        assert_eq!(names(&fixture), [expected(10..14), expected(20..24), expected(30..35)].concat());
    }
}

#[tokio::test]
async fn an_object_that_changes_while_it_is_read_is_read_as_it_is_then() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    // Larger than a part, so that a second request is needed.
    let before = lines(0..4_000);
    server.put("big.ndjson", before.as_bytes());
    fixture.sink.set_open(false);
    let collector = watch(&fixture, &server, "");
    let fetched = async {
        while server.requests_of("big.ndjson") == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), fetched).await.unwrap();
    server.put("big.ndjson", lines(0..5_000).as_bytes());
    fixture.sink.set_open(true);
    fixture.exactly(5_000).await;
    collector.stop().await;
    assert_eq!(names(&fixture), expected(0..5_000));
}

#[tokio::test]
async fn an_object_of_which_a_part_was_stored_goes_on_behind_it() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    server.put("big.json.gz", &gzip(&lines(0..20_000)));
    fixture.sink.set_open(false);
    let collector = watch(&fixture, &server, "");
    tokio::time::sleep(Duration::from_millis(300)).await;
    fixture.sink.set_open(true);
    fixture.sink.until("a first portion", |sink| sink.num_records() > 0).await;
    // As a kill: nobody is waited for.
    drop(collector);
    let collector = watch(&fixture, &server, "");
    fixture.exactly(20_000).await;
    collector.stop().await;
    assert_eq!(names(&fixture), expected(0..20_000));
}

#[tokio::test]
async fn a_bucket_that_fails_is_said_and_doubles_and_forgets_nothing() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    (0..7).for_each(|number| server.put(&format!("{number}.json.gz"), &trail(number..number + 1)));
    server.fail_by_chance(7, 30, 10);
    let collector = watch(&fixture, &server, "");
    fixture.exactly(7).await;
    server.mend();
    server.fail_request(0, S3Fault::DiesBefore);
    let trouble = collector.trouble();
    let until = async |says: fn(&str) -> bool| {
        let waited = async {
            while !says(&trouble.text()) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "{}", trouble.text());
    };
    until(|text| text.contains("did not answer")).await;
    server.mend();
    until(str::is_empty).await;
    server.put("7.json.gz", &trail(7..8));
    fixture.exactly(8).await;
    collector.stop().await;
    assert_eq!(names(&fixture), expected(0..8));
    assert_eq!(fixture.sink.marks_beginning_with("collect/bucket/test/").len(), 8);
}

#[tokio::test]
async fn an_object_that_is_gone_for_long_is_forgotten() {
    let (fixture, server) = (Fixture::new(), SimS3::new());
    server.put("a.json.gz", &trail(0..1));
    server.put("b.json.gz", &trail(1..2));
    let options = BucketOptions { absent_for: Duration::from_millis(200), ..options(&server, "") };
    let collector = start_bucket(fixture.intake.clone(), fixture.resume(), options);
    fixture.exactly(2).await;
    server.remove("a.json.gz");
    let left = |sink: &crate::sink::RecordingSink| sink.marks_beginning_with("collect/bucket/test/").len();
    fixture.sink.until("one is forgotten", |sink| left(sink) == 1).await;
    fixture.exactly(2).await;
    collector.stop().await;
}
