//! Witnesses as processes of their own: a quorum is reached, shown, stored and proved, and a log that was put back to
//! an earlier day is an alert.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use moneta_merkle::{Quorum, WitnessKey};
use moneta_verify::{Options, proof, verify_store};
use serde_json::{Value, json};

use crate::support::{Moneta, wait_until};

/// A witness process with a directory of its own. Killed when dropped.
struct WitnessProcess {
    child: Child,
    url: String,
    key: String,
}

impl WitnessProcess {
    fn start(moneta: &Moneta, number: usize, listen: &str) -> Self {
        let vkey = moneta.data().join("keys/ledger.vkey");
        let dir = moneta.dir.join(&format!("witness-{number}"));
        let name = format!("witness.example/{number}");
        let mut command = moneta.command(&["--json", "witness", "--name", &name, "--listen", listen, "--log"]);
        command.arg(vkey).env("MONETA_DATA_DIR", dir);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let text = |member: &str| ready[member].as_str().unwrap().to_owned();
        Self { child, url: text("address"), key: text("key") }
    }
}

impl Drop for WitnessProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An installation whose configuration names witnesses.
fn configure(moneta: &Moneta, witnesses: &[WitnessProcess]) -> String {
    let sections = witnesses
        .iter()
        .map(|witness| format!("[[ledger.witnesses]]\nurl = {}\nkey = {}\n", json!(witness.url), json!(witness.key)));
    moneta.file("moneta.toml", sections.collect::<String>())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_three_witnesses_cosign_and_a_log_put_back_to_yesterday_is_an_alert() {
    let mut moneta = Moneta::new();
    let lines = |from: usize| (from..from + 20).map(|n| format!("{{\"n\": {n}}}\n")).collect::<String>();
    moneta.ok(&["ingest", "--table", "steps_CL", &moneta.file("one.json", lines(0))]);
    // The third is never there.
    let mut witnesses: Vec<_> = (1..=3).map(|number| WitnessProcess::start(&moneta, number, "127.0.0.1:0")).collect();
    let config: &'static str = Box::leak(configure(&moneta, &witnesses).into_boxed_str());
    moneta.settings.push(("MONETA_CONFIG", config));
    let keys: Vec<_> = witnesses.iter().map(|witness| WitnessKey::parse(&witness.key).unwrap()).collect();
    drop(witnesses.pop());
    let two = Quorum::new(keys.clone(), 2).unwrap();

    let server = moneta.serve();
    let checkpoint = || moneta.json(&["status"])["checkpoint"].clone();
    wait_until("a quorum", || checkpoint()["cosigned_size"].as_u64().is_some()).await;
    let states = checkpoint()["witnesses"].clone();
    let state = |number: usize| states[number]["state"].as_str().unwrap().to_owned();
    assert_eq!([state(0), state(1), state(2)], ["cosigned", "cosigned", "away"], "{states}");
    let text = moneta.ok(&["prove", "steps_CL", "7"]);
    proof::check_record_proof(&text, &moneta.verifier_key()).unwrap();
    let cosigned_proof = proof::checkpoint_of(&text).unwrap();
    let verdict = proof::check_quorum(cosigned_proof.as_bytes(), &two).unwrap();
    assert!(verdict.contains("2 of 3 witnesses (witness.example/1, witness.example/2)"), "{verdict}");
    assert!(proof::check_quorum(cosigned_proof.as_bytes(), &Quorum::new(keys, 3).unwrap()).is_err());
    server.stop();

    let options = || Options { key: Some(moneta.verifier_key()), quorum: Some(two.clone()), moved: None };
    let report = verify_store(&moneta.data(), options()).unwrap();
    assert!(report.is_clean(), "{report:?}");
    let yesterday = moneta.dir.join("yesterday");
    copy(&moneta.data(), &yesterday);

    let server = moneta.serve();
    let before = checkpoint()["cosigned_size"].as_u64().unwrap();
    moneta.ok(&["ingest", "--table", "steps_CL", &moneta.file("two.json", lines(20))]);
    wait_until("the next quorum", || checkpoint()["cosigned_size"].as_u64().unwrap() > before).await;
    server.stop();
    std::fs::remove_dir_all(moneta.data()).unwrap();
    copy(&yesterday, &moneta.data());

    let server = moneta.serve();
    let alerts = "SecurityAlert | where AlertType in ('moneta/rolled-back', 'moneta/split-view') | count";
    wait_until("an alert", || moneta.count(alerts) > 0).await;
    server.stop();
}

#[test]
fn a_witness_refuses_the_directory_and_the_key_of_a_log() {
    let moneta = Moneta::new();
    moneta.ok(&["ingest", "--table", "steps_CL", &moneta.file("one.json", "{\"n\": 1}\n")]);
    let vkey = moneta.data().join("keys/ledger.vkey");
    let vkey = vkey.to_str().unwrap();
    let own = moneta.run(&["witness", "--name", "w", "--log", vkey]);
    assert!(own.code == 78 && own.stderr.contains("must not witness itself"), "{own:?}");
    let open = moneta.run(&["witness", "--name", "w", "--log", vkey, "--listen", "0.0.0.0:0"]);
    assert!(open.code == 2 && open.stderr.contains("--allow-plaintext"), "{open:?}");
    let elsewhere = moneta.dir.join("witness");
    let elsewhere = elsewhere.to_str().unwrap();
    let name = moneta.run(&["witness", "--data-dir", elsewhere, "--name", "two words", "--log", vkey]);
    assert!(name.code == 2 && name.stderr.contains("space"), "{name:?}");
    let key = moneta.run(&["witness", "--data-dir", elsewhere, "--name", "w", "--log", "nothing"]);
    assert!(key.code == 2 && key.stderr.contains("neither a verifier key nor a file"), "{key:?}");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).unwrap()),
        }
    }
}
