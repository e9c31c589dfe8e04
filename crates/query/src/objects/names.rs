//! Names of objects, checked before they become part of anything.

use moneta_base::ErrorKind;
use moneta_ports::PortError;

/// Characters of a name at most.
const NAME_CHARACTERS_MAX: usize = 128;

/// A name that can stand in a query without brackets.
pub(super) fn check_identifier(what: &str, name: &str) -> Result<(), PortError> {
    let starts = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let rest = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if starts && rest && name.len() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    Err(refused(format!(
        "{name:?} cannot name a {what}: use letters, digits and `_`, a letter or `_` first, at most {NAME_CHARACTERS_MAX}"
    )))
}

/// A name that people type and paths carry.
pub(super) fn check_title(what: &str, name: &str) -> Result<(), PortError> {
    let allowed = |c: char| c.is_alphanumeric() || " _-.()".contains(c);
    let trimmed = !name.is_empty() && name.trim() == name && !name.starts_with('.');
    if trimmed && name.chars().all(allowed) && name.chars().count() <= NAME_CHARACTERS_MAX {
        return Ok(());
    }
    Err(refused(format!(
        "{name:?} cannot name a {what}: use letters, digits, blanks and `_-.()`, at most {NAME_CHARACTERS_MAX}"
    )))
}

/// A change the caller must change.
pub(super) fn refused(message: impl Into<String>) -> PortError {
    PortError::new(ErrorKind::Caller, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_hold_nothing_that_means_something_elsewhere() {
        for good in ["f", "_Private1", "A_b"] {
            assert!(check_identifier("function", good).is_ok(), "{good}");
        }
        for bad in ["", "1a", "a b", "a-b", "a'b", "ä", &"a".repeat(129)] {
            assert!(check_identifier("function", bad).is_err(), "{bad}");
        }
        for good in ["VIP users (all)", "Über-Liste_1.2"] {
            assert!(check_title("watchlist", good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a ", "../a", "a/b", "a\"b", "a\nb", "a'b"] {
            assert!(check_title("watchlist", bad).is_err(), "{bad}");
        }
    }
}
