//! Receivers that are programs of their own: a mail server, Alertmanager, a syslog daemon, and what they need.

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

/// What rsyslog writes of each message: its parts as it understands them.
const SYSLOG_TEMPLATE: &str = r#"
template(name="parts" type="list" option.jsonf="on") {
  property(outname="facility" name="syslogfacility" format="jsonf")
  property(outname="severity" name="syslogseverity" format="jsonf")
  property(outname="time" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="application" name="app-name" format="jsonf")
  property(outname="kind" name="msgid" format="jsonf")
  property(outname="text" name="msg" format="jsonf")
}
"#;

/// A syslog daemon that takes messages over TLS, by its GnuTLS driver.
pub struct Rsyslog {
    pub port: u16,
    file: PathBuf,
    _process: Process,
}

impl Rsyslog {
    pub async fn start(dir: &Path, certificate: &Certificate) -> Option<Self> {
        let (port, file, pid) = (dir.join("port"), dir.join("messages"), dir.join("pid"));
        let Certificate { certificate, key } = certificate;
        let (certificate, key) = (certificate.display(), key.display());
        let settings = format!(
            "global(workDirectory=\"{}\" defaultNetstreamDriver=\"gtls\" defaultNetstreamDriverCAFile=\"{certificate}\"\n\
             defaultNetstreamDriverCertFile=\"{certificate}\" defaultNetstreamDriverKeyFile=\"{key}\")\n\
             module(load=\"imtcp\" streamDriver.name=\"gtls\" streamDriver.mode=\"1\" streamDriver.authMode=\"anon\")\n\
             input(type=\"imtcp\" address=\"127.0.0.1\" port=\"0\" listenPortFileName=\"{}\")\n\
             {SYSLOG_TEMPLATE}\naction(type=\"omfile\" file=\"{}\" template=\"parts\")\n",
            dir.display(),
            port.display(),
            file.display(),
        );
        let config = dir.join("rsyslog.conf");
        std::fs::write(&config, settings).unwrap();
        if !has_gnutls_driver() {
            missing("rsyslog with its GnuTLS driver (rsyslog-gnutls) is not installed");
            return None;
        }
        let mut command = Command::new("rsyslogd");
        let process =
            Process::start(command.arg("-n").arg("-f").arg(&config).arg("-i").arg(&pid).stderr(Stdio::null()));
        let read = || std::fs::read_to_string(&port).ok()?.trim().parse().ok();
        let port = wait_for("rsyslog listens", read).await;
        Some(Self { port, file, _process: process })
    }

    /// The messages it took, once there are so many.
    pub async fn taken(&self, count: usize) -> Vec<serde_json::Value> {
        wait_for("messages are taken", || {
            let text = std::fs::read_to_string(&self.file).ok()?;
            let lines: Vec<_> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            (lines.len() >= count).then_some(lines)
        })
        .await
    }
}

/// Whether the daemon is here, and its driver, which is a package of its own.
fn has_gnutls_driver() -> bool {
    let is_here = Command::new("rsyslogd").arg("-v").output().is_ok_and(|run| run.status.success());
    let mut libraries = std::fs::read_dir("/usr/lib").into_iter().flatten().filter_map(Result::ok);
    is_here && libraries.any(|library| library.path().join("rsyslog/lmnsd_gtls.so").exists())
}

async fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < WAIT_MAX, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
