//! Completion and hover over unfinished texts; `^` marks the cursor.

use moneta_base::TableName;
use moneta_event::{Column, ColumnType, TableCatalog, TableSchema};

use super::{Completion, CompletionKind as Kind, complete, hover};

struct Two;

impl crate::Catalog for Two {
    fn columns(&self, table: &str) -> Option<std::sync::Arc<[Column]>> {
        match table {
            "Logons" => {
                Some([Column::new("Account", ColumnType::String), Column::new("Time", ColumnType::DateTime)].into())
            }
            "Hosts" => Some([Column::new("Host", ColumnType::String), Column::new("Cores", ColumnType::Long)].into()),
            _ => None,
        }
    }

    fn table_names(&self) -> Vec<String> {
        vec!["Logons".to_owned(), "Hosts".to_owned()]
    }
}

fn at_cursor(marked: &str) -> Vec<Completion> {
    let offset = marked.find('^').unwrap();
    complete(&marked.replace('^', ""), offset, &Two)
}

/// Checks that all of `wanted` are offered and none of `unwanted`.
#[track_caller]
fn check(marked: &str, kind: Kind, wanted: &[&str], unwanted: &[&str]) {
    let found: Vec<String> = at_cursor(marked).into_iter().filter(|c| c.kind == kind).map(|c| c.label).collect();
    for label in wanted {
        assert!(found.iter().any(|known| known == label), "{label} is missing at {marked}: {found:?}");
    }
    for label in unwanted {
        assert!(found.iter().all(|known| known != label), "{label} should not be at {marked}: {found:?}");
    }
}

#[test]
fn operators_follow_a_pipe() {
    check("Logons | ^", Kind::Operator, &["where", "summarize", "project-away", "mv-expand"], &[]);
    check("Logons | project-^", Kind::Operator, &["project-away"], &["where"]);
    check("Logons | where Account in (Hosts | ^", Kind::Operator, &["project"], &[]);
    assert_eq!(at_cursor("Logons | summ^")[0].insert, "summarize ");
}

#[test]
fn tables_stand_where_a_query_begins() {
    check("^", Kind::Table, &["Logons", "Hosts"], &[]);
    check("Ho^", Kind::Table, &["Hosts"], &["Logons"]);
    check("Logons | join kind=inner (^", Kind::Table, &["Hosts"], &[]);
    check("union Logons, ^", Kind::Table, &["Hosts"], &[]);
    check("Logons | where ^", Kind::Table, &[], &["Hosts"]);
}

#[test]
fn columns_are_those_of_this_point_of_the_pipe() {
    check("Logons | where ^", Kind::Column, &["Account", "Time"], &["Host"]);
    check("Logons | extend Day = startofday(Time) | project ^", Kind::Column, &["Day", "Account"], &[]);
    check("Logons | summarize n = count() by Account | where ^", Kind::Column, &["n", "Account"], &["Time"]);
    check("Logons | where Account == 'a' and ^ | take 5", Kind::Column, &["Account"], &[]);
    check("Logons | join (Hosts | where ^", Kind::Column, &["Host"], &["Account"]);
    check("Logons | join kind=inner (Hosts) on ^", Kind::Column, &["Account", "Host"], &[]);
    check("Logons | join (Hosts) on $left.Account == $right.^", Kind::Column, &["Host"], &["Account"]);
    check(
        "Logons | join (Hosts) on $left.Account == $right.Host | project ^",
        Kind::Column,
        &["Account", "Cores"],
        &[],
    );
    check("Logons | project strlen(^", Kind::Column, &["Account"], &[]);
}

#[test]
fn aggregates_stand_only_where_rows_are_grouped() {
    check("Logons | summarize ^", Kind::Aggregate, &["count", "dcount"], &[]);
    check("Logons | summarize count() by ^", Kind::Aggregate, &[], &["count"]);
    check("Logons | where ^", Kind::Aggregate, &[], &["count"]);
    check("Logons | where ^", Kind::Function, &["strlen", "ago"], &[]);
}

#[test]
fn parameters_and_their_values() {
    check("Logons | join ^", Kind::Parameter, &["kind", "hint.strategy"], &[]);
    check("Logons | join kind=^", Kind::Value, &["inner", "leftanti"], &["outer"]);
    check("Logons | join kind=left^", Kind::Value, &["leftanti", "leftouter"], &["inner"]);
    check("union kind=^", Kind::Value, &["outer"], &["leftanti"]);
    check("Logons | join hint.strategy=^", Kind::Value, &["shuffle"], &[]);
    check("Logons | render ^", Kind::Value, &["timechart", "ladderchart"], &["plotly", "graph", "pivotchart"]);
    check("Logons | sort ^", Kind::Keyword, &["by"], &[]);
    check("Logons | sort by Time ^", Kind::Keyword, &["desc", "asc"], &[]);
    check("Logons | where Account ^", Kind::Keyword, &["has", "==", "in ("], &[]);
    check("datatable (a:^", Kind::Type, &["string", "long"], &[]);
}

#[test]
fn names_declared_before_are_offered() {
    check("let limit_ = 5; let T = Logons; ^", Kind::Variable, &["T", "limit_"], &[]);
    check("let n = 5; Logons | take ^", Kind::Variable, &["n"], &[]);
    check("let f = (who:string, rows:(Host:string)) { rows | where ^", Kind::Variable, &["who"], &[]);
    check("let f = (who:string, rows:(Host:string)) { rows | where ^", Kind::Column, &["Host"], &[]);
    check("let f = (a:long) { a + 1 }; print ^", Kind::Variable, &["f"], &["a"]);
}

#[test]
fn nothing_is_offered_inside_strings_and_comments() {
    for marked in ["Logons | where Account == 'a^", "Logons // a^", "Logons | where Account has @\"x ^"] {
        assert_eq!(at_cursor(marked), [], "{marked}");
    }
}

#[test]
fn the_word_being_written_is_replaced() {
    let found = at_cursor("Logons | where Acc^ount == 'x'");
    assert_eq!((found[0].label.as_str(), found[0].replaces.start, found[0].replaces.end), ("Account", 15, 22));
}

#[test]
fn unusual_names_are_quoted() {
    let columns = [Column::new("a b", ColumnType::String)];
    let mut catalog = TableCatalog::built_in();
    catalog.insert(TableSchema::new(TableName::new("Odd_CL").unwrap(), columns));
    let found = complete("Odd_CL | project a", 18, &catalog);
    assert_eq!(found[0].insert, "['a b']");
}

#[track_caller]
fn check_hover(marked: &str, title: &str, part: &str) {
    let offset = marked.find('^').unwrap();
    let found = hover(&marked.replace('^', ""), offset, &Two);
    let found = found.unwrap_or_else(|| panic!("nothing at {marked}"));
    assert!(found.title.starts_with(title) && found.text.contains(part), "{marked}: {found:?}");
}

#[test]
fn hover_says_types_signatures_and_columns() {
    check_hover("Logons | where ^Account == 'a'", "Account: string", "");
    check_hover("Logons | extend n = strlen(Account) | project ^n", "n: long", "");
    check_hover("Logons | extend n = ^strlen(Account)", "strlen(", "");
    check_hover("Logons | summarize ^dcount(Account)", "dcount(", "");
    check_hover("^Logons | take 5", "Logons", "Time: datetime");
    check_hover("Logons | ^summarize count()", "summarize Name = aggregate", "groups");
    check_hover("let ^x = 5; print x", "x: long", "");
    check_hover("let f = (a:long) { a }; print ^f(1)", "f(a:long)", "");
    assert_eq!(hover("Logons | where Account == 'x'", 27, &Two), None);
    assert_eq!(hover("", 0, &Two), None);
}

#[test]
fn every_place_of_a_text_can_be_asked() {
    let text = "let f = (a:long) { T | where x in (1, 2) };\nLogons | join kind=inner (Hosts | take 1) on $left.Account == \
                $right.Host | summarize c = count(), arg_max(Time, *) by bin(Time, 1h) // end é";
    for offset in 0..=text.len() + 3 {
        let _ = (complete(text, offset, &Two), hover(text, offset, &Two));
    }
}
