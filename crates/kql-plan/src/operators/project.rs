//! `project`, `extend`, `project-away`, `-keep`, `-rename`, `-reorder`, `serialize`, `getschema`, `as`.

use std::sync::Arc;

use datafusion::logical_expr::LogicalPlan;
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{
    Expression, ExtendOperator, NamedExpression, ProjectByNamesOperator, ProjectOperator, ProjectRenameOperator,
    ProjectReorderOperator, ReorderDirection, Target, WildcardName,
};

use super::TabularOperator;
use super::datatable::Rows;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode, SortKey};
use crate::error::Result;
use crate::lower::LowerContext;
use crate::value::Value;

/// Computes new columns.
#[derive(Debug)]
pub struct Project {
    /// The operator as the query wrote it.
    pub keyword: &'static str,
    /// The rows.
    pub input: Relation,
    /// The columns with what fills them.
    pub outputs: Vec<(Column, ScalarExpr)>,
}

impl Project {
    /// The relation of a projection. The order of the rows is kept as far as its columns are.
    #[must_use]
    pub fn relation(keyword: &'static str, input: Relation, mut outputs: Vec<(Column, ScalarExpr)>) -> Relation {
        // What mv-apply carries along is carried on.
        for hidden in input.columns.iter().filter(|c| super::apply::is_hidden(&c.name)) {
            if !outputs.iter().any(|(column, _)| column.name == hidden.name) {
                outputs.push((hidden.clone(), ScalarExpr::column(hidden)));
            }
        }
        Self::exact(keyword, input, outputs)
    }

    /// The relation of a projection with these columns and no other.
    #[must_use]
    pub fn exact(keyword: &'static str, input: Relation, outputs: Vec<(Column, ScalarExpr)>) -> Relation {
        let columns = outputs.iter().map(|(column, _)| column.clone()).collect();
        let order = kept_order(&input, &outputs);
        Relation::new(columns, Self { keyword, input, outputs }).ordered(order)
    }
}

/// The leading sort keys that survive under some name.
fn kept_order(input: &Relation, outputs: &[(Column, ScalarExpr)]) -> Arc<[SortKey]> {
    let survivor = |key: &SortKey| {
        let name = key.expression.as_column()?;
        let (column, _) = outputs.iter().find(|(_, e)| e.as_column() == Some(name))?;
        Some(SortKey { expression: ScalarExpr::column(column), ..key.clone() })
    };
    input.order.iter().map_while(survivor).collect()
}

impl TabularOperator for Project {
    fn name(&self) -> &'static str {
        self.keyword
    }

    fn details(&self) -> String {
        let part = |(column, expression): &(Column, ScalarExpr)| {
            if expression.as_column() == Some(&column.name) {
                column.name.to_string()
            } else {
                format!("{} = {expression}", column.name)
            }
        };
        self.outputs.iter().map(part).collect::<Vec<_>>().join(", ")
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.input]
    }

    fn passes_columns(&self) -> bool {
        !matches!(self.keyword, "project" | "project-keep" | "print")
    }

    fn lower(&self, _: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let columns: Vec<Column> = self.outputs.iter().map(|(column, _)| column.clone()).collect();
        let kept = ctx.kept(&columns).into_iter();
        let outputs: Vec<_> = self.outputs.iter().zip(kept).filter(|(_, kept)| *kept).map(|(o, _)| o.clone()).collect();
        let mut read = std::collections::BTreeSet::new();
        outputs.iter().for_each(|(_, expression)| expression.read_columns(&mut read));
        ctx.project(ctx.relation_needing(&self.input, &read)?, &outputs)
    }
}

impl Binder<'_> {
    /// `project a, b = x`.
    pub(crate) fn bind_project(&mut self, input: Relation, node: &ProjectOperator) -> Option<Relation> {
        let mut row = Row::of(&input);
        let mut names = Names::default();
        let mut outputs: Vec<(Column, ScalarExpr)> = Vec::new();
        // Names given by the query win over names found for it.
        for named in &node.expressions {
            if let Expression::Star(_) = named.expression {
                for column in input.columns.iter() {
                    outputs.push((
                        Column::new(&names.unique(&column.name), column.column_type),
                        ScalarExpr::column(column),
                    ));
                }
                continue;
            }
            for (name, bound, explicit) in self.named_scalars(named, &mut row)? {
                let name = match (name, explicit) {
                    (Some(name), true) if names.contains(&name) => {
                        let message = format!("the column `{name}` is projected twice");
                        return self.fail(codes::DUPLICATE, named.span, message);
                    }
                    (Some(name), _) => names.unique(&name),
                    (None, _) => names.numbered("Column"),
                };
                outputs.push((Column::new(&name, bound.column_type), bound));
            }
        }
        Some(Project::relation("project", input, outputs))
    }

    /// The expressions of one entry with their names: one, or several when a function fills several columns.
    pub(crate) fn named_scalars(
        &mut self,
        named: &NamedExpression,
        row: &mut Row,
    ) -> Option<Vec<(Option<String>, ScalarExpr, bool)>> {
        let parts = self.parts(&named.expression, row)?;
        let given: Vec<String> = match &named.target {
            None => Vec::new(),
            Some(Target::Name(name)) => vec![name.text.clone()],
            Some(Target::Names(list)) => list.names.iter().map(|name| name.text.clone()).collect(),
        };
        if given.len() <= parts.len() {
            let named = parts.into_iter().enumerate().map(|(index, (own, bound))| match given.get(index) {
                Some(name) => (Some(name.clone()), bound, true),
                None => (own, bound, false),
            });
            return Some(named.collect());
        }
        // `(a, b) = x` opens an array.
        match parts.first() {
            Some((_, bound)) if parts.len() == 1 && bound.column_type == ColumnType::Dynamic => {
                let element = |(index, name): (usize, String)| {
                    let step = crate::json::Step::Index(i64::try_from(index).unwrap_or(i64::MAX));
                    let node = ScalarNode::Path { base: Box::new(bound.clone()), steps: vec![step] };
                    (Some(name), ScalarExpr::new(ColumnType::Dynamic, node), true)
                };
                Some(given.into_iter().enumerate().map(element).collect())
            }
            _ => {
                let message = format!("{} names are given for {} columns", given.len(), parts.len());
                self.fail(codes::TYPE, named.span, message)
            }
        }
    }

    /// `extend a = x, b = y`: a column of the same name is replaced in its place.
    pub(crate) fn bind_extend(
        &mut self,
        keyword: &'static str,
        input: Relation,
        expressions: &[NamedExpression],
    ) -> Option<Relation> {
        let mut row = Row::of(&input);
        let mut outputs: Vec<(Column, ScalarExpr)> =
            input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        let mut names = Names::of(&input.columns);
        for named in expressions {
            for (name, bound, _) in self.named_scalars(named, &mut row)? {
                let name = name.unwrap_or_else(|| names.numbered("Column"));
                names.unique(&name);
                let column = Column::new(&name, bound.column_type);
                match outputs.iter_mut().find(|(known, _)| *known.name == *name) {
                    Some(place) => *place = (column, bound),
                    None => outputs.push((column, bound)),
                }
            }
        }
        Some(Project::relation(keyword, input, outputs))
    }

    /// `extend`.
    pub(crate) fn bind_extend_operator(&mut self, input: Relation, node: &ExtendOperator) -> Option<Relation> {
        self.bind_extend("extend", input, &node.expressions)
    }

    /// `project-away a, b*`.
    pub(crate) fn bind_project_away(&mut self, input: Relation, columns: &[Expression]) -> Option<Relation> {
        let gone = self.selected(&input, columns)?;
        let rest: Vec<&Column> = input.columns.iter().filter(|c| !gone.contains(&c.name)).collect();
        let outputs = rest.into_iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        Some(Project::relation("project-away", input.clone(), outputs))
    }

    /// `project-keep a, b*`: in the order of the input.
    pub(crate) fn bind_project_keep(&mut self, input: Relation, columns: &[Expression]) -> Option<Relation> {
        let kept = self.selected(&input, columns)?;
        let outputs =
            input.columns.iter().filter(|c| kept.contains(&c.name)).map(|c| (c.clone(), ScalarExpr::column(c)));
        Some(Project::relation("project-keep", input.clone(), outputs.collect()))
    }

    /// `project-rename new = old`.
    pub(crate) fn bind_project_rename(&mut self, input: Relation, node: &ProjectRenameOperator) -> Option<Relation> {
        let mut outputs: Vec<(Column, ScalarExpr)> =
            input.columns.iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        for rename in &node.renames {
            let bound = self.scalar(&rename.expression, &mut Row::of(&input))?;
            let new = match &rename.target {
                Some(Target::Name(name)) => name.text.clone(),
                Some(Target::Names(list)) if list.names.len() == 1 => list.names[0].text.clone(),
                _ => return self.fail(codes::NAME_EXPECTED, rename.span, "project-rename needs `new = old`"),
            };
            if input.open && bound.as_literal().is_some() {
                outputs.push((Column::new(&new, bound.column_type), bound));
                continue;
            }
            let Some(old) = bound.as_column() else {
                return self.fail(codes::NAME_EXPECTED, rename.expression.span(), "only a column can be renamed");
            };
            if let Some(place) = outputs.iter_mut().find(|(_, e)| e.as_column() == Some(old)) {
                place.0 = Column::new(&new, bound.column_type);
            }
        }
        let mut names = Names::default();
        for (column, _) in &mut outputs {
            column.name = names.unique(&column.name).into();
        }
        Some(Project::relation("project-rename", input, outputs))
    }

    /// `project-reorder a, b* desc`.
    pub(crate) fn bind_project_reorder(&mut self, input: Relation, node: &ProjectReorderOperator) -> Option<Relation> {
        let mut first: Vec<Arc<str>> = Vec::new();
        for entry in &node.columns {
            let mut matched = self.selected(&input, std::slice::from_ref(&entry.column))?;
            match entry.order {
                Some(ReorderDirection::Ascending) => matched.sort(),
                Some(ReorderDirection::Descending) => matched.sort_by(|a, b| b.cmp(a)),
                Some(ReorderDirection::GrannyAscending) => matched.sort_by_cached_key(|n| granny(n)),
                Some(ReorderDirection::GrannyDescending) => {
                    matched.sort_by_cached_key(|n| std::cmp::Reverse(granny(n)))
                }
                None => {}
            }
            matched.retain(|name| !first.contains(name));
            first.extend(matched);
        }
        let rest = input.columns.iter().map(|c| Arc::clone(&c.name)).filter(|name| !first.contains(name));
        let order: Vec<Arc<str>> = first.iter().cloned().chain(rest).collect();
        let outputs = order.iter().filter_map(|name| input.column(name)).map(|c| (c.clone(), ScalarExpr::column(c)));
        Some(Project::relation("project-reorder", input.clone(), outputs.collect()))
    }

    /// `project-by-names "a", dynamic(["b", "c*"])`: in the order given; names without a column are passed over.
    pub(crate) fn bind_project_by_names(&mut self, input: Relation, node: &ProjectByNamesOperator) -> Option<Relation> {
        let mut patterns: Vec<String> = Vec::new();
        for named in &node.expressions {
            if let Expression::Star(_) = named.expression.unparenthesized() {
                patterns.push("*".to_owned());
                continue;
            }
            let bound = self.scalar(&named.expression, &mut Row::none())?;
            match bound.as_literal() {
                Some(Value::String(name)) => patterns.push(name.clone()),
                Some(Value::Dynamic(json)) => match crate::json::parse(json) {
                    serde_json::Value::String(name) => patterns.push(name),
                    serde_json::Value::Array(all) => {
                        patterns.extend(all.iter().filter_map(|name| name.as_str()).map(str::to_owned));
                    }
                    _ => {}
                },
                _ => {
                    let message = "project-by-names takes constant names or arrays of names";
                    return self.fail(codes::CONSTANT_EXPECTED, named.span, message);
                }
            }
        }
        let mut kept: Vec<&Column> = Vec::new();
        for pattern in patterns {
            let pattern = WildcardName { pattern, span: node.span };
            for column in input.columns.iter().filter(|column| pattern.matches(&column.name)) {
                if !kept.contains(&column) {
                    kept.push(column);
                }
            }
        }
        let outputs = kept.into_iter().map(|c| (c.clone(), ScalarExpr::column(c))).collect();
        Some(Project::relation("project-by-names", input.clone(), outputs))
    }

    /// The columns that names and wildcard names select, in the order of the input for each.
    pub(crate) fn selected(&mut self, input: &Relation, columns: &[Expression]) -> Option<Vec<Arc<str>>> {
        let mut selected: Vec<Arc<str>> = Vec::new();
        for expression in columns {
            match expression.unparenthesized() {
                Expression::Star(_) => selected.extend(input.columns.iter().map(|c| Arc::clone(&c.name))),
                Expression::Wildcard(pattern) => {
                    selected
                        .extend(input.columns.iter().filter(|c| pattern.matches(&c.name)).map(|c| Arc::clone(&c.name)));
                }
                other => {
                    let bound = self.scalar(other, &mut Row::of(input))?;
                    match bound.as_column() {
                        Some(name) => selected.push(Arc::clone(name)),
                        None if input.open && other.as_name().is_some() => {}
                        None => return self.fail(codes::NAME_EXPECTED, other.span(), "a column name is expected"),
                    }
                }
            }
        }
        Some(selected)
    }

    /// `getschema`.
    pub(crate) fn bind_getschema(&mut self, input: &Relation) -> Relation {
        let string = |name: &str| Column::new(name, ColumnType::String);
        let columns = vec![
            string("ColumnName"),
            Column::new("ColumnOrdinal", ColumnType::Long),
            string("DataType"),
            string("ColumnType"),
        ];
        let rows = input.columns.iter().enumerate().map(|(index, column)| {
            vec![
                Value::String(column.name.to_string()),
                Value::Long(i64::try_from(index).unwrap_or(i64::MAX)),
                Value::String(dotnet_name(column.column_type).to_owned()),
                Value::String(column.column_type.name().to_owned()),
            ]
        });
        Relation::new(columns, Rows { rows: rows.collect() })
    }
}

/// Splits a name into texts and numbers, so that `a10` stands after `a9`.
fn granny(name: &str) -> Vec<(bool, u64, String)> {
    let mut parts: Vec<(bool, u64, String)> = Vec::new();
    for c in name.chars() {
        let digit = c.is_ascii_digit();
        match parts.last_mut() {
            Some((is_number, number, text)) if *is_number == digit => {
                text.push(c);
                *number = text.parse().unwrap_or(0);
            }
            _ => parts.push((digit, u64::from(c.to_digit(10).unwrap_or(0)), c.to_string())),
        }
    }
    parts.into_iter().map(|(digit, number, text)| (digit, number, if digit { String::new() } else { text })).collect()
}

/// The .NET name of a type, as Kusto's `DataType` columns show it.
#[must_use]
pub fn dotnet_name(column_type: ColumnType) -> &'static str {
    match column_type {
        ColumnType::Bool => "System.SByte",
        ColumnType::Int => "System.Int32",
        ColumnType::Long => "System.Int64",
        ColumnType::Real => "System.Double",
        ColumnType::Decimal => "System.Data.SqlTypes.SqlDecimal",
        ColumnType::String => "System.String",
        ColumnType::DateTime => "System.DateTime",
        ColumnType::TimeSpan => "System.TimeSpan",
        ColumnType::Dynamic => "System.Object",
        ColumnType::Guid => "System.Guid",
    }
}
