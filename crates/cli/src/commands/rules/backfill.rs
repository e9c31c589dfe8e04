//! `moneta rules backfill`: what rules meet in what is stored.

use clap::Args;
use moneta_base::Timestamp;
use moneta_ports::BackfillSelection;
use serde_json::json;

use super::to_value;
use crate::console::Console;
use crate::failure::{Exit, Failure};
use crate::output::{Format, Grid, visible};
use crate::target::{Target, local_context};

/// Match active rules against what is stored. Raises no alert.
#[derive(Debug, Args)]
pub struct Backfill {
    /// Ids of rules; all active ones when absent.
    #[arg(value_name = "ID")]
    rule_ids: Vec<String>,
    /// The earliest event time, such as 2026-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Timestamp>,
    /// The end of event times, not included.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    to: Option<Timestamp>,
    /// Matches to print at most; all are counted.
    #[arg(long, value_name = "NUMBER")]
    limit: Option<usize>,
    /// How to print matches. A table on a terminal, NDJSON into a pipe.
    #[arg(long, value_enum, value_name = "FORMAT")]
    format: Option<Format>,
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).ok_or_else(|| "not a time such as 2026-01-31T00:00:00Z".to_owned())
}

impl Backfill {
    /// Matches; negative when nothing does.
    ///
    /// # Errors
    /// When a rule is not active, or what is stored cannot be read.
    pub async fn run(&self, target: &Target, console: &Console) -> Result<Exit, Failure> {
        let selection = BackfillSelection {
            rule_ids: self.rule_ids.clone(),
            from: self.from,
            to: self.to,
            matches_max: self.limit,
            ..BackfillSelection::default()
        };
        let report = match target {
            Target::Server(client) => {
                let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
                let body = json!({
                    "rules": selection.rule_ids, "from": time(self.from), "to": time(self.to), "limit": self.limit,
                });
                client.post("v1/rules/backfill", &body).await?
            }
            Target::Directory(node) => to_value(&node.rules().backfill(&local_context(), selection).await?)?,
        };
        let columns = ["time", "level", "rule_title", "computer", "table", "seqs", "fields", "rule_id", "rule_author"];
        let matches = Grid::of(&report["matches"], &columns);
        console.grid(&matches, console.format(self.format))?;
        let number = |name: &str| report[name].as_u64().unwrap_or_default();
        let (found, listed) = (number("num_matches"), matches.rows.len() as u64);
        console.say(&format!(
            "{} rows, {found} matches, {} not printed",
            number("num_rows"),
            found - listed.min(found)
        ));
        let left_out: Vec<&str> =
            report["left_out"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str).collect();
        if !left_out.is_empty() {
            let ids = visible(&left_out.join(", "));
            console.complain(&format!(
                "these look at windows of time and were left out, say --from to evaluate them: {ids}"
            ));
        }
        if number("num_forgotten") > 0 {
            console.complain(&format!(
                "correlations forgot {} events because there were too many: their matches may be incomplete; choose a shorter time",
                number("num_forgotten")
            ));
        }
        Ok(Exit::negative_unless(found > 0))
    }
}
