//! Runs the binary: single commands, and servers that can be killed.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use moneta_testkit::TestDir;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long a server may take to come up before a test gives up on it.
const START_MAX: Duration = Duration::from_secs(300);
/// How long a condition may take to come true.
const WAIT_MAX: Duration = Duration::from_secs(600);
/// Time between two looks at it.
const POLL: Duration = Duration::from_millis(50);

/// An installation in a directory of its own.
pub struct Moneta {
    pub dir: TestDir,
    /// Settings beside those that keep it apart from the machine.
    pub settings: Vec<(&'static str, &'static str)>,
    pub http_port: u16,
    pub syslog_port: u16,
}

/// What a command said.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Moneta {
    pub fn new() -> Self {
        Self { dir: TestDir::new(), settings: Vec::new(), http_port: free_port(), syslog_port: free_port() }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Writes a file beside the data directory.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// A command on the data directory, untouched by the environment of whoever runs the tests.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_moneta"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MONETA_")) {
            command.env_remove(name);
        }
        let address = |port: u16| format!("127.0.0.1:{port}");
        command
            .args(arguments)
            .env("MONETA_DATA_DIR", self.data())
            .env("MONETA_SERVER__LISTEN", address(self.http_port))
            .env("MONETA_SYSLOG__TCP_LISTEN", address(self.syslog_port))
            .env("MONETA_SYSLOG__UDP_LISTEN", address(self.syslog_port))
            .env("MONETA_COLLECT__ENABLED", "false")
            // Tests say which rules there are.
            .env("MONETA_RULES__STARTER", "false")
            // Many servers on one disk, each with a gigabyte set aside, would fill it.
            .env("MONETA_STORE__RESERVE_BYTES", "0")
            .envs(self.settings.iter().copied())
            .current_dir(self.dir.path());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
        self.run_with_input(arguments, "")
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &str) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs a command that must succeed; returns its results.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, 0, "{arguments:?}: {run:?}");
        run.stdout
    }

    /// Runs a command that must succeed; returns its result as JSON.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = ["--json"].iter().chain(arguments).copied().collect();
        serde_json::from_str(&self.ok(&arguments)).unwrap()
    }

    /// The single number that a query answers with.
    #[track_caller]
    pub fn count(&self, query: &str) -> u64 {
        let rows = self.json(&["query", query]);
        let row = rows[0].as_object().unwrap_or_else(|| panic!("no row: {rows}"));
        row.values().next().and_then(Value::as_u64).unwrap_or_else(|| panic!("no number: {rows}"))
    }

    /// Starts the server and waits until it is ready.
    pub fn serve(&self) -> Server {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("server.log")).unwrap();
        let started = Instant::now();
        let mut child = self.command(&["serve", "--json"]).stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let (sender, line) = mpsc::channel();
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = out.read_line(&mut text);
            let _ = sender.send((text, out));
        });
        let Ok((text, out)) = line.recv_timeout(START_MAX) else {
            let _ = child.kill();
            panic!("not ready within {START_MAX:?}: {}", self.log());
        };
        let ready = serde_json::from_str(&text).unwrap_or_else(|_| panic!("not ready: {text}\n{}", self.log()));
        Server { child, ready, ready_in: started.elapsed(), _out: out }
    }

    /// What servers logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("server.log")).unwrap_or_default()
    }

    /// The verifier key of the log.
    pub fn verifier_key(&self) -> moneta_merkle::VerifierKey {
        let text = std::fs::read_to_string(self.data().join("keys/ledger.vkey")).unwrap();
        moneta_merkle::VerifierKey::parse(text.trim_end()).unwrap()
    }
}

/// A server process. Killed when dropped.
pub struct Server {
    child: Child,
    /// What it said when it was ready.
    pub ready: Value,
    /// How long that took.
    pub ready_in: Duration,
    _out: BufReader<std::process::ChildStdout>,
}

impl Server {
    pub fn address(&self) -> String {
        self.ready["address"].as_str().unwrap().to_owned()
    }

    /// The most memory the process has held, in bytes.
    pub fn peak_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Ends it as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Ends it in order.
    #[track_caller]
    pub fn stop(mut self) {
        kill(Pid::from_raw(i32::try_from(self.child.id()).unwrap()), Signal::SIGTERM).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a condition holds.
pub async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + WAIT_MAX;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}: not within {WAIT_MAX:?}");
        tokio::time::sleep(POLL).await;
    }
}

/// A number that the environment may raise: tests are short by default and long where there is time.
pub fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Every file below a directory.
pub fn files_below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files_below(&entry.path()));
        } else {
            found.push(entry.path());
        }
    }
    found.sort();
    found
}

/// Copies a directory.
pub fn copy_dir(from: &Path, to: &Path) {
    for file in files_below(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&file, target).unwrap();
    }
}

/// Lines of a syslog file as Debian writes them.
pub fn syslog_lines(count: usize) -> String {
    let line = |n: usize| {
        format!(
            "2026-01-02T03:{:02}:{:02}.000000+00:00 web01 sshd[{}]: session {n} opened\n",
            n / 60 % 60,
            n % 60,
            1_000 + n
        )
    };
    (0..count).map(line).collect()
}

/// Objects, one a line.
pub fn json_lines(count: usize) -> String {
    (0..count)
        .map(|n| format!("{{\"TimeGenerated\":\"2026-01-02T03:04:05Z\",\"Step\":{n},\"Text\":\"step {n}\"}}\n"))
        .collect()
}

/// `tools/verify_export.py`.
pub struct ExportChecker(PathBuf);

impl ExportChecker {
    /// `None` without a Python environment, which a build server must have.
    pub fn find() -> Option<Self> {
        moneta_testkit::python_or_skip(1, "tools/requirements.txt").map(Self)
    }

    /// Its exit code on an export and what it says.
    pub fn says(&self, dir: &Path, key: &Path) -> (i32, String) {
        let script = moneta_testkit::corpus::workspace_root().join("tools/verify_export.py");
        let checked = Command::new(&self.0).args([&script, dir, Path::new("--key"), key]).output().unwrap();
        assert!(checked.stderr.is_empty(), "{}", String::from_utf8_lossy(&checked.stderr));
        (checked.status.code().unwrap(), String::from_utf8_lossy(&checked.stdout).into_owned())
    }
}
