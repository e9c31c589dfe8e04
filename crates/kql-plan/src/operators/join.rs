//! `join` and `lookup`. Keys match null to null; outer misses are null, for `string` empty.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::common::{JoinType, NullEquality};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, lit};
use moneta_event::{Column, ColumnType};
use moneta_kql::syntax::{BinaryOperator, Expression, JoinCondition, JoinOperator, LookupOperator, OperatorParameter};

use super::TabularOperator;
use crate::aggregates::rows::any_row;
use crate::binder::{Binder, Names, Row, codes};
use crate::bound::{Relation, ScalarExpr, ScalarNode};
use crate::error::Result;
use crate::lower::{LowerContext, column};
use crate::steps;
use crate::types;

/// How rows of two sides meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One row per key of the left side, then as inner.
    InnerUnique,
    /// Every pair of matching rows.
    Inner,
    /// Every pair, and the left rows without a match.
    LeftOuter,
    /// Every pair, and the right rows without a match.
    RightOuter,
    /// Every pair, and the rows of both sides without a match.
    FullOuter,
    /// The left rows that have a match.
    LeftSemi,
    /// The right rows that have a match.
    RightSemi,
    /// The left rows without a match.
    LeftAnti,
    /// The right rows without a match.
    RightAnti,
}

impl Kind {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "innerunique" => Self::InnerUnique,
            "inner" => Self::Inner,
            "leftouter" => Self::LeftOuter,
            "rightouter" => Self::RightOuter,
            "fullouter" => Self::FullOuter,
            "leftsemi" => Self::LeftSemi,
            "rightsemi" => Self::RightSemi,
            "leftanti" | "anti" | "leftantisemi" => Self::LeftAnti,
            "rightanti" | "rightantisemi" => Self::RightAnti,
            _ => return None,
        })
    }

    fn plan_type(self) -> JoinType {
        match self {
            Self::InnerUnique | Self::Inner => JoinType::Inner,
            Self::LeftOuter => JoinType::Left,
            Self::RightOuter => JoinType::Right,
            Self::FullOuter => JoinType::Full,
            Self::LeftSemi => JoinType::LeftSemi,
            Self::RightSemi => JoinType::RightSemi,
            Self::LeftAnti => JoinType::LeftAnti,
            Self::RightAnti => JoinType::RightAnti,
        }
    }

    fn has_left(self) -> bool {
        !matches!(self, Self::RightSemi | Self::RightAnti)
    }

    fn has_right(self) -> bool {
        !matches!(self, Self::LeftSemi | Self::LeftAnti)
    }

    fn fills_left(self) -> bool {
        matches!(self, Self::RightOuter | Self::FullOuter)
    }

    fn fills_right(self) -> bool {
        matches!(self, Self::LeftOuter | Self::FullOuter)
    }
}

/// Joins two relations.
#[derive(Debug)]
pub struct Join {
    /// How rows meet.
    pub kind: Kind,
    /// The left side.
    pub left: Relation,
    /// The right side.
    pub right: Relation,
    /// The pairs of keys, each computed on its side.
    pub keys: Vec<(ScalarExpr, ScalarExpr)>,
    /// For each right column in the result: its name on the right side, and its name in the result.
    pub right_names: Vec<(Arc<str>, Arc<str>)>,
}

impl TabularOperator for Join {
    fn name(&self) -> &'static str {
        "join"
    }

    fn details(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(|(l, r)| format!("$left.{l} == $right.{r}")).collect();
        format!("{:?} on {}", self.kind, keys.join(", "))
    }

    fn inputs(&self) -> Vec<&Relation> {
        vec![&self.left, &self.right]
    }

    fn lower(&self, relation: &Relation, ctx: &LowerContext<'_>) -> Result<LogicalPlan> {
        let left_count = if self.kind.has_left() { self.left.columns.len() } else { 0 };
        let kept = ctx.kept(&relation.columns);
        let (kept_left, kept_right) = kept.split_at(left_count.min(kept.len()));
        let left = self.lower_left(ctx, kept_left)?;
        let right = self.lower_right(ctx, kept_right)?;
        let keys = |side: &str| (0..self.keys.len()).map(|i| format!("__{side}{i}")).collect::<Vec<_>>();
        let joined = if self.keys.is_empty() {
            LogicalPlanBuilder::from(left).cross_join(right)?.build()?
        } else {
            let joined = LogicalPlanBuilder::from(left).join_detailed(
                right,
                self.kind.plan_type(),
                (keys("l"), keys("r")),
                None,
                NullEquality::NullEqualsNull,
            )?;
            joined.build()?
        };
        let outputs = relation.columns.iter().enumerate().filter(|(index, _)| kept[*index]).map(|(index, c)| {
            let fills = if index < left_count { self.kind.fills_left() } else { self.kind.fills_right() };
            if fills && c.column_type == ColumnType::String {
                coalesce(vec![column(&c.name), lit("")]).alias(&*c.name)
            } else {
                column(&c.name)
            }
        });
        steps::project(joined, outputs)
    }
}

impl Join {
    /// Every row of one relation beside every row of another, whose column names do not clash.
    #[must_use]
    pub fn crossed(left: Relation, right: Relation) -> Relation {
        let columns = left.columns.iter().chain(right.columns.iter()).cloned().collect();
        Self::inner(left, right, Vec::new(), columns)
    }

    /// The pairs of rows with equal keys, of relations whose column names do not clash.
    #[must_use]
    pub fn inner(
        left: Relation,
        right: Relation,
        keys: Vec<(ScalarExpr, ScalarExpr)>,
        columns: Vec<Column>,
    ) -> Relation {
        let right_names = right.columns.iter().map(|c| (Arc::clone(&c.name), Arc::clone(&c.name))).collect();
        Relation::new(columns, Self { kind: Kind::Inner, left, right, keys, right_names })
    }

    /// The left side with its keys and of its columns only those kept; none where the result has no left columns.
    fn lower_left(&self, ctx: &LowerContext<'_>, kept: &[bool]) -> Result<LogicalPlan> {
        let own: Vec<&Column> = self.left.columns.iter().zip(kept).filter(|(_, kept)| **kept).map(|(c, _)| c).collect();
        let mut read: BTreeSet<Arc<str>> = own.iter().map(|c| Arc::clone(&c.name)).collect();
        self.keys.iter().for_each(|(key, _)| key.read_columns(&mut read));
        let plan = ctx.relation_needing(&self.left, &read)?;
        let outputs = own.iter().map(|c| Ok(column(&c.name)));
        let keys = self.keys.iter().enumerate().map(|(i, (key, _))| Ok(ctx.scalar(key)?.alias(format!("__l{i}"))));
        let plan = steps::project(plan, outputs.chain(keys).collect::<Result<Vec<_>>>()?)?;
        if self.kind != Kind::InnerUnique {
            return Ok(plan);
        }
        // One row per key, any: the whole row is taken together.
        let keys: Vec<Expr> = (0..self.keys.len()).map(|i| column(&format!("__l{i}"))).collect();
        if own.is_empty() {
            return steps::aggregate(plan, keys, []);
        }
        let row = any_row(own.iter().map(|c| column(&c.name)).collect()).alias("__row");
        let fields = own.iter().enumerate().map(|(i, c)| {
            datafusion::functions::core::get_field().call(vec![column("__row"), lit(format!("c{i}"))]).alias(&*c.name)
        });
        let outputs: Vec<Expr> = fields.chain(keys.iter().cloned()).collect();
        steps::project(steps::aggregate(plan, keys, [row])?, outputs)
    }

    /// The right side likewise, its columns under their names in the result.
    fn lower_right(&self, ctx: &LowerContext<'_>, kept: &[bool]) -> Result<LogicalPlan> {
        let own: Vec<&(Arc<str>, Arc<str>)> =
            self.right_names.iter().zip(kept).filter(|(_, kept)| **kept).map(|(names, _)| names).collect();
        let mut read: BTreeSet<Arc<str>> = own.iter().map(|(old, _)| Arc::clone(old)).collect();
        self.keys.iter().for_each(|(_, key)| key.read_columns(&mut read));
        let plan = ctx.relation_needing(&self.right, &read)?;
        let outputs = own.iter().map(|(old, new)| Ok(column(old).alias(&**new)));
        let keys = self.keys.iter().enumerate().map(|(i, (_, key))| Ok(ctx.scalar(key)?.alias(format!("__r{i}"))));
        steps::project(plan, outputs.chain(keys).collect::<Result<Vec<_>>>()?)
    }
}

impl Binder<'_> {
    /// `join kind=inner (right) on key`.
    pub(crate) fn bind_join(&mut self, left: Relation, node: &JoinOperator) -> Option<Relation> {
        let kind = self.join_kind(&node.parameters, Kind::InnerUnique)?;
        let right = self.relation(&node.right)?;
        let keys = match &node.condition {
            JoinCondition::On(conditions) => self.join_keys(&left, &right, conditions)?,
            JoinCondition::None => Vec::new(),
            JoinCondition::Where(condition) => {
                return self.fail(
                    codes::UNSUPPORTED,
                    condition.span(),
                    "join ... where is not supported; join on keys and filter afterwards",
                );
            }
        };
        self.joined(kind, left, right, keys, &[])
    }

    /// `lookup (right) on key`: the right keys are left out.
    pub(crate) fn bind_lookup(&mut self, left: Relation, node: &LookupOperator) -> Option<Relation> {
        let kind = self.join_kind(&node.parameters, Kind::LeftOuter)?;
        let right = self.relation(&node.right)?;
        let keys = self.join_keys(&left, &right, &node.on)?;
        let hidden: Vec<Arc<str>> = keys.iter().filter_map(|(_, right)| right.as_column().cloned()).collect();
        self.joined(kind, left, right, keys, &hidden)
    }

    fn join_kind(&mut self, parameters: &[OperatorParameter], default: Kind) -> Option<Kind> {
        let Some(parameter) = parameters.iter().find(|p| p.name.text == "kind") else { return Some(default) };
        let word = parameter.word().unwrap_or("").to_lowercase();
        match Kind::parse(&word) {
            Some(kind) => Some(kind),
            None => self.fail(codes::UNKNOWN_WORD, parameter.span, format!("`{word}` is no kind of join")),
        }
    }

    fn joined(
        &mut self,
        kind: Kind,
        left: Relation,
        right: Relation,
        keys: Vec<(ScalarExpr, ScalarExpr)>,
        hidden: &[Arc<str>],
    ) -> Option<Relation> {
        let mut names = Names::default();
        let mut columns: Vec<Column> = Vec::new();
        if kind.has_left() {
            names = Names::of(&left.columns);
            columns.extend(left.columns.iter().cloned());
        }
        let mut right_names = Vec::new();
        if kind.has_right() {
            let taken = names.clone();
            right.columns.iter().for_each(|c| names.insert(&c.name));
            for c in right.columns.iter().filter(|c| !hidden.contains(&c.name)) {
                let clashes = taken.contains(&c.name);
                let name: Arc<str> = if clashes { names.unique(&c.name).into() } else { Arc::clone(&c.name) };
                columns.push(Column { name: Arc::clone(&name), column_type: c.column_type });
                right_names.push((Arc::clone(&c.name), name));
            }
        }
        Some(Relation::new(columns, Join { kind, left, right, keys, right_names }))
    }

    fn join_keys(
        &mut self,
        left: &Relation,
        right: &Relation,
        conditions: &[Expression],
    ) -> Option<Vec<(ScalarExpr, ScalarExpr)>> {
        let mut keys = Vec::new();
        for condition in conditions {
            let parts: Vec<&Expression> = match condition.unparenthesized() {
                Expression::Logical(node) if node.operator == moneta_kql::syntax::LogicalOperator::And => {
                    node.operands.iter().collect()
                }
                other => vec![other],
            };
            for part in parts {
                keys.push(self.join_key(left, right, part.unparenthesized())?);
            }
        }
        Some(keys)
    }

    fn join_key(
        &mut self,
        left: &Relation,
        right: &Relation,
        condition: &Expression,
    ) -> Option<(ScalarExpr, ScalarExpr)> {
        let (left_key, right_key) = match condition {
            Expression::Binary(node) if node.operator == BinaryOperator::Equal => {
                let mut row = Row::joined(left, right);
                let (a, b) = (self.scalar(&node.left, &mut row)?, self.scalar(&node.right, &mut row)?);
                match (side(&a), side(&b)) {
                    (Some(Side::Left), Some(Side::Right)) => (without_side(a), without_side(b)),
                    (Some(Side::Right), Some(Side::Left)) => (without_side(b), without_side(a)),
                    // A column the data might have had is null.
                    (Some(Side::Left), None) if right.open => (without_side(a), b),
                    (None, Some(Side::Left)) if right.open => (without_side(b), a),
                    (Some(Side::Right), None) if left.open => (b, without_side(a)),
                    (None, Some(Side::Right)) if left.open => (a, without_side(b)),
                    _ => {
                        let message = "a join condition compares a $left column with a $right column";
                        return self.fail(codes::JOIN_KEY, condition.span(), message);
                    }
                }
            }
            name => (self.scalar(name, &mut Row::of(left))?, self.scalar(name, &mut Row::of(right))?),
        };
        let common = match (left_key.column_type, right_key.column_type) {
            (l, r) if l == r => l,
            (l, r) if types::is_number(l) && types::is_number(r) => types::widest_number(l, r),
            (ColumnType::Dynamic, other) | (other, ColumnType::Dynamic) => other,
            (l, r) => {
                let message = format!("a {l} key cannot be joined with a {r} key; convert one of them");
                return self.fail(codes::COMPARE, condition.span(), message);
            }
        };
        Some((left_key.converted(common), right_key.converted(common)))
    }
}

/// A side of a join condition: the binder marks columns by a prefix while it binds one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

fn side(expression: &ScalarExpr) -> Option<Side> {
    match expression.as_column() {
        Some(name) if name.starts_with("$left.") => Some(Side::Left),
        Some(name) if name.starts_with("$right.") => Some(Side::Right),
        Some(_) => None,
        None => expression.children().into_iter().find_map(side),
    }
}

fn without_side(expression: ScalarExpr) -> ScalarExpr {
    let node = match expression.node {
        ScalarNode::Column(name) => {
            let plain = name.strip_prefix("$left.").or_else(|| name.strip_prefix("$right.")).unwrap_or(&name);
            ScalarNode::Column(plain.into())
        }
        ScalarNode::Convert(inner) => ScalarNode::Convert(Box::new(without_side(*inner))),
        ScalarNode::Path { base, steps } => ScalarNode::Path { base: Box::new(without_side(*base)), steps },
        ScalarNode::Call { function, args } => {
            ScalarNode::Call { function, args: args.into_iter().map(without_side).collect() }
        }
        other => other,
    };
    ScalarExpr::new(expression.column_type, node)
}
