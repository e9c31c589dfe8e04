//! What arrives, what is retried, and what becomes a dead letter.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use moneta_base::{Level, RuleId, TableName, Timestamp};
use moneta_notify::channels::webhook::Webhook;
use moneta_notify::{Channel, ChannelOptions, Channels, DeadLetter, Endpoint, Receipt, sign};
use moneta_ports::{Alert, MatchedEvent, Metric, Metrics};
use moneta_testkit::FixedClock;

use crate::receiver::Receiver;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

struct Fixture {
    channel: Arc<Channel>,
    delivery: Channels,
    metrics: Arc<Metrics>,
    dead: Arc<Mutex<Vec<DeadLetter>>>,
}

/// A receipt that nobody waits for.
pub fn unheard() -> Receipt {
    Receipt::new(|| {})
}

/// Where a channel goes and how hard it tries.
#[derive(Clone)]
struct Way {
    endpoint: Endpoint,
    options: ChannelOptions,
}

fn start(way: Way) -> Fixture {
    let metrics = Arc::new(Metrics::new());
    let dead = Arc::new(Mutex::new(Vec::new()));
    let letters = dead.clone();
    let clock = Arc::new(FixedClock::new(Timestamp::from_seconds(1_767_323_045)));
    let on_dead = Arc::new(move |letter| letters.lock().unwrap().push(letter));
    let carrier = Box::new(Webhook::new(&way.endpoint, SECRET.to_vec()).unwrap());
    let channel = Arc::new(Channel::start(way.options, carrier, clock, metrics.clone(), on_dead));
    Fixture { delivery: Channels(vec![channel.clone()]), channel, metrics, dead }
}

fn way(receiver: &Receiver) -> Way {
    let endpoint = Endpoint {
        url: format!("http://{}/hook", receiver.address),
        allow_private_hosts: vec!["127.0.0.1".to_owned()],
        allow_plaintext: false,
        authority: None,
        proxy: None,
        timeout: Duration::from_millis(500),
    };
    let options = ChannelOptions {
        timeout: Duration::from_millis(500),
        attempts_max: 3,
        pause: Duration::from_millis(1),
        ..ChannelOptions::new("hook", "webhook")
    };
    Way { endpoint, options }
}

/// A way on which one attempt may take very long, and a stop waits for nothing.
fn patient(receiver: &Receiver) -> Way {
    let mut way = way(receiver);
    way.endpoint.timeout = Duration::from_secs(30);
    (way.options.timeout, way.options.stop_grace) = (Duration::from_secs(30), Duration::ZERO);
    way
}

pub fn alert(id: &str) -> Alert {
    Alert {
        rule_title: "A title".to_owned(),
        rule_author: "An author".to_owned(),
        rule_description: String::new(),
        level: "high".to_owned(),
        rule_version: "2025-01-02 sha256:0123456789ab".to_owned(),
        rule_license: "DRL 1.1".to_owned(),
        rule_references: vec!["https://example.org/why".to_owned()],
        tags: vec!["attack.t1059".to_owned()],
        explanation: "event_count gte 3 within 5m: 4".to_owned(),
        events: vec![MatchedEvent {
            table: TableName::new("SecurityEvent").unwrap(),
            seq: 7,
            time: Timestamp::from_seconds(1_767_323_000),
            computer: "host1".to_owned(),
            fields: vec![("EventID".to_owned(), "4688".to_owned())],
            rules: Vec::new(),
        }],
        hosts: vec!["host1".to_owned()],
        link: "/alerts?alert=1".to_owned(),
        ..Alert::new(id.to_owned(), RuleId::new("rule-1"), Timestamp::from_seconds(1_767_323_045))
    }
}

fn outcome(metrics: &Metrics, label: &str) -> u64 {
    metrics.labelled_value(Metric::NotifyDeliveries, label)
}

#[tokio::test]
async fn an_alert_arrives_signed() {
    let receiver = Receiver::start(&[]).await;
    let mut way = way(&receiver);
    way.options.web_url = "https://moneta.example.org".to_owned();
    let fixture = start(way);
    fixture.delivery.hand_over(&alert("a-1"), unheard()).unwrap();
    let request = receiver.received(1).await.remove(0);
    assert!(request.head.starts_with("POST /hook HTTP/1.1"), "{}", request.head);
    assert_eq!(request.header("webhook-id"), "a-1");
    assert_eq!(request.header("webhook-timestamp"), "1767323045");
    assert_eq!(request.header("webhook-signature"), sign(SECRET, "a-1", 1_767_323_045, &request.body));
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(body["rule_author"], "An author");
    assert_eq!(
        (&body["hosts"][0], &body["link"]),
        (&"host1".into(), &"https://moneta.example.org/alerts?alert=1".into())
    );
    assert_eq!(
        (&body["rule_license"], &body["rule_references"][0]),
        (&"DRL 1.1".into(), &"https://example.org/why".into())
    );
    assert_eq!(body["events"][0]["table"], "SecurityEvent");
    fixture.channel.stop().await;
    assert_eq!(outcome(&fixture.metrics, "delivered"), 1);
    assert_eq!(fixture.metrics.value(Metric::NotifyLatency), 1);
}

#[tokio::test]
async fn a_passing_failure_is_retried_with_the_same_id() {
    let receiver = Receiver::start(&["HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", "hang"]).await;
    let fixture = start(way(&receiver));
    fixture.delivery.hand_over(&alert("a-2"), unheard()).unwrap();
    let requests = receiver.received(3).await;
    assert!(requests.iter().all(|request| request.header("webhook-id") == "a-2"));
    fixture.channel.stop().await;
    assert_eq!((outcome(&fixture.metrics, "delivered"), outcome(&fixture.metrics, "retried")), (1, 2));
    assert!(fixture.dead.lock().unwrap().is_empty());
}

#[tokio::test]
async fn after_the_last_attempt_an_alert_is_a_dead_letter() {
    let failure = "HTTP/1.1 500 No\r\nContent-Length: 6\r\n\r\nsecret";
    let receiver = Receiver::start(&[failure; 3]).await;
    let fixture = start(way(&receiver));
    fixture.delivery.hand_over(&alert("a-3"), unheard()).unwrap();
    receiver.received(3).await;
    fixture.channel.stop().await;
    let dead = fixture.dead.lock().unwrap().clone();
    assert_eq!((dead.len(), dead[0].attempts, dead[0].alert_id.as_str()), (1, 3, "a-3"));
    // The receiver's words are not repeated.
    assert_eq!(dead[0].reason, "the receiver answered 500");
}

#[tokio::test]
async fn a_refusal_and_a_redirect_are_not_retried() {
    for answer in [
        "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
    ] {
        let receiver = Receiver::start(&[answer]).await;
        let fixture = start(way(&receiver));
        fixture.delivery.hand_over(&alert("a-4"), unheard()).unwrap();
        receiver.received(1).await;
        fixture.channel.stop().await;
        assert_eq!(fixture.dead.lock().unwrap()[0].attempts, 1);
    }
}

#[tokio::test]
async fn one_slow_alert_does_not_hold_up_the_others() {
    let receiver = Receiver::start(&["hang"]).await;
    let fixture = start(patient(&receiver));
    for number in 0..5 {
        fixture.delivery.hand_over(&alert(&format!("a-{number}")), unheard()).unwrap();
    }
    receiver.received(5).await;
    fixture.channel.stop().await;
    let dead = fixture.dead.lock().unwrap().clone();
    let (sent, letters) = (outcome(&fixture.metrics, "delivered"), dead.len() as u64);
    assert!(letters >= 1 && sent + letters == 5, "{sent} {dead:?}");
}

#[tokio::test]
async fn a_full_queue_refuses_and_stop_accounts_for_every_alert() {
    let receiver = Receiver::start(&["hang"; 64]).await;
    let fixture = start(patient(&receiver));
    let mut accepted = 0_u64;
    while fixture.delivery.hand_over(&alert("a-5"), unheard()).is_ok() {
        accepted += 1;
    }
    assert!(outcome(&fixture.metrics, "queue_full") >= 1);
    fixture.channel.stop().await;
    // The one that was refused is a dead letter too.
    assert_eq!(outcome(&fixture.metrics, "delivered") + fixture.dead.lock().unwrap().len() as u64, accepted + 1);
    let refused = fixture.delivery.hand_over(&alert("a-6"), unheard()).unwrap_err();
    assert!(refused.message.contains("stopped"));
}

#[tokio::test]
async fn options_that_cannot_work_are_refused_at_the_start() {
    let refuse = |url: &str, secret: &[u8]| {
        let endpoint = Endpoint {
            url: url.to_owned(),
            allow_private_hosts: Vec::new(),
            allow_plaintext: false,
            authority: None,
            proxy: None,
            timeout: Duration::from_secs(1),
        };
        assert!(!format!("{endpoint:?}").contains("example.com"));
        Webhook::new(&endpoint, secret.to_vec()).unwrap_err().to_string()
    };
    assert!(refuse("https://example.com/hook", b"short").contains("5 bytes"));
    assert!(refuse("http://example.com/hook", SECRET).contains("https"));
    assert!(refuse("https://user:word@example.com/hook", SECRET).contains("user name"));
    assert!(refuse("ftp://example.com/hook", SECRET).contains("https"));
    assert!(refuse("nonsense", SECRET).contains("not a URL"));
}

#[tokio::test]
async fn addresses_that_lead_inside_are_never_called() {
    let receiver = Receiver::start(&[]).await;
    let port = receiver.address.port();
    for (url, allowed) in [
        (format!("https://127.0.0.1:{port}/hook"), vec![]),
        (format!("https://localhost:{port}/hook"), vec![]),
        (format!("https://[::ffff:127.0.0.1]:{port}/hook"), vec!["127.0.0.1".to_owned()]),
        ("http://10.0.0.1/hook".to_owned(), vec!["10.0.0.1".to_owned()]),
    ] {
        let mut way = way(&receiver);
        (way.endpoint.url, way.endpoint.allow_private_hosts) = (url.clone(), allowed);
        let fixture = start(way);
        fixture.delivery.hand_over(&alert("a-7"), unheard()).unwrap();
        fixture.channel.stop().await;
        let dead = fixture.dead.lock().unwrap().clone();
        assert_eq!((dead.len(), dead[0].attempts), (1, 1), "{url}");
        assert!(dead[0].reason.contains("private") || dead[0].reason.contains("https"), "{}", dead[0].reason);
    }
    assert!(receiver.received(0).await.is_empty());
}

#[tokio::test]
async fn a_channel_takes_what_is_bad_enough_and_a_test_goes_at_once() {
    let receiver = Receiver::start(&[]).await;
    let mut way = way(&receiver);
    way.options.level_min = Level::Critical;
    let fixture = start(way);
    fixture.delivery.hand_over(&alert("a-8"), unheard()).unwrap();
    let worse = Alert { level: "critical".to_owned(), ..alert("a-9") };
    fixture.delivery.hand_over(&worse, unheard()).unwrap();
    fixture.channel.test(&alert("a-10")).await.unwrap();
    fixture.channel.stop().await;
    let mut ids: Vec<String> = receiver.received(2).await.iter().map(|request| request.header("webhook-id")).collect();
    ids.sort();
    assert_eq!(ids, ["a-10", "a-9"]);
    assert_eq!(fixture.channel.counts().delivered, 2);
}

#[tokio::test]
async fn it_is_known_since_when_nothing_arrives() {
    let at = Some(Timestamp::from_seconds(1_767_323_045));
    let receiver = Receiver::start(&["HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"]).await;
    let fixture = start(way(&receiver));
    let counts = fixture.channel.counts();
    assert_eq!((counts.last_success, counts.last_failure, counts.failing_since), (None, None, None));
    fixture.channel.test(&alert("a-11")).await.unwrap_err();
    let counts = fixture.channel.counts();
    assert_eq!((counts.last_success, counts.last_failure, counts.failing_since), (None, at, at));
    assert_eq!(counts.last_given_up, None);
    fixture.channel.test(&alert("a-12")).await.unwrap();
    let counts = fixture.channel.counts();
    assert_eq!((counts.last_success, counts.last_failure, counts.failing_since), (at, at, None));
}

#[tokio::test]
async fn an_alert_that_several_channels_do_not_take_names_them_all() {
    let receiver = Receiver::start(&[]).await;
    let mut channels = Vec::new();
    for name in ["one", "two"] {
        let mut way = way(&receiver);
        way.options.name = name.to_owned();
        let fixture = start(way);
        fixture.channel.stop().await;
        channels.push(fixture.channel);
    }
    let error = Channels(channels).hand_over(&alert("a-1"), unheard()).unwrap_err();
    assert!(
        error.message.contains("sent to one: stopped; ") && error.message.contains("sent to two: stopped"),
        "{error}"
    );
}

#[tokio::test]
async fn a_receipt_is_settled_by_delivery_and_giving_up_and_not_by_a_stop() {
    let receiver = Receiver::start(&[
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
        "hang",
    ])
    .await;
    let fixture = start(patient(&receiver));
    let settled = Arc::new(Mutex::new(Vec::new()));
    for (number, id) in (1..).zip(["delivered", "given up", "under way"]) {
        let heard = settled.clone();
        let receipt = Receipt::new(move || heard.lock().unwrap().push(id));
        fixture.delivery.hand_over(&alert(id), receipt).unwrap();
        receiver.received(number).await;
    }
    fixture.channel.stop().await;
    let mut heard = settled.lock().unwrap().clone();
    heard.sort_unstable();
    assert_eq!(heard, ["delivered", "given up"]);
}
