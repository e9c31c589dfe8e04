//! Keeps a rule that matches everything from burying all others: beyond a number of alerts in a minute its alerts are
//! stored short, are not delivered, and make no incidents. None is left out of `SecurityAlert`.

use std::collections::HashMap;

use moneta_base::{RuleId, Timestamp};
use moneta_ports::{Alarm, AlarmKind, AlarmSink, Metric, Metrics};

/// Alerts of one rule in one minute that are told in full.
const ALERTS_PER_MINUTE_MAX: u32 = 120;
/// Nanoseconds of a window.
const WINDOW_NANOS: i64 = 60 * 1_000_000_000;
/// Rules that are counted at the same time at most; more are counted from zero again.
const RULES_MAX: usize = 20_000;

/// Counts alerts per rule and minute.
#[derive(Default)]
pub(crate) struct Throttle {
    window: i64,
    counts: HashMap<RuleId, u32>,
}

/// What is to become of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Share {
    /// It is told.
    Full,
    /// It is the first of its minute that is not.
    FirstShort,
    /// It is one of many.
    Short,
}

impl Throttle {
    /// Counts an alert that a rule, by its id and title, raises now; whether it is told in full. The first of a minute that
    /// is not is an alarm.
    pub(crate) fn admits(
        &mut self,
        rule: (&RuleId, &str),
        now: Timestamp,
        metrics: &Metrics,
        alarms: &dyn AlarmSink,
    ) -> bool {
        let (id, title) = rule;
        let share = self.count(id, now);
        if share == Share::Full {
            return true;
        }
        metrics.add_labelled(Metric::MonitorAlerts, "throttled", 1);
        if share == Share::FirstShort {
            let subject = id.to_string();
            let text = format!("{title} ({subject}) raised more than {ALERTS_PER_MINUTE_MAX} alerts in a minute.");
            alarms.raise(Alarm { kind: AlarmKind::RuleThrottled, subject, text });
        }
        false
    }

    /// Counts an alert raised now.
    fn count(&mut self, rule: &RuleId, now: Timestamp) -> Share {
        let window = now.as_nanos().div_euclid(WINDOW_NANOS);
        if window != self.window || self.counts.len() > RULES_MAX {
            self.window = window;
            self.counts.clear();
        }
        let count = self.counts.entry(rule.clone()).or_default();
        *count += 1;
        match *count {
            count if count <= ALERTS_PER_MINUTE_MAX => Share::Full,
            count if count == ALERTS_PER_MINUTE_MAX + 1 => Share::FirstShort,
            _ => Share::Short,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_its_share_of_each_minute_and_others_have_theirs() {
        let mut throttle = Throttle::default();
        let (loud, quiet) = (RuleId::new("loud"), RuleId::new("quiet"));
        let now = Timestamp::from_seconds(600);
        let shares: Vec<Share> = (0..ALERTS_PER_MINUTE_MAX + 2).map(|_| throttle.count(&loud, now)).collect();
        assert!(shares[..120].iter().all(|share| *share == Share::Full));
        assert_eq!(shares[120..], [Share::FirstShort, Share::Short]);
        assert_eq!(throttle.count(&quiet, now), Share::Full);
        assert_eq!(throttle.count(&loud, Timestamp::from_seconds(660)), Share::Full);
    }
}
