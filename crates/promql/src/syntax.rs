//! What a query says.

use regex::Regex;

/// An expression whose types are right.
#[derive(Debug, Clone)]
pub struct Expression {
    pub(crate) root: Node,
    pub(crate) selectors: Vec<Selector>,
}

impl Expression {
    /// The selectors: the samples of the first come first when it is evaluated.
    #[must_use]
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// The selector, if that is all there is.
    #[must_use]
    pub fn into_selector(mut self) -> Option<Selector> {
        matches!(self.root, Node::Selector(_)).then(|| self.selectors.pop()).flatten()
    }
}

/// Which samples of which series.
#[derive(Debug, Clone)]
pub struct Selector {
    /// What the labels of a series must be; at least one of them does not take an absent label.
    pub matchers: Vec<Matcher>,
    /// The window, in milliseconds; `None` for the last sample alone.
    pub range_ms: Option<i64>,
    /// How far back from the time of the evaluation, in milliseconds.
    pub offset_ms: i64,
}

impl Selector {
    /// The times of samples that evaluations from `start` to `end` may need, in milliseconds: from the first, not
    /// included, to the last, included.
    #[must_use]
    pub fn times(&self, start: i64, end: i64) -> (i64, i64) {
        let back = self.range_ms.unwrap_or(crate::LOOKBACK_MS);
        (start.saturating_sub(self.offset_ms).saturating_sub(back), end.saturating_sub(self.offset_ms))
    }

    /// Whether a series is one of those meant.
    pub fn matches<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.matchers.iter().all(|matcher| matcher.matches(label(&matcher.label).unwrap_or_default()))
    }
}

/// What a label must be. A label that is absent is the empty text.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label.
    pub label: String,
    /// How it is compared.
    pub operator: MatchOperator,
    /// With what, as written.
    pub value: String,
    /// The value as a pattern of the whole label.
    pub(crate) pattern: Option<Regex>,
}

impl Matcher {
    pub(crate) fn matches(&self, value: &str) -> bool {
        let is_met = self.pattern.as_ref().map_or_else(|| self.value == value, |pattern| pattern.is_match(value));
        is_met == matches!(self.operator, MatchOperator::Equal | MatchOperator::Matches)
    }
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MatchOperator {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Matches,
    /// `!~`
    NotMatches,
}

#[derive(Debug, Clone)]
pub(crate) enum Node {
    Number(f64),
    /// By its place in [`Expression::selectors`].
    Selector(usize),
    Negated(Box<Node>),
    Binary {
        operator: Operator,
        as_bool: bool,
        left: Box<Node>,
        right: Box<Node>,
    },
    /// A function of the window of a selector.
    OverTime {
        function: OverTime,
        selector: usize,
    },
    Aggregate {
        aggregation: Aggregation,
        parameter: Option<Box<Node>>,
        grouping: Grouping,
        inner: Box<Node>,
    },
}

/// The type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar,
    Vector,
    Window,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    Power,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Operator {
    /// By its sign, and how tightly it binds.
    pub(crate) fn parse(sign: &str) -> Option<(Self, u8)> {
        Some(match sign {
            "==" => (Self::Equal, 3),
            "!=" => (Self::NotEqual, 3),
            "<" => (Self::Less, 3),
            "<=" => (Self::LessOrEqual, 3),
            ">" => (Self::Greater, 3),
            ">=" => (Self::GreaterOrEqual, 3),
            "+" => (Self::Add, 4),
            "-" => (Self::Subtract, 4),
            "*" => (Self::Multiply, 5),
            "/" => (Self::Divide, 5),
            "%" => (Self::Modulo, 5),
            "^" => (Self::Power, POWER_BINDS),
            _ => return None,
        })
    }

    pub(crate) fn compares(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }
}

/// How tightly `^` binds: more than a sign before a number.
pub(crate) const POWER_BINDS: u8 = 6;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverTime {
    Rate,
    Increase,
    Delta,
    InstantRate,
    Average,
    Minimum,
    Maximum,
    Sum,
    Count,
    Last,
}

impl OverTime {
    pub(crate) const ALL: [(&'static str, Self); 10] = [
        ("rate", Self::Rate),
        ("increase", Self::Increase),
        ("delta", Self::Delta),
        ("irate", Self::InstantRate),
        ("avg_over_time", Self::Average),
        ("min_over_time", Self::Minimum),
        ("max_over_time", Self::Maximum),
        ("sum_over_time", Self::Sum),
        ("count_over_time", Self::Count),
        ("last_over_time", Self::Last),
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aggregation {
    Sum,
    Average,
    Minimum,
    Maximum,
    Count,
    Largest,
    Smallest,
}

impl Aggregation {
    pub(crate) const ALL: [(&'static str, Self); 7] = [
        ("sum", Self::Sum),
        ("avg", Self::Average),
        ("min", Self::Minimum),
        ("max", Self::Maximum),
        ("count", Self::Count),
        ("topk", Self::Largest),
        ("bottomk", Self::Smallest),
    ];

    /// Whether it takes the number of series to keep.
    pub(crate) fn keeps_series(self) -> bool {
        matches!(self, Self::Largest | Self::Smallest)
    }
}

/// Which labels make groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Grouping {
    By(Vec<String>),
    Without(Vec<String>),
}
