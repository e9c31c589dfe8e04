//! Power cuts and failing calls anywhere: JOURNAL-1, JOURNAL-2, JOURNAL-3 and BLOCK-2 as properties.
//!
//! A model holds what was acknowledged. Each life of the journal ends with a fault at a random call, then perhaps a
//! power cut; the next life must show exactly what the model holds, and of the group that was being written all or
//! nothing. `MONETA_POWER_CUTS` sets how many cuts there must have been in the middle of a call.

use std::collections::BTreeMap;

use moneta_base::TableName;
use moneta_journal::{Commit, CommitOutcome, Journal, JournalOptions, Receipt};
use moneta_testkit::{Fault, Random, SimFs};

use crate::support::*;

const POWER_CUTS: usize = 1_000;
const LIVES: usize = 8;
const TABLES: [&str; 3] = ["Syslog", "Event", "Mine_CL"];

/// One commit as the sender keeps it until it is acknowledged.
#[derive(Debug, Clone)]
struct Sent {
    name: String,
    tables: Vec<(&'static str, usize)>,
    sequence: Option<u64>,
}

impl Sent {
    fn commit(&self) -> Commit {
        Commit {
            batches: self.tables.iter().map(|(table, rows)| batch(table, &self.name, *rows)).collect(),
            mark: self.sequence.map(|sequence| mark("agent", sequence, &self.name)),
        }
    }
}

struct Model {
    random: Random,
    fs: SimFs,
    options: JournalOptions,
    rows: BTreeMap<(String, u64), String>,
    receipts: Vec<(Sent, Receipt)>,
    in_flight: Vec<Sent>,
    block_ends: Vec<(TableName, u64)>,
    next_name: u64,
    /// Power cuts in the middle of a call.
    num_cuts: usize,
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut options = options();
        options.file_bytes_max = 4_000;
        Self {
            random: Random::new(seed),
            fs: SimFs::new(),
            options,
            rows: BTreeMap::new(),
            receipts: Vec::new(),
            in_flight: Vec::new(),
            block_ends: Vec::new(),
            next_name: 0,
            num_cuts: 0,
        }
    }

    fn live(&mut self) {
        let (mut journal, recovery) = match try_open(&self.fs, self.options.clone()) {
            Ok(opened) => opened,
            Err(error) => {
                assert!(self.fs.is_cut(), "only a power cut during recovery may keep it from opening: {error}");
                return self.crash();
            }
        };
        self.check_recovered(&recovery);
        self.resend(&mut journal);
        let fault = [Fault::PowerCut, Fault::PowerCut, Fault::Eio, Fault::Eintr, Fault::Enospc, Fault::ShortWrite];
        let fault = fault[self.random.below(fault.len())];
        self.fs.fail_call(self.random.below(30), fault);
        for _ in 0..self.random.below(10) {
            if journal.poisoned().is_some() || self.fs.is_cut() {
                break;
            }
            self.step(&mut journal);
        }
        if self.random.chance(4) && journal.poisoned().is_none() && self.in_flight.is_empty() {
            let _ = journal.close();
        }
        self.fs.clear_faults();
        if self.fs.is_cut() || self.random.chance(2) {
            self.crash();
        }
        // The next life may be cut down while it recovers.
        if self.random.chance(3) {
            self.fs.fail_call(self.random.below(12), Fault::PowerCut);
        }
    }

    fn crash(&mut self) {
        self.num_cuts += usize::from(self.fs.is_cut());
        self.fs.crash(self.random.next_u64());
    }

    fn step(&mut self, journal: &mut Journal) {
        if self.random.chance(5) {
            return self.release(journal);
        }
        let group: Vec<Sent> = (0..1 + self.random.below(3)).map(|_| self.next_commit()).collect();
        self.append(journal, group);
    }

    fn next_commit(&mut self) -> Sent {
        let mut tables = Vec::new();
        for table in TABLES {
            if self.random.chance(2) {
                tables.push((table, 1 + self.random.below(5)));
            }
        }
        self.next_name += 1;
        let sequence = self.random.chance(2).then_some(self.next_name);
        Sent { name: format!("c{}", self.next_name), tables, sequence }
    }

    fn append(&mut self, journal: &mut Journal, group: Vec<Sent>) {
        let appended = journal.append(group.iter().map(Sent::commit).collect(), now());
        for (sent, outcome) in group.into_iter().zip(appended.outcomes) {
            match outcome {
                Ok(CommitOutcome::Stored { receipt }) => self.acknowledge(&sent, receipt),
                Ok(other) => panic!("a new commit was answered {other:?}"),
                Err(_) => self.in_flight.push(sent),
            }
        }
        let ends = appended.blocks.iter().map(|b| (b.header.shard.table.clone(), b.header.end_seq()));
        self.block_ends.extend(ends);
    }

    fn acknowledge(&mut self, sent: &Sent, receipt: Receipt) {
        for range in &receipt.ranges {
            for (row, seq) in (range.first..range.end).enumerate() {
                let before = self.rows.insert((range.table.to_string(), seq), format!("{}-{row}", sent.name));
                assert_eq!(before, None, "JOURNAL-2: row {seq} of {} given twice", range.table);
            }
        }
        self.receipts.push((sent.clone(), receipt));
    }

    fn release(&mut self, journal: &mut Journal) {
        if self.block_ends.is_empty() {
            return;
        }
        let (table, end) = self.block_ends[self.random.below(self.block_ends.len())].clone();
        let sealed = self.options.sealed.entry(table).or_default();
        *sealed = (*sealed).max(end);
        let _ = journal.release(&self.options.sealed);
    }

    /// JOURNAL-1, JOURNAL-2: everything acknowledged is there once and in its place, and of the rest whole groups.
    fn check_recovered(&mut self, recovery: &Recovered) {
        let found = raws(recovery.blocks.iter().map(|block| &**block));
        let sealed = &self.options.sealed;
        let sealed_end = |table: &String| sealed.get(&TableName::new(table).unwrap()).copied().unwrap_or(0);
        for (place, raw) in &self.rows {
            if place.1 >= sealed_end(&place.0) {
                assert_eq!(found.get(place), Some(raw), "JOURNAL-1: {place:?}");
            }
        }
        for (place, raw) in &found {
            let acknowledged = self.rows.get(place);
            let name = raw.split('-').next().unwrap();
            let unsure = self.in_flight.iter().any(|sent| sent.name == name);
            assert!(acknowledged == Some(raw) || (acknowledged.is_none() && unsure), "{place:?} {raw}");
        }
        let ends = recovery.blocks.iter().map(|b| (b.header.shard.table.clone(), b.header.end_seq()));
        self.block_ends.extend(ends);
        for sent in std::mem::take(&mut self.in_flight) {
            self.settle(&sent, &found);
        }
    }

    /// A commit that was not acknowledged is there in full or not at all.
    fn settle(&mut self, sent: &Sent, found: &BTreeMap<(String, u64), String>) {
        let wanted: usize = sent.tables.iter().map(|(_, rows)| rows).sum();
        let mine = found.iter().filter(|(_, raw)| raw.split('-').next() == Some(&sent.name));
        let mine: Vec<_> = mine.map(|(place, raw)| (place.clone(), raw.clone())).collect();
        assert!(mine.is_empty() || mine.len() == wanted, "{} of {wanted} rows of {}", mine.len(), sent.name);
        let survived = !mine.is_empty();
        self.rows.extend(mine);
        if sent.sequence.is_some() && (survived || wanted == 0) {
            self.in_flight.push(sent.clone());
        }
    }

    /// JOURNAL-3: what has a mark is recognised when it is sent again, with the receipt it had.
    fn resend(&mut self, journal: &mut Journal) {
        let recent = self.receipts.iter().rev().filter(|(sent, _)| sent.sequence.is_some()).take(8);
        for (sent, receipt) in recent {
            let outcome = journal.append(vec![sent.commit()], now()).outcomes.remove(0);
            match outcome {
                Ok(CommitOutcome::Duplicate { receipt: again }) => assert_eq!(&again, receipt, "JOURNAL-3"),
                _ if self.fs.is_cut() => return,
                other => panic!("JOURNAL-3: a resend was answered {other:?}"),
            }
        }
        // Survivors that were never acknowledged are acknowledged now, or stored if only the mark had been on the way.
        for sent in std::mem::take(&mut self.in_flight) {
            match journal.append(vec![sent.commit()], now()).outcomes.remove(0) {
                Ok(CommitOutcome::Duplicate { receipt }) => self.receipts.push((sent, receipt)),
                Ok(CommitOutcome::Stored { receipt }) if sent.tables.is_empty() => self.receipts.push((sent, receipt)),
                Err(_) => {}
                other => panic!("JOURNAL-3: a survivor was answered {other:?}"),
            }
        }
    }
}

#[test]
fn acknowledged_commits_survive_any_crash_exactly_once_and_in_order() {
    let wanted = std::env::var("MONETA_POWER_CUTS").ok().map_or(POWER_CUTS, |cuts| cuts.parse().unwrap());
    let (mut acknowledged, mut num_cuts, mut seed) = (0, 0, 0);
    while num_cuts < wanted {
        let result = std::panic::catch_unwind(|| {
            let mut model = Model::new(seed);
            (0..LIVES).for_each(|_| model.live());
            model.fs.clear_faults();
            (model.receipts.len(), model.num_cuts)
        });
        let (receipts, cuts) = result.unwrap_or_else(|_| panic!("the property fails for seed {seed}"));
        (acknowledged, num_cuts, seed) = (acknowledged + receipts, num_cuts + cuts, seed + 1);
        assert!(
            seed < 100 || num_cuts as u64 > seed / 10,
            "faults no longer meet calls: {num_cuts} cuts in {seed} lives"
        );
    }
    println!("journal: {num_cuts} power cuts in the middle of a call, seeds 0 to {}, {acknowledged} commits", seed - 1);
    assert!(acknowledged as u64 > 5 * seed, "the test must get something done: {acknowledged}");
}
