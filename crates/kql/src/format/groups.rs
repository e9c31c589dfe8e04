//! Pieces to nested groups, with the space before each piece decided.

use super::LINE_CHARACTERS_MAX;
use super::pieces::Piece;
use super::spacing::{Context, has_space};
use crate::token::TokenKind as K;

/// A piece or a bracketed group.
#[derive(Debug)]
pub(super) enum Item<'a> {
    Piece(Placed<'a>),
    Group(Box<Group<'a>>),
}

/// A piece, and whether a space stands before it.
#[derive(Debug)]
pub(super) struct Placed<'a> {
    pub(super) piece: &'a Piece<'a>,
    pub(super) has_space: bool,
}

/// What stands in brackets.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) open: Placed<'a>,
    pub(super) items: Vec<Item<'a>>,
    pub(super) close: Placed<'a>,
    /// Whether it cannot stand on one line.
    pub(super) is_broken: bool,
    /// Whether line breaks after commas are kept as they were.
    pub(super) keeps_rows: bool,
    /// Whether there are such line breaks.
    pub(super) has_rows: bool,
    /// The width on one line, the space before it included.
    pub(super) width: usize,
}

impl Item<'_> {
    /// The first piece.
    pub(super) fn placed(&self) -> &Placed<'_> {
        match self {
            Item::Piece(placed) => placed,
            Item::Group(group) => &group.open,
        }
    }

    /// The kind of a piece; `None` for a group.
    pub(super) fn kind(&self) -> Option<K> {
        match self {
            Item::Piece(placed) => Some(placed.piece.kind),
            Item::Group(_) => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        matches!(self, Item::Piece(placed) if placed.piece.kind == K::Word && placed.piece.text == word)
    }
}

impl Placed<'_> {
    fn width(&self) -> usize {
        let characters =
            if self.piece.text.contains('\n') { LINE_CHARACTERS_MAX } else { self.piece.text.chars().count() };
        usize::from(self.has_space) + characters
    }
}

/// The width of items on one line, up to the first group that cannot stand on one.
pub(super) fn flat_width(items: &[Item<'_>]) -> usize {
    let mut width = 0;
    for item in items {
        match item {
            Item::Piece(placed) => width += placed.width(),
            Item::Group(group) if group.is_broken => return width + group.open.width(),
            Item::Group(group) => width += group.width,
        }
    }
    width
}

/// Groups the pieces of a text; the last item is the end of the text.
pub(super) fn group<'a>(pieces: &'a [Piece<'a>]) -> Vec<Item<'a>> {
    let mut builder = Builder { pieces, at: 0 };
    let mut items = builder.items(Context::default());
    // Texts without errors have no bracket that closes nothing; whatever there is, is kept.
    while builder.at < pieces.len() {
        items.push(builder.placed(Context::default()));
        items.extend(builder.items(Context::default()));
    }
    items
}

struct Builder<'a> {
    pieces: &'a [Piece<'a>],
    at: usize,
}

impl<'a> Builder<'a> {
    fn kind(&self) -> Option<K> {
        self.pieces.get(self.at).map(|piece| piece.kind)
    }

    fn placed(&mut self, context: Context<'a>) -> Item<'a> {
        Item::Piece(self.place(context))
    }

    fn place(&mut self, context: Context<'a>) -> Placed<'a> {
        let at = self.at;
        self.at += 1;
        Placed { piece: &self.pieces[at], has_space: has_space(self.pieces, at, context) }
    }

    /// Items up to a closing bracket or the end.
    fn items(&mut self, outer: Context<'a>) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        let mut context = outer;
        let mut is_head = true;
        while let Some(kind) = self.kind() {
            match kind {
                K::CloseParen | K::CloseBracket | K::CloseBrace => break,
                K::OpenParen | K::OpenBracket | K::OpenBrace => items.push(self.group(context)),
                _ => {
                    let piece = &self.pieces[self.at];
                    if kind == K::Word && is_head {
                        context = context.with_head(piece.text, self.at);
                    } else if kind == K::Word && matches!(piece.text, "where" | "project" | "with") {
                        context.is_graph = false;
                    }
                    items.push(self.placed(context));
                }
            }
            is_head = matches!(kind, K::Pipe | K::Semicolon | K::LessPipe);
        }
        items
    }

    fn group(&mut self, context: Context<'a>) -> Item<'a> {
        let opens = self.pieces[self.at].kind;
        let inner = context.inside(opens, self.at.checked_sub(1).map(|before| self.pieces[before].text));
        let open = self.place(context);
        let items = self.items(inner);
        let close = match self.kind() {
            Some(K::CloseParen | K::CloseBracket | K::CloseBrace) => self.place(inner),
            _ => return Item::Group(Box::new(Group::unclosed(open, items))),
        };
        Item::Group(Box::new(Group::new(open, items, close, opens == K::OpenBracket || inner.is_json)))
    }
}

impl<'a> Group<'a> {
    fn new(open: Placed<'a>, items: Vec<Item<'a>>, close: Placed<'a>, keeps_rows: bool) -> Self {
        let gaps = || items.iter().map(|item| &item.placed().piece.gap).chain([&close.piece.gap]);
        let has_comments = gaps().any(|gap| !gap.comments.is_empty());
        let has_lines = items.iter().any(|item| matches!(item.kind(), Some(K::Pipe | K::Semicolon)));
        let has_rows = keeps_rows && (1..items.len()).any(|at| begins_row(&items, at));
        let is_broken = has_comments || has_lines;
        let width = open.width() + flat_width(&items) + close.width();
        Self { open, items, close, is_broken, keeps_rows, has_rows, width }
    }

    /// The group inside, if there is nothing else and no comment.
    pub(super) fn only_group(&self) -> Option<&Group<'a>> {
        match self.items.as_slice() {
            [Item::Group(group)]
                if group.open.piece.gap.comments.is_empty() && self.close.piece.gap.comments.is_empty() =>
            {
                Some(group)
            }
            _ => None,
        }
    }

    /// A bracket that is never closed, which a text without errors does not have.
    fn unclosed(open: Placed<'a>, items: Vec<Item<'a>>) -> Self {
        static NOTHING: Piece<'static> = Piece::nothing();
        Self::new(open, items, Placed { piece: &NOTHING, has_space: false }, false)
    }
}

/// Whether the item follows a comma and began a line.
pub(super) fn begins_row(items: &[Item<'_>], at: usize) -> bool {
    items[at - 1].kind() == Some(K::Comma) && items[at].placed().piece.gap.has_newline
}
