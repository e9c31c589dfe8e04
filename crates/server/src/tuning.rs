//! What verdicts say of how to tune a rule: which values the alerts judged wrong share, and what an exception of them would
//! take away of the alerts of each verdict.
//!
//! Alerts are replayed without and with the exception: their stored events through the matcher and the correlator of
//! arrival; of an analytics rule, the rows of the result that the alert keeps, against the rule's trigger. Nothing here
//! changes a rule or raises an alert.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use moneta_base::{Seq, TableName};
use moneta_event::schema::standard;
use moneta_ports::{
    AuditEvent, AuditSink, Classification, ExceptionCondition, JudgedAlert, OpContext, PortError, RuleTuning,
    TuningHint, VerdictCounts,
};
use moneta_rules::analytics::AnalyticsRule;
use moneta_rules::exception;
use moneta_rules::hunt::text;
use moneta_rules::tuning::{Judged, Sample, hints, is_telling};

use crate::backfill;
use crate::exceptions::conditions;
use crate::rule_admin::Rules;

/// Events of an alert that are read at most: one with more is not replayed.
const EVENTS_OF_ALERT_MAX: usize = 50;
/// Rows that one query reads at most.
const ROWS_PER_QUERY: usize = 1_000;

/// An event by its columns, those without a value left out.
type Columns = BTreeMap<String, String>;
/// Stored rows, each by itself.
type Rows = Vec<(TableName, RecordBatch)>;

/// An alert with what it rests on.
struct Alert<E> {
    classification: Option<Classification>,
    /// Its events by the columns that hints are given on.
    columns: Vec<Columns>,
    events: E,
    /// Whether these are all of its events.
    is_whole: bool,
}

impl Rules {
    /// Hints for tuning a rule out of what people made of its alerts.
    pub(crate) async fn tune(
        &self,
        ctx: &OpContext,
        rule_id: &str,
        judged: Vec<JudgedAlert>,
    ) -> Result<RuleTuning, PortError> {
        self.audit.record(ctx, AuditEvent::success("rule.tune", "rule", rule_id)).await?;
        if let Some(rule) = self.analytics.rule(rule_id) {
            return self.tune_query(&rule, judged);
        }
        let alone = self.alone(rule_id, None)?;
        let alerts = self.with_rows(ctx, judged).await?;
        tuning(
            &alerts,
            |rows: &Rows| backfill::is_raised(&alone, rule_id, rows),
            |said| {
                // Of a correlation over correlations there are none.
                if self.check_exception(rule_id, said).is_err() {
                    return Ok(None);
                }
                let filter = exception::filter("tuning", rule_id, &conditions(said)?);
                let then = self.alone(rule_id, Some(filter.map_err(crate::exceptions::refused)?))?;
                Ok(Some(move |rows: &Rows| backfill::is_raised(&then, rule_id, rows)))
            },
        )
    }

    /// Judged alerts with those of their events that are stored.
    async fn with_rows(&self, ctx: &OpContext, judged: Vec<JudgedAlert>) -> Result<Vec<Alert<Rows>>, PortError> {
        let places = |one: &JudgedAlert| {
            let places = one.alert.events.iter().take(EVENTS_OF_ALERT_MAX);
            places.filter_map(|event| Some((TableName::new(&event.table).ok()?, event.seq))).collect::<Vec<_>>()
        };
        let mut wanted: BTreeMap<TableName, BTreeSet<Seq>> = BTreeMap::new();
        for (table, seq) in judged.iter().flat_map(places) {
            wanted.entry(table).or_default().insert(seq);
        }
        let stored = self.audit.store().tables_with_rows();
        let mut rows: HashMap<(TableName, Seq), RecordBatch> = HashMap::new();
        for (table, seqs) in wanted.into_iter().filter(|(table, _)| stored.contains(table)) {
            let seqs: Vec<Seq> = seqs.into_iter().collect();
            for seqs in seqs.chunks(ROWS_PER_QUERY) {
                for batch in backfill::read_rows(&*self.history()?, ctx, &table, seqs).await? {
                    rows.extend(by_seq(&batch).map(|(seq, row)| ((table.clone(), seq), row)));
                }
            }
        }
        let alert = |one: JudgedAlert| {
            let found = places(&one).into_iter().filter_map(|place| {
                let row = rows.get(&place)?.clone();
                Some((place.0, row))
            });
            let events: Rows = found.collect();
            Alert {
                classification: one.classification,
                columns: events.iter().map(|(_, row)| columns_of(row)).collect(),
                is_whole: !events.is_empty() && events.len() as u64 == one.alert.event_count,
                events,
            }
        };
        Ok(judged.into_iter().map(alert).collect())
    }

    fn tune_query(&self, rule: &AnalyticsRule, judged: Vec<JudgedAlert>) -> Result<RuleTuning, PortError> {
        let id = rule.metadata.id.as_str();
        let in_force: Vec<_> = self.exceptions_in_force()?.into_iter().filter(|one| one.rule_id == id).collect();
        let is_told = |column: &str| {
            is_telling(column) || rule.entities.iter().flat_map(|one| &one.fields).any(|(_, named)| named == column)
        };
        let alert = |one: JudgedAlert| {
            let events: Vec<Columns> =
                one.alert.events.iter().map(|event| event.fields.iter().cloned().collect()).collect();
            let told = |row: &Columns| row.iter().filter(|(name, _)| is_told(name)).map(own).collect();
            // Rows beyond those that the alert lists have no columns here.
            let is_listed = events.iter().all(|row| !row.is_empty()) && !events.is_empty();
            Alert {
                classification: one.classification,
                columns: events.iter().map(told).collect(),
                is_whole: is_listed && events.len() as u64 == one.alert.event_count,
                events,
            }
        };
        let alerts: Vec<_> = judged.into_iter().map(alert).collect();
        let is_excepted = |row: &Columns| in_force.iter().any(|one| meets(row, &one.conditions));
        let holds = |left: usize| left > 0 && rule.trigger.holds(left as u64);
        let left = |rows: &Vec<Columns>| rows.iter().filter(|row| !is_excepted(row)).count();
        tuning(
            &alerts,
            |rows| holds(left(rows)),
            |said| {
                let said = said.to_vec();
                Ok(Some(move |rows: &Vec<Columns>| {
                    holds(rows.iter().filter(|row| !is_excepted(row) && !meets(row, &said)).count())
                }))
            },
        )
    }
}

/// The hints of some alerts. `raised` says whether the rule raises an alert of some events as it is; `with` does so for the
/// rule with an exception, where it can have it.
fn tuning<E, F: Fn(&E) -> bool>(
    alerts: &[Alert<E>],
    raised: impl Fn(&E) -> bool,
    with: impl Fn(&[ExceptionCondition]) -> Result<Option<F>, PortError>,
) -> Result<RuleTuning, PortError> {
    let mut found = RuleTuning::default();
    let is_replayed: Vec<bool> = alerts.iter().map(|alert| alert.is_whole && raised(&alert.events)).collect();
    for (alert, is_replayed) in alerts.iter().zip(&is_replayed) {
        let counts = if *is_replayed { &mut found.replayed } else { &mut found.not_replayed };
        counts.count(alert.classification);
    }
    // What is right keeps its values, also where it cannot be replayed.
    let samples = alerts
        .iter()
        .zip(&is_replayed)
        .filter(|(alert, is_replayed)| **is_replayed || judged(alert.classification) == Judged::Right);
    let samples: Vec<Sample> = samples.map(|(alert, _)| sample(alert)).collect();
    for hint in hints(&samples) {
        let condition = ExceptionCondition { field: hint.column, test: "equals".to_owned(), values: hint.values };
        let conditions = vec![condition];
        let Some(raised) = with(&conditions)? else { continue };
        let mut removes = VerdictCounts::default();
        for (alert, _) in alerts.iter().zip(&is_replayed).filter(|(_, is_replayed)| **is_replayed) {
            if !raised(&alert.events) {
                removes.count(alert.classification);
            }
        }
        if removes.false_positive + removes.benign_positive > 0 {
            found.hints.push(TuningHint { conditions, removes });
        }
    }
    Ok(found)
}

fn judged(classification: Option<Classification>) -> Judged {
    match classification {
        Some(Classification::TruePositive) => Judged::Right,
        Some(Classification::FalsePositive | Classification::BenignPositive) => Judged::Wrong,
        Some(Classification::Undetermined) | None => Judged::Unknown,
    }
}

fn sample<E>(alert: &Alert<E>) -> Sample {
    let names: BTreeSet<&String> = alert.columns.iter().flat_map(BTreeMap::keys).collect();
    let value = |row: &Columns, name: &String| row.get(name).cloned().unwrap_or_default();
    let values = names.into_iter().map(|name| {
        let values = alert.columns.iter().map(|row| value(row, name)).collect();
        (name.clone(), values)
    });
    Sample { judged: judged(alert.classification), values: values.collect() }
}

/// The rows of a batch, each by itself, with their sequences.
fn by_seq(batch: &RecordBatch) -> impl Iterator<Item = (Seq, RecordBatch)> {
    let seqs = batch.column_by_name(standard::SEQ).and_then(|column| column.as_primitive_opt::<Int64Type>());
    let seqs = seqs
        .into_iter()
        .flat_map(|seqs| (0..seqs.len()).filter(|row| seqs.is_valid(*row)).map(|row| (row, seqs.value(row))));
    seqs.filter_map(|(row, seq)| Some((Seq::try_from(seq).ok()?, batch.slice(row, 1))))
}

/// The columns of a row that hints are given on.
fn columns_of(row: &RecordBatch) -> Columns {
    let fields = row.schema_ref().fields().iter().map(|field| field.name()).filter(|name| is_telling(name));
    let values = fields.map(|name| (name.clone(), text(row, name, 0)));
    values.filter(|(_, value)| !value.is_empty()).collect()
}

fn own((name, value): (&String, &String)) -> (String, String) {
    (name.clone(), value.clone())
}

/// Whether a row of a result meets all conditions of an exception; one about networks is met by none.
fn meets(row: &Columns, conditions: &[ExceptionCondition]) -> bool {
    conditions.iter().all(|condition| {
        let value = row.get(&condition.field).map(|value| value.to_lowercase()).unwrap_or_default();
        condition.values.iter().map(|wanted| wanted.to_lowercase()).any(|wanted| match condition.test.as_str() {
            "equals" => value == wanted,
            "contains" => value.contains(&wanted),
            "startswith" => value.starts_with(&wanted),
            "endswith" => value.ends_with(&wanted),
            _ => false,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(user: &str) -> Columns {
        [("User".to_owned(), user.to_owned())].into()
    }

    fn alert(classification: Classification, users: &[&str], is_whole: bool) -> Alert<Vec<Columns>> {
        let rows: Vec<Columns> = users.iter().map(|user| row(user)).collect();
        Alert { classification: Some(classification), columns: rows.clone(), events: rows, is_whole }
    }

    /// A rule that wants two rows.
    fn tuned(alerts: &[Alert<Vec<Columns>>]) -> RuleTuning {
        let with = |said: &[ExceptionCondition]| {
            let said = said.to_vec();
            Ok(Some(move |rows: &Vec<Columns>| rows.iter().filter(|row| !meets(row, &said)).count() >= 2))
        };
        tuning(alerts, |rows| rows.len() >= 2, with).unwrap()
    }

    #[test]
    fn a_hint_says_what_a_replay_takes_away() {
        use Classification::{BenignPositive, FalsePositive, TruePositive, Undetermined};
        let found = tuned(&[
            alert(FalsePositive, &["svc", "svc", "svc"], true),
            alert(BenignPositive, &["SVC", "svc"], true),
            alert(FalsePositive, &["svc", "ann", "ann"], true),
            alert(Undetermined, &["svc", "ann"], true),
            alert(TruePositive, &["eve", "eve"], true),
            alert(FalsePositive, &["svc"], true),
            alert(FalsePositive, &["svc", "svc"], false),
        ]);
        assert_eq!((found.replayed.false_positive, found.not_replayed.false_positive), (2, 2));
        let [hint] = &found.hints[..] else { panic!("{found:?}") };
        assert_eq!(
            (hint.conditions[0].field.as_str(), &hint.conditions[0].values[..]),
            ("User", &["svc".to_owned()][..])
        );
        let removes =
            VerdictCounts { false_positive: 1, benign_positive: 1, undetermined: 1, ..VerdictCounts::default() };
        assert_eq!(hint.removes, removes, "two rows of another user are left of the third");
    }

    #[test]
    fn a_true_alert_keeps_its_values_though_it_is_not_replayed() {
        use Classification::{FalsePositive, TruePositive};
        let wrong = || alert(FalsePositive, &["svc", "svc"], true);
        assert_eq!(tuned(&[wrong(), wrong()]).hints.len(), 1);
        assert!(tuned(&[wrong(), wrong(), alert(TruePositive, &["Svc"], false)]).hints.is_empty());
    }
}
