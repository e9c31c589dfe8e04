//! Queries: a source, then operators between pipes. Each family of operators has a file.

mod aggregates;
mod columns;
mod control;
mod graphs;
mod rows;
mod tables;

use super::literals::is_raw_literal;
use super::{LoneEqual, Mode, Parser};
use crate::diagnostic::{Diagnostic, codes};
use crate::nearest::nearest;
use crate::syntax::*;
use crate::token::TokenKind as K;

/// Every word that begins an operator.
pub(crate) const OPERATOR_KEYWORDS: &[&str] = &[
    "as",
    "assert-schema",
    "consume",
    "count",
    "distinct",
    "evaluate",
    "execute-and-cache",
    "extend",
    "facet",
    "filter",
    "find",
    "fork",
    "getschema",
    "graph-mark-components",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table",
    "graph-where-edges",
    "graph-where-nodes",
    "invoke",
    "join",
    "limit",
    "lookup",
    "macro-expand",
    "make-graph",
    "make-series",
    "mv-apply",
    "mv-expand",
    "mvapply",
    "mvexpand",
    "order",
    "parse",
    "parse-kv",
    "parse-where",
    "partition",
    "print",
    "project",
    "project-away",
    "project-by-names",
    "project-keep",
    "project-rename",
    "project-reorder",
    "project-smart",
    "range",
    "reduce",
    "render",
    "sample",
    "sample-distinct",
    "scan",
    "search",
    "serialize",
    "sort",
    "summarize",
    "take",
    "top",
    "top-hitters",
    "top-nested",
    "union",
    "where",
];

/// Operators that may stand first, because they need no input.
const SOURCE_OPERATORS: [&str; 7] = ["evaluate", "find", "macro-expand", "print", "range", "search", "union"];

/// Parameters any operator takes, besides `hint.*`.
const COMMON_PARAMETERS: [&str; 8] = [
    "__crossCluster",
    "__crossDB",
    "__id",
    "__isFuzzy",
    "__noWithSource",
    "__packedColumn",
    "__sourceColumnIndex",
    "decodeblocks",
];

impl Parser<'_> {
    /// ( expression | source operator ) { "|" operator }
    pub(super) fn query(&mut self) -> Expression {
        let start = self.start();
        if self.at_source_operator() {
            let first = self.operator();
            let operators = self.pipeline(vec![first]);
            return Expression::Pipe(Box::new(PipeExpression { span: self.finish(start), source: None, operators }));
        }
        let source = self.expression();
        let operators = self.pipeline(Vec::new());
        if operators.is_empty() {
            return source;
        }
        let span = source.span().to(self.finish(start));
        Expression::Pipe(Box::new(PipeExpression { span, source: Some(source), operators }))
    }

    /// ( operator | contextual table ) { "|" operator }: a query over rows the enclosing operator supplies
    pub(super) fn subquery(&mut self) -> PipeExpression {
        let start = self.start();
        let mut operators = Vec::new();
        let mut source = None;
        if self.at_word("__contextual_datatable") {
            source = Some(self.expression());
        } else if self.at(K::Word) {
            operators.push(self.operator());
        } else {
            self.expected("an operator");
        }
        let operators = self.pipeline(operators);
        PipeExpression { span: self.finish(start), source, operators }
    }

    /// Whether an operator that needs no input begins here, and not a name or call spelt like one.
    fn at_source_operator(&self) -> bool {
        let word = self.word();
        if !SOURCE_OPERATORS.contains(&word) {
            return false;
        }
        match self.nth(1) {
            K::Word if word == "range" => self.nth_word(2) == "from" || self.nth(2) == K::Equal,
            K::Word => !OPERATOR_INFIX_WORDS.contains(&self.nth_word(1)) || word == "find" || word == "search",
            K::OpenBracket => self.at_bracketed_name(1) && (word != "range" || self.nth_word(4) == "from"),
            K::OpenParen => word != "range" && word != "macro-expand",
            K::String | K::OpenString | K::Long | K::Real | K::Timespan | K::Minus | K::Star => word != "range",
            _ => false,
        }
    }

    /// { "|" operator }, with recovery between operators
    pub(super) fn pipeline(&mut self, mut operators: Vec<Operator>) -> Vec<Operator> {
        loop {
            if !operators.is_empty() {
                self.recover_after_operator(&mut operators);
            }
            if self.eat(K::Pipe) {
                operators.push(self.operator());
            } else if self.at_missing_pipe(!operators.is_empty()) {
                let message = format!("expected `|` before {}", self.found());
                self.error_here(message, None);
                operators.push(self.operator());
            } else {
                return operators;
            }
        }
    }

    /// Whether an operator begins here although no `|` stands before it.
    fn at_missing_pipe(&self, has_operators: bool) -> bool {
        OPERATOR_KEYWORDS.contains(&self.word())
            && (self.begins_line() || has_operators)
            && matches!(self.nth(1), K::Word | K::OpenBracket | K::Star | K::Long | K::OpenParen)
    }

    /// Skips what an operator left over, up to where another can begin.
    fn recover_after_operator(&mut self, operators: &mut Vec<Operator>) {
        let is_nested = self.depth > 1;
        let is_statement = self.begins_line()
            && matches!(self.word(), "let" | "set" | "declare" | "restrict" | "alias")
            && self.name_length(1) > 0;
        if self.at_operator_end()
            || is_statement
            || self.at_missing_pipe(true)
            || (is_nested && matches!(self.kind(), K::Comma | K::DotDot))
        {
            return;
        }
        self.expected("`|`, `;` or the end of the query");
        let skipped = self.skip_to_recovery(false);
        if !skipped.span.is_empty() {
            operators.push(Operator::Unknown(skipped));
        }
    }

    /// One operator; the pipe before it is consumed.
    pub(super) fn operator(&mut self) -> Operator {
        self.with_mode(Mode::default(), |parser| parser.frame(Self::operator_by_keyword))
    }

    fn operator_by_keyword(&mut self) -> Operator {
        // One small function per operator: a single one with every arm would have a frame of many kilobytes.
        let parse: fn(&mut Self) -> Operator = match self.word() {
            "as" => |parser| Operator::As(parser.as_operator()),
            "assert-schema" => |parser| Operator::AssertSchema(parser.assert_schema()),
            "consume" => |parser| Operator::Consume(parser.consume()),
            "count" => |parser| Operator::Count(parser.count()),
            "distinct" => |parser| Operator::Distinct(parser.distinct()),
            "evaluate" => |parser| Operator::Evaluate(parser.evaluate()),
            "__executeAndCache" | "execute-and-cache" => |parser| Operator::ExecuteAndCache(parser.execute_and_cache()),
            "extend" => |parser| Operator::Extend(parser.extend()),
            "facet" => |parser| Operator::Facet(parser.facet()),
            "find" => |parser| Operator::Find(parser.find()),
            "fork" => |parser| Operator::Fork(parser.fork()),
            "getschema" => |parser| Operator::GetSchema(parser.get_schema()),
            "graph-mark-components" => |parser| Operator::GraphMarkComponents(parser.graph_mark_components()),
            "graph-match" => |parser| Operator::GraphMatch(parser.graph_match()),
            "graph-shortest-paths" => |parser| Operator::GraphShortestPaths(parser.graph_match()),
            "graph-to-table" => |parser| Operator::GraphToTable(parser.graph_to_table()),
            "graph-where-edges" => |parser| Operator::GraphWhereEdges(parser.graph_where()),
            "graph-where-nodes" => |parser| Operator::GraphWhereNodes(parser.graph_where()),
            "invoke" => |parser| Operator::Invoke(parser.invoke()),
            "join" => |parser| Operator::Join(parser.join()),
            "lookup" => |parser| Operator::Lookup(parser.lookup()),
            "macro-expand" => |parser| Operator::MacroExpand(parser.macro_expand()),
            "make-graph" => |parser| Operator::MakeGraph(parser.make_graph()),
            "make-series" => |parser| Operator::MakeSeries(parser.make_series()),
            "mv-apply" | "mvapply" => |parser| Operator::MvApply(parser.mv_apply()),
            "mv-expand" | "mvexpand" => |parser| Operator::MvExpand(parser.mv_expand()),
            "parse" => |parser| Operator::Parse(parser.parse_operator()),
            "parse-kv" => |parser| Operator::ParseKv(parser.parse_kv()),
            "parse-where" => |parser| Operator::ParseWhere(parser.parse_operator()),
            "partition" => |parser| Operator::Partition(parser.partition()),
            "__partitionby" => |parser| Operator::PartitionBy(parser.partition_by()),
            "print" => |parser| Operator::Print(parser.print()),
            "project" => |parser| Operator::Project(parser.project()),
            "project-away" => |parser| Operator::ProjectAway(parser.project_away()),
            "project-by-names" => |parser| Operator::ProjectByNames(parser.project_by_names()),
            "project-keep" => |parser| Operator::ProjectKeep(parser.project_keep()),
            "project-rename" => |parser| Operator::ProjectRename(parser.project_rename()),
            "project-reorder" => |parser| Operator::ProjectReorder(parser.project_reorder()),
            "project-smart" => |parser| Operator::ProjectSmart(parser.project_smart()),
            "range" => |parser| Operator::Range(parser.range()),
            "reduce" => |parser| Operator::Reduce(parser.reduce()),
            "render" => |parser| Operator::Render(parser.render()),
            "sample" => |parser| Operator::Sample(parser.sample()),
            "sample-distinct" => |parser| Operator::SampleDistinct(parser.sample_distinct()),
            "scan" => |parser| Operator::Scan(parser.scan()),
            "search" => |parser| Operator::Search(parser.search()),
            "serialize" => |parser| Operator::Serialize(parser.serialize()),
            "sort" | "order" => |parser| Operator::Sort(parser.sort()),
            "summarize" => |parser| Operator::Summarize(parser.summarize()),
            "take" | "limit" => |parser| Operator::Take(parser.take()),
            "top" => |parser| Operator::Top(parser.top()),
            "top-hitters" => |parser| Operator::TopHitters(parser.top_hitters()),
            "top-nested" => |parser| Operator::TopNested(parser.top_nested()),
            "union" => |parser| Operator::Union(parser.union()),
            "where" | "filter" => |parser| Operator::Where(parser.where_operator()),
            _ => |parser| Operator::Unknown(parser.unknown_operator()),
        };
        parse(self)
    }

    fn unknown_operator(&mut self) -> Skipped {
        if self.at(K::Pipe) && self.is_second_pipe() {
            self.error_here("`||` is no operator".into(), Some("did you mean `or`?".into()));
            self.bump();
        } else if self.at(K::Word) {
            let word = self.joined_words();
            let suggestion = nearest(word, OPERATOR_KEYWORDS.iter().copied());
            let message = format!("unknown operator `{word}`");
            let span = Span::new(self.start(), self.start() + word.len());
            if self.last_error_position != Some(self.position) {
                self.last_error_position = Some(self.position);
                let advice = suggestion.map(|keyword| format!("did you mean `{keyword}`?"));
                self.report(Diagnostic { suggestion: advice, ..Diagnostic::error(codes::UNEXPECTED, span, message) });
            }
        } else {
            self.expected("an operator after `|`");
        }
        let start = self.start();
        let skipped = self.skip_to_recovery(false);
        if skipped.span.is_empty() { Skipped { text: String::new(), span: self.finish(start) } } else { skipped }
    }

    fn is_second_pipe(&self) -> bool {
        self.start() == self.previous_end && self.position > 0 && self.tokens[self.position - 1].kind == K::Pipe
    }

    /// The current word with what hyphens join to it, for messages.
    fn joined_words(&self) -> &str {
        let mut ahead = 0;
        while self.nth(ahead + 1) == K::Minus
            && self.is_joined(ahead + 1)
            && self.nth(ahead + 2) == K::Word
            && self.is_joined(ahead + 2)
        {
            ahead += 2;
        }
        Span::new(self.start(), self.nth_token(ahead).span.end).text(self.text)
    }

    // Parameters.

    /// { name "=" value }: the named ones, the common ones and `hint.*`
    pub(super) fn parameters(&mut self, names: &[&str]) -> Vec<OperatorParameter> {
        let mut parameters = Vec::new();
        loop {
            let word = self.word();
            let is_plain = (names.contains(&word) || COMMON_PARAMETERS.contains(&word)) && self.nth(1) == K::Equal;
            let is_hint = word == "hint" && self.nth(1) == K::Dot && self.nth(3) == K::Equal;
            if !is_plain && !is_hint {
                return parameters;
            }
            parameters.push(self.parameter_value());
        }
    }

    /// { name "=" value } with any name
    pub(super) fn any_parameters(&mut self) -> Vec<OperatorParameter> {
        let mut parameters = Vec::new();
        while self.at(K::Word)
            && !self.at_word("pathformat")
            && (self.nth(1) == K::Equal || (self.at_word("hint") && self.nth(1) == K::Dot))
        {
            parameters.push(self.parameter_value());
        }
        parameters
    }

    /// name { "." name } "=" ( name | literal )
    fn parameter_value(&mut self) -> OperatorParameter {
        let start = self.start();
        let mut name = self.name();
        while self.eat(K::Dot) {
            self.name();
            name.span = self.finish(start);
            name.text = name.span.text(self.text).split_whitespace().collect();
        }
        self.expect(K::Equal);
        let value = match self.kind() {
            K::Word if self.nth(1) != K::OpenParen || !is_raw_literal(self.word()) && !self.at_word("dynamic") => {
                if matches!(self.word(), "true" | "false" | "True" | "False" | "TRUE" | "FALSE") {
                    self.boolean()
                } else {
                    Expression::Name(Box::new(self.name()))
                }
            }
            _ => self.frame(Self::unary_value),
        };
        OperatorParameter { span: self.finish(start).to(value.span()), name, value }
    }

    fn unary_value(&mut self) -> Expression {
        self.operand()
    }

    /// "(" name "=" value { "," name "=" value } ")"
    pub(super) fn properties(&mut self) -> Vec<OperatorParameter> {
        self.bracketed_list(K::OpenParen, K::CloseParen, |parser| {
            let start = parser.start();
            let name = parser.name();
            parser.expect(K::Equal);
            let value = parser.expression();
            OperatorParameter { span: parser.finish(start), name, value }
        })
    }
}

/// Words after a name that show it is an operand, not an operator.
const OPERATOR_INFIX_WORDS: [&str; 12] =
    ["and", "or", "in", "has", "contains", "between", "startswith", "endswith", "matches", "has_any", "has_all", "on"];
