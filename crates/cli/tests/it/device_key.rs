//! The log's key in a PKCS #11 device (SoftHSM, from Debian): it signs there, is never in a file, and stays the log's key.
//!
//! Needs `softhsm2-util` and its library; without them the test says so and, on a build server, fails.

use std::path::{Path, PathBuf};
use std::process::Command;

use moneta_verify::{Options, verify_store};

use crate::support::{Moneta, json_lines};

const PIN: &str = "4711";

/// The library of SoftHSM; `None` when it is not installed.
fn module() -> Option<&'static str> {
    let places = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/pkcs11/libsofthsm2.so"];
    let found = places.into_iter().find(|path| Path::new(path).exists());
    assert!(found.is_some() || std::env::var_os("CI").is_none(), "SoftHSM is not installed");
    if found.is_none() {
        eprintln!("SoftHSM is not installed, 1 case not run");
    }
    found
}

/// A token of that label, in a directory beside the installation, and the URI of a key in it.
fn device(moneta: &mut Moneta, module: &str, object: &str) -> String {
    let tokens = moneta.dir.join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    let conf = moneta.file("softhsm2.conf", format!("directories.tokendir = {}\n", tokens.display()));
    let pin_file = moneta.file("pin", format!("{PIN}\n"));
    let init = ["--init-token", "--free", "--label", "audit log", "--so-pin", "0815", "--pin", PIN];
    let made = Command::new("softhsm2-util").args(init).env("SOFTHSM2_CONF", &conf).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    moneta.settings.push(("SOFTHSM2_CONF", conf.leak()));
    format!("pkcs11:token=audit%20log;object={object}?module-path={module}&pin-source=file:{pin_file}")
}

fn set_key(moneta: &mut Moneta, uri: String) {
    moneta.settings.retain(|(name, _)| *name != "MONETA_LEDGER__DEVICE_KEY");
    moneta.settings.push(("MONETA_LEDGER__DEVICE_KEY", uri.leak()));
}

#[test]
fn a_log_whose_key_is_in_a_device_signs_there_for_ever() {
    let Some(module) = module() else { return };
    let mut moneta = Moneta::new();
    let uri = device(&mut moneta, module, "moneta");
    set_key(&mut moneta, uri.clone());
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(50))]);
    let key = moneta.verifier_key();
    let key_file: PathBuf = moneta.data().join("keys/ledger.key");
    let text = std::fs::read_to_string(&key_file).unwrap();
    assert!(text.contains(&format!("device {uri}\n")) && !text.contains("pkcs8"), "{text}");

    // The setting is needed once; where the key is, its file says.
    moneta.settings.retain(|(name, _)| *name != "MONETA_LEDGER__DEVICE_KEY");
    let server = moneta.serve();
    moneta.ok(&["ingest", &moneta.file("more.ndjson", json_lines(20))]);
    server.kill();
    assert_eq!(moneta.count("steps_CL | count") + moneta.count("more_CL | count"), 70);
    assert_eq!(moneta.verifier_key(), key);
    let report = verify_store(&moneta.data(), Options { key: Some(key), ..Options::default() }).unwrap();
    assert!(report.findings.is_empty(), "{:?}", report.findings);

    // What is not that key is refused, and says why.
    let refused = |moneta: &Moneta, words: &str| {
        let run = moneta.run(&["query", "steps_CL | count"]);
        assert!(run.code != 0 && run.stderr.contains(words), "{words}: {run:?}");
    };
    moneta.file("pin", "1\n");
    refused(&moneta, "the login");
    moneta.file("pin", PIN);
    set_key(&mut moneta, uri.replace("object=moneta", "object=other"));
    refused(&moneta, "no key of that label");
    set_key(&mut moneta, uri.replace("audit%20log", "elsewhere"));
    refused(&moneta, "no token of that label");
    set_key(&mut moneta, "pkcs11:token=audit%20log".to_owned());
    refused(&moneta, "pin-source is missing");
    set_key(&mut moneta, uri);
    assert_eq!(moneta.count("steps_CL | count"), 50);
}

#[test]
fn a_log_with_its_key_in_a_file_keeps_it() {
    let Some(module) = module() else { return };
    let mut moneta = Moneta::new();
    moneta.ok(&["ingest", &moneta.file("steps.ndjson", json_lines(5))]);
    let uri = device(&mut moneta, module, "moneta");
    set_key(&mut moneta, uri);
    let run = moneta.run(&["query", "steps_CL | count"]);
    assert!(run.code != 0 && run.stderr.contains("not in a device"), "{run:?}");
}
