//! The one form all rules have, whatever language they came in: a boolean expression over tests of single fields.
//!
//! Rules over several events ([`Correlation`]) and changes to other rules ([`Filter`]) stand beside it. Nothing here knows
//! Sigma's syntax, tables or Arrow. A test is a value that can be compared and hashed, so that equal tests of different
//! rules become one.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;

use moneta_base::{Level, RuleId, Timestamp};

pub use crate::correlation::Correlation;
use crate::pattern::{self, Pattern, Shape};

/// A rule, ready to be compiled.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Who made it, what it says.
    pub metadata: Metadata,
    /// What it does.
    pub body: Body,
    /// The tests that stand beside it.
    pub tests: Vec<crate::rule_tests::RuleTest>,
    /// The taxonomy that its names of log sources and fields are of.
    pub taxonomy: String,
    /// Keys of the document that mean nothing here.
    pub unknown_keys: Vec<String>,
    /// SHA-256, in hexadecimal digits, of all that it says, wherever in the file it says so.
    pub digest: String,
    /// The file it came from.
    pub file: Arc<str>,
    /// Line in the file, from 1.
    pub line: usize,
}

/// What a rule does.
#[derive(Debug, Clone)]
pub enum Body {
    /// Holds in single events.
    Detection(Detection),
    /// Holds in what other rules found.
    Correlation(Correlation),
    /// Narrows other rules.
    Filter(Filter),
}

/// A condition on single events.
#[derive(Debug, Clone)]
pub struct Detection {
    /// The data it is written for.
    pub log_source: LogSource,
    /// When it holds.
    pub expression: Expression,
    /// The parts that its condition is made of, by name, for those who ask why it holds or does not.
    pub searches: Vec<(String, Expression)>,
    /// The condition as written.
    pub condition: String,
}

/// A condition that is added to other rules with AND.
#[derive(Debug, Clone)]
pub struct Filter {
    /// Ids or names of the rules; empty for all rules of the log source.
    pub rules: Vec<String>,
    /// The rules it may change: those whose log source says all that this one says.
    pub log_source: LogSource,
    /// What is added.
    pub expression: Expression,
}

impl Rule {
    /// Which text of the rule it is: the day of its last change where it states one, and the beginning of its digest.
    #[must_use]
    pub fn version(&self) -> String {
        let days = [&self.metadata.modified, &self.metadata.date];
        let day = days.into_iter().find(|day| !day.is_empty()).map(|day| format!("{day} ")).unwrap_or_default();
        format!("{day}sha256:{}", &self.digest[..12])
    }

    /// The log source of a rule over single events.
    #[must_use]
    pub fn log_source(&self) -> Option<&LogSource> {
        match &self.body {
            Body::Detection(detection) => Some(&detection.log_source),
            Body::Correlation(_) | Body::Filter(_) => None,
        }
    }

    /// Whether a reference of another rule means this one.
    #[must_use]
    pub fn is_called(&self, reference: &str) -> bool {
        self.metadata.id.as_str() == reference || (!reference.is_empty() && self.metadata.name == reference)
    }
}

/// What a rule says of itself. Everything travels to the alerts it raises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// Its identifier; a digest of its text where it has none.
    pub id: RuleId,
    /// The name by which other rules refer to it; empty where it has none.
    pub name: String,
    /// Its title.
    pub title: String,
    /// What it finds.
    pub description: String,
    /// Who wrote it. The Detection Rule License asks that every alert names them.
    pub author: String,
    /// How bad a match is.
    pub level: Level,
    /// `stable`, `test`, `experimental`, `deprecated`, `unsupported`, or empty.
    pub status: String,
    /// Tags such as `attack.t1059.001`.
    pub tags: Vec<String>,
    /// Where it is explained.
    pub references: Vec<String>,
    /// What else may look like it.
    pub false_positives: Vec<String>,
    /// Its licence, as the rule states it.
    pub license: String,
    /// When it was written.
    pub date: String,
    /// When it was last changed.
    pub modified: String,
    /// Fields that help whoever looks at a match.
    pub fields: Vec<String>,
}

/// The data a rule is written for, in Sigma's three words. Lower case; empty where the rule says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogSource {
    /// Such as `windows`.
    pub product: String,
    /// Such as `process_creation`.
    pub category: String,
    /// Such as `security`.
    pub service: String,
}

impl LogSource {
    /// Whether a rule for `other` is also one for this: whatever this names, `other` names alike.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let agrees = |mine: &String, theirs: &String| mine.is_empty() || mine == theirs;
        agrees(&self.product, &other.product)
            && agrees(&self.category, &other.category)
            && agrees(&self.service, &other.service)
    }
}

impl std::fmt::Display for LogSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [&self.product, &self.category, &self.service];
        let named: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).map(String::as_str).collect();
        f.write_str(if named.is_empty() { "(none)" } else { "" })?;
        f.write_str(&named.join("/"))
    }
}

/// A boolean expression over tests.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// Holds always, or never.
    Constant(bool),
    /// Holds where the test does.
    Test(Arc<Test>),
    /// Holds where the inner one does not.
    Not(Box<Expression>),
    /// Holds where all do.
    All(Vec<Expression>),
    /// Holds where at least one does.
    Any(Vec<Expression>),
}

impl Expression {
    /// A test as an expression.
    #[must_use]
    pub fn test(field: Field, matcher: Matcher) -> Self {
        Self::Test(Arc::new(Test { field, matcher }))
    }

    /// The conjunction; a single part stays as it is.
    #[must_use]
    pub fn all(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::All(parts) }
    }

    /// The disjunction; a single part stays as it is.
    #[must_use]
    pub fn any(mut parts: Vec<Self>) -> Self {
        if parts.len() == 1 { parts.remove(0) } else { Self::Any(parts) }
    }

    /// Adds the fields that it looks at, each once.
    pub fn fields(&self, fields: &mut Vec<Field>) {
        let mut add = |field: Field| {
            if !fields.contains(&field) {
                fields.push(field);
            }
        };
        match self {
            Self::Constant(_) => {}
            Self::Test(test) => {
                add(test.field.clone());
                if let Matcher::Other { field, .. } = &test.matcher {
                    add(Field::Named(Arc::clone(field)));
                }
            }
            Self::Not(inner) => inner.fields(fields),
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|part| part.fields(fields)),
        }
    }

    /// The number of tests.
    #[must_use]
    pub fn num_tests(&self) -> usize {
        match self {
            Self::Constant(_) => 0,
            Self::Test(_) => 1,
            Self::Not(inner) => inner.num_tests(),
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::num_tests).sum(),
        }
    }
}

/// One test of one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Test {
    /// What is tested.
    pub field: Field,
    /// What must be true of it.
    pub matcher: Matcher,
}

/// What a test looks at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Field {
    /// A field by the name the rule uses.
    Named(Arc<str>),
    /// Every text of the event.
    Anywhere,
}

impl Field {
    /// A field by name.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::Named(name.into())
    }
}

impl std::fmt::Display for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Named(name) => name,
            Self::Anywhere => "(anywhere)",
        })
    }
}

/// What must be true of a value. An absent value and the empty text are the same: tables keep no difference.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Matcher {
    /// The value is absent, null or empty.
    Absent,
    /// The value is there.
    Present,
    /// The text matches a pattern.
    Text {
        /// The pattern.
        pattern: Pattern,
        /// Whether case counts.
        cased: bool,
    },
    /// A regular expression is found in the text; flags stand inside it.
    Regex(Arc<str>),
    /// The value is an address within a network.
    Cidr(Network),
    /// The value is a number that compares so.
    Number(Comparison, Number),
    /// A part of the value, which is a time, compares so.
    Time(TimePart, Comparison, Number),
    /// The value relates so to the value of another field.
    Other {
        /// The other field.
        field: Arc<str>,
        /// How they relate.
        relation: Relation,
        /// Whether case counts.
        cased: bool,
    },
}

/// How a number compares with the rule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `=`
    Equal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// How a value relates to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Relation {
    /// They are the same.
    Equal,
    /// It begins with the other.
    StartsWith,
    /// It ends with the other.
    EndsWith,
    /// It contains the other.
    Contains,
}

/// A part of a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimePart {
    /// 0 to 59.
    Minute,
    /// 0 to 23.
    Hour,
    /// Day of the month, 1 to 31.
    Day,
    /// ISO 8601 week of the year, 1 to 53.
    Week,
    /// 1 to 12.
    Month,
    /// The year.
    Year,
}

/// A number of a rule, comparable and hashable by its bits.
#[derive(Debug, Clone, Copy)]
pub struct Number(pub f64);

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Number {}

impl Hash for Number {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// An address range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network {
    /// Network address as 128 bits; IPv4 addresses are mapped.
    bits: u128,
    /// Leading bits that must agree.
    prefix: u8,
}

impl Network {
    /// Parses `10.0.0.0/8`, `fe80::/10` or a single address.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (address_text, length_text) =
            text.trim().split_once('/').map_or((text.trim(), None), |(a, l)| (a, Some(l)));
        let address: IpAddr = address_text.parse().ok()?;
        let width: u8 = if address.is_ipv4() { 32 } else { 128 };
        let length = match length_text {
            Some(length) => length.parse().ok().filter(|length| *length <= width)?,
            None => width,
        };
        Some(Self { bits: address_bits(address), prefix: length + (128 - width) })
    }

    /// Whether the text is an address within the network.
    #[must_use]
    pub fn contains(&self, text: &str) -> bool {
        let Ok(address) = text.trim().parse::<IpAddr>() else { return false };
        let differing = address_bits(address) ^ self.bits;
        self.prefix == 0 || differing >> (128 - self.prefix) == 0
    }
}

fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Comparison {
    /// Whether `left` compares so with `right`.
    #[must_use]
    pub fn holds(self, left: f64, right: f64) -> bool {
        match self {
            Self::Equal => left == right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
        }
    }
}

impl Relation {
    /// Whether `left` relates so to `right`. Two absent values are the same; an absent one contains nothing.
    #[must_use]
    pub fn holds(self, left: &str, right: &str, cased: bool) -> bool {
        if !cased {
            return self.holds(&pattern::fold(left), &pattern::fold(right), true);
        }
        match self {
            Self::Equal => left == right,
            _ if left.is_empty() || right.is_empty() => false,
            Self::StartsWith => left.starts_with(right),
            Self::EndsWith => left.ends_with(right),
            Self::Contains => left.contains(right),
        }
    }
}

impl TimePart {
    /// That part of a time given as text; `None` when it is no time.
    #[must_use]
    pub fn of(self, text: &str) -> Option<f64> {
        let time = Timestamp::parse(text.trim())?;
        let (year, month, day) = time.day().civil();
        let seconds = time.as_nanos().div_euclid(1_000_000_000).rem_euclid(86_400);
        #[expect(clippy::cast_precision_loss, reason = "calendar parts are small")]
        Some(match self {
            Self::Minute => (seconds / 60 % 60) as f64,
            Self::Hour => (seconds / 3600) as f64,
            Self::Day => f64::from(day),
            Self::Week => iso_week(time) as f64,
            Self::Month => f64::from(month),
            Self::Year => year as f64,
        })
    }
}

/// The ISO 8601 week: the one that holds the week's Thursday counts in that Thursday's year.
fn iso_week(time: Timestamp) -> i64 {
    let days = i64::from(time.day().0);
    // 1970-01-01 was a Thursday.
    let thursday = days - (days + 3).rem_euclid(7) + 3;
    let thursday_day = moneta_base::IngestDay(i32::try_from(thursday).unwrap_or(i32::MAX));
    let (year, _, _) = thursday_day.civil();
    let first = Timestamp::from_civil(year, 1, 1, 0, 0, 0, 0).map_or(thursday, |t| i64::from(t.day().0));
    (thursday - first) / 7 + 1
}

impl Matcher {
    /// Whether the test needs a value that is there; the others hold, or may hold, where it is absent.
    #[must_use]
    pub fn needs_value(&self) -> bool {
        match self {
            Self::Absent => false,
            // Two absent fields are equal.
            Self::Other { relation, .. } => *relation != Relation::Equal,
            Self::Text { pattern, .. } => pattern.shape() != Shape::Empty,
            _ => true,
        }
    }

    /// How the test reads in an explanation.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Absent => "is absent".to_owned(),
            Self::Present => "is there".to_owned(),
            Self::Text { pattern, cased } => {
                format!("{} {pattern}", if *cased { "matches (cased)" } else { "matches" })
            }
            Self::Regex(regex) => format!("matches regex {regex}"),
            Self::Cidr(network) => format!("is in {network:?}"),
            Self::Number(comparison, number) => format!("{comparison:?} {}", number.0),
            Self::Time(part, comparison, number) => format!("{part:?} {comparison:?} {}", number.0),
            Self::Other { field, relation, .. } => format!("{relation:?} field {field}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        for (network, address, expected) in [
            ("10.0.0.0/8", "10.1.2.3", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("192.168.1.7", "192.168.1.7", true),
            ("fe80::/10", "fe80::1", true),
            ("fe80::/10", "10.0.0.1", false),
            ("::1/128", "::1", true),
            ("10.0.0.0/8", "::ffff:10.0.0.1", true),
            ("10.0.0.0/8", "ten", false),
        ] {
            assert_eq!(Network::parse(network).unwrap().contains(address), expected, "{network} {address}");
        }
        assert_eq!(Network::parse("10.0.0.0/33"), None);
    }

    #[test]
    fn times_have_parts() {
        let parts = |text| {
            [TimePart::Minute, TimePart::Hour, TimePart::Day, TimePart::Week, TimePart::Month, TimePart::Year]
                .map(|part| part.of(text).unwrap())
        };
        assert_eq!(parts("2026-01-02T03:04:05Z"), [4.0, 3.0, 2.0, 1.0, 1.0, 2026.0]);
        assert_eq!(parts("2021-01-03T23:59:00Z"), [59.0, 23.0, 3.0, 53.0, 1.0, 2021.0]);
        assert_eq!(parts("2024-12-30T00:00:00Z")[3], 1.0);
        assert_eq!(TimePart::Hour.of("noon"), None);
    }

    #[test]
    fn critical_is_high_in_sentinels_words() {
        assert_eq!(Level::parse("Critical"), Some(Level::Critical));
        assert_eq!(Level::Critical.severity(), "High");
        assert_eq!(Level::parse("urgent"), None);
    }
}
