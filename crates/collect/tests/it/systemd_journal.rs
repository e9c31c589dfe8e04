//! The journal, through a program that prints what `journalctl` would.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use moneta_collect::{Collector, Intake, JournalOptions, start_systemd_journal};
use moneta_testkit::TestDir;

use crate::sink::{RecordingSink, intake};

/// A program that writes down its arguments, prints the lines and stays.
fn program(dir: &TestDir, lines: &[String]) -> String {
    let (script, output) = (dir.path().join("journalctl"), dir.path().join("lines"));
    std::fs::write(&output, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    let arguments = arguments(dir);
    let text = format!("#!/bin/sh\necho \"$@\" >> {}\ncat {}\nexec sleep 600\n", arguments.display(), output.display());
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script.display().to_string()
}

fn arguments(dir: &TestDir) -> PathBuf {
    dir.path().join("arguments")
}

fn entry(number: u32) -> String {
    serde_json::json!({
        "__CURSOR": format!("s=000000000000000000000000000000aa;i={number:x};b=bb;m=1;t=2;x=3"),
        "__REALTIME_TIMESTAMP": "1781524740123456",
        "_HOSTNAME": "host1",
        "PRIORITY": "3",
        "SYSLOG_FACILITY": "10",
        "SYSLOG_IDENTIFIER": "sshd",
        "_PID": "4711",
        "_SYSTEMD_UNIT": "ssh.service",
        "MESSAGE": format!("message {number}"),
    })
    .to_string()
}

async fn start(sink: &Arc<RecordingSink>, intake: &Intake, program: String) -> Collector {
    start_systemd_journal(intake.clone(), sink.clone(), JournalOptions { program }).await.unwrap()
}

#[tokio::test]
async fn entries_become_rows_and_a_restart_continues_after_the_last() {
    let (dir, sink) = (TestDir::new(), RecordingSink::new());
    let intake = intake(&sink);
    let program = program(&dir, &[entry(1), "damaged".to_owned(), entry(2)]);
    let collector = start(&sink, &intake, program.clone()).await;
    sink.until_records(3).await;
    collector.stop().await;
    let first = |column: &str| sink.column("Syslog", column)[0].clone();
    assert_eq!(first("SyslogMessage"), "message 1");
    assert_eq!((first("Facility"), first("SeverityLevel")), ("authpriv".to_owned(), "err".to_owned()));
    assert_eq!((first("ProcessName"), first("ProcessID")), ("sshd".to_owned(), "4711".to_owned()));
    assert_eq!(first("_Class"), "control");
    assert!(first("_Extra").contains("ssh.service") && !first("_Extra").contains("__CURSOR"));
    assert_eq!(sink.quarantined()[0].reason_code, "invalid_json");
    assert_eq!(sink.mark("collect/systemd-journal"), Some((0xaa, 2)));

    let before = sink.submissions();
    let collector = start(&sink, &intake, program).await;
    sink.until("the second run", |sink| sink.submissions() > before).await;
    collector.stop().await;
    let calls = std::fs::read_to_string(arguments(&dir)).unwrap();
    assert!(!calls.lines().next().unwrap().contains("--after-cursor"), "{calls}");
    let last = calls.lines().last().unwrap();
    assert!(last.ends_with("--after-cursor=s=000000000000000000000000000000aa;i=2"), "{calls}");
}

#[tokio::test]
async fn a_machine_without_a_journal_is_told_so() {
    let sink = RecordingSink::new();
    let options = JournalOptions { program: "/nonexistent/journalctl".to_owned() };
    let error = start_systemd_journal(intake(&sink), sink.clone(), options).await.unwrap_err();
    assert!(error.to_string().contains("journalctl"));
}
