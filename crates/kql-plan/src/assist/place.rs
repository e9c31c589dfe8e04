//! Where the cursor stands, told by tokens alone: in which bracket, after which pipe, behind what.

use moneta_kql::lexer::tokenize;
use moneta_kql::syntax::Span;
use moneta_kql::token::{Token, TokenKind as K};

/// A bracket that is open at the cursor, or the text itself, and what was written in it since its last pipe or `;`.
#[derive(Debug, Clone)]
pub struct Level<'a> {
    /// The bracket; `None` for the text itself.
    pub opener: Option<K>,
    /// Where the bracket or the text begins.
    pub start: usize,
    /// The word right before the bracket.
    pub callee: &'a str,
    /// The tokens since the last pipe, `;` or the bracket. Groups that are closed again are left out but for their
    /// closing bracket.
    pub tokens: Vec<Token>,
    /// Whether a pipe stands before them.
    pub is_after_pipe: bool,
}

/// The place of the cursor.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// The text before the word that is being written.
    pub before: &'a str,
    /// The word that is being written, up to the cursor.
    pub word: &'a str,
    /// What a completion replaces.
    pub replaces: Span,
    /// The open brackets, the text itself first.
    pub levels: Vec<Level<'a>>,
}

impl<'a> Place<'a> {
    /// The place at an offset; `None` inside a string or comment.
    pub fn at(text: &'a str, offset: usize) -> Option<Self> {
        let offset = text.floor_char_boundary(offset.min(text.len()));
        let is_part = |c: char| c == '_' || c.is_alphanumeric();
        let typed = &text[..offset];
        let mut start =
            typed.rfind(|c| !is_part(c)).map_or(0, |at| at + typed[at..].chars().next().map_or(1, char::len_utf8));
        // Keywords with a hyphen, and `$left`, are one word; after a pipe only, where no minus can stand.
        let head = typed.rfind('|').map(|pipe| pipe + 1).filter(|from| {
            let rest = typed[*from..].trim_start();
            rest.chars().all(|c| is_part(c) || c == '-')
        });
        if let Some(from) = head {
            start = start.min(offset - typed[from..].trim_start().len());
        }
        if text[..start].ends_with('$') {
            start -= 1;
        }
        let end = offset + text[offset..].find(|c| !is_part(c)).unwrap_or(text.len() - offset);
        let before = &text[..start];
        if ends_in_string_or_comment(before) {
            return None;
        }
        let levels = levels(before);
        Some(Self { before, word: &text[start..offset], replaces: Span::new(start, end), levels })
    }

    /// The innermost level.
    pub fn inner(&self) -> Option<&Level<'a>> {
        self.levels.last()
    }

    /// The text of a token.
    pub fn text(&self, token: Token) -> &'a str {
        token.span.text(self.before)
    }

    /// The keyword of the innermost operator that is known by `is_operator`, and its level.
    pub fn operator(&self, is_operator: impl Fn(&str) -> bool) -> Option<(&'a str, &Level<'a>)> {
        self.levels.iter().rev().find_map(|level| {
            let first = level.tokens.first().map(|token| self.text(*token))?;
            is_operator(first).then_some((first, level))
        })
    }
}

/// Whether a text ends inside a string that is not closed, or inside a comment.
fn ends_in_string_or_comment(text: &str) -> bool {
    let tokens = tokenize(text);
    let last = tokens.iter().rev().find(|token| token.kind != K::End);
    let gap = &text[last.map_or(0, |token| token.span.end)..];
    let open = last.is_some_and(|token| token.kind == K::OpenString && !gap.contains('\n'));
    open || gap.rsplit('\n').next().is_some_and(|line| line.contains("//"))
}

fn levels(text: &str) -> Vec<Level<'_>> {
    let level = |opener, start, callee| Level { opener, start, callee, tokens: Vec::new(), is_after_pipe: false };
    let mut levels = vec![level(None, 0, "")];
    for token in tokenize(text) {
        let Some(current) = levels.last_mut() else { return levels };
        match token.kind {
            K::End => break,
            K::OpenParen | K::OpenBracket | K::OpenBrace => {
                let before = current.tokens.last().filter(|before| before.kind == K::Word);
                let callee = before.map_or("", |before| before.span.text(text));
                levels.push(level(Some(token.kind), token.span.start, callee));
            }
            K::CloseParen | K::CloseBracket | K::CloseBrace => {
                if levels.len() > 1 {
                    levels.pop();
                }
                if let Some(outer) = levels.last_mut() {
                    outer.tokens.push(token);
                }
            }
            K::Pipe | K::Semicolon => {
                current.tokens.clear();
                current.is_after_pipe = token.kind == K::Pipe;
            }
            _ => current.tokens.push(token),
        }
    }
    levels
}
