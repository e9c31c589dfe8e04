//! Alerts that are stored, and not yet with their receiver, when the server is killed: they are sent after the restart.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::{Moneta, Server, wait_until};

const RULE: &str = "title: Failed password
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9d001
level: high
logsource: { product: linux, service: sshd }
detection:
  keywords: [ 'Failed password for' ]
  condition: keywords
";

/// A receiver of webhooks that refuses, for the time being, until it is told to accept.
struct Receiver {
    address: String,
    accepts: Arc<AtomicBool>,
    /// Ids of the alerts it refused, and of those it took.
    refused: Arc<Mutex<BTreeSet<String>>>,
    taken: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// One that says, while it refuses, that it will not for ever.
    fn start() -> Self {
        Self::start_refusing("503 Later")
    }

    fn start_refusing(refusal: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            address: listener.local_addr().unwrap().to_string(),
            accepts: Arc::default(),
            refused: Arc::default(),
            taken: Arc::default(),
        };
        let (accepts, refused, taken) = (receiver.accepts.clone(), receiver.refused.clone(), receiver.taken.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let Some(id) = read_id(&stream) else { continue };
                let accepts = accepts.load(Ordering::SeqCst);
                match accepts {
                    true => taken.lock().unwrap().push(id),
                    false => _ = refused.lock().unwrap().insert(id),
                }
                let status = if accepts { "200 OK" } else { refusal };
                let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        receiver
    }

    /// A server with a rule that tells it of alerts.
    fn told_by(&self) -> (Moneta, Server) {
        let mut moneta = Moneta::new();
        let url = format!("http://{}/hook", self.address);
        moneta.settings =
            vec![("MONETA_NOTIFY__WEBHOOK_URL", url.leak()), ("MONETA_NOTIFY__ALLOW_PRIVATE_HOSTS", "[\"127.0.0.1\"]")];
        let server = moneta.serve();
        moneta.ok(&["rules", "add", &moneta.file("rule.yml", RULE)]);
        (moneta, server)
    }
}

/// The id of the alert in one request.
fn read_id(stream: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let alert: Value = serde_json::from_slice(&body).ok()?;
    Some(alert["id"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn delivery_1_a_stored_alert_is_sent_after_a_kill() {
    let receiver = Receiver::start();
    let (moneta, server) = receiver.told_by();
    let line = |n: usize| {
        format!(
            "2026-01-02T03:0{n}:05.000000+00:00 web0{n} sshd[1]: Failed password for root from 192.0.2.7 port 2 ssh2\n"
        )
    };
    // What is told before stays told.
    receiver.accepts.store(true, Ordering::SeqCst);
    moneta.ok(&["ingest", &moneta.file("before.log", line(1))]);
    wait_until("the first alert", || receiver.taken.lock().unwrap().len() == 1).await;
    receiver.accepts.store(false, Ordering::SeqCst);
    // Longer than between two marks.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    moneta.ok(&["ingest", &moneta.file("a.log", line(2))]);
    moneta.ok(&["ingest", &moneta.file("b.log", line(3))]);
    wait_until("two refusals", || receiver.refused.lock().unwrap().len() == 2).await;
    server.kill();
    let stored = |moneta: &Moneta| -> BTreeSet<String> {
        let rows = moneta.json(&["query", "SecurityAlert | where RuleId endswith 'd001' | project SystemAlertId"]);
        rows.as_array().unwrap().iter().map(|row| row["SystemAlertId"].as_str().unwrap().to_owned()).collect()
    };
    receiver.accepts.store(true, Ordering::SeqCst);
    let server = moneta.serve();
    let taken = || -> Vec<String> { receiver.taken.lock().unwrap().clone() };
    wait_until("the others", || taken().len() >= 3).await;
    server.stop();
    let server = moneta.serve();
    let all = stored(&moneta);
    assert_eq!(all.len(), 3);
    server.stop();
    assert_eq!(taken().into_iter().collect::<BTreeSet<_>>(), all);
    assert_eq!(taken().len(), 3, "none is sent again once its receiver has it and the mark says so");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_that_was_given_up_is_listed_and_sent_again() {
    let receiver = Receiver::start_refusing("404 Gone");
    let (moneta, server) = receiver.told_by();
    let line = "2026-01-02T03:01:05.000000+00:00 web01 sshd[1]: Failed password for root from 192.0.2.7 port 2 ssh2\n";
    moneta.ok(&["ingest", &moneta.file("a.log", line)]);
    let open = || moneta.json(&["alerts", "undelivered"]).as_array().unwrap().clone();
    let of_rule = |letters: &[Value]| letters.iter().filter(|one| one["rule_title"] == "Failed password").count();
    wait_until("the dead letter", || of_rule(&open()) == 1).await;
    let letters = open();
    let letter = letters.iter().find(|one| one["rule_title"] == "Failed password").unwrap();
    assert!(letter["channel"] == "webhook" && letter["reason"].as_str().unwrap().contains("404"), "{letter}");
    let id = letter["alert_id"].as_str().unwrap();
    // It stays while nobody takes it, and over a restart.
    assert_eq!(moneta.run(&["alerts", "resend", id]).code, 1);
    server.stop();
    let server = moneta.serve();
    assert_eq!(of_rule(&open()), 1);
    assert_eq!(moneta.json(&["alerts", "resend", "--channel", "another"]).as_array().map(Vec::len), Some(0));
    receiver.accepts.store(true, Ordering::SeqCst);
    assert_eq!(moneta.json(&["alerts", "resend", id])[0]["delivered"], true);
    assert_eq!((of_rule(&open()), receiver.taken.lock().unwrap().contains(&id.to_owned())), (0, true));
    let audited = moneta.json(&["query", "MonetaAudit | where Action == 'alert.resend' | project Details"]);
    assert!(audited.as_array().unwrap().iter().any(|row| row.to_string().contains(id)), "{audited}");
    server.stop();
}
