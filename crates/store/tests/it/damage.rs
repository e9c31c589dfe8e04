//! Damaged files are found when read, and named.

use moneta_event::terms::{Case, Edges, Needle, TermCondition};
use moneta_store::{Error, Store, TimeRange};
use moneta_testkit::SimFs;

use crate::support::*;

/// The columns of text.
const COLUMNS: [&str; 6] = ["TenantId", "Type", "SourceSystem", "SyslogMessage", "_Raw", "_Source"];

fn sealed() -> (SimFs, Store) {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    (0..3).for_each(|_| store.add_hot(made.simple("Syslog", now(), 2_000)).unwrap());
    store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), now()).unwrap();
    (fs, store)
}

fn read_all(store: &Store) -> Result<usize, Error> {
    let snapshot = store.snapshot(&table("Syslog")).unwrap();
    let mut num_rows = 0;
    for segment in &snapshot.segments {
        for rows in store.read_segment(segment, snapshot.schema.columns(), TimeRange::ALL)? {
            num_rows += rows?.num_rows();
        }
        // Looking for part of a word reads the whole term index.
        let columns = store.segment_columns(segment)?;
        for (group, column) in (0..columns.num_groups()).flat_map(|group| COLUMNS.map(|column| (group, column))) {
            let needle = Needle::new("nowhere", Edges::NONE, Case::Insensitive);
            let found = columns.rows_with(group, &TermCondition::Has { column: column.to_owned(), needle })?;
            assert_eq!(found.unwrap().count_set_bits(), 0);
        }
    }
    Ok(num_rows)
}

#[test]
fn a_flipped_byte_anywhere_in_a_segment_is_found_when_it_is_read() {
    let (fs, store) = sealed();
    let segment = store.snapshot(&table("Syslog")).unwrap().segments[0].clone();
    let path = store.file_of(&segment.path);
    let good = fs.peek(&path).unwrap();
    assert!(good.len() > 2 * 65_536, "several checksums: {}", good.len());
    // The four bytes of magic at the front are in no column and are never read: the hash of the file covers them.
    for at in (4..good.len()).step_by(997).chain(good.len() - 600..good.len()) {
        let mut bytes = good.clone();
        bytes[at] ^= 4;
        fs.overwrite(&path, &bytes);
        let store = open(&fs).unwrap();
        match read_all(&store) {
            Err(Error::Corrupt { path: named, .. }) => assert_eq!(named, path),
            other => panic!("byte {at}: {other:?}"),
        }
    }
    fs.overwrite(&path, &good[..good.len() - 1]);
    assert!(matches!(read_all(&open(&fs).unwrap()), Err(Error::Corrupt { .. })));
    fs.overwrite(&path, &good);
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), 6_000);
}

#[test]
fn damage_to_a_catalog_is_named_when_the_store_opens() {
    let (fs, _) = sealed();
    let commit = fs.files().into_iter().find(|path| path.extension().is_some_and(|ext| ext == "json")).unwrap();
    let good = fs.peek(&commit).unwrap();
    let check = |bytes: &[u8], expected: &str| {
        fs.overwrite(&commit, bytes);
        let error = open(&fs).unwrap_err();
        assert!(matches!(&error, Error::Corrupt { path, .. } if *path == commit), "{error}");
        assert!(error.to_string().contains(expected), "{error}");
    };
    check(b"", "no actions");
    check(&good[..good.len() / 2], "not JSON");
    check(b"\xff", "not UTF-8");
    let text = String::from_utf8(good.clone()).unwrap();
    check(text.replace("moneta.end_seq", "moneta.end").as_bytes(), "has no tag moneta.end_seq");
    check(text.replace("2026-01-02/", "../../../").as_bytes(), "not in the directory of a day");
    fs.overwrite(&commit, &good);
    assert_eq!(read_all(&open(&fs).unwrap()).unwrap(), 6_000);
}

#[test]
fn a_missing_commit_is_named() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    for _ in 0..3 {
        store.add_hot(made.simple("Syslog", now(), 5)).unwrap();
        store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), now()).unwrap();
    }
    let commits: Vec<_> = fs.files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    moneta_base::fs::FileSystem::remove_file(&fs, &commits[1]).unwrap();
    let error = open(&fs).unwrap_err();
    assert!(error.to_string().contains("commit 00000000000000000001.json should come next"), "{error}");
}
