//! References in XML texts. Readers of XML are the crates' own; what a reference stands for is the same for all of them.
//!
//! # Source
//! Extensible Markup Language (XML) 1.0, sections 4.1 and 4.6.

/// Appends a text as it stands between tags, its references resolved.
///
/// # Errors
/// Names the reference that does not end, or that stands for nothing: no entity is ever defined.
pub fn push_text(text: &mut String, mut raw: &str) -> Result<(), String> {
    while let Some((before, tail)) = raw.split_once('&') {
        let (name, tail) = tail.split_once(';').ok_or("a reference in it does not end")?;
        text.push_str(before);
        text.push(reference(name).ok_or_else(|| format!("it names &{name};"))?);
        raw = tail;
    }
    text.push_str(raw);
    Ok(())
}

/// The character that a reference stands for.
fn reference(name: &str) -> Option<char> {
    match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        _ => {
            let digits = name.strip_prefix('#')?;
            let code = match digits.strip_prefix('x') {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => digits.parse(),
            };
            code.ok().and_then(char::from_u32)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_stand_for_characters_or_are_named() {
        let read = |raw: &str| {
            let mut text = "before ".to_owned();
            push_text(&mut text, raw).map(|()| text)
        };
        assert_eq!(read("a &lt;b&gt; &amp;&quot;&apos; &#65;&#x42;").as_deref(), Ok("before a <b> &\"' AB"));
        assert_eq!(read("&nbsp;").unwrap_err(), "it names &nbsp;");
        assert_eq!(read("&#xd800;").unwrap_err(), "it names &#xd800;");
        assert!(read("a & b").is_err());
    }
}
