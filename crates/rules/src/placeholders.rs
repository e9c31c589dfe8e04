//! Values for the placeholders of rules (`expand`): what only the installation knows, such as its domain controllers.
//!
//! A file of lists, one per placeholder, in TOML:
//! ```toml
//! dc_ip_addresses = ["10.0.0.10", "10.0.0.11"]
//! internal_domains = ["*.example.org"]
//! ```
//! Values are Sigma strings, so `*` and `?` are wildcards. Names are found whatever their case. An empty list is an
//! answer: its tests never hold. A placeholder without a list is none, and its rule is refused with that reason.

use std::collections::BTreeMap;

use crate::error::Error;
use crate::limits;
use crate::nearest;
use crate::pattern::{Pattern, Piece};

/// Lists of values by the names of placeholders.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Placeholders {
    /// By name in lower case: the name as written, and its values.
    lists: BTreeMap<String, (String, Vec<Pattern>)>,
}

impl Placeholders {
    /// Reads a file of lists.
    ///
    /// # Errors
    /// [`Error::Placeholders`] when it is not TOML of the documented form, [`Error::Limit`] when a list is too long.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let file: BTreeMap<String, Vec<String>> =
            toml::from_str(text).map_err(|error| Error::Placeholders(error.to_string()))?;
        let mut lists = BTreeMap::new();
        for (name, values) in file {
            if values.len() > limits::PLACEHOLDER_VALUES_MAX {
                return Err(too_many());
            }
            let values = values.iter().map(|value| Pattern::parse(value)).collect();
            if lists.insert(name.to_lowercase(), (name.clone(), values)).is_some() {
                return Err(Error::Placeholders(format!("{name} is there twice; case does not count in names")));
            }
        }
        Ok(Self { lists })
    }

    /// The names that have a list, as written.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.lists.values().map(|(name, _)| name.as_str())
    }

    /// A pattern with every `%name%` in it replaced by each of the name's values in turn. `\%` is a percent sign.
    pub(crate) fn expand(&self, pattern: &Pattern, line: usize) -> Result<Vec<Pattern>, Error> {
        let mut variants = vec![Pattern::default()];
        for piece in pattern.pieces() {
            let Piece::Literal(text) = piece else {
                variants.iter_mut().for_each(|variant| variant.push(piece.clone()));
                continue;
            };
            for part in split(text) {
                match part {
                    Part::Text(text) => {
                        variants.iter_mut().for_each(|variant| variant.push(Piece::Literal(text.clone())));
                    }
                    Part::Placeholder(name) => variants = joined(&variants, self.values(name, line)?)?,
                }
            }
        }
        Ok(variants)
    }

    fn values(&self, name: &str, line: usize) -> Result<&[Pattern], Error> {
        if let Some((_, values)) = self.lists.get(&name.to_lowercase()) {
            return Ok(values);
        }
        let meant = nearest::nearest(name, self.names()).map(|known| format!("; did you mean {known:?}?"));
        Err(Error::unsupported(
            line,
            format!(
                "the placeholder %{name}% has no values; list them under {name} in the file of placeholders{}",
                meant.unwrap_or_default()
            ),
        ))
    }
}

/// Each pattern with each value behind it.
fn joined(before: &[Pattern], values: &[Pattern]) -> Result<Vec<Pattern>, Error> {
    if before.len().saturating_mul(values.len()) > limits::PLACEHOLDER_VALUES_MAX {
        return Err(too_many());
    }
    let with = |before: &Pattern, value: &Pattern| {
        let mut variant = before.clone();
        value.pieces().iter().for_each(|piece| variant.push(piece.clone()));
        variant
    };
    Ok(before.iter().flat_map(|before| values.iter().map(move |value| with(before, value))).collect())
}

fn too_many() -> Error {
    let bound = limits::PLACEHOLDER_VALUES_MAX;
    Error::Limit { what: "the number of values for a placeholder", limit: "PLACEHOLDER_VALUES_MAX", bound }
}

/// A part of a literal.
enum Part<'a> {
    Text(String),
    Placeholder(&'a str),
}

/// Takes a literal apart at its placeholders. A percent sign that begins none stands for itself.
fn split(literal: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut text = String::new();
    let mut rest = literal;
    while let Some(at) = rest.find('%') {
        let (before, behind) = (&rest[..at], &rest[at + 1..]);
        if let Some(unescaped) = before.strip_suffix('\\') {
            text.push_str(unescaped);
            text.push('%');
            rest = behind;
            continue;
        }
        text.push_str(before);
        let name = behind.find('%').map(|end| &behind[..end]).filter(|name| is_name(name));
        match name {
            Some(name) => {
                parts.push(Part::Text(std::mem::take(&mut text)));
                parts.push(Part::Placeholder(name));
                rest = &behind[name.len() + 1..];
            }
            None => {
                text.push('%');
                rest = behind;
            }
        }
    }
    text.push_str(rest);
    parts.push(Part::Text(text));
    parts
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &[&str]) {
        let lists = "dc = ['a', 'b*']\nempty = []\nNet-1 = ['x', 'y']\n";
        let expanded = Placeholders::parse(lists).unwrap().expand(&Pattern::parse(written), 1).unwrap();
        let shown: Vec<String> = expanded.iter().map(Pattern::to_string).collect();
        assert_eq!(shown, expected, "{written}");
    }

    #[test]
    fn placeholders_become_each_of_their_values() {
        check("%dc%", &["a", "b*"]);
        check("*%DC%$", &["*a$", "*b*$"]);
        check("%dc%-%net-1%", &["a-x", "a-y", "b*-x", "b*-y"]);
        check("x%empty%", &[]);
        check("100% of 50%", &["100% of 50%"]);
        check(r"\%dc\%", &["%dc%"]);
        check(r"\%%dc%", &["%a", "%b*"]);
        check("plain", &["plain"]);
    }

    #[test]
    fn what_has_no_values_is_named_with_what_was_probably_meant() {
        let lists = Placeholders::parse("workstations = ['a']").unwrap();
        let error = lists.expand(&Pattern::parse("%Workstation%"), 7).unwrap_err().to_string();
        assert!(error.starts_with("line 7: the placeholder %Workstation% has no values"), "{error}");
        assert!(error.contains("did you mean \"workstations\"?"), "{error}");
    }

    #[test]
    fn bad_files_and_too_many_values_are_refused() {
        let refused = |text: &str| Placeholders::parse(text).unwrap_err().to_string();
        assert!(refused("dc = 'a'").contains("invalid type"), "{}", refused("dc = 'a'"));
        assert!(refused("dc = ['a']\nDC = ['b']").contains("twice"));
        let many: Vec<String> = (0..200).map(|number| format!("'{number}'")).collect();
        let lists = Placeholders::parse(&format!("a = [{}]", many.join(","))).unwrap();
        let error = lists.expand(&Pattern::parse("%a%%a%"), 1).unwrap_err().to_string();
        assert!(error.contains("PLACEHOLDER_VALUES_MAX"), "{error}");
    }
}
