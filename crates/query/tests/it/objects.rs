//! Stored functions, saved queries and watchlists.

use moneta_base::ErrorKind;
use moneta_ports::{
    Actor, ActorKind, CreateMode, OpContext, QueryObjects, SavedQuery, Scope, StoredFunction, WatchlistFormat,
    WatchlistUpload,
};
use moneta_query::Limits;

use crate::support::{Fixture, admin, kql, reader};

fn function(name: &str, parameters: &str, body: &str) -> StoredFunction {
    StoredFunction {
        name: name.to_owned(),
        parameters: parameters.to_owned(),
        body: body.to_owned(),
        ..StoredFunction::default()
    }
}

async fn put(fixture: &Fixture, function: StoredFunction) -> Result<StoredFunction, moneta_ports::PortError> {
    fixture.engine.put_function(&admin(), function, CreateMode::CreateOrAlter, false).await
}

#[tokio::test]
async fn functions_are_called_by_name_and_survive_a_restart() {
    let fixture = Fixture::new(Limits::default());
    put(&fixture, function("From", "(first: long)", "{ Steps_CL | where Step >= first }")).await.unwrap();
    put(&fixture, function("Twice", "(n: long = 4)", "{ n * 2 }")).await.unwrap();
    put(&fixture, function("Last", "(T: (*), n: long)", "{ T | top n by Step desc }")).await.unwrap();
    let check = async |fixture: &Fixture| {
        assert_eq!(fixture.rows(kql("From(998) | count")).await, ["2"]);
        assert_eq!(fixture.rows(kql("print Twice(), Twice(3)")).await, ["8|6"]);
        assert_eq!(fixture.rows(kql("From(5) | invoke Last(1) | project Step")).await, ["999"]);
    };
    check(&fixture).await;
    let fixture = fixture.reopened(Limits::default());
    check(&fixture).await;
    assert_eq!(fixture.engine.functions().len(), 3);
    fixture.engine.drop_function(&admin(), "From").await.unwrap();
    assert!(fixture.run(kql("From(998)")).await.is_err());
    assert!(fixture.audit.0.lock().unwrap().contains(&"function.drop success From".to_owned()));
}

#[tokio::test]
async fn the_columns_of_a_function_are_known_without_running_it() {
    let fixture = Fixture::new(Limits::default());
    put(
        &fixture,
        function("From", "(first: long, word: string)", "{ Steps_CL | where Step >= first | project Step, Text }"),
    )
    .await
    .unwrap();
    put(&fixture, function("Twice", "(n: long = 4)", "{ n * 2 }")).await.unwrap();
    put(&fixture, function("Last", "(T: (*))", "{ T | take 1 }")).await.unwrap();
    let columns = |name: &str| fixture.engine.function_columns(&admin(), name);
    assert_eq!(columns("From"), [("Step", "long"), ("Text", "string")].map(|(n, k)| (n.to_owned(), k.to_owned())));
    for name in ["Twice", "Last", "Absent"] {
        assert!(columns(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn a_function_that_cannot_be_is_refused_with_the_reason() {
    let fixture = Fixture::new(Limits::default());
    let check = async |function: StoredFunction, words: &str| {
        let error = put(&fixture, function).await.unwrap_err();
        assert!(error.kind == ErrorKind::Caller && error.to_string().contains(words), "{words}: {error}");
    };
    check(function("f", "()", "{ Nothing_CL | count }"), "Nothing_CL").await;
    check(function("f", "(", "{ 1 }"), "SYN").await;
    check(function("strlen", "()", "{ 1 }"), "built-in").await;
    check(function("a b", "()", "{ 1 }"), "letters").await;
    check(function("f", "()", "{ union f(), f() }"), "(f -> f)").await;
    assert!(fixture.engine.functions().is_empty());
    let unchecked = function("f", "()", "{ Nothing_CL }");
    fixture.engine.put_function(&admin(), unchecked, CreateMode::Create, true).await.unwrap();
    let again = fixture.engine.put_function(&admin(), function("f", "()", "{ 1 }"), CreateMode::Create, false).await;
    assert!(again.unwrap_err().to_string().contains("already"));
    let absent = fixture.engine.put_function(&admin(), function("g", "()", "{ 1 }"), CreateMode::Alter, false).await;
    assert!(absent.unwrap_err().to_string().contains("no function"));
}

#[tokio::test]
async fn functions_never_lead_back_to_themselves() {
    let fixture = Fixture::new(Limits::default());
    let unchecked = async |name: &str, body: &str| {
        fixture.engine.put_function(&admin(), function(name, "()", body), CreateMode::CreateOrAlter, true).await
    };
    unchecked("a", "{ b() }").await.unwrap();
    unchecked("b", "{ c() }").await.unwrap();
    let error = unchecked("c", "{ print x = 1 | extend y = toscalar(a()) }").await.unwrap_err();
    assert!(error.to_string().contains("c -> a -> b -> c"), "{error}");
    unchecked("c", "{ T | where 'a()' == x }").await.unwrap();
}

#[tokio::test]
async fn calls_within_calls_are_bounded_by_depth_and_number() {
    let fixture = Fixture::new(Limits::default());
    put(&fixture, function("f0", "()", "{ 1 }")).await.unwrap();
    for level in 1..80 {
        let body = format!("{{ f{}() + f{}() }}", level - 1, level - 1);
        let made = function(&format!("f{level}"), "()", &body);
        fixture.engine.put_function(&admin(), made, CreateMode::Create, true).await.unwrap();
    }
    assert_eq!(fixture.rows(kql("print f5()")).await, ["32"]);
    let error = fixture.run(kql("print f20()")).await.unwrap_err().to_string();
    assert!(error.contains("10000 times"), "{error}");
    let error = fixture.run(kql("print f79()")).await.unwrap_err().to_string();
    assert!(error.contains("levels deep"), "{error}");
}

#[tokio::test]
async fn changing_needs_the_scope_and_a_refusal_is_audited() {
    let fixture = Fixture::new(Limits::default());
    let made = fixture.engine.put_function(&reader(), function("f", "()", "{ 1 }"), CreateMode::Create, false).await;
    assert_eq!(made.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(*fixture.audit.0.lock().unwrap(), ["function.put denied f"]);
}

#[tokio::test]
async fn a_watchlist_is_a_table_with_its_search_key() {
    let fixture = Fixture::new(Limits::default());
    let upload = WatchlistUpload {
        name: "VIP users".to_owned(),
        search_key: Some("Text".to_owned()),
        format: WatchlistFormat::Csv,
        content: b"Level,Text\nhigh,step 7\nlow,step 8\n".to_vec(),
        description: String::new(),
    };
    fixture.engine.put_watchlist(&admin(), upload).await.unwrap();
    let check = async |fixture: &Fixture| {
        let joined = "Steps_CL | join kind=inner (_GetWatchlist('VIP users')) on $left.Text == $right.SearchKey \
            | sort by Step asc | project Step, Level";
        assert_eq!(fixture.rows(kql(joined)).await, ["7|high", "8|low"]);
        let picked = "_GetWatchlist('VIP users', dynamic(['step 8'])) | project Level";
        assert_eq!(fixture.rows(kql(picked)).await, ["low"]);
        assert_eq!(fixture.rows(kql("_GetWatchlistAlias() | count")).await, ["1"]);
    };
    check(&fixture).await;
    let fixture = fixture.reopened(Limits::default());
    check(&fixture).await;
    assert!(fixture.run(kql("_GetWatchlist('None')")).await.is_err());
    fixture.engine.delete_watchlist(&admin(), "VIP users").await.unwrap();
    assert!(fixture.engine.watchlists().is_empty());
}

#[tokio::test]
async fn a_saved_query_parses_and_is_replaced_by_its_name() {
    let fixture = Fixture::new(Limits::default());
    let query = |text: &str, language: &str| SavedQuery {
        name: "Daily".to_owned(),
        text: text.to_owned(),
        language: language.to_owned(),
        ..SavedQuery::default()
    };
    fixture.engine.save_query(&admin(), query("Steps_CL | count", "kql")).await.unwrap();
    fixture.engine.save_query(&admin(), query("SELECT 1", "sql")).await.unwrap();
    assert!(fixture.engine.save_query(&admin(), query("Steps_CL | | count", "kql")).await.is_err());
    assert!(fixture.engine.save_query(&admin(), query("x", "cypher")).await.is_err());
    let saved = fixture.engine.saved_queries();
    assert_eq!((saved.len(), saved[0].text.as_str(), saved[0].changed_by.as_str()), (1, "SELECT 1", "root"));
    fixture.engine.delete_query(&admin(), "Daily").await.unwrap();
    assert!(fixture.engine.delete_query(&admin(), "Daily").await.is_err());
}

#[tokio::test]
async fn who_may_query_saves_and_removes_queries_of_their_own_alone() {
    let fixture = Fixture::new(Limits::default());
    let person = |name: &str, scope: Scope| OpContext {
        actor: Actor { kind: ActorKind::Person, name: name.to_owned() },
        scopes: vec![scope],
        ..OpContext::service("test")
    };
    let (ada, bert) = (person("ada", Scope::Query), person("bert", Scope::Query));
    let query = |text: &str| SavedQuery {
        name: "Daily".to_owned(),
        text: text.to_owned(),
        language: "kql".to_owned(),
        ..SavedQuery::default()
    };
    let engine = &fixture.engine;
    let sender = engine.save_query(&person("agent", Scope::Ingest), query("Steps_CL")).await.unwrap_err();
    assert_eq!(sender.kind, ErrorKind::Denied);
    engine.save_query(&ada, query("Steps_CL | count")).await.unwrap();
    engine.save_query(&ada, query("Steps_CL | take 1")).await.unwrap();
    assert_eq!(engine.save_query(&bert, query("Steps_CL")).await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(engine.delete_query(&bert, "Daily").await.unwrap_err().kind, ErrorKind::Denied);
    assert_eq!(engine.saved_queries()[0].text, "Steps_CL | take 1");
    engine.delete_query(&ada, "Daily").await.unwrap();
    engine.save_query(&bert, query("Steps_CL")).await.unwrap();
    engine.save_query(&admin(), query("Steps_CL | count")).await.unwrap();
    assert_eq!(engine.saved_queries()[0].changed_by, "root");
}
