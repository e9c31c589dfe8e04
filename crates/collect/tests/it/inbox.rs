//! Objects in a directory: growing, rewritten, compressed, and read on after a restart, each record once.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use moneta_collect::{Error, InboxOptions, start_inbox};

use crate::fixture::{Fixture, gzip};

fn activity(number: usize) -> String {
    format!(
        r#"{{"time":"2026-06-15T11:00:00Z","resourceId":"/SUBSCRIPTIONS/S/RESOURCEGROUPS/G/PROVIDERS/MICROSOFT.WEB/SITES/W","operationName":"MICROSOFT.WEB/SITES/WRITE","category":"Administrative","resultType":"Success","correlationId":"c{number}","identity":{{}},"level":"Information"}}"#
    )
}

fn lines(numbers: std::ops::Range<usize>) -> String {
    numbers.map(|number| activity(number) + "\n").collect()
}

fn envelope(numbers: std::ops::Range<usize>) -> String {
    format!("{{\"records\":[{}]}}", numbers.map(activity).collect::<Vec<_>>().join(","))
}

const BLOB: &str = "insights-logs-audit/resourceId=/y=2026/m=06/d=15/h=11/m=00/PT1H.json";

#[tokio::test]
async fn a_blob_that_grows_by_lines_is_read_on_also_after_a_restart() {
    let fixture = Fixture::new();
    fixture.write(BLOB, lines(0..50));
    let collector = fixture.watch();
    fixture.exactly(50).await;
    fixture.append(BLOB, lines(50..70));
    fixture.exactly(70).await;
    collector.stop().await;
    fixture.append(BLOB, lines(70..75));
    let collector = fixture.watch();
    fixture.exactly(75).await;
    collector.stop().await;
    let expected: Vec<String> = (0..75).map(activity).collect();
    assert_eq!(fixture.sink.column("AzureActivity", "_Raw"), expected);
    assert!(fixture.sink.column("AzureActivity", "_Delivery").iter().all(|delivery| delivery == "exactly-once"));
}

#[tokio::test]
async fn an_envelope_whose_end_is_written_anew_gives_each_record_once() {
    let fixture = Fixture::new();
    fixture.write(BLOB, envelope(0..30));
    let collector = fixture.watch();
    fixture.exactly(30).await;
    fixture.write(BLOB, envelope(0..45));
    fixture.exactly(45).await;
    collector.stop().await;
    fixture.write(BLOB, envelope(0..60));
    let collector = fixture.watch();
    fixture.exactly(60).await;
    collector.stop().await;
    let expected: Vec<String> = (0..60).map(activity).collect();
    assert_eq!(fixture.sink.column("AzureActivity", "_Raw"), expected);
    assert!(fixture.sink.quarantined().is_empty());
}

#[tokio::test]
async fn compressed_objects_are_read_once_and_hidden_or_unfinished_ones_not() {
    let fixture = Fixture::new();
    let trail = |name: &str| {
        format!(
            r#"{{"Records":[{{"eventVersion":"1.08","eventTime":"2026-06-15T11:00:00Z","eventSource":"s3.amazonaws.com","eventName":"{name}","awsRegion":"eu-west-1","eventID":"1","eventType":"AwsApiCall","userIdentity":{{"type":"Root"}}}}]}}"#
        )
    };
    fixture.write("AWSLogs/1/CloudTrail/a.json.gz", gzip(&trail("GetObject")));
    fixture.write("AWSLogs/1/CloudTrail/b.json.gz.part", gzip(&trail("Unfinished")));
    fixture.write(".azDownload-x/c.json.gz", gzip(&trail("Hidden")));
    let collector = fixture.watch();
    fixture.exactly(1).await;
    collector.stop().await;
    fixture.write("AWSLogs/1/CloudTrail/d.json.gz", gzip(&trail("PutObject")));
    let collector = fixture.watch();
    fixture.exactly(2).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("AWSCloudTrail", "EventName"), ["GetObject", "PutObject"]);
}

#[tokio::test]
async fn a_store_that_refuses_for_a_while_gets_everything_once() {
    let fixture = Fixture::new();
    fixture.sink.refuse(2);
    fixture.write("big.json.gz", gzip(&lines(0..20_000)));
    fixture.write("log.ndjson", lines(0..20_000));
    let collector = fixture.watch();
    fixture.exactly(40_000).await;
    collector.stop().await;
}

#[tokio::test]
async fn an_object_of_which_a_part_was_stored_goes_on_behind_it() {
    let fixture = Fixture::new();
    fixture.write("big.json.gz", gzip(&lines(0..20_000)));
    fixture.sink.set_open(false);
    let collector = fixture.watch();
    // The process ends with the first portion on its way.
    tokio::time::sleep(Duration::from_millis(500)).await;
    fixture.sink.set_open(true);
    fixture.sink.until("a first portion", |sink| sink.num_records() > 0).await;
    drop(collector);
    let collector = fixture.watch();
    fixture.sink.until_records(20_000).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    collector.stop().await;
    let mut raw = fixture.sink.column("AzureActivity", "_Raw");
    raw.sort();
    raw.dedup();
    assert_eq!((raw.len(), fixture.sink.num_records()), (20_000, 20_000));
}

#[tokio::test]
async fn objects_with_long_names_and_those_that_cannot_be_read_at_first_come_too() {
    let fixture = Fixture::new();
    let deep = format!("{}/{}/{BLOB}", "a".repeat(200), "b".repeat(200));
    fixture.write(&deep, lines(0..5));
    fixture.write("locked.json.gz", gzip(&lines(5..9)));
    let locked = fixture.path("locked.json.gz");
    // Root may read it all the same.
    let set = |mode| std::fs::set_permissions(&locked, std::fs::Permissions::from_mode(mode)).unwrap();
    set(0);
    let collector = fixture.watch();
    let may_read_all = std::fs::File::open(&locked).is_ok();
    fixture.exactly(if may_read_all { 9 } else { 5 }).await;
    set(0o600);
    fixture.exactly(9).await;
    collector.stop().await;
    let collector = fixture.watch();
    fixture.exactly(9).await;
    collector.stop().await;
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named() {
    let fixture = Fixture::new();
    let options = InboxOptions::new(vec![fixture.dir.path().join("nothing")]);
    let error = start_inbox(fixture.intake.clone(), fixture.resume(), options).unwrap_err();
    assert!(matches!(&error, Error::Inbox { .. }) && error.to_string().contains("nothing"), "{error}");
}

#[tokio::test]
async fn an_object_that_is_gone_for_long_is_forgotten_and_gives_its_room_to_another() {
    let fixture = Fixture::new();
    fixture.sink.remember_at_most(2);
    fixture.write("a.json", lines(0..5));
    fixture.write("b.json", lines(5..10));
    let start = |absent_for| {
        let options = InboxOptions { absent_for, ..fixture.inbox_options() };
        start_inbox(fixture.intake.clone(), fixture.resume(), options).unwrap()
    };
    let collector = start(Duration::from_millis(300));
    fixture.exactly(10).await;
    // There is no room for another, which waits, and is said to; those that are known go on.
    fixture.write("c.json", lines(10..15));
    let trouble = collector.trouble();
    while trouble.text() != "objects: 1 objects wait for room to be remembered" {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    fixture.append("b.json", lines(15..20));
    fixture.exactly(15).await;
    std::fs::remove_file(fixture.path("a.json")).unwrap();
    fixture.exactly(20).await;
    while !trouble.text().is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    collector.stop().await;
    assert_eq!(fixture.sink.marks_beginning_with("collect/inbox/").len(), 2);
}

#[tokio::test]
async fn nothing_is_forgotten_while_nothing_is_there() {
    let fixture = Fixture::new();
    fixture.write("in/a.json", lines(0..5));
    let options = InboxOptions { absent_for: Duration::from_millis(100), ..fixture.inbox_options() };
    let collector = start_inbox(fixture.intake.clone(), fixture.resume(), options).unwrap();
    fixture.exactly(5).await;
    // As when a disk is not mounted for a while.
    std::fs::rename(fixture.path("in/a.json"), fixture.path("in/.a.json")).unwrap();
    fixture.exactly(5).await;
    std::fs::rename(fixture.path("in/.a.json"), fixture.path("in/a.json")).unwrap();
    fixture.exactly(5).await;
    collector.stop().await;
    assert_eq!(fixture.sink.marks_beginning_with("collect/inbox/").len(), 1);
}
