//! Tokens with what stands before them: comments, line breaks, blank lines.
//!
//! What must stay as it was written becomes one piece: commands, and literals whose content is read raw.

use crate::lexer::tokenize;
use crate::parser::{has_raw_input, is_raw_literal};
use crate::syntax::Span;
use crate::token::{Token, TokenKind as K};

/// A token, or a run of them that is never touched.
#[derive(Debug, Clone)]
pub(super) struct Piece<'a> {
    pub(super) kind: K,
    pub(super) text: &'a str,
    pub(super) gap: Gap<'a>,
    /// Whether it holds a string that is never closed.
    pub(super) is_unclosed: bool,
}

/// What stands between a piece and the one before it.
#[derive(Debug, Clone, Default)]
pub(super) struct Gap<'a> {
    pub(super) comments: Vec<Comment<'a>>,
    /// Whether there is anything at all.
    pub(super) is_open: bool,
    pub(super) has_newline: bool,
    /// Whether an empty line stands right before the piece.
    pub(super) has_blank_line: bool,
}

/// A comment or a directive line.
#[derive(Debug, Clone)]
pub(super) struct Comment<'a> {
    pub(super) text: &'a str,
    /// Whether it stands behind something on its line.
    pub(super) is_trailing: bool,
    pub(super) has_blank_line: bool,
}

/// Cuts a text without syntax errors into pieces; the last one is the end.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let tokens = tokenize(text);
    let mut pieces: Vec<Piece<'_>> = Vec::with_capacity(tokens.len());
    let (mut at, mut offset) = (0, 0);
    while let Some(first) = tokens.get(at) {
        let last = last_of_piece(text, &tokens, at);
        let mut span = first.span.to(tokens[last].span);
        if tokens[last].kind == K::End && last > at {
            span = Span::new(span.start, text.trim_end().len().max(span.start));
        }
        let kind = match last - at {
            0 => first.kind,
            _ if first.kind == K::Dot => K::Word,
            _ => K::Long,
        };
        let gap = gap(&text[offset..span.start], offset == 0);
        let is_unclosed = tokens[at..=last].iter().any(|token| token.kind == K::OpenString);
        pieces.push(Piece { kind, text: span.text(text), gap, is_unclosed });
        offset = span.end;
        // A piece that took the end leaves it for the last piece.
        at = if tokens[last].kind == K::End && last > at { last } else { last + 1 };
    }
    pieces
}

/// The last token of the piece that begins at `at`.
fn last_of_piece(text: &str, tokens: &[Token], at: usize) -> usize {
    let kind = |index: usize| tokens.get(index).map_or(K::End, |token| token.kind);
    let begins_statement = at == 0 || matches!(kind(at - 1), K::Semicolon | K::OpenBrace | K::OpenParen);
    if kind(at) == K::Dot && begins_statement {
        return last_of_command(text, tokens, at);
    }
    let is_raw = kind(at) == K::Word && kind(at + 1) == K::OpenParen && is_raw_literal(tokens[at].span.text(text));
    if !is_raw {
        return at;
    }
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate().skip(at + 1) {
        match token.kind {
            K::OpenParen => depth += 1,
            K::CloseParen if depth == 1 => return index,
            K::CloseParen => depth -= 1,
            // A call with a query inside, of a function named like a type.
            K::Pipe | K::Semicolon | K::End => return at,
            _ => {}
        }
    }
    at
}

/// The last token of a command's own text; the end if inline data follows.
fn last_of_command(text: &str, tokens: &[Token], at: usize) -> usize {
    let mut open = 0usize;
    let mut index = at;
    while let Some(token) = tokens.get(index + 1) {
        match token.kind {
            K::LessPipe if open == 0 && is_raw_input(text, &tokens[at + 1..]) => return tokens.len() - 1,
            K::End => break,
            K::Pipe | K::LessPipe | K::Semicolon if open == 0 => break,
            K::OpenParen | K::OpenBracket | K::OpenBrace => open += 1,
            K::CloseParen | K::CloseBracket | K::CloseBrace => open = open.saturating_sub(1),
            _ => {}
        }
        index += 1;
    }
    index
}

/// Whether the words a command begins with say that data or a script follows.
fn is_raw_input(text: &str, tokens: &[Token]) -> bool {
    let words = tokens.iter().take_while(|token| token.kind == K::Word);
    has_raw_input(words.map(|token| token.span.text(text)))
}

/// Reads the text between two tokens: white space and comments.
fn gap(text: &str, begins_text: bool) -> Gap<'_> {
    let mut gap = Gap { is_open: !text.is_empty(), ..Gap::default() };
    let mut newlines = if begins_text { 1 } else { 0 };
    let mut after_comment = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '/' || c == '#' {
            let length = rest.find(is_line_end).unwrap_or(rest.len());
            let comment = rest[..length].trim_end();
            let has_blank_line = newlines > 1 && !(begins_text && gap.comments.is_empty());
            gap.comments.push(Comment { text: comment, is_trailing: newlines == 0, has_blank_line });
            (newlines, after_comment) = (0, true);
            rest = &rest[length..];
            continue;
        }
        if is_line_end(c) {
            // `\r\n` ends one line.
            let length = if rest.starts_with("\r\n") { 2 } else { c.len_utf8() };
            newlines += 1;
            gap.has_newline = true;
            rest = &rest[length..];
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    gap.has_blank_line = newlines > 1 && (after_comment || !begins_text);
    gap
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{2028}' | '\u{2029}')
}

impl Piece<'static> {
    /// A piece without text.
    pub(super) const fn nothing() -> Self {
        let gap = Gap { comments: Vec::new(), is_open: false, has_newline: false, has_blank_line: false };
        Piece { kind: K::End, text: "", gap, is_unclosed: false }
    }
}
