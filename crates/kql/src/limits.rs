//! Named limits of the parser: what a query text may cost, whoever sent it.

/// The greatest nesting of brackets, calls, paths, operator chains and subqueries.
///
/// The parser and every walk over its tree recurse once per level, so this bounds the stack (see the test
/// `deepest_accepted_query_fits_a_small_stack`). Queries written by people stay below 40.
pub const NESTING_DEPTH_MAX: usize = 128;

/// The greatest query text in bytes. The longest public query we know of has 125 kB; Kusto refuses above 2 MiB.
pub const QUERY_SIZE_BYTES_MAX: usize = 2 * 1024 * 1024;

/// The greatest number of errors and of warnings of one text: after this many errors the parser stops, because more
/// would only repeat the first mistakes.
pub const DIAGNOSTICS_MAX: usize = 100;

/// How far, in tokens, the parser looks for a closing bracket that is not where it was expected.
pub const RECOVERY_TOKENS_MAX: usize = 4_096;
