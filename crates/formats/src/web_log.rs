//! Access and error logs of web servers, as rows of `WebAccessLog_CL`.
//!
//! Layout, told apart line by line:
//! - access (NCSA common and combined, nginx, Apache, with or without the virtual host in front):
//!   `client ident user [10/Oct/2026:13:55:36 +0200] "GET /path?query HTTP/1.1" status bytes "referer" "agent" ...`
//! - nginx error: `2026/10/10 13:55:36 [error] pid#tid: *connection message, client: ..., server: ..., request: "..."`
//! - Apache error: `[Sat Oct 10 13:55:36.123456 2026] [module:level] [pid n:tid n] [client address:port] AHnnnnn: message`
//!
//! Quotes within quoted fields are escaped by a backslash; other escapes are kept as the server wrote them.

use std::borrow::Cow;

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use crate::clock_text;
use crate::decoder::LineFormat;
use crate::output::{Output, Refusal, TableId};

/// Quoted fields behind the bytes that are kept by number.
const MORE_FIELDS_MAX: usize = 32;

/// Decodes logs of web servers.
#[derive(Default)]
pub(crate) struct WebLog {
    table: Option<TableId>,
}

/// Whether a line is one of a web server's logs.
pub(crate) fn is_record(line: &str) -> bool {
    Access::read(line).is_some() || nginx_head(line).is_some() || apache_head(line).is_some()
}

impl LineFormat for WebLog {
    fn line(&mut self, bytes: &[u8], offset: u64, output: &mut Output) {
        let table = *self.table.get_or_insert_with(|| {
            let own = || TableName::new("WebAccessLog_CL").expect("the names of built-in tables are valid");
            let name = output.options.table.clone().unwrap_or_else(own);
            output.table(&name)
        });
        let text = std::str::from_utf8(bytes).map_err(Refusal::invalid_utf8);
        let result = text.and_then(|text| map(text, table, output));
        if let Err(refusal) = result {
            output.quarantine(refusal, output.options.table.clone(), offset, bytes);
        }
    }
}

fn map(line: &str, table: TableId, output: &mut Output) -> Result<(), Refusal> {
    if let Some(access) = Access::read(line) {
        let time = access.time()?;
        output.check_time(time)?;
        access.write(table, output);
        output.finish_row(table, RecordClass::Data, time, line);
        return Ok(());
    }
    let zone = output.options.zone_offset_seconds;
    if let Some((stamp, level, rest)) = nginx_head(line) {
        let time = clock_text::parse_any(stamp, zone);
        let time = time.ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))?;
        output.check_time(time)?;
        set(output, table, "Service", "nginx");
        set(output, table, "Level", level);
        nginx_error(rest, table, output);
        output.finish_row(table, RecordClass::Data, time, line);
        return Ok(());
    }
    if let Some((stamp, rest)) = apache_head(line) {
        let time = apache_time(stamp, zone).ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))?;
        output.check_time(time)?;
        set(output, table, "Service", "apache");
        apache_error(rest, table, output);
        output.finish_row(table, RecordClass::Data, time, line);
        return Ok(());
    }
    Err(Refusal::new("no_record", "neither an access log line nor an error of nginx or Apache"))
}

fn set(output: &mut Output, table: TableId, name: &str, text: &str) {
    output.set_field(table, name, Value::Text(text));
}

/// An access log line taken apart.
#[derive(Debug, PartialEq, Eq)]
struct Access<'a> {
    host: &'a str,
    client: &'a str,
    ident: &'a str,
    user: &'a str,
    stamp: &'a str,
    request: &'a str,
    /// Status, bytes and what follows.
    rest: &'a str,
}

impl<'a> Access<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let open = line.find('[')?;
        let head = line.get(..open)?.trim_end();
        let (stamp, behind) = line.get(open + 1..)?.split_once(']')?;
        // `10/Oct/2026:13:55:36`
        if stamp.as_bytes().get(2) != Some(&b'/') || stamp.as_bytes().get(11) != Some(&b':') {
            return None;
        }
        let mut words = head.split_ascii_whitespace();
        let mut first = words.next()?;
        let mut left = [words.next(), words.next(), words.next()];
        // A virtual host in front makes four words, unless the user's name has blanks.
        let mut host = "";
        if let [Some(second), Some(third), Some(_)] = left
            && words.next().is_none()
            && second.contains(['.', ':'])
            && !third.contains('.')
        {
            (host, first) = (first, second);
            left = [left[1], left[2], None];
        }
        let ident = left[0].unwrap_or("-");
        // The user's name may hold blanks.
        let user = left[1].map_or("-", |user| &head[user.as_ptr() as usize - head.as_ptr() as usize..]);
        let (request, rest) = match behind.trim_start().strip_prefix('"') {
            Some(quoted) => request_end(quoted).map(|end| (&quoted[..end], &quoted[end + 1..]))?,
            None => behind.trim_start().split_once(' ').unwrap_or((behind.trim_start(), "")),
        };
        Some(Self { host, client: first, ident, user, stamp, request, rest })
    }

    fn time(&self) -> Result<Timestamp, Refusal> {
        clock_text::parse_any(self.stamp, 0).ok_or_else(|| Refusal::new("invalid_time", "the time cannot be read"))
    }

    fn write(&self, table: TableId, output: &mut Output) {
        let dash = |text: &'a str| if text == "-" { "" } else { text };
        set(output, table, "Host", self.host);
        set(output, table, "ClientIP", self.client);
        set(output, table, "Ident", dash(self.ident));
        set(output, table, "RemoteUser", dash(self.user));
        write_request(self.request, table, output);
        let mut fields = Fields(self.rest);
        for name in ["Status", "BytesSent", "Referer", "UserAgent"] {
            if let Some(field) = fields.next().filter(|field| *field != "-") {
                set(output, table, name, &unescaped(field));
            }
        }
        for (index, field) in fields.take(MORE_FIELDS_MAX).enumerate().filter(|(_, field)| *field != "-") {
            set(output, table, &format!("Field{}", index + 1), &unescaped(field));
        }
    }
}

/// `GET /path?query HTTP/1.1`; anything else is the whole of `Uri`.
fn write_request(request: &str, table: TableId, output: &mut Output) {
    if request == "-" {
        return;
    }
    let plain = unescaped(request);
    let is_method = |word: &str| {
        !word.is_empty() && word.len() <= 32 && word.bytes().all(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'-')
    };
    let Some((method, rest)) = plain.split_once(' ').filter(|(method, _)| is_method(method)) else {
        set(output, table, "Uri", &plain);
        return;
    };
    let (uri, version) = match rest.rsplit_once(' ') {
        Some((uri, version)) if version.starts_with("HTTP/") => (uri, version),
        _ => (rest, ""),
    };
    let (stem, query) = uri.split_once('?').unwrap_or((uri, ""));
    set(output, table, "Method", method);
    set(output, table, "Uri", uri);
    set(output, table, "UriStem", stem);
    set(output, table, "UriQuery", query);
    set(output, table, "HttpVersion", version);
}

/// Fields apart by blanks, quoted ones without their quotes.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches([' ', '\t']);
        if rest.is_empty() {
            return None;
        }
        if let Some(quoted) = rest.strip_prefix('"')
            && let Some(end) = quoted_end(quoted)
        {
            self.0 = &quoted[end + 1..];
            return Some(&quoted[..end]);
        }
        let end = memchr::memchr2(b' ', b'\t', rest.as_bytes()).unwrap_or(rest.len());
        self.0 = &rest[end..];
        Some(&rest[..end])
    }
}

/// The position of the closing quote.
fn quoted_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'"', b'\\', bytes.get(at..)?)?;
        if bytes[at] == b'"' {
            return Some(at);
        }
        at += 2;
    }
}

/// The position of the quote that closes a request: the first one with a status behind it, because some servers do not
/// escape those within; else the first of all.
fn request_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let is_status = |at: &usize| match bytes.get(at + 1..at + 5) {
        Some([b' ', digits @ ..]) => digits.iter().all(u8::is_ascii_digit) || digits[0] == b'-',
        _ => false,
    };
    memchr::memchr_iter(b'"', bytes).find(is_status).or_else(|| quoted_end(text))
}

fn unescaped(text: &str) -> Cow<'_, str> {
    let is_escaped = memchr::memchr(b'\\', text.as_bytes()).is_some() && text.contains("\\\"");
    if is_escaped { Cow::Owned(text.replace("\\\"", "\"")) } else { Cow::Borrowed(text) }
}

/// Time, level and rest of an error of nginx.
fn nginx_head(line: &str) -> Option<(&str, &str, &str)> {
    let stamp = line.get(..19)?;
    let bytes = stamp.as_bytes();
    if bytes[4] != b'/' || bytes[7] != b'/' || bytes[10] != b' ' || bytes[13] != b':' {
        return None;
    }
    let rest = line[19..].trim_start().strip_prefix('[')?;
    let (level, rest) = rest.split_once("] ")?;
    Some((stamp, level, rest))
}

fn nginx_error(rest: &str, table: TableId, output: &mut Output) {
    let (process, message) = rest.split_once(": ").unwrap_or(("", rest));
    let (process_id, thread_id) = process.split_once('#').unwrap_or((process, ""));
    set(output, table, "ProcessId", process_id);
    set(output, table, "ThreadId", thread_id);
    let message = match message.strip_prefix('*').and_then(|rest| rest.split_once(' ')) {
        Some((connection, message)) => {
            set(output, table, "Connection", connection);
            message
        }
        None => message,
    };
    // The fields stand at the end, the first of them is the client. Names of users come from outside and may hold what
    // looks like them; otherwise it is the request, behind them, that may.
    let named = if message.starts_with("user \"") { message.rfind(", client: ") } else { message.find(", client: ") };
    let Some(at) = named else {
        set(output, table, "Message", message);
        return;
    };
    set(output, table, "Message", &message[..at]);
    let mut fields = &message[at + 2..];
    while let Some((name, behind)) = fields.split_once(": ") {
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => match quoted_end(quoted) {
                Some(end) => (&quoted[..end], &quoted[end + 1..]),
                None => (quoted, ""),
            },
            None => behind.split_at(behind.find(", ").unwrap_or(behind.len())),
        };
        match name {
            "client" => set(output, table, "ClientIP", value),
            "request" => write_request(value, table, output),
            "host" => set(output, table, "Host", value),
            "referrer" => set(output, table, "Referer", value),
            other => set(output, table, other, value),
        }
        fields = next.strip_prefix(", ").unwrap_or(next);
    }
}

/// The time of an error of Apache, and what follows.
fn apache_head(line: &str) -> Option<(&str, &str)> {
    let (stamp, rest) = line.strip_prefix('[')?.split_once(']')?;
    let is_time = stamp.len() >= 24 && stamp.len() <= 40 && stamp.contains(':') && stamp.as_bytes()[3] == b' ';
    is_time.then(|| (stamp, rest.trim_start())).filter(|_| apache_time(stamp, 0).is_some())
}

fn apache_time(stamp: &str, zone_offset_seconds: i32) -> Option<Timestamp> {
    clock_text::parse_any(stamp, zone_offset_seconds)
}

fn apache_error(rest: &str, table: TableId, output: &mut Output) {
    let mut rest = rest;
    while let Some((part, behind)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        if let Some(processes) = part.strip_prefix("pid ") {
            let (process, thread) = processes.split_once(":tid ").unwrap_or((processes, ""));
            set(output, table, "ProcessId", process);
            set(output, table, "ThreadId", thread);
        } else if let Some(client) = part.strip_prefix("client ").or_else(|| part.strip_prefix("remote ")) {
            let (address, port) = match client.rsplit_once(':') {
                Some((address, port)) if !address.contains(':') || address.starts_with('[') => (address, port),
                _ => (client, ""),
            };
            set(output, table, "ClientIP", address);
            set(output, table, "ClientPort", port);
        } else if is_level(part) {
            let (module, level) = part.split_once(':').unwrap_or(("", part));
            set(output, table, "Module", module);
            set(output, table, "Level", level);
        } else {
            break;
        }
        rest = behind.trim_start();
    }
    if let Some((code, message)) = rest.split_once(": ").filter(|(code, _)| code.starts_with("AH") && code.len() == 7) {
        set(output, table, "ErrorCode", code);
        rest = message;
    }
    match rest.rsplit_once(", referer: ") {
        Some((message, referer)) => {
            set(output, table, "Message", message);
            set(output, table, "Referer", referer);
        }
        None => set(output, table, "Message", rest),
    }
}

fn is_level(part: &str) -> bool {
    const LEVELS: [&str; 9] = ["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug", "trace"];
    let level = part.rsplit(':').next().unwrap_or(part);
    LEVELS.iter().any(|known| level.starts_with(known)) && !part.contains(' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_lines_are_taken_apart() {
        let read = Access::read(
            r#"192.0.2.1 - frank [10/Oct/2026:13:55:36 -0700] "GET /a?b=c HTTP/1.0" 200 2326 "http://x" "M \"q\"""#,
        )
        .unwrap();
        assert_eq!((read.client, read.user, read.request), ("192.0.2.1", "frank", "GET /a?b=c HTTP/1.0"));
        let fields: Vec<&str> = Fields(read.rest).collect();
        assert_eq!(fields, ["200", "2326", "http://x", "M \\\"q\\\""]);
        let with_host =
            Access::read(r#"www.example.org:80 192.0.2.1 - - [10/Oct/2026:13:55:36 +0000] "-" 408 0"#).unwrap();
        assert_eq!((with_host.host, with_host.client), ("www.example.org:80", "192.0.2.1"));
        let blank_user = Access::read(r#"::1 - a b [10/Oct/2026:13:55:36 +0000] "x" 400 0"#).unwrap();
        assert_eq!((blank_user.client, blank_user.user), ("::1", "a b"));
        assert_eq!(Access::read("words [10] x"), None);
    }

    #[test]
    fn error_lines_are_recognised() {
        assert!(is_record("2026/10/10 13:55:36 [error] 1#2: *3 open() failed, client: 192.0.2.1"));
        assert!(is_record("[Sat Oct 10 13:55:36.123456 2026] [core:error] [pid 1:tid 2] AH00037: x"));
        assert!(!is_record("[Sat] x") && !is_record("2026/10/10 words"));
    }
}
