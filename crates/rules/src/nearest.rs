//! The name that was probably meant.

/// Names longer than this are not compared: the work grows with the product of their lengths.
const NAME_BYTES_MAX: usize = 128;
/// Names listed in a message at most.
const LISTED_MAX: usize = 12;

/// The known name that differs least, unless it differs too much to be meant. Case does not count.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    if wanted.len() > NAME_BYTES_MAX {
        return None;
    }
    let tolerated = 1 + wanted.chars().count() / 4;
    let candidates = known.into_iter().filter(|candidate| candidate.len() <= NAME_BYTES_MAX);
    let scored = candidates.map(|candidate| (distance(&wanted, &candidate.to_lowercase()), candidate));
    scored.filter(|(distance, _)| *distance <= tolerated).min().map(|(_, candidate)| candidate)
}

/// What to write instead: "did you mean …?" or the names there are.
#[must_use]
pub fn hint<S: AsRef<str>>(name: &str, known: impl IntoIterator<Item = S>) -> String {
    let known: Vec<S> = known.into_iter().collect();
    match nearest(name, known.iter().map(AsRef::as_ref)) {
        Some(meant) => format!("did you mean {meant:?}?"),
        None => {
            let listed: Vec<&str> = known.iter().take(LISTED_MAX).map(AsRef::as_ref).collect();
            let more = if known.len() > LISTED_MAX { ", …" } else { "" };
            format!("there are {}{more}", listed.join(", "))
        }
    }
}

/// Edits (insert, remove, replace, swap of neighbours) from one text to another.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(from != to);
            let mut best = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && a[i - 1] == *to && b[j - 1] == *from {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_else() {
        let known = ["CommandLine", "Image", "ParentImage"];
        assert_eq!(nearest("ComandLine", known), Some("CommandLine"));
        assert_eq!(nearest("Imgae", known), Some("Image"));
        assert_eq!(nearest("Hashes", known), None);
        assert_eq!(hint("x", known), "there are CommandLine, Image, ParentImage");
        assert_eq!(hint("image", known), "did you mean \"Image\"?");
    }
}
