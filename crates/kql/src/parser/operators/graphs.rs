//! Graph operators.

use super::Parser;
use crate::syntax::*;
use crate::token::TokenKind as K;

impl Parser<'_> {
    /// "make-graph" [ parameters ] source arrow target [ "with" nodes ] [ "partitioned-by" column "(" subquery ")" ]
    pub(super) fn make_graph(&mut self) -> MakeGraphOperator {
        let start = self.start();
        self.bump();
        let mut parameters = self.parameters(&["with_node_id"]);
        let source = self.name();
        let direction = self.make_graph_arrow();
        let target = self.name();
        parameters.extend(self.parameters(&["with_node_id"]));
        let nodes = if self.eat_word("with") { self.list(Self::graph_nodes) } else { Vec::new() };
        parameters.extend(self.parameters(&["with_node_id"]));
        let partition = self.at_word("partitioned-by").then(|| self.graph_partition());
        MakeGraphOperator { span: self.finish(start), parameters, source, direction, target, nodes, partition }
    }

    /// "-->" | "--"
    fn make_graph_arrow(&mut self) -> EdgeDirection {
        if !(self.at(K::Minus) && self.nth(1) == K::Minus) {
            self.expected("`-->`");
            // `->` surely means the arrow.
            if self.eat(K::Minus) {
                self.eat(K::Greater);
            }
            return EdgeDirection::Right;
        }
        self.bump();
        self.bump();
        if self.eat(K::Greater) { EdgeDirection::Right } else { EdgeDirection::Any }
    }

    /// table "on" column
    fn graph_nodes(&mut self) -> GraphNodes {
        let start = self.start();
        let table = self.operand();
        self.expect_word("on");
        let id = self.name();
        GraphNodes { span: self.finish(start).to(table.span()), table, id }
    }

    /// "partitioned-by" column "(" subquery ")"
    fn graph_partition(&mut self) -> GraphPartition {
        let start = self.start();
        self.bump();
        let column = self.name();
        let query = self.in_parentheses(Self::subquery);
        GraphPartition { span: self.finish(start), column, query }
    }

    /// ( "graph-match" | "graph-shortest-paths" ) [ parameters ] patterns [ "where" predicate ] [ "project" columns ]
    pub(super) fn graph_match(&mut self) -> GraphMatchOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["cycles", "output"]);
        let patterns = self.list(Self::graph_pattern);
        let predicate = self.eat_word("where").then(|| self.predicate());
        let projection = if self.eat_word("project") { self.list(Self::named_expression) } else { Vec::new() };
        GraphMatchOperator { span: self.finish(start), parameters, patterns, predicate, projection }
    }

    /// node { edge node }
    fn graph_pattern(&mut self) -> GraphPattern {
        let start = self.start();
        let mut elements = vec![GraphPatternElement::Node(self.graph_pattern_node())];
        while matches!(self.kind(), K::Minus | K::Less) {
            elements.push(GraphPatternElement::Edge(self.graph_pattern_edge()));
            elements.push(GraphPatternElement::Node(self.graph_pattern_node()));
        }
        GraphPattern { span: self.finish(start), elements }
    }

    /// "(" [ name ] ")"
    fn graph_pattern_node(&mut self) -> GraphPatternNode {
        let start = self.start();
        let mut name = None;
        if self.expect(K::OpenParen) {
            name = self.opt_name();
            self.close(K::CloseParen);
        }
        GraphPatternNode { span: self.finish(start), name }
    }

    /// [ "<" ] "-" [ "[" [ name ] [ "*" min ".." max ] "]" ] "-" [ ">" ]
    fn graph_pattern_edge(&mut self) -> GraphPatternEdge {
        let start = self.start();
        let is_left = self.eat(K::Less);
        self.expect(K::Minus);
        let mut name = None;
        let mut hops = None;
        if self.eat(K::OpenBracket) {
            name = self.opt_name();
            hops = self.at(K::Star).then(|| self.edge_hops());
            self.close(K::CloseBracket);
        }
        self.expect(K::Minus);
        let direction = match (is_left, self.eat(K::Greater)) {
            (true, _) => EdgeDirection::Left,
            (false, true) => EdgeDirection::Right,
            (false, false) => EdgeDirection::Any,
        };
        GraphPatternEdge { span: self.finish(start), name, direction, hops }
    }

    /// "*" min ".." max
    fn edge_hops(&mut self) -> EdgeHops {
        let start = self.start();
        self.bump();
        let min = self.operand();
        self.expect(K::DotDot);
        let max = self.operand();
        EdgeHops { span: self.finish(start), min, max }
    }

    /// "graph-to-table" output { "," output }
    pub(super) fn graph_to_table(&mut self) -> GraphToTableOperator {
        let start = self.start();
        self.bump();
        let outputs = self.list(Self::graph_output);
        GraphToTableOperator { span: self.finish(start), outputs }
    }

    /// ( "nodes" | "edges" ) [ "as" name ] [ parameters ]
    fn graph_output(&mut self) -> GraphOutput {
        const PARAMETERS: [&str; 4] = ["with_node_id", "with_source_id", "with_target_id", "with_edge_id"];
        let start = self.start();
        let kind = self.name();
        let mut parameters = self.parameters(&PARAMETERS);
        let name = self.eat_word("as").then(|| self.name());
        parameters.extend(self.parameters(&PARAMETERS));
        GraphOutput { span: self.finish(start), kind, name, parameters }
    }

    /// ( "graph-where-nodes" | "graph-where-edges" ) predicate
    pub(super) fn graph_where(&mut self) -> GraphWhereOperator {
        let start = self.start();
        self.bump();
        let predicate = self.predicate();
        GraphWhereOperator { span: self.finish(start), predicate }
    }

    /// "graph-mark-components" [ parameters ]
    pub(super) fn graph_mark_components(&mut self) -> GraphMarkComponentsOperator {
        let start = self.start();
        self.bump();
        let parameters = self.parameters(&["kind", "with_component_id"]);
        GraphMarkComponentsOperator { span: self.finish(start), parameters }
    }
}
