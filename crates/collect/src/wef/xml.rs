//! A reader of as much XML as envelopes are made of: elements, text, CDATA, attributes that are passed over.
//!
//! Each element is told at its end, by the local names down to it, with its content as it stands there. Declarations of
//! types are refused, so that no entity can be defined. Nesting is limited; what is read is only looked at once.

use moneta_base::xml::push_text;

/// Elements within each other at most.
const DEPTH_MAX: usize = 64;

/// An element at its end.
pub(super) struct Element<'a, 'p> {
    /// Local names from the outermost element to this one.
    pub(super) path: &'p [&'a str],
    /// What stands between its tags, as it stands there.
    pub(super) content: &'a str,
    /// Its text behind the last element in it, references and CDATA resolved.
    pub(super) text: &'p str,
    /// Whether there are elements in it.
    pub(super) has_children: bool,
}

struct Open {
    /// Where its content begins.
    begin: usize,
    has_children: bool,
}

/// Calls `each` at the end of every element.
///
/// # Errors
/// What is wrong with the text.
///
/// # Source
/// Extensible Markup Language (XML) 1.0, sections 2.4 to 2.8, 3.1 and 4.1; Namespaces in XML, section 3, for local names.
pub(super) fn for_each_element<'a>(xml: &'a str, each: &mut dyn FnMut(&Element<'a, '_>)) -> Result<(), String> {
    let (mut path, mut open, mut text, mut at) = (Vec::<&str>::new(), Vec::<Open>::new(), String::new(), 0);
    while let Some(found) = xml[at..].find('<') {
        push_text(&mut text, &xml[at..at + found])?;
        at += found;
        let rest = &xml[at..];
        if let Some(rest) = rest.strip_prefix("<![CDATA[") {
            let end = rest.find("]]>").ok_or("CDATA without an end")?;
            text.push_str(&rest[..end]);
            at += "<![CDATA[".len() + end + "]]>".len();
            continue;
        }
        if rest.starts_with("<!--") {
            at += rest.find("-->").ok_or("a comment without an end")? + "-->".len();
            continue;
        }
        if rest.starts_with("<!") {
            return Err("declarations of types are not taken".to_owned());
        }
        let length = tag_length(rest).ok_or("it ends within a tag")?;
        let (tag, behind) = (&rest[1..length - 1], at + length);
        if tag.starts_with('?') {
            at = behind;
        } else if let Some(name) = tag.strip_prefix('/') {
            let opened = open.pop().filter(|_| path.last() == Some(&local(name)));
            let opened = opened.ok_or_else(|| format!("</{name}> ends what was not begun"))?;
            let content = &xml[opened.begin..at];
            each(&Element { path: &path, content, text: &text, has_children: opened.has_children });
            path.pop();
            text.clear();
            at = behind;
        } else {
            if path.len() == DEPTH_MAX {
                return Err("its elements are nested too deep".to_owned());
            }
            if let Some(outer) = open.last_mut() {
                outer.has_children = true;
            }
            path.push(local(tag));
            text.clear();
            at = behind;
            if tag.ends_with('/') {
                each(&Element { path: &path, content: "", text: "", has_children: false });
                path.pop();
            } else {
                open.push(Open { begin: at, has_children: false });
            }
        }
    }
    match path.is_empty() && xml[at..].trim_matches(['\0', ' ', '\r', '\n', '\t']).is_empty() {
        true => Ok(()),
        false => Err("it ends too early".to_owned()),
    }
}

/// The length of a tag with both its marks; a mark within quotes ends nothing.
fn tag_length(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in rest.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The name of a tag without its prefix.
pub(super) fn local(tag: &str) -> &str {
    let name = tag.split(|c: char| c.is_ascii_whitespace() || matches!(c, '/' | '>')).next().unwrap_or_default();
    name.rsplit(':').next().unwrap_or_default()
}

/// A text as it stands between tags.
pub(super) fn escaped(text: &str) -> String {
    let escape = |c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        _ => String::from(c),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elements(xml: &str) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        for_each_element(xml, &mut |element| {
            found.push(format!("{}={}|{}", element.path.join("/"), element.text, element.content));
        })?;
        Ok(found)
    }

    #[test]
    fn elements_are_told_with_their_text_and_content() {
        let xml = "<?xml version='1.0'?><s:a q='>'><b/><!-- <x> --><p:c>1 &lt;&#x32;</p:c><d><![CDATA[<e>&amp;]]></d></s:a>\0";
        let all = elements(xml).unwrap();
        assert_eq!(all[0], "a/b=|");
        assert_eq!(all[1], "a/c=1 <2|1 &lt;&#x32;");
        assert_eq!(all[2], "a/d=<e>&amp;|<![CDATA[<e>&amp;]]>");
        assert!(all[3].starts_with("a=|<b/>") && all[3].ends_with("</d>"), "{}", all[3]);
    }

    #[test]
    fn what_is_broken_or_could_grow_is_refused() {
        let deep = "<a>".repeat(DEPTH_MAX + 1);
        let bombs = "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>";
        for xml in ["<a>", "<a></b>", "</a>", "<a", "<a>&b;</a>", "<a>&lt</a>", "x", "<![CDATA[", bombs, &deep] {
            assert!(elements(xml).is_err(), "{xml}");
        }
    }

    #[test]
    fn escaped_text_is_read_back() {
        let text = "a & <b> \"c\" &amp;";
        assert_eq!(
            elements(&format!("<a>{}</a>", escaped(text))).unwrap()[0].split('|').next(),
            Some(&*format!("a={text}"))
        );
    }
}
