//! Finds e-mail addresses in text.
//!
//! An address is a local part of letters, digits and `._+-%'`, an at-sign, and a domain of at least two labels of
//! which the last is alphabetic. `root@localhost` and `root@10.0.0.1` are not addresses: they name machines.
//!
//! # Source
//! RFC 5321 section 4.1.2 for the lengths; the set of local characters is ours: the rarer legal ones are separators in
//! URLs and logs.

use std::collections::HashSet;
use std::ops::Range;

use memchr::memchr_iter;

use crate::token::ends_with_token;

const LOCAL_CHARS_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;
const TOP_LABEL_BYTES_MAX: usize = 24;

/// Addresses that are not personal data, and endings that are not domains.
#[derive(Debug, Clone, Default)]
pub(crate) struct EmailRules {
    /// Whole addresses that stay, lower case.
    pub addresses: HashSet<String>,
    /// Domains whose addresses stay, lower case.
    pub domains: HashSet<String>,
    /// Last labels that mark a file or a unit, lower case.
    pub not_top_labels: HashSet<String>,
}

impl EmailRules {
    /// Appends the byte range of every address, in order, without overlaps.
    pub(crate) fn find(&self, text: &str, found: &mut Vec<Range<usize>>) {
        let mut floor = 0;
        for at in memchr_iter(b'@', text.as_bytes()) {
            if at < floor {
                continue;
            }
            if let Some(range) = self.address_around(text, floor, at) {
                floor = range.end;
                found.push(range);
            }
        }
    }

    fn address_around(&self, text: &str, floor: usize, at: usize) -> Option<Range<usize>> {
        let start = local_start(text, floor, at)?;
        let end = self.domain_end(text, at + 1)?;
        let local = &text[start..at];
        if ends_with_token(local) {
            return None;
        }
        let domain = text[at + 1..end].to_ascii_lowercase();
        let stays = self.domains.contains(&domain)
            || self.addresses.contains(&format!("{}@{domain}", local.to_ascii_lowercase()));
        (!stays).then_some(start..end)
    }

    /// The end of the longest domain from `start`: labels that cannot end a domain are dropped from its tail.
    fn domain_end(&self, text: &str, start: usize) -> Option<usize> {
        let tail = &text[start..floor_char_boundary(text, start + DOMAIN_BYTES_MAX)];
        let len = tail.find(|c: char| !(c.is_alphanumeric() || c == '-' || c == '.')).unwrap_or(tail.len());
        let mut domain = tail[..len].trim_end_matches(['.', '-']);
        if let Some(empty_label) = domain.find("..") {
            domain = &domain[..empty_label];
        }
        loop {
            let (head, top) = domain.rsplit_once('.')?;
            if self.can_end_domain(top) && head_is_host(head) {
                return Some(start + domain.len());
            }
            domain = head;
        }
    }

    fn can_end_domain(&self, label: &str) -> bool {
        let alphabetic = label.chars().all(char::is_alphabetic) || label.starts_with("xn--");
        alphabetic
            && (2..=TOP_LABEL_BYTES_MAX).contains(&label.len())
            && !self.not_top_labels.contains(&label.to_ascii_lowercase())
    }
}

/// Whether the labels before the last one can name a host. `1.0.0` cannot: it is a version.
fn head_is_host(head: &str) -> bool {
    let mut labels = head.split('.');
    let well_formed = labels.clone().all(|label| (1..=LABEL_BYTES_MAX).contains(&label.len()));
    let numeric = labels.all(|label| label.bytes().all(|b| b.is_ascii_digit()));
    well_formed && !(numeric && head.contains('.'))
}

/// Where the local part that ends at `at` begins; `None` when there is none.
fn local_start(text: &str, floor: usize, at: usize) -> Option<usize> {
    let is_local = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '-' | '%' | '\'');
    let before = &text[floor..at];
    let len: usize = before.chars().rev().take(LOCAL_CHARS_MAX).take_while(|c| is_local(*c)).map(char::len_utf8).sum();
    let local = &before[before.len() - len..];
    let trimmed = local.trim_start_matches(['.', '+', '-', '\'', '%']);
    if trimmed.is_empty() { quoted_local_start(text, floor, at) } else { Some(at - trimmed.len()) }
}

/// `"john doe"@example.com`: a local part in quotes.
fn quoted_local_start(text: &str, floor: usize, at: usize) -> Option<usize> {
    let inner = text[floor..at].strip_suffix('"')?;
    let open = inner.rfind('"')?;
    let len = inner.len() - open - 1;
    ((1..=LOCAL_CHARS_MAX).contains(&len) && !inner[open..].contains(['\n', ',', ':', '{', '}', '=']))
        .then_some(floor + open)
}

fn floor_char_boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|index| text.is_char_boundary(*index)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let rules = EmailRules {
            addresses: set(&["git@github.com"]),
            domains: set(&["openssh.com"]),
            not_top_labels: set(&["service", "png", "ost"]),
        };
        let mut found = Vec::new();
        rules.find(text, &mut found);
        let found: Vec<_> = found.into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn finds_addresses_wherever_they_stand() {
        check("alice@contoso.com", &["alice@contoso.com"]);
        check("From: \"A\" <Alice.Example+tag@mail.Contoso.co.uk>, x", &["Alice.Example+tag@mail.Contoso.co.uk"]);
        check("user=bob@contoso.com&x=1", &["bob@contoso.com"]);
        check("to a@b.com;c@d.org.", &["a@b.com", "c@d.org"]);
        check("jürgen@müller.de x", &["jürgen@müller.de"]);
        check(r"C:\mail\nancy@contoso.com.ost", &["nancy@contoso.com"]);
        check("a@b.com@c.com", &["a@b.com"]);
        check("'o'brien@x.com'", &["o'brien@x.com"]);
        check("\"john doe\"@example.com", &["\"john doe\"@example.com"]);
        check("+14155551234@sip.example.com", &["14155551234@sip.example.com"]);
        check("bob@163.com", &["bob@163.com"]);
        check("a@x.com.2020-01-01.png", &["a@x.com"]);
    }

    #[test]
    fn leaves_names_of_machines_units_versions_and_programs() {
        for text in [
            "root@localhost",
            "root@10.0.0.1",
            "user@1000.service",
            "getty@tty1.service",
            "icon@2x.png",
            "core@7.1.2",
            "pkg@1.0.0.beta",
            "aes128-gcm@openssh.com",
            "git@github.com:a/b",
            "@babel/core",
            "a@",
            "@",
            "HOST$@CONTOSO.LOCAL",
            "image@sha256:abc",
            "tk1_email_aaaaaaaaaaaaaaaaaaaaaaaaaa@contoso.com",
            "a@b..com",
        ] {
            check(text, &[]);
        }
    }

    #[test]
    fn a_long_run_before_the_at_sign_costs_no_more_than_the_limit() {
        let text = format!("{}@x.com", "a".repeat(1000));
        let mut found = Vec::new();
        EmailRules::default().find(&text, &mut found);
        assert_eq!(found.first(), Some(&(1000 - LOCAL_CHARS_MAX..1006)));
    }
}
