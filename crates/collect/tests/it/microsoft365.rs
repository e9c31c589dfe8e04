//! Audit records of Microsoft 365 and of Microsoft Graph: each once, whatever fails, expires or comes late.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use moneta_base::{Clock, Timestamp};
use moneta_collect::{Collector, GraphList, Microsoft365Options, SignIn, SignInProof, start_microsoft365};
use moneta_merkle::sha256;
use moneta_ports::Metric;
use moneta_testkit::FixedClock;
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::microsoft365_service::{ACTIVITY, CLIENT, GRAPH, LOGIN, SECRET, Service, TENANT};

const GENERAL: &str = "Audit.General";
const EXCHANGE: &str = "Audit.Exchange";
const SIGN_INS: &str = "/v1.0/auditLogs/signIns";

/// A fixture whose time can be moved, and services.
struct World {
    fixture: Fixture,
    clock: Arc<FixedClock>,
    service: Service,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(FixedClock::new(Timestamp::parse("2026-06-15T12:00:00Z").unwrap()));
        let mut fixture = Fixture::new();
        fixture.intake.clock = clock.clone();
        Self { fixture, clock, service: Service::new() }
    }

    /// A time so many minutes ago.
    fn ago(&self, minutes: u64) -> Timestamp {
        self.clock.now().saturating_sub(Duration::from_secs(60 * minutes))
    }

    fn options(&self, content_types: &[&str], lists: &[GraphList]) -> Microsoft365Options {
        Microsoft365Options {
            name: "test".to_owned(),
            caller: Arc::new(self.service.clone()),
            sign_in: SignIn {
                url: LOGIN.to_owned(),
                tenant: TENANT.to_owned(),
                client: CLIENT.to_owned(),
                proof: SignInProof::Secret(SECRET.to_owned()),
            },
            activity_url: ACTIVITY.to_owned(),
            content_types: content_types.iter().map(|name| (*name).to_owned()).collect(),
            graph_url: GRAPH.to_owned(),
            lists: lists.to_vec(),
            poll: Duration::from_millis(10),
            overlap: Duration::from_secs(3600),
            history: Duration::from_secs(72 * 3600),
            retry_min: Some(Duration::from_millis(5)),
        }
    }

    fn start(&self, options: Microsoft365Options) -> Collector {
        start_microsoft365(self.fixture.intake.clone(), self.fixture.resume(), options).unwrap()
    }

    /// Puts a blob of records there.
    fn add(&self, content_type: &'static str, id: &str, minutes_ago: u64, numbers: std::ops::Range<usize>) {
        let records: Vec<String> = numbers.map(|number| record(number).to_string()).collect();
        self.service.add(content_type, id, self.ago(minutes_ago), format!("[{}]", records.join(",")));
    }

    fn sign_in(&self, id: usize, minutes_ago: u64) {
        let time = self.ago(minutes_ago);
        let record = json!({
            "id": format!("s{id}"), "createdDateTime": time.to_string(), "userPrincipalName": "ann@example.org",
            "appDisplayName": "Portal", "conditionalAccessStatus": "success", "status": {"errorCode": 0},
        });
        self.service.state().records.entry(SIGN_INS).or_default().push((time, record));
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.fixture.intake.metrics.labelled_value(Metric::CollectDropped, reason)
    }

    /// The identifiers of what is stored, in order of their numbers.
    fn stored(&self, table: &str, column: &str) -> Vec<usize> {
        let texts = self.fixture.sink.column(table, column);
        let mut numbers: Vec<usize> = texts.iter().map(|text| text[1..].parse().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn marks(&self, kind: &str) -> usize {
        self.fixture.sink.marks_beginning_with(&format!("collect/{kind}/")).len()
    }
}

fn record(number: usize) -> Value {
    json!({
        "CreationTime": "2026-06-15T11:00:00", "Id": format!("r{number}"), "Operation": "FileAccessed", "RecordType": 6,
        "Workload": "SharePoint", "UserId": "ann@example.org",
    })
}

async fn until_trouble(collector: &Collector, says: impl Fn(&str) -> bool) {
    let trouble = collector.trouble();
    let waited = async {
        while !says(&trouble.text()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(60), waited).await;
    assert!(waited.is_ok(), "{:?}", trouble.text());
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let waited = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), waited).await.is_ok(), "{what}");
}

#[tokio::test]
async fn content_of_days_is_read_in_pages_and_windows_and_once_over_restarts() {
    let world = World::new();
    for number in 0..30 {
        world.add(GENERAL, &format!("g{number}"), 4_300 - 140 * number as u64, number..number + 1);
        world.add(EXCHANGE, &format!("e{number}"), 30 + number as u64, 100 + number..101 + number);
    }
    let collector = world.start(world.options(&[GENERAL, EXCHANGE], &[]));
    world.fixture.exactly(60).await;
    collector.stop().await;
    world.add(GENERAL, "late", 50, 30..33);
    let collector = world.start(world.options(&[GENERAL, EXCHANGE], &[]));
    world.fixture.exactly(63).await;
    assert_eq!(collector.trouble().text(), "");
    collector.stop().await;
    let expected: Vec<usize> = (0..33).chain(100..130).collect();
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), expected);
    let sources = world.fixture.sink.column("OfficeActivity", "_Source");
    assert!(sources.iter().all(|source| source.starts_with("microsoft365/test/Audit.")), "{sources:?}");
    let delivery = world.fixture.sink.column("OfficeActivity", "_Delivery");
    assert!(delivery.iter().all(|delivery| delivery == "exactly-once"));
    assert_eq!(world.service.num_calls("/audit/"), 61, "what is stored is not fetched again");
    assert_eq!(world.service.state().num_tokens, 2, "one for each start");
}

#[tokio::test]
async fn what_comes_late_is_found_in_the_overlap_and_marks_go_when_it_is_over() {
    let world = World::new();
    world.add(GENERAL, "a", 30, 0..2);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(2).await;
    assert_eq!((world.marks("microsoft365"), world.marks("microsoft365-item")), (1, 1));
    world.add(GENERAL, "b", 55, 2..3);
    world.fixture.exactly(3).await;
    world.clock.advance(Duration::from_secs(3 * 3600));
    until("the marks are forgotten", || world.marks("microsoft365-item") == 0).await;
    world.add(GENERAL, "c", 1, 3..4);
    world.fixture.exactly(4).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), [0, 1, 2, 3]);
}

#[tokio::test]
async fn who_is_told_to_wait_waits_and_goes_on_in_the_middle_of_a_list() {
    let world = World::new();
    (0..9).for_each(|number| world.add(GENERAL, &format!("g{number}"), 20, number..number + 1));
    world.service.fail("nextPage=4", 429, "AF429", Some(0), 2);
    world.service.fail("nextPage=6", 503, "", None, 1);
    world.service.fail("/audit/g3", 500, "AF50000", None, 2);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(9).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), (0..9).collect::<Vec<_>>());
    // The page of the list was asked for again, and not the whole list.
    let called = world.service.state().called.clone();
    let first = called.iter().position(|url| url.contains("nextPage=4")).unwrap();
    assert!(called[first + 1].contains("nextPage=4") && called[first + 2].contains("nextPage=4"));
}

#[tokio::test]
async fn a_page_that_fails_for_long_is_said_and_doubles_nothing() {
    let world = World::new();
    (0..5).for_each(|number| world.add(GENERAL, &format!("g{number}"), 20, number..number + 1));
    world.service.fail("nextPage=2", 500, "AF50000", None, 15);
    let collector = world.start(world.options(&[GENERAL], &[]));
    until_trouble(&collector, |text| text.contains("500 AF50000: as planned")).await;
    world.fixture.exactly(5).await;
    until_trouble(&collector, str::is_empty).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn a_token_that_is_over_is_renewed_and_a_wrong_secret_is_said() {
    let world = World::new();
    world.add(GENERAL, "a", 20, 0..1);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(1).await;
    world.service.revoke();
    world.add(GENERAL, "b", 19, 1..2);
    world.fixture.exactly(2).await;
    assert_eq!(world.service.state().num_tokens, 2);
    collector.stop().await;
    let mut options = world.options(&[GENERAL], &[]);
    options.sign_in.proof = SignInProof::Secret("wrong".to_owned());
    let collector = world.start(options);
    until_trouble(&collector, |text| {
        text.contains("signing in: the server answered 401") && text.contains("AADSTS7000215")
    })
    .await;
    collector.stop().await;
}

#[tokio::test]
async fn content_that_expired_is_counted_and_the_rest_goes_on() {
    let world = World::new();
    (0..4).for_each(|number| world.add(GENERAL, &format!("g{number}"), 20, number..number + 1));
    world.service.state().blobs[1].is_expired = true;
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(3).await;
    until("the loss is counted", || world.dropped("gone") == 1).await;
    collector.stop().await;
    // It is not asked for again.
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.add(GENERAL, "g4", 10, 4..5);
    world.fixture.exactly(4).await;
    collector.stop().await;
    assert_eq!((world.dropped("gone"), world.service.num_calls("/audit/g1")), (1, 1));
    // Nor is what expired while nobody read.
    world.clock.advance(Duration::from_secs(20 * 24 * 3600));
    world.add(GENERAL, "g5", 10, 5..6);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(5).await;
    collector.stop().await;
    assert_eq!(world.dropped("gone"), 2, "the time that was left out");
}

#[tokio::test]
async fn content_that_is_listed_before_it_is_there_is_fetched_later() {
    let world = World::new();
    world.add(GENERAL, "a", 20, 0..1);
    world.add(GENERAL, "b", 100, 1..2);
    world.service.fail("/audit/", 404, "AF20050", None, 2);
    let collector = world.start(world.options(&[GENERAL], &[]));
    // What is past the overlap will not be looked for again.
    world.fixture.exactly(1).await;
    until("the loss is counted", || world.dropped("gone") == 1).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), [0]);
}

#[tokio::test]
async fn a_blob_of_which_a_part_was_stored_goes_on_behind_it() {
    let world = World::new();
    let collector = world.start(world.options(&[GENERAL], &[]));
    let rests_at = u64::try_from(world.ago(60).as_nanos() / 1_000_000).unwrap();
    let cursors = || world.fixture.sink.marks_beginning_with("collect/microsoft365/");
    // While the sink is closed a cursor that still moves would be waited for.
    until("the cursor rests", || cursors().iter().any(|(_, (_, at))| *at == rests_at)).await;
    world.fixture.sink.set_open(false);
    world.add(GENERAL, "big", 20, 0..20_000);
    until("it is fetched", || world.service.num_calls("/audit/big") == 1).await;
    world.fixture.sink.set_open(true);
    world.fixture.sink.until("a first portion", |sink| sink.num_records() > 0).await;
    // As a kill: nobody is waited for.
    drop(collector);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(20_000).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), (0..20_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_store_that_refuses_for_a_while_gets_everything_once_and_what_it_never_takes_is_counted() {
    let world = World::new();
    (0..6).for_each(|number| world.add(GENERAL, &format!("g{number}"), 20, number..number + 1));
    world.fixture.sink.refuse(3);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(6).await;
    world.fixture.sink.refuse_for_good(1);
    world.add(GENERAL, "g6", 10, 6..9);
    until("the loss is counted", || world.dropped("refused") == 3).await;
    world.add(GENERAL, "g7", 10, 9..10);
    world.fixture.exactly(7).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), [0, 1, 2, 3, 4, 5, 9]);
}

#[tokio::test]
async fn a_token_is_sent_to_no_other_server() {
    let world = World::new();
    (0..3).for_each(|number| world.add(GENERAL, &format!("g{number}"), 20, number..number + 1));
    world.service.state().names_another_host = true;
    let collector = world.start(world.options(&[GENERAL], &[]));
    until_trouble(&collector, |text| text.contains("not its own")).await;
    collector.stop().await;
    assert_eq!(world.service.num_calls("evil"), 0);
}

#[tokio::test]
async fn a_subscription_that_somebody_stopped_is_started_again() {
    let world = World::new();
    world.add(GENERAL, "a", 20, 0..1);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(1).await;
    world.service.state().subscribed.clear();
    world.add(GENERAL, "b", 10, 1..2);
    world.fixture.exactly(2).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), [0, 1]);
}

#[tokio::test]
async fn records_of_graph_are_stored_once_also_those_on_two_pages_and_late_ones() {
    let world = World::new();
    (0..25).for_each(|number| world.sign_in(number, 5 + 60 * (number as u64 / 5)));
    let collector = world.start(world.options(&[], &GraphList::ALL));
    world.fixture.exactly(25).await;
    world.sign_in(25, 40);
    world.fixture.exactly(26).await;
    collector.stop().await;
    let collector = world.start(world.options(&[], &GraphList::ALL));
    world.sign_in(26, 0);
    world.fixture.exactly(26).await;
    // The end of a window belongs to the next.
    world.clock.advance(Duration::from_secs(1));
    world.fixture.exactly(27).await;
    collector.stop().await;
    assert_eq!(world.stored("SigninLogs", "Id"), (0..27).collect::<Vec<_>>());
    let raw = &world.fixture.sink.column("SigninLogs", "_Raw")[0];
    assert!(raw.starts_with("{\"id\":\"s"), "as it came: {raw}");
}

#[tokio::test]
async fn every_version_of_an_alert_is_a_row() {
    let world = World::new();
    let version = |minutes: u64, status: &str| {
        let time = world.ago(minutes);
        let alert = json!({
            "id": "a1", "providerAlertId": "p1", "serviceSource": "microsoftDefenderForEndpoint", "severity": "high",
            "title": "Suspicious run", "status": status, "createdDateTime": world.ago(90).to_string(),
            "lastUpdateDateTime": time.to_string(),
        });
        world.service.state().records.insert("/v1.0/security/alerts_v2", vec![(time, alert)]);
    };
    version(30, "new");
    let collector = world.start(world.options(&[], &[GraphList::Alerts]));
    world.fixture.exactly(1).await;
    version(10, "resolved");
    world.fixture.exactly(2).await;
    collector.stop().await;
    assert_eq!(world.fixture.sink.column("SecurityAlert", "Status"), ["new", "resolved"]);
    assert_eq!(world.fixture.sink.column("SecurityAlert", "SystemAlertId"), ["a1", "a1"]);
}

#[tokio::test]
async fn more_than_can_be_remembered_is_read_in_shorter_windows() {
    let world = World::new();
    world.service.state().page = 500;
    (0..5_000).for_each(|number| world.sign_in(number, 1 + number as u64 % 50));
    let collector = world.start(world.options(&[], &[GraphList::SignIns]));
    world.fixture.exactly(5_000).await;
    until("few marks are left", || world.marks("microsoft365-item") <= 2_500).await;
    collector.stop().await;
    let collector = world.start(world.options(&[], &[GraphList::SignIns]));
    world.sign_in(5_000, 1);
    world.fixture.exactly(5_001).await;
    collector.stop().await;
    assert_eq!(world.stored("SigninLogs", "Id"), (0..5_001).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_comes_late_in_a_busy_list_is_found_though_the_overlap_is_cut() {
    let world = World::new();
    world.service.state().page = 500;
    (0..5_000).for_each(|number| world.sign_in(number, 1 + number as u64 % 50));
    let collector = world.start(world.options(&[], &[GraphList::SignIns]));
    world.fixture.exactly(5_000).await;
    until("few marks are left", || world.marks("microsoft365-item") <= 1_500).await;
    for number in 0..3 {
        world.sign_in(5_000 + 2 * number, 0);
        world.clock.advance(Duration::from_secs(10));
        world.fixture.exactly(5_001 + 2 * number).await;
        world.sign_in(5_001 + 2 * number, 5);
        world.fixture.exactly(5_002 + 2 * number).await;
    }
    collector.stop().await;
    assert_eq!(world.stored("SigninLogs", "Id"), (0..5_006).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_that_is_too_large_is_read_in_shorter_windows_and_said_where_there_is_none() {
    let world = World::new();
    {
        let mut state = world.service.state();
        (state.page, state.answer_bytes_max) = (500, Some(20_000));
    }
    (0..200).for_each(|number| world.sign_in(number, 5 + number as u64 % 50));
    let collector = world.start(world.options(&[], &[GraphList::SignIns]));
    world.fixture.exactly(200).await;
    assert_eq!(collector.trouble().text(), "");
    (200..400).for_each(|number| world.sign_in(number, 1));
    until_trouble(&collector, |text| text.contains("signIns: a page of") && text.contains("T11:58:59")).await;
    world.service.state().answer_bytes_max = None;
    world.fixture.exactly(400).await;
    collector.stop().await;
    assert_eq!(world.stored("SigninLogs", "Id"), (0..400).collect::<Vec<_>>());
}

#[tokio::test]
async fn content_that_always_fails_keeps_no_other_from_being_stored() {
    let world = World::new();
    (0..12).for_each(|number| world.add(GENERAL, &format!("g{number}"), 90, number..number + 1));
    world.service.fail("/audit/g0", 403, "AF10001", None, 100_000);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(11).await;
    until_trouble(&collector, |text| text.contains("403 AF10001")).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), (1..12).collect::<Vec<_>>());
    world.service.state().faults.clear();
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(12).await;
    collector.stop().await;
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), (0..12).collect::<Vec<_>>());
    assert_eq!(world.dropped("gone"), 0);
}

#[tokio::test]
async fn a_service_of_which_everything_fails_is_not_asked_for_everything() {
    let world = World::new();
    world.service.state().page = 500;
    (0..400).for_each(|number| world.add(GENERAL, &format!("g{number}"), 20, number..number + 1));
    world.service.fail("/audit/", 403, "AF10001", None, 16);
    let collector = world.start(world.options(&[GENERAL], &[]));
    world.fixture.exactly(400).await;
    collector.stop().await;
    let called = world.service.state().called.clone();
    let listed = |url: &String| url.contains("/subscriptions/content");
    let first = called.iter().position(|url| url.contains("/audit/")).unwrap();
    let again = called[first..].iter().position(listed).unwrap();
    assert_eq!(again, 16, "it began anew");
}

#[tokio::test]
async fn what_the_store_will_not_remember_is_said_and_tried_again() {
    let world = World::new();
    world.add(GENERAL, "a", 20, 0..1);
    world.fixture.sink.refuse_for_good(1_000_000);
    let collector = world.start(world.options(&[GENERAL], &[]));
    until_trouble(&collector, |text| text.contains("refuses to remember how far")).await;
    world.fixture.sink.refuse_for_good(0);
    world.fixture.exactly(1).await;
    until_trouble(&collector, str::is_empty).await;
    // Neither the records nor that they are left out.
    world.fixture.sink.refuse_for_good(2);
    world.add(GENERAL, "b", 10, 1..3);
    world.fixture.exactly(3).await;
    // Neither where the cursor stands nor that marks go.
    world.fixture.sink.refuse_for_good(2);
    world.clock.advance(Duration::from_secs(3 * 3600));
    until("the marks are forgotten", || world.marks("microsoft365-item") == 0).await;
    world.add(GENERAL, "c", 1, 3..4);
    world.fixture.exactly(4).await;
    collector.stop().await;
    assert_eq!(world.dropped("refused"), 0);
    assert_eq!(world.stored("OfficeActivity", "OfficeId"), [0, 1, 2, 3]);
}

#[tokio::test]
async fn as_much_history_as_there_can_be_loses_nothing_while_it_begins() {
    let world = World::new();
    world.add(GENERAL, "a", 20, 0..1);
    world.service.fail("/subscriptions/start", 403, "AF10001", None, 100_000);
    let mut options = world.options(&[GENERAL], &[]);
    options.history = Duration::from_secs(168 * 3600);
    let collector = world.start(options);
    until_trouble(&collector, |text| text.contains("AF10001")).await;
    world.clock.advance(Duration::from_secs(1_800));
    world.service.state().faults.clear();
    world.fixture.exactly(1).await;
    collector.stop().await;
    assert_eq!(world.dropped("gone"), 0);
}

#[tokio::test]
async fn a_certificate_signs_in_in_place_of_a_secret() {
    let world = World::new();
    world.add(GENERAL, "a", 20, 0..1);
    let pair = KeyPair::generate(KeySize::Rsa2048).unwrap();
    let pem =
        |kind: &str, der: &[u8]| format!("-----BEGIN {kind}-----\n{}\n-----END {kind}-----\n", STANDARD.encode(der));
    let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
    world.fixture.write("app.key", pem("PRIVATE KEY", der.as_ref()));
    // The thumbprint is over whatever the certificate's bytes are.
    world.fixture.write("app.pem", pem("CERTIFICATE", b"a certificate"));
    let mut options = world.options(&[GENERAL], &[]);
    options.sign_in.proof =
        SignInProof::Certificate { certificate: world.fixture.path("app.pem"), key: world.fixture.path("app.key") };
    let collector = world.start(options.clone());
    world.fixture.exactly(1).await;
    collector.stop().await;
    let form = world.service.state().form.clone();
    assert!(!form.contains_key("client_secret"));
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let (text, signature) = form["client_assertion"].rsplit_once('.').unwrap();
    let public = UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, pair.public_key().as_ref());
    public.verify(text.as_bytes(), &URL_SAFE_NO_PAD.decode(signature).unwrap()).unwrap();
    let part = |text: &str| serde_json::from_slice::<Value>(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let (header, claims) = text.split_once('.').unwrap();
    let thumbprint = URL_SAFE_NO_PAD.encode(sha256(b"a certificate").as_bytes());
    assert_eq!(part(header), json!({"alg": "PS256", "typ": "JWT", "x5t#S256": thumbprint}));
    let claims = part(claims);
    assert_eq!((&claims["aud"], &claims["sub"]), (&json!("https://login.test/t-1/oauth2/v2.0/token"), &json!(CLIENT)));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["nbf"].as_i64().unwrap(), 600);

    world.fixture.write("app.key", "no key");
    let error = start_microsoft365(world.fixture.intake.clone(), world.fixture.resume(), options).unwrap_err();
    assert!(error.to_string().contains("app.key"), "{error}");
}
