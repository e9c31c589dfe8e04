//! Encodings, hashes and the parts of structured texts: URLs, paths, CSV lines, XML is left to its own file.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value as Json, json};

use super::row::Answer;
use super::{Function, Kernel, Naming, NativeCall};
use arrow::datatypes::i256;
use datafusion::functions::{crypto, encoding};
use datafusion::logical_expr::{Expr, cast, lit};
use moneta_event::{ColumnType, decimal};

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::new("hash_sha256", &["(source: astext) -> string"], Kernel::Native(sha256, |_, _| Answer::Null)).doc(
        "The SHA-256 of a text in hexadecimal digits.",
        &[("hash_sha256('World')", "\"78ae647dc5544d227130a0682a51e30bc7777fbb6d8a8f17007463a3ecd1d524\"")],
    ),
    Function::new(
        "hash_md5",
        &["(source: astext) -> string"],
        Kernel::Native(
            |mut call| cast(crypto::md5().call(vec![call.args.swap_remove(0)]), ColumnType::String.computed()),
            |_, _| Answer::Null,
        ),
    )
    .doc("The MD5 of a text in hexadecimal digits.", &[("hash_md5('World')", "\"f5a7924e621e84c9280a9a27e1bcb7f6\"")]),
    Function::row("base64_encode_tostring", &["(source: text) -> string"], |a, _| STANDARD.encode(a[0].text()).into())
        .aliases(&["base64_encodestring"])
        .doc("A text in base64.", &[("base64_encode_tostring('Kusto')", "\"S3VzdG8=\"")]),
    Function::row("base64_decode_tostring", &["(source: text) -> string"], |a, _| {
        STANDARD.decode(a[0].text().trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok()).into()
    })
    .aliases(&["base64_decodestring"])
    .doc("The text of a base64 text; empty if it is none.", &[("base64_decode_tostring('S3VzdG8=')", "\"Kusto\"")]),
    Function::row("base64_decode_toarray", &["(source: text) -> dynamic"], |a, _| {
        STANDARD.decode(a[0].text().trim()).ok().map(Json::from).into()
    })
    .doc("The bytes of a base64 text.", &[("base64_decode_toarray('S3VzdG8=')", "dynamic([75,117,115,116,111])")]),
    Function::row("base64_encode_fromarray", &["(bytes: dynamic) -> string"], |a, _| {
        let bytes: Option<Vec<u8>> = crate::json::parse(a[0].text())
            .as_array()
            .and_then(|all| all.iter().map(|v| v.as_u64().and_then(|n| u8::try_from(n).ok())).collect());
        bytes.map(|bytes| STANDARD.encode(bytes)).into()
    })
    .doc("An array of bytes in base64.", &[("base64_encode_fromarray(dynamic([75,117]))", "\"S3U=\"")]),
    Function::row("url_encode", &["(source: text) -> string"], |a, _| url_encode(a[0].text(), true).into())
        .doc("Escapes a text for a URL, a space becoming `+`.", &[("url_encode('a b&c')", "\"a+b%26c\"")]),
    Function::row("url_encode_component", &["(source: text) -> string"], |a, _| url_encode(a[0].text(), false).into())
        .doc("Escapes a text for a part of a URL.", &[("url_encode_component('a b')", "\"a%20b\"")]),
    Function::row("url_decode", &["(source: text) -> string"], |a, _| url_decode(a[0].text()).into())
        .doc("Undoes the escaping of a URL.", &[("url_decode('a%20b')", "\"a b\"")]),
    Function::row("parse_url", &["(url: text) -> dynamic"], |a, _| parse_url(a[0].text()).into())
        .aliases(&["parseurl"])
        .doc("The parts of a URL.", &[("parse_url('http://u:p@h:80/a?k=v#f').Host", "dynamic(\"h\")")]),
    Function::row("parse_urlquery", &["(query: text) -> dynamic"], |a, _| {
        json!({"Query Parameters": query_parameters(a[0].text())}).into()
    })
    .aliases(&["parseurlquery"])
    .doc("The parameters of a URL's query.", &[]),
    Function::row("parse_path", &["(path: text) -> dynamic"], |a, _| parse_path(a[0].text()).into())
        .doc("The parts of a file path.", &[("parse_path(@'C:\\\\temp\\\\file.txt').Extension", "dynamic(\"txt\")")]),
    Function::row("parse_csv", &["(line: text) -> dynamic"], |a, _| Json::from(parse_csv(a[0].text())).into())
        .naming(Naming::First)
        .doc("The fields of one CSV line.", &[("parse_csv('aa,\"b,b\"')", "dynamic([\"aa\",\"b,b\"])")]),
    Function::row("parse_version", &["(version: text) -> decimal"], |a, _| parse_version(a[0].text()).into())
        .doc("A version as a number that sorts like the version.", &[]),
    Function::row("parse_command_line", &["(line: astext, kind: astext) -> dynamic"], |a, _| {
        Json::from(command_line(a[0].text())).into()
    })
    .doc(
        "The arguments of a Windows command line.",
        &[("parse_command_line('echo \"a b\" c', 'windows')", "dynamic([\"echo\",\"a b\",\"c\"])")],
    ),
];

fn sha256(mut call: NativeCall) -> Expr {
    let digest = crypto::sha256().call(vec![call.args.swap_remove(0)]);
    cast(encoding::encode().call(vec![digest, lit("hex")]), ColumnType::String.computed())
}

fn url_encode(text: &str, plus: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(char::from(byte)),
            b' ' if plus => out.push('+'),
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02x}");
            }
        }
    }
    out
}

fn url_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| text.get(at + 1..at + 3))
            .flatten()
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (escaped, bytes[at]) {
            (Some(byte), _) => {
                out.push(byte);
                at += 2;
            }
            (None, b'+') => out.push(b' '),
            (None, byte) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn query_parameters(query: &str) -> Json {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let parameters: Map<String, Json> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (key.to_owned(), url_decode(value).into()))
        .collect();
    Json::Object(parameters)
}

fn parse_url(url: &str) -> Json {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) =
        if scheme.is_empty() { ("", rest) } else { rest.find('/').map_or((rest, ""), |at| rest.split_at(at)) };
    let (user, host) = authority.rsplit_once('@').map_or(("", authority), |(user, host)| (user, host));
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => (host, port),
        _ => (host, ""),
    };
    json!({
        "Scheme": scheme, "Host": host, "Port": port, "Path": path, "Username": name, "Password": password,
        "Query Parameters": query_parameters(query), "Fragment": fragment,
    })
}

fn parse_path(path: &str) -> Json {
    let (scheme, rest) = path.split_once("://").map_or(("", path), |(scheme, rest)| (scheme, rest));
    let (rest, stream) = match rest.rfind(':') {
        Some(at) if at > 1 && !rest[at..].contains(['/', '\\']) => (&rest[..at], &rest[at + 1..]),
        _ => (rest, ""),
    };
    let root = match rest.as_bytes() {
        [letter, b':', ..] if letter.is_ascii_alphabetic() => &rest[..2],
        _ => "",
    };
    let (directory, file) = rest.rfind(['/', '\\']).map_or(("", rest), |at| (&rest[..at], &rest[at + 1..]));
    let name = directory.rfind(['/', '\\']).map_or(directory, |at| &directory[at + 1..]);
    let extension = file.rfind('.').map_or("", |at| &file[at + 1..]);
    json!({
        "Scheme": scheme, "RootPath": root, "DirectoryPath": directory, "DirectoryName": name, "Filename": file,
        "Extension": extension, "AlternateDataStreamName": stream,
    })
}

fn parse_csv(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let field = fields.last_mut().expect("there is always a field");
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            // Only the first record counts; a line break inside quotes is part of its field.
            '\n' | '\r' if !quoted => break,
            _ => field.push(c),
        }
    }
    fields
}

fn parse_version(text: &str) -> Option<i256> {
    let parts: Option<Vec<i128>> = text.split('.').map(|part| part.parse::<u32>().ok().map(i128::from)).collect();
    let parts = parts.filter(|parts| (1..=4).contains(&parts.len()))?;
    let value = (0..4).fold(0i128, |sum, n| sum * 100_000_000 + parts.get(n).copied().unwrap_or(0));
    i256::from_i128(value).checked_mul(decimal::ONE)
}

/// Splits a command line as Windows programs do.
fn command_line(line: &str) -> Vec<String> {
    let mut arguments = Vec::new();
    let mut current = String::new();
    let (mut quoted, mut open) = (false, false);
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let mut slashes = 1;
                while chars.next_if_eq(&'\\').is_some() {
                    slashes += 1;
                }
                let before_quote = chars.peek() == Some(&'"');
                (0..if before_quote { slashes / 2 } else { slashes }).for_each(|_| current.push('\\'));
                if before_quote && slashes % 2 == 1 {
                    current.push('"');
                    chars.next();
                }
                open = true;
            }
            '"' => {
                quoted = !quoted;
                open = true;
            }
            ' ' | '\t' if !quoted => {
                if open {
                    arguments.push(std::mem::take(&mut current));
                }
                open = false;
            }
            _ => {
                current.push(c);
                open = true;
            }
        }
    }
    if open {
        arguments.push(current);
    }
    arguments
}
