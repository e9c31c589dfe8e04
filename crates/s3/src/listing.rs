//! The answer to `ListObjectsV2`, which is XML: a small reader of as much XML as such answers are made of. Comments,
//! CDATA and declarations of types are refused; attributes are passed over.

use moneta_base::objects::ListedObject;
use moneta_base::xml::push_text;

/// One page of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) objects: Vec<ListedObject>,
    /// What the request for the next page must name; none after the last page.
    pub(crate) next: Option<String>,
}

/// Elements within each other at most: the answer needs four.
const DEPTH_MAX: usize = 16;

/// Reads a page.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn parse(xml: &[u8]) -> Result<Page, String> {
    let xml = std::str::from_utf8(xml).map_err(|_| "it is not UTF-8".to_owned())?;
    let mut page = Page::default();
    let (mut key, mut size, mut tag, mut is_truncated, mut next) = (None, None, None, false, None);
    for_each_element(xml, &mut |path, text| {
        match path {
            ["ListBucketResult", "Contents", "Key"] => key = Some(text.to_owned()),
            ["ListBucketResult", "Contents", "Size"] => size = text.trim().parse::<u64>().ok(),
            ["ListBucketResult", "Contents", "ETag"] => tag = Some(text.trim().to_owned()),
            ["ListBucketResult", "Contents"] => match (key.take(), size.take()) {
                (Some(key), Some(size_bytes)) => {
                    page.objects.push(ListedObject { key, size_bytes, tag: tag.take().filter(|tag| !tag.is_empty()) });
                }
                _ => return Err("an object in it has no key or no size".to_owned()),
            },
            ["ListBucketResult", "IsTruncated"] => is_truncated = text.trim() == "true",
            ["ListBucketResult", "NextContinuationToken"] => next = Some(text.to_owned()),
            _ => {}
        }
        Ok(())
    })?;
    if is_truncated && next.is_none() {
        return Err("it goes on and does not say where".to_owned());
    }
    page.next = next.filter(|_| is_truncated);
    Ok(page)
}

/// Takes the names from the outermost element to one that ends, and the text before its end.
type OnElement<'a> = dyn FnMut(&[&str], &str) -> Result<(), String> + 'a;

/// Calls `each` at the end of every element.
fn for_each_element(xml: &str, each: &mut OnElement<'_>) -> Result<(), String> {
    let (mut path, mut text, mut rest) = (Vec::new(), String::new(), xml);
    while let Some((before, tail)) = rest.split_once('<') {
        push_text(&mut text, before)?;
        let (tag, tail) = tail.split_once('>').ok_or("it ends within a tag")?;
        rest = tail;
        if tag.starts_with('?') {
            continue;
        }
        if tag.starts_with('!') {
            return Err("it holds a comment or a declaration".to_owned());
        }
        if let Some(name) = tag.strip_prefix('/') {
            if path.last() != Some(&name.trim_end()) {
                return Err(format!("</{name}> ends what was not begun"));
            }
            each(&path, &text)?;
            path.pop();
            text.clear();
            continue;
        }
        let (tag, is_empty) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
        let name = tag.split_whitespace().next().unwrap_or_default();
        if path.len() == DEPTH_MAX {
            return Err("its elements are nested too deep".to_owned());
        }
        path.push(name);
        text.clear();
        if is_empty {
            each(&path, "")?;
            path.pop();
        }
    }
    match path.is_empty() && rest.trim().is_empty() {
        true => Ok(()),
        false => Err("it ends too early".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sizes_and_the_way_on_are_read() {
        let xml = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
            <Name>b</Name><IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1</NextContinuationToken>
            <Contents><Key>a&#38;b/&lt;c</Key><ETag>&quot;e1&quot;</ETag><Size>12</Size><Owner><ID>x</ID></Owner></Contents>
            <Contents><Key>d</Key><Size>0</Size></Contents></ListBucketResult>"#;
        let page = parse(xml).unwrap();
        let object = |key: &str, size_bytes, tag: Option<&str>| ListedObject {
            key: key.to_owned(),
            size_bytes,
            tag: tag.map(str::to_owned),
        };
        assert_eq!(page.objects, [object("a&b/<c", 12, Some("\"e1\"")), object("d", 0, None)]);
        assert_eq!(page.next.as_deref(), Some("t&1"));
    }

    #[test]
    fn half_an_answer_is_an_error() {
        for xml in [
            "<ListBucketResult><Contents><Key>a</Key>",
            "<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
            "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            "<ListBucketResult><Contents></ListBucketResult></Contents>",
            "<ListBucketResult><Contents><Key>&x;</Key><Size>1</Size></Contents></ListBucketResult>",
            "<!DOCTYPE a><ListBucketResult/>",
            "no XML at all",
        ] {
            assert!(parse(xml.as_bytes()).is_err(), "{xml}");
        }
        assert_eq!(parse(b"<ListBucketResult/>").unwrap(), Page::default());
    }
}
