//! Integration tests of the parser: goldens, corpora, properties.

mod corpus;
