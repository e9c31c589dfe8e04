//! What only a running server can say: how soon it acknowledges, and when it was last backed up.

use std::time::{Duration, Instant};

use moneta_base::Timestamp;
use serde_json::{Value, json};

use super::Finding;
use crate::client::Client;
use crate::failure::Failure;

/// Time to acknowledge above which senders wait noticeably, and above which something is wrong.
const ACK_WARN: Duration = Duration::from_millis(200);
const ACK_FAIL: Duration = Duration::from_secs(2);
/// Times measured; their median counts.
const ACK_TRIES: usize = 5;
/// Age of the last backup above which it should be made anew.
const BACKUP_AGE_MAX: Duration = Duration::from_secs(7 * 86_400);

/// Time to acknowledge, and the last backup.
///
/// # Errors
/// When the server cannot be asked.
pub(super) async fn findings(client: &Client, now: Timestamp) -> Result<Vec<Finding>, Failure> {
    let mut times = Vec::new();
    for _ in 0..ACK_TRIES {
        let started = Instant::now();
        rows(client, "print 1").await?;
        times.push(started.elapsed());
    }
    times.sort();
    let asked = "MonetaAudit | where Action == 'backup.end' and Outcome == 'success' | summarize max(TimeGenerated)";
    let last = rows(client, asked).await?[0][0].as_str().and_then(Timestamp::parse);
    Ok(vec![acknowledged(times[ACK_TRIES / 2]), backed_up(last, now)])
}

/// Rows of a query. Its answer waits until its audit row is on disk, as every acknowledgement waits for what it is about.
async fn rows(client: &Client, text: &str) -> Result<Value, Failure> {
    let mut answer = client.post("v1/rest/query", &json!({ "db": "Moneta", "csl": text })).await?;
    Ok(answer["Tables"][0]["Rows"].take())
}

fn acknowledged(time: Duration) -> Finding {
    let found = format!("{:.0} ms from a request to its row on disk (median of {ACK_TRIES})", time.as_secs_f64() * 1e3);
    let fix = "look at fsync above and at what else this machine does";
    match time {
        time if time > ACK_FAIL => Finding::fail("acknowledgement", found, fix),
        time if time > ACK_WARN => Finding::warn("acknowledgement", found, fix),
        _ => Finding::ok("acknowledgement", found),
    }
}

fn backed_up(last: Option<Timestamp>, now: Timestamp) -> Finding {
    let fix = "`moneta backup DIR`, from a timer, to another machine or disk";
    let Some(last) = last else {
        return Finding::warn("last backup", "none in what the audit log keeps", fix);
    };
    let found = last.to_string()[..19].to_owned();
    match now.since(last) {
        age if age > BACKUP_AGE_MAX => {
            Finding::warn("last backup", format!("{found}, {} days ago", age.as_secs() / 86_400), fix)
        }
        _ => Finding::ok("last backup", found),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn slow_acknowledgements_and_old_backups_are_told() {
        for (ms, expected) in [(5, Verdict::Ok), (500, Verdict::Warn), (5_000, Verdict::Fail)] {
            assert_eq!(acknowledged(Duration::from_millis(ms)).verdict, expected, "{ms}");
        }
        let now = Timestamp::from_seconds(1_767_323_045);
        let days = |days: i64| Some(Timestamp::from_seconds(1_767_323_045 - days * 86_400));
        assert_eq!(backed_up(days(1), now).verdict, Verdict::Ok);
        let old = backed_up(days(8), now);
        assert!(old.verdict == Verdict::Warn && old.found.contains("8 days ago"), "{old:?}");
        assert_eq!(backed_up(None, now).verdict, Verdict::Warn);
    }
}
