//! What counts as personal data: fields by table, patterns, and what stays.
//!
//! The policy is a TOML file; `content/scrub/default.toml` is compiled in and documents the format.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use crate::email::EmailRules;
use crate::{Error, TokenKind};

const BUILT_IN: &str = include_str!("../../../content/scrub/default.toml");
/// The only version of the format.
const POLICY_VERSION: u32 = 1;
/// Fields named by a policy at most: a bound on what a file given by an operator can make the scrubber hold.
const POLICY_FIELDS_MAX: usize = 10_000;
/// Stands for every table.
const ANY_TABLE: &str = "*";

/// Which fields and patterns become tokens.
#[derive(Debug, Clone)]
pub struct Policy {
    /// The file.
    text: Arc<str>,
    pub(crate) emails: bool,
    pub(crate) phones: bool,
    pub(crate) cards: bool,
    pub(crate) email_rules: EmailRules,
    allowed_values: HashSet<String>,
    allowed_beginnings: Vec<String>,
    number_fields: HashSet<String>,
    fields: HashMap<String, HashMap<String, TokenKind>>,
    /// Fields of every table, in lower case: they are found in JSON of any spelling.
    any_table: HashMap<String, TokenKind>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    version: u32,
    patterns: Patterns,
    #[serde(default)]
    allow: Allow,
    #[serde(default)]
    fields: BTreeMap<String, BTreeMap<String, TokenKind>>,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Patterns {
    email: bool,
    phone: bool,
    payment_card: bool,
}

#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Allow {
    values: Vec<String>,
    beginnings: Vec<String>,
    addresses: Vec<String>,
    domains: Vec<String>,
    not_top_level_domains: Vec<String>,
    number_fields: Vec<String>,
}

impl Policy {
    /// The policy compiled in.
    ///
    /// # Panics
    /// When the file compiled in is malformed, which a test excludes.
    #[must_use]
    pub fn built_in() -> Self {
        Self::parse(BUILT_IN).expect("the policy compiled in is checked by a test")
    }

    /// Reads a policy file.
    ///
    /// # Errors
    /// [`Error::PolicySyntax`] and [`Error::PolicyContent`].
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: PolicyFile = toml::from_str(text).map_err(Error::PolicySyntax)?;
        if file.version != POLICY_VERSION {
            return Err(Error::PolicyContent(format!("version is {}, known is {POLICY_VERSION}", file.version)));
        }
        let num_fields: usize = file.fields.values().map(BTreeMap::len).sum();
        if num_fields > POLICY_FIELDS_MAX {
            return Err(Error::PolicyContent(format!("{num_fields} fields, at most {POLICY_FIELDS_MAX} are possible")));
        }
        let lower = |words: Vec<String>| words.into_iter().map(|word| word.to_lowercase()).collect::<HashSet<_>>();
        let any_table = file.fields.get(ANY_TABLE).into_iter().flatten();
        Ok(Self {
            text: text.into(),
            emails: file.patterns.email,
            phones: file.patterns.phone,
            cards: file.patterns.payment_card,
            email_rules: EmailRules {
                addresses: lower(file.allow.addresses),
                domains: lower(file.allow.domains),
                not_top_labels: lower(file.allow.not_top_level_domains),
            },
            allowed_values: lower(file.allow.values),
            number_fields: lower(file.allow.number_fields),
            allowed_beginnings: file.allow.beginnings.into_iter().map(|text| text.to_lowercase()).collect(),
            any_table: any_table.map(|(name, kind)| (name.to_lowercase(), *kind)).collect(),
            fields: file.fields.into_iter().map(|(table, fields)| (table, fields.into_iter().collect())).collect(),
        })
    }

    /// What a column holds, when the policy names it.
    #[must_use]
    pub fn field(&self, table: &str, column: &str) -> Option<TokenKind> {
        let of_table = self.fields.get(table).and_then(|fields| fields.get(column));
        of_table.or_else(|| self.fields.get(ANY_TABLE).and_then(|fields| fields.get(column))).copied()
    }

    /// What a member of a JSON object holds, when the policy names it for every table. Case does not matter.
    pub(crate) fn json_member(&self, name: &str) -> Option<TokenKind> {
        if name.len() > 64 {
            return None;
        }
        self.any_table.get(&name.to_lowercase()).copied()
    }

    /// Whether the numbers in a field of this name are identifiers, however much they look like cards.
    pub(crate) fn allows_number_in(&self, name: &str) -> bool {
        self.number_fields.contains(&name.to_lowercase())
    }

    /// Whether a value of a named field stays: a well-known account, or an identifier that is a pseudonym already
    /// (GUID, SID).
    pub(crate) fn allows(&self, value: &str) -> bool {
        let lower = value.trim().to_lowercase();
        lower.is_empty()
            || self.allowed_values.contains(&lower)
            || self.allowed_beginnings.iter().any(|beginning| lower.starts_with(beginning.as_str()))
            || is_guid(&lower)
            || is_sid(&lower)
    }

    /// The file it was read from, as it was then.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The version of its format.
    #[must_use]
    pub const fn version(&self) -> u32 {
        POLICY_VERSION
    }

    /// The patterns that are looked for in every text, by their names in the file.
    pub fn patterns(&self) -> impl Iterator<Item = &'static str> {
        let all = [("email", self.emails), ("phone", self.phones), ("payment_card", self.cards)];
        all.into_iter().filter(|(_, is_on)| *is_on).map(|(name, _)| name)
    }

    /// What stays although a field or a pattern would take it: the lists of the file by name, each sorted, in lower case.
    #[must_use]
    pub fn allowed(&self) -> [(&'static str, Vec<&str>); 6] {
        fn sorted<'a>(words: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
            let mut words: Vec<&str> = words.into_iter().map(String::as_str).collect();
            words.sort_unstable();
            words
        }
        [
            ("values", sorted(&self.allowed_values)),
            ("beginnings", sorted(&self.allowed_beginnings)),
            ("addresses", sorted(&self.email_rules.addresses)),
            ("domains", sorted(&self.email_rules.domains)),
            ("not_top_level_domains", sorted(&self.email_rules.not_top_labels)),
            ("number_fields", sorted(&self.number_fields)),
        ]
    }

    /// The fields the policy names, as table and column; `*` stands for every table.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str, TokenKind)> {
        self.fields.iter().flat_map(|(table, fields)| {
            fields.iter().map(move |(column, kind)| (table.as_str(), column.as_str(), *kind))
        })
    }
}

fn is_guid(text: &str) -> bool {
    let bare = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(text);
    let shape = |(index, b): (usize, u8)| {
        if matches!(index, 8 | 13 | 18 | 23) { b == b'-' } else { b.is_ascii_hexdigit() }
    };
    bare.len() == 36 && bare.bytes().enumerate().all(shape)
}

fn is_sid(text: &str) -> bool {
    text.strip_prefix("s-1-")
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit() || b == b'-'))
}

#[cfg(test)]
mod tests {
    use moneta_event::{ColumnType, TableCatalog};

    use super::*;

    /// Fields that records of a table may bring beside its columns.
    const BESIDE_COLUMNS: [(&str, &str); 3] =
        [("CallDetailRecord_CL", "src"), ("CallDetailRecord_CL", "dst"), ("CallDetailRecord_CL", "clid")];

    #[test]
    fn built_in_fields_exist_in_their_tables() {
        let catalog = TableCatalog::built_in();
        for (table, column, _) in Policy::built_in().fields() {
            if BESIDE_COLUMNS.contains(&(table, column)) {
                continue;
            }
            if let Some(schema) = catalog.get(table) {
                let found = schema.column(column).unwrap_or_else(|| panic!("{table} has no column {column}"));
                let text = matches!(found.column_type, ColumnType::String | ColumnType::Dynamic | ColumnType::Long);
                assert!(text, "{table}.{column} is {}", found.column_type);
            }
        }
    }

    #[test]
    fn a_policy_says_what_it_holds() {
        let text = "version = 1\n[patterns]\nemail = true\nphone = false\npayment_card = true\n\
            [allow]\nvalues = [\"Root\", \"admin\"]\nnumber_fields = [\"flow_id\"]\n";
        let policy = Policy::parse(text).unwrap();
        assert_eq!((policy.text(), policy.version()), (text, 1));
        assert_eq!(policy.patterns().collect::<Vec<_>>(), ["email", "payment_card"]);
        let some: Vec<_> = policy.allowed().into_iter().filter(|(_, words)| !words.is_empty()).collect();
        assert_eq!(some, [("values", vec!["admin", "root"]), ("number_fields", vec!["flow_id"])]);
    }

    #[test]
    fn the_table_comes_before_every_table() {
        let policy = Policy::built_in();
        assert_eq!(policy.field("SigninLogs", "UserPrincipalName"), Some(TokenKind::Email));
        assert_eq!(policy.field("MyApp_CL", "UserPrincipalName"), Some(TokenKind::Email));
        assert_eq!(policy.field("SecurityEvent", "SubjectUserName"), None);
        assert_eq!(policy.json_member("userprincipalname"), Some(TokenKind::Email));
    }

    #[test]
    fn accounts_and_pseudonyms_stay() {
        let policy = Policy::built_in();
        for value in ["SYSTEM", "-", "", "S-1-5-18", "6F1C0F3E-2A53-4D1B-9A55-0F6F2F9B7D11", "NT AUTHORITY\\SYSTEM"] {
            assert!(policy.allows(value), "{value}");
        }
        assert!(!policy.allows("alice") && !policy.allows("S-1-x"));
    }

    #[test]
    fn unusable_policies_are_refused_with_the_reason() {
        let check = |text: &str, expected: &str| {
            let error = Policy::parse(text).unwrap_err();
            let text = match &error {
                Error::PolicySyntax(source) => source.to_string(),
                other => other.to_string(),
            };
            assert!(text.contains(expected), "{text}");
        };
        let patterns = "[patterns]\nemail = true\nphone = true\npayment_card = true\n";
        check(&format!("version = 2\n{patterns}"), "version is 2, known is 1");
        check(&format!("version = 1\n{patterns}[fields.T]\nA = \"nonsense\""), "unknown variant `nonsense`");
        check(&format!("version = 1\nx = 1\n{patterns}"), "unknown field `x`");
    }
}
