//! Integration tests of the parser: goldens, corpora, bounds, properties.

mod bounds;
mod corpus;
mod golden;
mod properties;
