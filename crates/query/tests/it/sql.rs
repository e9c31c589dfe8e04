//! SQL over the tables that KQL sees.

use moneta_ports::{QueryEngine, QueryError};
use moneta_query::Limits;

use crate::support::{Fixture, admin, kql, rendered, sql};

#[tokio::test]
async fn select_answers_over_the_same_tables_with_names_as_written() {
    let fixture = Fixture::new(Limits::default());
    let rows = |text: &str| fixture.rows(sql(text));
    assert_eq!(rows("SELECT count(*) AS n FROM Steps_CL WHERE Step >= 990").await, ["10"]);
    assert_eq!(rows("SELECT Text FROM Steps_CL ORDER BY Step DESC LIMIT 2").await, ["step 999", "step 998"]);
    assert_eq!(rows("WITH a AS (SELECT Step FROM Steps_CL) SELECT max(Step) FROM a").await, ["999"]);
    assert_eq!(rows("SHOW TABLES").await, ["Steps_CL"]);
    assert!(!rows("EXPLAIN SELECT Step FROM Steps_CL").await.is_empty());
    assert_eq!(rows("SELECT 1 + 1, 'a', TIMESTAMP '2026-01-02 03:04:05', [1, 2]").await.len(), 1);
    assert!(fixture.audit.0.lock().unwrap().iter().all(|row| row.starts_with("query.run success")));
}

#[tokio::test]
async fn mistakes_are_told_with_their_place_and_the_nearest_name() {
    let fixture = Fixture::new(Limits::default());
    let check = async |text: &str, words: &[&str]| {
        let error = fixture.run(sql(text)).await.unwrap_err();
        let shown = rendered(&error);
        assert!(matches!(error, QueryError::Invalid { .. }), "{text}: {error:?}");
        words.iter().for_each(|word| assert!(shown.contains(word), "{text}: {word} in {shown}"));
    };
    check("SELECT Step FROM Step_CL", &["Step_CL", "Steps_CL", "^^^"]).await;
    check("SELECT Stepp FROM Steps_CL", &["Stepp", "Step", "^^^"]).await;
    check("SELECT step FROM Steps_CL", &["step"]).await;
    check("SELECT Step FROM Steps_CL)", &["SYN", "^"]).await;
    for text in ["DELETE FROM Steps_CL", "SET a = 1", "CREATE TABLE t (a INT)", "COPY Steps_CL TO '/tmp/x.csv'"] {
        check(text, &["only SELECT"]).await;
    }
}

#[tokio::test]
async fn limits_hold_for_both_languages_alike() {
    let fixture = Fixture::new(Limits { rows_max: 5, ..Limits::default() });
    for request in [sql("SELECT * FROM Steps_CL"), kql("Steps_CL")] {
        let answer = fixture.run(request).await.unwrap();
        assert_eq!(answer.tables[0].num_rows(), 5);
        assert_eq!(answer.truncated.unwrap().code, "E_QUERY_RESULT_SET_TOO_LARGE");
        assert!(answer.completeness.rows_scanned > 0);
    }
}

#[tokio::test]
async fn explaining_is_audited_too() {
    let fixture = Fixture::new(Limits::default());
    let stages = fixture.engine.explain(&admin(), sql("SELECT Step FROM Steps_CL")).await.unwrap();
    assert!(stages.iter().any(|(name, _)| name == "physical plan"));
    fixture.engine.explain(&admin(), kql("Nothing")).await.unwrap_err();
    assert_eq!(*fixture.audit.0.lock().unwrap(), ["query.explain success ", "query.explain failure "]);
}
