//! TLS on the one port: a private authority that is made once, and certificates that clients can check by it.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::Moneta;

/// curl's exit code for a certificate that it cannot check.
const CANNOT_CHECK: i32 = 60;

/// The exit code of curl, and what it got.
fn curl(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new("curl");
    command.args(["--silent", "--noproxy", "*", "--max-time", "20"]).args(arguments).env_remove("SSL_CERT_FILE");
    let output = command.output().expect("curl is installed: scripts/install-debian.sh test");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn the_port_takes_tls_under_an_authority_that_stays() {
    let moneta = Moneta::new();
    let mut before = None;
    for _ in 0..2 {
        let server = moneta.serve();
        let authority = server.ready["tls_authority"].as_str().unwrap().to_owned();
        let certificate = std::fs::read(&authority).unwrap();
        assert_eq!(*before.get_or_insert(certificate.clone()), certificate, "made once");
        for host in ["localhost", "127.0.0.1"] {
            let url = format!("https://{host}:{}/health/livez", moneta.http_port);
            let (code, text) = curl(&["--cacert", &authority, &url]);
            assert!(code == 0 && text.contains("alive"), "{url}: {code} {text}");
            assert_eq!(curl(&[&url]).0, CANNOT_CHECK, "{url} without the authority");
        }
        let plain = format!("http://127.0.0.1:{}/health/livez", moneta.http_port);
        assert!(curl(&[&plain]).1.contains("alive"), "this machine needs no TLS");
        server.stop();
    }
    let key = std::fs::metadata(moneta.data().join("tls/ca.key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
    assert_eq!(moneta.run(&["verify"]).code, 0, "{}", moneta.log());
}

#[test]
fn a_certificate_of_the_operators_own_is_shown() {
    let first = Moneta::new();
    let server = first.serve();
    let made = first.data().join("tls");
    server.stop();
    // The files of an authority serve as anybody's: its own certificate, shown by another installation.
    let (certificate, key) = (made.join("ca.pem"), made.join("ca.key"));
    let (certificate, key) = (certificate.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned());
    let mut moneta = Moneta::new();
    moneta.settings =
        vec![("MONETA_SERVER__TLS_CERTIFICATE", certificate.leak()), ("MONETA_SERVER__TLS_KEY", key.leak())];
    let server = moneta.serve();
    assert!(server.ready["tls_authority"].is_null());
    let url = format!("https://127.0.0.1:{}/health/livez", moneta.http_port);
    assert!(curl(&["--insecure", &url]).1.contains("alive"));
    server.stop();
    moneta.settings = vec![("MONETA_SERVER__TLS_KEY", "/nowhere")];
    let run = moneta.run(&["serve"]);
    assert!(run.code != 0 && run.stderr.contains("tls_certificate"), "{run:?}");
}
