//! Finds the mapping of a record: one look-up per member, then a comparison of bit sets; values are looked at only where
//! a mapping's names are all there.

use foldhash::HashMap;

use super::{Mappings, Path};
use crate::json::{Item, Kind};

/// Different names in the conditions of one set of mappings at most.
pub(crate) const NAMES_MAX: usize = 512;
/// Longer names stand in no condition.
pub(crate) const NAME_BYTES_MAX: usize = 64;
const WORDS: usize = NAMES_MAX / 64;

/// A mapping that was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Choice(pub usize);

/// A set of the names that conditions speak of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct NameSet([u64; WORDS]);

/// The names of conditions in lower case, each with its position.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<Box<[u8]>, usize>);

/// A condition on a value; that its first name is there is checked before.
#[derive(Debug)]
pub(crate) struct Condition {
    pub path: Path,
    pub test: Test,
}

#[derive(Debug)]
pub(crate) enum Test {
    /// There is something other than null.
    Exists,
    /// There is something other than null, an empty text, list or object. Of columns, whose values differ from row to
    /// row, it is enough that they are there.
    Filled,
    Absent,
    /// One of these texts, whatever their case; one that ends in `*` is a beginning.
    OneOf(Vec<String>),
}

impl NameSet {
    pub fn insert(&mut self, position: usize) {
        self.0[position / 64] |= 1 << (position % 64);
    }

    fn contains(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a & b == *b)
    }

    fn meets(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).any(|(a, b)| a & b != 0)
    }
}

impl Names {
    /// The position of a name, new or known; `None` when there are too many or it is too long.
    pub fn add(&mut self, name: &str) -> Option<usize> {
        let mut buffer = [0; NAME_BYTES_MAX];
        let key = lower(name, &mut buffer)?;
        if let Some(position) = self.0.get(key) {
            return Some(*position);
        }
        let position = self.0.len();
        (position < NAMES_MAX).then(|| {
            self.0.insert(key.into(), position);
            position
        })
    }

    /// The known names among those given.
    pub fn among<'a>(&self, names: impl Iterator<Item = &'a str>) -> NameSet {
        let mut set = NameSet::default();
        let mut buffer = [0; NAME_BYTES_MAX];
        for name in names {
            if let Some(position) = lower(name, &mut buffer).and_then(|key| self.0.get(key)) {
                set.insert(*position);
            }
        }
        set
    }
}

fn lower<'b>(name: &str, buffer: &'b mut [u8; NAME_BYTES_MAX]) -> Option<&'b [u8]> {
    let slot = buffer.get_mut(..name.len())?;
    slot.copy_from_slice(name.as_bytes());
    slot.make_ascii_lowercase();
    Some(slot)
}

impl Mappings {
    /// The first mapping whose conditions hold for an object.
    pub(crate) fn choose(&self, item: Item<'_>) -> Option<Choice> {
        let there = self.names.among(item.members().map(|(name, _)| name));
        let holds = |condition: &Condition| condition.holds(find(item, &condition.path));
        self.candidates(there).find(|choice| self.get(*choice).conditions.iter().all(holds))
    }

    /// The first mapping that names alone decide for a list of columns: conditions on values hold for none.
    pub(crate) fn choose_by_names<'a>(&self, names: impl Iterator<Item = &'a str>) -> Option<Choice> {
        let there = self.names.among(names);
        let by_names = |condition: &Condition| condition.path.len() == 1 && !matches!(condition.test, Test::OneOf(_));
        self.candidates(there).find(|choice| {
            let mapping = self.get(*choice);
            mapping.special.is_none() && mapping.conditions.iter().all(by_names)
        })
    }

    fn candidates(&self, there: NameSet) -> impl Iterator<Item = Choice> {
        self.all
            .iter()
            .enumerate()
            .filter(|(_, mapping)| mapping.line.is_none())
            .filter(move |(_, mapping)| there.contains(&mapping.required) && !there.meets(&mapping.forbidden))
            .map(|(index, _)| Choice(index))
    }
}

impl Condition {
    fn holds(&self, found: Option<Item<'_>>) -> bool {
        match &self.test {
            Test::Exists => found.is_some(),
            Test::Filled => found.is_some_and(is_filled),
            Test::Absent => found.is_none(),
            Test::OneOf(texts) => {
                found.and_then(Item::scalar).is_some_and(|value| texts.iter().any(|t| matches(t, value)))
            }
        }
    }
}

fn is_filled(item: Item<'_>) -> bool {
    match item.kind() {
        Kind::Null => false,
        Kind::Text | Kind::EscapedText => item.text().is_some_and(|text| !text.is_empty()),
        Kind::Array => item.elements().next().is_some(),
        Kind::Object => item.members().next().is_some(),
        Kind::Bool | Kind::Number => true,
    }
}

fn matches(pattern: &str, value: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => value.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning)),
        None => pattern.eq_ignore_ascii_case(value),
    }
}

/// The value at a path.
pub(crate) fn find<'a>(item: Item<'a>, path: &[Box<str>]) -> Option<Item<'a>> {
    let mut found = item;
    for name in path {
        found = member(found, name)?;
    }
    Some(found)
}

/// A member by its name, else by its name in another case; of a list, the element of that number.
fn member<'a>(item: Item<'a>, name: &str) -> Option<Item<'a>> {
    if item.kind() == Kind::Array {
        return name.parse().ok().and_then(|index| item.elements().nth(index));
    }
    let other_case = || item.members().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value);
    item.get(name).or_else(other_case)
}
