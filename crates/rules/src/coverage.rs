//! Which techniques of MITRE ATT&CK the rules look for, as a layer for the ATT&CK Navigator.
//!
//! A technique's score is the number of rules that are tagged with it and can raise an alert. Says what rules claim, not
//! what they would find.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::analytics::AnalyticsRule;
use crate::compile::CompiledRules;
use crate::ir::{Body, Metadata, Rule};
use moneta_base::Level;

/// Version of the layer's form.
const LAYER_VERSION: &str = "4.5";
/// Version of the Navigator that reads it.
const NAVIGATOR_VERSION: &str = "5.1.0";
/// Titles of rules listed with a technique; further ones are counted.
const TITLES_MAX: usize = 20;

/// The layer of a rule set: Sigma rules that are compiled, and analytics rules.
///
/// # Source
/// ATT&CK Navigator, layer file format 4.5. Techniques of the enterprise matrix (`T1…`).
#[must_use]
pub fn navigator_layer(rules: &CompiledRules, queries: &[AnalyticsRule], name: &str) -> Value {
    let mut by_technique: BTreeMap<String, Vec<&Metadata>> = BTreeMap::new();
    let alerting = |(index, rule): &(usize, &Rule)| match rule.body {
        Body::Detection(_) => rules.alerts_alone(*index),
        Body::Correlation(_) => true,
        Body::Filter(_) => false,
    };
    let sigma = rules.rules().iter().map(|rule| &**rule).enumerate().filter(alerting).map(|(_, rule)| &rule.metadata);
    let mut untagged = 0;
    for metadata in sigma.chain(queries.iter().map(|rule| &rule.metadata)) {
        let techniques: Vec<String> = metadata.tags.iter().filter_map(|tag| technique(tag)).collect();
        untagged += usize::from(techniques.is_empty());
        for technique in techniques {
            let known = by_technique.entry(technique).or_default();
            if !known.iter().any(|other| other.id == metadata.id) {
                known.push(metadata);
            }
        }
    }
    let most = by_technique.values().map(Vec::len).max().unwrap_or(1);
    let techniques: Vec<Value> = by_technique.iter().map(|(id, rules)| entry(id, rules)).collect();
    json!({
        "name": name,
        "versions": { "navigator": NAVIGATOR_VERSION, "layer": LAYER_VERSION },
        "domain": "enterprise-attack",
        "description": format!(
            "Techniques that {} rules look for, by their tags; {untagged} rules name none.",
            rules.rules().len() + queries.len()
        ),
        "sorting": 3,
        "hideDisabled": false,
        "techniques": techniques,
        "gradient": { "colors": ["#ffffff", "#66b1ff", "#1f5f9f"], "minValue": 0, "maxValue": most },
        "legendItems": [],
        "showTacticRowBackground": false,
        "selectTechniquesAcrossTactics": true,
        "selectSubtechniquesWithParent": false,
    })
}

fn entry(id: &str, rules: &[&Metadata]) -> Value {
    let mut titles: Vec<&str> = rules.iter().map(|rule| rule.title.as_str()).collect();
    titles.sort_unstable();
    let more = titles.len().saturating_sub(TITLES_MAX);
    titles.truncate(TITLES_MAX);
    let mut comment = titles.join("\n");
    if more > 0 {
        comment.push_str(&format!("\nand {more} more"));
    }
    let of_level = |level: Level| rules.iter().filter(|rule| rule.level == level).count();
    let levels = Level::ALL.iter().rev().filter(|level| of_level(**level) > 0);
    let metadata: Vec<Value> =
        levels.map(|level| json!({ "name": level.name(), "value": of_level(*level).to_string() })).collect();
    json!({
        "techniqueID": id,
        "score": rules.len(),
        "comment": comment,
        "enabled": true,
        "metadata": metadata,
        "showSubtechniques": false,
    })
}

/// The technique of a tag such as `attack.t1059.001`.
fn technique(tag: &str) -> Option<String> {
    let name = tag.to_lowercase().strip_prefix("attack.")?.to_uppercase();
    let digits = |text: &str, count| text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    let (base, sub) = name.split_once('.').map_or((name.as_str(), None), |(base, sub)| (base, Some(sub)));
    let is_technique = base.strip_prefix('T').is_some_and(|rest| digits(rest, 4) && rest.starts_with('1'));
    (is_technique && sub.is_none_or(|sub| digits(sub, 3))).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn techniques_are_told_from_other_tags() {
        let names =
            ["attack.t1059.001", "attack.T1003", "attack.t0801", "attack.execution", "cve.2021-1", "attack.t10"];
        let found: Vec<_> = names.iter().filter_map(|tag| technique(tag)).collect();
        assert_eq!(found, ["T1059.001", "T1003"]);
    }
}
