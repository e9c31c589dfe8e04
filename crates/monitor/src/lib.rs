//! Runs detection rules on every block as it becomes durable, and analytics rules as queries over what is stored; makes
//! incidents of the alerts; watches sources.
//!
//! ```text
//! block ─► queue ─► matching ─► alert rows + rule cursor in one commit ─► delivery to people
//! ```
//! An alert is stored in the commit that moves the cursor of its table (MONITOR-1): after a crash, blocks beyond the
//! cursor are matched again, and nothing is raised twice or lost. What correlations have seen is kept too, tied to
//! positions in the journal (MONITOR-2). This crate never reads a rule file, never talks to the network, and never
//! looks at its own alerts.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod alarms;
mod alert;
mod analytics;
mod cursor;
mod entities;
mod incidents;
mod repeats;
mod service;
mod sources;
mod state;
mod throttle;
mod told;
mod worker;

pub use alarms::{AlarmParts, Alarms};
pub use analytics::{
    Analytics, AnalyticsParts, LATENESS, Marks, Past, PastAlert, QueryExplanation, alerts_at, explain as explain_query,
    query_problems, replay,
};
pub use cursor::{producer_of, resume_point};
pub use incidents::{IncidentBook, IncidentParts, IncidentSettingsOf};
pub use service::{Monitor, MonitorParts};
pub use sources::{SourceWatch, SourceWatchParts};
pub use state::StatePlace;
pub use told::{told_alert, told_alerts, told_ids};
