//! Finds the values at several paths of a JSON text in one pass, and which paths many texts share.
//!
//! A path names members of objects, never elements of arrays. It is written as a JSON pointer (RFC 6901): `/a/b`, with
//! `~1` for `/` and `~0` for `~` inside a name. Nothing is parsed into values: a result is a part of the text.

use std::collections::HashMap;

use crate::json_scan::{DEPTH_MAX, JsonScanner};

/// Members below members that are looked for when paths are chosen.
const PATH_DEPTH_MAX: usize = 3;
/// Bytes of one path at most.
const PATH_BYTES_MAX: usize = 200;
/// Different paths that are counted at most.
const PATHS_COUNTED_MAX: usize = 4_096;

/// The pointer of a path of names.
#[must_use]
pub fn pointer<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1"))).collect()
}

/// Several paths, looked up together.
#[derive(Debug, Clone, Default)]
pub struct Paths {
    root: Node,
    len: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Where the value goes.
    slot: Option<usize>,
    children: Vec<(String, Node)>,
}

impl Paths {
    /// Prepares pointers; the values of each go to the slot of its position.
    #[must_use]
    pub fn new<S: AsRef<str>>(pointers: &[S]) -> Self {
        let mut root = Node::default();
        for (slot, pointer) in pointers.iter().enumerate() {
            let mut node = &mut root;
            for name in pointer.as_ref().split('/').skip(1) {
                node = node.child_mut(name.replace("~1", "/").replace("~0", "~"));
            }
            node.slot = Some(slot);
        }
        Self { root, len: pointers.len() }
    }

    /// The JSON texts at the paths, `None` for what is missing or null.
    ///
    /// # Shapes
    /// `found` has one element per path afterwards. Of equal names the last counts; text that is no JSON object, or is
    /// damaged, holds nothing.
    pub fn find<'a>(&self, text: &'a str, found: &mut Vec<Option<&'a str>>) {
        found.clear();
        found.resize(self.len, None);
        let mut scanner = JsonScanner::new(text.trim());
        if scanner.members(&self.root, found, 0).is_none() {
            found.fill(None);
        }
        for value in found.iter_mut() {
            *value = value.filter(|value| *value != "null");
        }
    }
}

impl Node {
    fn child_mut(&mut self, name: String) -> &mut Self {
        let index = self.children.iter().position(|(known, _)| *known == name).unwrap_or_else(|| {
            self.children.push((name, Self::default()));
            self.children.len() - 1
        });
        &mut self.children[index].1
    }

    /// The child of a name as it stands in the text, quotes included.
    fn child(&self, literal: &str) -> Option<&Self> {
        let name = literal.get(1..literal.len() - 1)?;
        if !name.contains('\\') {
            return self.children.iter().find(|(known, _)| known == name).map(|(_, node)| node);
        }
        let name: String = serde_json::from_str(literal).ok()?;
        self.children.iter().find(|(known, _)| *known == name).map(|(_, node)| node)
    }

    /// Forgets what an earlier member of the same name held.
    fn clear(&self, found: &mut [Option<&str>]) {
        if let Some(slot) = self.slot {
            found[slot] = None;
        }
        self.children.iter().for_each(|(_, node)| node.clear(found));
    }
}

impl<'a> JsonScanner<'a> {
    /// The members of an object, those of `node` noted.
    fn members(&mut self, node: &Node, found: &mut [Option<&'a str>], depth: usize) -> Option<()> {
        if self.next()? != b'{' || depth > DEPTH_MAX {
            return None;
        }
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let name = self.string()?;
            if self.next()? != b':' {
                return None;
            }
            match node.child(name) {
                None => {
                    self.value(depth)?;
                }
                Some(child) => self.noted(child, found, depth)?,
            }
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }

    /// A value that a path leads to or through.
    fn noted(&mut self, node: &Node, found: &mut [Option<&'a str>], depth: usize) -> Option<()> {
        node.clear(found);
        let first = self.peek()?;
        let start = self.at;
        if first == b'{' && !node.children.is_empty() {
            self.members(node, found, depth + 1)?;
        } else {
            self.value(depth)?;
        }
        if let Some(slot) = node.slot {
            found[slot] = self.text.get(start..self.at);
        }
        Some(())
    }

    /// The scalar members below here, with their paths.
    fn leaves(&mut self, path: &mut String, depth: usize, note: &mut dyn FnMut(&str)) -> Option<()> {
        self.at += 1;
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        loop {
            let literal = self.string()?;
            if self.next()? != b':' {
                return None;
            }
            let name: String = serde_json::from_str(literal).ok()?;
            let length = path.len();
            path.push_str(&pointer([name.as_str()]));
            match self.peek()? {
                b'{' if depth < PATH_DEPTH_MAX => self.leaves(path, depth + 1, note)?,
                first => {
                    let value = self.value(0)?;
                    if !matches!(first, b'{' | b'[') && value != "null" && path.len() <= PATH_BYTES_MAX {
                        note(path);
                    }
                }
            }
            path.truncate(length);
            match self.next()? {
                b',' => {}
                b'}' => return Some(()),
                _ => return None,
            }
        }
    }
}

/// The paths worth a column of their own, most frequent first.
///
/// A path is chosen when at least one in `rare` texts has a scalar there.
///
/// # Source
/// Ours: the decision record on `dynamic` has the measurements.
#[must_use]
pub fn frequent_paths<'a>(sample: impl Iterator<Item = &'a str>, rare: usize, paths_max: usize) -> Vec<String> {
    let (mut seen, mut texts) = (HashMap::<String, usize>::new(), 0);
    for text in sample {
        texts += 1;
        let mut scanner = JsonScanner::new(text);
        if scanner.peek() != Some(b'{') {
            continue;
        }
        // What a damaged text holds before the damage counts too: this is only a guess at what is worth keeping.
        let _ = scanner.leaves(&mut String::new(), 1, &mut |path| {
            if let Some(count) = seen.get_mut(path) {
                *count += 1;
            } else if seen.len() < PATHS_COUNTED_MAX {
                seen.insert(path.to_owned(), 1);
            }
        });
    }
    let mut ranked: Vec<_> = seen.into_iter().filter(|(_, count)| count * rare >= texts).collect();
    ranked.sort_by(|(a, left), (b, right)| (right, a).cmp(&(left, b)));
    ranked.into_iter().map(|(path, _)| path).take(paths_max).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, pointers: &[&str], expected: &[Option<&str>]) {
        let mut found = Vec::new();
        Paths::new(pointers).find(text, &mut found);
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_many_values_in_one_pass() {
        let text = r#" {"a": {"b": "x\"y", "c": [1, {"d": 2}]}, "n": null, "e/f~": 3, "\u0067": true} "#;
        let pointers = ["/a/b", "/a", "/a/c", "/n", "/e~1f~0", "/g", "/a/missing", "/e~1f~0/below"];
        let whole = r#"{"b": "x\"y", "c": [1, {"d": 2}]}"#;
        let values =
            [Some(r#""x\"y""#), Some(whole), Some(r#"[1, {"d": 2}]"#), None, Some("3"), Some("true"), None, None];
        check(text, &pointers, &values);
    }

    #[test]
    fn the_last_of_equal_names_counts() {
        check(r#"{"a":{"b":1},"a":{"c":2}}"#, &["/a/b", "/a/c"], &[None, Some("2")]);
        check(r#"{"a":1,"a":null}"#, &["/a"], &[None]);
    }

    #[test]
    fn damaged_text_holds_nothing() {
        for text in ["", "{", "[1]", "7", r#"{"a":1"#, r#"{"a":1,"#, r#"{"a":1,"b":[}"#, "{\"a\":\"\\"] {
            check(text, &["/a"], &[None]);
        }
        let deep = format!("{{\"a\":1,\"b\":{}", "[".repeat(100_000));
        check(&deep, &["/a"], &[None]);
    }

    #[test]
    fn frequent_paths_are_scalars() {
        let texts: Vec<String> = (0..100)
            .map(|n| {
                format!(r#"{{"kind":"k{}","id":"{n:040}","deep":{{"x":{}}},"list":[1],"rare":{{}} }}"#, n % 3, n % 5)
            })
            .collect();
        let paths = frequent_paths(texts.iter().map(String::as_str), 50, 8);
        assert_eq!(paths, ["/deep/x", "/id", "/kind"]);
        assert_eq!(frequent_paths(["{\"a\":1}", "x", "{\"a\":"].into_iter(), 50, 8), ["/a"]);
        assert_eq!(frequent_paths(["{\"a\":1}"; 3].into_iter(), 50, 0), Vec::<String>::new());
        assert_eq!(frequent_paths(std::iter::empty(), 50, 8), Vec::<String>::new());
    }
}
