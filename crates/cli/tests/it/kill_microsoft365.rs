//! A server that pulls audit records of Microsoft 365 over HTTP and is killed again and again: each record is stored once.
//!
//! `MONETA_KILLS` sets the number of kills.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use moneta_testkit::Random;
use serde_json::{Value, json};

use crate::support::{Moneta, number, wait_until};

const BLOBS: usize = 300;
const RECORDS: usize = 10;
const SIGN_INS: usize = 600;
const PAGE: usize = 50;

/// The sign-in, the Management Activity API and Graph, as far as they are asked.
struct Service {
    address: String,
    /// How much of everything is there.
    there: AtomicUsize,
    calls: AtomicUsize,
    now: String,
}

impl Service {
    fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let now = moneta_base::Timestamp::from_seconds(
            i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() - 600,
        );
        let there = AtomicUsize::new(1);
        let service = Arc::new(Self { address, there, calls: AtomicUsize::new(0), now: now.to_string() });
        let shared = service.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let service = shared.clone();
                std::thread::spawn(move || service.serve(&stream));
            }
        });
        service
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream);
        loop {
            let (mut request, mut length) = (String::new(), 0);
            reader.read_line(&mut request).ok().filter(|read| *read > 0)?;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).ok()?;
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().ok()?;
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.read_exact(&mut vec![0; length]).ok()?;
            let number = self.calls.fetch_add(1, Ordering::SeqCst);
            let path = request.split(' ').nth(1)?;
            let (status, header, body) = match number % 17 {
                // Now and then it has enough.
                16 => ("429 Too Many Requests", "Retry-After: 0\r\n".to_owned(), json!({})),
                _ => {
                    let (header, body) = self.answer(path);
                    ("200 OK", header, body)
                }
            };
            let (body, kind) = (body.to_string(), "Content-Type: application/json");
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{kind}\r\n{header}\r\n", body.len());
            (&*stream).write_all(&[head.as_bytes(), body.as_bytes()].concat()).ok()?;
        }
    }

    fn answer(&self, path: &str) -> (String, Value) {
        let there = |all: usize| all.min(all * self.there.load(Ordering::SeqCst) / 20);
        let begin: usize = path.split("page=").nth(1).map_or(0, |text| text.parse().unwrap());
        let next = |all: usize| (begin + PAGE < all).then(|| begin + PAGE);
        if path.ends_with("/token") {
            return (String::new(), json!({"access_token": "t", "expires_in": 3600}));
        }
        if path.contains("/subscriptions/start") {
            return (String::new(), json!({"status": "enabled"}));
        }
        if let Some(rest) = path.split("/audit/").nth(1) {
            let blob: usize = rest.split('?').next().unwrap().parse().unwrap();
            let record = |number: usize| {
                json!({"CreationTime": self.now, "Id": format!("r{number}"), "Operation": "FileAccessed", "RecordType": 6,
                       "Workload": "SharePoint", "UserId": "x"})
            };
            return (String::new(), (blob * RECORDS..(blob + 1) * RECORDS).map(record).collect());
        }
        let root = &self.address;
        if path.contains("/subscriptions/content") {
            let all = there(BLOBS);
            let blob = |number: usize| {
                json!({"contentId": format!("b{number}"), "contentCreated": self.now,
                       "contentUri": format!("{root}/api/v1.0/t/activity/feed/audit/{number}")})
            };
            let next = next(all)
                .map(|next| format!("NextPageUri: {root}/subscriptions/content?PublisherIdentifier=t&page={next}\r\n"));
            return (next.unwrap_or_default(), (begin..all.min(begin + PAGE)).map(blob).collect());
        }
        let all = there(SIGN_INS);
        let record = |number: usize| {
            json!({"id": format!("s{number}"), "createdDateTime": self.now, "appDisplayName": "Portal",
                   "userPrincipalName": "x", "conditionalAccessStatus": "success"})
        };
        let values: Vec<Value> = (begin..all.min(begin + PAGE)).map(record).collect();
        let next = next(all).map(|next| format!("{root}/v1.0/auditLogs/signIns?page={next}"));
        (String::new(), json!({"value": values, "@odata.nextLink": next}))
    }
}

/// How often each identifier of a table is stored.
fn stored(moneta: &Moneta, table: &str, column: &str) -> BTreeMap<String, u64> {
    let rows = moneta.json(&["query", &format!("{table} | summarize N = count() by Key = {column}")]);
    let pair = |row: &Value| (row["Key"].as_str().unwrap().to_owned(), row["N"].as_u64().unwrap());
    rows.as_array().unwrap().iter().map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn pulled_records_survive_kills_and_are_stored_once() {
    let kills = number("MONETA_KILLS", 12);
    let service = Service::start();
    let mut moneta = Moneta::new();
    let (root, secret) = (&service.address, moneta.file("secret", "s"));
    let source = format!(
        "[{{ name = 'x', tenant = 't', client = 'c', secret_file = '{secret}', activity = ['Audit.General'], \
         graph = ['signIns'], poll_seconds = 5, login_url = '{root}', activity_url = '{root}', graph_url = '{root}' }}]"
    );
    moneta.settings = vec![
        ("MONETA_MICROSOFT365__SOURCES", source.leak()),
        ("MONETA_NOTIFY__ALLOW_PRIVATE_HOSTS", "[\"127.0.0.1\"]"),
    ];
    let mut server = moneta.serve();
    let mut random = Random::new(11);
    for kill in 0..kills {
        service.there.store(20 * (kill + 1) / kills, Ordering::SeqCst);
        let enough = service.calls.load(Ordering::SeqCst) + 1 + random.below(12);
        wait_until("calls", || service.calls.load(Ordering::SeqCst) >= enough).await;
        tokio::time::sleep(Duration::from_millis(random.below(40) as u64)).await;
        server.kill();
        server = moneta.serve();
    }
    let total = (BLOBS * RECORDS, SIGN_INS);
    let count = |table: &str| usize::try_from(moneta.count(&format!("{table} | count"))).unwrap();
    wait_until("everything", || count("OfficeActivity") >= total.0 && count("SigninLogs") >= total.1).await;
    server.stop();
    let (activity, sign_ins) = (stored(&moneta, "OfficeActivity", "OfficeId"), stored(&moneta, "SigninLogs", "Id"));
    let doubled = activity.values().chain(sign_ins.values()).filter(|count| **count > 1).count();
    println!("{kills} kills, {} calls, doubled {doubled}", service.calls.load(Ordering::SeqCst));
    assert_eq!((activity.len(), sign_ins.len(), doubled), (total.0, total.1, 0));
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}
