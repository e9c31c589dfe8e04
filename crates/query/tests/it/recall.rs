//! A question that comes again over a window that moves on has the answer it has on its own, and reads what is new.

use moneta_base::Timestamp;
use moneta_ports::{QueryAnswer, QueryEngine, QueryRequest, TimeScope};
use moneta_query::Engine;

use crate::scan::{add, engine, rows, seal, start, store};
use crate::support::admin;
use crate::views::wait;

/// Questions as rules ask them: rows that pass, aggregations of every kind, joins of two windows, several tables at once.
const QUESTIONS: &[&str] = &[
    "Logs_CL | where Level == 'Error' and Size > 990 | project TimeGenerated, Request, tostring(Extra.kind) | order by Request asc",
    "Logs_CL | summarize n = count(), max(Size), avg(Size), dcount(Request), arg_max(TimeGenerated, Message) by Level | order by Level asc",
    "Logs_CL | where Message has 'duration' | summarize count(), countif(Level == 'Error'), min(TimeGenerated)",
    "Logs_CL | summarize sum(tolong(Extra.size)), levels = array_length(make_set(Level)) by bin(TimeGenerated, 1h)",
    "Logs_CL | where TimeGenerated > ago(3h) and Size == 7 | join kind=inner (Logs_CL | where TimeGenerated between (ago(6h) .. ago(1h)) | where Size == 7 | summarize before = count() by Level) on Level | summarize sum(before), count() by Level | order by Level asc",
    "let often = Logs_CL | where Size > 500 | summarize n = count() by Request | where n > 1; Logs_CL | where Size > 998 | join kind=leftanti often on Request | summarize count()",
    "union Logs_CL, (Logs_CL | where Level == 'warning') | summarize percentile(Size, 90), count() by tostring(Extra.kind), Level | order by Extra_kind asc, Level asc",
    "Logs_CL | mv-expand item = Extra.list to typeof(long) | summarize max(item), count() by Level | order by Level asc",
    "Logs_CL | make-series n = count() default = 0 on TimeGenerated step 1h by Level | order by Level asc",
    "Logs_CL | where Size == 3 | top 5 by TimeGenerated desc | project Request",
    "Logs_CL | where Level == 'nothing' | summarize count() by Request",
];

const HOUR: i64 = 3_600_000_000_000;

fn asked(engine: &Engine, text: &str, hours: (i64, i64), comes_again: bool) -> QueryAnswer {
    let at = |hours: i64| Some(Timestamp::from_nanos(start().as_nanos() + hours * HOUR));
    let time_scope = Some(TimeScope { column: None, from: at(hours.0), to: at(hours.1) });
    let request = QueryRequest { time_scope, now: at(hours.1), comes_again, ..QueryRequest::new(text) };
    wait(engine.query(&admin(), request)).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_question_that_comes_again_has_the_same_answer_whatever_was_kept_or_sealed_since() {
    let store = store(5);
    let (kept, fresh) = (engine(&store, 1 << 26), engine(&store, 0));
    // Blocks become segments and new ones come while the window moves on: 8,000 rows are somewhat over two hours.
    for end in 8..19 {
        match end {
            10 | 14 => seal(&store),
            12 => add(&store, 5..7),
            15 => add(&store, 7..9),
            _ => {}
        }
        for text in QUESTIONS {
            let again = asked(&kept, text, (end - 8, end), true);
            let once = asked(&fresh, text, (end - 8, end), false);
            assert_eq!(rows(&again), rows(&once), "until {end}: {text}");
            assert_eq!(once.completeness.pieces_recalled, 0);
        }
    }
}

#[test]
fn what_lies_within_both_windows_is_read_once() {
    let store = store(9);
    let engine = engine(&store, 0);
    let read = |text: &str, end: i64| {
        let of = asked(&engine, text, (end - 10, end), true).completeness;
        (of.rows_scanned, of.blocks_read, of.pieces_recalled)
    };
    for text in [QUESTIONS[0], QUESTIONS[1], QUESTIONS[2]] {
        // Nothing is kept of what came once. Of blocks of two hours and 13 minutes, six touch ten hours, four lie within.
        let first = read(text, 12);
        assert_eq!((first.1, first.2, read(text, 12)), (6, 0, first), "{text}");
        assert_eq!(read(text, 12), (16_000, 2, 4), "those across an end of the window are read each time: {text}");
        assert_eq!(read(text, 14), (24_000, 3, 3), "one more lies within, and is read for the first time: {text}");
        assert_eq!(read(text, 14), (16_000, 2, 4), "{text}");
    }
    // A time that stands elsewhere than between the bounds makes another question of it each time.
    let with_now = "Logs_CL | extend Age = now() - TimeGenerated | where Age > 5h | summarize max(Age)";
    (12..16).for_each(|end| assert_eq!(read(with_now, end).2, 0));
    // Nor in several partitions: here one would keep what the other asked for first.
    let whole = "Logs_CL | extend Age = now() - TimeGenerated | summarize max(Age), count() by Level";
    let wide = |end: i64| asked(&engine, whole, (-1, end), true).completeness;
    assert_eq!((21..24).map(|end| wide(end).pieces_recalled).collect::<Vec<_>>(), [0, 0, 0]);
    let steady = "Logs_CL | summarize max(Size), count() by Level";
    let steady = |end: i64| asked(&engine, steady, (-1, end), true).completeness.pieces_recalled;
    assert_eq!((21..24).map(steady).collect::<Vec<_>>(), [0, 0, 9]);
    // What is made of a block is nothing to others who ask.
    assert_eq!(asked(&engine, QUESTIONS[1], (2, 12), false).completeness.pieces_recalled, 0);
}
