//! Two simulated days of 200 sources: one to learn, and one in which some are cut, thinned or lose records.
//!
//! Rates swing over the day, wander from minute to minute and burst, so that chance alone looks like trouble at times.

use std::collections::BTreeMap;

use moneta_base::Timestamp;
use moneta_ports::{Alarm, AlarmKind, SourceStatus};
use moneta_testkit::Random;

use super::book::Book;
use super::facets::FACETS;
use super::observe::Observation;

/// Thursday, 2026-01-01T00:00:00Z.
const START: i64 = 1_767_225_600;
const DAY: i64 = 86_400;
const STEP: i64 = 30;
const SOURCES: usize = 200;
/// Sources that send one record a minute.
const REGULAR: usize = 40;
/// Sources whose records bear numbers.
const NUMBERED: usize = 30;
/// Within what time trouble must be told of.
const FOUND_SECONDS: i64 = 300;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    Cut,
    Halved,
    Gapped,
}

struct Source {
    name: String,
    /// Records a second, the mean of the day.
    rate: f64,
    swing: f64,
    phase: f64,
    wander: f64,
    burst_until: i64,
    is_regular: bool,
    number: Option<u64>,
    fault: Option<(Fault, i64)>,
}

struct World {
    random: Random,
    sources: Vec<Source>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let sources = (0..SOURCES).map(|index| source(index, &mut random)).collect();
        let mut world = Self { random, sources };
        // 8 cut (4 of them regular), 6 halved, 6 with lost records, at any time of the second day.
        let faulty = [(Fault::Cut, 0..4), (Fault::Cut, 40..44), (Fault::Halved, 80..86), (Fault::Gapped, 160..166)];
        for (fault, indices) in faulty {
            for index in indices {
                let at = START + DAY + i64::try_from(world.random.below(80_000)).unwrap() + 3_000;
                world.sources[index].fault = Some((fault, at));
            }
        }
        world
    }

    /// The records of all sources in the `STEP` seconds before `now`.
    fn step(&mut self, now: i64) -> Vec<Observation> {
        let random = &mut self.random;
        self.sources.iter_mut().filter_map(|source| source.step(now, random)).collect()
    }
}

fn source(index: usize, random: &mut Random) -> Source {
    let is_regular = index < REGULAR;
    let is_numbered = (160..160 + NUMBERED).contains(&index);
    Source {
        name: format!("syslog/tcp/192.0.2.{index}"),
        // From 2 to 20 a second, evenly by their logarithm; those that bear numbers send less.
        rate: if is_numbered { 0.5 } else { 2.0 * 10f64.powf(unit(random)) },
        swing: 0.5 * unit(random),
        phase: unit(random),
        wander: 1.0,
        burst_until: 0,
        is_regular,
        number: is_numbered.then_some(1),
        fault: None,
    }
}

impl Source {
    fn step(&mut self, now: i64, random: &mut Random) -> Option<Observation> {
        let mut count = if self.is_regular { u64::from(now % 60 == 0) } else { self.draw(now, random) };
        let mut numbers = Vec::new();
        match self.fault {
            Some((Fault::Cut, at)) if now >= at => count = 0,
            Some((Fault::Halved, at)) if now >= at => {
                count = (0..count).map(|_| u64::from(random.chance(2))).sum();
            }
            Some((Fault::Gapped, at)) if (at..at + STEP).contains(&now) => {
                let lost = 1 + random.below(20) as u64;
                self.number = self.number.map(|number| number + lost);
            }
            _ => {}
        }
        if let Some(number) = &mut self.number {
            numbers.push(("sequenceId".to_owned(), (*number..*number + count).collect()));
            *number += count;
        }
        let delay = 0.5 + unit(random);
        #[expect(clippy::cast_precision_loss, reason = "a simulated count")]
        let lateness_sum = delay * count as f64;
        (count > 0).then(|| Observation {
            source: self.name.clone(),
            table: "Syslog".to_owned(),
            received: Timestamp::from_seconds(now),
            records: count,
            freshest: delay,
            lateness_sum,
            filled: [count; FACETS],
            numbers,
            ..Observation::default()
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "seconds of two days")]
    fn draw(&mut self, now: i64, random: &mut Random) -> u64 {
        let turn = (now - START) as f64 / DAY as f64 + self.phase;
        let usual = self.rate * (1.0 + self.swing * (turn * std::f64::consts::TAU).sin());
        // A slow wander of some 4 %, drawn back to 1.
        self.wander += 0.01 * normal(random) - 0.04 * (self.wander - 1.0);
        if random.chance(5_000) {
            self.burst_until = now + 120;
        }
        let burst = if now < self.burst_until { 5.0 } else { 1.0 };
        poisson(usual * self.wander.max(0.1) * burst * STEP as f64, random)
    }
}

#[expect(clippy::cast_precision_loss, reason = "53 bits are taken")]
fn unit(random: &mut Random) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Box and Muller's.
fn normal(random: &mut Random) -> f64 {
    let (radius, angle) = (unit(random).max(1e-300), unit(random));
    (-2.0 * radius.ln()).sqrt() * (angle * std::f64::consts::TAU).cos()
}

/// Knuth's for small means, the normal approximation for others.
fn poisson(mean: f64, random: &mut Random) -> u64 {
    if mean > 30.0 {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "rounded and not negative")]
        return (mean + mean.sqrt() * normal(random)).round().max(0.0) as u64;
    }
    let (limit, mut product, mut count) = ((-mean).exp(), unit(random), 0);
    while product > limit {
        product *= unit(random);
        count += 1;
    }
    count
}

fn run(seed: u64) -> (World, Vec<(i64, Alarm)>) {
    let (mut world, mut book, mut alarms) = (World::new(seed), Book::default(), Vec::new());
    for now in (START + STEP..=START + 2 * DAY).step_by(usize::try_from(STEP).unwrap()) {
        world.step(now).iter().for_each(|seen| book.observe(seen));
        alarms.extend(book.tick(Timestamp::from_seconds(now)).into_iter().map(|alarm| (now, alarm)));
    }
    (world, alarms)
}

fn wanted(fault: Fault, kind: AlarmKind) -> bool {
    match fault {
        Fault::Cut => kind == AlarmKind::SourceSilent,
        Fault::Halved => kind == AlarmKind::SourceThinned,
        Fault::Gapped => kind == AlarmKind::SourceGapped,
    }
}

#[test]
fn t8_of_200_sources_all_20_in_trouble_are_told_of_in_five_minutes_and_no_more_than_one_else() {
    let (world, alarms) = run(1);
    let mut told: BTreeMap<&str, Vec<(i64, AlarmKind)>> = BTreeMap::new();
    for (at, alarm) in &alarms {
        let name = alarm.subject.rsplit(' ').next().unwrap();
        told.entry(name).or_default().push((*at, alarm.kind));
    }
    let mut explained = 0;
    for source in &world.sources {
        let Some((fault, since)) = source.fault else { continue };
        let heard = told.get(source.name.as_str()).map_or(&[][..], Vec::as_slice);
        let found = heard.iter().find(|(at, kind)| *at >= since && wanted(fault, *kind));
        let delay = found.map(|(at, _)| at - since);
        assert!(
            delay.is_some_and(|delay| delay <= FOUND_SECONDS),
            "{} {fault:?} at {since} ({:.1}/s): told {heard:?}",
            source.name,
            source.rate
        );
        explained += heard.iter().filter(|(at, _)| *at >= since).count();
    }
    assert!(alarms.len() - explained <= 1, "{alarms:#?}");
}

#[test]
fn a_book_that_was_kept_goes_on_as_if_nothing_had_been() {
    let (mut world, mut book) = (World::new(7), Book::default());
    for now in (START + STEP..=START + DAY / 4).step_by(usize::try_from(STEP).unwrap()) {
        world.step(now).iter().for_each(|seen| book.observe(seen));
        book.tick(Timestamp::from_seconds(now));
    }
    let kept = Book::read(&book.write()).unwrap();
    let now = Timestamp::from_seconds(START + DAY / 4);
    assert_eq!(kept.quality(now), book.quality(now));
    for (one, other) in kept.status(now).iter().zip(book.status(now)) {
        // JSON keeps all but the last digit of a fraction.
        assert!((one.records_per_minute - other.records_per_minute).abs() < 1e-6);
        let other = SourceStatus {
            records_per_minute: one.records_per_minute,
            lateness_seconds: one.lateness_seconds,
            lag_seconds: one.lag_seconds,
            ..other
        };
        assert_eq!(*one, other);
    }
    assert!(Book::read(br#"{"version":2,"next":{},"entries":[],"losses":{}}"#).unwrap_err().contains("newer"));
    assert!(Book::read(b"{").is_err());
}

#[test]
fn a_standstill_of_moneta_itself_is_no_silence() {
    let (mut world, mut book) = (World::new(9), Book::default());
    world.sources.iter_mut().for_each(|source| source.fault = None);
    let mut alarms = Vec::new();
    for now in (START + STEP..=START + DAY + DAY / 4).step_by(usize::try_from(STEP).unwrap()) {
        let is_down = (START + DAY + 7_200..START + DAY + 9_000).contains(&now);
        let seen = world.step(now);
        if !is_down {
            seen.iter().for_each(|seen| book.observe(seen));
            alarms.extend(book.tick(Timestamp::from_seconds(now)));
        }
    }
    // Records that came meanwhile are missing, and that is told; nobody was silent.
    assert!(alarms.iter().all(|alarm| alarm.kind == AlarmKind::SourceGapped), "{alarms:#?}");
}

#[test]
fn late_sources_and_fast_clocks_are_told_once_and_end() {
    let mut book = Book::default();
    let mut told = Vec::new();
    for minute in 0..3 * 1_440i64 {
        let now = Timestamp::from_seconds(START + minute * 60);
        let freshest = match minute {
            2_000..2_100 => 900.0,
            2_500..2_600 => -3_600.0,
            _ => 2.0,
        };
        let mut seen = Observation {
            source: "s".to_owned(),
            table: "Syslog".to_owned(),
            received: now,
            records: 60,
            freshest,
            lateness_sum: 60.0 * freshest,
            ..Observation::default()
        };
        seen.computer = "web-1".to_owned();
        book.observe(&seen);
        told.extend(book.tick(now).into_iter().map(|alarm| (minute, alarm.kind)));
    }
    let kinds: Vec<_> = told.iter().map(|(_, kind)| *kind).collect();
    assert_eq!(kinds, [AlarmKind::SourceLate, AlarmKind::SourceClock], "{told:?}");
    assert!((2_002..2_006).contains(&told[0].0) && (2_502..2_506).contains(&told[1].0), "{told:?}");
    assert_eq!(book.counts(), (1, 0));
}

#[test]
fn quarantined_and_dropped_records_are_listed_by_source() {
    let mut book = Book::default();
    let now = Timestamp::from_seconds(START);
    let seen = Observation {
        source: "s".to_owned(),
        table: "Syslog".to_owned(),
        received: now,
        records: 2,
        ..Default::default()
    };
    book.observe(&seen);
    book.observe(&Observation { table: "Quarantine".to_owned(), is_quarantine: true, ..seen });
    book.note_losses("syslog-udp", 0, 5, now);
    let listed: Vec<_> = book
        .status(now)
        .into_iter()
        .map(|one| (one.source, one.state, one.num_records, one.num_quarantined, one.num_dropped))
        .collect();
    let expected = [("s", "learning", 2, 2, 0), ("syslog-udp", "lost", 0, 0, 5)];
    assert_eq!(listed, expected.map(|(s, t, a, b, c)| (s.to_owned(), t.to_owned(), a, b, c)));
}

#[test]
fn losses_are_forgotten_as_sources_are_and_old_books_say_nothing_of_when() {
    let days = |days: i64| Timestamp::from_seconds(START + days * 86_400);
    let mut book = Book::default();
    book.note_losses("a", 0, 1, days(0));
    book.note_losses("b", 0, 1, days(50));
    let sources = |book: &Book| book.status(days(0)).into_iter().map(|one| one.source).collect::<Vec<_>>();
    book.tick(days(89));
    assert_eq!(sources(&book), ["a", "b"]);
    book.tick(days(91));
    assert_eq!(sources(&book), ["b"]);
    let old = br#"{"version":1,"next":{},"entries":[],"losses":{"c":{"quarantined":1,"dropped":2}}}"#;
    let mut book = Book::read(old).unwrap();
    book.tick(days(0));
    book.tick(days(89));
    assert_eq!(sources(&book), ["c"]);
    book.tick(days(91));
    assert!(sources(&book).is_empty());
}
