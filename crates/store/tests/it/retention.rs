//! Dropping whole ingest days.

use std::time::Duration;

use moneta_base::Timestamp;
use moneta_store::Error;
use moneta_testkit::SimFs;

use crate::support::*;

fn day(number: u64) -> Timestamp {
    now().saturating_add(Duration::from_secs(86_400 * number))
}

#[test]
fn store_3_a_day_is_due_when_its_days_have_passed_and_only_whole_sealed_days_go() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    for number in 0..3 {
        store.add_hot(made.simple("Syslog", day(number), 5)).unwrap();
        store.add_hot(made.simple("Event", day(number), 5)).unwrap();
    }
    let keep = |table: &moneta_base::TableName| if table.as_str() == "Syslog" { 2 } else { 90 };
    let today = day(3).day();
    assert!(store.due_drops(&keep, today).is_empty(), "nothing is sealed");
    let first = made.simple("Syslog", day(3), 1).header.shard.clone();
    assert_eq!(first.day, today);
    while let Some(segment) = store.seal(&table("Syslog")).unwrap() {
        let shard = segment.meta().shard.clone();
        if shard.day == day(2).day() {
            assert!(matches!(store.drop_shard(&shard, now()), Err(Error::NotSealed(_))));
        }
        store.publish(segment, now()).unwrap();
    }
    assert!(store.due_drops(&keep, day(2).day()).is_empty());
    let due = store.due_drops(&keep, today);
    assert_eq!(due.iter().map(ToString::to_string).collect::<Vec<_>>(), ["Syslog/2026-01-02"]);
    store.drop_shard(&due[0], now()).unwrap();
    store.drop_shard(&due[0], now()).unwrap();
    for store in [&store, &open(&fs).unwrap()] {
        let snapshot = store.snapshot(&table("Syslog")).unwrap();
        assert_eq!(snapshot.segments.iter().map(|segment| segment.first_seq).collect::<Vec<_>>(), [5, 10]);
        assert!(store.due_drops(&keep, today).is_empty());
    }
    assert!(fs.files().iter().all(|path| !path.starts_with("/data/store/Syslog/2026-01-02")));
}

#[test]
fn a_table_that_lost_all_its_days_goes_on_counting() {
    let fs = SimFs::new();
    let (store, mut made) = (open(&fs).unwrap(), Blocks::default());
    let block = made.simple("Syslog", now(), 5);
    store.add_hot(block.clone()).unwrap();
    store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), now()).unwrap();
    store.drop_shard(&block.header.shard, day(100)).unwrap();
    let store = open(&fs).unwrap();
    store.add_hot(block).unwrap();
    assert_eq!(store.snapshot(&table("Syslog")).unwrap().num_rows(), 0, "a dropped block does not come back");
    store.add_hot(made.simple("Syslog", day(100), 5)).unwrap();
    store.publish(store.seal(&table("Syslog")).unwrap().unwrap(), now()).unwrap();
    assert_eq!(open(&fs).unwrap().sealed_ends()[&table("Syslog")], 10);
}
