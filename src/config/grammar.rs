//! Whether a text is TOML at all.
//!
//! The document parser goes on behind a mistake of the grammar, puts something in its place and may panic
//! over that (toml_edit 0.23 and 0.25: "all items have spans"; the fuzzer found it). A box must not end
//! over a mistake in its file, so that parser only gets texts without one.

use toml_parser::parser::{RecursionGuard, ValidateWhitespace, parse_document};
use toml_parser::{Expected, ParseError, Source};

/// Deeper nesting is refused; the document parser has the same limit.
const MAX_DEPTH: u32 = 80;

/// The first mistake of the grammar: what is wrong, and at which byte.
pub(super) fn mistake(text: &str) -> Option<(String, usize)> {
    let source = Source::new(text);
    let tokens = source.lex().into_vec();
    let mut first: Option<ParseError> = None;
    let mut nobody = ();
    let mut receiver = ValidateWhitespace::new(&mut nobody, source);
    let mut receiver = RecursionGuard::new(&mut receiver, MAX_DEPTH);
    parse_document(&tokens, &mut receiver, &mut first);
    first.map(|error| (words(&error), error.unexpected().map_or(0, |span| span.start())))
}

fn words(error: &ParseError) -> String {
    let expected: Vec<String> = error
        .expected()
        .unwrap_or_default()
        .iter()
        .map(|expected| match expected {
            Expected::Literal("\n") => "a new line".into(),
            Expected::Literal(text) => format!("`{text}`"),
            Expected::Description(text) => (*text).to_owned(),
            _ => "something else".into(),
        })
        .collect();
    match expected.is_empty() {
        true => error.description().to_owned(),
        false => format!("{}, expected {}", error.description(), expected.join(" or ")),
    }
}
