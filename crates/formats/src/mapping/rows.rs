//! Writes the rows of mapped records. A mapping is resolved once per table: from then on each member costs one look-up.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt};
use moneta_base::limits::RECORD_FIELDS_MAX;
use moneta_base::{TableName, Timestamp};
use moneta_event::schema::standard;
use moneta_event::{RecordClass, Value};

use super::choose::find;
use super::special::ResourceId;
use super::{Choice, Convert, Mapping, Mappings, Slot, TableRule, find_column};
use crate::clock_text;
use crate::json::{Document, Item, Kind};
use crate::output::{Output, Refusal, TableId, Target};

/// Tables that one rule may name in one decoder; values beyond them go to the fallback table.
const TABLES_NAMED_MAX: usize = 200;

/// Elements of a list that a mapping can name.
const ELEMENTS_MAX: usize = 16;

/// The resolved mappings of one decoder.
#[derive(Debug, Default)]
pub(crate) struct MappedRows {
    plans: HashMap<(Choice, TableName), Plan>,
    scratch: Document,
}

/// A mapping resolved for a table.
#[derive(Debug)]
struct Plan {
    table: TableId,
    levels: Levels,
    constants: Vec<(Slot, String)>,
}

/// The levels of a plan: that of the record first, then those of the objects within that a mapping looks into.
#[derive(Debug)]
struct Levels(Vec<Level>);

/// Position of the level of the record itself.
const ROOT: usize = 0;

/// The members of a record, or of an object within.
#[derive(Debug)]
struct Level {
    nodes: HashMap<Box<str>, Arc<Node>>,
    /// Names of the objects around, each with a dot behind.
    prefix: String,
    /// Members without a field of their own may have a column.
    has_columns: bool,
}

/// What happens to a member.
#[derive(Debug, Clone, Default)]
struct Node {
    slots: Vec<(Slot, Convert)>,
    /// It is said by `TimeGenerated` already.
    is_time: bool,
    /// The level of its members, if it is an object.
    inner: Option<usize>,
    /// Where it goes when nothing else takes it.
    fallback: Option<Slot>,
}

impl MappedRows {
    /// Writes the row of a record.
    pub fn write(
        &mut self,
        mappings: &Mappings,
        choice: Choice,
        item: Item<'_>,
        raw: &str,
        output: &mut Output,
    ) -> Result<(), Refusal> {
        let mapping = mappings.get(choice);
        if let (Some(special), TableRule::Fixed(table)) = (mapping.special, &mapping.table) {
            return special.write(item, table, raw, output);
        }
        let time = event_time(mapping, item, output).unwrap_or(output.origin.received);
        output.check_time(time)?;
        let name = self.table_name(choice, mapping, item, output);
        let Self { plans, scratch } = self;
        let plan = plans.entry((choice, name.clone())).or_insert_with(|| Plan::new(mapping, &name, output));
        let mut writer = Writer { table: plan.table, time, output: &mut *output, scratch: &mut *scratch };
        writer.members(&mut plan.levels, ROOT, item, true);
        for (slot, text) in &plan.constants {
            slot.write(output, plan.table, Value::Text(text), scratch);
        }
        if let Some(text) = mapping.resource.as_ref().and_then(|path| find(item, path)?.text()) {
            ResourceId::parse(text).write(plan.table, output);
        }
        let class = match mapping.table {
            TableRule::Fixed(_) => class(mapping, item),
            TableRule::Named { .. } => {
                let inner = |name: &str| mapping.inline.iter().find_map(|path| find(item, path)?.get(name));
                mappings.class_of_row(name.as_str(), |name| item.get(name).or_else(|| inner(name))?.scalar())
            }
        };
        output.finish_row(plan.table, class, time, raw);
        Ok(())
    }

    fn table_name(&self, choice: Choice, mapping: &Mapping, item: Item<'_>, output: &Output) -> TableName {
        match &mapping.table {
            TableRule::Fixed(name) => name.clone(),
            TableRule::Named { before, path, behind } => {
                let value = find(item, path).and_then(Item::scalar).unwrap_or_default();
                // Streams of Defender put `AdvancedHunting-` before the table's name.
                let value = value.rsplit('-').next().unwrap_or(value);
                let name = TableName::new(&format!("{before}{}{behind}", in_capitals(value))).ok();
                let room = self.plans.len() < TABLES_NAMED_MAX;
                name.filter(|name| !moneta_event::catalog::is_own_table(name.as_str()))
                    .filter(|name| room || self.plans.contains_key(&(choice, name.clone())))
                    .unwrap_or_else(|| output.options.fallback_table.clone())
            }
        }
    }
}

/// The class of a record: that of its mapping, but a read is data even where the source logs control.
fn class(mapping: &Mapping, item: Item<'_>) -> RecordClass {
    match mapping.class {
        RecordClass::Control => unless_read(item.get("readOnly").and_then(Item::scalar)),
        class => class,
    }
}

/// The class of a record of a source that logs control, by what it says of being a read.
pub(super) fn unless_read(read_only: Option<&str>) -> RecordClass {
    match read_only {
        Some(text) if text.eq_ignore_ascii_case("true") => RecordClass::Data,
        _ => RecordClass::Control,
    }
}

/// `smb_files` as `SmbFiles`: the words of a value in capitals, without what a table's name cannot hold.
pub(crate) fn in_capitals(value: &str) -> String {
    let mut name = String::new();
    for word in value.split(|c: char| !c.is_ascii_alphanumeric()).take(16) {
        let mut characters = word.chars().take(64);
        name.extend(characters.next().map(|c| c.to_ascii_uppercase()));
        name.extend(characters);
    }
    name
}

fn event_time(mapping: &Mapping, item: Item<'_>, output: &Output) -> Option<Timestamp> {
    let zone = output.options.zone_offset_seconds;
    mapping.time.iter().find_map(|path| read_time(find(item, path)?, zone))
}

/// A time from a text or a number.
pub(crate) fn read_time(item: Item<'_>, zone_offset_seconds: i32) -> Option<Timestamp> {
    match item.value()? {
        Value::Text(text) => clock_text::parse_any(text, zone_offset_seconds),
        Value::Long(_) | Value::Real(_) => clock_text::parse_epoch(item.raw()),
        _ => None,
    }
}

impl Plan {
    fn new(mapping: &Mapping, name: &TableName, output: &mut Output) -> Self {
        let table = output.table(name);
        let mut levels = Levels(vec![Level { nodes: HashMap::new(), prefix: String::new(), has_columns: true }]);
        for path in &mapping.inline {
            let inner = levels.inner_of(path);
            levels.0[inner].has_columns = true;
        }
        for field in &mapping.fields {
            let slot = find_column(output, table, &field.column);
            levels.change(&field.path, |node| node.slots.push((slot, field.convert)));
        }
        // The event time is said by `TimeGenerated`, unless the table has a column of its own for it.
        for path in &mapping.time {
            let Some((name, outer)) = path.split_last() else { continue };
            let column = find_column(output, table, name).target;
            let may_have_column = outer.is_empty() || mapping.inline.iter().any(|inline| **inline == *outer);
            if !may_have_column || !matches!(column, Target::Column(_)) {
                levels.change(path, |node| node.is_time = true);
            }
        }
        let constants =
            mapping.constants.iter().map(|(name, text)| (find_column(output, table, name), text.clone())).collect();
        Self { table, levels, constants }
    }
}

impl Levels {
    /// Changes the node at a path, making the levels on the way.
    fn change(&mut self, path: &[Box<str>], change: impl FnOnce(&mut Node)) {
        let Some((name, outer)) = path.split_last() else { return };
        let mut level = ROOT;
        for name in outer {
            level = self.step(level, name);
        }
        change(Arc::make_mut(self.0[level].nodes.entry(name.clone()).or_default()));
    }

    /// The level of the members of the object at a path, made where there is none.
    fn inner_of(&mut self, path: &[Box<str>]) -> usize {
        path.iter().fold(ROOT, |level, name| self.step(level, name))
    }

    fn step(&mut self, level: usize, name: &str) -> usize {
        let next = self.0.len();
        let node = Arc::make_mut(self.0[level].nodes.entry(name.into()).or_default());
        if let Some(inner) = node.inner {
            return inner;
        }
        node.inner = Some(next);
        let prefix = format!("{}{name}.", self.0[level].prefix);
        self.0.push(Level { nodes: HashMap::new(), prefix, has_columns: false });
        next
    }
}

/// Where the members of one record go.
struct Writer<'a> {
    table: TableId,
    /// The time of the event.
    time: Timestamp,
    output: &'a mut Output,
    scratch: &'a mut Document,
}

impl Writer<'_> {
    /// Writes the members of an object. `keeps_rest`: members nothing takes must be kept, because the object is not.
    fn members(&mut self, levels: &mut Levels, level: usize, item: Item<'_>, keeps_rest: bool) {
        for (name, member) in item.members() {
            let node = match levels.0[level].nodes.get(name) {
                Some(node) => Arc::clone(node),
                None => {
                    let here = &mut levels.0[level];
                    let node = Arc::new(here.resolve(name, self.table, self.output));
                    // A source with ever new names: no more of them are remembered.
                    if here.nodes.len() < 2 * RECORD_FIELDS_MAX {
                        here.nodes.insert(name.into(), Arc::clone(&node));
                    }
                    node
                }
            };
            self.member(levels, &node, name, member, keeps_rest);
        }
    }

    fn member(&mut self, levels: &mut Levels, node: &Node, name: &str, member: Item<'_>, keeps_rest: bool) {
        for (slot, convert) in &node.slots {
            convert.write(slot, member, self);
        }
        let is_taken = !node.slots.is_empty() || !keeps_rest;
        if let Some(inner) = node.inner {
            self.elements(levels, inner, member);
        }
        match (node.inner, member.value()) {
            (Some(inner), _) if member.is_object() => self.members(levels, inner, member, !is_taken),
            // Event hubs get some objects as a text that holds them.
            (Some(inner), Some(Value::Text(text))) if text.starts_with('{') => {
                let mut within = Document::default();
                match within.parse(text) {
                    Ok(object) => self.members(levels, inner, object, !is_taken),
                    Err(_) => self.output.set(self.table, Target::Extra, name, Value::Text(text)),
                }
            }
            (_, Some(value)) if !is_taken && !self.is_said(node, value, member) => match &node.fallback {
                Some(slot) => slot.write(self.output, self.table, value, self.scratch),
                // An object was expected here, and something else came; or a time that is none.
                None => self.output.set(self.table, Target::Extra, name, value),
            },
            _ => {}
        }
    }

    /// Writes the elements of a list that a mapping names by their numbers; the list is kept as a whole, too.
    fn elements(&mut self, levels: &mut Levels, level: usize, list: Item<'_>) {
        for (index, element) in list.elements().take(ELEMENTS_MAX).enumerate() {
            let name = index.to_string();
            if let Some(node) = levels.0[level].nodes.get(name.as_str()).map(Arc::clone) {
                self.member(levels, &node, &name, element, false);
            }
        }
    }

    /// Whether a member only repeats what the row's standard columns say.
    fn is_said(&self, node: &Node, value: Value<'_>, member: Item<'_>) -> bool {
        let name = node.fallback.as_ref().map_or("", |slot| &*slot.name);
        let is_time = node.is_time || name == standard::TIME_GENERATED;
        let zone = self.output.options.zone_offset_seconds;
        match value {
            Value::Text(text) if name == standard::TYPE => self.output.table_name(self.table) == text,
            _ => is_time && read_time(member, zone) == Some(self.time),
        }
    }
}

impl Level {
    /// The node of a name met for the first time.
    fn resolve(&self, name: &str, table: TableId, output: &Output) -> Node {
        let declared = |node: &Node| node.inner.is_some() || !node.slots.is_empty() || node.is_time;
        let other_case = self.nodes.iter().find(|(known, node)| declared(node) && known.eq_ignore_ascii_case(name));
        if let Some((_, node)) = other_case {
            return (**node).clone();
        }
        let slot = if self.has_columns {
            find_column(output, table, name)
        } else {
            Slot::extra(&format!("{}{name}", self.prefix))
        };
        Node { fallback: Some(slot), ..Node::default() }
    }
}

impl Convert {
    fn write(self, slot: &Slot, member: Item<'_>, writer: &mut Writer<'_>) {
        let Writer { table, output, scratch, .. } = writer;
        let table = *table;
        let Some(value) = member.value() else { return };
        match self {
            Self::None => slot.write(output, table, value, scratch),
            Self::Epoch => match read_time(member, output.options.zone_offset_seconds) {
                Some(time) => slot.write(output, table, Value::Time(time), scratch),
                None => slot.write(output, table, value, scratch),
            },
            Self::First => match member.elements().next().and_then(Item::value) {
                Some(first) => {
                    slot.write(output, table, first, scratch);
                    if member.elements().nth(1).is_some() {
                        output.set(table, Target::Extra, &slot.name, value);
                    }
                }
                None if member.kind() == Kind::Array => {}
                None => slot.write(output, table, value, scratch),
            },
            Self::Join => {
                let texts: Vec<&str> = member.elements().filter_map(Item::scalar).collect();
                let joined = texts.join(",");
                let value = if member.kind() == Kind::Array { Value::Text(&joined) } else { value };
                slot.write(output, table, value, scratch);
            }
            Self::MillisFromMicros => slot.write(output, table, scaled(value, 0.001), scratch),
            Self::MillisFromSeconds => slot.write(output, table, scaled(value, 1000.0), scratch),
            Self::Known if matches!(value, Value::Text("?" | "(null)")) => {}
            Self::Known => slot.write(output, table, value, scratch),
            Self::Level => {
                let name = member.scalar().unwrap_or_default();
                output.set(table, Target::Extra, "SeverityText", value);
                if let Some(level) = crate::logfmt::level(name) {
                    slot.write(output, table, Value::Long(level), scratch);
                }
            }
            Self::AuditResult => {
                let text = member.scalar().unwrap_or_default();
                slot.write(output, table, Value::Text(crate::auditd::result_name(text)), scratch);
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "spans are below 2^53 units")]
fn scaled(value: Value<'_>, factor: f64) -> Value<'_> {
    let number = match value {
        Value::Long(number) => Some(number as f64),
        Value::Real(number) => Some(number),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    };
    number.map_or(value, |number| Value::Real(number * factor))
}
