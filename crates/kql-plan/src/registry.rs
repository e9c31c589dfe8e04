//! Declarations found by name: what scalar functions, aggregates and plugins have in common.
//!
//! A registry is built once from the lists beside the implementations. It knows nothing of what a declaration does.

use std::collections::HashMap;

use crate::functions::signature::Signature;

/// Something the language calls by a name.
pub trait Declaration: Sized + 'static {
    /// The name.
    fn name(&self) -> &'static str;

    /// Other spellings.
    fn aliases(&self) -> &'static [&'static str];

    /// The signatures, tried in order (see [`crate::functions::signature`]).
    fn signatures(&self) -> &'static [&'static str];
}

/// All declarations of one kind by name.
#[derive(Debug)]
pub struct Registry<D: 'static> {
    declarations: Vec<&'static D>,
    by_name: HashMap<&'static str, usize>,
    signatures: Vec<Vec<Signature>>,
}

impl<D: Declaration> Registry<D> {
    /// The registry of the declarations in some lists.
    ///
    /// # Panics
    /// When a name is declared twice or a signature is malformed, which the tests of each kind exclude.
    #[must_use]
    pub fn new(lists: &[&'static [D]]) -> Self {
        let declarations: Vec<&'static D> = lists.iter().copied().flatten().collect();
        let mut by_name = HashMap::new();
        for (index, declaration) in declarations.iter().enumerate() {
            let name = declaration.name();
            for name in std::iter::once(&name).chain(declaration.aliases()) {
                assert!(by_name.insert(*name, index).is_none(), "{name} is declared twice");
            }
        }
        let parsed = |d: &&D| d.signatures().iter().map(|text| Signature::parse(text)).collect();
        let signatures = declarations.iter().map(parsed).collect();
        Self { declarations, by_name, signatures }
    }

    /// The declaration of a name or alias.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'static D> {
        self.by_name.get(name).map(|index| self.declarations[*index])
    }

    /// The parsed signatures of a declaration.
    #[must_use]
    pub fn signatures(&self, declaration: &D) -> &[Signature] {
        self.by_name.get(declaration.name()).map_or(&[], |index| &self.signatures[*index])
    }

    /// All declarations in the order of the manual.
    pub fn iter(&self) -> impl Iterator<Item = &'static D> + '_ {
        self.declarations.iter().copied()
    }

    /// All names and aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.by_name.keys().copied()
    }
}
