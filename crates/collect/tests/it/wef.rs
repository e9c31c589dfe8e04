//! Windows machines that forward events: envelopes of our own, with events of the samples in them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moneta_base::ErrorKind;
use moneta_collect::{Bookmarks, Collector, Intake, ListenOptions, TlsFiles, WefOptions, WefSubscription, start_wef};
use moneta_ports::{BoxFuture, Metric, PortError};
use moneta_testkit::corpus_or_skip;

use crate::acknowledged::{connect, tls_files};
use crate::sink::{RecordingSink, intake};
use crate::web::{Answer, Client};

const ENUMERATE: &str = "http://schemas.xmlsoap.org/ws/2004/09/enumeration/Enumerate";
const EVENTS: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Events";
const HEARTBEAT: &str = "http://schemas.dmtf.org/wbem/wsman/1/wsman/Heartbeat";
const WIDE: &str = "Content-Type: application/soap+xml;charset=UTF-16\r\n";

/// Keeps bookmarks, and can fail to.
#[derive(Default)]
struct Kept {
    texts: Mutex<BTreeMap<String, String>>,
    fails: Mutex<bool>,
}

impl Bookmarks for Kept {
    fn bookmark<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, PortError>> {
        Box::pin(async move { Ok(self.texts.lock().unwrap().get(key).cloned()) })
    }

    fn keep<'a>(&'a self, key: &'a str, text: &'a str) -> BoxFuture<'a, Result<(), PortError>> {
        Box::pin(async move {
            if *self.fails.lock().unwrap() {
                return Err(PortError::new(ErrorKind::RETRY, "no disk"));
            }
            self.texts.lock().unwrap().insert(key.to_owned(), text.to_owned());
            Ok(())
        })
    }
}

fn subscription(name: &str, channel: &str) -> WefSubscription {
    WefSubscription {
        name: name.to_owned(),
        query: format!("<QueryList><Query Id=\"0\"><Select Path=\"{channel}\">*</Select></Query></QueryList>"),
        read_existing: true,
        rendered: true,
        latency_max: Duration::from_secs(30),
        heartbeat: Duration::from_secs(900),
    }
}

async fn start(intake: &Intake, kept: &Arc<Kept>) -> (Collector, SocketAddr) {
    let options = WefOptions {
        listen: ListenOptions::new("127.0.0.1:0".parse().unwrap()),
        tls: tls_files(),
        subscriptions: vec![subscription("security", "Security"), subscription("system", "System")],
    };
    let collector = start_wef(intake.clone(), kept.clone(), options).await.unwrap();
    let address = collector.local_address().unwrap();
    (collector, address)
}

fn envelope(action: &str, message: u32, header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://www.w3.org/2003/05/soap-envelope\" \
         xmlns:a=\"http://schemas.xmlsoap.org/ws/2004/08/addressing\" \
         xmlns:w=\"http://schemas.dmtf.org/wbem/wsman/1/wsman.xsd\" \
         xmlns:p=\"http://schemas.microsoft.com/wbem/wsman/1/wsman.xsd\"><s:Header>\
         <m:MachineID xmlns:m=\"http://schemas.microsoft.com/wbem/wsman/1/machineid\">somebody.else</m:MachineID>\
         <a:Action s:mustUnderstand=\"true\">{action}</a:Action><a:MessageID>uuid:M{message}</a:MessageID>\
         <p:OperationID s:mustUnderstand=\"false\">uuid:O{message}</p:OperationID>{header}</s:Header>\
         <s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// A batch of events, with the place behind them.
fn events(message: u32, record_id: u32, events: &[String]) -> String {
    let header = format!(
        "<w:Bookmark><BookmarkList><Bookmark Channel=\"Security\" RecordId=\"{record_id}\" IsCurrent=\"true\"/>\
         </BookmarkList></w:Bookmark><w:AckRequested/>"
    );
    let event = |xml: &String| {
        format!("<w:Event Action=\"http://schemas.dmtf.org/wbem/wsman/1/wsman/Event\"><![CDATA[{xml}]]></w:Event>")
    };
    let events: String = events.iter().map(event).collect();
    envelope(EVENTS, message, &header, &format!("<w:Events>{events}</w:Events>"))
}

fn logon(record_id: u32) -> String {
    format!(
        "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>\
         <Provider Name='Microsoft-Windows-Security-Auditing'/><EventID>4624</EventID><Level>0</Level>\
         <TimeCreated SystemTime='2026-06-15T11:59:00.1234567Z'/><EventRecordID>{record_id}</EventRecordID>\
         <Channel>Security</Channel><Computer>win10.example.org</Computer></System><EventData>\
         <Data Name='TargetUserName'>user{record_id}</Data><Data Name='LogonType'>3</Data></EventData></Event>"
    )
}

fn wide(text: &str) -> Vec<u8> {
    "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

fn narrow(answer: &Answer) -> String {
    let (mark, units) = answer.body.split_at(2);
    assert_eq!(mark, [0xff, 0xfe], "{answer:?}");
    let units: Vec<u16> = units.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    String::from_utf16(&units).unwrap()
}

async fn enumerate(client: &mut Client) -> String {
    let request = envelope(ENUMERATE, 1, "", "<n:Enumerate><w:OptimizeEnumeration/></n:Enumerate>");
    let answer = client.post("/wsman/SubscriptionManager/WEC", WIDE, &wide(&request)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.head.contains("application/soap+xml;charset=UTF-16"), "{}", answer.head);
    narrow(&answer)
}

/// Where the first subscription is delivered.
fn delivery_path(subscriptions: &str) -> String {
    let address = subscriptions.split("<a:Address>https://wec.example.org:5986").nth(1).unwrap();
    address.split('<').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_machine_subscribes_sends_is_acknowledged_and_goes_on_after_a_restart() {
    let (sink, kept) = (RecordingSink::new(), Arc::new(Kept::default()));
    let intake = intake(&sink);
    let (collector, address) = start(&intake, &kept).await;
    let mut client = Client::connect(address).await;
    assert_eq!(client.post("/wsman/SubscriptionManager/WEC", WIDE, b"").await.status, 200);
    let offered = enumerate(&mut client).await;
    assert!(offered.contains("<a:RelatesTo>uuid:M1</a:RelatesTo>") && offered.contains("uuid:O1</p:OperationID>"));
    assert_eq!(offered.matches("<m:Subscription ").count(), 2);
    assert!(offered.contains("<Select Path=\"Security\">*</Select>") && offered.contains("PT900.000S"), "{offered}");
    assert!(offered.contains("Name=\"ReadExistingEvents\">true<") && !offered.contains("w:Bookmark"));
    assert!(!offered.contains("Compression"), "nothing may be compressed: {offered}");
    let thumbprint = offered.split("Role=\"issuer\">").nth(1).unwrap().split('<').next().unwrap();
    assert!(thumbprint.len() == 40 && thumbprint.bytes().all(|b| b.is_ascii_hexdigit()), "{thumbprint}");
    let path = delivery_path(&offered);
    let end = envelope("http://schemas.microsoft.com/wbem/wsman/1/wsman/End", 2, "", "");
    assert_eq!(client.post("/wsman/SubscriptionManager/WEC", WIDE, &wide(&end)).await.status, 204);

    let beat = envelope(HEARTBEAT, 3, "<w:AckRequested/>", "<w:Events></w:Events>");
    let answer = narrow(&client.post(&path, WIDE, &wide(&beat)).await);
    assert!(answer.contains("wsman/Ack</a:Action>") && answer.contains("uuid:M3</a:RelatesTo>"), "{answer}");
    assert_eq!(sink.column("Heartbeat", "Computer"), ["client.example.org"]);

    let batch: Vec<String> = (1..=300).map(logon).collect();
    let answer = narrow(&client.post(&path, WIDE, &wide(&events(4, 300, &batch))).await);
    assert!(answer.contains("wsman/Ack</a:Action>") && answer.contains("uuid:M4</a:RelatesTo>"), "{answer}");
    let users: Vec<String> = (1..=300).map(|n| format!("user{n}")).collect();
    assert_eq!(sink.column("SecurityEvent", "TargetUserName"), users);
    assert!(sink.column("SecurityEvent", "_Source").iter().all(|source| source == "wef/client.example.org"));
    collector.stop().await;

    let (collector, address) = start(&intake, &kept).await;
    let mut client = Client::connect(address).await;
    let offered = enumerate(&mut client).await;
    assert_eq!(delivery_path(&offered), path, "a subscription stays the same");
    let bookmark = "<w:Bookmark><BookmarkList><Bookmark Channel=\"Security\" RecordId=\"300\" IsCurrent=\"true\"/>";
    assert_eq!(offered.matches(bookmark).count(), 1, "of the one subscription that had events: {offered}");
    assert_eq!(offered.matches("ReadExistingEvents").count(), 1, "{offered}");
    collector.stop().await;
}

#[tokio::test]
async fn nothing_is_acknowledged_that_is_not_stored_with_its_bookmark() {
    let (sink, kept) = (RecordingSink::new(), Arc::new(Kept::default()));
    let intake = intake(&sink);
    let (collector, address) = start(&intake, &kept).await;
    let mut client = Client::connect(address).await;
    let path = delivery_path(&enumerate(&mut client).await);
    sink.refuse_for_good(1);
    let answer = client.post(&path, WIDE, &wide(&events(2, 1, &[logon(1)]))).await;
    assert_eq!(answer.status, 503);
    assert!(narrow(&answer).contains("s:Receiver"));
    assert!(kept.texts.lock().unwrap().is_empty(), "a bookmark without its events would lose them");
    *kept.fails.lock().unwrap() = true;
    assert_eq!(client.post(&path, WIDE, &wide(&events(3, 1, &[logon(1)]))).await.status, 503);
    *kept.fails.lock().unwrap() = false;
    sink.refuse(2);
    assert_eq!(
        client.post(&path, WIDE, &wide(&events(4, 1, &[logon(1)]))).await.status,
        200,
        "a busy store is waited for"
    );
    assert_eq!(kept.texts.lock().unwrap().len(), 1);
    collector.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_is_refused_by_a_sentence() {
    let (sink, kept) = (RecordingSink::new(), Arc::new(Kept::default()));
    let intake = intake(&sink);
    let (collector, address) = start(&intake, &kept).await;
    let mut client = Client::connect(address).await;
    let path = delivery_path(&enumerate(&mut client).await);
    let refused = async |client: &mut Client, path: &str, headers: &str, body: &[u8], status: u16, text: &str| {
        let answer = client.post(path, headers, body).await;
        let said = String::from_utf8_lossy(&answer.body).replace('\0', "");
        assert!(answer.status == status && said.contains(text), "{}: {said}", answer.status);
    };
    let compressed = format!("{WIDE}Content-Encoding: SLDC\r\n");
    refused(&mut client, &path, &compressed, b"\xff\xab\xfd\xfc\x3c\0\x1c\xc0", 415, "compressed events are not taken")
        .await;
    refused(&mut client, &path, WIDE, b"\xff\xfe<\0", 400, "it ends within a tag").await;
    refused(&mut client, &path, WIDE, &wide(&envelope("urn:other", 1, "", "")), 400, "does not know the action").await;
    let batch = events(2, 1, &[logon(1)]);
    refused(&mut client, "/wsman/subscriptions/0", WIDE, &wide(&batch), 404, "no such subscription").await;
    assert_eq!(client.post(&path, &compressed, &wide(&batch)).await.status, 200, "it says compressed, and is not");
    assert_eq!(client.post(&path, "Content-Type: application/soap+xml\r\n", batch.as_bytes()).await.status, 200);
    assert_eq!(sink.column("SecurityEvent", "TargetUserName"), ["user1", "user1"]);
    let broken = events(5, 2, &["<Event><System>".to_owned(), logon(2)]);
    assert_eq!(client.post(&path, WIDE, &wide(&broken)).await.status, 200, "the rest of a batch is not lost");
    assert_eq!(sink.quarantined().len(), 1);
    assert_eq!(sink.column("SecurityEvent", "TargetUserName").len(), 3);
    let left_out = envelope(
        EVENTS,
        6,
        "<w:AckRequested/>",
        "<w:Events><w:Event><w:DroppedEvents>4</w:DroppedEvents></w:Event></w:Events>",
    );
    assert_eq!(client.post(&path, WIDE, &wide(&left_out)).await.status, 200);
    assert_eq!(intake.metrics.labelled_value(Metric::CollectDropped, "too_long_to_forward"), 4);
    collector.stop().await;
}

#[tokio::test]
async fn only_machines_with_a_certificate_of_the_authority_are_heard() {
    let (sink, kept) = (RecordingSink::new(), Arc::new(Kept::default()));
    let intake = intake(&sink);
    let (collector, address) = start(&intake, &kept).await;
    for stranger in [None, Some("stranger")] {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        if let Ok(mut stream) = connect(address, stranger).await {
            let _ = stream.write_all(b"POST /wsman HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
            assert!(stream.read(&mut [0; 1]).await.map_or(true, |len| len == 0), "{stranger:?} was let in");
        }
    }
    collector.stop().await;
    let open = TlsFiles { client_authority: None, ..tls_files() };
    let listen = ListenOptions::new("127.0.0.1:0".parse().unwrap());
    let options = WefOptions { listen, tls: open, subscriptions: Vec::new() };
    let error = start_wef(intake.clone(), kept.clone(), options.clone()).await.unwrap_err().to_string();
    assert!(error.contains("authority of the senders' certificates is missing"), "{error}");
    let bad = WefSubscription { query: "<QueryList>".to_owned(), ..subscription("s", "x") };
    let options = WefOptions { tls: tls_files(), subscriptions: vec![bad], ..options };
    let error = start_wef(intake, kept, options).await.unwrap_err().to_string();
    assert!(error.contains("subscription \"s\""), "{error}");
}

#[tokio::test]
async fn events_of_real_machines_arrive_in_their_tables() {
    let Some(corpus) = corpus_or_skip(1, "samples/wef_xml") else { return };
    let (sink, kept) = (RecordingSink::new(), Arc::new(Kept::default()));
    let intake = intake(&sink);
    let (collector, address) = start(&intake, &kept).await;
    let mut client = Client::connect(address).await;
    let path = delivery_path(&enumerate(&mut client).await);
    let names = ["4688", "1100", "111", "5719", "6013", "1003"].map(|id| format!("openwec_json_event_{id}.xml"));
    let logons = ["4624", "4625", "328", "8002"].map(|id| format!("openwec_nxlog_event_{id}.xml"));
    let read = |name: &String| std::fs::read_to_string(corpus.join(name)).unwrap();
    let batch: Vec<String> = names.iter().chain(&logons).map(read).collect();
    assert_eq!(client.post(&path, WIDE, &wide(&events(2, 9, &batch))).await.status, 200);
    assert_eq!(sink.num_records(), batch.len());
    assert_eq!(sink.quarantined().len(), 0, "{:?}", sink.quarantined());
    assert_eq!(sink.column("SecurityEvent", "Computer").len(), 4, "{:?}", sink.tables());
    collector.stop().await;
}
