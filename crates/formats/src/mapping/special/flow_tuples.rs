//! Flow logs of Azure network security groups (versions 1 and 2) and virtual networks (version 4), a row per tuple.
//!
//! Layout of a tuple, comma-separated: time (s; version 4: ms), source, destination, their ports, protocol (`T`, `U`;
//! version 4: its number), direction (`I`, `O`); version 1 and 2: decision (`A`, `D`); version 2 and 4: state (`B`
//! begin, `C` continuing, `E` end, in version 4 also `D` denied); version 4: encryption; then packets and bytes from
//! source to destination, and back, which a beginning flow leaves empty.

use moneta_base::{TableName, Timestamp};
use moneta_event::{RecordClass, Value};

use super::{make_room, set_text};
use crate::clock_text;
use crate::json::Item;
use crate::output::{Output, Refusal, TableId};

/// What a record says about all its tuples.
#[derive(Default, Clone, Copy)]
struct Around<'a> {
    target: &'a str,
    flow_log: &'a str,
    mac: &'a str,
    group: &'a str,
    rule: &'a str,
    category: &'a str,
    is_vnet: bool,
}

pub(super) fn write(item: Item<'_>, table: &TableName, output: &mut Output) -> Result<(), Refusal> {
    let mut tuples = Vec::new();
    if let Some(records) = item.get("flowRecords") {
        let around = Around {
            target: member(item, "targetResourceID"),
            flow_log: member(item, "flowLogResourceID"),
            mac: member(item, "macAddress"),
            category: member(item, "category"),
            is_vnet: true,
            ..Around::default()
        };
        for flow in records.get("flows").into_iter().flat_map(Item::elements) {
            for group in flow.get("flowGroups").into_iter().flat_map(Item::elements) {
                let around = Around { group: member(flow, "aclID"), rule: member(group, "rule"), ..around };
                collect(group, around, &mut tuples);
            }
        }
    } else {
        let resource = member(item, "resourceId");
        let group = resource.rsplit('/').next().unwrap_or_default();
        let around = Around { target: resource, group, category: member(item, "category"), ..Around::default() };
        let rules = item.get("properties").and_then(|properties| properties.get("flows"));
        for rule in rules.into_iter().flat_map(Item::elements) {
            for flow in rule.get("flows").into_iter().flat_map(Item::elements) {
                let around = Around { rule: member(rule, "rule"), mac: member(flow, "mac"), ..around };
                collect(flow, around, &mut tuples);
            }
        }
    }
    let id = output.table(table);
    make_room(output, tuples.len());
    if tuples.is_empty() {
        return Err(Refusal::new("no_flow_tuples", "a flow log record without flow tuples"));
    }
    // All are looked at before the first is written: a record is taken whole or not at all.
    let mut times = Vec::with_capacity(tuples.len());
    for (_, tuple) in &tuples {
        let time = tuple.split(',').next().and_then(clock_text::parse_epoch);
        let time = time.ok_or_else(|| Refusal::new("invalid_flow_tuple", format!("no time in tuple {tuple:?}")))?;
        output.check_time(time)?;
        times.push(time);
    }
    for ((around, tuple), time) in tuples.iter().zip(times) {
        output.reserve(1);
        write_tuple(id, around, tuple, time, output);
    }
    Ok(())
}

fn member<'a>(item: Item<'a>, name: &str) -> &'a str {
    item.members().find(|(key, _)| key.eq_ignore_ascii_case(name)).and_then(|(_, value)| value.scalar()).unwrap_or("")
}

fn collect<'a>(item: Item<'a>, around: Around<'a>, tuples: &mut Vec<(Around<'a>, &'a str)>) {
    let list = item.get("flowTuples").into_iter().flat_map(Item::elements);
    tuples.extend(list.filter_map(Item::text).map(|tuple| (around, tuple)));
}

fn write_tuple(table: TableId, around: &Around<'_>, tuple: &str, time: Timestamp, output: &mut Output) {
    let mut parts = tuple.split(',').skip(1);
    let mut next = || parts.next().unwrap_or_default();
    let (source, destination, source_port, port) = (next(), next(), next(), next());
    let (protocol, direction) = (next(), next());
    let decision = if around.is_vnet { "" } else { next() };
    let state = next();
    let encryption = if around.is_vnet { next() } else { "" };
    let counts = [next(), next(), next(), next()];
    let is_denied = decision == "D" || (around.is_vnet && state == "D");
    let is_inbound = direction == "I";
    for (name, text) in [
        ("SrcIp", source),
        ("DestIp", destination),
        ("SrcPorts", source_port),
        ("DestPort", port),
        ("L4Protocol", protocol_letter(protocol)),
        ("FlowDirection", if is_inbound { "Inbound" } else { "Outbound" }),
        ("FlowStatus", if is_denied { "Denied" } else { "Allowed" }),
        ("Action", if is_denied { "Deny" } else { "Allow" }),
        ("FlowEncryption", encryption),
        ("AclRule", around.rule),
        ("AclGroup", around.group),
        ("MacAddress", around.mac),
        ("TargetResourceId", around.target),
        ("FlowLogResourceId", around.flow_log),
        ("SubType", "FlowLog"),
        ("FlowState", state),
        ("Category", around.category),
        ("PacketsSrcToDest", counts[0]),
        ("BytesSrcToDest", counts[1]),
        ("PacketsDestToSrc", counts[2]),
        ("BytesDestToSrc", counts[3]),
    ] {
        set_text(output, table, name, text);
    }
    if !around.is_vnet {
        set_text(output, table, "NsgRule", around.rule);
        set_text(output, table, "NsgList", around.target);
    }
    for (index, part) in parts.enumerate() {
        set_text(output, table, &format!("TupleField{}", index + 1), part);
    }
    let counted = match (is_denied, is_inbound) {
        (false, true) => "AllowedInFlows",
        (false, false) => "AllowedOutFlows",
        (true, true) => "DeniedInFlows",
        (true, false) => "DeniedOutFlows",
    };
    output.set_field(table, counted, Value::Long(1));
    if state == "E" {
        output.set_field(table, "CompletedFlows", Value::Long(1));
    }
    output.set_field(table, "FlowStartTime", Value::Time(time));
    output.finish_row(table, RecordClass::Data, time, tuple);
}

/// Protocols by the letters of the table; others keep their number.
fn protocol_letter(protocol: &str) -> &str {
    match protocol {
        "6" => "T",
        "17" => "U",
        other => other,
    }
}
