//! Where the field of a rule stands in a table: a column, a path into one, or a key of `_Extra`.

use moneta_event::schema::IMPLIED_BY_HEADER;
use moneta_event::{Column, ColumnType, TableSchema};

use crate::ir::Field;
use crate::matcher::cells::normalised;
use crate::taxonomy::{Target, Taxonomy};

/// A field as a table has it. Fields that resolve alike are one slot, whatever rules call them.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct Slot {
    /// Columns to look in, with the path into each.
    pub columns: Vec<SlotColumn>,
    /// Normalised keys of `_Extra` to look under, with the path into each value.
    pub extras: Vec<(String, Vec<String>)>,
    /// Normalised key of `_Extra` whose value, in rows that have it, hides all others: a field of the event whose name
    /// the table gives to something else.
    pub hiding: Option<String>,
    /// Every text of the row, instead of one field, for the rules of this gate: few of them look at every row, and
    /// those that do should not pay for the others' keywords.
    pub anywhere: Option<u32>,
}

/// A column of a slot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SlotColumn {
    /// The column's name.
    pub name: String,
    /// Its type; `None` when the table is the user's own and the column may come with the data.
    pub column_type: Option<ColumnType>,
    /// Normalised names of a path into a JSON value; empty for the value itself.
    pub path: Vec<String>,
}

/// Resolves the fields of rules for one target.
pub(crate) struct Resolver<'a> {
    pub schema: &'a TableSchema,
    pub target: &'a Target,
    pub taxonomy: &'a Taxonomy,
}

impl Resolver<'_> {
    /// Where a field stands. Never fails: a field the table does not have may still come in `_Extra`.
    pub fn resolve(&self, field: &Field) -> Slot {
        let Field::Named(name) = field else {
            return Slot { anywhere: Some(0), ..Slot::default() };
        };
        let lower = name.to_lowercase();
        let mut slot = Slot::default();
        if let Some(renamed) = self.target.fields.get(&lower) {
            renamed.iter().for_each(|name| self.add(name, &mut slot));
        } else if let Some(aliases) =
            self.taxonomy.table_fields(self.schema.name().as_str()).and_then(|f| f.get(&lower))
        {
            aliases.iter().for_each(|name| self.add(name, &mut slot));
            // An alias does not hide a field of the rule's own name that has no column.
            if self.column(name).is_none() {
                slot.extras.push((normalised(name), Vec::new()));
            }
        } else {
            self.add(name, &mut slot);
        }
        slot
    }

    /// The slot of a column by its exact name.
    pub fn column_slot(&self, name: &str) -> Slot {
        let mut slot = Slot::default();
        self.add(name, &mut slot);
        slot
    }

    fn add(&self, name: &str, slot: &mut Slot) {
        if let Some(key) = name.strip_prefix("_Extra.") {
            slot.hiding = Some(normalised(key));
            return;
        }
        let columns: Vec<(String, ColumnType)> = self.columns(name).collect();
        if !columns.is_empty() {
            // A value that does not fit a typed column was kept under the column's name.
            if columns.iter().any(|(_, column_type)| *column_type != ColumnType::String) {
                slot.extras.push((normalised(name), Vec::new()));
            }
            let whole = |(name, kind)| SlotColumn { name, column_type: Some(kind), path: Vec::new() };
            slot.columns.extend(columns.into_iter().map(whole));
            return;
        }
        if self.schema.name().is_custom() {
            slot.columns.push(SlotColumn { name: name.to_owned(), column_type: None, path: Vec::new() });
        }
        slot.extras.push((normalised(name), Vec::new()));
        for (index, _) in name.match_indices('.') {
            let (first, rest) = (&name[..index], &name[index + 1..]);
            let path: Vec<String> = rest.split('.').map(normalised).collect();
            if let Some((column, column_type)) = self.column(first) {
                slot.columns.push(SlotColumn { name: column, column_type: Some(column_type), path: path.clone() });
            } else if self.schema.name().is_custom() {
                slot.columns.push(SlotColumn { name: first.to_owned(), column_type: None, path: path.clone() });
            }
            slot.extras.push((normalised(first), path));
        }
    }

    /// The table's stored columns of that name, whatever the case: providers of events write `ProcessPath` and
    /// `processPath`. A field named like a column that no batch stores (`Type`) stands in `_Extra`.
    fn columns<'n>(&'n self, name: &'n str) -> impl Iterator<Item = (String, ColumnType)> + 'n {
        let stored = |column: &&Column| !IMPLIED_BY_HEADER.contains(&&*column.name);
        let named = move |column: &&Column| column.name.eq_ignore_ascii_case(name);
        let columns = self.schema.columns().iter().filter(stored).filter(named);
        columns.map(|column| (column.name.to_string(), column.column_type))
    }

    /// The first of them.
    fn column(&self, name: &str) -> Option<(String, ColumnType)> {
        self.columns(name).next()
    }
}

#[cfg(test)]
mod tests {
    use moneta_event::TableCatalog;

    use super::*;

    #[track_caller]
    fn check(table: &str, field: &str, columns: &[&str], extras: &[&str]) {
        let catalog = TableCatalog::built_in();
        let taxonomy = Taxonomy::parse(
            "[table.Event]\nfields = { Provider_Name = \"Source\", Data = [\"EventData\"] }\n[[log_source]]\ntargets = [{ table = \"Event\", fields = { Foo = \"Bar\" } }]\n",
        )
        .unwrap();
        let target = Target {
            table: moneta_base::TableName::new(table).unwrap(),
            ..taxonomy.log_sources().next().unwrap().1[0].clone()
        };
        let resolver = Resolver { schema: catalog.get(table).unwrap(), target: &target, taxonomy: &taxonomy };
        let slot = resolver.resolve(&Field::named(field));
        let shown = |name: &str, path: &[String]| [&[name.to_owned()], path].concat().join("/");
        assert_eq!(slot.columns.iter().map(|c| shown(&c.name, &c.path)).collect::<Vec<_>>(), columns, "{field}");
        assert_eq!(slot.extras.iter().map(|(n, p)| shown(n, p)).collect::<Vec<_>>(), extras, "{field}");
    }

    #[test]
    fn fields_are_found_by_name_alias_path_and_extra_key() {
        check("Event", "image", &["Image"], &[]);
        check("Event", "EventID", &["EventID"], &["eventid"]);
        check("Event", "processPath", &["ProcessPath", "processPath"], &[]);
        check("Event", "Provider_Name", &["Source"], &["provider_name"]);
        check("Event", "Data", &["EventData"], &["data"]);
        check("Event", "Threat Name", &[], &["threatname"]);
        check("Event", "Foo", &[], &["bar"]);
        check("Event", "UserName", &["UserName"], &[]);
        check(
            "AuditLogs",
            "TargetResources.Type",
            &["TargetResources/type"],
            &["targetresources.type", "targetresources/type"],
        );
    }
}
