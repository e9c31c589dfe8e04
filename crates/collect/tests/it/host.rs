//! This machine as it sees itself.

use std::time::Duration;

use moneta_collect::{HostOptions, start_host};

use crate::sink::{RecordingSink, intake};

#[tokio::test]
async fn counters_processes_and_a_heartbeat_come_in_azures_names() {
    let sink = RecordingSink::new();
    let options = HostOptions {
        performance_every: Some(Duration::from_millis(200)),
        processes_every: Some(Duration::from_millis(100)),
        heartbeat: true,
    };
    let collector = start_host(intake(&sink), options);
    sink.until("counters and a heartbeat", |sink| {
        sink.tables().contains(&"Perf".to_owned()) && sink.tables().contains(&"Heartbeat".to_owned())
    })
    .await;
    let counters = sink.column("Perf", "CounterName");
    assert!(
        counters.contains(&"% Processor Time".to_owned()) && counters.contains(&"Available MBytes Memory".to_owned())
    );
    let mut child = tokio::process::Command::new("sleep").arg("77.5").kill_on_drop(true).spawn().unwrap();
    sink.until("the new process", |sink| {
        sink.column("DeviceProcessEvents", "ProcessCommandLine").contains(&"sleep 77.5".to_owned())
    })
    .await;
    child.kill().await.unwrap();
    let commands = sink.column("DeviceProcessEvents", "ProcessCommandLine");
    let row = commands.iter().position(|command| command == "sleep 77.5").unwrap();
    assert_eq!(sink.column("DeviceProcessEvents", "ActionType")[row], "ProcessCreated");
    assert_eq!(sink.column("DeviceProcessEvents", "FileName")[row], "sleep");
    assert!(!sink.column("DeviceProcessEvents", "AccountName")[row].is_empty());
    assert!(!sink.column("DeviceProcessEvents", "InitiatingProcessFileName")[row].is_empty());
    collector.stop().await;
}
