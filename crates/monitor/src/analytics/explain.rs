//! Why an analytics rule alerts about a row, or does not: the operator of the query that drops it, and which of that
//! operator's conditions do not hold. Of a query over several rows only its answer can be told.

use std::collections::BTreeMap;

use moneta_base::{Seq, TableName, Timestamp};
use moneta_ports::{OpContext, QueryAnswer, QueryEngine, QueryError, QueryRequest};
use moneta_rules::analytics::{AnalyticsRule, Arrival, Step};

use super::num_rows;
use super::raise::rows_of;
use super::span::{Plan, Span};

/// Rows of an answer that are shown.
const ROWS_SHOWN_MAX: usize = 5;

/// Why a rule alerts, or does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryExplanation {
    /// Whether it does.
    pub holds: bool,
    /// The reasons for people: `+` before what holds, `-` before what does not.
    pub lines: Vec<String>,
}

/// Explains what a rule makes of the row of a table with a sequence and an event time, among what an engine has.
///
/// # Errors
/// Those of the queries.
pub async fn explain(
    engine: &dyn QueryEngine,
    ctx: &OpContext,
    rule: &AnalyticsRule,
    (table, seq, time): (&TableName, Seq, Timestamp),
) -> Result<QueryExplanation, QueryError> {
    let asking = Asking { engine, ctx, rule };
    let plans = Plan::of(rule);
    let of_table = plans.iter().find(|plan| plan.table() == Some(table));
    let (holds, mut lines) = match (of_table.or(plans.first()), of_table) {
        (Some(Plan::Arrival { arrival, .. }), Some(_)) => asking.row(arrival, table, seq, time).await?,
        (Some(Plan::Arrival { arrival, .. }), None) => {
            let tables = arrival.tables().into_iter().collect::<Vec<_>>().join(", ");
            (false, vec![format!("- it looks at rows of {tables}")])
        }
        (Some(plan), _) => asking.window(plan, time).await?,
        (None, _) => (false, Vec::new()),
    };
    let verb = if holds { "alerts" } else { "does not alert" };
    let about = if of_table.is_some() { "the event" } else { "events around the one" };
    let (title, id) = (&rule.metadata.title, &rule.metadata.id);
    lines.insert(0, format!("{title} ({id}) {verb} about {about} in {table}"));
    Ok(QueryExplanation { holds, lines })
}

struct Asking<'a> {
    engine: &'a dyn QueryEngine,
    ctx: &'a OpContext,
    rule: &'a AnalyticsRule,
}

impl Asking<'_> {
    /// Of a query that looks at each row by itself: the operators, up to the one that drops it.
    async fn row(
        &self,
        arrival: &Arrival,
        table: &TableName,
        seq: Seq,
        at: Timestamp,
    ) -> Result<(bool, Vec<String>), QueryError> {
        let answer = self.ask(arrival.over(table.as_str(), seq, seq + 1), at).await?;
        let holds = num_rows(&answer) > 0;
        let steps = arrival.steps(table.as_str(), seq, seq + 1);
        let mut lines = Vec::new();
        for (step, next) in steps.iter().zip(steps.iter().skip(1).map(Some).chain([None])) {
            let passes = match next {
                Some(next) => num_rows(&self.ask(next.before.clone(), at).await?) > 0,
                None => holds,
            };
            lines.push(format!("{} {}", sign(passes), on_one_line(&step.text)));
            if step.conditions.len() > 1 || !passes {
                lines.extend(self.conditions(step, at).await?);
            }
            if !passes {
                break;
            }
        }
        if steps.is_empty() {
            lines.push(format!("{} the query returns {} rows for it", sign(holds), num_rows(&answer)));
        }
        lines.extend(shown(&answer));
        Ok((holds, lines))
    }

    /// The conditions of a `where`, each by itself.
    async fn conditions(&self, step: &Step, at: Timestamp) -> Result<Vec<String>, QueryError> {
        if step.conditions.is_empty() {
            return Ok(Vec::new());
        }
        let columns: Vec<String> =
            step.conditions.iter().enumerate().map(|(at, text)| format!("c{at} = iff({text}, true, false)")).collect();
        let answer = self.ask(format!("{} | project {}", step.before, columns.join(", ")), at).await?;
        let rows = answer.tables.first().map(|table| rows_of(table, ROWS_SHOWN_MAX)).unwrap_or_default();
        let holds = |at: usize| rows.iter().any(|row| row.get(&format!("c{at}")).is_some_and(|value| value == "true"));
        let line = |(at, text): (usize, &String)| format!("  {} {}", sign(holds(at)), on_one_line(text));
        Ok(step.conditions.iter().enumerate().map(line).collect())
    }

    /// Of a query over several rows: its answer over the first window that ends after the event.
    async fn window(&self, plan: &Plan, time: Timestamp) -> Result<(bool, Vec<String>), QueryError> {
        let Some(span) = plan.first_after(time) else { return Ok((false, Vec::new())) };
        let answer = self.engine.query(self.ctx, span.request(self.rule, plan)).await?;
        let (rows, trigger) = (num_rows(&answer), self.rule.trigger);
        let holds = trigger.holds(rows);
        let mut lines = vec![
            "its query looks at several rows together, so no single condition decides about the event".to_owned(),
            told(&span, rows),
            format!("{} it alerts when that is {} {}", sign(holds), trigger.operator.name(), trigger.threshold),
        ];
        lines.extend(
            self.rule.thresholds().iter().map(|text| format!("  groups of rows must meet: {}", on_one_line(text))),
        );
        lines.extend(shown(&answer));
        Ok((holds, lines))
    }

    async fn ask(&self, text: String, at: Timestamp) -> Result<QueryAnswer, QueryError> {
        self.engine.query(self.ctx, QueryRequest { now: Some(at), ..QueryRequest::new(text) }).await
    }
}

fn told(span: &Span, rows: u64) -> String {
    let (from, to) = span.bounds();
    let text = |bound: &serde_json::Value| bound.as_str().map_or_else(|| bound.to_string(), str::to_owned);
    format!("over the window from {} to {} it returns {rows} rows", text(&from), text(&to))
}

const fn sign(holds: bool) -> char {
    if holds { '+' } else { '-' }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first rows of an answer.
fn shown(answer: &QueryAnswer) -> Vec<String> {
    let rows = answer.tables.first().map(|table| rows_of(table, ROWS_SHOWN_MAX)).unwrap_or_default();
    let line = |row: &BTreeMap<String, String>| {
        let values: Vec<String> = row.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        format!("  row: {}", values.join(", "))
    };
    rows.iter().map(line).collect()
}
