//! The examples in the declarations of functions and aggregates give what they say.

use crate::engine::{Memory, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn declared_examples_give_their_results() {
    let mut wrong = Vec::new();
    for function in moneta_kql_plan::functions::registry().iter() {
        for (call, expected) in function.examples {
            check(&format!("print x = {call}"), expected, &mut wrong).await;
            // Once more over a column, where nothing is computed while binding.
            check(&format!("range __n from 1 to 1 step 1 | project x = {call}"), expected, &mut wrong).await;
        }
    }
    for aggregate in moneta_kql_plan::aggregates::registry().iter() {
        for (query, expected) in aggregate.examples {
            check(query, expected, &mut wrong).await;
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn check(query: &str, expected: &str, wrong: &mut Vec<String>) {
    let memory = Memory::default();
    let found = run(query, &memory).await.map(|a| a.rows.first().and_then(|row| row.first().cloned()));
    let wanted = run(&format!("print x = {expected}"), &memory)
        .await
        .map(|a| a.rows.first().and_then(|row| row.first().cloned()));
    if found.as_ref().ok() != wanted.as_ref().ok() || found.is_err() {
        wrong.push(format!("{query}: {found:?} instead of {wanted:?}"));
    }
}
