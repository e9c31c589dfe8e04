//! How bad something is that a rule found: the levels of Sigma, which alerts keep and channels choose by.

/// How bad a match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// For enrichment only.
    Informational,
    /// Notable, rarely an incident.
    Low,
    /// To be looked at regularly.
    Medium,
    /// To be looked at promptly.
    High,
    /// To be looked at at once.
    Critical,
}

impl Level {
    /// All levels, from the least.
    pub const ALL: [Self; 5] = [Self::Informational, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// Sigma's name of the level.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Informational => "informational",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }

    /// The severity in Sentinel's words, which have no "critical".
    #[must_use]
    pub const fn severity(self) -> &'static str {
        match self {
            Self::Informational => "Informational",
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High | Self::Critical => "High",
        }
    }

    /// The level of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name().eq_ignore_ascii_case(name.trim()))
    }
}
