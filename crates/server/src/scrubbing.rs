//! What is removed from events before they are stored: the scrub policy of the configuration with the keys of the installation,
//! and what it would do to a record. Never shows a key; nothing here stores anything.

use std::path::Path;
use std::sync::Arc;

use moneta_keys::KeyRing;
use moneta_merkle::sha256;
use moneta_ports::operations::{ScrubPolicy, ScrubTrial, ScrubbedField};
use moneta_ports::{AuditEvent, AuditSink, OpContext, PortError, Submission};
use moneta_scrub::{KindCounts, Policy, Scrubber, TokenKeys, TokenKind};

use crate::config::Config;
use crate::error::ServerError;

/// The scrubber of the installation and where its policy is from.
#[derive(Clone)]
pub(crate) struct Scrubbing {
    pub(crate) scrubber: Arc<Scrubber>,
    source: String,
}

impl Scrubbing {
    /// Reads the policy and takes the keys.
    ///
    /// # Errors
    /// When the policy cannot be read or is none.
    pub(crate) fn open(config: &Config, keys: &KeyRing) -> Result<Self, ServerError> {
        let setting = |message: String| ServerError::Setting { key: "scrub.policy", message };
        let policy = config.scrub.policy.as_deref().map_or_else(|| Ok(Policy::built_in()), read);
        let (current, _) = keys.token_keys().current();
        let token_keys = TokenKeys {
            current,
            keys: keys.token_keys().iter().map(|(version, secret)| (version, *secret.expose())).collect(),
        };
        let scrubber = Scrubber::new(policy.map_err(setting)?, token_keys);
        let scrubber = scrubber.map_err(|error| setting(error.to_string()))?;
        let source =
            config.scrub.policy.as_ref().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string());
        Ok(Self { scrubber: Arc::new(scrubber), source })
    }

    /// The policy as its administrators see it.
    pub(crate) async fn policy(&self, ctx: &OpContext, audit: &dyn AuditSink) -> Result<ScrubPolicy, PortError> {
        audit.record(ctx, AuditEvent::success("scrub-policy.read", "scrub policy", &self.source)).await?;
        Ok(self.describe())
    }

    fn describe(&self) -> ScrubPolicy {
        let policy = self.scrubber.policy();
        let field = |(table, field, kind): (&str, &str, TokenKind)| ScrubbedField {
            table: table.to_owned(),
            field: field.to_owned(),
            kind: kind.name().to_owned(),
        };
        let mut fields: Vec<_> = policy.fields().map(field).collect();
        fields.sort();
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        ScrubPolicy {
            source: self.source.clone(),
            version: policy.version(),
            sha256: sha256(policy.text().as_bytes()).to_hex(),
            token_key_version: self.scrubber.token_key(),
            patterns: policy.patterns().map(str::to_owned).collect(),
            fields,
            allow: policy.allowed().into_iter().map(|(name, words)| (name.to_owned(), owned(words))).collect(),
        }
    }

    /// What would be stored of records.
    pub(crate) async fn try_out(
        &self,
        ctx: &OpContext,
        audit: &dyn AuditSink,
        records: Submission,
    ) -> Result<ScrubTrial, PortError> {
        let trial = self.scrub(records);
        let tables: Vec<String> = trial.rows.iter().map(|(table, _)| table.to_string()).collect();
        let mut event = AuditEvent::success("scrub-policy.try", "scrub policy", &self.source);
        event.details.insert("tables".to_owned(), tables.into());
        event.details.insert("num_tokens".to_owned(), trial.tokens.iter().map(|(_, count)| count).sum::<u64>().into());
        audit.record(ctx, event).await?;
        Ok(trial)
    }

    fn scrub(&self, records: Submission) -> ScrubTrial {
        let mut counts = KindCounts::default();
        let mut rows = Vec::with_capacity(records.batches.len());
        for batch in records.batches {
            let (scrubbed, report) = self.scrubber.scrub(batch);
            counts.add(&report.counts);
            let (table, batch, _) = scrubbed.into_parts();
            rows.push((table, batch));
        }
        let quarantined = records.quarantined.into_iter().map(|record| self.scrubber.scrub_quarantined(record));
        let tokens = TokenKind::ALL.into_iter().map(|kind| (kind.name().to_owned(), counts.of(kind)));
        ScrubTrial {
            rows,
            quarantined: quarantined.map(|record| (record.reason, record.bytes)).collect(),
            tokens: tokens.filter(|(_, count)| *count > 0).collect(),
        }
    }
}

fn read(path: &Path) -> Result<Policy, String> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Policy::parse(&text).map_err(|error| format!("{}: {error}", path.display()))
}
