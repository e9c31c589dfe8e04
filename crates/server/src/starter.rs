//! The rules that come with the program, added once: at the first start of a data directory that this program made.
//!
//! After that they are rules like any other. A later program with newer ones changes nothing by itself:
//! `moneta rules add --starter` does, and what is disabled stays so.

use moneta_base::Timestamp;
use moneta_metastore::{Metastore, Setting};
use moneta_ports::{OpContext, PortError, RuleFile};
use moneta_rules::starter;

use crate::rule_admin::{Rules, Tests, metastore_failed};

/// The setting that says what became of them. A directory of an earlier program has none.
const STARTER: &str = "rules.starter";
/// The directory is new.
const OFFERED: &str = "offered";

/// Notes that a directory is new, so that the first server on it adds the rules.
pub(crate) fn offer(metastore: &Metastore, now: Timestamp) -> Result<(), moneta_metastore::Error> {
    metastore.put_setting(&setting(OFFERED, now))
}

impl Rules {
    /// Adds the rules where the directory is new and they are wanted.
    pub(crate) async fn add_starter(&self, ctx: &OpContext, wanted: bool) -> Result<(), PortError> {
        let before = self.metastore.setting(STARTER).map_err(metastore_failed)?;
        if before.is_none_or(|setting| setting.value != OFFERED) {
            return Ok(());
        }
        if wanted {
            let _one_at_a_time = self.changing.lock().await;
            let file = |(name, text): &starter::StarterFile| RuleFile {
                name: format!("starter/{name}"),
                text: (*text).to_owned(),
            };
            let files: Vec<RuleFile> = starter::FILES.iter().map(file).collect();
            let report = self.add_files(ctx, &files, None, Tests::Passed).await?;
            tracing::info!(rules = report.loaded, "added the rules that come with the program");
            for rule in report.not_loaded {
                tracing::error!(
                    file = rule.file,
                    problem = rule.problem,
                    "a rule that comes with the program does not load"
                );
            }
        }
        let outcome = if wanted { "added" } else { "declined" };
        self.metastore.put_setting(&setting(outcome, self.clock.now())).map_err(metastore_failed)
    }
}

fn setting(value: &str, now: Timestamp) -> Setting {
    Setting { key: STARTER.to_owned(), value: value.into(), changed_by: "server".to_owned(), changed_at: now }
}
