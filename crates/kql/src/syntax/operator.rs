//! Tabular operators: what stands after a pipe, and the few that may stand first.

use super::{
    CallExpression, Expression, Name, NamedExpression, OperatorParameter, Parameter, PipeExpression, RowSchema,
    Skipped, Span, Statement, TypeName, TypeofExpression,
};

macro_rules! operators {
    ($($variant:ident($node:ident) $keyword:literal,)*) => {
        /// A tabular operator.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Operator {
            $(#[doc = concat!("`", $keyword, "`.")] $variant($node),)*
        }

        impl Operator {
            /// Returns where the operator was written, keyword included.
            pub fn span(&self) -> Span {
                match self { $(Operator::$variant(node) => node.span,)* }
            }

            /// Returns the operator's keyword in its main spelling.
            pub fn keyword(&self) -> &'static str {
                match self { $(Operator::$variant(_) => $keyword,)* }
            }
        }
    };
}

operators! {
    As(AsOperator) "as",
    AssertSchema(AssertSchemaOperator) "assert-schema",
    Consume(ConsumeOperator) "consume",
    Count(CountOperator) "count",
    Distinct(DistinctOperator) "distinct",
    Evaluate(EvaluateOperator) "evaluate",
    ExecuteAndCache(ExecuteAndCacheOperator) "__executeAndCache",
    Extend(ExtendOperator) "extend",
    Facet(FacetOperator) "facet",
    Find(FindOperator) "find",
    Fork(ForkOperator) "fork",
    GetSchema(GetSchemaOperator) "getschema",
    GraphMarkComponents(GraphMarkComponentsOperator) "graph-mark-components",
    GraphMatch(GraphMatchOperator) "graph-match",
    GraphShortestPaths(GraphMatchOperator) "graph-shortest-paths",
    GraphToTable(GraphToTableOperator) "graph-to-table",
    GraphWhereEdges(GraphWhereOperator) "graph-where-edges",
    GraphWhereNodes(GraphWhereOperator) "graph-where-nodes",
    Invoke(InvokeOperator) "invoke",
    Join(JoinOperator) "join",
    Lookup(LookupOperator) "lookup",
    MacroExpand(MacroExpandOperator) "macro-expand",
    MakeGraph(MakeGraphOperator) "make-graph",
    MakeSeries(MakeSeriesOperator) "make-series",
    MvApply(MvApplyOperator) "mv-apply",
    MvExpand(MvExpandOperator) "mv-expand",
    Parse(ParseOperator) "parse",
    ParseKv(ParseKvOperator) "parse-kv",
    ParseWhere(ParseOperator) "parse-where",
    Partition(PartitionOperator) "partition",
    PartitionBy(PartitionByOperator) "__partitionby",
    Print(PrintOperator) "print",
    Project(ProjectOperator) "project",
    ProjectAway(ProjectAwayOperator) "project-away",
    ProjectByNames(ProjectByNamesOperator) "project-by-names",
    ProjectKeep(ProjectKeepOperator) "project-keep",
    ProjectRename(ProjectRenameOperator) "project-rename",
    ProjectReorder(ProjectReorderOperator) "project-reorder",
    ProjectSmart(ProjectSmartOperator) "project-smart",
    Range(RangeOperator) "range",
    Reduce(ReduceOperator) "reduce",
    Render(RenderOperator) "render",
    Sample(SampleOperator) "sample",
    SampleDistinct(SampleDistinctOperator) "sample-distinct",
    Scan(ScanOperator) "scan",
    Search(SearchOperator) "search",
    Serialize(SerializeOperator) "serialize",
    Sort(SortOperator) "sort",
    Summarize(SummarizeOperator) "summarize",
    Take(TakeOperator) "take",
    Top(TopOperator) "top",
    TopHitters(TopHittersOperator) "top-hitters",
    TopNested(TopNestedOperator) "top-nested",
    Union(UnionOperator) "union",
    Unknown(Skipped) "unknown operator",
    Where(WhereOperator) "where",
}

/// `as name`: names the rows at this point of the pipe.
#[derive(Debug, Clone, PartialEq)]
pub struct AsOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `hint.materialized=true`.
    pub parameters: Vec<OperatorParameter>,
    /// The name.
    pub name: Name,
}

/// `assert-schema (a:string, b:long)`.
#[derive(Debug, Clone, PartialEq)]
pub struct AssertSchemaOperator {
    /// The whole operator.
    pub span: Span,
    /// The columns the input must have.
    pub schema: RowSchema,
}

/// `consume`: reads all rows and returns none.
#[derive(Debug, Clone, PartialEq)]
pub struct ConsumeOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `decodeblocks=true`.
    pub parameters: Vec<OperatorParameter>,
}

/// `count`.
#[derive(Debug, Clone, PartialEq)]
pub struct CountOperator {
    /// The whole operator.
    pub span: Span,
    /// The output column after `as`, if given.
    pub name: Option<Name>,
}

/// `distinct a, b` or `distinct *`.
#[derive(Debug, Clone, PartialEq)]
pub struct DistinctOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The columns; a single one that is [`Expression::Star`] means all.
    pub columns: Vec<NamedExpression>,
}

/// `evaluate plugin(arguments) : (schema)`.
#[derive(Debug, Clone, PartialEq)]
pub struct EvaluateOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The plugin call.
    pub call: CallExpression,
    /// The declared output columns.
    pub schema: Option<RowSchema>,
}

/// `__executeAndCache`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExecuteAndCacheOperator {
    /// The whole operator.
    pub span: Span,
}

/// `extend a = x, b = y`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExtendOperator {
    /// The whole operator.
    pub span: Span,
    /// The new columns.
    pub expressions: Vec<NamedExpression>,
}

/// `facet by a, b with (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct FacetOperator {
    /// The whole operator.
    pub span: Span,
    /// The columns to count.
    pub columns: Vec<Expression>,
    /// The query that makes one further result.
    pub with: Option<PipeExpression>,
}

/// `find in (tables) where predicate project columns`.
#[derive(Debug, Clone, PartialEq)]
pub struct FindOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `withsource=T`, `datascope=hotcache`.
    pub parameters: Vec<OperatorParameter>,
    /// The tables after `in`; empty means all.
    pub sources: Vec<Expression>,
    /// The predicate.
    pub predicate: Expression,
    /// What is returned.
    pub projection: FindProjection,
    /// The columns after `project-away`; a single column named `*` means all that would be packed.
    pub project_away: Vec<FindColumn>,
}

/// What `find` returns.
#[derive(Debug, Clone, PartialEq)]
pub enum FindProjection {
    /// Nothing was said: as `project-smart`.
    Default,
    /// `project a, b:string, pack(*)`.
    Columns(Vec<FindColumn>),
    /// `project-smart`.
    Smart(Span),
}

/// One column of a `find` projection.
#[derive(Debug, Clone, PartialEq)]
pub struct FindColumn {
    /// Name and type.
    pub span: Span,
    /// A name, `*`, or the call `pack(*)` / `pack_all()`.
    pub column: Expression,
    /// The type to convert to.
    pub ty: Option<TypeName>,
}

/// `fork (query) name = (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForkOperator {
    /// The whole operator.
    pub span: Span,
    /// The branches, one result each.
    pub branches: Vec<ForkBranch>,
}

/// One branch of a `fork`.
#[derive(Debug, Clone, PartialEq)]
pub struct ForkBranch {
    /// Name and query.
    pub span: Span,
    /// The result's name.
    pub name: Option<Name>,
    /// The query over the forked rows.
    pub query: PipeExpression,
}

/// `getschema`.
#[derive(Debug, Clone, PartialEq)]
pub struct GetSchemaOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `kind=csl`.
    pub parameters: Vec<OperatorParameter>,
}

/// `graph-mark-components kind=weak with_component_id=c`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphMarkComponentsOperator {
    /// The whole operator.
    pub span: Span,
    /// Kind and output column.
    pub parameters: Vec<OperatorParameter>,
}

/// `graph-match` and `graph-shortest-paths`: patterns, then `where`, then `project`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphMatchOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `cycles=none`, `output=all`.
    pub parameters: Vec<OperatorParameter>,
    /// The patterns; all must match.
    pub patterns: Vec<GraphPattern>,
    /// The condition.
    pub predicate: Option<Expression>,
    /// The output columns; empty means every named element's columns.
    pub projection: Vec<NamedExpression>,
}

/// `(a)-[e]->(b)<--(c)`: nodes and edges alternate, beginning and ending with a node.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphPattern {
    /// The whole pattern.
    pub span: Span,
    /// The elements in order.
    pub elements: Vec<GraphPatternElement>,
}

/// One element of a graph pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphPatternElement {
    /// `(a)`.
    Node(GraphPatternNode),
    /// `-[e]->`, `<-[e*1..3]-`, `--`.
    Edge(GraphPatternEdge),
}

/// `(a)` or `()`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphPatternNode {
    /// The parentheses and what is between them.
    pub span: Span,
    /// The node's name.
    pub name: Option<Name>,
}

/// An edge of a graph pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphPatternEdge {
    /// The whole edge.
    pub span: Span,
    /// The edge's name.
    pub name: Option<Name>,
    /// Its direction.
    pub direction: EdgeDirection,
    /// The number of hops; `None` means exactly one.
    pub hops: Option<EdgeHops>,
}

/// The direction of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EdgeDirection {
    /// `-->`.
    Right,
    /// `<--`.
    Left,
    /// `--`.
    Any,
}

/// `*min..max` in an edge.
#[derive(Debug, Clone, PartialEq)]
pub struct EdgeHops {
    /// The star and both bounds.
    pub span: Span,
    /// The least number of hops.
    pub min: Expression,
    /// The greatest number of hops.
    pub max: Expression,
}

/// `graph-to-table nodes as N, edges as E`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphToTableOperator {
    /// The whole operator.
    pub span: Span,
    /// The tables wanted, one or two.
    pub outputs: Vec<GraphOutput>,
}

/// One table of `graph-to-table`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphOutput {
    /// The whole clause.
    pub span: Span,
    /// `nodes` or `edges`.
    pub kind: Name,
    /// The result's name.
    pub name: Option<Name>,
    /// For example `with_node_id=Id`.
    pub parameters: Vec<OperatorParameter>,
}

/// `graph-where-nodes predicate`, `graph-where-edges predicate`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphWhereOperator {
    /// The whole operator.
    pub span: Span,
    /// The predicate.
    pub predicate: Expression,
}

/// `invoke function(arguments)`: the rows become the function's first argument.
#[derive(Debug, Clone, PartialEq)]
pub struct InvokeOperator {
    /// The whole operator.
    pub span: Span,
    /// A call, or a path that ends in a call; a bare name if the parentheses are missing.
    pub function: Expression,
}

/// `join kind=inner (right) on key`.
#[derive(Debug, Clone, PartialEq)]
pub struct JoinOperator {
    /// The whole operator.
    pub span: Span,
    /// `kind=`, hints.
    pub parameters: Vec<OperatorParameter>,
    /// The right side.
    pub right: Expression,
    /// How rows meet.
    pub condition: JoinCondition,
}

/// How the rows of a join meet.
#[derive(Debug, Clone, PartialEq)]
pub enum JoinCondition {
    /// Nothing was said.
    None,
    /// `on a, $left.b == $right.c`.
    On(Vec<Expression>),
    /// `where predicate`.
    Where(Expression),
}

/// `lookup kind=leftouter (right) on key`.
#[derive(Debug, Clone, PartialEq)]
pub struct LookupOperator {
    /// The whole operator.
    pub span: Span,
    /// `kind=`, hints.
    pub parameters: Vec<OperatorParameter>,
    /// The dimension table.
    pub right: Expression,
    /// The conditions after `on`.
    pub on: Vec<Expression>,
}

/// `macro-expand group as X (statements)`.
#[derive(Debug, Clone, PartialEq)]
pub struct MacroExpandOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `isfuzzy=true`, `kind=outer`.
    pub parameters: Vec<OperatorParameter>,
    /// An entity group, written out or by name.
    pub group: Expression,
    /// The name each member has inside.
    pub name: Name,
    /// The statements run for each member.
    pub statements: Vec<Statement>,
}

/// `make-graph source --> target with nodes on id`.
#[derive(Debug, Clone, PartialEq)]
pub struct MakeGraphOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `with_node_id=Id`, wherever it was written.
    pub parameters: Vec<OperatorParameter>,
    /// The edge table's source column.
    pub source: Name,
    /// `-->` or `--`.
    pub direction: EdgeDirection,
    /// The edge table's target column.
    pub target: Name,
    /// The node tables, at most two.
    pub nodes: Vec<GraphNodes>,
    /// `partitioned-by column (query)`.
    pub partition: Option<GraphPartition>,
}

/// `nodes on id`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphNodes {
    /// Table and column.
    pub span: Span,
    /// The table.
    pub table: Expression,
    /// Its id column.
    pub id: Name,
}

/// `partitioned-by column (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphPartition {
    /// The whole clause.
    pub span: Span,
    /// The partition column.
    pub column: Name,
    /// The query over each partition's graph.
    pub query: PipeExpression,
}

/// `make-series n = count() default = 0 on t from a to b step c by k`.
#[derive(Debug, Clone, PartialEq)]
pub struct MakeSeriesOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `kind=nonempty`.
    pub parameters: Vec<OperatorParameter>,
    /// The aggregates.
    pub aggregates: Vec<MakeSeriesAggregate>,
    /// The axis column.
    pub axis: NamedExpression,
    /// The range of the axis.
    pub range: MakeSeriesRange,
    /// The group keys.
    pub by: Vec<NamedExpression>,
}

/// One aggregate of a `make-series`.
#[derive(Debug, Clone, PartialEq)]
pub struct MakeSeriesAggregate {
    /// Aggregate and default.
    pub span: Span,
    /// The aggregate.
    pub expression: NamedExpression,
    /// The value of empty bins.
    pub default: Option<Expression>,
}

/// The range of a series' axis.
#[derive(Debug, Clone, PartialEq)]
pub struct MakeSeriesRange {
    /// The whole clause.
    pub span: Span,
    /// Whether it was written `in range(from, to, step)`, where the end is included.
    pub is_in_range: bool,
    /// The start.
    pub from: Option<Expression>,
    /// The end.
    pub to: Option<Expression>,
    /// The bin width.
    pub step: Expression,
}

/// `mv-apply x = array to typeof(long) on (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct MvApplyOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `with_itemindex=i`.
    pub parameters: Vec<OperatorParameter>,
    /// The arrays.
    pub columns: Vec<MvColumn>,
    /// The greatest number of elements per row.
    pub limit: Option<Expression>,
    /// The id of a contextual table, a guid literal.
    pub context_id: Option<Expression>,
    /// The query over each row's elements.
    pub query: PipeExpression,
}

/// `mv-expand x = array to typeof(long), y limit 10`.
#[derive(Debug, Clone, PartialEq)]
pub struct MvExpandOperator {
    /// The whole operator.
    pub span: Span,
    /// Whether it was written `mvexpand`, which has a default row limit of 128.
    pub is_legacy: bool,
    /// For example `kind=array`, `with_itemindex=i`, `bagexpansion=array`.
    pub parameters: Vec<OperatorParameter>,
    /// The arrays.
    pub columns: Vec<MvColumn>,
    /// The greatest number of rows made from one.
    pub limit: Option<Expression>,
}

/// One array of `mv-expand` or `mv-apply`.
#[derive(Debug, Clone, PartialEq)]
pub struct MvColumn {
    /// Expression and type.
    pub span: Span,
    /// The array.
    pub expression: NamedExpression,
    /// The type after `to`.
    pub to_type: Option<TypeofExpression>,
}

/// `parse kind=regex flags=U x with * "text" column:type *`, also `parse-where`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseOperator {
    /// The whole operator.
    pub span: Span,
    /// `kind=` and `flags=`.
    pub parameters: Vec<OperatorParameter>,
    /// The parsed text.
    pub expression: Expression,
    /// The pattern.
    pub pattern: Vec<ParsePart>,
}

/// One part of a parse pattern.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsePart {
    /// `*`: skip.
    Star(Span),
    /// Literal text or a regular expression: a string literal.
    Text(Expression),
    /// A column to fill.
    Column(ParseColumn),
}

/// A column filled by a parse pattern.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseColumn {
    /// Name and type.
    pub span: Span,
    /// The name.
    pub name: Name,
    /// The type; `string` if absent.
    pub ty: Option<TypeName>,
}

/// `parse-kv x as (a:string) with (pair_delimiter=",")`.
#[derive(Debug, Clone, PartialEq)]
pub struct ParseKvOperator {
    /// The whole operator.
    pub span: Span,
    /// The parsed text.
    pub expression: Expression,
    /// The keys to extract.
    pub schema: RowSchema,
    /// The properties after `with`.
    pub properties: Vec<OperatorParameter>,
}

/// `partition by column (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The column.
    pub by: Expression,
    /// The values after `in`, if given.
    pub scope: Option<Expression>,
    /// The query per partition.
    pub body: PartitionBody,
}

/// The query of a `partition`.
#[derive(Debug, Clone, PartialEq)]
pub enum PartitionBody {
    /// `(operators)` over the partition's rows.
    Subquery(PipeExpression),
    /// `{ query }`, a whole query of its own.
    Query(Expression),
}

/// `__partitionby column id guid(...) (query)`.
#[derive(Debug, Clone, PartialEq)]
pub struct PartitionByOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The column.
    pub column: Expression,
    /// The id of a contextual table, a guid literal.
    pub context_id: Option<Expression>,
    /// The query per partition.
    pub query: PipeExpression,
}

/// `print a = x, y`: one row.
#[derive(Debug, Clone, PartialEq)]
pub struct PrintOperator {
    /// The whole operator.
    pub span: Span,
    /// The columns.
    pub expressions: Vec<NamedExpression>,
}

/// `project a, b = x`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectOperator {
    /// The whole operator.
    pub span: Span,
    /// The columns.
    pub expressions: Vec<NamedExpression>,
}

/// `project-away a, b*`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectAwayOperator {
    /// The whole operator.
    pub span: Span,
    /// Names and wildcard names.
    pub columns: Vec<Expression>,
}

/// `project-by-names "a", expression`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectByNamesOperator {
    /// The whole operator.
    pub span: Span,
    /// Constant names or arrays of names.
    pub expressions: Vec<NamedExpression>,
}

/// `project-keep a, b*`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectKeepOperator {
    /// The whole operator.
    pub span: Span,
    /// Names and wildcard names.
    pub columns: Vec<Expression>,
}

/// `project-rename new = old`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectRenameOperator {
    /// The whole operator.
    pub span: Span,
    /// The renames; one without a target is for the binder to refuse.
    pub renames: Vec<NamedExpression>,
}

/// `project-reorder a, b* desc`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectReorderOperator {
    /// The whole operator.
    pub span: Span,
    /// The columns that come first.
    pub columns: Vec<ReorderColumn>,
}

/// One entry of `project-reorder`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReorderColumn {
    /// Name and order.
    pub span: Span,
    /// A name, a wildcard name or `*`.
    pub column: Expression,
    /// The order among the columns a wildcard matches.
    pub order: Option<ReorderDirection>,
}

/// The order among the columns a wildcard matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReorderDirection {
    /// `asc`.
    Ascending,
    /// `desc`.
    Descending,
    /// `granny-asc`: digits compare as numbers.
    GrannyAscending,
    /// `granny-desc`.
    GrannyDescending,
}

impl ReorderDirection {
    /// Returns how the order is written.
    pub fn symbol(self) -> &'static str {
        match self {
            ReorderDirection::Ascending => "asc",
            ReorderDirection::Descending => "desc",
            ReorderDirection::GrannyAscending => "granny-asc",
            ReorderDirection::GrannyDescending => "granny-desc",
        }
    }
}

/// `project-smart`.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectSmartOperator {
    /// The whole operator.
    pub span: Span,
}

/// `range x from a to b step c`.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeOperator {
    /// The whole operator.
    pub span: Span,
    /// The column.
    pub column: Name,
    /// The first value.
    pub from: Expression,
    /// The greatest value.
    pub to: Expression,
    /// The distance.
    pub step: Expression,
}

/// `reduce by x with threshold = 0.1, characters = "-"`.
#[derive(Debug, Clone, PartialEq)]
pub struct ReduceOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `kind=source`.
    pub parameters: Vec<OperatorParameter>,
    /// The reduced text.
    pub by: NamedExpression,
    /// The settings after `with`.
    pub with: Vec<NamedExpression>,
}

/// `render timechart with (title = "x")`.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderOperator {
    /// The whole operator.
    pub span: Span,
    /// The visualisation.
    pub chart: Name,
    /// The properties, from `with (...)` or the old form without parentheses.
    pub properties: Vec<RenderProperty>,
}

/// One property of a `render`.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderProperty {
    /// Name and values.
    pub span: Span,
    /// The property.
    pub name: Name,
    /// Its value; several only for lists of columns (`ycolumns = a, b`).
    pub values: Vec<Expression>,
}

/// `sample 10`.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The number of rows.
    pub count: Expression,
}

/// `sample-distinct 10 of column`.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleDistinctOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The number of values.
    pub count: Expression,
    /// The column.
    pub of: NamedExpression,
}

/// `scan with_match_id=m declare (x:long = 0) with (step s: condition => x = 1;)`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `with_match_id=m`, `with_step_name=s`.
    pub parameters: Vec<OperatorParameter>,
    /// The order, if given.
    pub order_by: Vec<SortKey>,
    /// The partitions, if given.
    pub partition_by: Vec<Expression>,
    /// The state columns.
    pub declarations: Vec<Parameter>,
    /// The steps in order.
    pub steps: Vec<ScanStep>,
}

/// One step of a `scan`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanStep {
    /// The whole step.
    pub span: Span,
    /// The step's name.
    pub name: Name,
    /// Whether it was written `optional`.
    pub is_optional: bool,
    /// `all`, `last` or `none` after `output=`.
    pub output: Option<Name>,
    /// The condition.
    pub condition: Expression,
    /// The assignments after `=>`.
    pub assignments: Vec<ScanAssignment>,
}

/// `state = expression` in a step of a `scan`.
#[derive(Debug, Clone, PartialEq)]
pub struct ScanAssignment {
    /// The whole assignment.
    pub span: Span,
    /// The state column.
    pub name: Name,
    /// Its new value.
    pub expression: Expression,
}

/// `search in (tables) "text"`.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOperator {
    /// The whole operator.
    pub span: Span,
    /// For example `kind=case_sensitive`, `datascope=hotcache`.
    pub parameters: Vec<OperatorParameter>,
    /// The tables after `in`; empty means all, or the piped rows.
    pub sources: Vec<Expression>,
    /// The predicate: terms are string literals, `*` is [`Expression::Star`].
    pub predicate: Expression,
}

/// `serialize` or `serialize n = row_number()`.
#[derive(Debug, Clone, PartialEq)]
pub struct SerializeOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// New columns, as in `extend`.
    pub expressions: Vec<NamedExpression>,
}

/// `sort by a asc nulls first, b`, also `order by`.
#[derive(Debug, Clone, PartialEq)]
pub struct SortOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The keys in order.
    pub keys: Vec<SortKey>,
}

/// One key of a sort. What is not said defaults to descending, and nulls last when descending, first when ascending.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// Expression and order.
    pub span: Span,
    /// The key.
    pub expression: NamedExpression,
    /// The direction, if said.
    pub direction: Option<SortDirection>,
    /// The place of nulls, if said.
    pub nulls: Option<NullsOrder>,
}

/// The direction of a sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortDirection {
    /// `asc`.
    Ascending,
    /// `desc`.
    Descending,
}

/// The place of nulls in a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NullsOrder {
    /// `nulls first`.
    First,
    /// `nulls last`.
    Last,
}

/// `summarize n = count() by k`.
#[derive(Debug, Clone, PartialEq)]
pub struct SummarizeOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The aggregates; may be empty.
    pub aggregates: Vec<NamedExpression>,
    /// The group keys; `None` if there is no `by`.
    pub by: Option<Vec<NamedExpression>>,
    /// The old `bin=` after the keys.
    pub bin: Option<Expression>,
}

/// `take 10`, also `limit 10`.
#[derive(Debug, Clone, PartialEq)]
pub struct TakeOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The number of rows.
    pub count: Expression,
}

/// `top 10 by a desc`.
#[derive(Debug, Clone, PartialEq)]
pub struct TopOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The number of rows.
    pub count: Expression,
    /// The keys, at least one.
    pub by: Vec<SortKey>,
}

/// `top-hitters 5 of x by weight`.
#[derive(Debug, Clone, PartialEq)]
pub struct TopHittersOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The number of values.
    pub count: Expression,
    /// The counted expression.
    pub of: NamedExpression,
    /// The weight, if given.
    pub by: Option<SortKey>,
}

/// `top-nested 2 of a by count(), top-nested 3 of b by sum(x)`.
#[derive(Debug, Clone, PartialEq)]
pub struct TopNestedOperator {
    /// The whole operator.
    pub span: Span,
    /// The levels, outermost first.
    pub levels: Vec<TopNestedLevel>,
}

/// One level of a `top-nested`.
#[derive(Debug, Clone, PartialEq)]
pub struct TopNestedLevel {
    /// The whole level.
    pub span: Span,
    /// The number of values; `None` keeps all.
    pub count: Option<Expression>,
    /// The key.
    pub of: NamedExpression,
    /// The label after `with others =`.
    pub others: Option<Expression>,
    /// The aggregate that ranks.
    pub by: SortKey,
}

/// `union kind=outer withsource=T a, b*`.
#[derive(Debug, Clone, PartialEq)]
pub struct UnionOperator {
    /// The whole operator.
    pub span: Span,
    /// `kind=`, `withsource=`, `isfuzzy=`, hints.
    pub parameters: Vec<OperatorParameter>,
    /// The tables: names, wildcard names, paths, calls, parenthesised queries.
    pub sources: Vec<Expression>,
}

/// `where predicate`, also `filter`.
#[derive(Debug, Clone, PartialEq)]
pub struct WhereOperator {
    /// The whole operator.
    pub span: Span,
    /// Hints.
    pub parameters: Vec<OperatorParameter>,
    /// The predicate.
    pub predicate: Expression,
}
