//! T13: most days of a table go by policy, the proofs of the others live on, and what goes without an entry is found.
//!
//! `MONETA_DAYS` says of how many days.

use std::path::{Path, PathBuf};

use moneta_base::Timestamp;
use moneta_ingest::Policy;
use moneta_merkle::VerifierKey;
use moneta_ports::operations::{Hold, HoldRequest};
use moneta_verify::proof::check_record_proof;
use moneta_verify::{Options, verify_store};

use crate::agreement::Python;
use crate::installation::{Installation, prove, submit, table};

/// Shards deleted behind the ledger's back.
const SECRET_DELETIONS: usize = 20;

/// The directories of the days that a table still has below `dir`, the oldest first.
fn days(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut days: Vec<_> = entries.filter(|path| path.is_dir() && !path.ends_with("_delta_log")).collect();
    days.sort();
    days
}

/// Moves a directory away and back, and says whether it was missed.
fn is_missed(data: &Path, dir: &Path) -> bool {
    let aside = data.with_extension("aside");
    std::fs::rename(dir, &aside).unwrap();
    let report = verify_store(data, Options::default()).unwrap();
    std::fs::rename(&aside, dir).unwrap();
    let name = dir.file_name().unwrap().to_str().unwrap();
    report.findings.iter().any(|finding| finding.to_string().contains(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn t13_proofs_outlive_the_days_dropped_around_them_and_secret_deletions_are_found() {
    let num_days = std::env::var("MONETA_DAYS").ok().map_or(40, |days| days.parse().unwrap());
    let num_kept = num_days * 90 / 400;
    let installation = Installation::new();
    let data = installation.dir.path().join("data");
    let ingest = installation.open_in(&data);
    let mut proofs = Vec::new();
    for day in 0..num_days {
        installation.set_day(day);
        submit(&ingest, "Syslog", day, 3).await;
        ingest.publish_now().await.unwrap();
        let hot = ingest.store().snapshot(&table("Syslog")).unwrap().hot;
        proofs.extend(hot.iter().flat_map(|block| prove(&ingest, block, 0..block.rows.num_rows())));
        ingest.seal_all().unwrap();
    }
    ingest.change_policy(|current| *current = crate::installation::policy(u32::try_from(num_kept).unwrap()));
    // Only now: the keeper looks for what is due as time passes, and may just have looked.
    installation.set_day(num_days);
    let left = || ingest.store().snapshot(&table("Syslog")).unwrap().segments.len();
    installation.wait_until(|| left() == usize::try_from(num_kept).unwrap());
    ingest.shut_down().unwrap();
    drop(ingest);
    let report = verify_store(&data, Options::default()).unwrap();
    assert_eq!(report.findings, []);
    // Days of the audit table may be among them.
    assert!(report.num_dropped_shards >= u64::try_from(num_days - num_kept).unwrap());
    let key = VerifierKey::parse(&installation.key()).unwrap();
    for proof in &proofs {
        check_record_proof(&proof.encode(), &key).unwrap();
    }
    let shards = days(&data.join("ledger/shard/Syslog"));
    let segments = days(&data.join("store/Syslog"));
    assert_eq!((shards.len(), segments.len()), (usize::try_from(num_kept).unwrap(), shards.len()));
    let places: Vec<_> = shards.iter().chain(&segments).collect();
    for number in 0..SECRET_DELETIONS {
        let dir = places[number * 7 % places.len()];
        assert!(is_missed(&data, dir), "{} was deleted and not missed", dir.display());
    }
    assert_eq!(verify_store(&data, Options::default()).unwrap().findings, []);
    println!(
        "{num_days} days, {} dropped: {} proofs verify, {SECRET_DELETIONS} secret deletions found",
        report.num_dropped_shards,
        proofs.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_dropped_between_days_under_a_hold_is_accounted_for_to_the_row() {
    let installation = Installation::new();
    let data = installation.dir.path().join("data");
    let ingest = installation.open_in(&data);
    for day in 0..5 {
        installation.set_day(day);
        submit(&ingest, "Syslog", day, 3).await;
        ingest.publish_now().await.unwrap();
        ingest.seal_all().unwrap();
    }
    let first = ingest.store().snapshot(&table("Syslog")).unwrap().segments[0].shard.day.to_string();
    let request = HoldRequest { to: Some(first), reason: "case 7".to_owned(), ..HoldRequest::default() };
    let hold = Hold::new("case-7", &request, "ada", Timestamp::default()).unwrap();
    ingest.change_policy(|current| *current = Policy { holds: vec![hold], ..crate::installation::policy(3) });
    // Only now: the keeper looks for what is due as time passes.
    installation.set_day(5);
    let left = || ingest.store().snapshot(&table("Syslog")).unwrap().segments.len();
    installation.wait_until(|| left() == 4);
    ingest.shut_down().unwrap();
    drop(ingest);
    let report = verify_store(&data, Options::default()).unwrap();
    assert_eq!(report.findings, []);
    // The entry excuses its own shard and no other.
    let shards = days(&data.join("ledger/shard/Syslog"));
    for (number, dir) in [(0, &shards[0]), (2, &shards[1])] {
        let aside = data.with_extension("aside");
        std::fs::rename(dir, &aside).unwrap();
        let report = verify_store(&data, Options::default()).unwrap();
        std::fs::rename(&aside, dir).unwrap();
        let expected = format!("shard number {number} of Syslog is missing, and no drop entry says why");
        assert!(report.findings.iter().any(|finding| finding.problem == expected), "{:?}", report.findings);
    }
    if let Some(python) = Python::find() {
        let verdicts = python.verdicts("store", &installation.key(), std::slice::from_ref(&data));
        assert_eq!(verdicts[&data], Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_of_the_catalog_that_says_something_else_is_found() {
    let installation = Installation::new();
    let data = installation.dir.path().join("data");
    let ingest = installation.open_in(&data);
    for round in 0..100 {
        submit(&ingest, "Words_CL", round, 1).await;
        ingest.seal_all().unwrap();
    }
    let log = data.join("store/Words_CL/_delta_log");
    installation.wait_until(|| log.join("_last_checkpoint").exists());
    ingest.shut_down().unwrap();
    drop(ingest);
    assert_eq!(verify_store(&data, Options::default()).unwrap().findings, []);
    let names = std::fs::read_dir(&log).unwrap().map(|entry| entry.unwrap().path());
    let checkpoint = names.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap();
    let good = std::fs::read(&checkpoint).unwrap();
    let findings = || -> Vec<String> {
        let report = verify_store(&data, Options::default()).unwrap();
        report.findings.into_iter().map(|finding| finding.to_string()).collect()
    };
    // One that is whole, but sums up other commits.
    let earlier = checkpoint.with_file_name("00000000000000000050.checkpoint.parquet");
    std::fs::write(&earlier, &good).unwrap();
    let found = findings();
    assert!(
        matches!(&found[..], [only] if only.contains("50.checkpoint.parquet: it is not what the commits")),
        "{found:?}"
    );
    std::fs::remove_file(&earlier).unwrap();
    // A commit that says another time than it did when it was summed up: the newest that lists a file, which is still
    // listed then.
    let newest: u64 = checkpoint.file_name().unwrap().to_str().unwrap()[..20].parse().unwrap();
    let read = |version: u64| {
        let commit = log.join(format!("{version:020}.json"));
        std::fs::read_to_string(&commit).map(|text| (commit, text)).unwrap()
    };
    let mut commits = (0..=newest).rev().map(read);
    let (commit, text) = commits.find(|(_, text)| text.contains("event_time_max")).unwrap();
    std::fs::write(&commit, text.replace("\"moneta.event_time_max\":\"", "\"moneta.event_time_max\":\"1")).unwrap();
    let found = findings();
    assert!(found.iter().any(|one| one.contains("checkpoint.parquet: it is not what the commits")), "{found:?}");
    std::fs::write(&commit, text).unwrap();
    // Commits that the checkpoint sums up may be gone, from the first one on.
    let commit = |version: u64| log.join(format!("{version:020}.json"));
    for removed in [0..newest / 2, newest / 2..newest] {
        removed.for_each(|version| std::fs::remove_file(commit(version)).unwrap());
        assert_eq!(findings(), Vec::<String>::new());
    }
    std::fs::write(&checkpoint, &good[..good.len() / 2]).unwrap();
    assert!(!findings().is_empty(), "half a checkpoint");
    std::fs::remove_file(&checkpoint).unwrap();
    assert!(!findings().is_empty(), "nothing sums up what is gone");
}
