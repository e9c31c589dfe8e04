//! Tokens: what the lexer hands to the parser. A token knows its kind and place, never its meaning: whether a word is
//! a keyword or a name is decided by where it stands.

use crate::syntax::Span;

/// A token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is.
    pub span: Span,
}

macro_rules! token_kinds {
    ($($(#[$doc:meta])* $variant:ident $symbol:literal,)*) => {
        /// The kind of a token.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum TokenKind {
            $($(#[$doc])* #[doc = concat!("Described to people as: ", $symbol, ".")] $variant,)*
        }

        impl TokenKind {
            /// Returns how a message names the kind.
            pub fn description(self) -> &'static str {
                match self { $(TokenKind::$variant => $symbol,)* }
            }
        }
    };
}

token_kinds! {
    /// A name or keyword, hyphenated keywords included (`project-away`).
    Word "a name",
    /// `!` and a word: `!has`, `!in`.
    NotWord "an operator",
    /// `in~`.
    InCaseless "`in~`",
    /// `!in~`.
    NotInCaseless "`!in~`",
    /// A whole number, decimal or hexadecimal.
    Long "a number",
    /// A number with a fraction or exponent.
    Real "a number",
    /// A number with a unit of time.
    Timespan "a timespan",
    /// A string in any of its forms.
    String "a string",
    /// A string without its end.
    OpenString "a string without its closing quote",
    OpenParen "`(`",
    CloseParen "`)`",
    OpenBracket "`[`",
    CloseBracket "`]`",
    OpenBrace "`{`",
    CloseBrace "`}`",
    Pipe "`|`",
    /// `<|`, between a command and its query.
    LessPipe "`<|`",
    Comma "`,`",
    Semicolon "`;`",
    Colon "`:`",
    Dot "`.`",
    DotDot "`..`",
    Equal "`=`",
    EqualEqual "`==`",
    EqualTilde "`=~`",
    FatArrow "`=>`",
    NotEqual "`!=`",
    NotTilde "`!~`",
    Less "`<`",
    LessEqual "`<=`",
    LessGreater "`<>`",
    Greater "`>`",
    GreaterEqual "`>=`",
    Plus "`+`",
    Minus "`-`",
    Star "`*`",
    Slash "`/`",
    Percent "`%`",
    /// A character no token begins with.
    Unknown "a character that means nothing here",
    /// The end of the text; always the last token.
    End "the end of the query",
}

/// Words that end no operand, so that a sign after them belongs to what follows.
pub const OPEN_WORDS: [&str; 34] = [
    "and",
    "between",
    "by",
    "contains",
    "contains_cs",
    "endswith",
    "endswith_cs",
    "from",
    "has",
    "has_all",
    "has_any",
    "has_cs",
    "hasprefix",
    "hasprefix_cs",
    "hassuffix",
    "hassuffix_cs",
    "in",
    "like",
    "likecs",
    "limit",
    "matches",
    "notcontains",
    "notlike",
    "of",
    "on",
    "or",
    "range",
    "regex",
    "startswith",
    "startswith_cs",
    "step",
    "take",
    "to",
    "with",
];
