//! Groups to lines.

use super::groups::{Group, Item, Placed, begins_row, flat_width};
use super::pieces::Comment;
use super::{INDENT_CHARACTERS, LINE_CHARACTERS_MAX};
use crate::token::TokenKind as K;

/// Operators that list columns: broken, each column has its line.
const LIST_HEADS: [&str; 12] = [
    "distinct",
    "extend",
    "make-series",
    "print",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "serialize",
    "summarize",
    "union",
];

/// Statements whose value is indented below them.
const VALUE_HEADS: [&str; 3] = ["let", "alias", "declare"];

/// Prints the items of a whole text.
pub(super) fn print(items: &[Item<'_>]) -> String {
    let mut printer = Printer { output: String::new(), column: 0, line_indent: 0, continuation: 0, pending: None };
    printer.sequence(items, 0);
    if !printer.output.is_empty() {
        printer.output.push('\n');
    }
    printer.output
}

struct Printer {
    output: String,
    /// Characters on the current line.
    column: usize,
    /// The indentation of the current line.
    line_indent: usize,
    /// The indentation of a line that goes on with what the last one began.
    continuation: usize,
    /// A line break that comes before the next token, with the indentation after it.
    pending: Option<usize>,
}

/// Where a list of items is broken.
#[derive(Clone, Copy, PartialEq)]
enum Break {
    Nowhere,
    AfterCommas,
    Before(&'static str),
}

impl Printer {
    fn newline(&mut self, indent: usize) {
        if !self.output.is_empty() {
            self.pending = Some(indent);
        }
    }

    /// Ends the line if that is due.
    fn flush(&mut self, has_blank_line: bool) -> bool {
        let Some(indent) = self.pending.take() else { return false };
        if has_blank_line && !self.output.ends_with(['(', '[', '{']) {
            self.output.push('\n');
        }
        self.output.push('\n');
        self.output.extend(std::iter::repeat_n(' ', indent));
        (self.column, self.line_indent) = (indent, indent);
        true
    }

    fn write(&mut self, text: &str) {
        self.output.push_str(text);
        self.column = match text.rfind('\n') {
            Some(newline) => text[newline + 1..].chars().count(),
            None => self.column + text.chars().count(),
        };
    }

    fn comments(&mut self, comments: &[Comment<'_>]) {
        for comment in comments {
            let indent = self.pending.unwrap_or(self.continuation);
            if comment.is_trailing && !self.output.is_empty() {
                self.write(" ");
            } else {
                self.newline(indent);
                self.flush(comment.has_blank_line);
            }
            self.write(comment.text);
            self.pending = Some(indent);
        }
    }

    /// Comments before the token, then the token.
    fn token(&mut self, placed: &Placed<'_>) {
        self.comments(&placed.piece.gap.comments);
        if placed.piece.text.is_empty() {
            return;
        }
        if !self.flush(placed.piece.gap.has_blank_line) && placed.has_space && !self.output.is_empty() {
            self.write(" ");
        }
        self.write(placed.piece.text);
    }

    fn item(&mut self, item: &Item<'_>) {
        match item {
            Item::Piece(placed) => self.token(placed),
            Item::Group(group) => self.group(group),
        }
    }

    /// Statements and pipes, each on its line.
    fn sequence(&mut self, items: &[Item<'_>], indent: usize) {
        let mut pipe_indent = indent;
        let mut rest = items;
        let mut begins_statement = true;
        while let Some(first) = rest.first() {
            match first.kind() {
                Some(K::Semicolon | K::LessPipe) => {
                    self.item(first);
                    self.newline(indent);
                    rest = &rest[1..];
                    begins_statement = true;
                    continue;
                }
                Some(K::Pipe) => {
                    self.continuation = pipe_indent;
                    self.newline(pipe_indent);
                }
                Some(K::End) => self.continuation = indent,
                _ if begins_statement => {
                    self.continuation = indent;
                    let is_value = VALUE_HEADS.iter().any(|head| first.is_word(head));
                    pipe_indent = if is_value { indent + INDENT_CHARACTERS } else { indent };
                }
                _ => {}
            }
            let is_end = |item: &Item<'_>| matches!(item.kind(), Some(K::Pipe | K::Semicolon | K::LessPipe | K::End));
            let length = 1 + rest[1..].iter().position(is_end).unwrap_or(rest.len() - 1);
            let (line, after) = rest.split_at(length);
            let line_end = if first.kind() == Some(K::Pipe) { pipe_indent } else { indent };
            self.line(line, line_end + INDENT_CHARACTERS);
            rest = after;
            begins_statement = false;
        }
    }

    /// An operator with its pipe, a statement up to its first pipe, or an element of a list.
    fn line(&mut self, items: &[Item<'_>], continuation: usize) {
        let head = usize::from(items.first().and_then(Item::kind) == Some(K::Pipe));
        let start = self.pending.unwrap_or(self.column);
        let breaks = if start + flat_width(items) <= LINE_CHARACTERS_MAX { Break::Nowhere } else { break_of(items) };
        let is_list = LIST_HEADS.iter().any(|word| items.get(head).is_some_and(|item| item.is_word(word)));
        for (at, item) in items.iter().enumerate() {
            let is_due = match breaks {
                Break::Nowhere => false,
                Break::AfterCommas => {
                    (at > 0 && items[at - 1].kind() == Some(K::Comma))
                        || (is_list && at == head + 1)
                        || (is_list && at > head + 1 && item.is_word("by"))
                }
                Break::Before(word) => item.is_word(word),
            };
            if is_due && at > 0 {
                self.newline(continuation);
            }
            self.item(item);
            if at == head {
                self.continuation = continuation;
            }
        }
    }

    fn group(&mut self, group: &Group<'_>) {
        self.comments(&group.open.piece.gap.comments);
        let start = self.pending.unwrap_or(self.column);
        let fits = !group.is_broken && !group.has_rows && start + group.width <= LINE_CHARACTERS_MAX;
        if fits || group.only_group().is_some() {
            self.token_only(&group.open);
            group.items.iter().for_each(|item| self.item(item));
            self.token_only(&group.close);
            return;
        }
        self.token_only(&group.open);
        let outer = (self.line_indent, self.continuation);
        let indent = outer.0 + INDENT_CHARACTERS;
        if group.items.is_empty() && group.close.piece.gap.comments.is_empty() {
            self.token_only(&group.close);
            return;
        }
        self.newline(indent);
        self.continuation = indent;
        self.broken(group, indent);
        self.newline(indent);
        self.comments(&group.close.piece.gap.comments);
        self.newline(outer.0);
        self.token_without_blank_line(&group.close);
        self.continuation = outer.1;
    }

    /// The content of a group over several lines.
    fn broken(&mut self, group: &Group<'_>, indent: usize) {
        let items = &group.items;
        let has = |kind: K| items.iter().any(|item| item.kind() == Some(kind));
        if has(K::Pipe) || has(K::Semicolon) {
            self.sequence(items, indent);
        } else if group.keeps_rows {
            self.rows(group, indent);
        } else if has(K::Comma) {
            for element in items.split_inclusive(|item| item.kind() == Some(K::Comma)) {
                self.line(element, indent + INDENT_CHARACTERS);
                self.newline(indent);
            }
        } else {
            self.line(items, indent);
        }
    }

    /// A list that keeps its line breaks; one without any is broken where a line is full.
    fn rows(&mut self, group: &Group<'_>, indent: usize) {
        let mut element_at = 0;
        for element in group.items.split_inclusive(|item| item.kind() == Some(K::Comma)) {
            let is_full = self.column + flat_width(element) > LINE_CHARACTERS_MAX;
            if element_at > 0 && if group.has_rows { begins_row(&group.items, element_at) } else { is_full } {
                self.newline(indent);
            }
            element.iter().for_each(|item| self.item(item));
            element_at += element.len();
        }
    }

    /// A token whose comments are written already.
    fn token_only(&mut self, placed: &Placed<'_>) {
        self.write_token(placed, placed.piece.gap.has_blank_line);
    }

    fn token_without_blank_line(&mut self, placed: &Placed<'_>) {
        self.write_token(placed, false);
    }

    fn write_token(&mut self, placed: &Placed<'_>, has_blank_line: bool) {
        if !self.flush(has_blank_line) && placed.has_space && !self.output.is_empty() {
            self.write(" ");
        }
        self.write(placed.piece.text);
    }
}

/// Where items that do not fit a line are broken.
fn break_of(items: &[Item<'_>]) -> Break {
    if items.iter().any(|item| item.kind() == Some(K::Comma)) {
        return Break::AfterCommas;
    }
    let word = ["or", "and"].into_iter().find(|word| items.iter().any(|item| item.is_word(word)));
    word.map_or(Break::Nowhere, Break::Before)
}
