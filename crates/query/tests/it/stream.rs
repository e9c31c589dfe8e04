//! Rows handed on as they come.

use std::time::{Duration, Instant};

use moneta_ports::{QueryEngine, QueryError, QueryRequest, RowStream};
use moneta_query::Limits;
use serde_json::{Map, json};

use crate::support::{Fixture, admin, kql, reader, sql};

/// A million rows of a hundred bytes, from a table of a thousand.
const MANY: &str = "let A = Steps_CL | extend k = 1; A | join kind=inner (A) on k \
    | project a = Step, b = Step1, t = strcat(Text, ' of a text that is long enough to fill what memory there is', Text1)";

async fn open(fixture: &Fixture, request: QueryRequest) -> Box<dyn RowStream> {
    fixture.engine.stream(&reader(), request).await.unwrap()
}

/// Takes all rows: their number, and the error that ended them if one did.
async fn drain(rows: &mut dyn RowStream) -> (usize, Option<QueryError>) {
    let mut count = 0;
    loop {
        match rows.next().await {
            Ok(Some(batch)) => count += batch.num_rows(),
            Ok(None) => return (count, None),
            Err(error) => return (count, Some(error)),
        }
    }
}

/// Waits until no query runs; returns what became of the last.
async fn last(fixture: &Fixture) -> moneta_ports::QueryState {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let state = fixture.engine.queries(&admin()).remove(0);
        if !state.is_running() {
            return state;
        }
        assert!(Instant::now() < deadline, "{state:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_rows_come_through_limits_that_answers_have() {
    let limits = Limits { rows_max: 10, result_bytes_max: 1_000, timeout: Duration::ZERO, ..Limits::default() };
    let fixture = Fixture::new(Limits { memory_per_query_bytes: 16 << 20, ..limits });
    let mut rows = open(&fixture, kql(MANY)).await;
    let names: Vec<_> = rows.columns().iter().map(|column| column.name.clone()).collect();
    assert_eq!(names, ["a", "b", "t"]);
    let (mut count, mut sum, mut bytes) = (0_u64, 0_i64, 0);
    while let Some(batch) = rows.next().await.unwrap() {
        assert!(batch.num_rows() > 0);
        let values = batch.column(1).as_any().downcast_ref::<arrow::array::Int64Array>().unwrap();
        count += batch.num_rows() as u64;
        sum += arrow::compute::sum(values).unwrap();
        bytes += batch.get_array_memory_size();
    }
    assert_eq!((count, sum), (1_000_000, 499_500_000));
    assert!(bytes > 5 * (16 << 20), "the rows are more than the query's memory: {bytes}");
    rows.finish(Map::from_iter([("sha256".to_owned(), json!("ab"))])).await.unwrap();
    let state = last(&fixture).await;
    assert_eq!((state.state, state.num_rows), ("Completed", 1_000_000));
    assert!(state.memory_peak_bytes <= 16 << 20, "{}", state.memory_peak_bytes);
    assert_eq!(*fixture.audit.0.lock().unwrap(), ["query.stream success ", "query.stream-end success "]);
}

#[tokio::test]
async fn what_the_text_or_the_request_limits_is_limited() {
    let fixture = Fixture::new(Limits::default());
    let taken = async |request| drain(&mut *open(&fixture, request).await).await;
    assert_eq!(taken(QueryRequest { rows_max: Some(7), ..kql("Steps_CL") }).await.0, 7);
    assert_eq!(taken(kql("set query_take_max_records=3; Steps_CL")).await.0, 3);
    assert_eq!(taken(sql("select * from Steps_CL")).await.0, 1_000);
    let (_, error) = taken(kql("set truncationmaxrecords=100; Steps_CL")).await;
    assert!(matches!(error, Some(QueryError::Limit { code: "E_QUERY_RESULT_SET_TOO_LARGE", .. })), "{error:?}");
    let hasty = QueryRequest { timeout: Some(Duration::from_millis(1)), ..kql(MANY) };
    let error = match fixture.engine.stream(&reader(), hasty).await {
        Ok(mut rows) => drain(&mut *rows).await.1.unwrap(),
        Err(error) => error,
    };
    assert!(matches!(error, QueryError::Limit { code: "E_QUERY_TIMEOUT", .. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_stops_the_query() {
    let fixture = Fixture::new(Limits { concurrency_per_principal: 1, ..Limits::default() });
    let mut rows = open(&fixture, kql(MANY)).await;
    assert!(rows.next().await.unwrap().is_some());
    drop(rows);
    let state = last(&fixture).await;
    assert_eq!(state.state, "Cancelled");
    assert!(state.reason.contains("went away"), "{}", state.reason);
    let audit = fixture.audit.0.lock().unwrap().clone();
    assert_eq!(audit, ["query.stream success ", "query.stream-end failure "]);
    // Its place is free again.
    assert_eq!(drain(&mut *open(&fixture, kql("print 1")).await).await.0, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_says_nothing_at_the_end_has_not_everything() {
    let fixture = Fixture::new(Limits::default());
    let mut rows = open(&fixture, kql("Steps_CL")).await;
    assert_eq!(drain(&mut *rows).await.0, 1_000);
    drop(rows);
    assert_eq!(last(&fixture).await.state, "Cancelled");
    let early = open(&fixture, kql(MANY)).await;
    assert!(early.finish(Map::new()).await.unwrap_err().to_string().contains("not all taken"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_makes_no_more_than_it_takes_and_keeps_nobody_waiting() {
    let fixture = Fixture::new(Limits { concurrency: 1, concurrency_per_principal: 1, ..Limits::default() });
    let mut slow = open(&fixture, kql(MANY)).await;
    assert!(slow.next().await.unwrap().is_some());
    // Answers have places of their own.
    assert_eq!(fixture.rows(kql("print 1")).await, ["1"]);
    let id = fixture.engine.queries(&admin()).iter().find(|query| query.is_running()).unwrap().id.clone();
    assert!(fixture.engine.cancel(&reader(), &id).await.unwrap());
    let (taken, error) = drain(&mut *slow).await;
    assert!(matches!(&error, Some(QueryError::Cancelled(by)) if by.contains("ada")), "{error:?}");
    assert!(taken < 100_000, "{taken} rows were made ahead");
    assert!(slow.next().await.is_err(), "what failed does not end as if it were whole");
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_and_audited() {
    let fixture = Fixture::new(Limits::default());
    let refused = async |text: &str| match fixture.engine.stream(&reader(), kql(text)).await {
        Ok(_) => panic!("{text} was taken"),
        Err(error) => error,
    };
    assert!(matches!(refused("Steps_CL | where Stpe == 1").await, QueryError::Invalid { .. }));
    assert!(refused("Steps_CL; Steps_CL").await.to_string().contains("has 2 results"));
    let nobody = moneta_ports::OpContext { scopes: Vec::new(), ..reader() };
    assert!(matches!(fixture.engine.stream(&nobody, kql("print 1")).await, Err(QueryError::Denied(_))));
    let audit = fixture.audit.0.lock().unwrap().clone();
    assert_eq!(audit, ["query.stream failure ", "query.stream failure ", "query.stream denied "]);
}
