//! The nearest name: what a mistyped word probably was. Pure text; knows no grammar and no catalog.

/// The longest name compared, in characters; beyond it nobody mistypes a single letter by accident.
const NAME_CHARACTERS_MAX: usize = 128;

/// Returns the candidate closest to `name` if it is close enough to be a slip of the keyboard.
///
/// A candidate that differs only in case wins; then the smallest number of inserted, removed, changed or swapped
/// characters, up to a third of the name and never more than three. Of equals the first wins.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted: Vec<char> = name.chars().take(NAME_CHARACTERS_MAX + 1).flat_map(char::to_lowercase).collect();
    if wanted.is_empty() || wanted.len() > NAME_CHARACTERS_MAX {
        return None;
    }
    let allowed = (wanted.len().div_ceil(3)).min(3);
    let mut best: Option<(usize, &'a str)> = None;
    for candidate in candidates {
        if candidate == name {
            continue;
        }
        let other: Vec<char> = candidate.chars().take(NAME_CHARACTERS_MAX + 4).flat_map(char::to_lowercase).collect();
        let limit = best.map_or(allowed, |(distance, _)| distance.saturating_sub(1));
        // A word replaced whole is no slip: `by` is not a misspelt `on`.
        let distance = distance_within(&wanted, &other, limit).filter(|found| *found < wanted.len().max(other.len()));
        if let Some(distance) = distance
            && best.is_none_or(|(least, _)| distance < least)
        {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// Returns the edit distance (with swaps of neighbours) if it is at most `limit`.
fn distance_within(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let mut before: Vec<usize> = Vec::new();
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = previous[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(previous[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        if row.iter().min().is_none_or(|least| *least > limit) {
            return None;
        }
        before = std::mem::replace(&mut previous, row);
    }
    previous.last().copied().filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_probably_meant() {
        let words = ["summarize", "sort", "project", "project-away", "where", "on", "DeviceId", "take"];
        let check = |name: &str, expected: Option<&str>| assert_eq!(nearest(name, words), expected, "{name}");
        check("sumarize", Some("summarize"));
        check("summarise", Some("summarize"));
        check("projet-away", Some("project-away"));
        check("wehre", Some("where"));
        check("deviceid", Some("DeviceId"));
        check("by", None);
        check("xyzzy", None);
        check("", None);
        check(&"x".repeat(10_000), None);
    }
}
