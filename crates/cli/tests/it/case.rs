//! Exports of an incident: they prove themselves to two checkers, and every change of them is found.

use std::path::{Path, PathBuf};

use moneta_merkle::sha256;
use moneta_verify::Options;
use moneta_verify::case::{CaseManifest, Missing, Why, verify_case};

use crate::incidents::attacked;
use crate::support::{ExportChecker, Moneta, files_below, wait_until};

/// A case, and both checkers of it.
struct Case {
    moneta: Moneta,
    dir: PathBuf,
    python: Option<ExportChecker>,
}

impl Case {
    /// The exit code that both checkers have for it as it is now.
    #[track_caller]
    fn checked(&self, what: &str) -> (u8, String) {
        let options = Options { key: Some(self.moneta.verifier_key()), ..Options::default() };
        let (code, said) = match verify_case(&self.dir, options) {
            Ok(report) => (report.exit_code(), report.to_string()),
            Err(error) => (2, format!("{error:#}")),
        };
        if let Some(python) = &self.python {
            let (python, text) = python.says(&self.dir, &self.moneta.data().join("keys/ledger.vkey"));
            // What cannot be read at all Python calls not valid.
            let agrees = python == i32::from(code) || (code, python) == (2, 1) && !said.contains("NOT COMPLETE");
            assert!(agrees, "{what}: {said} and {text}");
        }
        (code, said)
    }

    #[track_caller]
    fn must_be_refused(&self, what: &str) {
        let (code, said) = self.checked(what);
        assert!(code != 0 && !said.contains("NOT COMPLETE"), "{what}: {said}");
    }

    fn manifest(&self) -> CaseManifest {
        CaseManifest::parse(&std::fs::read_to_string(self.dir.join("manifest")).unwrap()).unwrap()
    }

    /// Makes the manifest list the files as they are now: what somebody does who changes them.
    fn list_anew(&self, change: impl FnOnce(&mut CaseManifest)) {
        let mut manifest = self.manifest();
        manifest.files.clear();
        for file in files_below(&self.dir) {
            let name = file.strip_prefix(&self.dir).unwrap().display().to_string();
            let bytes = std::fs::read(&file).unwrap();
            if !name.starts_with("manifest") {
                manifest.files.insert(name, (sha256(&bytes), bytes.len() as u64));
            }
        }
        change(&mut manifest);
        std::fs::write(self.dir.join("manifest"), manifest.encode()).unwrap();
    }
}

/// A case of an incident with two alerts that somebody took, remarked on and closed.
async fn exported() -> Case {
    let (moneta, server) = attacked();
    let alerts = |list: serde_json::Value| list.as_array().unwrap().iter().any(|row| row["alerts"] == 2);
    wait_until("an incident of two alerts", || alerts(moneta.json(&["incidents", "list"]))).await;
    moneta.ok(&["incidents", "assign", "1", "ada"]);
    moneta.ok(&["incidents", "comment", "1", "the scanner again"]);
    moneta.ok(&["incidents", "close", "1", "--as", "FalsePositive", "--reason", "scanner"]);
    let dir = moneta.dir.join("case");
    let text = dir.display().to_string();
    let unknown = moneta.run(&["store", "export", "--case", "99", &text]);
    assert!(unknown.code == 2 && unknown.stderr.contains("no row of an incident 99"), "{unknown:?}");
    for wrong in
        [&["--case", "1"][..], &["--case", "1", "Syslog", &text], &[&text], &["--case", "1", &text, "--to", "x"]]
    {
        assert_eq!(moneta.run(&[&["store", "export"], wrong].concat()).code, 2, "{wrong:?}");
    }
    assert!(moneta.ok(&["store", "export", "--case", "1", &text, "--json"]).contains("\"num_files\":"));
    let refused = moneta.run(&["store", "export", "--case", "1", &text]);
    assert!(refused.code == 2 && refused.stderr.contains("not empty"), "{refused:?}");
    server.stop();
    Case { moneta, dir, python: ExportChecker::find() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_case_proves_itself_to_two_checkers_and_every_change_of_it_is_found() {
    let case = exported().await;
    let (code, said) = case.checked("as it was made");
    let expected = "everything fits: incident 1 \"Failed password\" (Closed, FalsePositive): 5 versions, 2 alerts, 2 events, \
                    3 audit rows are proved";
    assert!(code == 0 && said.contains(expected), "{said}");
    assert!(said.contains("note     exported 20"), "{said}");
    let untrusted = verify_case(&case.dir, Options::default()).unwrap();
    assert!(untrusted.is_clean() && untrusted.notes[0].contains("no key given"), "{untrusted:?}");

    let manifest = std::fs::read(case.dir.join("manifest")).unwrap();
    let files = files_below(&case.dir);
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(&case.dir).unwrap().display().to_string();
        let good = std::fs::read(file).unwrap();
        for at in [0, good.len() / 3, good.len() - 2] {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(file, bad).unwrap();
            case.must_be_refused(&format!("{name}, byte {at}"));
            // Nor does it help to list what is there.
            if !name.starts_with("manifest") {
                case.list_anew(|_| {});
                case.must_be_refused(&format!("{name}, byte {at}, listed anew"));
                std::fs::write(case.dir.join("manifest"), &manifest).unwrap();
            }
            std::fs::write(file, &good).unwrap();
        }
        std::fs::remove_file(file).unwrap();
        case.must_be_refused(&format!("{name} left out"));
        std::fs::write(file, &good).unwrap();

        let other = &files[(number + 1) % files.len()];
        let others = std::fs::read(other).unwrap();
        std::fs::write(file, &others).unwrap();
        std::fs::write(other, &good).unwrap();
        case.must_be_refused(&format!("{name} exchanged with {}", other.display()));
        std::fs::write(file, &good).unwrap();
        std::fs::write(other, &others).unwrap();
    }
    std::fs::write(case.dir.join("alert/more"), "x").unwrap();
    case.must_be_refused("a file more");
    std::fs::remove_file(case.dir.join("alert/more")).unwrap();
    assert_eq!(case.checked("as it was").0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_of_a_case_is_asked_for_whatever_the_manifest_says() {
    let case = exported().await;
    let manifest = std::fs::read(case.dir.join("manifest")).unwrap();
    let check = |change: &dyn Fn(&mut CaseManifest), expected: [&str; 2]| {
        case.list_anew(change);
        let (code, said) = case.checked(expected[0]);
        assert!(code == 1 && said.contains(expected[0]) && said.contains("not the one that was exported"), "{said}");
        let key = case.moneta.data().join("keys/ledger.vkey");
        let python = case.python.as_ref().map(|python| python.says(&case.dir, &key).1);
        assert!(python.as_ref().is_none_or(|text| text.contains(expected[1])), "{python:?}, not {:?}", expected[1]);
        std::fs::write(case.dir.join("manifest"), &manifest).unwrap();
    };
    let first = |kind: &str| files_below(&case.dir.join(kind)).remove(0);
    let not_named = "the manifest does not name what is missing";
    for (file, expected) in
        [(first("alert"), "of the incident is missing"), (first("incident"), "versions before row _Seq")]
    {
        let good = std::fs::read(&file).unwrap();
        std::fs::remove_file(&file).unwrap();
        check(&|_| {}, [expected, not_named]);
        std::fs::write(&file, &good).unwrap();
    }
    // An audit row is missed by nothing but the hash of the manifest.
    let (file, exported) = (first("audit"), "the manifest is not the one that was exported");
    let good = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    check(&|_| {}, [exported, exported]);
    std::fs::write(&file, &good).unwrap();

    let evidence = first("alert");
    let good = std::fs::read_to_string(&evidence).unwrap();
    let end = good.match_indices("moneta record-proof v1\n").nth(1).unwrap().0;
    std::fs::write(&evidence, &good[..end]).unwrap();
    check(&|_| {}, ["which an alert names, is missing", not_named]);
    let seq = alert_event(&case, &evidence);
    let missing = |why| {
        move |manifest: &mut CaseManifest| {
            manifest.missing.insert(Missing::Event { table: "Syslog".to_owned(), seq, why });
        }
    };
    check(&missing(Why::Dropped), ["no drop entry shows that", "no drop entry shows that"]);
    check(&missing(Why::NeverStored), ["was never stored: nothing proves why", exported]);
    std::fs::write(&evidence, &good).unwrap();
    check(&missing(Why::Dropped), ["it is not, or nothing names it", not_named]);
    assert_eq!(case.checked("as it was").0, 0);
}

/// `_Seq` of the one event that is not beside its alert.
fn alert_event(case: &Case, evidence: &Path) -> u64 {
    let text = std::fs::read_to_string(evidence).unwrap();
    let absent = moneta_event::AlertEvidence::parse(&text).unwrap().absent().unwrap();
    assert_eq!(absent.len(), 1, "{}", case.dir.display());
    absent.into_iter().next().unwrap().1
}
