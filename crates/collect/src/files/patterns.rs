//! Names of files with wildcards in their last part.
//!
//! A name that ends as an archive does stands for archives, which are read whole; every other name passes over files
//! that were rotated away.

use std::path::{Path, PathBuf};

use crate::Error;

/// Endings of files that were rotated away: their lines were read under their first name.
const ROTATED_ENDINGS: [&str; 7] = [".gz", ".xz", ".zst", ".bz2", ".old", ".bak", ".zip"];

/// Endings of archives that are read.
const ARCHIVE_ENDINGS: [&str; 3] = [".gz", ".zst", ".zip"];
/// Endings of those that are not.
const UNREADABLE_ENDINGS: [&str; 2] = [".xz", ".bz2"];

/// A file, a directory, or a name with wildcards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    directory: PathBuf,
    name: String,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, Error> {
        let path = Path::new(text);
        let refused = || Error::Pattern(text.to_owned());
        let name = path.file_name().and_then(|name| name.to_str()).ok_or_else(refused)?;
        let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if directory.to_string_lossy().contains(['*', '?']) {
            return Err(refused());
        }
        if ends_with(name, &UNREADABLE_ENDINGS) {
            return Err(Error::Archive(text.to_owned()));
        }
        Ok(Self { directory: directory.to_owned(), name: name.to_owned() })
    }

    /// Whether it stands for archives.
    pub(super) fn is_of_archives(&self) -> bool {
        ends_with(&self.name, &ARCHIVE_ENDINGS)
    }

    /// Whether it stands for a file of this path.
    pub(super) fn covers(&self, path: &Path) -> bool {
        let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
            return false;
        };
        directory == self.directory && matches(&self.name, name) || directory == self.directory.join(&self.name)
    }

    /// The files there are now, in name order. Unreadable directories hold none.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if !self.name.contains(['*', '?']) {
            let path = self.directory.join(&self.name);
            return if path.is_dir() {
                list(&path, "*", is_rotated)
            } else {
                path.is_file().then_some(path).into_iter().collect()
            };
        }
        let is_passed_over = if self.is_of_archives() { |_: &str| false } else { is_rotated };
        list(&self.directory, &self.name, is_passed_over)
    }
}

fn list(directory: &Path, pattern: &str, is_passed_over: fn(&str) -> bool) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let named = entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| matches(pattern, name) && !is_passed_over(name)));
    let mut files: Vec<PathBuf> = named.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    files.sort();
    files
}

fn ends_with(name: &str, endings: &[&str]) -> bool {
    endings.iter().any(|ending| name.to_ascii_lowercase().ends_with(ending))
}

/// `syslog.1`, `messages-20260102`, `app.log.2.gz`.
fn is_rotated(name: &str) -> bool {
    let number = |separator| name.rsplit_once(separator).is_some_and(|(_, end)| is_number(end));
    ROTATED_ENDINGS.iter().any(|ending| name.ends_with(ending)) || number('.') || number('-')
}

/// Digits behind a dash that may be a date: `app-2` is an application of its own.
const DATE_DIGITS_MIN: usize = 6;

/// Endings of compressed files that can be read on from a position.
const PACKED_ENDINGS: [&str; 2] = [".gz", ".zst"];

/// Whether a file of this name is compressed in a way that can be read.
pub(super) fn is_packed(path: &Path) -> bool {
    name_of(path).is_some_and(|name| ends_with(name, &PACKED_ENDINGS))
}

/// Whether a file of this name is compressed in a way that cannot be read.
pub(super) fn is_unreadable(path: &Path) -> bool {
    name_of(path).is_some_and(|name| ends_with(name, &UNREADABLE_ENDINGS))
}

/// The path that a compressed file had before; `None` for one that is not.
pub(super) fn unpacked(path: &Path) -> Option<PathBuf> {
    (is_packed(path) || is_unreadable(path)).then(|| path.with_extension(""))
}

/// Whether a file beside another has the name that the other gets when it is rotated away: `app.log.1`,
/// `app.log-20260102`, `app.log-20260102-1767312000`, `app.log.2026-01-02`, each also compressed.
pub(super) fn is_rotation_of(path: &Path, other: &Path) -> bool {
    let plain = unpacked(other).unwrap_or_else(|| other.to_owned());
    let (Some(name), Some(other)) = (name_of(path), name_of(&plain)) else { return false };
    let Some(end) = other.strip_prefix(name) else { return false };
    if end.strip_prefix(['.', '-']).is_some_and(is_date) {
        return true;
    }
    let mut parts = end.split('-');
    let numbered = parts.next().is_some_and(|part| part.is_empty() || part.strip_prefix('.').is_some_and(is_number));
    numbered && !end.is_empty() && parts.all(|part| is_number(part) && part.len() >= DATE_DIGITS_MIN)
}

/// Whether a file beside another may be a copy of it, by its name: what it gets when it is rotated away, or `app.log.old`.
pub(super) fn may_be_copy_of(path: &Path, other: &Path) -> bool {
    let begins_so = name_of(path).zip(name_of(other)).is_some_and(|(name, other)| other.starts_with(name));
    is_rotation_of(path, other) || begins_so && path != other && name_of(other).is_some_and(is_rotated)
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name().and_then(|name| name.to_str())
}

/// `2026-01-02`.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    [4, 2, 2].iter().all(|len| parts.next().is_some_and(|part| part.len() == *len && is_number(part)))
        && parts.next().is_none()
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// `*` stands for any characters, `?` for one.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    // The last star and where its match may go on: no recursion, at most pattern times name steps.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p).is_some_and(|c| *c == '?' || *c == name[n]) {
            (p, n) = (p + 1, n + 1);
        } else if let Some((star_p, star_n)) = star {
            star = Some((star_p, star_n + 1));
            (p, n) = (star_p + 1, star_n + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_as_in_a_shell() {
        for (pattern, name, expected) in [
            ("*.log", "a.log", true),
            ("*.log", "a.log.x", false),
            ("a*b*c", "aXbYbZc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
            ("**", "x", true),
            ("syslog", "syslog1", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn rotated_files_are_told_by_name() {
        for name in ["syslog.1", "messages-20260102", "a.log.2.gz", "a.old"] {
            assert!(is_rotated(name), "{name}");
        }
        for name in ["syslog", "app-1.log", "auth.log", "php8.2-fpm.log"] {
            assert!(!is_rotated(name), "{name}");
        }
    }

    #[test]
    fn names_that_a_file_gets_by_rotation() {
        let is_rotation = |other: &str| is_rotation_of(Path::new("/x/app.log"), &Path::new("/x").join(other));
        for name in [
            "app.log.1",
            "app.log.12",
            "app.log-20260102",
            "app.log-20260102-1767312000",
            "app.log.2026-01-02",
            "app.log-2026-01-02.gz",
            "app.log.1.gz",
            "app.log.2.zst",
            "app.log.2.xz",
        ] {
            assert!(is_rotation(name), "{name}");
        }
        for name in [
            "app.log",
            "app.log.gz",
            "app.log.old",
            "app.log1",
            "app.log.",
            "app.log-2",
            "app.log-20260102.x",
            "app.log.2026-1-2",
            "other.log.1",
        ] {
            assert!(!is_rotation(name), "{name}");
        }
    }

    #[test]
    fn a_wildcard_in_a_directory_is_refused() {
        assert!(Pattern::parse("/var/*/x").is_err() && Pattern::parse("/").is_err());
        assert!(Pattern::parse("x.log").is_ok());
    }

    #[test]
    fn a_name_stands_for_archives_by_its_ending() {
        for (text, expected) in [("a.gz", true), ("*.log.GZ", true), ("*.zip", true), ("*.log", false), ("*", false)] {
            assert_eq!(Pattern::parse(text).unwrap().is_of_archives(), expected, "{text}");
        }
        assert!(matches!(Pattern::parse("/x/*.xz"), Err(Error::Archive(_))));
    }
}
