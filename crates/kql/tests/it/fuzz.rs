//! Fuzz targets of the front end. `FUZZ_SECONDS=60 cargo test -p moneta-kql --test it fuzz` runs each for that long.

use crate::mutate::{fuzz, seeds};
use moneta_kql::dump::dump;
use moneta_kql::lexer::tokenize;
use moneta_kql::token::TokenKind;
use moneta_kql::{format, parse, render_diagnostics};

#[test]
fn lexer_covers_the_text_in_order() {
    fuzz("lexer", seeds(), |text| {
        let mut offset = 0;
        let tokens = tokenize(text);
        for token in &tokens {
            assert!(token.span.start >= offset && token.span.end >= token.span.start, "{token:?}");
            assert!(text.get(token.span.start..token.span.end).is_some(), "{token:?}");
            assert!(!token.span.is_empty() || token.kind == TokenKind::End, "{token:?}");
            offset = token.span.end;
        }
        assert_eq!(tokens.last().map(|token| token.kind), Some(TokenKind::End));
    });
}

#[test]
fn parser_gives_a_tree_within_the_text() {
    fuzz("parser", seeds(), |text| {
        crate::properties::check(text);
        let parsed = parse(text);
        let _ = (dump(&parsed.tree).to_string(), render_diagnostics(text, &parsed.diagnostics));
    });
}

#[test]
fn formatter_keeps_tokens_and_tree_and_is_its_own_fixed_point() {
    fuzz("formatter", seeds(), |text| {
        if let Ok(formatted) = format(text) {
            crate::format::check_format(text, &formatted);
        }
    });
}
