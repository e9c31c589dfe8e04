//! Texts in double quotes with escapes by a backslash, as logfmt and Prometheus write them.

/// The text up to the quote that ends it, and what is behind; `None` if there is no such quote. A backslash makes of the
/// character behind it what `escapes` says, else that character itself.
pub(crate) fn escaped_text<'t>(text: &'t str, escapes: &[(char, char)]) -> Option<(String, &'t str)> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => {
                let escaped = characters.next()?.1;
                let meant = escapes.iter().find(|(written, _)| *written == escaped);
                value.push(meant.map_or(escaped, |(_, meant)| *meant));
            }
            other => value.push(other),
        }
    }
    None
}
