//! Tells people once of the same rule about the same entities within a time. Every alert is stored and joins its
//! incident; those that only repeat what was told are not delivered, and the next one that is says how many they were.

use std::collections::HashMap;
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_merkle::{Hash, sha256};
use moneta_ports::{Metric, Metrics};
use serde_json::Value;

use crate::alert::Raised;
use crate::entities;

/// Matters remembered at most; beyond that one may be told twice.
const MATTERS_MAX: usize = 100_000;

/// Which matters were told, and when.
pub(crate) struct Repeats {
    quiet: Duration,
    /// By rule and entities.
    told: HashMap<Hash, Told>,
}

struct Told {
    alert_id: String,
    at: Timestamp,
    /// Alerts before it that were not told, which it says.
    before: u64,
    /// Alerts since that were not told.
    untold: u64,
}

/// What an alert is to those who were told before.
#[derive(Debug, PartialEq, Eq)]
enum Matter {
    /// They hear of it: something new, or something old after a while. So many alerts of it since were not told.
    New { untold: u64 },
    /// The same as the alert with this id, which they were told of a short while ago.
    Same(String),
}

impl Repeats {
    /// People hear of the same matter again after so long; always, when it is zero.
    pub(crate) fn new(quiet: Duration) -> Self {
        Self { quiet, told: HashMap::new() }
    }

    /// Marks an alert that repeats what people were told, and lets the next one say how many did. Those that are stored
    /// short are not looked at.
    pub(crate) fn note(&mut self, raised: &mut Raised, now: Timestamp, metrics: &Metrics) {
        if raised.is_short() {
            return;
        }
        let alert = &raised.alert;
        match self.count(alert.rule_id.as_str(), raised.entities(), &alert.id, now) {
            Matter::New { untold: 0 } => {}
            Matter::New { untold } => {
                let blank = if alert.explanation.is_empty() { "" } else { ". " };
                let more = format!("{blank}{untold} more alerts about the same since the last one that was sent");
                raised.alert.explanation.push_str(&more);
            }
            Matter::Same(told) => {
                metrics.add_labelled(Metric::MonitorAlerts, "repeated", 1);
                raised.repeat(told);
            }
        }
    }

    /// Counts an alert of a rule about these entities. One that people are told of and that is raised again, as its commit
    /// did not succeed, does not repeat itself; one that they are not told of is counted again then.
    fn count(&mut self, rule_id: &str, about: &[Value], alert_id: &str, now: Timestamp) -> Matter {
        if self.quiet.is_zero() {
            return Matter::New { untold: 0 };
        }
        let names: Vec<String> = entities::matter_keys(about).into_iter().collect();
        let matter = sha256(format!("{rule_id}\0{}", names.join("\0")).as_bytes());
        let quiet = self.quiet;
        if self.told.len() >= MATTERS_MAX {
            self.told.retain(|_, told| now.since(told.at) < quiet);
        }
        if self.told.len() >= MATTERS_MAX {
            self.told.clear();
        }
        let mut known = self.told.get_mut(&matter);
        if let Some(told) = known.as_mut().filter(|told| now.since(told.at) < quiet) {
            if told.alert_id == alert_id {
                return Matter::New { untold: told.before };
            }
            told.untold += 1;
            return Matter::Same(told.alert_id.clone());
        }
        let before = known.map_or(0, |told| told.untold);
        self.told.insert(matter, Told { alert_id: alert_id.to_owned(), at: now, before, untold: 0 });
        Matter::New { untold: before }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_same_rule_about_the_same_is_told_once_in_a_while() {
        let mut repeats = Repeats::new(Duration::from_secs(600));
        let (ann, bob) = (json!({ "Type": "account", "Name": "ann" }), json!({ "Type": "account", "Name": "bob" }));
        let at = |seconds: i64| Timestamp::from_seconds(1_700_000_000 + seconds);
        let new = |untold| Matter::New { untold };
        let mut count = |rule, about: &[Value], id, seconds| repeats.count(rule, about, id, at(seconds));
        assert_eq!(count("r", std::slice::from_ref(&ann), "a", 0), new(0));
        assert_eq!(count("r", std::slice::from_ref(&ann), "b", 1), Matter::Same("a".to_owned()));
        assert_eq!(count("r", std::slice::from_ref(&bob), "c", 1), new(0), "somebody else");
        assert_eq!(count("s", std::slice::from_ref(&ann), "d", 1), new(0), "another rule");
        assert_eq!(count("r", &[ann.clone(), bob], "e", 1), new(0), "somebody more");
        assert_eq!(count("r", std::slice::from_ref(&ann), "f", 599), Matter::Same("a".to_owned()));
        assert_eq!(count("r", std::slice::from_ref(&ann), "g", 600), new(2));
        assert_eq!(count("r", std::slice::from_ref(&ann), "g", 600), new(2), "its commit did not succeed");
        assert_eq!(count("r", &[ann], "h", 601), Matter::Same("g".to_owned()));
    }

    #[test]
    fn without_a_time_all_is_told() {
        let mut repeats = Repeats::new(Duration::ZERO);
        let told = (0..3).map(|_| repeats.count("r", &[], "a", Timestamp::from_seconds(1)));
        assert!(told.into_iter().all(|matter| matter == Matter::New { untold: 0 }));
    }
}
