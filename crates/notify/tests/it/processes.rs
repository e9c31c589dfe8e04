//! Receivers that are programs of their own: a mail server, Alertmanager, and what they need.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use moneta_testkit::TestDir;
use moneta_testkit::corpus::workspace_root;

/// How long a process may take to come up, and a message to come.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A process that is ended with its owner.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || out.lines().map_while(Result::ok).all(|line| sender.send(line).is_ok()));
        Self { child, lines }
    }

    /// The next line it prints.
    pub fn line(&self) -> String {
        self.lines.recv_timeout(WAIT_MAX).expect("the process prints a line")
    }

    /// Gives it a line and returns the one it answers.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.child.stdin.as_mut().expect("its input is a pipe"), "{line}").unwrap();
        self.line()
    }

    /// Gives a broker a command, which must succeed.
    pub fn tell(&mut self, command: &str) {
        assert_eq!(self.ask(command), "0", "{command}");
    }

    /// All records of a topic, as a consumer of others reads them.
    pub fn read(&mut self, topic: &str, partitions: u32) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.ask(&format!("read {topic} {partitions}"))).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that something is missing here; on a build server that is a failure.
#[allow(clippy::print_stderr, reason = "says what was not run")]
fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "{what}: scripts/install-debian.sh test");
    eprintln!("{what}, 1 case not run");
}

/// A Kafka broker, and the addresses of its two halves.
pub fn kafka_broker() -> Option<(Process, String)> {
    let root = workspace_root();
    let clients = root.join("tests/clients");
    let python = Command::new("sh")
        .arg(root.join("tests/interop/environment.sh"))
        .arg(clients.join("requirements.txt"))
        .output()
        .unwrap();
    if !python.status.success() {
        missing("the Python package confluent-kafka cannot be installed");
        return None;
    }
    let python = String::from_utf8(python.stdout).unwrap();
    let broker = Process::start(Command::new(python.trim()).arg(clients.join("kafka_broker.py")));
    let addresses = broker.line();
    Some((broker, addresses))
}

/// A mail server and its port.
pub fn mail_server(mode: &str, certificate: Option<&Certificate>) -> Option<(Process, u16)> {
    let root = workspace_root();
    let interop = root.join("tests/interop");
    let python = Command::new("sh")
        .arg(interop.join("environment.sh"))
        .arg(interop.join("mail/requirements.txt"))
        .output()
        .unwrap();
    if !python.status.success() {
        missing("no Python environment for the mail server");
        return None;
    }
    let mut command = Command::new(String::from_utf8(python.stdout).unwrap().trim());
    command.arg(interop.join("mail/server.py")).arg(mode);
    if let Some(certificate) = certificate {
        command.arg(&certificate.certificate).arg(&certificate.key);
    }
    let process = Process::start(&mut command);
    let port = process.line().parse().unwrap();
    Some((process, port))
}

/// A certificate that signs itself.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    /// One for `localhost`.
    pub fn make(dir: &Path) -> Option<Self> {
        Self::make_for(dir, "DNS:localhost")
    }

    /// One for a name, `DNS:host`, or an address, `IP:address`.
    pub fn make_for(dir: &Path, name: &str) -> Option<Self> {
        let (certificate, key) = (dir.join("certificate.pem"), dir.join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName={name}")])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&certificate)
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            missing("openssl is not installed");
            return None;
        }
        Some(Self { certificate, key })
    }
}

/// Alertmanager and its address.
pub async fn alertmanager(dir: &TestDir) -> Option<(Process, String)> {
    let config = dir.join("alertmanager.yml");
    std::fs::write(&config, "route: { receiver: nobody }\nreceivers: [ { name: nobody } ]\n").unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", dir.join("alertmanager").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--cluster.listen-address=")
        .stderr(Stdio::null());
    if !Command::new("prometheus-alertmanager").arg("--version").output().is_ok_and(|run| run.status.success()) {
        missing("prometheus-alertmanager is not installed");
        return None;
    }
    let process = Process::start(&mut command);
    let begun = Instant::now();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    while !http.get(format!("http://{address}/-/ready")).send().await.is_ok_and(|answer| answer.status().is_success()) {
        assert!(begun.elapsed() < WAIT_MAX, "Alertmanager does not come up");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Some((process, format!("http://{address}")))
}
