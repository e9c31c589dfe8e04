//! rsyslog and `logger` over TCP to a server that is killed again and again.
//!
//! TCP acknowledges bytes, not messages: what was under way when the server died may be lost, or come twice, and is
//! counted. What the server had on disk must stay. `MONETA_SYSLOG_MESSAGES` and `MONETA_SYSLOG_KILLS` set the size.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Moneta, number, wait_until};

/// How long nothing new must arrive before rsyslog counts as done.
const QUIET: Duration = Duration::from_secs(10);
/// How long messages are sent, and how often: kills fall into the stream.
const STREAM: Duration = Duration::from_secs(30);
const STEP: Duration = Duration::from_millis(100);

/// rsyslog with a socket of its own that forwards to the server and keeps what it cannot send.
struct Rsyslog {
    child: Child,
    socket: String,
}

impl Rsyslog {
    fn start(dir: &Path, port: u16) -> Self {
        let work = dir.join("rsyslog");
        std::fs::create_dir(&work).unwrap();
        let socket = work.join("log.sock").to_str().unwrap().to_owned();
        let config = format!(
            "global(workDirectory=\"{work}\")\n\
             main_queue(queue.type=\"LinkedList\" queue.size=\"200000\")\n\
             module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{socket}\" RateLimit.Interval=\"0\")\n\
             action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" \
             queue.type=\"LinkedList\" queue.size=\"200000\" action.resumeRetryCount=\"-1\" action.resumeInterval=\"1\")\n",
            work = work.display(),
        );
        let config_file = work.join("rsyslog.conf");
        std::fs::write(&config_file, config).unwrap();
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(&config_file).arg("-i").arg(work.join("pid"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, socket }
    }
}

/// Sends numbered messages by `logger`, in a steady stream that lasts [`STREAM`].
async fn stream(socket: String, messages: usize) {
    let steps = usize::try_from(STREAM.as_millis() / STEP.as_millis()).unwrap();
    let portion = messages.div_ceil(steps);
    let mut ticks = tokio::time::interval(STEP);
    for first in (0..messages).step_by(portion) {
        ticks.tick().await;
        let socket = socket.clone();
        tokio::task::spawn_blocking(move || log(&socket, first..messages.min(first + portion))).await.unwrap();
    }
}

fn log(socket: &str, numbers: std::ops::Range<usize>) {
    let mut command = Command::new("logger");
    command.args(["--socket", socket, "--tag", "killtest"]);
    let mut logger = command.stdin(Stdio::piped()).spawn().unwrap();
    let lines: String = numbers.map(|number| format!("message {number:06}\n")).collect();
    logger.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(logger.wait().unwrap().success());
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_on_disk_survive_kills() {
    if !["/usr/sbin/rsyslogd", "/usr/bin/rsyslogd"].iter().any(|path| Path::new(path).exists()) {
        println!("rsyslogd not installed, 1 case not run");
        assert!(std::env::var_os("CI").is_none(), "install rsyslog: scripts/install-debian.sh test");
        return;
    }
    let (messages, kills) = (number("MONETA_SYSLOG_MESSAGES", 10_000), number("MONETA_SYSLOG_KILLS", 10));
    let moneta = Moneta::new();
    let mut server = moneta.serve();
    let rsyslog = Rsyslog::start(moneta.dir.path(), moneta.syslog_port);
    wait_until("rsyslog's socket", || Path::new(&rsyslog.socket).exists()).await;
    let mut durable = BTreeSet::new();
    let mut slowest = Duration::ZERO;
    let stream = tokio::spawn(stream(rsyslog.socket.clone(), messages));
    for kill in 0..kills {
        let enough = (kill + 1) * messages / (kills + 2);
        wait_until("messages", || arrived(&moneta).len() >= enough).await;
        durable.extend(arrived(&moneta).into_keys());
        server.kill();
        server = moneta.serve();
        slowest = slowest.max(server.ready_in);
    }
    stream.await.unwrap();
    let stored = wait_for_quiet(&moneta, messages).await;
    let gone = durable.iter().filter(|message| !stored.contains_key(*message)).count();
    let doubled: usize = stored.values().map(|count| count - 1).sum();
    println!(
        "{messages} messages, {kills} kills: {} on disk before a kill, of which lost {gone}; lost in transit {}, doubled {doubled}, slowest start {slowest:?}",
        durable.len(),
        messages - stored.len(),
    );
    assert_eq!(gone, 0);
    assert!(slowest <= Duration::from_secs(10), "{slowest:?}");
    drop(rsyslog);
    server.stop();
    assert!(moneta.ok(&["verify"]).contains("everything fits"));
}

/// How often each message can be seen.
fn arrived(moneta: &Moneta) -> BTreeMap<String, usize> {
    let query = "Syslog | where ProcessName == 'killtest' | summarize n = count() by SyslogMessage";
    let rows = moneta.ok(&["query", query, "--format", "ndjson", "--all-rows"]);
    let row = |line: &str| {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        (row["SyslogMessage"].as_str().unwrap().trim().to_owned(), usize::try_from(row["n"].as_u64().unwrap()).unwrap())
    };
    rows.lines().map(row).collect()
}

/// Waits until all messages are there, or none have come for a while.
async fn wait_for_quiet(moneta: &Moneta, messages: usize) -> BTreeMap<String, usize> {
    let (mut last, mut since) = (arrived(moneta), Instant::now());
    while last.len() < messages && since.elapsed() < QUIET {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let now = arrived(moneta);
        if now.len() > last.len() {
            since = Instant::now();
        }
        last = now;
    }
    last
}
