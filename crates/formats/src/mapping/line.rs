//! Patterns of text lines: what a mapping's `line` says about a format without code.
//!
//! Layout: `{name}` takes the text up to what follows it in the pattern, `{}` takes it and forgets it; the last takes the
//! rest of the line. Blanks in a pattern stand for one or more blanks in a line. Braces of the text itself are doubled.

/// Names in one pattern at most.
const NAMES_MAX: usize = 128;

/// A pattern, read once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LinePattern {
    /// Text before the first name.
    before: String,
    /// Each name, and the text behind it.
    parts: Vec<(String, String)>,
}

impl LinePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pattern = Self { before: String::new(), parts: Vec::new() };
        let mut characters = text.chars().peekable();
        while let Some(character) = characters.next() {
            match character {
                '{' | '}' if characters.peek() == Some(&character) => {
                    characters.next();
                    pattern.literal().push(character);
                }
                '{' => {
                    let name: String = characters.by_ref().take_while(|c| *c != '}').collect();
                    if name.contains('{') || (characters.peek().is_none() && !text.ends_with('}')) {
                        return Err("line: a brace is not closed".to_owned());
                    }
                    if pattern.parts.last().is_some_and(|(_, behind)| behind.is_empty()) {
                        return Err(format!("line: nothing stands between {{{name}}} and the name before it"));
                    }
                    if pattern.parts.iter().any(|(known, _)| !known.is_empty() && *known == name) {
                        return Err(format!("line: {{{name}}} stands in it twice"));
                    }
                    pattern.parts.push((name, String::new()));
                }
                '}' => return Err("line: a brace is closed that was not opened; write }} for one".to_owned()),
                other => pattern.literal().push(other),
            }
        }
        match pattern.parts.len() {
            0 => Err("line: it has no {name}".to_owned()),
            1..=NAMES_MAX => Ok(pattern),
            _ => Err(format!("line: it has more than {NAMES_MAX} names")),
        }
    }

    fn literal(&mut self) -> &mut String {
        match self.parts.last_mut() {
            Some((_, behind)) => behind,
            None => &mut self.before,
        }
    }

    /// The values of a line by their names; `None` when the line is of another form.
    pub fn read<'a>(&self, line: &'a str) -> Option<Vec<(&str, &'a str)>> {
        let mut rest = begins(line, &self.before)?;
        let mut values = Vec::with_capacity(self.parts.len());
        for (index, (name, behind)) in self.parts.iter().enumerate() {
            let is_last = index + 1 == self.parts.len();
            let (value, next) = if behind.is_empty() {
                (rest, "")
            } else {
                // The last literal must end the line.
                find(rest, behind).filter(|(_, next)| !is_last || next.is_empty()).or_else(|| {
                    let end = rest.strip_suffix(behind.as_str()).filter(|_| is_last)?;
                    Some((end, ""))
                })?
            };
            rest = next;
            if !name.is_empty() {
                values.push((name.as_str(), value.trim()));
            }
        }
        Some(values)
    }
}

/// The rest behind a literal that a text begins with.
fn begins<'a>(text: &'a str, literal: &str) -> Option<&'a str> {
    let mut rest = text;
    for part in literal.split_inclusive(' ') {
        let word = part.strip_suffix(' ').unwrap_or(part);
        rest = rest.strip_prefix(word)?;
        if part.ends_with(' ') {
            rest = rest.strip_prefix(' ')?.trim_start_matches(' ');
        }
    }
    Some(rest)
}

/// The first place of a literal: the text before it and behind.
fn find<'a>(text: &'a str, literal: &str) -> Option<(&'a str, &'a str)> {
    let first = literal.split_inclusive(' ').next()?;
    text.match_indices(first).find_map(|(at, _)| Some((&text[..at], begins(&text[at..], literal)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, line: &str, expected: Option<&[(&str, &str)]>) {
        let pattern = LinePattern::parse(pattern).unwrap();
        assert_eq!(pattern.read(line).as_deref(), expected, "{line}");
    }

    #[test]
    fn lines_are_taken_apart() {
        let pattern = "{time} {level} [{thread}] {message}";
        let line = "2026-01-02T03:04:05Z   WARN [a-1] disk [full] soon";
        let expected =
            [("time", "2026-01-02T03:04:05Z"), ("level", "WARN"), ("thread", "a-1"), ("message", "disk [full] soon")];
        check(pattern, line, Some(&expected));
        check(pattern, "2026-01-02T03:04:05Z WARN no thread", None);
        check("user={user}; {}; end", "user=ann b; x; y; end", Some(&[("user", "ann b")]));
        check("user={user}; {}; end", "user=ann b; end", None);
        check("user={user}; {} end", "user=ann b; x; y; end", Some(&[("user", "ann b")]));
        check("{{{a}}}", "{x}", Some(&[("a", "x")]));
        check("|{a}|", "|ä|", Some(&[("a", "ä")]));
    }

    #[test]
    fn mistakes_are_named() {
        for (pattern, expected) in [
            ("plain", "no {name}"),
            ("{a}{b}", "nothing stands between"),
            ("{a} {a}", "twice"),
            ("{a", "not closed"),
            ("a} {b}", "not opened"),
        ] {
            let error = LinePattern::parse(pattern).unwrap_err();
            assert!(error.contains(expected), "{pattern}: {error}");
        }
    }
}
