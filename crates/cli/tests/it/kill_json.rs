//! JSON senders and a server that is killed again and again: what was acknowledged is stored, and stored once, and
//! everything fits after each start.
//!
//! `MONETA_KILLS` sets the number of kills.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use moneta_testkit::Random;

use crate::support::{Moneta, number, wait_until};

/// Senders at a time, each with one request under way.
const SENDERS: usize = 4;
/// Events in one request at most.
const BATCH_MAX: usize = 20;
/// How long a sender waits before it sends a request again.
const RESEND: Duration = Duration::from_millis(20);
/// How soon a server must be ready again.
const READY_MAX: Duration = Duration::from_secs(10);

/// What the senders share.
struct Load {
    address: String,
    credential: String,
    stop: AtomicBool,
    num_acknowledged: AtomicUsize,
    resent: AtomicUsize,
    acknowledged: Mutex<Vec<String>>,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acknowledged_events_survive_kills_and_are_stored_once() {
    let kills = number("MONETA_KILLS", 50);
    let moneta = Moneta::new();
    let mut server = moneta.serve();
    let credential = moneta.ok(&["credential", "create", "--name", "sender", "--scope", "ingest"]).trim().to_owned();
    let load = Arc::new(Load {
        address: format!("{}/v1/ingest/Killed_CL", server.address()),
        credential,
        stop: AtomicBool::new(false),
        num_acknowledged: AtomicUsize::new(0),
        resent: AtomicUsize::new(0),
        acknowledged: Mutex::default(),
    });
    let senders: Vec<_> = (0..SENDERS).map(|sender| tokio::spawn(send(load.clone(), sender))).collect();
    let mut random = Random::new(5);
    let mut slowest = Duration::ZERO;
    for _ in 0..kills {
        let enough = load.num_acknowledged.load(Ordering::Relaxed) + 1 + random.below(500);
        wait_until("acknowledgements", || load.num_acknowledged.load(Ordering::Relaxed) >= enough).await;
        server.kill();
        server = moneta.serve();
        slowest = slowest.max(server.ready_in);
        let verified = moneta.ok(&["verify"]);
        assert!(verified.contains("everything fits"), "{verified}");
    }
    load.stop.store(true, Ordering::Relaxed);
    for sender in senders {
        sender.await.unwrap();
    }
    let (acknowledged, stored) = (load.acknowledged.lock().unwrap().clone(), stored_ids(&moneta));
    let lost = acknowledged.iter().filter(|id| !stored.contains_key(*id)).count();
    let doubled = stored.values().filter(|count| **count > 1).count();
    println!(
        "{kills} kills, {} events acknowledged, {} requests sent again, lost {lost}, doubled {doubled}, slowest start {slowest:?}",
        acknowledged.len(),
        load.resent.load(Ordering::Relaxed)
    );
    assert_eq!((lost, doubled, stored.len()), (0, 0, acknowledged.len()));
    assert!(slowest <= READY_MAX, "{slowest:?}");
    server.stop();
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}

/// Sends requests until told to stop, each again under its key until it is acknowledged.
async fn send(load: Arc<Load>, sender: usize) {
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut random = Random::new(u64::try_from(sender).unwrap());
    let mut batch = 0;
    while !load.stop.load(Ordering::Relaxed) {
        let ids: Vec<String> = (0..=random.below(BATCH_MAX)).map(|row| format!("{sender}-{batch}-{row}")).collect();
        let body: String = ids.iter().map(|id| format!("{{\"Id\":\"{id}\"}}\n")).collect();
        let key = format!("{sender}-{batch}");
        while !is_acknowledged(&http, &load, &key, &body).await {
            load.resent.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(RESEND).await;
        }
        load.num_acknowledged.fetch_add(ids.len(), Ordering::Relaxed);
        load.acknowledged.lock().unwrap().extend(ids);
        batch += 1;
    }
}

async fn is_acknowledged(http: &reqwest::Client, load: &Load, key: &str, body: &str) -> bool {
    let request = http.post(&load.address).bearer_auth(&load.credential).header("idempotency-key", key);
    let request = request.header("content-type", "application/x-ndjson").body(body.to_owned());
    let Ok(response) = request.send().await else { return false };
    let status = response.status();
    assert!(!status.is_client_error() || status.as_u16() == 429, "{status}: {:?}", response.text().await);
    status.is_success()
}

/// How often each event is stored.
fn stored_ids(moneta: &Moneta) -> BTreeMap<String, usize> {
    let mut stored = BTreeMap::new();
    for row in moneta.ok(&["query", "Killed_CL | project Id", "--format", "ndjson", "--all-rows"]).lines() {
        let row: serde_json::Value = serde_json::from_str(row).unwrap();
        *stored.entry(row["Id"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    stored
}
