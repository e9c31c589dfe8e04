//! Correlations in a server that is killed while their events arrive: every alert once, none lost.
//!
//! Each group of events meets three correlations, over one table, over two, and one that only the watermark decides, and
//! its events come in rounds between which the server dies. Their times are so far back that the watermark passes them
//! some rounds later: what waits for it must survive the kills too. A round that was not acknowledged is sent again under its key. `MONETA_CORRELATION_KILLS` sets the
//! number of kills (20 when it is not set).

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Moneta, Server, number, wait_until};

/// Events that make the correlation over one table hold.
const NEEDED: usize = 5;
/// Groups that begin in each round.
const GROUPS_PER_ROUND: usize = 3;
/// Rounds between two kills.
const ROUNDS_PER_KILL: usize = 4;

const RULES: &str = "title: Probe
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9b001
name: probe
status: test
level: low
logsource: { product: linux, service: auth }
detection:
  keywords: [ 'probe of' ]
  condition: keywords
---
title: Breach
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9b002
name: breach
status: test
level: low
logsource: { product: windows, service: security }
detection:
  id: { EventID: 4624 }
  condition: id
---
title: Many probes
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9b003
status: test
level: high
correlation:
  type: event_count
  rules: [ probe ]
  group-by: [ Computer ]
  timespan: 1d
  condition: { gte: 5 }
---
title: Probe and breach
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9b004
status: test
level: high
correlation:
  type: temporal
  rules: [ probe, breach ]
  group-by: [ Computer ]
  timespan: 1d
---
title: Sum of probes
id: 0c6a8c6e-6a0f-4c39-9a2b-7a0cf3f9b005
status: test
level: high
correlation:
  type: value_sum
  rules: [ probe ]
  group-by: [ Computer ]
  timespan: 1d
  condition: { field: ProcessID, gte: 5 }
";

/// Seconds that a group's first event lies back when the group begins; the watermark follows the arrival by 300.
const LIES_BACK: i64 = 296;

/// When the groups of each round began, in seconds since 1970. All events of a group lie within ten seconds that begin
/// at a multiple of ten, so in one day: a correlation raises one alert a day.
struct Groups {
    begun: Vec<i64>,
}

impl Groups {
    /// Begins the groups of a round, unless they were begun before.
    fn begin(&mut self, at: usize) {
        if self.begun.len() <= at {
            let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
            self.begun.push((i64::try_from(now.as_secs()).unwrap() - LIES_BACK) / 10 * 10);
        }
    }

    /// The time of an event of the groups of a round.
    fn time(&self, begun: usize, second: i64) -> String {
        moneta_base::Timestamp::from_seconds(self.begun[begun] + second).to_string()
    }
}

/// The events of a round: the next one of every group that is under way, and of those that end the breach too.
fn round(groups: &Groups, at: usize) -> [(&'static str, Vec<Value>); 2] {
    let of_age = |age: usize| {
        let begun = at.checked_sub(age);
        begun.into_iter().flat_map(|begun| (0..GROUPS_PER_ROUND).map(move |n| (begun, format!("host-{begun}-{n}"))))
    };
    let mut probes = Vec::new();
    for (age, second) in (0..NEEDED).zip(0..) {
        let probe = |(begun, host): (usize, String)| {
            json!({
                "TimeGenerated": groups.time(begun, second), "Computer": host, "Facility": "auth",
                "ProcessName": "sshd", "ProcessID": 1, "SyslogMessage": format!("probe of {age}"),
            })
        };
        probes.extend(of_age(age).map(probe));
    }
    let breach = |(begun, host): (usize, String)| json!({ "TimeGenerated": groups.time(begun, 5), "Computer": host, "EventID": 4624, "Channel": "Security" });
    [("Syslog", probes), ("SecurityEvent", of_age(2).map(breach).collect())]
}

/// Sends a round until it is acknowledged; starts the server again when it is gone.
async fn send(moneta: &Moneta, server: &mut Option<Server>, groups: &mut Groups, at: usize) {
    groups.begin(at);
    for (table, events) in round(groups, at).into_iter().filter(|(_, events)| !events.is_empty()) {
        loop {
            if server.is_none() {
                *server = Some(moneta.serve());
            }
            let address = server.as_ref().unwrap().address();
            let credential = std::fs::read_to_string(moneta.data().join("cli.credential")).unwrap();
            let http = reqwest::Client::builder().no_proxy().build().unwrap();
            let request = http
                .post(format!("{address}/v1/ingest/{table}"))
                .bearer_auth(credential.trim())
                .header("idempotency-key", format!("{table}-{at}"))
                .timeout(Duration::from_secs(30))
                .json(&events);
            match request.send().await {
                Ok(answer) if answer.status().is_success() => break,
                Ok(answer) => panic!("{}: {}", answer.status(), answer.text().await.unwrap()),
                // The kill hit; the same events are sent again.
                Err(_) => drop(server.take()),
            }
        }
    }
}

/// How often each group raised each correlation.
fn alerts(moneta: &Moneta) -> BTreeMap<(String, String), usize> {
    let query = "SecurityAlert | where RuleId matches regex 'b00[345]$' \
                 | summarize n = count() by RuleId, Host = tostring(MatchedFields.Computer)";
    let rows = moneta.ok(&["query", query, "--format", "ndjson", "--all-rows"]);
    let row = |line: &str| {
        let row: Value = serde_json::from_str(line).unwrap();
        let text = |column: &str| row[column].as_str().unwrap().to_owned();
        ((text("RuleId"), text("Host")), usize::try_from(row["n"].as_u64().unwrap()).unwrap())
    };
    rows.lines().map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitor_2_kills_during_correlation_lose_and_double_nothing() {
    let kills = number("MONETA_CORRELATION_KILLS", 20);
    let moneta = Moneta::new();
    let mut server = Some(moneta.serve());
    moneta.ok(&["rules", "add", &moneta.file("rules.yml", RULES)]);
    let rounds = kills * ROUNDS_PER_KILL + NEEDED;
    // Where in a round, and in the writing of its alerts, the kill falls is left to a walk over the milliseconds; some
    // lives are long enough for a snapshot of the state.
    let (mut pause, mut groups) = (0, Groups { begun: Vec::new() });
    for at in 0..rounds {
        send(&moneta, &mut server, &mut groups, at).await;
        if at % ROUNDS_PER_KILL == 0 && at / ROUNDS_PER_KILL < kills {
            pause = (pause + 37) % 251;
            let life = if at % (ROUNDS_PER_KILL * 5) == 0 { 2_500 } else { 0 };
            tokio::time::sleep(Duration::from_millis(life + pause)).await;
            server.take().unwrap().kill();
        }
    }
    let complete = (rounds - NEEDED + 1) * GROUPS_PER_ROUND;
    let begun_breaches = (rounds - 2) * GROUPS_PER_ROUND;
    let expected = 2 * complete + begun_breaches;
    if server.is_none() {
        server = Some(moneta.serve());
    }
    // The audit of each look moves the watermark on, over the last groups at the end.
    wait_until("alerts", || alerts(&moneta).len() >= expected).await;
    let raised = alerts(&moneta);
    let doubled: Vec<_> = raised.iter().filter(|(_, count)| **count > 1).collect();
    println!("{kills} kills, {expected} alerts expected, {} raised, {} doubled", raised.len(), doubled.len());
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(raised.len(), expected);
    server.unwrap().stop();
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}
