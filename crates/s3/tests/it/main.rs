//! The client against a simulated server that fails and loses answers.

#![allow(missing_docs, clippy::unwrap_used)]

use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_base::objects::{ObjectLock, ObjectName, Objects};
use moneta_s3::{Client, ClientParts, Credentials, CredentialsError, Place};
use moneta_testkit::{FixedClock, S3Fault, SeededEntropy, SimS3};

fn client(server: &SimS3) -> (Client, Arc<AtomicU64>) {
    let paused = Arc::new(AtomicU64::new(0));
    let sum = paused.clone();
    let parts = ClientParts {
        transport: Arc::new(server.clone()),
        credentials: Box::new(|| Ok(Credentials::new("KEY", "secret", None))),
        clock: Arc::new(FixedClock::default()),
        entropy: Arc::new(SeededEntropy::new(1)),
        pause: Box::new(move |time: Duration| {
            sum.fetch_add(u64::try_from(time.as_millis()).unwrap(), Ordering::Relaxed);
        }),
    };
    (Client::new(Place::new(Some("http://s3.test"), "us-east-1", "logs", true).unwrap(), parts), paused)
}

/// A digest as the client's users compute it: of the bytes put.
fn digest(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
    out
}

fn put(client: &Client, key: &str, bytes: &[u8]) -> std::io::Result<ObjectName> {
    client.put_new(key, bytes.to_vec(), &digest(bytes), None)
}

#[test]
fn what_was_put_is_read_listed_and_removed() {
    let server = SimS3::new();
    let (client, _) = client(&server);
    for number in 0..10 {
        put(&client, &format!("a/{number}"), format!("content {number}").as_bytes()).unwrap();
    }
    put(&client, "b", b"").unwrap();
    let name = ObjectName::newest("a/3");
    assert_eq!(client.read_range(&name, 8, 1).unwrap(), b"3");
    assert_eq!(client.read_range(&name, 9, 0).unwrap(), b"");
    assert_eq!(client.read_range(&name, 8, 2).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(client.read_range(&name, 20, 1).unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(client.read_range(&ObjectName::newest("c"), 0, 1).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.newest("a/3").unwrap(), (name.clone(), 9));
    let mut keys = Vec::new();
    client.list("a/", &mut |object| keys.push((object.key, object.size_bytes))).unwrap();
    assert_eq!(keys, (0..10).map(|number| (format!("a/{number}"), 9)).collect::<Vec<_>>(), "over several pages");
    client.delete(&name).unwrap();
    client.delete(&name).unwrap();
    assert_eq!(client.newest("a/3").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(client.key_of(&client.uri("a/3")).as_deref(), Some("a/3"));
    assert_eq!(client.key_of("s3://logs2/a/3"), None);
}

#[test]
fn a_key_with_another_content_is_a_conflict_and_with_the_same_it_is_ours() {
    let server = SimS3::new();
    let (client, _) = client(&server);
    put(&client, "k", b"first").unwrap();
    put(&client, "k", b"first").unwrap();
    for other in [&b"other"[..], b"longer than it"] {
        assert_eq!(put(&client, "k", other).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
    assert_eq!(server.peek("k").unwrap(), b"first");
    assert!(client.keeps_what_is_there("k", b"first".to_vec()).unwrap());
}

#[test]
fn any_one_fault_of_a_put_ends_in_the_object_once() {
    for is_versioned in [false, true] {
        for fault in [S3Fault::Busy, S3Fault::Broken, S3Fault::Lost] {
            for nth in 0..3 {
                let server = if is_versioned { SimS3::versioned() } else { SimS3::new() };
                let (client, paused) = client(&server);
                server.fail_request(nth, fault);
                let name = put(&client, "k", b"content").unwrap();
                assert_eq!(server.num_stored(), 1, "{fault:?} of request {nth}");
                assert_eq!(name.version.is_some(), is_versioned);
                assert_eq!(client.read_range(&name, 0, 7).unwrap(), b"content");
                assert!(paused.load(Ordering::Relaxed) <= 400, "one fault is no reason to wait long");
            }
        }
    }
}

#[test]
fn a_server_that_is_away_is_an_error_after_growing_pauses() {
    let server = SimS3::new();
    let (client, paused) = client(&server);
    server.fail_request(0, S3Fault::DiesAfter);
    let error = put(&client, "k", b"content").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert!(error.to_string().contains("s3.test") && !error.to_string().contains("secret"), "{error}");
    assert!(paused.load(Ordering::Relaxed) > 1_000, "it did not hurry");
    server.mend();
    put(&client, "k", b"content").unwrap();
    assert_eq!(server.num_stored(), 1);
}

#[test]
fn versions_and_locks_are_as_the_server_is_told() {
    let server = SimS3::versioned();
    let (client, _) = client(&server);
    let until = Timestamp::parse("2027-01-02T03:04:05.6Z").unwrap();
    let lock = Some(ObjectLock { is_compliance: true, until });
    let name = client.put_new("k", b"content".to_vec(), &digest(b"content"), lock).unwrap();
    assert_eq!(server.lock_of("k").unwrap(), "COMPLIANCE 2027-01-02T03:04:05Z");
    assert_eq!(client.newest("k").unwrap(), (name.clone(), 7));
    client.delete(&name).unwrap();
    assert_eq!(server.num_stored(), 0, "the version itself is gone");
}

#[test]
fn a_lock_that_is_not_there_is_an_error_however_well_the_put_went() {
    let until = |text: &str| Timestamp::parse(text).unwrap();
    let lock = |is_compliance, time| Some(ObjectLock { is_compliance, until: until(time) });
    let put = |server: &SimS3, lock| client(server).0.put_new("k", b"content".to_vec(), &digest(b"content"), lock);
    let forgetful = SimS3::without_locks();
    let error = put(&forgetful, lock(false, "2027-01-02T03:04:05Z")).unwrap_err();
    assert!(error.to_string().contains("s3:GetObjectRetention"), "{error}");
    put(&forgetful, None).unwrap();
    // What an earlier attempt left counts if it is locked as long and as hard.
    let server = SimS3::versioned();
    put(&server, lock(false, "2027-01-02T03:04:05Z")).unwrap();
    put(&server, lock(false, "2027-01-02T03:04:05.9Z")).unwrap();
    put(&server, lock(false, "2026-01-01T00:00:00Z")).unwrap();
    assert!(put(&server, lock(false, "2027-01-02T03:04:06Z")).is_err());
    assert!(put(&server, lock(true, "2027-01-02T03:04:05Z")).is_err());
    assert_eq!(server.num_stored(), 1);
}

#[test]
fn without_credentials_nothing_is_sent() {
    let server = SimS3::new();
    let parts = ClientParts {
        transport: Arc::new(server.clone()),
        credentials: Box::new(|| Err(CredentialsError("no file".to_owned()))),
        clock: Arc::new(FixedClock::default()),
        entropy: Arc::new(SeededEntropy::new(1)),
        pause: Box::new(|_| {}),
    };
    let client = Client::new(Place::new(Some("http://s3.test"), "us-east-1", "logs", true).unwrap(), parts);
    let error = put(&client, "k", b"content").unwrap_err();
    assert_eq!((error.kind(), server.num_requests()), (ErrorKind::PermissionDenied, 0));
}
