//! Directories against a checkpoint that somebody kept.

use moneta_merkle::VerifierKey;
use moneta_testkit::TestDir;
use moneta_verify::known::{Standing, standing};

use crate::installation::{Installation, files_below, submit, table};

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_was_put_back_names_what_it_lacks_and_a_fork_is_called_one() {
    let installation = Installation::new();
    let key = VerifierKey::parse(&installation.key()).unwrap();
    let data = installation.dir.path();
    let ingest = installation.open();
    submit(&ingest, "Syslog", 0, 5).await;
    submit(&ingest, "Words_CL", 0, 3).await;
    ingest.shut_down().unwrap();
    let checkpoint = |data: &std::path::Path| std::fs::read(data.join("ledger/root/checkpoint")).unwrap();
    let backup = TestDir::new();
    for file in files_below(data) {
        let target = backup.path().join(&file);
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(data.join(&file), target).unwrap();
    }
    let early = checkpoint(data);
    let ingest = installation.open();
    submit(&ingest, "Syslog", 1, 4).await;
    ingest.shut_down().unwrap();
    let late = checkpoint(data);
    for kept in [&early, &late] {
        assert_eq!(standing(data, kept, &key).unwrap(), Standing::Continues);
    }
    assert_eq!(standing(backup.path(), &early, &key).unwrap(), Standing::Continues);
    let behind = standing(backup.path(), &late, &key).unwrap();
    let Standing::Behind { known, there, tables } = behind else { panic!("{behind:?}") };
    assert!(known > there, "{known} {there}");
    assert_eq!(tables, [(table("Syslog"), 5), (table("Words_CL"), 3)]);
    let mut report = moneta_verify::Report::default();
    let file = std::path::Path::new("kept");
    moneta_verify::known::check(data, file, &late, &key, &mut report);
    assert!(report.is_clean() && report.notes.len() == 1, "{report:?}");
    moneta_verify::known::check(backup.path(), file, &late, &key, &mut report);
    let problem = &report.findings[0].problem;
    assert!(problem.contains("rows of Syslog from _Seq 5 on, rows of Words_CL from _Seq 3 on"), "{problem}");
    // Under the same key, other rows.
    let ingest = installation.open_in(backup.path());
    for salt in 5..9 {
        submit(&ingest, "Syslog", salt, 4).await;
        ingest.publish_now().await.unwrap();
    }
    ingest.shut_down().unwrap();
    assert_eq!(standing(backup.path(), &late, &key).unwrap(), Standing::Forked);
    let stranger = VerifierKey::parse(&Installation::new().key()).unwrap();
    assert!(standing(data, &late, &stranger).is_err());
}
