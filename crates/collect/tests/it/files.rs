//! Files that grow, are rotated, truncated, and read on after a restart.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use moneta_collect::{RecordStart, start_files};
use moneta_ports::Metric;

use crate::compliance::{Given, assert_source_compliance};
use crate::fixture::{Fixture, append, gzip, text_of};

fn syslog(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("Jun 15 11:59:00 host1 app[{number}]: line {number}")).collect()
}

fn given(records: &[String]) -> Given<'_> {
    Given { table: "Syslog", column: "_Raw", records, quarantined: 0 }
}

#[tokio::test]
async fn lines_are_stored_as_they_come_and_an_unfinished_one_waits() {
    let fixture = Fixture::new();
    fixture.append_lines("app.log", &syslog(0..100));
    let collector = fixture.follow("*.log");
    fixture.sink.until_records(100).await;
    std::fs::OpenOptions::new()
        .append(true)
        .open(fixture.path("app.log"))
        .unwrap()
        .write_all(b"Jun 15 11:59:00 host1 app[100]:")
        .unwrap();
    fixture.append_lines("app.log", &[" line 100".to_owned()]);
    fixture.append_lines("app.log", &syslog(101..200));
    fixture.sink.until_records(200).await;
    assert!(fixture.sink.column("Syslog", "_Delivery").iter().all(|delivery| delivery == "exactly-once"));
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..200))).await;
}

#[tokio::test]
async fn after_a_restart_reading_goes_on_where_it_was_stored() {
    let fixture = Fixture::new();
    fixture.append_lines("app.log", &syslog(0..50));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(50).await;
    collector.stop().await;
    fixture.append_lines("app.log", &syslog(50..80));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(80).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("Syslog", "_Raw"), syslog(0..80));
}

#[tokio::test]
async fn a_renamed_file_is_read_to_its_end_before_the_new_one() {
    let fixture = Fixture::new();
    fixture.append_lines("app.log", &syslog(0..10));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(10).await;
    std::fs::rename(fixture.path("app.log"), fixture.path("app.log.1")).unwrap();
    fixture.append_lines("app.log.1", &syslog(10..20));
    fixture.append_lines("app.log", &syslog(20..30));
    fixture.sink.until_records(30).await;
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..30))).await;
}

#[tokio::test]
async fn a_file_rotated_while_nothing_ran_is_read_to_its_end() {
    let fixture = Fixture::new();
    fixture.append_lines("app.log", &syslog(0..10));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(10).await;
    collector.stop().await;
    fixture.append_lines("app.log", &syslog(10..15));
    std::fs::rename(fixture.path("app.log"), fixture.path("app.log.1")).unwrap();
    fixture.append_lines("app.log", &syslog(15..25));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(25).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("Syslog", "_Raw"), syslog(0..25));
}

/// Writes lines to a file that was written last so many seconds after 2026 began.
fn write_at(fixture: &Fixture, name: &str, lines: &[String], seconds: u64) {
    fixture.append_lines(name, lines);
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + seconds);
    std::fs::File::options().append(true).open(fixture.path(name)).unwrap().set_modified(written).unwrap();
}

fn rename(fixture: &Fixture, from: &str, to: &str) {
    std::fs::rename(fixture.path(from), fixture.path(to)).unwrap();
}

#[tokio::test]
async fn every_file_rotated_while_nothing_ran_is_read_in_order() {
    let fixture = Fixture::new();
    // Older than what is followed, not of this name, or written later without being a rotation: never read.
    write_at(&fixture, "app.log.9", &syslog(900..910), 1);
    write_at(&fixture, "app.log.old", &syslog(900..910), 40);
    write_at(&fixture, "other.log.1", &syslog(900..910), 40);
    write_at(&fixture, "app.log", &syslog(0..10), 10);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(10).await;
    collector.stop().await;
    write_at(&fixture, "app.log", &syslog(10..15), 20);
    rename(&fixture, "app.log", "app.log.3");
    write_at(&fixture, "app.log.2", &syslog(15..20), 30);
    write_at(&fixture, "app.log.1", &syslog(20..25), 50);
    fixture.write("app.log.4", "");
    write_at(&fixture, "app.log", &syslog(25..30), 60);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(20).await;
    // Stopped in between, it goes on in between.
    collector.stop().await;
    let collector = fixture.follow("app.log");
    fixture.exactly(30).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("Syslog", "_Raw"), syslog(0..30));
}

#[tokio::test]
async fn files_rotated_faster_than_they_are_let_go_are_read_in_order() {
    let fixture = Fixture::new();
    write_at(&fixture, "app.log", &syslog(0..10), 10);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(10).await;
    rename(&fixture, "app.log", "app.log.2");
    write_at(&fixture, "app.log.1", &syslog(10..20), 20);
    write_at(&fixture, "app.log", &syslog(20..30), 30);
    fixture.sink.until_records(30).await;
    // The last of them goes and another comes, as ever.
    rename(&fixture, "app.log", "app.log.0");
    write_at(&fixture, "app.log", &syslog(30..40), 40);
    fixture.exactly(40).await;
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..40))).await;
}

/// A file that has its name, its lines and its time at once.
fn appear(fixture: &Fixture, name: &str, text: &str, seconds: u64) {
    fixture.write("hidden", text);
    write_at(fixture, "hidden", &[], seconds);
    rename(fixture, "hidden", name);
}

#[tokio::test]
async fn what_is_rotated_while_the_successor_is_empty_is_read_in_order_and_to_its_last_byte() {
    let fixture = Fixture::new();
    write_at(&fixture, "app.log", &syslog(0..10), 10);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(10).await;
    rename(&fixture, "app.log", "app.log.4");
    appear(&fixture, "app.log", "", 11);
    // Longer than what was rotated away is read on.
    tokio::time::sleep(Duration::from_secs(4)).await;
    appear(&fixture, "app.log.3", &text_of(&syslog(10..20)), 20);
    appear(&fixture, "app.log.2", text_of(&syslog(20..21)).trim_end(), 30);
    appear(&fixture, "app.log.1", &text_of(&syslog(21..30)), 40);
    appear(&fixture, "app.log", &text_of(&syslog(30..40)), 50);
    fixture.exactly(40).await;
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..40))).await;
}

#[tokio::test]
async fn a_truncated_file_begins_anew_even_with_the_same_first_line() {
    let fixture = Fixture::new();
    let first = syslog(0..20);
    fixture.append_lines("app.log", &first);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(20).await;
    std::fs::write(fixture.path("app.log"), "").unwrap();
    let again = [syslog(0..1), syslog(30..35)].concat();
    fixture.append_lines("app.log", &again);
    fixture.sink.until_records(26).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("Syslog", "_Raw"), [first, again].concat());
    // The new life is known after a restart, too.
    fixture.append_lines("app.log", &syslog(35..40));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(31).await;
    collector.stop().await;
    assert_eq!(fixture.sink.num_records(), 31);
}

/// What `gzip` makes of a file: another file, of the same time.
fn compress(fixture: &Fixture, name: &str, packed: &str, pack: fn(&str) -> Vec<u8>) {
    let path = fixture.path(name);
    let written = std::fs::metadata(&path).unwrap().modified().unwrap();
    fixture.write(packed, pack(&std::fs::read_to_string(&path).unwrap()));
    std::fs::File::options().append(true).open(fixture.path(packed)).unwrap().set_modified(written).unwrap();
    std::fs::remove_file(path).unwrap();
}

/// What logrotate does with `copytruncate`.
fn copy_and_truncate(fixture: &Fixture, copy: &str) {
    std::fs::copy(fixture.path("app.log"), fixture.path(copy)).unwrap();
    fixture.write("app.log", "");
}

fn dropped(fixture: &Fixture, reason: &str) -> u64 {
    fixture.intake.metrics.labelled_value(Metric::CollectDropped, reason)
}

/// Follows `app.log` to its end, and stops.
async fn read_and_stop(fixture: &Fixture, lines: std::ops::Range<usize>) {
    fixture.append_lines("app.log", &syslog(lines.clone()));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(lines.end).await;
    collector.stop().await;
}

#[tokio::test]
async fn files_rotated_and_compressed_while_nothing_ran_are_read_to_their_end_in_order() {
    let fixture = Fixture::new();
    read_and_stop(&fixture, 0..10).await;
    write_at(&fixture, "app.log", &syslog(10..15), 20);
    rename(&fixture, "app.log", "app.log.3");
    compress(&fixture, "app.log.3", "app.log.3.gz", gzip);
    write_at(&fixture, "app.log.2", &syslog(15..20), 30);
    compress(&fixture, "app.log.2", "app.log.2.gz", gzip);
    write_at(&fixture, "app.log.1", &syslog(20..25), 40);
    write_at(&fixture, "app.log", &syslog(25..30), 50);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(18).await;
    // Stopped in between, it goes on in between.
    collector.stop().await;
    let collector = fixture.follow("app.log");
    fixture.exactly(30).await;
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..30))).await;
}

#[tokio::test]
async fn a_file_copied_and_truncated_while_nothing_ran_is_read_to_its_end() {
    for compressed in [false, true] {
        let fixture = Fixture::new();
        read_and_stop(&fixture, 0..10).await;
        fixture.append_lines("app.log", &syslog(10..15));
        copy_and_truncate(&fixture, "app.log.1");
        if compressed {
            compress(&fixture, "app.log.1", "app.log.1.gz", gzip);
        }
        // Before there is a line of the next life, too.
        let collector = fixture.follow("app.log");
        fixture.exactly(15).await;
        fixture.append_lines("app.log", &syslog(15..25));
        fixture.sink.until_records(25).await;
        collector.stop().await;
        // Not read again, and read on.
        fixture.append_lines("app.log", &syslog(25..30));
        let collector = fixture.follow("app.log");
        fixture.exactly(30).await;
        assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..30))).await;
    }
}

#[tokio::test]
async fn lines_written_between_the_last_look_and_a_truncation_are_read_from_the_copy() {
    let fixture = Fixture::new();
    fixture.append_lines("app.log", &syslog(0..10));
    // The same first line, of an earlier life.
    write_at(&fixture, "app.log.2", &syslog(0..20), 1);
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(10).await;
    fixture.append("app.log", "Jun 15 11:59:00 host1 ");
    tokio::time::sleep(Duration::from_millis(100)).await;
    for round in 1..4 {
        let begin = round * 10;
        let next = syslog(begin..begin + 5);
        // What is at the end of the file already begins the first of them.
        let text =
            if round == 1 { text_of(&next)["Jun 15 11:59:00 host1 ".len()..].to_owned() } else { text_of(&next) };
        fixture.append("app.log", text);
        copy_and_truncate(&fixture, "app.log.1");
        fixture.append_lines("app.log", &syslog(begin + 5..begin + 10));
        fixture.exactly(begin + 10).await;
    }
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..40))).await;
}

#[tokio::test]
async fn what_may_be_lost_is_counted_and_reading_goes_on() {
    // Gone with what was unread.
    let fixture = Fixture::new();
    read_and_stop(&fixture, 0..10).await;
    fixture.append_lines("app.log", &syslog(900..903));
    std::fs::remove_file(fixture.path("app.log")).unwrap();
    fixture.append_lines("app.log", &syslog(10..20));
    let collector = fixture.follow("app.log");
    fixture.exactly(20).await;
    assert_eq!(dropped(&fixture, "file_gone"), 1);
    // Truncated without a copy, while it is followed.
    fixture.append("app.log", "unfinished");
    tokio::time::sleep(Duration::from_millis(100)).await;
    fixture.write("app.log", "");
    fixture.append_lines("app.log", &syslog(20..25));
    fixture.exactly(26).await;
    collector.stop().await;
    assert_eq!(dropped(&fixture, "file_truncated"), 1);
    // And while nothing ran.
    fixture.write("app.log", "");
    fixture.append_lines("app.log", &syslog(25..27));
    let collector = fixture.follow("app.log");
    fixture.exactly(28).await;
    collector.stop().await;
    assert_eq!((dropped(&fixture, "file_gone"), dropped(&fixture, "file_truncated")), (2, 1));
    let source = format!("file/{}", fixture.path("app.log").display());
    assert_eq!(fixture.intake.metrics.labelled_values(Metric::CollectSourceDropped), [(source, 3)]);
}

#[tokio::test]
async fn a_compressed_file_that_is_damaged_costs_its_rest_and_is_counted() {
    let fixture = Fixture::new();
    read_and_stop(&fixture, 0..10).await;
    write_at(&fixture, "app.log", &syslog(10..2_000), 20);
    rename(&fixture, "app.log", "app.log.2");
    compress(&fixture, "app.log.2", "app.log.2.gz", gzip);
    let whole = std::fs::read(fixture.path("app.log.2.gz")).unwrap();
    let packed = std::fs::File::options().write(true).open(fixture.path("app.log.2.gz")).unwrap();
    packed.set_len(whole.len() as u64 - 100).unwrap();
    let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_225_600 + 20);
    packed.set_modified(written).unwrap();
    write_at(&fixture, "app.log.1", &syslog(3_000..3_005), 30);
    compress(&fixture, "app.log.1", "app.log.1.xz", |_| b"\xfd7zXZ\0rest".to_vec());
    write_at(&fixture, "app.log", &syslog(4_000..4_005), 40);
    let collector = fixture.follow("app.log");
    let is_last =
        |sink: &crate::sink::RecordingSink| sink.column("Syslog", "_Raw").last() == syslog(4_004..4_005).last();
    fixture.sink.until("the newest line", is_last).await;
    collector.stop().await;
    let stored = fixture.sink.column("Syslog", "_Raw");
    assert!(stored.len() > 15 && stored.contains(&syslog(10..11)[0]), "{}", stored.len());
    assert_eq!(dropped(&fixture, "file_unreadable"), 2);
}

#[tokio::test]
async fn text_of_no_known_format_is_stored_with_its_file() {
    let fixture = Fixture::new();
    let lines = ["2026-06-15 11:00:00 status installed x 1.0".to_owned(), "plain words".to_owned()];
    fixture.append_lines("words.log", &lines);
    let collector = fixture.follow("*.log");
    fixture.sink.until_records(2).await;
    assert_eq!(fixture.sink.column("TextLog_CL", "Message"), lines);
    let path = fixture.path("words.log").display().to_string();
    assert_eq!(fixture.sink.column("TextLog_CL", "FilePath"), [path.clone(), path]);
    let given = Given { table: "TextLog_CL", column: "_Raw", records: &lines, quarantined: 0 };
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given).await;
}

#[tokio::test]
async fn the_last_record_of_a_log_at_rest_is_not_kept_waiting_for_the_next() {
    let fixture = Fixture::new();
    let record = |kind: &str, serial: u32| {
        format!("type={kind} msg=audit(1780300800.125:{serial}): pid=7 uid=0 exe=\"/bin/su\"")
    };
    fixture.append_lines("audit.log", &[record("SYSCALL", 41), record("PROCTITLE", 41)]);
    let collector = fixture.follow("audit.log");
    fixture.sink.until_records(1).await;
    fixture.append_lines("audit.log", &[record("SYSCALL", 42), record("EOE", 42), record("SYSCALL", 44)]);
    fixture.exactly(3).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("LinuxAudit_CL", "RecordTypes"), ["SYSCALL,PROCTITLE", "SYSCALL", "SYSCALL"]);
    // What is stored so is not read again.
    let collector = fixture.follow("audit.log");
    fixture.exactly(3).await;
    collector.stop().await;
}

#[tokio::test]
async fn binary_files_and_archives_are_left_alone() {
    let fixture = Fixture::new();
    std::fs::write(fixture.path("wtmp"), [vec![8, 0, 0, 0], vec![b'x'; 400]].concat()).unwrap();
    std::fs::write(fixture.path("old.log.gz"), b"\x1f\x8b\x08\x00rest").unwrap();
    fixture.append_lines("a", &syslog(0..1));
    let collector = fixture.follow("*");
    fixture.sink.until_records(1).await;
    collector.stop().await;
    assert_eq!(fixture.sink.tables(), ["Syslog"]);
}

#[tokio::test]
async fn long_and_damaged_lines_are_quarantined_and_reading_goes_on() {
    let fixture = Fixture::new();
    fixture.append_lines("words.log", &["first words".to_owned(), "x".repeat(2 << 20)]);
    let mut file = std::fs::OpenOptions::new().append(true).open(fixture.path("words.log")).unwrap();
    file.write_all(b"bad \xff bytes\n").unwrap();
    fixture.append_lines("words.log", &["last words".to_owned()]);
    let collector = fixture.follow("*.log");
    fixture.sink.until_records(4).await;
    let codes: Vec<_> = fixture.sink.quarantined().iter().map(|record| record.reason_code).collect();
    assert_eq!(codes, ["too_long", "invalid_utf8"]);
    let records = ["first words".to_owned(), "last words".to_owned()];
    let given = Given { table: "TextLog_CL", column: "_Raw", records: &records, quarantined: 2 };
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given).await;
}

#[tokio::test]
async fn a_busy_sink_costs_no_line() {
    let fixture = Fixture::new();
    fixture.sink.refuse(3);
    fixture.append_lines("app.log", &syslog(0..20_000));
    let collector = fixture.follow("app.log");
    fixture.sink.until_records(20_000).await;
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..20_000))).await;
}

#[tokio::test]
async fn lines_that_are_refused_for_good_are_counted_under_the_source_of_the_rows() {
    let fixture = Fixture::new();
    // A name that is too long for a producer's.
    let name = format!("{}/{}/app.log", "a".repeat(150), "b".repeat(150));
    fixture.sink.refuse_for_good(1);
    fixture.append_lines(&name, &syslog(0..7));
    let collector = fixture.follow(&name);
    fixture.sink.until("a refusal", |sink| sink.submissions() == 1).await;
    fixture.append_lines(&name, &syslog(7..10));
    fixture.sink.until_records(3).await;
    let counted = fixture.intake.metrics.labelled_values(Metric::CollectSourceDropped);
    assert_eq!(counted, [(fixture.sink.column("Syslog", "_Source")[0].clone(), 7)]);
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..10))).await;
}

#[tokio::test]
async fn archives_are_read_once_where_they_are_named_and_passed_over_where_not() {
    let fixture = Fixture::new();
    fixture.write("old.log.1.gz", gzip(&text_of(&syslog(0..20))));
    fixture.append_lines("app.log", &syslog(20..30));
    let collector = fixture.follow("*");
    fixture.exactly(10).await;
    collector.stop().await;
    let fixture = Fixture::new();
    fixture.write("old.log.1.gz", gzip(&text_of(&syslog(0..20_000))));
    fixture.append_lines("app.log", &syslog(0..10));
    let collector = fixture.follow("*.gz");
    fixture.exactly(20_000).await;
    collector.stop().await;
    fixture.write("old.log.2.gz", gzip(&text_of(&syslog(20_000..20_010))));
    let collector = fixture.follow("*.gz");
    fixture.exactly(20_010).await;
    let source = format!("file/{}", fixture.path("old.log.2.gz").display());
    assert_eq!(fixture.sink.column("Syslog", "_Source").last(), Some(&source));
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given(&syslog(0..20_010))).await;
}

#[tokio::test]
async fn a_w3c_log_is_understood_after_a_restart_in_its_middle() {
    let fixture = Fixture::new();
    let line = |number: usize| format!("2026-06-15 11:00:00 10.0.0.1 GET /page{number} 200");
    let header = [
        "#Software: Microsoft Internet Information Services 10.0",
        "#Fields: date time s-ip cs-method cs-uri-stem sc-status",
    ];
    fixture.append_lines("web.log", &header.map(str::to_owned));
    fixture.append_lines("web.log", &(0..5).map(line).collect::<Vec<_>>());
    let collector = fixture.follow("web.log");
    fixture.sink.until_records(5).await;
    collector.stop().await;
    fixture.append_lines("web.log", &(5..8).map(line).collect::<Vec<_>>());
    let collector = fixture.follow("web.log");
    fixture.sink.until_records(8).await;
    collector.stop().await;
    let pages: Vec<String> = (0..8).map(|number| format!("/page{number}")).collect();
    assert_eq!(fixture.sink.column("W3CIISLog", "csUriStem"), pages);
}

#[tokio::test]
async fn lines_of_a_declared_form_go_to_their_table() {
    let mut fixture = Fixture::new();
    let own = "[[mapping]]\nname = 'shop'\nabout = 'x'\nline = '{at} order={id}'\ntable = 'Shop_CL'\ntime = 'at'\n";
    let mappings = moneta_formats::Mappings::with_built_in(&[("own.toml", own)]).unwrap();
    fixture.intake.mappings = Arc::new(mappings);
    let lines: Vec<String> = (0..50).map(|number| format!("2026-06-15T11:00:00Z order={number}")).collect();
    fixture.append_lines("shop.log", &lines);
    let collector = fixture.follow("*.log");
    fixture.sink.until_records(50).await;
    assert_eq!(fixture.sink.column("Shop_CL", "id")[49], "49");
    let given = Given { table: "Shop_CL", column: "_Raw", records: &lines, quarantined: 0 };
    assert_source_compliance(&fixture.sink, &fixture.intake, collector, &given).await;
}

fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[tokio::test]
async fn utf_16_with_and_without_a_mark_is_followed_over_restarts() {
    for (mark, big) in [(&[0xff, 0xfe][..], false), (&[0xfe, 0xff], true), (&[], false), (&[], true)] {
        let fixture = Fixture::new();
        let message = |number: usize| format!("2026-06-15 11:00:{number:02}.00 spid5s      Größe {number} 😀\r\n");
        let text = |numbers: std::ops::Range<usize>| utf16(&numbers.map(message).collect::<String>(), big);
        let path = fixture.path("words.log");
        append(&path, [mark, &text(0..20)].concat());
        let collector = fixture.follow("*.log");
        // The last message of this format ends with the next one's beginning, or with its file.
        fixture.sink.until_records(19).await;
        append(&path, text(20..30));
        fixture.sink.until_records(29).await;
        collector.stop().await;
        append(&path, text(30..33));
        let collector = fixture.follow("*.log");
        fixture.sink.until_records(32).await;
        collector.stop().await;
        let messages = fixture.sink.column("SqlErrorLog_CL", "Message");
        let expected: Vec<String> = (0..32).map(|number| format!("Größe {number} 😀")).collect();
        assert_eq!(messages, expected, "{mark:?} {big}");
        assert!(fixture.sink.quarantined().is_empty());
    }
}

#[tokio::test]
async fn a_code_page_is_read_where_it_is_set_and_is_damage_where_not() {
    let fixture = Fixture::new();
    append(&fixture.path("words.log"), b"Gr\xfc\xdfe aus M\xfcnchen\nplain\n");
    let options = fixture.file_options("*.log");
    assert!(options.clone().with_encoding("klingon").unwrap_err().to_string().contains("klingon"));
    let set = options.with_encoding("windows-1252").unwrap();
    let collector = start_files(fixture.intake.clone(), fixture.resume(), set).unwrap();
    fixture.sink.until_records(2).await;
    append(&fixture.path("words.log"), b"\xa9 Ende\n");
    fixture.sink.until_records(3).await;
    collector.stop().await;
    assert_eq!(fixture.sink.column("TextLog_CL", "Message"), ["Grüße aus München", "plain", "© Ende"]);

    let fixture = Fixture::new();
    append(&fixture.path("words.log"), b"Gr\xfc\xdfe aus M\xfcnchen\nplain\n");
    let collector = fixture.follow("*.log");
    fixture.sink.until_records(2).await;
    collector.stop().await;
    assert_eq!(fixture.sink.quarantined()[0].reason_code, "invalid_utf8");
}

#[tokio::test]
async fn records_that_span_lines_are_one_row_also_over_a_restart() {
    let fixture = Fixture::new();
    let record = |number: usize| {
        let time = format!("2026-06-15 11:00:{number:02}");
        format!("{time} ERROR request {number} failed\njava.lang.IllegalStateException: no\n\tat a.B.c(B.java:7)")
    };
    let start = || {
        let mut options = fixture.file_options("*.log");
        let own = fixture.path("app*.log").display().to_string();
        options.records = vec![RecordStart::new(&own, r"^\d{4}-\d{2}-\d{2} ").unwrap()];
        start_files(fixture.intake.clone(), fixture.resume(), options).unwrap()
    };
    fixture.append_lines("app.log", &(0..20).map(record).collect::<Vec<_>>());
    fixture.append_lines("other.log", &[record(0)]);
    let collector = start();
    // 19 records are ended by the next one; the lines of the other file are three records.
    fixture.sink.until_records(22).await;
    collector.stop().await;
    fixture.append_lines("app.log", &["\tat a.D.e(D.java:9)".to_owned(), record(20)]);
    let collector = start();
    // The last one ends by itself, after a while.
    fixture.sink.until_records(24).await;
    collector.stop().await;
    let mut expected: Vec<String> = (0..=20).map(record).collect();
    expected[19].push_str("\n\tat a.D.e(D.java:9)");
    let texts = fixture.sink.column("TextLog_CL", "Message");
    let mut records: Vec<_> = texts.into_iter().filter(|text| text.contains('\n')).collect();
    records.sort();
    expected.sort();
    assert_eq!(records, expected);
    assert!(RecordStart::new("*.log", "(").unwrap_err().to_string().contains("begins"));
}

#[tokio::test]
async fn a_file_that_is_gone_for_long_is_forgotten_and_one_without_room_waits_alone() {
    let fixture = Fixture::new();
    fixture.sink.remember_at_most(2);
    let lines = |word: &str| (0..3).map(|n| format!("{word} {n}")).collect::<Vec<_>>();
    fixture.append_lines("a.log", &lines("a"));
    fixture.append_lines("b.log", &lines("b"));
    let options = moneta_collect::FileOptions {
        absent_for: std::time::Duration::from_millis(300),
        ..fixture.file_options("*.log")
    };
    let collector = moneta_collect::start_files(fixture.intake.clone(), fixture.resume(), options).unwrap();
    fixture.exactly(6).await;
    fixture.append_lines("c.log", &lines("c"));
    fixture.append_lines("b.log", &lines("more"));
    fixture.exactly(9).await;
    std::fs::remove_file(fixture.path("a.log")).unwrap();
    fixture.exactly(12).await;
    collector.stop().await;
    assert_eq!(fixture.sink.marks_beginning_with("collect/file/").len(), 2);
}
