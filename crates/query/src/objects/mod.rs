//! Stored functions, saved queries, materialised views, watchlists, declared tables and mappings: held in memory for
//! queries, kept in the metastore.
//!
//! A query works on the set of the moment it began. Nothing here decides who may change what: `administration` does,
//! and audits it.

mod administration;
mod built_in;
mod functions;
mod names;
pub(crate) mod tables;
pub(crate) mod views;
mod watchlists;

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use moneta_base::{ErrorKind, Timestamp};
use moneta_metastore::{Metastore, ObjectKind, ObjectRows, StoredObject};
use moneta_ports::{
    DeclaredTable, IngestionMapping, MaterializedView, PortError, SavedQuery, StoredFunction, Watchlist,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub(crate) use self::built_in::is_over_table;
use crate::snapshot::RowsInMemory;

/// Functions at most.
const FUNCTIONS_MAX: usize = 2_000;
/// Saved queries at most.
const SAVED_QUERIES_MAX: usize = 10_000;
/// Materialised views at most: each is brought up to date with every new segment of its table.
const VIEWS_MAX: usize = 200;
/// Watchlists at most: they are held in memory.
const WATCHLISTS_MAX: usize = 200;
/// Bytes of all watchlists at most.
const WATCHLISTS_BYTES_MAX: u64 = 256 << 20;

/// Declared tables at most.
const DECLARED_TABLES_MAX: usize = 2_000;
/// Mappings at most.
const MAPPINGS_MAX: usize = 2_000;

/// Before the name of a watchlist: what makes its rows a table that no event table is named like.
const WATCHLIST_PREFIX: &str = "_Watchlist ";

/// All objects of one moment.
#[derive(Debug, Clone, Default)]
pub(crate) struct ObjectSet {
    pub(crate) functions: BTreeMap<String, StoredFunction>,
    pub(crate) saved_queries: BTreeMap<String, SavedQuery>,
    pub(crate) views: BTreeMap<String, MaterializedView>,
    pub(crate) watchlists: BTreeMap<String, (Watchlist, Arc<RowsInMemory>)>,
    pub(crate) tables: BTreeMap<String, DeclaredTable>,
    /// By table, kind and name.
    pub(crate) mappings: BTreeMap<String, IngestionMapping>,
}

impl ObjectSet {
    /// The text of a function, `(parameters) { body }`.
    pub(crate) fn function_text(&self, name: &str) -> Option<String> {
        match name {
            "_GetWatchlist" => Some(watchlists::GET_WATCHLIST.to_owned()),
            "_GetWatchlistAlias" => Some(watchlists::alias_function(self)),
            _ => match self.functions.get(name) {
                Some(function) => Some(format!("{} {}", function.parameters, function.body)),
                None => built_in::function_text(name).map(str::to_owned),
            },
        }
    }

    /// The rows of a watchlist, by the name its table has in queries.
    pub(crate) fn watchlist_rows(&self, table: &str) -> Option<&RowsInMemory> {
        let name = table.strip_prefix(WATCHLIST_PREFIX)?;
        self.watchlists.get(name).map(|(_, rows)| &**rows)
    }
}

/// The objects of an installation.
#[derive(Debug)]
pub struct Objects {
    metastore: Arc<Metastore>,
    current: RwLock<Arc<ObjectSet>>,
    /// One change at a time.
    changing: tokio::sync::Mutex<()>,
}

impl Objects {
    /// Reads all objects.
    ///
    /// # Errors
    /// When the metastore cannot be read, or holds an object that is not one.
    pub fn load(metastore: Arc<Metastore>) -> Result<Self, PortError> {
        let mut set = ObjectSet::default();
        for (name, function) in read_all(&metastore, ObjectKind::Function)? {
            set.functions.insert(name, function);
        }
        for (name, query) in read_all(&metastore, ObjectKind::Query)? {
            set.saved_queries.insert(name, query);
        }
        for (name, view) in read_all(&metastore, ObjectKind::View)? {
            set.views.insert(name, view);
        }
        for (name, table) in read_all(&metastore, ObjectKind::Table)? {
            set.tables.insert(name, table);
        }
        for (key, mapping) in read_all(&metastore, ObjectKind::Mapping)? {
            set.mappings.insert(key, mapping);
        }
        for (name, watchlist) in read_all::<Watchlist>(&metastore, ObjectKind::Watchlist)? {
            let rows = metastore.object_rows(ObjectKind::Watchlist, &name).map_err(failed)?;
            let rows = watchlists::decode(&watchlist, &rows.unwrap_or(ObjectRows { mark: 0, content: Vec::new() }))?;
            set.watchlists.insert(name, (watchlist, Arc::new(rows)));
        }
        Ok(Self { metastore, current: RwLock::new(Arc::new(set)), changing: tokio::sync::Mutex::new(()) })
    }

    /// The objects of this moment.
    pub(crate) fn current(&self) -> Arc<ObjectSet> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, set: ObjectSet) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(set);
    }

    fn store(
        &self,
        kind: ObjectKind,
        name: &str,
        definition: &impl Serialize,
        changed: (&str, Timestamp),
        rows: Option<&ObjectRows>,
    ) -> Result<(), PortError> {
        let definition = serde_json::to_value(definition).map_err(|error| {
            PortError::caused_by(ErrorKind::Internal, "an object could not be written as JSON", error)
        })?;
        let (changed_by, changed_at) = (changed.0.to_owned(), changed.1);
        let object = StoredObject { kind, name: name.to_owned(), definition, changed_by, changed_at };
        self.metastore.put_object(&object, rows).map_err(failed)
    }

    fn delete(&self, kind: ObjectKind, name: &str) -> Result<(), PortError> {
        self.metastore.delete_object(kind, name).map_err(failed)
    }
}

fn read_all<T: DeserializeOwned>(metastore: &Metastore, kind: ObjectKind) -> Result<Vec<(String, T)>, PortError> {
    let parse = |object: StoredObject| {
        let definition = serde_json::from_value(object.definition);
        let definition = definition.map_err(|error| {
            let message = format!("the metastore holds a damaged {kind:?} {}", object.name);
            PortError::caused_by(ErrorKind::Internal, message, error)
        })?;
        Ok((object.name, definition))
    };
    metastore.objects(kind).map_err(failed)?.into_iter().map(parse).collect()
}

fn failed(error: moneta_metastore::Error) -> PortError {
    PortError::caused_by(error.kind(), "an object could not be read or stored", error)
}
