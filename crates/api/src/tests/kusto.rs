//! Kusto's forms to the letter: clients walk through them forwards and by name.

use std::time::Duration;

use axum::http::StatusCode;
use expect_test::{Expect, expect};
use moneta_base::{Clock, Timestamp};
use moneta_ports::Scope;
use serde_json::{Value, json};

use super::{Answer, Fixture};

async fn ask(path: &str, body: Value) -> (Fixture, Answer) {
    let fixture = Fixture::new();
    let bearer = format!("Bearer {}", fixture.credential(&[Scope::Query]).await);
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json; charset=utf-8"),
        ("x-ms-client-request-id", "KPC.execute;e0a2"),
        ("accept-encoding", "identity"),
    ];
    let answer = fixture.call("POST", path, &headers, body.to_string()).await;
    (fixture, answer)
}

/// The answer with one frame or table a line and the random id replaced.
fn readable(answer: &Answer) -> String {
    let id = answer.header("x-ms-activity-id");
    answer
        .text()
        .replace(id, "ACTIVITY")
        .replace(",{\"FrameType\"", "\n,{\"FrameType\"")
        .replace(",{\"TableName\"", "\n,{\"TableName\"")
}

async fn check(path: &str, csl: &str, expected: Expect) {
    let (_, answer) = ask(path, json!({ "db": "Moneta", "csl": csl })).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("x-ms-client-request-id"), "KPC.execute;e0a2");
    answer.json();
    expected.assert_eq(&readable(&answer));
}

#[tokio::test]
async fn the_second_form_of_a_result() {
    check("/v2/rest/query", "T", expect![[r#"
        [{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0"}
        ,{"FrameType":"DataTable","TableId":0,"TableKind":"QueryProperties","TableName":"@ExtendedProperties","Columns":[{"ColumnName":"TableId","ColumnType":"int"},{"ColumnName":"Key","ColumnType":"string"},{"ColumnName":"Value","ColumnType":"dynamic"}],"Rows":[[1,"Visualization","{\"Visualization\":null,\"Title\":null,\"XColumn\":null,\"Series\":null,\"YColumns\":null,\"AnomalyColumns\":null,\"XTitle\":null,\"YTitle\":null,\"XAxis\":null,\"YAxis\":null,\"Legend\":null,\"YSplit\":null,\"Accumulate\":false,\"IsQuerySorted\":false,\"Kind\":null}"]]}
        ,{"FrameType":"DataTable","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":[{"ColumnName":"Time","ColumnType":"datetime"},{"ColumnName":"Name","ColumnType":"string"},{"ColumnName":"Count","ColumnType":"long"},{"ColumnName":"Ratio","ColumnType":"real"},{"ColumnName":"Ok","ColumnType":"bool"},{"ColumnName":"Took","ColumnType":"timespan"},{"ColumnName":"Bag","ColumnType":"dynamic"}],"Rows":[["2026-01-02T03:04:05.1234567Z","ada",9007199254740993,0.5,true,"1.02:03:04.0000005",{"a":[1,2]}],[null,"",null,"NaN",null,null,null]]}
        ,{"FrameType":"DataTable","TableId":2,"TableKind":"QueryCompletionInformation","TableName":"QueryCompletionInformation","Columns":[{"ColumnName":"Timestamp","ColumnType":"datetime"},{"ColumnName":"ClientRequestId","ColumnType":"string"},{"ColumnName":"ActivityId","ColumnType":"guid"},{"ColumnName":"SubActivityId","ColumnType":"guid"},{"ColumnName":"ParentActivityId","ColumnType":"guid"},{"ColumnName":"Level","ColumnType":"int"},{"ColumnName":"LevelName","ColumnType":"string"},{"ColumnName":"StatusCode","ColumnType":"int"},{"ColumnName":"StatusCodeName","ColumnType":"string"},{"ColumnName":"EventType","ColumnType":"int"},{"ColumnName":"EventTypeName","ColumnType":"string"},{"ColumnName":"Payload","ColumnType":"string"}],"Rows":[["2026-01-02T03:04:05.0000000Z","KPC.execute;e0a2","ACTIVITY","ACTIVITY","ACTIVITY",4,"Info",0,"S_OK (0)",4,"QueryInfo","{\"Count\":1,\"Text\":\"Query completed successfully\"}"],["2026-01-02T03:04:05.0000000Z","KPC.execute;e0a2","ACTIVITY","ACTIVITY","ACTIVITY",6,"Stats",0,"S_OK (0)",0,"QueryResourceConsumption","{\"ExecutionTime\":0.25,\"resource_usage\":{\"memory\":{\"peak_per_node\":65536}},\"input_dataset_statistics\":{\"extents\":{\"total\":5,\"scanned\":2},\"rows\":{\"scanned\":7},\"bytes\":{\"scanned\":4096},\"rowstores\":{\"scanned_blocks\":0},\"not_read\":[[\"segments\",3,\"no event of theirs lies within the times asked for\"]]},\"dataset_statistics\":[{\"table_row_count\":2}]}"]]}
        ,{"FrameType":"DataSetCompletion","HasErrors":false,"Cancelled":false}]"#]]).await;
}

#[tokio::test]
async fn the_first_form_of_a_result() {
    check("/v1/rest/query", "T", expect![[r#"
        {"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"Time","DataType":"DateTime","ColumnType":"datetime"},{"ColumnName":"Name","DataType":"String","ColumnType":"string"},{"ColumnName":"Count","DataType":"Int64","ColumnType":"long"},{"ColumnName":"Ratio","DataType":"Double","ColumnType":"real"},{"ColumnName":"Ok","DataType":"SByte","ColumnType":"bool"},{"ColumnName":"Took","DataType":"TimeSpan","ColumnType":"timespan"},{"ColumnName":"Bag","DataType":"Object","ColumnType":"dynamic"}],"Rows":[["2026-01-02T03:04:05.1234567Z","ada",9007199254740993,0.5,true,"1.02:03:04.0000005",{"a":[1,2]}],[null,"",null,"NaN",null,null,null]]}
        ,{"TableName":"Table_1","Columns":[{"ColumnName":"Value","DataType":"String","ColumnType":"string"}],"Rows":[["{\"Visualization\":null,\"Title\":null,\"XColumn\":null,\"Series\":null,\"YColumns\":null,\"AnomalyColumns\":null,\"XTitle\":null,\"YTitle\":null,\"XAxis\":null,\"YAxis\":null,\"Legend\":null,\"YSplit\":null,\"Accumulate\":false,\"IsQuerySorted\":false,\"Kind\":null}"]]}
        ,{"TableName":"Table_2","Columns":[{"ColumnName":"Timestamp","DataType":"DateTime","ColumnType":"datetime"},{"ColumnName":"Severity","DataType":"Int32","ColumnType":"int"},{"ColumnName":"SeverityName","DataType":"String","ColumnType":"string"},{"ColumnName":"StatusCode","DataType":"Int32","ColumnType":"int"},{"ColumnName":"StatusDescription","DataType":"String","ColumnType":"string"},{"ColumnName":"Count","DataType":"Int32","ColumnType":"int"},{"ColumnName":"RequestId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"ActivityId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"SubActivityId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"ClientActivityId","DataType":"String","ColumnType":"string"}],"Rows":[["2026-01-02T03:04:05.0000000Z",4,"Info",0,"Query completed successfully",1,"ACTIVITY","ACTIVITY","ACTIVITY","KPC.execute;e0a2"],["2026-01-02T03:04:05.0000000Z",6,"Stats",0,"{\"ExecutionTime\":0.25,\"resource_usage\":{\"memory\":{\"peak_per_node\":65536}},\"input_dataset_statistics\":{\"extents\":{\"total\":5,\"scanned\":2},\"rows\":{\"scanned\":7},\"bytes\":{\"scanned\":4096},\"rowstores\":{\"scanned_blocks\":0},\"not_read\":[[\"segments\",3,\"no event of theirs lies within the times asked for\"]]},\"dataset_statistics\":[{\"table_row_count\":2}]}",1,"ACTIVITY","ACTIVITY","ACTIVITY","KPC.execute;e0a2"]]}
        ,{"TableName":"Table_3","Columns":[{"ColumnName":"Ordinal","DataType":"Int64","ColumnType":"long"},{"ColumnName":"Kind","DataType":"String","ColumnType":"string"},{"ColumnName":"Name","DataType":"String","ColumnType":"string"},{"ColumnName":"Id","DataType":"String","ColumnType":"string"},{"ColumnName":"PrettyName","DataType":"String","ColumnType":"string"}],"Rows":[[0,"QueryResult","PrimaryResult","00000000-0000-0000-0000-000000000000",""],[1,"QueryProperties","@ExtendedProperties","00000000-0000-0000-0000-000000000000",""],[2,"QueryStatus","QueryStatus","00000000-0000-0000-0000-000000000000",""]]}]}"#]]).await;
}

#[tokio::test]
async fn a_result_that_was_cut_says_so_in_both_forms() {
    check("/v2/rest/query", "cut", expect![[r#"
        [{"FrameType":"DataSetHeader","IsProgressive":false,"Version":"v2.0"}
        ,{"FrameType":"DataTable","TableId":0,"TableKind":"QueryProperties","TableName":"@ExtendedProperties","Columns":[{"ColumnName":"TableId","ColumnType":"int"},{"ColumnName":"Key","ColumnType":"string"},{"ColumnName":"Value","ColumnType":"dynamic"}],"Rows":[[1,"Visualization","{\"Visualization\":null,\"Title\":null,\"XColumn\":null,\"Series\":null,\"YColumns\":null,\"AnomalyColumns\":null,\"XTitle\":null,\"YTitle\":null,\"XAxis\":null,\"YAxis\":null,\"Legend\":null,\"YSplit\":null,\"Accumulate\":false,\"IsQuerySorted\":false,\"Kind\":null}"]]}
        ,{"FrameType":"DataTable","TableId":1,"TableKind":"PrimaryResult","TableName":"PrimaryResult","Columns":[{"ColumnName":"Time","ColumnType":"datetime"},{"ColumnName":"Name","ColumnType":"string"},{"ColumnName":"Count","ColumnType":"long"},{"ColumnName":"Ratio","ColumnType":"real"},{"ColumnName":"Ok","ColumnType":"bool"},{"ColumnName":"Took","ColumnType":"timespan"},{"ColumnName":"Bag","ColumnType":"dynamic"}],"Rows":[["2026-01-02T03:04:05.1234567Z","ada",9007199254740993,0.5,true,"1.02:03:04.0000005",{"a":[1,2]}],[null,"",null,"NaN",null,null,null],{"OneApiErrors":[{"error":{"code":"LimitsExceeded","message":"Request is invalid and cannot be executed.","@type":"Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException","@message":"Query execution has exceeded the allowed limits (80DA0003): the result has more than 2 rows (E_QUERY_RESULT_SET_TOO_LARGE).","@context":{"timestamp":"2026-01-02T03:04:05.0000000Z","serviceAlias":"moneta","clientRequestId":"KPC.execute;e0a2","activityId":"ACTIVITY","subActivityId":"ACTIVITY","parentActivityId":"ACTIVITY","activityType":"Http"},"@permanent":false}}]}]}
        ,{"FrameType":"DataTable","TableId":2,"TableKind":"QueryCompletionInformation","TableName":"QueryCompletionInformation","Columns":[{"ColumnName":"Timestamp","ColumnType":"datetime"},{"ColumnName":"ClientRequestId","ColumnType":"string"},{"ColumnName":"ActivityId","ColumnType":"guid"},{"ColumnName":"SubActivityId","ColumnType":"guid"},{"ColumnName":"ParentActivityId","ColumnType":"guid"},{"ColumnName":"Level","ColumnType":"int"},{"ColumnName":"LevelName","ColumnType":"string"},{"ColumnName":"StatusCode","ColumnType":"int"},{"ColumnName":"StatusCodeName","ColumnType":"string"},{"ColumnName":"EventType","ColumnType":"int"},{"ColumnName":"EventTypeName","ColumnType":"string"},{"ColumnName":"Payload","ColumnType":"string"}],"Rows":[["2026-01-02T03:04:05.0000000Z","KPC.execute;e0a2","ACTIVITY","ACTIVITY","ACTIVITY",2,"Error",-2133196797,"Query result set too large (E_QUERY_RESULT_SET_TOO_LARGE). (-2133196797)",1,"QueryLimitsExceeded","{\"Count\":1,\"Text\":\"Query execution has exceeded the allowed limits (80DA0003): the result has more than 2 rows (E_QUERY_RESULT_SET_TOO_LARGE).\"}"],["2026-01-02T03:04:05.0000000Z","KPC.execute;e0a2","ACTIVITY","ACTIVITY","ACTIVITY",6,"Stats",0,"S_OK (0)",0,"QueryResourceConsumption","{\"ExecutionTime\":0.25,\"resource_usage\":{\"memory\":{\"peak_per_node\":65536}},\"input_dataset_statistics\":{\"extents\":{\"total\":5,\"scanned\":2},\"rows\":{\"scanned\":7},\"bytes\":{\"scanned\":4096},\"rowstores\":{\"scanned_blocks\":0},\"not_read\":[[\"segments\",3,\"no event of theirs lies within the times asked for\"]]},\"dataset_statistics\":[{\"table_row_count\":2}]}"]]}
        ,{"FrameType":"DataSetCompletion","HasErrors":true,"Cancelled":false,"OneApiErrors":[{"error":{"code":"LimitsExceeded","message":"Request is invalid and cannot be executed.","@type":"Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException","@message":"Query execution has exceeded the allowed limits (80DA0003): the result has more than 2 rows (E_QUERY_RESULT_SET_TOO_LARGE).","@context":{"timestamp":"2026-01-02T03:04:05.0000000Z","serviceAlias":"moneta","clientRequestId":"KPC.execute;e0a2","activityId":"ACTIVITY","subActivityId":"ACTIVITY","parentActivityId":"ACTIVITY","activityType":"Http"},"@permanent":false}}]}]"#]]).await;
    check("/v1/rest/query", "cut", expect![[r#"
        {"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"Time","DataType":"DateTime","ColumnType":"datetime"},{"ColumnName":"Name","DataType":"String","ColumnType":"string"},{"ColumnName":"Count","DataType":"Int64","ColumnType":"long"},{"ColumnName":"Ratio","DataType":"Double","ColumnType":"real"},{"ColumnName":"Ok","DataType":"SByte","ColumnType":"bool"},{"ColumnName":"Took","DataType":"TimeSpan","ColumnType":"timespan"},{"ColumnName":"Bag","DataType":"Object","ColumnType":"dynamic"}],"Rows":[["2026-01-02T03:04:05.1234567Z","ada",9007199254740993,0.5,true,"1.02:03:04.0000005",{"a":[1,2]}],[null,"",null,"NaN",null,null,null],{"Exceptions":["Query execution has exceeded the allowed limits (80DA0003): the result has more than 2 rows (E_QUERY_RESULT_SET_TOO_LARGE)."]}]}
        ,{"TableName":"Table_1","Columns":[{"ColumnName":"Value","DataType":"String","ColumnType":"string"}],"Rows":[["{\"Visualization\":null,\"Title\":null,\"XColumn\":null,\"Series\":null,\"YColumns\":null,\"AnomalyColumns\":null,\"XTitle\":null,\"YTitle\":null,\"XAxis\":null,\"YAxis\":null,\"Legend\":null,\"YSplit\":null,\"Accumulate\":false,\"IsQuerySorted\":false,\"Kind\":null}"]]}
        ,{"TableName":"Table_2","Columns":[{"ColumnName":"Timestamp","DataType":"DateTime","ColumnType":"datetime"},{"ColumnName":"Severity","DataType":"Int32","ColumnType":"int"},{"ColumnName":"SeverityName","DataType":"String","ColumnType":"string"},{"ColumnName":"StatusCode","DataType":"Int32","ColumnType":"int"},{"ColumnName":"StatusDescription","DataType":"String","ColumnType":"string"},{"ColumnName":"Count","DataType":"Int32","ColumnType":"int"},{"ColumnName":"RequestId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"ActivityId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"SubActivityId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"ClientActivityId","DataType":"String","ColumnType":"string"}],"Rows":[["2026-01-02T03:04:05.0000000Z",2,"Error",-2133196797,"Query execution has exceeded the allowed limits (80DA0003): the result has more than 2 rows (E_QUERY_RESULT_SET_TOO_LARGE).",1,"ACTIVITY","ACTIVITY","ACTIVITY","KPC.execute;e0a2"],["2026-01-02T03:04:05.0000000Z",6,"Stats",0,"{\"ExecutionTime\":0.25,\"resource_usage\":{\"memory\":{\"peak_per_node\":65536}},\"input_dataset_statistics\":{\"extents\":{\"total\":5,\"scanned\":2},\"rows\":{\"scanned\":7},\"bytes\":{\"scanned\":4096},\"rowstores\":{\"scanned_blocks\":0},\"not_read\":[[\"segments\",3,\"no event of theirs lies within the times asked for\"]]},\"dataset_statistics\":[{\"table_row_count\":2}]}",1,"ACTIVITY","ACTIVITY","ACTIVITY","KPC.execute;e0a2"]]}
        ,{"TableName":"Table_3","Columns":[{"ColumnName":"Ordinal","DataType":"Int64","ColumnType":"long"},{"ColumnName":"Kind","DataType":"String","ColumnType":"string"},{"ColumnName":"Name","DataType":"String","ColumnType":"string"},{"ColumnName":"Id","DataType":"String","ColumnType":"string"},{"ColumnName":"PrettyName","DataType":"String","ColumnType":"string"}],"Rows":[[0,"QueryResult","PrimaryResult","00000000-0000-0000-0000-000000000000",""],[1,"QueryProperties","@ExtendedProperties","00000000-0000-0000-0000-000000000000",""],[2,"QueryStatus","QueryStatus","00000000-0000-0000-0000-000000000000",""]]}],"Exceptions":["Query execution has exceeded the allowed limits (80DA0003): the result has more than 2 rows (E_QUERY_RESULT_SET_TOO_LARGE)."]}"#]]).await;
}

#[tokio::test]
async fn what_could_not_be_read_makes_the_answer_an_error() {
    let take = json!({ "csl": "cut", "properties": { "Options": { "query_take_max_records": 2 } } });
    let (_, whole) = ask("/v2/rest/query", take).await;
    assert_eq!(whole.json().as_array().unwrap().last().unwrap()["HasErrors"], false);
    let (_, answer) = ask("/v2/rest/query", json!({ "csl": "damaged" })).await;
    let frames = answer.json();
    let end = frames.as_array().unwrap().last().unwrap().clone();
    assert_eq!(end["HasErrors"], true);
    assert!(end["OneApiErrors"][0]["error"]["@message"].as_str().unwrap().contains("segment 7"));
}

#[tokio::test]
async fn render_travels_with_the_result() {
    let (_, answer) = ask("/v2/rest/query", json!({ "csl": "chart" })).await;
    assert_eq!(answer.json()[1]["Rows"][0], json!([1, "Visualization", "{\"Visualization\":\"timechart\"}"]));
    let (_, answer) = ask("/v1/rest/query", json!({ "csl": "chart" })).await;
    assert_eq!(answer.json()["Tables"][1]["Rows"][0], json!(["{\"Visualization\":\"timechart\"}"]));
}

#[tokio::test]
async fn a_misspelt_name_comes_back_with_code_place_and_suggestion() {
    let (_, answer) = ask("/v1/rest/query", json!({ "csl": "T | where Nmae == 1" })).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let pretty = serde_json::to_string_pretty(&answer.json()).unwrap();
    expect![[r#"
        {
          "error": {
            "code": "General_BadRequest",
            "message": "Request is invalid and cannot be executed.",
            "@type": "Kusto.Data.Exceptions.KustoBadRequestException",
            "@message": "Semantic error: SEM0100: there is no column `Nmae`; did you mean `Name`? [line:position=1:11]",
            "@context": {
              "timestamp": "2026-01-02T03:04:05.0000000Z",
              "serviceAlias": "moneta",
              "clientRequestId": "KPC.execute;e0a2",
              "activityId": "ACTIVITY",
              "subActivityId": "ACTIVITY",
              "parentActivityId": "ACTIVITY",
              "activityType": "Http"
            },
            "@permanent": true,
            "innererror": {
              "code": "SEM0100",
              "message": "Semantic error: SEM0100: there is no column `Nmae`; did you mean `Name`? [line:position=1:11]",
              "@type": "Kusto.Data.Exceptions.SemanticException",
              "@message": "Semantic error: SEM0100: there is no column `Nmae`; did you mean `Name`? [line:position=1:11]",
              "@errorCode": "SEM0100",
              "@permanent": true
            },
            "moneta": {
              "diagnostics": [
                {
                  "code": "SEM0100",
                  "message": "there is no column `Nmae`; did you mean `Name`?",
                  "start": 10,
                  "end": 14,
                  "line": 1,
                  "column": 11
                }
              ],
              "rendered": "rendered"
            }
          }
        }"#]].assert_eq(&pretty.replace(answer.header("x-ms-activity-id"), "ACTIVITY"));
}

#[tokio::test]
async fn failures_have_their_status_and_keep_the_inside_inside() {
    for (csl, status, code, permanent, text) in [
        ("runaway", 400, "LimitsExceeded", true, "it used 5 GB (E_RUNAWAY_QUERY)"),
        ("denied", 403, "Forbidden", true, "not yours"),
        ("busy", 503, "General_InternalServerError", false, "failed: busy"),
        ("broken", 500, "General_InternalServerError", false, "the log has the details"),
    ] {
        let (_, answer) = ask("/v2/rest/query", json!({ "csl": csl })).await;
        assert_eq!(answer.status.as_u16(), status, "{csl}");
        let error = answer.json()["error"].clone();
        assert_eq!((&error["code"], &error["@permanent"]), (&code.into(), &permanent.into()), "{csl}");
        let message = error["@message"].as_str().unwrap();
        assert!(message.contains(text), "{message}");
        assert!(csl != "broken" || !message.contains("failed: broken"), "the inside stays inside");
        assert_eq!(answer.header("retry-after"), if csl == "busy" { "1" } else { "" });
    }
    let fixture = Fixture::new();
    let answer = fixture.call("POST", "/v2/rest/query", &[], "{}").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["error"]["code"]), (401, &"Unauthorized".into()));
    let large = json!({ "csl": "x".repeat(5 << 20) });
    assert_eq!(ask("/v2/rest/query", large).await.1.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(ask("/v2/rest/query", json!({ "db": "other", "csl": "T" })).await.1.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn options_reach_the_engine_with_the_ids_of_the_request() {
    let options = json!({ "Options": { "servertimeout": "00:00:05", "truncationmaxrecords": 7,
        "query_now": "2026-01-02T00:00:00Z", "request_app_name": "x" }, "Parameters": { "n": 5 } });
    let (fixture, answer) = ask("/v2/rest/query", json!({ "csl": "T", "properties": options.to_string() })).await;
    let queries = fixture.fakes.queries.lock().unwrap();
    let (ctx, request) = &queries[0];
    assert_eq!(request.timeout, Some(Duration::from_secs(5)));
    assert_eq!((request.truncation_rows, request.now), (Some(7), Timestamp::parse("2026-01-02")));
    assert_eq!(request.parameters, [("n".to_owned(), "5".to_owned())]);
    assert_eq!(ctx.correlation_id, format!("{};KPC.execute;e0a2", answer.header("x-ms-activity-id")));
    assert_eq!((ctx.client_address.as_str(), ctx.actor.kind.name()), ("192.0.2.1", "credential"));
    assert!(ctx.expires.unwrap() > fixture.clock.now());
    assert_eq!(ctx.claims.application, "x");
}

#[tokio::test]
async fn what_a_client_says_of_itself_reaches_the_engine() {
    let fixture = Fixture::new();
    let authorization = format!("Bearer {}", fixture.credential(&[Scope::Query]).await);
    let long = "x".repeat(1_000);
    let headers = [
        ("authorization", authorization.as_str()),
        ("content-type", "application/json"),
        ("x-ms-app", "Grafana-ADX"),
        ("x-ms-client-version", "Kusto.Python.Client:[6.0]"),
        ("x-ms-user", long.as_str()),
    ];
    fixture.call("POST", "/v1/rest/query", &headers, r#"{"csl":"T"}"#).await;
    let options =
        json!({ "csl": "T", "properties": { "Options": { "request_user": "ada\n", "request_app_name": "" } } });
    fixture.call("POST", "/v1/rest/query", &headers, options.to_string()).await;
    let queries = fixture.fakes.queries.lock().unwrap();
    let claims: Vec<Vec<_>> = queries.iter().map(|(ctx, _)| ctx.claims.named().collect()).collect();
    let (application, version) = (("application", "Grafana-ADX"), ("client_version", "Kusto.Python.Client:[6.0]"));
    assert_eq!(claims[0], [application, version, ("claimed_user", &long[..128])]);
    assert_eq!(claims[1], [application, version, ("claimed_user", "ada")]);
}

#[tokio::test]
async fn queries_by_get_and_frames_on_lines() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    for path in ["/v1/rest/query?db=Moneta&csl=T%20%7C%20take%201", "/v2/rest/query?csl=T"] {
        assert_eq!(fixture.send(&credential, "GET", path, "").await.status, StatusCode::OK, "{path}");
    }
    assert_eq!(fixture.fakes.queries.lock().unwrap()[0].1.text, "T | take 1");
    let odd = fixture.send(&credential, "GET", "/v1/rest/query?csl=T&db=a&db=b", "").await;
    assert_eq!((odd.status.as_u16(), &odd.json()["error"]["code"]), (400, &"General_BadRequest".into()));
    let command = fixture.send(&credential, "GET", "/v2/rest/query?csl=.show%20tables", "").await;
    assert_eq!(command.json()[2]["Rows"][0][0], "Mine_CL");
    let lines = json!({ "csl": "T", "properties": { "Options": { "results_v2_newlines_between_frames": true } } });
    let (_, answer) = ask("/v2/rest/query", lines).await;
    assert_eq!(answer.text().lines().count(), 5);
    let explained = fixture.send(&credential, "POST", "/v1/explain", "{\"csl\":\"T\"}").await;
    assert_eq!(explained.json()["stages"][0]["stage"], "syntax tree");
}

#[tokio::test]
async fn management_commands_have_the_columns_clients_look_for() {
    check("/v1/rest/mgmt", ".show databases", expect![[r#"{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"DatabaseName","DataType":"String","ColumnType":"string"},{"ColumnName":"PersistentStorage","DataType":"String","ColumnType":"string"},{"ColumnName":"Version","DataType":"String","ColumnType":"string"},{"ColumnName":"IsCurrent","DataType":"SByte","ColumnType":"bool"},{"ColumnName":"DatabaseAccessMode","DataType":"String","ColumnType":"string"},{"ColumnName":"PrettyName","DataType":"String","ColumnType":"string"},{"ColumnName":"ReservedSlot1","DataType":"SByte","ColumnType":"bool"},{"ColumnName":"DatabaseId","DataType":"Guid","ColumnType":"guid"},{"ColumnName":"InTransitionTo","DataType":"String","ColumnType":"string"},{"ColumnName":"SuspensionState","DataType":"String","ColumnType":"string"}],"Rows":[["Moneta","","v1.0",true,"ReadWrite","Moneta",null,"00000000-0000-0000-0000-000000000000","",""]]}]}"#]]).await;
    check("/v1/rest/mgmt", ".show version", expect![[r#"{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"BuildVersion","DataType":"String","ColumnType":"string"},{"ColumnName":"BuildTime","DataType":"DateTime","ColumnType":"datetime"},{"ColumnName":"ServiceType","DataType":"String","ColumnType":"string"},{"ColumnName":"ProductVersion","DataType":"String","ColumnType":"string"},{"ColumnName":"ServiceOffering","DataType":"String","ColumnType":"string"}],"Rows":[["1.2.3",null,"Engine","Moneta 1.2.3","{\"Type\":\"Moneta\"}"]]}]}"#]]).await;
    check("/v1/rest/mgmt", ".show tables", expect![[r#"{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"TableName","DataType":"String","ColumnType":"string"},{"ColumnName":"DatabaseName","DataType":"String","ColumnType":"string"},{"ColumnName":"Folder","DataType":"String","ColumnType":"string"},{"ColumnName":"DocString","DataType":"String","ColumnType":"string"}],"Rows":[["Mine_CL","Moneta","",""]]}]}"#]]).await;
    check("/v1/rest/mgmt", ".show table Mine_CL cslschema", expect![[r#"{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"TableName","DataType":"String","ColumnType":"string"},{"ColumnName":"Schema","DataType":"String","ColumnType":"string"},{"ColumnName":"DatabaseName","DataType":"String","ColumnType":"string"},{"ColumnName":"Folder","DataType":"String","ColumnType":"string"},{"ColumnName":"DocString","DataType":"String","ColumnType":"string"}],"Rows":[["Mine_CL","TenantId:string,TimeGenerated:datetime,Type:string,Score:real,Price:decimal,_Seq:long,_IngestTime:datetime,_Source:string,_Class:string,_Delivery:string,_Raw:string,_Extra:dynamic","Moneta","",""]]}]}"#]]).await;
    check("/v1/rest/mgmt", ".show schema as json", expect![[r#"{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"DatabaseSchema","DataType":"String","ColumnType":"string"}],"Rows":[["{\"Plugins\":[],\"Databases\":{\"Moneta\":{\"Name\":\"Moneta\",\"Tables\":{\"Mine_CL\":{\"Name\":\"Mine_CL\",\"Folder\":\"\",\"DocString\":\"\",\"OrderedColumns\":[{\"Name\":\"TenantId\",\"Type\":\"System.String\",\"CslType\":\"string\"},{\"Name\":\"TimeGenerated\",\"Type\":\"System.DateTime\",\"CslType\":\"datetime\"},{\"Name\":\"Type\",\"Type\":\"System.String\",\"CslType\":\"string\"},{\"Name\":\"Score\",\"Type\":\"System.Double\",\"CslType\":\"real\"},{\"Name\":\"Price\",\"Type\":\"System.Data.SqlTypes.SqlDecimal\",\"CslType\":\"decimal\"},{\"Name\":\"_Seq\",\"Type\":\"System.Int64\",\"CslType\":\"long\"},{\"Name\":\"_IngestTime\",\"Type\":\"System.DateTime\",\"CslType\":\"datetime\"},{\"Name\":\"_Source\",\"Type\":\"System.String\",\"CslType\":\"string\"},{\"Name\":\"_Class\",\"Type\":\"System.String\",\"CslType\":\"string\"},{\"Name\":\"_Delivery\",\"Type\":\"System.String\",\"CslType\":\"string\"},{\"Name\":\"_Raw\",\"Type\":\"System.String\",\"CslType\":\"string\"},{\"Name\":\"_Extra\",\"Type\":\"System.Object\",\"CslType\":\"dynamic\"}]}},\"ExternalTables\":{},\"MaterializedViews\":{},\"EntityGroups\":{},\"MajorVersion\":1,\"MinorVersion\":0,\"Functions\":{},\"DatabaseAccessMode\":\"ReadWrite\"}}}"]]}]}"#]]).await;
    check("/v1/rest/query", ".show databases schema", expect![[r#"{"Tables":[{"TableName":"Table_0","Columns":[{"ColumnName":"DatabaseName","DataType":"String","ColumnType":"string"},{"ColumnName":"TableName","DataType":"String","ColumnType":"string"},{"ColumnName":"ColumnName","DataType":"String","ColumnType":"string"},{"ColumnName":"ColumnType","DataType":"String","ColumnType":"string"},{"ColumnName":"IsDefaultTable","DataType":"SByte","ColumnType":"bool"},{"ColumnName":"IsDefaultColumn","DataType":"SByte","ColumnType":"bool"},{"ColumnName":"PrettyName","DataType":"String","ColumnType":"string"},{"ColumnName":"Version","DataType":"String","ColumnType":"string"},{"ColumnName":"Folder","DataType":"String","ColumnType":"string"},{"ColumnName":"DocString","DataType":"String","ColumnType":"string"}],"Rows":[["Moneta","","","",false,false,"","v1.0","",""],["Moneta","Mine_CL","","",false,false,"","","",""],["Moneta","Mine_CL","TenantId","System.String",false,false,"","","",""],["Moneta","Mine_CL","TimeGenerated","System.DateTime",false,false,"","","",""],["Moneta","Mine_CL","Type","System.String",false,false,"","","",""],["Moneta","Mine_CL","Score","System.Double",false,false,"","","",""],["Moneta","Mine_CL","Price","System.Data.SqlTypes.SqlDecimal",false,false,"","","",""],["Moneta","Mine_CL","_Seq","System.Int64",false,false,"","","",""],["Moneta","Mine_CL","_IngestTime","System.DateTime",false,false,"","","",""],["Moneta","Mine_CL","_Source","System.String",false,false,"","","",""],["Moneta","Mine_CL","_Class","System.String",false,false,"","","",""],["Moneta","Mine_CL","_Delivery","System.String",false,false,"","","",""],["Moneta","Mine_CL","_Raw","System.String",false,false,"","","",""],["Moneta","Mine_CL","_Extra","System.Object",false,false,"","","",""]]}]}"#]]).await;
}

#[tokio::test]
async fn the_spellings_of_schema_commands() {
    for csl in [
        ".show databases schema as json",
        ".show databases (['Moneta']) schema as json",
        ".show database Moneta schema as json",
        ".show database schema as json",
        ".SHOW schema as json",
    ] {
        let (_, answer) = ask("/v1/rest/mgmt", json!({ "csl": csl })).await;
        let text = answer.json()["Tables"][0]["Rows"][0][0].as_str().unwrap_or_default().to_owned();
        let schema: Value = serde_json::from_str(&text).unwrap_or_default();
        let columns = &schema["Databases"]["Moneta"]["Tables"]["Mine_CL"]["OrderedColumns"];
        assert_eq!(columns[3], json!({ "Name": "Score", "Type": "System.Double", "CslType": "real" }), "{csl}");
    }
    for (csl, word) in [
        (".show databases (['x']) schema as json", "'x'"),
        (".create table T", "columns of T are missing"),
        (".rename table T", "not possible"),
        (".explode table T", "not possible"),
        (".show function F", "'F'"),
        (".create function F", "parentheses"),
        (".cancel query known", "as a string"),
        ("T", "begins with a dot"),
    ] {
        let (_, answer) = ask("/v1/rest/mgmt", json!({ "csl": csl })).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{csl}");
        let message = answer.json()["error"]["@message"].as_str().unwrap().to_owned();
        assert!(message.contains(word), "{csl}: {message}");
    }
}

#[tokio::test]
async fn functions_are_made_and_shown_by_commands() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let run = async |csl: &str, options: Value| {
        let body = json!({ "csl": csl, "properties": { "Options": options } }).to_string();
        fixture.send(&credential, "POST", "/v1/rest/mgmt", &body).await
    };
    let made = run(".create-or-alter function with (folder='a') F(n: long) { T | take n }", json!({})).await;
    assert_eq!(made.json()["Tables"][0]["Rows"][0], json!(["F", "(n: long)", "{ T | take n }", "a", ""]));
    let shown = run(".show functions", json!({})).await;
    assert_eq!(shown.json()["Tables"][0]["Rows"][0][0], "F");
    let refused = run(".drop function F", json!({ "request_readonly": true })).await;
    assert!(refused.status == StatusCode::BAD_REQUEST && refused.text().contains("request_readonly"));
    assert_eq!(run(".drop function F", json!({})).await.json()["Tables"][0]["Rows"][0][0], "F");
    let again = run(".drop function F ifexists", json!({})).await;
    assert_eq!(again.json()["Tables"][0]["Rows"], json!([]));
    for shown in ["functions", "queries", "materialized-views", "commands", "tables"] {
        let answer = run(&format!(".show {shown} ;"), json!({})).await;
        assert_eq!(answer.status, StatusCode::OK, "{shown}: {}", answer.text());
    }
    let cancelled = run(".cancel query 'known'", json!({})).await;
    assert_eq!(cancelled.json()["Tables"][0]["Rows"][0], json!(["known", true, ""]));
}

#[tokio::test]
async fn editors_learn_what_functions_take_and_give() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let rows = async |csl: &str| {
        let answer = fixture.send(&credential, "POST", "/v1/rest/mgmt", &json!({ "csl": csl }).to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{csl}: {}", answer.text());
        answer.json()["Tables"][0]["Rows"].clone()
    };
    rows(".create function F(since:timespan = 1d) { T | count }").await;
    assert_eq!(rows(".alter function F docstring 'what it says'").await[0][4], "what it says");
    let described = rows(".alter function ['F'] folder \"a\"").await;
    assert_eq!(described, json!([["F", "(since:timespan = 1d)", "{ T | count }", "a", "what it says"]]));
    rows(".create materialized-view with (folder='v') V on table T { T | summarize n = count() }").await;
    rows(".create table B_CL (a:long) with (folder = 'f', docstring = 'of b')").await;

    let schema = rows(".show schema as json").await[0][0].as_str().unwrap().to_owned();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let function = &schema["Databases"]["Moneta"]["Functions"]["F"];
    let since = json!({ "Name": "since", "Type": "System.TimeSpan", "CslType": "timespan", "CslDefaultValue": "1d" });
    assert_eq!(function["InputParameters"], json!([since]));
    assert_eq!(function["OutputColumns"], json!([{ "Name": "n", "Type": "System.Int64", "CslType": "long" }]));

    let entities = rows(".show databases entities with (showObfuscatedStrings=true)").await;
    let kinds: Vec<_> = entities.as_array().unwrap().iter().map(|row| (row[1].as_str(), row[2].as_str())).collect();
    let expected = [("Table", "Mine_CL"), ("MaterializedView", "V"), ("Function", "F")];
    assert_eq!(kinds, expected.map(|(kind, name)| (Some(kind), Some(name))));
    assert_eq!(entities[1][4], "v");
    assert_eq!(
        entities[2],
        json!(["Moneta", "Function", "F", "what it says", "a", "(since:timespan = 1d)", "{ T | count }", "n:long", {}])
    );

    let of_view = rows(".show materialized-view V cslschema").await;
    assert_eq!(of_view[0][0], "V");
    let as_json = rows(".show materialized-view V schema as json").await;
    assert!(as_json[0][1].as_str().unwrap().starts_with("{\"Name\":\"V\""), "{as_json}");
}

#[tokio::test]
async fn what_operators_ask_of_a_cluster_is_answered() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let run =
        async |csl: &str| fixture.send(&credential, "POST", "/v1/rest/mgmt", &json!({ "csl": csl }).to_string()).await;
    let cluster = run(".show cluster").await.json()["Tables"][0]["Rows"][0].clone();
    assert_eq!(cluster[3], fixture.clock.now().to_string());
    assert_eq!(run(".show operations").await.json()["Tables"][0]["Rows"], json!([]));
    let details = run(".show table Mine_CL details").await;
    assert_eq!(details.json()["Tables"][0]["Rows"][0][0], "Mine_CL");
    assert_eq!(run(".show tables details").await.json()["Tables"][0]["Rows"].as_array().unwrap().len(), 1);
    assert!(run(".show table None_CL details").await.text().contains("was not found"));
    for (command, table) in [(".show ingestion failures", "Quarantine"), (".show commands | take 1", "MonetaAudit")] {
        run(command).await;
        let (_, request) = fixture.fakes.queries.lock().unwrap().pop().unwrap();
        assert!(request.text.starts_with(table), "{}", request.text);
        assert_eq!(request.text.ends_with("| take 1"), command.ends_with("| take 1"));
    }
}

#[tokio::test]
async fn what_a_command_shows_is_a_table_for_the_operators_after_it() {
    let (fixture, answer) = ask("/v1/rest/mgmt", json!({ "csl": ".show tables | where TableName has 'x'" })).await;
    let queries = fixture.fakes.queries.lock().unwrap();
    assert_eq!(queries[0].1.text, "['.show tables'] | where TableName has 'x'");
    let given = &queries[0].1.given[0];
    assert_eq!((given.name.as_str(), given.num_rows(), given.columns.len()), (".show tables", 1, 4));
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
}

#[tokio::test]
async fn clients_learn_where_to_sign_in() {
    let fixture = Fixture::new();
    let answer = fixture.call("GET", "/v1/rest/auth/metadata", &[("host", "moneta.example:8443")], "").await;
    assert_eq!(answer.json()["AzureAD"]["LoginEndpoint"], "http://moneta.example:8443");
    let odd = fixture.call("GET", "/v1/rest/auth/metadata", &[("host", "a\"b")], "").await;
    assert_eq!(odd.json()["AzureAD"]["LoginEndpoint"], "http://localhost");
}

#[tokio::test]
async fn materialized_views_are_made_shown_and_dropped_by_commands() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let run = async |csl: &str| {
        let body = json!({ "csl": csl }).to_string();
        fixture.send(&credential, "POST", "/v1/rest/mgmt", &body).await
    };
    let made =
        run(".create async materialized-view with (folder='a') V on table T { T | summarize n = count() }").await;
    let expected = json!(["V", "T", "T | summarize n = count()", true, true, "a", "", 3, 2]);
    assert_eq!(made.json()["Tables"][0]["Rows"][0], expected);
    for shown in [".show materialized-views", ".show materialized-view V"] {
        assert_eq!(run(shown).await.json()["Tables"][0]["Rows"], json!([expected]), "{shown}");
    }
    let schema = run(".show schema as json").await.json()["Tables"][0]["Rows"][0][0].as_str().unwrap().to_owned();
    assert!(schema.contains(r#""MaterializedViews":{"V":{"Name":"V""#), "{schema}");
    assert!(run(".show materialized-view W").await.text().contains("was not found"));
    assert!(run(".create materialized-view V on T { T }").await.text().contains("on table T"));
    assert_eq!(run(".drop materialized-view V").await.json()["Tables"][0]["Rows"], json!([["V"]]));
    assert_eq!(run(".drop materialized-view V ifexists").await.json()["Tables"][0]["Rows"], json!([]));
}

#[tokio::test]
async fn tables_and_mappings_are_made_shown_and_dropped_by_commands() {
    use moneta_ports::TableChange;
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Query]).await;
    let run = async |csl: &str| {
        let body = json!({ "csl": csl }).to_string();
        fixture.send(&credential, "POST", "/v1/rest/mgmt", &body).await
    };
    let rows = async |csl: &str| {
        let answer = run(csl).await;
        assert_eq!(answer.status, StatusCode::OK, "{csl}: {}", answer.text());
        answer.json()["Tables"][0]["Rows"].clone()
    };
    let made = rows(".create-merge table A_CL (a:long, ['b']: string) with (folder = 'f', docstring = 'what')").await;
    let (name, schema) = (&made[0][0], made[0][1].as_str().unwrap());
    assert!(name == "A_CL" && schema.contains(r#"{"Name":"b","Type":"System.String","CslType":"string"}"#), "{made}");
    assert_eq!((&made[0][3], &made[0][4]), (&json!("f"), &json!("what")));
    rows(".create tables B_CL (a:long), C_CL (a:long)").await;
    rows(".alter table B_CL (a:long, b:string);").await;
    rows(".alter table B_CL docstring \"of b\"").await;
    let declared = fixture.fakes.declared.lock().unwrap().clone();
    let changes: Vec<_> = declared.iter().map(|(table, change)| (table.name.as_str(), *change)).collect();
    let (create, replace) = (TableChange::Create, TableChange::Replace);
    let expected = [("A_CL", TableChange::CreateOrExtend), ("B_CL", create), ("C_CL", create), ("B_CL", replace)];
    assert_eq!(changes, expected);
    assert_eq!(declared[1].0.doc_string, "of b");

    let text = r#"[{"column":"Score","path":"$.s"}]"#;
    let create = format!(".create table Mine_CL ingestion json mapping 'm' ```{text}```");
    let made = rows(&create).await;
    assert_eq!((&made[0][0], &made[0][1], &made[0][2]), (&json!("m"), &json!("Json"), &json!(text)));
    for show in ["json mappings", "mappings", "json mapping \"m\""] {
        assert_eq!(rows(&format!(".show table Mine_CL ingestion {show}")).await, made, "{show}");
    }
    assert_eq!(rows(".show table Mine_CL ingestion csv mappings").await, json!([]));
    // Several literals count as one text.
    rows(".create-or-alter table ['Mine_CL'] ingestion csv mapping \"m\" '[' '{\"Name\":\"Score\",\"Ordinal\":0}]'")
        .await;
    rows(".drop table Mine_CL ingestion csv mapping \"m\"").await;
    for (csl, word) in [
        (".create table Mine_CL ingestion json mapping 'm' '[{\"column\":\"x\",\"path\":\"$.x\"}]'", "create-merge"),
        (".create table Mine_CL ingestion avro mapping 'm' '[]'", "csv or json"),
        (".create table None_CL ingestion json mapping 'm' '[]'", "was not found"),
        (".drop table Mine_CL ingestion json mapping 'other'", "was not found"),
        (".show table Mine_CL ingestion json mapping 'other'", "was not found"),
        (".alter table Mine_CL folder f", "as a string"),
    ] {
        let answer = run(csl).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{csl}");
        assert!(answer.text().contains(word), "{csl}: {}", answer.text());
    }
    rows(".drop table Mine_CL ingestion json mapping 'm'").await;
    assert_eq!(rows(".show table Mine_CL ingestion mappings").await, json!([]));
    rows(".drop table B_CL").await;
    rows(".drop tables (A_CL, C_CL, D_CL) ifexists").await;
}

#[tokio::test]
async fn a_deep_link_leads_to_the_page_and_runs_nothing() {
    let fixture = Fixture::new();
    let answer = fixture.call("GET", "/Moneta?query=T%20%7C%20take%205&web=0", &[("accept", "text/html")], "").await;
    assert_eq!((answer.status, answer.header("location")), (StatusCode::FOUND, "/query?q=T%20%7C%20take%205"));
    let command = fixture.call("GET", "/netdefaultdb?query=.drop%20table%20T", &[], "").await;
    assert_eq!((command.status, command.header("location")), (StatusCode::FOUND, "/query?q=.drop%20table%20T"));
    assert!(fixture.fakes.queries.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_no_deep_link_is_found_nowhere_as_before() {
    let fixture = Fixture::new();
    let credential = fixture.credential(&[Scope::Ingest, Scope::Query]).await;
    for (method, path) in [
        ("GET", "/Moneta"),
        ("GET", "/logs-2026?query=T"),
        ("HEAD", "/logs-2026"),
        ("PUT", "/logs-2026"),
        ("DELETE", "/Moneta?query=T"),
    ] {
        let answer = fixture.send(&credential, method, path, "").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{method} {path}");
    }
}
