//! `moneta doctor`: looks for what could keep Moneta from working here, each with what to do about it.
//!
//! Changes nothing but a file of its own in the data directory, which it removes; a running server audits what it asks.

mod certificates;
mod names;
mod server;

use std::fs::{self, File};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, UNIX_EPOCH};

use clap::Args;
use moneta_base::{Clock, Timestamp};
use moneta_host::SystemClock;
use moneta_server::Config;
use serde::Serialize;
use serde_json::Value;

use crate::arguments::Global;
use crate::commands::status::size_text;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::visible;
use crate::target::{find_server, load_config};

/// Free space under which Moneta may stop today, and under which it should be watched.
const DISK_FAIL_BYTES: u64 = 1 << 30;
const DISK_WARN_BYTES: u64 = 10 << 30;
/// Duration of an fsync above which acknowledgements become slow, and above which something is wrong.
const FSYNC_WARN: Duration = Duration::from_millis(20);
const FSYNC_FAIL: Duration = Duration::from_millis(500);
/// Writes timed; their median counts.
const FSYNC_TRIES: usize = 11;
/// Bytes of each: about one small group of events.
const FSYNC_BYTES: usize = 16 << 10;
/// Files that may be open at once, at least: segments of a wide query and connections of many senders.
const OPEN_FILES_MIN: u64 = 4_096;
/// Age of the newest checkpoint above which a running server is in trouble.
const CHECKPOINT_AGE_MAX: f64 = 900.0;
/// Age of the oldest block that is in no segment above which sealing is in trouble, in seconds; more where blocks are to
/// wait longer.
const JOURNAL_AGE_MAX: f64 = 900.0;
/// A machine whose clock is before this never had the right time: 2026-01-01.
const CLOCK_MIN_SECONDS: i64 = 1_767_225_600;
/// Files that time services keep while they are in step.
const TIME_SERVICE_FILES: [&str; 4] =
    ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid", "/run/openntpd.sock"];

/// Look for what could keep Moneta from working here.
#[derive(Debug, Args)]
pub struct Doctor {}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
struct Finding {
    verdict: Verdict,
    what: &'static str,
    found: String,
    /// What to do; empty when all is well.
    fix: String,
}

impl Finding {
    fn ok(what: &'static str, found: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what, found: found.into(), fix: String::new() }
    }

    fn warn(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, what, found: found.into(), fix: fix.into() }
    }

    fn fail(what: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, what, found: found.into(), fix: fix.into() }
    }
}

impl Doctor {
    /// Looks at everything; negative when something fails.
    ///
    /// # Errors
    /// When the configuration cannot be read, or the findings cannot be printed.
    pub async fn run(&self, global: &Global, console: &Console) -> Result<Exit, Failure> {
        let config = load_config(global)?;
        let server = find_server(global).await?;
        let status = match &server {
            Some(client) => Some(client.get("v1/status").await?),
            None => None,
        };
        let is_elsewhere = status.as_ref().is_some_and(|status| is_elsewhere(status, &global.data_dir));
        let mut findings = match is_elsewhere {
            true => vec![Finding::ok("this machine", "not looked at: the server has another data directory")],
            false => machine(&config, &global.data_dir, status.is_some()).await?,
        };
        match (&server, &status) {
            (Some(client), Some(status)) => {
                findings.extend(running(status, &config));
                findings.extend(server::findings(client, SystemClock::new().now()).await?);
            }
            _ => findings.push(last_shutdown(&global.data_dir)),
        }
        if !is_elsewhere {
            findings.extend(sources(&config));
        }
        print(&findings, console)?;
        Ok(Exit::negative_unless(findings.iter().all(|finding| finding.verdict != Verdict::Fail)))
    }
}

/// Whether a server works on another data directory than this one, as it does on another machine: then nothing here says
/// anything of it.
fn is_elsewhere(status: &Value, data: &Path) -> bool {
    let tenant = fs::read_to_string(data.join("tenant.id")).unwrap_or_default();
    status["tenant"].as_str() != Some(tenant.trim())
}

/// What the server needs of this machine.
async fn machine(config: &Config, data: &Path, is_running: bool) -> Result<Vec<Finding>, Failure> {
    let mut findings = directory(data);
    findings.extend([clock(data), time_service(), open_files()]);
    findings.extend(listeners(config, is_running));
    findings.extend(certificates::findings(config, data, SystemClock::new().now()));
    findings.extend(names::findings(config).await?);
    Ok(findings)
}

fn print(findings: &[Finding], console: &Console) -> io::Result<()> {
    if console.json {
        return console.value(&findings);
    }
    for finding in findings {
        let word = match finding.verdict {
            Verdict::Ok => "OK",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
        };
        console.line(&format!("{} {:<16} {}", console.verdict(word), finding.what, finding.found))?;
        if !finding.fix.is_empty() {
            console.line(&format!("     {:<16} fix: {}", "", finding.fix))?;
        }
    }
    Ok(())
}

/// Space, rights and speed of the data directory, or of the nearest directory that exists.
fn directory(data: &Path) -> Vec<Finding> {
    let existing = data.ancestors().find(|dir| dir.is_dir()).filter(|dir| !dir.as_os_str().is_empty());
    let existing = existing.unwrap_or(Path::new("."));
    let mut findings = vec![disk(existing)];
    match fsync_time(existing) {
        Ok(time) => {
            findings.push(Finding::ok("data directory", format!("{} can be written", existing.display())));
            findings.push(fsync(time));
        }
        Err(error) => findings.push(Finding::fail(
            "data directory",
            format!("{} cannot be written: {error}", existing.display()),
            "give this user the directory, or name another with --data-dir",
        )),
    }
    findings
}

fn disk(dir: &Path) -> Finding {
    let space = match moneta_host::disk_free(dir) {
        Ok(space) => space,
        Err(error) => return Finding::warn("disk", error.to_string(), "check the mount"),
    };
    let found = format!("{} free of {}", size_text(space.available_bytes), size_text(space.total_bytes));
    let fix = "free space, shorten retention (`moneta retention set`), or move the data directory";
    match space.available_bytes {
        bytes if bytes < DISK_FAIL_BYTES => Finding::fail("disk", found, fix),
        bytes if bytes < DISK_WARN_BYTES => Finding::warn("disk", found, fix),
        _ => Finding::ok("disk", found),
    }
}

fn fsync(time: Duration) -> Finding {
    let found = format!("{:.1} ms (median of {FSYNC_TRIES})", time.as_secs_f64() * 1e3);
    let fix = "every acknowledgement waits for it: use a local SSD, not a network file system";
    match time {
        time if time > FSYNC_FAIL => Finding::fail("fsync", found, fix),
        time if time > FSYNC_WARN => Finding::warn("fsync", found, fix),
        _ => Finding::ok("fsync", found),
    }
}

fn fsync_time(dir: &Path) -> io::Result<Duration> {
    let path = dir.join(format!(".moneta-doctor-{}", std::process::id()));
    let mut times = Vec::new();
    let outcome = (|| {
        let mut file = File::create_new(&path)?;
        for _ in 0..FSYNC_TRIES {
            let started = Instant::now();
            file.write_all(&[0; FSYNC_BYTES])?;
            file.sync_data()?;
            times.push(started.elapsed());
        }
        Ok(())
    })();
    let removed = if path.exists() { fs::remove_file(&path) } else { Ok(()) };
    outcome.and(removed)?;
    times.sort();
    Ok(times[FSYNC_TRIES / 2])
}

/// The clock against what was written before: a time that went back breaks the order of records.
fn clock(data: &Path) -> Finding {
    let now = SystemClock::new().now();
    let fix = "set the clock and run a time service (chrony, systemd-timesyncd)";
    if now < Timestamp::from_seconds(CLOCK_MIN_SECONDS) {
        return Finding::fail("clock", "the clock stands years in the past", fix);
    }
    match newest_write(&data.join("journal")).map(|newest| newest.since(now)) {
        Some(ahead) if ahead > Duration::from_secs(1) => {
            Finding::fail("clock", format!("the journal was written {} s in the future", ahead.as_secs()), fix)
        }
        _ => Finding::ok("clock", "not before what was written"),
    }
}

fn time_service() -> Finding {
    match TIME_SERVICE_FILES.iter().find(|path| Path::new(path).exists()) {
        Some(path) => Finding::ok("time service", *path),
        None => Finding::warn(
            "time service",
            "none seen",
            "install chrony or enable systemd-timesyncd; in a container, the host's counts",
        ),
    }
}

fn newest_write(dir: &Path) -> Option<Timestamp> {
    let entries = fs::read_dir(dir).ok()?.flatten();
    let modified = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max()?;
    Some(Timestamp::default().saturating_add(modified.duration_since(UNIX_EPOCH).ok()?))
}

fn open_files() -> Finding {
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft: Option<u64> = line.and_then(|line| match line.split_whitespace().nth(3)? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    });
    match soft {
        None => Finding::warn("open files", "the limit cannot be read", "check `ulimit -n`"),
        Some(limit) if limit < OPEN_FILES_MIN => Finding::warn(
            "open files",
            format!("at most {limit}"),
            format!("`ulimit -n {OPEN_FILES_MIN}`, or LimitNOFILE= in the unit"),
        ),
        Some(limit) => Finding::ok("open files", format!("at most {limit}")),
    }
}

/// The ports the server needs: free, or held by the server itself.
fn listeners(config: &Config, is_running: bool) -> Vec<Finding> {
    let wanted = wanted(config).into_iter();
    wanted.map(|(what, address, is_tcp)| listener(what, address, is_tcp, is_running)).collect()
}

/// Every port of a configuration: its name, its address, whether it is of TCP.
fn wanted(config: &Config) -> Vec<(&'static str, SocketAddr, bool)> {
    let syslog = Some(&config.syslog).filter(|syslog| syslog.enabled);
    let all = [
        ("port http", Some(config.server.listen), true),
        ("port syslog tcp", syslog.map(|syslog| syslog.tcp_listen), true),
        ("port syslog udp", syslog.map(|syslog| syslog.udp_listen), false),
        ("port syslog tls", syslog.and_then(|syslog| syslog.tls_listen), true),
        ("port relp", syslog.and_then(|syslog| syslog.relp_listen), true),
        ("port gelf udp", config.gelf.udp_listen, false),
        ("port gelf tcp", config.gelf.tcp_listen, true),
        ("port fluent", config.fluent.listen, true),
        ("port wef", config.wef.listen, true),
        ("port journal", config.journal_upload.listen, true),
    ];
    all.into_iter().filter_map(|(what, address, is_tcp)| Some((what, address?, is_tcp))).collect()
}

fn listener(what: &'static str, address: SocketAddr, is_tcp: bool, is_running: bool) -> Finding {
    let bound = if is_tcp { TcpListener::bind(address).map(drop) } else { UdpSocket::bind(address).map(drop) };
    match bound {
        Ok(()) if is_running => Finding::warn(
            what,
            format!("{address}: the running server does not listen there"),
            "restart it with this configuration",
        ),
        Ok(()) => Finding::ok(what, format!("{address} is free")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && is_running => {
            Finding::ok(what, format!("{address} is in use"))
        }
        Err(error) => Finding::fail(
            what,
            format!("{address}: {error}"),
            "stop what uses it, or change the address in the configuration",
        ),
    }
}

/// Ages of the write path of a running server, and what it found damaged.
fn running(status: &Value, config: &Config) -> Vec<Finding> {
    let number = |value: &Value| value.as_f64().unwrap_or_default();
    let (journal, checkpoint) = (&status["journal"], &status["checkpoint"]);
    let age = number(&checkpoint["age_seconds"]);
    let found = format!("{} entries, {age:.0} s old", checkpoint["tree_size"]);
    let hot = number(&journal["oldest_age_seconds"]);
    let late = age > CHECKPOINT_AGE_MAX && hot > CHECKPOINT_AGE_MAX;
    let written = format!("oldest unsealed block {hot:.0} s, last fsync {:.1} ms", number(&journal["last_fsync_ms"]));
    #[expect(clippy::cast_precision_loss, reason = "seconds")]
    let is_sealed = hot <= JOURNAL_AGE_MAX.max(3.0 * config.store.seal_age_seconds as f64);
    vec![
        if is_sealed {
            Finding::ok("journal", written)
        } else {
            Finding::warn("journal", written, "look into the server's log: blocks do not become segments")
        },
        if late {
            Finding::fail("checkpoint", found, "look into the server's log: the ledger is not published")
        } else {
            Finding::ok("checkpoint", found)
        },
        stored_files(&status["scrubbing"]),
    ]
}

/// What reading stored files again has found.
fn stored_files(scrubbing: &Value) -> Finding {
    let findings: Vec<&str> =
        scrubbing["findings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    match findings.first() {
        _ if scrubbing.is_null() => Finding::ok("stored files", "not read again: store.scrub_bytes_per_second is 0"),
        None => Finding::ok("stored files", "none found missing or damaged"),
        Some(first) => Finding::fail(
            "stored files",
            format!("{} missing or damaged, such as {}", findings.len(), visible(first)),
            "`moneta verify` names them all; restore them from a backup",
        ),
    }
}

/// What the last run left behind.
fn last_shutdown(data: &Path) -> Finding {
    if !data.join("tenant.id").is_file() {
        return Finding::ok("last shutdown", "no data directory yet; the first start makes it");
    }
    if data.join(moneta_verify::inventory::FILE_NAME).is_file() {
        return Finding::ok("last shutdown", "clean");
    }
    let age = newest_write(&data.join("journal")).map(|at| SystemClock::new().now().since(at)).unwrap_or_default();
    Finding::warn(
        "last shutdown",
        format!("not clean; the journal was last written {} s ago", age.as_secs()),
        "start Moneta: it recovers what was acknowledged",
    )
}

/// What the embedded collector reads.
fn sources(config: &Config) -> Vec<Finding> {
    if !config.collect.enabled {
        return vec![Finding::ok("collector", "off")];
    }
    let mut findings = Vec::new();
    let has_journal = Path::new("/run/log/journal").is_dir() || Path::new("/var/log/journal").is_dir();
    findings.push(match (find_program("journalctl"), has_journal) {
        (Some(path), true) => Finding::ok("systemd journal", path.display().to_string()),
        (None, true) => {
            Finding::warn("systemd journal", "there is a journal, but no journalctl", "install systemd's tools")
        }
        (_, false) => Finding::ok("systemd journal", "none here; files are read"),
    });
    let has_files = ["/var/log/syslog", "/var/log/messages"].iter().any(|path| File::open(path).is_ok());
    let has_rsyslog = ["rsyslogd", "syslog-ng"].iter().any(|name| find_program(name).is_some());
    findings.push(match (has_files, has_rsyslog, has_journal) {
        (true, ..) => Finding::ok("syslog files", "readable"),
        (false, _, true) => Finding::ok("syslog files", "none readable; the journal has their content"),
        (false, true, false) => Finding::warn("syslog files", "none readable", "add this user to the group adm"),
        (false, false, false) => Finding::warn(
            "syslog files",
            "no journal and no syslog daemon",
            "install rsyslog, or send logs to the syslog port",
        ),
    });
    findings
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

#[cfg(test)]
mod tests {
    use moneta_testkit::TestDir;

    use super::*;

    #[test]
    fn a_directory_is_measured_and_left_as_it_was() {
        let dir = TestDir::new();
        let findings = directory(&dir.join("data"));
        assert!(findings.iter().any(|finding| finding.what == "fsync"), "{findings:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_taken_port_fails_unless_the_server_has_it() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert_eq!(listener("x", address, true, false).verdict, Verdict::Fail);
        assert_eq!(listener("x", address, true, true).verdict, Verdict::Ok);
        drop(taken);
        assert_eq!(listener("x", address, true, false).verdict, Verdict::Ok);
    }

    #[test]
    fn everything_that_is_not_well_has_a_fix() {
        let status = serde_json::json!({ "journal": { "oldest_age_seconds": 5_000 },
            "checkpoint": { "age_seconds": 5_000 }, "scrubbing": { "findings": ["a: gone", "b: gone"] } });
        let running = running(&status, &Config::default());
        let verdicts: Vec<_> = running.iter().map(|finding| (finding.what, finding.verdict)).collect();
        assert_eq!(
            verdicts,
            [("journal", Verdict::Warn), ("checkpoint", Verdict::Fail), ("stored files", Verdict::Fail)]
        );
        for finding in running.into_iter().chain([disk(Path::new("/none")), time_service()]) {
            assert_eq!(finding.fix.is_empty(), finding.verdict == Verdict::Ok, "{finding:?}");
        }
        let whole = serde_json::json!({ "scrubbing": { "findings": [] } });
        assert!(super::running(&whole, &Config::default()).iter().all(|finding| finding.verdict == Verdict::Ok));
    }

    #[test]
    fn every_listener_of_the_configuration_is_looked_at() {
        let mut config = Config::default();
        let names = |config: &Config| wanted(config).into_iter().map(|(what, ..)| what).collect::<Vec<_>>();
        assert_eq!(names(&config), ["port http", "port syslog tcp", "port syslog udp"]);
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        (config.syslog.tls_listen, config.syslog.relp_listen) = (Some(address), Some(address));
        (config.gelf.udp_listen, config.gelf.tcp_listen) = (Some(address), Some(address));
        (config.fluent.listen, config.wef.listen, config.journal_upload.listen) =
            (Some(address), Some(address), Some(address));
        assert_eq!(names(&config).len(), 10);
        config.syslog.enabled = false;
        assert_eq!(names(&config).len(), 6);
    }

    #[test]
    fn a_server_of_another_directory_says_nothing_of_this_machine() {
        let dir = TestDir::new();
        let status = serde_json::json!({ "tenant": "t" });
        assert!(is_elsewhere(&status, dir.path()));
        fs::write(dir.join("tenant.id"), "t\n").unwrap();
        assert!(!is_elsewhere(&status, dir.path()));
    }
}
