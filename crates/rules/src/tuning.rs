//! Hints for tuning a rule: values that the alerts which people judged wrong share, and those that they judged right lack.
//!
//! A hint is a column and some of its values, such as an exception has them. It is found by counting and nothing else, so
//! the same verdicts give the same hints. What an exception of it would take away is not known here: whoever has the
//! events replays them.

use std::collections::{BTreeMap, BTreeSet};

/// Alerts judged wrong that must share a value: what one alert has, says nothing about the next.
const SHARED_BY_MIN: usize = 2;
/// Values of one hint at most.
const VALUES_MAX: usize = 5;
/// Hints at most.
pub const HINTS_MAX: usize = 10;

/// Columns that say who, where, with which program, from where, in lower case: an exception on one of them is one that a
/// person can judge. Others, such as an event's number or its text, are shared for no reason.
///
/// # Source
/// Ours, by Azure Monitor's table reference, Sigma's taxonomy and the Advanced Security Information Model.
const COLUMNS: [&str; 66] = [
    "account",
    "accountname",
    "accountupn",
    "actingprocessname",
    "actorusername",
    "appdisplayname",
    "caller",
    "calleripaddress",
    "clientip",
    "commandline",
    "computer",
    "computername",
    "destinationhostname",
    "destinationip",
    "destinationusername",
    "devicename",
    "dstipaddr",
    "dvchostname",
    "filename",
    "filepath",
    "folderpath",
    "hostname",
    "image",
    "imageloaded",
    "initiatingprocessaccountname",
    "initiatingprocesscommandline",
    "initiatingprocessfilename",
    "initiatingprocessfolderpath",
    "initiatingprocessparentfilename",
    "ipaddress",
    "logonprocessname",
    "newprocessname",
    "objectname",
    "operationname",
    "parentcommandline",
    "parentimage",
    "parentprocessname",
    "parentuser",
    "process",
    "processcommandline",
    "processname",
    "registrykey",
    "remoteip",
    "remoteurl",
    "resourceid",
    "samaccountname",
    "servicefilename",
    "servicename",
    "sharename",
    "sourceip",
    "srchostname",
    "srcipaddr",
    "subjectaccount",
    "subjectusername",
    "targetaccount",
    "targetfilename",
    "targetprocessname",
    "targetusername",
    "taskname",
    "url",
    "user",
    "useragent",
    "userid",
    "username",
    "userprincipalname",
    "workstationname",
];

/// Whether hints are given on a column.
#[must_use]
pub fn is_telling(column: &str) -> bool {
    COLUMNS.binary_search(&column.to_lowercase().as_str()).is_ok()
}

/// What people made of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// It was what the rule is for.
    Right,
    /// It was not, or it was expected.
    Wrong,
    /// Nobody can tell, or nobody has said.
    Unknown,
}

/// An alert by the values of its events.
#[derive(Debug, Clone)]
pub struct Sample {
    /// What people made of it.
    pub judged: Judged,
    /// By column, every value that one of its events has; the empty text where one has none.
    pub values: BTreeMap<String, BTreeSet<String>>,
}

/// A column and values of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hint {
    /// The column.
    pub column: String,
    /// The values, the one that most alerts share first.
    pub values: Vec<String>,
}

/// What the alerts judged wrong share and those judged right lack: the hints that speak of most of them first. Upper and
/// lower case are the same, as they are to exceptions.
#[must_use]
pub fn hints(samples: &[Sample]) -> Vec<Hint> {
    let columns: BTreeSet<&String> = samples.iter().flat_map(|sample| sample.values.keys()).collect();
    let mut found: Vec<(usize, Hint)> = columns.into_iter().filter_map(|column| hint(samples, column)).collect();
    found.sort_by(|(wrong, hint), (other_wrong, other)| {
        other_wrong.cmp(wrong).then(hint.values.len().cmp(&other.values.len())).then(hint.column.cmp(&other.column))
    });
    found.into_iter().take(HINTS_MAX).map(|(_, hint)| hint).collect()
}

/// The hint on a column, with the number of alerts judged wrong of which every event has one of its values.
fn hint(samples: &[Sample], column: &str) -> Option<(usize, Hint)> {
    let of = |judged: Judged| {
        let chosen = samples.iter().filter(move |sample| sample.judged == judged);
        chosen.filter_map(|sample| sample.values.get(column))
    };
    let right: BTreeSet<String> = of(Judged::Right).flatten().map(|value| value.to_lowercase()).collect();
    let mut shared: BTreeMap<String, (usize, &String)> = BTreeMap::new();
    for values in of(Judged::Wrong) {
        let once: BTreeMap<String, &String> = values.iter().rev().map(|value| (value.to_lowercase(), value)).collect();
        for (key, value) in once {
            shared.entry(key).or_insert((0, value)).0 += 1;
        }
    }
    shared.retain(|key, (count, _)| *count >= SHARED_BY_MIN && !key.is_empty() && !right.contains(key));
    let mut shared: Vec<(String, (usize, &String))> = shared.into_iter().collect();
    shared.sort_by(|(key, (count, _)), (other_key, (other, _))| other.cmp(count).then(key.cmp(other_key)));
    shared.truncate(VALUES_MAX);
    let is_shared = |value: &String| shared.iter().any(|(key, _)| *key == value.to_lowercase());
    let num_wrong = of(Judged::Wrong).filter(|values| values.iter().all(is_shared)).count();
    let values = shared.iter().map(|(_, (_, value))| (*value).clone()).collect();
    (num_wrong >= SHARED_BY_MIN).then(|| (num_wrong, Hint { column: column.to_owned(), values }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(judged: Judged, values: &[(&str, &[&str])]) -> Sample {
        let set = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
        Sample { judged, values: values.iter().map(|(column, values)| ((*column).to_owned(), set(values))).collect() }
    }

    fn found(samples: &[Sample]) -> Vec<(String, String)> {
        hints(samples).into_iter().map(|hint| (hint.column, hint.values.join(","))).collect()
    }

    #[test]
    fn columns_are_in_order() {
        assert!(COLUMNS.is_sorted() && is_telling("ParentProcessName") && !is_telling("EventID"));
    }

    #[test]
    fn a_hint_is_what_the_wrong_ones_share_and_the_right_ones_lack() {
        let samples = [
            sample(Judged::Wrong, &[("User", &["backup"]), ("Computer", &["a"]), ("Process", &["sh"])]),
            sample(Judged::Wrong, &[("User", &["Backup"]), ("Computer", &["b"]), ("Process", &["sh"])]),
            sample(Judged::Wrong, &[("User", &["ann"]), ("Computer", &["b"]), ("Process", &["sh"])]),
            sample(Judged::Right, &[("User", &["eve"]), ("Computer", &["c"]), ("Process", &["sh", "nc"])]),
            sample(Judged::Unknown, &[("User", &["backup"]), ("Computer", &["b"]), ("Process", &["sh"])]),
        ];
        let pair = |column: &str, values: &str| (column.to_owned(), values.to_owned());
        assert_eq!(found(&samples), [pair("Computer", "b"), pair("User", "backup")]);
    }

    #[test]
    fn an_alert_counts_only_where_all_of_its_events_are_named() {
        let wrong = |values: &[&str]| sample(Judged::Wrong, &[("User", values)]);
        assert!(found(&[wrong(&["a"]), wrong(&["a", ""])]).is_empty(), "an event without a user stays");
        assert!(found(&[wrong(&["a"]), wrong(&["b"])]).is_empty(), "nothing is shared");
        assert!(found(&[wrong(&["a"])]).is_empty(), "one alert shares nothing");
        let two = [wrong(&["a", "b"]), wrong(&["a", "b"]), wrong(&["b"]), wrong(&["c"])];
        assert_eq!(found(&two), [("User".to_owned(), "b,a".to_owned())]);
    }
}
