//! The address that a message says something came from: one that words or keys such as `from`, `client` or `rhost=`
//! stand before. An address that merely occurs tells nothing about who did it.

use std::net::IpAddr;
use std::sync::LazyLock;

use memchr::memmem::Finder;

/// Addresses of one message that are looked at.
const ADDRESSES_MAX: usize = 16;

/// Words and keys behind which the other side's address stands, in small letters.
const CUES: [&str; 43] = [
    "from",
    "client",
    "clientip",
    "client_ip",
    "client-ip",
    "client_addr",
    "clientaddr",
    "rhost",
    "rip",
    "src",
    "srcip",
    "src_ip",
    "source",
    "sourceip",
    "source_address",
    "remote",
    "remote_addr",
    "remote_ip",
    "remoteip",
    "remote_address",
    "remoteaddr",
    "remoteaddress",
    "remotehost",
    "raddr",
    "ip",
    "ipaddr",
    "ip_address",
    "ipaddress",
    "address",
    "addr",
    "peer",
    "peer_address",
    "host",
    "hostname",
    "host_ip",
    "visitor",
    "attacker",
    "oip",
    "user_ip",
    "connection",
    "query",
    "by",
    "rblsmtpd",
];

/// Words that speak of something refused, in small letters: beginnings are enough.
const REFUSALS: [&str; 33] = [
    "fail",
    "den",
    "reject",
    "refus",
    "invalid",
    "illegal",
    "block",
    "ban",
    "attack",
    "attempt",
    "unauthori",
    "not allowed",
    "error",
    "violation",
    "scan",
    "unknown user",
    "incorrect",
    "bad ",
    "wrong",
    "abort",
    "forbidden",
    "no such user",
    "mismatch",
    "limit",
    "hack",
    "not found",
    "did not",
    "cannot",
    "could not",
    "unable",
    "nonexistent",
    "tried to",
    "reset",
];

/// The words of [`REFUSALS`] by their first letter.
static REFUSALS_BY_LETTER: LazyLock<[Vec<&str>; 26]> = LazyLock::new(|| {
    let mut words = [const { Vec::new() }; 26];
    for word in REFUSALS {
        words[usize::from(word.as_bytes()[0] - b'a')].push(word);
    }
    words
});

/// Words and keys behind which the own or the other end's address stands.
const NOT_SOURCES: [&str; 22] = [
    "to",
    "on",
    "lip",
    "laddr",
    "local",
    "localaddress",
    "local_addr",
    "server",
    "dst",
    "dstip",
    "dest",
    "destination",
    "listen",
    "listening",
    "version",
    "upstream",
    "via",
    "contacting",
    "nas",
    "domain",
    "gateway",
    "through",
];

/// The address that something came from, without brackets and port. In a message about a refusal that is one that no
/// word says anything else of. Where a key says it several times the last counts: what a client is called stands before
/// what the server adds.
pub(super) fn source(text: &str) -> Option<&str> {
    let (mut first, mut keyed): (_, Option<(&str, &str)>) = (None, None);
    for (at, address) in addresses(text).take(ADDRESSES_MAX) {
        // Servers put the client they speak of in front.
        if text[..at].is_empty() || text[..at].eq_ignore_ascii_case("::ffff:") {
            return Some(address);
        }
        match cue(&text[..at]) {
            Cue::Key(key) if keyed.is_none_or(|(known, _)| known == key) => keyed = Some((key, address)),
            _ if keyed.is_some() => {}
            Cue::Source => return Some(address),
            Cue::None if is_first_of_two_ends(&text[at + address.len()..]) => return Some(address),
            Cue::None if first.is_none() => first = Some(address),
            Cue::None | Cue::Other | Cue::Key(_) => {}
        }
    }
    keyed.map(|(_, address)| address).or_else(|| first.filter(|_| speaks_of_refusal(text)))
}

/// Whether the port of an address follows, and another address with its port: `192.0.2.7:4242 198.51.100.1:80`.
fn is_first_of_two_ends(behind: &str) -> bool {
    let mut words = behind.split(' ');
    let is_port = words.next().and_then(|port| port.strip_prefix(':')).is_some_and(|port| port.parse::<u16>().is_ok());
    is_port && words.next().is_some_and(|other| other.parse::<std::net::SocketAddr>().is_ok())
}

/// Whether a message is about something that was not let through.
pub(super) fn speaks_of_refusal(text: &str) -> bool {
    // Asked of every message that names an address: one pass, and most words end at their first letter.
    let bytes = text.as_bytes();
    let begins_with = |at: usize, word: &str| {
        bytes.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    let words = |at: usize| &REFUSALS_BY_LETTER[usize::from(bytes[at].to_ascii_lowercase() - b'a')];
    let is_start = |at: usize| {
        bytes[at].is_ascii_alphabetic()
            && !at.checked_sub(1).is_some_and(|before| bytes[before].is_ascii_alphanumeric())
    };
    let mut starts = (0..bytes.len()).filter(|at| is_start(*at));
    starts.any(|at| words(at).iter().any(|word| begins_with(at, word))) || text.contains("n't ")
}

/// What stands before an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cue<'a> {
    Source,
    /// A key that says it of its value.
    Key(&'a str),
    Other,
    None,
}

/// The addresses in a text, each with its place.
fn addresses(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let bytes = text.as_bytes();
    let mut next = 0;
    // An address of either version has a point or two colons: few places of a text do.
    memchr::memchr2_iter(b'.', b':', bytes).filter_map(move |mark| {
        if mark < next {
            return None;
        }
        let is_part = |b: &u8| b.is_ascii_hexdigit() || matches!(b, b'.' | b':');
        let start = bytes[next..mark].iter().rposition(|b| !is_part(b)).map_or(next, |before| next + before + 1);
        let end = mark + bytes[mark..].iter().position(|b| !is_part(b)).unwrap_or(bytes.len() - mark);
        next = end;
        // A colon in front belongs to what stands before: `UDP:192.0.2.1`.
        let start = if text[..start].ends_with("IPv") && bytes[start..].starts_with(b"6:") { start + 1 } else { start };
        let start = if bytes[start] == b':' && bytes.get(start + 1) != Some(&b':') { start + 1 } else { start };
        let is_network = bytes.get(end) == Some(&b'/') && is_network_mask(&text[end + 1..]);
        let is_word = |at: usize| bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
        let is_part_of_word = is_word(end) || (start > 0 && is_word(start - 1));
        if end < start + 3 || end > start + 64 || is_part_of_word || is_network {
            return None;
        }
        address(&text[start..end]).map(|(skipped, address)| (start + skipped, address))
    })
}

/// Whether the length of a network's prefix follows, and not a port as `/5060`.
fn is_network_mask(text: &str) -> bool {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && text[..digits].parse::<u8>().is_ok_and(|length| length <= 128)
}

/// An address that a run of its characters holds, which colons of the sentence or a port may surround.
fn address(run: &str) -> Option<(usize, &str)> {
    let trimmed = run.trim_end_matches(['.', ':']);
    let (host, port) = trimmed.rsplit_once(':').unwrap_or((trimmed, ""));
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let is_address = |text: &str| text.parse::<IpAddr>().is_ok();
    let found = if is_address(trimmed) {
        trimmed
    } else if is_port && is_address(host) {
        host
    } else {
        let (host, port) = trimmed.rsplit_once('.')?;
        // The port behind a point, as BSD's tools print it; a smaller number may be the end of a version.
        let is_port = port.parse::<u16>().is_ok_and(|port| port >= 1024);
        if !is_port || !is_address(host) {
            return None;
        }
        host
    };
    let plain = unmapped(found);
    Some((found.len() - plain.len(), plain))
}

/// An older address without the beginning that it has within the newer kind (`::ffff:192.0.2.1`).
pub(super) fn unmapped(address: &str) -> &str {
    let mapped = address.get(..7).filter(|start| start.eq_ignore_ascii_case("::ffff:")).map(|_| &address[7..]);
    mapped.filter(|older| older.parse::<std::net::Ipv4Addr>().is_ok()).unwrap_or(address)
}

/// Words between a cue and its address.
const FILLERS: [&str; 12] =
    ["udp", "tcp", "tls", "ws", "wss", "ipv4", "ipv6", "ip", "address", "unknown", "ffff", "host"];

/// Reads the words before an address, backwards.
fn cue(before: &str) -> Cue<'_> {
    // `sip:100@192.0.2.1` names an account, not who speaks.
    let is_account = before.strip_suffix('@').is_some_and(|name| {
        let word = name.rsplit([' ', '<', '\'', '"']).next().unwrap_or(name);
        let opened = name.rsplit('<').next().filter(|_| name.contains('<')).unwrap_or_default();
        (opened.starts_with("sip") && !opened.contains('>'))
            || word.contains(':')
            || name.ends_with(|c: char| c.is_alphanumeric()) && before.contains('<')
    });
    // `TCP|own address|port|other address|port`, as Oracle's mail server has it.
    if is_account || before.ends_with("TCP|") {
        return Cue::Other;
    }
    let mut rest = before;
    for _ in 0..4 {
        rest = rest.trim_end_matches(is_between);
        let start = rest.rfind(is_between).map_or(0, |at| at + rest[at..].chars().next().map_or(1, char::len_utf8));
        let word = &rest[start..];
        let is = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        if is(&NOT_SOURCES) {
            return Cue::Other;
        }
        // The next hop of a message that goes out, where one that came in has its origin.
        if is(&["relay"]) {
            return if before.contains("to=<") { Cue::Other } else { Cue::Key("relay") };
        }
        if is(&CUES) {
            let is_key = before[start + word.len()..].starts_with('=');
            return if is_key { Cue::Key(word) } else { Cue::Source };
        }
        // `from host.example.org[192.0.2.1]`: the name belongs to the address.
        if !is(&FILLERS) && !word.contains('.') {
            return Cue::None;
        }
        rest = &rest[..start];
    }
    Cue::None
}

fn is_between(c: char) -> bool {
    matches!(c, ' ' | '\t' | '=' | ':' | '[' | '(' | '<' | '"' | '\'' | ',' | ';' | '{' | '/' | ')' | ']')
}

/// Keys and words behind which the name of an account stands, in small letters.
const USER_CUES: [&str; 15] = [
    "sasl_username=",
    "username=",
    "user=",
    "login=",
    "accountid=",
    "for user ",
    "user: ",
    "unknown user ",
    "nonexistent user ",
    "as user ",
    "user ",
    "username: ",
    "auth failed for ",
    "security violation: ",
    "login attempt failed from ",
];

static USER_CUES_SEARCHED: LazyLock<[(&str, Finder<'_>); 15]> =
    LazyLock::new(|| USER_CUES.map(|cue| (cue, Finder::new(cue))));

/// The account that a message about a refusal names.
pub(super) fn user(text: &str) -> Option<&str> {
    let lower = text.to_ascii_lowercase();
    USER_CUES_SEARCHED.iter().find_map(|(cue, finder)| {
        let mut found = finder.find_iter(lower.as_bytes());
        let at = found.find(|at| !lower[..*at].ends_with(char::is_alphanumeric))? + cue.len();
        let rest = text[at..].trim_start();
        let name = match rest.chars().next()? {
            quote @ ('"' | '\'') => rest[1..].split(quote).next()?,
            '<' => rest[1..].split('>').next()?,
            '[' => rest[1..].split(']').next()?,
            // A name may hold blanks where the sentence goes on with `from`.
            _ if cue.ends_with("from ") => rest,
            _ if cue.ends_with("for ") && rest.contains(" : ") => rest.split(" : ").next()?,
            _ if cue.ends_with(' ') && rest.contains(" from ") => rest.split(" from ").next()?.split(": ").next()?,
            _ => rest.split([' ', ',', ';', ')']).next()?,
        };
        let name = name.trim_end_matches([':', '.', ',']);
        let is_word = ["from", "unknown", "not", "name", "is", "has", "in", "of", "with", "failed"].contains(&name);
        let is_address = name.parse::<IpAddr>().is_ok();
        (!name.is_empty() && name.len() <= 256 && !is_word && !is_address).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_behind_a_cue_is_found() {
        for (text, expected) in [
            ("connect from mail.example.org[192.0.2.7]", Some("192.0.2.7")),
            ("refused, client: 2001:db8::7, server: x", Some("2001:db8::7")),
            ("rip=192.0.2.7, lip=198.51.100.1", Some("192.0.2.7")),
            ("lip=198.51.100.1, rip=192.0.2.7", Some("192.0.2.7")),
            ("failed (from 192.0.2.7:4242)", Some("192.0.2.7")),
            ("\"remote_addr\":\"192.0.2.7\"", Some("192.0.2.7")),
            ("listening on 192.0.2.7", None),
            ("RemoteAddress=\"IPV4/UDP/192.0.2.7/5060\"", Some("192.0.2.7")),
            ("Registration from '<sip:100@198.51.100.9:5060>' failed for '192.0.2.7:23930'", Some("192.0.2.7")),
            ("Blocking 192.0.2.7 - too many errors", Some("192.0.2.7")),
            ("Using 192.0.2.7", None),
            ("Call (UDP:192.0.2.7:65049) to 100 rejected", Some("192.0.2.7")),
            ("192.0.2.7:1194 restarting", Some("192.0.2.7")),
            ("attempt from ::ffff:192.0.2.7:60495", Some("192.0.2.7")),
            ("block any 192.0.2.0/24 query 192.0.2.7", Some("192.0.2.7")),
            ("from=<a@b.example>, relay=[192.0.2.7]", Some("192.0.2.7")),
            ("to=<a@b.example>, relay=mx.example [192.0.2.7], stat=Sent", None),
            ("example.org [IPv6:2001:db8::7] did not answer", Some("2001:db8::7")),
            ("::ffff:192.0.2.7:4242 closed", Some("192.0.2.7")),
            ("block: 192.0.2.7.50550: error", Some("192.0.2.7")),
            ("version 1.2.3.4.5 from here", None),
            ("from 12:30:45 on", None),
            ("user=a, relay=[192.0.2.9], relay=[192.0.2.7] (may be forged)", Some("192.0.2.7")),
            ("failed for user=x ip=192.0.2.9 time=1 ip=::ffff:192.0.2.7 time=2", Some("192.0.2.7")),
            ("src=192.0.2.7 dst=198.51.100.1 client=192.0.2.9", Some("192.0.2.7")),
            ("00004 - 192.0.2.7:28783 198.51.100.1:80 0 0", Some("192.0.2.7")),
            ("tr=\"TCP|198.51.100.1|25|192.0.2.7|4299\" mi=\"Bad password\"", Some("192.0.2.7")),
            ("from '<sip:'or''='@198.51.100.9>' failed for '192.0.2.7:43678'", Some("192.0.2.7")),
            ("rblsmtpd: 192.0.2.7 pid 1", Some("192.0.2.7")),
            ("", None),
        ] {
            assert_eq!(source(text), expected, "{text}");
        }
    }

    #[test]
    fn the_account_of_a_refusal_is_found() {
        for (text, expected) in [
            ("SASL LOGIN failed, sasl_username=ann", Some("ann")),
            ("login failure for user ann from 192.0.2.7 via ssh", Some("ann")),
            ("login failure for user ann lee from 192.0.2.7 via ssh", Some("ann lee")),
            ("attempt for user \"ann lee\" failed", Some("ann lee")),
            ("user=<ann@example.org>, method=PLAIN", Some("ann@example.org")),
            ("digest: auth failed for  ann lee : wrong password, IP: 192.0.2.7", Some("ann lee")),
            ("SECURITY VIOLATION: Root login attempted", Some("Root")),
            ("https://www.example.org|17|user|192.0.2.7||Login attempt failed from Ann Lee.", Some("Ann Lee")),
            ("Login attempt failed from 192.0.2.7", None),
            ("user unknown", None),
            ("superuser ann", None),
        ] {
            assert_eq!(user(text), expected, "{text}");
        }
    }
}
