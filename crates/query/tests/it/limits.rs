//! Limits, spilling, cancelling.

use std::time::{Duration, Instant};

use moneta_base::Timestamp;
use moneta_ports::{QueryEngine, QueryError, QueryRequest, ResultTable, TimeScope};
use moneta_query::{Limits, Spill};
use moneta_testkit::TestDir;

use crate::support::{Fixture, admin, kql, reader, shown};

/// How long a cancelled query may go on.
const CANCEL_MAX: Duration = Duration::from_millis(200);

/// 10^9 rows of a join that has no end within any test.
const CROSS_JOIN: &str = "let A = Steps_CL | extend k = 1 | project k, Step; \
    A | join kind=inner (A) on k | join kind=inner (A) on k | summarize sum(Step)";

#[tokio::test]
async fn options_lower_limits_and_never_raise_them() {
    let fixture = Fixture::new(Limits { rows_max: 100, ..Limits::default() });
    let cut = async |request: QueryRequest| {
        let answer = fixture.run(request).await.unwrap();
        (answer.tables[0].num_rows(), answer.truncated.map(|cut| cut.code))
    };
    let too_large = Some("E_QUERY_RESULT_SET_TOO_LARGE");
    assert_eq!(cut(kql("Steps_CL")).await, (100, too_large));
    assert_eq!(cut(kql("set truncationmaxrecords=7; Steps_CL")).await, (7, too_large));
    assert_eq!(cut(kql("set truncationmaxrecords=1000; Steps_CL")).await, (100, too_large));
    assert_eq!(cut(kql("set notruncation; Steps_CL")).await, (1_000, None));
    assert_eq!(cut(kql("set query_take_max_records=7; Steps_CL")).await, (7, None));
    assert_eq!(cut(QueryRequest { truncation_rows: Some(3), ..kql("Steps_CL") }).await, (3, too_large));
    assert_eq!(cut(QueryRequest { truncation_bytes: Some(1), ..kql("Steps_CL") }).await.1, too_large);
    assert_eq!(cut(QueryRequest { rows_max: Some(3), ..kql("Steps_CL") }).await, (3, None));
}

#[tokio::test]
async fn a_sort_larger_than_its_memory_spills_and_finishes() {
    let dir = TestDir::new();
    let spill = Spill { directory: dir.join("spill"), bytes_max: 1 << 30 };
    std::fs::create_dir_all(&spill.directory).unwrap();
    std::fs::write(spill.directory.join("left-behind"), "x").unwrap();
    let memory_per_query_bytes = 24 << 20;
    let limits =
        Limits { memory_per_query_bytes, spill: Some(spill.clone()), rows_max: usize::MAX, ..Limits::default() };
    let fixture = Fixture::new(limits);
    assert!(std::fs::read_dir(&spill.directory).unwrap().all(|entry| entry.unwrap().file_name() != "left-behind"));
    let text = "let A = Steps_CL | where Step < 300 | extend k = 1; A | join kind=inner (A) on k \
        | extend s = strcat(Text, ' of a text that is long enough to fill the memory there is ', Text1) \
        | sort by s desc, Step asc | project s, Step | serialize n = row_number() | where n % 30000 == 0";
    let answer = fixture.run(kql(text)).await.unwrap();
    assert_eq!((answer.truncated.clone(), shown(&answer).len()), (None, 3), "{:?}", answer.truncated);
    assert!(answer.memory_peak_bytes <= memory_per_query_bytes, "{}", answer.memory_peak_bytes);
}

#[tokio::test]
async fn what_cannot_get_memory_is_told_the_limit_by_its_name() {
    let fixture = Fixture::new(Limits { memory_per_query_bytes: 100_000, ..Limits::default() });
    let text = "Steps_CL | extend k = 1 | join kind=inner (Steps_CL | extend k = 1) on k | sort by Text asc, Text1 asc";
    let answer = fixture.run(kql(text)).await.unwrap();
    let cut = answer.truncated.unwrap();
    assert_eq!(cut.code, "E_RUNAWAY_QUERY");
    assert!(cut.message.contains("query.memory_per_query_bytes"), "{cut}");
    let ctx = admin();
    assert_eq!(fixture.engine.queries(&ctx)[0].state, "Completed");
}

#[tokio::test]
async fn a_query_without_end_stops_at_its_time() {
    let fixture = Fixture::new(Limits { timeout: Duration::from_millis(300), ..Limits::default() });
    let started = Instant::now();
    let error = fixture.run(kql(CROSS_JOIN)).await.unwrap_err();
    assert!(matches!(error, QueryError::Limit { code: "E_QUERY_TIMEOUT", .. }), "{error:?}");
    assert!(started.elapsed() < Duration::from_millis(300) + CANCEL_MAX, "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_query_answers_and_frees_its_place_at_once() {
    let limits = Limits { concurrency: 1, concurrency_per_principal: 1, ..Limits::default() };
    let fixture = Fixture::new(limits);
    let engine = fixture.engine.clone();
    let asked = QueryRequest { id: "mine".to_owned(), ..kql(CROSS_JOIN) };
    let query = tokio::spawn(async move { engine.query(&reader(), asked).await });
    let deadline = Instant::now() + Duration::from_secs(20);
    while fixture.engine.queries(&admin()).first().is_none_or(|query| query.state != "InProgress") {
        assert!(Instant::now() < deadline, "the query does not start");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!fixture.engine.cancel(&reader(), "other").await.unwrap());
    let started = Instant::now();
    assert!(fixture.engine.cancel(&reader(), "mine").await.unwrap());
    let error = query.await.unwrap().unwrap_err();
    assert!(matches!(&error, QueryError::Cancelled(by) if by.contains("ada")), "{error:?}");
    assert!(started.elapsed() < CANCEL_MAX, "{:?}", started.elapsed());
    assert_eq!(fixture.rows(kql("print 1")).await, ["1"]);
    assert_eq!(fixture.engine.queries(&admin())[1].state, "Cancelled");
}

#[tokio::test]
async fn every_table_is_cut_to_the_times_asked_for() {
    let fixture = Fixture::new(Limits::default());
    let scope = TimeScope { column: None, from: Timestamp::parse("2026-01-01"), to: None };
    let count = async |scope| fixture.rows(QueryRequest { time_scope: scope, ..kql("Steps_CL | count") }).await;
    assert_eq!(count(None).await, ["1000"]);
    // The rows have no time.
    assert_eq!(count(Some(scope.clone())).await, ["0"]);
    assert_eq!(count(Some(TimeScope { column: Some("None".to_owned()), ..scope })).await, ["1000"]);
}

#[tokio::test]
async fn a_given_table_is_there_for_one_query() {
    let fixture = Fixture::new(Limits::default());
    let answer = fixture.run(kql("Steps_CL | where Step < 3 | project Step")).await.unwrap();
    let given = ResultTable { name: "__answer".to_owned(), ..answer.tables[0].clone() };
    let request = QueryRequest { given: vec![given], ..kql("__answer | summarize sum(Step)") };
    assert_eq!(fixture.rows(request).await, ["3"]);
    assert!(fixture.run(kql("__answer")).await.is_err());
}
