//! Functions over IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Function;
use super::row::{Answer, Call, Cell};
use crate::json;

/// The declarations.
pub const FUNCTIONS: &[Function] = &[
    Function::row("parse_ipv4", &["(ip: text) -> long"], |a, _| {
        ipv4(a[0].text()).map(|(ip, prefix)| i64::from(masked(ip, prefix))).into()
    })
    .doc(
        "An IPv4 address as a number.",
        &[
            ("parse_ipv4('127.0.0.1')", "2130706433"),
            ("parse_ipv4('192.168.1.1/24')", "3232235776"),
            ("parse_ipv4('x')", "long(null)"),
        ],
    ),
    Function::row("parse_ipv4_mask", &["(ip: text, prefix: integer) -> long"], |a, _| {
        ipv4(a[0].text()).map(|(ip, own)| i64::from(masked(ip, own.min(prefix(a.get(1), 32))))).into()
    })
    .doc("An IPv4 address under a mask as a number.", &[("parse_ipv4_mask('192.1.168.3', 24)", "3221334016")]),
    Function::row("ipv4_is_private", &["(ip: text) -> bool"], |a, _| {
        ipv4(a[0].text()).map(|(ip, prefix)| Ipv4Addr::from(masked(ip, prefix)).is_private()).into()
    })
    .doc(
        "Whether an IPv4 address is of a private network.",
        &[
            ("ipv4_is_private('192.168.1.2')", "true"),
            ("ipv4_is_private('8.8.8.8')", "false"),
            ("ipv4_is_private('x')", "bool(null)"),
        ],
    ),
    Function::row("ipv4_is_match", &["(left: text, right: text, [prefix: integer]) -> bool"], |a, _| {
        ipv4_compare(a).map(|order| order == 0).into()
    })
    .doc(
        "Whether two IPv4 addresses are equal under the smaller of their prefixes.",
        &[("ipv4_is_match('192.168.1.1/24', '192.168.1.255')", "true")],
    ),
    Function::row("ipv4_compare", &["(left: text, right: text, [prefix: integer]) -> long"], |a, _| {
        ipv4_compare(a).into()
    })
    .doc(
        "How two IPv4 addresses stand to each other under the smaller of their prefixes.",
        &[("ipv4_compare('1.1.1.1', '1.1.1.2')", "-1")],
    ),
    Function::row("ipv4_is_in_range", &["(ip: text, range: text) -> bool"], |a, _| {
        in_range4(a[0].text(), a[1].text()).into()
    })
    .doc("Whether an IPv4 address lies in a range.", &[("ipv4_is_in_range('192.168.1.6', '192.168.1.1/24')", "true")]),
    Function::row("ipv4_is_in_any_range", &["(ip: text, range: scalar...) -> bool"], |a, call| {
        in_any(a, call, in_range4)
    })
    .doc(
        "Whether an IPv4 address lies in any of several ranges.",
        &[("ipv4_is_in_any_range('10.0.0.1', '10.0.0.0/8', '192.168.0.0/16')", "true")],
    ),
    Function::row("ipv4_netmask_suffix", &["(ip: text) -> long"], |a, _| {
        ipv4(a[0].text()).map(|(_, prefix)| i64::from(prefix)).into()
    })
    .doc("The prefix length of an IPv4 range.", &[("ipv4_netmask_suffix('10.1.2.3/24')", "24")]),
    Function::row("format_ipv4", &["(ip: scalar, [prefix: integer]) -> string"], |a, call| format_ipv4(a, call, false))
        .doc("An IPv4 address as text, under a mask.", &[("format_ipv4('192.168.1.255', 24)", "\"192.168.1.0\"")]),
    Function::row("format_ipv4_mask", &["(ip: scalar, [prefix: integer]) -> string"], |a, call| {
        format_ipv4(a, call, true)
    })
    .doc(
        "An IPv4 address with its prefix as text.",
        &[("format_ipv4_mask('192.168.1.255', 24)", "\"192.168.1.0/24\"")],
    ),
    Function::row("parse_ipv6", &["(ip: text) -> string"], |a, _| {
        ipv6(a[0].text()).map(|(ip, prefix)| full(masked6(ip, prefix))).into()
    })
    .doc(
        "An IPv6 or IPv4 address as full IPv6 text.",
        &[("parse_ipv6('127.0.0.1')", "\"0000:0000:0000:0000:0000:ffff:7f00:0001\"")],
    ),
    Function::row("parse_ipv6_mask", &["(ip: text, prefix: integer) -> string"], |a, _| {
        ipv6(a[0].text()).map(|(ip, own)| full(masked6(ip, own.min(prefix(a.get(1), 128))))).into()
    })
    .doc("An IPv6 address under a mask as full text.", &[]),
    Function::row("ipv6_is_match", &["(left: text, right: text, [prefix: integer]) -> bool"], |a, _| {
        ipv6_compare(a).map(|order| order == 0).into()
    })
    .doc("Whether two addresses are equal under the smaller of their prefixes.", &[]),
    Function::row("ipv6_compare", &["(left: text, right: text, [prefix: integer]) -> long"], |a, _| {
        ipv6_compare(a).into()
    })
    .doc("How two addresses stand to each other under the smaller of their prefixes.", &[]),
    Function::row("ipv6_is_in_range", &["(ip: text, range: text) -> bool"], |a, _| {
        in_range6(a[0].text(), a[1].text()).into()
    })
    .doc("Whether an IPv6 address lies in a range.", &[]),
    Function::row("ipv6_is_in_any_range", &["(ip: text, range: scalar...) -> bool"], |a, call| {
        in_any(a, call, in_range6)
    })
    .doc("Whether an IPv6 address lies in any of several ranges.", &[]),
    Function::row("__ipv6_lookup_ranges", &["(ip: text, ranges: dynamic) -> dynamic"], |a, _| {
        let ranges = json::elements(a[1].text()).unwrap_or_default();
        let holding = ranges.into_iter().filter(|range| in_range6(a[0].text(), &json::to_text(range)) == Some(true));
        format!("[{}]", holding.collect::<Vec<_>>().join(",")).into()
    })
    .doc(
        "Those of several ranges that hold an address.",
        &[("__ipv6_lookup_ranges('fe80::1', dynamic(['fe80::/10', '::/128']))", "dynamic([\"fe80::/10\"])")],
    ),
    Function::row("has_ipv4", &["(source: text, ip: text) -> bool"], |a, _| {
        addresses(a[0].text()).any(|ip| ip == a[1].text()).into()
    })
    .doc("Whether a text holds an IPv4 address as a whole.", &[("has_ipv4('from 10.1.1.1:80', '10.1.1.1')", "true")]),
    Function::row("has_ipv4_prefix", &["(source: text, prefix: text) -> bool"], |a, _| {
        has_prefix(a[0].text(), a[1].text()).into()
    })
    .doc(
        "Whether a text holds an IPv4 address of a prefix that ends in a dot.",
        &[("has_ipv4_prefix('from 10.1.1.1:80', '10.1.')", "true")],
    ),
    Function::row("has_any_ipv4", &["(source: text, ip: scalar...) -> bool"], |a, call| {
        let wanted = list(&a[1..], call);
        addresses(a[0].text()).any(|ip| wanted.iter().any(|known| known == ip)).into()
    })
    .doc(
        "Whether a text holds any of several IPv4 addresses.",
        &[("has_any_ipv4('from 10.1.1.1', dynamic(['10.1.1.1']))", "true")],
    ),
    Function::row("has_any_ipv4_prefix", &["(source: text, prefix: scalar...) -> bool"], |a, call| {
        list(&a[1..], call).iter().any(|wanted| has_prefix(a[0].text(), wanted)).into()
    })
    .doc("Whether a text holds an IPv4 address of any of several prefixes.", &[]),
];

/// An IPv4 address and its prefix length.
fn ipv4(text: &str) -> Option<(u32, u32)> {
    let (address, prefix) = match text.trim().split_once('/') {
        Some((address, prefix)) => (address, prefix.parse::<u32>().ok().filter(|p| *p <= 32)?),
        None => (text.trim(), 32),
    };
    let octets: Option<Vec<u32>> =
        address.split('.').map(|part| part.parse::<u32>().ok().filter(|n| *n < 256)).collect();
    let octets = octets.filter(|octets| octets.len() == 4)?;
    Some((octets.iter().fold(0, |sum, octet| sum << 8 | octet), prefix))
}

fn masked(ip: u32, prefix: u32) -> u32 {
    if prefix == 0 { 0 } else { ip & (u32::MAX << (32 - prefix.min(32))) }
}

fn prefix(cell: Option<&Cell<'_>>, max: u32) -> u32 {
    cell.and_then(|cell| cell.long()).and_then(|n| u32::try_from(n).ok()).unwrap_or(max).min(max)
}

fn ipv4_compare(args: &[Cell<'_>]) -> Option<i64> {
    let ((left, own), (right, other)) = (ipv4(args[0].text())?, ipv4(args[1].text())?);
    let bits = own.min(other).min(prefix(args.get(2), 32));
    Some(masked(left, bits).cmp(&masked(right, bits)) as i64)
}

fn in_range4(ip: &str, range: &str) -> Option<bool> {
    let ((ip, own), (range, bits)) = (ipv4(ip)?, ipv4(range)?);
    Some(own >= bits && masked(ip, bits) == masked(range, bits))
}

fn ipv6(text: &str) -> Option<(u128, u32)> {
    let (address, prefix) = match text.trim().split_once('/') {
        Some((address, prefix)) => (address, Some(prefix.parse::<u32>().ok().filter(|p| *p <= 128)?)),
        None => (text.trim(), None),
    };
    match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(ip) => Some((ip.to_ipv6_mapped().to_bits(), prefix.map_or(128, |p| p.min(32) + 96))),
        IpAddr::V6(ip) => Some((ip.to_bits(), prefix.unwrap_or(128))),
    }
}

fn masked6(ip: u128, prefix: u32) -> u128 {
    if prefix == 0 { 0 } else { ip & (u128::MAX << (128 - prefix.min(128))) }
}

fn full(ip: u128) -> String {
    Ipv6Addr::from_bits(ip).segments().map(|part| format!("{part:04x}")).join(":")
}

fn ipv6_compare(args: &[Cell<'_>]) -> Option<i64> {
    let ((left, own), (right, other)) = (ipv6(args[0].text())?, ipv6(args[1].text())?);
    let bits = own.min(other).min(prefix(args.get(2), 128));
    Some(masked6(left, bits).cmp(&masked6(right, bits)) as i64)
}

fn in_range6(ip: &str, range: &str) -> Option<bool> {
    let ((ip, own), (range, bits)) = (ipv6(ip)?, ipv6(range)?);
    Some(own >= bits && masked6(ip, bits) == masked6(range, bits))
}

/// The texts of arguments that are texts or arrays of texts.
fn list(args: &[Cell<'_>], call: &Call<'_>) -> Vec<String> {
    let types = &call.types[call.types.len() - args.len()..];
    let one = |(cell, column_type): (&Cell<'_>, &moneta_event::ColumnType)| match json::elements(cell.text()) {
        Some(all) if *column_type == moneta_event::ColumnType::Dynamic => {
            all.iter().map(|element| json::to_text(element).into_owned()).collect()
        }
        _ => vec![super::conversion::cell_text(*cell, *column_type)],
    };
    args.iter().zip(types).flat_map(one).collect()
}

fn in_any<'a>(args: &[Cell<'a>], call: &Call<'_>, test: fn(&str, &str) -> Option<bool>) -> Answer<'a> {
    let results: Vec<Option<bool>> = list(&args[1..], call).iter().map(|range| test(args[0].text(), range)).collect();
    if results.contains(&Some(true)) {
        return Answer::Bool(true);
    }
    if results.iter().all(Option::is_none) { Answer::Null } else { Answer::Bool(false) }
}

fn format_ipv4<'a>(args: &[Cell<'a>], call: &Call<'_>, with_prefix: bool) -> Answer<'a> {
    let own = match args[0] {
        Cell::Long(number) => u32::try_from(number).ok().map(|ip| (ip, 32)),
        _ => ipv4(&super::conversion::to_text(args[0], call.types[0])),
    };
    let Some((ip, own)) = own else { return Answer::Null };
    let given = args.get(1).and_then(|cell| cell.long()).unwrap_or(32);
    let Ok(given @ 0..=32) = u32::try_from(given) else { return Answer::Null };
    let bits = own.min(given);
    let ip = Ipv4Addr::from(masked(ip, bits));
    if with_prefix { format!("{ip}/{bits}").into() } else { ip.to_string().into() }
}

/// The IPv4 addresses in a text, between characters that are neither letters nor digits.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_digit() && c != '.' && !c.is_alphanumeric())
        .map(|part| part.trim_end_matches('.'))
        .filter(|part| ipv4(part).is_some())
}

fn has_prefix(text: &str, wanted: &str) -> bool {
    addresses(text).any(|ip| if wanted.ends_with('.') { ip.starts_with(wanted) } else { ip == wanted })
}

/// An IPv4 address or network as the first address and the bits that count, of 128.
#[must_use]
pub(crate) fn ipv4_network(text: &str) -> Option<(u128, u32)> {
    ipv4(text).map(|(ip, bits)| (Ipv4Addr::from(ip).to_ipv6_mapped().to_bits(), bits + 96))
}

/// An IP address or network as the first address and the bits that count, of 128.
#[must_use]
pub(crate) fn ipv6_network(text: &str) -> Option<(u128, u32)> {
    ipv6(text)
}
