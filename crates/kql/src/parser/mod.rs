//! The parser: tokens to tree, by recursive descent with error recovery.
//!
//! Convention: a function named after a production always returns its node; where the text does not have one, the node
//! is a missing one (empty range) and a diagnostic says what was expected. `opt_...` functions may return nothing and
//! then have consumed nothing. Only one diagnostic is given per token, so that one mistake is reported once.
//!
//! # Recovery
//! An operator that meets a token it cannot use stops there; [`Parser::pipeline`] then skips to the next `|`, `;` or
//! closing bracket and keeps what it skipped in the tree. Statements are recovered at `;` and at lines that begin with
//! a statement keyword.
//!
//! # Limits
//! [`NESTING_DEPTH_MAX`] bounds recursion and the height of the tree, [`QUERY_SIZE_BYTES_MAX`] the text,
//! [`DIAGNOSTICS_MAX`] the diagnostics. The parser consumes at least one token per loop turn, so it ends.

mod expressions;
mod literals;
mod operators;
mod sources;
mod statements;

use crate::diagnostic::{Diagnostic, codes};
use crate::lexer::tokenize;
use crate::limits::{DIAGNOSTICS_MAX, NESTING_DEPTH_MAX, QUERY_SIZE_BYTES_MAX, RECOVERY_TOKENS_MAX};
use crate::syntax::{Name, Skipped, Span, SyntaxTree};
use crate::token::{Token, TokenKind};
use std::collections::BTreeSet;

pub(crate) use literals::is_raw_literal;
pub(crate) use statements::has_raw_input;

/// What parsing returns: always a tree, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Parse {
    /// The tree, complete if there are no errors among the diagnostics.
    pub tree: SyntaxTree,
    /// What is wrong, in order of the text.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parse {
    /// Says whether any diagnostic is an error, so that the tree must not be run.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }
}

/// Parses a query text. Never fails: what cannot be read becomes diagnostics and missing or skipped nodes.
///
/// # Example
/// ```
/// let parse = moneta_kql::parse("T | sumarize count() by Host");
/// assert_eq!(parse.diagnostics[0].suggestion.as_deref(), Some("did you mean `summarize`?"));
/// ```
pub fn parse(text: &str) -> Parse {
    if text.len() > QUERY_SIZE_BYTES_MAX {
        let message = format!("the query has {} bytes, more than the {QUERY_SIZE_BYTES_MAX} that are read", text.len());
        let diagnostic = Diagnostic::error(codes::CANNOT_PARSE, Span::empty(0), message);
        return Parse {
            tree: SyntaxTree { statements: Vec::new(), span: Span::new(0, text.len()) },
            diagnostics: vec![diagnostic],
        };
    }
    let mut parser = Parser::new(text);
    let statements = parser.statements_to_end();
    parser.diagnostics.sort_by_key(|diagnostic| diagnostic.span.start);
    Parse { tree: SyntaxTree { statements, span: Span::new(0, text.len()) }, diagnostics: parser.diagnostics }
}

/// What the parser is inside of, where that changes how a token reads.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    /// Inside `search` and `find`: `:` is an operator.
    is_search: bool,
    /// Where table or column names may hold `*`.
    has_wildcards: bool,
    /// How a lone `=` after an operand reads.
    lone_equal: LoneEqual,
}

/// How a lone `=` after an operand reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum LoneEqual {
    /// It ends the operand: it names something.
    #[default]
    Names,
    /// It is a mistake for `==`.
    Mistake,
    /// It is read as `==` with a warning: Kusto's own grammar lets it pass in `where`.
    Tolerated,
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    position: usize,
    /// The end of the last consumed token: where missing nodes are.
    previous_end: usize,
    depth: usize,
    /// The height of what was built in the current frame of [`Parser::nested`].
    height: usize,
    mode: Mode,
    is_stopped: bool,
    last_error_position: Option<usize>,
    /// Where missing nodes were put.
    missing_offsets: BTreeSet<usize>,
    diagnostics: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parser<'a> {
        Parser {
            text,
            tokens: tokenize(text),
            position: 0,
            previous_end: 0,
            depth: 0,
            height: 0,
            mode: Mode::default(),
            is_stopped: false,
            last_error_position: None,
            missing_offsets: BTreeSet::new(),
            diagnostics: Vec::new(),
        }
    }

    // Looking at tokens.

    fn token(&self) -> Token {
        self.nth_token(0)
    }

    fn nth_token(&self, ahead: usize) -> Token {
        let last = self.tokens.len() - 1;
        self.tokens[(self.position + ahead).min(last)]
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn nth(&self, ahead: usize) -> TokenKind {
        self.nth_token(ahead).kind
    }

    fn at(&self, kind: TokenKind) -> bool {
        self.kind() == kind
    }

    /// The text of the current token if it is a word, else "".
    fn word(&self) -> &'a str {
        self.nth_word(0)
    }

    fn nth_word(&self, ahead: usize) -> &'a str {
        let token = self.nth_token(ahead);
        if token.kind == TokenKind::Word { token.span.text(self.text) } else { "" }
    }

    fn at_word(&self, word: &str) -> bool {
        self.word() == word
    }

    /// Whether the token `ahead` touches the one before it.
    fn is_joined(&self, ahead: usize) -> bool {
        ahead > 0 && self.nth_token(ahead - 1).span.end == self.nth_token(ahead).span.start
    }

    /// Whether the current token is the first of its line.
    fn begins_line(&self) -> bool {
        self.text.get(self.previous_end..self.token().span.start).is_some_and(|gap| gap.contains('\n'))
    }

    /// Whether nothing more can belong to the current operator.
    fn at_operator_end(&self) -> bool {
        use TokenKind as K;
        matches!(self.kind(), K::Pipe | K::Semicolon | K::CloseParen | K::CloseBracket | K::CloseBrace | K::End)
    }

    // Consuming tokens.

    fn bump(&mut self) -> Token {
        let token = self.token();
        if token.kind != TokenKind::End {
            self.position += 1;
            self.previous_end = token.span.end;
        }
        token
    }

    fn eat(&mut self, kind: TokenKind) -> bool {
        let found = self.at(kind);
        if found {
            self.bump();
        }
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = self.at_word(word);
        if found {
            self.bump();
        }
        found
    }

    fn expect(&mut self, kind: TokenKind) -> bool {
        let found = self.eat(kind);
        if !found {
            self.expected(kind.description());
        }
        found
    }

    fn expect_word(&mut self, word: &str) -> bool {
        let found = self.eat_word(word);
        if !found {
            let suggestion = crate::nearest::nearest(self.word(), [word]).map(|near| format!("did you mean `{near}`?"));
            self.expected_with(&format!("`{word}`"), suggestion);
            // A misspelt keyword stands for the keyword.
            if !self.word().is_empty() && crate::nearest::nearest(self.word(), [word]).is_some() {
                self.bump();
                return true;
            }
        }
        found
    }

    // Ranges.

    fn start(&self) -> usize {
        self.token().span.start
    }

    /// The range from `start` to the last consumed token; empty if nothing was consumed since.
    ///
    /// A missing node stands right after the token before it, so a node that begins with one begins there too.
    fn finish(&self, start: usize) -> Span {
        let mut start = start.min(self.previous_end);
        if !self.missing_offsets.is_empty() {
            let before = self.tokens.partition_point(|token| token.span.end <= start && token.kind != TokenKind::End);
            let end_before = before.checked_sub(1).map_or(0, |index| self.tokens[index].span.end);
            if self.missing_offsets.contains(&end_before) {
                start = end_before;
            }
        }
        Span::new(start, self.previous_end)
    }

    /// The place of a missing node.
    fn missing(&mut self) -> Span {
        self.missing_offsets.insert(self.previous_end);
        Span::empty(self.previous_end)
    }

    // Diagnostics.

    /// Says that something else was expected here.
    fn expected(&mut self, what: &str) {
        self.expected_with(what, None);
    }

    fn expected_with(&mut self, what: &str, suggestion: Option<String>) {
        let message = format!("expected {what}, found {}", self.found());
        self.error_here(message, suggestion);
    }

    fn error_here(&mut self, message: String, suggestion: Option<String>) {
        // Whatever the caller makes of this may be an empty node.
        self.missing_offsets.insert(self.previous_end);
        if self.last_error_position == Some(self.position) {
            return;
        }
        self.last_error_position = Some(self.position);
        let span = match self.kind() {
            TokenKind::End => Span::empty(self.previous_end),
            _ => self.token().span,
        };
        self.report(Diagnostic { suggestion, ..Diagnostic::error(codes::UNEXPECTED, span, message) });
    }

    fn report(&mut self, diagnostic: Diagnostic) {
        let count = self.diagnostics.iter().filter(|known| known.severity == diagnostic.severity).count();
        if self.is_stopped || count >= DIAGNOSTICS_MAX {
            return;
        }
        if diagnostic.is_error() && count + 1 == DIAGNOSTICS_MAX {
            self.stop();
        }
        self.diagnostics.push(diagnostic);
    }

    /// Ends the parse: nothing but the end of the text is seen any more.
    fn stop(&mut self) {
        self.is_stopped = true;
        self.position = self.tokens.len() - 1;
    }

    /// How a message names the current token. Strings are not quoted: they may be hidden.
    fn found(&self) -> String {
        const SHOWN_BYTES_MAX: usize = 40;
        let token = self.token();
        match token.kind {
            TokenKind::String | TokenKind::OpenString | TokenKind::End => token.kind.description().into(),
            _ if token.span.len() > SHOWN_BYTES_MAX => token.kind.description().into(),
            _ => format!("`{}`", token.span.text(self.text)),
        }
    }

    // Bounds.

    /// Parses something one level deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::take(&mut self.height);
        self.depth += 1;
        self.check_depth();
        let result = parse(self);
        self.depth -= 1;
        self.height = outer.max(self.height + 1);
        result
    }

    /// Parses something whose height does not add to that of its neighbours.
    fn frame<T>(&mut self, parse: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::take(&mut self.height);
        let result = parse(self);
        self.height = outer.max(self.height);
        result
    }

    /// Counts a node put on top of what was built in this frame, as in `a.b.c` or `a + b + c`.
    fn grow(&mut self) {
        self.height += 1;
        self.check_depth();
    }

    fn check_depth(&mut self) {
        if self.depth + self.height > NESTING_DEPTH_MAX && !self.is_stopped {
            let message = format!("the query nests deeper than {NESTING_DEPTH_MAX} levels");
            let span = self.token().span;
            self.report(
                Diagnostic::error(codes::CANNOT_PARSE, span, message)
                    .with_suggestion("name parts of the query with `let`"),
            );
            self.stop();
        }
    }

    /// Parses with another reading of some tokens.
    fn with_mode<T>(&mut self, mode: Mode, parse: impl FnOnce(&mut Self) -> T) -> T {
        let outer = std::mem::replace(&mut self.mode, mode);
        let result = parse(self);
        self.mode = outer;
        result
    }

    // Common productions.

    /// item { "," item }
    fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = vec![item(self)];
        while self.eat(TokenKind::Comma) {
            items.push(item(self));
        }
        items
    }

    /// "(" [ item { "," item } [","] ] ")" with any kind of bracket.
    fn bracketed_list<T>(&mut self, open: TokenKind, close: TokenKind, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        let mut items = Vec::new();
        if !self.expect(open) {
            return items;
        }
        while !self.at(close) && !self.at(TokenKind::End) {
            let before = self.position;
            items.push(item(self));
            if !self.eat(TokenKind::Comma) {
                break;
            }
            if self.position == before {
                break;
            }
        }
        self.close(close);
        items
    }

    /// The closing bracket; what stands before it and does not belong is skipped.
    fn close(&mut self, close: TokenKind) {
        if self.eat(close) {
            return;
        }
        self.expected(close.description());
        // If the bracket is nowhere, the text is left to whoever can use it.
        if let Some(position) = self.position_of(close) {
            while self.position <= position {
                self.bump();
            }
        }
    }

    /// Where the closing bracket of this level is, before the statement ends.
    fn position_of(&self, close: TokenKind) -> Option<usize> {
        use TokenKind as K;
        let mut open = 0usize;
        for (ahead, token) in self.tokens[self.position..].iter().take(RECOVERY_TOKENS_MAX).enumerate() {
            match token.kind {
                K::OpenParen | K::OpenBracket | K::OpenBrace => open += 1,
                kind if open == 0 && kind == close => return Some(self.position + ahead),
                K::CloseParen | K::CloseBracket | K::CloseBrace | K::Semicolon if open == 0 => return None,
                K::CloseParen | K::CloseBracket | K::CloseBrace => open -= 1,
                _ => {}
            }
        }
        None
    }

    /// name | "[" string "]"
    fn name(&mut self) -> Name {
        match self.opt_name() {
            Some(name) => name,
            None => {
                self.expected("a name");
                Name { text: String::new(), bracketed: false, span: self.missing() }
            }
        }
    }

    fn opt_name(&mut self) -> Option<Name> {
        let start = self.start();
        if self.at(TokenKind::Word) {
            let token = self.bump();
            return Some(Name { text: token.span.text(self.text).into(), bracketed: false, span: token.span });
        }
        if self.at_bracketed_name(0) {
            self.bump();
            let text = self.string_token();
            self.bump();
            return Some(Name { text, bracketed: true, span: self.finish(start) });
        }
        None
    }

    fn at_bracketed_name(&self, ahead: usize) -> bool {
        self.nth(ahead) == TokenKind::OpenBracket
            && self.nth(ahead + 1) == TokenKind::String
            && self.nth(ahead + 2) == TokenKind::CloseBracket
    }

    /// The number of tokens of the name at `ahead`, 0 if there is none.
    fn name_length(&self, ahead: usize) -> usize {
        if self.nth(ahead) == TokenKind::Word {
            1
        } else if self.at_bracketed_name(ahead) {
            3
        } else {
            0
        }
    }

    /// Skips to the next `|`, `;` or closing bracket of this level; brackets are skipped whole.
    fn skip_to_recovery(&mut self, past_pipes: bool) -> Skipped {
        use TokenKind as K;
        let start = self.start();
        let mut open = 0usize;
        loop {
            match self.kind() {
                K::End => break,
                K::OpenParen | K::OpenBracket | K::OpenBrace => open += 1,
                K::CloseParen | K::CloseBracket | K::CloseBrace if open == 0 => break,
                K::CloseParen | K::CloseBracket | K::CloseBrace => open -= 1,
                K::Semicolon if open == 0 => break,
                K::Pipe if open == 0 && !past_pipes => break,
                _ => {}
            }
            self.bump();
        }
        let span = Span::new(start.min(self.previous_end), self.previous_end);
        Skipped { text: span.text(self.text).into(), span }
    }
}
