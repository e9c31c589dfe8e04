//! Whether a space stands between two tokens.
//!
//! Where the answer depends on what a token means (`*` in a name or between factors), the writer's own choice stays:
//! a wrong guess must never change the tree, and a right one is worth little.

use super::pieces::Piece;
use crate::token::{OPEN_WORDS, TokenKind as K};

/// Where a token stands.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Context<'a> {
    /// The keyword of the operator or statement around it.
    head: &'a str,
    /// The index of that keyword.
    head_at: usize,
    /// Inside `dynamic(...)`.
    pub(super) is_json: bool,
    /// Inside the pattern of a graph operator.
    pub(super) is_graph: bool,
    /// Inside parentheses.
    is_parenthesized: bool,
    /// Inside square brackets.
    is_bracketed: bool,
}

/// Words after which `name = value` names a column or variable, and is not a parameter.
const NAMING_WORDS: [&str; 14] = [
    "alias",
    "by",
    "database",
    "declare",
    "distinct",
    "extend",
    "fork",
    "let",
    "print",
    "project",
    "project-rename",
    "serialize",
    "set",
    "summarize",
];

/// Parameters that are written `name=value`.
const PARAMETERS: [&str; 27] = [
    "__crossCluster",
    "__crossDB",
    "__id",
    "__isFuzzy",
    "__noWithSource",
    "__packedColumn",
    "__sourceColumnIndex",
    "bagexpansion",
    "bin",
    "cycles",
    "datascope",
    "decodeblocks",
    "default",
    "flags",
    "isfuzzy",
    "kind",
    "output",
    "with_component_id",
    "with_edge_id",
    "with_itemindex",
    "with_match_id",
    "with_node_id",
    "with_source",
    "with_source_id",
    "with_step_name",
    "with_target_id",
    "withsource",
];

/// Words that stand apart from a parenthesis after them.
const APART_WORDS: [&str; 23] = [
    "access",
    "aggregations",
    "and",
    "as",
    "base",
    "between",
    "by",
    "declare",
    "delta",
    "has_all",
    "has_any",
    "in",
    "inner",
    "join",
    "lookup",
    "macro-expand",
    "on",
    "or",
    "query_parameters",
    "to",
    "union",
    "where",
    "with",
];

impl<'a> Context<'a> {
    /// The context after the first word of an operator or statement.
    pub(super) fn with_head(self, head: &'a str, head_at: usize) -> Self {
        let is_graph = matches!(head, "make-graph" | "graph-match" | "graph-shortest-paths");
        Self { head, head_at, is_graph, ..self }
    }

    /// The context inside a bracket that stands after the text `before`.
    pub(super) fn inside(self, opens: K, before: Option<&str>) -> Self {
        Self {
            is_json: self.is_json || (opens == K::OpenParen && before == Some("dynamic")),
            is_parenthesized: opens == K::OpenParen,
            is_bracketed: opens == K::OpenBracket,
            ..self
        }
    }
}

/// Whether a space stands before the piece at `at`, unless a line begins there.
pub(super) fn has_space(pieces: &[Piece<'_>], at: usize, context: Context<'_>) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    let (previous, next) = (&pieces[before], &pieces[at]);
    let was_apart = next.gap.is_open;
    match (previous.kind, next.kind) {
        (_, K::Comma | K::Semicolon | K::CloseParen | K::CloseBracket | K::End)
        | (K::OpenParen | K::OpenBracket, _) => false,
        (K::Comma | K::Semicolon | K::Pipe, _) | (_, K::Pipe | K::LessPipe) => true,
        _ if context.is_json => previous.kind == K::Colon || (was_apart && !is_json_joint(previous.kind, next.kind)),
        (K::OpenBrace, K::CloseBrace) => false,
        (K::OpenBrace, _) | (_, K::OpenBrace | K::CloseBrace) => true,
        _ if context.is_graph => was_apart,
        (a, b) if is_comparison(a) || is_comparison(b) => true,
        (K::Equal, _) => !is_parameter(pieces, before),
        (_, K::Equal) => !is_parameter(pieces, at),
        (sign, _) if is_arithmetic(sign) => space_after_sign(pieces, before, context, was_apart),
        (_, sign) if is_arithmetic(sign) => was_apart || is_binary(pieces, at, context),
        (_, K::Dot) | (K::Dot, _) => was_apart && !may_touch_dot(pieces, before, at),
        (_, K::DotDot) | (K::DotDot, _) => was_apart || !context.is_bracketed,
        (_, K::Colon) | (K::Colon, _) if context.is_parenthesized && context.head != "scan" => false,
        (K::Word, K::OpenParen) => was_apart || (APART_WORDS.contains(&previous.text) && !is_member(pieces, before)),
        (K::InCaseless | K::NotInCaseless | K::NotWord, K::OpenParen) => true,
        _ => was_apart,
    }
}

fn is_json_joint(previous: K, next: K) -> bool {
    matches!(previous, K::OpenBrace | K::Minus | K::Plus) || matches!(next, K::CloseBrace | K::Colon)
}

fn is_comparison(kind: K) -> bool {
    matches!(
        kind,
        K::EqualEqual
            | K::EqualTilde
            | K::FatArrow
            | K::NotEqual
            | K::NotTilde
            | K::Less
            | K::LessEqual
            | K::LessGreater
            | K::Greater
            | K::GreaterEqual
    )
}

fn is_arithmetic(kind: K) -> bool {
    matches!(kind, K::Plus | K::Minus | K::Star | K::Slash | K::Percent)
}

/// Whether the arithmetic token at `at` certainly stands between two operands.
fn is_binary(pieces: &[Piece<'_>], at: usize, context: Context<'_>) -> bool {
    let Some(before) = at.checked_sub(1) else { return false };
    // What `*` touches may be a name with it inside.
    if pieces[at].kind == K::Star && !matches!(pieces[before].kind, K::CloseParen | K::CloseBracket) {
        return pieces[at].gap.is_open && pieces.get(at + 1).is_some_and(|next| next.gap.is_open);
    }
    match pieces[before].kind {
        K::Long | K::Real | K::Timespan | K::String | K::CloseParen | K::CloseBracket | K::CloseBrace => true,
        K::Word => before != context.head_at && !OPEN_WORDS.contains(&pieces[before].text),
        _ => false,
    }
}

fn space_after_sign(pieces: &[Piece<'_>], sign: usize, context: Context<'_>, was_apart: bool) -> bool {
    if is_binary(pieces, sign, context) {
        return true;
    }
    // A sign touches its operand; `*` alone is an operand itself.
    was_apart && pieces[sign].kind == K::Star
}

/// Whether `=` at `at` belongs to a parameter of an operator.
fn is_parameter(pieces: &[Piece<'_>], at: usize) -> bool {
    let Some(mut name) = at.checked_sub(1) else { return false };
    let is_plain = PARAMETERS.contains(&pieces[name].text);
    while name >= 2 && pieces[name - 1].kind == K::Dot {
        name -= 2;
    }
    if pieces[name].kind != K::Word || !(is_plain || pieces[name].text == "hint") {
        return false;
    }
    let Some(before) = name.checked_sub(1) else { return false };
    let is_operand_list =
        matches!(pieces[before].kind, K::Comma | K::OpenParen | K::OpenBrace | K::Semicolon | K::Pipe);
    !is_operand_list && !NAMING_WORDS.contains(&pieces[before].text)
}

/// Whether the dot and its neighbour may touch: a number before a dot would take it.
fn may_touch_dot(pieces: &[Piece<'_>], before: usize, at: usize) -> bool {
    let dot = if pieces[at].kind == K::Dot { at } else { before };
    let Some(object) = dot.checked_sub(1).map(|index| &pieces[index]) else { return false };
    match object.kind {
        K::Word => !object.text.starts_with(|c: char| c.is_ascii_digit()) && object.text != "on",
        K::CloseParen | K::CloseBracket => true,
        _ => false,
    }
}

/// Whether the word at `at` is the member of something.
fn is_member(pieces: &[Piece<'_>], at: usize) -> bool {
    at > 0 && pieces[at - 1].kind == K::Dot
}
