//! Signed rule packs: opened, checked against what is there, and added whole to the rules of an installation.
//!
//! A pack that no trusted key signed, or that was changed, is refused, and the refusal is audited. Nothing here decides
//! how rules are stored or run.

use moneta_base::ErrorKind;
use moneta_ports::{AuditEvent, AuditSink as _, OpContext, PortError, RuleFile, RulePack, RuleSetReport};
use moneta_rules::pack::{self, OpenedPack};

use crate::rule_admin::{Rules, Tests};

/// The act, for the audit table.
const ADD: &str = "rule.add-pack";
/// What it is done to.
const KIND: &str = "rule-pack";

impl Rules {
    /// Adds the rules of a pack, or refuses it.
    pub(crate) async fn take_pack(&self, ctx: &OpContext, bytes: &[u8]) -> Result<RuleSetReport, PortError> {
        let opened = match pack::open(bytes, &self.trusted_signers) {
            Ok(opened) => opened,
            Err(refused) => return self.refuse(ctx, "", &refused.to_string()).await,
        };
        let _one_at_a_time = self.changing.lock().await;
        let OpenedPack { details, signer, manifest, files } = opened;
        let pack = RulePack {
            name: details.name,
            version: details.version,
            author: details.author,
            signer,
            sha256: manifest.to_hex(),
        };
        let there = self.of_pack(&pack.name)?;
        if let Some(refused) = there.iter().find_map(|(_, of)| why_not_after(&pack, of)) {
            return self.refuse(ctx, &pack.name, &refused).await;
        }
        let mut event = AuditEvent::success(ADD, KIND, &pack.name);
        event.details.insert("pack".to_owned(), serde_json::json!(pack));
        event.details.insert("files".to_owned(), files.len().into());
        self.audit.record_change(ctx, event).await?;
        let files: Vec<RuleFile> = files.into_iter().map(|(name, text)| RuleFile { name, text }).collect();
        let mut report = self.add_files(ctx, &files, Some(&pack), Tests::Run).await?;
        let now = self.of_pack(&pack.name)?.into_iter();
        report.left = now.filter(|(_, of)| of.version < pack.version).map(|(rule_id, _)| rule_id).collect();
        Ok(report)
    }

    /// The stored rules of a pack's name, with the pack that each came with.
    fn of_pack(&self, name: &str) -> Result<Vec<(String, RulePack)>, PortError> {
        let stored = self.stored()?.into_iter();
        let of = stored.filter_map(|rule| {
            let pack: RulePack = serde_json::from_value(rule.pack?).ok()?;
            (pack.name == name).then(|| (rule.rule_id.to_string(), pack))
        });
        Ok(of.collect())
    }

    async fn refuse<T>(&self, ctx: &OpContext, name: &str, reason: &str) -> Result<T, PortError> {
        self.audit.record(ctx, AuditEvent::denied(ADD, KIND, name, reason)).await?;
        Err(PortError::new(ErrorKind::Caller, reason))
    }
}

/// Why a pack cannot follow one of the same name that rules came with: an old pack must not undo a newer one. Who signs
/// may change: keys do.
fn why_not_after(pack: &RulePack, before: &RulePack) -> Option<String> {
    let RulePack { name, version, .. } = pack;
    if *version < before.version {
        let newer = before.version;
        return Some(format!(
            "version {newer} of the rule pack {name} is there, and this is version {version}; to go back, make a later version of it"
        ));
    }
    let changed = *version == before.version && pack.sha256 != before.sha256;
    changed
        .then(|| format!("another version {version} of the rule pack {name} is there; give this one a later version"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pack_follows_only_an_earlier_one() {
        let pack = |version, signer: &str, sha256: &str| RulePack {
            name: "acme".to_owned(),
            version,
            author: "Acme".to_owned(),
            signer: signer.to_owned(),
            sha256: sha256.to_owned(),
        };
        let before = pack(2, "one", "aa");
        assert_eq!(why_not_after(&pack(2, "one", "aa"), &before), None);
        assert_eq!(why_not_after(&pack(3, "two", "bb"), &before), None);
        let refused = |after: &RulePack| why_not_after(after, &before).unwrap();
        assert!(refused(&pack(1, "one", "bb")).contains("version 2 of the rule pack acme is there"));
        assert!(refused(&pack(2, "one", "bb")).contains("another version 2"));
    }
}
