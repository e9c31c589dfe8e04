//! Whether every shard and segment that the root log names is there: at the start, then every hour.

use std::collections::BTreeSet;
use std::time::Duration;

use moneta_base::Timestamp;
use moneta_ports::AlarmKind;
use moneta_verify::ledger::Whereabouts;
use moneta_verify::{Finding, Report, ledger};

use super::CaretakerParts;

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(3600);

/// When to look.
#[derive(Debug, Default)]
pub(super) struct Presence {
    last: Option<Timestamp>,
    /// What the last look found: its lines are taken off the board when they are found no more.
    shown: Vec<String>,
}

impl Presence {
    pub(super) fn look(&mut self, parts: &CaretakerParts) {
        let now = parts.clock.now();
        if self.last.is_some_and(|last| now.since(last) < INTERVAL) {
            return;
        }
        self.last = Some(now);
        let findings = missing(parts);
        let gone = std::mem::take(&mut self.shown);
        parts.board.change(|status| status.findings.retain(|line| !gone.contains(line)));
        self.shown = findings.iter().map(ToString::to_string).collect();
        parts.report(AlarmKind::Missing, &findings);
    }
}

/// What is missing. Files come and go while this looks: only what two looks find alike is missing.
fn missing(parts: &CaretakerParts) -> Vec<Finding> {
    let look = || {
        let mut report = Report::default();
        // Listed before the sizes are asked for: what is moved meanwhile is looked for where it was, and found there.
        let moved: BTreeSet<String> = parts.store.moved_segments().iter().map(|segment| segment.path.clone()).collect();
        let sizes = parts.store.moved_sizes();
        if let Err(error) = &sizes {
            tracing::warn!(%error, "nobody can say whether the segments in the bucket are all there");
        }
        let whereabouts = |path: &str| match (moved.contains(path), &sizes) {
            (false, _) => Whereabouts::Here,
            (true, Ok(sizes)) => Whereabouts::Bucket(sizes.get(path).copied()),
            (true, Err(_)) => Whereabouts::Unknown,
        };
        ledger::check_presence(&parts.data, &parts.key, &whereabouts, &mut report);
        report.findings
    };
    let mut findings = look();
    if !findings.is_empty() {
        let again = look();
        findings.retain(|finding| again.contains(finding));
    }
    findings
}
