//! The fields of one record, interpreted.
//!
//! Layout: `key=value` apart by blanks; a value with blanks stands in quotes; programs put their own fields in
//! `msg='...'`; behind a group separator (0x1d) the daemon repeats some in capitals, with names for numbers. Texts that
//! a user could choose are hexadecimal when they hold anything unusual.

use std::borrow::Cow;
use std::net::Ipv6Addr;

use moneta_event::builder::push_json_string;

use super::names;

/// Fields of one record at most; more are left in the original.
const FIELDS_MAX: usize = moneta_base::limits::RECORD_FIELDS_MAX;
/// What stands for "no such user" and "no session".
const UNSET: &str = "4294967295";
/// Fields that are hexadecimal where they are not quoted.
const HEX_FIELDS: [&str; 17] = [
    "proctitle",
    "name",
    "cmd",
    "comm",
    "exe",
    "acct",
    "cwd",
    "dir",
    "data",
    "path",
    "key",
    "ocomm",
    "old",
    "new",
    "vm",
    "device",
    "grp",
];

/// Fields in order; a name comes once. Names and values are those of the record's text where nothing was interpreted.
#[derive(Debug, Default, Clone)]
pub(super) struct Fields<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Fields<'a> {
    /// The value of a field, or "".
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| *known == name).map_or("", |(_, value)| value)
    }

    fn set(&mut self, name: &'a str, value: impl Into<Cow<'a, str>>) {
        if self.0.len() < FIELDS_MAX && !self.0.iter().any(|(known, _)| *known == name) {
            self.0.push((name, value.into()));
        }
    }

    fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let at = self.0.iter().position(|(known, _)| *known == name)?;
        Some(self.0.remove(at).1)
    }

    fn change(&mut self, name: &str, change: impl FnOnce(&str) -> Option<&'static str>) {
        if let Some((_, value)) = self.0.iter_mut().find(|(known, _)| *known == name)
            && let Some(changed) = change(value)
        {
            *value = Cow::Borrowed(changed);
        }
    }

    /// Writes all fields as a JSON object; `exit_number` and the context as a whole are columns only.
    pub fn write_json(&self, json: &mut String) {
        json.push('{');
        let shown = self.0.iter().filter(|(name, _)| *name != "exit_number" && *name != "subj");
        for (index, (name, value)) in shown.enumerate() {
            if index > 0 {
                json.push(',');
            }
            push_json_string(json, name);
            json.push(':');
            push_json_string(json, value);
        }
        json.push('}');
    }

    /// The arguments of an `EXECVE` record (`a0`, `a1`, ... and parts of long ones) joined by blanks.
    pub fn command_line(&self) -> String {
        let is_argument = |name: &str| {
            name.strip_prefix('a').is_some_and(|rest| {
                rest.starts_with(|c: char| c.is_ascii_digit())
                    && rest.chars().all(|c| c.is_ascii_digit() || c == '[' || c == ']')
            })
        };
        let mut line = String::new();
        for (name, value) in self.0.iter().filter(|(name, _)| is_argument(name)) {
            let continues = name.contains('[') && !name.ends_with("[0]");
            if !line.is_empty() && !continues {
                line.push(' ');
            }
            line.push_str(value);
        }
        line
    }
}

/// Reads the fields of a record of a type.
pub(super) fn read<'a>(kind: &str, body: &'a str) -> Fields<'a> {
    let mut fields = Fields::default();
    split(body, kind, &mut fields);
    interpret(kind, &mut fields);
    fields
}

fn split<'a>(body: &'a str, kind: &str, fields: &mut Fields<'a>) {
    let mut rest = body;
    if kind == "AVC" || kind == "USER_AVC" {
        rest = access_vector(rest, fields);
    }
    loop {
        rest = rest.trim_start_matches([' ', '\u{1d}', ',', '\n']);
        let Some((name, behind)) = rest.split_once('=') else { return };
        if let Some(at) = name.rfind([' ', '\u{1d}', '(']) {
            // Words between fields, as some programs print them.
            rest = &rest[at + 1..];
            continue;
        }
        let (value, quoted, next) = value(behind);
        rest = next;
        if name == "msg" && quoted == Some('\'') {
            split(value, kind, fields);
        } else {
            let plain = decoded(kind, name, value, quoted.is_some());
            if !plain.is_empty() && plain != "?" {
                fields.set(name, plain);
            }
        }
    }
}

/// A value, the quotes around it, and what follows.
fn value(text: &str) -> (&str, Option<char>, &str) {
    if let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\''))
        && let Some(end) = closing(&text[1..], quote)
    {
        return (&text[1..=end], Some(quote), &text[end + 2..]);
    }
    let end = memchr::memchr2(b' ', 0x1d, text.as_bytes()).unwrap_or(text.len());
    (text[..end].trim_end_matches(','), None, &text[end..])
}

/// The position of the closing quote: for `'` the last one that a blank or the end follows.
fn closing(text: &str, quote: char) -> Option<usize> {
    if quote == '"' {
        return text.find('"');
    }
    text.rmatch_indices('\'').map(|(at, _)| at).find(|at| {
        let behind = &text[at + 1..];
        behind.is_empty() || behind.starts_with([' ', '\u{1d}'])
    })
}

/// `avc:  denied  { read write } for  ...`
fn access_vector<'a>(text: &'a str, fields: &mut Fields<'a>) -> &'a str {
    let Some((before, rest)) = text.split_once('{') else { return text };
    let Some((actions, rest)) = rest.split_once('}') else { return text };
    if let Some(result) = before.split_whitespace().last() {
        let at = before.rfind("msg=").map_or("", |at| &before[..at]);
        split(at, "", fields);
        fields.set("seresult", result);
    }
    fields.set("seperms", actions.split_whitespace().collect::<Vec<_>>().join(","));
    rest.trim_start().strip_prefix("for").unwrap_or(rest).trim_end_matches('\'')
}

fn decoded<'a>(kind: &str, name: &str, value: &'a str, is_quoted: bool) -> Cow<'a, str> {
    let is_argument = kind == "EXECVE" && name.starts_with('a') && name != "argc";
    let may_be_hex = !is_quoted && (is_argument || HEX_FIELDS.contains(&name));
    // Numbers are written plainly: a text is hexadecimal only where it is longer, or holds letters.
    let plain_number = ["old", "new"].contains(&name) || (kind == "SYSCALL" && name == "key" && value == "(null)");
    match may_be_hex.then(|| from_hex(value)).flatten() {
        Some(text) if !plain_number => Cow::Owned(text),
        _ => Cow::Borrowed(value),
    }
}

/// The text of hexadecimal digits; arguments within it are apart by NUL, which becomes a blank.
fn from_hex(text: &str) -> Option<String> {
    let bytes = hex_bytes(text)?;
    let end = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
    let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
    Some(text.chars().map(|c| if c == '\0' { ' ' } else { c }).collect())
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'A'..=b'F').contains(&b);
    if text.len() < 2 || !text.len().is_multiple_of(2) || !text.bytes().all(is_hex) {
        return None;
    }
    let pairs = text.as_bytes().chunks_exact(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

fn interpret(kind: &str, fields: &mut Fields<'_>) {
    for (name, value) in &mut fields.0 {
        let may_be_unset = ["auid", "old-auid", "ses", "uid", "gid", "oauid"].contains(name);
        if may_be_unset && (*value == UNSET || *value == "-1") {
            *value = Cow::Borrowed("unset");
        }
    }
    result(fields);
    for (name, parts) in CONTEXTS {
        context(name, parts, fields);
    }
    if kind == "SYSCALL" || kind == "SECCOMP" {
        syscall(fields);
    }
    if let Some(address) = fields.take("saddr") {
        socket_address(address, fields);
    }
    if fields.get("key") == "(null)" {
        fields.take("key");
    }
}

/// `res`, `result` and `success` say the same in three ways.
fn result(fields: &mut Fields<'_>) {
    let given = ["res", "success", "result"].into_iter().find_map(|name| fields.take(name));
    if let Some(given) = given {
        let name = result_name(given.trim_end_matches('\''));
        fields.set("result", name.to_owned());
    }
}

/// `success` or `fail`, however a record says it.
pub(crate) fn result_name(text: &str) -> &str {
    match text {
        "yes" | "success" | "1" => "success",
        "no" | "failed" | "fail" | "0" => "fail",
        other => other,
    }
}

/// Fields that hold an SELinux context, and those of its parts.
const CONTEXTS: [(&str, [&str; 5]); 4] = [
    ("subj", ["subj_user", "subj_role", "subj_domain", "subj_level", "subj_category"]),
    ("obj", ["obj_user", "obj_role", "obj_domain", "obj_level", "obj_category"]),
    ("scontext", ["scontext_user", "scontext_role", "scontext_domain", "scontext_level", "scontext_category"]),
    ("tcontext", ["tcontext_user", "tcontext_role", "tcontext_domain", "tcontext_level", "tcontext_category"]),
];

/// An SELinux context by its parts; one that is none (AppArmor) stays as it is.
fn context(name: &str, parts: [&'static str; 5], fields: &mut Fields<'_>) {
    if fields.get(name).splitn(3, ':').count() < 3 {
        return;
    }
    let whole = fields.get(name).to_owned();
    for (part, value) in parts.into_iter().zip(whole.splitn(5, ':')) {
        fields.set(part, value.to_owned());
    }
    if name != "subj" {
        fields.take(name);
    }
}

fn syscall(fields: &mut Fields<'_>) {
    fields.change("arch", names::architecture);
    let number = fields.get("syscall").parse().ok();
    let named = number.and_then(|number| names::syscall(fields.get("arch"), number));
    fields.change("syscall", |_| named);
    if !fields.get("exit").is_empty() {
        let exit = fields.get("exit").to_owned();
        fields.set("exit_number", exit);
    }
    fields.change("exit", |text| {
        let number: i64 = text.parse().ok()?;
        names::error(u32::try_from(number.checked_neg()?).ok().filter(|n| *n > 0)?)
    });
}

/// A `sockaddr` structure as the kernel holds it: family in host order, port in network order.
fn socket_address<'a>(hex: Cow<'a, str>, fields: &mut Fields<'a>) {
    let Some(bytes) = hex_bytes(&hex).filter(|bytes| bytes.len() >= 2) else {
        fields.set("saddr", hex);
        return;
    };
    let family = u16::from_le_bytes([bytes[0], bytes[1]]);
    let port = bytes.get(2..4).map(|b| u16::from_be_bytes([b[0], b[1]]).to_string()).unwrap_or_default();
    match (family, bytes.len()) {
        (1, _) => {
            let path = &bytes[2..];
            let path = path.strip_prefix(&[0]).unwrap_or(path);
            let end = path.iter().position(|b| *b == 0).unwrap_or(path.len());
            fields.set("family", "unix");
            fields.set("path", String::from_utf8_lossy(&path[..end]).into_owned());
        }
        (2, 8..) => {
            fields.set("family", "ipv4");
            fields.set("addr", format!("{}.{}.{}.{}", bytes[4], bytes[5], bytes[6], bytes[7]));
            fields.set("port", port);
        }
        (10, 24..) => {
            let mut octets = [0; 16];
            octets.copy_from_slice(&bytes[8..24]);
            fields.set("family", "ipv6");
            fields.set("addr", Ipv6Addr::from(octets).to_string());
            fields.set("port", port);
            let flow = u32::from_be_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
            if flow > 0 {
                fields.set("flow", flow.to_string());
            }
        }
        (16, _) => {
            fields.set("family", "netlink");
            fields.set("saddr", hex);
        }
        _ => {
            fields.set("family", family.to_string());
            fields.set("saddr", hex);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: &str, body: &str, expected: &str) {
        let mut json = String::new();
        read(kind, body).write_json(&mut json);
        assert_eq!(json, expected, "{body}");
    }

    #[test]
    fn values_are_interpreted() {
        check("SOCKADDR", " saddr=020001BBC0000201", r#"{"family":"ipv4","addr":"192.0.2.1","port":"443"}"#);
        check("PROCTITLE", " proctitle=6C73002D6C", r#"{"proctitle":"ls -l"}"#);
        check(
            "USER_LOGIN",
            " pid=1 auid=4294967295 msg='op=login acct=\"a b\" addr=? res=failed'",
            r#"{"pid":"1","auid":"unset","op":"login","acct":"a b","result":"fail"}"#,
        );
        check(
            "AVC",
            " avc:  denied  { read open } for  pid=7 comm=\"x\" scontext=u:r:d_t:s0",
            r#"{"seresult":"denied","seperms":"read,open","pid":"7","comm":"x","scontext_user":"u","scontext_role":"r","scontext_domain":"d_t","scontext_level":"s0"}"#,
        );
        check("X", " a=", "{}");
    }

    #[test]
    fn arguments_become_a_command_line() {
        let fields = read("EXECVE", " argc=3 a0=\"sh\" a1=\"-c\" a2=6C73202D6C");
        assert_eq!(fields.command_line(), "sh -c ls -l");
    }
}
